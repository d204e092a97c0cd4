"""R4's network in PyTorch and in plain NumPy (engines.md)."""
