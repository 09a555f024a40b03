"""The `slack` receiver: a bot that keeps one message for each incident, or an incoming webhook.

Owns blocks, threads and what `ok: false` means. With a bot's token the first page is a message; it is edited as the
incident changes, what happens is said in its thread, and a page again is a reply that the channel sees too, for an edit
rings nobody's phone. An incoming webhook cannot edit or thread: there each message stands alone.

Built-in text goes out as rich_text: its elements are taken as they are, so that nothing in a label becomes a mention, a
link or a mark. An operator's own text is mrkdwn, in which whatever is inserted was escaped.

Sources: docs.slack.dev, chat.postMessage, chat.update, Rate limits, Formatting message text, Rich text block, read
November 2026; bolt-js #2509 for the undocumented bound on all blocks together. There is no idempotency key for posts:
killed between a post and its commit, imd posts again.
"""

from __future__ import annotations

from typing import Any

import msgspec

from imd.channels import text
from imd.channels.api import Api, Outcome
from imd.channels.contract import Answer, Conversation, Pace, Permanent, Receipt, Temporary, keyed, recall
from imd.channels.http import Endpoint, HttpClient, Reply
from imd.channels.spans import RICH, spans
from imd.channels.text import Dialect, Message, Writer
from imd.clock import Clock
from imd.config.channelsettings import SlackSettings
from imd.model.effect import Delivery
from imd.model.policy import PageKind

TEXT_CHARS_MAX = 40_000  # chat.postMessage cuts beyond
SECTION_CHARS_MAX = 3_000
BLOCKS_CHARS_MAX = 10_000  # all together: `msg_blocks_too_long` was seen from 13,172 on
PER_SECOND, BURST = 1.0, 3  # "1 per second, short bursts" for a channel, and for a webhook

_PASSING = frozenset({"ratelimited", "rate_limited", "request_timeout", "service_unavailable", "team_added_to_org"})
_UNSURE = frozenset({"fatal_error", "internal_error"})  # "some aspect of the operation" may have succeeded
_GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed", "thread_not_found"})
_TOO_MUCH = frozenset({"msg_blocks_too_long", "invalid_blocks", "invalid_blocks_format", "msg_too_long"})


class _Thread(msgspec.Struct, frozen=True, tag="slack"):
    """The incident's message: the channel's id, its timestamp, and the channel as it was configured then."""

    channel: str
    ts: str
    configured: str


class _Said(msgspec.Struct, frozen=True):
    ok: bool = False
    error: str = ""
    channel: str = ""
    ts: str = ""


class SlackWebhook:
    """Posts to one incoming webhook."""

    def __init__(self, settings: SlackSettings, http: HttpClient, clock: Clock, writer: Writer) -> None:
        assert settings.url is not None
        url = settings.url.reveal()
        self._api = Api(Endpoint(url), http, clock)
        self._writer = writer
        self._buttons = settings.signing_secret is not None
        self.paces: tuple[Pace, ...] = (Pace(keyed("slack", url), PER_SECOND, BURST),)

    async def send(self, delivery: Delivery, attempt: int, conversation: Conversation = b"") -> Answer:
        message = self._writer.message(delivery)
        answer = self._api.judge(await self._api.json("", _content(message, self._writer, self._buttons)))
        if isinstance(answer, Permanent) and "answered 400" in answer.error and "blocks" in answer.error:
            return self._api.judge(await self._api.json("", _plain(message, self._writer)))
        return answer

    async def close(self) -> None:
        """Nothing: the connections are the shared client's."""


