"""Random damage to a file, as disks, networks, editors and attackers cause it; seeded, so repeatable."""

import random
import struct
from collections.abc import Callable

TOKENS = (
    *(
        "null",
        "~",
        "true",
        "-1",
        "0",
        "1e-05",
        "1e999",
        ".nan",
        ".inf",
        "-.inf",
        "0x7fffffffffffffff",
        "9" * 30,
    ),
    *(
        "9" * 5000,
        "1:1:1",
        "2020-01-01",
        "[]",
        "{}",
        "[[[[]]]]",
        "{a: {b: {c: 1}}}",
        "'",
        '"',
        "|",
        ">",
        "- x",
    ),
    *(
        "&a [1]",
        "*a",
        "!!set {a}",
        "!!binary aa==",
        "!!python/name:os.system",
        "!x",
        "<<: *a",
        "digits",
        "cnn",
    ),
    *(
        "\u202e",
        "\x00",
        "\ud7ff",
        "é",
        "x" * 2000,
        "[" * 100,
        "../../etc",
        "${run}",
        "%",
        "@",
        "`",
        "?",
        ": :",
    ),
)
SIZES = (0, 1, 255, 2**16, 2**31 - 1, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1)
Damage = Callable[[bytes, random.Random], bytes]


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Apply one to four kinds of damage to a file."""
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        content = chance.choice(HARM)(content, chance)
    return content


def damaged_text(content: bytes, chance: random.Random) -> bytes:
    """Do the same to a text, mostly by its lines."""
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        content = chance.choice((_value, _value, _value, _line, *HARM))(content, chance)
    return content


def _flip(content: bytes, chance: random.Random) -> bytes:
    array = bytearray(content)
    for _ in range(chance.choice((1, 1, 3, 20)) if array else 0):
        array[_place(content, chance)] ^= 1 << chance.randrange(8)
    return bytes(array)


def _truncate(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content) + 1)]


def _insert(content: bytes, chance: random.Random) -> bytes:
    at = _place(content, chance)
    return content[:at] + chance.randbytes(chance.choice((1, 4, 100))) + content[at:]


def _remove(content: bytes, chance: random.Random) -> bytes:
    at = _place(content, chance)
    return content[:at] + content[at + chance.choice((1, 4, 100)) :]


def _repeat(content: bytes, chance: random.Random) -> bytes:
    at = _place(content, chance)
    part = content[at : at + chance.choice((1, 30, 1000))]
    return content[:at] + part * chance.choice((2, 50)) + content[at:]


def _size(content: bytes, chance: random.Random) -> bytes:
    """Write a number that is a length, wherever it stands, as something else."""
    at, number = _place(content, chance), chance.choice(SIZES)
    width, form = chance.choice(((4, ">I"), (4, "<I"), (8, "<Q"), (8, ">Q")))
    return content[:at] + struct.pack(form, number % 2 ** (8 * width)) + content[at + width :]


def _noise(content: bytes, chance: random.Random) -> bytes:
    return chance.randbytes(chance.choice((0, 1, 10, 1000)))


def _place(content: bytes, chance: random.Random) -> int:
    """Pick a place, half of the time near the start, where headers are."""
    end = max(1, len(content))
    return chance.randrange(min(end, 64)) if chance.random() < 0.5 else chance.randrange(end)


def _line(content: bytes, chance: random.Random) -> bytes:
    """Remove, double, move or indent a line."""
    lines = content.split(b"\n")
    at = chance.randrange(len(lines))
    line = lines.pop(at)
    kind = chance.randrange(4)
    lines[at:at] = {0: [], 1: [line, line], 2: [b"  " + line], 3: [line.lstrip()]}[kind]
    return b"\n".join(lines)


def _value(content: bytes, chance: random.Random) -> bytes:
    """Replace a word, a number, or everything after a colon."""
    lines = content.split(b"\n")
    at = chance.randrange(len(lines))
    words = lines[at].split(b" ")
    place = chance.randrange(len(words))
    words[place:] = [chance.choice(TOKENS).encode(), *words[place + 1 :] * chance.randrange(2)]
    lines[at] = b" ".join(words)
    return b"\n".join(lines)


HARM: tuple[Damage, ...] = (_flip, _flip, _truncate, _insert, _remove, _repeat, _size, _size, _noise)
