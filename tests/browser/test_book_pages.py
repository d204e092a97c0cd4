"""The book in a real browser, from files, without a network: it opens, reacts to input, and logs nothing."""

import itertools
import string
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest
from tabs import Tab

from convlab import results
from convlab.figures import cells
from convlab.results import QUANTITIES, compare, folders, mean_text

# Pages by the hundred, where Chromium and its driver are installed
pytestmark = pytest.mark.campaign


def a_few(book: Path) -> list[Path]:
    """Return pages of every kind."""
    return [*book.glob("*.html"), *sorted(book.glob("reports/*")), *sorted(book.glob("claims/*"))[::15]]


def is_wide(tab: Tab, path: Path) -> bool:
    """Open a page, which says nothing on the console; return whether it is wider than the screen."""
    page = tab.open(path)
    assert not tab.said, f"{path.name}: {tab.said}"
    return bool(page.evaluate("document.documentElement.scrollWidth") > tab.width)


def test_every_page_opens_with_an_empty_console(tab, book):
    assert not [path for path in sorted(book.rglob("*.html")) if is_wide(tab, path)]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_each_kind_of_page_fits_the_screen_and_axe_finds_nothing(chromium, book, pytestconfig, width, theme):
    tab = Tab(chromium, width, theme)
    wide, violations = [], []
    for path in a_few(book):
        wide += [path.name] if is_wide(tab, path) else []
        tab.photograph(path.stem, pytestconfig.getoption("screenshots"))
        violations += [(path.name, *one) for one in tab.serious()]
    tab.context.close()
    assert not wide
    assert not violations


def test_the_front_page_loads_less_than_300_kb(tab, book):
    tab.open(book / "index.html")
    loaded = [Path(unquote(urlparse(url).path)) for url in tab.loaded if url.startswith("file:")]
    assert {path.name for path in loaded} == {"index.html", "book.css", "book.js"}
    assert sum(path.stat().st_size for path in loaded) <= 300_000


def test_the_claims_can_be_filtered_by_keyboard(tab, book):
    page = tab.open(book / "index.html")
    everything = page.locator(".claims li:visible").count()
    inconclusive = page.locator(".claims li[data-verdict=inconclusive]").count()
    page.locator(".chip[data-verdict=inconclusive]").focus()
    page.keyboard.press("Enter")
    assert page.locator(".claims li:visible").count() == everything - inconclusive
    assert page.inner_text("#shown") == f"{everything - inconclusive} shown"
    page.keyboard.press("Space")
    page.select_option("#report", "R2")
    assert page.locator(".claims li:visible").count() == page.locator(".claims li[data-report=R2]").count()


def test_the_theme_can_be_switched_and_is_remembered(tab, book):
    page = tab.open(book / "index.html")
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.click("#theme")
    assert page.evaluate(paper) != light
    assert tab.open(book / "reports/R0.html").evaluate(paper) != light


def test_a_curve_shows_its_value_under_the_pointer_and_can_be_hidden(tab, book):
    page = tab.open(book / "reports/R0.html")
    page.wait_for_selector(".plot svg")
    lines = page.locator("[data-curves] .mark-line path")
    before = lines.count()
    page.locator("input[name=split][value=train]").uncheck()
    page.wait_for_function(
        "before => document.querySelectorAll('[data-curves] .mark-line path').length * 2 === before",
        arg=before,
    )
    page.locator("[data-curves] .plot svg").scroll_into_view_if_needed()
    box = page.locator("[data-curves] .plot svg").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 3)
    page.mouse.move(box["x"] + box["width"] / 2 + 3, box["y"] + box["height"] / 3)
    page.wait_for_selector("#vg-tooltip-element.visible")
    told = page.inner_text("#vg-tooltip-element")
    assert "validation" in told
    assert "%" in told


def test_the_wheel_with_shift_zooms_the_axes_and_reset_restores_them(tab, book):
    page = tab.open(book / "reports/R0.html")
    page.wait_for_selector("[data-curves] .plot svg .mark-line path")
    ticks = page.locator("[data-curves] .plot svg .role-axis-label text")
    before = ticks.all_text_contents()
    plot = page.locator("[data-curves] .plot svg")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.keyboard.down("Shift")
    page.mouse.wheel(0, -400)
    page.keyboard.up("Shift")
    labels = "document.querySelectorAll('[data-curves] .plot svg .role-axis-label text')"
    read = f"[...{labels}].map(one => one.textContent)"
    page.wait_for_function(f"before => JSON.stringify({read}) !== JSON.stringify(before)", arg=before)
    page.click("[data-reset]")
    page.wait_for_function(f"before => JSON.stringify({read}) === JSON.stringify(before)", arg=before)
    assert not tab.said


