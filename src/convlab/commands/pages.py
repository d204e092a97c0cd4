"""What is written about all results: the pages of docs/, and the book."""

import sys
from pathlib import Path

from convlab import files


def report() -> int:
    """Put the reports' numbers beside ours, judge their claims, and write docs/configuration.md."""
    from convlab import headlines
    from convlab.config import reference
    from convlab.results import tables

    current = headlines.outputs(tables.outputs() | reference.outputs())
    for path, text in current.items():
        files.write_text(path, text)
    figure = headlines.draw()
    print(f"written: {', '.join(map(str, [*current, figure]))}")
    for hint in tables.hints(current):
        print(f"warning: {hint}", file=sys.stderr)
    return 0


def book(out: Path, fetch: bool) -> int:
    """Write the book of results, a site that opens from a file, unless it is there and up to date."""
    from convlab.book import inputs, runtime

    if fetch:
        runtime.fetch()
    left_out = inputs.left_out_of_current(out)
    if left_out is not None:
        print(f"{out / 'index.html'}: up to date")
    else:
        from convlab.book.site import write  # brings torch, which takes seconds

        done = write(out)
        left_out = done.left_out
        weight = f"{done.bytes / 1e6:.1f} MB, the front page {done.front_bytes / 1e3:.0f} kB"
        print(f"{done.front}: {done.pages} pages, {weight}")
    if left_out:
        print(f"the explore page is left out: {left_out}")
    return 0
