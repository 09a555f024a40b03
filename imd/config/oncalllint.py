"""Schedules and teams as a whole: calendars' people, times at which nobody is on call, and what nobody uses.

Who is on call is `core.oncall`, which this floor does not know: whoever wants gaps found hands the search in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from imd.config import codes
from imd.config.rulefile import Reference, RuleFiles
from imd.config.syntax import format_duration
from imd.config.wording import quote
from imd.model.schedule import Schedule

UNUSED = "remove it, or name it where it is meant"
_MINUTE = timedelta(minutes=1)


class Gap(Protocol):
    """A stretch of time with nobody on call. `open_ended`: nobody is ever again, as far as the search looks."""

    @property
    def begins_at(self) -> datetime: ...

    @property
    def ends_at(self) -> datetime: ...

    @property
    def open_ended(self) -> bool: ...


FindGap = Callable[[Schedule, datetime | None, Collection[str]], Gap | None]
"""The first gap from an instant on; from its beginning where there is none."""


def check_calendars(files: RuleFiles) -> None:
    """Errors for events of nobody who is known; those who are known count as used."""
    for one in files.calendars:
        found = [(event, event.person(files.people)) for event in one.calendar.events]
        strangers = [event.shown for event, person in found if not person]
        if strangers:
            more = f" (and {len(strangers) - 1} more)" if len(strangers) > 1 else ""
            one.document.fault(
                codes.UNKNOWN_PERSON,
                one.span,
                f"{one.name}: {strangers[0]}{more} is of nobody in people",
                expected="expected a person's name as its title, or an attendee's name or address",
            )
        for person in dict.fromkeys(person for _, person in found if person):
            files.references.append(Reference("person", person, one.document, one.span, one.name))


def lint_schedules(files: RuleFiles, now: datetime | None, find_gap: FindGap | None) -> None:
    """The first gap of each schedule that is not meant to have any."""
    if find_gap is None:
        return
    for named in files.schedules.values():
        schedule = named.value
        gap = find_gap(schedule, now, files.people) if schedule is not None and not schedule.gaps else None
        if schedule is not None and gap is not None:
            named.document.lint(
                codes.SCHEDULE_GAP,
                named.span,
                f"schedule {quote(named.name)} has nobody on call {_stretch(gap, schedule.timezone)}",
                help="a step that notifies it passes on at once then; gaps: true says that it is meant",
            )


def _stretch(gap: Gap, timezone: str) -> str:
    begins = _local(gap.begins_at, timezone)
    if gap.open_ended:
        return f"from {begins} ({timezone}) on"
    lasts = format_duration((gap.ends_at - gap.begins_at) // _MINUTE * _MINUTE)
    return f"from {begins} to {_local(gap.ends_at, timezone)} ({timezone}), for {lasts}"


def _local(at: datetime, timezone: str) -> str:
    return at.astimezone(ZoneInfo(timezone)).strftime("%a %Y-%m-%d %H:%M")


def lint_unused(files: RuleFiles, used: set[tuple[str, str]]) -> None:
    """What no policy names."""
    for schedule in files.schedules.values():
        if ("schedule", schedule.name) not in used:
            schedule.document.lint(
                codes.UNUSED_SCHEDULE, schedule.span, f"schedule {quote(schedule.name)} is in no policy", help=UNUSED
            )
    for team in files.teams.values():
        if ("team", team.name) not in used:
            team.document.lint(codes.UNUSED_TEAM, team.span, f"team {quote(team.name)} is in no policy", help=UNUSED)
