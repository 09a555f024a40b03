"""Rules: matchers plus what to do, and the priority table.

Owns matching itself (RE2, whole value, Alertmanager's semantics); which rule wins is `core.correlate`.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import msgspec
import re2

from imd.model.condition import Condition
from imd.model.incident import Level, Priority
from imd.model.template import Template

PATTERN_BYTES_MAX = 4096
REMEMBERED_MAX, REMEMBERED_CHARS_MAX = 256, 256  # answers a pattern; longer values are tested anew each time
_OPTIONS = re2.Options()
_OPTIONS.log_errors = False  # else RE2 writes each error to stderr as well
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-/:%@ ,;<>~`!\"'#&=|")
_RESERVED = frozenset("{}!=~,\\\"'`")

_PLACES_TRIED_MAX = 50
# Escapes, quoted stretches and classes are passed over, with the brackets in them.
_BRACKETS = re.compile(r"\\Q.*?(?:\\E|$)|\\.|\[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]])*\]|[()]", re.DOTALL)

Test = Callable[[Mapping[str, str]], bool]


class BadPattern(ValueError):
    """RE2 refuses the pattern; the text is RE2's own. The fault stands at `offset`, `length` characters from 0; None:
    it is the pattern as a whole."""

    def __init__(self, reason: str, offset: int | None = None, length: int = 1) -> None:
        super().__init__(reason)
        self.offset = offset
        self.length = length


class Op(enum.StrEnum):
    EQUAL = "="
    NOT_EQUAL = "!="
    REGEX = "=~"
    NOT_REGEX = "!~"


class Matcher(msgspec.Struct, frozen=True):
    """`name op value`. A missing label counts as "". Regexes match whole values; `.` does not match a newline."""

    name: str
    op: Op
    value: str

    def test(self) -> Test:
        """A closure over label maps; raises BadPattern."""
        name, value = self.name, self.value
        if self.op is Op.EQUAL:
            return lambda labels: labels.get(name, "") == value
        if self.op is Op.NOT_EQUAL:
            return lambda labels: labels.get(name, "") != value
        full = full_match(value)
        if self.op is Op.REGEX:
            return lambda labels: full(labels.get(name, ""))
        return lambda labels: not full(labels.get(name, ""))

    def __str__(self) -> str:
        escaped = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        # Alertmanager quotes a name only where its grammar could not read it bare.
        plain = self.name and not any(char in _RESERVED or char.isspace() for char in self.name)
        name = self.name if plain else f'"{self.name}"'
        return f'{name}{self.op.value}"{escaped}"'


def full_match(pattern: str) -> Callable[[str], bool]:
    """A test of whole values. Plain alternatives (`a|b|c`) become a set, and "there is one" needs no RE2 either, whose
    wrapper costs 9 us a call."""
    alternatives = pattern.split("|")
    if len(pattern) <= PATTERN_BYTES_MAX and _PLAIN.issuperset(pattern):
        return frozenset(alternatives).__contains__
    if pattern == ".+":
        return lambda value: value != "" and "\n" not in value
    if pattern == ".*":
        return lambda value: "\n" not in value
    search = whole_pattern(pattern).search
    return _remembered(lambda value: search(value) is not None)


def whole_pattern(pattern: str, dot_all: bool = False) -> Any:
    """The compiled RE2 for whole values; `dot_all`: `.` matches line ends too. Raises BadPattern."""
    if len(pattern.encode("utf-8", "replace")) > PATTERN_BYTES_MAX:
        raise BadPattern(f"longer than {PATTERN_BYTES_MAX} bytes")
    whole = f"^(?s:{pattern})$" if dot_all else f"^(?:{pattern})$"
    try:
        return re2.compile(whole, _OPTIONS)
    except (re2.error, UnicodeEncodeError):
        raise _located(pattern, _reason(pattern) or _reason(whole)) from None


def _reason(pattern: str) -> str:
    """RE2's words; "" where it takes the pattern."""
    try:
        re2.compile(pattern, _OPTIONS)
    except (re2.error, UnicodeEncodeError) as error:
        reason = error.args[0] if error.args else error
        return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
    return ""


