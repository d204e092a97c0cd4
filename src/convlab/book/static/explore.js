// Networks in the browser: what is drawn or dropped goes through ONNX Runtime Web, which is loaded when first needed.
"use strict";

const NETWORKS = JSON.parse(document.getElementById("networks").textContent);
const EXAMPLES = { // strokes on a square of 1 × 1
  0: [[[.5, .18], [.36, .28], [.3, .5], [.36, .72], [.5, .82], [.64, .72], [.7, .5], [.64, .28], [.5, .18]]],
  1: [[[.4, .3], [.53, .18], [.53, .82]]],
  2: [[[.32, .32], [.4, .2], [.55, .18], [.66, .28], [.64, .42], [.5, .58], [.32, .8], [.7, .8]]],
  3: [[[.34, .22], [.52, .18], [.66, .28], [.62, .42], [.48, .48], [.64, .56], [.68, .7], [.54, .82], [.34, .78]]],
  4: [[[.56, .18], [.32, .58], [.7, .58]], [[.58, .4], [.58, .84]]],
  7: [[[.3, .2], [.7, .2], [.52, .5], [.44, .82]]],
};
const pad = document.getElementById("pad");
const ink = pad.getContext("2d", { willReadFrequently: true });
const status = document.getElementById("status");
let picture = null; // an image that was dropped or chosen, in place of a drawing
let drawn = false;

// ------------------------------------------------------------------------------------------------ runtime

const load = address => new Promise((resolve, reject) => {
  const script = document.createElement("script");
  script.src = address;
  script.onload = resolve;
  script.onerror = () => reject(new Error(`${address} is not there`));
  document.head.append(script);
});

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer());
}

let started = null;
const start = () => started ??= (async () => {
  await load("assets/runtime.js");
  const { bundle, wasm } = window.runtime;
  window.runtime = null;
  const ort = await import(URL.createObjectURL(new Blob([bundle], { type: "text/javascript" })));
  ort.env.wasm.numThreads = 1; // a page from a file has no shared memory
  ort.env.wasm.wasmBinary = (await unpack(wasm)).buffer;
  return ort;
})();

const sessions = {};
const session = name => sessions[name] ??= (async () => {
  const ort = await start();
  await load(NETWORKS[name].script);
  const bytes = await unpack(window.weights[name]);
  delete window.weights[name];
  return ort.InferenceSession.create(bytes);
})();

// What a network says of pixels (of the data set's own range, [channels × height × width]), and what happened inside:
// `heat` is Grad-CAM for every class, [classes, height, width]; `maps` are the outputs of the convolutions, [channels, height, width]
async function look(name, pixels) {
  const ort = await start();
  const [channels, height, width] = NETWORKS[name].shape;
  const input = new ort.Tensor("uint8", Uint8Array.from(pixels, Math.round), [1, channels, height, width]);
  const said = await (await session(name)).run({ images: input });
  const image = tensor => ({ shape: tensor.dims.slice(1), data: tensor.data });
  return { logits: Array.from(said.logits.data), heat: image(said.heat), maps: NETWORKS[name].layers.map(layer => image(said[layer])) };
}

function softmax(values) {
  const powers = values.map(value => Math.exp(value - Math.max(...values)));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map(power => power / sum);
}

// ------------------------------------------------------------------------------------------- what it is shown

function canvas(width, height) {
  const made = document.createElement("canvas");
  made.width = width; made.height = height;
  const context = made.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  return [made, context];
}

// Brightness 0…255 of a square picture, light on dark, and whether it had to be inverted for that
function bright(source, size) {
  const [, context] = canvas(size, size);
  context.drawImage(source, 0, 0, size, size);
  const { data } = context.getImageData(0, 0, size, size);
  const grey = Float32Array.from({ length: size * size }, (_, index) => .299 * data[4 * index] + .587 * data[4 * index + 1] + .114 * data[4 * index + 2]);
  let border = 0;
  for (let index = 0; index < size; index++) border += grey[index] + grey[size * (size - 1) + index] + grey[size * index] + grey[size * index + size - 1];
  const inverted = border / (4 * size) > 127;
  return { grey: inverted ? grey.map(value => 255 - value) : grey, inverted };
}

