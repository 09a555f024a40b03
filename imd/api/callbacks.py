"""`/v1/callbacks/…`: what people do in services that page them, told to imd by those services; here Slack's buttons.

Owns what each such call has in common, and Slack's. Each is proved by a secret of the receiver that the page went to,
and speaks of incidents that this receiver was told of, of no others. What asks for nothing (other events, other
people's incidents, echoes of imd's own messages) is answered 200, for a refusal would make a service repeat it or turn
itself off. PagerDuty and Opsgenie are `mirrors`, what rings is `phones`.

No loops: an answer that came from a service goes back to it as every answer does, under the same key, where it changes
nothing; and what imd did itself comes back as what is done already.

Sources: docs.slack.dev, block_actions payload, Handling user interaction; read November 2026.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Set as AbstractSet
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

import msgspec
import structlog
from aiohttp import web

from imd.api import signatures
from imd.api.answers import json
from imd.api.context import FetchFailed
from imd.api.doors import Answered, Doors, Outcome, Turned
from imd.api.operations import FORM, Body, described
from imd.config.channelsettings import ChannelSettings, SlackSettings
from imd.model.event import ActionKind
from imd.model.incident import Incident
from imd.model.secret import Secret
from imd.telemetry import Log

SLACK_ACTIONS = {f"imd.{kind.value}": kind for kind in (ActionKind.ACK, ActionKind.SNOOZE, ActionKind.RESOLVE)}
TELL_SECONDS = 2.0  # Slack waits three for the answer to its call, and shows its user a fault then

Settings = TypeVar("Settings", bound=ChannelSettings)
Shape = TypeVar("Shape")
_log = structlog.get_logger()


class CallbackAnswer(msgspec.Struct, frozen=True):
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


class Callbacks:
    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    @described(
        "A button in Slack",
        {200: CallbackAnswer},
        body=Body(None, (FORM,), "As Slack sends it."),
        refuses=(403, 429),
        signed="Slack's signature, `X-Slack-Signature`.",
    )
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
        incident = await told(self._doors, pressed.value, alike(self._doors, SlackSettings, "signing_secret", secret))
        if incident is None:
            self._doors.count("slack", Outcome.UNKNOWN)
            await self._tell_slack(payload, "imd does not know this incident any more.")
            return answer("unknown")
        by = payload.user.username or payload.user.name or payload.user.id
        done = await self._doors.act(SLACK_ACTIONS[pressed.action_id], incident, by, "slack")
        await self._tell_slack(payload, done.said)
        return answered(done)

    def _ignored(self, through: str, why: str) -> web.Response:
        self._doors.count(through, Outcome.IGNORED)
        return answer("ignored", why)

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


async def told(doors: Doors, incident: str, receivers: AbstractSet[str]) -> Incident | None:
    """The incident, if one of these receivers was told of it."""
    found = await doors.context.store.incident(incident) if incident.startswith("i") else None
    return found if found is not None and found.told.keys() & receivers else None


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


def answered(how: Answered) -> web.Response:
    return answer("done" if how.done else "not_possible", how.said)


def answer(result: str, detail: str = "") -> web.Response:
    return json(CallbackAnswer(result, detail))
