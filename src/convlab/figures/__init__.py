"""Figures: draw.py has all of an experiment or a sweep, each kind is in a module of its own."""
