// Learning curves of chosen results, and the charts that a page states as Vega-Lite.
"use strict";

const SERIES = ["#3b82c4", "#e07b22", "#2f9e64", "#c0504d", "#9467bd", "#8c6d31", "#d6619c", "#7f8790", "#a3a020", "#25a5b5",
  "#7fb3e6", "#f2b27a", "#83cba5", "#e39b98", "#c3aee0", "#c2a878", "#eaa6ca", "#b5babf", "#cfcc76", "#84d0da"];
const EMBED = { actions: false, renderer: "svg", tooltip: { theme: "book" } };
const CONFIG = { background: null, view: { stroke: null }, axis: { labelFontSize: 12, titleFontSize: 12, titleFontWeight: 500 }, legend: { labelFontSize: 12 }, range: { category: SERIES } };
const QUANTITIES = {
  accuracy: { field: "accuracy", title: "accuracy", format: ".2%" },
  error: { field: "accuracy", title: "error (1 − accuracy)", format: ".2%", of: value => 1 - value, log: true },
  loss: { field: "loss", title: "loss", format: ".4f" },
  log_loss: { field: "loss", title: "loss", format: ".4f", log: true },
  lr: { field: "lr", title: "learning rate", format: ".2e", log: true },
};

// The plot has a label of its own, and its numbers are in a table: what Vega says of each mark would drown them.
async function embed(plot, chart) {
  const { view } = await vegaEmbed(plot, { ...chart, config: CONFIG }, EMBED);
  plot.querySelector("svg").setAttribute("aria-hidden", "true");
  return view;
}

// One row per point of every chosen result, seed and split; a logarithm leaves out what is not above 0. A point over steps is
// the mean of as many as lie between it and the next.
function points(chosen, quantity, splits, by) {
  const rows = [];
  if (by === "step") {
    for (const { result, label } of chosen) {
      const steps = window.results[result].steps, [first, second] = steps?.iteration ?? [];
      const over = second - first > 1 ? `${second - first} steps` : "1 step";
      (steps?.[quantity.field] ?? []).forEach((raw, index) => {
        const value = quantity.of ? quantity.of(raw) : raw;
        if (!quantity.log || value > 0) rows.push({ row: label, split: "training", seed: "first", epoch: Math.round(steps.iteration[index]), over, value, line: label });
      });
    }
    return rows;
  }
  for (const { result, label } of chosen) {
    for (const seed of window.results[result].seeds) {
      for (const split of quantity.field === "lr" ? ["train"] : splits) {
        const values = quantity.field === "lr" ? seed.lr : seed[`${split}_${quantity.field}`];
        values.forEach((raw, index) => {
          const value = quantity.of ? quantity.of(raw) : raw;
          if (!quantity.log || value > 0) rows.push({ row: label, split: quantity.field === "lr" ? "–" : split === "train" ? "training" : split, seed: String(seed.seed), epoch: index + 1, value, line: `${label}/${split}/${seed.seed}` });
        });
      }
    }
  }
  return rows;
}

function spec(rows, quantity, domain, range, width, by) {
  const x = { field: "epoch", type: "quantitative", title: by, scale: { nice: false, padding: 8 }, axis: { tickMinStep: 1, format: "d" } };
  const y = { field: "value", type: "quantitative", title: quantity.title, scale: { zero: false, type: quantity.log ? "log" : "linear" }, axis: { format: quantity.format === ".2%" ? ".3~%" : "~g" } };
  const color = { field: "row", type: "nominal", scale: { domain, range }, legend: null };
  return {
    data: { values: rows }, width, height: 340, autosize: { type: "fit", contains: "padding" },
    encoding: { x, y, color, detail: { field: "line" } },
    layer: [
      { params: [{ name: "zoom", select: { type: "interval", zoom: "wheel![event.shiftKey]" }, bind: "scales" }],
        mark: { type: "line", clip: true, strokeWidth: 1.8 },
        encoding: { strokeDash: { field: "split", type: "nominal", scale: { domain: ["training", "validation", "–"], range: [by === "step" ? [1, 0] : [5, 4], [1, 0], [1, 0]] }, legend: null } } },
      { params: [{ name: "near", select: { type: "point", nearest: true, on: "pointerover", clear: "pointerout" } }],
        mark: { type: "point", filled: true, size: 70, clip: true },
        encoding: { opacity: { condition: { param: "near", empty: false, value: 1 }, value: 0 },
          tooltip: [{ field: "row" }, { field: "split" }, { field: "seed" }, { field: "epoch", title: by }, ...(by === "step" ? [{ field: "over", title: "mean of" }] : []), { field: "value", format: quantity.format, title: quantity.title }] } },
    ],
  };
}