def _located(pattern: str, reason: str) -> BadPattern:
    """RE2 says what it stumbled on, not where: brackets are counted, and the rest is where the words first hold."""
    kind, _, piece = reason.partition(": ")
    if kind in ("missing )", "unexpected )"):
        return BadPattern(kind, _unpaired(pattern))
    if kind == "missing ]":
        return BadPattern(kind, len(pattern) - len(piece))
    if kind.startswith("trailing"):
        return BadPattern(reason, len(pattern) - 1)
    at = pattern.find(piece) if piece else -1
    for _ in range(_PLACES_TRIED_MAX):
        if at < 0 or _reason(pattern[: at + len(piece)]) == reason:
            break
        at = pattern.find(piece, at + 1)
    return BadPattern(reason, at, len(piece)) if at >= 0 else BadPattern(reason)


def _unpaired(pattern: str) -> int | None:
    """The first bracket that closes nothing, or else the last that is never closed."""
    opened: list[int] = []
    for found in _BRACKETS.finditer(pattern):
        if found[0] == "(":
            opened.append(found.start())
        elif found[0] == ")" and opened:
            opened.pop()
        elif found[0] == ")":
            return found.start()
    return opened[-1] if opened else None


def _remembered(test: Callable[[str], bool]) -> Callable[[str], bool]:
    """The test with a memory of its answers: RE2's wrapper costs 3 us a value, looking one up 0.06. Values of labels
    that rules test are few; what is not (pods, addresses) starts the memory anew when it is full."""
    known: dict[str, bool] = {}

    def remembered(value: str) -> bool:
        answer = known.get(value)
        if answer is None:
            answer = test(value)
            if len(value) <= REMEMBERED_CHARS_MAX:
                if len(known) >= REMEMBERED_MAX:
                    known.clear()
                known[value] = answer
        return answer

    return remembered


Match = tuple[tuple[Matcher, ...], ...]
"""Any of these lists, each of which must hold as a whole. () matches nothing, ((),) everything."""

MATCH_ALL: Match = ((),)

TITLE_VALUES: Mapping[str, tuple[str, ...] | None] = {
    "labels": None,
    "group": None,
    "alerts": (),
    "firing": (),
    "cause": None,
    "incident": ("id", "number", "priority"),
}
"""What the template of a title may ask for (`core.page` gives it), and of it: None is whatever there is."""


def match_test(match: Match) -> Test:
    """One closure for a whole `match:`; raises BadPattern."""
    lists = [[matcher.test() for matcher in matchers] for matchers in match]
    if any(not tests for tests in lists):
        return lambda labels: True
    if len(lists) == 1:
        tests = lists[0]
        if len(tests) == 1:
            return tests[0]
        return lambda labels: all(test(labels) for test in tests)
    return lambda labels: any(all(test(labels) for test in tests) for tests in lists)


def first_unmet(match: Match, labels: Mapping[str, str]) -> tuple[Matcher, ...]:
    """Of each list the first matcher that does not hold, where no list holds as a whole; else (). Raises BadPattern."""
    failed = []
    for matchers in match:
        first = next((matcher for matcher in matchers if not matcher.test()(labels)), None)
        if first is None:
            return ()
        failed.append(first)
    return tuple(failed)


class WindowKind(enum.StrEnum):
    WHILE_OPEN = "while_open"
    SESSION = "session"
    FIXED = "fixed"


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """How long an incident takes alerts in. max_life and max_alerts bound every kind."""

    kind: WindowKind = WindowKind.WHILE_OPEN
    gap: timedelta = timedelta(minutes=15)
    max_life: timedelta = timedelta(hours=24)
    max_alerts: int = 5000


class ResolveWhen(enum.StrEnum):
    ALL = "all"
    ROOT = "root"
    FIRST = "first"
    NEVER = "never"


class Resolve(msgspec.Struct, frozen=True, kw_only=True):
    when: ResolveWhen = ResolveWhen.ALL
    after: timedelta = timedelta(minutes=1)


class Mode(enum.StrEnum):
    """PAGE: the usual. MONITOR: decide and record, page nobody. SUPPRESS: keep the alert, open nothing.
    DROP: forget it beyond the count."""

    PAGE = "page"
    MONITOR = "monitor"
    SUPPRESS = "suppress"
    DROP = "drop"


class Raise(msgspec.Struct, frozen=True, kw_only=True):
    """Breadth of impact: at `at_least` members ever (or distinct values of label `distinct`), impact is `impact`."""

    at_least: int
    distinct: str = ""
    impact: Level


