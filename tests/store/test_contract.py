"""What every store must do, on a real one: nothing here knows which."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from imd.model.alert import AlertState, Span
from imd.model.digest import Digests
from imd.model.effect import (
    AppendTimeline,
    CancelPages,
    Counted,
    Deliver,
    Effect,
    ForgetAlert,
    ForgetBeat,
    ForgetIncident,
    Journal,
    Refused,
    SaveAlert,
    SaveBeat,
    SaveConversation,
    SaveDigests,
    SaveIncident,
    SaveOverride,
    SaveSeen,
    SaveSilence,
    SaveTurn,
    SettleDelivery,
)
from imd.model.heartbeat import Beat
from imd.model.incident import IncidentState, Priority
from imd.model.policy import PageKind
from imd.model.rule import Matcher, Op
from imd.store.batch import _ADD
from imd.store.contract import Batch, DeliveryState, IncidentQuery, Retention, Store, StoreFailed
from tests.store.samples import (
    NOW,
    alert,
    batch,
    commit,
    commit_batch,
    delivery,
    entry,
    incident,
    incident_id,
    override,
    pair,
    silence,
)

Opener = Callable[..., Store]


def test_a_fresh_store_is_empty_and_has_an_id_that_stays(open_again: Opener) -> None:
    """The id is 16 hex digits and the same after a restart; so is the key that signs links, which shows nowhere."""
    first = open_again()
    key = first.link_key
    assert len(key.reveal()) == 64
    assert key.reveal() not in repr(first.load())
    snapshot = open_again().load()
    assert (snapshot.alerts, snapshot.incidents, snapshot.deliveries, snapshot.silences) == ([], [], [], [])
    assert (snapshot.alive_at, snapshot.last_alert_id, snapshot.last_number) == (None, 0, 0)
    assert len(snapshot.store_id) == 16
    assert int(snapshot.store_id, 16) >= 0
    assert open_again().store_id == snapshot.store_id
    assert open_again().link_key.reveal() == key.reveal()


def test_records_come_back_as_they_were_saved(open_again: Opener) -> None:
    """Every field of alerts and incidents survives a restart, instants as aware UTC to the microsecond."""
    odd = alert(
        2,
        ended_at=datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        starts_at=datetime(1, 1, 1, tzinfo=UTC),
        state=AlertState.EXPIRED,
        other_labels=b'{"key":"k"}',
    )
    store = open_again()
    first, member = incident(1), alert(1, incident_id(1))
    commit(store, SaveIncident(first), SaveAlert(member), SaveAlert(odd))
    snapshot = open_again().load()
    assert snapshot.alerts == [member, odd]
    assert snapshot.incidents == [first]
    assert snapshot.alerts[0].seen_at.tzinfo is UTC
    assert isinstance(snapshot.alerts[1].state, AlertState)
    assert (snapshot.last_alert_id, snapshot.last_number) == (2, 1)


def test_records_are_encoded_when_added(store: Store) -> None:
    """The engine goes on changing its records; the batch holds what they were."""
    mine = alert(1)
    collected = batch(SaveAlert(mine))
    mine.count = 99
    commit_batch(store, collected)
    assert store.load().alerts[0].count == 1


def test_beats_are_kept_by_name_and_values(open_again: Opener) -> None:
    """The latest of each comes back; one that was forgotten does not."""
    store = open_again()
    lone = Beat(heartbeat="backup", by=(), beat_at=None, due_at=NOW)
    east, west = (Beat(heartbeat="dog", by=(("cluster", each),), beat_at=NOW, due_at=NOW) for each in ("e", "w"))
    commit(store, SaveBeat(lone), SaveBeat(west), SaveBeat(east))
    east.missing = True
    commit(store, SaveBeat(east), ForgetBeat("dog", west.by))
    assert open_again().load().beats == [lone, east]


def test_conversations_are_kept_by_incident_and_receiver(open_again: Opener) -> None:
    """The latest of each comes back, for incidents that are held or about which something waits to be sent."""
    store = open_again()
    commit(store, SaveIncident(incident(1)), SaveConversation(incident_id(1), "chat", b"1"))
    commit(store, SaveConversation(incident_id(1), "mail", b"2"), SaveConversation(incident_id(1), "chat", b"3"))
    commit(
        store, SaveIncident(incident(2)), SaveConversation(incident_id(2), "chat", b"4"), ForgetIncident("i00000002")
    )
    commit(store, Deliver(delivery("d3", number=3)), SaveConversation(incident_id(3), "chat", b"5"))
    kept = [(one.incident, one.receiver, one.conversation) for one in open_again().load().conversations]
    first, third = incident_id(1), incident_id(3)
    assert kept == [(first, "chat", b"3"), (first, "mail", b"2"), (third, "chat", b"5")]


def test_the_last_save_in_a_batch_wins(store: Store) -> None:
    """An alert saved twice in a batch is one row with the later state; so is an incident."""
    mine, theirs = alert(1), incident(1)
    collected = batch(SaveAlert(mine), SaveIncident(theirs))
    mine.state, theirs.state = AlertState.RESOLVED, IncidentState.RESOLVED
    collected.add(SaveAlert(mine), NOW)
    collected.add(SaveIncident(theirs), NOW)
    assert collected.rows == 2
    commit_batch(store, collected)
    snapshot = store.load()
    assert snapshot.alerts == [mine]
    assert snapshot.incidents == [theirs]


def test_a_flush_of_repeats_moves_what_repeats_move(open_again: Opener) -> None:
    """Last seen, spans, count and texts come from the flush, state from the last save."""
    store = open_again()
    mine = alert(1)
    commit(store, SaveAlert(mine))
    mine.seen_at, mine.count = NOW + timedelta(minutes=1), 7
    mine.spans = (Span(NOW, NOW + timedelta(minutes=9), None),)
    mine.annotations, mine.generator_url, mine.other_labels = b'{"a":"b"}', "http://new.example", b'{"c":"d"}'
    commit(store, SaveSeen((mine,)))
    assert open_again().load().alerts == [mine]


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("seen_first", [True, False])
def test_of_a_save_and_a_flush_the_later_wins(store: Store, seen_first: bool, together: bool) -> None:
    """Also within one batch, and also when the clock went backwards between the two."""
    mine = alert(1)
    commit(store, SaveAlert(mine))
    kinds = [lambda: SaveSeen((mine,)), lambda: SaveAlert(mine)]
    collected = [Batch(), Batch()]
    for at, make in enumerate(kinds if seen_first else reversed(kinds)):
        mine.count += 1
        mine.seen_at -= timedelta(minutes=1)
        mine.annotations = f'{{"n":"{at}"}}'.encode()
        collected[0 if together else at].add(make(), NOW)
    commit_batch(store, *collected)
    assert store.load().alerts == [mine]


def test_new_and_known_alerts_in_one_batch(open_again: Opener) -> None:
    """What a flush said of a known one goes with its save; the newest known one of all is no new one."""
    store = open_again()
    known = [alert(number) for number in (1, 2, 3)]
    commit(store, *map(SaveAlert, known))
    for one in known[1:]:
        one.count = 7
    commit(store, SaveSeen(tuple(known[1:])))
    for one in known[1:]:
        one.count, one.state = 8, AlertState.RESOLVED
    fresh = [alert(number) for number in (5, 4, 70)]
    commit(
        store, SaveAlert(fresh[0]), SaveAlert(known[2]), SaveAlert(fresh[1]), SaveAlert(known[1]), SaveAlert(fresh[2])
    )
    assert open_again().load().alerts == [*known, fresh[1], fresh[0], fresh[2]]


def test_what_alerts_have_in_common_is_one_object_for_all_that_are_loaded(open_again: Opener) -> None:
    """Half of an alert's memory after a restart would be its own copies."""
    told = [
        alert(number, incident_id(1), related="is on the same entity host/a as Down, 3s later") for number in (1, 2, 3)
    ]
    commit(open_again(), SaveIncident(incident(1)), *map(SaveAlert, told))
    one, other, last = open_again().load().alerts
    for name in ("source", "rule", "incident", "joined_because", "related", "generator_url", "annotations"):
        assert getattr(one, name) is getattr(other, name) is getattr(last, name), name
    for name in ("starts_at", "received_at", "seen_at", "joined_at", "spans"):
        assert getattr(one, name) is getattr(other, name) is getattr(last, name), name
    assert one.identity.canonical != other.identity.canonical


