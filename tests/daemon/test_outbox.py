"""Deliveries from offer to end: order, retries, cancelling, breakers, restarts. Channels answer by script; backoff is
scaled down by `base_seconds`, and waits are real."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from imd.channels.contract import CONVERSATION_BYTES_MAX, Answer, Channel, Pace, Permanent, Receipt, Temporary
from imd.channels.http import Endpoint, HttpBounds, HttpClient
from imd.channels.webhook import Webhook
from imd.clock import SystemClock
from imd.daemon.breaker import BreakerState
from imd.daemon.outbox import Outbox
from imd.model.effect import CancelPages, Delivery, Refused
from imd.model.event import DeliveryFinished, Event, Outcome
from imd.model.incident import Priority
from imd.model.policy import PageKind
from imd.store.contract import Batch, PendingDelivery, StoreFailed
from imd.telemetry import Metrics
from tests.channels.samples import delivery
from tests.channels.server import Server, answer, hang, reset

LATER = Temporary("not now")
UNSURE = Temporary("no answer", ambiguous=True)
FAST = 0.01


class Watched:
    """Something whose changes can be waited for."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()

    async def until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not reached():
                self.changed.clear()
                await self.changed.wait()


class Scripted(Watched):
    """A channel that answers the n-th send with the n-th answer, the last one for ever; a gate holds sends up."""

    def __init__(self, *answers: Answer, paces: tuple[Pace, ...] = ()) -> None:
        super().__init__()
        self.paces = paces
        self.conversations: list[bytes] = []
        self.answers = list(answers) or [Receipt()]
        self.sent: list[tuple[str, int]] = []
        self.at: list[float] = []
        self.running = self.running_max = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.closed = False

    async def send(self, delivery: Delivery, attempt: int, conversation: bytes = b"") -> Answer:
        self.conversations.append(conversation)
        given = self.answers[min(len(self.sent), len(self.answers) - 1)]
        self.sent.append((delivery.id, attempt))
        self.at.append(asyncio.get_running_loop().time())
        self.changed.set()
        self.running += 1
        self.running_max = max(self.running, self.running_max)
        try:
            await self.gate.wait()
        finally:
            self.running -= 1
        return given

    async def close(self) -> None:
        self.closed = True

    @property
    def ids(self) -> list[str]:
        return [delivery_id for delivery_id, _ in self.sent]


