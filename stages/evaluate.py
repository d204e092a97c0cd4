"""evaluate NAME: weights → losses and accuracies on all splits, per-class report, confusion, predictions."""

from convlab import files, portable
from convlab.config import load_experiment
from convlab.errors import name_argument, run
from convlab.pipeline import made_from, summaries
from convlab.pipeline.provenance import environment
from convlab.tracking import mirror


def main() -> None:
    """Evaluate, write the outputs, and mirror them into MLflow."""
    name = name_argument()
    experiment = load_experiment(files.config(name))
    portable.pin(name, experiment)
    from convlab.data.dataset import load_statistics
    from convlab.models.build import load_model
    from convlab.pipeline import evaluate  # PyTorch, which must not be loaded before `pin`
    from convlab.train.device import select_device

    evaluations, records = [], []
    for one in experiment.each_seed():
        folder = files.PROCESSED / name / one.data_key()
        statistics = load_statistics(folder)
        model = load_model(one, statistics, files.weights(name, one.seed))
        done = evaluate.evaluate(model, one, folder)
        evaluations.append(done)
        where = environment(select_device(one.device))
        per_class = evaluate.per_class(done.probabilities, done.labels, statistics.classes)
        records.append(made_from.of_evaluation(name, done, one, folder, where, per_class))
        test = done.scores["test"]
        print(f"evaluate: {name}, seed {one.seed}: test {test['accuracy']:.2%}, loss {test['loss']:.4f}")
    first, classes = evaluations[0], statistics.classes
    files.write_tensors(
        files.predictions(name), {"probabilities": first.probabilities, "labels": first.labels}
    )
    files.write_csv(
        files.PLOTS / name / "confusion.csv",
        evaluate.confusion_rows(first.probabilities, first.labels, classes),
    )
    files.write_json(files.scores(name), records)
    files.write_json(files.METRICS / name / "evaluate.json", summaries.evaluated(records))
    mirror(name)


if __name__ == "__main__":
    run(main)