// What is said where no chosen row has its steps: they are not in git, so what records them has to be trained here
function noSteps(chosen) {
  const recorded = chosen.filter(({ result }) => window.results[result].steps_by);
  if (!recorded.length) return "No chosen row recorded its steps: the key `iterations` of an experiment does.";
  return `No chosen row has its steps here. ${recorded.map(({ result }) => `\`${window.results[result].steps_by}\` brings those of ${result}`).join("; ")}.`;
}

// The table below the chart: the best and the last epoch of each seed of the chosen results
function fillNumbers(body, chosen) {
  const rows = chosen.flatMap(({ result, label }) => window.results[result].seeds.flatMap(seed => {
    const last = seed.lr.length, percent = share => `${(100 * share).toFixed(2)}%`;
    return [...new Set([seed.best, last])].map(epoch => [label, seed.seed,
      [epoch, epoch === seed.best ? "best" : "", epoch === last ? "last" : ""].filter(Boolean).join(", "),
      ...["train_accuracy", "validation_accuracy"].map(key => percent(seed[key][epoch - 1])),
      ...["train_loss", "validation_loss"].map(key => seed[key][epoch - 1].toFixed(4)), seed.lr[epoch - 1].toExponential(2)]);
  }));
  body.replaceChildren(...rows.map(([label, ...cells]) => {
    const row = document.createElement("tr"), head = document.createElement("th");
    head.scope = "row";
    head.textContent = label;
    row.append(head);
    for (const text of cells) { const cell = row.insertCell(); cell.className = "n"; cell.textContent = text; }
    return row;
  }));
}

// Draw into a panel (templates/_parts.html); returns what draws again after its rows have changed.
function curves(panel) {
  // A row's colour is its place's; where there are many rows to choose from, its place among the chosen
  const rows = () => {
    const boxes = [...panel.querySelectorAll("input[name=row]")];
    const placed = panel.closest("[data-choose]") ? boxes.filter(box => box.checked) : boxes;
    return boxes.map(box => ({
      result: box.value, label: box.closest("label").textContent.trim(), checked: box.checked,
      color: SERIES[placed.indexOf(box) % SERIES.length], swatch: box.parentElement.querySelector(".swatch"),
    }));
  };
  const draw = async () => {
    const all = rows();
    for (const row of all) if (row.swatch) row.swatch.style.background = row.color ?? "transparent";
    const chosen = all.filter(row => row.checked && window.results[row.result]);
    const quantity = QUANTITIES[panel.querySelector("input[name=quantity]:checked").value];
    const splits = [...panel.querySelectorAll("input[name=split]:checked")].map(box => box.value);
    const plot = panel.querySelector(".plot");
    const by = panel.querySelector("input[name=by]:checked").value;
    for (const box of panel.querySelectorAll("input[name=split]")) box.disabled = by === "step" || quantity.field === "lr";
    fillNumbers(panel.querySelector("[data-numbers] tbody"), chosen);
    const found = points(chosen, quantity, splits, by);
    if (!found.length) {
      plot.textContent = by === "step" && chosen.length ? noSteps(chosen) : "No curve is chosen.";
      return;
    }
    const width = Math.max(260, plot.clientWidth || 600);
    await embed(plot, spec(found, quantity, chosen.map(row => row.label), chosen.map(row => row.color), width, by));
  };
  panel.addEventListener("change", draw);
  panel.querySelector("[data-reset]").addEventListener("click", draw);
  for (const [key, value, which] of [["all", true, "li:not([hidden]) input[name=row]"], ["none", false, "input[name=row]"]]) {
    panel.querySelector(`[data-${key}]`)?.addEventListener("click", () => {
      for (const box of panel.querySelectorAll(which)) box.checked = value;
      draw();
    });
  }
  let width = 0;
  new ResizeObserver(() => { const now = panel.clientWidth; if (width && now !== width) draw(); width = now; }).observe(panel);
  draw();
  return draw;
}

document.addEventListener("DOMContentLoaded", () => {
  for (const panel of document.querySelectorAll("[data-curves]")) curves(panel);
  for (const plot of document.querySelectorAll("[data-spec]")) {
    const chart = JSON.parse(document.getElementById(plot.dataset.spec).textContent);
    embed(plot, { ...chart, columns: Math.max(1, Math.min(4, Math.floor(plot.clientWidth / 265))) });
  }
});
