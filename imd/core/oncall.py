"""Who is on call at an instant, and until when: rotations, restrictions, overrides, daylight saving.

Owns the arithmetic; pure, and none of it steps through time from a rotation's start. A hand-off is at the first instant
at which a clock on the wall there shows its time or has jumped past it (see `times`): where clocks go forward, 02:30
that never comes means 03:00; where they go back, the first 02:30 counts, and whoever begins then has the hour twice.
Hand-offs that a jump makes coincide leave a shift of no length, which nobody has.

What counts: the newest override in force; else the last layer that has somebody at that instant; else nobody. An
override set by a person counts before those in files. Overrides of people whom the configuration does not know any more
do not count.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from imd.core import times
from imd.model.schedule import Override, Rotation, Schedule

FOR_EVER = datetime(9000, 1, 1, tzinfo=UTC)
SOME_DAY = datetime(2026, 1, 5, tzinfo=UTC)


class OnCall(msgspec.Struct, frozen=True):
    """`person`, "" for nobody, because of that, from the instant asked about until before `until`, at which one should
    ask again; FOR_EVER: it stays so."""

    person: str
    because: str
    until: datetime


class Shift(msgspec.Struct, frozen=True):
    """As OnCall, over a stretch of time in which it does not change."""

    begins_at: datetime
    ends_at: datetime
    person: str
    because: str

    @property
    def lasts(self) -> timedelta:
        return self.ends_at - self.begins_at


class Gap(msgspec.Struct, frozen=True):
    """Nobody is on call. `open_ended`: nor is anybody as far as it was looked ahead."""

    begins_at: datetime
    ends_at: datetime
    open_ended: bool


def on_call(schedule: Schedule, at: datetime, people: Collection[str], overrides: Iterable[Override] = ()) -> OnCall:
    """Who is on call at an instant. `overrides` are those that people set, of any schedule; those in files are the
    schedule's own."""
    return _on_call(schedule, at, people, _in_order(schedule, people, overrides))


def shifts(
    schedule: Schedule,
    begins_at: datetime,
    ends_at: datetime,
    people: Collection[str],
    overrides: Iterable[Override] = (),
) -> Iterator[Shift]:
    """Everything from `begins_at` until before `ends_at`, without a break; stretches with nobody are in it. The first
    and the last are cut there."""
    in_order = _in_order(schedule, people, overrides)
    shift: Shift | None = None
    at = begins_at
    while at < ends_at:
        found = _on_call(schedule, at, people, in_order)
        until = min(found.until, ends_at)
        if shift is not None and (shift.person, shift.because) == (found.person, found.because):
            shift = Shift(shift.begins_at, until, shift.person, shift.because)
        else:
            if shift is not None:
                yield shift
            shift = Shift(at, until, found.person, found.because)
        at = until
    if shift is not None:
        yield shift


def gap_ahead(schedule: Schedule, now: datetime | None, people: Collection[str]) -> Gap | None:
    """The first stretch of the next HORIZON in which nobody is on call by the files; of the HORIZON from its beginning
    without `now`. Two nights on which clocks are set lie in it."""
    begins_at = now or begins(schedule) or SOME_DAY
    ends_at = begins_at + times.HORIZON
    found = shifts(schedule, begins_at, ends_at, people)
    gap = next((one for one in found if not one.person), None)
    return Gap(gap.begins_at, gap.ends_at, gap.ends_at == ends_at) if gap is not None else None


def begins(schedule: Schedule) -> datetime | None:
    """When somebody can be on call for the first time by its layers; None: since ever, or never."""
    walls = [(layer.shift_begins(0), layer.timezone) for layer in schedule.rotations]
    starts = [instant(wall, zone) for wall, zone in walls if wall is not None]
    return min(starts) if starts and len(starts) == len(walls) else None


def instant(wall: datetime, timezone: str) -> datetime:
    """The first instant at which a clock on the wall there shows so, or has jumped past it."""
    midnight = wall.replace(hour=0, minute=0, second=0, microsecond=0)
    return times.instant(wall.date(), wall - midnight, timezone)


def _in_order(schedule: Schedule, people: Collection[str], overrides: Iterable[Override]) -> list[Override]:
    """That which counts first stands first. Of two set at once the id decides."""
    own = [one for one in overrides if one.schedule == schedule.name]
    own.sort(key=lambda one: (one.created_at or FOR_EVER, one.id), reverse=True)
    return [one for one in (*own, *reversed(schedule.overrides)) if one.person in people]


def _on_call(schedule: Schedule, at: datetime, people: Collection[str], overrides: list[Override]) -> OnCall:
    until = FOR_EVER
    for one in overrides:
        if one.begins_at <= at < one.ends_at:
            return OnCall(one.person, _because(one), min(until, one.ends_at))
        if one.begins_at > at:
            until = min(until, one.begins_at)
    for layer in reversed(schedule.rotations):
        person, changes_at = turn(layer, at, people)
        until = min(until, changes_at)
        if person:
            return OnCall(person, layer.name, until)
    return OnCall("", "no layer has anybody" if schedule.rotations else "it has no layers", until)


def _because(override: Override) -> str:
    return f"override by {override.created_by}" if override.id else "override"


def turn(layer: Rotation, at: datetime, people: Collection[str]) -> tuple[str, datetime]:
    """Who is on call by this layer alone, "" for nobody, and when that may change."""
    until = FOR_EVER
    if layer.within is not None:
        window = times.upcoming(layer.within, at)
        if window is None:
            return "", at + times.HORIZON
        if window.begins_at > at:
            return "", window.begins_at
        until = window.ends_at
    if layer.calendar is not None:
        stretch = layer.calendar.at(at)
        person = stretch.event.person(people) if stretch.event is not None else ""
        return person, min(until, stretch.ends_at)
    person, changes_at = _shift(layer, at)
    return person, min(until, changes_at)


def _shift(layer: Rotation, at: datetime) -> tuple[str, datetime]:
    """The calendar says which shift it must be, give or take what clocks are set by: an hour or two, once a day
    (Samoa left one out in 2011)."""
    end = layer.ends()
    ends_at = FOR_EVER if end is None else instant(end, layer.timezone)
    if at >= ends_at:
        return "", FOR_EVER
    number = layer.shift_by_calendar(at.astimezone(ZoneInfo(layer.timezone)).replace(tzinfo=None))
    while (begins_at := _begins(layer, number)) is not None and begins_at > at:
        number -= 1
    while (next_at := _begins(layer, number + 1)) is not None and next_at <= at:
        number += 1
    person = layer.people[number % len(layer.people)] if number >= 0 else ""
    return person, min(ends_at, next_at or FOR_EVER)


def _begins(layer: Rotation, number: int) -> datetime | None:
    """None: since ever, before the first or behind the last."""
    wall = layer.shift_begins(number) if number >= 0 else None
    return None if wall is None else instant(wall, layer.timezone)
