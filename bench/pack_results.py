"""Pack what is brought back from a GPU machine, in pieces: 64 MiB in all is what it lets through.

python bench/pack_results.py OUT NAME …         what experiments and sweeps left; weights as far as they fit
python bench/pack_results.py OUT --only FILE …  these files (weights that did not fit) instead
cat OUT/results.tar.gz.* | tar xz               unpacks, in the repository's root
"""

import tarfile
from io import BytesIO
from pathlib import Path

from convlab import files
from convlab.errors import InputError, run
from options import Parser

ROOM = 56 << 20  # bytes of files: packed they are no larger, and something is left for logs and tables
PIECE = 15 << 20


def main() -> None:
    """Pack, and print the commands that bring what did not fit."""
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--only", nargs="+", type=Path, metavar="FILE", default=[])
    options = parser.parse_args()
    for path in options.only:
        if not path.is_file():
            raise InputError(f"--only: found {str(path)!r}; allowed: a file")
    first = options.only or [file for name in options.names for file in small_files(name)]
    weights = [] if options.only else [file for name in options.names for file in weight_files(name)]
    room = ROOM - sum(path.stat().st_size for path in first)
    fitting, *later = shares(weights, room)
    write_pieces(options.out, [*first, *fitting])
    for share in later:
        print(f"did not fit: OUT={options.out} bench/gpu.sh bring {' '.join(map(str, share))}")


def small_files(name: str) -> list[Path]:
    """List everything but weights that the stages leave for an experiment or a sweep."""
    predictions = files.predictions(name)
    found = [path for folder in (files.METRICS, files.PLOTS) for path in _below(folder / name)]
    return [*found, *([predictions] if predictions.exists() else [])]


def weight_files(name: str) -> list[Path]:
    """List the weights of an experiment or a sweep."""
    return _below(files.MODELS / name)


def shares(paths: list[Path], room: int) -> list[list[Path]]:
    """Divide files into shares: the first of at most `room` bytes, the others of ROOM, or of one file."""
    found: list[list[Path]] = [[]]
    for path in paths:
        size = path.stat().st_size
        if size > room and (found[-1] or len(found) == 1):
            found.append([])
            room = ROOM
        found[-1].append(path)
        room -= size
    return found


def write_pieces(out: Path, paths: list[Path]) -> None:
    """Write a tar file, compressed and cut into pieces, in place of the pieces that are there."""
    packed = BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for path in paths:
            tar.add(path)
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("results.tar.gz.*"):
        old.unlink()
    content = packed.getvalue()
    for number, start in enumerate(range(0, len(content), PIECE)):
        (out / f"results.tar.gz.{number:02}").write_bytes(content[start : start + PIECE])


def _below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    run(main)
