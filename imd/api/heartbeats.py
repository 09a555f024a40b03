"""Heartbeats over HTTP: a beat, and the list of who is heard and who is missing.

A beat is an event like any other and is answered once it is on disk. GET beats too, for whoever can do no more than
call a URL; its query holds the values of the heartbeat's `by` labels.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
from aiohttp import web

from imd.api import parameters
from imd.api.answers import Refusal, json
from imd.api.body import read_body
from imd.api.context import Context
from imd.api.operations import Body, Parameter, described
from imd.api.views import Items
from imd.model.event import HeartbeatBeat
from imd.model.heartbeat import Beat, Heartbeat

VALUE_CHARS_MAX = 1024
_BODY_BYTES_MAX = 65_536
BY_LABELS = Parameter(
    "by", "The values of the labels that the heartbeat is one by, each under its label's name.", free=True
)


class HeartbeatView(msgspec.Struct, frozen=True, kw_only=True):
    """One heartbeat, or one combination of its `by` values. `due_at`: missing from then on unless it beats."""

    name: str
    by: dict[str, str]
    missing: bool
    last_beat_at: datetime | None
    due_at: datetime
    every_seconds: float
    grace_seconds: float
    priority: str


class Heartbeats:
    def __init__(self, context: Context) -> None:
        self._context = context

    @described(
        "Beat",
        {200: HeartbeatView},
        query=(BY_LABELS,),
        body=Body(None, says="Read and passed over.", required=False),
        refuses=(404, 409),
    )
    async def beat(self, request: web.Request) -> web.Response:
        """200 with the heartbeat as it is then; 404 where no such heartbeat is configured."""
        name = request.match_info["name"]
        heartbeat = next((one for one in self._context.ruleset().heartbeats if one.name == name), None)
        if heartbeat is None:
            raise Refusal(404, f"no heartbeat {name[:100]!a} is configured")
        by = _by(request, heartbeat)
        limits = self._context.settings().limits
        await read_body(request, _BODY_BYTES_MAX, limits.body_read_timeout)  # whatever it says, that it came is all
        for refused in await self._context.submit(HeartbeatBeat(name, by), 0):
            raise Refusal(409, refused.error)
        found = next((one for one in self._context.view.beats() if (one.heartbeat, one.by) == (name, by)), None)
        if found is None:
            raise Refusal(409, f"heartbeat {name} has as many combinations of its `by` values as imd keeps")
        return json(_view(found, heartbeat))

    @described("List heartbeats", {200: Items[HeartbeatView]}, refuses=(400,))
    async def list(self, request: web.Request) -> web.Response:
        """All of them, by name. One with `by` is listed once it has been heard."""
        parameters.allow_only(request.query)
        known = {one.name: one for one in self._context.ruleset().heartbeats}
        beats = self._context.view.beats()
        return json(Items([_view(one, known[one.heartbeat]) for one in beats if one.heartbeat in known]))


def _by(request: web.Request, heartbeat: Heartbeat) -> tuple[tuple[str, str], ...]:
    query = request.query
    parameters.allow_only(query, *heartbeat.by)
    missing = [label for label in heartbeat.by if not query.get(label)]
    if missing:
        raise Refusal(400, f"heartbeat {heartbeat.name} is one by {', '.join(heartbeat.by)}: add ?{missing[0]}=VALUE")
    by = tuple((label, query[label]) for label in heartbeat.by)
    if any(len(value) > VALUE_CHARS_MAX or "\0" in value for _, value in by):
        raise Refusal(400, f"a value is longer than {VALUE_CHARS_MAX} characters, or holds a NUL")
    return by


def _view(beat: Beat, heartbeat: Heartbeat) -> HeartbeatView:
    return HeartbeatView(
        name=beat.heartbeat,
        by=dict(beat.by),
        missing=beat.missing,
        last_beat_at=beat.beat_at,
        due_at=beat.due_at,
        every_seconds=heartbeat.every.total_seconds(),
        grace_seconds=heartbeat.grace.total_seconds(),
        priority=heartbeat.priority.value,
    )
