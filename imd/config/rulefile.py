"""The shape of rules/*.yaml: its keys, and how they become rules, people, policies and routes.

Owns the tables of keys, and how several files add up. Names that point from one part to another are noted here as
references and checked by `load`, once all files are read.

What the design has and this version does not build is refused by name: a rule that means more than imd does is worse
than one that does not load.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, Generic, TypeVar

import msgspec

from imd.config import codes
from imd.config.diagnostic import Span
from imd.config.document import Document, Node, Scalar, Sequence
from imd.config.document import Mapping as MappingNode
from imd.config.reading import label_name, labels, match, template, timezone, web_url
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
    peek,
    quote,
    read_keys,
    text,
    whole,
    wrong_type,
)
from imd.model.incident import Level, Priority
from imd.model.policy import EscalationStep, Person, Policy, Route, Target, TargetKind
from imd.model.rule import Mode, PriorityTable, Raise, Resolve, ResolveWhen, Rule, Window, WindowKind

T = TypeVar("T")
ALL_LABELS = "..."
DEFAULT = "default"
_ZERO, _SECOND, _MINUTE, _DAY = (
    timedelta(0), timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1),
)  # fmt: skip
_YEAR = 365 * _DAY


class Named(msgspec.Struct, Generic[T]):
    """One entry with a name, and where the name stands. `value` is None where the entry is unsound."""

    name: str
    document: Document
    span: Span
    value: T | None


class Reference(msgspec.Struct, frozen=True):
    """Somewhere a name is used. `kind` is receiver, policy or person; `owner` says who uses it."""

    kind: str
    name: str
    document: Document
    span: Span
    owner: str


class PlacedRoute(msgspec.Struct, frozen=True):
    route: Route
    document: Document
    span: Span


class RuleFiles(msgspec.Struct):
    """All rule files together, in order. `lost` are the kinds of which some name could not be read."""

    rules: dict[str, Named[Rule]] = {}
    people: dict[str, Named[Person]] = {}
    policies: dict[str, Named[Policy]] = {}
    routes: list[PlacedRoute] = []
    matchless_route: PlacedRoute | None = None
    priority: PriorityTable | None = None
    priority_at: tuple[Document, Span] | None = None
    references: list[Reference] = []
    lost: set[str] = set()


def read_rules(document: Document, files: RuleFiles) -> None:
    """Adds one file. Every fault goes to the document."""
    if not document.whole:
        files.lost |= {"policy", "person"}
    if document.root is None:
        return
    scope = Scope(document, "", "this file")
    keys = _Parts(files).keys()
    if not isinstance(document.root, MappingNode) or not document.root.entries.keys() <= keys.keys():
        files.lost |= {"policy", "person"}  # `polices:` may have been meant to hold them
    with suppress(Refused):
        read_keys(keys, document.root, scope)


class _Parts:
    """The readers of a rule file's top keys, which add to what other files gave."""

    def __init__(self, files: RuleFiles) -> None:
        self._files = files

    def keys(self) -> Keys:
        return {
            **TOP,
            "rules": Key(self._rules),
            "priority": Key(self._priority),
            "people": Key(self._people),
            "policies": Key(self._policies),
            "routes": Key(self._routes),
        }

    def _rules(self, node: Node, scope: Scope) -> None:
        self._entries(node, scope, "rule", self._files.rules, self._rule)

    def _people(self, node: Node, scope: Scope) -> None:
        self._entries(node, scope, "person", self._files.people, self._person)

    def _policies(self, node: Node, scope: Scope) -> None:
        self._entries(node, scope, "policy", self._files.policies, self._policy)

    def _entries(
        self, node: Node, scope: Scope, kind: str, into: dict[str, Named[T]], read: Callable[[Node, Scope], T]
    ) -> None:
        """A list of maps with a `name`; a name that is there already is refused, the entry is checked all the same."""
        if not isinstance(node, Sequence):
            self._files.lost.add(kind)
            raise wrong_type(node, scope, "a list")
        for number, item in enumerate(node.items, 1):
            word = peek(item, "name")
            known = word is not None and bool(word.text) and isinstance(item, MappingNode)
            owner = f"{kind} {quote(word.text)}" if word and known else f"{kind} {number}"
            value = _or_none(read, item, scope.inside("", owner))
            if word is None or not known:
                self._files.lost.add(kind)
                continue
            first = into.get(word.text)
            if first is not None:
                place = f"{first.document.path}:{first.span.line}"
                scope.fault(
                    codes.NAME_TAKEN, word, f"{owner} is named a second time", expected=f"first named at {place}"
                )
            else:
                into[word.text] = Named(word.text, scope.document, word.span, value)

    def _rule(self, node: Node, scope: Scope) -> Rule:
        word = peek(node, "name")
        default = word is not None and word.text == DEFAULT
        values = read_keys(DEFAULT_RULE if default else RULE, node, scope)
        if "name" not in values or ("match" not in values and not default):
            raise Refused
        if "policy" in values:
            self._refer("policy", node, "policy", scope)
        if "group_by" in values:
            values["group_by"] = values["group_by"][0]
        if "raise" in values:
            values["raises"] = values.pop("raise")
        assert word is not None
        return Rule(where=f"{scope.document.path}:{word.span.line}", **values)

    def _refer(self, kind: str, node: Node, key: str, scope: Scope) -> None:
        at = peek(node, key)
        if at is not None:
            self._files.references.append(Reference(kind, at.text, scope.document, at.span, scope.owner))

    def _person(self, node: Node, scope: Scope) -> Person:
        values = read_keys({**PERSON, "reach": Key(self._reach, required=True)}, node, scope)
        if "name" not in values or "reach" not in values:
            raise Refused
        return Person(**values)

    def _reach(self, node: Node, scope: Scope) -> tuple[str, ...]:
        if not isinstance(node, Sequence):
            raise wrong_type(node, scope, "a list such as [{receiver: NAME}]")
        if len(node.items) != 1:
            count = len(node.items)
            raise scope.fault(
                codes.ONE_WAY_TO_REACH,
                node.items[1] if count else node,
                f"{scope.subject} names {count} ways",
                expected="expected exactly one",
                help="a second way, and waiting for it, is not built in this version: page it by an escalation step"
                if count
                else "",
            )
        at = scope.inside("", f"{quote('reach')} of {scope.owner}")
        values = read_keys(REACH, node.items[0], at)
        if "receiver" not in values:
            raise Refused
        self._refer("receiver", node.items[0], "receiver", scope)
        return (values["receiver"],)

    def _policy(self, node: Node, scope: Scope) -> Policy:
        values = read_keys({**POLICY, "steps": Key(listed(self._step, least=1), required=True)}, node, scope)
        if "name" not in values or "steps" not in values:
            raise Refused
        if values.get("remind") == _ZERO:
            values["remind"] = None
        return Policy(**values)

    def _step(self, node: Node, scope: Scope) -> EscalationStep:
        at = scope.inside("", f"a step of {scope.owner}")
        values = read_keys({**STEP, "notify": Key(listed(self._target, least=1), required=True)}, node, at)
        if not values.get("notify"):
            raise Refused
        wait = {"wait": values["for"]} if "for" in values else {}
        return EscalationStep(notify=values["notify"], **wait)

    def _target(self, node: Node, scope: Scope) -> Target:
        value = text(node, scope)
        kind, colon, word = value.partition(":")
        if kind == "schedule" and colon:
            raise scope.fault(
                codes.NOT_BUILT,
                node,
                f"{quote(value)}: schedules are not built in this version",
                help="name a person: or a receiver:",
            )
        if not colon or not word or kind not in tuple(TargetKind):
            hint = f"did you mean {quote('receiver:' + value)} or {quote('person:' + value)}?" if not colon else ""
            raise scope.fault(
                codes.BAD_TARGET,
                node,
                f"{quote(value)} is no target",
                expected="expected person:NAME or receiver:NAME",
                help=hint,
            )
        self._files.references.append(Reference(kind, word, scope.document, node.span, scope.owner))
        return Target(TargetKind(kind), word)

    def _routes(self, node: Node, scope: Scope) -> None:
        if not isinstance(node, Sequence):
            raise wrong_type(node, scope, "a list")
        for number, item in enumerate(node.items, 1):
            _or_none(self._route, item, scope.inside("", f"route {number}"))

    def _route(self, node: Node, scope: Scope) -> None:
        values = read_keys(ROUTE, node, scope)
        if "policy" not in values:
            raise Refused
        self._refer("policy", node, "policy", scope)
        if "priority" in values:
            values["priority"] = frozenset(values["priority"])
        assert isinstance(node, MappingNode)
        placed = PlacedRoute(Route(**values), scope.document, next(iter(node.entries.values())).key.span)
        if "match" in node.entries or "priority" in node.entries:
            self._files.routes.append(placed)
        elif self._files.matchless_route is None:
            self._files.matchless_route = placed
        else:
            first = self._files.matchless_route
            scope.fault(
                codes.SECOND_MATCHLESS_ROUTE,
                placed.span,
                "a second route takes every incident",
                expected=f"first one at {first.document.path}:{first.span.line}",
                help="give one of them a match; a route without one is tried last",
            )

    def _priority(self, node: Node, scope: Scope) -> None:
        table = read_keys(PRIORITY, node, scope)
        if self._files.priority_at is not None:
            document, span = self._files.priority_at
            assert isinstance(node, MappingNode)
            raise scope.fault(
                codes.SECOND_PRIORITY,
                node.span.first(),
                "priority stands in a second file",
                expected=f"first given at {document.path}:{span.line}",
                help="keep one of the two",
            )
        self._files.priority_at = (scope.document, node.span)
        self._files.priority = _priority_table(table)


def _or_none(read: Callable[[Node, Scope], T], node: Node, scope: Scope) -> T | None:
    try:
        return read(node, scope)
    except Refused:
        return None


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


def _priority_table(values: dict[str, Any]) -> PriorityTable:
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
RULE: Keys = {
    "name": Key(name, required=True),
    "match": Key(match, required=True),
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
    **_later("when", "relate", "open_when", "flapping"),
}
# Keys that refer to other parts are read by _Parts; here stands only that they are known.
TOP: Keys = {
    **{word: Key(any_text) for word in ("rules", "priority", "people", "policies", "routes")},
    **_later("enrich", "topology", "onset", "inhibit", "times", "maintenance", "heartbeats", "schedules"),
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