def test_forgotten_alerts(open_again: Opener) -> None:
    """One in no incident is gone; a member stays for its incident; ids do not come again."""
    store = open_again()
    commit(store, *pair(1), SaveAlert(alert(2)), SaveAlert(alert(3, incident_id(9))))
    commit(store, SaveSeen((alert(2),)), ForgetAlert(2, keep=False), ForgetAlert(3, keep=True), ForgetAlert(1, True))
    snapshot = open_again().load()
    assert [each.id for each in snapshot.alerts] == [1]  # a member of an incident that is held
    assert snapshot.last_alert_id == 3
    commit(open_again(), ForgetAlert(3, keep=False), SaveAlert(alert(7)), ForgetAlert(7, keep=False))
    assert open_again().load().last_alert_id == 7


async def test_a_kept_alert_is_found_by_its_incident(store: Store) -> None:
    """Forgotten by the engine, listed for people."""
    commit(store, SaveAlert(alert(3, incident_id(9))), ForgetAlert(3, keep=True))
    assert store.load().alerts == []
    assert [each.id for each in await store.alerts(incident_id(9))] == [3]


async def test_members_are_found_whether_held_or_not(store: Store) -> None:
    """A few of each, in order of id and page by page; another incident's, and those of none, are not among them."""
    mine, other = incident_id(9), incident_id(8)
    commit(store, *(SaveAlert(alert(n, mine if n % 3 else other)) for n in range(1, 13)), SaveAlert(alert(13)))
    commit(store, *(ForgetAlert(n, keep=True) for n in (2, 3, 5, 10)))
    assert [each.id for each in await store.alerts(mine)] == [1, 2, 4, 5, 7, 8, 10, 11]
    assert [each.id for each in await store.alerts(mine, limit=3)] == [1, 2, 4]
    assert [each.id for each in await store.alerts(mine, limit=3, after=4)] == [5, 7, 8]
    commit(store, SaveAlert(alert(2, other)), SaveAlert(alert(4, other)))
    assert [each.id for each in await store.alerts(mine)] == [1, 5, 7, 8, 10, 11]
    assert [each.id for each in await store.alerts(other)] == [2, 3, 4, 6, 9, 12]


