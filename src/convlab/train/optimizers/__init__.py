"""Optimisers: a file for each, `registry` with their names."""