class Relate(msgspec.Struct, frozen=True, kw_only=True):
    """`relate:` of a rule, along the topology. `within` is the time scale: each fifth of it halves the weight of a gap
    between two onsets. `max_hops` bounds how far one alert is related to another."""

    max_hops: int = 3
    within: timedelta = timedelta(minutes=5)


class Count(msgspec.Struct, frozen=True, kw_only=True, tag="count"):
    """So many alerts that fire, with different values of label `distinct` where it is given, begun within `within`."""

    at_least: int
    within: timedelta
    distinct: str = ""


class AllOf(msgspec.Struct, frozen=True, kw_only=True, tag="all_of"):
    """An alert of each part, begun within `within`; with `in_order` in the order of the parts. An alert stands for the
    first part that it matches, and counts also once it has ended."""

    parts: tuple[Match, ...]
    within: timedelta
    in_order: bool = False


class Absent(msgspec.Struct, frozen=True, kw_only=True, tag="absent"):
    """`wait` (YAML: `for`) after an alert began it still fires, and no alert of its group key that `match` takes came.
    `match` () awaits the alert's own end alone."""

    wait: timedelta
    match: Match = ()


class Rate(msgspec.Struct, frozen=True, kw_only=True, tag="rate"):
    """So many new alerts within `per`, ended or not. The incident does not resolve before fewer than `until_below` are
    new within `per`."""

    at_least: int
    per: timedelta
    until_below: int


OpenWhen = Count | AllOf | Absent | Rate


class Flapping(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that began or ended `changes` times within `within` flaps until it has not changed for `calm`."""

    changes: int = 6
    within: timedelta = timedelta(minutes=30)
    calm: timedelta = timedelta(minutes=15)


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """Matchers plus what to do. `group_by` None means every label (`['...']`); () one group.

    impact, urgency and priority are None where the rule leaves them to tier, severity and the matrix.
    `where` is file:line of its name, for people. `when` is asked after `match`.
    """

    name: str
    match: Match = MATCH_ALL
    when: Condition | None = None
    description: str = ""
    group_by: tuple[str, ...] | None = ("alertname", "cluster", "namespace", "service")
    relate: Relate | None = None
    window: Window = Window()
    hold: timedelta = timedelta(seconds=10)
    open_when: OpenWhen | None = None
    flapping: Flapping = Flapping()
    resolve: Resolve = Resolve()
    reopen_within: timedelta = timedelta(minutes=30)
    impact: Level | None = None
    urgency: Level | None = None
    priority: Priority | None = None
    raises: tuple[Raise, ...] = ()
    title: Template | None = None
    runbook: str = ""
    labels: dict[str, str] = {}
    policy: str = ""
    mode: Mode = Mode.PAGE
    where: str = ""


_H, _M, _L = Level.HIGH, Level.MEDIUM, Level.LOW
_P1, _P2, _P3, _P4, _P5 = Priority

URGENCY_FROM_SEVERITY = {
    "critical": _H, "page": _H, "error": _H, "warning": _M, "info": _L, "none": _L, "default": _M,
}  # fmt: skip
IMPACT_FROM_TIER = {"1": _H, "2": _M, "default": _L}
MATRIX = {
    _H: {_H: _P1, _M: _P2, _L: _P3},
    _M: {_H: _P2, _M: _P3, _L: _P4},
    _L: {_H: _P3, _M: _P4, _L: _P5},
}
"""matrix[impact][urgency]; ServiceNow's sample priority lookup, moved to high, medium, low."""


class PriorityTarget(msgspec.Struct, frozen=True, kw_only=True):
    """By when an incident should be acknowledged and resolved, from when it opened or came back; None: no matter."""

    ack: timedelta | None = None
    resolve: timedelta | None = None


class PriorityTable(msgspec.Struct, frozen=True, kw_only=True):
    """impact x urgency -> priority; every cell is filled. Keys "default" catch what is not listed.

    The defaults are the tables above.
    """

    urgency_from_severity: dict[str, Level] = msgspec.field(default_factory=URGENCY_FROM_SEVERITY.copy)
    impact_from_tier: dict[str, Level] = msgspec.field(default_factory=IMPACT_FROM_TIER.copy)
    matrix: dict[Level, dict[Level, Priority]] = msgspec.field(default_factory=MATRIX.copy)
    targets: dict[Priority, PriorityTarget] = {}
