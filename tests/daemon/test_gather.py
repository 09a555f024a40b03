"""Requests that come together are stepped together, and each is answered for itself."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from imd.api.context import StoreDown
from imd.core.engine import Engine
from imd.daemon import gather
from imd.daemon.turns import BETWEEN
from imd.model.alert import AlertReport, identify
from imd.model.effect import Refused
from imd.model.event import AlertsReported, DeliveryFinished, Event, Outcome, SourceHeard, Tick
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


async def turn() -> None:
    """A turn of the loop. One that spins starves the writer's thread, which asks for the interpreter's lock 1,500 times
    a commit here and got it after 5 ms each."""
    time.sleep(0.0002)  # noqa: ASYNC251 - this thread is to stand still
    await asyncio.sleep(0)


def names(event: Event) -> str:
    assert isinstance(event, AlertsReported)
    return "".join(report.identity.labels()["alertname"] for report in event.alerts)


async def test_one_sender_at_once_is_one_step(server: Server, stepped: list[Event]) -> None:
    submit = server.loop.submit
    await asyncio.gather(*(submit(reports("a", name), 1) for name in "ABC"))
    assert [names(event) for event in stepped] == ["ABC"]
    rows = await server.store.journal(server.clock.now(), 10)
    assert [msgspec.json.decode(row.line).get("same_step", False) for row in rows[-3:]] == [False, True, True]


async def test_reports_keep_their_order_and_others_pass_them_by(server: Server, stepped: list[Event]) -> None:
    """Nobody was told yet that they were taken."""
    submit = server.loop.submit
    await asyncio.gather(
        submit(reports("a", "A"), 1),
        submit(reports("b", "B"), 1),
        submit(reports("b", "C", by_api=True), 1),
        submit(SourceHeard("b"), 1),
        submit(reports("b", "D", by_api=True), 1),
    )
    shown = [names(event) if isinstance(event, AlertsReported) else "heard" for event in stepped]
    assert shown == ["heard", "A", "B", "CD"]


async def test_no_step_grows_beyond_its_bound(server: Server, stepped: list[Event]) -> None:
    """And between two of them others have turns of the loop: as many as aiohttp needs to answer a request."""
    submit = server.loop.submit
    many = [reports("a", *(f"{part}-{number}" for number in range(40))) for part in range(8)]
    waiting = asyncio.gather(*(submit(each, 1) for each in many))
    seen = []
    while not waiting.done():
        await turn()
        seen.append(len(stepped))
    await waiting
    assert [len(event.alerts) for event in stepped if isinstance(event, AlertsReported)] == [80, 80, 80, 80]
    assert min(seen.count(steps) for steps in (1, 2)) > BETWEEN


async def test_no_crowd_of_commits_gets_ahead_of_a_page(
    server: Server, stepped: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten large bodies at once were stepped as fast as that goes, and the first page stood behind all their commits."""
    commit, held = server.store.commit, []
    monkeypatch.setattr(server.store, "commit", lambda *args: held.append(args))
    submit = server.loop.submit
    many = [reports("a", *(f"{part}-{number}" for number in range(gather.ALERTS_MAX))) for part in range(40)]
    waiting = asyncio.gather(*(submit(each, 1) for each in many))
    for _ in range(1000):
        await turn()
    assert len(held) == gather.UNDER_WAY_MAX
    before = len(stepped)
    assert before < len(many) / 2
    other = asyncio.ensure_future(submit(SourceHeard("b"), 1))
    await turn()
    assert len(stepped) == before + 1  # what a person does is not held up
    while not waiting.done():
        while held:
            commit(*held.pop(0))
        await turn()
    await asyncio.gather(waiting, other)
    assert sum(isinstance(event, AlertsReported) for event in stepped) == len(many)


async def test_no_turn_of_the_loop_has_two_steps(server: Server, stepped: list[Event]) -> None:
    """Holds that end in the midst of a crowd are a step of their own, and not both the timer's and the crowd's."""
    submit = server.loop.submit
    await submit(reports("a", *(f"A{number}" for number in range(30))), 1)
    held = max(max(one.timers.values()) for one in server.loop.open_incidents())
    server.clock.advance(held - server.clock.now())
    stepped.clear()
    waiting = asyncio.gather(*(submit(reports("b", *(f"{part}-{n}" for n in range(80))), 1) for part in range(6)))
    asyncio.get_running_loop().call_soon(server.loop._tick)
    seen = [0]
    while not waiting.done():
        await turn()
        seen.append(len(stepped))
    await waiting
    assert [type(event) for event in stepped[:4]] == [Tick, Tick, Tick, AlertsReported]
    assert max(after - before for before, after in pairwise(seen)) == 1


async def test_what_was_due_before_goes_before(server: Server, stepped: list[Event]) -> None:
    """A hold that is over is over before the resolve that comes after it, however many are."""
    submit = server.loop.submit
    for first in range(0, 100, 50):
        await submit(reports("a", *(f"A{number}" for number in range(first, first + 50))), 1)
    opened = list(server.loop.open_incidents())
    assert len(opened) == 100
    server.clock.advance(max(max(one.timers.values()) for one in opened) - server.clock.now())
    stepped.clear()
    ends = (AlertReport(identify({"alertname": f"A{number}"}), True, None, None) for number in range(100))
    await submit(AlertsReported("a", False, tuple(ends)), 1)
    assert {one.title: one.triggered_at for one in opened if one.triggered_at is None} == {}
    assert [type(event) for event in stepped] == [*[Tick] * 8, AlertsReported]


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


async def test_parts_and_their_places() -> None:
    committed = asyncio.get_running_loop().create_future()
    parts = [gather.Part(count, 1, committed) for count in (2, 0, 3)]
    gather.tell(parts, [Refused(4, "z"), Refused(1, "y"), Refused(2, "x")])
    assert [part.refused for part in parts] == [(Refused(1, "y"),), (), (Refused(0, "x"), Refused(2, "z"))]


async def test_deliveries_that_end_together_take_turns(server: Server, stepped: list[Event]) -> None:
    """Each takes a dozen of the incidents with it whose hold is over: all in one turn would hold the loop."""
    submit = server.loop.submit
    await submit(reports("a", *(f"A{number}" for number in range(60))), 1)
    held = max(max(one.timers.values()) for one in server.loop.open_incidents())
    server.clock.advance(held - server.clock.now())
    stepped.clear()
    ends = [DeliveryFinished(delivery=f"d{n}", incident="", receiver="r", outcome=Outcome.ACCEPTED) for n in range(4)]
    waiting = asyncio.gather(*(submit(each, 1) for each in ends))
    seen = [0]
    while not waiting.done():
        await turn()
        seen.append(sum(isinstance(event, DeliveryFinished) for event in stepped))
    await waiting
    assert max(after - before for before, after in pairwise(seen)) == 1
    assert seen[-1] == len(ends)
