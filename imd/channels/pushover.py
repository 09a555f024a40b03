"""The `pushover` receiver: notifications on phones, and for P1 ones that ring until somebody answers.

Owns priorities and receipts. A P1 page is an emergency (priority 2): it repeats until it is acknowledged on a phone or
expires. Its receipt is asked whether somebody did, and is cancelled once somebody has it here (`Rings`; when that is
asked is not this module's business). With it goes whatever else bears the incident's tag: an emergency whose answer was
lost rings as well, and nobody has its receipt. Nothing can be edited: each message is a notification, changes and ends
are quiet ones. Source: pushover.net/api and /api/receipts (cancel_by_tag as healthchecks uses it), read November 2026.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from imd.channels import text
from imd.channels.api import Api
from imd.channels.contract import Answer, Conversation, Pace, Permanent, Receipt, Rung, Temporary, keyed, recall
from imd.channels.http import Endpoint, HttpClient, Reply, segment
from imd.channels.links import callback
from imd.channels.text import Message, Writer
from imd.clock import Clock
from imd.config.channelsettings import PushoverSettings
from imd.model.effect import Delivery
from imd.model.policy import PageKind

MESSAGE_CHARS_MAX = 1024
TITLE_CHARS_MAX = 250
URL_CHARS_MAX, URL_TITLE_CHARS_MAX = 512, 100
RETRY_SECONDS_MIN, EXPIRE_SECONDS_MAX = 30, 10_800
PRIORITY = {"P1": 2, "P2": 1, "P3": 0, "P4": -1, "P5": -2}
QUIET = -1
RECEIPTS_MAX = 20
PER_SECOND, BURST = 2.0, 10
"""Ours: "no more than two concurrent connections" is asked for; a month's messages are counted, not a second's."""


class _Receipts(msgspec.Struct, frozen=True, tag="pushover"):
    """Emergencies that may still ring, the newest last: `RECEIPT TAG`, of old ones the receipt alone."""

    receipts: list[str]


class _Said(msgspec.Struct, frozen=True):
    status: int = 0
    request: str = ""
    receipt: str = ""
    errors: list[str] = []


class _Stands(msgspec.Struct, frozen=True):
    """What the receipts API says. `acknowledged_by` is a user's key, and so a secret: it is not read."""

    status: int = 0
    acknowledged: int = 0
    acknowledged_at: int = 0
    expired: int = 0