def test_an_alert_saved_again_after_being_forgotten_is_held_again(store: Store) -> None:
    """Within a batch and across two."""
    commit(store, SaveAlert(alert(1)), ForgetAlert(1, keep=True), SaveAlert(alert(1)))
    commit(store, SaveAlert(alert(2)), ForgetAlert(2, keep=False), SaveAlert(alert(2)))
    commit(store, SaveAlert(alert(3)), ForgetAlert(3, keep=True))
    commit(store, SaveAlert(alert(3)))
    assert [each.id for each in store.load().alerts] == [1, 2, 3]


async def test_forgotten_incidents_leave_the_snapshot_alone(store: Store) -> None:
    """They are still found by id and by number; a later save holds them again."""
    gone = incident(1, state=IncidentState.RESOLVED, resolved_at=NOW)
    commit(store, SaveIncident(gone), ForgetIncident(gone.id), SaveIncident(incident(2)))
    assert [each.number for each in store.load().incidents] == [2]
    assert store.load().last_number == 2
    assert await store.incident(gone.id) == gone
    assert await store.incident("1") == gone
    assert await store.incident("3") is None
    assert await store.incident("9" * 40) is None
    assert await store.incident("١") is None
    commit(store, SaveIncident(gone))
    assert [each.number for each in store.load().incidents] == [1, 2]