// The ink of a drawing as its bounding box, drawn with its longer side `side` long into a square of `size`
function fitted(grey, size, side, into, center) {
  let [top, left, bottom, right] = [size, size, -1, -1];
  grey.forEach((value, index) => {
    if (value < 40) return;
    const [y, x] = [Math.floor(index / size), index % size];
    top = Math.min(top, y); bottom = Math.max(bottom, y); left = Math.min(left, x); right = Math.max(right, x);
  });
  if (bottom < 0) return null;
  const [from, context] = canvas(size, size);
  const image = context.createImageData(size, size);
  grey.forEach((value, index) => { image.data.set([value, value, value, 255], 4 * index); });
  context.putImageData(image, 0, 0);
  const [height, width] = [bottom - top + 1, right - left + 1];
  const scale = side / Math.max(height, width);
  const draw = (x, y) => {
    const [, target] = canvas(into, into);
    target.fillRect(0, 0, into, into);
    target.drawImage(from, left, top, width, height, x, y, width * scale, height * scale);
    const { data } = target.getImageData(0, 0, into, into);
    return Float32Array.from({ length: into * into }, (_, index) => data[4 * index]);
  };
  let [x, y] = [(into - width * scale) / 2, (into - height * scale) / 2];
  const first = draw(x, y);
  if (!center) return first;
  let [sum, atX, atY] = [0, 0, 0];
  first.forEach((value, index) => { sum += value; atX += value * (index % into + .5); atY += value * (Math.floor(index / into) + .5); });
  return draw(Math.round(x + into / 2 - atX / sum), Math.round(y + into / 2 - atY / sum));
}

// What a network is shown of the pad or the picture: {pixels, inverted}, or null of an empty pad
function shown(network) {
  const [channels, height, width] = network.shape;
  const source = picture ?? pad;
  if (channels === 3) {
    const [, context] = canvas(width, height);
    context.drawImage(source, 0, 0, width, height);
    const { data } = context.getImageData(0, 0, width, height);
    const pixels = [0, 1, 2].flatMap(channel => Array.from({ length: width * height }, (_, index) => data[4 * index + channel]));
    return { pixels, inverted: false };
  }
  const size = 280;
  const { grey, inverted } = bright(source, size);
  if (network.dataset === "fashion_mnist") return { pixels: bright(source, width).grey, inverted };
  if (height === 8) { // the small digits: counts of ink in blocks of 4 × 4, of a bitmap of 32 × 32
    const bitmap = fitted(grey, size, 32, 32, false);
    if (!bitmap) return null;
    const counts = new Float32Array(64);
    bitmap.forEach((value, index) => { counts[8 * Math.floor(index / 128) + Math.floor(index % 32 / 4)] += value > 100; });
    return { pixels: counts, inverted };
  }
  const pixels = fitted(grey, size, Math.round(width * 20 / 28), width, true);
  return pixels && { pixels, inverted };
}

// ------------------------------------------------------------------------------------------------- answers

function preview(network, pixels) {
  const [channels, height, width] = network.shape;
  const [made, context] = canvas(width, height);
  const image = context.createImageData(width, height);
  for (let index = 0; index < width * height; index++) {
    const of = channel => 255 * pixels[(channels === 3 ? channel : 0) * width * height + index] / network.largest;
    image.data.set([of(0), of(1), of(2), 255], 4 * index);
  }
  context.putImageData(image, 0, 0);
  made.className = "seen";
  made.setAttribute("role", "img");
  made.setAttribute("aria-label", `What the network saw, ${width} by ${height} pixels`);
  return made;
}

const INFERNO = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]];
const VIRIDIS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
const MOST_MAPS = 16;

// The colour of a share from 0 to 1
function colour(scale, share) {
  const place = Math.min(Math.max(share, 0), 1) * (scale.length - 1), from = Math.min(Math.floor(place), scale.length - 2);
  return scale[from].map((value, index) => value + (scale[from + 1][index] - value) * (place - from));
}

