"""Changes of files that keep their format, so that they come past the first check of a reader; and plain noise.

Each change takes a file's content and a random generator, and returns other content.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

Mutate = Callable[[bytes, Random], bytes]

NUMBERS = (
    0,
    1,
    2,
    3,
    7,
    8,
    127,
    128,
    255,
    256,
    4095,
    32768,
    65535,
    65536,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63,
    2**64 - 1,
)
ODD_TEXTS = (
    "",
    "\0",
    "x" * 5000,
    "\x1b[31mred\n",
    "../../up",
    "/etc",
    "nan",
    "\u202e",
    "\ud800",
    "a b",
    "%s{0}",
    "-1",
    "é",
)
_ODD_VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 2**31, 2**63, -(2**63) - 1, 10**400, 1e308, -0.5, float("nan"), float("inf")),
    *([], {}, [[]], [None] * 50, {"a": 1}, *ODD_TEXTS),
)  # fmt: skip


def noise(content: bytes, draw: Random) -> bytes:
    """Flip, overwrite, insert, delete, cut or repeat a few bytes."""
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 2, 4, 16))):
        place, length = draw.randrange(len(changed) + 1), draw.choice((1, 1, 2, 4, 8, 64))
        if draw.random() < 0.5:  # headers are at the beginning
            place = min(place, draw.randrange(120))
        way = draw.randrange(7)
        if way == 0 and place < len(changed):
            changed[place] ^= 1 << draw.randrange(8)
        elif way == 1:
            changed[place : place + length] = draw.randbytes(length)
        elif way == 2:
            changed[place:place] = draw.randbytes(length)
        elif way == 3:
            del changed[place : place + length]
        elif way == 4:
            del changed[place:]
        elif way == 5:
            changed[place:place] = changed[place : place + length] * draw.choice((1, 3, 50))
        else:
            order, size = draw.choice(("little", "big")), draw.choice((1, 2, 4, 8))
            number = (draw.choice(NUMBERS) + draw.choice((0, 0, -1, 1))) % 256**size
            changed[place : place + size] = number.to_bytes(size, order)
    return bytes(changed)


def some_of(*ways: Mutate) -> Mutate:
    """Return a change that is one of several, sometimes with noise after it."""

    def change(content: bytes, draw: Random) -> bytes:
        changed = draw.choice(ways)(content, draw)
        return noise(changed, draw) if draw.random() < 0.1 else changed

    return change


def change_tree(tree: Any, draw: Random) -> Any:
    """Change one value of a JSON document: replace, drop, rename, repeat or move it."""
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
            places.append((node, key))
            walk(node[key])

    tree = json.loads(json.dumps(tree))
    walk(tree)
    if not places or draw.random() < 0.05:
        return draw.choice(_ODD_VALUES)
    node, key = draw.choice(places)
    way = draw.randrange(8)
    if way == 0:
        del node[key]
    elif way == 1 and isinstance(node, dict):
        node[draw.choice(ODD_TEXTS)] = node.pop(key)
    elif way == 2 and isinstance(node, list):
        node.extend([node[key]] * draw.choice((1, 5, 500)))
    elif way == 3:
        other, there = draw.choice(places)
        node[key] = json.loads(json.dumps(other.get(there) if isinstance(other, dict) else None))
    elif way == 4 and isinstance(node[key], int | float):
        node[key] = draw.choice((node[key] + 1, -node[key], node[key] * 2**40, float(node[key]), str(node[key])))
    else:
        node[key] = draw.choice(_ODD_VALUES)
    return tree


def in_json(content: bytes, draw: Random) -> bytes:
    """Change a value of a JSON file, or nest it deeply."""
    if draw.random() < 0.02:
        return b"[" * draw.choice((900, 100_000)) + content
    return json.dumps(change_tree(json.loads(content), draw)).encode()


def in_safetensors(content: bytes, draw: Random) -> bytes:
    """Change a shape, dtype, offset or name in the header, or a value of the strings stored there."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    held = header.get("__metadata__", {})
    if "about" in held and draw.random() < 0.4:
        about = change_tree(json.loads(held["about"]), draw)
        if isinstance(about, dict) and draw.random() < 0.5:
            for name, value in about.items():  # some of the strings are JSON themselves
                if isinstance(value, str) and value[:1] in ("[", "{"):
                    about[name] = json.dumps(change_tree(json.loads(value), draw))
        held["about"] = json.dumps(about)
    elif draw.random() < 0.3:
        name = draw.choice([name for name in header if name != "__metadata__"])
        header[name]["dtype"] = draw.choice(("F16", "F32", "F64", "I64", "I8", "BOOL", "BF16", "U16", "F8_E4M3", "X"))
    elif draw.random() < 0.3:  # the numbers of an array, where they are NaN, infinite or far too large
        place = 8 + size + draw.randrange(max(1, len(content) - 8 - size))
        return content[:place] + draw.choice((b"\xff" * 8, b"\0\0\x80\x7f", b"\x7f" * 8)) + content[place + 8 :]
    else:
        header = change_tree(header, draw)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


def in_lines(content: bytes, draw: Random) -> bytes:
    """Change a line or a word of a text: replace, repeat, drop, join or lengthen it."""
    lines = content.decode().split("\n")
    which, way = draw.randrange(len(lines)), draw.randrange(7)
    words = lines[which].split(" ")
    odd = draw.choice(
        (
            *ODD_TEXTS,
            "1" * 5000,
            "[" * 3000,
            "{a=1}",
            "1979-05-27",
            "0x" + "f" * 40,
            "'''",
            '"',
            "=",
            "[[x]]",
            "1e999",
            "#",
        )
    )
    if way == 0:
        lines[which] = odd
    elif way == 1:
        words[draw.randrange(len(words))] = odd
        lines[which] = " ".join(words)
    elif way == 2:
        lines.insert(draw.randrange(len(lines)), lines[which])
    elif way == 3:
        del lines[which]
    elif way == 4:
        lines[which] += draw.choice((" ", ".", ",", "=")) + odd
    elif way == 5:
        lines[which : which + 2] = ["".join(lines[which : which + 2])]
    else:
        place = draw.randrange(len(lines[which]) + 1)
        lines[which] = lines[which][:place] + odd + lines[which][place + 1 :]
    return "\n".join(lines).encode("utf-8", "surrogatepass")