def test_the_numbers_of_the_chosen_curves_are_in_a_table_by_keyboard(tab, book, committed, monkeypatch):
    monkeypatch.chdir(committed)
    page = tab.open(book / "reports/R0.html")
    page.wait_for_selector("[data-curves] .plot svg")
    page.click("[data-none]")
    page.check("[data-curves] input[name=row][value=mnist_vgg]")
    page.locator("details:has([data-numbers]) summary").focus()
    page.keyboard.press("Enter")
    cells = "rows => rows.map(row => [...row.cells].slice(1).map(cell => cell.textContent))"
    told = page.locator("[data-numbers] tbody tr").evaluate_all(cells)
    kept = {row["seed"]: row for row in folders.load("mnist_vgg").trainings}
    wanted = []
    for (_, seed), rows in folders.curves("mnist_vgg").items():
        best, last = kept[seed]["best_epoch"], len(rows)
        words = (
            {best: f"{best}, best", last: f"{last}, last"} if best != last else {best: f"{best}, best, last"}
        )
        wanted += [(str(seed), text, rows[epoch - 1]["validation_loss"]) for epoch, text in words.items()]
    assert [(row[0], row[1]) for row in told] == [(seed, text) for seed, text, _ in wanted]
    losses = [loss for *_, loss in wanted]
    assert [float(row[5]) for row in told] == pytest.approx(losses, abs=1e-4)
    assert not tab.serious()


def test_another_quantity_is_drawn_by_keyboard(tab, book):
    page = tab.open(book / "reports/R2.html")
    page.locator("input[name=quantity][value=accuracy]").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("text=error (1 − accuracy)")


@pytest.mark.parametrize("chapter", ["R0", "R1", "R2", "R3", "R4", "beyond", "others"])
def test_a_cell_of_each_confusion_matrix_opens_its_images_by_keyboard(tab, book, chapter):
    page = tab.open(book / f"reports/{chapter}.html")
    matrices = page.locator("[data-cells]")
    assert matrices.count() == page.locator("h2", has_text="Confusion: ").count() > 0
    for matrix in matrices.all():
        wrong = matrix.locator("td:not(.diagonal) > [data-actual]").first
        wrong.focus()
        page.keyboard.press("Enter")
        count = int(wrong.inner_text())
        assert wrong.get_attribute("aria-pressed") == "true"
        samples = matrix.locator(".samples .sample")
        assert samples.count() == min(count, cells.PER_CELL)
        assert samples.first.get_attribute("aria-label").endswith(
            f"{wrong.get_attribute('data-actual')}, taken for {wrong.get_attribute('data-predicted')}"
        )
        shown = samples.first.evaluate("sample => getComputedStyle(sample).backgroundImage")
        assert Path(unquote(urlparse(shown[5:-2]).path)).is_file()
    assert not tab.said
    assert not tab.serious()


@pytest.mark.parametrize("chapter", ["R0", "R1", "R3", "others"])
def test_a_slider_over_lambda_moves_norms_and_what_histograms_there_are(tab, book, chapter):
    page = tab.open(book / f"reports/{chapter}.html")
    for study in page.locator("[data-study]").all():
        norms, histograms = study.locator("dd"), study.locator("[data-histograms] path.now")
        before, drawn = norms.all_inner_texts(), histograms.count() and histograms.last.get_attribute("d")
        study.locator("input[type=range]").focus()
        page.keyboard.press("ArrowRight")
        assert norms.all_inner_texts() != before
        assert not drawn or histograms.last.get_attribute("d") != drawn
        told = study.locator("input[type=range]").get_attribute("aria-valuetext")
        assert told == study.locator("output").inner_text() != "λ = 0"
    assert not tab.said


def test_no_label_of_an_l2_chart_covers_another(tab, book):
    page = tab.open(book / "reports/R0.html")
    labels = page.locator("[data-spec=l2-1] .role-axis-label text").evaluate_all(
        "all => all.map(text => text.getBoundingClientRect()).map(({x, y, right}) => [x, y, right])"
    )
    rows = sorted((round(y), x, right) for x, y, right in labels)
    assert len(rows) > 8
    assert not [(a, b) for a, b in itertools.pairwise(rows) if a[0] == b[0] and a[2] > b[1]]


