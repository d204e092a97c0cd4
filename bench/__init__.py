"""Measurements, each a command of its own: speed, fidelity, and what waits for a GPU (README.md)."""
