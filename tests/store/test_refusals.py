"""What must not be opened is refused with words that say what to do, and is left as it was."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import apsw
import pytest

from imd.model.effect import SaveAlert
from imd.store import migrate as migrations
from imd.store import sqlite_upkeep
from imd.store.batch import Batch
from imd.store.contract import StoreRefused
from imd.store.migrate import Migration, known_migrations, open_store
from imd.store.sqlite_file import APPLICATION_ID
from tests.store.samples import NOW, alert, commit, commit_batch, incident_id, pair

ROOT = Path(__file__).parents[2]
ALERTS = 300


def url(database: Path) -> str:
    return f"sqlite:///{database}"


@pytest.fixture
def stopped(database: Path) -> Path:
    """A database of a clean stop: everything in the main file."""
    store = open_store(url(database))
    for number in range(1, ALERTS, 50):
        commit(store, *(SaveAlert(alert(n, incident_id(1))) for n in range(number, number + 50)))
    store.close()
    return database


@pytest.fixture
def killed(database: Path, tmp_path: Path) -> Path:
    """A database as kill -9 leaves it: the commits are in the log alone."""
    working = tmp_path / "working" / "imd.db"
    store = open_store(url(working))
    for number in range(1, 30):
        commit(store, *pair(number))
    for suffix in ("", "-wal"):
        shutil.copy(f"{working}{suffix}", f"{database}{suffix}")
    store.close()
    return database


def flip(path: Path, at: int, mask: int = 0x10) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= mask
    path.write_bytes(content)


def cut(path: Path, size: int) -> None:
    os.truncate(path, size)


def overwrite(path: Path, at: int, content: bytes) -> None:
    whole = bytearray(path.read_bytes())
    whole[at : at + len(content)] = content
    path.write_bytes(whole)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: cut(path, 0), "0 bytes long"),
    "a few bytes": (lambda path: cut(path, 50), "50 bytes long"),
    "half": (lambda path: cut(path, path.stat().st_size // 2), "damaged"),
    "one page short": (lambda path: cut(path, path.stat().st_size - 4096), "damaged"),
    "one page alone": (lambda path: cut(path, 4096), "damaged"),
    "garbage": (lambda path: path.write_bytes(b"garbage " * 4096), "not an SQLite database"),
    "zero header": (lambda path: overwrite(path, 0, bytes(100)), "not an SQLite database"),
    "zero first page": (lambda path: overwrite(path, 0, bytes(4096)), "not an SQLite database"),
    "zero schema": (lambda path: overwrite(path, 100, bytes(3996)), "damaged"),
    "zero second page": (lambda path: overwrite(path, 4096, bytes(4096)), "damaged"),
    "another program's": (lambda path: overwrite(path, 68, struct.pack(">I", 7)), "another program"),
    "text": (lambda path: path.write_text("store: sqlite\n" * 100), "not an SQLite database"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_databases_are_refused_and_left_alone(stopped: Path, damage: str) -> None:
    harm, words = DAMAGES[damage]
    harm(stopped)
    before = stopped.read_bytes()
    with pytest.raises(StoreRefused, match=words) as refusal:
        open_store(url(stopped))
    assert str(stopped) in str(refusal.value)
    assert "restore" in str(refusal.value) or "file of its own" in str(refusal.value)
    assert stopped.read_bytes() == before


def test_flipped_bits_are_found_or_harmless(stopped: Path) -> None:
    """One bit anywhere: refused at the opening or at the load, or the alerts are all there as they were."""
    store = open_store(url(stopped))
    whole = {each.id: each for each in store.load().alerts}
    store.close()
    good = stopped.read_bytes()
    refused = 0
    for at in range(0, len(good), 997):
        stopped.write_bytes(good)
        flip(stopped, at)
        try:
            store = open_store(url(stopped))
        except StoreRefused:
            refused += 1
            continue
        try:
            found = {each.id: each for each in store.load().alerts}
            assert found == whole, f"bit at {at}"
        except StoreRefused:
            refused += 1
        finally:
            store.close()
    assert refused > len(good) // 997 // 3  # the rest hits what is free, or changes nothing that is read


WAL_DAMAGES: dict[str, Callable[[Path], object]] = {
    "zero head": lambda path: overwrite(path, 0, bytes(32)),
    "flipped salt": lambda path: flip(path, 17),
    "all zero": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "first frame": lambda path: flip(path, 32 + 24 + 100),
    "middle": lambda path: flip(path, path.stat().st_size // 2),
    "first frame's head": lambda path: flip(path, 32 + 16),
}


@pytest.mark.parametrize("damage", WAL_DAMAGES)
def test_a_damaged_log_of_durable_commits_is_refused(killed: Path, damage: str) -> None:
    """SQLite itself would go on without the commits behind the damage."""
    WAL_DAMAGES[damage](killed.with_name("imd.db-wal"))
    with pytest.raises(StoreRefused, match="log"):
        open_store(url(killed))


@pytest.mark.parametrize("how", [Path.unlink, lambda wal: cut(wal, 0), lambda wal: cut(wal, 40)])
def test_a_log_that_is_gone_after_an_unclean_end_is_told_until_somebody_heard(
    killed: Path, how: Callable[[Path], object]
) -> None:
    """SQLite takes it for a database that was closed as it should: the commits are gone without a word."""
    how(killed.with_name("imd.db-wal"))
    [fault] = sqlite_upkeep.verify(killed).faults
    assert "its log imd.db-wal is gone" in fault
    for _ in range(2):  # the first start is killed before it could say so
        store = open_store(url(killed))
        snapshot = store.load()
        assert (snapshot.incidents, snapshot.lost_log) == ([], True)
        assert snapshot.lost_at is not None
        store.close()
    store = open_store(url(killed))
    said = Batch()
    said.alive(snapshot.lost_at + timedelta(seconds=1))
    commit_batch(store, said)
    assert store.load().lost_at is None
    store.close()
    assert sqlite_upkeep.verify(killed).faults == []


def test_a_log_that_was_moved_into_the_database_is_not_missed(stopped: Path, tmp_path: Path) -> None:
    """Stopped as it should be, copied by imd or restored from such a copy, made before the mark: none lacks a log."""
    store = open_store(url(stopped))
    copy = tmp_path / "copy.db"
    sqlite_upkeep.back_up(stopped, copy)
    store.close()
    assert not stopped.with_name("imd.db-wal").exists()
    for database in (stopped, copy):
        store = open_store(url(database))
        assert (store.load().lost_at, len(store.load().alerts)) == (None, ALERTS)
        store.close()


def test_a_torn_last_commit_is_no_damage(killed: Path) -> None:
    """Power went while it was written: nobody was answered for it, and the start goes on without it."""
    wal = killed.with_name("imd.db-wal")
    cut(wal, wal.stat().st_size - 100)
    store = open_store(url(killed))
    assert [each.number for each in store.load().incidents] == list(range(1, 29))
    store.close()


def test_an_untouched_log_is_taken_in(killed: Path) -> None:
    store = open_store(url(killed))
    assert [each.number for each in store.load().incidents] == list(range(1, 30))
    store.close()


def test_a_log_without_its_database_is_refused(killed: Path) -> None:
    killed.unlink()
    with pytest.raises(StoreRefused, match="missing, but its log"):
        open_store(url(killed))
    assert not killed.exists()


def test_a_missing_database_and_folder_are_made(tmp_path: Path) -> None:
    store = open_store(url(tmp_path / "a" / "b" / "imd.db"))
    assert store.load().last_alert_id == 0
    store.close()


def test_what_a_stopped_creation_left_is_cleared(database: Path) -> None:
    database.with_name("imd.db.new").write_bytes(b"half a database")
    database.with_name("imd.db.new-wal").write_bytes(b"half a log")
    open_store(url(database)).close()
    assert sorted(path.name for path in database.parent.iterdir()) == ["imd.db", "imd.db.lock", "imd.db.reserve"]


def test_a_folder_in_its_place_is_refused(database: Path) -> None:
    database.mkdir()
    with pytest.raises(StoreRefused, match="is a folder"):
        open_store(url(database))


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("")
    with pytest.raises(StoreRefused, match="folder cannot be made"):
        open_store(url(tmp_path / "var" / "imd.db"))


@pytest.mark.parametrize(
    "wrong",
    ["postgres://db/imd", "sqlite://imd.db", "sqlite:///", "sqlite:///var/", "sqlite:///:memory:", "imd.db", ""],
)
def test_urls_that_are_not_understood(wrong: str) -> None:
    with pytest.raises(StoreRefused, match=r"sqlite:///var/imd\.db"):
        open_store(wrong)


def test_a_database_without_permission_is_refused(stopped: Path) -> None:
    """Tried as another user, since root may do all."""
    if os.geteuid() != 0:
        stopped.chmod(0)
        with pytest.raises(StoreRefused, match="cannot be read"):
            open_store(url(stopped))
        return
    stopped.chmod(0o600)
    folder = stopped.parent
    for place in (folder, folder.parent, folder.parent.parent):
        place.chmod(0o777)
    code = (
        "import os, sys\nfrom imd.store.contract import StoreRefused\nfrom imd.store.migrate import open_store\n"
        "os.unlink(sys.argv[1] + '.lock')\nos.setuid(65534)\n"
        "try:\n    open_store('sqlite:///' + sys.argv[1])\nexcept StoreRefused as refusal:\n    print(refusal)\n"
    )
    command = [sys.executable, "-c", code, str(stopped)]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "cannot be read: Permission denied; imd's user must own this file" in answer.stdout, answer.stderr


def test_a_second_instance_is_refused_within_a_second(database: Path) -> None:
    """In this process and in another; the message names the process that holds it. Once it went, all is well."""
    store = open_store(url(database))
    started = time.monotonic()
    with pytest.raises(StoreRefused, match=rf"another imd uses this database \(process {os.getpid()}\)"):
        open_store(url(database))
    assert time.monotonic() - started < 1
    code = f"from imd.store.migrate import open_store; open_store({url(database)!r})"
    other = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert f"process {os.getpid()}" in other.stderr
    commit(store, SaveAlert(alert(1)))
    store.close()
    open_store(url(database)).close()


def test_the_lock_is_released_by_a_refusal(database: Path) -> None:
    database.write_bytes(b"")
    for _ in range(2):
        with pytest.raises(StoreRefused, match="0 bytes long"):
            open_store(url(database))


def test_a_newer_schema_is_refused(stopped: Path) -> None:
    shell = apsw.Connection(str(stopped))
    shell.execute("INSERT INTO schema_version VALUES (9000, 'from_the_future', 'abc', 0)")
    shell.close()
    with pytest.raises(StoreRefused, match="written by a newer imd") as refusal:
        open_store(url(stopped))
    assert "start that version" in str(refusal.value)


def test_an_edited_migration_is_refused(stopped: Path) -> None:
    shell = apsw.Connection(str(stopped))
    shell.execute("UPDATE schema_version SET checksum = 'abc' WHERE number = 1")
    shell.close()
    with pytest.raises(StoreRefused, match="not what this imd ships"):
        open_store(url(stopped))


def test_migrations_are_numbered_without_gaps() -> None:
    known = known_migrations()
    assert [migration.number for migration in known] == list(range(1, len(known) + 1))


NEXT = known_migrations()[-1].number + 1
SECOND = Migration(NEXT, "second", "ALTER TABLE alert ADD COLUMN more TEXT; CREATE TABLE extra (a TEXT) STRICT;")
BROKEN = Migration(NEXT, "broken", "CREATE TABLE extra (a TEXT) STRICT; INSERT INTO nowhere VALUES (1);")


def test_a_migration_is_applied_once_and_copies_first(stopped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = known_migrations()
    monkeypatch.setattr(migrations, "known_migrations", lambda: [*shipped, SECOND])
    for _ in range(2):
        store = open_store(url(stopped))
        assert len(store.load().alerts) == ALERTS
        store.close()
    monkeypatch.undo()
    with pytest.raises(StoreRefused, match=rf"imd\.db\.before-{NEXT:04d}"):
        open_store(url(stopped))
    copy = stopped.with_name(f"imd.db.before-{NEXT:04d}")
    copy.rename(stopped)
    store = open_store(url(stopped))
    assert len(store.load().alerts) == ALERTS
    store.close()


def test_a_migration_that_fails_changes_nothing(stopped: Path) -> None:
    shipped = known_migrations()
    connection = apsw.Connection(str(stopped))
    with pytest.raises(apsw.SQLError):
        migrations.migrate(connection, stopped, [*shipped, BROKEN], NOW)
    assert connection.execute("SELECT name FROM sqlite_schema WHERE name = 'extra'").fetchall() == []
    assert migrations.migrate(connection, stopped, [*shipped, SECOND], NOW) == [NEXT]
    connection.close()


def test_the_application_id_reads_as_text() -> None:
    assert APPLICATION_ID.to_bytes(4, "big") == b"imd1"
