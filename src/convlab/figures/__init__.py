"""Figures of experiments and sweeps."""

from convlab.schema import Experiment, Sweep


def draw_experiment(name: str, experiment: Experiment) -> list[str]:
    """Draw the figures of an experiment."""
    return []


def draw_sweep(name: str, sweep: Sweep) -> list[str]:
    """Draw the figures of a sweep."""
    return []
