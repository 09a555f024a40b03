"""Recurring windows: what the calendar and the clocks of a place say, to the instant."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imd.core.times import HORIZON, in_force, instant, next_boundary, upcoming
from imd.model.quiet import Once, TimeInterval, Weekly

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "alertmanager_semantics.json").read_text())
_WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


def hours(number: float) -> timedelta:
    return timedelta(hours=number)


def _ranges(texts: list[str]) -> tuple[tuple[int, int], ...]:
    return tuple((int(first), int(last)) for first, _, last in (text.partition(":") for text in texts))


def _interval(given: dict[str, object]) -> TimeInterval:
    """An Alertmanager time interval in our words: its lists of times are windows of one day each."""
    spans = [
        tuple(hours(int(one[key][:2])) + timedelta(minutes=int(one[key][3:])) for key in ("start_time", "end_time"))
        for one in given.get("times", [{"start_time": "00:00", "end_time": "24:00"}])
    ]
    names = [text.partition(":") for text in given.get("weekdays", [])]
    weekdays = [
        day for first, _, last in names for day in range(_WEEKDAYS.index(first), _WEEKDAYS.index(last or first) + 1)
    ]
    weekly = tuple(
        Weekly(
            weekdays=tuple(weekdays),
            days_of_month=_ranges(given.get("days_of_month", [])),
            months=_ranges(given.get("months", [])),
            years=_ranges(given.get("years", [])),
            begins=begins,
            ends=ends,
        )
        for begins, ends in spans
    )
    return TimeInterval(weekly=weekly, timezone=given.get("location", "UTC"))


@pytest.mark.parametrize("case", VECTORS["time_interval"], ids=lambda case: case["note"] or "everything")
def test_alertmanagers_intervals(case: dict[str, object]) -> None:
    """Inside and outside, as there; and the next boundary of one that we are in lies ahead."""
    interval = _interval(case["interval"])
    for text in case["contains"]:
        at = datetime.fromisoformat(text)
        assert in_force(interval, at), text
        window = upcoming(interval, at)
        assert window is not None
        assert window.begins_at <= at < window.ends_at
    for text in case["excludes"]:
        assert not in_force(interval, datetime.fromisoformat(text)), text


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


BERLIN_NIGHT = TimeInterval(weekly=(Weekly(weekdays=(6,), begins=hours(23), ends=hours(2)),), timezone="Europe/Berlin")


def test_a_window_wraps_over_midnight() -> None:
    """Sunday 23:00 to Monday 02:00 in Berlin, in winter 22:00 to 01:00 UTC; Sunday before 02:00 is not meant."""
    sunday = "2026-01-04"
    assert not in_force(BERLIN_NIGHT, utc(f"{sunday}T00:30"))
    assert not in_force(BERLIN_NIGHT, utc(f"{sunday}T21:59:59.999999"))
    assert in_force(BERLIN_NIGHT, utc(f"{sunday}T22:00"))
    assert in_force(BERLIN_NIGHT, utc("2026-01-05T00:59:59.999999"))
    assert not in_force(BERLIN_NIGHT, utc("2026-01-05T01:00"))
    assert next_boundary(BERLIN_NIGHT, utc(f"{sunday}T12:00")) == utc(f"{sunday}T22:00")
    assert next_boundary(BERLIN_NIGHT, utc(f"{sunday}T22:00")) == utc("2026-01-05T01:00")
    assert next_boundary(BERLIN_NIGHT, utc("2026-01-05T01:00")) == utc("2026-01-11T22:00")


def test_the_hour_that_never_comes() -> None:
    """Clocks go from 02:00 to 03:00 in Berlin on 2026-03-29, 01:00 UTC: 02:30 means 03:00."""
    assert instant(date(2026, 3, 29), hours(2.5), "Europe/Berlin") == utc("2026-03-29T01:00")
    gap = TimeInterval(weekly=(Weekly(begins=hours(2.5), ends=hours(3.25)),), timezone="Europe/Berlin")
    assert not in_force(gap, utc("2026-03-29T00:59:59"))
    assert in_force(gap, utc("2026-03-29T01:00"))
    assert not in_force(gap, utc("2026-03-29T01:15"))
    swallowed = TimeInterval(weekly=(Weekly(begins=hours(2.25), ends=hours(2.75)),), timezone="Europe/Berlin")
    assert not in_force(swallowed, utc("2026-03-29T01:00"))
    assert next_boundary(swallowed, utc("2026-03-29T00:00")) == utc("2026-03-30T00:15")


def test_the_hour_that_comes_twice() -> None:
    """Clocks go from 03:00 back to 02:00 in Berlin on 2026-10-25, 01:00 UTC: the first 02:30 counts, and a window goes
    on through both."""
    assert instant(date(2026, 10, 25), hours(2.5), "Europe/Berlin") == utc("2026-10-25T00:30")
    through = TimeInterval(weekly=(Weekly(begins=hours(2.5), ends=hours(4)),), timezone="Europe/Berlin")
    assert all(in_force(through, utc("2026-10-25T00:30") + timedelta(minutes=m)) for m in range(150))
    assert not in_force(through, utc("2026-10-25T03:00"))


def test_a_midnight_that_does_not_exist() -> None:
    """Beirut went from 00:00 to 01:00 on 2024-03-31: the day before ends then, and a day's window begins then."""
    assert instant(date(2024, 3, 31), hours(0), "Asia/Beirut") == utc("2024-03-30T22:00")
    assert instant(date(2024, 3, 30), hours(24), "Asia/Beirut") == utc("2024-03-30T22:00")


