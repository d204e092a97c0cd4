"""What is asked of experiments: sweeps of their keys, claims about their results; and the whole of the files.

Light on purpose (no torch): every command and every stage imports it.
"""

from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field, model_validator

from convlab.schema.curve_quantities import OF_CURVES
from convlab.schema.datasets import DatasetEntry
from convlab.schema.experiment import SPLITS, Experiment
from convlab.schema.section import Count, NonNegative, Section, refused

# What any two results are compared by: see `results.rows`
METRICS = (
    *(f"{split}_{score}" for split in SPLITS for score in ("accuracy", "loss")),
    "running_accuracy",
    "running_loss",
    "penalised_test_loss",
    "gap",
    "kernel_norm",
    "weight_norm",
)
# What else a claim may compare: quantities of the curves, an epoch's median seconds, and within one result
WITHIN = ("confusion_share", "map_distance")
COMPARABLE = (*METRICS, *OF_CURVES, "epoch_seconds", *WITHIN)
Relation = Literal["above", "below", "same", "not_above"]
Than = Literal["others", "every other", "average"]
# What a claim about `confusion_share` has to say, besides a result
OF_CONFUSIONS = {
    "pairs": "pairs of classes, such as 5/3 or deer->frog",
    "than": " or ".join(map(repr, get_args(Than))),
}


def _two_classes(pair: str) -> str:
    one, _, other = pair.replace("->", "/").partition("/")
    if not (one and other) or one == other or "/" in other or ">" in pair.replace("->", ""):
        raise refused("", repr(pair), "two classes, as 5/3 (either way) or deer->frog")
    return pair


Pair = Annotated[str, AfterValidator(_two_classes)]


class Trial(Section):
    """One training of a trial: a sweep's point (or the experiment itself) with one seed.

    Trainings of the same `name` are one trial. `overrides`: what it varies; `experiment`: the whole of it;
    `base`: the name of the experiment that is varied, which a resolved configuration does not hold.
    """

    name: str
    overrides: dict[str, Any]
    experiment: Experiment
    base: str | None = Field(default=None, exclude=True)  # no training depends on it


class Sweep(Section):
    """The trainings of a sweep: each trial once per seed."""

    trials: list[Trial]


class SweepEntry(Section):
    """A sweep in studies.yaml.

    `grid`: key → values, all combinations; `variants`: name → overrides; both of one `experiment`.
    `experiments`: the same overrides for several.
    """

    experiment: str | None = None
    """The experiment whose keys are varied, by `grid` or `variants`."""
    experiments: Annotated[list[str], Field(min_length=1)] | None = None
    """Several experiments that are trained with the same `overrides`, instead of one that is varied."""
    seeds: Count | None = None
    """The number of seeds of each trial, instead of the experiment's."""
    overrides: dict[str, Any] = Field(default_factory=dict)
    """Keys that every trial changes; `model.strides` names a key within a section."""
    grid: Annotated[dict[str, Annotated[list[Any], Field(min_length=1)]], Field(min_length=1)] | None = None
    """Key → values: a trial for each combination."""
    variants: Annotated[dict[str, dict[str, Any]], Field(min_length=1)] | None = None
    """Name → overrides: a trial for each name."""

    @model_validator(mode="after")
    def _one_kind(self) -> "SweepEntry":
        given = [key for key in ("grid", "variants", "experiments") if getattr(self, key) is not None]
        if len(given) != 1:
            raise refused(
                "", f"{' and '.join(given) or 'none'} of grid, variants, experiments", "exactly one of them"
            )
        if self.experiments and self.experiment:
            raise refused("experiment", "a name beside experiments", "one of the two")
        if not self.experiments and not self.experiment:
            raise refused("experiment", "nothing", "the name of an experiment")
        return self


class Claim(Section):
    """What a report says of two results: `a` lies above `b`, below it, or within `margin` of it.

    A result is an experiment, or a sweep's trial as `sweep/trial`. With `confusion_share` or `map_distance`
    it is about `a` alone, an experiment, and has no `b`.
    """

    report: Literal["R0", "R1", "R2", "R3", "R4"]
    """The report that says it."""
    says: str
    """The claim in words, for the table."""
    metric: Literal[COMPARABLE]  # type: ignore[valid-type]
    """The quantity that is compared: a score or a norm; `early_accuracy`, `oscillation_…` and
    `rise_validation_loss`, read off the curves; `epoch_seconds`, on the same hardware alone; or within `a`:
    `confusion_share`, of `pairs`, and `map_distance`, of confused images at the last convolution."""
    a: str
    """A result."""
    relation: Relation
    """`a` lies above `b`, below it, within `margin` of it, or not above it by more than `margin`."""
    b: str | None = None
    """The result that `a` is compared with."""
    margin: NonNegative = 0.0
    """The difference that has to be exceeded, or with `same` and `not_above` the one that is allowed."""
    pairs: Annotated[list[Pair], Field(min_length=1)] | None = None
    """Classes that are confused, for `confusion_share`: `5/3`, either way, or `deer->frog`."""
    than: Than | None = None
    """Compare `pairs` with as many other pairs, the most frequent ones, or with as many average ones; with
    `every other`, the rarest of `pairs` with the most frequent other one."""

    @model_validator(mode="after")
    def _same_needs_a_margin(self) -> "Claim":
        if self.relation == "same" and not self.margin:
            raise refused("margin", "nothing", "the difference that still counts as the same, such as 0.002")
        return self

    @model_validator(mode="after")
    def _two_results_or_one(self) -> "Claim":
        if self.metric in WITHIN and self.b is not None:
            raise refused("b", self.b, f"nothing with {self.metric}, which compares parts of a alone")
        if self.metric not in WITHIN and self.b is None:
            raise refused("b", "nothing", "the result that a is compared with")
        if self.metric in WITHIN and "/" in self.a:
            raise refused("a", self.a, f"an experiment with {self.metric}: a trial has no such files")
        for key in ("pairs", "than"):
            given = getattr(self, key)
            if self.metric == "confusion_share" and given is None:
                raise refused(key, "nothing", OF_CONFUSIONS[key])
            if self.metric != "confusion_share" and given is not None:
                raise refused(key, given, f"nothing with {self.metric}")
        return self


class Params(Section):
    """The whole of params.yaml, checked and resolved. `warnings`: what is valid, but probably a mistake."""

    run: list[str]
    """The experiments that `dvc repro` computes."""
    run_sweeps: list[str]
    """The sweeps that `dvc repro` computes."""
    own: dict[str, DatasetEntry]
    """Your own data sets, by name (`datasets` in params.yaml)."""
    experiments: dict[str, Experiment]
    """Each experiment by its name: the keys in which it differs from the defaults at the top."""
    sweeps: dict[str, Sweep]
    """Each sweep by its name."""
    claims: dict[str, Claim]
    """Each claim by its name; `make report` judges them."""
    feature_maps: dict[str, list[str]]
    """Test images whose feature maps are drawn, besides a correct and a wrong one: experiment → a list of
    `CLASS/INDEX`, the INDEX-th test image of the class, from 0."""
    thresholds: dict[str, dict[str, float]]
    """Minima for `make check`: experiment → accuracy → its threshold."""
    warnings: list[str]
    """What is valid, but probably a mistake."""

    def datasets(self) -> list[str]:
        """Return the data sets that the selected experiments and sweeps need, sorted, each once."""
        needed = {self.experiments[name].dataset for name in self.run}
        for name in self.run_sweeps:
            needed |= {trial.experiment.dataset for trial in self.sweeps[name].trials}
        return sorted(needed)
