"""The same trainings in other frameworks, written as their own documentation teaches."""
