"""The keys of rule files that keep alerts quiet: inhibit, times, maintenance.

Owns what each may hold and how its windows become `model.quiet`. How several files add up is `rulefile`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from imd.config import codes, form
from imd.config.diagnostic import Span
from imd.config.document import Mapping as MappingNode
from imd.config.document import Node, Scalar, Sequence
from imd.config.form import Either, Plain, Several, Table
from imd.config.places import point_in
from imd.config.reading import label_name, match, timezone
from imd.config.shape import (
    Key,
    Keys,
    Refused,
    Scope,
    any_text,
    listed,
    misspelt,
    name,
    read_keys,
    sound,
    takes,
    text,
)
from imd.config.syntax import BadTimeOfDay, parse_time_of_day
from imd.config.wording import quote, suggest
from imd.model.quiet import DAY, Inhibition, Once, TimeInterval, Weekly

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LONG_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_LOCAL = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?")
YEARS = (1970, 2200)


_TIME = form.text('"HH:MM"', "^([01][0-9]|2[0-4]):[0-5][0-9]$", "09:00")


@takes(_TIME)
def _time_of_day(node: Node, scope: Scope) -> timedelta:
    """HH:MM since midnight."""
    value = text(node, scope)
    try:
        return parse_time_of_day(value)
    except BadTimeOfDay as error:
        hint = "put it in quotes" if isinstance(node, Scalar) and not isinstance(node.value, str) else ""
        assert isinstance(node, Scalar)
        raise scope.fault(
            codes.BAD_TIME,
            point_in(scope.document, node, error.offset),
            f"{scope.subject} is {quote(value)}, which is no time of day",
            expected=str(error),
            help=hint,
        ) from None


@takes(_TIME)
def beginning(node: Node, scope: Scope) -> timedelta:
    at = _time_of_day(node, scope)
    if at == DAY:
        raise scope.fault(codes.BAD_TIME, node, f"{scope.subject} is 24:00, at which no day begins", help="write 00:00")
    return at


@takes(form.text("mon to sun, or mon:fri", "^[A-Za-z]+(:[A-Za-z]+)?$", "mon", "mon:fri"))
def weekday(node: Node, scope: Scope) -> tuple[int, ...]:
    """`mon`, `monday`, or `mon:fri`, which may go over the week's end."""
    first, colon, last = text(node, scope).partition(":")
    words = [(first, 0), (last, len(first) + 1)] if colon else [(first, 0)]
    days = [_day(word, offset, node, scope) for word, offset in words]
    return tuple((days[0] + further) % 7 for further in range((days[-1] - days[0]) % 7 + 1))


def _day(word: str, offset: int, node: Node, scope: Scope) -> int:
    for words in (WEEKDAYS, _LONG_DAYS):
        if word.lower() in words:
            return words.index(word.lower())
    raise scope.fault(
        codes.NOT_ONE_OF,
        _part(word, offset, node, scope),
        f"{scope.subject} holds {quote(word)}",
        expected=f"expected one of: {', '.join(WEEKDAYS)}",
        help=suggest(word, WEEKDAYS),
    )


def _part(word: str, offset: int, node: Node, scope: Scope) -> Span:
    assert isinstance(node, Scalar)
    return point_in(scope.document, node, offset, len(word))


def _ranges(low: int, high: int, names: tuple[str, ...]) -> Plain:
    number = "-?[0-9]{1,4}" + "".join(f"|{word}[a-z]*" for word in names)
    schema = {
        "anyOf": [
            {"type": "integer", "minimum": low, "maximum": high},
            {"type": "string", "pattern": f"^({number})(:({number}))?$"},
        ]
    }
    return Plain("number, or first:last", schema, f"{low} to {high}")


def _range(low: int, high: int, words: tuple[str, ...] = ()) -> Callable[[Node, Scope], tuple[int, int]]:
    """A number or `first:last`, both from `low` to `high` and not 0; `words` stand for 1, 2…"""

    def number(word: str, offset: int, node: Node, scope: Scope) -> int:
        if word.lower()[:3] in words:
            return words.index(word.lower()[:3]) + 1
        if re.fullmatch(r"-?[0-9]{1,4}", word) and low <= int(word) <= high and int(word):
            return int(word)
        expected = f"expected {low} to {high}, or two with a colon between"
        at = _part(word, offset, node, scope)
        raise scope.fault(codes.OUT_OF_BOUNDS, at, f"{scope.subject} holds {quote(word)}", expected=expected)

    @takes(_ranges(low, high, words))
    def read(node: Node, scope: Scope) -> tuple[int, int]:
        first, colon, last = text(node, scope).partition(":")
        begins = number(first, 0, node, scope)
        ends = number(last, len(first) + 1, node, scope) if colon else begins
        if begins > ends and (begins < 0) == (ends < 0):
            raise scope.fault(codes.OUT_OF_BOUNDS, node, f"{scope.subject} holds {quote(f'{first}:{last}')}, backwards")
        return begins, ends

    return read


