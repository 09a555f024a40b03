"""Who is on call, as JSON: at an instant, and shift by shift over a span.

Owns the shapes and how they come from schedules and overrides; knows no HTTP, so that the command line makes the same
of files alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import msgspec

from imd.core import oncall
from imd.model.policy import Ruleset
from imd.model.schedule import Override, Schedule

DAYS_MAX = 366


class ShiftView(msgspec.Struct, frozen=True):
    """`person` None: nobody is on call. Cut to the span that was asked for."""

    begins_at: datetime
    ends_at: datetime
    person: str | None
    because: str


class DutyView(msgspec.Struct, frozen=True, kw_only=True):
    """One schedule at an instant. `until`: when that may change, None: never; `next`: who it is then."""

    schedule: str
    timezone: str
    at: datetime
    person: str | None
    because: str
    until: datetime | None
    next: str | None
    shifts: list[ShiftView] | msgspec.UnsetType = msgspec.UNSET


class OverrideView(msgspec.Struct, frozen=True, kw_only=True):
    """`id` None: it stands in a rule file. `state`: pending, active or ended. `timezone`: the schedule's."""

    id: str | None
    schedule: str
    timezone: str
    person: str
    starts_at: datetime
    ends_at: datetime
    state: str
    by: str | None
    created_at: datetime | None
    ended_by: str | None
    comment: str


def duty(ruleset: Ruleset, schedule: Schedule, overrides: Sequence[Override], at: datetime) -> DutyView:
    """Who is on call at `at`, and who comes next: stretches that change nothing are passed over."""
    until = oncall.FOR_EVER
    now = oncall.on_call(schedule, at, ruleset.people, overrides)
    following = ""
    for shift in shifts(ruleset, schedule, overrides, at, at + timedelta(days=DAYS_MAX)):
        if shift.person != (now.person or None):
            until, following = shift.begins_at, shift.person or ""
            break
    return DutyView(
        schedule=schedule.name,
        timezone=schedule.timezone,
        at=at,
        person=now.person or None,
        because=now.because,
        until=until if until < oncall.FOR_EVER else None,
        next=following or None,
    )


def shifts(
    ruleset: Ruleset, schedule: Schedule, overrides: Sequence[Override], begins_at: datetime, ends_at: datetime
) -> Iterator[ShiftView]:
    """Every stretch of the span, those with nobody too."""
    for one in oncall.shifts(schedule, begins_at, ends_at, ruleset.people, overrides):
        yield ShiftView(one.begins_at, one.ends_at, one.person or None, one.because)


def override_view(override: Override, now: datetime, timezone: str) -> OverrideView:
    state = "active" if override.begins_at <= now < override.ends_at else "pending"
    return OverrideView(
        id=override.id or None,
        schedule=override.schedule,
        timezone=timezone,
        person=override.person,
        starts_at=override.begins_at,
        ends_at=override.ends_at,
        state="ended" if override.ends_at <= now else state,
        by=override.created_by or None,
        created_at=override.created_at,
        ended_by=override.ended_by or None,
        comment=override.comment,
    )


def every_override(ruleset: Ruleset, overrides: Sequence[Override]) -> list[Override]:
    """Those that people set, then those in files; by their beginning."""
    in_files = [one for schedule in ruleset.schedules.values() for one in schedule.overrides]
    return sorted((*overrides, *in_files), key=lambda one: (one.begins_at, one.schedule, one.id))
