"""What is wrong with an input, in one line: the key as the user wrote it, what was found, what is allowed."""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from convlab.errors import InputError
from convlab.schema import Section


def validate(
    schema: type[Any],
    content: Any,
    where: str,
    defaults: Mapping[str, Any] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Any:
    """Validate, and turn pydantic's first error into one line that names the key where the user wrote it."""
    try:
        return schema.model_validate(content)
    except ValidationError as failure:
        errors = failure.errors(include_url=False)
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise InputError(_explain(schema, errors[0], where, defaults, overrides) + more) from None


def _explain(
    schema: type[BaseModel],
    error: Any,
    where: str,
    defaults: Mapping[str, Any] | None,
    overrides: Mapping[str, Any] | None,
) -> str:
    # The name of a union's member stands in the path; it is no key of the file.
    path = [part for part in error["loc"] if not (isinstance(part, str) and part in _TAGS)]
    kind, found, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "value_error":  # ours: "key|found|allowed", from a validator
        key, shown, allowed = str(context["error"]).split("|")
        path += [key] if key else []
        return f"{_locate(path, where, defaults, overrides)}: found {shown}; allowed: {allowed}"
    if kind == "extra_forbidden":
        owner = _locate(path[:-1], where, defaults, overrides) if path[:-1] else where.strip(". :")
        return f"{owner}: unknown key `{path[-1]}`{nearest(path[-1], _fields(schema, path[:-1]))}"
    place = _locate(path, where, defaults, overrides)
    if kind == "missing":
        return f"{place}: missing; add it here or among the defaults at the top"
    if kind in ("literal_error", "union_tag_invalid"):
        if kind == "union_tag_invalid":
            place, found = f"{place}.name", found.get("name")
        names = re.findall("'([^']+)'", context.get("expected") or context["expected_tags"])
        return f"{place}: found {show(found)}{nearest(found, names)}"
    if kind == "union_tag_not_found":
        return f"{place}: found {show(found)}; allowed: a mapping with a `name`"
    message = error["msg"].removeprefix("Input should be ").removeprefix("Value should have ")
    return f"{place}: found {show(found)}; allowed: {message}"


# `vgg`, `adam`, `plateau` …: the names of a union's members, which pydantic puts into an error's path
_TAGS = {
    tag
    for section in Section.__subclasses__()
    if "name" in section.model_fields
    for tag in get_args(section.model_fields["name"].annotation)
}


def _fields(schema: type[BaseModel], path: list[Any]) -> list[str]:
    """List the keys allowed at a path of the schema (for the nearest name to a typo)."""
    models: list[type[BaseModel]] = [schema]
    for part in path:
        fields = [model.model_fields[part] for model in models if part in model.model_fields]
        if fields:  # not so for a position in a list: its elements' models are found already
            models = [found for field in fields for found in _models_in(field.annotation)]
    return [name for model in models for name in model.model_fields]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models_in(part)]


def _locate(
    path: list[Any], where: str, defaults: Mapping[str, Any] | None, overrides: Mapping[str, Any] | None
) -> str:
    """Name the key where the user wrote it: among the overrides, else among the defaults at the top."""
    dotted = ".".join(str(part) for part in path)
    if defaults is None or overrides is None or _holds(overrides, path) or not _holds(defaults, path):
        return f"{where}{dotted}"
    return dotted


def _holds(tree: Any, path: list[Any]) -> bool:
    for part in path:
        inside = (
            part in tree if isinstance(tree, Mapping) else isinstance(tree, list) and part in range(len(tree))
        )
        if not inside:
            return False
        tree = tree[part]
    return True


def nearest(name: Any, allowed: Iterable[str]) -> str:
    """Say what is allowed, and the nearest of it to a typo."""
    allowed = list(allowed)
    close = difflib.get_close_matches(str(name), allowed, n=1)
    hint = f"; did you mean `{close[0]}`?" if close else ""
    return f"; allowed: {', '.join(allowed)}{hint}"


def show(value: Any) -> str:
    """Show a value and its type, shortened."""
    if value is None:
        return "nothing"
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '…'} ({type(value).__name__})"
