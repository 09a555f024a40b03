"""While a commit is under way a loop that never rests does so for the writer's sake, and no other loop does."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from imd.daemon.fairness import BUSY, EVERY_SECONDS, REST_SECONDS
from imd.model.alert import AlertReport, identify
from imd.model.event import AlertsReported
from tests.api.server import serving

ROUNDS = 4


@pytest.fixture
def rests(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    taken: list[float] = []
    monkeypatch.setattr("imd.daemon.fairness.sleep", taken.append)
    return taken


async def work(seconds: float) -> None:
    """Keeps this thread busy for so long, as by many small callbacks."""
    before = time.thread_time()
    while time.thread_time() - before < seconds:  # noqa: ASYNC110 - turns are what it needs
        await asyncio.sleep(0)


async def test_a_busy_loop_rests_while_a_commit_is_under_way(
    tmp_path: Path, rests: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path) as server:
        commit, held = server.store.commit, []
        monkeypatch.setattr(server.store, "commit", lambda *args: held.append(args))
        report = AlertsReported("a", False, (AlertReport(identify({"alertname": "A"}), False, None, None),))
        submitted = asyncio.ensure_future(server.loop.submit(report, 1))
        async with asyncio.timeout(5):
            while not held:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.001)
        await asyncio.sleep(EVERY_SECONDS * ROUNDS)  # the disk is slow, and the loop has nothing to do
        assert rests == []
        await work(EVERY_SECONDS * ROUNDS)
        assert rests[:2] == [REST_SECONDS] * 2
        while held:
            commit(*held.pop())
        await submitted
        before = len(rests)
        await work(EVERY_SECONDS * ROUNDS)
        assert len(rests) == before
    assert 0 < BUSY < 1