class Memory(Watched):
    """A store that keeps retry rows and can be down."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int, int, str, bool, str]] = []
        self.down = False

    def commit(self, batch: Batch, done: Callable[[BaseException | None], None]) -> None:
        if self.down:
            done(StoreFailed("down"))
            return
        self.rows += batch.retries
        self.changed.set()
        done(None)


class House(Watched):
    """An outbox with what is around it."""

    def __init__(self, pause: float = FAST, /, **channels: Channel) -> None:
        super().__init__()
        self.ends: list[DeliveryFinished] = []
        self.failing = 0
        self.store = Memory()
        self.metrics = Metrics()
        self.outbox = Outbox(channels, self.submit, self.store, SystemClock(), self.metrics, pause)

    async def submit(self, event: Event, _size_bytes: int) -> tuple[Refused, ...]:
        assert isinstance(event, DeliveryFinished)
        if self.failing:
            self.failing -= 1
            raise StoreFailed("down")
        self.ends.append(event)
        self.changed.set()
        return ()

    async def ended(self, count: int) -> list[tuple[str, Outcome]]:
        """The first `count` ends, in order of their reports."""
        await self.until(lambda: len(self.ends) >= count)
        return [(end.delivery, end.outcome) for end in self.ends]


@asynccontextmanager
async def house(pause: float = FAST, /, **channels: Channel) -> AsyncIterator[House]:
    one = House(pause, **channels)
    one.outbox.start()
    yield one
    await one.outbox.drain(0.05)


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_send_starts_in_the_next_turn() -> None:
    """Offered, it is with its channel one turn of the loop later."""
    hook = Scripted()
    async with house(hook=hook) as at:
        at.outbox.offer([delivery(1)])
        await asyncio.sleep(0)
        assert hook.sent == [("d1", 1)]
        assert await at.ended(1) == [("d1", Outcome.ACCEPTED)]
        assert at.ends[0].attempts == 1


async def test_nothing_is_sent_before_start() -> None:
    hook = Scripted()
    at = House(hook=hook)
    at.outbox.offer([delivery(1)])
    await turns()
    assert hook.sent == []
    at.outbox.start()
    await at.ended(1)
    await at.outbox.drain(1)


async def test_the_urgent_go_first_then_the_old() -> None:
    """By priority, then by creation; sixteen at once."""
    hook = Scripted()
    hook.gate.clear()
    now = datetime.now(UTC)
    async with house(hook=hook) as at:
        at.outbox.offer([delivery(n) for n in range(16)])
        at.outbox.offer(
            [
                delivery(20, priority=Priority.P3, created_at=now),
                delivery(21, priority=Priority.P1, created_at=now),
                delivery(22, priority=Priority.P2, created_at=now + timedelta(seconds=1)),
                delivery(23, priority=Priority.P2, created_at=now),
            ]
        )
        await turns()
        assert hook.running == 16
        hook.gate.set()
        await at.ended(20)
    assert hook.ids[16:] == ["d21", "d23", "d22", "d20"]
    assert hook.running_max == 16


async def test_an_incidents_messages_go_one_after_another() -> None:
    """The resolve waits until its page is through, retries and report included; other incidents do not wait."""
    hook = Scripted(LATER, Receipt())
    async with house(hook=hook) as at:
        at.failing = 2
        at.outbox.offer(
            [delivery(1), delivery(2, incident="i1", kind=PageKind.RESOLVED, reason=None), delivery(3, incident="i3")]
        )
        await at.ended(3)
    assert [sent for sent in hook.sent if sent[0] != "d3"] == [("d1", 1), ("d1", 2), ("d2", 1)]
    assert hook.ids.index("d3") < hook.ids.index("d2")
    assert [end.delivery for end in at.ends if end.incident == "i1"] == ["d1", "d2"]


async def test_a_raised_page_lifts_the_one_before_it() -> None:
    """A P1 behind a P3 of its incident is not held up by everybody's P2."""
    hook = Scripted()
    hook.gate.clear()
    async with house(hook=hook) as at:
        at.outbox.offer([delivery(n) for n in range(16)])
        at.outbox.offer([delivery(30, incident="i30", priority=Priority.P3), delivery(31)])
        at.outbox.offer([delivery(32, incident="i30", priority=Priority.P1)])
        await turns()
        hook.gate.set()
        await at.ended(19)
    assert hook.ids[16] == "d30"


async def test_retries_keep_id_and_key_and_wait_longer() -> None:
    """Every attempt is the same delivery; each failure leaves a row for the restart."""
    hook = Scripted(LATER, UNSURE, LATER, Receipt())
    async with house(hook=hook) as at:
        at.outbox.offer([delivery(1)])
        await at.ended(1)
    assert hook.sent == [("d1", n) for n in (1, 2, 3, 4)]
    assert at.ends[0].attempts == 4
    waits = [later - earlier for earlier, later in zip(hook.at, hook.at[1:], strict=False)]
    assert waits[0] >= FAST * 0.5
    assert waits[1] >= FAST * 2 * 0.5
    assert waits[2] >= FAST * 4 * 0.5
    assert [(row[0], row[3], row[4]) for row in at.store.rows] == [(1, False, "d1"), (2, True, "d1"), (3, True, "d1")]


async def test_permanent_failures_end_at_once() -> None:
    """FAILED; or UNKNOWN if an attempt before may have arrived."""
    for answers, outcome in (((Permanent("gone"),), Outcome.FAILED), ((UNSURE, Permanent("gone")), Outcome.UNKNOWN)):
        async with house(hook=Scripted(*answers)) as at:
            at.outbox.offer([delivery(1)])
            assert await at.ended(1) == [("d1", outcome)]
            assert at.ends[0].error == "gone"


async def test_who_was_refused_of_several_is_said_of_what_was_accepted() -> None:
    async with house(hook=Scripted(Receipt("250 queued", refused="gone@example.com: 550 no such user"))) as at:
        at.outbox.offer([delivery(1)])
        assert await at.ended(1) == [("d1", Outcome.ACCEPTED)]
        assert at.ends[0].error == "gone@example.com: 550 no such user"


async def test_retry_after_holds_the_receiver() -> None:
    """Its wish is honoured for this message and for others; another receiver does not wait."""
    hook, other = Scripted(Temporary("slow down", timedelta(seconds=0.3)), Receipt()), Scripted()
    async with house(hook=hook, other=other) as at:
        at.outbox.offer([delivery(1)])
        await turns()
        at.outbox.offer([delivery(2), delivery(3, receiver="other")])
        await at.ended(3)
    assert hook.ids == ["d1", "d1", "d2"] or hook.ids == ["d1", "d2", "d1"]
    assert hook.at[1] - hook.at[0] >= 0.3
    assert other.at[0] - hook.at[0] < 0.2


