"""How fast a training is, beside other frameworks: `make bench`, and whole trainings against the clock."""
