"""From prepared data to a result: what the stages do, and what a result says of its origin."""
