"""Who is refused again and again waits: a bound on refused requests, for each address.

Only what was refused anyway is counted and slowed down: behind a proxy all the world has one address, and whoever shows
something valid must pass, whatever others try. So nobody can be locked out, and guessing gets no answer worth having.
"""

from __future__ import annotations

import structlog

from imd.telemetry import Log

REFUSED_WITHIN_SECONDS = 60.0
ADDRESSES_MAX = 1000

_log = structlog.get_logger()


class Refusals:
    """Counts of each address; the one that was heard first goes when there are too many."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, int]] = {}

    def wait_seconds(self, address: str, now: float, refused_max: int) -> int:
        """One more refusal. How long the address should wait; 0 while there were not too many of late."""
        since, count = self._seen.get(address, (now, 0))
        if now - since >= REFUSED_WITHIN_SECONDS:
            since, count = now, 0
        if address not in self._seen and len(self._seen) >= ADDRESSES_MAX:
            del self._seen[next(iter(self._seen))]
        self._seen[address] = (since, count + 1)
        if count == refused_max:
            _log.warning(Log.AUTH_REFUSED, address=address, count=count, within_seconds=REFUSED_WITHIN_SECONDS)
        return max(1, int(since + REFUSED_WITHIN_SECONDS - now)) if count >= refused_max else 0
