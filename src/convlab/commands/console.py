"""Tables of the commands, and the console that prints them."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # importing them takes a tenth of a second, which `--help` need not wait for
    from rich.console import Console
    from rich.table import Table


def empty_table(title: str, *columns: str) -> "Table":
    """Return an empty table; columns of numbers are right-aligned."""
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in columns:
        left = column in ("experiment", "sweep", "trial", "device", "letter", "parameter", "metric")
        table.add_column(column, justify="left" if left else "right", overflow="fold")
    return table


def wide_console() -> "Console":
    """Return the console for tables; without a terminal it is wide enough for all of them.

    It prints what it is given: a class may be called `[cat]` or `:cat:`, a setting may be a list in brackets.
    """
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 120, markup=False, emoji=False)
