"""The audit log: in order, sealed, and no change of it goes unnoticed."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import apsw
import pytest

from imd.model.effect import Journal
from imd.store import sqlite_upkeep
from imd.store.audit import NEWEST
from imd.store.contract import Retention, Store
from imd.store.migrate import open_store
from tests.store.conftest import Opener
from tests.store.samples import NOW, batch, commit, commit_batch


def lines(store: Store) -> list[bytes]:
    return [row.line for row in asyncio.run(store.audit())]


def line(number: int) -> Journal:
    return Journal(NOW + timedelta(days=number), b'{"n":%d}' % number, audit=True)


def test_what_people_did_is_on_it_and_the_rest_is_not(store: Store) -> None:
    commit_batch(store, batch(line(1), Journal(NOW, b'{"alert":1}')), batch(line(2)))
    commit(store, line(3))
    assert lines(store) == [b'{"n":3}', b'{"n":2}', b'{"n":1}']
    assert len(asyncio.run(store.journal(NOW - timedelta(days=1)))) == 4, "the journal has all of it"
    rows = asyncio.run(store.audit(limit=2))
    assert [row.line for row in asyncio.run(store.audit(before=rows[-1].seq))] == [b'{"n":1}']


@pytest.fixture
def audited(database: Path) -> Path:
    store = open_store(f"sqlite:///{database}")
    for number in range(10):
        commit(store, line(number))
    store.close()
    assert sqlite_upkeep.verify(database).faults == []
    return database


@pytest.mark.parametrize(
    ("tamper", "found_at"),
    [
        ("UPDATE audit SET line = CAST('{\"n\":99}' AS BLOB) WHERE seq = 4", 4),
        ("UPDATE audit SET at = at + 1 WHERE seq = 5", 5),
        ("DELETE FROM audit WHERE seq = 6", 7),
        ("DELETE FROM audit WHERE seq <= 3", 4),
        ("INSERT INTO audit (at, line, seal) SELECT at, line, seal FROM audit WHERE seq = 2", 11),
        ("UPDATE audit SET seal = zeroblob(16) WHERE seq = 8", 8),
    ],
)
def test_every_change_is_found_at_its_line(audited: Path, tamper: str, found_at: int) -> None:
    connection = apsw.Connection(str(audited))
    connection.execute(tamper)
    connection.close()
    [fault] = sqlite_upkeep.verify(audited).faults
    assert fault.startswith(f"audit {found_at}: ")


@pytest.mark.parametrize(("cut", "last"), [("seq = 10", 9), ("seq > 4", 4), ("1", 0)])
def test_a_log_cut_at_its_end_is_found_then_and_later(audited: Path, cut: str, last: int) -> None:
    """By the newest seal, which is kept apart; and what is written since does not follow from what was left."""
    before = sqlite_upkeep.verify(audited).seal
    connection = apsw.Connection(str(audited))
    connection.execute(f"DELETE FROM audit WHERE {cut}")
    connection.close()
    after = sqlite_upkeep.verify(audited)
    assert len(after.faults) == 1
    assert after.faults[0].startswith(f"audit {last}: ")
    assert after.seal != before
    store = open_store(f"sqlite:///{audited}")
    commit(store, line(99))
    store.close()
    assert len(sqlite_upkeep.verify(audited).faults) == 1


def test_a_log_from_before_the_newest_seal_was_kept_goes_on(audited: Path) -> None:
    connection = apsw.Connection(str(audited))
    connection.execute("DELETE FROM meta WHERE key = ?", (NEWEST,))
    connection.close()
    assert sqlite_upkeep.verify(audited).faults == []
    store = open_store(f"sqlite:///{audited}")
    commit(store, line(99))
    store.close()
    assert sqlite_upkeep.verify(audited).faults == []


def test_retention_leaves_a_chain_that_holds(open_again: Opener, tmp_path: Path) -> None:
    store = open_again(Retention(closed=timedelta(days=3)))
    commit(store, *(line(number) for number in range(10)))
    assert asyncio.run(store.prune(NOW + timedelta(days=8))) > 0
    assert lines(store) == [b'{"n":%d}' % number for number in (9, 8, 7, 6, 5)]
    commit(store, line(11))
    asyncio.run(store.prune(NOW + timedelta(days=100)))
    assert lines(store) == []
    commit(store, line(120))
    [database] = tmp_path.rglob("imd.db")
    assert sqlite_upkeep.verify(database).faults == []
