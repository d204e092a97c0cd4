from pathlib import Path

import pytest

from convlab import files, reports
from convlab.config import load_params, read_yaml
from convlab.errors import InputError

ROOT = Path(__file__).parents[2]
ROW = {
    "what": "baseline",
    "result": "one",
    "test_accuracy": 0.99,
    "test_loss": 0.02,
    "epochs": 27,
    "seconds": 94.56,
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(name, fingerprint="same"):
    facts = {"epochs": 3, "weight_norm": 20.0, "precision": "bf16", "fingerprint": "same"}
    test = {"accuracy": 0.985, "loss": 0.03}
    timing = {"fingerprint": fingerprint, "seconds": 12.3, "device_name": "a CPU"}
    files.write_json(files.METRICS / name / "train.json", facts)
    files.write_json(files.METRICS / name / "evaluate.json", {"test": test})
    files.write_json(files.METRICS / name / "timing.json", timing)
    row = facts | {"name": "a", "status": "finished", "test": test}
    files.write_json(files.METRICS / "sweep" / "trials.json", [row, {"name": "b", "status": "infeasible"}])
    files.write_json(files.METRICS / "sweep" / "timing.json", {"a": timing})


def test_what_has_not_run_is_not_run(folder):
    made = reports.table({"hardware": "a GPU", "rows": [ROW]})
    assert "| baseline | 99.00% / not run | – |" in made
    assert "Ours: not run" in made


def test_their_number_stands_before_ours_with_the_difference_in_points(folder):
    put("one")
    made = reports.table({"hardware": "a GPU", "rows": [ROW]})
    assert "| baseline | 99.00% / 98.50% | -0.50 | 0.0200 / 0.0300 | – / 20.00 | 27 / 3 | 95 / 12 |" in made
    assert "Report: a GPU, one seed. Ours: a CPU (bf16), one seed." in made


def test_a_trial_is_found_in_its_sweep_and_an_infeasible_one_is_not_run(folder):
    put("one")
    assert reports.find("sweep/a")["test_accuracy"] == 0.985
    assert reports.find("sweep/b") == {}
    assert reports.find("sweep/c") == {}


def test_a_timing_of_another_training_is_not_shown(folder):
    put("one", fingerprint="other")
    assert "seconds" not in reports.find("one")


def test_the_readme_keeps_everything_but_the_table():
    text = "before\n<!-- R0 -->\nold\n<!-- /R0 -->\nafter\n"
    assert reports.insert(text, "R0", "new\n") == "before\n<!-- R0 -->\nnew\n<!-- /R0 -->\nafter\n"
    with pytest.raises(InputError, match="R1"):
        reports.insert(text, "R1", "new\n")


def test_the_readme_shows_the_committed_results(monkeypatch):
    monkeypatch.chdir(ROOT)
    readme = (ROOT / "README.md").read_text()
    for report, content in read_yaml(reports.REPORTS).items():
        assert reports.insert(readme, report, reports.table(content)) == readme, "run `make report`"


def test_every_row_of_a_report_names_an_experiment_or_a_trial_that_exists(monkeypatch):
    monkeypatch.chdir(ROOT)
    params = load_params()
    known = set(params.experiments)
    known |= {f"{name}/{trial.name}" for name, sweep in params.sweeps.items() for trial in sweep.trials}
    for content in read_yaml(reports.REPORTS).values():
        assert {row["result"] for row in content["rows"]} <= known
