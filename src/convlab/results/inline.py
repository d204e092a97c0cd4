"""Our numbers within the prose of a page: `99.53%<!-- test_accuracy of mnist_vgg -->`, kept up to date."""

import re
from collections.abc import Mapping
from pathlib import Path
from statistics import mean

from convlab.config.explain import nearest
from convlab.errors import InputError
from convlab.results.quantities import QUANTITIES, text_of
from convlab.results.read import Plan, find

NUMBER = re.compile(
    r"[^\s(]+<!-- (?P<quantity>\w+) of (?P<result>\S+) -->"
)  # a browser does not show comments


def fill(text: str, plans: Mapping[str, Plan], page: Path) -> str:
    """Return a page's text with each number replaced by the mean of its result's trainings, `–` without any.

    Raises:
        InputError: a comment names no quantity, or no result.
    """

    def number(match: re.Match[str]) -> str:
        quantity, result = match["quantity"], match["result"]
        for found, known, what in ((quantity, QUANTITIES, "quantity"), (result, plans, "result")):
            if found not in known:
                raise InputError(f"{page}: {match[0]}: unknown {what} {found!r}{nearest(found, list(known))}")
        values = find(result, plans).values(quantity)
        shown = text_of(quantity, mean(values)) if values else "–"
        return f"{shown}<!-- {quantity} of {result} -->"

    return NUMBER.sub(number, text)
