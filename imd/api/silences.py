"""Silences, maintenance windows and the pause: what keeps imd quiet, and until when.

Reads show what the engine holds, so that a silence is there from its answer on. Always with an end and a name.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec
from aiohttp import web

from imd.api import parameters, setting
from imd.api.answers import Refusal, json
from imd.api.body import read_body
from imd.api.context import Context
from imd.api.operations import BY, MATCH, PAGED, Duration, Name, described, listed, needing
from imd.api.setting import BadSilence, UnknownSilence
from imd.api.views import Items, MaintenanceView, SilenceView, maintenance_view, silence_view
from imd.config.syntax import BadMatcher, parse_matchers
from imd.core import times
from imd.model.event import PauseSet
from imd.model.incident import Incident
from imd.model.quiet import PAUSE, Silence, SilenceState
from imd.model.rule import Matcher, Op
from imd.sources.contract import Instant

LONGEST = timedelta(days=3650)
NAMES_MAX = 20  # alertnames in the matcher of an incident's silence
_MEMBERS_SEEN = 500
STATE = listed("state", "Active and pending ones without it.", tuple(SilenceState))

Shape = TypeVar("Shape")


class SilenceBody(msgspec.Struct, rename={"for_": "for"}):
    """`matchers`, or `incident` in place of them. The end: `ends_at`, or `for` from the start. `id`: a change."""

    by: Name = ""
    matchers: list[str] = []
    incident: str | int | None = None
    id: str = ""
    starts_at: Instant | None = None
    ends_at: Instant | None = None
    for_: Duration = ""
    comment: str = ""


class PauseBody(msgspec.Struct, rename={"for_": "for"}):
    """The end: `until`, or `for` from now."""

    by: Name = ""
    until: Instant | None = None
    for_: Duration = ""
    reason: str = ""


class ByBody(msgspec.Struct):
    """Who does it."""

    by: Name = ""


class Pause(msgspec.Struct):
    """Whether imd is paused; what else there is, where it is."""

    paused: bool
    since: datetime | None = None
    until: datetime | None = None
    by: str | None = None
    reason: str | None = None


class Silences:
    def __init__(self, context: Context) -> None:
        self._context = context

    @described("List silences", {200: Items[SilenceView]}, query=(STATE, MATCH, *PAGED))
    async def list(self, request: web.Request) -> web.Response:
        """Active and pending ones unless `state` says otherwise; `match`: those with each of these matchers."""
        query, now = request.query, self._context.clock.now()
        parameters.allow_only(query, "state", "match", "limit", "cursor")
        states = parameters.words(query, "state", SilenceState) or {SilenceState.ACTIVE, SilenceState.PENDING}
        filters = [matcher for matchers in parameters.match(request) for matcher in matchers]
        behind, limit = parameters.cursor(query) or 0, parameters.limit(query)
        silences = setting.known(self._context).values()
        found = [one for one in silences if one.state(now) in states and setting.takes_all(one, filters)]
        page = setting.in_order(found, now)[behind : behind + limit]
        cursor = str(behind + limit) if len(found) > behind + limit else None
        return json(Items([self._view(silence, now) for silence in page], cursor))

    @described("Show a silence", {200: SilenceView}, refuses=(404,))
    async def show(self, request: web.Request) -> web.Response:
        """Ended ones are kept five days."""
        return json(self._view(self._found(request), self._context.clock.now()))

    @described("Set or change a silence", {201: SilenceView}, body=needing(SilenceBody, "by"), refuses=(404,))
    async def post(self, request: web.Request) -> web.Response:
        """201 with the silence. With an `id` it is a change, and keeps it where nothing of what it muted changes."""
        body, asked = await self._read(request, SilenceBody)
        _by(asked.by)
        now = self._context.clock.now()
        starts_at = asked.starts_at or self._started(asked.id) or now
        silence = Silence(
            id=asked.id,
            matchers=await self._matchers(asked),
            starts_at=starts_at,
            ends_at=_end(asked.ends_at, asked.for_, max(starts_at, now), "ends_at"),
            updated_at=now,
            created_by=asked.by.strip(),
            comment=asked.comment,
        )
        try:
            done = await setting.set_silence(self._context, silence, len(body))
        except UnknownSilence:
            raise Refusal(404, f"no silence {asked.id[:100]!a}") from None
        except BadSilence as error:
            raise Refusal(400, str(error)) from None
        return json(self._view(done, self._context.clock.now()), 201)

    @described("End a silence", {200: SilenceView}, body=needing(ByBody, "by"), refuses=(404,))
    async def expire(self, request: web.Request) -> web.Response:
        """200 with the silence as it is then; again 200, unchanged."""
        _, asked = await self._read(request, ByBody)
        return await self._ended(request, asked.by)

    @described("End a silence", {200: SilenceView}, query=(BY,), refuses=(404,))
    async def delete(self, request: web.Request) -> web.Response:
        """The same; who does it is the parameter `by`."""
        parameters.allow_only(request.query, "by")
        return await self._ended(request, request.query.get("by", ""))

    @described("List maintenance windows", {200: Items[MaintenanceView]})
    async def maintenance(self, _request: web.Request) -> web.Response:
        """Every planned window, with the one in force or the next one."""
        now = self._context.clock.now()
        planned = self._context.ruleset().maintenance
        return json(Items([maintenance_view(one, times.upcoming(one.during, now), now) for one in planned]))

    @described("Is imd paused?", {200: Pause})
    async def pause(self, _request: web.Request) -> web.Response:
        """Whether imd is paused, until when and by whom."""
        return json(self._paused())

    @described("Pause", {201: Pause}, body=needing(PauseBody, "by"))
    async def set_pause(self, request: web.Request) -> web.Response:
        """Everything is suppressed until then."""
        body, asked = await self._read(request, PauseBody)
        by = _by(asked.by)
        now = self._context.clock.now()
        until = _end(asked.until, asked.for_, now, "until")
        if until - now > LONGEST:
            raise Refusal(400, f"until: at most {LONGEST.days}d ahead")
        if len(asked.reason) > setting.TEXT_CHARS_MAX:
            raise Refusal(400, f"`reason` is longer than {setting.TEXT_CHARS_MAX} characters")
        for refused in await self._context.submit(PauseSet(until=until, by=by, reason=asked.reason), len(body)):
            raise Refusal(400, refused.error)
        return json(self._paused(), 201)

    @described("End the pause", {200: Pause}, query=(BY,))
    async def end_pause(self, request: web.Request) -> web.Response:
        """200; also where imd is not paused."""
        parameters.allow_only(request.query, "by")
        by = _by(request.query.get("by", ""))
        if self._paused().paused:
            await setting.expire(self._context, PAUSE, by)
        return json(self._paused())

    # -- within ---------------------------------------------------------------------------------------------------

    def _paused(self) -> Pause:
        now = self._context.clock.now()
        pause = next((one for one in self._context.view.silences() if one.id == PAUSE), None)
        if pause is None or not pause.in_force(now):
            return Pause(False)
        return Pause(True, pause.starts_at, pause.ends_at, pause.created_by, pause.comment)

    async def _ended(self, request: web.Request, by: str) -> web.Response:
        silence = self._found(request)
        await setting.expire(self._context, silence.id, _by(by))
        return json(self._view(setting.known(self._context)[silence.id], self._context.clock.now()))

    def _found(self, request: web.Request) -> Silence:
        which = request.match_info["id"]
        silence = setting.known(self._context).get(which.lower())
        if silence is None:
            raise Refusal(404, f"no silence {which[:100]!a}")
        return silence

    def _started(self, silence_id: str) -> datetime | None:
        silence = setting.known(self._context).get(silence_id)
        return silence.starts_at if silence is not None else None

    def _view(self, silence: Silence, now: datetime) -> object:
        return silence_view(silence, now, self._context.view.suppressed(silence.cause))

    async def _read(self, request: web.Request, shape: type[Shape]) -> tuple[bytes, Shape]:
        limits = self._context.settings().limits
        body = await read_body(request, limits.body_bytes_max, limits.body_read_timeout)
        return body, parameters.read_json(body, shape)

    async def _matchers(self, asked: SilenceBody) -> tuple[Matcher, ...]:
        if bool(asked.matchers) == (asked.incident is not None):
            raise Refusal(400, "a silence needs `matchers` or `incident`, one of the two")
        if asked.incident is not None:
            return await self._of_incident(str(asked.incident).removeprefix("#"))
        try:
            return tuple(matcher for text in asked.matchers for matcher in parse_matchers(text))
        except BadMatcher as error:
            raise Refusal(400, f"matchers: {error}") from None

    async def _of_incident(self, which: str) -> tuple[Matcher, ...]:
        """What takes its alerts and those to come under its key: the key, and the names of its alerts so far."""
        incident = await self._context.store.incident(which)
        if incident is None:
            raise Refusal(404, f"no incident {which[:100]!a}")
        members = await self._context.store.alerts(incident.id, _MEMBERS_SEEN)
        names = dict.fromkeys(alert.labels().get("alertname", "") for alert in members)
        matchers = incident_matchers(incident, list(names))
        if not matchers:
            raise Refusal(400, f"the alerts of incident #{incident.number} have no label in common; name matchers")
        return matchers


def incident_matchers(incident: Incident, names: list[str]) -> tuple[Matcher, ...]:
    """The group key as equalities; and one for the alertnames, unless they are too many or one has none."""
    key = {name: value for name, value in incident.group_key if value}
    found = [Matcher(name, Op.EQUAL, value) for name, value in key.items()]
    if "alertname" not in key and all(names) and 0 < len(names) <= NAMES_MAX:
        if len(names) == 1:
            found.append(Matcher("alertname", Op.EQUAL, names[0]))
        else:
            found.append(Matcher("alertname", Op.REGEX, "|".join(re.escape(name) for name in names)))
    return tuple(found)


def _by(text: str) -> str:
    by = text.strip()
    if not by or len(by) > setting.BY_CHARS_MAX or "\0" in by:
        raise Refusal(400, f"this needs `by`: who does it, in at most {setting.BY_CHARS_MAX} characters")
    return by


def _end(at: datetime | None, lasting: str, begins: datetime, key: str) -> datetime:
    if (at is None) == (not lasting):
        raise Refusal(400, f"an end is needed: `{key}` or `for`, one of the two")
    if at is not None:
        return at
    lasts = parameters.duration("for", lasting)
    if not timedelta(0) < lasts <= LONGEST:
        raise Refusal(400, f"for: longer than 0s and at most {LONGEST.days}d")
    try:
        return begins + lasts
    except OverflowError:
        raise Refusal(400, f"it would begin in the year {begins.year}") from None
