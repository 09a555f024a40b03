"""Reading alertmanager.yml: the route tree, inhibitions, time intervals, and receivers as they stand.

Owns the keys of everything that decides (Alertmanager 0.34, config/config.go and dispatch/route.go, read 2026-11-22),
and the faults of a file that an Alertmanager would refuse. What a receiver's keys mean is `alertmanagerreceivers`.

A key of a route or an inhibition that is not known is a fault: who passes it over may page the wrong people. One of a
receiver, or at the top, is not: newer Alertmanagers have more of them, and a remark says that it is not carried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from imd.config import codes
from imd.config.diagnostic import Span as Place
from imd.config.document import Broken, Document, Mapping, Node, Scalar, Sequence
from imd.config.quietkeys import MONTHLY, WEEKDAYS, WEEKLY, beginning, weekday
from imd.config.reading import matchers, timezone
from imd.config.shape import (
    Key,
    Keys,
    Refused,
    Scope,
    any_text,
    duration,
    listed,
    mapped,
    peek,
    read_keys,
    text,
    wrong_type,
)
from imd.config.syntax import BadMatcher, matcher_from_object
from imd.config.wording import quote, suggest
from imd.imports.alertmanagershape import ALL_LABELS, File, Inhibit, Interval, Receiver, Route, Span
from imd.imports.remarks import Remarks
from imd.model.rule import Matcher

DEPTH_MAX = 64
_YES, _NO = frozenset({"true", "yes", "on", "y"}), frozenset({"false", "no", "off", "n"})
_YEAR = timedelta(days=365)
_ANY_TIME = duration(timedelta(0), 10 * _YEAR)
_SOME_TIME = duration(timedelta(milliseconds=1), 10 * _YEAR)


def read_alertmanager(document: Document, remarks: Remarks) -> File | None:
    """None where there are faults, which are then in the document."""
    if document.root is None or isinstance(document.root, Broken):
        if not document.failed:
            document.fault(codes.EMPTY, Place(1, 1, 1, 2), "the file is empty", help="give it the alertmanager.yml")
        return None
    try:
        return _Reader(document, remarks).file(document.root)
    except Refused:
        return None


# Values, as Go's YAML reads them.


def flag(node: Node, scope: Scope) -> bool:
    """YAML 1.1: yes and on are true."""
    word = node.text.lower() if isinstance(node, Scalar) else ""
    if word in _YES | _NO:
        return word in _YES
    raise wrong_type(node, scope, "true or false")


def _raw(node: Node, _scope: Scope) -> Node:
    return node


def _or_nothing(read: Callable[[Node, Scope], Any], nothing: Any) -> Callable[[Node, Scope], Any]:
    """An empty value is none at all to Go."""
    return lambda node, scope: (
        nothing if isinstance(node, Scalar) and node.value is None and not node.style else read(node, scope)
    )


def _regexes(node: Node, scope: Scope) -> tuple[Matcher, ...]:
    return tuple(_matcher(name, value, True, node, scope) for name, value in mapped(any_text)(node, scope).items())


def _equals(node: Node, scope: Scope) -> tuple[Matcher, ...]:
    return tuple(_matcher(name, value, False, node, scope) for name, value in mapped(any_text)(node, scope).items())


def _matcher(name: str, value: str, regex: bool, node: Node, scope: Scope) -> Matcher:
    try:
        return matcher_from_object(name, value, regex)
    except BadMatcher as error:
        assert isinstance(node, Mapping)
        raise scope.fault(codes.BAD_REGEX, node.entries[name].value, f"{quote(name)}: {error}") from None


def _matcher_list(node: Node, scope: Scope) -> tuple[Matcher, ...]:
    return tuple(one for several in listed(matchers)(node, scope) for one in several)


_NAMES = _or_nothing(listed(text), ())
_ROUTE: Keys = {
    "receiver": Key(text),
    "match": Key(_or_nothing(_equals, ())),
    "match_re": Key(_or_nothing(_regexes, ())),
    "matchers": Key(_or_nothing(_matcher_list, ())),
    "continue": Key(_or_nothing(flag, False)),
    "group_by": Key(_or_nothing(listed(text), None)),
    "group_wait": Key(_ANY_TIME),
    "group_interval": Key(_SOME_TIME),
    "repeat_interval": Key(_SOME_TIME),
    "mute_time_intervals": Key(_NAMES),
    "active_time_intervals": Key(_NAMES),
    "labels": Key(_raw),
    "routes": Key(_raw),
}
_NOT_IN_ROOT = ("match", "match_re", "matchers", "continue", "mute_time_intervals", "active_time_intervals")
_INHIBIT: Keys = {
    "name": Key(text),
    "source_match": Key(_or_nothing(_equals, ())),
    "source_match_re": Key(_or_nothing(_regexes, ())),
    "source_matchers": Key(_or_nothing(_matcher_list, ())),
    "target_match": Key(_or_nothing(_equals, ())),
    "target_match_re": Key(_or_nothing(_regexes, ())),
    "target_matchers": Key(_or_nothing(_matcher_list, ())),
    "equal": Key(_NAMES),
}


def _checked(read: Callable[[Node, Scope], Any]) -> Key:
    """A list of texts, kept as they stand, that imd would read as well."""

    def texts(node: Node, scope: Scope) -> tuple[str, ...]:
        read(node, scope)
        return listed(text)(node, scope)

    return Key(_or_nothing(texts, ()))


_TIMES: Keys = {
    "start_time": Key(beginning, required=True),
    "end_time": Key(WEEKLY["to"].read, required=True),
}
_SPAN: Keys = {
    "times": Key(_or_nothing(_raw, None)),
    "weekdays": Key(_NAMES),
    "days_of_month": _checked(MONTHLY["days_of_month"].read),
    "months": _checked(WEEKLY["months"].read),
    "years": _checked(WEEKLY["years"].read),
    "location": Key(timezone),
}
_TOP_KEYS = (
    "global", "route", "receivers", "inhibit_rules", "templates", "time_intervals", "mute_time_intervals", "tracing",
)  # fmt: skip
_LONG_MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip


class _Reader:
    def __init__(self, document: Document, remarks: Remarks) -> None:
        self._document = document
        self._remarks = remarks
        self._scope = Scope(document, "", "the file")

    def file(self, root: Node) -> File | None:
        if not isinstance(root, Mapping):
            raise wrong_type(root, self._scope, "a map of keys")
        top = {word: entry.value for word, entry in root.entries.items()}
        self._unknown(root)
        receivers = self._receivers(top)
        intervals = self._intervals(top)
        tree = self._tree(root, top, receivers, intervals)
        inhibits = tuple(self._each("inhibit_rules", top, self._inhibit))
        settings = self._settings(top)
        templates = tuple(
            node for _, node in _items(top.get("templates")) if isinstance(node, Scalar) and node.text.strip()
        )
        if self._document.failed or tree is None:
            return None
        return File(
            root=tree,
            receivers=receivers,
            inhibits=inhibits,
            intervals=intervals,
            settings=settings,
            templates=templates,
        )

    def _unknown(self, root: Mapping) -> None:
        for word, entry in root.entries.items():
            if word not in _TOP_KEYS:
                hint = suggest(word, _TOP_KEYS)
                if hint:
                    self._scope.fault(codes.UNKNOWN_KEY, entry.key, f"unknown key {quote(word)}", help=hint)
                else:
                    self._remarks.lost(entry.key, word, "this key is not known")
        if "tracing" in root.entries:
            self._remarks.lost(root.entries["tracing"].key, "tracing", "imd writes no traces", "scrape /metrics")

    def _each(
        self, key: str, top: dict[str, Node], read: Callable[[Node, str], Any], within: str = ""
    ) -> Iterable[Any]:
        """What the items of a list at the top are read as; one that is refused is left out."""
        node = top.get(key)
        if node is None or (isinstance(node, Scalar) and node.value is None):
            return
        if not isinstance(node, Sequence):
            wrong_type(node, self._scope.inside(key, within or "the file"), "a list")
            return
        for number, item in enumerate(node.items):
            try:
                yield read(item, f"{key}[{number}]")
            except Refused:
                continue

    def _settings(self, top: dict[str, Node]) -> dict[str, Node]:
        node = top.get("global")
        if node is None or (isinstance(node, Scalar) and node.value is None):
            return {}
        if not isinstance(node, Mapping):
            wrong_type(node, self._scope.inside("global", "the file"), "a map of keys")
            return {}
        return {word: entry.value for word, entry in node.entries.items()}

    # Receivers.

    def _receivers(self, top: dict[str, Node]) -> dict[str, Receiver]:
        found: dict[str, Receiver] = {}
        for receiver in self._each("receivers", top, self._receiver):
            if receiver.name in found:
                said = f"a second receiver {quote(receiver.name)}"
                self._scope.fault(codes.NAME_TAKEN, receiver.at, said, help="names of receivers are unique")
                continue
            found[receiver.name] = receiver
        return found

    def _receiver(self, node: Node, what: str) -> Receiver:
        scope = self._scope.inside("", what)
        if not isinstance(node, Mapping):
            raise wrong_type(node, scope, "a map of keys")
        if "name" not in node.entries:
            first = next(iter(node.entries.values())).key if node.entries else node
            raise scope.fault(codes.MISSING_KEY, first, f'{what} has no "name"')
        name = text(node.entries["name"].value, scope.inside("name", what))
        configs: list[tuple[str, int, Mapping]] = []
        for word, entry in node.entries.items():
            if word == "name":
                continue
            if not word.endswith("_configs"):
                why = "labels of receivers are for filters of Alertmanager's API" if word == "labels" else "not known"
                self._remarks.lost(entry.key, f"{what}.{word}", why)
                continue
            for number, item in self._listed(entry.value, scope.inside(word, what)):
                if isinstance(item, Mapping):
                    configs.append((word, number, item))
                else:
                    wrong_type(item, scope.inside(word, what), "a map of keys")
        return Receiver(at=node, what=what, name=name, configs=tuple(configs))

    def _listed(self, node: Node, scope: Scope) -> Iterable[tuple[int, Node]]:
        if isinstance(node, Sequence):
            return enumerate(node.items)
        if not (isinstance(node, Scalar) and node.value is None):
            wrong_type(node, scope, "a list")
        return ()

    # The tree.

    def _tree(
        self, root: Mapping, top: dict[str, Node], receivers: dict[str, Receiver], intervals: dict[str, Interval]
    ) -> Route | None:
        if "route" not in top:
            first = next(iter(root.entries.values())).key if root.entries else root
            self._scope.fault(codes.MISSING_KEY, first, 'the file has no "route"')
            return None
        keys = {word: key for word, key in _ROUTE.items() if word not in _NOT_IN_ROOT}
        node = top["route"]
        if isinstance(node, Mapping) and "receiver" not in node.entries:
            first = next(iter(node.entries.values())).key if node.entries else node
            self._scope.fault(codes.MISSING_KEY, first, 'the root route has no "receiver"')
            return None
        try:
            return self._route(node, "route", keys, Route(at=node, what="", receiver=""), receivers, intervals, 0)
        except Refused:
            return None

    def _route(
        self,
        node: Node,
        what: str,
        keys: Keys,
        above: Route,
        receivers: dict[str, Receiver],
        intervals: dict[str, Interval],
        depth: int,
    ) -> Route:
        scope = self._scope.inside("", what)
        if depth > DEPTH_MAX:
            raise scope.fault(codes.TOO_DEEP, node, f"routes nested deeper than {DEPTH_MAX} levels")
        values = read_keys(keys, node, scope)
        assert isinstance(node, Mapping)
        if "labels" in values:
            self._remarks.lost(
                node.entries["labels"].key,
                f"{what}.labels",
                "labels of a route enter Alertmanager's templates",
                "give the rule `labels:`",
            )
        receiver = values.get("receiver", above.receiver)
        if receiver not in receivers and "receiver" in values:
            scope.fault(
                codes.UNKNOWN_RECEIVER,
                node.entries["receiver"].value,
                f"there is no receiver {quote(receiver)}",
                help=suggest(receiver, receivers),
            )
        for word in ("mute_time_intervals", "active_time_intervals"):
            for name in values.get(word, ()):
                if name not in intervals:
                    entry = node.entries[word].value
                    at = next((one for _, one in _items(entry) if isinstance(one, Scalar) and one.text == name), entry)
                    hint = suggest(name, intervals)
                    scope.fault(codes.UNKNOWN_TIMES, at, f"there is no time interval {quote(name)}", help=hint)
        route = Route(
            at=node,
            what=what,
            receiver=receiver,
            own=(*values.get("match", ()), *values.get("match_re", ()), *values.get("matchers", ())),
            goes_on=values.get("continue", False),
            group_by=self._group_by(values, node, scope, above),
            group_wait=values.get("group_wait", above.group_wait),
            group_interval=values.get("group_interval", above.group_interval),
            repeat_interval=values.get("repeat_interval", above.repeat_interval),
            mute=values.get("mute_time_intervals", ()),
            active=values.get("active_time_intervals", ()),
        )
        for number, child in self._listed(values["routes"], scope) if "routes" in values else ():
            try:
                route.children = [
                    *route.children,
                    self._route(child, f"{what}.routes[{number}]", _ROUTE, route, receivers, intervals, depth + 1),
                ]
            except Refused:
                continue
        return route

    def _group_by(self, values: dict[str, Any], node: Mapping, scope: Scope, above: Route) -> tuple[str, ...] | None:
        names = values.get("group_by")
        if names is None:
            return above.group_by
        if ALL_LABELS in names and len(names) > 1:
            raise scope.fault(codes.ALL_LABELS_AND_MORE, node.entries["group_by"].value, "'...' stands beside labels")
        return None if ALL_LABELS in names else names

    # Inhibitions.

    def _inhibit(self, node: Node, what: str) -> Inhibit:
        values = read_keys(_INHIBIT, node, self._scope.inside("", what))
        sides = [
            (*values.get(f"{side}_match", ()), *values.get(f"{side}_match_re", ()), *values.get(f"{side}_matchers", ()))
            for side in ("source", "target")
        ]
        return Inhibit(
            at=node, name=values.get("name", ""), source=sides[0], target=sides[1], equal=values.get("equal", ())
        )

    # Times.

    def _intervals(self, top: dict[str, Node]) -> dict[str, Interval]:
        found: dict[str, Interval] = {}
        for key in ("time_intervals", "mute_time_intervals"):
            for interval in self._each(key, top, self._interval):
                if interval.name in found:
                    said = f"a second time interval {quote(interval.name)}"
                    self._scope.fault(codes.NAME_TAKEN, interval.at, said, help="their names are unique")
                    continue
                found[interval.name] = interval
        return found

    def _interval(self, node: Node, what: str) -> Interval:
        scope = self._scope.inside("", what)
        values = read_keys({"name": Key(text, required=True), "time_intervals": Key(_raw)}, node, scope)
        if "name" not in values:
            raise Refused
        spans = []
        if "time_intervals" in values:
            for number, item in self._listed(values["time_intervals"], scope.inside("time_intervals", what)):
                spans.append(self._span(item, self._scope.inside("", f"{what}.time_intervals[{number}]")))
        return Interval(at=node, name=values["name"], spans=tuple(spans))

    def _span(self, node: Node, scope: Scope) -> Span:
        if isinstance(node, Scalar) and node.value is None:
            return Span(at=node)
        values = read_keys(_SPAN, node, scope)
        assert isinstance(node, Mapping)
        times = tuple(self._times(item, scope) for _, item in _items(values.get("times")))
        return Span(
            at=node,
            times=times,
            weekdays=tuple(self._days(values, node, scope)),
            days_of_month=values.get("days_of_month", ()),
            months=tuple(_months(values.get("months", ()))),
            years=values.get("years", ()),
            timezone=values.get("location", "UTC"),
        )

    def _times(self, node: Node, scope: Scope) -> tuple[str, str]:
        values = read_keys(_TIMES, node, scope)
        if len(values) < len(_TIMES):
            raise Refused
        assert isinstance(node, Mapping)
        if values["start_time"] >= values["end_time"]:
            end = node.entries["end_time"].value
            raise scope.fault(codes.BAD_TIME, end, '"end_time" is not later than "start_time"')
        first, last = (peek(node, word) for word in _TIMES)
        assert first is not None
        assert last is not None
        return first.text, last.text

    def _days(self, values: dict[str, Any], node: Mapping, scope: Scope) -> Iterable[str]:
        """imd's own words for them; a week begins on Sunday, and none goes over its end."""
        if "weekdays" not in values:
            return
        for _, item in _items(node.entries["weekdays"].value):
            days = weekday(item, scope.inside("weekdays", scope.owner))
            if (days[0] + 1) % 7 + len(days) > len(WEEKDAYS):
                said = f'"weekdays" in {scope.owner} runs backwards'
                raise scope.fault(codes.OUT_OF_BOUNDS, item, said, help="weeks begin on sunday")
            yield ":".join(dict.fromkeys(WEEKDAYS[day] for day in (days[0], days[-1])))


def _months(texts: Iterable[str]) -> Iterable[str]:
    """`january:march` as imd writes it."""
    for said in texts:
        yield ":".join(word[:3].lower() if word.lower() in _LONG_MONTHS else word for word in said.split(":"))


def _items(node: Node | None) -> Iterable[tuple[int, Node]]:
    return enumerate(node.items) if isinstance(node, Sequence) else ()
