"""The pages and their assets, written into a folder: all of them, or the folder stays as it was."""

import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt

from convlab import markdown
from convlab.book import chapter, claim, comparison, explore, front, inputs, runtime
from convlab.book.contents import Chapter, Contents, load
from convlab.book.explore import Absent, Explorable
from convlab.book.images import Images
from convlab.errors import InputError

STATIC = Path(__file__).parent / "static"
DVC_PAGE = Path(".dvc/plots/page.html")  # contains Vega: the only copy in the repository
MARK = "made by `convlab book`"  # in the front page of a folder that may be replaced


@dataclass(frozen=True)
class Written:
    """What was written: the front page, the number of pages, the bytes of the front page with what it loads,
    and those of everything."""

    front: Path
    pages: int
    front_bytes: int
    bytes: int
    left_out: str  # why the explore page is not among them; "" where it is


def write(out: Path) -> Written:
    """Write the book into a folder, in place of an earlier one there.

    Raises:
        InputError: a result or a page is wrong, or the folder holds something other than a book.
    """
    target = out.resolve()  # of a link, what it leads to
    if out.exists() and not _is_book(out):
        raise InputError(
            f"--out: found {out}, which is not a book; allowed: a new or empty folder, or that of a book"
        )
    made_from = inputs.digest()  # before anything is read: what changes meanwhile is found the next time
    contents = load()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    except OSError as error:
        raise InputError(f"--out: {target.parent}: cannot be written: {error.strerror}") from None
    book, earlier = folder / "book", folder / "earlier"
    try:
        book.mkdir()
        left_out = fill(book, contents)
        inputs.keep(book, made_from, left_out)
        if target.exists():
            target.rename(earlier)
        book.rename(target)
    finally:
        if earlier.exists() and not target.exists():
            earlier.rename(target)
        shutil.rmtree(folder, ignore_errors=True)
    files = [path for path in out.rglob("*") if path.is_file()]
    loaded = [out / "index.html", *(out / "assets" / name for name in ("book.css", "book.js"))]
    return Written(
        out / "index.html",
        sum(path.suffix == ".html" for path in files),
        sum(path.stat().st_size for path in loaded),
        sum(path.stat().st_size for path in files),
        left_out,
    )


def fill(folder: Path, contents: Contents) -> str:
    """Write every page and asset into an empty folder; return why the explore page is not among them."""
    left_out = explore.missing()
    networks, absent = ([], []) if left_out else explore.networks(contents)
    environment = _environment(contents, ["compare", "explore"] if networks else ["compare"])
    for path, template, context in _pages(contents, Images(folder)):
        target = folder / path
        target.parent.mkdir(exist_ok=True)
        page = environment.get_template(template)
        target.write_text(page.render(root="../" * path.count("/"), path=path, **context), encoding="utf-8")
    if networks:
        _write_explore(folder, environment, networks, absent)
    for asset in STATIC.iterdir():
        shutil.copy(asset, folder / "assets" / asset.name)
    (folder / "assets/vega.js").write_text(vega(), encoding="utf-8")
    for name, module in (("results", chapter), ("differences", comparison)):
        text = script(name, module.data(contents))
        (folder / f"assets/{name}.js").write_text(text, encoding="utf-8")
    return left_out or ("" if networks else "no network of these results is here; `dvc repro` trains them")


def _write_explore(
    folder: Path, environment: Environment, found: list[tuple[Explorable, str]], absent: list[Absent]
) -> None:
    """Write the explore page, with the runtime and the networks that it loads when they are needed."""
    networks = [network for network, _ in found]
    (folder / "assets/runtime.js").write_text(runtime.script(), encoding="utf-8")
    for network, text in found:
        line = f"(window.weights ??= {{}})[{json.dumps(network.name)}] = {json.dumps(text)};\n"
        (folder / network.script).write_text(line, encoding="utf-8")
    page = environment.get_template("explore.html")
    text = page.render(root="", path="explore.html", **explore.context(folder, networks, absent))
    (folder / "explore.html").write_text(text, encoding="utf-8")


def _pages(contents: Contents, images: Images) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield (address, template, context) of each page."""
    yield "index.html", "front.html", front.context(contents)
    yield "compare.html", "compare.html", comparison.context(contents)
    for one in contents.chapters:
        yield f"reports/{one.name}.html", "chapter.html", chapter.context(contents, one, images)
    for judged in contents.claims:
        yield f"claims/{judged['name']}.html", "claim.html", claim.context(contents, judged)


def _environment(contents: Contents, extras: list[str]) -> Environment:
    environment = Environment(
        loader=PackageLoader("convlab.book"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    parser = MarkdownIt("commonmark", {"html": False})
    environment.filters["markdown"] = parser.render
    environment.filters["inline"] = parser.renderInline
    environment.filters["anchor"] = lambda text: re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    environment.globals |= {
        "mark": MARK,
        "extras": extras,
        "menu": [(one.name, _title(one)) for one in contents.chapters],
    }
    return environment


def _title(one: Chapter) -> str:
    return one.name if one.report and one.name != "beyond" else one.name.capitalize()


def script(name: str, content: Any) -> str:
    """Return a script that defines a global: what a page that is opened from a file can load."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return f"window.{name} = {text};\n"


def vega() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script, from DVC's page of plots.

    Raises:
        InputError: they are not in it.
    """
    page = markdown.read(DVC_PAGE) if DVC_PAGE.is_file() else ""
    found = re.findall(
        r"<!-- (vega\S* [\d.]+, BSD-3-Clause).*? -->\s*<script>(.*?)</script>", page, re.DOTALL
    )
    if not found:
        raise InputError(f"{DVC_PAGE}: found no Vega in it; `git checkout {DVC_PAGE}` brings it back")
    return "\n".join(f"/* {licence} */\n{code}" for licence, code in found)


def _is_book(out: Path) -> bool:
    if not out.is_dir():
        return False
    front = out / "index.html"
    return not any(out.iterdir()) or (
        front.is_file() and MARK in front.read_text(encoding="utf-8", errors="replace")
    )
