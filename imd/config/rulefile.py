"""The shape of rules/*.yaml: how its entries become rules, people, policies and routes.

Owns how several files add up, and the keys that refer to other parts; the rest of the tables is `rulekeys`. Names that
point from one part to another are noted here as references and checked by `load`, once all files are read.

What the design has and this version does not build is refused by name: a rule that means more than imd does is worse
than one that does not load.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Generic, TypeVar

import msgspec

from imd.config import codes, quietkeys
from imd.config.diagnostic import Span
from imd.config.document import Document, Node, Scalar, Sequence
from imd.config.document import Mapping as MappingNode
from imd.config.enrichfile import EnrichReader, NoTables, Tables
from imd.config.oncallkeys import CalendarAt, OnCallReader
from imd.config.openingkeys import heartbeat
from imd.config.rulekeys import DEFAULT_RULE, POLICY, PRIORITY, ROUTE, RULE, STEP, TOP, priority_table
from imd.config.shape import Key, Keys, Refused, Scope, listed, peek, read_keys, text, wrong_type
from imd.config.topologyfile import Mapped, read_onset, read_topology
from imd.config.wording import quote
from imd.model.enrich import Enrichment
from imd.model.heartbeat import Heartbeat
from imd.model.policy import EscalationStep, Person, Policy, Route, Target, TargetKind, Team
from imd.model.quiet import Inhibition, Maintenance, TimeInterval
from imd.model.rule import Match, PriorityTable, Rule
from imd.model.schedule import Schedule

T = TypeVar("T")
DEFAULT = "default"
_POINTED_AT = {"policy", "person", "schedule", "team", "times"}
"""Kinds whose names other parts use."""
_ROUTE_FIELDS = {"except": "but", "continue": "goes_on"}
_CONDITIONS = {"match", "priority", "during", "except"}
"""A route that has one of these does not take every incident."""
_ZERO = timedelta(0)


class Named(msgspec.Struct, Generic[T]):
    """One entry with a name, and where the name stands. `value` is None where the entry is unsound; `node` is
    all of it, for the places of lints."""

    name: str
    document: Document
    span: Span
    value: T | None
    node: Node

    def has(self, key: str) -> bool:
        """Whether the entry itself gives the key."""
        return isinstance(self.node, MappingNode) and key in self.node.entries

    def place(self, *keys: str | int) -> Span:
        """Where the value under these keys stands, its first character if it has several lines; the entry's name where
        it has none."""
        node: Node | None = self.node
        for key in keys:
            if isinstance(node, MappingNode) and isinstance(key, str):
                entry = node.entries.get(key)
                node = entry.value if entry is not None else None
            elif isinstance(node, Sequence) and isinstance(key, int):
                node = node.items[key] if key < len(node.items) else None
        if node is None:
            return self.span
        return node.span if node.span.end_line == node.span.line else node.span.first()


class Reference(msgspec.Struct, frozen=True):
    """Somewhere a name is used. `kind` is receiver, policy, person, schedule, team or times; `owner` is who uses it."""

    kind: str
    name: str
    document: Document
    span: Span
    owner: str


class Planned(msgspec.Struct, frozen=True):
    """A maintenance; `during` names one of `times` where it has no windows of its own, which stand at `span`."""

    name: str
    match: Match
    reason: str
    during: str
    windows: TimeInterval | None
    span: Span

    def resolved(self, times: TimeInterval | None) -> Maintenance:
        """With the windows that `during` names."""
        windows = self.windows or times or TimeInterval()
        return Maintenance(name=self.name, match=self.match, during=windows, reason=self.reason)


class PlacedRoute(msgspec.Struct, frozen=True):
    route: Route
    document: Document
    span: Span


class RuleFiles(msgspec.Struct):
    """All rule files together, in order. `lost` are the kinds of which some name could not be read."""

    rules: dict[str, Named[Rule]] = {}
    enrich: dict[str, Named[Enrichment]] = {}
    heartbeats: dict[str, Named[Heartbeat]] = {}
    people: dict[str, Named[Person]] = {}
    teams: dict[str, Named[Team]] = {}
    schedules: dict[str, Named[Schedule]] = {}
    calendars: list[CalendarAt] = []
    policies: dict[str, Named[Policy]] = {}
    routes: list[PlacedRoute] = []
    matchless_route: PlacedRoute | None = None
    priority: PriorityTable | None = None
    priority_at: tuple[Document, Span] | None = None
    priority_node: Node | None = None
    inhibitions: dict[str, Named[Inhibition]] = {}
    times: dict[str, Named[TimeInterval]] = {}
    maintenance: dict[str, Named[Planned]] = {}
    mapped: Mapped = msgspec.field(default_factory=Mapped)
    references: list[Reference] = []
    lost: set[str] = set()


def read_rules(document: Document, files: RuleFiles, tables: Tables | None = None) -> None:
    """Adds one file. Every fault goes to the document, those of a table to the table's own."""
    if not document.whole:
        files.lost |= _POINTED_AT
    if document.root is None:
        return
    scope = Scope(document, "", "this file")
    keys = _Parts(files, tables or NoTables()).keys()
    if not isinstance(document.root, MappingNode) or not document.root.entries.keys() <= keys.keys():
        files.lost |= _POINTED_AT  # `polices:` may have been meant to hold them
    with suppress(Refused):
        read_keys(keys, document.root, scope)


