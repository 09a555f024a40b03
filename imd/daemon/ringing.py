"""What rings at a vendor's until somebody answers there: asked whether they have, and stopped once somebody has it.

Owns when that is asked and what follows. How it works: what rings stands in the conversations of channels that can be
asked (`contract.Rings`). While its incident waits for an answer it is looked at every LOOK_EVERY; answered there is
acknowledged here. As soon as its incident does not wait any more (acknowledged, snoozed, silenced, over), it is told
to stop, whatever kinds of message the receiver wants. A vendor that calls imd back is faster; one that cannot reach imd
is heard all the same. Nothing here is stored: after a restart each is asked once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime, timedelta

import structlog

from imd.api.context import Unavailable
from imd.channels.contract import Channel, Conversation, Rings, Temporary
from imd.model.incident import Incident, IncidentState
from imd.telemetry import Log

LOOK_EVERY = timedelta(seconds=5)
"""Pushover: "no faster than once every 5 seconds" a receipt (pushover.net/api/receipts, read November 2026)."""
SKEW = timedelta(minutes=1)
PAUSE_LOOKS = 12
"""So many rounds a receiver is left alone that could not be asked: a minute, or what it wished for."""

Conversations = Iterable[tuple[str, Channel, Mapping[str, Conversation]]]
Taken = Callable[[str, str], Awaitable[object]]

_log = structlog.get_logger()


class Ringing:
    """Looks after all receivers' for as long as `run` runs. `incident` is the engine's; `taken` is told the incident
    and the name of whoever the page was for."""

    def __init__(
        self, conversations: Callable[[], Conversations], incident: Callable[[str], Incident | None], taken: Taken
    ) -> None:
        self._conversations = conversations
        self._incident = incident
        self._taken = taken
        self._over: set[tuple[str, str]] = set()
        self._paused: dict[str, int] = {}

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY.total_seconds())
            await self.look()

    async def look(self) -> None:
        """One round; receivers beside each other, what one of them rings one after another."""
        found = {
            name: (channel, _ringing(channel, conversations))
            for name, channel, conversations in self._conversations()
            if isinstance(channel, Rings)
        }
        self._over &= {(name, one) for name, (_, ringing) in found.items() for _, one in ringing}
        await asyncio.gather(*(self._receiver(name, *each) for name, each in found.items()))

    async def _receiver(self, receiver: str, channel: Rings, ringing: list[tuple[str, str]]) -> None:
        if self._paused.get(receiver, 0) > 0:
            self._paused[receiver] -= 1
            return
        for incident, name in ringing:
            if (receiver, name) in self._over:
                continue
            failed = await self._one(receiver, channel, incident, name)
            if failed is not None:
                wished = int((failed.retry_after or timedelta(0)) / LOOK_EVERY)
                self._paused[receiver] = max(PAUSE_LOOKS, wished)
                _log.warning(Log.RINGING_UNASKED.value, receiver=receiver, error=failed.error)
                return

    async def _one(self, receiver: str, channel: Rings, identity: str, name: str) -> Temporary | None:
        incident = self._incident(identity)
        if not _waits(incident):
            failed = await channel.hush(name)
            if failed is None:
                self._over.add((receiver, name))
            return failed
        found = await channel.look(name)
        if isinstance(found, Temporary):
            return found
        incident = self._incident(identity)  # which may have moved on meanwhile
        if incident is None or not _waits(incident):
            return None
        if found.taken and not _long_before(found.taken_at, incident):
            told = incident.told.get(receiver)
            try:
                await self._taken(identity, told.to if told is not None else receiver)
            except Unavailable:
                return None  # nothing was done: the next round asks again
        if found.over:
            self._over.add((receiver, name))
        return None


def _waits(incident: Incident | None) -> bool:
    """Whether somebody is still to answer."""
    return incident is not None and incident.state is IncidentState.TRIGGERED and not incident.hushed


def _long_before(taken_at: datetime | None, incident: Incident) -> bool:
    """It was an answer to what triggered before; the vendor's clock may go differently."""
    if taken_at is None or incident.triggered_at is None:
        return False
    return taken_at < incident.triggered_at - SKEW


def _ringing(channel: Rings, conversations: Mapping[str, Conversation]) -> list[tuple[str, str]]:
    """Incidents, and what was made to ring of each."""
    return [(incident, one) for incident, said in conversations.items() for one in channel.ringing(said)]
