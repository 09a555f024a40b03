"""What is past its time goes, in slices, and nothing that the engine still holds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import apsw
import msgspec

from imd.model.effect import (
    AppendTimeline,
    Deliver,
    ForgetAlert,
    ForgetIncident,
    Journal,
    SaveAlert,
    SaveConversation,
    SaveIncident,
    SettleDelivery,
)
from imd.model.incident import IncidentState
from imd.store.contract import Retention, Store
from imd.store.migrate import open_store
from imd.store.record import micros
from imd.store.sqlite_retention import SLICE, slices
from tests.store.samples import NOW, alert, commit, delivery, entry, incident, incident_id

Opener = Callable[..., Store]
DAY = timedelta(days=1)


def old_incident(store: Store, number: int, alerts: int) -> None:
    """Resolved at NOW and let go of by the engine, with alerts, timeline and a settled delivery."""
    name = incident_id(number)
    commit(store, SaveIncident(incident(number, state=IncidentState.RESOLVED, resolved_at=NOW)), ForgetIncident(name))
    ids = range(number * 10_000, number * 10_000 + alerts)
    commit(store, *(SaveAlert(alert(each, name)) for each in ids), *(ForgetAlert(each, keep=True) for each in ids))
    commit(store, *(AppendTimeline(name, entry(seq)) for seq in range(alerts)))
    commit(store, Deliver(delivery(f"d{number}", number=number)))
    commit(store, SettleDelivery(delivery=f"d{number}", outcome="accepted", error="", attempts=1, at=NOW))
    commit(store, SaveConversation(name, "ops", b"{}"))


async def test_ended_incidents_go_with_all_that_is_theirs(open_again: Opener) -> None:
    """At 400 days from their end, not before; numbers and ids are not given again."""
    store = open_again()
    old_incident(store, 1, alerts=SLICE + 100)
    old_incident(store, 2, alerts=3)
    assert await store.prune(NOW + 399 * DAY) == 2  # what the two messages said
    assert await store.prune(NOW + 401 * DAY) == 2 * (SLICE + 100) + 6 + 2 + 2 + 2
    store = open_again()
    for number in (1, 2):
        name = incident_id(number)
        assert await store.incident(name) is None
        assert await store.alerts(name) == []
        assert await store.timeline(name) == []
        assert await store.deliveries(name) == []
    assert (store.load().last_number, store.load().last_alert_id) == (2, 20_002)


async def test_work_on_what_is_long_over_puts_its_end_off_by_nothing(store: Store) -> None:
    """Noted and closed 300 days after it was resolved: it goes at 400 days from its end."""
    old_incident(store, 1, alerts=1)
    late = NOW + 300 * DAY
    closed = incident(1, state=IncidentState.CLOSED, resolved_at=NOW, closed_at=late)
    commit(store, SaveIncident(closed), AppendTimeline(closed.id, entry(7)), ForgetIncident(closed.id))
    await store.prune(NOW + 399 * DAY)
    assert (await store.incident(closed.id)) is not None
    await store.prune(NOW + 401 * DAY)
    assert (await store.incident(closed.id)) is None
    assert await store.timeline(closed.id) == []


async def test_a_merged_incident_goes_by_when_it_was_merged(store: Store) -> None:
    """As its survivor does by its end: it opened 300 days before."""
    merged = incident(1, state=IncidentState.MERGED, merged_into=incident_id(2), opened_at=NOW - 300 * DAY)
    commit(store, SaveIncident(merged), ForgetIncident(merged.id))
    await store.prune(NOW + 399 * DAY)
    assert (await store.incident(merged.id)) is not None
    await store.prune(NOW + 401 * DAY)
    assert (await store.incident(merged.id)) is None


async def test_what_is_open_or_held_stays_however_old(store: Store) -> None:
    """An open incident, one the engine still holds, and a firing alert of one that is over."""
    over = incident(2, state=IncidentState.RESOLVED, resolved_at=NOW)
    gone = incident(3, state=IncidentState.RESOLVED, resolved_at=NOW)
    commit(store, SaveIncident(incident(1)), SaveIncident(over), SaveIncident(gone), ForgetIncident(gone.id))
    commit(store, SaveAlert(alert(1, gone.id)), Deliver(delivery("d", number=2)))
    await store.prune(NOW + 1000 * DAY)
    snapshot = store.load()
    assert [each.number for each in snapshot.incidents] == [1, 2]
    assert [each.id for each in snapshot.alerts] == [1]
    assert len(snapshot.deliveries) == 1


async def test_the_journal_is_kept_thirty_days(database: Path) -> None:
    store = open_store(f"sqlite:///{database}")
    for day in range(4):
        commit(store, *(Journal(NOW + day * DAY, b"{}") for _ in range(SLICE)))
    assert await store.prune(NOW + 31.5 * DAY) == 2 * SLICE
    assert await store.prune(NOW + 31.5 * DAY) == 0
    store.close()
    rows = apsw.Connection(str(database)).execute("SELECT min(at), count(*) FROM journal").fetchall()
    assert rows == [(micros(NOW + 2 * DAY), 2 * SLICE)]


async def test_what_a_message_said_goes_with_the_journal(open_again: Opener) -> None:
    """Who was told what, when and how it went stays; one that is still to be sent keeps all it says."""
    store = open_again()
    old_incident(store, 1, alerts=1)
    commit(store, Deliver(delivery("waits", number=2)), SaveIncident(incident(2)))
    (said,) = await store.deliveries(incident_id(1))
    assert len(said.delivery.body) > 2
    assert await store.prune(NOW + 29 * DAY) == 0
    assert await store.prune(NOW + 31 * DAY) == 1
    assert await store.prune(NOW + 31 * DAY) == 0, "nothing is looked at twice"
    store = open_again()
    (kept,) = await store.deliveries(incident_id(1))
    assert kept.delivery.body == b"{}"
    assert msgspec.structs.replace(kept, delivery=said.delivery) == said
    assert msgspec.structs.replace(kept.delivery, body=said.delivery.body) == said.delivery
    assert [row.delivery for row in await store.deliveries(incident_id(2))] == [delivery("waits", number=2)]
    commit(store, SettleDelivery(delivery="waits", outcome="accepted", error="", attempts=1, at=NOW))
    assert await store.prune(NOW + 31 * DAY) == 1


async def test_numbers_of_messages_that_are_given_again_are_looked_at_again(store: Store) -> None:
    """SQLite does so once the newest rows are gone."""
    old_incident(store, 1, alerts=1)
    old_incident(store, 2, alerts=1)
    await store.prune(NOW + 31 * DAY)
    await store.prune(NOW + 401 * DAY)
    commit(store, SaveIncident(incident(3)), Deliver(delivery("d3", number=3)))
    commit(store, SettleDelivery(delivery="d3", outcome="accepted", error="", attempts=1, at=NOW))
    assert await store.prune(NOW + 31 * DAY) == 1
    assert [row.delivery.body for row in await store.deliveries(incident_id(3))] == [b"{}"]


async def test_no_slice_touches_more_rows_than_it_may(database: Path) -> None:
    """Counted by SQLite itself, for each transaction."""
    store = open_store(f"sqlite:///{database}")
    old_incident(store, 1, alerts=2 * SLICE)
    commit(store, *(Journal(NOW, b"{}") for _ in range(3 * SLICE)))
    store.close()
    connection = apsw.Connection(str(database))
    for work in slices(Retention(), NOW + 500 * DAY):
        while True:
            before = connection.total_changes()
            count = work(connection)
            assert connection.total_changes() - before <= SLICE + 1  # and the highest id, kept in meta
            if not count:
                break
    assert connection.execute("SELECT count(*) FROM alert").fetchall() == [(0,)]
