"""Breaking things on purpose: faults at random moments, damaged files, bad input (README.md)."""
