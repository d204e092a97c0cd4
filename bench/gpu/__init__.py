"""The lease: everything that waits for a GPU, in one go, on a machine that is rented for minutes (gpu.md)."""