def test_a_day_that_does_not_exist() -> None:
    """Samoa left out 2011-12-30: a window on that day is none."""
    friday = TimeInterval(weekly=(Weekly(days_of_month=((30, 30),), months=((12, 12),)),), timezone="Pacific/Apia")
    assert not in_force(friday, utc("2011-12-30T10:00"))
    window = upcoming(friday, utc("2011-12-01T00:00"))
    assert window is not None
    assert window.begins_at.year == 2012


def test_windows_add_up_and_single_ones_count() -> None:
    """Any of them is enough; a single one has no time zone of its own."""
    once = Once(begins_at=utc("2026-01-06T10:00"), ends_at=utc("2026-01-06T12:00"))
    both = TimeInterval(weekly=BERLIN_NIGHT.weekly, once=(once,), timezone="Europe/Berlin")
    assert in_force(both, utc("2026-01-06T10:00"))
    assert not in_force(both, utc("2026-01-06T12:00"))
    assert in_force(both, utc("2026-01-04T23:00"))
    assert next_boundary(both, utc("2026-01-05T02:00")) == utc("2026-01-06T10:00")
    assert upcoming(TimeInterval(once=(once,)), utc("2026-01-06T12:00")) is None
    assert next_boundary(TimeInterval(), utc("2026-01-01T00:00")) is None


_weekly = st.builds(
    Weekly,
    weekdays=st.lists(st.integers(0, 6), unique=True, max_size=3).map(tuple),
    days_of_month=st.sampled_from([(), (), ((1, 7),), ((-3, -1),), ((31, 31),)]),
    begins=st.integers(0, 1439).map(lambda minute: timedelta(minutes=minute)),
    ends=st.integers(1, 1440).map(lambda minute: timedelta(minutes=minute)),
)
_zones = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Asia/Beirut", "America/Havana"]
)


@given(
    weekly=st.lists(_weekly, min_size=1, max_size=3),
    zone=_zones,
    hour=st.integers(0, 24 * 365 * 3),
    minute=st.integers(0, 59),
)
def test_between_two_boundaries_nothing_changes(weekly: list[Weekly], zone: str, hour: int, minute: int) -> None:
    """What is in force now is so until just before the next boundary."""
    interval = TimeInterval(weekly=tuple(weekly), timezone=zone)
    now = utc("2024-01-01T00:00") + timedelta(hours=hour, minutes=minute)
    boundary = next_boundary(interval, now)
    until = now + HORIZON if boundary is None else boundary
    assert until > now
    here = in_force(interval, now)
    for part in (0.1, 0.5, 0.9):
        assert in_force(interval, now + (until - now) * part) == here
    assert in_force(interval, until - timedelta(microseconds=1)) == here
    window = upcoming(interval, now)
    assert here == (window is not None and window.begins_at <= now)