async def test_the_breaker_opens_probes_and_closes() -> None:
    """Five failures in a row open it; then one send at a time tries; nothing is dropped."""
    hook = Scripted(*[LATER] * 8, Receipt())
    pause = FAST * 10  # a busy machine stands still for longer than FAST, and the probe is due
    async with house(pause, hook=hook) as at:
        at.outbox.offer([delivery(n) for n in range(5)])
        await hook.until(lambda: len(hook.sent) >= 5)
        await turns()
        at.outbox.offer([delivery(n) for n in range(5, 12)])
        await turns()
        assert len(hook.sent) == 5
        (status,) = at.outbox.status()
        assert status.breaker == BreakerState.OPEN
        assert (status.pending, status.failures, status.last_error) == (12, 5, "not now")
        ends = await at.ended(12)
        assert {end[1] for end in ends} == {Outcome.ACCEPTED}
        (status,) = at.outbox.status()
        assert (status.breaker, status.pending) == (BreakerState.CLOSED, 0)
    gaps = [later - earlier for earlier, later in zip(hook.at[4:], hook.at[5:9], strict=False)]
    assert all(gap >= pause * 0.5 for gap in gaps)


async def test_a_hanging_receiver_bothers_nobody_else() -> None:
    """Sixteen sends hang; the other receiver is served at once."""
    hook, other = Scripted(), Scripted()
    hook.gate.clear()
    async with house(hook=hook, other=other) as at:
        at.outbox.offer([delivery(n) for n in range(40)])
        at.outbox.offer([delivery(50, receiver="other")])
        assert await at.ended(1) == [("d50", Outcome.ACCEPTED)]
        hook.gate.set()
        await at.ended(41)


async def test_no_page_starts_after_its_cancel() -> None:
    """Neither the one whose send is due in the next turn, nor the queued, nor the one that waits to try again."""
    hook = Scripted(LATER, Receipt())
    async with house(hook=hook) as at:
        at.outbox.offer([delivery(1)])
        await turns()
        assert hook.sent == [("d1", 1)]
        at.outbox.offer([delivery(2)])  # its task exists, and has not run
        at.outbox.offer([delivery(3, incident="i2")])
        for incident in ("i1", "i2"):
            at.outbox.cancel(CancelPages(incident, None, ()))
        await at.ended(3)
        await asyncio.sleep(FAST * 3)
    assert hook.sent == [("d1", 1)]
    assert sorted((end.delivery, end.outcome) for end in at.ends) == [
        ("d1", Outcome.CANCELLED),
        ("d2", Outcome.CANCELLED),
        ("d3", Outcome.CANCELLED),
    ]


async def test_cancel_spares_other_kinds_receivers_and_incidents() -> None:
    """Only pages, unless the effect says more."""
    hook, other = Scripted(), Scripted()
    at = House(hook=hook, other=other)
    at.outbox.offer(
        [
            delivery(1),
            delivery(2, incident="i1", kind=PageKind.UPDATE),
            delivery(3, incident="i1", kind=PageKind.RESOLVED),
            delivery(4, incident="i1", receiver="other"),
            delivery(5),
        ]
    )
    at.outbox.cancel(CancelPages("i1", "hook", (PageKind.UPDATE,)))
    at.outbox.start()
    ends = await at.ended(5)
    await at.outbox.drain(1)
    assert dict(ends) == {
        "d1": Outcome.CANCELLED,
        "d2": Outcome.CANCELLED,
        "d3": Outcome.ACCEPTED,
        "d4": Outcome.ACCEPTED,
        "d5": Outcome.ACCEPTED,
    }


async def test_a_page_under_way_reports_its_own_end() -> None:
    """Accepted counts as accepted; a failure is not tried again."""
    for answered, outcome in (
        (Receipt(), Outcome.ACCEPTED),
        (LATER, Outcome.CANCELLED),
        (UNSURE, Outcome.UNKNOWN),
        (Permanent("gone"), Outcome.FAILED),
    ):
        hook = Scripted(answered)
        hook.gate.clear()
        async with house(hook=hook) as at:
            at.outbox.offer([delivery(1)])
            await turns()
            at.outbox.cancel(CancelPages("i1", None, ()))
            await turns()
            assert at.ends == []
            hook.gate.set()
            assert await at.ended(1) == [("d1", outcome)]
            assert len(hook.sent) == 1


