"""Disks that fail, fill up, turn read-only or are locked: before or after a transaction, never between."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from imd.model.effect import Deliver, SaveAlert
from imd.store import sqlite_writer
from imd.store.contract import Store, StoreFailed, StoreRefused
from imd.store.migrate import open_store
from tests.store.faults import NAME, FaultyDisk
from tests.store.samples import NOW, alert, batch, commit, commit_batch, delivery, incident_id, pair


@pytest.fixture(params=[apsw.IOError, apsw.FullError, apsw.ReadOnlyError])
def disk(request: pytest.FixtureRequest) -> Iterator[FaultyDisk]:
    faulty = FaultyDisk(request.param)
    yield faulty
    faulty.unregister()


def members(store: Store) -> list[int]:
    """The pairs on disk. Each alert with its incident and its delivery, or the transaction was torn."""
    snapshot = store.load()
    alerts = [each.id for each in snapshot.alerts]
    assert alerts == [each.number for each in snapshot.incidents]
    assert alerts == [each.delivery.number for each in snapshot.deliveries]
    return alerts


@pytest.mark.parametrize("once", [True, False])
def test_failing_at_every_operation_in_turn(database: Path, disk: FaultyDisk, once: bool) -> None:
    """For N = 1, 2, … the N-th write or sync fails, until a run ends without a fault. What was answered for is there,
    what was not is there as a whole or not at all, and after a probe the store takes commits again."""
    store = open_store(f"sqlite:///{database}", vfs=NAME)
    number, fail_at, faults = 0, 0, 0
    acknowledged: set[int] = set()
    while True:
        fail_at += 1
        disk.arm(fail_at, once=once)
        attempted = list(range(number + 1, number + 4))
        for number in attempted:
            try:
                commit(store, *pair(number), Deliver(delivery(f"d{number}", number=number)))
            except StoreFailed:
                continue
            acknowledged.add(number)
        failed, _ = disk.failed, disk.mend()
        faults += failed > 0
        store.probe()
        found = members(store)
        assert acknowledged <= set(found), f"lost at operation {fail_at}"
        if not failed:
            break
        acknowledged = set(found)
    store.close()
    assert faults == fail_at - 1 >= 6
    store = open_store(f"sqlite:///{database}")
    assert set(members(store)) == acknowledged
    store.close()


@pytest.mark.parametrize("once", [True, False])
def test_failing_checkpoints_lose_nothing(
    database: Path, disk: FaultyDisk, once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As above with a checkpoint after each commit: moving the log into the main file fails at every operation."""
    monkeypatch.setattr(sqlite_writer, "CHECKPOINT_PAGES", 1)
    store = open_store(f"sqlite:///{database}", vfs=NAME)
    acknowledged: set[int] = set()
    number = 0
    for fail_at in range(1, 60):
        disk.arm(fail_at, once=once)
        for _ in range(3):
            number += 1
            try:
                commit(store, *pair(number), Deliver(delivery(f"d{number}", number=number)))
            except StoreFailed:
                continue
            acknowledged.add(number)
        disk.mend()
        store.probe()
        found = set(members(store))
        assert acknowledged <= found
        acknowledged = found
    store.close()
    store = open_store(f"sqlite:///{database}")
    assert set(members(store)) == acknowledged
    store.close()


def test_a_failure_fails_everything_behind_it_until_a_probe(database: Path, disk: FaultyDisk) -> None:
    """Queued batches build on the one that failed, so none of them may be kept."""
    store = open_store(f"sqlite:///{database}", vfs=NAME)
    commit(store, SaveAlert(alert(1)))
    held, release, over = threading.Event(), threading.Event(), threading.Event()
    answers: list[BaseException | None] = []

    def hold_the_writer(_answer: BaseException | None) -> None:
        held.set()
        release.wait(20)

    def done(answer: BaseException | None) -> None:
        answers.append(answer)
        if len(answers) == 3:
            over.set()

    store.commit(batch(SaveAlert(alert(2))), hold_the_writer)
    assert held.wait(20)
    disk.arm(1)
    for number in (3, 4, 5):
        store.commit(batch(*(SaveAlert(alert(number * 10_000 + n)) for n in range(2_000))), done)
    release.set()
    assert over.wait(20)
    assert all(isinstance(answer, StoreFailed) for answer in answers)
    with pytest.raises(StoreFailed):
        store.probe()
    disk.mend()
    with pytest.raises(StoreFailed, match="until a probe"):
        commit(store, SaveAlert(alert(6)))
    store.probe()
    assert [each.id for each in store.load().alerts] == [1, 2]
    commit(store, SaveAlert(alert(7)))
    store.close()


async def test_reads_go_on_while_writes_fail(database: Path, disk: FaultyDisk) -> None:
    store = open_store(f"sqlite:///{database}", vfs=NAME)
    commit(store, *pair(1))
    disk.arm(1)
    with pytest.raises(StoreFailed):
        commit(store, *pair(2))
    assert [each.id for each in await store.alerts(incident_id(1))] == [1]
    with pytest.raises(StoreFailed):
        await store.prune(NOW)
    store.close()
    disk.mend()


def test_a_disk_that_fails_at_the_start_is_a_refusal(database: Path, disk: FaultyDisk) -> None:
    disk.arm(1)
    with pytest.raises(StoreRefused, match="cannot be written"):
        open_store(f"sqlite:///{database}", vfs=NAME)
    disk.mend()
    open_store(f"sqlite:///{database}", vfs=NAME).close()


def test_another_process_holds_the_database(database: Path) -> None:
    """A shell with an open write transaction: refused after the busy timeout, taken again once it went."""
    store = open_store(f"sqlite:///{database}")
    shell = apsw.Connection(str(database))
    shell.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreFailed, match="Busy"):
        commit(store, SaveAlert(alert(1)))
    shell.execute("ROLLBACK")
    store.probe()
    commit(store, SaveAlert(alert(2)))
    assert [each.id for each in store.load().alerts] == [2]
    shell.close()
    store.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a small tmpfs cannot be mounted here: that takes root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fits(store: Store, number: int) -> bool:
    try:
        commit(store, SaveAlert(alert(number, annotations=b"x" * 4000)))
    except StoreFailed as failure:
        return "Full" not in str(failure)
    return True


def test_a_full_disk(small_disk: Path) -> None:
    """Commits fail while it is full; all that were answered for are there; once there is room it goes on."""
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(512 << 10))
    store = open_store(f"sqlite:///{small_disk}/imd.db")
    kept: list[int] = []
    while fits(store, number := len(kept) + 1):
        kept.append(number)
    with pytest.raises(StoreFailed):
        commit_batch(store, batch(SaveAlert(alert(99_999))))
    assert len(kept) > 20
    ballast.unlink()
    store.probe()
    assert [each.id for each in store.load().alerts] == kept
    commit(store, SaveAlert(alert(100_000)))
    store.close()
