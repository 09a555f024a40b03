"""The `victorops` receiver: Splunk On-Call's REST endpoint, one incident there for each here.

Owns the fields. The entity_id is our dedup_key: a page opens (CRITICAL, for lesser priorities WARNING or INFO), an
acknowledgement acknowledges, the end recovers, changes, notes and digests are lines of its timeline. Source: Splunk
On-Call docs, REST Endpoint Integration Guide; Alertmanager's client for the length of a message; read November 2026.
"""

from __future__ import annotations

from typing import Any

import msgspec

from imd.channels import text
from imd.channels.api import Api
from imd.channels.contract import Answer, Conversation, Pace, Permanent, Receipt, keyed
from imd.channels.http import Endpoint, HttpClient, Reply, segment
from imd.channels.text import Message, Writer
from imd.clock import Clock
from imd.config.channelsettings import VictoropsSettings
from imd.model.effect import Delivery
from imd.model.policy import PageKind

STATE_MESSAGE_CHARS_MAX = 20_480
NAME_CHARS_MAX = 500  # ours: none is documented
MESSAGE_TYPE = {"P1": "CRITICAL", "P2": "CRITICAL", "P3": "WARNING", "P4": "INFO", "P5": "INFO"}
PER_SECOND, BURST = 2.0, 10  # ours: none is documented


class _Said(msgspec.Struct, frozen=True):
    result: str = "success"
    message: str = ""
    entity_id: str = ""


class Victorops:
    """Sends by one API key to one routing key."""

    def __init__(self, settings: VictoropsSettings, http: HttpClient, clock: Clock, writer: Writer) -> None:
        key = settings.api_key.reveal()
        url = f"{settings.api_url}/{segment(key)}/{segment(settings.routing_key)}"
        self._api = Api(Endpoint(url, secrets=[key]), http, clock)
        self._writer = writer
        self.paces: tuple[Pace, ...] = (Pace(keyed("victorops", settings.api_url, key), PER_SECOND, BURST),)

    async def send(self, delivery: Delivery, attempt: int, conversation: Conversation = b"") -> Answer:
        reply = await self._api.json("", self.event(self._writer.message(delivery)))
        answer = self._api.judge(reply)
        if isinstance(answer, Receipt) and isinstance(reply, Reply):
            said = reply.decoded(_Said)
            if said is not None and said.result != "success":
                return Permanent(self._api.fault(f"answered {said.result}: {said.message}"))
        return answer

    async def close(self) -> None:
        """Nothing: the connections are the shared client's."""

    def event(self, message: Message) -> dict[str, Any]:
        """The body of the request."""
        delivery = message.delivery
        event: dict[str, Any] = {
            "message_type": _message_type(message),
            "entity_id": delivery.dedup_key if delivery.kind is not PageKind.DIGEST else delivery.id,
            "entity_display_name": text.cut(message.title, NAME_CHARS_MAX),
            "state_message": self._words(message),
            "monitoring_tool": "imd",
        }
        incident = message.incident
        if incident is not None and incident.opened_at is not None:
            event["state_start_time"] = int(incident.opened_at.timestamp())
        if delivery.kind is PageKind.ACKNOWLEDGED and incident is not None and incident.acknowledged_by:
            event["ack_author"] = text.one_line(incident.acknowledged_by, text.VALUE_CHARS_MAX)
        event |= {f"{name.lower()}_url": url for name, url in text.links(message)}
        return event

    def _words(self, message: Message) -> str:
        if message.delivery.kind is not PageKind.DIGEST:
            return self._writer.body(message, room=STATE_MESSAGE_CHARS_MAX, head=message.headline)
        room = STATE_MESSAGE_CHARS_MAX - len(message.headline) - 1
        return f"{message.headline}\n{text.roll(message, room)}"


def _message_type(message: Message) -> str:
    """A test page is CRITICAL: all else might page nobody."""
    if message.trial:
        return "CRITICAL"
    return _TYPES.get(message.delivery.kind) or MESSAGE_TYPE[message.delivery.priority.value]


_TYPES = {
    PageKind.ACKNOWLEDGED: "ACKNOWLEDGEMENT",
    PageKind.RESOLVED: "RECOVERY",
    PageKind.UPDATE: "INFO",
    PageKind.NOTE: "INFO",
    PageKind.DIGEST: "INFO",
}
"""INFO opens nothing: it is a line of the timeline."""
