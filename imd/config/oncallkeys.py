"""The keys of rule files that say who there is and who is on call: people, teams, schedules.

Owns what each may hold and what of it does not go together. Names that point to other parts are handed to `refer`, for
`load` to check. How several files add up is `rulefile`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import date, timedelta
from typing import Any, TypeVar

import msgspec

from imd.config import codes, form
from imd.config.diagnostic import Span
from imd.config.document import Document, Node, Scalar, Sequence
from imd.config.document import Mapping as MappingNode
from imd.config.form import Several, Table
from imd.config.quietkeys import ONCE, WEEKLY, YEARS, beginning, one_or_more, span_of, weekday, weekly
from imd.config.reading import timezone
from imd.config.shape import (
    Key,
    Keys,
    Refused,
    Scope,
    any_text,
    boolean,
    duration,
    listed,
    name,
    nested,
    peek,
    read_keys,
    sound,
    takes,
    text,
    wrong_type,
)
from imd.config.wording import quote
from imd.model.calendar import BYTES_MAX, BadCalendar, Calendar, NoCalendars
from imd.model.policy import Person, Team, Way
from imd.model.quiet import TimeInterval
from imd.model.schedule import Override, Rotation, Schedule

T = TypeVar("T")
OpenFile = Callable[[str, Document, Span, int], bytes | None]
Refer = Callable[[str, str, Node, Scope], None]
"""Notes that a name of a kind is used there."""

_HOUR, _DAY, _WEEK = timedelta(hours=1), timedelta(days=1), timedelta(weeks=1)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@takes(form.text("date", r"^\d{4}-\d{2}-\d{2}$", "2026-01-05"))
def _date(node: Node, scope: Scope) -> date:
    value = text(node, scope)
    try:
        if _DATE.fullmatch(value) and YEARS[0] <= (day := date.fromisoformat(value)).year < YEARS[1]:
            return day
    except ValueError:
        pass
    raise scope.fault(
        codes.BAD_TIME,
        node,
        f"{scope.subject} is {quote(value)}, which is no date",
        expected='expected one such as "2026-01-05"',
        help="the time of day is at in handoff" if len(value) > len("2026-01-05") else "",
    )


@takes(form.text("day of the week", "", "mon"))
def _handoff_day(node: Node, scope: Scope) -> int:
    days = weekday(node, scope)
    if len(days) != 1:
        raise scope.fault(codes.OUT_OF_BOUNDS, node, f"{scope.subject} is {len(days)} days", expected="expected one")
    return days[0]


_REACH_MAX = 10  # ways to one person
REACH: Keys = {
    "receiver": Key(name, "A receiver's name.", required=True),
    "after": Key(
        duration(timedelta(0), _DAY), "Taken so long after the first way, unless somebody has answered by then.", "0s"
    ),
}
_WAYS = Several(Table(REACH), 1)
PERSON: Keys = {
    "name": Key(name, "How policies name the person: `person:NAME`.", required=True),
    "timezone": Key(timezone, "In which the person lives.", "UTC"),
    "reach": Key(
        any_text, "Ways to reach the person, in order; the first is taken at once.", required=True, form=_WAYS
    ),
    "reach_low": Key(any_text, "The ways for P4 and P5, where they are others than `reach`.", form=_WAYS),
    "quiet_hours": Key(
        weekly,
        "P4 and P5 wait until these are over; read in the person's time zone.",
        form=one_or_more(WEEKLY),
        examples=({"from": "22:00", "to": "07:00"},),
    ),
}
TEAM: Keys = {
    "name": Key(name, "How policies name the team: `team:NAME`.", required=True),
    "people": Key(listed(name, least=1), "Everyone in it; a step that names the team pages them all.", required=True),
}
HANDOFF: Keys = {
    "weekday": Key(_handoff_day, "The day on which turns change; `every` is whole weeks then."),
    "at": Key(beginning, "The time of day at which turns change, in quotes.", "00:00"),
}
ROTATION: Keys = {
    "name": Key(name, "How it is named where it decides; without one by its place, such as `rotation 1`."),
    "people": Key(listed(name, least=1), "Who takes turns, in order."),
    "ics": Key(
        text,
        "A calendar file, beside this one, in place of people and turns: whose event it is, is on call; needs the "
        "extra imd[ics].",
    ),
    "every": Key(
        duration(_HOUR, 366 * _DAY), "How long a turn lasts; needed for more than one person.", examples=("1w", "12h")
    ),
    "handoff": Key(nested(HANDOFF, lambda **given: given), "When turns change, by a clock on the wall there."),
    "start": Key(
        _date, "The day on which the first person's turn begins; nobody is on call by it before. Needed with `every`."
    ),
    "end": Key(_date, "The day on which it is over."),
    "timezone": Key(timezone, "In which its times are read; without one that of the schedule."),
    "restrictions": Key(
        weekly,
        "Only in these windows is anybody on call by it; turns change outside them all the same.",
        form=one_or_more(WEEKLY),
    ),
}
OVERRIDE: Keys = {
    "person": Key(name, "Who is on call then, whoever's turn it is.", required=True),
    **ONCE,
}
SCHEDULE: Keys = {
    "name": Key(name, "How policies name the schedule: `schedule:NAME`.", required=True),
    "timezone": Key(timezone, "In which its times are read.", "UTC"),
    "rotations": Key(
        any_text,
        "Its layers; the last one that has somebody counts.",
        required=True,
        form=Several(Table(ROTATION, {"anyOf": [{"required": ["people"]}, {"required": ["ics"]}]}), 1),
    ),
    "overrides": Key(any_text, "Exceptions; the last one counts.", [], form=Several(Table(OVERRIDE))),
    "gaps": Key(boolean, "It is meant that at times nobody is on call: no warning.", False),
}


class CalendarAt(msgspec.Struct, frozen=True):
    """A calendar, and where it is named: its events' people are checked once all files are read."""

    calendar: Calendar
    name: str
    document: Document
    span: Span


