"""Whose turn of the event loop it is, while more is to be done than one turn should hold.

Owns two rules. Between two steps of a crowd others have some turns: a request that aiohttp reads is answered four turns
later, and would otherwise wait for as many steps. And what can wait does not add a long step to a turn that has had
one: every event takes some of what is due with it, so sixteen deliveries that ended together while a thousand holds did
took 80 ms.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

BETWEEN = 4
LONG_EFFECTS = 50  # of a step of some 4 ms: a dozen incidents that page, or fifty new alerts


class Turns:
    """For the event loop's thread alone. `take` is called in the turn that was planned."""

    def __init__(self, take: Callable[[], None]) -> None:
        self._take = take
        self._long = False
        self.planned = False

    def plan(self) -> None:
        """A step, once others had their turns; one at a time."""
        if not self.planned:
            self.planned = True
            asyncio.get_running_loop().call_soon(self._pass, BETWEEN)

    def _pass(self, others: int) -> None:
        if others:
            asyncio.get_running_loop().call_soon(self._pass, others - 1)
            return
        self.planned = False
        self._take()

    def stepped(self, effects: int) -> None:
        """A step was taken in this turn, with so many effects."""
        if effects > LONG_EFFECTS and not self._long:
            self._long = True
            asyncio.get_running_loop().call_soon(self._end)

    def _end(self) -> None:
        self._long = False

    async def light(self) -> None:
        """Until a turn that has had no long step yet."""
        while self._long:  # noqa: ASYNC110 - a turn is what it waits for
            await asyncio.sleep(0)
