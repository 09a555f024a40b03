"""The keys of rule files that stand for themselves: tables, and the readers that need nothing else.

Owns what each key may hold and its bounds. Keys that add to other files or refer to other parts (lists of rules,
targets, ways to reach) are read by `rulefile`.
"""

from __future__ import annotations

import enum
from datetime import timedelta
from typing import Any

from imd.config import codes
from imd.config.document import Mapping as MappingNode
from imd.config.document import Node, Scalar
from imd.config.openingkeys import FLAPPING, open_when
from imd.config.reading import condition, label_name, labels, match, template, timezone, web_url
from imd.config.shape import (
    Key,
    Keys,
    Refused,
    Scope,
    any_text,
    choice,
    duration,
    listed,
    mapped,
    name,
    nested,
    read_keys,
    whole,
)
from imd.config.wording import quote
from imd.model.incident import Level, Priority
from imd.model.rule import Flapping, Mode, PriorityTable, Raise, Relate, Resolve, ResolveWhen, Window, WindowKind

ALL_LABELS = "..."
_SECOND, _MINUTE, _DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
_ZERO, _YEAR = timedelta(0), 365 * _DAY


def _later(*names: str) -> dict[str, Key]:
    return {word: Key(any_text, later=True) for word in names}


def _group_by(node: Node, scope: Scope) -> tuple[tuple[str, ...] | None]:
    """Label names; `['...']` is every label, [] none. In a tuple of one, for None would say that it is not there."""
    found = listed(label_name)(node, scope)
    if ALL_LABELS in found:
        if len(found) > 1:
            raise scope.fault(
                codes.ALL_LABELS_AND_MORE,
                node,
                f"{scope.subject} holds '...' and more",
                expected="expected ['...'] alone",
            )
        return (None,)
    return (tuple(dict.fromkeys(found)),)


def _resolve_when(node: Node, scope: Scope) -> ResolveWhen:
    if isinstance(node, Scalar) and node.text == ResolveWhen.ROOT.value:
        raise scope.fault(
            codes.NOT_BUILT,
            node,
            "resolve when root is not built in this version",
            expected="expected one of: all, first, never",
        )
    return choice(ResolveWhen)(node, scope)


class Along(enum.StrEnum):
    """Along what alerts are related."""

    TOPOLOGY = "topology"


def _relate(along: Along, **values: Any) -> Relate:
    assert along is Along.TOPOLOGY
    return Relate(**values)


def _raise(node: Node, scope: Scope) -> Raise:
    """`{alerts: 10, impact: high}` or `{distinct: LABEL, at_least: 5, impact: high}`."""
    at = scope.inside("", f"{quote('raise')} of {scope.owner}")
    counted = isinstance(node, MappingNode) and "distinct" not in node.entries and "at_least" not in node.entries
    values = read_keys(RAISE_ALERTS if counted else RAISE_DISTINCT, node, at)
    if len(values) < (2 if counted else 3):
        raise Refused
    if counted:
        return Raise(at_least=values["alerts"], impact=values["impact"])
    return Raise(**values)


def _level_map(node: Node, scope: Scope) -> dict[str, Level]:
    return mapped(choice(Level))(node, scope)


def _matrix(node: Node, scope: Scope) -> dict[Level, dict[Level, Priority]]:
    """matrix[impact][urgency]; cells that are left out keep the built-in priority."""
    row = nested({level.value: Key(choice(Priority)) for level in Level}, lambda **cells: cells)
    rows = nested({level.value: Key(row) for level in Level}, lambda **found: found)(node, scope)
    return {Level(impact): {Level(urgency): cell for urgency, cell in cells.items()} for impact, cells in rows.items()}


def priority_table(values: dict[str, Any]) -> PriorityTable:
    """What the file says over the built-in tables, key by key and cell by cell."""
    table = PriorityTable()
    matrix = {impact: {**cells, **values.get("matrix", {}).get(impact, {})} for impact, cells in table.matrix.items()}
    return PriorityTable(
        urgency_from_severity={**table.urgency_from_severity, **values.get("urgency_from_severity", {})},
        impact_from_tier={**table.impact_from_tier, **values.get("impact_from_tier", {})},
        matrix=matrix,
    )


WINDOW: Keys = {
    "kind": Key(choice(WindowKind)),
    "gap": Key(duration(_SECOND, _YEAR)),
    "max_life": Key(duration(_MINUTE, _YEAR)),
    "max_alerts": Key(whole(1, 1_000_000)),
}
RESOLVE: Keys = {"when": Key(_resolve_when), "after": Key(duration(_ZERO, _YEAR))}
RAISE_ALERTS: Keys = {"alerts": Key(whole(1, 1_000_000), required=True), "impact": Key(choice(Level), required=True)}
RAISE_DISTINCT: Keys = {
    "distinct": Key(label_name, required=True),
    "at_least": Key(whole(1, 1_000_000), required=True),
    "impact": Key(choice(Level), required=True),
}
RELATE: Keys = {
    "along": Key(choice(Along), required=True),
    "max_hops": Key(whole(1, 6)),
    "within": Key(duration(10 * _SECOND, _DAY)),
}
RULE: Keys = {
    "name": Key(name, required=True),
    "match": Key(match, required=True),
    "when": Key(condition),
    "description": Key(any_text),
    "group_by": Key(_group_by),
    "window": Key(nested(WINDOW, Window)),
    "hold": Key(duration(_ZERO, _DAY)),
    "resolve": Key(nested(RESOLVE, Resolve)),
    "reopen_within": Key(duration(_ZERO, _YEAR)),
    "impact": Key(choice(Level)),
    "urgency": Key(choice(Level)),
    "priority": Key(choice(Priority)),
    "raise": Key(listed(_raise)),
    "title": Key(template),
    "runbook": Key(web_url),
    "labels": Key(labels),
    "policy": Key(name),
    "mode": Key(choice(Mode)),
    "relate": Key(nested(RELATE, _relate)),
    "open_when": Key(open_when),
    "flapping": Key(nested(FLAPPING, Flapping)),
}
_PARTS = (
    "enrich", "inhibit", "times", "maintenance", "rules", "heartbeats", "priority", "people", "policies", "routes",
    "topology", "onset",
)  # fmt: skip
# Keys that refer to other parts are read by _Parts; here stands only that they are known.
TOP: Keys = {
    **{word: Key(any_text) for word in _PARTS},
    **_later("schedules"),
}
PERSON: Keys = {
    "name": Key(name, required=True),
    "timezone": Key(timezone),
    "reach": Key(any_text, required=True),
}
DEFAULT_RULE: Keys = {**RULE, "match": Key(match)}
REACH: Keys = {"receiver": Key(name, required=True), **_later("after")}
POLICY: Keys = {
    "name": Key(name, required=True),
    "steps": Key(any_text, required=True),
    "repeat": Key(whole(0, 100)),
    "ack_timeout": Key(duration(_MINUTE, 30 * _DAY)),
    "remind": Key(duration(_ZERO, 30 * _DAY)),
}
STEP: Keys = {"notify": Key(any_text, required=True), "for": Key(duration(_SECOND, 30 * _DAY))}
ROUTE: Keys = {
    "match": Key(match),
    "priority": Key(listed(choice(Priority), least=1)),
    "policy": Key(name, required=True),
    **_later("during", "except", "continue"),
}
PRIORITY: Keys = {
    "urgency_from_severity": Key(_level_map),
    "impact_from_tier": Key(_level_map),
    "matrix": Key(_matrix),
    **_later("targets"),
}
