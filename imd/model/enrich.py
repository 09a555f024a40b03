"""Enrichment: what else is known of an alert than its sender said.

Owns the shapes of the three kinds of entries, tables as lookups need them, and the text of replacements. What comes of
them for one alert is `core.enrich`; how files become tables is `config.tablefile`.

Enriched labels are seen by every later stage and are never part of identity.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

import msgspec

from imd.model.rule import MATCH_ALL, Match, whole_pattern

TABLE_BYTES_MAX = 10 * 1024 * 1024
TABLE_ROWS_MAX = 1_000_000
VALUE_CHARS_MAX = 4096  # of a label that enrichment makes; beyond it is cut, as senders' annotations are
LABELS_MAX = 128  # an alert's, with those that a labelmap adds: some of them could double each other without end


class Table:
    """The rows of a table that one lookup asks for: key (a text, or one per column of `on`) to the cells of `add`.

    Equal where `source` is equal: a hash of the file and the columns asked for. An empty cell says nothing.
    """

    __slots__ = ("rows", "source")

    def __init__(self, source: str, rows: Mapping[str | tuple[str, ...], tuple[str, ...]]) -> None:
        self.source = source
        self.rows = rows

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Table) and other.source == self.source

    def __hash__(self) -> int:
        return hash(self.source)

    def __repr__(self) -> str:
        return f"Table({self.source!r}, {len(self.rows)} rows)"


class TableLookup(msgspec.Struct, frozen=True, kw_only=True, tag="table"):
    """The row whose columns equal the alert's labels gives the labels `add`. `on` pairs alert labels with columns."""

    name: str
    match: Match = MATCH_ALL
    table: Table
    on: tuple[tuple[str, str], ...]
    add: tuple[str, ...]


class Extract(msgspec.Struct, frozen=True, kw_only=True, tag="extract"):
    """Where the label's whole value matches the regex, each named group that is not empty is a label."""

    name: str
    match: Match = MATCH_ALL
    label: str
    regex: str


class Action(enum.StrEnum):
    """Prometheus' relabel actions."""

    REPLACE = "replace"
    KEEP = "keep"
    DROP = "drop"
    KEEPEQUAL = "keepequal"
    DROPEQUAL = "dropequal"
    HASHMOD = "hashmod"
    LABELMAP = "labelmap"
    LABELDROP = "labeldrop"
    LABELKEEP = "labelkeep"
    LOWERCASE = "lowercase"
    UPPERCASE = "uppercase"


DEFAULT_REGEX = "(.*)"


class Relabel(msgspec.Struct, frozen=True, kw_only=True, tag="relabel"):
    """One relabel_config of Prometheus (configuration reference, 3.x, read 2026-11-21), with its defaults."""

    name: str
    match: Match = MATCH_ALL
    action: Action = Action.REPLACE
    source_labels: tuple[str, ...] = ()
    separator: str = ";"
    regex: str = DEFAULT_REGEX
    modulus: int = 0
    target_label: str = ""
    replacement: str = "$1"


Enrichment = TableLookup | Extract | Relabel


class Pattern:
    """A regex on whole values that says what its groups hold: all of Go's regexp that relabelling needs.

    `.` matches line ends too, as in Prometheus 3. Raises BadPattern at construction.
    """

    __slots__ = ("_search", "names")

    def __init__(self, pattern: str) -> None:
        compiled = whole_pattern(pattern, dot_all=True)
        self._search = compiled.search
        self.names: dict[str, int] = dict(compiled.groupindex)

    def groups(self, value: str) -> tuple[str, ...] | None:
        """The whole value and each group's part of it, "" where a group took no part; None without a match."""
        # Bytes: for text RE2's wrapper counts characters up to each group, which costs three times the match.
        found = self._search(value.encode("utf-8", "replace"))
        return None if found is None else (value, *[part.decode() for part in found.groups(b"")])


class Replacement:
    """Text with `$1`, `${1}`, `$name`, `${name}`, `$$`, as Go's regexp.Expand reads it: `$1x` is the group `1x`.

    A group that does not exist is empty; a `$` that begins nothing stands for itself.
    """

    __slots__ = ("_parts",)

    def __init__(self, text: str, names: Mapping[str, int]) -> None:
        self._parts: list[str | int] = []
        position = 0
        while (dollar := text.find("$", position)) >= 0:
            self._literal(text[position:dollar])
            name, position = _reference(text, dollar + 1)
            if name is None:
                self._literal("$")
            else:
                self._parts.append(_group(name, names))
        self._literal(text[position:])

    def expand(self, groups: tuple[str, ...]) -> str:
        """The text for one match; groups[0] is the whole of it."""
        count = len(groups)
        return "".join(part if isinstance(part, str) else groups[part] if part < count else "" for part in self._parts)

    def _literal(self, text: str) -> None:
        if text:
            self._parts.append(text)


_BEYOND = 1 << 30  # a group that no regex has


def _reference(text: str, start: int) -> tuple[str | None, int]:
    """The group named after a `$` and where the text goes on; None where the `$` stands for itself."""
    if text[start : start + 1] == "$":
        return None, start + 1
    braced = text[start : start + 1] == "{"
    end = begin = start + braced
    while end < len(text) and (text[end].isalnum() or text[end] == "_"):
        end += 1
    if end == begin or (braced and text[end : end + 1] != "}"):
        return None, start
    return text[begin:end], end + braced


def _group(name: str, names: Mapping[str, int]) -> int:
    if name.isascii() and name.isdigit() and (name == "0" or name[0] != "0") and len(name) < 9:
        return int(name)
    return names.get(name, _BEYOND)
