"""`/v1/callbacks/…`: what people do in Slack, PagerDuty and Opsgenie, told to imd by those services.

Owns what each service's call says. Each is proved by a secret of the receiver that the page went to, and speaks of
incidents that this receiver was told of, of no others. What asks for nothing (other events, other people's incidents,
echoes of imd's own messages) is answered 200, for a refusal would make a service repeat it or turn itself off.

No loops: an answer that came from a service goes back to it as every answer does, under the same key, where it changes
nothing; and what imd did itself comes back as what is done already.

Sources: docs.slack.dev, block_actions payload, Handling user interaction; developer.pagerduty.com, Webhooks v3
overview; support.atlassian.com/opsgenie, webhook payloads; read November 2026.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

import msgspec
import structlog
from aiohttp import web

from imd.api import signatures
from imd.api.access import presented
from imd.api.answers import json
from imd.api.context import FetchFailed
from imd.api.doors import Answered, Doors, Outcome, Turned
from imd.config.channelsettings import ChannelSettings, OpsgenieSettings, PagerdutySettings, SlackSettings
from imd.model.event import ActionKind
from imd.model.incident import Incident
from imd.model.secret import Secret
from imd.telemetry import Log

SLACK_ACTIONS = {f"imd.{kind.value}": kind for kind in (ActionKind.ACK, ActionKind.SNOOZE, ActionKind.RESOLVE)}
PAGERDUTY_EVENTS = {"incident.acknowledged": ActionKind.ACK, "incident.resolved": ActionKind.RESOLVE}
OPSGENIE_ACTIONS = {
    "Acknowledge": ActionKind.ACK,
    "UnAcknowledge": ActionKind.UNACK,
    "Close": ActionKind.RESOLVE,
}
TELL_SECONDS = 2.0  # Slack waits three for the answer to its call, and shows its user a fault then
OPSGENIE_OWN_USER = "imd"

Settings = TypeVar("Settings", bound=ChannelSettings)
Shape = TypeVar("Shape")
_log = structlog.get_logger()


class _Done(msgspec.Struct, frozen=True):
    """The answer to a service: what became of its call, for whoever reads its log."""

    result: str
    detail: str = ""


class _SlackUser(msgspec.Struct, frozen=True):
    id: str = ""
    username: str = ""
    name: str = ""


class _SlackAction(msgspec.Struct, frozen=True):
    action_id: str = ""
    value: str = ""


class _SlackPayload(msgspec.Struct, frozen=True):
    type: str = ""
    user: _SlackUser = _SlackUser()
    actions: tuple[_SlackAction, ...] = ()
    response_url: str = ""


class _Reference(msgspec.Struct, frozen=True):
    type: str = ""
    summary: str | None = None


class _PagerdutyIncident(msgspec.Struct, frozen=True):
    incident_key: str | None = None


class _PagerdutyEvent(msgspec.Struct, frozen=True):
    event_type: str = ""
    occurred_at: datetime | None = None
    agent: _Reference | None = None
    data: _PagerdutyIncident = _PagerdutyIncident()


class _PagerdutyBody(msgspec.Struct, frozen=True):
    event: _PagerdutyEvent


class _OpsgenieAlert(msgspec.Struct, frozen=True):
    alias: str = ""
    username: str | None = None
    updated_at: int | None = msgspec.field(default=None, name="updatedAt")


class _OpsgenieBody(msgspec.Struct, frozen=True):
    action: str = ""
    alert: _OpsgenieAlert = _OpsgenieAlert()


class Callbacks:
    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def slack(self, request: web.Request) -> web.Response:
        """A button of a message. Whoever pressed it is told how it went, where only they see it."""
        settings = receiver(self._doors, request, "slack", SlackSettings)
        body = await self._doors.body(request)
        shown = (request.headers.get("X-Slack-Request-Timestamp", ""), request.headers.get("X-Slack-Signature", ""))
        secret = settings.signing_secret
        now = self._doors.context.clock.now().timestamp()
        if secret is None or not signatures.slack(secret.reveal(), *shown, body, now):
            raise forged(self._doors, request, "slack")
        form = parse_qs(body.decode("utf-8", "replace"))
        payload = decoded(self._doors, request, "slack", form.get("payload", [""])[0].encode(), _SlackPayload)
        pressed = next((one for one in payload.actions if one.action_id in SLACK_ACTIONS), None)
        if payload.type != "block_actions" or pressed is None:
            return self._ignored("slack", "no button of imd's")
        # An app has one address for all its buttons, however many receivers write by it.
        incident = await self._told(pressed.value, alike(self._doors, SlackSettings, "signing_secret", secret))
        if incident is None:
            self._doors.count("slack", Outcome.UNKNOWN)
            await self._tell_slack(payload, "imd does not know this incident any more.")
            return _answer("unknown")
        by = payload.user.username or payload.user.name or payload.user.id
        answered = await self._doors.act(SLACK_ACTIONS[pressed.action_id], incident, by, "slack")
        await self._tell_slack(payload, answered.said)
        return _answered(answered)

    async def pagerduty(self, request: web.Request) -> web.Response:
        """A v3 webhook. Only what a person did there counts: PagerDuty's own clock resolves what still fires here, and
        what imd sent itself comes back without a user."""
        settings = receiver(self._doors, request, "pagerduty", PagerdutySettings)
        body = await self._doors.body(request)
        secret, shown = settings.webhook_secret, request.headers.get("X-PagerDuty-Signature", "")
        if secret is None or not signatures.pagerduty(secret.reveal(), shown, body):
            raise forged(self._doors, request, "pagerduty")
        event = decoded(self._doors, request, "pagerduty", body, _PagerdutyBody).event
        kind = PAGERDUTY_EVENTS.get(event.event_type)
        if kind is None or event.agent is None or event.agent.type != "user_reference":
            return self._ignored("pagerduty", "not what a person did to an incident")
        by = event.agent.summary or "somebody"
        return await self._mirror(request, "pagerduty", kind, event.data.incident_key or "", by, event.occurred_at)

    async def opsgenie(self, request: web.Request) -> web.Response:
        """An outgoing webhook of Opsgenie or of Jira Service Management."""
        settings = receiver(self._doors, request, "opsgenie", OpsgenieSettings)
        token = settings.webhook_token
        shown = presented(request).encode("utf-8", "surrogateescape")
        if token is None or not hmac.compare_digest(token.reveal().encode(), shown):
            raise forged(self._doors, request, "opsgenie")
        body = decoded(self._doors, request, "opsgenie", await self._doors.body(request), _OpsgenieBody)
        kind = OPSGENIE_ACTIONS.get(body.action)
        if kind is None or body.alert.username == OPSGENIE_OWN_USER:
            return self._ignored("opsgenie", "not what a person did to an alert")
        by, at = body.alert.username or "somebody", _instant(body.alert.updated_at)
        return await self._mirror(request, "opsgenie", kind, body.alert.alias, by, at)

    async def _mirror(
        self, request: web.Request, through: str, kind: ActionKind, key: str, by: str, at: datetime | None
    ) -> web.Response:
        """What a person did there, done here. What was done before the incident triggered again is over with."""
        prefix = f"{self._doors.context.store.store_id}-"
        here = {request.match_info["receiver"]}
        incident = await self._told(key.removeprefix(prefix), here) if key.startswith(prefix) else None
        if incident is None:
            self._doors.count(through, Outcome.UNKNOWN)
            return _answer("ignored", "not of an incident that this receiver was told of")
        if at is not None and incident.triggered_at is not None and at < incident.triggered_at:
            self._doors.count(through, Outcome.LATE)
            return _answer("ignored", "the incident triggered again since")
        # Over there it is over: here it comes back by itself if its alerts go on.
        return _answered(await self._doors.act(kind, incident, by, through, force=kind is ActionKind.RESOLVE))

    async def _told(self, incident: str, receivers: AbstractSet[str]) -> Incident | None:
        """The incident, if one of these receivers was told of it."""
        found = await self._doors.context.store.incident(incident) if incident.startswith("i") else None
        return found if found is not None and found.told.keys() & receivers else None

    def _ignored(self, through: str, why: str) -> web.Response:
        self._doors.count(through, Outcome.IGNORED)
        return _answer("ignored", why)

    async def _tell_slack(self, payload: _SlackPayload, said: str) -> None:
        """To the one who pressed. The answer stands whether or not they hear of it here."""
        where = urlsplit(payload.response_url)
        if where.scheme != "https" or where.hostname != "hooks.slack.com":
            return
        words = {"response_type": "ephemeral", "replace_original": False, "text": slack_text(said)}
        try:
            async with asyncio.timeout(TELL_SECONDS):
                await self._doors.context.post(payload.response_url, msgspec.json.encode(words))
        except (FetchFailed, TimeoutError) as failed:
            _log.info(Log.ANSWER_UNSAID.value, through="slack", error=str(failed) or "took too long")


def receiver(doors: Doors, request: web.Request, kind: str, settings: type[Settings]) -> Settings:
    """The settings of the receiver that the path names. Raises Refusal: one of another type is unknown too, and both
    look as a wrong signature does, so that nobody learns names here."""
    found = doors.context.settings().receivers.get(request.match_info["receiver"])
    if found is None or not isinstance(found.channel, settings):
        raise forged(doors, request, kind)
    return found.channel


def alike(doors: Doors, settings: type[ChannelSettings], key: str, secret: Secret) -> set[str]:
    """The names of all receivers of this type that have the same secret under this key."""
    receivers = doors.context.settings().receivers.values()
    named = ((one.receiver.name, one.channel) for one in receivers if isinstance(one.channel, settings))
    return {name for name, channel in named if _same(getattr(channel, key), secret)}


def _same(one: Secret | None, other: Secret) -> bool:
    return one is not None and hmac.compare_digest(one.reveal().encode(), other.reveal().encode())


def forged(doors: Doors, request: web.Request, through: str) -> Exception:
    return doors.refused(request, through, Turned(403, "no valid signature for this receiver", Outcome.FORGED))


def decoded(doors: Doors, request: web.Request, through: str, body: bytes, shape: type[Shape]) -> Shape:
    """The body as this struct. Raises Refusal 400."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        detail = f"the body is not as {through} sends it: {error}"
        raise doors.refused(request, through, Turned(400, detail[:300], Outcome.BROKEN)) from None


def slack_text(said: str) -> str:
    """For mrkdwn."""
    return said.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _answered(answered: Answered) -> web.Response:
    return _answer("done" if answered.done else "not_possible", answered.said)


def _answer(result: str, detail: str = "") -> web.Response:
    return json(_Done(result, detail))


def _instant(stamp: int | None) -> datetime | None:
    """Opsgenie stamps in milliseconds in some of its payloads and in nanoseconds in others."""
    if stamp is None or stamp <= 0:
        return None
    seconds = stamp / next(scale for scale in (1e9, 1e6, 1e3, 1.0) if stamp / scale > 1e8 or scale == 1.0)
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None
