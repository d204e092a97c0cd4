"""docs/configuration.md: every key of params.yaml, from the schema, with examples from params.yaml itself."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from convlab import files, markdown
from convlab.config.params import STUDIES, load_params, read_params
from convlab.schema import Claim, Experiment, Params, Section, SweepEntry

PAGE = Path("docs/configuration.md")
INTRODUCTION = """\
# Configuration

Every key of `params.yaml`, and of `studies.yaml`, which holds `sweeps`, `claims`, `feature_maps` and
`thresholds`. This page is generated: `make report` writes it from the schema (`src/convlab/schema/`), with
examples from both files.

* **A key at the top** is the default of every experiment; an experiment states what differs from it. A
  section with the same `name` as the default's (or without one) is merged with it key by key; one with
  another `name` replaces it.
* **`base: NAME`** in an experiment inherits all keys that NAME states, and those of its own base, unless the
  experiment states them itself; they are merged as the defaults are. A change of the base (by hand, or
  `-S experiments.mnist_vgg.lr=0.01`) reaches every experiment on it that does not state the key:
  `convlab list` shows them as stale, and `dvc repro` retrains those that are selected. A key of the base
  is changed for one experiment alone by stating it there:
  `-S '++experiments.mnist_best.model.dropout=0.3'`.
* **On a command line**, `dvc exp run -S lr=0.01` changes a default, `-S experiments.digits.epochs=3` a key
  that an experiment states, and `-S '++experiments.digits.lr=0.01'` one that it does not state yet.
* **Before anything runs**, `convlab validate` checks all of it: an unknown key, a wrong type or a value out
  of range is one line that says what is allowed.
* Integers are below 2³¹ where no smaller limit is given.
"""
SHORT = 60  # characters of an example that fits into a table
UNBOUNDED = 2**31  # limits from here on are those of the machine
SchemaNode = Mapping[str, Any]  # of a JSON schema


def outputs() -> dict[Path, str]:
    """Return the current content of docs/configuration.md.

    Raises:
        InputError: params.yaml is wrong.
    """
    return {PAGE: page(load_params(files.PARAMS), read_params(files.PARAMS))}


def page(params: Params, written: Mapping[str, Any]) -> str:
    """Return the page; `written` is params.yaml as it stands, for the defaults and examples."""
    schema = Params.model_json_schema()
    definitions: dict[str, SchemaNode] = schema["$defs"]
    studies = []
    for key in STUDIES:
        field = "own" if key == "datasets" else key  # `Params.datasets` says which are needed
        studies.append(f"| `{key}` | {_kind(schema['properties'][field])} | {_meaning(Params, field)} |")
    parts = [INTRODUCTION, "## At the top", "", _table(["key", "type", "meaning"], studies)]
    parts += ["## Experiments", "", "Each of these keys may stand at the top, too.", ""]
    parts.append(_experiment_table(params, written, definitions["Experiment"]["properties"]))
    examples = _examples(params)
    for name, path in _sections(definitions).items():
        node = definitions[name]
        parts += [f"### {_title(path, node)}", "", node["description"], ""]
        example = examples.get(name) or next(iter(node.get("examples", [])), None)
        if example:  # of an experiment, or stated in the schema
            ordered = {key: example[key] for key in node["properties"] if key in example}
            parts.append(_yaml(_nested(path, ordered)))
        parts.append(_section_table(node))
    for title, model in (("Sweeps", SweepEntry), ("Claims", Claim)):
        node = model.model_json_schema()
        name, example = next(iter(written[title.lower()].items()))
        parts += [f"## {title}", "", node["description"], "", _yaml({title.lower(): {name: example}})]
        parts.append(_section_table(node))
    return "\n".join(parts).rstrip() + "\n"


def _experiment_table(
    params: Params, written: Mapping[str, Any], properties: Mapping[str, SchemaNode]
) -> str:
    rows = []
    known = [(name, one.model_dump(mode="json", exclude_defaults=True)) for name, one in _named(params)]
    for key, node in properties.items():
        default = _code(written[key]) if key in written else "required"
        other, meaning = _other(known, key, written), _meaning(Experiment, key)
        rows.append(f"| `{key}` | {_kind(node)} | {default} | {other} | {meaning} |")
    return _table(["key", "type", "default", "example", "meaning"], rows)


def _section_table(node: SchemaNode) -> str:
    """Return the table of a section's keys; a `name` that has one value stands in the heading."""
    rows = []
    for key, inner in node["properties"].items():
        if "const" in inner:
            continue
        default = "required" if key in node.get("required", []) else _code(inner.get("default", {}))
        rows.append(f"| `{key}` | {_kind(inner)} | {default} | {' '.join(inner['description'].split())} |")
    return _table(["key", "type", "default", "meaning"], rows) if rows else ""


def _other(known: Sequence[tuple[str, SchemaNode]], key: str, written: Mapping[str, Any]) -> str:
    """Return a value that differs from the default, with the first experiment or trial that has it."""
    for name, content in known:
        value = content.get(key, written.get(key))  # left out where it is the default
        if key not in written or value != written[key]:
            shown = _code(value)
            return f"{shown} in {name}" if len(shown) <= SHORT else "below"
    if isinstance(written[key], bool):
        return "`true`"
    return "–" if isinstance(written[key], int) else "below"


