"""The schema of params.yaml: one typed, frozen section for each part of an experiment.

Light on purpose (no torch): every command and every stage imports it.
"""

from convlab.schema.datasets import DatasetEntry
from convlab.schema.experiment import MOST_DEVICES, SPLITS, Experiment, Framework, L2On
from convlab.schema.models import CNN, Model, PreAct, ResNet, SpeedRun
from convlab.schema.section import Section, number
from convlab.schema.study import (
    COMPARABLE,
    METRICS,
    WITHIN,
    Claim,
    Params,
    Relation,
    Sweep,
    SweepEntry,
    Trial,
)
from convlab.schema.training import EarlyStopping

__all__ = [
    "CNN",
    "COMPARABLE",
    "METRICS",
    "MOST_DEVICES",
    "SPLITS",
    "WITHIN",
    "Claim",
    "DatasetEntry",
    "EarlyStopping",
    "Experiment",
    "Framework",
    "L2On",
    "Model",
    "Params",
    "PreAct",
    "Relation",
    "ResNet",
    "Section",
    "SpeedRun",
    "Sweep",
    "SweepEntry",
    "Trial",
    "number",
]
