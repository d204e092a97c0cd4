"""The lease: everything that waits for a GPU, in one go, on a machine that is lent for minutes (lease.md)."""