def _named(params: Params) -> Iterator[tuple[str, Experiment]]:
    yield from params.experiments.items()
    for name, sweep in params.sweeps.items():
        for trial in sweep.trials:
            yield f"{name}/{trial.name}", trial.experiment


def _examples(params: Params) -> dict[str, Any]:
    """Return the first of each kind of section that an experiment or a trial has, by the class's name."""
    found: dict[str, Any] = {}

    def walk(value: Any) -> None:
        if isinstance(value, Section):
            shown = value.model_dump(mode="json", exclude_defaults=True)
            found.setdefault(type(value).__name__, shown)
            for key in type(value).model_fields:
                walk(getattr(value, key))
        elif isinstance(value, list):
            for part in value:
                walk(part)

    for _, experiment in _named(params):
        walk(experiment)
    return found


def _sections(definitions: Mapping[str, SchemaNode]) -> dict[str, tuple[str, ...]]:
    """Return the path of keys to each section within an experiment, by its class, in the schema's order.

    A key that holds a list of sections ends in `[]`.
    """
    found: dict[str, tuple[str, ...]] = {}

    def walk(node: SchemaNode, path: tuple[str, ...]) -> None:
        for key, inner in node["properties"].items():
            for name, in_list in _references(inner):
                if name not in found:
                    found[name] = (*path, f"{key}[]" if in_list else key)
                    walk(definitions[name], found[name])

    walk(definitions["Experiment"], ())
    return found


def _references(node: Any, in_list: bool = False) -> Iterator[tuple[str, bool]]:
    """Yield the sections that a key may hold, and whether in a list."""
    if "$ref" in node:
        yield node["$ref"].rpartition("/")[2], in_list
    for part in (*node.get("anyOf", ()), *node.get("oneOf", ())):
        yield from _references(part, in_list)
    if "items" in node:
        yield from _references(node["items"], in_list=True)


def _title(path: tuple[str, ...], node: SchemaNode) -> str:
    name = node["properties"].get("name", {})
    kinds = [name["const"]] if "const" in name else name.get("enum", [])
    return ".".join(path).replace("[]", "") + (f": {', '.join(kinds)}" if kinds else "")


def _nested(path: tuple[str, ...], example: Any) -> Any:
    """Return an example where it belongs: `("model", "whitening")` → {model: {whitening: …}}."""
    for key in reversed(path):
        example = {key.removesuffix("[]"): [example] if key.endswith("[]") else example}
    return example


def _kind(node: SchemaNode) -> str:
    """Return in words what a key may hold."""
    if "$ref" in node or "discriminator" in node:
        return "section"
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    for key in ("anyOf", "oneOf"):
        if key in node:
            return " or ".join(dict.fromkeys(_kind(part) for part in node[key]))
    match node.get("type"):
        case "array":
            return f"list of {_length(node)}{_several(_kind(node['items']))}" if node["items"] else "list"
        case "object":
            inner = node.get("additionalProperties")
            return f"mapping to {_several(_kind(inner))}" if isinstance(inner, Mapping) else "mapping"
        case "null":
            return "`null`"
        case "integer" | "number" as kind:
            return f"{'integer' if kind == 'integer' else 'number'}{_range(node)}"
        case "boolean":
            return "`true`, `false`"
        case "string":
            return "text"
        case _:
            return "any"


def _several(kind: str) -> str:
    """Return the plural of a kind: `integer ≥ 1` → `integers ≥ 1`."""
    if " or " in kind:
        return f"({kind})"
    noun, space, rest = kind.partition(" ")
    plural = f"{noun}s" if noun in ("integer", "number", "section", "list", "mapping") else noun
    return f"{plural}{space}{rest}"


def _range(node: SchemaNode) -> str:
    signs = {"minimum": "≥", "ge": "≥", "exclusiveMinimum": ">", "gt": ">"}
    signs |= {"maximum": "≤", "le": "≤", "exclusiveMaximum": "<", "lt": "<"}
    found = [
        f"{sign} {node[key]:,}" for key, sign in signs.items() if abs(node.get(key, UNBOUNDED)) < UNBOUNDED
    ]
    return f" {', '.join(found)}" if found else ""


def _length(node: SchemaNode) -> str:
    least, most = node.get("minItems"), node.get("maxItems")
    return f"{least} " if least is not None and least == most else ""


def _code(value: Any) -> str:
    """Return a value as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=1000)
    return f"`{text.removesuffix('...' + chr(10)).strip()}`"


def _yaml(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=None, sort_keys=False, allow_unicode=True, width=110)
    return f"```yaml\n{text}```\n"


def _meaning(model: type[Section], key: str) -> str:
    """Return the text below a key in the schema, on one line."""
    return " ".join(str(model.model_fields[key].description).split())


def _table(titles: list[str], rows: list[str]) -> str:
    head = [markdown.row(titles), markdown.row("---" for _ in titles)]
    return "\n".join([*head, *rows, ""])
