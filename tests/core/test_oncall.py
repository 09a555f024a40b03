"""Who is on call: a corpus of schedules, each minute of two years, against a clerk who only watches the clock."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imd.core.oncall import FOR_EVER, Gap, Shift, begins, gap_ahead, on_call, shifts, turn
from imd.core.times import HORIZON
from imd.model.quiet import TimeInterval, Weekly
from imd.model.schedule import Override, Rotation, Schedule

FROM, TO = datetime(2027, 1, 1, tzinfo=UTC), datetime(2029, 1, 1, tzinfo=UTC)  # both DST nights twice, a leap day
MINUTES = int((TO - FROM).total_seconds()) // 60
PEOPLE = {"ana", "ben", "cleo", "dai", "eve"}
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
DAY, WEEK = timedelta(days=1), timedelta(weeks=1)
WORKDAYS = (0, 1, 2, 3, 4)


def hours(number: float) -> timedelta:
    return timedelta(hours=number)


def rotation(*people: str, name: str = "layer", **given: object) -> Rotation:
    return Rotation(**{"name": name, "people": people, "timezone": "Europe/Berlin", **given})  # type: ignore[arg-type]


def weekly(*people: str, zone: str = "Europe/Berlin", **given: object) -> Rotation:
    """Mondays 09:00 there, from the first Monday before the two years on."""
    usual = {"every": WEEK, "start": date(2026, 12, 28), "at": hours(9), "weekday": 0, "timezone": zone}
    return rotation(*people, **{**usual, **given})


def within(begins: float, ends: float, zone: str, *weekdays: int) -> TimeInterval:
    return TimeInterval(weekly=(Weekly(weekdays=weekdays, begins=hours(begins), ends=hours(ends)),), timezone=zone)


def schedule(*layers: Rotation, overrides: Iterable[Override] = ()) -> Schedule:
    return Schedule(name="primary", rotations=layers, overrides=tuple(overrides))


def override(person: str, begins: str, ends: str, **given: object) -> Override:
    both = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (begins, ends))
    return Override(schedule="primary", person=person, begins_at=next(both), ends_at=next(both), **given)


def _sun(zone: str, *people: str, begins: float, ends: float) -> Rotation:
    return weekly(*people, zone=zone, within=within(begins, ends, zone))


CORPUS = {
    "weekly": schedule(weekly("ana", "ben", "cleo")),
    "weekly, started in the middle of the week": schedule(weekly("ana", "ben", start=date(2027, 1, 6))),
    "every fortnight": schedule(weekly("ana", "ben", every=2 * WEEK, start=date(2026, 12, 23), weekday=4)),
    "daily in the missing hour": schedule(rotation("ana", "ben", every=DAY, start=date(2026, 12, 1), at=hours(2.5))),
    "daily at midnight in New York": schedule(
        rotation("ana", "ben", "cleo", every=DAY, start=date(2026, 12, 1), timezone="America/New_York")
    ),
    "half days": schedule(
        rotation("ana", "ben", "cleo", every=hours(12), start=date(2026, 12, 1), at=hours(9), timezone="Europe/London")
    ),
    "hourly through both nights": schedule(rotation("ana", "ben", "cleo", every=hours(1), start=date(2026, 12, 31))),
    "every 36 hours": schedule(rotation("ana", "ben", every=hours(36), start=date(2026, 12, 31), at=hours(6))),
    "half an hour off": schedule(
        rotation("ana", "ben", every=DAY, start=date(2026, 12, 30), at=hours(9.5), timezone="Asia/Kolkata")
    ),
    "a half-hour jump": schedule(
        rotation("ana", "ben", every=hours(6), start=date(2026, 12, 31), at=hours(2.25), timezone="Australia/Lord_Howe")
    ),
    "the leap day is a day": schedule(
        rotation("ana", "ben", "cleo", every=DAY, start=date(2028, 2, 28), end=date(2028, 3, 2), at=hours(8)),
    ),
    "office over everybody": schedule(
        weekly("ana", "ben"),
        weekly("cleo", "dai", every=DAY, weekday=None, within=within(9, 17, "Europe/Berlin", *WORKDAYS)),
    ),
    "nights wrap": schedule(
        weekly("ana", "ben", within=within(22, 6, "Europe/Berlin")),
        rotation("cleo", within=within(6, 22, "Europe/Berlin")),
    ),
    "follow the sun": schedule(
        _sun("Asia/Kolkata", "ana", "ben", begins=7, ends=15.5),
        _sun("Europe/Berlin", "cleo", begins=9, ends=18),
        _sun("America/Los_Angeles", "dai", "eve", begins=8.5, ends=19),
    ),
    "a gap in winter alone": schedule(
        _sun("Asia/Kolkata", "ana", "ben", begins=7, ends=13),
        _sun("Europe/Berlin", "cleo", begins=9, ends=18),
        _sun("America/Los_Angeles", "dai", "eve", begins=8.5, ends=19),
    ),
    "overrides": schedule(
        weekly("ana", "ben"),
        overrides=[
            override("cleo", "2027-03-27T18:00", "2027-03-29T06:00"),
            override("dai", "2027-03-28T00:00", "2027-03-28T02:00"),
            override("eve", "2028-02-28T23:00", "2028-03-01T01:00"),
            override("gone", "2027-05-01T00:00", "2027-06-01T00:00"),
        ],
    ),
    "one layer follows another": schedule(
        weekly("ana", "ben", end=date(2027, 7, 5)), weekly("cleo", "dai", start=date(2027, 7, 5))
    ),
}
GAPPED = {"the leap day is a day", "a gap in winter alone", "weekly, started in the middle of the week"}


@cache
def clock(zone: str) -> list[int]:
    """What the wall clock there shows at each minute of the two years, in minutes since its year 2000. Clocks are set
    on quarters of an hour of UTC, in all of these zones."""
    place, quarter, minute = ZoneInfo(zone), timedelta(minutes=15), timedelta(minutes=1)
    shown = []
    for number in range(MINUTES // 15):
        wall = (FROM + number * quarter).astimezone(place).replace(tzinfo=UTC)
        first = (wall - EPOCH) // minute
        shown += range(first, first + 15)
    return shown


def _minutes(day: date, at: timedelta) -> int:
    return ((day - EPOCH.date()) + at) // timedelta(minutes=1)


class Clerk:
    """Watches a clock on the wall and does what is next in the book once the clock shows its time or more."""

    def __init__(self, book: Iterable[tuple[int, str]]) -> None:
        self._book = sorted(book, key=lambda entry: entry[0], reverse=True)
        self.waits_for = self._book[-1][0] if self._book else sys.maxsize

    def done_by(self, shown: int) -> Iterable[str]:
        while self._book and self._book[-1][0] <= shown:
            yield self._book.pop()[1]
        self.waits_for = self._book[-1][0] if self._book else sys.maxsize


@cache
def _watch(layer: Rotation) -> list[str]:
    """Who is on call by one layer at each minute."""
    person, open_windows = "", 0
    turns, windows = Clerk(_turns(layer)), Clerk(_windows(layer))
    always = layer.within is None
    inside_of = clock(layer.timezone if layer.within is None else layer.within.timezone)
    found = []
    for shown, there in zip(clock(layer.timezone), inside_of, strict=True):
        if shown >= turns.waits_for:
            for whose in turns.done_by(shown):
                person = whose
        if there >= windows.waits_for:
            for what in windows.done_by(there):
                open_windows += 1 if what == "begins" else -1
        found.append(person if open_windows or always else "")
    return found


def _turns(layer: Rotation) -> Iterable[tuple[int, str]]:
    if layer.start is None:
        yield 0, layer.people[0]
        return
    day, at, number = layer.start, layer.at, 0
    at_minute = _minutes(day, at)
    end = _minutes(layer.end, layer.at) if layer.end else 20_000_000
    while at_minute < end and at_minute < 16_000_000:
        yield at_minute, layer.people[number % len(layer.people)]
        if layer.weekday is not None and number == 0 and day.weekday() != layer.weekday:
            while day.weekday() != layer.weekday:
                day += DAY
            at_minute = _minutes(day, at)
        else:
            at_minute += (layer.every or WEEK) // timedelta(minutes=1)
        number += 1
    yield end, ""


def _windows(layer: Rotation) -> Iterable[tuple[int, str]]:
    for window in layer.within.weekly if layer.within else ():
        for days in range((TO - FROM).days + 4):
            day = FROM.date() + timedelta(days=days - 2)
            if not window.weekdays or day.weekday() in window.weekdays:
                wraps = DAY if window.ends <= window.begins else timedelta(0)
                yield _minutes(day, window.begins), "begins"
                yield _minutes(day, window.ends + wraps), "ends"


def _clerks(whole: Schedule) -> list[str]:
    found = [""] * MINUTES
    for layer in whole.rotations:
        found = [now or before for before, now in zip(found, _watch(layer), strict=True)]
    for one in whole.overrides:
        first, last = ((at - FROM) // timedelta(minutes=1) for at in (one.begins_at, one.ends_at))
        if one.person in PEOPLE:
            found[first:last] = [one.person] * (last - first)
    return found


def _by_minute(stretches: Iterable[Shift]) -> list[str]:
    found: list[str] = []
    for one in stretches:
        assert one.begins_at == FROM + timedelta(minutes=len(found)), "one after the other, on whole minutes"
        found += [one.person] * (one.lasts // timedelta(minutes=1))
    return found


@pytest.mark.parametrize("name", CORPUS)
def test_every_minute_of_two_years(name: str) -> None:
    """Exactly the one who the clerk says, in every minute; and nobody is only where the first gap is named."""
    whole = CORPUS[name]
    found, expected = _by_minute(shifts(whole, FROM, TO, PEOPLE)), _clerks(whole)
    assert len(found) == MINUTES
    wrong = next((number for number in range(MINUTES) if found[number] != expected[number]), None)
    assert wrong is None, f"{FROM + timedelta(minutes=wrong or 0)}: {found[wrong or 0]}, not {expected[wrong or 0]}"
    gap = gap_ahead(whole, FROM, PEOPLE)
    assert (gap is None) == ("" not in expected) == (name not in GAPPED)
    if gap is not None:
        first, last = ((at - FROM) // timedelta(minutes=1) for at in (gap.begins_at, gap.ends_at))
        assert expected.index("") == first
        assert set(expected[first:last]) == {""}
        assert gap.open_ended == (last == HORIZON // timedelta(minutes=1))
        assert gap.open_ended or expected[last]


@pytest.mark.parametrize("name", CORPUS)
def test_each_layer_has_at_most_one_and_says_until_when(name: str) -> None:
    """At every change that a layer announces something may change, and nothing does before it."""
    for layer in CORPUS[name].rotations:
        at = FROM
        while at < FROM + timedelta(days=120):
            person, until = turn(layer, at, PEOPLE)
            assert until > at
            middle = at + (min(until, TO) - at) / 2
            assert turn(layer, middle, PEOPLE)[0] == person
            at = min(until, TO)


@settings(max_examples=200, deadline=None)
@given(name=st.sampled_from(sorted(CORPUS)), second=st.integers(0, MINUTES * 60 - 1))
def test_an_instant_is_as_the_whole(name: str, second: int) -> None:
    """Asked for an instant far away, the answer is that of the list that leads up to it."""
    at = FROM + timedelta(seconds=second)
    whole = CORPUS[name]
    found = on_call(whole, at, PEOPLE)
    (first, *_) = shifts(whole, at, at + timedelta(seconds=1), PEOPLE)
    assert (found.person, found.because) == (first.person, first.because)
    assert found.until > at
    before = list(shifts(whole, at - WEEK, at + timedelta(seconds=1), PEOPLE))
    assert before[-1].person == found.person


def test_hand_offs_on_both_nights_are_at_local_time() -> None:
    """At 02:30 every day: on the spring night that is 03:00, and in autumn the first of two."""
    whole = CORPUS["daily in the missing hour"]
    spring = [one.begins_at for one in shifts(whole, _utc("2027-03-27T12:00"), _utc("2027-03-30T00:00"), PEOPLE)][1:]
    assert spring == [_utc("2027-03-28T01:00"), _utc("2027-03-29T00:30")]
    autumn = list(shifts(whole, _utc("2027-10-30T12:00"), _utc("2027-11-01T12:00"), PEOPLE))[1:]
    assert [one.begins_at for one in autumn] == [_utc("2027-10-31T00:30"), _utc("2027-11-01T01:30")]
    assert autumn[0].lasts == hours(25)


def test_an_hour_that_never_comes_is_nobodys_shift() -> None:
    """Hourly turns: on the spring night one has no length, and nobody gets two; in autumn one lasts two hours."""
    whole = CORPUS["hourly through both nights"]
    night = list(shifts(whole, _utc("2027-03-27T23:00"), _utc("2027-03-28T04:00"), PEOPLE))
    assert [one.lasts for one in night] == [hours(1)] * 5
    order = ["ana", "ben", "cleo"]
    turns = [order.index(one.person) for one in night]
    assert [(after - before) % 3 for before, after in pairwise(turns)] == [1, 2, 1, 1]
    night = list(shifts(whole, _utc("2027-10-30T23:00"), _utc("2027-10-31T03:00"), PEOPLE))
    assert [one.lasts for one in night] == [hours(1), hours(2), hours(1)]


def test_far_from_the_start_is_as_cheap_as_near() -> None:
    """A daily rotation from 1971 asked about 2199: no stepping through 83,000 shifts."""
    whole = schedule(rotation("ana", "ben", every=DAY, start=date(1971, 1, 1), at=hours(9)))
    assert on_call(whole, _utc("2199-07-01T06:59"), PEOPLE).until == _utc("2199-07-01T07:00")
    assert on_call(whole, _utc("2199-07-01T07:00"), PEOPLE).until == _utc("2199-07-02T07:00")


def test_a_day_that_was_left_out() -> None:
    """Samoa went from the 29th to the 31st of December 2011: the shift of the 30th, Ana's, has no length."""
    whole = schedule(rotation("ana", "ben", "cleo", every=DAY, start=date(2011, 12, 27), timezone="Pacific/Apia"))
    found = list(shifts(whole, _utc("2011-12-28T12:00"), _utc("2012-01-01T00:00"), PEOPLE))
    assert [(one.begins_at, one.person) for one in found] == [
        (_utc("2011-12-28T12:00"), "ben"),
        (_utc("2011-12-29T10:00"), "cleo"),
        (_utc("2011-12-30T10:00"), "ben"),
        (_utc("2011-12-31T10:00"), "cleo"),
    ]