class OnCallReader:
    """Reads entries. Every method raises Refused where the entry is unsound. `open_file` gives the bytes of a file
    beside the document that names it, None where a fault was reported; `calendars` are those that were read."""

    def __init__(self, refer: Refer, open_file: OpenFile, calendars: list[CalendarAt]) -> None:
        self._refer = refer
        self._open = open_file
        self._calendars = calendars

    def person(self, node: Node, scope: Scope) -> Person:
        values = read_keys(_with(PERSON, reach=self._reach, reach_low=self._reach), node, scope)
        _all_needed(PERSON, values)
        assert isinstance(node, MappingNode)
        if len(values) < len(node.entries):
            raise Refused
        windows = values.pop("quiet_hours", None)
        quiet = TimeInterval(weekly=windows, timezone=values.get("timezone", "UTC")) if windows is not None else None
        return Person(**values, quiet_hours=quiet)

    def _reach(self, node: Node, scope: Scope) -> tuple[Way, ...]:
        """Ways in the order of their times, the first at once, no receiver twice."""
        if not isinstance(node, Sequence):
            raise wrong_type(node, scope, "a list such as [{receiver: NAME}]")
        if not 0 < len(node.items) <= _REACH_MAX:
            raise scope.fault(
                codes.BAD_REACH,
                node,
                f"{scope.subject} names {len(node.items)} ways",
                expected=f"expected 1 to {_REACH_MAX}",
            )
        ways: list[Way] = []
        for item in node.items:
            with suppress(Refused):
                ways.append(self._way(item, scope, ways))
        if len(ways) < len(node.items):
            raise Refused
        return tuple(ways)

    def _way(self, node: Node, scope: Scope, before: list[Way]) -> Way:
        at = scope.inside("", f"{quote(scope.key)} of {scope.owner}")
        values = read_keys(REACH, node, at)
        assert isinstance(node, MappingNode)
        word = peek(node, "receiver")
        if "receiver" in values and word is not None:
            self._refer("receiver", word.text, word, scope)
        if len(values) < len(node.entries) or "receiver" not in values:
            raise Refused
        way = Way(**values)
        wrong = ""
        if not before and way.after:
            wrong = "the first way is taken at once"
        elif before and way.after < before[-1].after:
            wrong = f"this way comes before that by {quote(before[-1].receiver)}"
        if wrong:
            help_ = "leave after out" if not before else "put the ways in the order of their times"
            raise at.fault(codes.BAD_REACH, node.entries["after"].value, f"{at.owner}: {wrong}", help=help_)
        if any(one.receiver == way.receiver for one in before) and word is not None:
            raise at.fault(codes.BAD_REACH, word, f"{at.owner} names receiver {quote(way.receiver)} twice")
        return way

    def team(self, node: Node, scope: Scope) -> Team:
        values = read_keys(_with(TEAM, people=self._people), node, scope)
        _all_needed(TEAM, values)
        return Team(**values)

    def _people(self, node: Node, scope: Scope) -> tuple[str, ...]:
        """Names of people, each noted as used."""
        found = listed(name, least=1)(node, scope)
        assert isinstance(node, Sequence)
        if len(found) < len(node.items):
            raise Refused
        for word in node.items:
            assert isinstance(word, Scalar)
            self._refer("person", word.text, word, scope.inside("", scope.owner))
        return found

    # -- schedules ------------------------------------------------------------------------------------------------

    def schedule(self, node: Node, scope: Scope) -> Schedule:
        values = read_keys(_with(SCHEDULE, rotations=_put_off, overrides=_put_off), node, scope)
        zone = values.get("timezone", "UTC")
        rotations = self._several("rotation", self._rotation, values.get("rotations"), scope, zone)
        overrides = self._several("override", self._override, values.get("overrides"), scope, zone)
        _all_needed(SCHEDULE, values)
        assert isinstance(node, MappingNode)
        if rotations is None or overrides is None or len(values) < len(node.entries):
            raise Refused
        named = [msgspec.structs.replace(one, schedule=values["name"]) for one in overrides]
        gaps = values.get("gaps", False)
        return Schedule(
            name=values["name"], timezone=zone, rotations=tuple(rotations), overrides=tuple(named), gaps=gaps
        )

    def _several(
        self,
        kind: str,
        read: Callable[[Node, Scope, str], T],
        node: Node | None,
        scope: Scope,
        zone: str,
    ) -> list[T] | None:
        """The entries of a list, once the time zone is known; None where one is unsound."""
        if node is None:
            return []
        at = scope.inside(f"{kind}s", scope.owner)
        if not isinstance(node, Sequence):
            wrong_type(node, at, "a list")
            return None
        if not node.items and kind == "rotation":
            scope.fault(codes.EMPTY, node, f"{at.subject} is an empty list")
            return None
        owners = (f"{kind} {number} of {scope.owner}" for number in range(1, len(node.items) + 1))
        found = list(sound(lambda item, at: read(item, at.inside("", next(owners)), zone), node.items, at))
        return found if len(found) == len(node.items) else None

    def _rotation(self, node: Node, scope: Scope, zone: str) -> Rotation:
        values = read_keys(_with(ROTATION, people=self._people), node, scope)
        _all_needed(ROTATION, values)
        assert isinstance(node, MappingNode)
        if len(values) < len(node.entries):
            raise Refused
        handoff: dict[str, Any] = values.pop("handoff", {})
        windows = values.pop("restrictions", None)
        values.setdefault("name", scope.owner.partition(" of ")[0])
        zone = values.setdefault("timezone", zone)
        within = TimeInterval(weekly=windows, timezone=zone) if windows is not None else None
        if "ics" in node.entries:
            _alone(node, scope)
            calendar = self._calendar(node.entries["ics"].value, scope, zone)
            return Rotation(name=values["name"], timezone=zone, within=within, calendar=calendar)
        if "people" not in values:
            raise scope.fault(
                codes.MISSING_KEY,
                next(iter(node.entries.values())).key.span if node.entries else node.span,
                f"{scope.subject} has no {quote('people')}",
                expected=f"expected {quote('people')} or {quote('ics')}",
            )
        rotation = Rotation(**values, **handoff, within=within)
        _check_turns(rotation, node, scope)
        return rotation

    def _calendar(self, node: Node, scope: Scope, zone: str) -> Calendar:
        at = scope.inside("ics", scope.owner)
        file = text(node, at)
        raw = self._open(file, scope.document, node.span, BYTES_MAX)
        if raw is None:
            raise Refused
        try:
            if len(raw) > BYTES_MAX:
                raise BadCalendar(f"it has more than {BYTES_MAX} bytes")
            calendar = Calendar(raw.decode(), zone)
        except NoCalendars as error:
            raise at.fault(codes.CALENDAR_EXTRA, node, f"{at.subject} is a calendar, and {error}") from None
        except UnicodeDecodeError:
            raise at.fault(codes.BAD_CALENDAR, node, f"{at.subject}: {file} is not UTF-8") from None
        except BadCalendar as error:
            raise at.fault(codes.BAD_CALENDAR, node, f"{at.subject}: {file}: {error}") from None
        self._calendars.append(CalendarAt(calendar, file, scope.document, node.span))
        return calendar

    def _override(self, node: Node, scope: Scope, zone: str) -> Override:
        values = read_keys(OVERRIDE, node, scope)
        word = peek(node, "person")
        if "person" in values and word is not None:
            self._refer("person", word.text, word, scope)
        _all_needed(OVERRIDE, values)
        once = span_of(values, node, scope, zone)
        return Override(schedule="", person=values["person"], begins_at=once.begins_at, ends_at=once.ends_at)


