"""The `telegram` receiver: a bot that keeps one message for each incident in a chat.

Owns Telegram's HTML, edits and replies. The first page is a message; changes edit it and are a silent reply; a page
again is a reply that rings. Sources: core.telegram.org/bots/api (sendMessage, editMessageText, Formatting options,
ResponseParameters), core.telegram.org/bots/faq (limits), read November 2026.
"""

from __future__ import annotations

import html
import re
from typing import Any

import msgspec

from imd.channels.api import Api, Outcome, wait
from imd.channels.contract import Answer, Conversation, Pace, Permanent, Receipt, Temporary, keyed, recall
from imd.channels.http import Endpoint, HttpClient, Reply
from imd.channels.text import PLAIN, Dialect, Message, Writer, cut, utf16
from imd.clock import Clock
from imd.config.channelsettings import TelegramSettings
from imd.model.effect import Delivery
from imd.model.policy import PageKind

TEXT_UNITS_MAX = 4096  # "after entities parsing"; counted before it here, which is never less
CHAT_PER_SECOND, CHAT_BURST = 1.0, 3  # "avoid sending more than one message per second", short bursts
GROUP_PER_SECOND, GROUP_BURST = 20 / 60, 5  # "not more than 20 messages per minute" to a group
BOT_PER_SECOND, BOT_BURST = 30.0, 30  # over all chats

HTML = Dialect(
    escape=lambda value: html.escape(value, quote=False),
    bold=lambda value: f"<b>{value}</b>",
    link=lambda value, url: f'<a href="{html.escape(url, quote=True)}">{value}</a>',
    whole=True,
)


class _Thread(msgspec.Struct, frozen=True, tag="telegram"):
    """The incident's message, and the chat as it was configured then. `chat` is its id now: groups may move."""

    message: int
    chat: str
    configured: str


class _Parameters(msgspec.Struct, frozen=True):
    retry_after: float | None = None
    migrate_to_chat_id: int | None = None


class _Sent(msgspec.Struct, frozen=True):
    message_id: int


class _Said(msgspec.Struct, frozen=True):
    ok: bool = False
    description: str = ""
    error_code: int = 0
    parameters: _Parameters = _Parameters()
    result: _Sent | bool | None = None