// Grad-CAM for a class, in its own range, over what the network saw
function drawHeat(target, network, pixels, heat, index) {
  const [, height, width] = heat.shape;
  const own = heat.data.slice(index * height * width, (index + 1) * height * width);
  const most = Math.max(...own);
  const [small, context] = canvas(width, height);
  const image = context.createImageData(width, height);
  own.forEach((value, place) => image.data.set([...colour(INFERNO, most > 0 ? value / most : 0), 255], 4 * place));
  context.putImageData(image, 0, 0);
  const onto = target.getContext("2d");
  onto.globalAlpha = 1;
  onto.imageSmoothingEnabled = false;
  onto.drawImage(preview(network, pixels), 0, 0, target.width, target.height);
  onto.imageSmoothingEnabled = true;
  onto.globalAlpha = .6;
  onto.drawImage(small, 0, 0, target.width, target.height);
  const what = `Grad-CAM for ${network.classes[index]}`;
  target.setAttribute("aria-label", most > 0 ? `${what}: the bright parts of the image speak for it` : `${what}: no part of the image speaks for it`);
  return most > 0;
}

function heatBox(name, network, pixels, heat, best) {
  const box = document.createElement("div");
  box.className = "heatbox";
  const target = document.createElement("canvas");
  target.width = target.height = 140;
  target.className = "seen";
  target.setAttribute("role", "img");
  const label = document.createElement("label");
  const select = document.createElement("select");
  select.dataset.heat = name;
  const note = document.createElement("span");
  note.className = "note";
  network.classes.forEach((text, index) => select.add(new Option(text, index, index === best, index === best)));
  const draw = () => { note.textContent = drawHeat(target, network, pixels, heat, Number(select.value)) ? "" : "nothing speaks for it"; };
  select.addEventListener("change", draw);
  draw();
  label.append("Grad-CAM for ", select);
  box.append(target, label, note);
  return box;
}

// The first maps of a convolution side by side, each in its own range
function mapsOf(layer, { shape: [channels, height, width], data }) {
  const count = Math.min(channels, MOST_MAPS), columns = Math.min(count, 8), rows = Math.ceil(count / columns);
  const [made, context] = canvas(columns * (width + 1) - 1, rows * (height + 1) - 1);
  for (let map = 0; map < count; map++) {
    const own = data.subarray(map * height * width, (map + 1) * height * width);
    let [low, high] = [Infinity, -Infinity];
    for (const value of own) { low = Math.min(low, value); high = Math.max(high, value); }
    const image = context.createImageData(width, height);
    own.forEach((value, place) => image.data.set([...colour(VIRIDIS, high > low ? (value - low) / (high - low) : 0), 255], 4 * place));
    context.putImageData(image, map % columns * (width + 1), Math.floor(map / columns) * (height + 1));
  }
  const text = `${layer}: ${channels} maps of ${height} × ${width}${count < channels ? `, the first ${count}` : ""}`;
  const figure = document.createElement("figure");
  const caption = document.createElement("figcaption");
  caption.textContent = text;
  made.className = "maps";
  made.setAttribute("role", "img");
  made.setAttribute("aria-label", `Feature maps of ${text}`);
  figure.append(caption, made);
  return figure;
}

const opened = new Set(); // networks whose maps are shown
function mapsBox(name, network, maps) {
  const box = document.createElement("details");
  box.open = opened.has(name);
  const title = document.createElement("summary");
  title.textContent = `Feature maps of its ${maps.length} convolutions`;
  box.append(title);
  const fill = () => { if (box.open && box.childElementCount === 1) box.append(...maps.map((map, index) => mapsOf(network.layers[index], map))); };
  box.addEventListener("toggle", () => { opened[box.open ? "add" : "delete"](name); fill(); });
  fill();
  return box;
}

function answer(name, network, pixels, view, milliseconds) {
  const probabilities = softmax(view.logits);
  const order = probabilities.map((_, index) => index).sort((a, b) => probabilities[b] - probabilities[a]);
  const box = document.createElement("div");
  box.className = "bars";
  const first = document.createElement("p");
  first.className = "best";
  first.textContent = `${network.classes[order[0]]}, ${(100 * probabilities[order[0]]).toFixed(1)}%`;
  const list = document.createElement("ol");
  for (const index of order.slice(0, 5)) {
    const item = document.createElement("li");
    const share = (100 * probabilities[index]).toFixed(1);
    item.style.setProperty("--share", `${share}%`);
    item.textContent = `${network.classes[index]} ${share}%`;
    list.append(item);
  }
  const note = document.createElement("p");
  note.className = "note";
  note.textContent = `${milliseconds.toFixed(0)} ms`;
  box.append(first, list, note);
  const said = document.createElement("div");
  said.className = "said";
  said.append(preview(network, pixels), box);
  return [said, heatBox(name, network, pixels, view.heat, order[0]), mapsBox(name, network, view.maps)];
}

