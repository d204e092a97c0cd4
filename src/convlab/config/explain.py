"""What is wrong with an input, in one line: the key as the user wrote it, what was found, what is allowed."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from convlab.errors import InputError
from convlab.schema import Section
from convlab.schema.section import REFUSED


class Conflict(InputError):
    """Settings that are each allowed, but conflict with each other."""


# Where a configuration comes from: pairs of a prefix and what is written there, the one that wins first.
# `("experiments.digits.", {…}), ("", {…})`: the overrides of an experiment, then the defaults at the top.
Layers = Sequence[tuple[str, Mapping[str, Any]]]

ALLOWED = {  # pydantic's messages for these name its own types
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
    "dict_type": "a mapping of keys to values",
    "union_tag_not_found": "a mapping with a `name`",
    "list_type": "a list",
    "too_short": "at least {min_length} in it",
    "too_long": "at most {max_length} in it",
}


def validate(schema: type[Any], content: Any, layers: Layers) -> Any:
    """Validate a configuration that was merged from layers.

    Raises:
        InputError: one line on the first error, which names the key in the layer where the user wrote it; a
            `Conflict` if nothing is wrong with that key alone.
    """
    try:
        return schema.model_validate(content)
    except ValidationError as failure:
        # A typo first, rather than the key that it leaves missing
        errors = sorted(
            failure.errors(include_url=False), key=lambda error: error["type"] != "extra_forbidden"
        )
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        kind = Conflict if errors[0]["type"] == REFUSED else InputError
        raise kind(_explain(schema, errors[0], layers) + more) from None


def _explain(schema: type[BaseModel], error: Any, layers: Layers) -> str:
    path, siblings = _walk(schema, error["loc"])
    kind, found, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "extra_forbidden":
        owner = _place(path, layers).removesuffix(str(path[-1])).rstrip(".")
        unknown = f"unknown key `{short(str(path[-1]))}`{nearest(path[-1], siblings)}"
        return f"{owner}: {unknown}" if owner else unknown
    if kind == "missing":
        where = " here or among the defaults at the top" if len(layers) > 1 else ""
        return f"{_place(path, layers)}: missing; add it{where}"
    if kind == REFUSED:
        keys = filter(None, context["key"].split("."))
        return f"{_place([*path, *keys], layers)}: {error['msg']}"
    if kind in ("literal_error", "union_tag_invalid"):
        if kind == "union_tag_invalid":
            path, found = [*path, "name"], found["name"]
        names = re.findall("'([^']+)'", context.get("expected") or context["expected_tags"])
        return f"{_place(path, layers)}: found {show(found)}{nearest(found, names)}"
    allowed = error["msg"].removeprefix("Input should be ")
    if kind in ALLOWED:
        allowed = ALLOWED[kind].format(**context)
    return f"{_place(path, layers)}: found {show(found)}; allowed: {allowed}"


def _walk(schema: type[BaseModel], location: Sequence[Any]) -> tuple[list[Any], list[str]]:
    """Follow an error's location through the schema: the keys of the file on the way, and the last one's
    siblings. For a union, pydantic puts the name of the chosen member into the location; it is not a key."""
    path: list[Any] = []
    models: list[type[BaseModel]] = [schema]
    siblings: list[str] = []
    for part in location:
        chosen = [model for model in models if part in _names(model)]
        if len(models) > 1 and chosen:
            models = chosen
            continue
        if isinstance(part, str) and part.startswith("<"):
            continue
        path.append(part)
        if isinstance(part, str):
            siblings = [name for model in models for name in model.model_fields]
            fields = [model.model_fields[part] for model in models if part in model.model_fields]
            models = [found for field in fields for found in _models_in(field.annotation)]
    return path, siblings


def _names(model: type[BaseModel]) -> tuple[Any, ...]:
    return get_args(model.model_fields["name"].annotation) if "name" in model.model_fields else ()


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def _place(path: Sequence[Any], layers: Layers) -> str:
    """Return a key with the prefix of the layer that holds it, or its nearest parent."""
    for depth in range(len(path), -1, -1):
        for prefix, content in layers:
            if _holds(content, path[:depth]):
                return (prefix + ".".join(str(part) for part in path)).strip(".")
    return layers[0][0] + ".".join(str(part) for part in path)


def _holds(tree: Any, path: Sequence[Any]) -> bool:
    for part in path:
        if isinstance(tree, Mapping):
            inside = part in tree
        else:
            inside = isinstance(tree, list) and part in range(len(tree))
        if not inside:
            return False
        tree = tree[part]
    return True


def mapping(raw: Mapping[str, Any], key: str, parent: str) -> Mapping[str, Any]:
    """Return the mapping under a key, an empty one if the key is not there.

    Raises:
        InputError: its value is not a mapping.
    """
    value = raw.get(key, {})
    if not isinstance(value, Mapping):
        raise InputError(f"{parent}{key}: found {show(value)}; allowed: a mapping of keys to values")
    return value


def nearest(name: Any, allowed: Iterable[str]) -> str:
    """Return what is allowed, and which of it is closest to a typo."""
    allowed = list(dict.fromkeys(allowed))
    if not allowed:
        return "; there is none to choose from"
    close = difflib.get_close_matches(str(name), allowed, n=1)
    hint = f"; did you mean `{close[0]}`?" if close else ""
    return f"; allowed: {', '.join(allowed)}{hint}"


def show(value: Any) -> str:
    """Return a value and its type as text, shortened."""
    return "nothing" if value is None else f"{short(repr(value))} ({type(value).__name__})"


def short(text: str, most: int = 60) -> str:
    """Return a text, shortened to what fits a line."""
    return text if len(text) <= most else text[: most - 3] + "…"
