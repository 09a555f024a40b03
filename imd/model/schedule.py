"""Who is on call when, as files and people say it: schedules, their rotations and overrides.

Owns the words and the rotation's own calendar: on which wall clock its shifts begin. Who that makes be on call at an
instant is `core.oncall`.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

import msgspec

from imd.model.calendar import Calendar
from imd.model.quiet import TimeInterval

_NO_TIME = timedelta(0)
_WEEK = 7


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """One layer of a schedule: people who take turns of `every`, the first of them from `start` on at the time of day
    `at`. Nobody is on call by it before, nor from `end` on (same time of day).

    With `weekday` (0 is Monday) hand-offs are on that day; the first shift is shorter where `start` is another day.
    `every` None: there is one person, who never hands off; `start` None: since ever. Days and times are a wall clock's
    in `timezone`. `within`: only in these windows; the turns go on outside them all the same. `calendar`: it says whose
    turn it is, in place of people who take turns.
    """

    name: str
    people: tuple[str, ...] = ()
    timezone: str
    every: timedelta | None = None
    start: date | None = None
    at: timedelta = _NO_TIME
    weekday: int | None = None
    end: date | None = None
    within: TimeInterval | None = None
    calendar: Calendar | None = None

    def shift_begins(self, number: int) -> datetime | None:
        """What the wall clock shows when shift `number`, from 0, begins; without a zone. None: since ever, or never."""
        if self.start is None or (number and self.every is None):
            return None
        if number == 0 or self.every is None:
            return _wall(self.start, self.at)
        return self._first_handoff() + (number - 1) * self.every

    def shift_by_calendar(self, wall: datetime) -> int:
        """The shift that such a reading of the wall clock falls in, -1 before the first; an hour that comes twice or
        never may make it the next one or the one before."""
        if self.start is None:
            return 0
        if wall < _wall(self.start, self.at):
            return -1
        if self.every is None:
            return 0
        return max(0, 1 + (wall - self._first_handoff()) // self.every)

    def ends(self) -> datetime | None:
        """What the wall clock shows when the layer ends; None: never."""
        return _wall(self.end, self.at) if self.end is not None else None

    def _first_handoff(self) -> datetime:
        assert self.start is not None
        assert self.every is not None
        begins = _wall(self.start, self.at)
        late = 0 if self.weekday is None else (self.weekday - self.start.weekday()) % _WEEK
        return begins + (timedelta(days=late) if late else self.every)


class Override(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`person` is on call from `begins_at` until before `ends_at`, whoever's turn it is.

    `id` is a UUID; "" for one that stands in a file, whose `created_by` and `created_at` nobody knows. `ended_by`: who
    ended it before its time.
    """

    schedule: str
    person: str
    begins_at: datetime
    ends_at: datetime
    id: str = ""
    created_by: str = ""
    created_at: datetime | None = None
    comment: str = ""
    ended_by: str = ""

    def ended(self, now: datetime, by: str) -> Override:
        """The same, over as of now; one that had not begun never was."""
        return msgspec.structs.replace(self, begins_at=min(self.begins_at, now), ends_at=now, ended_by=by)


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """Layers and exceptions. Of the layers the last one that has somebody counts, of overrides the last; an override
    counts before any layer. `gaps`: it is meant that at times nobody is on call."""

    name: str
    timezone: str = "UTC"
    rotations: tuple[Rotation, ...] = ()
    overrides: tuple[Override, ...] = ()
    gaps: bool = False

    @property
    def people(self) -> tuple[str, ...]:
        """Everyone in it, by the files."""
        turns = (name for layer in self.rotations for name in layer.people)
        return tuple(dict.fromkeys((*turns, *(one.person for one in self.overrides))))


def _wall(day: date, at: timedelta) -> datetime:
    return datetime.combine(day, time()) + at
