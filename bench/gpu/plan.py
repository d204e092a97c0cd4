"""What is to be trained: the items of plan.yaml as params.yaml resolves them, with up to three seeds."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from convlab.config import load_params, read_yaml, trials_of
from convlab.config.explain import nearest
from convlab.config.seed_counts import Item, with_seeds
from convlab.errors import InputError
from convlab.files import training
from convlab.schema import Params, Trial

SEEDS = 3  # the fewest that give an interval


@dataclass(frozen=True)
class Entry:
    """An item of the plan: `seconds` estimates one training; the `first` seeds are trained together."""

    name: str
    seconds: float
    first: int = 1


@dataclass(frozen=True)
class LeasePlan:
    """The items in order of priority; the weights of `champions` are returned first."""

    entries: list[Entry]
    champions: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Wanted:
    """One training of an item: `level` 1 is the first seed. Equal trainings of two items are two of these."""

    entry: Entry
    level: int
    trial: Trial

    @property
    def label(self) -> str:
        """What it is called in the log."""
        own = None if self.trial.name == self.entry.name else self.trial.name
        return f"{self.entry.name} {training(self.trial.experiment.seed, own)}"


def read_plan(path: Path) -> LeasePlan:
    """Return the plan that a file holds.

    Raises:
        InputError: it is not of this form.
    """
    content = read_yaml(path)
    try:
        plan = LeasePlan([Entry(**line) for line in content["items"]], list(content.get("champions", [])))
        bad = [
            line.name for line in plan.entries if not (line.seconds > 0 and line.first in range(1, SEEDS + 1))
        ]
    except (TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path}: not a plan ({error}); allowed: as in bench/gpu/plan.yaml") from None
    if bad:
        raise InputError(f"{path}: {bad[0]}: allowed: seconds above 0, first 1 to {SEEDS}")
    return plan


def load_items(names: Iterable[str], path: Path = Path("params.yaml")) -> dict[str, Item]:
    """Return the experiments and sweeps of these names, as params.yaml says.

    Raises:
        InputError: there is none of a name.
    """
    return items_of(load_params(path), names)


def items_of(params: Params, names: Iterable[str]) -> dict[str, Item]:
    """Return the experiments and sweeps of these names."""
    known: Mapping[str, Item] = {**params.experiments, **params.sweeps}
    for name in names:
        if name not in known:
            raise InputError(f"found {name!r}{nearest(name, known)}")
    return {name: known[name] for name in names}


def wanted(entries: Iterable[Entry], items: Mapping[str, Item], seeds: int = SEEDS) -> list[Wanted]:
    """Return every training in order of priority: the first seeds of everything, then the next, …"""
    found = []
    for entry in entries:
        seen: Counter[str] = Counter()
        for trial in trials_of(entry.name, with_seeds(items[entry.name], seeds)):
            seen[trial.name] += 1
            found.append(Wanted(entry, seen[trial.name], trial))
    return sorted(found, key=lambda one: max(one.level - one.entry.first, 0))  # else as in the plan
