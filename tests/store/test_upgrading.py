"""A database of an earlier schema, once it was opened: what was in it is found by the ways of today."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from imd.model.effect import SaveAlert, SaveIncident
from imd.store.batch import Batch
from imd.store.contract import Store
from imd.store.migrate import create, known_migrations, open_store
from tests.store.samples import NOW, alert, incident

ALERTS = 200


@pytest.fixture
def before_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of schema 8: alerts 1 to ALERTS, the odd ones of incident i1, which is held, the others of i0, which is past;
    every third is held."""
    path = tmp_path / "imd.db"
    shipped = known_migrations()
    with monkeypatch.context() as patched:
        patched.setattr("imd.store.migrate.known_migrations", lambda: shipped[:8])
        create(path, NOW)
    batch = Batch()
    batch.add(SaveIncident(incident(1)), NOW)
    for number in range(1, ALERTS + 1):
        batch.add(SaveAlert(alert(number, f"i{number % 2}")), NOW)
    connection = apsw.Connection(str(path))
    many = connection.executemany
    with connection:
        many("INSERT INTO alert (id, held, state, incident, record) VALUES (?, 1, ?, ?, ?)", batch.alerts.values())
        columns = "number, id, state, priority, rule, opened_at, over_at, record"
        many(f"INSERT INTO incident ({columns}, held) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1)", batch.incidents.values())
        connection.execute("UPDATE incident SET id = 'i1'")
        connection.execute("UPDATE alert SET held = id % 3 = 0")
    connection.close()
    return path


def opened(path: Path) -> Store:
    return open_store(f"sqlite:///{path}")


async def test_members_are_found_after_the_upgrade(before_members: Path) -> None:
    """Those that the engine held and those that it had let go of, of an incident under way and of a past one."""
    store, ids = opened(before_members), range(1, ALERTS + 1)
    try:
        assert [one.id for one in store.load().alerts] == [n for n in ids if n % 2 or n % 3 == 0]
        for rest in (0, 1):
            found = await store.alerts(f"i{rest}", limit=ALERTS)
            assert [one.id for one in found] == [n for n in ids if n % 2 == rest]
    finally:
        store.close()
    assert before_members.with_name("imd.db.before-0009").exists()
