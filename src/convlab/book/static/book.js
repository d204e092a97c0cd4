// What every page does: the theme, a list of its sections, and the filter of the claims.
"use strict";

(() => {
  const stored = (() => { try { return localStorage.getItem("theme"); } catch { return null; } })();
  if (stored) document.documentElement.dataset.theme = stored;
})();

document.addEventListener("DOMContentLoaded", () => {
  document.getElementById("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* a page without storage keeps it until it is left */ }
  });

  const sections = [...document.querySelectorAll("main > h2")];
  if (sections.length > 3) {
    const toc = document.createElement("nav");
    toc.className = "toc";
    toc.ariaLabel = "On this page";
    for (const [index, section] of sections.entries()) {
      section.id ||= `section-${index + 1}`;
      const link = document.createElement("a");
      link.href = `#${section.id}`;
      link.textContent = section.textContent;
      toc.append(link);
    }
    sections[0].before(toc);
  }

  const chips = [...document.querySelectorAll(".filters .chip")];
  if (!chips.length) return;
  const report = document.getElementById("report");
  const show = () => {
    const wanted = new Set(chips.filter(chip => chip.ariaPressed === "true").map(chip => chip.dataset.verdict));
    let count = 0;
    for (const claim of document.querySelectorAll(".claims li")) {
      claim.hidden = !wanted.has(claim.dataset.verdict) || (report.value && claim.dataset.report !== report.value);
      count += !claim.hidden;
    }
    document.getElementById("shown").textContent = `${count} shown`;
  };
  for (const chip of chips) chip.addEventListener("click", () => { chip.ariaPressed = String(chip.ariaPressed !== "true"); show(); });
  report.addEventListener("change", show);
});