class Telegram:
    """Writes into one chat (and topic) as a bot."""

    def __init__(self, settings: TelegramSettings, http: HttpClient, clock: Clock, writer: Writer) -> None:
        token = settings.token.reveal()
        # The token is part of the path, so the URL is no public one.
        self._api = Api(
            Endpoint(f"{settings.api_url}/bot{token}", secrets=[token, token.partition(":")[2]]), http, clock
        )
        self._chat = settings.chat
        self._topic = settings.topic
        self._writer = writer
        group = self._chat.startswith(("-", "@"))
        chat_pace = (GROUP_PER_SECOND, GROUP_BURST) if group else (CHAT_PER_SECOND, CHAT_BURST)
        self.paces: tuple[Pace, ...] = (
            Pace(keyed("telegram", settings.api_url, token, self._chat), *chat_pace),
            Pace(keyed("telegram", settings.api_url, token), BOT_PER_SECOND, BOT_BURST),
        )

    async def send(self, delivery: Delivery, attempt: int, conversation: Conversation = b"") -> Answer:
        message = self._writer.message(delivery)
        thread = recall(conversation, _Thread) if delivery.incident else None
        if thread is None or thread.configured != self._chat:
            return await self._post(message, None)
        if delivery.kind is not PageKind.NOTE:
            edited = await self._edit(message, thread)
            if isinstance(edited, Temporary) and delivery.kind is not PageKind.PAGE:
                return edited
            if isinstance(edited, Permanent) and "to edit not found" in edited.error:
                return await self._post(message, None)
        return await self._post(message, thread)

    async def close(self) -> None:
        """Nothing: the connections are the shared client's."""

    async def _post(self, message: Message, thread: _Thread | None) -> Answer:
        """A message of its own, or a reply in the thread. Only a page rings in a thread."""
        body = self._content(message, news=thread is not None)
        body["disable_notification"] = thread is not None and message.delivery.kind is not PageKind.PAGE
        if thread is not None:
            body["reply_parameters"] = {"message_id": thread.message, "allow_sending_without_reply": True}
        if self._topic is not None:  # of a reply too: without the message that it replies to it would be in no topic
            body["message_thread_id"] = self._topic
        answer, said, chat = await self._call("sendMessage", thread.chat if thread else self._chat, body, message)
        if (
            isinstance(answer, Receipt)
            and thread is None
            and message.delivery.incident
            and isinstance(said.result, _Sent)
        ):
            kept = _Thread(message=said.result.message_id, chat=chat, configured=self._chat)
            return Receipt(answer.detail, msgspec.json.encode(kept))
        return answer

    async def _edit(self, message: Message, thread: _Thread) -> Answer:
        body = {"message_id": thread.message, **self._content(message, news=False)}
        answer, _, _ = await self._call("editMessageText", thread.chat, body, message)
        if isinstance(answer, Permanent) and "message is not modified" in answer.error:
            return Receipt()
        return answer

    def _content(self, message: Message, news: bool) -> dict[str, Any]:
        head = HTML.bold(HTML.escape(message.headline))
        brief = message.delivery.kind not in (PageKind.PAGE, PageKind.UPDATE)
        if news and brief and message.happened:
            text = HTML.escape(cut(message.happened, TEXT_UNITS_MAX // 8, utf16))
        else:
            text = self._writer.body(message, HTML, TEXT_UNITS_MAX, utf16, head=head)
        return {"text": text, "parse_mode": "HTML", "link_preview_options": {"is_disabled": True}}

    async def _call(self, method: str, chat: str, body: dict[str, Any], message: Message) -> tuple[Answer, _Said, str]:
        """One call, and a second where Telegram says how: the group moved, the topic is gone, or it does not take the
        markup. The last is the chat that took it."""
        answer, said = self._judge(await self._api.json(f"/{method}", {"chat_id": _chat_id(chat), **body}))
        if isinstance(answer, Permanent) and said.parameters.migrate_to_chat_id is not None:
            chat = str(said.parameters.migrate_to_chat_id)
            answer, said = self._judge(await self._api.json(f"/{method}", {"chat_id": _chat_id(chat), **body}))
        if isinstance(answer, Permanent) and "message_thread_id" in body and _NO_TOPIC.search(said.description):
            body = {name: value for name, value in body.items() if name != "message_thread_id"}
            answer, said = self._judge(await self._api.json(f"/{method}", {"chat_id": _chat_id(chat), **body}))
        if isinstance(answer, Permanent) and "can't parse entities" in said.description:
            head = self._writer.built_in(message, PLAIN, TEXT_UNITS_MAX, utf16, head=message.headline)
            plain = {name: value for name, value in body.items() if name != "parse_mode"} | {"text": head}
            answer, said = self._judge(await self._api.json(f"/{method}", {"chat_id": _chat_id(chat), **plain}))
        return answer, said, chat

    def _judge(self, outcome: Outcome) -> tuple[Answer, _Said]:
        answer = self._api.judge(outcome)
        if not isinstance(outcome, Reply):
            return answer, _Said()
        said = outcome.decoded(_Said)
        if said is None:
            if isinstance(answer, Receipt):
                answer = Temporary(self._api.fault("answered what is not Telegram's JSON"), ambiguous=True)
            return answer, _Said()
        if isinstance(answer, Receipt) and not said.ok:
            return Permanent(self._api.fault(f"answered {said.error_code}: {said.description}")), said
        if isinstance(answer, Temporary) and said.parameters.retry_after is not None:
            after = wait(said.parameters.retry_after) or answer.retry_after
            return Temporary(answer.error, after, answer.ambiguous), said
        return answer, said


_NO_TOPIC = re.compile("message thread not found|TOPIC_(CLOSED|DELETED)")
"""Also of topics that are there: in busy groups their first message is out of a bot's sight (tdlib/telegram-bot-api,
issues 596 and 693, read November 2026). The page goes to the group itself then."""


def _chat_id(chat: str) -> int | str:
    """A number as a number; a public channel by its @name."""
    return int(chat) if chat.removeprefix("-").isdigit() else chat
