"""Backoff, and the breaker that spares a receiver which is down.

Pure: instants are seconds of the event loop's clock, handed in; jitter comes from names, so that a replay of the same
failures waits the same times. A breaker delays and never drops.
"""

from __future__ import annotations

import enum
from hashlib import blake2b

FAILURES_TO_OPEN = 5
BACKOFF_BASE_SECONDS = 1.0
BACKOFF_MAX_SECONDS = 60.0


class BreakerState(enum.StrEnum):
    """CLOSED: sends pass. OPEN: none does. HALF_OPEN: one may, and its fate decides."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


def backoff(name: str, attempt: int, base: float = BACKOFF_BASE_SECONDS) -> float:
    """Seconds to wait after failure number `attempt`, from 1: min(60 s, base * 2^(attempt-1)) * U, with U in [0.5, 1)
    from blake2b over name and attempt."""
    drawn = int.from_bytes(blake2b(f"{name}/{attempt}".encode(), digest_size=8).digest(), "big") / 2**64
    return min(BACKOFF_MAX_SECONDS, base * 2.0 ** min(attempt - 1, 32)) * (0.5 + drawn / 2)


class Breaker:
    """One receiver's. Opens after FAILURES_TO_OPEN temporary failures in a row; then lets one probe pass at a time,
    with growing pauses. A receiver's Retry-After holds all sends to it back, whatever the state."""

    def __init__(self, name: str, base: float = BACKOFF_BASE_SECONDS) -> None:
        self._name = name
        self._base = base
        self._opened = 0  # times in a row
        self._probe_at = 0.0
        self._probing = False
        self._held_until = 0.0
        self.failures = 0

    def state(self, now: float) -> BreakerState:
        if not self._opened:
            return BreakerState.CLOSED
        return BreakerState.HALF_OPEN if now >= self._probe_at else BreakerState.OPEN

    def admits(self, now: float) -> bool:
        """May a send start now?"""
        if now < self._held_until:
            return False
        return not self._opened or (now >= self._probe_at and not self._probing)

    def admits_at(self) -> float | None:
        """When to ask again. None: a probe is under way, and its end is the time to ask."""
        if self._opened and self._probing:
            return None
        return max(self._held_until, self._probe_at if self._opened else 0.0)

    def started(self) -> bool:
        """A send starts. True if it is the probe; say so again when it ends."""
        if not self._opened:
            return False
        self._probing = True
        return True

    def withdrawn(self, probe: bool) -> None:
        """A send that had started by our books was not made after all."""
        if probe:
            self._probing = False

    def hold(self, until: float) -> None:
        """The receiver wishes not to be asked before."""
        self._held_until = max(self._held_until, until)

    def worked(self) -> bool:
        """The receiver answered for good, one way or the other. True if this closes the breaker."""
        closes = self._opened > 0
        self.failures = self._opened = 0
        self._probing = False
        return closes

    def failed(self, now: float, probe: bool, hold_seconds: float = 0.0) -> bool:
        """A temporary failure, with the receiver's wish not to be asked for `hold_seconds`. True if this opens it."""
        self.failures += 1
        if hold_seconds:
            self.hold(now + hold_seconds)
        opens = not self._opened and self.failures >= FAILURES_TO_OPEN
        if opens or (probe and self._opened):
            self._opened += 1
            self._probing = False
            self._probe_at = now + backoff(self._name, self._opened, self._base)
        return opens
