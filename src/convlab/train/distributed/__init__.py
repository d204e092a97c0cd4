"""One training on several devices of a machine: a process for each, with its share of every batch."""
