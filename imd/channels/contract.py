"""What every channel promises: `send` one delivery, once, and say how it went.

Owns the three answers and the body's last field. A channel does not retry, order, count or log: that is the outbox's
business, and so is everything that outlives an attempt. Error texts go to people, logs and the store: they hold the
receiver's own words and never a secret (no URL beyond scheme, host and port).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

import msgspec

from imd.model.effect import Delivery


class Receipt(msgspec.Struct, frozen=True):
    """The receiver took it. `detail` is what it said, for the timeline; may be empty."""

    detail: str = ""


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


class Channel(Protocol):
    """One configured receiver. `send` may run several times at once; `attempt` counts from 1.

    `send` takes a bounded time and raises nothing but CancelledError; `close` is called once, after the last `send`.
    """

    async def send(self, delivery: Delivery, attempt: int) -> Answer: ...

    async def close(self) -> None: ...


class BadSettings(ValueError):
    """A receiver's settings cannot work, and why; found when the channel is made, before the first page."""


def body_of(delivery: Delivery, attempt: int) -> bytes:
    """The JSON object of design section 6: the delivery's body with `attempt`. Spliced, not decoded: bodies are large
    and written once for all attempts."""
    assert delivery.body.startswith(b"{"), "a delivery's body is a JSON object without white space around it"
    rest = delivery.body[1:]
    comma = b"" if rest.startswith(b"}") else b","
    return b'{"attempt":%d%b%b' % (attempt, comma, rest)
