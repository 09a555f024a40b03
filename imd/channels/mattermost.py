"""The `mattermost` receiver: a bot that keeps one message for each incident with a thread, or an incoming webhook.

Owns Mattermost's markdown and posts. As for Slack: the first page is a post, changes edit it and are replies; a page
again is a post of its own, for replies need not ring. An incoming webhook can neither edit nor reply. Sources:
docs.mattermost.com (Incoming webhooks), api.mattermost.com (posts, patch), read November 2026.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from imd.channels.api import Api, Outcome
from imd.channels.contract import Answer, Conversation, Pace, Permanent, Receipt, Temporary, keyed, recall
from imd.channels.http import Endpoint, HttpClient, Reply, segment
from imd.channels.text import Dialect, Message, Writer, cut
from imd.clock import Clock
from imd.config.channelsettings import MattermostSettings
from imd.model.effect import Delivery
from imd.model.policy import PageKind

TEXT_CHARS_MAX = 16_383  # of a post; 4,000 on servers older than 5.0
PER_SECOND, BURST = 5.0, 10  # a server may be set to throttle at 10 a second

_MARKS = re.compile(r"([\\*_~`|>#\[\]()<!\-+])")


def escape(value: str) -> str:
    """Markdown's own characters; and no @ begins a mention: `@channel` is split by a character that is not seen."""
    return _MARKS.sub(r"\\\1", value).replace("@", "@\u200b")


MARKDOWN = Dialect(escape=escape, bold=lambda value: f"**{value}**", link=lambda value, url: f"[{value}]({url})")


class _Thread(msgspec.Struct, frozen=True, tag="mattermost"):
    """The incident's post, and the channel as it was configured then."""

    post: str
    channel: str


class _Post(msgspec.Struct, frozen=True):
    id: str = ""


class MattermostWebhook:
    """Posts by one incoming webhook."""

    def __init__(self, settings: MattermostSettings, http: HttpClient, clock: Clock, writer: Writer) -> None:
        assert settings.url is not None
        url = settings.url.reveal()
        self._api = Api(Endpoint(url), http, clock)
        self._channel = {"channel": settings.channel} if settings.channel else {}
        self._writer = writer
        self.paces: tuple[Pace, ...] = (Pace(keyed("mattermost", url), PER_SECOND, BURST),)

    async def send(self, delivery: Delivery, attempt: int, conversation: Conversation = b"") -> Answer:
        body = {"text": _text(self._writer.message(delivery), self._writer), **self._channel}
        return self._api.judge(await self._api.json("", body))

    async def close(self) -> None:
        """Nothing: the connections are the shared client's."""


class Mattermost:
    """Writes into one channel as a bot."""

    def __init__(self, settings: MattermostSettings, http: HttpClient, clock: Clock, writer: Writer) -> None:
        assert settings.token is not None
        token = settings.token.reveal()
        endpoint = Endpoint(settings.server, secrets=[token], public=True)
        self._api = Api(endpoint, http, clock, {"Authorization": f"Bearer {token}"})
        self._channel = settings.channel
        self._writer = writer
        self.paces: tuple[Pace, ...] = (Pace(keyed("mattermost", settings.server, token), PER_SECOND, BURST),)

    async def send(self, delivery: Delivery, attempt: int, conversation: Conversation = b"") -> Answer:
        message = self._writer.message(delivery)
        thread = recall(conversation, _Thread) if delivery.incident else None
        if thread is None or thread.channel != self._channel:
            return await self._post(message)
        if delivery.kind is not PageKind.NOTE:
            edited = await self._edit(message, thread)
            if isinstance(edited, Permanent):
                return await self._post(message)  # deleted, or not to be edited any more
            if isinstance(edited, Temporary) and delivery.kind is not PageKind.PAGE:
                return edited
        return await self._reply(message, thread)

    async def close(self) -> None:
        """Nothing: the connections are the shared client's."""

    async def _post(self, message: Message) -> Answer:
        body = {"channel_id": self._channel, "message": _text(message, self._writer)}
        answer, post = self._judge(await self._api.json("/api/v4/posts", body))
        if isinstance(answer, Receipt) and message.delivery.incident and post.id:
            return Receipt(answer.detail, msgspec.json.encode(_Thread(post=post.id, channel=self._channel)))
        return answer

    async def _edit(self, message: Message, thread: _Thread) -> Answer:
        path = f"/api/v4/posts/{segment(thread.post)}/patch"
        return self._judge(await self._api.json(path, {"message": _text(message, self._writer)}, "PUT"))[0]

    async def _reply(self, message: Message, thread: _Thread) -> Answer:
        """In the thread; a page again stands in the channel."""
        brief = message.delivery.kind not in (PageKind.PAGE, PageKind.UPDATE)
        text = escape(cut(message.happened, TEXT_CHARS_MAX // 2)) if brief and message.happened else ""
        body: dict[str, Any] = {"channel_id": self._channel, "message": text or _text(message, self._writer)}
        if message.delivery.kind is not PageKind.PAGE:
            body["root_id"] = thread.post
        answer, _ = self._judge(await self._api.json("/api/v4/posts", body))
        if isinstance(answer, Permanent) and "root_id" in body and "root" in answer.error:
            return await self._post(message)
        return answer

    def _judge(self, outcome: Outcome) -> tuple[Answer, _Post]:
        answer = self._api.judge(outcome)
        post = outcome.decoded(_Post) if isinstance(outcome, Reply) and isinstance(answer, Receipt) else None
        return answer, post or _Post()


def _text(message: Message, writer: Writer) -> str:
    head = MARKDOWN.bold(escape(message.headline))
    return writer.body(message, MARKDOWN, TEXT_CHARS_MAX, head=head)
