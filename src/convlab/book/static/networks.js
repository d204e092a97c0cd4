// The networks of the page: ONNX Runtime Web and the weights of each are loaded when they are first needed.
"use strict";

const NETWORKS = JSON.parse(document.getElementById("networks").textContent);

const load = address => new Promise((resolve, reject) => {
  const script = document.createElement("script");
  script.src = address;
  script.onload = resolve;
  script.onerror = () => { script.remove(); reject(new Error(`${address} is not there`)); };
  document.head.append(script);
});

const decoded = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));

async function unpack(text) {
  return new Uint8Array(await new Response(new Blob([decoded(text)]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer());
}

// A promise by its name, made once; what failed is tried again when it is asked for again
const kept = {};
const once = (name, make) => kept[name] ??= make().catch(error => { delete kept[name]; throw error; });

const start = () => once("runtime", async () => {
  await load("assets/runtime.js");
  const { bundle, wasm } = window.runtime;
  window.runtime = null;
  const ort = await import(URL.createObjectURL(new Blob([bundle], { type: "text/javascript" })));
  ort.env.wasm.numThreads = 1; // a page from a file has no shared memory
  ort.env.wasm.wasmBinary = (await unpack(wasm)).buffer;
  return ort;
});

const session = name => once(`network ${name}`, async () => {
  const ort = await start();
  await load(NETWORKS[name].script);
  const bytes = await unpack(window.weights[name]);
  delete window.weights[name];
  return ort.InferenceSession.create(bytes);
});

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
