"""What every channel promises: `send` one delivery, once, and say how it went.

Owns the three answers, the conversation that an incident's messages share, paces, and the body's last field. A channel
does not retry, order, wait, count or log: that is the outbox's business, and so is everything that outlives an attempt.
Error texts go to people, logs and the store: they hold the receiver's own words and never a secret (no URL beyond
scheme, host and port).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Protocol, TypeVar, runtime_checkable

import msgspec

from imd.model.effect import Delivery

T = TypeVar("T")

Conversation = bytes
"""What a channel must know to go on about an incident: JSON, small, opaque to all others, and `b""` for none yet. It
may hold names of messages (a Slack `ts`, a Message-ID), never a secret."""
CONVERSATION_BYTES_MAX = 4096


def recall(conversation: Conversation, kind: type[T]) -> T | None:
    """The conversation as this (tagged) struct; None where there is none, or where it is of another type."""
    try:
        return msgspec.json.decode(conversation, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


class Receipt(msgspec.Struct, frozen=True):
    """The receiver took it. `detail` is what it said, for the timeline; may be empty.

    `conversation` is stored in the transaction that settles the delivery, and handed to the next send about the same
    incident; `b""` leaves the one before as it was. `pause` is how long the receiver wishes not to be asked again.
    `refused` says for whom it was refused for good, where others of the same receiver have it.
    """

    detail: str = ""
    conversation: Conversation = b""
    pause: timedelta | None = None
    refused: str = ""


class Temporary(msgspec.Struct, frozen=True):
    """It may work later. `retry_after` is the receiver's own wish, already capped.

    `ambiguous`: the message may have arrived all the same (a timeout after sending), so that the next attempt may be
    its second arrival and its cancelling may come too late.
    """

    error: str
    retry_after: timedelta | None = None
    ambiguous: bool = False


class Permanent(msgspec.Struct, frozen=True):
    """It will not work, however often it is tried."""

    error: str


Answer = Receipt | Temporary | Permanent


class Pace(msgspec.Struct, frozen=True):
    """At most `burst` sends at once and `per_second` in the long run, over all receivers that name the same `key`
    (a chat, an account). The key shows nowhere; use `keyed` where it is made of a secret."""

    key: str
    per_second: float
    burst: int = 1


def keyed(*parts: str) -> str:
    """A key for Pace out of parts of which some may be secrets."""
    return blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=12).hexdigest()


class Channel(Protocol):
    """One configured receiver. `send` may run several times at once, but never for the same incident; `attempt` counts
    from 1. `conversation` is what the last accepted message about the incident left, possibly by a channel of another
    type or target before a reload: one that it cannot read counts as none.

    `send` takes a bounded time and raises nothing but CancelledError; `close` is called once, after the last `send`.
    """

    @property
    def paces(self) -> tuple[Pace, ...]: ...

    async def send(self, delivery: Delivery, attempt: int, conversation: Conversation = b"") -> Answer: ...

    async def close(self) -> None: ...


class Rung(msgspec.Struct, frozen=True):
    """How it stands with something that rings. `over`: it does not any more. `taken`: for somebody answered it there,
    at `taken_at`, which may not be known."""

    over: bool
    taken: bool = False
    taken_at: datetime | None = None


@runtime_checkable
class Rings(Protocol):
    """A channel whose messages ring at the vendor's until somebody answers there, and which can be asked and told."""

    def ringing(self, conversation: Conversation) -> tuple[str, ...]:
        """The vendor's names of what may still ring of an incident."""
        ...

    async def look(self, name: str) -> Rung | Temporary:
        """How it stands with one of them; what the vendor does not know is over."""
        ...

    async def hush(self, name: str) -> Temporary | None:
        """Stops it. None: it rings no more."""
        ...


class BadSettings(ValueError):
    """A receiver's settings cannot work, and why; found when the channel is made, before the first page."""


def body_of(delivery: Delivery, attempt: int) -> bytes:
    """The JSON object of design section 6: the delivery's body with `attempt`. Spliced, not decoded: bodies are large
    and written once for all attempts."""
    assert delivery.body.startswith(b"{"), "a delivery's body is a JSON object without white space around it"
    rest = delivery.body[1:]
    comma = b"" if rest.startswith(b"}") else b","
    return b'{"attempt":%d%b%b' % (attempt, comma, rest)
