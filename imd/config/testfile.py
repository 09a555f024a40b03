"""The shape of `*.test.yaml`: from nodes to tests, with the same diagnostics as rule files.

Owns how the keys of `testkeys` make up a test: times counted from its start, names of alerts and silences that must be
there, events in order. Opens no file, and runs nothing. A file may hold several tests, one after `---` each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec

from imd.config import codes, testkeys
from imd.config.diagnostic import Span
from imd.config.document import Document, Node, Scalar
from imd.config.document import Mapping as MappingNode
from imd.config.document import Sequence as SequenceNode
from imd.config.shape import Key, Keys, Refused, Scope, mapped, read_keys, sound, wrong_type
from imd.config.syntax import format_duration
from imd.config.testevents import RESOLVE_BY_HAND, VERBS, WHEN, Deed, End, Fire, Mute, Unmute
from imd.config.testvalues import AlertRef, Moment, NamedAlert, named_alert
from imd.config.wording import quote, suggest
from imd.config.yamlfile import read_document

T = TypeVar("T")
SUFFIXES = (".test.yaml", ".test.yml")
START = datetime(2026, 1, 1, tzinfo=UTC)
REPEATS_MAX = 100_000
TIME_MAX = timedelta(days=10 * 365)
_TOLD_CHARS_MAX = 200
_NO_TIME = timedelta(0)


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of `events`, and how it is told. Times count from the start; `refused` None: imd must take it."""

    at: timedelta
    deed: Deed
    told: str
    span: Span
    every: timedelta | None = None
    until: timedelta = _NO_TIME
    refused: str | None = None

    def times(self) -> Iterator[timedelta]:
        """When it happens, each time."""
        at = self.at
        yield at
        while self.every is not None and at + self.every <= self.until:
            at += self.every
            yield at


class Wanted(msgspec.Struct, frozen=True):
    """What is expected of one incident, message or verdict: only keys that were given, with their places."""

    fields: dict[str, Any]
    spans: dict[str, Span]
    span: Span


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of `expect`. It is to be so at `to`; with `since_start` at each step from `begins` on. Messages count
    from `since`. None: nothing is expected of it."""

    begins: timedelta
    to: timedelta
    since: timedelta
    span: Span
    spans: dict[str, Span]
    incidents: tuple[Wanted, ...] | None = None
    incidents_include: tuple[Wanted, ...] | None = None
    pages: tuple[Wanted, ...] | None = None
    suppressed: tuple[Wanted, ...] | None = None
    unmatched: tuple[AlertRef, ...] | None = None
    dropped: tuple[AlertRef, ...] | None = None
    waiting: tuple[AlertRef, ...] | None = None

    @property
    def throughout(self) -> bool:
        return self.begins < self.to


class RuleTest(msgspec.Struct, frozen=True, kw_only=True):
    """One test, read and sound. `rules` and `config` are as written, relative to the file."""

    name: str
    span: Span
    start: datetime
    rules: tuple[str, ...]
    config: str
    alerts: dict[str, NamedAlert]
    events: tuple[Happening, ...]
    expect: tuple[Expected, ...]


class TestFile(msgspec.Struct, frozen=True):
    """A file as read: its sound tests, and the document with the faults of the others."""

    __test__ = False  # not one of pytest's

    document: Document
    tests: tuple[RuleTest, ...]


def read_tests(path: str, raw: bytes) -> TestFile:
    """Every test of a file, or none where any of it has a fault. Faults are the document's; never raises."""
    document = read_document(path, raw, several=True)
    if not document.whole:
        return TestFile(document, ())
    # Between two lines of --- there may be nothing.
    roots = [one for one in document.roots if not isinstance(one, Scalar) or one.value is not None]
    if not roots:
        document.fault(codes.NOTHING_EXPECTED, Span(1, 1, 1, 2), "the file holds no test")
    many = len(roots) > 1
    tests: list[RuleTest] = []
    for number, root in enumerate(roots, 1):
        owner = f"test {number}" if many else "the test"
        tests += sound(lambda node, scope: _Reader(scope, many).test(node), [root], Scope(document, "", owner))
    return TestFile(document, () if document.failed else tuple(tests))


