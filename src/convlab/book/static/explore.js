// The explore page: what is drawn or dropped is shown to the chosen networks (pictures.js, networks.js), side by side.
"use strict";

const EXAMPLES = { // strokes on a square of 1 × 1
  0: [[[.5, .18], [.36, .28], [.3, .5], [.36, .72], [.5, .82], [.64, .72], [.7, .5], [.64, .28], [.5, .18]]],
  1: [[[.4, .3], [.53, .18], [.53, .82]]],
  2: [[[.32, .32], [.4, .2], [.55, .18], [.66, .28], [.64, .42], [.5, .58], [.32, .8], [.7, .8]]],
  3: [[[.34, .22], [.52, .18], [.66, .28], [.62, .42], [.48, .48], [.64, .56], [.68, .7], [.54, .82], [.34, .78]]],
  4: [[[.56, .18], [.32, .58], [.7, .58]], [[.58, .4], [.58, .84]]],
  7: [[[.3, .2], [.7, .2], [.52, .5], [.44, .82]]],
};
const PICTURES = JSON.parse(document.getElementById("pictures").textContent); // test images, by data set and class
const pad = document.getElementById("pad");
const ink = pad.getContext("2d", { willReadFrequently: true });
const status = document.getElementById("status");
const example = document.getElementById("example"), chooser = document.getElementById("file");
let picture = null; // an image that was dropped or chosen, in place of a drawing
let drawn = false;

// ------------------------------------------------------------------------------------------------- answers

function softmax(values) {
  const powers = values.map(value => Math.exp(value - Math.max(...values)));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map(power => power / sum);
}

function canvas(width, height) {
  const made = document.createElement("canvas");
  made.width = width; made.height = height;
  const context = made.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  return [made, context];
}

// An image of [channels × height × width] as a canvas
function painted([channels, height, width], data, largest) {
  const [made, context] = canvas(width, height);
  const image = context.createImageData(width, height);
  for (let index = 0; index < width * height; index++) {
    const of = channel => 255 * data[(channels === 3 ? channel : 0) * width * height + index] / largest;
    image.data.set([of(0), of(1), of(2), 255], 4 * index);
  }
  context.putImageData(image, 0, 0);
  return made;
}

