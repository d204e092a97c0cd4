"""MLflow, mirrored from the files (stub)."""


def mirror(name: str) -> None:
    """Mirror."""
