"""Calendars as layers: what calendar programs write, and who it puts on call."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imd.cli.ics import calendar as written
from imd.cli.oncall import Duty, Shift
from imd.core.oncall import gap_ahead, on_call, shifts
from imd.model.calendar import BLOCK, BadCalendar, Calendar, NoCalendars
from imd.model.quiet import TimeInterval, Weekly
from imd.model.schedule import Rotation, Schedule

PEOPLE = ["ana", "ben", "cleo"]
BERLIN = "Europe/Berlin"


def calendar(*events: str, zone: str = BERLIN) -> Calendar:
    """`calendar("SUMMARY:ana|DTSTART:…")`: lines of each event, UIDs by their place."""
    text = "".join(
        "BEGIN:VEVENT\n" + ("" if "UID:" in event else f"UID:{number}\n") + event.replace("|", "\n") + "\nEND:VEVENT\n"
        for number, event in enumerate(events)
    )
    return Calendar(f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//x//EN\n{text}END:VCALENDAR\n", zone)


def layered(*layers: Rotation) -> Schedule:
    return Schedule(name="primary", rotations=layers)


def of(source: Calendar, **other: object) -> Schedule:
    return layered(Rotation(name="calendar", timezone=source.timezone, calendar=source, **other))  # type: ignore[arg-type]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def told(schedule: Schedule, begins: str, ends: str) -> list[tuple[str, str]]:
    """Who, from when on."""
    found = shifts(schedule, at(begins), at(ends), PEOPLE)
    return [(f"{one.begins_at:%m-%d %H:%M}", one.person) for one in found]


def test_weeks_that_recur_in_local_time() -> None:
    """Every second week from Monday 09:00 in Berlin, over the night on which clocks go forward; one week is taken out,
    one is moved to Tuesday."""
    source = calendar(
        f"UID:a|SUMMARY:Ana|DTSTART;TZID={BERLIN}:20260105T090000|DTEND;TZID={BERLIN}:20260112T090000|"
        f"RRULE:FREQ=WEEKLY;INTERVAL=2|EXDATE;TZID={BERLIN}:20260330T090000",
        f"UID:a|SUMMARY:Ana|RECURRENCE-ID;TZID={BERLIN}:20260413T090000|"
        f"DTSTART;TZID={BERLIN}:20260414T090000|DTEND;TZID={BERLIN}:20260420T090000",
    )
    assert told(of(source), "2026-03-01T00:00", "2026-05-01T00:00") == [
        ("03-01 00:00", ""),
        ("03-02 08:00", "ana"),
        ("03-09 08:00", ""),
        ("03-16 08:00", "ana"),
        ("03-23 08:00", ""),
        ("04-14 07:00", "ana"),
        ("04-20 07:00", ""),
        ("04-27 07:00", "ana"),
    ]


def test_whole_days_and_times_without_a_zone_are_the_layers() -> None:
    """The fourth of July, and nine to five, where the layer is."""
    source = calendar(
        "SUMMARY:cleo|DTSTART;VALUE=DATE:20260704|DTEND;VALUE=DATE:20260705",
        "SUMMARY:ben|DTSTART:20260706T090000|DTEND:20260706T170000",
        zone="America/New_York",
    )
    assert told(of(source), "2026-07-03T00:00", "2026-07-07T00:00") == [
        ("07-03 00:00", ""),
        ("07-04 04:00", "cleo"),
        ("07-05 04:00", ""),
        ("07-06 13:00", "ben"),
        ("07-06 21:00", ""),
    ]


def test_of_events_at_one_time_the_one_that_began_last_counts() -> None:
    """Ben stands in for two hours of Ana's week; of two that begin together the higher UID counts; what was cancelled
    does not."""
    source = calendar(
        "SUMMARY:ana|DTSTART:20260105T000000Z|DTEND:20260112T000000Z",
        "SUMMARY:ben|DTSTART:20260106T100000Z|DTEND:20260106T120000Z",
        "SUMMARY:cleo|DTSTART:20260107T100000Z|DTEND:20260107T120000Z|STATUS:CANCELLED",
        "UID:x1|SUMMARY:cleo|DTSTART:20260108T100000Z|DTEND:20260108T120000Z",
        "UID:x2|SUMMARY:ben|DTSTART:20260108T100000Z|DTEND:20260108T110000Z",
    )
    assert told(of(source), "2026-01-06T00:00", "2026-01-13T00:00") == [
        ("01-06 00:00", "ana"),
        ("01-06 10:00", "ben"),
        ("01-06 12:00", "ana"),
        ("01-08 10:00", "ben"),
        ("01-08 11:00", "cleo"),
        ("01-08 12:00", "ana"),
        ("01-12 00:00", ""),
    ]


@pytest.mark.parametrize(
    "event",
    [
        "SUMMARY:ANA",
        "SUMMARY: ana ",
        "SUMMARY:On call|ATTENDEE;CN=Ana:mailto:a.b@example.org",
        "SUMMARY:On call|ATTENDEE:mailto:ana@example.org",
        "SUMMARY:On call|ATTENDEE;CN=Dai:mailto:dai@example.org|ATTENDEE;CN=Ana:mailto:x@example.org",
        "ATTENDEE;CN=Ana:mailto:x@example.org",
    ],
)
def test_whose_event_it_is(event: str) -> None:
    source = calendar(f"{event}|DTSTART:20260105T000000Z|DTEND:20260112T000000Z")
    assert on_call(of(source), at("2026-01-06T00:00"), PEOPLE).person == "ana"


def test_an_event_of_nobody_is_nobodys() -> None:
    """The layer below counts then, and so it does where the calendar has nothing."""
    source = calendar("SUMMARY:dai|DTSTART:20260105T000000Z|DTEND:20260112T000000Z")
    whole = layered(Rotation(name="base", people=("ben",), timezone="UTC"), *of(source).rotations)
    assert told(whole, "2026-01-01T00:00", "2026-02-01T00:00") == [("01-01 00:00", "ben")]
    assert [event.shown for event in source.events] == ['the event "dai" of 2026-01-05']


def test_restrictions_and_gaps() -> None:
    """Within office hours alone; a calendar that has run out is a gap from then on."""
    source = calendar("SUMMARY:ana|DTSTART:20260105T000000Z|DTEND:20260107T000000Z")
    office = TimeInterval(weekly=(Weekly(begins=timedelta(hours=9), ends=timedelta(hours=17)),))
    assert told(of(source, within=office), "2026-01-05T00:00", "2026-01-06T12:00") == [
        ("01-05 00:00", ""),
        ("01-05 09:00", "ana"),
        ("01-05 17:00", ""),
        ("01-06 09:00", "ana"),
    ]
    gap = gap_ahead(of(source), at("2026-01-05T12:00"), PEOPLE)
    assert gap is not None
    assert (gap.begins_at, gap.open_ended) == (at("2026-01-07T00:00"), True)


def test_a_calendar_that_imd_wrote_is_read_as_the_schedule_it_came_from() -> None:
    """Two years of weekly turns with overlaid nights, out and in again: the same person at every change."""
    night = TimeInterval(weekly=(Weekly(begins=timedelta(hours=22), ends=timedelta(hours=6)),), timezone=BERLIN)
    weekly = Rotation(
        name="weekly", people=("ana", "ben"), timezone=BERLIN, every=timedelta(weeks=1), start=date(2026, 1, 5),
        at=timedelta(hours=9),
    )  # fmt: skip
    whole = layered(weekly, Rotation(name="nights", people=("cleo",), timezone=BERLIN, within=night))
    begins, ends = at("2026-02-01T00:00"), at("2028-02-01T00:00")
    found = list(shifts(whole, begins, ends, PEOPLE))
    views = [Shift(one.begins_at, one.ends_at, one.person or None) for one in found]
    text = written([Duty("primary", BERLIN, begins, None, shifts=views)], begins)
    read = of(Calendar(text.replace(" on call: primary", ""), BERLIN))
    again = list(shifts(read, begins, ends, PEOPLE))
    assert [(one.begins_at, one.ends_at, one.person) for one in again] == [
        (one.begins_at, one.ends_at, one.person) for one in found
    ]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9000), st.integers(1, 4000), st.sampled_from(PEOPLE)), max_size=12))
def test_any_heap_of_events(heap: list[tuple[int, int, str]]) -> None:
    """At every change, and between them, the one who began last; stretches follow each other without a break."""
    first = at("2026-01-01T00:00")
    spans = [(first + timedelta(minutes=b), first + timedelta(minutes=b + lasts), who) for b, lasts, who in heap]
    source = calendar(*(f"SUMMARY:{who}|DTSTART:{b:%Y%m%dT%H%M%SZ}|DTEND:{e:%Y%m%dT%H%M%SZ}" for b, e, who in spans))
    stretches, now = [], first - BLOCK
    while now < first + BLOCK:
        stretches.append(source.at(now))
        now = stretches[-1].ends_at
    assert all(before.ends_at == after.begins_at for before, after in pairwise(stretches))
    for one in stretches:
        middle = one.begins_at + (one.ends_at - one.begins_at) / 2
        there = [(b, str(number)) for number, (b, e, _) in enumerate(spans) if b <= middle < e]
        expected = spans[int(max(there)[1])][2] if there else ""
        assert (one.event.person(PEOPLE) if one.event else "") == expected


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ("SUMMARY:a|DTSTART:20260105T000000Z|RRULE:FREQ=HOURLY", "recurs hourly"),
        (
            "SUMMARY:a|DTSTART:20260105T000000Z|RRULE:FREQ=DAILY;BYMINUTE=0,5,10;BYHOUR=0,1,2,3,4,5,6,7,8",
            "27 times a day",
        ),
        ("SUMMARY:a|DTSTART:00010101T000000Z|RRULE:FREQ=DAILY", "in the year 1"),
        ("SUMMARY:a|DTSTART:20260105T000000Z|DTEND:sometime", "DTEND"),
        ("SUMMARY:a", "no beginning or end"),
        ("SUMMARY:a|DTSTART:20260105T000000Z|RRULE:FREQ=SOMETIMES", "RRULE"),
    ],
)
def test_what_cannot_be_worked_out_is_refused(event: str, said: str) -> None:
    with pytest.raises(BadCalendar, match=said):
        calendar(event)


@pytest.mark.parametrize(
    "text", ["", "hello", "BEGIN:VCALENDAR", "BEGIN:VEVENT\nEND:VEVENT", "\0", "BEGIN:VCALENDAR\n" * 3000]
)
def test_what_is_no_calendar_is_refused(text: str) -> None:
    with pytest.raises(BadCalendar, match="iCalendar"):
        Calendar(text, BERLIN)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([
    "BEGIN:VEVENT", "END:VEVENT", "BEGIN:VCALENDAR", "END:VCALENDAR", "DTSTART:20260105T000000Z", "DTEND:x", "UID:1",
    "RRULE:FREQ=WEEKLY", "RRULE:COUNT=x", "EXDATE:20260105", "SUMMARY:a", "ATTENDEE:", "DURATION:-P1D", "RDATE:1",
    "DTSTART;TZID=Nowhere/X:20260105T000000", "STATUS:CANCELLED", "RECURRENCE-ID:20260105T000000Z", "\x00", ":::",
]), max_size=14))  # fmt: skip
def test_no_heap_of_lines_does_worse_than_being_refused(lines: list[str]) -> None:
    """Read or refused, and what is read answers."""
    try:
        found = Calendar("\n".join(lines), BERLIN)
    except BadCalendar:
        return
    assert found.at(at("2026-01-05T12:00")).ends_at > at("2026-01-05T12:00")


def test_too_many_events() -> None:
    with pytest.raises(BadCalendar, match="101 of them recurring"):
        calendar(*["SUMMARY:a|DTSTART:20260105T000000Z|RRULE:FREQ=YEARLY"] * 101)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "recurring_ical_events", None)
    with pytest.raises(NoCalendars, match=r"pip install 'imd\[ics\]'"):
        calendar()


def test_calendars_are_equal_by_text_and_zone() -> None:
    """So that a reload knows whether one has changed."""
    assert calendar() == calendar()
    assert hash(calendar()) == hash(calendar())
    assert calendar() != calendar(zone="UTC")
    assert calendar() != "calendar"
