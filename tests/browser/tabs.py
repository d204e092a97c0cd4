"""A page of the book in a browser."""

from pathlib import Path
from typing import Any

import pytest
from repository import ROOT

from convlab.book import runtime


def link_runtime(folder: Path) -> bool:
    """Link this clone's ONNX Runtime Web into another; return whether it is here."""
    kept = ROOT / ".convlab" / runtime.folder().name
    if kept.is_dir():
        (folder / ".convlab").mkdir()
        (folder / ".convlab" / kept.name).symlink_to(kept)
    return kept.is_dir()


class Tab:
    """A page of the book in a browser; `said`: its console messages; `loaded`: its requests."""

    def __init__(self, browser: Any, width: int, theme: str):
        self.width, self.theme = width, theme
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=theme, offline=True
        )
        self.context.set_default_timeout(180_000)  # the machine may be busy
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

    def photograph(self, name: str, folder: Path | None) -> None:
        """Write NAME-THEME-WIDTH.png of the whole open page into a folder, if there is one to be."""
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self.page.evaluate("""() => Promise.all([...document.images].map(image => {
              image.loading = "eager";
              return image.decode();
            }))""")
            self.page.screenshot(path=folder / f"{name}-{self.theme}-{self.width}.png", full_page=True)

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
