"""When recurring windows are in force: wall-clock times in a time zone, to the instant.

Owns the arithmetic of time zones; pure. A window begins and ends at the first instant at which a wall clock in its time
zone shows the time or has jumped past it. So on the day on which clocks go forward, 02:30 that never comes means 03:00;
where they go back, the first 02:30 counts, and a window goes on through the hour that comes twice.

(Alertmanager asks at each instant what the wall clock shows, so it leaves a window for part of the hour that comes
twice.)
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import msgspec

from imd.model.quiet import DAY, TimeInterval, Weekly

HORIZON = timedelta(days=400)  # how far ahead a window is looked for; ask again then
_SECOND = timedelta(seconds=1)
_ONE_DAY = DAY


class Window(msgspec.Struct, frozen=True, order=True):
    """From `begins_at` until before `ends_at`."""

    begins_at: datetime
    ends_at: datetime


def in_force(interval: TimeInterval, now: datetime) -> bool:
    """Whether some window of it is in force."""
    return any(window.begins_at <= now < window.ends_at for window in _windows(interval, now, timedelta(0)))


def next_boundary(interval: TimeInterval, now: datetime) -> datetime | None:
    """The next instant at which a window begins or ends; None if there is none within HORIZON."""
    bounds = (at for window in _windows(interval, now, HORIZON) for at in (window.begins_at, window.ends_at))
    return min((at for at in bounds if at > now), default=None)


def upcoming(interval: TimeInterval, now: datetime) -> Window | None:
    """The window in force, else the next one; None if there is none within HORIZON."""
    return min((window for window in _windows(interval, now, HORIZON) if window.ends_at > now), default=None)


def local(at: datetime, timezone: str) -> datetime:
    """The same instant as a clock on the wall there shows it."""
    return at.astimezone(ZoneInfo(timezone))


def _windows(interval: TimeInterval, now: datetime, ahead: timedelta) -> Iterator[Window]:
    """Every window that may be in force now, and the first of each kind that begins within `ahead`."""
    yield from (Window(once.begins_at, once.ends_at) for once in interval.once)
    for weekly in interval.weekly:
        yield from _recurring(weekly, interval.timezone, now, ahead)


def _recurring(weekly: Weekly, timezone: str, now: datetime, ahead: timedelta) -> Iterator[Window]:
    """One that began yesterday may run still, and today's may be over: the first one ahead ends the search."""
    local = now.astimezone(ZoneInfo(timezone)).date()
    for days in range(-1, ahead.days + 1):
        day = local + timedelta(days=days)
        if not weekly.begins_on(day):
            continue
        ends_on = day + _ONE_DAY if weekly.ends <= weekly.begins else day
        window = Window(instant(day, weekly.begins, timezone), instant(ends_on, weekly.ends, timezone))
        if window.begins_at >= window.ends_at:
            continue  # the clock jumped past all of it
        yield window
        if window.begins_at > now:
            return


@lru_cache(maxsize=4096)
def instant(day: date, time_of_day: timedelta, timezone: str) -> datetime:
    """The first instant at which a wall clock there shows the time, or has jumped past it. Aware UTC."""
    zone = ZoneInfo(timezone)
    wall = datetime(day.year, day.month, day.day) + time_of_day  # noqa: DTZ001 - a wall clock's reading
    at = wall.replace(tzinfo=zone).astimezone(UTC)
    if at.astimezone(zone).replace(tzinfo=None) == wall:
        return at
    after = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return _jump(after, at, wall, zone)


def _jump(low: datetime, high: datetime, wall: datetime, zone: ZoneInfo) -> datetime:
    """Where between the two the clock jumped past `wall`, to the second: it shows less at `low`, more at `high`."""
    while high - low > _SECOND:
        middle = low + (high - low) // 2
        middle -= timedelta(microseconds=middle.microsecond)
        if middle <= low:
            break
        if middle.astimezone(zone).replace(tzinfo=None) < wall:
            low = middle
        else:
            high = middle
    return high
