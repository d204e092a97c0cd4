// What a report's page opens: the images of a cell of a confusion matrix, and an L2 study by a slider over λ.
"use strict";

const read = id => JSON.parse(document.getElementById(id).textContent);

function element(tag, text, name) {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  if (name) made.className = name;
  return made;
}

// ------------------------------------------------------------------------------------------------ confusion

function openCell(matrix, facts, button) {
  for (const other of matrix.querySelectorAll("button[aria-pressed=true]")) other.ariaPressed = "false";
  button.ariaPressed = "true";
  const { actual, predicted } = button.dataset, total = Number(button.textContent.replaceAll(",", ""));
  const { first, images } = facts.cells.find(cell => cell.actual === actual && cell.predicted === predicted);
  const [width, height] = facts.size, [columns, rows] = facts.grid, scale = 56 / height;
  const title = actual === predicted ? `${actual}, classified correctly` : `${actual}, taken for ${predicted}`;
  const list = element("ul", "", "samples");
  for (const [index, number] of images.entries()) {
    const place = first + index, item = element("li"), image = element("span", "", "sample");
    image.setAttribute("role", "img");
    image.setAttribute("aria-label", `Test image ${number}: ${title}`);
    image.style.cssText = `width:${width * scale}px;height:${height * scale}px;background-image:url("${matrix.dataset.root}${facts.address}");background-size:${columns * width * scale}px ${rows * height * scale}px;background-position:${-(place % columns) * width * scale}px ${-Math.floor(place / columns) * height * scale}px`;
    item.append(image, element("small", `#${number}`));
    list.append(item);
  }
  const shown = images.length < total ? `the first ${images.length} of ${total}` : total === 1 ? "one image" : `all ${total}`;
  matrix.querySelector("[data-images]").replaceChildren(element("p", `${title}: ${shown}`), list);
}

for (const matrix of document.querySelectorAll("[data-cells]")) {
  const facts = read(matrix.dataset.cells);
  matrix.addEventListener("click", event => {
    const button = event.target.closest("[data-actual]");
    if (button) openCell(matrix, facts, button);
  });
}

// ------------------------------------------------------------------------------------------------- L2 study

// A layer's histogram as areas over a logarithm of the counts: λ = the first is an outline behind the chosen one
function histogram({ name, reach, counts }, chosen) {
  const [width, height] = [220, 76], most = Math.log1p(Math.max(...counts.flat()));
  const line = own => own.map((count, bin) => {
    const y = (height - height * Math.log1p(count) / most).toFixed(1);
    return `L${(bin * width / own.length).toFixed(1)},${y}L${((bin + 1) * width / own.length).toFixed(1)},${y}`;
  }).join("");
  const svg = `<svg viewBox="0 0 ${width} ${height + 16}" role="img"><path class="now" d="M0,${height}${line(counts[chosen])}L${width},${height}Z"/><path class="first" d="M0,${height}${line(counts[0])}L${width},${height}"/><text x="0" y="${height + 13}">−${reach}</text><text x="${width / 2}" y="${height + 13}" text-anchor="middle">0</text><text x="${width}" y="${height + 13}" text-anchor="end">${reach}</text></svg>`;
  const figure = element("figure");
  figure.innerHTML = svg;
  figure.firstChild.setAttribute("aria-label", `Histogram of the weights of ${name}, from −${reach} to ${reach}`);
  figure.prepend(element("figcaption", name));
  return figure;
}

for (const study of document.querySelectorAll("[data-study]")) {
  const { rows, layers } = read(study.dataset.study);
  const slider = study.querySelector("input[type=range]"), out = study.querySelector("[data-norms]"), grid = study.querySelector("[data-histograms]");
  const show = () => {
    const chosen = Number(slider.value), row = rows[chosen];
    slider.setAttribute("aria-valuetext", `λ = ${row.lambda}`);
    study.querySelector("output").textContent = `λ = ${row.lambda}`;
    out.replaceChildren(...row.quantities.flatMap(({ title, text, share }) => {
      const value = element("dd", text);
      value.style.setProperty("--share", `${100 * share}%`);
      return [element("dt", title), value];
    }));
    grid?.replaceChildren(...layers.map(layer => histogram(layer, chosen)));
  };
  slider.addEventListener("input", show);
  show();
}
