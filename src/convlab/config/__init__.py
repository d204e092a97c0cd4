"""params.yaml and studies.yaml, read, checked and resolved: one module for each job; import from here."""

from convlab.config.params import APART, STUDIES, load_declared, load_params, read_params
from convlab.config.resolved import (
    dump_item,
    load_experiment,
    load_feature_maps,
    load_item,
    load_sweep,
    trials_of,
)
from convlab.config.strict_yaml import read_yaml
from convlab.config.sweeps import merge, nest

__all__ = [
    "APART",
    "STUDIES",
    "dump_item",
    "load_declared",
    "load_experiment",
    "load_feature_maps",
    "load_item",
    "load_params",
    "load_sweep",
    "merge",
    "nest",
    "read_params",
    "read_yaml",
    "trials_of",
]
