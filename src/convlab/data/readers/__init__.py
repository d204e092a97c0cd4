"""Readers of raw data: a file for each format of the catalogue, `registry` with their names."""
