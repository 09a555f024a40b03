"""Lines of timelines, of which the newest of all incidents stand together until they are filed by their incidents."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import apsw
import pytest

from imd.model.effect import AppendTimeline, ForgetIncident, SaveIncident
from imd.model.incident import IncidentState
from imd.store import sqlite_writer
from imd.store.contract import Store, StoreFailed
from imd.store.migrate import open_store
from tests.store.faults import NAME, FaultyDisk
from tests.store.samples import NOW, commit, entry, incident

FEW = 5


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_writer, "LINES_MAX", FEW)


@pytest.fixture
def disk() -> Iterator[FaultyDisk]:
    faulty = FaultyDisk()
    yield faulty
    faulty.unregister()


def where(database: Path) -> tuple[int, int]:
    """Lines that are filed, and others."""
    shell = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        (counts,) = shell.execute("SELECT (SELECT count(*) FROM timeline), (SELECT count(*) FROM timeline_tail)")
        return counts
    finally:
        shell.close()


async def texts(store: Store, which: str) -> list[str]:
    return [line.text for line in await store.timeline(which)]


async def test_timelines_are_whole_wherever_their_lines_are(database: Path) -> None:
    """Filed and not, of two incidents at once; the last word on a line holds. A start files those of before."""
    store = open_store(f"sqlite:///{database}")
    lines: list[str] = []
    for number in range(1, 13):
        lines.append(f"line {number}")
        commit(store, *(AppendTimeline(which, entry(number, lines[-1])) for which in ("i1", "i2")))
        assert await texts(store, "i1") == await texts(store, "i2") == lines
    commit(store, AppendTimeline("i1", entry(12, "again")), AppendTimeline("i1", entry(12, "and again")))
    commit(store, AppendTimeline("i2", entry(2, "again")))
    filed, others = where(database)
    assert filed > 0 < others
    for _ in range(2):
        assert await texts(store, "i1") == [*lines[:-1], "and again"]
        assert await texts(store, "i2") == [lines[0], "again", *lines[2:]]
        store.close()
        store = open_store(f"sqlite:///{database}")
        commit(store, AppendTimeline("i3", entry(1)))
    assert where(database) == (25, 0)
    store.close()


@pytest.mark.parametrize("once", [True, False])
async def test_filing_that_fails_loses_nothing(database: Path, disk: FaultyDisk, once: bool) -> None:
    """For N = 1, 2, … the N-th write or sync fails while lines are written and filed: what was answered for is there,
    in order."""
    store = open_store(f"sqlite:///{database}", vfs=NAME)
    answered: list[str] = []
    number = 0
    for fail_at in range(1, 60):
        disk.arm(fail_at, once=once)
        for _ in range(FEW):
            number += 1
            text = f"line {number}"
            try:
                commit(store, *(AppendTimeline(which, entry(number, text)) for which in ("i1", "i2")))
            except StoreFailed:
                continue
            answered.append(text)
        disk.mend()
        store.probe()
        found = await texts(store, "i1")
        assert found == await texts(store, "i2")
        assert set(answered) <= set(found)
        answered = found
    store.close()
    store = open_store(f"sqlite:///{database}")
    assert await texts(store, "i1") == await texts(store, "i2") == answered
    store.close()
    assert where(database)[0] > 0


async def test_an_incident_goes_with_its_lines(database: Path) -> None:
    """Filed or not: where little happens, the last ones wait for years."""
    store = open_store(f"sqlite:///{database}")
    gone, stays = (incident(n, state=IncidentState.RESOLVED, resolved_at=NOW + n * timedelta(days=9)) for n in (1, 2))
    for one in (gone, stays):
        commit(store, SaveIncident(one), ForgetIncident(one.id))
        commit(store, *(AppendTimeline(one.id, entry(number)) for number in range(1, FEW)))
    commit(store, AppendTimeline(gone.id, entry(FEW)), AppendTimeline(stays.id, entry(FEW)))
    assert where(database) == (2 * (FEW - 1), 2)
    await store.prune(NOW + timedelta(days=410))
    assert await store.timeline(gone.id) == []
    assert len(await store.timeline(stays.id)) == FEW
    assert where(database) == (FEW - 1, 1)
    store.close()