def _weekly(keys: Keys) -> Callable[[Node, Scope], tuple[Weekly, ...]]:
    """A map, or a list of them."""

    def one(node: Node, scope: Scope) -> Weekly:
        values = read_keys(keys, node, scope)
        assert isinstance(node, MappingNode)
        if len(values) < len(node.entries) or any(key.required and word not in values for word, key in keys.items()):
            raise Refused
        if ("from" in values) != ("to" in values):
            given, missing = ("from", "to") if "from" in values else ("to", "from")
            words = f"{scope.subject} has {quote(given)} and no {quote(missing)}"
            raise scope.fault(codes.MISSING_KEY, node.entries[given].key, words)
        begins, ends = values.pop("from", timedelta(0)), values.pop("to", DAY)
        if begins == ends:
            raise scope.fault(
                codes.BAD_TIME, node.entries["to"].value, f"{scope.subject} ends when it begins",
                help="for whole days leave out from and to",
            )  # fmt: skip
        days: tuple[tuple[int, ...], ...] = values.pop("weekdays", ())
        weekdays = tuple(sorted({day for several in days for day in several}))
        return Weekly(weekdays=weekdays, begins=begins, ends=ends, **values)

    def read(node: Node, scope: Scope) -> tuple[Weekly, ...]:
        if isinstance(node, Sequence):
            found = listed(one, least=1)(node, scope)
            if len(found) < len(node.items):
                raise Refused
            return found
        return (one(node, scope),)

    return read


_COMMON: dict[str, Key] = {
    "from": Key(beginning, "When it begins, a time of day in quotes.", "00:00"),
    "to": Key(_time_of_day, "When it ends, a time of day in quotes; earlier than `from` is on the next day.", "24:00"),
    "months": Key(listed(_range(1, 12, _MONTHS), least=1), "Only in these months."),
    "years": Key(listed(_range(*YEARS), least=1), "Only in these years."),
}
_WEEKDAYS = Key(listed(weekday, least=1), "Only on these days of the week.", examples=(["mon:fri"],))
WEEKLY: Keys = {"weekdays": _WEEKDAYS, **_COMMON}
MONTHLY: Keys = {
    "days_of_month": Key(
        listed(_range(-31, 31), least=1),
        "On these days of the month; negative ones count from its end.",
        examples=(["1:7"], [-1]),
        required=True,
    ),
    "weekdays": _WEEKDAYS,
    **_COMMON,
}
_INSTANT = form.text("instant", r"^\d{4}-\d{2}-\d{2}", "2026-12-01 22:00", "2026-12-01T22:00:00Z")
ONCE: Keys = {
    "from": Key(text, "When it begins, in the window's time zone.", required=True, form=_INSTANT),
    "to": Key(text, "When it ends.", required=True, form=_INSTANT),
}
WINDOWS = ("weekly", "monthly", "once")


def one_or_more(keys: Keys) -> Either:
    return Either((Table(keys), Several(Table(keys), 1)), said="map, or list of maps")


weekly = _weekly(WEEKLY)
INTERVAL: Keys = {
    "weekly": Key(weekly, "Windows on days of the week.", form=one_or_more(WEEKLY)),
    "monthly": Key(_weekly(MONTHLY), "Windows on days of the month.", form=one_or_more(MONTHLY)),
    # read by `interval`, once the time zone is known
    "once": Key(any_text, "Single windows.", form=one_or_more(ONCE)),
    "timezone": Key(timezone, "In which the times are read.", "UTC"),
}
_SOME = [{"required": [word]} for word in WINDOWS]
INTERVAL_FORM = Table(INTERVAL, {"anyOf": _SOME})


def interval(values: dict[str, Any], node: Node, scope: Scope) -> TimeInterval:
    """The windows of a map whose keys, but for `once`, are read. Raises Refused where one is unsound."""
    assert isinstance(node, MappingNode)
    if any(word in node.entries and word not in values for word in (*WINDOWS, "timezone")):
        raise Refused
    zone = values.get("timezone", "UTC")
    once: tuple[Once, ...] = ()
    if "once" in node.entries:
        at = scope.inside("once", scope.owner)
        entry = node.entries["once"].value
        items = entry.items if isinstance(entry, Sequence) else [entry]
        once = tuple(sound(lambda one, scope: _single(one, scope, zone), items, at))
        if len(once) < len(items):
            raise Refused
    found = TimeInterval(weekly=(*values.get("weekly", ()), *values.get("monthly", ())), once=once, timezone=zone)
    if not found.weekly and not found.once:
        if misspelt(node, {**INTERVAL, "during": Key(text)}, (*WINDOWS, "during")):
            raise Refused
        raise scope.fault(
            codes.MISSING_KEY,
            node.span.first(),
            f"{scope.subject} has no window",
            expected=f"expected one of: {', '.join(WINDOWS)}",
        )
    return found