async def test_cancelled_after_an_unsure_attempt_is_unknown() -> None:
    hook = Scripted(UNSURE)
    async with house(hook=hook) as at:
        at.outbox.offer([delivery(1)])
        await turns()
        at.outbox.cancel(CancelPages("i1", "hook", ()))
        assert await at.ended(1) == [("d1", Outcome.UNKNOWN)]


async def test_an_end_is_reported_until_it_is_taken() -> None:
    """The store was down; the page is not sent again meanwhile."""
    hook = Scripted()
    async with house(hook=hook) as at:
        at.failing = 3
        at.outbox.offer([delivery(1)])
        assert await at.ended(1) == [("d1", Outcome.ACCEPTED)]
        assert len(hook.sent) == 1


async def test_a_restart_goes_on_with_what_is_pending() -> None:
    """Attempts go on counting, deadlines hold, the cancelled are only reported, the known are not doubled."""
    now = datetime.now(UTC)
    hook = Scripted()
    at = House(hook=hook)
    pending = [
        PendingDelivery(delivery=delivery(1), attempt=3, next_attempt_at=now + timedelta(seconds=0.3)),
        PendingDelivery(delivery=delivery(2), attempt=1, next_attempt_at=now - timedelta(hours=1)),
        PendingDelivery(delivery=delivery(3), cancelled=True),
        PendingDelivery(delivery=delivery(4, receiver="gone")),
    ]
    at.outbox.offer_pending(pending)
    at.outbox.offer_pending(pending)
    at.outbox.offer([delivery(2)])
    began = asyncio.get_running_loop().time()
    at.outbox.start()
    ends = await at.ended(4)
    await at.outbox.drain(1)
    assert dict(ends) == {
        "d1": Outcome.ACCEPTED,
        "d2": Outcome.ACCEPTED,
        "d3": Outcome.UNKNOWN,  # nobody knows what the last process was doing when it died
        "d4": Outcome.FAILED,
    }
    assert hook.sent == [("d2", 2), ("d1", 4)]
    assert hook.at[1] - began >= 0.25


async def test_a_restart_after_the_clock_was_set_back_waits_a_minute_at_most() -> None:
    """The next attempt on disk is an hour ahead then, though it was seconds when it was written."""
    ahead = datetime.now(UTC) + timedelta(minutes=55)
    at = House(hook=Scripted())
    at.outbox.offer_pending([PendingDelivery(delivery=delivery(1), attempt=3, next_attempt_at=ahead)])
    (status,) = at.outbox.status()
    assert status.retry_in_seconds is not None
    assert 50 < status.retry_in_seconds <= 60


async def test_too_old_is_given_up() -> None:
    """After a day: FAILED, or UNKNOWN where it may have arrived; even if its turn never came."""
    old = datetime.now(UTC) - timedelta(hours=25)
    hook = Scripted()
    async with house(hook=hook) as at:
        at.outbox.offer_pending(
            [
                PendingDelivery(delivery=delivery(1, created_at=old)),
                PendingDelivery(delivery=delivery(2, created_at=old), attempt=9, ambiguous=True),
            ]
        )
        assert dict(await at.ended(2)) == {"d1": Outcome.FAILED, "d2": Outcome.UNKNOWN}
    assert hook.sent == []


async def test_about_to_be_too_old_is_given_up_at_the_failure() -> None:
    almost = datetime.now(UTC) - timedelta(hours=24) + timedelta(seconds=0.2)
    async with house(hook=Scripted(Temporary("slow down", timedelta(seconds=30)))) as at:
        at.outbox.offer([delivery(1, created_at=almost)])
        assert await at.ended(1) == [("d1", Outcome.FAILED)]
        assert at.ends[0].error == "given up for its age; slow down"


async def test_a_faulty_channel_is_a_temporary_failure() -> None:
    """Whatever it raises: kept, retried, and its text not repeated."""

    class Faulty(Scripted):
        async def send(self, delivery: Delivery, attempt: int, conversation: bytes = b"") -> Answer:
            given = await super().send(delivery, attempt)
            if attempt == 1:
                raise RuntimeError("canary")
            return given

    async with house(hook=Faulty()) as at:
        at.outbox.offer([delivery(1)])
        assert await at.ended(1) == [("d1", Outcome.ACCEPTED)]
        assert at.store.rows[0][2:4] == ("fault of imd's in this channel: RuntimeError", True)


