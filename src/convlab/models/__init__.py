"""The networks: a file for each family, `registry` with their names, `build` for an experiment's."""
