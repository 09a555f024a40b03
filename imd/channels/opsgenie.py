"""The `opsgenie` receiver: the Alert API of Opsgenie, and of Jira Service Management by its base URL.

Owns the requests. The alias is our dedup_key, one per incident: a page creates the alert, changes are notes on it, an
acknowledgement acknowledges, the end closes. A digest says what began and was over while this could not be reached: an
alert of P5 that is closed at once. Requests are taken first and worked off later: a 202 says that the request is
queued, not that anybody was paged.

Source: docs.opsgenie.com, Alert API (create, acknowledge, close, notes, priority) with its limits;
developer.atlassian.com, Jira Service Management Ops, Integration events; read November 2026.
"""

from __future__ import annotations

from typing import Any

import msgspec

from imd.channels import text
from imd.channels.api import Api
from imd.channels.contract import Answer, Conversation, Pace, Permanent, Receipt, keyed
from imd.channels.http import Endpoint, HttpClient, segment
from imd.channels.text import Message, Writer
from imd.clock import Clock
from imd.config.channelsettings import OpsgenieSettings
from imd.model.effect import Delivery
from imd.model.policy import PageKind, PageReason

MESSAGE_CHARS_MAX = 130
ALIAS_CHARS_MAX = 512
DESCRIPTION_CHARS_MAX = 15_000
DETAILS_CHARS_MAX = 8_000
SOURCE_CHARS_MAX = USER_CHARS_MAX = 100
NOTE_CHARS_MAX = 25_000
ENTITY_CHARS_MAX = 512
TAGS_MAX, TAG_CHARS_MAX = 20, 50
PER_SECOND, BURST = 5.0, 30
"""Ours: numeric limits are per account and plan, and not published. A 429 holds the receiver back as well."""


class Opsgenie:
    """Creates and closes alerts with the key of one API integration."""

    def __init__(self, settings: OpsgenieSettings, http: HttpClient, clock: Clock, writer: Writer) -> None:
        key = settings.api_key.reveal()
        endpoint = Endpoint(settings.api_url, secrets=[key], public=True)
        self._api = Api(endpoint, http, clock, {"Authorization": f"GenieKey {key}"})
        self._responders = [{_NAMED_BY[kind]: name, "type": kind} for kind, name in settings.responders]
        self._tags = [text.cut(tag, TAG_CHARS_MAX) for tag in settings.tags[:TAGS_MAX]]
        self._writer = writer
        self.paces: tuple[Pace, ...] = (Pace(keyed("opsgenie", settings.api_url, key), PER_SECOND, BURST),)

    async def send(self, delivery: Delivery, attempt: int, conversation: Conversation = b"") -> Answer:
        message = self._writer.message(delivery)
        match delivery.kind:
            case PageKind.ACKNOWLEDGED:
                return await self._post(delivery, "acknowledge", self._action(message))
            case PageKind.RESOLVED:
                return await self._post(delivery, "close", self._action(message))
            case PageKind.UPDATE:
                return await self._post(delivery, "notes", self._action(message))
            case PageKind.NOTE if delivery.incident:
                return await self._post(delivery, "notes", self._action(message))
            case PageKind.DIGEST:
                return await self._list(message)
        answer = self._api.judge(await self._api.json("/v2/alerts", self.alert(message)))
        if isinstance(answer, Receipt) and delivery.reason is PageReason.RAISED:
            return await self._raise(delivery)
        return answer

    async def close(self) -> None:
        """Nothing: the connections are the shared client's."""

    def alert(self, message: Message) -> dict[str, Any]:
        """The body that creates it, or that is counted on the one that is open."""
        delivery = message.delivery
        title = message.title if message.incident is not None else message.headline
        alert: dict[str, Any] = {
            "message": text.cut(title, MESSAGE_CHARS_MAX) or "imd",
            "alias": text.cut(delivery.dedup_key, ALIAS_CHARS_MAX),
            # The message is short by decree: where it was cut, the title stands here as a whole.
            "description": self._writer.body(
                message, room=DESCRIPTION_CHARS_MAX, head=title if len(title) > MESSAGE_CHARS_MAX else ""
            ),
            "source": "imd",
            "priority": delivery.priority.value,
        }
        if self._responders:
            alert["responders"] = self._responders
        if self._tags:
            alert["tags"] = self._tags
        if message.incident is not None:
            alert["details"] = _details(message)
            if message.incident.root_cause is not None and message.incident.root_cause.entity:
                alert["entity"] = text.one_line(message.incident.root_cause.entity, ENTITY_CHARS_MAX)
        return alert

    async def _list(self, message: Message) -> Answer:
        """A digest has an alias of its own, so that one that is sent again is the same alert while that is open."""
        one = msgspec.structs.replace(message.delivery, dedup_key=message.delivery.id)
        listed = {
            "message": text.cut(message.headline, MESSAGE_CHARS_MAX) or "imd",
            "alias": text.cut(one.dedup_key, ALIAS_CHARS_MAX),
            "description": text.roll(message, DESCRIPTION_CHARS_MAX),
            "source": "imd",
            "priority": "P5",
        }
        answer = self._api.judge(await self._api.json("/v2/alerts", listed))
        if isinstance(answer, Receipt):
            note = "All of these began and ended while imd could not reach this."
            return await self._post(one, "close", {"user": "imd", "source": "imd", "note": note})
        return answer

    def _action(self, message: Message) -> dict[str, Any]:
        incident = message.incident
        by = (incident.acknowledged_by if incident is not None else "") or "imd"
        user = by if message.delivery.kind is PageKind.ACKNOWLEDGED else "imd"
        return {
            "user": text.one_line(user, USER_CHARS_MAX),
            "source": "imd",
            "note": self._writer.body(message, room=NOTE_CHARS_MAX),
        }

    async def _post(self, delivery: Delivery, verb: str, body: dict[str, Any]) -> Answer:
        return self._api.judge(await self._api.json(_path(delivery, verb), body, query={"identifierType": "alias"}))

    async def _raise(self, delivery: Delivery) -> Answer:
        """The alert that is open keeps its old priority unless it is told. Where that is not to be had (JSM knows
        another way), the page counts all the same."""
        query = {"identifierType": "alias"}
        outcome = await self._api.json(_path(delivery, "priority"), {"priority": delivery.priority.value}, "PUT", query)
        answer = self._api.judge(outcome)
        if isinstance(answer, Permanent):
            return Receipt(f"taken, but its priority was not changed: {answer.error}")
        return answer


_NAMED_BY = {"team": "name", "escalation": "name", "schedule": "name", "user": "username"}


def _path(delivery: Delivery, verb: str) -> str:
    return f"/v2/alerts/{segment(text.cut(delivery.dedup_key, ALIAS_CHARS_MAX))}/{verb}"


def _details(message: Message) -> dict[str, str]:
    """Labels and links, all text; as many as there is room for."""
    assert message.incident is not None
    found = {"number": str(message.incident.number), "rule": message.incident.rule}
    found |= {name.lower(): url for name, url in text.links(message)}
    found |= message.incident.labels | message.incident.group_key
    details: dict[str, str] = {}
    room = DETAILS_CHARS_MAX
    for name, value in found.items():
        room -= len(name) + len(value)
        if room < 0:
            break
        details[name] = value
    return details
