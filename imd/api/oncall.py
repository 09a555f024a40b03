"""On call over HTTP: who it is now, then, and over some days; and the overrides that people set.

An override acts from its answer on, on whoever is notified after it.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import msgspec
from aiohttp import web

from imd.api import duty, parameters
from imd.api.answers import Refusal, json
from imd.api.body import read_body
from imd.api.context import Context
from imd.api.operations import BY, Duration, Name, Parameter, described, needing, switch
from imd.api.views import Items
from imd.model.event import OverrideEnded, OverrideSet
from imd.model.schedule import Override, Schedule

TEXT_CHARS_MAX = 1_000
LONGEST = timedelta(days=400)
_SLICE = 200  # shifts worked out before the loop turns: a few ms
_YEARS = (1970, 2200)
_BODY_BYTES_MAX = 65_536

SCHEDULE = Parameter("schedule", "The schedule of this name alone.")
AT = Parameter("at", "An instant with its zone, in place of now.")
DAYS = Parameter(
    "days", "With its shifts over so many days.", {"type": "integer", "minimum": 1, "maximum": duty.DAYS_MAX}
)
ENDED = switch("all", "Ended ones too.", False)


class OverrideBody(msgspec.Struct, rename={"for_": "for"}):
    """The end: `ends_at`, or `for` from the start. Times without a zone are the schedule's."""

    schedule: str
    person: str
    by: Name = ""
    starts_at: str = ""
    ends_at: str = ""
    for_: Duration = ""
    comment: str = ""


class OnCall:
    def __init__(self, context: Context) -> None:
        self._context = context

    @described("Who is on call", {200: Items[duty.DutyView]}, query=(SCHEDULE, AT, DAYS), refuses=(404,))
    async def show(self, request: web.Request) -> web.Response:
        """Every schedule, or the one of that name, at an instant (now); with `days`, shift by shift from there on."""
        query = request.query
        parameters.allow_only(query, "schedule", "at", "days")
        at = self._context.clock.now() if not query.get("at") else _instant(query["at"], "at", "")
        days = _days(query.get("days", ""))
        found = [await self._view(one, at, days) for one in self._schedules(query.get("schedule", ""))]
        return json(Items(list(found)))

    @described("List overrides", {200: Items[duty.OverrideView]}, query=(SCHEDULE, ENDED), refuses=(404,))
    async def overrides(self, request: web.Request) -> web.Response:
        """Those in force and to come, in files too; with `all=true` ended ones of the last 400 days."""
        query, now = request.query, self._context.clock.now()
        parameters.allow_only(query, "schedule", "all")
        ended = parameters.switch(query, "all")
        names = {one.name for one in self._schedules(query.get("schedule", ""))}
        found = duty.every_override(self._context.ruleset(), list(self._context.view.overrides()))
        shown = [one for one in found if one.schedule in names and (ended or one.ends_at > now)]
        return json(Items([self._shown(one) for one in shown]))

    @described("Set an override", {201: duty.OverrideView}, body=needing(OverrideBody, "by"), refuses=(404,))
    async def post(self, request: web.Request) -> web.Response:
        """201 with the override."""
        limits = self._context.settings().limits
        body = await read_body(request, _BODY_BYTES_MAX, limits.body_read_timeout)
        asked = parameters.read_json(body, OverrideBody)
        schedule, now = self._known(asked.schedule), self._context.clock.now()
        starts_at = _instant(asked.starts_at, "starts_at", schedule.timezone) if asked.starts_at else now
        override = Override(
            id=str(uuid4()),
            schedule=schedule.name,
            person=asked.person,
            begins_at=starts_at,
            ends_at=_end(asked, starts_at, schedule.timezone),
            created_by=_by(asked.by),
            created_at=now,
            comment=_text(asked.comment, "comment"),
        )
        if asked.person not in self._context.ruleset().people:
            raise Refusal(400, f"no person {asked.person[:100]!a}")
        for refused in await self._context.submit(OverrideSet(override), len(body)):
            raise Refusal(400, refused.error)
        return json(self._shown(override), 201)

    @described("End an override", {200: duty.OverrideView}, query=(BY,), refuses=(404,))
    async def delete(self, request: web.Request) -> web.Response:
        """200 with the override as it is then; again 200, unchanged. Who does it is the parameter `by`."""
        parameters.allow_only(request.query, "by")
        which, by = request.match_info["id"].lower(), _by(request.query.get("by", ""))
        self._override(which)
        for refused in await self._context.submit(OverrideEnded(which, by), 0):
            raise Refusal(404, refused.error)
        return json(self._shown(self._override(which)))

    def _shown(self, override: Override) -> duty.OverrideView:
        schedule = self._context.ruleset().schedules.get(override.schedule)
        zone = schedule.timezone if schedule is not None else "UTC"
        return duty.override_view(override, self._context.clock.now(), zone)

    # -- within ---------------------------------------------------------------------------------------------------

    async def _view(self, schedule: Schedule, at: datetime, days: int) -> duty.DutyView:
        ruleset, overrides = self._context.ruleset(), list(self._context.view.overrides())
        view = duty.duty(ruleset, schedule, overrides, at)
        if not days:
            return view
        found: list[duty.ShiftView] = []
        for shift in duty.shifts(ruleset, schedule, overrides, at, at + timedelta(days=days)):
            found.append(shift)
            if len(found) % _SLICE == 0:
                await asyncio.sleep(0)
        return msgspec.structs.replace(view, shifts=found)

    def _schedules(self, name: str) -> list[Schedule]:
        return [self._known(name)] if name else list(self._context.ruleset().schedules.values())

    def _known(self, name: str) -> Schedule:
        schedule = self._context.ruleset().schedules.get(name)
        if schedule is None:
            raise Refusal(404, f"no schedule {name[:100]!a}")
        return schedule

    def _override(self, which: str) -> Override:
        found = next((one for one in self._context.view.overrides() if one.id == which), None)
        if found is None:
            raise Refusal(404, f"no override {which[:100]!a}")
        return found


