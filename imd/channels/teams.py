"""The `teams` receiver: an Adaptive Card to a Workflows webhook.

Owns the card. Nothing can be edited or threaded by this way: each message is a card of its own. The flow says 202 as
soon as its trigger has the request; what Teams says later of its size or of the channel, nobody hears. So the card is
kept well below Teams' limit. An incoming webhook of old (some clouds have them still) says 200 to what Teams refused,
and why in words. Text goes out as text runs, in which no markdown is read.

Sources: learn.microsoft.com, Create and send messages (28 KB; the words about an HTTP 429), Adaptive Cards schema 1.2
(RichTextBlock, TextRun); uptime-kuma #4922 for a 202 that was not delivered; the gem msteams_hermes for the size that
is taken in fact; apprise for the envelope; read November 2026.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from imd.channels import text
from imd.channels.api import Api
from imd.channels.contract import Answer, Conversation, Pace, Receipt, keyed
from imd.channels.http import Endpoint, HttpClient, Reply
from imd.channels.spans import RICH, spans
from imd.channels.text import Dialect, Message, Writer
from imd.clock import Clock
from imd.config.channelsettings import TeamsSettings
from imd.model.effect import Delivery
from imd.model.policy import PageKind

MESSAGE_BYTES_MAX = 20_000  # "approximately 28 KB"; clients saw messages above 21 KB refused
PER_SECOND, BURST = 1.0, 4  # Teams: four requests a second for one webhook; beyond, it throttles
_COLOUR = {"P1": "attention", "P2": "attention", "P3": "warning", "P4": "accent", "P5": "default"}

_REFUSED_WITHIN = re.compile(rb"returned HTTP error ([45]\d\d)\b")  # of a 200: Teams did not take it

_encode = msgspec.json.Encoder().encode
_MARKS = re.compile(r"([\\*_~`|>#\[\]()<!\-+])")
MARKDOWN = Dialect(
    escape=lambda value: _MARKS.sub(r"\\\1", value),
    bold=lambda value: f"**{value}**",
    link=lambda value, url: f"[{value}]({url})",
    newline="\n\n",
)


class Teams:
    """Sends to one flow's URL."""

    def __init__(self, settings: TeamsSettings, http: HttpClient, clock: Clock, writer: Writer) -> None:
        url = settings.url.reveal()
        self._api = Api(Endpoint(url), http, clock)
        self._writer = writer
        self.paces: tuple[Pace, ...] = (Pace(keyed("teams", url), PER_SECOND, BURST),)

    async def send(self, delivery: Delivery, attempt: int, conversation: Conversation = b"") -> Answer:
        reply = await self._api.json("", self.message(self._writer.message(delivery)))
        answer = self._api.judge(reply)
        if isinstance(answer, Receipt) and isinstance(reply, Reply) and (status := _REFUSED_WITHIN.search(reply.body)):
            return self._api.judge(Reply(int(status[1]), reply.retry_after, reply.body))
        return answer

    async def close(self) -> None:
        """Nothing: the connections are the shared client's."""

    def message(self, message: Message) -> dict[str, Any]:
        """The envelope and its card, no larger than it may be."""
        own = self._writer.own_body(message, MARKDOWN, MESSAGE_BYTES_MAX // 2, text.utf8)
        if own is not None:
            blocks = [{"type": "TextBlock", "text": own, "wrap": True}] if own.strip() else []
            return _envelope(message, blocks, text.links(message))
        room = MESSAGE_BYTES_MAX
        while True:
            lines = self._writer.built_in(message, RICH, room, text.utf8).split("\n")
            made = _envelope(message, [block for line in lines if (block := _line(line))], text.links(message))
            if len(_encode(made)) <= MESSAGE_BYTES_MAX or room < 500:
                return made
            room //= 2


def _envelope(message: Message, blocks: list[dict[str, Any]], links: list[tuple[str, str]]) -> dict[str, Any]:
    head = {
        "type": "TextRun",
        "text": message.headline,
        "weight": "bolder",
        "size": "medium",
        "color": _colour(message),
    }
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.2",
        "body": [{"type": "RichTextBlock", "inlines": [head]}, *blocks],
        "msteams": {"width": "full"},
    }
    if links:
        card["actions"] = [{"type": "Action.OpenUrl", "title": name, "url": url} for name, url in links]
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _line(marked: str) -> dict[str, Any] | None:
    """A line as a block. Links are buttons below the card instead."""
    found = [one for one in spans(marked) if not one.url]
    if not found:
        return None
    runs = [{"type": "TextRun", "text": one.text, **({"weight": "bolder"} if one.bold else {})} for one in found]
    return {"type": "RichTextBlock", "inlines": runs}


def _colour(message: Message) -> str:
    if message.delivery.kind is PageKind.RESOLVED:
        return "good"
    return "accent" if message.state == "acknowledged" else _COLOUR[message.delivery.priority.value]
