"""evaluate NAME: weights → losses and accuracies on all splits, per-class report, confusion, predictions."""

from convlab import evaluate, files
from convlab.config import load_experiment
from convlab.data.dataset import load_statistics
from convlab.errors import name_argument, run
from convlab.models.build import load_model
from convlab.tracking import mirror


def main() -> None:
    """Evaluate, write the outputs, and mirror them into MLflow."""
    name = name_argument()
    experiment = load_experiment(files.config(name))
    evaluations = []
    for one in experiment.each_seed():
        folder = files.PROCESSED / name / one.data_key()
        statistics = load_statistics(folder)
        model = load_model(one, statistics, files.weights(name, one.seed))
        evaluations.append(evaluate.evaluate(model, one, folder))
        test = evaluations[-1].scores["test"]
        print(f"evaluate: {name}, seed {one.seed}: test {test['accuracy']:.2%}, loss {test['loss']:.4f}")
    first, classes = evaluations[0], statistics.classes
    scores = files.by_seed([{"seed": done.seed, **done.scores} for done in evaluations])
    scores["per_class"] = evaluate.per_class(first.probabilities, first.labels, classes)
    files.write_tensors(
        files.predictions(name), {"probabilities": first.probabilities, "labels": first.labels}
    )
    files.write_csv(
        files.PLOTS / name / "confusion.csv",
        evaluate.confusion_rows(first.probabilities, first.labels, classes),
    )
    files.write_json(files.METRICS / name / "evaluate.json", scores)
    mirror(name)


if __name__ == "__main__":
    run(main)