let running = null, again = false;
async function predict() {
  if (running) { again = true; return; }
  running = true;
  try {
    const chosen = [...document.querySelectorAll("input[name=network]:checked")].map(box => box.value);
    const notes = [];
    if (!started && chosen.length && (drawn || picture)) status.textContent = "Loading …";
    const guesses = {}; // by data set
    for (const item of document.querySelectorAll("[data-network]")) {
      const name = item.dataset.network, network = NETWORKS[name], place = item.querySelector(".answer");
      const seen = chosen.includes(name) && (drawn || picture) ? shown(network) : null;
      item.hidden = !chosen.includes(name);
      if (!seen) { place.replaceChildren(); continue; }
      await session(name);
      const before = performance.now();
      const view = await look(name, seen.pixels);
      place.replaceChildren(...answer(name, network, seen.pixels, view, performance.now() - before));
      const guess = network.classes[view.logits.indexOf(Math.max(...view.logits))];
      (guesses[network.dataset] ??= new Set()).add(guess);
      notes.push(`${name}: ${guess}${seen.inverted ? " (inverted: it is dark on light)" : ""}`);
    }
    if (Object.values(guesses).some(several => several.size > 1)) notes.push("they differ");
    status.textContent = notes.length ? notes.join("; ") : drawn || picture ? "No network is chosen." : "Nothing is drawn.";
  } catch (error) {
    status.textContent = `It failed: ${error.message}`;
  }
  running = null;
  if (again) { again = false; predict(); }
}

// --------------------------------------------------------------------------------------------------- input

function clear() {
  picture = null;
  drawn = false;
  ink.fillStyle = "#000";
  ink.fillRect(0, 0, pad.width, pad.height);
}

function stroke(points, width = 20) {
  ink.strokeStyle = "#fff"; ink.lineWidth = width; ink.lineCap = ink.lineJoin = "round";
  ink.beginPath();
  points.forEach(([x, y], index) => ink[index ? "lineTo" : "moveTo"](x, y));
  ink.stroke();
  drawn = true;
}

let last = null;
const at = event => { const box = pad.getBoundingClientRect(); return [(event.clientX - box.left) * pad.width / box.width, (event.clientY - box.top) * pad.height / box.height]; };
pad.addEventListener("pointerdown", event => { if (picture) clear(); pad.setPointerCapture(event.pointerId); last = at(event); stroke([last, last]); });
pad.addEventListener("pointermove", event => { if (!last) return; const now = at(event); stroke([last, now]); last = now; });
for (const kind of ["pointerup", "pointercancel"]) pad.addEventListener(kind, () => { if (last) predict(); last = null; });

document.getElementById("clear").addEventListener("click", () => { clear(); predict(); });
document.getElementById("example").addEventListener("change", event => {
  clear();
  for (const points of EXAMPLES[event.target.value] ?? []) stroke(points.map(([x, y]) => [280 * x, 280 * y]));
  predict();
});

async function show(file) {
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (!bitmap) { status.textContent = `${file.name} is no image that the browser can read.`; return; }
  clear();
  const [made, context] = canvas(280, 280);
  const side = Math.min(bitmap.width, bitmap.height);
  context.drawImage(bitmap, (bitmap.width - side) / 2, (bitmap.height - side) / 2, side, side, 0, 0, 280, 280);
  ink.drawImage(made, 0, 0);
  picture = made;
  predict();
}
document.getElementById("file").addEventListener("change", event => { if (event.target.files[0]) show(event.target.files[0]); });
addEventListener("dragover", event => event.preventDefault());
addEventListener("drop", event => { event.preventDefault(); if (event.dataTransfer.files[0]) show(event.dataTransfer.files[0]); });
for (const box of document.querySelectorAll("input[name=network]")) box.addEventListener("change", predict);

clear();
predict();
window.explore = { look };
