"""An upgrade that is killed at each of its statements (row 42 of docs/faults.md)."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import apsw

from imd.model.effect import SaveAlert
from imd.store import sqlite_file
from imd.store.contract import Batch
from imd.store.migrate import known_migrations, migrate, open_store
from imd.store.sqlite_file import APPLICATION_ID
from tests.faults.trials import LONG
from tests.store.samples import NOW, alert
from tests.system.running import ROOT

ALERTS = 200
EVERY = 1 if LONG else 9  # statements from one death to the next

CHILD = """
import os, signal, sys
from imd.store import sqlite_file
from imd.store.migrate import open_store

left, connect = int(sys.argv[2]), sqlite_file.connect

def counted(cursor, sql, bound):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return True

def connected(*arguments, **named):
    connection = connect(*arguments, **named)
    connection.exec_trace = counted
    return connection

sqlite_file.connect = connected
open_store(f"sqlite:///{sys.argv[1]}").close()
"""


def _of_the_first_schema(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("PRAGMA journal_mode = WAL")
    migrate(connection, path, known_migrations()[:1], NOW)
    connection.execute("INSERT INTO meta (key, value) VALUES ('store_id', '00112233445566aa')")
    batch = Batch()
    for number in range(1, ALERTS + 1):
        batch.add(SaveAlert(alert(number)), NOW)
    rows = sorted(batch.alerts.values())
    connection.executemany("INSERT INTO alert (id, held, state, incident, record) VALUES (?, 1, ?, ?, ?)", rows)
    connection.close()


def test_an_upgrade_killed_at_any_statement_is_gone_on_with(tmp_path: Path, figures: list[str]) -> None:
    """The next start finds the schema before or after a migration, never between, brings it up to date, and all is
    there."""
    old = tmp_path / "old.db"
    _of_the_first_schema(old)
    deaths = 0
    for at in range(1, 10_000, EVERY):
        folder = tmp_path / f"at{at}"
        folder.mkdir()
        database = folder / "imd.db"
        shutil.copy(old, database)
        command = [sys.executable, "-c", CHILD, str(database), str(at)]
        ended = subprocess.run(command, cwd=ROOT, check=False, timeout=60, capture_output=True, text=True)
        assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
        deaths += ended.returncode != 0
        store = open_store(f"sqlite:///{database}")
        assert len(store.load().alerts) == ALERTS
        assert store.store_id == "00112233445566aa"
        store.close()
        connection = sqlite_file.connect(database, read_only=True)
        applied = connection.execute("SELECT number FROM schema_version ORDER BY number").fetchall()
        connection.close(True)
        assert [number for (number,) in applied] == [one.number for one in known_migrations()]
        shutil.rmtree(folder)
        if ended.returncode == 0:
            break
    figures.append(f"row 42, upgrades killed: {deaths} of {deaths + 1} died on the way, L 0 of {ALERTS} alerts each")
    assert deaths > 3
