"""imd's files as text: YAML as a person would write it, with comments.

Owns how maps and lists are laid out: on one line where that is short, a key a line where it is not. Order is the
writer's. What is written is read back the same by `config.yamlfile`, whose YAML is 1.2; texts that YAML 1.1 would read
as something else are quoted all the same, for editors.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from imd.config.syntax import format_duration

WIDTH = 118
_WORD = r"[A-Za-z0-9_./@+-]+(?::[A-Za-z0-9_./@+-]+)*"
_PLAIN = re.compile(rf"(?=[A-Za-z_/]){_WORD}(?: {_WORD})*|[0-9]+(?:\.[0-9]+){{3}}:[0-9]+")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"})


class Noted(msgspec.Struct, frozen=True):
    """A value of a list with comments above it, a line each."""

    value: Mapping[str, Any]
    notes: tuple[str, ...] = ()


Value = str | int | timedelta | Noted | Sequence["Value"] | Mapping[str, "Value"]


def document(head: Sequence[str], parts: Mapping[str, Value]) -> str:
    """A whole file: a comment, then each key that is not empty, a blank line between them."""
    lines = [f"# {line}".rstrip() for line in head]
    for key, value in parts.items():
        if isinstance(value, Sequence | Mapping) and not isinstance(value, str) and not value:
            continue
        single = "\n" not in (text := "\n".join(_entry(key, value, 0)))
        if lines and not (single and lines[-1][:1] not in ("#", " ")):
            lines.append("")
        lines += text.split("\n")
    return "\n".join(lines) + "\n"


def _entry(key: str, value: Value, indent: int) -> Iterator[str]:
    """`key: value` on one line, or the key with what is below it."""
    pad = " " * indent
    line = f"{pad}{scalar(key)}: {_flow(value)}"
    if indent and len(line) <= WIDTH and not _noted(value):
        yield line
        return
    if isinstance(value, str) and "\n" in value and _blockable(value):
        yield f"{pad}{scalar(key)}: |{'' if value.endswith(chr(10)) else '-'}"
        yield from (f"{pad}  {one}".rstrip() for one in value.rstrip("\n").split("\n"))
        return
    if isinstance(value, Mapping) and value:
        yield f"{pad}{scalar(key)}:"
        for inner, of in value.items():
            yield from _entry(inner, of, indent + 2)
    elif isinstance(value, Sequence) and not isinstance(value, str) and value and (_long(value) or len(line) > WIDTH):
        yield f"{pad}{scalar(key)}:"
        for item in value:
            yield from _item(item, indent + 2)
    else:
        yield line


def _long(value: Sequence[Value]) -> bool:
    """A list of maps at the top, or one with notes, is a line an item."""
    return any(isinstance(item, Mapping | Noted) for item in value)


def _item(item: Value, indent: int) -> Iterator[str]:
    pad = " " * indent
    if isinstance(item, Noted):
        yield from (f"{pad}# {note}" for note in item.notes)
        item = item.value
    line = f"{pad}- {_flow(item)}"
    if len(line) <= WIDTH or not isinstance(item, Mapping):
        yield line
        return
    lines = [one for key, value in item.items() for one in _entry(key, value, indent + 2)]
    yield f"{pad}- {lines[0].lstrip()}"
    yield from lines[1:]


def _noted(value: Value) -> bool:
    return isinstance(value, Sequence) and any(isinstance(item, Noted) and item.notes for item in value)


def _blockable(value: str) -> bool:
    """Whether `|` keeps it as it is: no line begins with a blank or ends in one, nothing but line ends is unseen."""
    lines = value.rstrip("\n").split("\n")
    return (
        not value.endswith("\n\n")
        and not lines[0].startswith(" ")
        and all(line.isprintable() and line == line.rstrip() for line in lines)
        and any(lines)
    )


def _flow(value: Value) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case timedelta():
            return format_duration(value)
        case str():
            return scalar(value)
        case Noted():
            return _flow(value.value)
        case Mapping():
            return "{" + ", ".join(f"{scalar(key)}: {_flow(of)}" for key, of in value.items()) + "}"
        case _:
            return "[" + ", ".join(map(_flow, value)) + "]"


def scalar(text: str) -> str:
    """A text in a form that stands within brackets too: plain, in single quotes, or in double ones with escapes."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    if text.isprintable():
        return f"'{text.replace(chr(39), chr(39) * 2)}'"
    return json.dumps(text).replace("\x7f", "\\x7f")