async def test_a_conversation_goes_from_message_to_message() -> None:
    """What a send left is handed to the next of its incident, not to another's; only news of it are to be stored."""
    hook = Scripted(Receipt(conversation=b"1"), Receipt(), Receipt(conversation=b"1"), Receipt(conversation=b"2"))
    async with house(hook=hook) as at:
        for number in range(1, 5):
            at.outbox.offer([delivery(number, incident="i")])
            await at.ended(number)
        at.outbox.offer([delivery(5, incident="j")])
        await at.ended(5)
    assert hook.conversations == [b"", b"1", b"1", b"1", b""]
    assert [end.conversation for end in at.ends] == [b"1", b"", b"", b"2", b"2"]


async def test_each_receiver_has_its_own_conversation() -> None:
    chat, mail = Scripted(Receipt(conversation=b"chat")), Scripted(Receipt(conversation=b"mail"))
    async with house(chat=chat, mail=mail) as at:
        for number in (1, 3):
            at.outbox.offer([delivery(number, incident="i", receiver="chat")])
            at.outbox.offer([delivery(number + 1, incident="i", receiver="mail")])
            await at.ended(number + 1)
    assert (chat.conversations, mail.conversations) == ([b"", b"chat"], [b"", b"mail"])


async def test_a_conversation_ends_with_its_incident() -> None:
    """Let go of by the engine, it is kept for what still waits and then dropped; messages of no incident have none."""
    hook = Scripted(Receipt(conversation=b"1"))
    async with house(hook=hook) as at:
        at.outbox.offer([delivery(1, incident="i"), delivery(2, incident="i")])
        at.outbox.forget("i")
        await at.ended(2)
        at.outbox.offer([delivery(3, incident="i")])
        await at.ended(3)
        at.outbox.forget("i")
        at.outbox.offer([delivery(4, incident="i")])
        await at.ended(4)
        at.outbox.offer([delivery(5, incident="")])
        await at.ended(5)
        at.outbox.offer([delivery(6, incident="")])
        await at.ended(6)
    assert hook.conversations == [b"", b"1", b"", b"", b"", b""]


async def test_a_conversation_beyond_its_bound_is_not_kept() -> None:
    """The message was taken all the same."""
    hook = Scripted(Receipt(conversation=b"x" * (CONVERSATION_BYTES_MAX + 1)))
    async with house(hook=hook) as at:
        at.outbox.offer([delivery(1, incident="i"), delivery(2, incident="i")])
        assert await at.ended(2) == [("d1", Outcome.ACCEPTED), ("d2", Outcome.ACCEPTED)]
    assert hook.conversations == [b"", b""]


async def test_a_pace_delays_and_holds_up_nobody_else() -> None:
    """Two at once, then one in each tenth of a second, the most urgent first; over both receivers of one chat. Another
    receiver is served at once."""
    pace = (Pace("chat", per_second=10, burst=2),)
    one, two, other = Scripted(paces=pace), Scripted(paces=pace), Scripted()
    async with house(one=one, two=two, other=other) as at:
        at.outbox.offer([delivery(n, receiver="one", priority=Priority.P3) for n in range(1, 5)])
        at.outbox.offer([delivery(5, receiver="one", priority=Priority.P1), delivery(6, receiver="two")])
        at.outbox.offer([delivery(n, receiver="other") for n in range(10, 30)])
        await at.ended(26)
    assert one.ids[:3] == ["d1", "d2", "d5"]
    assert max(other.at) < min((*one.at[2:], *two.at))
    times = sorted([*one.at, *two.at])
    assert times[1] - times[0] < 0.05
    assert all(later - earlier > 0.09 for earlier, later in itertools.pairwise(times[1:]))


async def test_a_receipt_may_ask_for_a_pause() -> None:
    """The receiver took the message and wants no other for a while."""
    hook = Scripted(Receipt(pause=timedelta(seconds=0.2)), Receipt())
    async with house(hook=hook) as at:
        at.outbox.offer([delivery(1)])
        await at.ended(1)
        at.outbox.offer([delivery(2)])
        await at.ended(2)
    assert hook.at[1] - hook.at[0] >= 0.19


