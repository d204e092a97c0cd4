"""The embedded digits: scikit-learn's table, a gzipped CSV."""

import csv
from pathlib import Path

import numpy as np

from convlab.data.readers.raw import MEND, DataError, Raw, gunzip

DIGITS_TEST = 360  # the last fifth, by other writers than the first: scikit-learn gives no split of its own
LARGEST_TABLE = 1 << 20  # bytes in the table of digits, which takes half as many


def read_digits(folder: Path) -> Raw:
    """Read the table: 64 pixels and the label in each row."""
    path = folder / "digits.csv.gz"
    try:
        rows = [
            [int(float(value)) for value in row]
            for row in csv.reader(gunzip(path, LARGEST_TABLE).decode().splitlines())
        ]
        table = np.array(rows, np.int64)
        if table.ndim != 2 or table.shape[1] != 65:
            raise ValueError(f"a table of shape {table.shape}, 65 columns wanted")
        if table.min() < 0 or table.max() > 16:
            raise ValueError("a value is out of range")
        images, labels = table[:, :64].astype(np.uint8).reshape(-1, 1, 8, 8), table[:, 64]
    except (ValueError, OverflowError, csv.Error) as error:
        raise DataError(f"{path}: not the table of digits: {error}; {MEND}") from None
    return Raw(images[:-DIGITS_TEST], labels[:-DIGITS_TEST], images[-DIGITS_TEST:], labels[-DIGITS_TEST:])
