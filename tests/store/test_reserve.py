"""The reserve on a disk that is really full: given up, written on, laid by again."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from imd.model.effect import SaveAlert
from imd.store import reserve
from imd.store.contract import Store, StoreFailed
from imd.store.migrate import open_store
from tests.store.samples import alert, commit

DISK_BYTES = 16 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a small tmpfs cannot be mounted here: that takes root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, but: int = 0) -> Path:
    ballast = disk / "ballast"
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free - but)
    return ballast


def fits(store: Store, first: int) -> int:
    """How many alerts are taken until one is not."""
    for number in range(first, first + 10_000):
        try:
            commit(store, SaveAlert(alert(number, annotations=b"x" * 4000)))
        except StoreFailed:
            return number - first
    raise AssertionError("it never fills up")


def test_a_full_disk_is_written_on_until_the_reserve_is_used_up(disk: Path) -> None:
    store = open_store(f"sqlite:///{disk}/imd.db")
    assert not store.short
    ballast = fill(disk)
    kept = fits(store, 1)
    assert store.short
    store.probe()
    assert not (disk / f"imd.db{reserve.SUFFIX}").exists()
    for number in range(20_001, 20_101):
        commit(store, SaveAlert(alert(number)))
    assert len(store.load().alerts) == kept + 100
    assert not store.lay_by(), "it is as full as it was"
    fits(store, 30_001)
    ballast.unlink()
    store.probe()
    assert store.short, "room alone ends no shortage: the reserve must be back"
    assert store.lay_by()
    assert not store.short
    assert (disk / f"imd.db{reserve.SUFFIX}").stat().st_blocks * 512 >= reserve.BYTES
    store.close()


def test_room_in_the_log_of_the_database_ends_no_shortage(disk: Path) -> None:
    """Emptied it gives back more than the reserve takes, and is as large again a moment later: imd went in and out of
    shortage every two seconds."""
    store = open_store(f"sqlite:///{disk}/imd.db")
    reader = apsw.Connection(str(disk / "imd.db"))
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM alert").fetchall()  # as long as it reads, the log is not begun anew
    for number in range(1, 400):
        commit(store, SaveAlert(alert(number, annotations=b"x" * 4000)))
    reader.execute("COMMIT")
    reader.close()
    assert (disk / "imd.db-wal").stat().st_size > 3 << 20
    ballast = fill(disk)
    fits(store, 1_000)
    assert store.short
    store.probe()
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    assert free > reserve.BYTES + reserve.MARGIN_BYTES, "there is room for the reserve, out of the log"
    assert not store.lay_by()
    os.truncate(ballast, ballast.stat().st_size - 2 * reserve.MARGIN_BYTES)
    assert store.lay_by(), "somebody made room"
    store.close()


def test_a_start_with_less_room_than_the_reserve_is_short(disk: Path) -> None:
    """It starts, or nobody could acknowledge what is open."""
    open_store(f"sqlite:///{disk}/imd.db").close()
    (disk / f"imd.db{reserve.SUFFIX}").unlink()
    ballast = fill(disk, but=reserve.BYTES - 65_536)
    store = open_store(f"sqlite:///{disk}/imd.db")
    assert store.short
    commit(store, SaveAlert(alert(1)))
    ballast.unlink()
    assert store.lay_by()
    assert not store.short
    store.close()


def test_a_start_on_a_full_disk_takes_the_reserve(disk: Path) -> None:
    open_store(f"sqlite:///{disk}/imd.db").close()
    fill(disk)
    store = open_store(f"sqlite:///{disk}/imd.db")
    assert store.short
    commit(store, SaveAlert(alert(1)))
    store.close()
