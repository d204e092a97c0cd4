"""How many seeds an item has: read, changed in memory, and set in params.yaml and studies.yaml line by line,
so that comments and everything else stay."""

import re
from collections.abc import Mapping
from pathlib import Path

from convlab.config import load_params
from convlab.config.strict_yaml import read_yaml
from convlab.errors import InputError
from convlab.files import STUDIES, write_text
from convlab.schema import Experiment, Params, Sweep, Trial

Item = Experiment | Sweep


def with_seeds(item: Item, seeds: int) -> Item:
    """Return the item as params.yaml with `seeds: seeds` would resolve it."""
    if isinstance(item, Experiment):
        return item.model_copy(update={"seeds": seeds})
    firsts: dict[str, Trial] = {}
    for trial in item.trials:
        firsts.setdefault(trial.name, trial)
    trials = [
        trial.model_copy(update={"experiment": one})
        for trial in firsts.values()
        for one in trial.experiment.model_copy(update={"seeds": seeds}).each_seed()
    ]
    return Sweep(trials=trials)


def seeds_of(item: Item) -> int:
    """Return how many seeds each of its results has."""
    if isinstance(item, Experiment):
        return item.seeds
    return max(sum(other.name == trial.name for other in item.trials) for trial in item.trials)


def set_seeds(path: Path, wanted: Mapping[str, int]) -> list[str]:
    """Set the number of seeds of some items, leaving all others; return a line for each key that was set.

    An experiment's `seeds` hold for the sweeps over it too, which therefore get a number of their own.

    Raises:
        InputError: the text is not laid out as expected; nothing is changed then.
    """
    before = load_params(path)
    files = {section: holding(section, path) for section in ("experiments", "sweeps")}
    texts = {file: file.read_text(encoding="utf-8") for file in files.values()}
    known: dict[str, Item] = {**before.experiments, **before.sweeps}
    target = {
        name: with_seeds(item, wanted[name]) if name in wanted else item for name, item in known.items()
    }
    changed = []
    now = known
    try:
        for name in sorted(known, key=lambda name: not isinstance(known[name], Experiment)):
            if now[name] != target[name]:
                section = "experiments" if name in before.experiments else "sweeps"
                seeds = seeds_of(target[name])
                file = files[section]
                write_text(file, edited(file.read_text(encoding="utf-8"), section, name, seeds))
                changed.append(f"{section}.{name}.seeds: {seeds}")
                now = _items(load_params(path))  # others may be based on it
        if now != target:
            raise InputError(f"{path}: set these by hand: {', '.join(changed)}")
    except BaseException:
        for file, text in texts.items():
            write_text(file, text)
        raise
    return changed


def edited(text: str, section: str, name: str, seeds: int) -> str:
    """Return params.yaml or studies.yaml with the number of seeds of one experiment or sweep.

    Raises:
        InputError: no line begins with its name.
    """
    lines = text.splitlines(keepends=True)
    start = next((i for i, line in enumerate(lines) if line.startswith(f"{section}:")), len(lines))
    pattern = re.compile(rf"^  {re.escape(name)}: *(\{{.*|#.*)?$")
    place = next((i for i in range(start + 1, len(lines)) if pattern.match(lines[i].rstrip("\n"))), None)
    if place is None:
        raise InputError(
            f"{section}.{name}: found no line that begins with `{name}:`; set its seeds to {seeds} by hand"
        )
    own, opened, rest = lines[place].partition("{")
    if opened and "#" not in own:  # all on one line: `name: {experiment: …}`
        rest, known = re.subn(r"\bseeds: *\d+", f"seeds: {seeds}", rest, count=1)
        lines[place] = f"{own}{{{'' if known else f'seeds: {seeds}, '}{rest}"
        return "".join(lines)
    end = place + 1
    while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
        found = re.match(r"^    seeds: *\d+(.*)$", lines[end], re.DOTALL)
        if found:
            lines[end] = f"    seeds: {seeds}{found.group(1)}"
            return "".join(lines)
        end += 1
    lines.insert(place + 1, f"    seeds: {seeds}\n")
    return "".join(lines)


def holding(section: str, path: Path) -> Path:
    """Return the file that has a section: params.yaml or the studies.yaml beside it."""
    studies = path.with_name(STUDIES.name)
    return studies if studies.exists() and section in read_yaml(studies) else path


def _items(params: Params) -> dict[str, Item]:
    return {**params.experiments, **params.sweeps}
