"""What rings in Pushover: asked while somebody is waited for, answered there is acknowledged here, and it is stopped
where nobody is waited for any more. The channel is the real one, over a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import NamedTuple

import pytest

from imd.api.context import Unavailable
from imd.channels.contract import Receipt
from imd.daemon.ringing import PAUSE_LOOKS, Ringing
from imd.model.incident import Incident, IncidentState, Priority, Told
from tests.channels.samples import message
from tests.channels.server import Act, answer, hang, speaks
from tests.channels.test_suite import Ends, ends
from tests.channels.vendors import Pushover, Reply

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
STAMP = int(NOW.timestamp())


class World(NamedTuple):
    at: Ends
    vendor: Pushover
    incident: Incident
    ringing: Ringing
    taken: list[tuple[str, str]]

    def seen(self, *kinds: str) -> list[str]:
        return [what for what, _ in self.vendor.seen if what in kinds]


@asynccontextmanager
async def rings(*script: Act, down: bool = False) -> AsyncIterator[World]:
    """A P1 was paged to Ana by Pushover and rings; `script` is what the vendor does from then on."""
    vendor, taken = Pushover(), list[tuple[str, str]]()
    async with ends("pushover", speaks(vendor.handle), *script, seconds=0.4) as at:
        given = await at.channel.send(message(priority=Priority.P1), 1)
        assert isinstance(given, Receipt)
        incident = Incident(
            id="i000000000001", number=1, title="t", rule="r", group_key=(), config_hash="",
            opened_at=NOW, state=IncidentState.TRIGGERED,
            triggered_at=NOW, priority=Priority.P1, told={"push": Told(to="ana")},
        )  # fmt: skip

        async def acknowledge(identity: str, by: str) -> None:
            if down:
                raise Unavailable("the store is down")
            taken.append((identity, by))
            incident.state = IncidentState.ACKNOWLEDGED

        known = {"i000000000001": given.conversation}
        ringing = Ringing(lambda: [("push", at.channel, known)], {"i000000000001": incident}.get, acknowledge)
        yield World(at, vendor, incident, ringing, taken)


async def test_taken_on_the_phone_is_acknowledged_here() -> None:
    """By the person whom the page was for, once; nothing is asked any more then."""
    async with rings() as world:
        await world.ringing.look()
        assert world.taken == []
        world.vendor.receipts = dict.fromkeys(world.vendor.receipts, STAMP + 30)
        for _ in range(3):
            await world.ringing.look()
        assert world.taken == [("i000000000001", "ana")]
        assert world.seen("look", "cancel") == ["look", "look"]


@pytest.mark.parametrize("state", [IncidentState.ACKNOWLEDGED, IncidentState.SNOOZED, IncidentState.RESOLVED])
async def test_it_stops_once_somebody_has_it_here(state: IncidentState) -> None:
    """Whatever kinds of message the receiver wants; told once."""
    async with rings() as world:
        world.incident.state = state
        for _ in range(3):
            await world.ringing.look()
        assert world.seen("look", "cancel") == ["cancel"]


async def test_it_stops_when_all_is_silenced() -> None:
    async with rings() as world:
        world.incident.hushed = "silence s1"
        await world.ringing.look()
        assert world.seen("look", "cancel") == ["cancel"]


async def test_it_is_asked_no_more_once_it_has_expired() -> None:
    async with rings() as world:
        world.vendor.expired |= set(world.vendor.receipts)
        for _ in range(3):
            await world.ringing.look()
        assert world.seen("look", "cancel") == ["look"]
        assert world.taken == []


async def test_an_answer_to_what_triggered_before_counts_no_more() -> None:
    """After a restart each receipt is asked once more: that of the time before is over, and acknowledges nothing."""
    async with rings() as world:
        world.vendor.receipts = dict.fromkeys(world.vendor.receipts, STAMP - 3600)
        for _ in range(2):
            await world.ringing.look()
        assert world.taken == []
        assert world.seen("look", "cancel") == ["look"]


async def test_a_clock_that_goes_differently_loses_no_answer() -> None:
    async with rings() as world:
        world.vendor.receipts = dict.fromkeys(world.vendor.receipts, STAMP - 30)
        await world.ringing.look()
        assert world.taken == [("i000000000001", "ana")]


async def test_nothing_is_lost_while_the_store_is_down() -> None:
    async with rings(down=True) as world:
        world.vendor.receipts = dict.fromkeys(world.vendor.receipts, STAMP + 30)
        for _ in range(2):
            await world.ringing.look()
        assert world.seen("look") == ["look", "look"]


@pytest.mark.parametrize("act", [answer(503), answer(429), hang(), answer(200, b"<html>")], ids=range(4))
async def test_a_vendor_in_trouble_is_left_alone_for_a_minute(act: Act) -> None:
    async with rings(act) as world:
        for _ in range(PAUSE_LOOKS + 1):
            await world.ringing.look()
        assert len(world.at.server.requests) == 2  # the page, one question
        await world.ringing.look()
        assert len(world.at.server.requests) == 3
        assert world.taken == []


async def test_a_receipt_that_is_gone_rings_no_more() -> None:
    async with rings() as world:
        world.vendor.receipts = {}
        for _ in range(2):
            await world.ringing.look()
        assert len(world.at.server.requests) == 2
        assert world.taken == []


async def test_what_moved_on_while_it_was_asked_is_left_to_the_next_round() -> None:
    """Acknowledged here in the very moment: that acknowledgement stands."""
    async with rings() as world:
        asked = world.vendor.receipt

        def receipt(method: str, path: str) -> Reply:
            world.incident.state = IncidentState.ACKNOWLEDGED
            return asked(method, path)

        world.vendor.receipts = dict.fromkeys(world.vendor.receipts, STAMP + 30)
        world.vendor.receipt = receipt  # type: ignore[method-assign]
        await world.ringing.look()
        assert world.taken == []
        await world.ringing.look()
        assert world.seen("look", "cancel") == ["look", "cancel"]


async def test_a_time_beyond_all_bounds_is_an_answer_all_the_same() -> None:
    async with rings() as world:
        world.vendor.receipts = dict.fromkeys(world.vendor.receipts, 10**30)
        await world.ringing.look()
        assert world.taken == [("i000000000001", "ana")]