def _instant(text: str, key: str, timezone: str) -> datetime:
    """RFC 3339 with its zone; without one, where a time zone is given, what a wall clock shows there."""
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None and timezone:
            at = at.replace(tzinfo=ZoneInfo(timezone))
        if at.tzinfo is not None and _YEARS[0] <= at.year < _YEARS[1]:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    zone = f", or a time of day in {timezone} such as 2026-12-01 22:00" if timezone else ""
    raise Refusal(400, f"{key} must be an instant with its zone{zone}, not {text[:40]!a}")


def _days(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and 0 < len(text) <= 3 and 0 < int(text) <= duty.DAYS_MAX):
        raise Refusal(400, f"days must be a whole number from 1 to {duty.DAYS_MAX}, not {text[:40]!a}")
    return int(text)


def _end(asked: OverrideBody, starts_at: datetime, timezone: str) -> datetime:
    if bool(asked.ends_at) == bool(asked.for_):
        raise Refusal(400, "an end is needed: `ends_at` or `for`, one of the two")
    if asked.ends_at:
        ends_at = _instant(asked.ends_at, "ends_at", timezone)
    else:
        ends_at = starts_at + min(parameters.duration("for", asked.for_), LONGEST * 2)
    if not timedelta(0) < ends_at - starts_at <= LONGEST:
        raise Refusal(400, f"an override ends after it begins, and at most {LONGEST.days} days later")
    return ends_at


def _by(text: str) -> str:
    by = text.strip()
    if not by:
        raise Refusal(400, "this needs `by`: who does it")
    return _text(by, "by")


def _text(text: str, key: str) -> str:
    if len(text) > TEXT_CHARS_MAX or "\0" in text:
        raise Refusal(400, f"`{key}` is longer than {TEXT_CHARS_MAX} characters, or holds a NUL")
    return text