def test_before_the_start_and_after_the_end_there_is_nobody() -> None:
    """And one asks again when that changes."""
    whole = schedule(weekly("ana", end=date(2027, 1, 4)))
    before = on_call(whole, _utc("2026-12-28T07:59"), PEOPLE)
    assert (before.person, before.until) == ("", _utc("2026-12-28T08:00"))
    assert on_call(whole, _utc("2026-12-28T08:00"), PEOPLE).person == "ana"
    assert on_call(whole, _utc("2027-01-04T08:00"), PEOPLE) == on_call(whole, TO, PEOPLE)
    assert on_call(whole, TO, PEOPLE).until == FOR_EVER
    assert begins(whole) == _utc("2026-12-28T08:00")
    assert begins(schedule(rotation("ana"))) is None


def test_what_people_set_counts_before_the_files_and_the_newest_first() -> None:
    """Two overrides in a file, then one by Cleo, then a newer one by Dai over part of it."""
    at = "2027-03-28T00:00"
    files = CORPUS["overrides"]
    kwargs = {"created_by": "cleo", "id": "a", "created_at": _utc("2027-03-01T00:00")}
    first = override("ana", "2027-03-27T20:00", "2027-03-28T06:00", **kwargs)
    newer = override(
        "ben", at, "2027-03-28T01:00", **{**kwargs, "id": "b", "created_by": "dai", "created_at": _utc(at)}
    )
    assert on_call(files, _utc(at), PEOPLE).person == "dai"
    assert on_call(files, _utc(at), PEOPLE, [first]).person == "ana"
    found = on_call(files, _utc(at), PEOPLE, [newer, first])
    assert (found.person, found.because, found.until) == ("ben", "override by dai", _utc("2027-03-28T01:00"))
    assert on_call(files, _utc("2027-03-27T23:00"), PEOPLE, [newer, first]).until == _utc(at)
    other = Override(schedule="other", person="ben", begins_at=FROM, ends_at=TO, id="c", created_at=_utc(at))
    assert on_call(files, _utc(at), PEOPLE, [other]).person == "dai"


def test_an_empty_schedule_is_one_gap() -> None:
    """And says why."""
    found = on_call(schedule(), FROM, PEOPLE)
    assert found.person == ""
    assert found.because == "it has no layers"
    assert gap_ahead(schedule(), FROM, PEOPLE) == Gap(FROM, FROM + HORIZON, True)


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
