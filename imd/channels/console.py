"""The `console` receiver: one line a message on standard output.

Owns escaping and the write. Writes go to the descriptor itself: a buffered stream that failed would keep the line and
print it later a second time.
"""

from __future__ import annotations

import os

from imd.channels.contract import Answer, Conversation, Pace, Receipt, Temporary
from imd.channels.worker import Worker
from imd.model.effect import Delivery

STDOUT = 1
TIMEOUT_SECONDS = 10.0


class Console:
    """Prints each delivery's headline, such as `PAGE P2 #1 title`."""

    paces: tuple[Pace, ...] = ()

    def __init__(self, descriptor: int = STDOUT, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._descriptor = descriptor
        self._worker = Worker("console", timeout_seconds)

    async def send(self, delivery: Delivery, attempt: int, conversation: Conversation = b"") -> Answer:
        line = one_line(delivery.headline).encode() + b"\n"
        return await self._worker.run(lambda: _write(self._descriptor, line))

    async def close(self) -> None:
        self._worker.close()


def one_line(text: str) -> str:
    """`text` with everything that would steer a terminal or end the line escaped: control characters, direction marks,
    lone surrogates, separators other than a space."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _write(descriptor: int, line: bytes) -> Answer:
    rest = line
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except OSError as error:
        return Temporary(f"standard output: {error.strerror}", ambiguous=len(rest) < len(line))
    return Receipt()
