"""The `ntfy` receiver: a topic of ntfy.sh or of a server of one's own.

Owns priorities, tags and revisions. A page is a notification; changes, the acknowledgement and the end revise the last
one in place (servers from 2.16.0 on) and come quietly. An older server publishes a second notification without a word;
it is quiet, too. Source: docs.ntfy.sh/publish (JSON, priorities, updating notifications, limits), read November 2026.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import msgspec

from imd.channels import text
from imd.channels.api import Api
from imd.channels.contract import Answer, Conversation, Pace, Receipt, keyed, recall
from imd.channels.http import Endpoint, HttpClient, Reply
from imd.channels.text import Message, Writer
from imd.clock import Clock
from imd.config.channelsettings import NtfySettings
from imd.model.effect import Delivery
from imd.model.policy import PageKind

MESSAGE_BYTES_MAX = 4096  # beyond, the server makes an attachment of it
TITLE_BYTES_MAX = 1000  # ours: no limit is documented, phones show far less
PER_SECOND, BURST = 1 / 5, 60  # the server's default for a visitor: 60 requests, one more each five seconds
PRIORITY = {"P1": 5, "P2": 4, "P3": 3, "P4": 2, "P5": 1}
QUIET = 2
TAGS = {
    PageKind.PAGE: "rotating_light",
    PageKind.UPDATE: "information_source",
    PageKind.ACKNOWLEDGED: "eyes",
    PageKind.RESOLVED: "white_check_mark",
    PageKind.NOTE: "memo",
    PageKind.DIGEST: "bookmark_tabs",
}


class _Thread(msgspec.Struct, frozen=True, tag="ntfy"):
    """The last notification that was a page, and where."""

    id: str
    topic: str


class _Said(msgspec.Struct, frozen=True):
    id: str = ""


class Ntfy:
    """Publishes to one topic."""

    def __init__(self, settings: NtfySettings, http: HttpClient, clock: Clock, writer: Writer) -> None:
        headers, secrets = {}, [settings.topic]  # who knows a topic's name may read it
        if settings.token is not None:
            secrets.append(settings.token.reveal())
            headers["Authorization"] = f"Bearer {settings.token.reveal()}"
        elif settings.password is not None:
            pair = b64encode(f"{settings.username}:{settings.password.reveal()}".encode()).decode()
            secrets += [settings.password.reveal(), pair]
            headers["Authorization"] = f"Basic {pair}"
        self._api = Api(Endpoint(settings.server, secrets=secrets, public=True), http, clock, headers)
        self._topic = settings.topic
        self._where = keyed("ntfy", settings.server, settings.topic)
        self._writer = writer
        self.paces: tuple[Pace, ...] = (Pace(keyed("ntfy", settings.server, *headers.values()), PER_SECOND, BURST),)

    async def send(self, delivery: Delivery, attempt: int, conversation: Conversation = b"") -> Answer:
        message = self._writer.message(delivery)
        thread = recall(conversation, _Thread) if delivery.incident else None
        known = thread if thread is not None and thread.topic == self._where else None
        reply = await self._api.json("", self.publication(message, known.id if known else ""))
        answer = self._api.judge(reply)
        if not isinstance(answer, Receipt) or not isinstance(reply, Reply):
            return answer
        said = reply.decoded(_Said)
        if said is None or not said.id or not delivery.incident:
            return answer
        if known is not None and delivery.kind is not PageKind.PAGE:
            return answer  # a revision: the notification on the phone keeps its id
        return Receipt(answer.detail, msgspec.json.encode(_Thread(id=said.id, topic=self._where)))

    async def close(self) -> None:
        """Nothing: the connections are the shared client's."""

    def publication(self, message: Message, revises: str) -> dict[str, Any]:
        """The JSON that is published. `revises` is the id of the notification that it takes the place of."""
        delivery = message.delivery
        body = self._writer.body(message, room=MESSAGE_BYTES_MAX, measure=text.utf8)
        loud = delivery.kind in (PageKind.PAGE, PageKind.DIGEST) or not delivery.incident
        rank = PRIORITY[delivery.priority.value]
        published: dict[str, Any] = {
            "topic": self._topic,
            "title": text.cut(message.headline, TITLE_BYTES_MAX, text.utf8),
            "message": body or message.headline,
            "priority": PRIORITY["P3"] if message.trial else rank if loud else min(rank, QUIET),
            "tags": [TAGS[delivery.kind]],
        }
        links = text.links(message)
        if links:
            published["click"] = links[0][1]
            published["actions"] = [{"action": "view", "label": name, "url": url} for name, url in links[:3]]
        if revises and delivery.kind is not PageKind.PAGE:
            published["sequence_id"] = revises
        return published
