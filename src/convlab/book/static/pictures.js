// A picture, made like the images of a data set: data/pictures.py and data/framing.py, number by number, so that a network
// is shown the same here as by `convlab predict`. An image is {channels, height, width, data}: from 0 to 255, [C × H × W].
"use strict";

window.pictures = (() => {
  const WORKED_ON = 1000; // pixels a side: more would be lost in an image of 28 anyway
  const MOST = 2 * WORKED_ON; // of a picture that is read
  const INK = .25; // of the strongest: what is fainter is paper
  const BRIGHT = 128; // of 255
  const REACH = 3; // of Lanczos' window

  // These arrays clip and round what they are given, halves to the even number, as NumPy and Pillow do
  const blank = (channels, height, width) => ({ channels, height, width, data: new Uint8ClampedArray(channels * height * width) });
  const whole = image => [0, 0, image.width, image.height];

  function round(value) { // as Python does: halves to the even number
    const below = Math.floor(value);
    return value - below === .5 ? below + Math.abs(below % 2) : Math.round(value);
  }

  const luma = (red, green, blue) => (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16; // as Pillow computes it

  // The picture in a file, upright and opaque; one of many pixels is made smaller by the browser first. Null if it is none
  async function open(file) {
    const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" }).catch(() => null);
    if (!bitmap) return null;
    const share = Math.min(1, MOST / Math.max(bitmap.width, bitmap.height));
    const canvas = new OffscreenCanvas(Math.max(1, Math.round(share * bitmap.width)), Math.max(1, Math.round(share * bitmap.height)));
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    return opaque(context.getImageData(0, 0, canvas.width, canvas.height));
  }

  // An image of RGBA values: transparent areas become black behind bright objects and white behind dark ones
  function opaque({ width, height, data }) {
    const image = blank(3, height, width), count = width * height;
    let [light, solid] = [0, 0];
    for (let place = 0; place < 4 * count; place += 4) {
      light += luma(data[place], data[place + 1], data[place + 2]) * data[place + 3];
      solid += data[place + 3];
    }
    const behind = solid > 0 && light / solid >= BRIGHT ? 0 : 255;
    for (let place = 0; place < count; place++) {
      const share = data[4 * place + 3] / 255;
      for (let channel = 0; channel < 3; channel++) image.data[channel * count + place] = behind + share * (data[4 * place + channel] - behind);
    }
    return image;
  }

  function grey(image) {
    const made = blank(1, image.height, image.width), count = made.data.length;
    for (let place = 0; place < count; place++) made.data[place] = luma(image.data[place], image.data[count + place], image.data[2 * count + place]);
    return made;
  }

  // ------------------------------------------------------------------------------------------------- sizes

  const sinc = x => x ? Math.sin(Math.PI * x) / (Math.PI * x) : 1;
  const lanczos = x => Math.abs(x) < REACH ? sinc(x) * sinc(x / REACH) : 0;

  // For each of `into` values that stand for those from `start` to `end` of `size`: the first one it takes, and the weights
  function weights(size, start, end, into) {
    const scale = (end - start) / into, wide = Math.max(scale, 1);
    return Array.from({ length: into }, (_, place) => {
      const center = start + (place + .5) * scale;
      const from = Math.max(Math.trunc(center - REACH * wide + .5), 0), to = Math.min(Math.trunc(center + REACH * wide + .5), size);
      const own = Float64Array.from({ length: to - from }, (_, index) => lanczos((from + index - center + .5) / wide));
      const sum = own.reduce((a, b) => a + b, 0);
      return [from, own.map(value => value / sum)];
    });
  }

  function scaled(image, axis, start, end, into) {
    const size = image[axis], made = blank(...["channels", "height", "width"].map(key => key === axis ? into : image[key]));
    const inner = axis === "width" ? 1 : image.width, outer = image.data.length / (size * inner);
    const table = weights(size, start, end, into);
    for (let row = 0; row < outer; row++) {
      for (const [place, [from, own]] of table.entries()) {
        for (let column = 0; column < inner; column++) {
          let sum = 0;
          for (let index = 0; index < own.length; index++) sum += own[index] * image.data[(row * size + from + index) * inner + column];
          made.data[(row * into + place) * inner + column] = sum;
        }
      }
    }
    return made;
  }

  function resize(image, width, height, [left, top, right, bottom] = whole(image)) {
    return scaled(scaled(image, "width", left, right, width), "height", top, bottom, height);
  }

  // A part of an image, put into one of another size: `x`, `y` is the place of its upper left corner there
  function paste(onto, image, x, y) {
    for (let row = 0; row < image.channels * image.height; row++) {
      const [channel, line] = [Math.floor(row / image.height), row % image.height];
      onto.data.set(image.data.subarray(row * image.width, (row + 1) * image.width), (channel * onto.height + y + line) * onto.width + x);
    }
    return onto;
  }

  // The whole of an image with another aspect ratio, the rest in the colour of its border
  function padded(image, width, height) {
    const wide = image.width / image.height > width / height;
    const inner = wide ? [width, Math.max(1, round(image.height / image.width * width))] : [Math.max(1, round(image.width / image.height * height)), height];
    const made = blank(image.channels, height, width);
    borderOf(image).forEach((value, channel) => made.data.fill(Math.trunc(value), channel * width * height, (channel + 1) * width * height));
    return paste(made, resize(image, ...inner), round((width - inner[0]) / 2), round((height - inner[1]) / 2));
  }

  function cropped(image, width, height) {
    const across = Math.min(image.width, image.height * width / height), down = Math.min(image.height, image.width * height / width);
    const [left, top] = [(image.width - across) / 2, (image.height - down) / 2];
    return resize(image, width, height, [left, top, left + across, top + down]);
  }

  function fitted(image, width, height, fit) {
    if (image.width === width && image.height === height) return image;
    if (fit === "pad") return padded(image, width, height);
    return fit === "crop" ? cropped(image, width, height) : resize(image, width, height);
  }

  // --------------------------------------------------------------------------------------- ink and paper

  // The median of each channel along the border
  function borderOf({ channels, height, width, data }) {
    return Array.from({ length: channels }, (_, channel) => {
      const at = (y, x) => data[(channel * height + y) * width + x], edge = [];
      for (let x = 0; x < width; x++) edge.push(at(0, x), at(height - 1, x));
      for (let y = 0; y < height; y++) edge.push(at(y, 0), at(y, width - 1));
      edge.sort((a, b) => a - b);
      return (edge[edge.length / 2 - 1] + edge[edge.length / 2]) / 2;
    });
  }

  // Invert an image whose border is light where the data set's is dark, or the other way round: paper becomes black, and
  // ink white (or the reverse); in a photograph, paper is grey
  function turned(image, background) {
    const border = borderOf(image), light = border.reduce((a, b) => a + b) / border.length >= BRIGHT;
    if (background === "any" || light === (background === "light")) return [image, false];
    const count = image.height * image.width;
    const away = Float64Array.from(image.data, (value, place) => Math.abs(value - border[Math.floor(place / count)]));
    const most = away.reduce((a, b) => Math.max(a, b), 1);
    const made = blank(image.channels, image.height, image.width);
    away.forEach((value, place) => { made.data[place] = background === "light" ? 255 - value * 255 / most : value * 255 / most; });
    return [made, true];
  }

  // The ink of a grey image, light on dark, in one of `width` × `height`: its longer side is `box` of the image's, its centre
  // of mass in the middle
  function framed(image, width, height, box) {
    const least = Math.max(1, INK * image.data.reduce((a, b) => Math.max(a, b), 0));
    let [top, left, bottom, right] = [image.height, image.width, -1, -1];
    image.data.forEach((value, place) => {
      if (value < least) return;
      const [y, x] = [Math.floor(place / image.width), place % image.width];
      top = Math.min(top, y); bottom = Math.max(bottom, y); left = Math.min(left, x); right = Math.max(right, x);
    });
    const cut = blank(1, bottom - top + 1, right - left + 1);
    for (let y = top; y <= bottom; y++) cut.data.set(image.data.subarray(y * image.width + left, y * image.width + right + 1), (y - top) * cut.width);
    const scale = box * Math.min(width, height) / Math.max(cut.width, cut.height);
    const small = resize(cut, Math.max(1, round(cut.width * scale)), Math.max(1, round(cut.height * scale)));
    let [sum, atX, atY] = [0, 0, 0];
    small.data.forEach((value, place) => { sum += value; atX += value * (place % small.width); atY += value * Math.floor(place / small.width); });
    const start = (length, inner, center) => Math.min(Math.max(round((length - 1) / 2 - center / Math.max(sum, 1)), 0), length - inner);
    return paste(blank(1, height, width), small, start(width, small.width, atX), start(height, small.height, atY));
  }

  // Whether an image is of one colour
  function isBlank({ height, width, data }) {
    const count = height * width;
    return data.every((value, place) => value === data[place - place % count]);
  }

  // What a network is shown of a picture (see `open`): {pixels, inverted}, or null if nothing stands out in it. `pixels` are
  // of the range of its data set; a picture of exactly the data set's size is assumed to be one of its kind: it is not framed
  function showAs(picture, { shape: [channels, height, width], largest, background, box, fit }) {
    let image = channels === 1 ? grey(picture) : picture, inverted;
    const hasFrame = box !== null && channels === 1, asItIs = !hasFrame || (image.width === width && image.height === height);
    const share = Math.min(1, WORKED_ON / Math.max(image.width, image.height));
    if (asItIs) image = fitted(image, width, height, fit);
    else if (share < 1) image = resize(image, Math.max(1, round(share * image.width)), Math.max(1, round(share * image.height)));
    if (hasFrame && isBlank(image)) return null; // elsewhere a colour may be all that counts
    [image, inverted] = turned(image, background);
    if (!asItIs) image = framed(image, width, height, box);
    return { pixels: Array.from(image.data, value => Math.floor((value * largest + 127) / 255)), inverted };
  }

  return { open, opaque, showAs };
})();
