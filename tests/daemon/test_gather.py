"""Requests that come together are stepped together, and each is answered for itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from imd.api.context import StoreDown
from imd.core.engine import Engine
from imd.daemon import gather
from imd.model.alert import AlertReport, identify
from imd.model.effect import Refused
from imd.model.event import AlertsReported, Event, SourceHeard
from imd.model.policy import Bounds
from tests.api.server import BENCH, Server, serving


def reports(source: str, *names: str, by_api: bool = False) -> AlertsReported:
    made = (AlertReport(identify({"alertname": name}), False, None, None) for name in names)
    return AlertsReported(source, by_api, tuple(made))


@pytest.fixture
def stepped(monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """What the engine was handed, in order."""
    events: list[Event] = []
    step = Engine.step

    def watched(self: Engine, event: Event, now: object) -> object:
        events.append(event)
        return step(self, event, now)

    monkeypatch.setattr(Engine, "step", watched)
    return events


@pytest_asyncio.fixture
async def server(tmp_path: Path, stepped: list[Event]) -> Server:
    async with serving(tmp_path) as running:
        stepped.clear()
        yield running


def names(event: Event) -> str:
    assert isinstance(event, AlertsReported)
    return "".join(report.identity.labels()["alertname"] for report in event.alerts)


async def test_one_sender_at_once_is_one_step(server: Server, stepped: list[Event]) -> None:
    submit = server.loop.submit
    await asyncio.gather(*(submit(reports("a", name), 1) for name in "ABC"))
    assert [names(event) for event in stepped] == ["ABC"]
    rows = await server.store.journal(server.clock.now(), 10)
    assert [msgspec.json.decode(row.line).get("same_step", False) for row in rows[-3:]] == [False, True, True]


async def test_order_is_kept_between_senders_and_events(server: Server, stepped: list[Event]) -> None:
    """What may not come along steps what waits, and then itself."""
    submit = server.loop.submit
    await asyncio.gather(
        submit(reports("a", "A"), 1),
        submit(reports("b", "B"), 1),
        submit(reports("b", "C", by_api=True), 1),
        submit(SourceHeard("b"), 1),
        submit(reports("b", "D", by_api=True), 1),
    )
    shown = [names(event) if isinstance(event, AlertsReported) else "heard" for event in stepped]
    assert shown == ["A", "B", "C", "heard", "D"]


async def test_no_step_grows_beyond_its_bound(server: Server, stepped: list[Event]) -> None:
    submit = server.loop.submit
    many = [reports("a", *(f"{part}-{number}" for number in range(200))) for part in range(4)]
    await asyncio.gather(*(submit(each, 1) for each in many))
    assert [len(event.alerts) for event in stepped if isinstance(event, AlertsReported)] == [400, 400]


async def test_each_hears_of_its_own_refusals(tmp_path: Path) -> None:
    bounded = msgspec.structs.replace(BENCH, bounds=msgspec.structs.replace(Bounds(), open_alerts_max=3))
    async with serving(tmp_path, bounded) as server:
        submit = server.loop.submit
        answers = await asyncio.gather(
            submit(reports("a", "A", "B"), 1), submit(reports("a", "C", "D"), 1), submit(reports("a", "A", "E", "B"), 1)
        )
    assert [[one.index for one in refused] for refused in answers] == [[], [1], [1]]


async def test_a_failure_of_the_engine_is_everybodys(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for ever, and nobody is told that it is on disk."""

    def fails(self: Engine, event: Event, now: object) -> object:
        raise ValueError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "step", fails)
        submit = server.loop.submit
        answers = await asyncio.gather(*(submit(reports("a", name), 1) for name in "AB"), return_exceptions=True)
    assert [type(answer) for answer in answers] == [StoreDown, StoreDown]
    assert server.loop.down


def test_parts_and_their_places() -> None:
    parts = [gather.Part(2), gather.Part(0), gather.Part(3)]
    gather.tell(parts, [Refused(4, "z"), Refused(1, "y"), Refused(2, "x")])
    assert [part.refused for part in parts] == [(Refused(1, "y"),), (), (Refused(0, "x"), Refused(2, "z"))]
