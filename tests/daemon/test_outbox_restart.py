"""The outbox on a real store: what one process leaves, the next one goes on with."""

from __future__ import annotations

import asyncio
from pathlib import Path

from imd.channels.contract import Answer, Channel, Pace, Receipt, Temporary
from imd.clock import SystemClock
from imd.daemon.outbox import Outbox
from imd.model.effect import Deliver, Delivery, Refused, SaveConversation, SettleDelivery
from imd.model.event import DeliveryFinished, Event, Outcome
from imd.model.policy import PageKind
from imd.store.contract import Batch, Store
from imd.store.migrate import open_store
from imd.telemetry import Metrics
from tests.channels.samples import delivery


class Hook:
    """Answers all sends alike, and tells when it was called."""

    paces: tuple[Pace, ...] = ()

    def __init__(self, given: Answer) -> None:
        self.given = given
        self.conversations: list[bytes] = []
        self.attempts: list[int] = []
        self.called = asyncio.Event()

    async def send(self, delivery: Delivery, attempt: int, conversation: bytes = b"") -> Answer:
        self.attempts.append(attempt)
        self.conversations.append(conversation)
        self.called.set()
        return self.given

    async def close(self) -> None: ...


async def commit(store: Store, batch: Batch) -> None:
    """As the daemon's loop does it: back on the event loop once it is durable."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[BaseException | None] = loop.create_future()
    store.commit(batch, lambda error: loop.call_soon_threadsafe(done.set_result, error))
    assert await done is None


def outbox_on(store: Store, hook: Channel, ends: list[DeliveryFinished]) -> Outbox:
    async def submit(event: Event, _size_bytes: int) -> tuple[Refused, ...]:
        assert isinstance(event, DeliveryFinished)
        batch = Batch()
        now = SystemClock().now()
        settled = SettleDelivery(
            delivery=event.delivery, outcome=event.outcome, error=event.error, attempts=event.attempts, at=now
        )
        batch.add(settled, now)
        if event.conversation:
            batch.add(SaveConversation(event.incident, event.receiver, event.conversation), now)
        await commit(store, batch)
        ends.append(event)
        return ()

    return Outbox({"hook": hook}, submit, store, SystemClock(), Metrics(), base_seconds=30)


async def test_the_next_process_goes_on(tmp_path: Path) -> None:
    """An attempt that may have arrived, a stop, a start: same delivery, next attempt, not before its time; settled, it
    is not pending any more."""
    url = f"sqlite:///{tmp_path}/imd.db"
    page = delivery(1)
    store = open_store(url)
    batch = Batch()
    batch.add(Deliver(page), page.created_at)
    await commit(store, batch)
    first = Hook(Temporary("no answer", ambiguous=True))
    outbox = outbox_on(store, first, [])
    outbox.start()
    outbox.offer([page])
    await first.called.wait()
    await outbox.drain(1)
    store.close()

    store = open_store(url)
    (row,) = store.load().deliveries
    assert (row.delivery, row.attempt, row.ambiguous, row.cancelled) == (page, 1, True, False)
    assert row.next_attempt_at is not None
    assert 14 < (row.next_attempt_at - page.created_at).total_seconds() < 32
    second, ends = Hook(Receipt()), list[DeliveryFinished]()
    outbox = outbox_on(store, second, ends)
    outbox.offer_pending([row])
    outbox.start()
    await asyncio.sleep(0.05)
    assert second.attempts == [], "it is not due yet"
    await outbox.drain(1)

    third = Hook(Receipt())
    outbox = outbox_on(store, third, ends)
    outbox.offer_pending([type(row)(delivery=page, attempt=row.attempt, ambiguous=row.ambiguous)])
    outbox.start()
    await third.called.wait()
    await outbox.drain(1)
    assert third.attempts == [2]
    assert [(end.delivery, end.outcome, end.attempts) for end in ends] == [("d1", Outcome.ACCEPTED, 2)]
    assert store.load().deliveries == []
    store.close()


async def test_the_next_process_goes_on_with_the_conversation(tmp_path: Path) -> None:
    """What the first page left is on disk with its end, and the resolve that a restart finds waiting gets it."""
    url = f"sqlite:///{tmp_path}/imd.db"
    page, end = delivery(1, incident="i"), delivery(2, incident="i", kind=PageKind.RESOLVED, reason=None)
    store = open_store(url)
    batch = Batch()
    for each in (page, end):
        batch.add(Deliver(each), page.created_at)
    await commit(store, batch)
    first, ends = Hook(Receipt(conversation=b'{"ts":"1.2"}')), list[DeliveryFinished]()
    outbox = outbox_on(store, first, ends)
    outbox.start()
    outbox.offer([page])
    await first.called.wait()
    await outbox.drain(1)
    store.close()

    store = open_store(url)
    snapshot = store.load()
    second = Hook(Receipt())
    outbox = outbox_on(store, second, ends)
    outbox.recall(snapshot.conversations)
    outbox.offer_pending(snapshot.deliveries)
    outbox.start()
    await second.called.wait()
    await outbox.drain(1)
    assert second.conversations == [b'{"ts":"1.2"}']
    assert [one.delivery for one in ends] == ["d1", "d2"]
    store.close()
