"""Opsgenie's Alert API and Jira Service Management's, as senders use them: alerts are created, closed, acknowledged and
noted by alias or id; heartbeats are pinged.

Answers are Opsgenie's: 202 with a requestId, here once it is on disk, and what became of it at `requests/{id}`. That is
kept in memory for the last requests; an id of before a restart is 404. Errors have Opsgenie's shape. What imd does not
carry out (tags, details, responders… of an alert that exists) is answered 202 as there, says so at its request, and is
kept for people to see. An alert's id is worked out from its alias, so ids need no memory. (Sources: see
`sources.opsgenie`.)
"""

from __future__ import annotations

import time
from collections import OrderedDict
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from aiohttp import web

from imd.api import access
from imd.api.answers import JSON, Refusal
from imd.api.context import Context
from imd.api.ingest import Ingest, Senders
from imd.api.operations import Answer, Body, Parameter, described
from imd.model.alert import Alert, AlertReport, Identity
from imd.model.event import ActionKind, ActionTaken, HeartbeatBeat
from imd.model.incident import IncidentState
from imd.sources.contract import AlertRefused, BadBody, Decoded, Reason, excerpt
from imd.sources.made import KEY, parse
from imd.sources.mapped import text_of
from imd.sources.opsgenie import PARTS, InvalidAlert, Opsgenie, check_alias
from imd.sources.pagerduty import ignored

KIND = "opsgenie"
BASES = ("/v2", "/jsm/ops/integration/v2")
REQUESTS_MAX = 10_000
_BY_CHARS_MAX, _NOTE_CHARS_MAX = 200, 4096
_ACTIONS = {"acknowledge": ActionKind.ACK, "unacknowledge": ActionKind.UNACK, "notes": ActionKind.NOTE}
_encode = msgspec.json.Encoder().encode


class Outcome(msgspec.Struct, rename="camel", kw_only=True):
    """What became of a request, as `requests/{id}` says it."""

    action: str
    processed_at: datetime
    integration_id: str = ""
    is_success: bool
    success: bool = False
    status: str
    alert_id: str = ""
    alias: str = ""


class OpsgenieAccepted(msgspec.Struct, rename="camel"):
    """Opsgenie's answer to what it took. What becomes of it is told at `requests/{id}`."""

    result: str
    took: float
    request_id: str


class OpsgenieRequest(msgspec.Struct, rename="camel"):
    """What became of a request."""

    data: Outcome
    took: float
    request_id: str


class OpsgenieAlert(msgspec.Struct, rename="camel"):
    """An alert, as far as imd knows what Opsgenie would."""

    data: dict[str, Any]
    took: float
    request_id: str


class OpsgenieProblem(msgspec.Struct, rename="camel"):
    """An error of Opsgenie's; `errors` are by field."""

    message: str
    took: float
    request_id: str
    errors: dict[str, str] = {}


SIGNED = "`Authorization: GenieKey KEY`, the key of a source; or a token."
HEADERS = ("X-Request-ID",)
ACCEPTED = {202: Answer(OpsgenieAccepted, JSON, headers=HEADERS)}
BODY = Body(dict[str, Any], says="As Opsgenie's own documentation has it.", required=False)
KIND_OF_ID = (Parameter("identifierType", "What names the alert.", {"type": "string", "enum": ["id", "alias"]}),)


class InvalidRefusal(Refusal):
    """422 with Opsgenie's `errors`, by field."""

    def __init__(self, errors: dict[str, str]) -> None:
        super().__init__(422, "Request body is not processable. Please check the errors.")
        self.errors = errors


def as_opsgenie(refusal: Refusal) -> web.Response:
    """Opsgenie's error shape."""
    body: dict[str, object] = {"message": refusal.detail}
    if isinstance(refusal, InvalidRefusal):
        body["errors"] = refusal.errors
    response = _answer(body, refusal.status, str(uuid4()), 0.0)
    response.headers.update(refusal.headers)
    return response


