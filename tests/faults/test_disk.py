"""A disk that fails under a running daemon, by the system calls themselves (rows 5, 6, 7 and 43 of docs/faults.md)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import NamedTuple

import aiohttp
import apsw
import pytest

from tests.faults.pulse import Pulse
from tests.faults.syscalls import SYNC, WRITE, injecting, needs_strace
from tests.faults.trials import spread, trials
from tests.system.killing import RECEIVERS, SINGLE, Killing, Pages, due_of_each
from tests.system.load import Producer
from tests.system.running import Daemon, Daemons, until
from tests.system.sink import Sink

ALERTS_PER_SECOND = 300
RECOVERY_SECONDS = 10.0  # a probe a second; the rest is for a busy machine, and strace
TRIALS_A_DATABASE = 10  # then a fresh one: each recovery reads all there is, and thousands would be most of the time


class Case(NamedTuple):
    daemon: Daemon
    producer: Producer
    sink: Sink

    def settle(self) -> Pages:
        """Load ends, everything resolves, and the oracle looks."""
        self.producer.stop()
        assert set(self.producer.statuses()) <= {200, 503}
        killing = Killing(self.daemon, self.producer, "none")
        killing.wrong += self.producer.look()
        killing.finish()
        pages = Pages(self.sink.messages, due_of_each(self.daemon, self.producer))
        assert not killing.wrong, killing.wrong[:10]
        assert not pages.missed, pages.missed[:10]
        assert not pages.extra, pages.extra[:10]
        assert not pages.wrong_keys, pages.wrong_keys[:10]
        assert self.daemon.stop() == 0
        return pages

    def said(self, pages: Pages) -> str:
        statuses = dict(self.producer.statuses())
        acked = self.producer.total("acked")
        return f"{acked} acked (answers {statuses}), L 0; {pages.due} messages due, M 0, D {pages.duplicates}, K 0"


@contextmanager
def _under_load(daemons: Daemons, sink: Sink) -> Iterator[Case]:
    daemon = daemons(RECEIVERS.format(url=sink.url), SINGLE)
    daemon.start()
    producer = Producer(daemon, ALERTS_PER_SECOND, seed=6)
    producer.start()
    try:
        until("alerts come", lambda: producer.total("acked") > 50)
        yield Case(daemon, producer, sink)
    finally:
        for sender in producer._senders:
            sender.stopping.set()


@pytest.fixture
def case(daemons: Daemons, sink: Sink) -> Iterator[Case]:
    with _under_load(daemons, sink) as case:
        yield case


def _failures(daemon: Daemon) -> float:
    return daemon.metric("imd_commit_failures_total")


def _goes_on(case: Case) -> None:
    """Answers to what was committed before the fault may be counted after it: they are asked for once it is ready."""
    until("it is ready", lambda: case.daemon.get("/-/ready").status == 200, RECOVERY_SECONDS)
    acked = case.producer.total("acked")
    until("alerts are taken again", lambda: case.producer.total("acked") > acked, RECOVERY_SECONDS)


@pytest.mark.parametrize("calls", [SYNC, WRITE], ids=["sync", "write"])
def test_eio_at_the_nth_call(calls: str, daemons: Daemons, sink: Sink, figures: list[str]) -> None:
    """That commit is answered 503 and is not there; what follows is written on an emptied log."""
    needs_strace()
    last = trials(quick=1, long=200)
    for first in range(1, last + 1, TRIALS_A_DATABASE):
        part = range(first, min(first + TRIALS_A_DATABASE, last + 1))
        recovered: list[float] = []
        sink.messages.clear()
        with _under_load(daemons, sink) as case:
            for nth in part:
                _fail_the_nth(calls, nth, case)
                began = time.monotonic()
                _goes_on(case)
                recovered.append(time.monotonic() - began)
            said = f"EIO at the N-th of {calls}, N {part[0]} to {part[-1]}: {case.said(case.settle())}"
        figures.append(f"row 6, {said}; recovered {spread(recovered)}")
        print(figures[-1], flush=True)  # the long campaign takes ten minutes and more


def _fail_the_nth(calls: str, nth: int, case: Case) -> None:
    before = _failures(case.daemon)
    with injecting(case.daemon.pid, calls, f"error=EIO:when={nth}"):
        patience = 30 + nth  # a busy disk syncs some times a second
        until("the call came, and failed", lambda: _failures(case.daemon) > before, patience)


def test_a_file_system_turned_read_only(case: Case, figures: list[str]) -> None:
    """Ready says 503, healthy 200, reads go on; once it takes writes again imd does."""
    needs_strace()
    recovered: list[float] = []
    for _ in range(trials(quick=1, long=20)):
        with injecting(case.daemon.pid, f"{WRITE},{SYNC}", "error=EROFS"):
            until("it says so", lambda: case.daemon.get("/-/ready").status == 503)
            assert case.daemon.get("/-/healthy").status == 200
            refused = case.producer.statuses()[503]
            until("senders hear of it", lambda refused=refused: case.producer.statuses()[503] > refused + 4)  # type: ignore[misc]
            assert case.daemon.items("/v1/alerts")
            assert case.daemon.items("/v1/incidents")
        began = time.monotonic()
        _goes_on(case)
        recovered.append(time.monotonic() - began)
    trials_run = len(recovered)
    figures.append(f"row 5, read-only: {trials_run} trials, {case.said(case.settle())}; recovered {spread(recovered)}")


def test_a_lock_of_another_process(case: Case, figures: list[str]) -> None:
    """503 once two seconds have passed; the event loop never waits for the lock; all goes on when it is gone."""
    held_seconds = trials(quick=3, long=30)
    shell = apsw.Connection(str(case.daemon.folder / "imd.db"))
    shell.set_busy_timeout(5_000)
    with Pulse(case.daemon.port) as pulse:
        shell.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        until("senders hear of it", lambda: case.producer.statuses()[503] > 0, 10)
        said_after = time.monotonic() - began
        assert case.daemon.items("/v1/alerts"), "an empty list would be the all-clear"
        until("the lock was held for long", lambda: time.monotonic() - began > held_seconds, held_seconds + 5)
        shell.execute("ROLLBACK")
        freed = time.monotonic()
        _goes_on(case)
        recovered = time.monotonic() - freed
    shell.close()
    figures.append(
        f"row 7, locked for {held_seconds} s: {case.said(case.settle())}; first 503 after {said_after:.1f} s, "
        f"recovered {recovered * 1000:.0f} ms after; {pulse}"
    )
    assert not pulse.wrong
    assert pulse.quantile(0.99) < 0.25, "on a machine with work of its own; alone it is below 50 ms"


BODIES_A_SECOND = 100
SLOW_SECONDS = 0.5


async def test_a_disk_that_takes_half_a_second_to_sync(daemons: Daemons, figures: list[str]) -> None:
    """Bodies share commits: what arrives at a pace of its own is taken at that pace, only later."""
    needs_strace()
    daemon = daemons("", "rules: [{name: load, match: 'alertname=\"Load\"', group_by: [], hold: 1h}]\n")
    daemon.start()
    seconds = trials(quick=3, long=60)
    with injecting(daemon.pid, SYNC, f"delay_exit={int(SLOW_SECONDS * 1e6)}"):
        took = await _at_a_pace(daemon, BODIES_A_SECOND, seconds)
    held = len(daemon.items("/v1/alerts"))
    figures.append(
        f"row 43, syncs of 500 ms: {len(took)} bodies at {BODIES_A_SECOND}/s, L 0; answered in {spread(took)}"
    )
    assert held == len(took) == BODIES_A_SECOND * seconds
    assert sorted(took)[len(took) // 2] < 3 * SLOW_SECONDS
    assert daemon.stop() == 0


async def _at_a_pace(daemon: Daemon, a_second: int, seconds: int) -> list[float]:
    """Seconds to each answer; every one is 200."""
    serial = count()
    loop = asyncio.get_running_loop()

    async def post(session: aiohttp.ClientSession) -> float:
        began = loop.time()
        body = [{"labels": {"alertname": "Load", "serial": str(next(serial))}}]
        async with session.post(f"{daemon.url}/api/v2/alerts", json=body) as answer:
            assert answer.status == 200
        return loop.time() - began

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        began, tasks = loop.time(), []
        for number in range(a_second * seconds):
            await asyncio.sleep(max(0.0, began + number / a_second - loop.time()))
            tasks.append(asyncio.create_task(post(session)))
        return list(await asyncio.gather(*tasks))
