"""evaluate NAME: weights → losses and accuracies on all splits, per-class report, confusion, predictions."""

import sys

from convlab import evaluate, files
from convlab.config import load_experiment
from convlab.data.preprocess import load_statistics
from convlab.errors import run
from convlab.tracking import mirror
from convlab.train.run import load_model


def main() -> None:
    """Evaluate, write the outputs, and mirror them into MLflow."""
    name = sys.argv[1]
    experiment = load_experiment(files.config(name))
    folder = files.PROCESSED / name / experiment.data_key()
    statistics = load_statistics(folder)
    model = load_model(experiment, statistics, files.weights(name))
    scores, probabilities, labels = evaluate.evaluate(model, experiment, folder)
    scores["per_class"] = evaluate.per_class(probabilities, labels, statistics.classes)
    files.write_tensors(files.predictions(name), {"probabilities": probabilities, "labels": labels})
    files.write_csv(
        files.PLOTS / name / "confusion.csv",
        evaluate.confusion_rows(probabilities, labels, statistics.classes),
    )
    files.write_json(files.METRICS / name / "evaluate.json", scores)
    test = scores["test"]
    print(f"evaluate: {name}: test accuracy {test['accuracy']:.2%}, loss {test['loss']:.4f}")
    mirror(name)


if __name__ == "__main__":
    run(main)
