"""R4's network by PyTorch and by hand in NumPy (engines.md)."""