class _Reader:
    """Reads one test."""

    def __init__(self, scope: Scope, many: bool) -> None:
        self._scope = scope
        self._of_test = f" of {scope.owner}" if many else ""
        self._document = scope.document
        self._start = START
        self._alerts: dict[str, NamedAlert] = {}
        self._silences: set[str] = set()
        self._muted = 0

    def test(self, node: Node) -> RuleTest:
        if not isinstance(node, MappingNode):
            raise wrong_type(node, self._scope, "a map of keys")
        keys: Keys = {
            **testkeys.TEST,
            "alerts": Key(mapped(named_alert)),
            "events": Key(_as_it_stands),
            "expect": Key(_as_it_stands, required=True),
        }
        values = read_keys(keys, node, self._scope)
        self._alerts = values.get("alerts", {})
        self._start = self._instant(values.get("start"), node)
        events = list(self._listed(node, "events", self._event))
        expect = list(self._listed(node, "expect", self._expectation))
        if "expect" in values and not expect and not self._document.failed:
            at = node.entries["expect"].key
            self._scope.fault(codes.NOTHING_EXPECTED, at, f"{self._scope.owner} expects nothing")
        if self._document.failed:
            raise Refused  # what is told may lack a part, and would be judged wrongly
        return RuleTest(
            name=values.get("name", ""),
            span=node.entries["name"].key.span if "name" in node.entries else node.span.first(),
            start=self._start,
            rules=values.get("rules", ()),
            config=values.get("config", ""),
            alerts=self._alerts,
            events=tuple(sorted(events, key=lambda event: event.at)),
            expect=tuple(sorted(expect, key=lambda expected: expected.to)),
        )

    def _listed(self, node: MappingNode, word: str, read: Callable[[Node, Scope], T]) -> Iterable[T]:
        entry = node.entries.get(word)
        if entry is None:
            return ()
        if not isinstance(entry.value, SequenceNode):
            wrong_type(entry.value, self._scope.inside(word, self._scope.owner), "a list")
            return ()
        said = {"events": "event", "expect": "expectation"}[word]
        found: list[T] = []
        for number, item in enumerate(entry.value.items, 1):
            found += sound(read, [item], self._scope.inside("", f"{said} {number}{self._of_test}"))
        return found

    # -- times ------------------------------------------------------------------------------------------------------

    def _instant(self, value: Moment | None, node: MappingNode) -> datetime:
        if isinstance(value, timedelta):
            at = node.entries["start"].value
            scope = self._scope.inside("start", self._scope.owner)
            scope.fault(
                codes.BAD_MOMENT,
                at,
                f"{scope.subject} is a duration",
                expected="expected an instant such as 2026-01-01T00:00:00Z",
            )
            return START
        return value or START

    def _offset(self, value: Moment, at: Node, scope: Scope) -> timedelta:
        """The time after the start."""
        offset = value - self._start if isinstance(value, datetime) else value
        if offset > TIME_MAX:
            longest = f"expected at most {format_duration(TIME_MAX)} after the start"
            raise scope.fault(codes.OUT_OF_BOUNDS, at, f"{scope.subject} is too far ahead", expected=longest)
        if offset < _NO_TIME:
            raise scope.fault(codes.OUT_OF_ORDER, at, f"{scope.subject} lies before the start of the test")
        return offset

    def _offsets(self, words: Iterable[str], values: dict[str, Any], node: MappingNode, scope: Scope) -> None:
        for word in words:
            if word in values:
                entry = node.entries[word]
                values[word] = self._offset(values[word], entry.value, scope.inside(word, scope.owner))

    # -- events -----------------------------------------------------------------------------------------------------

    def _event(self, node: Node, scope: Scope) -> Happening:
        if not isinstance(node, MappingNode):
            raise wrong_type(node, scope, "a map such as {at: 30s, fire: node}")
        word = self._verb(node, scope)
        verb = VERBS[word]
        given = node.entries[word].value
        if word == "resolve" and _numbered(given):
            verb = RESOLVE_BY_HAND
        values = read_keys({**WHEN, word: verb.key, **verb.beside}, node, scope)
        if len(values) < len(node.entries) or "at" not in values:
            raise Refused
        if any(key.required and name not in values for name, key in verb.beside.items()):
            raise Refused
        self._offsets(("at", "until"), values, node, scope)
        deed = verb.build(values[word], {name: values[name] for name in verb.beside if name in values})
        self._names_known(deed, node.entries[word].value, scope)
        happening = Happening(
            at=values["at"],
            deed=deed,
            told=_told(node),
            span=node.entries[word].key.span,
            every=values.get("every"),
            until=values.get("until", values["at"]),
            refused=values.get("refused"),
        )
        self._bounded(happening, node, scope)
        return happening

    def _verb(self, node: MappingNode, scope: Scope) -> str:
        """The one key that says what happens. `note` beside another one is a line for the timeline."""
        given = [word for word in node.entries if word in VERBS]
        if len(given) > 1 and "note" in given:
            given.remove("note")
        if len(given) > 1:
            at = node.entries[given[1]].key
            raise scope.fault(
                codes.EXCLUSIVE_KEYS, at, f"{scope.owner} has both {quote(given[0])} and {quote(given[1])}",
                help="make it two events; those of one instant happen in the order of the file",
            )  # fmt: skip
        if given:
            return given[0]
        strange = next((entry for word, entry in node.entries.items() if word not in WHEN), None)
        raise scope.fault(
            codes.UNKNOWN_KEY if strange else codes.MISSING_KEY,
            strange.key if strange else node.span.first(),
            f"unknown key {quote(strange.key.text)} in {scope.owner}"
            if strange
            else f"{scope.owner} says nothing of what happens",
            expected=f"expected one of: {', '.join(VERBS)}",
            help=suggest(strange.key.text, VERBS) if strange else "",
        )

    def _names_known(self, deed: Deed, at: Node, scope: Scope) -> None:
        match deed:
            case Fire(alerts=alerts) | End(alerts=alerts):
                self._alerts_known(alerts, scope)
            case Mute(name=name):
                self._muted += 1
                self._silences.add(name or str(self._muted))
            case Unmute(name=name) if name not in self._silences:
                raise scope.fault(
                    codes.UNKNOWN_SILENCE, at, f"no silence {quote(name)} stands before {scope.owner}",
                    help=suggest(name, self._silences),
                )  # fmt: skip
            case _:
                pass

    def _alerts_known(self, refs: Iterable[AlertRef], scope: Scope) -> None:
        for ref in refs:
            if ref.name and ref.name not in self._alerts:
                raise scope.fault(
                    codes.UNKNOWN_ALERT,
                    ref.span,
                    f"{quote(ref.name)} in {scope.owner} is no alert of the test",
                    expected="expected a name of `alerts`, or labels"
                    + (f" such as {{alertname: {ref.name}}}" if not self._alerts else ""),
                    help=suggest(ref.name, self._alerts),
                )

    def _bounded(self, event: Happening, node: MappingNode, scope: Scope) -> None:
        if "until" in node.entries and event.every is None:
            raise scope.fault(
                codes.MISSING_KEY,
                node.entries["until"].key,
                f"{scope.owner} has {quote('until')} and no {quote('every')}",
            )
        if event.every is None:
            return
        every = node.entries["every"]
        if "until" not in node.entries:
            raise scope.fault(
                codes.MISSING_KEY,
                every.key,
                f"{scope.owner} has {quote('every')} and no {quote('until')}",
                expected="expected its end beside it",
            )
        if event.until < event.at:
            raise scope.fault(codes.OUT_OF_ORDER, node.entries["until"].value, f"{scope.owner} ends before it begins")
        if (event.until - event.at) / event.every > REPEATS_MAX:
            count = int((event.until - event.at) / event.every)
            raise scope.fault(
                codes.OUT_OF_BOUNDS,
                every.value,
                f"{scope.owner} happens {count} times",
                expected=f"expected up to {REPEATS_MAX}",
            )

    # -- expectations -----------------------------------------------------------------------------------------------

    def _expectation(self, node: Node, scope: Scope) -> Expected:
        incidents = self._several(testkeys.INCIDENT, "incident")
        keys: Keys = {
            **testkeys.EXPECT,
            "incidents": Key(incidents),
            "incidents_include": Key(incidents),
            "pages": Key(self._several(testkeys.PAGE, "page")),
            "suppressed": Key(self._several(testkeys.VERDICT, "verdict")),
        }
        values = read_keys(keys, node, scope)
        assert isinstance(node, MappingNode)
        if len(values) < len(node.entries):
            raise Refused
        self._spanned(node, scope)
        self._offsets(("at", "from", "to", "since"), values, node, scope)
        to = values.pop("at") if "at" in values else values.pop("to")
        begins = values.pop("from", to)
        since = values.pop("since", begins if begins < to else _NO_TIME)
        for word, earlier, later in (("to", begins, to), ("since", since, to)):
            if earlier > later:
                at = node.entries[word].value
                raise scope.fault(
                    codes.OUT_OF_ORDER,
                    at,
                    f"{scope.owner} reaches from {format_duration(earlier)} to {format_duration(later)}",
                )
        for word in ("unmatched", "dropped", "waiting"):
            self._alerts_known(values.get(word, ()), scope)
            entry = node.entries.get(word)
            if (
                entry is not None
                and isinstance(entry.value, SequenceNode)
                and len(entry.value.items) > len(values[word])
            ):
                raise Refused
        spans = {word: entry.value.span for word, entry in node.entries.items()}
        return Expected(begins=begins, to=to, since=since, span=node.span.first(), spans=spans, **values)

    def _spanned(self, node: MappingNode, scope: Scope) -> None:
        """Either `at`, or `from` and `to`; and something is expected then."""
        given = node.entries
        first = next(iter(given.values())).key if given else node
        if "at" in given and ("from" in given or "to" in given):
            other = "from" if "from" in given else "to"
            raise scope.fault(
                codes.EXCLUSIVE_KEYS,
                given[other].key,
                f"{scope.owner} has both {quote('at')} and {quote(other)}",
                help="keep one",
            )
        if "at" not in given and not {"from", "to"} <= given.keys():
            missing = (
                quote("at") if "from" not in given and "to" not in given else quote("to" if "from" in given else "from")
            )
            raise scope.fault(
                codes.MISSING_KEY,
                first,
                f"{scope.owner} has no {missing}",
                expected="expected `at`, or `from` and `to`",
            )
        if not any(word in given for word in testkeys.EXPECTATIONS):
            raise scope.fault(
                codes.NOTHING_EXPECTED,
                first,
                f"{scope.owner} expects nothing",
                expected=f"expected one of: {', '.join(testkeys.EXPECTATIONS)}",
            )

    def _several(self, keys: Keys, kind: str) -> Callable[[Node, Scope], tuple[Wanted, ...]]:
        def read(node: Node, scope: Scope) -> tuple[Wanted, ...]:
            if not isinstance(node, SequenceNode):
                raise wrong_type(node, scope, "a list", "put it in [ ]" if isinstance(node, MappingNode) else "")
            found: list[Wanted] = []
            for number, item in enumerate(node.items, 1):
                at = scope.inside("", f"{kind} {number} of {scope.subject}")
                found += sound(lambda one, inner: self._wanted(keys, one, inner), [item], at)
            if len(found) < len(node.items):
                raise Refused
            return tuple(found)

        return read

    def _wanted(self, keys: Keys, node: Node, scope: Scope) -> Wanted:
        values = read_keys(keys, node, scope)
        assert isinstance(node, MappingNode)
        if len(values) < len(node.entries) or any(key.required and word not in values for word, key in keys.items()):
            raise Refused
        if "alert" in values:
            self._alerts_known([values["alert"]], scope)
        if "members" in values:
            self._alerts_known(values["members"], scope)
        for word in ("opened_at", "resolved_at"):
            self._offsets((word,), values, node, scope)
        return Wanted(values, {word: entry.value.span for word, entry in node.entries.items()}, node.span)


def _told(node: MappingNode) -> str:
    """The event in one line, without its times: `fire: node`."""
    words = (f"{word}: {_flow(entry.value)}" for word, entry in node.entries.items() if word not in WHEN)
    return ", ".join(words)[:_TOLD_CHARS_MAX]


def _flow(node: Node) -> str:
    match node:
        case MappingNode(entries=entries):
            return "{" + ", ".join(f"{word}: {_flow(entry.value)}" for word, entry in entries.items()) + "}"
        case SequenceNode(items=items):
            return "[" + ", ".join(_flow(one) for one in items) + "]"
        case Scalar(text=text):
            return text
        case _:
            return ""


def _as_it_stands(node: Node, scope: Scope) -> Node:
    """Read later, once the start and the alerts are known."""
    return node


def _numbered(node: Node) -> bool:
    """Whether it speaks of incidents by number."""
    items = node.items if isinstance(node, SequenceNode) else [node]
    return bool(items) and all(isinstance(one, Scalar) and isinstance(one.value, int) for one in items)