async def test_timeline_is_in_order_of_seq(store: Store) -> None:
    commit(store, AppendTimeline("i1", entry(2, "two")), AppendTimeline("i2", entry(1, "other")))
    commit(store, AppendTimeline("i1", entry(1, "one")))
    assert [line.text for line in await store.timeline("i1")] == ["one", "two"]
    assert (await store.timeline("i2"))[0] == entry(1, "other")


async def test_a_delivery_from_outbox_to_settled(open_again: Opener) -> None:
    """Pending with its attempts until it is settled; ambiguity, once there, stays."""
    store = open_again()
    due = NOW + timedelta(seconds=2)
    commit(store, Deliver(delivery("d1")), Deliver(delivery("d2", kind=PageKind.RESOLVED)))
    retried = Batch()
    retried.retry("d1", 1, NOW, "timed out", ambiguous=True)
    retried.retry("d1", 2, due, "503", ambiguous=False)
    commit_batch(store, retried)
    store = open_again()
    first, second = store.load().deliveries
    assert (first.delivery, first.attempt, first.next_attempt_at, first.ambiguous) == (delivery("d1"), 2, due, True)
    assert (second.attempt, second.next_attempt_at, second.ambiguous, second.cancelled) == (0, None, False, False)
    commit(store, SettleDelivery(delivery="d1", outcome="accepted", error="", attempts=3, at=NOW))
    assert [each.delivery.id for each in store.load().deliveries] == ["d2"]
    row = (await store.deliveries(incident_id(1), DeliveryState.ACCEPTED))[0]
    assert (row.state, row.attempts, row.settled_at, row.next_attempt_at) == (DeliveryState.ACCEPTED, 3, NOW, None)


async def test_a_retry_after_the_end_changes_nothing(store: Store) -> None:
    """The outbox may report an attempt that lost the race with a cancellation."""
    commit(store, Deliver(delivery("d1")))
    commit(store, SettleDelivery(delivery="d1", outcome="cancelled", error="acknowledged", attempts=0, at=NOW))
    late = Batch()
    late.retry("d1", 1, NOW, "503", ambiguous=False)
    commit_batch(store, late)
    assert store.load().deliveries == []
    assert (await store.deliveries())[0].error == "acknowledged"


def test_cancelled_pages_stay_cancelled_over_a_restart(open_again: Opener) -> None:
    """By incident, kind and receiver; a page that follows the cancellation is meant, also in the same batch."""
    store = open_again()
    commit(
        store,
        Deliver(delivery("old")),
        Deliver(delivery("chat", receiver="chat")),
        Deliver(delivery("resolved", kind=PageKind.RESOLVED)),
        Deliver(delivery("other", number=2)),
    )
    ack = batch(Deliver(delivery("just")), CancelPages(incident_id(1), "ops", ()), Deliver(delivery("new")))
    assert [type(each).__name__ for each in ack.after] == ["Delivery", "CancelPages", "Delivery"]
    assert [each.id for each in ack.deliveries] == ["just", "new"]
    assert len(ack.cancels) == 1
    commit_batch(store, ack)
    pending = {each.delivery.id: each.cancelled for each in open_again().load().deliveries}
    assert pending == {"old": True, "chat": False, "resolved": False, "other": False, "just": True, "new": False}
    commit(open_again(), CancelPages(incident_id(1), None, (PageKind.RESOLVED,)))
    pending = {each.delivery.id: each.cancelled for each in open_again().load().deliveries}
    assert pending == {"old": True, "chat": True, "resolved": True, "other": False, "just": True, "new": True}


async def test_the_journal_in_order(store: Store) -> None:
    """From an instant on, page by page."""
    commit(store, *(Journal(NOW + timedelta(seconds=n), f'{{"n":{n}}}'.encode()) for n in range(5)))
    rows = await store.journal(NOW + timedelta(seconds=1), limit=2)
    assert [(row.at, row.line) for row in rows] == [
        (NOW + timedelta(seconds=n), f'{{"n":{n}}}'.encode()) for n in (1, 2)
    ]
    assert [row.line for row in await store.journal(NOW, after=rows[-1].seq)] == [b'{"n":3}', b'{"n":4}']


