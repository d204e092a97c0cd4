"""The lease: everything that needs a GPU, in one session on a machine rented for minutes (gpu.md)."""
