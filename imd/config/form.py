"""What a value may look like, apart from how it is read: for editors (`imd schema`) and for the reference in docs/.

Owns the vocabulary of forms. A reader carries the form of what it takes (`shape.Read`), a key its sentence, default and
examples, so that the tables with which files are checked say all of it and nothing can drift. Knows no key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

Schema = Mapping[str, Any]


class Plain(msgspec.Struct, frozen=True):
    """One value. `said` is for people (`duration`), with `bounds` where it has some (`1s to 7d`); `schema` is its JSON
    Schema. One with a `name` is defined once in a document and referred to."""

    said: str
    schema: Schema = {}
    bounds: str = ""
    name: str = ""


class Table(msgspec.Struct, frozen=True):
    """A map with the keys of a table (`shape.Keys`). `also`: what JSON Schema can say of them together."""

    keys: Mapping[str, Any]
    also: Schema = {}


class Several(msgspec.Struct, frozen=True):
    """A list, of at least so many."""

    of: Form
    least: int = 0


class ByName(msgspec.Struct, frozen=True):
    """A map whose keys are names of the operator's own."""

    of: Form


class Either(msgspec.Struct, frozen=True):
    """Any of these. `said` in place of all of them, for people."""

    forms: tuple[Form, ...]
    said: str = ""
    name: str = ""


Form = Plain | Table | Several | ByName | Either

ANYTHING = Plain("anything")

_NUMBER_OR_TEXT = ["string", "number"]  # a plain number is taken as it is written
TEXT = Plain("text", {"type": _NUMBER_OR_TEXT, "minLength": 1})
ANY_TEXT = Plain("text", {"type": _NUMBER_OR_TEXT})
BOOLEAN = Plain("true or false", {"type": "boolean"})
INSTANT = Plain("RFC 3339 instant", {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}"})

_UNITS = "".join(f"([0-9]+{unit})?" for unit in ("y", "w", "d", "h", "m", "s", "ms"))
DURATION_PATTERN = f"^(?=[0-9])({_UNITS}|0)$"


def words(*known: str) -> Plain:
    """One of these words."""
    return Plain("one of: " + ", ".join(known), {"enum": list(known)})


def whole(low: int, high: int) -> Plain:
    """A whole number in these bounds."""
    return Plain("whole number", {"type": "integer", "minimum": low, "maximum": high}, f"{low} to {high}")


def duration(low: str, high: str) -> Plain:
    """A Prometheus duration in these bounds, of which JSON Schema knows nothing."""
    schema = {"anyOf": [{"type": "string", "pattern": DURATION_PATTERN}, {"const": 0}]}
    return Plain("duration", schema, f"{low} to {high}", "duration")


def text(said: str, pattern: str = "", *examples: str) -> Plain:
    """Text of a form of its own."""
    schema: dict[str, Any] = {"type": "string", "minLength": 1}
    if pattern:
        schema["pattern"] = pattern
    if examples:
        schema["examples"] = list(examples)
    return Plain(said, schema)