def _alone(node: MappingNode, scope: Scope) -> None:
    """A calendar says by itself whose turn it is, and when."""
    for word in ("people", "every", "handoff", "start", "end"):
        if word in node.entries:
            raise scope.fault(
                codes.EXCLUSIVE_KEYS,
                node.entries[word].key,
                f"{scope.subject} has both {quote('ics')} and {quote(word)}",
                help="the calendar says whose turn it is and when",
            )


def _check_turns(rotation: Rotation, node: MappingNode, scope: Scope) -> None:
    """Refuses keys that make no turns together."""
    count, every = len(rotation.people), rotation.every
    if every is None and count > 1:
        raise scope.fault(
            codes.BAD_ROTATION,
            node.entries["people"].value,
            f"{scope.subject} has {count} people and no {quote('every')}",
            expected=f"expected {quote('every')} beside it",
            help="say how long a turn lasts, such as 1w",
        )
    if every is not None and rotation.start is None:
        raise scope.fault(
            codes.BAD_ROTATION,
            node.entries["every"].key,
            f"{scope.subject} has {quote('every')} and no {quote('start')}",
            expected=f"expected {quote('start')} beside it",
            help="the day on which the first person's turn begins",
        )
    if rotation.weekday is not None and (every is None or every % _WEEK):
        raise scope.fault(
            codes.BAD_ROTATION,
            node.entries["every"].value if every is not None else node.entries["handoff"].key,
            f"{scope.subject} hands off on a day of the week, and its turns are no whole weeks",
            help="write every: 1w, or leave weekday out",
        )
    if rotation.end is not None and rotation.start is not None and rotation.end <= rotation.start:
        raise scope.fault(codes.BAD_TIME, node.entries["end"].value, f"{scope.subject} ends before it begins")


def _put_off(node: Node, _scope: Scope) -> Node:
    """Read later, once the time zone is known."""
    return node


def _with(keys: Keys, **readers: Callable[[Node, Scope], Any]) -> Keys:
    """The same keys, some of them read by these."""
    return {**keys, **{word: msgspec.structs.replace(keys[word], read=read) for word, read in readers.items()}}


def _all_needed(keys: Keys, values: dict[str, Any]) -> None:
    """A needed key that is missing or unsound refuses the whole entry; it was said already."""
    if any(key.required and word not in values for word, key in keys.items()):
        raise Refused
