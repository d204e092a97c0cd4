"""preprocess NAME: raw files → splits and statistics of an experiment, or of each recipe in a sweep."""

from convlab import files
from convlab.config import load_item, trials_of
from convlab.errors import name_argument, run


def main() -> None:
    """Write data/processed/NAME/<data key>/, once for all trials that see the same data."""
    name = name_argument()
    from convlab.data.dataset import save
    from convlab.data.preprocess import prepare  # PyTorch takes seconds
    from convlab.data.readers.registry import read

    recipes = {
        trial.experiment.data_key(): trial.experiment
        for trial in trials_of(name, load_item(files.config(name)))
    }
    for key, experiment in recipes.items():
        prepared = prepare(read(experiment.dataset, files.RAW), experiment)
        save(prepared, files.PROCESSED / name / key)
        sizes = (len(split.labels) for split in (prepared.train, prepared.validation, prepared.test))
        print(
            "preprocess: {} from {}: {:,} training, {:,} validation, {:,} test images".format(
                name, experiment.dataset, *sizes
            )
        )


if __name__ == "__main__":
    run(main)