async def test_retry_rows_wait_for_the_store() -> None:
    """While it is down the newest row is kept, and written afterwards; sends go on."""
    hook = Scripted(LATER, LATER, Temporary("busy", timedelta(hours=1)))
    async with house(hook=hook) as at:
        at.store.down = True
        at.outbox.offer([delivery(1)])
        await hook.until(lambda: len(hook.sent) >= 3)
        await turns()
        at.store.down = False
        await at.store.until(lambda: bool(at.store.rows))
    assert [(row[0], row[2]) for row in at.store.rows] == [(3, "busy")]


async def test_drain_lets_sends_end_and_starts_none() -> None:
    """What ends in time is reported; the queue stays for the next start."""
    hook = Scripted()
    hook.gate.clear()
    at = House(hook=hook)
    at.outbox.start()
    at.outbox.offer([delivery(n) for n in range(20)])
    await turns()
    draining = asyncio.ensure_future(at.outbox.drain(2))
    await turns()
    hook.gate.set()
    await draining
    assert len(at.ends) == len(hook.sent) == 16
    assert hook.closed


async def test_drain_marks_what_it_breaks_off() -> None:
    """A send that does not end in time may have arrived: the row says so."""
    hook = Scripted()
    hook.gate.clear()
    at = House(hook=hook)
    at.outbox.start()
    at.outbox.offer([delivery(1)])
    await turns()
    await at.outbox.drain(0.05)
    assert at.ends == []
    assert [(row[0], row[3], row[4]) for row in at.store.rows] == [(1, True, "d1")]


async def test_a_reload_changes_channels_under_the_queue() -> None:
    """New channel, same queue; the old one ends what it began and is closed; a receiver that is gone fails."""
    hook, newer = Scripted(), Scripted()
    hook.gate.clear()
    async with house(hook=hook, other=hook) as at:
        at.outbox.offer([delivery(n) for n in range(17)])
        at.outbox.offer([delivery(40, receiver="other"), delivery(41, incident="i40", receiver="other")])
        await turns()
        at.outbox.replace({"hook": newer})
        assert not hook.closed
        hook.gate.set()
        ends = dict(await at.ended(19))
        await turns()
        assert hook.closed
    assert newer.ids == ["d16"]
    assert ends["d41"] is Outcome.FAILED


async def test_metrics_count_attempts_ends_and_what_waits() -> None:
    hook = Scripted(LATER, Receipt())
    hook.gate.clear()
    async with house(hook=hook) as at:
        at.outbox.offer([delivery(1, created_at=datetime.now(UTC) - timedelta(minutes=2))])
        waiting = at.metrics.render().decode()
        assert "imd_outbox_pending 1.0" in waiting
        assert "imd_outbox_oldest_seconds 12" in waiting
        hook.gate.set()
        await at.ended(1)
        await turns()
        text = at.metrics.render().decode()
    for line in (
        'imd_pages_total{kind="page",outcome="accepted",receiver="hook"} 1.0',
        'imd_delivery_attempts_total{outcome="temporary",receiver="hook"} 1.0',
        'imd_delivery_attempts_total{outcome="accepted",receiver="hook"} 1.0',
        'imd_delivery_latency_seconds_count{receiver="hook"} 2.0',
        "imd_outbox_pending 0.0",
        "imd_outbox_oldest_seconds 0.0",
    ):
        assert line in text


async def test_over_the_wire_every_attempt_is_the_same_message() -> None:
    """A webhook that resets, fails and hangs before it accepts: one id, one body but for the attempt; meanwhile a
    healthy receiver answers within milliseconds."""
    http = HttpClient(HttpBounds(connect=0.5, total=0.5, reply=0.1))
    async with Server([reset(read=True), answer(503), hang(), answer(200)]) as bad, Server([answer(200)]) as good:
        channels = {
            name: Webhook(Endpoint(server.url("/canary")), None, http, SystemClock())
            for name, server in (("hook", bad), ("other", good))
        }
        async with house(**channels) as at:
            at.outbox.offer([delivery(1)])
            await asyncio.sleep(0.02)
            began = asyncio.get_running_loop().time()
            at.outbox.offer([delivery(2, receiver="other")])
            assert await at.ended(1) == [("d2", Outcome.ACCEPTED)]
            assert asyncio.get_running_loop().time() - began < 0.4
            await at.ended(2)
        await http.close()
    bodies = [request.json() for request in bad.requests]
    assert [body.pop("attempt") for body in bodies] == [1, 2, 3, 4]
    assert all(body == bodies[0] for body in bodies)
    assert {request.headers["webhook-id"] for request in bad.requests} == {"d1"}
    assert "canary" not in repr(at.store.rows)