function preview(network, pixels) {
  const [, height, width] = network.shape;
  const made = painted(network.shape, pixels, network.largest);
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
  const most = own.reduce((a, b) => Math.max(a, b), 0);
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

// Run a network on a picture and put its answer into a place of the page; its class, and whether the picture was inverted;
// null if nothing stands out in the picture
async function ask(name, network, source, place) {
  const seen = pictures.showAs(source, network);
  place.replaceChildren();
  if (!seen) return null;
  await session(name);
  const before = performance.now();
  const view = await look(name, seen.pixels);
  place.replaceChildren(...answer(name, network, seen.pixels, view, performance.now() - before));
  return { guess: network.classes[view.logits.indexOf(Math.max(...view.logits))], inverted: seen.inverted };
}

// What is said below the pad: a note on each network, and whether they agree
async function askAll(chosen, source) {
  const notes = [], guesses = {}; // by data set
  let seen = 0;
  for (const item of document.querySelectorAll("[data-network]")) {
    const name = item.dataset.network, network = NETWORKS[name], place = item.querySelector(".answer");
    item.hidden = !chosen.includes(name);
    if (item.hidden || !source) { place.replaceChildren(); continue; }
    try {
      const told = await ask(name, network, source, place);
      seen += Boolean(told);
      if (told) (guesses[network.dataset] ??= new Set()).add(told.guess);
      const why = network.background === "light" ? "light on dark" : "dark on light";
      notes.push(`${name}: ${!told ? "nothing stands out" : told.inverted ? `${told.guess} (inverted: it is ${why})` : told.guess}`);
    } catch (error) {
      place.replaceChildren();
      seen += 1;
      notes.push(`${name}: it failed: ${error.message ?? error}`);
    }
  }
  if (!source) return "Nothing is drawn.";
  if (!chosen.length) return "No network is chosen.";
  if (!seen) return "Nothing stands out in the image.";
  if (Object.values(guesses).some(several => several.size > 1)) notes.push("they differ");
  return notes.join("; ");
}

let running = false, again = false;
async function predict() {
  if (running) { again = true; return; }
  running = true;
  const chosen = [...document.querySelectorAll("input[name=network]:checked")].map(box => box.value);
  const source = picture ?? (drawn ? pictures.opaque(ink.getImageData(0, 0, pad.width, pad.height)) : null);
  if (!kept.runtime && chosen.length && source) status.textContent = "Loading …";
  status.textContent = await askAll(chosen, source);
  running = false;
  if (again) { again = false; predict(); }
}

// --------------------------------------------------------------------------------------------------- input

// Empty the pad for what `from` holds; the other input loses what was chosen, which can then be chosen again
let shown = 0; // how often something else was chosen: an image that is still being read then comes too late
function clear(from) {
  shown += 1;
  for (const input of [example, chooser]) if (input !== from) input.value = "";
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

let last = null, drawing = null; // the end of the stroke, and the pointer that draws it: a second finger draws none
const at = event => { const box = pad.getBoundingClientRect(); return [(event.clientX - box.left) * pad.width / box.width, (event.clientY - box.top) * pad.height / box.height]; };
pad.addEventListener("pointerdown", event => {
  if (drawing !== null || event.button) return; // 0: the main button, a finger, the tip of a pen
  if (picture) clear();
  shown += 1;
  example.value = "";
  drawing = event.pointerId;
  pad.setPointerCapture(drawing);
  last = at(event);
  stroke([last, last]);
});
pad.addEventListener("pointermove", event => { if (event.pointerId !== drawing) return; const now = at(event); stroke([last, now]); last = now; });
for (const kind of ["pointerup", "pointercancel"]) pad.addEventListener(kind, event => { if (event.pointerId !== drawing) return; drawing = null; predict(); });

document.getElementById("clear").addEventListener("click", () => { clear(); predict(); });
// A test image of a data set is for its networks: those that are chosen, or the first
function chooseNetworksOf(dataset) {
  const boxes = [...document.querySelectorAll("input[name=network]")], own = boxes.filter(box => NETWORKS[box.value].dataset === dataset);
  const chosen = own.filter(box => box.checked);
  for (const box of boxes) box.checked = chosen.length ? chosen.includes(box) : box === own[0];
}

example.addEventListener("change", () => {
  const { dataset, label } = example.selectedOptions[0].dataset;
  if (dataset) {
    show(new Blob([decoded(PICTURES[dataset][label])]), example, dataset);
    return;
  }
  clear(example);
  for (const points of EXAMPLES[example.value] ?? []) stroke(points.map(([x, y]) => [280 * x, 280 * y]));
  predict();
});

async function show(file, from, dataset) {
  const turn = ++shown, found = await pictures.open(file);
  if (turn !== shown) return;
  if (!found) { status.textContent = `${file.name} is not an image that the browser can read.`; chooser.value = ""; return; }
  clear(from);
  picture = found;
  if (dataset) chooseNetworksOf(dataset);
  const { channels, height, width, data } = found, scale = pad.width / Math.max(width, height);
  ink.drawImage(painted([channels, height, width], data, 255), (pad.width - scale * width) / 2, (pad.height - scale * height) / 2, scale * width, scale * height);
  predict();
}
chooser.addEventListener("change", () => { if (chooser.files[0]) show(chooser.files[0], chooser); });
addEventListener("dragover", event => event.preventDefault());
addEventListener("drop", event => { event.preventDefault(); if (event.dataTransfer.files[0]) show(event.dataTransfer.files[0]); });
for (const box of document.querySelectorAll("input[name=network]")) box.addEventListener("change", predict);

clear();
predict();
