"""Which incidents changed, for those who listen: noted by id, told later.

A listener that reads slowly costs the ids of what changed, at most BEHIND_MAX of them; beyond that it is told how many
it was not told of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

BEHIND_MAX = 10_000  # ids of changed incidents, for one listener


class Listener:
    """What one client has not been told yet, by id, in order of the change."""

    def __init__(self) -> None:
        self.behind: dict[str, None] = {}
        self.lost = 0
        self.woken = asyncio.Event()

    def note(self, incidents: Iterable[str]) -> None:
        for incident in incidents:
            if incident in self.behind:
                continue
            if len(self.behind) >= BEHIND_MAX:
                self.lost += 1
                continue
            self.behind[incident] = None
        self.woken.set()

    def take(self) -> list[str]:
        taken, self.behind = list(self.behind), {}
        self.woken.clear()
        return taken


class Stream:
    """Every listener. `changed` is called in the event loop with what was just committed."""

    def __init__(self) -> None:
        self.listeners: set[Listener] = set()
        self.ended = False

    def end(self) -> None:
        """imd stops: every stream ends."""
        self.ended = True
        for listener in self.listeners:
            listener.woken.set()

    def changed(self, incidents: Iterable[str]) -> None:
        for listener in self.listeners:
            listener.note(incidents)
