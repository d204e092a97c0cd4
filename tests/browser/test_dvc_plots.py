"""The page of `dvc plots` in a browser: what is selected, a colour for each revision, pictures on demand."""

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tabs import Tab

from convlab import files

REVISIONS = {"old", "workspace"}
TITLES = {
    "digits, accuracy and loss",
    "digits, confusion on the test images",
    "digits, training loss per step",
    "digits_l2, validation accuracy of each trial",
    "mnist_vgg, accuracy and loss",
    "mnist_vgg, confusion on the test images",
}
WITHOUT_COLOURS = {title for title in TITLES if "confusion" in title}
# Of each plot: its title, the colour of each revision in its legend, and what is drawn with which strokes
SEEN = """plots => plots.map(plot => {
  const all = (name, within) => [...(within || plot).querySelectorAll(name)];
  const ofRevisions = one => one.querySelector(".role-legend-title")?.textContent === "revision";
  const legend = all(".role-legend").find(ofRevisions);
  const symbols = legend ? all(".role-legend-symbol path", legend) : [];
  return {
    title: all(".role-title-text").at(-1).textContent, // those before it are of the plot's parts
    names: legend ? all(".role-legend-label text", legend).map(one => one.textContent) : [],
    colours: symbols.map(one => one.getAttribute("stroke")),
    visible: all(".role-legend-symbol path").every(one => one.getBoundingClientRect().width > 10
      && !["", "none", "transparent"].includes(one.getAttribute("stroke") || "")
      && +one.getAttribute("stroke-width") >= 2 && +one.getAttribute("opacity") > 0.5),
    lines: all(".mark-line > path").map(one => one.getAttribute("stroke")),
  };
})"""


@pytest.fixture(scope="module")
def page(committed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of two revisions: in `old` digits alone is selected, and learns otherwise; then MNIST,
    too, with two sweeps, and an experiment that records no steps."""
    folder = tmp_path_factory.mktemp("plots")
    for name in ("dvc.yaml", "dvc.lock", "params.yaml", ".dvc", "plots", "metrics"):
        source = committed / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    (folder / ".gitignore").write_text("iterations.csv\n")
    steps = "iteration,epoch,lr,loss,accuracy\n"
    (folder / "plots/digits/iterations.csv").write_text(steps + "1,1,0.1,2.0,0.1\n2,1,0.1,1.5,0.3\n")
    (folder / "plots/mnist_vgg/iterations.csv").write_text(steps)

    curves = folder / "plots/digits/curves.csv"
    now = curves.read_text()
    with curves.open(newline="") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    files.write_csv(curves, [{**row, "validation_accuracy": 0.5} for row in rows])
    select(folder, ["digits"], [])
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "old")
    git(folder, "tag", "old")
    curves.write_text(now)
    select(folder, ["digits", "mnist_vgg"], ["digits_l2"])

    dvc(folder, "plots", "diff", "old", "workspace", "--out", "page")
    return folder / "page/index.html"


def select(folder: Path, run: list[str], run_sweeps: list[str]) -> None:
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    (folder / "params.yaml").write_text(yaml.safe_dump({**params, "run": run, "run_sweeps": run_sweeps}))


def git(folder: Path, *arguments: str) -> None:
    name = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    subprocess.run(["git", *name, *arguments], cwd=folder, check=True)


def dvc(folder: Path, *arguments: str) -> None:
    outside = {key: value for key, value in os.environ.items() if not key.startswith("DVC_")}
    subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=folder, env=outside, check=True)


@pytest.fixture
def opened(page: Path, tab: Tab) -> Any:
    """Yield the open page, once all its plots are drawn."""
    one = tab.open(page)
    one.wait_for_function(f"document.querySelectorAll('main svg.marks').length === {len(TITLES)}")
    return one


@pytest.fixture
def seen(opened: Any) -> dict[str, Any]:
    """Return what is seen of each plot, by its title."""
    return {one["title"]: one for one in opened.locator("main svg.marks").evaluate_all(SEEN)}


def test_it_shows_what_is_selected_without_a_word_in_the_console(
    seen: dict[str, Any], tab: Tab, page: Path, pytestconfig: pytest.Config
) -> None:
    assert seen.keys() == TITLES, "and nothing of an experiment that records no steps"
    assert tab.said == []
    assert tab.loaded == [page.as_uri()], "no network, and no picture before somebody asks for it"
    assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    tab.photograph("dvc-plots", pytestconfig.getoption("screenshots"))


def test_the_table_of_contents_leads_to_every_plot(seen: dict[str, Any], opened: Any) -> None:
    links = opened.locator("#contents a").evaluate_all(
        "links => links.map(one => [one.textContent, one.hash])"
    )
    assert {title for title, _ in links if not title.startswith("Figures")} == seen.keys()
    assert all(opened.locator(place).count() == 1 for _, place in links)


def test_a_revision_has_one_colour_on_the_whole_page(seen: dict[str, Any]) -> None:
    drawn = {title: one for title, one in seen.items() if title not in WITHOUT_COLOURS}
    pairs = {pair for one in drawn.values() for pair in zip(one["names"], one["colours"], strict=True)}
    assert {name for name, _ in pairs} == REVISIONS
    assert len({colour for _, colour in pairs}) == len(pairs) == len(REVISIONS)
    for title, one in drawn.items():
        assert {*one["lines"]} == {*one["colours"]}, title
    assert drawn["mnist_vgg, accuracy and loss"]["names"] == ["workspace"], "it is not in the other"


def test_every_swatch_of_a_legend_is_visible(seen: dict[str, Any]) -> None:
    assert all(one["visible"] for one in seen.values())
    assert all(one["names"] for title, one in seen.items() if title not in WITHOUT_COLOURS)


def test_pictures_are_loaded_when_one_asks_for_them(seen: dict[str, Any], tab: Tab) -> None:
    tab.page.get_by_role("link", name="Figures").click()
    tab.page.wait_for_function("document.images[0].complete && document.images[0].naturalWidth > 0")
    assert any(address.endswith(".png") for address in tab.loaded)
    assert tab.said == []
