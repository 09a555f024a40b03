"""What keeps alerts quiet: silences, inhibitions, maintenance windows, and the times in which they hold.

Owns the words and their own invariants: which calendar days a recurring window begins on, in which state a silence is,
and when an update of it keeps its id. When a window is in force is `core.times`, what a verdict does `core.quiet`.
"""

from __future__ import annotations

import enum
from calendar import monthrange
from collections.abc import Iterable
from datetime import date, datetime, timedelta

import msgspec

from imd.model.rule import Match, Matcher, Op

PAUSE = "pause"
"""The id of the one silence without matchers, which takes everything."""

Ranges = tuple[tuple[int, int], ...]
"""First and last of each, both in. () is no restriction."""


class SilenceState(enum.StrEnum):
    PENDING = "pending"
    ACTIVE = "active"
    EXPIRED = "expired"


class Silence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A person mutes what all matchers take, from `starts_at` until before `ends_at`. `id` is a UUID, or PAUSE.

    A record is never changed: an update and an early end put another one with the same id in its place. `begun`: its
    beginning has its effect on the alerts that fired then; `spreading`: some of them may not have felt it yet.
    """

    id: str
    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime
    updated_at: datetime
    created_by: str
    comment: str = ""
    annotations: dict[str, str] = {}
    begun: bool = False
    spreading: bool = False

    @property
    def cause(self) -> str:
        """How verdicts name it: `silence/UUID`, or `pause`."""
        return PAUSE if self.id == PAUSE else f"silence/{self.id}"

    def in_force(self, now: datetime) -> bool:
        return self.starts_at <= now < self.ends_at

    def state(self, now: datetime) -> SilenceState:
        if now >= self.ends_at:
            return SilenceState.EXPIRED
        return SilenceState.ACTIVE if now >= self.starts_at else SilenceState.PENDING

    def ended(self, now: datetime) -> Silence:
        """The same, over as of now."""
        return msgspec.structs.replace(self, starts_at=min(self.starts_at, now), ends_at=now, updated_at=now)


def keeps_id(old: Silence, new: Silence, now: datetime) -> bool:
    """Whether `new` may take the place of `old` under its id (Alertmanager silence.go canUpdate, 0.34, read 2026-11):
    the same matchers, and of an active one the same start, to the second. Otherwise the old one ends and a new id
    comes, so that what was muted when stays on record."""
    if old.matchers != new.matchers:
        return False
    match old.state(now):
        case SilenceState.ACTIVE:
            return int(new.starts_at.timestamp()) == int(old.starts_at.timestamp()) and new.ends_at >= now
        case SilenceState.PENDING:
            return new.starts_at >= now
        case _:
            return False


def takes_empty(matchers: Iterable[Matcher]) -> bool:
    """Whether every matcher takes an empty value: such a silence would mute nearly everything by mistake. Raises
    BadPattern."""
    return all(matcher.test()({}) for matcher in matchers)


def needle(matchers: Iterable[Matcher]) -> bytes:
    """A stretch of the canonical JSON of every label set that the matchers take; b"" where none is known.

    It lets a search over all open alerts pass by those that cannot match without decoding them.
    """
    for matcher in matchers:
        if matcher.op is Op.EQUAL and matcher.value:
            return msgspec.json.encode({matcher.name: matcher.value})[1:-1]
    return b""


class Inhibition(msgspec.Struct, frozen=True, kw_only=True):
    """A firing alert that `source` takes mutes those that `target` takes, where the `equal` labels are the same.

    A missing label equals an empty one. An alert that both sides take is not muted by one that both sides take.
    """

    name: str
    source: Match
    target: Match
    equal: tuple[str, ...] = ()


DAY = timedelta(days=1)
_NO_TIME = timedelta(0)


class Weekly(msgspec.Struct, frozen=True, kw_only=True):
    """A window on each calendar day that fits, from `begins` until before `ends`, both times since midnight.

    `begins` > `ends` wraps: it ends on the next day. Weekdays count from Monday, 0; () is every day. Negative days of
    the month count from its end, and ranges are cut to the month's length. All restrictions must fit.
    """

    weekdays: tuple[int, ...] = ()
    days_of_month: Ranges = ()
    months: Ranges = ()
    years: Ranges = ()
    begins: timedelta = _NO_TIME
    ends: timedelta = DAY

    def begins_on(self, day: date) -> bool:
        """Whether a window begins on this day."""
        return (
            (not self.weekdays or day.weekday() in self.weekdays)
            and _within(day.month, self.months)
            and _within(day.year, self.years)
            and (not self.days_of_month or any(_in_month(day, first, last) for first, last in self.days_of_month))
        )


def _within(number: int, ranges: Ranges) -> bool:
    return not ranges or any(first <= number <= last for first, last in ranges)


def _in_month(day: date, first: int, last: int) -> bool:
    length = monthrange(day.year, day.month)[1]
    if first > length:
        return False
    return _day_of(first, length) <= day.day <= _day_of(last, length)


def _day_of(number: int, length: int) -> int:
    if number < 0:
        return max(1, length + 1 + number)
    return min(number, length)


class Once(msgspec.Struct, frozen=True, kw_only=True):
    """A single window, from `begins_at` until before `ends_at`."""

    begins_at: datetime
    ends_at: datetime


class TimeInterval(msgspec.Struct, frozen=True, kw_only=True):
    """Windows, any of which may be in force. Weekly ones are wall-clock times in `timezone`, an IANA name."""

    weekly: tuple[Weekly, ...] = ()
    once: tuple[Once, ...] = ()
    timezone: str = "UTC"


class Maintenance(msgspec.Struct, frozen=True, kw_only=True):
    """Planned work: what `match` takes is quiet in these windows."""

    name: str
    match: Match
    during: TimeInterval
    reason: str = ""

    @property
    def cause(self) -> str:
        """How verdicts name it."""
        return f"maintenance/{self.name}"
