"""Schedules of the learning rate: a file for each, `registry` with their names."""
