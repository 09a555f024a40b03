"""PagerDuty's Events API v2: senders change one URL. `POST /v2/enqueue` and `/v2/change/enqueue`.

A trigger or resolve is answered 202 once it is on disk. An acknowledge acknowledges the incident that holds the alert;
where there is none, or its state does not allow it, that is kept for people to see, and the answer is 202, as there. A
change event pages nobody, and is kept likewise. Answers are worded as PagerDuty's (see `sources.pagerduty`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import uuid4

import msgspec
from aiohttp import web

from imd.api import access
from imd.api.answers import Refusal, json
from imd.api.context import Context
from imd.api.ingest import Ingest, Senders, Taken
from imd.api.operations import described
from imd.model.event import ActionKind, ActionTaken
from imd.sources.contract import AlertRefused, BadBody, Decoded, Reason, excerpt
from imd.sources.made import parse
from imd.sources.pagerduty import (
    DEDUP_KEY_CHARS_MAX,
    Event,
    InvalidEvent,
    PagerDuty,
    ignored,
    read_change,
    read_event,
    routing_key,
)

KIND = "pagerduty"
BODY_BYTES_MAX = 512 * 1024  # PagerDuty's own


class EventProcessed(msgspec.Struct, omit_defaults=True):
    """PagerDuty's answer to an event that was taken."""

    status: str
    message: str
    dedup_key: str | None = None


class EventInvalid(msgspec.Struct, omit_defaults=True):
    """PagerDuty's errors."""

    status: str
    message: str
    errors: list[str] = []


_Key = Annotated[str, msgspec.Meta(extra_json_schema={"pattern": r"\S"})]


class EventBody(msgspec.Struct):
    """PagerDuty's event. A trigger's `payload` holds summary, source and severity; all else needs a `dedup_key`."""

    routing_key: _Key
    event_action: Literal["trigger", "acknowledge", "resolve"]
    dedup_key: Annotated[str, msgspec.Meta(max_length=DEDUP_KEY_CHARS_MAX)] | None = None
    payload: Any = None


class ChangePayload(msgspec.Struct):
    """What changed."""

    summary: Any


class ChangeBody(msgspec.Struct):
    """PagerDuty's change event."""

    routing_key: _Key
    payload: ChangePayload


SIGNED = "The `routing_key` of the body, which names the source; or a token in its place or beside it."


class InvalidRefusal(Refusal):
    """400 with PagerDuty's `errors`."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__(400, "; ".join(errors))
        self.errors = errors


def as_pagerduty(refusal: Refusal) -> web.Response:
    """PagerDuty's error shape."""
    errors = refusal.errors if isinstance(refusal, InvalidRefusal) else [refusal.detail]
    invalid = EventInvalid("invalid event", "Event object is invalid", errors)
    problem = EventInvalid("error", refusal.detail)
    response = json(invalid if refusal.status == 400 else problem, refusal.status)
    response.headers.update(refusal.headers)
    return response


class Enqueue:
    """Events in."""

    def __init__(self, context: Context, senders: Senders, ingest: Ingest) -> None:
        self._context = context
        self._senders = senders
        self._ingest = ingest

    @described("Send an event", {202: EventProcessed}, body=EventBody, signed=SIGNED)
    async def event(self, request: web.Request) -> web.Response:
        """PagerDuty's Events API v2."""
        source, body, value = await self._read(request)
        try:
            event = read_event(value)
        except InvalidEvent as error:
            raise await self._invalid(source, error, body) from None
        dedup_key = event.dedup_key or uuid4().hex
        if event.action == "acknowledge":
            await self._acknowledge(source, event, body)
        else:
            decoder = self._decoder(source)
            taken = await self._take(source, decoder.report(event, dedup_key, body), len(body))
            if taken.rejected:
                raise InvalidRefusal([part.error for part in taken.rejected])
        return json(EventProcessed("success", "Event processed", dedup_key), 202)

    @described("Send a change event", {202: EventProcessed}, body=ChangeBody, signed=SIGNED)
    async def change(self, request: web.Request) -> web.Response:
        """Kept for people to see; it pages nobody."""
        source, body, value = await self._read(request)
        try:
            summary = read_change(value)
        except InvalidEvent as error:
            raise await self._invalid(source, error, body) from None
        await self._take(source, ignored(f"says nothing of an alert: the change {summary[:100]!a}", body), len(body))
        return json(EventProcessed("success", "Change event processed"), 202)

    async def _read(self, request: web.Request) -> tuple[str, bytes, Any]:
        """Whose it is, the body, and what it holds."""
        settings = self._context.settings()
        body = await self._ingest.body(request, KIND, BODY_BYTES_MAX)
        try:
            value = parse(body, request.headers, settings.limits.json_depth_max)
            source = access.keyed(settings, request, routing_key(value), KIND)
        except (BadBody, InvalidEvent) as error:
            raise await self._invalid(KIND, InvalidEvent(str(error)), body) from None
        if source is None:
            raise await self._invalid(KIND, InvalidEvent("Invalid routing key"), body)
        return source, body, value

    async def _invalid(self, source: str, error: InvalidEvent, body: bytes) -> InvalidRefusal:
        await self._ingest.keep_refusal(source, str(error), Reason.BODY, excerpt(body))
        return InvalidRefusal(error.errors)

    def _decoder(self, source: str) -> PagerDuty:
        decoder = self._senders.decoder(source)
        assert isinstance(decoder, PagerDuty)
        return decoder

    async def _take(self, source: str, decoded: Decoded, size_bytes: int) -> Taken:
        return await self._ingest.take_decoded(source, False, decoded, size_bytes, self._context.clock.now())

    async def _acknowledge(self, source: str, event: Event, body: bytes) -> None:
        try:
            alert = self._context.view.alert(self._decoder(source).identity(event.dedup_key).key)
        except AlertRefused as refusal:  # no alert can have such a key
            raise InvalidRefusal([str(refusal)]) from None
        if alert is None or not alert.incident:
            why = "no alert with this dedup_key is in an incident"
        else:
            action = ActionTaken(
                kind=ActionKind.ACK, incident=alert.incident, by=source, note="acknowledged by its sender", through=KIND
            )
            refused = await self._context.submit(action, len(body))
            why = refused[0].error if refused else ""
        if why:
            await self._take(source, ignored(f"acknowledges nothing: {why}", body), len(body))
