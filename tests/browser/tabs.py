"""A page of the book in a browser."""

from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


class Tab:
    """A page of the book in a browser; `said`: its console messages; `loaded`: its requests."""

    def __init__(self, browser: Any, width: int, theme: str):
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=theme, offline=True
        )
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.loaded: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("request", lambda request: self.loaded.append(request.url))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))

    def open(self, path: Path, place: str = "") -> Any:
        """Open a file and wait until what it draws stands."""
        self.page.goto("about:blank")
        self.loaded.clear()
        self.page.goto(path.as_uri() + place)
        self.page.wait_for_function(
            "[...document.querySelectorAll('.plot')].every(plot => plot.childNodes.length)"
        )
        return self.page

    def serious(self) -> list[tuple[str, str]]:
        """Return what axe finds on the open page that is serious: the rule, and the first place."""
        axe = pytest.importorskip(
            "axe_playwright_python", reason="`pip install axe-playwright-python` brings axe"
        )
        self.page.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text())
        report = self.page.evaluate(
            "axe.run({preload: false})"
        )  # preloading requests what file:// cannot serve
        return [
            (one["id"], one["nodes"][0]["html"])
            for one in report["violations"]
            if one["impact"] in ("serious", "critical")
        ]
