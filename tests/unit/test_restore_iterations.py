"""Steps of committed sweeps, restored from a lease's ledger by their weights, or reported as lost."""

from pathlib import Path

from result import training
from training import Make

from bench.gpu.restore_iterations import found, kept
from convlab import files

STEP = {"iteration": 1, "epoch": 1, "lr": 0.1, "loss": 1.0, "accuracy": 0.5}


def test_a_training_of_the_same_weights_gives_its_steps(sweep: Make, tmp_path: Path) -> None:
    plan = sweep({"lr": 0.001}, {"lr": 0.002}, {"lr": 0.005}, iterations=True)
    trials = {(trial.name, trial.experiment.seed): trial for trial in plan.trials}
    records = [
        training(
            "sweep",
            trial.experiment.seed,
            trial.name,
            weights=f"weights {number}",
            configuration=trial.experiment.model_dump(mode="json"),
        )
        for number, trial in enumerate(plan.trials)
    ]
    for file, weights, steps in (("a", "weights 0", [STEP]), ("b", "other", [STEP]), ("c", "weights 2", [])):
        content = {"status": "finished", "results": {"weights": weights}, "iterations": steps}
        files.write_json(tmp_path / f"{file}.json", content)
    ended, lost = found(records, trials, kept(tmp_path))
    assert [(trial.name, finished.iterations) for trial, finished in ended] == [(plan.trials[0].name, [STEP])]
    assert lost == [plan.trials[1].name, plan.trials[2].name], "other weights, and no steps"


def test_a_recipe_without_steps_has_none_to_lose(sweep: Make, tmp_path: Path) -> None:
    (trial,) = sweep({"lr": 0.001}).trials
    record = training("sweep", 1, trial.name, configuration=trial.experiment.model_dump(mode="json"))
    assert found([record], {(trial.name, 1): trial}, kept(tmp_path)) == ([], [])
