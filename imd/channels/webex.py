"""The `webex` receiver: a bot in a space, each incident a thread.

Owns Webex' markdown and replies. The first page is a message and all that follows replies to it; a page again is a
message of its own in the space. Edits are left alone: Webex allows ten to a message and no more. Source:
developer.webex.com, Create a Message, Formatting, Rate limiting, read November 2026.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from imd.channels.api import Api, Outcome
from imd.channels.contract import Answer, Conversation, Pace, Permanent, Receipt, Temporary, keyed, recall
from imd.channels.http import Endpoint, HttpClient, Reply
from imd.channels.text import Dialect, Message, Writer, cut, utf8
from imd.clock import Clock
from imd.config.channelsettings import WebexSettings
from imd.model.effect import Delivery
from imd.model.policy import PageKind

TEXT_BYTES_MAX = 7_439  # "characters before encryption and 10000 after", as a refusal says; of what, it does not
_TOO_LONG = "length limited"
PER_SECOND, BURST = 1.0, 5  # ours: limits are "dynamic", and a 429 with Retry-After says when

_MARKS = re.compile(r"([\\*_~`|#\[\]()!\-+])")


def escape(value: str) -> str:
    """Markdown's own characters; and `<`, by which mentions and tags begin."""
    return _MARKS.sub(r"\\\1", value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))


MARKDOWN = Dialect(
    escape=escape, bold=lambda value: f"**{value}**", link=lambda value, url: f"[{value}]({url})", newline="  \n"
)


class _Thread(msgspec.Struct, frozen=True, tag="webex"):
    """The incident's message, and where it was sent."""

    message: str
    to: str


class _Said(msgspec.Struct, frozen=True):
    id: str = ""


class Webex:
    """Writes to one space or person as a bot."""

    def __init__(self, settings: WebexSettings, http: HttpClient, clock: Clock, writer: Writer) -> None:
        token = settings.token.reveal()
        endpoint = Endpoint(settings.api_url, secrets=[token], public=True)
        self._api = Api(endpoint, http, clock, {"Authorization": f"Bearer {token}"})
        self._to = {"roomId": settings.room} if settings.room else {"toPersonEmail": settings.person}
        self._where = settings.room or settings.person
        self._writer = writer
        self.paces: tuple[Pace, ...] = (Pace(keyed("webex", settings.api_url, token), PER_SECOND, BURST),)

    async def send(self, delivery: Delivery, attempt: int, conversation: Conversation = b"") -> Answer:
        message = self._writer.message(delivery)
        thread = recall(conversation, _Thread) if delivery.incident else None
        if thread is None or thread.to != self._where:
            return await self._post(message)
        if delivery.kind is PageKind.PAGE:
            answer, _ = await self._say(message, brief=False)
            return answer
        answer, _ = await self._say(message, brief=True, parentId=thread.message)
        if isinstance(answer, Permanent) and ("404" in answer.error or "parent" in answer.error.lower()):
            return await self._post(message)  # somebody deleted it
        return answer

    async def close(self) -> None:
        """Nothing: the connections are the shared client's."""

    async def _post(self, message: Message) -> Answer:
        answer, said = await self._say(message, brief=False)
        if isinstance(answer, Receipt) and message.delivery.incident and said.id:
            return Receipt(answer.detail, msgspec.json.encode(_Thread(message=said.id, to=self._where)))
        return answer

    async def _say(self, message: Message, brief: bool, **beside: str) -> tuple[Answer, _Said]:
        """One message; a shorter one where Webex counts more in it than its bytes."""
        for room in (TEXT_BYTES_MAX, TEXT_BYTES_MAX // 3):
            body = {**self._body(message, brief, room), **beside}
            answer, said = self._judge(await self._api.json("/v1/messages", body))
            if not (isinstance(answer, Permanent) and _TOO_LONG in answer.error):
                break
        return answer, said

    def _body(self, message: Message, brief: bool, room: int) -> dict[str, Any]:
        if brief and message.delivery.kind is not PageKind.UPDATE and message.happened:
            said = escape(cut(message.happened, room // 6, utf8))  # escaping makes up to five of one
        else:
            head = MARKDOWN.bold(escape(message.headline))
            said = self._writer.body(message, MARKDOWN, room, utf8, head=head)
        return {**self._to, "markdown": said}

    def _judge(self, outcome: Outcome) -> tuple[Answer, _Said]:
        answer = self._api.judge(outcome)
        if not isinstance(outcome, Reply) or not isinstance(answer, Receipt):
            return answer, _Said()
        said = outcome.decoded(_Said)
        if said is None or not said.id:
            return Temporary(self._api.fault("answered what is not Webex' JSON"), ambiguous=True), _Said()
        return answer, said
