"""The reports' numbers beside ours: tables, reports.json, and that the committed ones are current."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import result
import yaml
from repository import ROOT

from convlab import files
from convlab.config import load_params, read_params
from convlab.errors import InputError
from convlab.results import Found, Plan, load_plans, reports, tables
from convlab.results.reports import Line, Report, ReportRow

PLANS = {"one": Plan(50, False), "sweep/b": Plan(40, True)}


def training(accuracy=0.985, **more):
    splits = {split: {"loss": 0.03, "accuracy": accuracy} for split in ("train", "validation", "test")}
    facts = {
        "seed": 1,
        "epochs": 50,
        "weight_norm": 20.0,
        "parameters": 1234,
        "precision": "bf16",
        "device": "cpu",
    }
    where = {"timing": {"seconds": 12.3}, "environment": {"device_name": "a CPU"}}
    return {**facts, **splits, **where, **more}


def row(**more):
    return ReportRow(**({"what": "baseline", "result": "one", "test_accuracy": 0.99} | more))


ROW = row()


def line(*trainings, row=ROW, **more):
    return Line(
        row, Found(list(trainings), planned=50, status="finished" if trainings else "not run", **more)
    )


def table(*lines):
    return tables.table(Report(title="", hardware="a GPU", rows=[one.row for one in lines]), lines)


def test_what_has_not_run_is_not_run():
    made = table(line(row=row(test_loss=0.02)))
    assert "| baseline | 99.00% / not run | – | 0.0200 / – | – | – |" in made
    assert "Report: a GPU. Ours: not run." in made


def test_an_infeasible_trial_is_called_so():
    assert "99.00% / infeasible" in table(Line(row(), Found([], status="infeasible")))


def test_their_number_stands_before_ours_with_the_difference_in_points():
    own = row(test_loss=0.02, seconds=94.56, epochs=50, parameters=1234)
    made = table(line(training(), row=own))
    titles = "test accuracy | difference | test loss | parameters | seconds | n | epochs |"
    assert f"| report / ours | {titles}" in made
    assert "| 99.00% / 98.50% | -0.50 | 0.0200 / 0.0300 | 1,234 / 1,234 | 95 / 12 | 1 | 50 / 50 |" in made
    assert "Ours: a CPU (bf16)." in made


def test_several_seeds_are_mean_and_standard_deviation():
    made = table(line(training(0.98), training(0.99, seed=2)))
    assert "| baseline | 99.00% / 98.50% ± 0.71 | -0.50 | 2 | – / 50 |" in made


def test_a_shortened_training_says_how_short():
    assert "| – / 3 of 50 |" in table(line(training(epochs=3), shortened=True))


def test_only_columns_with_numbers_are_there_and_a_lone_number_is_a_note():
    rows = [row(train_loss=1.2e-5, note="a note"), row(what="b"), row(what="c")]
    made = table(*(line(training(), row=own) for own in rows))
    assert "| report / ours | test accuracy | difference | n | epochs |" in made
    assert "* baseline: clean train loss 1.20e-05 / 0.0300; a note." in made


def test_a_number_that_a_report_gives_roughly_is_shown_so():
    assert "≈ 99.00% / 98.50%" in table(line(training(), row=row(about=["test_accuracy"])))


def test_a_row_without_a_result_gives_its_reason():
    made = table(Line(row(result=None, reason="not written yet"), Found([])))
    assert "99.00% / not run" in made
    assert "* baseline: not written yet." in made


def test_a_goal_stands_where_there_is_no_report():
    own = row(test_accuracy=None, goal=0.9975)
    made = table(line(training(0.9985), row=own))
    assert "| goal / ours |" in made
    assert "| baseline | ≥ 99.75% / 99.85% | +0.10 |" in made
    assert "Report:" not in made


def test_validation_leads_where_a_report_has_no_test_accuracy_and_ours_stands_beside():
    own = row(test_accuracy=None, validation_accuracy=0.98)
    made = table(line(training(), row=own))
    assert "| report / ours | validation accuracy | difference | test accuracy | n | epochs |" in made
    assert "| baseline | 98.00% / 98.50% | +0.50 | – / 98.50% | 1 |" in made


def test_a_running_number_has_the_clean_one_beside_it_in_a_column_and_in_a_note():
    own = row(running_accuracy=1.0, running_loss=1.2e-5)
    ours = training(running_accuracy=0.97, running_loss=0.1)
    assert "| 100.00% / 97.00% | – / 98.50% |" in table(line(ours, row=own))
    noted = table(line(ours, row=own), line(ours, row=row(what="b")), line(ours, row=row(what="c")))
    assert "running train accuracy 100.00% / 97.00%; clean train accuracy – / 98.50%" in noted
    assert "running train loss 1.20e-05 / 0.1000; clean train loss – / 0.0300" in noted


def test_a_long_table_is_folded_under_its_first_number():
    made = table(*(line(training()) for _ in range(8)), line())
    assert "<summary>baseline: 99.00% / 98.50% (report / ours). 8 of 9 rows have run</summary>" in made
    assert "<details>" not in table(line(training()))


def test_every_number_is_machine_readable():
    found = reports.numbers_of("R9", line(training(0.98), training(0.99), row=row(epochs=50)))
    assert [number["quantity"] for number in found] == ["test_accuracy", "epochs"]
    assert found[0] == {
        "report": "R9",
        "row": "baseline",
        "quantity": "test_accuracy",
        "report_value": 0.99,
        "goal": None,
        "about": False,
        "ours": 0.985,
        "sd": 0.00707107,
        "n": 2,
        "difference": -0.005,
        "epochs": 50,
        "planned_epochs": 50,
        "shortened": False,
        "hardware": "a CPU (bf16)",
        "result": "one",
    }


def test_a_number_of_ours_that_is_missing_is_null():
    (number,) = reports.numbers_of("R9", line())
    assert (number["ours"], number["sd"], number["n"], number["hardware"]) == (None, None, 0, None)
    (goal,) = reports.numbers_of("beyond", line(training(), row=row(test_accuracy=None, goal=0.9975)))
    assert (goal["report_value"], goal["goal"], goal["ours"]) == (None, 0.9975, 0.985)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"result": "two"}, r"R0\.rows\.0\.result: found 'two'"),
        ({"result": "sweep/c"}, r"R0\.rows\.0\.result: found 'sweep/c'.*sweep/b"),
        ({"tset_accuracy": 0.9}, r"R0\.rows\.0: unknown key `tset_accuracy`.*did you mean `test_accuracy`"),
        ({"test_accuracy": 99.2}, r"R0\.rows\.0\.test_accuracy: found 99\.2 .*less than or equal to 1"),
        ({"about": ["accuracy"]}, r"R0\.rows\.0\.about\.0: found 'accuracy'.*test_accuracy"),
        (
            {"headline": True, "test_accuracy": None},
            r"R0\.rows\.0\.headline: found no accuracy in its row; allowed: test_accuracy or validation",
        ),
        ({"result": None}, r"R0\.rows\.0\.reason: found nothing; allowed: why there is no result"),
    ],
)
def test_a_wrong_row_is_one_line(tmp_path, monkeypatch, change, message):
    monkeypatch.chdir(tmp_path)
    own = {"what": "baseline", "result": "one", "test_accuracy": 0.9} | change
    reports.REPORTS.write_text(yaml.safe_dump({"R0": {"title": "t", "hardware": None, "rows": [own]}}))
    with pytest.raises(InputError, match=r"reports\.yaml: " + message) as caught:
        reports.load_reports(PLANS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["[]", "R0: 1", "R0: {title: t, hardware: null, rows: []}", "R#0: {title: t}", "1: {}"]
)
def test_a_wrong_file_is_one_line(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    reports.REPORTS.write_text(text)
    with pytest.raises(InputError, match=r"reports\.yaml: .*allowed"):
        reports.load_reports(PLANS)


def test_a_result_flows_from_its_file_into_all_outputs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    params = read_params(ROOT / "params.yaml")
    params |= {"sweeps": {}, "run_sweeps": [], "claims": {}}
    files.PARAMS.write_text(yaml.safe_dump(params))
    own = {"what": "baseline", "result": "digits", "test_accuracy": 0.99, "headline": True}
    reports.REPORTS.write_text(yaml.safe_dump({"R0": {"title": "t", "hardware": None, "rows": [own]}}))
    tables.README.write_text("<!-- results -->\n<!-- /results -->\n")
    blocks = [f"<!-- {name} -->\n<!-- /{name} -->\n" for name in ("R0", "maps", "claims")]
    files.write_text(tables.PAGE, "".join(blocks))
    one = result.training("digits", epochs=50, precision="bf16")
    result.put([one], [result.evaluation(one, 0.985)])
    made = tables.outputs()
    assert "| baseline | 99.00% / 98.50% (stale) | -0.50 | 1 | – / 50 |" in made[tables.PAGE]
    assert "* baseline: stale: of: digits → unset" in made[tables.PAGE]
    assert "| R0 | baseline | 99.00% | 98.50% (stale) | 1 | a CPU (bf16) | – |" in made[tables.README]
    assert '"ours": 0.985' in made[tables.REPORTS_JSON]
    assert made[tables.CLAIMS_JSON] == "[]\n"


def test_the_readme_says_what_is_validation_and_what_is_shortened():
    validated = row(test_accuracy=None, validation_accuracy=0.9244, epochs=30, headline=True)
    made = tables.glance(
        {
            "R4": [line(training(0.8918, epochs=3), row=validated, shortened=True)],
            "R0": [line(training(), row=row(headline=True))],
        },
        [],
    )
    assert "| R4 | baseline | 92.44% (validation) | 89.18%, 3 of 50 epochs | 1 |" in made
    assert "| R0 | baseline | 99.00% | 98.50% | 1 |" in made


def test_tables_of_an_altered_study_come_with_a_warning(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    judged = [{"stale": ["a/x", "a/y"]}, {"stale": ["a/x"]}, {"stale": []}]
    outputs = {tables.CLAIMS_JSON: json.dumps(judged)}
    warned = ["claims rest on stale results: a/x, a/y; `convlab list` shows why"]
    assert tables.hints(outputs) == warned  # outside of git, too
    (tmp_path / "studies.yaml").write_text("claims: {}\n")
    author = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "."], [*author, "commit", "-qm", "start"]):
        subprocess.run(["git", *command], check=True)
    assert tables.hints({tables.CLAIMS_JSON: "[]"}) == []
    (tmp_path / "studies.yaml").write_text("sweeps: {}\n")
    altered = "studies.yaml has uncommitted changes, which the tables include"
    assert tables.hints(outputs) == [altered, *warned]


def test_the_committed_tables_show_the_committed_results(monkeypatch, committed):
    monkeypatch.chdir(committed)
    for path, text in tables.outputs().items():
        assert path.read_text(encoding="utf-8") == text, f"{path}: run `make report`"


def test_a_claim_that_was_tried_on_the_digits_does_not_count_for_its_report(monkeypatch):
    monkeypatch.chdir(ROOT)
    claims = read_params(ROOT / "params.yaml")["claims"].values()
    own = [claim for claim in claims if claim["report"] == "R0" and not claim["a"].startswith("digits")]
    (row,) = (
        line for line in tables.outputs()[Path("README.md")].splitlines() if line.startswith("| R0 | b")
    )
    assert sum(int(count) for count in re.findall(r"(\d+) (?:confirmed|refuted|incon|not)", row)) == len(own)


def test_every_row_of_a_report_names_an_experiment_or_a_trial_that_exists(monkeypatch):
    monkeypatch.chdir(ROOT)
    params = load_params()
    known = set(params.experiments)
    known |= {f"{name}/{trial.name}" for name, sweep in params.sweeps.items() for trial in sweep.trials}
    assert set(load_plans()) == known
    for report in reports.load_reports(load_plans()).values():
        assert {row.result for row in report.rows} - {None} <= known
