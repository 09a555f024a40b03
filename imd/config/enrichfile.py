"""The shape of `enrich:` in rule files: tables, extraction, relabelling.

Owns the keys of its entries, which of Prometheus' relabel keys go together, and the faults of columns, which stand at
the word that names one. The tables themselves are opened by `load` and read by `tablefile`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sized
from typing import Any, Protocol

from imd.config import codes
from imd.config.diagnostic import Span
from imd.config.document import Document, Node
from imd.config.document import Mapping as MappingNode
from imd.config.document import Sequence as SequenceNode
from imd.config.form import Table
from imd.config.reading import label_name, match, regex
from imd.config.shape import (
    Key,
    Keys,
    Refused,
    Scope,
    any_text,
    choice,
    listed,
    mapped,
    misspelt,
    name,
    read_keys,
    text,
    whole,
)
from imd.config.tablefile import SUFFIXES, TableFile
from imd.config.wording import quote, suggest
from imd.model.enrich import Action, Enrichment, Extract, Pattern, Relabel, TableLookup
from imd.model.enrich import Table as Rows

_MODULUS_MAX = 2**63 - 1
_KINDS = ("table", "extract", "relabel")


class Tables(Protocol):
    """Opens what rule files name; `load` has the real one."""

    def open(self, name: str, document: Document, span: Span) -> TableFile | None:
        """The table of this name, beside the document that names it at `span`. None: a fault is reported."""
        ...

    def bytes_of(self, name: str, document: Document, span: Span, bytes_max: int) -> bytes | None:
        """Likewise a file's bytes, one more than `bytes_max` at most."""
        ...


class NoTables:
    """Where no file may be opened: every table is unknown, without a fault."""

    def open(self, name: str, document: Document, span: Span) -> TableFile | None:
        return None

    def bytes_of(self, name: str, document: Document, span: Span, bytes_max: int) -> bytes | None:
        return None


EXTRACT: Keys = {
    "from": Key(label_name, "The label whose value is looked at.", required=True),
    "regex": Key(
        regex,
        "A pattern of the whole value with at least one `(?P<name>…)`, which becomes a label.",
        required=True,
        examples=("(?P<host>[^:]+)(:[0-9]+)?",),
    ),
}
RELABEL: Keys = {
    "action": Key(choice(Action), "What to do, as in a relabel_config of Prometheus.", "replace"),
    "source_labels": Key(listed(label_name), "Labels whose values are joined.", []),
    "separator": Key(any_text, "Stands between the joined values.", ";"),
    "regex": Key(regex, "A pattern of the whole joined value.", "(.*)"),
    "modulus": Key(whole(1, _MODULUS_MAX), "For `hashmod`: the number of shares."),
    "target_label": Key(label_name, "The label that is written; for `replace` it may hold $1."),
    "replacement": Key(any_text, "What is written; $1, ${1} and ${name} stand for groups.", "$1"),
}
ENRICH: Keys = {
    "name": Key(name, "Names the entry, once over all files.", required=True),
    "match": Key(match, "Which alerts the entry is for; every alert without it."),
    "table": Key(text, "A CSV, JSON or YAML table, beside this file."),
    "on": Key(mapped(text), "Label to column: the row whose columns equal these labels is taken."),
    "add": Key(listed(label_name, least=1), "Columns that become labels of the same names."),
    "extract": Key(any_text, "Named groups of a pattern become labels.", form=Table(EXTRACT)),
    "relabel": Key(any_text, "One relabel_config of Prometheus.", form=Table(RELABEL)),
}
ENRICHMENT = Table(
    ENRICH,
    {
        "oneOf": [{"required": [kind]} for kind in _KINDS],
        "dependentRequired": {"table": ["on", "add"], "on": ["table"], "add": ["table"]},
    },
)
_TARGETED = frozenset({
    Action.REPLACE, Action.HASHMOD, Action.LOWERCASE, Action.UPPERCASE, Action.KEEPEQUAL, Action.DROPEQUAL,
})  # fmt: skip
_TAKEN: dict[Action, frozenset[str]] = {
    Action.REPLACE: frozenset({"source_labels", "separator", "regex", "target_label", "replacement"}),
    Action.KEEP: frozenset({"source_labels", "separator", "regex"}),
    Action.DROP: frozenset({"source_labels", "separator", "regex"}),
    Action.KEEPEQUAL: frozenset({"source_labels", "target_label"}),
    Action.DROPEQUAL: frozenset({"source_labels", "target_label"}),
    Action.HASHMOD: frozenset({"source_labels", "separator", "modulus", "target_label"}),
    Action.LABELMAP: frozenset({"regex", "replacement"}),
    Action.LABELDROP: frozenset({"regex"}),
    Action.LABELKEEP: frozenset({"regex"}),
    Action.LOWERCASE: frozenset({"source_labels", "separator", "target_label"}),
    Action.UPPERCASE: frozenset({"source_labels", "separator", "target_label"}),
}
"""Keys that an action reads; Prometheus passes over some of the others in silence, imd refuses each."""