class Pushover:
    """Sends to one user or group by one application's token."""

    def __init__(self, settings: PushoverSettings, http: HttpClient, clock: Clock, writer: Writer) -> None:
        self._token, self._user = settings.token.reveal(), settings.user.reveal()
        endpoint = Endpoint(settings.api_url, secrets=[self._token, self._user], public=True)
        self._api = Api(endpoint, http, clock)
        self._retry = max(RETRY_SECONDS_MIN, int(settings.retry.total_seconds()))
        self._expire = min(EXPIRE_SECONDS_MAX, int(settings.expire.total_seconds()))
        self._device, self._sound = settings.device, settings.sound
        self._writer = writer
        self.paces: tuple[Pace, ...] = (Pace(keyed("pushover", settings.api_url, self._token), PER_SECOND, BURST),)

    async def send(self, delivery: Delivery, attempt: int, conversation: Conversation = b"") -> Answer:
        ringing = recall(conversation, _Receipts) if delivery.incident else None
        known = list(ringing.receipts) if ringing is not None else []
        answer, said = await self._push(self._writer.message(delivery))
        if not isinstance(answer, Receipt):
            return answer
        if delivery.kind in (PageKind.ACKNOWLEDGED, PageKind.RESOLVED):
            known = [each for each in known if await self.hush(each) is not None]
        if said.receipt and delivery.incident:
            known = [*known, f"{said.receipt} {delivery.dedup_key}"][-RECEIPTS_MAX:]
        if ringing is None and not known:
            return answer
        return Receipt(answer.detail, msgspec.json.encode(_Receipts(receipts=known)))

    async def close(self) -> None:
        """Nothing: the connections are the shared client's."""

    def fields(self, message: Message) -> dict[str, str]:
        """The form that is sent."""
        delivery = message.delivery
        # Where the headline was cut, the title stands above the text as a whole.
        whole = message.title if len(message.headline) > TITLE_CHARS_MAX else ""
        body = self._writer.body(message, room=MESSAGE_CHARS_MAX, head=whole)
        loud = delivery.kind in (PageKind.PAGE, PageKind.DIGEST) or not delivery.incident
        rank = PRIORITY[delivery.priority.value]
        if message.trial:
            rank = PRIORITY["P3"]
        elif delivery.kind is not PageKind.PAGE:
            rank = min(rank, 1 if loud else QUIET)
        fields = {
            "token": self._token,
            "user": self._user,
            "title": text.cut(message.headline, TITLE_CHARS_MAX),
            "message": body or text.cut(message.headline, MESSAGE_CHARS_MAX),
            "priority": str(rank),
            "timestamp": str(int(delivery.created_at.timestamp())),
        }
        if rank == 2:
            fields |= {"retry": str(self._retry), "expire": str(self._expire), "tags": delivery.dedup_key}
            # Pushover's servers tell imd there that somebody took it.
            if called := callback(message.said.links.ack, "pushover", delivery.receiver):
                fields["callback"] = called
        links = [(name, url) for name, url in text.links(message) if len(url) <= URL_CHARS_MAX]
        if links:
            fields |= {"url": links[0][1], "url_title": links[0][0][:URL_TITLE_CHARS_MAX]}
        if self._device:
            fields["device"] = self._device
        if self._sound:
            fields["sound"] = self._sound
        return fields

    async def _push(self, message: Message) -> tuple[Answer, _Said]:
        outcome = await self._api.form("/1/messages.json", self.fields(message))
        answer = self._api.judge(outcome)
        if not isinstance(answer, Receipt) or not isinstance(outcome, Reply):
            return answer, _Said()
        said = outcome.decoded(_Said)
        if said is None:
            return Temporary(self._api.fault("answered what is not Pushover's JSON"), ambiguous=True), _Said()
        if said.status != 1:
            return Permanent(
                self._api.fault(f"refused: {'; '.join(said.errors) or 'status ' + str(said.status)}")
            ), said
        return Receipt(said.request), said

    # -- what rings -----------------------------------------------------------------------------------------------

    def ringing(self, conversation: Conversation) -> tuple[str, ...]:
        known = recall(conversation, _Receipts)
        return tuple(known.receipts) if known is not None else ()

    async def look(self, name: str) -> Rung | Temporary:
        path = f"/1/receipts/{segment(name.partition(' ')[0])}.json"
        outcome = await self._api.json(path, None, "GET", {"token": self._token})
        answer = self._api.judge(outcome)
        if isinstance(answer, Temporary):
            return answer
        said = outcome.decoded(_Stands) if isinstance(outcome, Reply) else None
        if isinstance(answer, Receipt) and said is None:
            return Temporary(self._api.fault("answered what is not Pushover's JSON"))
        if said is None or said.status != 1:
            return Rung(over=True)
        if said.acknowledged:
            return Rung(over=True, taken=True, taken_at=_instant(said.acknowledged_at))
        return Rung(over=bool(said.expired))

    async def hush(self, name: str) -> Temporary | None:
        """One that is gone for good rings no more; one that could not be reached stays on the list, and rings until it
        expires."""
        receipt, _, tag = name.partition(" ")
        paths = [f"/1/receipts/{segment(receipt)}/cancel.json"]
        paths += [f"/1/receipts/cancel_by_tag/{segment(tag)}.json"] if tag else []
        for path in paths:
            answer = self._api.judge(await self._api.form(path, {"token": self._token}))
            if isinstance(answer, Temporary):
                return answer
        return None


def _instant(stamp: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(stamp, UTC) if stamp > 0 else None
    except (OverflowError, ValueError, OSError):
        return None