def _answer(body: dict[str, object], status: int, request_id: str, took: float) -> web.Response:
    text = _encode(body | {"took": round(took, 3), "requestId": request_id})
    return web.Response(body=text, status=status, content_type=JSON, headers={"X-Request-ID": request_id})


class OpsgenieApi:
    """Requests in, with the outcomes of the last of them."""

    def __init__(self, context: Context, senders: Senders, ingest: Ingest) -> None:
        self._context = context
        self._senders = senders
        self._ingest = ingest
        self._outcomes: OrderedDict[str, Outcome] = OrderedDict()

    # -- alerts ---------------------------------------------------------------------------------------------------

    @described("Create an alert", ACCEPTED, body=BODY, refuses=(401, 422), signed=SIGNED)
    async def create(self, request: web.Request) -> web.Response:
        """By its `message`; the same `alias` again says it again."""
        began = time.perf_counter()
        source, decoder = self._speaker(request)
        body, value = await self._body(request, source)
        try:
            alias = check_alias(value.get("alias")) or str(uuid4())
            decoded = decoder.create(value, alias, body)
        except InvalidAlert as error:
            await self._ingest.keep_refusal(source, str(error), Reason.SCHEMA, excerpt(body))
            raise InvalidRefusal(error.errors) from None
        return self._accepted(began, await self._take(source, decoded, len(body), "Create", alias, "Created alert"))

    @described("Close an alert", ACCEPTED, query=KIND_OF_ID, body=BODY, refuses=(401, 422), signed=SIGNED)
    async def close(self, request: web.Request) -> web.Response:
        """By `close` and by DELETE."""
        began = time.perf_counter()
        source, decoder = self._speaker(request)
        body, value = await self._body(request, source)
        alert, alias = self._named(request, decoder)
        if alert is not None:
            await self._act(ActionKind.NOTE, alert, value, source, len(body))
        if alert is None or not alert.firing:
            return self._accepted(began, await self._nothing(source, "Close", alias, "Alert does not exist", body))
        report = AlertReport(alert.identity, resolved=True, starts_at=None, ends_at=None)
        outcome = await self._take(source, Decoded([report], []), len(body), "Close", alias, "Closed alert")
        return self._accepted(began, outcome)

    @described("Act on an alert", ACCEPTED, query=KIND_OF_ID, body=BODY, refuses=(401, 422), signed=SIGNED)
    async def act(self, request: web.Request) -> web.Response:
        """Acknowledge, unacknowledge, note; everything else is not carried out, and says so."""
        began = time.perf_counter()
        word = request.match_info["action"]
        source, decoder = self._speaker(request)
        body, value = await self._body(request, source)
        alert, alias = self._named(request, decoder)
        shown, kind = word.capitalize(), _ACTIONS.get(word)
        if kind is None:
            why = f"{word} is not carried out by imd"
        elif alert is None or not alert.incident:
            why = "Alert does not exist"
        elif kind is ActionKind.NOTE and not text_of(value.get("note")):
            raise InvalidRefusal({"note": "Note can not be empty."})
        else:
            why = await self._act(kind, alert, value, source, len(body))
        if why:
            return self._accepted(began, await self._nothing(source, shown, alias, why, body))
        return self._accepted(began, self._outcome(shown, alias, f"{shown} done", True, alert))

    @described("Change an alert", ACCEPTED, query=KIND_OF_ID, body=BODY, refuses=(401, 405, 422), signed=SIGNED)
    async def change(self, request: web.Request) -> web.Response:
        """Message, description or priority of an alert that is open."""
        began = time.perf_counter()
        part = request.match_info["part"]
        source, decoder = self._speaker(request)
        body, value = await self._body(request, source)
        alert, alias = self._named(request, decoder)
        text, shown = text_of(value.get(part)), f"Update {part}"
        if text is None:
            raise InvalidRefusal({part: f"{part.capitalize()} can not be empty."})
        if alert is None or not alert.firing:
            return self._accepted(began, await self._nothing(source, shown, alias, "Alert does not exist", body))
        report = decoder.changed(alert, part, text)
        if report is None:
            raise InvalidRefusal({part: "Priority should be one of [ P1, P2, P3, P4, P5 ]"})
        outcome = await self._take(source, Decoded([report], []), len(body), shown, alias, f"Updated {part}")
        return self._accepted(began, outcome)

    @described(
        "Show an alert",
        {200: Answer(OpsgenieAlert, JSON, headers=HEADERS)},
        query=KIND_OF_ID,
        refuses=(401, 404, 422),
        signed=SIGNED,
    )
    async def show(self, request: web.Request) -> web.Response:
        """One alert, firing or not long over."""
        began = time.perf_counter()
        _, decoder = self._speaker(request)
        alert, _ = self._named(request, decoder)
        if alert is None:
            raise Refusal(404, "Alert does not exist")
        return _answer({"data": self._view(alert)}, 200, str(uuid4()), time.perf_counter() - began)

    @described(
        "What became of a request",
        {200: Answer(OpsgenieRequest, JSON, headers=HEADERS)},
        refuses=(401, 404),
        signed=SIGNED,
    )
    async def outcome(self, request: web.Request) -> web.Response:
        """Of the last 10,000, until a restart."""
        began = time.perf_counter()
        self._speaker(request)
        found = self._outcomes.get(request.match_info["id"])
        if found is None:
            raise Refusal(404, "Request not found. It might not be processed, yet.")
        return _answer({"data": found}, 200, request.match_info["id"], time.perf_counter() - began)

    # -- heartbeats -----------------------------------------------------------------------------------------------

    @described(
        "Ping a heartbeat",
        ACCEPTED,
        body=Body(None, says="Read and passed over.", required=False),
        refuses=(401, 404, 409, 422),
        signed=SIGNED,
    )
    async def ping(self, request: web.Request) -> web.Response:
        """A beat of the heartbeat of this name."""
        began = time.perf_counter()
        source, _ = self._speaker(request)
        await self._ingest.body(request, source)
        name = request.match_info["name"]
        heartbeat = next((one for one in self._context.ruleset().heartbeats if one.name == name), None)
        if heartbeat is None:
            raise Refusal(404, f"Heartbeat with name [{name[:100]}] does not exist")
        if heartbeat.by:
            raise InvalidRefusal({"name": f"this heartbeat is one by {', '.join(heartbeat.by)}: use /v1/heartbeats"})
        for refused in await self._context.submit(HeartbeatBeat(name), 0):
            raise Refusal(409, refused.error)
        return _answer({"result": "PONG - Heartbeat received"}, 202, str(uuid4()), time.perf_counter() - began)

    # -- within ---------------------------------------------------------------------------------------------------

    def _speaker(self, request: web.Request) -> tuple[str, Opsgenie]:
        """By `GenieKey`, or by one of imd's tokens. Raises Refusal 401."""
        kind, _, key = request.headers.get("Authorization", "").partition(" ")
        key = key.strip() if kind.lower() == "geniekey" else ""
        source = access.keyed(self._context.settings(), request, key, KIND)
        if source is None:
            said = "Could not authenticate" if key else "Key format is not valid!"
            raise Refusal(401, said, headers={"WWW-Authenticate": "GenieKey"})
        decoder = self._senders.decoder(source)
        assert isinstance(decoder, Opsgenie)
        return source, decoder

    async def _body(self, request: web.Request, source: str) -> tuple[bytes, dict[str, Any]]:
        """An empty one is an empty object."""
        body = await self._ingest.body(request, source)
        if not body.strip():
            return body, {}
        try:
            value = parse(body, request.headers, self._context.settings().limits.json_depth_max)
        except BadBody as error:
            await self._ingest.keep_refusal(source, str(error), Reason.BODY, excerpt(body))
            raise Refusal(400, f"Could not parse request body: {error}") from None
        if not isinstance(value, dict):
            raise Refusal(400, "Could not parse request body: it must be an object")
        return body, value

    def _named(self, request: web.Request, decoder: Opsgenie) -> tuple[Alert | None, str]:
        """The alert that the path names, and its alias or id. Raises Refusal."""
        identifier = request.match_info["identifier"]
        kind = request.query.get("identifierType", "id")
        if kind not in ("id", "alias"):
            raise InvalidRefusal({"identifierType": "Identifier type should be one of [ id, alias ]"})
        try:
            key = decoder.identity(identifier).key if kind == "alias" else UUID(identifier).bytes
        except (AlertRefused, ValueError):
            return None, identifier
        alert = self._context.view.alert(key)
        if alert is None or decoder.identity(alias := alert.identity.labels().get(KEY, "")).key != key:
            return None, identifier  # none, or another source's
        return alert, alias

    async def _take(self, source: str, decoded: Decoded, size: int, action: str, alias: str, done: str) -> Outcome:
        now = self._context.clock.now()
        taken = await self._ingest.take_decoded(source, False, decoded, size, now)
        if taken.rejected:
            raise InvalidRefusal({"alert": taken.rejected[0].error})
        return self._outcome(action, alias, done, True, self._context.view.alert(decoded.alerts[0].identity.key))

    async def _nothing(self, source: str, action: str, alias: str, why: str, body: bytes) -> Outcome:
        """Nothing is carried out; that is kept for people to see."""
        said = ignored(f"{action.lower()} of {alias[:100]!a}: {why}", body)
        await self._ingest.take_decoded(source, False, said, len(body), self._context.clock.now())
        return self._outcome(action, alias, why, False, None)

    async def _act(self, kind: ActionKind, alert: Alert, value: dict[str, Any], source: str, size: int) -> str:
        """Why it was not done; "" where it was. A note that says nothing is done."""
        note = (text_of(value.get("note")) or "").replace("\0", "")[:_NOTE_CHARS_MAX]
        by = (text_of(value.get("user")) or text_of(value.get("source")) or source).replace("\0", "")[:_BY_CHARS_MAX]
        if not alert.incident or (kind is ActionKind.NOTE and not note):
            return ""
        action = ActionTaken(kind=kind, incident=alert.incident, by=by or source, note=note, through=KIND)
        refused = await self._context.submit(action, size)
        return refused[0].error if refused else ""

    def _outcome(self, action: str, alias: str, status: str, done: bool, alert: Alert | None) -> Outcome:
        return Outcome(
            action=action,
            processed_at=self._context.clock.now(),
            is_success=done,
            success=done,
            status=status,
            alert_id=alert_id(alert.identity) if alert is not None else "",
            alias=alias,
        )

    def _accepted(self, began: float, outcome: Outcome) -> web.Response:
        request_id = str(uuid4())
        self._outcomes[request_id] = outcome
        while len(self._outcomes) > REQUESTS_MAX:
            self._outcomes.popitem(last=False)
        return _answer({"result": "Request will be processed"}, 202, request_id, time.perf_counter() - began)

    def _view(self, alert: Alert) -> dict[str, object]:
        """As far as imd knows what Opsgenie would."""
        labels, annotations = alert.labels(), alert.annotation_map()
        incident = self._context.view.incident(alert.incident)
        return {
            "id": alert_id(alert.identity),
            "tinyId": str(alert.id),
            "alias": alert.identity.labels().get(KEY, ""),
            "message": annotations.get("summary", ""),
            "description": annotations.get("description", ""),
            "status": "open" if alert.firing else "closed",
            "acknowledged": incident is not None and incident.state is IncidentState.ACKNOWLEDGED,
            "count": alert.count,
            "createdAt": alert.starts_at,
            "updatedAt": alert.seen_at,
            "lastOccurredAt": alert.seen_at,
            "source": labels.get("source", ""),
            "entity": labels.get("entity", ""),
            "priority": labels.get("priority", "P3"),
            "owner": incident.acknowledged_by if incident is not None else "",
            "tags": [],
            "details": {name: text for name, text in labels.items() if name != KEY},
        }


def alert_id(identity: Identity) -> str:
    """Opsgenie's id of an alert: here the key of its identity, so that it needs no memory."""
    return str(UUID(bytes=identity.key))


def changeable() -> str:
    """The parts of an alert that a PUT may name, as a route has them."""
    return "|".join(PARTS)