async def test_rejected_parts_are_bounded(open_again: Opener) -> None:
    """The newest stay; text that no database takes is made harmless and cut."""
    store = open_again(Retention(rejected_max=5))
    for at in range(0, 12, 3):
        refused = Batch()
        for index in range(at, at + 3):
            refused.reject(NOW, "prom", index, "bad \udc80 value", "nul \0 " + "x" * 9000)
        commit_batch(store, refused)
    rows = await store.rejected()
    assert [row.index for row in rows] == [11, 10, 9, 8, 7]
    assert rows[0].excerpt.startswith("nul \N{SYMBOL FOR NULL} xxx")
    assert len(rows[0].excerpt) <= 512
    assert [row.index for row in await store.rejected(limit=2, before=rows[1].seq)] == [9, 8]


def test_alive_at_is_the_newest(open_again: Opener) -> None:
    for minutes in (1, 2):
        living = Batch()
        living.alive(NOW + timedelta(minutes=minutes))
        assert not living.empty
        commit_batch(open_again(), living)
    assert open_again().load().alive_at == NOW + timedelta(minutes=2)


def test_every_effect_has_its_rows() -> None:
    """A new kind of effect fails here, not at the first batch that holds one."""
    assert set(get_args(Effect)) == set(_ADD)


def test_effects_that_leave_nothing_make_an_empty_batch(store: Store) -> None:
    collected = batch(Refused(0, "no"), Counted("alerts_received_total", ("prom", "firing")))
    assert collected.empty
    commit_batch(store, collected)


def test_batches_are_answered_in_order_and_share_transactions(store: Store) -> None:
    """Two hundred batches queued at once, each answered, all of them there."""
    order: list[int] = []
    over = threading.Event()
    for number in range(1, 201):

        def done(answer: BaseException | None, number: int = number) -> None:
            assert answer is None
            order.append(number)
            if number == 200:
                over.set()

        store.commit(batch(SaveAlert(alert(number)), Journal(NOW, b"{}")), done)
    assert over.wait(20)
    assert order == list(range(1, 201))
    assert len(store.load().alerts) == 200


def test_a_caller_that_went_away_does_not_stop_the_writer(store: Store) -> None:
    """An event loop closed meanwhile raises RuntimeError when it is told."""

    def gone(_answer: BaseException | None) -> None:
        raise RuntimeError("Event loop is closed")

    store.commit(batch(SaveAlert(alert(1))), gone)
    commit(store, SaveAlert(alert(2)))
    assert len(store.load().alerts) == 2


def test_close_commits_what_is_queued(open_again: Opener) -> None:
    store = open_again()
    answers: list[BaseException | None] = []
    for number in range(1, 51):
        store.commit(batch(SaveAlert(alert(number))), answers.append)
    store.close()
    assert answers == [None] * 50
    with pytest.raises(StoreFailed, match="closed"):
        commit(store, SaveAlert(alert(51)))
    with pytest.raises(StoreFailed, match="closed"):
        store.probe()
    assert len(open_again().load().alerts) == 50


async def test_incidents_newest_first_page_by_page(store: Store) -> None:
    """Filters by state, priority, rule, time and labels; the cursor carries on."""
    states = [IncidentState.TRIGGERED, IncidentState.RESOLVED]
    commit(store, *(SaveIncident(incident(n, state=states[n % 2], rule=f"r{n % 5}")) for n in range(1, 501)))

    async def numbers(**wanted: object) -> list[int]:
        found: list[int] = []
        cursor = None
        while True:
            page = await store.incidents(IncidentQuery(cursor=cursor, limit=70, **wanted))
            found += [each.number for each in page.items]
            cursor = page.next_cursor
            if cursor is None:
                return found

    everything = list(range(500, 0, -1))
    assert await numbers() == everything
    assert await numbers(states=frozenset({IncidentState.RESOLVED})) == [n for n in everything if n % 2]
    assert await numbers(priorities=frozenset({Priority.P1})) == [n for n in everything if n % 3 == 0]
    assert await numbers(states=frozenset()) == []
    assert await numbers(rule="r3") == [n for n in everything if n % 5 == 3]
    assert await numbers(since=NOW + timedelta(seconds=499)) == [500, 499]
    team = Matcher("team", Op.EQUAL, "platform")
    node = Matcher("node", Op.REGEX, "n1.")
    assert await numbers(match=((team, node),)) == [19, 17, 15, 13, 11]
    assert await numbers(rule="' OR 1=1 --") == []


