"""The hash of a module's syntax tree, the same on every Python from 3.11 on, which can all import this."""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any


@cache
def hash_source(path: Path) -> str:
    """Return a hash of a module's syntax tree without docstrings, the same on every Python from 3.11 on."""
    tree = ast.parse(path.read_bytes())
    return hashlib.sha256("".join(_canonical(tree)).encode()).hexdigest()[:16]


def _canonical(node: Any) -> Iterator[str]:
    """Serialise a syntax tree. Empty fields are left out: which fields exist depends on Python's version."""
    match node:
        case ast.AST():
            yield f"({type(node).__name__}"
            for name, value in ast.iter_fields(node):
                inner = _telling(node, name, value)
                if inner not in (None, []) and name not in ("kind", "type_comment", "type_ignores", "ctx"):
                    yield f" {name}="
                    yield from _canonical(inner)
            yield ")"
        case list():
            yield "["
            for part in node:
                yield from _canonical(part)
            yield "]"
        case _:
            yield f"{node!r},"


def _telling(node: ast.AST, field: str, value: Any) -> Any:
    """Return a field without what means nothing: docstrings, empty strings in f-strings (Python 3.12's)."""
    match node, field:
        case ((ast.Module() | ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef()), "body"):
            return value[1:] if ast.get_docstring(node, clean=False) is not None else value
        case ast.JoinedStr(), "values":
            return [part for part in value if not (isinstance(part, ast.Constant) and part.value == "")]
        case _:
            return value