def test_curves_by_step_are_drawn_or_reported_missing(tab, book):
    page = tab.open(book / "reports/R0.html")
    page.locator("[data-curves] input[name=by][value=step]").check()
    page.wait_for_selector("text=No chosen row recorded its steps")
    page.evaluate("""() => { window.results["mnist_vgg"].steps_by = "dvc repro" }""")
    page.locator("[data-curves] input[name=quantity][value=error]").check()
    page.wait_for_selector("text=No chosen row has its steps here. `dvc repro` brings those of mnist_vgg.")
    page.evaluate("""() => { window.results["mnist_vgg"].steps =
      { iteration: [1, 2, 3], loss: [3, 2, 1], accuracy: [.1, .5, .9], lr: [1, 1, 1] } }""")
    page.locator("[data-curves] input[name=row][value=mnist_vgg]").check()
    page.locator("[data-curves] input[name=quantity][value=loss]").check()
    page.wait_for_selector("[data-curves] .mark-line path")
    assert page.locator("[data-curves] .plot svg").text_content().find("step") >= 0
    assert page.locator("[data-curves] input[name=split]:disabled").count() == 2
    page.evaluate("window.results.mnist_vgg.steps.iteration = [2.5, 6.5, 10.5]")
    page.locator("[data-curves] input[name=quantity][value=accuracy]").check()
    drawn = "document.querySelector('[data-curves] .plot svg').textContent.includes('accuracy')"
    page.wait_for_function(drawn)
    page.locator("[data-curves] .plot svg").scroll_into_view_if_needed()
    box = page.locator("[data-curves] .plot svg").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.move(box["x"] + box["width"] / 2 + 3, box["y"] + box["height"] / 2)
    page.wait_for_selector("#vg-tooltip-element.visible")
    told = " ".join(page.inner_text("#vg-tooltip-element").split())
    assert "split training" in told
    assert "mean of 4 steps" in told


def test_every_image_loads(tab, book):
    page = tab.open(book / "reports/R1.html")
    images = page.locator("figure img")
    assert images.count() > 5
    for index in range(images.count()):
        images.nth(index).scroll_into_view_if_needed()
    page.wait_for_function("[...document.images].every(image => image.complete && image.naturalWidth > 0)")


@pytest.mark.parametrize(
    "names",
    [
        ["mnist_cnn_l2/l2-0.0", "mnist_cnn_l2/l2-0.003", "mnist_vgg"],
        ["cifar10_fast_recipe/epochs_10", "cifar10_simplecnn"],  # of another number of seeds
        ["cifar10_simplecnn", "cifar10_fast_recipe/epochs_10"],
    ],
)
def test_the_page_compares_as_the_terminal_does(tab, book, committed, monkeypatch, names):
    monkeypatch.chdir(committed)
    if not all(results.rows(name) for name in names):
        pytest.skip("one of the results is not committed")
    page = tab.open(book / "compare.html", "#" + ",".join(names))
    several = [compare.load(name) for name in names]
    first, *others = several
    wanted = [
        [QUANTITIES[metric].title, *(mean_text(metric, one.values(metric)) or "–" for one in several)]
        + [one.text(metric) if (one := compare.difference(metric, other, first)) else "–" for other in others]
        for metric in compare.COMPARED
    ]
    cells = "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    told = page.locator("[aria-label=Metrics] tbody tr").evaluate_all(cells)
    assert told == wanted
    assert page.inner_text("#command") == "convlab compare " + " ".join(names)


def test_results_are_found_chosen_and_removed(tab, book):
    page = tab.open(book / "compare.html")
    page.fill("#filter", "digits l2")
    visible = page.locator(".rows li:visible")
    assert 0 < visible.count() < page.locator(".rows li").count()
    visible.nth(0).locator("input").check()
    visible.nth(1).locator("input").check()
    page.wait_for_selector(".plot svg")
    assert page.locator("#tables h2").all_inner_texts() == ["Chosen", "Parameters that differ", "Metrics"]
    assert "," in page.evaluate("location.hash")
    page.locator(".chosen button").first.click()
    assert page.locator(".chosen li").count() == 1


def test_all_chooses_what_the_filter_shows_and_none_nothing(tab, book):
    page = tab.open(book / "compare.html")
    page.locator(".rows input").first.check()
    first = page.locator(".rows input").first.get_attribute("value")
    page.fill("#filter", "digits l2")
    found = page.locator(".rows li:visible input").evaluate_all("all => all.map(box => box.value)")
    page.click("[data-all]")
    wanted = [first, *(name for name in found if name != first)]
    checked = page.locator(".rows input:checked").evaluate_all("all => all.map(box => box.value)")
    assert sorted(checked) == sorted(wanted)
    told = page.locator(".chosen li").all_inner_texts()
    assert [text.split()[1] for text in told] == wanted
    page.click("[data-none]")
    assert page.locator(".rows input:checked").count() == 0
    assert page.inner_text("#tables") == "Nothing is chosen."


def test_more_results_than_letters_are_told_apart(tab, book):
    page = tab.open(book / "compare.html")
    names = page.locator(".rows input").evaluate_all("all => all.slice(0, 29).map(box => box.value)")
    page = tab.open(book / "compare.html", "#" + ",".join(names))
    letters = page.locator(".chosen li b").all_inner_texts()
    assert letters == [*string.ascii_uppercase, "AA", "AB", "AC"]


@pytest.mark.parametrize("place", ["#%", "#constructor", "#no_such_result"])
def test_an_address_that_names_no_result_leaves_the_page_at_work(tab, book, place):
    page = tab.open(book / "compare.html", place)
    assert not tab.said
    page.locator(".rows input").first.check()
    assert page.locator(".chosen li").count() == 1
