"""Measurements, each a command of its own: speed, fidelity, and trainings that need a GPU (README.md)."""
