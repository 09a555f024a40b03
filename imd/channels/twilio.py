"""The `twilio` receiver: SMS, or a voice call that reads the page.

Owns the forms. An SMS tells each kind of message in few words; a call is made for pages, digests and test pages
alone, for nobody wants to be rung up about an end. Nothing can be edited. Twilio queues what comes too fast and
cannot be told to drop it, so the pace is kept here, where an acknowledgement still stops what waits. Twilio's id of
each call and message is kept in the conversation.

Source: twilio.com/docs, Message resource, Call resource, TwiML <Say>, error codes, read November 2026.
"""

from __future__ import annotations

from base64 import b64encode
from xml.sax.saxutils import escape, quoteattr

import msgspec

from imd.channels import text
from imd.channels.api import Api, Outcome
from imd.channels.contract import Answer, Conversation, Pace, Permanent, Receipt, Temporary, keyed, recall
from imd.channels.http import Endpoint, HttpClient, Reply, segment
from imd.channels.links import callback
from imd.channels.text import Message, Writer
from imd.clock import Clock
from imd.config.channelsettings import TwilioMode, TwilioSettings
from imd.model.effect import Delivery
from imd.model.policy import PageKind

BODY_CHARS_MAX = 1600  # of a message; Twilio refuses more (21617)
SMS_CHARS_MAX = 480  # ours: three segments in the alphabet that has all letters, about what a phone shows
TWIML_CHARS_MAX = 4000
SPOKEN_CHARS_MAX = 500
VALIDITY_SECONDS_MAX = 36_000
SMS_PER_SECOND, SMS_BURST = 1.0, 1  # a long code sends one segment a second
CALLS_PER_SECOND, CALLS_BURST = 1.0, 1  # an account's default
SIDS_MAX = 20
KEY_SECONDS = 10  # ours: how long a call waits for a key once all was said
_PASSING = frozenset({20429, 21611, 30001, 20500, 20503})  # too many requests, queue full, Twilio's own faults


class _Sids(msgspec.Struct, frozen=True, tag="twilio"):
    """Twilio's ids of what was sent, the newest last."""

    sids: list[str]


class _Said(msgspec.Struct, frozen=True):
    sid: str = ""
    code: int | None = None
    message: str | None = None


class Twilio:
    """Reaches one number from one sender."""

    def __init__(self, settings: TwilioSettings, http: HttpClient, clock: Clock, writer: Writer) -> None:
        token = settings.auth_token.reveal()
        pair = b64encode(f"{settings.key_sid or settings.account_sid}:{token}".encode()).decode()
        endpoint = Endpoint(settings.api_url, secrets=[token, pair], public=True)
        self._api = Api(endpoint, http, clock, {"Authorization": f"Basic {pair}"})
        self._settings = settings
        self._asks = settings.callback_token is not None
        self._voice = settings.mode is TwilioMode.VOICE
        self._base = f"/2010-04-01/Accounts/{segment(settings.account_sid)}"
        self._writer = writer
        account = (settings.api_url, settings.account_sid)
        self.paces: tuple[Pace, ...] = (
            (Pace(keyed("twilio-voice", *account), CALLS_PER_SECOND, CALLS_BURST),)
            if self._voice
            else (Pace(keyed("twilio-sms", *account, settings.sender), settings.per_second, SMS_BURST),)
        )

    async def send(self, delivery: Delivery, attempt: int, conversation: Conversation = b"") -> Answer:
        quiet = delivery.kind not in (PageKind.PAGE, PageKind.DIGEST) and bool(delivery.incident)
        if self._voice and quiet:
            return Receipt("not called: calls are made for pages alone")
        message = self._writer.message(delivery)
        path, fields = ("/Calls.json", self.call(message)) if self._voice else ("/Messages.json", self.sms(message))
        answer, said = self._judge(await self._api.form(self._base + path, fields))
        if not isinstance(answer, Receipt) or not said.sid or not delivery.incident:
            return answer
        known = recall(conversation, _Sids)
        sids = [*(known.sids if known is not None else []), said.sid][-SIDS_MAX:]
        return Receipt(said.sid, msgspec.json.encode(_Sids(sids=sids)))

    async def close(self) -> None:
        """Nothing: the connections are the shared client's."""

    def sms(self, message: Message) -> dict[str, str]:
        """A page that lies in a queue longer than `validity` is not sent any more: it would tell old news."""
        settings = self._settings
        fields = {"To": settings.to, "Body": text.cut(self._few_words(message), BODY_CHARS_MAX)}
        service = settings.sender.startswith("MG")
        fields["MessagingServiceSid" if service else "From"] = settings.sender
        validity = min(int(settings.validity.total_seconds()), VALIDITY_SECONDS_MAX)
        return {**fields, "ValidityPeriod": str(validity)}

    def call(self, message: Message) -> dict[str, str]:
        """Said twice, for the first words are missed."""
        more = message.happened if message.incident is not None else self._below(message).replace("\n", " ")
        words = escape(text.cut(f"{message.headline}. {more}".strip(), SPOKEN_CHARS_MAX))
        ask = callback(message.said.links.ack, "twilio", message.delivery.receiver) if self._asks else ""
        if ask:
            said = f'<Say loop="2">{words.rstrip(".")}. Press 1 to acknowledge.</Say>'
            gather = f'<Gather numDigits="1" timeout="{KEY_SECONDS}" action={quoteattr(ask)}>{said}</Gather>'
            twiml = f"<Response>{gather}<Say>No key was pressed. Goodbye.</Say></Response>"
        else:
            twiml = f'<Response><Say loop="2">{words}</Say></Response>'
        assert len(twiml) <= TWIML_CHARS_MAX
        return {"To": self._settings.to, "From": self._settings.sender, "Twiml": twiml}

    def _few_words(self, message: Message) -> str:
        own = self._writer.own_body(message, text.PLAIN, BODY_CHARS_MAX)
        if own is not None and own.strip():
            return own
        links = dict(text.links(message))
        said = message.happened or _firing(message) if message.incident is not None else self._below(message)
        how = f"Reply ACK {message.delivery.number} to acknowledge." if self._asks and "Acknowledge" in links else ""
        link = links.get("Acknowledge") or links.get("Incident", "")
        more = "".join("\n" + line for line in (how, link) if line)  # a link is whole or it is none
        said = text.cut(said, max(SMS_CHARS_MAX // 8, SMS_CHARS_MAX // 2 - len(more)))
        return text.cut(message.headline, SMS_CHARS_MAX) + ("\n" + said if said else "") + more

    def _below(self, message: Message) -> str:
        """Of a digest; a test page's headline says it all, and each word is paid for."""
        return "" if message.trial else self._writer.body(message)

    def _judge(self, outcome: Outcome) -> tuple[Answer, _Said]:
        answer = self._api.judge(outcome)
        if not isinstance(outcome, Reply):
            return answer, _Said()
        said = outcome.decoded(_Said)
        if isinstance(answer, Receipt) and (said is None or not said.sid):
            return Temporary(self._api.fault("answered what is not Twilio's JSON"), ambiguous=True), _Said()
        if isinstance(answer, Permanent) and said is not None and said.code in _PASSING:
            return Temporary(answer.error, outcome.retry_after), said
        return answer, said or _Said()


def _firing(message: Message) -> str:
    facts = dict(text.facts(message))
    return ", ".join(filter(None, (facts.get("Alerts"), facts.get("Labels"))))
