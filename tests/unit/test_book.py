"""The book of results: every page exists, shows what the files say, and has no broken link."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlparse

import pandas
import pytest
import result
import results_world
from PIL import Image
from repository import ROOT

from convlab import files, results
from convlab.book import chapter, claim, comparison, contents, explore, runtime, scatter, site
from convlab.commands import pages
from convlab.errors import InputError
from convlab.pipeline.made_from import sealed
from convlab.results import compare


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        results_world.build(folder)
        site.write(Path("docs/book"))
    return folder


@pytest.fixture
def here(world, monkeypatch):
    monkeypatch.chdir(world)
    return world / "docs/book"


class Page(HTMLParser):
    """The ids and links of a page, its images without a text, and its words."""

    def __init__(self, path):
        super().__init__()
        self.ids, self.links, self.untold, self.words = set(), [], [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        known = dict(attributes)
        if "id" in known:
            self.ids.add(known["id"])
        for key in ("href", "src"):
            if known.get(key) and not known[key].startswith("data:"):
                self.links.append(known[key])
        if tag == "img" and not known.get("alt"):
            self.untold.append(known)

    def handle_data(self, text):
        self.words.append(text)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def page(book, name):
    return Page(book / name).text


def test_there_is_a_page_for_every_report_and_every_claim(here):
    pages = {path.relative_to(here).as_posix() for path in here.rglob("*.html")}
    wanted = {"index.html", "compare.html", "reports/R0.html", "claims/strides_cost.html"}
    assert pages == wanted


def test_every_link_leads_to_a_file_and_a_place_that_are_there(here):
    for path in here.rglob("*.html"):
        for link in Page(path).links:
            assert "://" not in link, f"{path}: {link} leaves the book"
            address, _, place = unquote(link).partition("#")
            target = (path.parent / address).resolve() if address else path
            assert target.is_file(), f"{path}: {link}"
            if place and target.name != "compare.html":  # there the place says what is compared
                assert place in Page(target).ids, f"{path}: {link}"


def test_every_image_has_a_text(here):
    assert not [found for path in here.rglob("*.html") for found in Page(path).untold]


def test_the_numbers_are_those_of_the_files(here):
    accuracies = results.values(results.rows("digits"), "test_accuracy")
    shown = results.mean_and_spread(accuracies, "{:.2%}".format)
    assert shown in page(here, "index.html")
    assert shown in page(here, "reports/R0.html")
    assert "97.00%" in page(here, "index.html")


def test_what_has_not_run_or_was_cut_short_is_said(here):
    text = page(here, "index.html")
    assert ", 1 has not. 2 of those that ran were shortened, " in text
    assert "Not run: never." in text
    assert "Shortened: baseline (4 of 40 epochs); stride 2" in text


def test_how_we_read_a_report_is_told_with_the_paths_that_it_links_to(here):
    text = page(here, "reports/R0.html")
    told = (
        "The network's widths are a reading , see there, docs/elsewhere.md , as above; curves, plots/a.png , "
    )
    assert f"How we read the report {told}bench/b.md ." in text


def test_a_title_that_is_html_is_text(here):
    raw = (here / "reports/R0.html").read_text(encoding="utf-8")
    assert "Digits &amp; &lt;b&gt;more&lt;/b&gt;" in raw
    assert "<b>more" not in raw


def test_a_claim_has_its_points_its_interval_its_verdict_and_its_command(here):
    text = page(here, "claims/strides_cost.html")
    (judged,) = contents.load().claims
    assert judged["verdict"] == "confirmed"
    assert "✓ confirmed" in text
    for side in "ab":
        for row in results.rows(judged[side]):
            assert f"{100 * row['test']['accuracy']:.2f}% seed {row['seed']}" in text
    assert "dvc exp run -S 'run=[digits]' -S 'run_sweeps=[strides]'" in text


def test_the_sweep_of_strides_and_the_study_of_l2_are_not_mistaken(here):
    text = page(here, "reports/R0.html")
    assert "Strides × kernels" not in text
    assert "Confusion: digits" in text


def test_the_curves_are_those_of_the_files(here):
    text = (here / "assets/results.js").read_text(encoding="utf-8")
    curves = json.loads(text.removeprefix("window.results = ").removesuffix(";\n"))
    seeds = curves["digits"]["seeds"]
    assert [seed["seed"] for seed in seeds] == [row["seed"] for row in results.rows("digits")]
    rows = files.read_curves(files.PLOTS / "digits/curves.csv")
    assert seeds[0]["validation_accuracy"] == [row["validation_accuracy"] for row in rows[:4]]


def test_the_same_files_make_the_same_bytes(here, tmp_path):
    site.write(tmp_path / "again")
    again = {
        path.relative_to(tmp_path / "again"): path.read_bytes() for path in (tmp_path / "again").rglob("*.*")
    }
    assert again == {path.relative_to(here): path.read_bytes() for path in here.rglob("*.*")}


def test_the_front_page_is_light(here):
    done = site.write(here)
    assert done.pages == 4
    assert 5_000 < done.front_bytes <= 300_000


def test_a_folder_that_is_no_book_is_left_alone(here, tmp_path):
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(InputError, match="which is not a book"):
        site.write(tmp_path)
    assert (tmp_path / "index.html").read_text() == "mine"


def test_a_link_to_a_book_stays_a_link_and_what_is_latin1_is_no_book(here, tmp_path):
    site.write(tmp_path / "book")
    (tmp_path / "link").symlink_to(tmp_path / "book")
    site.write(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []
    (tmp_path / "other").mkdir()
    (tmp_path / "other/index.html").write_bytes(b"caf\xe9")
    with pytest.raises(InputError, match="which is not a book"):
        site.write(tmp_path / "other")
    with pytest.raises(InputError, match=r"index\.html: cannot be written"):
        site.write(tmp_path / "other/index.html/book")


@pytest.mark.parametrize("seconds", [[0.5], [0.6, 0.9], [3.0], [1e6]])
def test_every_dot_lies_within_its_axis(seconds):
    ends = scatter._axis(seconds, scatter.SECONDS)
    assert all(0 < scatter._place(number, *ends) < 1 for number in seconds)
    assert scatter._error(1.0) > 0


def test_a_damaged_result_leaves_the_book_as_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results_world.build(tmp_path)
    site.write(Path("book"))
    before = (tmp_path / "book/index.html").read_bytes()
    (files.METRICS / "digits/train.json").write_text("{")
    with pytest.raises(InputError, match=r"train\.json: unreadable"):
        site.write(Path("book"))
    assert (tmp_path / "book/index.html").read_bytes() == before
    assert sorted(path.name for path in tmp_path.glob(".book*")) == []


def test_without_any_result_the_book_says_that_nothing_has_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results_world.build(tmp_path)
    for name in ("digits", "strides"):
        for path in (files.METRICS / name).iterdir():
            path.unlink()
    site.write(Path("book"))
    text = page(tmp_path / "book", "index.html")
    assert "Not run: baseline; stride 2; never." in text
    assert "not run" in page(tmp_path / "book", "claims/strides_cost.html")


def test_without_a_runtime_the_explore_page_is_left_out_with_a_message(here, tmp_path, capsys):
    assert pages.book(tmp_path / "book", fetch=False) == 0
    assert "explore" not in {path.stem for path in (tmp_path / "book").glob("*.html")}
    printed = capsys.readouterr().out
    assert "index.html: 4 pages" in printed
    assert "the explore page is left out: " in printed
    assert "ONNX Runtime Web is not here (`convlab book --fetch` fetches it by npm)" in printed


def test_all_that_the_explore_page_lacks_is_said_at_once(here, monkeypatch):
    monkeypatch.setattr(explore, "find_spec", lambda name: None)
    assert explore.missing().splitlines() == [
        "onnx and onnxscript are not installed (`pip install -e '.[export]'`), and ONNX Runtime Web is not "
        "here (`convlab book --fetch` fetches it by npm)"
    ]


def test_a_runtime_that_cannot_be_fetched_is_one_line(here, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="it needs npm and a network"):
        runtime.fetch()
    assert not runtime.is_here()
    assert explore.missing()


def test_networks_that_cannot_be_run_are_named_with_the_reason(here, tmp_path):
    found, absent = explore.networks(contents.load())
    assert found == []
    assert [(one.name, one.dataset) for one in absent] == [("digits", "digits")]
    assert "not trained here; `dvc " in absent[0].reason
    shown_as = ([1, 8, 8], 16, "dark", 1.0, "pad")
    digits = explore.Explorable("little", "digits", "95.00%", *shown_as, list("0123456789"), ["conv"], "0.1")
    mnist = replace(digits, name="large", dataset="mnist", megabytes="51.9")
    strange = explore.Absent("strange", "cifar10", "87.46%", "`dvc repro` <does> it")
    for script in ("assets/runtime.js", digits.script, mnist.script):
        files.write_text(tmp_path / script, "what a page loads")
    template = site._environment(contents.load(), ["explore"]).get_template("explore.html")
    context = explore.context(tmp_path, [digits, mnist], [*absent, strange])
    (tmp_path / "explore.html").write_text(template.render(root="", path="explore.html", **context))
    shown = Page(tmp_path / "explore.html")
    assert "2 that are not here" in shown.text
    assert "51.9 MB" in shown.text
    assert "strange (cifar10, 87.46% of its test images): dvc repro <does> it" in shown.text
    assert {"#absent"} <= set(shown.links)
    assert context["checked"] == ["large", "little"], "two that say something of the same digit"


def test_a_record_that_is_not_valid_any_more_is_left_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results_world.build(tmp_path)
    digits = files.read_json(files.trainings("digits"))[0]["configuration"]
    made = result.training("gone", configuration=digits | {"dataset": "removed"})
    result.put([made], [result.evaluation(made)])
    assert "gone" not in contents.load().configurations
    site.write(Path("book"))
    assert "gone" not in page(tmp_path / "book", "compare.html")
    with pytest.raises(InputError, match=r"metrics/gone/trainings\.json: dataset: found 'removed'"):
        compare.load("gone")


def test_every_data_set_has_a_colour_in_the_chart_and_every_image_may_be_right(here):
    found = contents.load()
    names = [f"own_{number}" for number in range(12)]
    rows = found.trainings[found.trainings["result"] == "digits"]
    several = [rows.assign(result=name, fingerprint=name, test_accuracy=1.0) for name in names]
    chapters = [replace(found.chapters[0], lines=[], results=names)]
    configurations = {name: {"dataset": name} for name in names[:-1]}
    found = replace(found, trainings=pandas.concat(several), chapters=chapters, configurations=configurations)
    chart = scatter.chart(found)
    assert chart["datasets"] == {name: place % 10 for place, name in enumerate([*names[:-1], "–"])}
    assert [row["result"] for row in comparison.context(found)["rows"]] == names[:-1]
    assert [dot["accuracy"] for dot in chart["dots"]] == [1.0] * 12
    style = (site.STATIC / "book.css").read_text()
    for number in range(scatter.COLOURS):
        assert style.count(f"--s{number}: #") == 3, "light, dark by the system, dark by the switch"
        assert f".s{number} {{" in style


def test_the_address_of_a_figure_may_contain_any_sign(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results_world.build(tmp_path)
    figures = files.PLOTS / "digits/figures"
    figures.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 8)).save(figures / "features_C# or F?_0 100%.png")
    site.write(Path("book"))
    addresses = [link for path in Path("book/reports").iterdir() for link in Page(path).links]
    (address,) = {link for link in addresses if "features_C" in link}
    found = urlparse(address)
    assert (found.query, found.fragment) == ("", "")
    assert (Path("book/reports") / unquote(found.path)).is_file()


def test_what_is_to_surpass_the_headlines_stands_beside_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results_world.build(tmp_path)
    reports = results_world.REPORTS.replace("result: digits,", "result: digits, surpassed_by: digits,")
    files.write_text(Path("reports.yaml"), reports)
    site.write(Path("book"))
    text = page(tmp_path / "book", "index.html")
    accuracies = results.values(results.rows("digits"), "test_accuracy")
    wanted = results.mean_and_spread(accuracies, "{:.2%}".format)
    assert f"R0 97.00% in 12 s {wanted} " in text


def test_results_are_in_the_order_of_the_rows_and_then_of_their_sweep(here):
    (one, *_) = contents.load().chapters
    rows = ["digits", "strides/strides-2-1_l2-0.0", "fashion"]
    trials = [result for result in contents.load().plans if result.startswith("strides/")]
    assert one.results == list(dict.fromkeys([*rows, *trials]))


def test_notes_are_markdown_and_no_html(here):
    environment = site._environment(contents.load(), [])
    shown = environment.from_string("{{ text|inline|safe }}").render(text="does `this` <b>")
    assert shown == "does <code>this</code> &lt;b&gt;"


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("n = 1: spread of a, n = 3", "It rests on one seed; its width is from the spread of a, n = 3."),
        ("the first seed's network", "It rests on the first seed's network."),
    ],
)
def test_an_interval_of_one_seed_says_what_it_rests_on(reason, said):
    assert claim._one_seed(reason) == said


LINKED = {
    "R3": ["plots/mnist_2x2_kernel_stride/figures/curves_train.png"],
    "R4": ["bench/engines.md"],
}


@pytest.mark.parametrize("name", ["R0", "R1", "R2", "R3", "R4"])
def test_what_a_page_takes_from_the_reports_points_to_nothing_outside(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    told = contents.prose(name)
    assert told
    assert "](" not in told
    assert set(LINKED.get(name, [])) <= {
        path for path in re.findall(r"`([^`]*)`", told) if Path(path).is_file()
    }


def test_a_result_of_two_machines_names_both_with_their_dates_and_commits(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results_world.build(tmp_path)
    timing = files.METRICS / "digits/timing.json"
    first, second = files.read_json(timing)["seeds"]
    later = {"started_at": "2026-02-03T04:05:06+00:00", "git_commit": "abcdef0123"}
    files.write_json(timing, files.by_seed([first, second | later]))
    one, other = files.read_json(files.trainings("digits"))
    other.pop("seal")
    moved = sealed({**other, "environment": {"device_name": "a GPU"}})
    files.write_json(files.trainings("digits"), [one, moved])
    made = contents.load()
    (row,) = [one for one in chapter._timings(made, made.chapters[0]) if one["result"] == "digits"]
    assert row["device"] == "a CPU (fp32), a GPU (fp32)"
    assert row["date"] == "2026-01-02, 2026-02-03"
    assert row["commits"] == "0123456, abcdef0"
    (dot,) = [one for one in scatter.chart(made)["dots"] if one["ours"] and one["label"].startswith("digits")]
    assert dot["device"] == "a CPU (fp32), a GPU (fp32), n = 2"


def test_a_result_without_dates_says_so(here):
    made = contents.load()
    bare = made.trainings.assign(started_at=None, git_commit=None)
    row = next(chapter._timings(replace(made, trainings=bare), made.chapters[0]))
    assert (row["date"], row["commits"]) == ("–", "–")
