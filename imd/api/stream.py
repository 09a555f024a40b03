"""`GET /v1/stream`: each incident that changed, as server-sent events, once the change is on disk.

Owns who listens and what each has not been told yet. A change is only noted (the incident's id, in order); what is sent
is the incident as it is when its turn comes. So a listener that reads slowly is told less often, never told something
that was not so, and costs no more than the ids of what changed. Nothing is replayed after a gap: whoever connects reads
`/v1/incidents` once the stream stands.
"""

from __future__ import annotations

import asyncio

import msgspec
from aiohttp import web

from imd.api import parameters
from imd.api.answers import Refusal
from imd.api.changes import Listener
from imd.api.context import Context
from imd.api.operations import Answer, described, listed
from imd.model.incident import IncidentState
from imd.model.view import incident_view
from imd.store.contract import StoreFailed

LISTENERS_MAX = 200
QUIET_SECONDS = 15.0  # then a comment says that the stream still stands
_PAUSE_SECONDS = 0.1  # between two rounds: a storm's changes of one incident are told once

_encode = msgspec.json.Encoder().encode


class Streaming:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._stream = context.stream
        context.metrics.stream_listeners.set_function(lambda: float(len(self._stream.listeners)))

    @described(
        "Follow incidents",
        {200: Answer(media="text/event-stream")},
        query=(listed("status", "Incidents in these states alone.", ("open", *IncidentState)),),
    )
    async def get(self, request: web.Request) -> web.StreamResponse:
        """Until the client goes away or imd stops. `status`: only incidents in these states, or `open`."""
        parameters.allow_only(request.query, "status")
        wanted = parameters.states(request.query)
        if len(self._stream.listeners) >= LISTENERS_MAX:
            raise Refusal(503, f"{LISTENERS_MAX} clients listen already", headers={"Retry-After": "10"})
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store"}
        )
        listener = Listener()
        self._stream.listeners.add(listener)
        try:
            await response.prepare(request)
            await response.write(b"retry: 3000\n: the stream stands; GET /v1/incidents tells what is open\n\n")
            while not self._stream.ended:
                await self._round(response, listener, wanted)
        except ConnectionError:
            pass  # the client went away
        finally:
            self._stream.listeners.discard(listener)
        return response

    async def _round(
        self, response: web.StreamResponse, listener: Listener, wanted: frozenset[IncidentState] | None
    ) -> None:
        try:
            async with asyncio.timeout(QUIET_SECONDS):
                await listener.woken.wait()
        except TimeoutError:
            await response.write(b": still here\n\n")
            return
        await asyncio.sleep(_PAUSE_SECONDS)
        if listener.lost:
            lost, listener.lost = listener.lost, 0
            await response.write(b'event: behind\ndata: {"lost": %d}\n\n' % lost)
        for incident_id in listener.take():
            try:
                incident = await self._context.store.incident(incident_id)
            except StoreFailed:
                listener.note([incident_id])
                await asyncio.sleep(1.0)
                continue
            if incident is None or (wanted is not None and incident.state not in wanted):
                continue
            body = _encode(incident_view(incident))
            await response.write(
                b"event: incident\nid: %b-%d\ndata: %b\n\n" % (incident.id.encode(), incident.lines, body)
            )