async def test_alerts_and_deliveries_page_by_page(store: Store) -> None:
    commit(store, *(SaveAlert(alert(n, "i1")) for n in range(1, 8)), SaveAlert(alert(9, "i2")), SaveAlert(alert(10)))
    assert [each.id for each in await store.alerts("i1", limit=4)] == [1, 2, 3, 4]
    assert [each.id for each in await store.alerts("i1", limit=4, after=4)] == [5, 6, 7]
    assert await store.alerts("") == []
    commit(store, *(Deliver(delivery(f"d{n}", number=n % 2)) for n in range(6)))
    rows = await store.deliveries(limit=4)
    assert [row.delivery.id for row in rows] == ["d5", "d4", "d3", "d2"]
    assert [row.delivery.id for row in await store.deliveries(before=rows[-1].seq)] == ["d1", "d0"]
    assert [row.delivery.id for row in await store.deliveries(incident_id(1))] == ["d5", "d3", "d1"]
    assert await store.deliveries(state=DeliveryState.FAILED) == []


def test_overrides_and_turns_come_back(open_again: Opener) -> None:
    """Every field survives a restart, the last word wins; an ended override is kept as long as closed incidents."""
    store = open_again()
    commit(store, SaveOverride(override(1)), SaveOverride(override(2)), SaveTurn("a/1", 1), SaveTurn("b:c/2", 0))
    commit(store, SaveOverride(override(1).ended(NOW + timedelta(hours=1), "cleo")), SaveTurn("a/1", 2))
    store = open_again()
    assert store.load().overrides == [override(1).ended(NOW + timedelta(hours=1), "cleo"), override(2)]
    assert store.load().turns == {"a/1": 2, "b:c/2": 0}
    assert asyncio.run(store.prune(NOW + timedelta(days=400))) == 0
    assert asyncio.run(store.prune(NOW + timedelta(days=400, hours=2))) == 1
    assert open_again().load().overrides == [override(2)]


def test_digests_come_back(open_again: Opener) -> None:
    """A receiver's record, whole, as it was saved last."""
    store = open_again()
    waiting = Digests(receiver="chat", recent=[NOW], count=3, due_at=NOW + timedelta(seconds=10))
    under_way = Digests(receiver="chat", recent=[NOW, NOW], count=4, sent="s-digest-chat-4", last_at=NOW)
    commit(store, SaveDigests(waiting), SaveDigests(Digests(receiver="sms")))
    assert open_again().load().digests == [waiting, Digests(receiver="sms")]
    commit(open_again(), SaveDigests(under_way))
    assert open_again().load().digests == [under_way, Digests(receiver="sms")]


def test_silences_come_back_and_go_five_days_after_their_end(open_again: Opener) -> None:
    """Every field survives a restart; the last word wins; an ended one is kept for its retention."""
    store = open_again()
    first, second = silence(1), silence(2, ends_at=NOW - timedelta(days=4, hours=23), comment="")
    commit(store, SaveSilence(first), SaveSilence(second))
    changed = silence(1, ends_at=NOW + timedelta(hours=9), begun=True, annotations={"a": "b"})
    commit(store, SaveSilence(changed))
    store = open_again()
    assert store.load().silences == [changed, second]
    assert asyncio.run(store.prune(NOW)) == 0
    assert asyncio.run(store.prune(NOW + timedelta(hours=2))) == 1
    assert open_again().load().silences == [changed]
