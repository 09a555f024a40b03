"""The `matrix` receiver: a room, with one message for each incident and its thread.

Owns events. The transaction id of each event is the delivery's own, so the same attempt twice is one event: of all
chats this one alone never doubles. The first page is a message; changes edit it and are in its thread; a page again
stands in the room as a reply, for threads need not ring. Nobody is mentioned: `m.mentions` is there and empty, which
turns off what servers used to read from bodies (`@room`).

Source: spec.matrix.org, Client-Server API v1.11 (sending events, m.replace, m.thread, m.mentions, HTML), read
November 2026.
"""

from __future__ import annotations

import html
from typing import Any

import msgspec

from imd.channels.api import Api, Outcome, wait
from imd.channels.contract import Answer, Conversation, Pace, Permanent, Receipt, Temporary, keyed, recall
from imd.channels.http import Endpoint, HttpClient, Reply, segment
from imd.channels.text import PLAIN, Dialect, Message, Writer, cut
from imd.clock import Clock
from imd.config.channelsettings import MatrixSettings
from imd.model.effect import Delivery
from imd.model.policy import PageKind

BODY_CHARS_MAX = 6_000
"""An event is at most 65,536 bytes, and an edit holds its text twice, plain and as HTML."""
PER_SECOND, BURST = 1.0, 10
"""Ours. Synapse as it comes takes ten, then one each five seconds, and says so by 429, which holds the lane back."""

HTML = Dialect(
    escape=lambda value: html.escape(value, quote=False),
    bold=lambda value: f"<strong>{value}</strong>",
    link=lambda value, url: f'<a href="{html.escape(url, quote=True)}">{value}</a>',
    newline="<br>",
    whole=True,
)


class _Thread(msgspec.Struct, frozen=True, tag="matrix"):
    """The incident's event, and its room."""

    event: str
    room: str


class _Said(msgspec.Struct, frozen=True):
    event_id: str = ""
    errcode: str = ""
    error: str = ""
    retry_after_ms: float | None = None


class Matrix:
    """Writes into one room as one user."""

    def __init__(self, settings: MatrixSettings, http: HttpClient, clock: Clock, writer: Writer) -> None:
        token = settings.token.reveal()
        endpoint = Endpoint(settings.server, secrets=[token], public=True)
        self._api = Api(endpoint, http, clock, {"Authorization": f"Bearer {token}"})
        self._room = settings.room
        self._writer = writer
        self.paces: tuple[Pace, ...] = (Pace(keyed("matrix", settings.server, token), PER_SECOND, BURST),)

    async def send(self, delivery: Delivery, attempt: int, conversation: Conversation = b"") -> Answer:
        message = self._writer.message(delivery)
        thread = recall(conversation, _Thread) if delivery.incident else None
        if thread is None or thread.room != self._room:
            answer, said = self._judge(await self._put(delivery.id, self._content(message)))
            if isinstance(answer, Receipt) and delivery.incident:
                return Receipt(answer.detail, msgspec.json.encode(_Thread(event=said.event_id, room=self._room)))
            return answer
        if delivery.kind is not PageKind.NOTE:
            edited, _ = self._judge(await self._put(f"{delivery.id}-edit", self._edit(message, thread)))
            if isinstance(edited, Temporary) and delivery.kind is not PageKind.PAGE:
                return edited
        return self._judge(await self._put(delivery.id, self._reply(message, thread)))[0]

    async def close(self) -> None:
        """Nothing: the connections are the shared client's."""

    async def _put(self, transaction: str, content: dict[str, Any]) -> Outcome:
        path = f"/_matrix/client/v3/rooms/{segment(self._room)}/send/m.room.message/{segment(transaction)}"
        return await self._api.json(path, content, "PUT")

    def _content(self, message: Message) -> dict[str, Any]:
        """m.text rings by most people's rules, m.notice does not."""
        loud = message.delivery.kind in (PageKind.PAGE, PageKind.DIGEST) or not message.delivery.incident
        head = HTML.bold(HTML.escape(message.headline))
        return {
            "msgtype": "m.text" if loud else "m.notice",
            "body": self._writer.built_in(message, PLAIN, BODY_CHARS_MAX, head=message.headline),
            "format": "org.matrix.custom.html",
            "formatted_body": self._writer.body(message, HTML, BODY_CHARS_MAX, head=head),
            "m.mentions": {},
        }

    def _edit(self, message: Message, thread: _Thread) -> dict[str, Any]:
        content = self._content(message)
        return {
            "msgtype": content["msgtype"],
            "body": f"* {message.headline}",
            "m.mentions": {},
            "m.new_content": content,
            "m.relates_to": {"rel_type": "m.replace", "event_id": thread.event},
        }

    def _reply(self, message: Message, thread: _Thread) -> dict[str, Any]:
        content = self._content(message)
        if message.delivery.kind not in (PageKind.PAGE, PageKind.UPDATE) and message.happened:
            happened = cut(message.happened, BODY_CHARS_MAX)
            content |= {"body": happened, "formatted_body": HTML.escape(happened).replace("\n", "<br>")}
        to = {"m.in_reply_to": {"event_id": thread.event}}
        if message.delivery.kind is PageKind.PAGE:
            content["m.relates_to"] = to
        else:
            content["m.relates_to"] = {
                "rel_type": "m.thread",
                "event_id": thread.event,
                "is_falling_back": True,
                **to,
            }
        return content

    def _judge(self, outcome: Outcome) -> tuple[Answer, _Said]:
        answer = self._api.judge(outcome)
        if not isinstance(outcome, Reply):
            return answer, _Said()
        said = outcome.decoded(_Said)
        if isinstance(answer, Receipt) and (said is None or not said.event_id):
            return Temporary(self._api.fault("answered what is not Matrix' JSON"), ambiguous=True), _Said()
        if said is not None and isinstance(answer, Temporary) and said.retry_after_ms is not None:
            return Temporary(answer.error, wait(said.retry_after_ms / 1000), answer.ambiguous), said
        if said is not None and isinstance(answer, Permanent) and said.errcode == "M_LIMIT_EXCEEDED":
            return Temporary(answer.error, outcome.retry_after), said
        return answer, said or _Said()
