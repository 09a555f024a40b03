"""A calendar file (iCalendar, RFC 5545) as a layer of a schedule: whose event it is, is on call.

Owns the contract, and two libraries behind it, which are the extra `imd[ics]`: they are imported when the first
calendar is read, so imd starts without them. Recurrences are worked out a stretch of BLOCK at a time, when one is asked
for, and kept; so a rule without an end costs nothing. The same file gives the same answers, whenever it is read.

Of events at one time the one that began last counts, of those that began together the one with the higher UID.
Cancelled events do not count. Times without a zone, and whole days, are those of a clock on the wall in the layer's
time zone.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from math import prod
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

EXTRA = "ics"
BYTES_MAX = 1024 * 1024
EVENTS_MAX, RECURRING_MAX = 5_000, 100
BLOCK = timedelta(days=64)
_BLOCKS_MAX = 64
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEARS = (1970, 2200)
_TIMES_A_DAY_MAX = 24
_TOO_OFTEN = frozenset({"SECONDLY", "MINUTELY", "HOURLY"})
_DAY = timedelta(days=1)


class NoCalendars(Exception):
    """The extra is not installed."""


class BadCalendar(ValueError):
    """The file cannot be a layer; the text says why."""


class Event(msgspec.Struct, frozen=True):
    """What may name its person, most telling first: the title, then attendees' names, addresses, and what stands
    before the @ of these. `shown` is the event for people."""

    names: tuple[str, ...]
    shown: str

    def person(self, people: Iterable[str]) -> str:
        """Who of these it is, whatever the case; "" for nobody."""
        known = {name.casefold(): name for name in people}
        return next((known[name.casefold()] for name in self.names if name.casefold() in known), "")


class Stretch(msgspec.Struct, frozen=True):
    """From `begins_at` until before `ends_at` it is this event; None: no event."""

    begins_at: datetime
    ends_at: datetime
    event: Event | None


class Calendar:
    """One file; equal to another of the same text and time zone."""

    __slots__ = ("_blocks", "_query", "events", "source", "timezone")

    def __init__(self, source: str, timezone: str) -> None:
        """Raises NoCalendars, BadCalendar."""
        self.source = source
        self.timezone = timezone
        self._query, components = _parsed(source)
        self.events = [_event(component) for component in components]
        self._blocks: dict[int, list[Stretch]] = {}
        if components:
            first = min(_instant(component.start, timezone) for component in components)
            list(self._between(first, first + 2 * 366 * _DAY))  # so that what cannot be worked out is said at once

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Calendar) and (self.source, self.timezone) == (other.source, other.timezone)

    def __hash__(self) -> int:
        return hash((self.source, self.timezone))

    def at(self, at: datetime) -> Stretch:
        """The stretch that an instant lies in; cut to its block."""
        number = (at - _EPOCH) // BLOCK
        if number not in self._blocks:
            if len(self._blocks) >= _BLOCKS_MAX:
                self._blocks.clear()
            self._blocks[number] = self._block(number)
        found = self._blocks[number]
        return found[bisect_right(found, at, key=lambda one: one.begins_at) - 1]

    def _block(self, number: int) -> list[Stretch]:
        """Every change within it, without a break."""
        begins_at, ends_at = _EPOCH + number * BLOCK, _EPOCH + (number + 1) * BLOCK
        try:
            events = list(self._between(begins_at, ends_at))
        except BadCalendar:
            events = []  # what could be worked out when it was read, and cannot here, is nobody's
        edges = {begins_at, *(at for one in events for at in (one[0], one[1]) if begins_at < at < ends_at)}
        ordered = sorted(edges)
        return [
            Stretch(edge, following, _newest(events, edge))
            for edge, following in zip(ordered, [*ordered[1:], ends_at], strict=True)
        ]

    def _between(self, begins_at: datetime, ends_at: datetime) -> Iterator[tuple[datetime, datetime, str, Event]]:
        """Occurrences that touch the span. Raises BadCalendar."""
        try:
            found = self._query.between(begins_at - _DAY, ends_at + _DAY)  # times without a zone are not in UTC
        except Exception as error:  # noqa: BLE001 - whatever the libraries make of a rule, the engine goes on
            raise BadCalendar(f"its events cannot be worked out: {error}") from None
        for one in found:
            first, last = _instant(one.start, self.timezone), _instant(one.end, self.timezone)
            if first < last and last > begins_at and first < ends_at:
                yield first, last, str(one.get("UID", "")), _event(one)


def _parsed(source: str) -> tuple[Any, list[Any]]:
    """What answers for spans of time, and the events."""
    try:
        import icalendar
        import recurring_ical_events
    except ImportError:
        raise NoCalendars(f"that needs an extra that is not installed: pip install 'imd[{EXTRA}]'") from None
    try:
        calendar = icalendar.Calendar.from_ical(source)
        if calendar.name != "VCALENDAR":
            raise BadCalendar(f"it is not read as iCalendar: it is a {calendar.name}")
        components = _sound(calendar)
        return recurring_ical_events.of(calendar), components
    except BadCalendar:
        raise
    except Exception as error:  # noqa: BLE001 - the libraries have dozens, and a file is no reason to end
        raise BadCalendar(f"it is not read as iCalendar: {str(error)[:200]}") from None


def _sound(calendar: Any) -> list[Any]:
    """The events; cancelled ones are taken out. Raises BadCalendar."""
    components = calendar.walk("VEVENT")
    recurring = sum("RRULE" in component for component in components)
    if len(components) > EVENTS_MAX or recurring > RECURRING_MAX:
        count = f"{len(components)} events, {recurring} of them recurring"
        raise BadCalendar(f"it has {count}; at most {EVENTS_MAX} and {RECURRING_MAX} are taken")
    for component in list(components):
        _check(component)
        if str(component.get("STATUS", "")).upper() == "CANCELLED":
            calendar.subcomponents.remove(component)
            components.remove(component)
    return list(components)


def _check(component: Any) -> None:
    """Refuses what would be read otherwise than it was meant, or take for ever. Raises BadCalendar."""
    if component.errors:
        name, reason = component.errors[0]
        raise BadCalendar(f"{name} of {_shown(component)}: {reason}")
    rule = component.get("RRULE", {})
    for each in rule if isinstance(rule, list) else [rule]:
        often = {str(word).upper() for word in each.get("FREQ", ())} & _TOO_OFTEN
        times = prod(max(1, len(each.get(key, ()))) for key in ("BYHOUR", "BYMINUTE", "BYSECOND"))
        if often or times > _TIMES_A_DAY_MAX:
            how = min(often).lower() if often else f"{times} times a day"
            raise BadCalendar(f"{_shown(component)} recurs {how}; a day has at most {_TIMES_A_DAY_MAX} shifts here")
    try:
        begins, _ = component.start, component.end
    except Exception as error:  # noqa: BLE001 - as above
        raise BadCalendar(f"{_shown(component)} has no beginning or end: {error}") from None
    if not _YEARS[0] <= begins.year < _YEARS[1]:
        raise BadCalendar(f"{_shown(component)} is in the year {begins.year}")


def _event(component: Any) -> Event:
    attendees = component.get("ATTENDEE", [])
    names = [str(component.get("SUMMARY", "")).strip()]
    addresses = []
    for one in attendees if isinstance(attendees, list) else [attendees]:
        names.append(str(one.params.get("CN", "")).strip())
        addresses.append(str(one).removeprefix("mailto:").removeprefix("MAILTO:").strip())
    names += addresses + [address.partition("@")[0] for address in addresses]
    return Event(tuple(dict.fromkeys(name for name in names if name)), _shown(component))


def _shown(component: Any) -> str:
    title = str(component.get("SUMMARY", "")).strip()[:60]
    try:
        return f'the event "{title}" of {component.get("DTSTART").dt:%Y-%m-%d}'
    except Exception:  # noqa: BLE001 - the library refuses a broken date in ways of its own
        return f'the event "{title}"'


def _instant(at: date, timezone: str) -> datetime:
    if not isinstance(at, datetime):
        at = datetime(at.year, at.month, at.day)  # noqa: DTZ001 - a whole day begins at midnight there
    return (at if at.tzinfo is not None else at.replace(tzinfo=ZoneInfo(timezone))).astimezone(UTC)


def _newest(events: list[tuple[datetime, datetime, str, Event]], at: datetime) -> Event | None:
    there = [one for one in events if one[0] <= at < one[1]]
    return max(there, key=lambda one: (one[0], one[2]))[3] if there else None
