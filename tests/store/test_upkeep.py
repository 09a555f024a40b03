"""`imd db`: copies are whole and open, damage is found, and what can be read of a damaged database is saved."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import apsw
import msgspec
import pytest

from imd.model.effect import Deliver, SaveAlert, SaveIncident
from imd.store import sqlite_file, sqlite_salvage, sqlite_upkeep
from imd.store.contract import StoreRefused
from imd.store.migrate import create, open_store
from imd.store.sqlite_file import RECOVERED, beside
from tests.store.samples import NOW, alert, commit, delivery, incident, incident_id

ALERTS = 3_000
SEEDS = 40


def url(database: Path) -> str:
    return f"sqlite:///{database}"


@pytest.fixture
def filled(database: Path) -> Path:
    """A stopped database of some 400 pages."""
    store = open_store(url(database))
    for number in range(1, 31):
        commit(store, SaveIncident(incident(number)), Deliver(delivery(f"d{number}", number)))
    for first in range(1, ALERTS, 500):
        commit(store, *(SaveAlert(alert(n, incident_id(n % 30 + 1))) for n in range(first, first + 500)))
    store.close()
    return database


def imd_db(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "imd", "db", *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def test_a_backup_made_under_writes_opens_with_every_commit_before_it(database: Path, tmp_path: Path) -> None:
    store = open_store(url(database))
    commit(store, SaveIncident(incident(1)))
    written, stop = [0], threading.Event()

    def write() -> None:
        while not stop.is_set():
            written[0] += 1
            commit(store, SaveAlert(alert(written[0], incident_id(1))))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            before = written[0] - 1
            copy = tmp_path / f"copy-{number}.db"
            assert sqlite_upkeep.back_up(database, copy) == copy.stat().st_size
            assert sqlite_upkeep.verify(copy).faults == []
            restored = open_store(url(copy))
            assert len(restored.load().alerts) >= before
            assert restored.store_id == store.store_id, "the keys of pages stay the same"
            restored.close()
    finally:
        stop.set()
        writer.join()
        store.close()


def test_databases_and_backups_are_imds_users_alone(tmp_path: Path) -> None:
    """Whatever the umask: the key that signs the links in pages is in them."""
    before = os.umask(0)
    try:
        store = open_store(url(tmp_path / "imd.db"))
        commit(store, SaveIncident(incident(1)))
        sqlite_upkeep.back_up(tmp_path / "imd.db", tmp_path / "backup.db")
        modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
        store.close()
    finally:
        os.umask(before)
    assert modes.keys() >= {"imd.db", "imd.db-wal", "imd.db-shm", "backup.db"}
    assert set(modes.values()) == {0o600}, modes


def test_a_backup_never_overwrites_and_leaves_nothing_half_done(filled: Path, tmp_path: Path) -> None:
    there = tmp_path / "there.db"
    there.write_text("precious")
    with pytest.raises(StoreRefused, match="exists already"):
        sqlite_upkeep.back_up(filled, there)
    with pytest.raises(StoreRefused, match="no such folder"):
        sqlite_upkeep.back_up(filled, tmp_path / "nowhere" / "copy.db")
    assert there.read_text() == "precious"
    assert not list(tmp_path.glob("*.part*"))


def test_verify_counts_rows_and_names_a_record_with_a_flipped_bit(filled: Path) -> None:
    sound = sqlite_upkeep.verify(filled)
    assert (sound.faults, sound.rows["alert"], sound.rows["incident"]) == ([], ALERTS, 30)
    connection = apsw.Connection(str(filled))
    [(record,)] = connection.execute("SELECT record FROM alert WHERE id = 77")
    connection.execute("UPDATE alert SET record = ? WHERE id = 77", (record[:-1] + bytes([record[-1] ^ 1]),))
    connection.close()
    assert sqlite_upkeep.verify(filled).faults == ["alert 77: checksum mismatch"]
    run = imd_db("verify", "--store", url(filled))
    assert (run.returncode, "alert 77: checksum mismatch" in run.stdout) == (1, True)


def test_verify_misses_no_damaged_page(filled: Path, tmp_path: Path, record_property: pytest.RecordProperty) -> None:
    """A page overwritten with noise is either found, or held nothing (free pages, the tail of a page)."""
    whole = filled.read_bytes()
    before = _content(filled)
    found = 0
    for seed in range(SEEDS):
        damaged = tmp_path / f"damaged-{seed}.db"
        damaged.write_bytes(_with_noise(whole, seed))
        try:
            faults = sqlite_upkeep.verify(damaged).faults
        except StoreRefused:
            faults = ["refused"]
        found += bool(faults)
        assert faults or _content(damaged) == before
    record_property("damage found", f"{found} of {SEEDS}")
    assert found > SEEDS * 0.9


def test_recovery_saves_all_but_the_damaged_pages_and_says_so_at_the_next_start(filled: Path, tmp_path: Path) -> None:
    whole = filled.read_bytes()
    before = _content(filled)
    saved = losses = 0
    for seed in range(SEEDS):
        damaged = tmp_path / f"case-{seed}" / "imd.db"
        damaged.parent.mkdir()
        damaged.write_bytes(_with_noise(whole, seed))
        try:
            report = sqlite_salvage.recover(damaged, NOW, lambda table: None)
        except StoreRefused:
            assert damaged.read_bytes() == _with_noise(whole, seed), "nothing was touched"
            continue
        saved += 1
        assert sqlite_upkeep.verify(damaged).path == str(damaged)
        after = _content(damaged)
        for table, rows in after.items():
            assert rows <= before[table], f"seed {seed}: {table} holds rows that were never written"
        losses += sum(len(rows - after[table]) for table, rows in before.items())
        assert len(report.aside) == 1, "the damaged file is kept"
        assert Path(report.aside[0]).read_bytes() == _with_noise(whole, seed)
        store = open_store(url(damaged))
        assert store.load().lost_at == NOW
        store.close()
    assert saved >= SEEDS * 0.8
    assert losses / saved < 400, "a page or two of noise costs a few dozen rows, not a table"


def test_a_database_without_a_key_for_links_gets_one_that_stays(filled: Path) -> None:
    """One made before there were signed links; all else of it is as it was."""
    connection = sqlite_file.connect(filled)
    connection.execute("DELETE FROM meta WHERE key = 'link_key'")
    connection.close(True)
    keys = []
    for _ in range(2):
        store = open_store(url(filled))
        keys.append(store.link_key.reveal())
        assert len(store.load().alerts) == ALERTS
        store.close()
    assert len(keys[0]) == 64
    assert keys[0] == keys[1]


def test_an_interrupted_recovery_is_refused_at_a_start_and_goes_on_at_the_next_try(filled: Path) -> None:
    new = beside(filled, RECOVERED)
    sqlite_salvage.recover(filled, NOW, lambda table: None)
    filled.rename(new)  # as a kill just before the last rename leaves it
    create(filled, NOW)
    with pytest.raises(StoreRefused, match="interrupted; run `imd db recover`"):
        open_store(url(filled))
    sqlite_salvage.recover(filled, NOW, lambda table: None)
    store = open_store(url(filled))
    assert len(store.load().alerts) == ALERTS
    store.close()


def test_quarantine_starts_empty_and_keeps_the_old_files(filled: Path) -> None:
    damaged = filled.read_bytes()
    run = imd_db("recover", "--quarantine", "--store", url(filled), "--json")
    assert run.returncode == 0, run.stderr
    [aside] = msgspec.json.decode(run.stdout)["aside"]
    assert Path(aside).read_bytes() == damaged
    store = open_store(url(filled))
    snapshot = store.load()
    assert (snapshot.alerts, snapshot.alive_at, snapshot.lost_at is not None) == ([], None, True)
    store.close()


def test_recover_and_migrate_want_the_daemon_stopped(filled: Path) -> None:
    store = open_store(url(filled))
    try:
        for verb in ("recover", "migrate"):
            run = imd_db(verb, "--store", url(filled))
            assert (run.returncode, "another imd uses this database" in run.stderr) == (1, True)
        assert imd_db("verify", "--store", url(filled)).returncode == 0
    finally:
        store.close()
    run = imd_db("migrate", "--store", url(filled))
    assert (run.returncode, run.stdout) == (0, "the schema is up to date\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("verify",), "which database?"),
        (("backup", "--store", "sqlite:///x.db"), "wants the FILE"),
        (("verify", "y.db", "--store", "sqlite:///x.db"), "takes no FILE"),
        (("verify", "--quarantine", "--store", "sqlite:///x.db"), "goes with"),
        (("verify", "--config", "nowhere.yaml"), "no such file"),
    ],
)
def test_wrong_use_is_one_line_and_exit_2(arguments: tuple[str, ...], says: str) -> None:
    run = imd_db(*arguments)
    assert (run.returncode, says in run.stderr, run.stderr.count("\n")) == (2, True, 1)


def _with_noise(whole: bytes, seed: int) -> bytes:
    """One page of noise somewhere behind the first."""
    chance = random.Random(seed)
    page = 4096 * chance.randrange(1, len(whole) // 4096)
    return whole[:page] + chance.randbytes(4096) + whole[page + 4096 :]


def _content(database: Path) -> dict[str, set[tuple[object, ...]]]:
    """What can be read of each table, row by row of its key."""
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    found: dict[str, set[tuple[object, ...]]] = {}
    try:
        for table, key in (("alert", "id"), ("incident", "number"), ("delivery", "seq")):
            found[table] = set()
            try:
                found[table].update(connection.execute(f"SELECT {key}, record FROM {table} ORDER BY {key}"))
            except apsw.Error:
                found[table].add(("unreadable",))
    finally:
        connection.close()
    return found
