"""Records and reads: sums, instants, deadlines."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imd.clock import SystemClock
from imd.model.effect import SaveAlert
from imd.store import sqlite_file, sqlite_writer
from imd.store.contract import StoreFailed, TooSlow
from imd.store.migrate import open_store
from imd.store.record import BadRecord, instant, micros, pack, unpack_alert
from imd.store.sqlite_reader import Reader
from tests.store.samples import alert, commit, incident_id

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


@given(st.datetimes(timezones=st.just(UTC)))
def test_instants_are_exact_and_sort_in_columns(at: datetime) -> None:
    assert instant(micros(at)) == at


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_any_changed_byte_of_a_record_is_found(at: int, mask: int) -> None:
    stored = bytearray(pack(alert(1)))
    stored[at % len(stored)] ^= mask
    with pytest.raises(BadRecord):
        unpack_alert(bytes(stored))


class FastClock(SystemClock):
    """An hour passes between any two looks."""

    looks = 0

    def monotonic(self) -> float:
        self.looks += 1
        return self.looks * 3600.0


async def test_a_read_past_its_deadline_is_given_up(database: Path) -> None:
    """The next one is served."""
    store = open_store(f"sqlite:///{database}")
    reader = Reader(lambda: sqlite_file.connect(database, read_only=True), FastClock())
    with pytest.raises(TooSlow, match="longer than 2 s"):
        await reader.read(lambda connection: connection.execute(ENDLESS).fetchall())
    assert await reader.read(lambda connection: connection.execute("SELECT 1").fetchall()) == [(1,)]
    with pytest.raises(StoreFailed, match="readonly"):
        await reader.read(lambda connection: connection.execute("DELETE FROM alert").fetchall())
    reader.close()
    store.close()
    with pytest.raises(StoreFailed, match="closed"):
        await store.alerts("i1")


async def test_a_damaged_record_fails_its_read_alone(database: Path) -> None:
    store = open_store(f"sqlite:///{database}")
    commit(store, SaveAlert(alert(1, incident_id(1))), SaveAlert(alert(2, incident_id(2))))
    shell = apsw.Connection(str(database))
    shell.execute("UPDATE alert SET record = x'0000000090' WHERE id = 1")
    shell.close()
    with pytest.raises(StoreFailed, match="damaged"):
        await store.alerts(incident_id(1))
    assert [each.id for each in await store.alerts(incident_id(2))] == [2]
    store.close()


def test_the_log_stays_small_under_load(database: Path) -> None:
    """Checkpoints follow the writes; a reader that sits in the log makes it grow, and once it left it is cut back."""
    store = open_store(f"sqlite:///{database}")
    wide = b"x" * 20_000

    def write(times: int) -> int:
        for number in range(times):
            commit(store, *(SaveAlert(alert(number * 100 + n + 1, annotations=wide)) for n in range(100)))
        return store.wal_bytes

    assert write(10) < 4 * sqlite_writer.CHECKPOINT_PAGES * 4096
    sitting = apsw.Connection(str(database))
    sitting.execute("BEGIN")
    sitting.execute("SELECT count(*) FROM alert").fetchall()
    assert write(50) > sqlite_writer.WAL_BYTES_MAX
    sitting.close()
    assert write(10) < 4 * sqlite_writer.CHECKPOINT_PAGES * 4096
    store.close()
