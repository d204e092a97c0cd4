"""Train what the tables and claims lack, one result after the other, for as long as there is time."""
