"""Read YAML that may be wrong in any way: plain data, each key once, nothing of unbounded size, and
nothing that DVC reads differently.

YAML's aliases let a few lines stand for billions of values, and its integers may have any length; both are
bounded here, where the line is known, so that later code need not check.

PyYAML reads YAML 1.1, DVC's ruamel.yaml YAML 1.2: `0100` is 64 to the one and 100 to the other. What is a
number or a boolean to PyYAML and something else to DVC is refused. What is text to PyYAML alone (`1e-05`,
`08`) is left to the schema: there it becomes the number that DVC sees, or is refused as no number.
"""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from convlab.config.explain import short
from convlab.errors import InputError

LARGEST = 4 << 20  # characters: of the files here, the largest has 30 thousand
DEPTH = 20  # nested mappings and lists; params.yaml has 6
VALUES = 500_000  # once every alias is written out
DIGITS = 1000  # of an integer; Python itself prints at most 4,300


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML (no tag runs anything) in which a key given twice, or what is far too large, is an error."""

    def __init__(self, text: str):
        super().__init__(text)
        self.depth = 0
        self.known: dict[int, tuple[int, int]] = {}  # of each finished node, by id: its values, its height

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose a node, and count what it holds."""
        event = self.peek_event()
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            anchor = str(event.anchor)
            if anchor in self.anchors and id(self.anchors[anchor]) not in self.known:  # not finished yet
                raise InputError(f"line {line}: `*{short(anchor)}` contains itself; write it out")
        self.depth += 1
        self._bound(line, 1, self.depth)
        node = super().compose_node(parent, index)
        self.depth -= 1
        if node is not None and id(node) not in self.known:  # an alias is its anchor's node again
            inside = [self.known.get(id(part), (1, 1)) for part in _parts(node)]
            values = 1 + sum(number for number, _ in inside)
            height = 1 + max((height for _, height in inside), default=0)
            self._bound(line, values, height)
            self.known[id(node)] = values, height
        return node

    def _bound(self, line: int, values: int, depth: int) -> None:
        if depth > DEPTH:
            raise InputError(f"line {line}: nested more than {DEPTH} deep; aliases (`*name`) count in full")
        if values > VALUES:
            raise InputError(f"line {line}: more than {VALUES:,} values; aliases (`*name`) count in full")


def _parts(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _unique_mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Hashable, Any]:
    seen = set()
    for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
        if key.value in seen:
            line = key.start_mark.line + 1
            raise InputError(f"line {line}: key `{short(key.value)}` is given twice; keep one of them")
        seen.add(key.value)
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


def _int(loader: _StrictLoader, node: yaml.ScalarNode) -> int:
    if len(node.value) > DIGITS:
        line = node.start_mark.line + 1
        raise InputError(f"line {line}: found {short(node.value)}; allowed: numbers of up to {DIGITS} digits")
    value = yaml.SafeLoader.construct_yaml_int(loader, node)
    digits = node.value.replace("_", "")
    if ":" in digits:
        raise _ambiguous(node, value, "text")
    if digits.lstrip("+-").isdecimal() and int(digits) != value:
        raise _ambiguous(node, value, int(digits))
    return value


def _float(loader: _StrictLoader, node: yaml.ScalarNode) -> float:
    value = yaml.SafeLoader.construct_yaml_float(loader, node)
    if ":" in node.value:
        raise _ambiguous(node, value, "text")
    return value


def _bool(loader: _StrictLoader, node: yaml.ScalarNode) -> bool:
    value = yaml.SafeLoader.construct_yaml_bool(loader, node)
    if node.value.lower() not in ("true", "false"):
        raise _ambiguous(node, str(value).lower(), "text")
    return value


def _ambiguous(node: yaml.ScalarNode, value: object, to_dvc: object) -> InputError:
    line, found, ours, theirs = node.start_mark.line + 1, *map(short, map(str, (node.value, value, to_dvc)))
    other = f"'{found}' in quotes" if to_dvc == "text" else theirs
    return InputError(
        f"line {line}: found {found}, which is {ours} in YAML 1.1 and {theirs} in 1.2, as DVC reads it; "
        f"write {ours} or {other}"
    )


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)
_StrictLoader.add_constructor("tag:yaml.org,2002:int", _int)
_StrictLoader.add_constructor("tag:yaml.org,2002:float", _float)
_StrictLoader.add_constructor("tag:yaml.org,2002:bool", _bool)


def read_yaml(path: Path) -> Any:
    """Read one safe YAML document.

    Raises:
        InputError: missing, not UTF-8, not YAML (with the line), with a key given twice, or far too large.
    """
    try:
        return yaml.load(_text(path), Loader=_StrictLoader)
    except FileNotFoundError:
        raise InputError(f"{path}: not there; run this in the repository's root") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        advice = "; indent with spaces" if "'\\t'" in str(error.problem) else ""
        raise InputError(
            f"{path}: line {line}: not valid YAML: {short(str(error.problem), 300)}{advice}"
        ) from None
    except Exception as error:  # PyYAML's constructors raise whatever goes wrong inside them
        raise InputError(f"{path}: unreadable: {type(error).__name__}: {short(str(error), 300)}") from None


def _text(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        text = file.read(LARGEST + 1)
    if len(text) > LARGEST:
        raise InputError(f"more than {LARGEST:,} characters; allowed: at most {LARGEST:,}")
    return text