def _single(node: Node, scope: Scope, zone: str) -> Once:
    values = read_keys(ONCE, node, scope)
    if len(values) < len(ONCE):
        raise Refused
    return span_of(values, node, scope, zone)


def span_of(values: dict[str, Any], node: Node, scope: Scope, zone: str) -> Once:
    """From the texts of `from` and `to` of a map. Raises Refused."""
    assert isinstance(node, MappingNode)
    begins, ends = (_instant(values[word], node.entries[word].value, scope, zone) for word in ("from", "to"))
    if begins >= ends:
        raise scope.fault(codes.BAD_TIME, node.entries["to"].value, f"{scope.subject} ends before it begins")
    return Once(begins_at=begins, ends_at=ends)


def _instant(value: str, node: Node, scope: Scope, zone: str) -> datetime:
    """RFC 3339 with its zone, or a wall clock's `2026-12-01 22:00` in the entry's time zone."""
    try:
        at = datetime.fromisoformat(value)
        if at.tzinfo is None and _LOCAL.fullmatch(value):
            at = at.replace(tzinfo=ZoneInfo(zone))
        if at.tzinfo is not None and YEARS[0] <= at.year < YEARS[1]:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise scope.fault(
        codes.BAD_TIME, node, f"{scope.subject} has {quote(value)}, which is no instant",
        expected='expected one such as "2026-12-01 22:00" or 2026-12-01T22:00:00Z',
    )  # fmt: skip


def named_interval(node: Node, scope: Scope) -> TimeInterval:
    """An entry of `times`."""
    return interval(_but_once(INTERVAL, node, scope), node, scope)


def _but_once(keys: Keys, node: Node, scope: Scope) -> dict[str, Any]:
    """The values of all keys; `once` is only noted to be there."""
    return read_keys({**keys, "once": Key(lambda _node, _scope: True)}, node, scope)


INHIBIT: Keys = {
    "name": Key(name, "Names the inhibition in verdicts.", required=True),
    "source": Key(match, "The alerts that mute while they fire.", required=True),
    "target": Key(match, "The alerts that are muted.", required=True),
    "equal": Key(listed(label_name), "Labels that must be the same on both; a missing one is empty.", []),
}
MAINTENANCE: Keys = {
    "name": Key(name, "Names the maintenance in verdicts.", required=True),
    "match": Key(match, "The alerts that are quiet.", required=True),
    **INTERVAL,
    "during": Key(name, "A name of `times`, in place of windows of its own."),
    "reason": Key(any_text, "Why, for people."),
}
MAINTENANCE_FORM = Table(MAINTENANCE, {"anyOf": [*_SOME, {"required": ["during"]}]})


def inhibition(node: Node, scope: Scope) -> Inhibition:
    """An entry of `inhibit`."""
    values = read_keys(INHIBIT, node, scope)
    assert isinstance(node, MappingNode)
    if len(values) < len(node.entries) or not {"name", "source", "target"} <= values.keys():
        raise Refused
    return Inhibition(**values)


def maintenance(node: Node, scope: Scope) -> tuple[dict[str, Any], TimeInterval | None]:
    """An entry of `maintenance`: name, match, reason, and `during` where it names one of `times`; its own windows
    where it has some. Raises Refused."""
    values = _but_once(MAINTENANCE, node, scope)
    if not {"name", "match"} <= values.keys():
        raise Refused
    assert isinstance(node, MappingNode)
    windows = None
    own = [word for word in (*WINDOWS, "timezone") if word in node.entries]
    if "during" in node.entries:
        if own:
            raise scope.fault(
                codes.EXCLUSIVE_KEYS,
                node.entries[own[0]].key,
                f"{scope.owner} has both {quote('during')} and {quote(own[0])}",
                help="keep one",
            )
    else:
        windows = interval(values, node, scope)
    return {word: values[word] for word in ("name", "match", "reason", "during") if word in values}, windows


def begins_at(node: Node) -> Span:
    """Where an entry's windows stand, for a lint: their first key."""
    assert isinstance(node, MappingNode)
    return next((node.entries[word].key.span for word in (*WINDOWS, "during") if word in node.entries), node.span)