class EnrichReader:
    """Reads entries of `enrich:`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def entry(self, node: Node, scope: Scope) -> Enrichment:
        """One entry; raises Refused."""
        keys: Keys = {**ENRICH, "extract": Key(_extract), "relabel": Key(_relabel)}
        values = read_keys(keys, node, scope)
        assert isinstance(node, MappingNode)
        kind = _kind(node, scope)
        if "name" not in values or kind not in values or ("match" in node.entries and "match" not in values):
            raise Refused
        shared: dict[str, Any] = {key: values[key] for key in ("name", "match") if key in values}
        if kind == "extract":
            label, pattern = values["extract"]
            return Extract(label=label, regex=pattern, **shared)
        if kind == "relabel":
            return Relabel(**values["relabel"], **shared)
        return self._lookup(node, scope, values, shared)

    def _lookup(self, node: MappingNode, scope: Scope, values: dict[str, Any], shared: dict[str, Any]) -> TableLookup:
        for key in ("on", "add"):
            if key not in node.entries:
                at = node.entries["table"].key
                raise scope.fault(
                    codes.MISSING_KEY,
                    at,
                    f"{scope.owner} has no {quote(key)}",
                    expected=f"expected {quote(key)} beside it",
                )
        on: dict[str, str] = values.get("on", {})
        if not on:
            raise scope.fault(codes.EMPTY, node.entries["on"].value, f"{quote('on')} in {scope.owner} is empty")
        if _broken(node.entries["on"].value, on) or _broken(node.entries["add"].value, values.get("add", ())):
            raise Refused
        span = node.entries["table"].value.span
        if not values["table"].lower().endswith(SUFFIXES):
            raise scope.fault(
                codes.BAD_TABLE,
                span,
                f"{quote(values['table'])} is no table that imd reads",
                expected=f"expected a name that ends in {', '.join(SUFFIXES)}",
            )
        table = self._tables.open(values["table"], scope.document, span)
        if table is None or not _columns_known(node, scope, table):
            raise Refused
        add = tuple(dict.fromkeys(values["add"]))
        return TableLookup(table=_keyed(table, tuple(on.values()), add), on=tuple(on.items()), add=add, **shared)


def _broken(node: Node, values: Sized) -> bool:
    """Whether some of what stands there was refused."""
    entries: Sized = ()
    if isinstance(node, MappingNode):
        entries = node.entries
    elif isinstance(node, SequenceNode):
        entries = node.items
    return len(values) < max(1, len(entries))


def _kind(node: MappingNode, scope: Scope) -> str:
    """Which of the three kinds the entry is: exactly one key says so."""
    given = [kind for kind in _KINDS if kind in node.entries]
    first = next(iter(node.entries.values())).key if node.entries else node
    if not given:
        if misspelt(node, ENRICH, _KINDS):
            raise Refused
        raise scope.fault(
            codes.MISSING_KEY, first, f"{scope.owner} does nothing", expected=f"expected one of: {', '.join(_KINDS)}"
        )
    if len(given) > 1:
        both = " and ".join(quote(kind) for kind in given)
        at = node.entries[given[1]].key
        raise scope.fault(codes.EXCLUSIVE_KEYS, at, f"{scope.owner} has {both}", help="make it two entries")
    strays = [key for key in ("on", "add") if key in node.entries and given != ["table"]]
    if strays:
        at = node.entries[strays[0]].key
        raise scope.fault(codes.EXCLUSIVE_KEYS, at, f"{quote(strays[0])} in {scope.owner} goes with a table alone")
    return given[0]


def _columns_known(node: MappingNode, scope: Scope, table: TableFile) -> bool:
    """Whether the table has every column that is named; faults stand at the names."""
    on, add = node.entries["on"].value, node.entries["add"].value
    named: list[Node] = [entry.value for entry in on.entries.values()] if isinstance(on, MappingNode) else []
    named += add.items if isinstance(add, SequenceNode) else []
    sound = True
    for word in named:
        column = text(word, scope)
        if column not in table.columns:
            sound = False
            scope.fault(
                codes.UNKNOWN_COLUMN,
                word,
                f"{table.path} has no column {quote(column)}",
                expected=f"expected one of: {', '.join(table.columns)}",
                help=suggest(column, table.columns),
            )
    return sound


def _keyed(table: TableFile, on: tuple[str, ...], add: tuple[str, ...]) -> Rows:
    """What one lookup needs of the table. Rows with an empty key say nothing of anything."""
    keys = [table.columns.index(column) for column in on]
    cells = [table.columns.index(column) for column in add]
    found: dict[str | tuple[str, ...], tuple[str, ...]] = {}
    twice: dict[str | tuple[str, ...], None] = {}
    for row in table.rows:
        key = row[keys[0]] if len(keys) == 1 else tuple(row[at] for at in keys)
        if not any(row[at] for at in keys):
            continue
        wanted = tuple(row[at] for at in cells)
        if found.setdefault(key, wanted) != wanted:
            twice[key] = None
    if twice:
        _lint_twice(table, on, twice)
    return Rows(f"{table.digest} {' '.join(on)} {' '.join(add)}", found)


def _lint_twice(table: TableFile, on: tuple[str, ...], twice: Iterable[str | tuple[str, ...]]) -> None:
    keys = list(twice)
    first = keys[0] if isinstance(keys[0], str) else ", ".join(keys[0])
    more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
    table.document.lint(
        codes.TABLE_KEY_TWICE,
        Span(1, 1, 1, 2),
        f"rows differ for {', '.join(on)} = {quote(first)}{more}",
        help="the first of them is taken",
    )


def _extract(node: Node, scope: Scope) -> tuple[str, str]:
    values = read_keys(EXTRACT, node, scope)
    if "from" not in values or "regex" not in values:
        raise Refused
    assert isinstance(node, MappingNode)
    if not Pattern(values["regex"]).names:
        raise scope.fault(
            codes.NOTHING_NAMED,
            node.entries["regex"].value,
            f"{scope.subject} names no group, so it adds no label",
            help="write (?P<name>…) around what becomes the label",
        )
    return values["from"], values["regex"]


def _relabel(node: Node, scope: Scope) -> dict[str, Any]:
    values = read_keys(RELABEL, node, scope)
    assert isinstance(node, MappingNode)
    if set(values) != set(node.entries):
        raise Refused
    action: Action = values.get("action", Action.REPLACE)
    first = next(iter(node.entries.values())).key if node.entries else node
    at = node.entries["action"].value if "action" in node.entries else first
    needed = ["target_label"] if action in _TARGETED else []
    needed += ["modulus"] if action is Action.HASHMOD else []
    for key in needed:
        if key not in values:
            raise scope.fault(
                codes.BAD_RELABEL, at, f"{action.value} needs {quote(key)}", expected=f"expected {quote(key)} beside it"
            )
    for key in values:
        if key != "action" and key not in _TAKEN[action]:
            raise scope.fault(
                codes.BAD_RELABEL,
                node.entries[key].key,
                f"{action.value} does not read {quote(key)}",
                expected=f"expected only: {', '.join(word for word in RELABEL if word in _TAKEN[action])}",
            )
    return values
