"""download: the raw files of the data sets that the selected experiments need → data/raw/, verified."""

from convlab import files
from convlab.config import read_yaml
from convlab.data.sources import fetch, mirror_from_environment
from convlab.errors import run


def main() -> None:
    """Fetch what is missing or damaged; the rest stays."""
    mirror = mirror_from_environment()
    for dataset in read_yaml(files.CONFIGS / "datasets.yaml"):
        for line in fetch(dataset, files.RAW, mirror):
            print(f"download: {line}")


if __name__ == "__main__":
    run(main)