class Slack:
    """Writes into one channel as a bot."""

    def __init__(self, settings: SlackSettings, http: HttpClient, clock: Clock, writer: Writer) -> None:
        assert settings.token is not None
        token = settings.token.reveal()
        endpoint = Endpoint(settings.api_url, secrets=[token], public=True)
        # slack_sdk says the charset in this very form; without it Slack warns in each answer.
        self._api = Api(endpoint, http, clock, {"Authorization": f"Bearer {token}"}, "application/json;charset=utf-8")
        self._channel = settings.channel
        self._writer = writer
        self._buttons = settings.signing_secret is not None
        self.paces: tuple[Pace, ...] = (
            Pace(keyed("slack", settings.api_url, token, self._channel), PER_SECOND, BURST),
        )

    async def send(self, delivery: Delivery, attempt: int, conversation: Conversation = b"") -> Answer:
        message = self._writer.message(delivery)
        thread = self._thread(conversation)
        if thread is None or not delivery.incident:
            return await self._post(message)
        if delivery.kind is not PageKind.NOTE:
            edited = await self._edit(message, thread)
            if isinstance(edited, Permanent) and _error_of(edited) in _GONE:
                return await self._post(message)  # somebody deleted it: the incident gets a new one
            if isinstance(edited, Temporary) and delivery.kind is not PageKind.PAGE:
                return edited
            # A page goes out whatever became of the edit: the edit shows, the reply rings.
        return await self._reply(message, thread)

    async def close(self) -> None:
        """Nothing: the connections are the shared client's."""

    def _thread(self, conversation: Conversation) -> _Thread | None:
        thread = recall(conversation, _Thread)
        return thread if thread is not None and thread.configured == self._channel else None

    async def _post(self, message: Message) -> Answer:
        """A message of its own; the incident's, if it belongs to one."""
        body = {"channel": self._channel, **_content(message, self._writer, self._buttons), **_QUIET_LINKS}
        answer, said = self._judge(await self._call("chat.postMessage", body, message))
        if isinstance(answer, Receipt) and message.delivery.incident and said.ts:
            thread = _Thread(channel=said.channel or self._channel, ts=said.ts, configured=self._channel)
            return Receipt(answer.detail, msgspec.json.encode(thread))
        return answer

    async def _edit(self, message: Message, thread: _Thread) -> Answer:
        body = {"channel": thread.channel, "ts": thread.ts, **_content(message, self._writer, self._buttons)}
        return self._judge(await self._call("chat.update", body, message))[0]

    async def _reply(self, message: Message, thread: _Thread) -> Answer:
        loud = message.delivery.kind is PageKind.PAGE
        body: dict[str, Any] = {
            "channel": thread.channel,
            **_news(message, self._writer, self._buttons),
            **_QUIET_LINKS,
        }
        body |= {"thread_ts": thread.ts, "reply_broadcast": loud}
        answer = self._judge(await self._call("chat.postMessage", body, message))[0]
        if isinstance(answer, Permanent) and _error_of(answer) in _GONE:
            return await self._post(message)
        return answer

    async def _call(self, method: str, body: dict[str, Any], message: Message) -> Outcome:
        """One call; once more in plain text where Slack does not take the blocks: no page fails for its looks."""
        outcome = await self._api.json(f"/{method}", body)
        said = outcome.decoded(_Said) if isinstance(outcome, Reply) else None
        if said is not None and not said.ok and said.error in _TOO_MUCH:
            return await self._api.json(f"/{method}", {**body, "blocks": [], **_plain(message, self._writer)})
        return outcome

    def _judge(self, outcome: Outcome) -> tuple[Answer, _Said]:
        """Slack answers 200 to nearly everything; `ok` decides."""
        answer = self._api.judge(outcome)
        if not isinstance(answer, Receipt) or not isinstance(outcome, Reply):
            return answer, _Said()
        said = outcome.decoded(_Said)
        if said is None:
            return Temporary(self._api.fault("answered what is not Slack's JSON"), ambiguous=True), _Said()
        if said.ok:
            return Receipt(), said
        error = self._api.fault(f"answered {said.error or 'ok: false'}")
        if said.error in _PASSING or said.error in _UNSURE:
            return Temporary(error, outcome.retry_after, ambiguous=said.error in _UNSURE), said
        return Permanent(error), said


_QUIET_LINKS = {"unfurl_links": False, "unfurl_media": False}


def _error_of(answer: Permanent) -> str:
    return answer.error.rpartition(" ")[2]


# Text: escaped for mrkdwn, or in spans that become elements.


def escape(value: str) -> str:
    """Formatting message text: these three, and no more, or they show as they are."""
    return value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


MRKDWN = Dialect(escape=escape, bold=lambda value: f"*{value}*", link=lambda value, url: f"<{url}|{value}>")


def _content(message: Message, writer: Writer, buttons: bool) -> dict[str, Any]:
    """The incident's message as it stands now."""
    blocks = _blocks(message, writer)
    return {"text": escape(message.headline), "blocks": [*blocks, *(_answers(message) if buttons else [])]}


def _plain(message: Message, writer: Writer) -> dict[str, Any]:
    body = writer.body(message, MRKDWN, SECTION_CHARS_MAX, head=escape(message.headline))
    return {"text": text.cut(body, TEXT_CHARS_MAX)}


def _news(message: Message, writer: Writer, buttons: bool) -> dict[str, Any]:
    """What happened, for the thread. A page again says all of it, for the channel sees it."""
    if message.delivery.kind in (PageKind.PAGE, PageKind.UPDATE):
        return _content(message, writer, buttons)
    line = message.happened or message.headline
    return {"text": escape(line), "blocks": [_rich(RICH.escape(line))]}


def _blocks(message: Message, writer: Writer) -> list[dict[str, Any]]:
    head = _rich(RICH.bold(RICH.escape(message.headline)))
    own = writer.own_body(message, MRKDWN, SECTION_CHARS_MAX)
    if own is not None:
        # verbatim: names and URLs in it are not made into mentions and links.
        section = {"type": "section", "text": {"type": "mrkdwn", "text": own, "verbatim": True}}
        return [head, section] if own.strip() else [head]
    body = writer.built_in(message, RICH, BLOCKS_CHARS_MAX)
    return [head, _rich(body)] if body else [head]


_BUTTONS = {"ack": "Acknowledge", "snooze": "Snooze for 1 hour", "resolve": "Resolve"}
_OFFERED = {
    "pending": ("ack", "snooze"),
    "triggered": ("ack", "snooze", "resolve"),
    "acknowledged": ("snooze", "resolve"),
    "snoozed": ("resolve",),
}


def _answers(message: Message) -> list[dict[str, Any]]:
    """Buttons for what makes sense now; none once it is over. `api.callbacks` takes what they say."""
    incident = message.incident
    words = _OFFERED.get(incident.state, ()) if incident is not None else ()
    if incident is None or not words:
        return []
    elements = [
        {
            "type": "button",
            "action_id": f"imd.{word}",
            "value": incident.id,
            "text": {"type": "plain_text", "text": _BUTTONS[word]},
            **({"style": "primary"} if word == "ack" else {}),
        }
        for word in words
    ]
    return [{"type": "actions", "elements": elements}]


def _rich(marked: str) -> dict[str, Any]:
    elements: list[dict[str, Any]] = []
    for one in spans(marked):
        if one.url:
            elements.append({"type": "link", "url": one.url, "text": one.text})
        else:
            elements.append({"type": "text", "text": one.text, **({"style": {"bold": True}} if one.bold else {})})
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": elements}]}
