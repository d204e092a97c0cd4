"""Pack what is new in the lease since the last time, in pieces, most important first.

    python3 bench/gpu/collect.py LEASE OUT [SECONDS]

Waits SECONDS (0), or until the daemon has ended. OUT gets lease-NUMBER.tar.gz.00, .01, …: metrics, plots and
configurations, the ledger's finished.json, the log, a manifest with the MD5 of every output; then, as far as
there is room, weights and predictions, and of trainings for the next lease weights and the newest checkpoint.
"""

import hashlib
import io
import json
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from bench.gpu.plan import items_of, read_plan
from bench.options import seconds
from convlab import files
from convlab.config import load_params
from convlab.errors import Parser, run
from convlab.pipeline.identity import code_by_phase

PIECE, PIECES = 15 << 20, 4  # 64 MiB in all is what comes back at once
ROOM = PIECES * PIECE - (1 << 20)  # bytes as compressed; the last file may add a little
PLAN = Path("bench/gpu/plan.yaml")
LARGE = (str(files.MODELS), str(files.PREDICTIONS))


def main() -> None:
    """Wait, pack, and print the state of the lease."""
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("lease", type=Path, metavar="LEASE")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("seconds", type=seconds, nargs="?", default=0.0, metavar="SECONDS")
    options = parser.parse_args()
    until = time.monotonic() + options.seconds
    while time.monotonic() < until and not has_ended(options.lease):
        time.sleep(0.5)
    collect(options.lease, options.out)
    print(table(options.lease), flush=True)


def has_ended(lease: Path) -> bool:
    """Return whether the daemon has ended or was killed."""
    daemon = _text(lease / "daemon.pid").strip()
    try:
        alive = b"lease.py" in Path(f"/proc/{daemon}/cmdline").read_bytes()  # of a zombie it is empty
    except OSError:
        alive = False
    return not alive


def collect(lease: Path, out: Path) -> None:
    """Write the pieces into `out`."""
    before: dict[str, str] = json.loads(_text(lease / "collected.json") or "{}")
    number = int(before.get("number", "0")) + 1
    small, large = found(lease)
    content = io.BytesIO()
    left = []
    with tarfile.open(fileobj=content, mode="w:gz", compresslevel=3) as tar:
        for name, source, digest in [*small, *large]:
            try:
                data = source if isinstance(source, bytes) else source.read_bytes()
            except FileNotFoundError:
                continue  # replaced a moment ago
            digest = digest or hashlib.md5(data).hexdigest()
            if before.get(name) != digest:
                if content.tell() + len(data) > ROOM:
                    left.append(name)
                    continue
                entry = tarfile.TarInfo(name)
                entry.size, entry.mtime = len(data), int(time.time())
                tar.addfile(entry, io.BytesIO(data))
                before[name] = digest
    packed = content.getvalue()
    out.mkdir(parents=True, exist_ok=True)
    for index, start in enumerate(range(0, len(packed), PIECE)):
        (out / f"lease-{number:02}.tar.gz.{index:02}").write_bytes(packed[start : start + PIECE])
    files.write_json(lease / "collected.json", before | {"number": str(number)})
    print(f"collect: {len(packed):,} bytes; no room for {len(left)} files", flush=True)


Source = tuple[str, Path | bytes, str]  # name in the archive, what, its MD5 if that is known


def found(lease: Path) -> tuple[list[Source], list[Source]]:
    """Return what is always packed, and weights and predictions, the most important first."""
    items: dict[str, Any] = {}
    small: list[Source] = []
    large: list[Source] = []
    for folder in finished(lease).values():
        name = folder.parent.name
        drawn = json.loads(_text(folder / "figures.json") or "{}")
        outputs = {**files.read_json(folder / "outputs.json"), **drawn}
        items[name] = {"seeds": int(folder.name), "figures": bool(drawn), "files": outputs}
        for path, facts in outputs.items():
            (large if path.startswith(LARGE) else small).append((path, folder / path, facts["md5"]))
    params = load_params()
    manifest = {
        "items": items,
        "data": {key: one["files"] for key, one in files.read_json(lease / "manifest.json")["data"].items()},
        "code": {
            name: code_by_phase(item, params.feature_maps.get(name, []))
            for name, item in items_of(params, items).items()
        },
    }
    small.insert(0, ("manifest.json", json.dumps(manifest).encode(), ""))  # in case later pieces are lost
    small += [(path.name, path, "") for path in sorted(lease.glob("*")) if path.suffix in (".log", ".csv")]
    small.append(("status.json", lease / "status.json", ""))
    small += [
        (f"ledger/{path.parent.name}.json", path, "") for path in sorted(lease.glob("ledger/*/finished.json"))
    ]
    return small, [*sorted(large, key=lambda one: _rank(one, items)), *for_the_next(lease)]


def for_the_next(lease: Path) -> list[Source]:
    """Return what the next lease can resume, once this one has ended, the smallest first: the newest
    checkpoint of what was begun, and the weights of trainings that are in no item's results yet."""
    if not has_ended(lease):
        return []
    seeds = {name: int(folder.name) for name, folder in finished(lease).items()}
    paths: list[Path] = []
    for row in files.read_json(lease / "status.json")["trainings"]:
        own = lease / "ledger" / row["key"]
        wanted_by = [item.rsplit(":", 1) for item in row["items"]]
        if row["state"] == "done":
            left = not any(int(level) <= seeds.get(name, 0) for name, level in wanted_by)
            paths += own.glob("model.safetensors") if left else []
        else:
            paths += sorted(own.glob("checkpoints/*.safetensors"))[-1:]
    paths.sort(key=lambda path: path.stat().st_size)
    return [(str(path.relative_to(lease)), path, f"{path.parent.name}/{path.name}") for path in paths]


def finished(lease: Path) -> dict[str, Path]:
    """Return by name where the results with the most seeds are."""
    best: dict[str, Path] = {}
    for folder in sorted(lease.glob("finished/*/*")):
        best[folder.parent.name] = folder
    return best


def table(lease: Path) -> str:
    """Return how the lease stands: a line for each item."""
    status = json.loads(_text(lease / "status.json") or '{"trainings": []}')
    states: dict[str, dict[str, int]] = {}
    for training in status["trainings"]:
        for item in training["items"]:
            own = states.setdefault(item.split(":")[0], {})
            own[training["state"]] = own.get(training["state"], 0) + 1
    seeds = {name: folder.name for name, folder in finished(lease).items()}
    lines = [
        f"{name:30} results of {seeds.get(name, 'no')} seeds; trainings: "
        + ", ".join(f"{number} {state}" for state, number in sorted(own.items()))
        for name, own in states.items()
    ]
    return "\n".join(lines)


def _rank(one: Source, items: dict[str, Any]) -> tuple[int, int, str]:
    """Rank predictions first, then first seeds of champions, of experiments, then the rest."""
    plan = read_plan(PLAN)
    path = Path(one[0])
    name = path.parent.name if path.parts[1] == files.MODELS.name else path.stem
    if path.parts[1] == files.PREDICTIONS.name:
        return 0, 0, one[0]
    own = sorted(other for other in items[name]["files"] if other.startswith(f"{path.parent}/"))
    first = own[0] == one[0] and f"metrics/{name}/train.json" in items[name]["files"]
    names = [*plan.champions, *(entry.name for entry in plan.entries)]
    place = names.index(name) if name in names else len(names)  # of another plan
    return (1 if first and name in plan.champions else 2 if first else 3), place, one[0]


def _text(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


if __name__ == "__main__":
    run(main)
