"""The `discord` receiver: a webhook of a channel, with one message for each incident.

Owns Discord's markdown, embeds and edits. The first page is a message; changes edit it, which rings nobody; a page
again, an acknowledgement, the end and notes are messages beside it, for webhooks cannot reply. Nobody is ever
mentioned. The headers of each answer say when the next may come. Source: discord.com/developers, Webhook, Message,
Embed limits, Rate limits, read November 2026.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import msgspec

from imd.channels.api import Api, Outcome, wait
from imd.channels.contract import Answer, Conversation, Pace, Receipt, Temporary, keyed, recall
from imd.channels.http import Endpoint, HttpClient, Reply, segment
from imd.channels.text import Dialect, Message, Writer, cut, links
from imd.clock import Clock
from imd.config.channelsettings import DiscordSettings
from imd.model.effect import Delivery
from imd.model.policy import PageKind

CONTENT_CHARS_MAX = 2000
DESCRIPTION_CHARS_MAX = 4096
PER_SECOND, BURST = 2.0, 5
"""Ours, so that a storm meets no wall of 429s; what the headers ask for comes on top."""
COLOURS = {"P1": 0xC62828, "P2": 0xEF6C00, "P3": 0xF9A825, "P4": 0x1565C0, "P5": 0x607D8B}
OVER, ACKNOWLEDGED = 0x2E7D32, 0x6A1B9A
_UNKNOWN_CHANNEL, _UNKNOWN_MESSAGE = 10_003, 10_008

_MARKS = re.compile(r"([\\*_~`|>#\[\]()<:@\-+])")


def escape(value: str) -> str:
    """Markdown's own characters, and those of mentions, emoji and bare links."""
    return _MARKS.sub(r"\\\1", value)


MARKDOWN = Dialect(escape=escape, bold=lambda value: f"**{value}**", link=lambda value, url: f"[{value}](<{url}>)")


class _Thread(msgspec.Struct, frozen=True, tag="discord"):
    """The incident's message and the webhook's key it belongs to, hashed."""

    message: str
    webhook: str


class _Said(msgspec.Struct, frozen=True):
    id: str = ""
    code: int = 0
    message: str = ""
    retry_after: float | None = None


class Discord:
    """Writes by one webhook, into `thread` where one is configured."""

    def __init__(self, settings: DiscordSettings, http: HttpClient, clock: Clock, writer: Writer) -> None:
        url = settings.url.reveal()
        self._api = Api(Endpoint(url), http, clock)
        self._key = keyed("discord", url, settings.thread)
        self._in_thread = {"thread_id": settings.thread} if settings.thread else {}
        self._writer = writer
        self.paces: tuple[Pace, ...] = (Pace(keyed("discord", url), PER_SECOND, BURST),)

    async def send(self, delivery: Delivery, attempt: int, conversation: Conversation = b"") -> Answer:
        message = self._writer.message(delivery)
        thread = recall(conversation, _Thread) if delivery.incident else None
        if thread is None or thread.webhook != self._key:
            return await self._post(message, first=True)
        if delivery.kind is not PageKind.NOTE:
            edited, said = self._judge(await self._edit(message, thread))
            if said.code == _UNKNOWN_MESSAGE:
                return await self._post(message, first=True)
            if delivery.kind is PageKind.UPDATE:
                return edited
            if isinstance(edited, Temporary) and delivery.kind is not PageKind.PAGE:
                return edited
        return await self._post(message, first=False)

    async def close(self) -> None:
        """Nothing: the connections are the shared client's."""

    async def _post(self, message: Message, first: bool) -> Answer:
        """In the thread; in the channel itself where the thread is gone, for no page is lost with it."""
        body = self._content(message, brief=not first)
        answer, said = self._judge(await self._api.json("", body, query={"wait": "true", **self._in_thread}))
        if said.code == _UNKNOWN_CHANNEL and self._in_thread:
            answer, said = self._judge(await self._api.json("", body, query={"wait": "true"}))
            first = False  # it is not to be found under the thread
        if isinstance(answer, Receipt) and first and message.delivery.incident and said.id:
            kept = msgspec.json.encode(_Thread(message=said.id, webhook=self._key))
            return Receipt(answer.detail, kept, answer.pause)
        return answer

    async def _edit(self, message: Message, thread: _Thread) -> Outcome:
        body = self._content(message, brief=False)
        return await self._api.json(f"/messages/{segment(thread.message)}", body, "PATCH", self._in_thread or None)

    def _content(self, message: Message, brief: bool) -> dict[str, Any]:
        """`allowed_mentions` without any: whatever the text holds, it rings for nobody by name."""
        content: dict[str, Any] = {
            "content": f"**{escape(message.headline)}**",
            "allowed_mentions": {"parse": []},
        }
        if brief and message.delivery.kind is not PageKind.PAGE and message.happened:
            room = (CONTENT_CHARS_MAX - len(content["content"]) - 1) // 2  # escaping doubles it at most
            content["content"] += "\n" + escape(cut(message.happened, room))
            return content
        described = self._writer.body(message, MARKDOWN, DESCRIPTION_CHARS_MAX)
        if not described.strip():
            return content  # an embed of nothing is refused, and the page with it
        embed: dict[str, Any] = {"description": described, "color": _colour(message)}
        if "Incident" in (by_name := dict(links(message))):
            embed["url"] = by_name["Incident"]
        content["embeds"] = [embed]
        return content

    def _judge(self, outcome: Outcome) -> tuple[Answer, _Said]:
        answer = self._api.judge(outcome)
        if not isinstance(outcome, Reply):
            return answer, _Said()
        said = outcome.decoded(_Said) or _Said()
        if isinstance(answer, Receipt):
            return Receipt(answer.detail, pause=_pause(outcome)), said
        if isinstance(answer, Temporary) and said.retry_after is not None:
            return Temporary(answer.error, wait(said.retry_after) or answer.retry_after, answer.ambiguous), said
        return answer, said


def _pause(reply: Reply) -> timedelta | None:
    """When the bucket is empty, until it is whole again."""
    if reply.headers.get("x-ratelimit-remaining") != "0":
        return None
    try:
        return wait(float(reply.headers.get("x-ratelimit-reset-after", "")))
    except ValueError:
        return None


def _colour(message: Message) -> int:
    if message.delivery.kind is PageKind.RESOLVED or message.state == "resolved":
        return OVER
    return ACKNOWLEDGED if message.state == "acknowledged" else COLOURS[message.delivery.priority.value]
