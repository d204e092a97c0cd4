// Results side by side. The address holds what is chosen (#A,B), so that a page can link to a comparison.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const { metrics, params, subjects, intervals, letters } = window.differences;
  const boxes = [...document.querySelectorAll("[data-choose] input[name=row]")];
  const panel = document.querySelector("[data-curves]");
  const address = (() => { try { return decodeURIComponent(location.hash.slice(1)); } catch { return ""; } })(); // `#%` is none
  const chosen = [...new Set(address.split(","))].filter(name => Object.hasOwn(subjects, name));

  const element = (tag, text, attributes = {}) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };

  const table = (title, head, rows, label) => {
    const box = element("div", undefined, { class: "scroll", tabindex: "0", role: "group", "aria-label": label });
    const made = box.appendChild(element("table"));
    const top = made.createTHead().insertRow();
    for (const [index, text] of head.entries()) top.append(element("th", text, { scope: "col", class: index ? "n" : "" }));
    const body = made.createTBody();
    for (const [name, ...cells] of rows) {
      const row = body.insertRow();
      row.append(element("th", name, { scope: "row" }));
      for (const [text, over] of cells.map(cell => [cell].flat())) {
        const cell = row.appendChild(element("td", text, { class: "n" }));
        if (over) cell.append(" ", element("small", over));
      }
    }
    return [element("h2", title), box];
  };

  // With an interval, the difference is that of the seeds which the interval is over, not of the means
  const change = (metric, index, a, b) => {
    const [one, other] = [subjects[a].means[index], subjects[b].means[index]];
    if (one === null || other === null) return "–";
    const { times, digits } = metric.form;
    const show = number => {
      const text = Math.abs(times * number).toFixed(digits);
      return (number < 0 ? "-" : "+") + (digits ? text : Number(text).toLocaleString("en"));
    };
    const found = intervals[metric.key] ?? {};
    const there = found[`${a}|${b}`], back = found[`${b}|${a}`];
    const [value, low, high, over] = there ?? (back ? [-back[0], -back[2], -back[1], back[3]] : [one - other]);
    return over === undefined ? show(value) : [`${show(value)} [${show(low)}, ${show(high)}]`, over];
  };

  const show = () => {
    const tables = document.getElementById("tables");
    history.replaceState(null, "", chosen.length ? `#${chosen.join(",")}` : location.pathname);
    document.getElementById("command").textContent = `convlab compare ${chosen.length > 1 ? chosen.join(" ") : "A B"}`;
    if (!chosen.length) { tables.replaceChildren(element("p", "Nothing is chosen.")); return; }
    const list = element("ul", undefined, { class: "chosen" });
    for (const [index, name] of chosen.entries()) {
      const item = list.appendChild(element("li"));
      const swatch = element("span", undefined, { class: "swatch" });
      // curves.js gives the colours, when it draws: after this
      setTimeout(() => { swatch.style.background = boxes.find(box => box.value === name).parentElement.querySelector(".swatch").style.background; });
      item.append(swatch, element("b", letters[index]), ` ${name} · ${subjects[name].hardware} `);
      const button = item.appendChild(element("button", "remove", { type: "button", "aria-label": `Remove ${name}` }));
      button.addEventListener("click", () => { boxes.find(box => box.value === name).click(); });
    }
    const columns = letters.slice(0, chosen.length);
    const differ = params.map((key, index) => [key, ...chosen.map(name => subjects[name].params[index])])
      .filter(row => new Set(row.slice(1)).size > 1);
    const numbers = metrics.map((metric, index) => [
      metric.title, ...chosen.map(name => subjects[name].texts[index]), ...chosen.slice(1).map(name => change(metric, index, name, chosen[0])),
    ]);
    const parts = [element("h2", "Chosen"), list];
    if (chosen.length > 1) parts.push(...(differ.length ? table("Parameters that differ", ["parameter", ...columns], differ, "Parameters that differ") : [element("p", "Their parameters are the same.")]));
    parts.push(...table("Metrics", ["metric", ...columns, ...columns.slice(1).map(text => `${text} − A`)], numbers, "Metrics"));
    parts.push(element("p", "±: standard deviation over seeds; [ , ]: 95 % interval, between results on the same data; accuracies: percentage points.", { class: "note" }));
    tables.replaceChildren(...parts);
  };

  for (const box of boxes) {
    box.checked = chosen.includes(box.value);
    box.addEventListener("change", () => {
      if (box.checked) chosen.push(box.value); else chosen.splice(chosen.indexOf(box.value), 1);
      show();
    });
  }
  // curves.js does the same with the boxes: all that the filter shows besides those that are chosen, or none
  panel.querySelector("[data-all]").addEventListener("click", () => {
    chosen.push(...boxes.filter(box => !box.closest("li").hidden && !chosen.includes(box.value)).map(box => box.value));
    show();
  });
  panel.querySelector("[data-none]").addEventListener("click", () => { chosen.length = 0; show(); });

  addEventListener("hashchange", () => location.reload());

  const filter = document.getElementById("filter");
  const find = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const box of boxes) {
      const item = box.closest("li");
      item.hidden = !words.every(word => item.textContent.toLowerCase().includes(word));
      count += !item.hidden;
    }
    document.getElementById("matches").textContent = `${count} of ${boxes.length} results`;
  };
  filter.addEventListener("input", find);
  find();
  show();
});