class _Parts:
    """The readers of a rule file's top keys, which add to what other files gave."""

    def __init__(self, files: RuleFiles, tables: Tables) -> None:
        self._files = files
        self._enrichments = EnrichReader(tables)
        self._on_call = OnCallReader(self._used, tables.bytes_of, files.calendars)

    def keys(self) -> Keys:
        return {
            **TOP,
            "enrich": Key(self._enrich),
            "rules": Key(self._rules),
            "heartbeats": Key(self._heartbeats),
            "priority": Key(self._priority),
            "people": Key(self._people),
            "teams": Key(self._teams),
            "schedules": Key(self._schedules),
            "policies": Key(self._policies),
            "routes": Key(self._routes),
            "inhibit": Key(self._inhibit),
            "times": Key(self._times),
            "maintenance": Key(self._maintenance),
            "topology": Key(lambda node, scope: read_topology(node, scope, self._files.mapped)),
            "onset": Key(lambda node, scope: read_onset(node, scope, self._files.mapped)),
        }

    def _enrich(self, node: Node, scope: Scope) -> None:
        self._entries(node, scope, "enrichment", self._files.enrich, self._enrichments.entry)

    def _rules(self, node: Node, scope: Scope) -> None:
        self._entries(node, scope, "rule", self._files.rules, self._rule)

    def _heartbeats(self, node: Node, scope: Scope) -> None:
        self._entries(node, scope, "heartbeat", self._files.heartbeats, self._heartbeat)

    def _heartbeat(self, node: Node, scope: Scope) -> Heartbeat:
        word = peek(node, "name")
        line = word.span.line if word is not None else node.span.line
        return heartbeat(node, scope, f"{scope.document.path}:{line}")

    def _people(self, node: Node, scope: Scope) -> None:
        self._entries(node, scope, "person", self._files.people, self._on_call.person)

    def _teams(self, node: Node, scope: Scope) -> None:
        self._entries(node, scope, "team", self._files.teams, self._on_call.team)

    def _schedules(self, node: Node, scope: Scope) -> None:
        self._entries(node, scope, "schedule", self._files.schedules, self._on_call.schedule)

    def _policies(self, node: Node, scope: Scope) -> None:
        self._entries(node, scope, "policy", self._files.policies, self._policy)

    def _inhibit(self, node: Node, scope: Scope) -> None:
        self._entries(node, scope, "inhibition", self._files.inhibitions, quietkeys.inhibition)

    def _maintenance(self, node: Node, scope: Scope) -> None:
        self._entries(node, scope, "maintenance", self._files.maintenance, self._planned)

    def _planned(self, node: Node, scope: Scope) -> Planned:
        values, windows = quietkeys.maintenance(node, scope)
        self._refer("times", node, "during", scope)
        return Planned(
            values["name"],
            values["match"],
            values.get("reason", ""),
            values.get("during", ""),
            windows,
            quietkeys.begins_at(node),
        )

    def _times(self, node: Node, scope: Scope) -> None:
        """A map of names to windows; a name that is there already is refused, the entry is checked all the same."""
        if not isinstance(node, MappingNode):
            self._files.lost.add("times")
            raise wrong_type(node, scope, "a map of names to windows")
        for word, entry in node.entries.items():
            at = scope.inside("", f"times {quote(word)}")
            value = _or_none(quietkeys.named_interval, entry.value, at)
            first = self._files.times.get(word)
            if first is None:
                self._files.times[word] = Named(word, scope.document, entry.key.span, value, entry.value)
            else:
                self._taken(at, entry.key, at.owner, first.document, first.span)

    def _taken(self, scope: Scope, at: Node, owner: str, document: Document, span: Span) -> None:
        place = f"{document.path}:{span.line}"
        scope.fault(codes.NAME_TAKEN, at, f"{owner} is named a second time", expected=f"first named at {place}")

    def _entries(
        self, node: Node, scope: Scope, kind: str, into: dict[str, Named[T]], read: Callable[[Node, Scope], T]
    ) -> None:
        """A list of maps with a `name`; a name that is there already is refused, the entry is checked all the same."""
        if not isinstance(node, Sequence):
            self._files.lost.add(kind)
            raise wrong_type(node, scope, "a list")
        for number, item in enumerate(node.items, 1):
            word = peek(item, "name")
            known = word is not None and is_word(word) and isinstance(item, MappingNode)
            owner = f"{kind} {quote(word.text)}" if word and known else f"{kind} {number}"
            value = _or_none(read, item, scope.inside("", owner))
            if word is None or not known:
                self._files.lost.add(kind)
                continue
            first = into.get(word.text)
            if first is not None:
                self._taken(scope, word, owner, first.document, first.span)
            else:
                into[word.text] = Named(word.text, scope.document, word.span, value, item)

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
            self._used(kind, at.text, at, scope)

    def _used(self, kind: str, word: str, at: Node, scope: Scope) -> None:
        if not is_word(at):
            return  # refused where it stands
        self._files.references.append(Reference(kind, word, scope.document, at.span, scope.owner))

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
        if "for" in values:
            values["wait"] = values.pop("for")
        return EscalationStep(**values)

    def _target(self, node: Node, scope: Scope) -> Target:
        value = text(node, scope)
        kind, colon, word = value.partition(":")
        if not colon or not word or kind not in tuple(TargetKind):
            hint = f"did you mean {quote('receiver:' + value)} or {quote('person:' + value)}?" if not colon else ""
            raise scope.fault(
                codes.BAD_TARGET,
                node,
                f"{quote(value)} is no target",
                expected="expected schedule:NAME, person:NAME, team:NAME or receiver:NAME",
                help=hint,
            )
        self._used(kind, word, node, scope)
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
        self._refer("times", node, "during", scope)
        self._refer("times", node, "except", scope)
        assert isinstance(node, MappingNode)
        if len(values) < len(node.entries):
            raise Refused
        if "priority" in values:
            values["priority"] = frozenset(values["priority"])
        for word, field in _ROUTE_FIELDS.items():
            if word in values:
                values[field] = values.pop(word)
        placed = PlacedRoute(Route(**values), scope.document, next(iter(node.entries.values())).key.span)
        if _CONDITIONS & node.entries.keys() or placed.route.goes_on:
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
        self._files.priority_node = node
        self._files.priority = priority_table(table)


def is_word(node: Node) -> bool:
    """Whether it may be a name at all."""
    return isinstance(node, Scalar) and node.value is not None and "\0" not in node.text and bool(node.text)


def _or_none(read: Callable[[Node, Scope], T], node: Node, scope: Scope) -> T | None:
    try:
        return read(node, scope)
    except Refused:
        return None
