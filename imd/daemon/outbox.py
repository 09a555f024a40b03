"""Deliveries from their commit to their end: sends, retries, reports back.

Owns tasks, timers and what an answer means for the next attempt; `lane` owns order, `breaker` delays, `retries` the
rows of failed attempts. Knows channels by their contract alone and never touches the engine: ends go to `submit` as
DeliveryFinished, as every other event does.

What holds:
- At least once: an end is reported until it is taken; until then a restart sends again, under the same delivery id.
- No page starts once `cancel` was called for it: the last look is in the same loop turn as the channel's call.
- One receiver's trouble is its own: queues, breakers, sends and timers are by receiver.
- What a channel said of an incident (its conversation) is on disk with the end of that delivery, before the incident's
  next message to the same receiver starts.
- Waiting is done in loop seconds, which no clock jump moves; what is stored are wall deadlines, for a restart to go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import assert_never

import structlog

from imd.api.context import ReceiverStatus
from imd.channels.contract import CONVERSATION_BYTES_MAX, Answer, Channel, Conversation, Permanent, Receipt, Temporary
from imd.clock import Clock
from imd.daemon.breaker import BACKOFF_BASE_SECONDS, BACKOFF_MAX_SECONDS, backoff
from imd.daemon.lane import Entry, Lane, Stage
from imd.daemon.pace import Pacer
from imd.daemon.retries import Commits, RetryRows, Row
from imd.model.effect import CancelPages, Delivery, Refused
from imd.model.event import DeliveryFinished, Event, Outcome
from imd.model.policy import PageKind
from imd.store.contract import PendingDelivery, StoredConversation
from imd.telemetry import Log, Metrics

GIVE_UP_AFTER: dict[PageKind, timedelta] = dict.fromkeys(PageKind, timedelta(hours=24))
"""Age at which a delivery is given up, whatever its attempts. By then escalation has long passed on."""
RESUME_MAX = timedelta(seconds=BACKOFF_MAX_SECONDS)
"""A restart waits at most this long for a stored next attempt, as our own backoff does: one further away was named by
the receiver, or the clock was set back. No record tells which; one attempt too early costs less than a page that is an
hour late, and the receiver may name its time anew."""
REPORT_BASE_SECONDS, REPORT_MAX_SECONDS = 0.1, 5.0
FLUSH_SECONDS = 1.0

Submit = Callable[[Event, int], Awaitable[tuple[Refused, ...]]]

_log = structlog.get_logger()


class Outbox:
    """All receivers' deliveries. For the event loop's thread alone; every method but `drain` returns at once.

    `channels` are by receiver. `submit` is the daemon's; whatever it raises is taken as "not now". `base_seconds`
    scales all backoff. `finish` adds what is not stored (links that work); each attempt must get the same of it.
    """

    def __init__(
        self,
        channels: Mapping[str, Channel],
        submit: Submit,
        store: Commits,
        clock: Clock,
        metrics: Metrics,
        base_seconds: float = BACKOFF_BASE_SECONDS,
        finish: Callable[[Delivery], Delivery] = lambda delivery: delivery,
    ) -> None:
        self._channels = dict(channels)
        self._finish = finish
        self._submit = submit
        self._clock = clock
        self._metrics = metrics
        self._base = base_seconds
        self._retries = RetryRows(store)
        self._pacer = Pacer()
        self._lanes: dict[str, Lane] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._tasks: dict[asyncio.Task[None], Entry | None] = {}
        self._running = False
        self._oldest_at: datetime | None = None
        metrics.outbox_oldest_seconds.set_function(self._oldest_seconds)

    def start(self) -> None:
        """Sends from now on; what was offered before has waited."""
        self._running = True
        for lane in self._lanes.values():
            self._pump(lane)

    def offer(self, deliveries: Iterable[Delivery]) -> None:
        """Committed deliveries, to be sent now. Ones already known by id are passed over."""
        for delivery in deliveries:
            lane = self._lane(delivery.receiver)
            if delivery.id not in lane:
                self._add(lane, Entry(delivery, self._expires(delivery)))

    def offer_pending(self, pending: Iterable[PendingDelivery]) -> None:
        """The store's unsettled deliveries, at start or after the engine was rebuilt; known ones are passed over,
        unless they were cancelled meanwhile. One never tried by the record may have been under way when the last
        process died: should it be cancelled now, its end is UNKNOWN."""
        for row in pending:
            delivery = row.delivery
            lane = self._lane(delivery.receiver)
            if delivery.id not in lane:
                entry = Entry(delivery, self._expires(delivery))
                entry.attempt, entry.ambiguous, entry.resumed = row.attempt, row.ambiguous, True
                entry.due = self._resumes_at(row.next_attempt_at)
                self._add(lane, entry, pump=not row.cancelled)
            if row.cancelled:
                self._end_cancelled(lane, lane.cancel(delivery.incident, frozenset(), delivery.id))

    def recall(self, conversations: Iterable[StoredConversation]) -> None:
        """The store's conversations, at start or after the engine was rebuilt; those known here are as new or newer."""
        for one in conversations:
            lane = self._lane(one.receiver)
            if not lane.conversation(one.incident):
                lane.converse(one.incident, one.conversation)

    def conversations(self) -> Iterator[tuple[str, Channel, Mapping[str, Conversation]]]:
        """What each receiver has said of incidents, with its channel."""
        for name, channel in self._channels.items():
            if name in self._lanes:
                yield name, channel, self._lanes[name].conversations

    def forget(self, incident: str) -> None:
        """The engine let go of the incident: nothing more is said about it but what waits."""
        for lane in self._lanes.values():
            lane.forget(incident)

    def cancel(self, effect: CancelPages) -> None:
        """From here on no attempt of the meant deliveries starts. Those not under way are reported at once, the others
        when their attempt ends."""
        kinds = frozenset((PageKind.PAGE, *effect.kinds))
        for lane in self._lanes.values():
            if effect.receiver in (None, lane.name):
                self._end_cancelled(lane, lane.cancel(effect.incident, kinds))

    def replace(self, channels: Mapping[str, Channel]) -> None:
        """New channels after a reload. Attempts under way end on the old ones, which are then closed; deliveries to
        receivers that are gone fail. Queues and breakers go on."""
        old = {id(channel): channel for channel in self._channels.values()}
        self._channels = dict(channels)
        kept = {id(channel) for channel in channels.values()}
        for lane in self._lanes.values():
            lane.channel = self._channels.get(lane.name)
            self._pump(lane)
        gone = [channel for key, channel in old.items() if key not in kept]
        if gone:
            self._keep(self._close_after(gone, list(self._tasks)), None)

    async def drain(self, timeout_seconds: float) -> None:
        """Clean stop: starts nothing more, gives what is under way `timeout_seconds` to end and to be reported. What
        is left stays pending in the store, marked as possibly arrived. Then closes the channels."""
        self._running = False
        for timer in self._timers.values():
            timer.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=timeout_seconds)
        left = dict(self._tasks)
        for task, entry in left.items():
            if entry is not None and entry.started:
                self._note(entry, timedelta(0), "stopped while it was being sent", ambiguous=True)
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await self._retries.flush(FLUSH_SECONDS)
        for channel in self._channels.values():
            await channel.close()

    def status(self) -> list[ReceiverStatus]:
        """Each receiver that has a channel or deliveries, by name."""
        now = self._seconds()
        return [self._lane(name).status(now) for name in sorted({*self._channels, *self._lanes})]

    @property
    def pending(self) -> int:
        """Deliveries not yet settled."""
        return sum(map(len, self._lanes.values()))

    def _lane(self, receiver: str) -> Lane:
        lane = self._lanes.get(receiver)
        if lane is None:
            lane = self._lanes[receiver] = Lane(receiver, self._channels.get(receiver), self._pacer, self._base)
        return lane

    def _add(self, lane: Lane, entry: Entry, pump: bool = True) -> None:
        lane.add(entry, self._seconds())
        self._metrics.outbox_pending.inc()
        if self._oldest_at is None:
            self._oldest_at = entry.delivery.created_at
        if pump:
            self._pump(lane)

    def _pump(self, lane: Lane) -> None:
        """Starts whatever may start, and sets the timer for what may start later."""
        if not self._running:
            return
        now = self._seconds()
        for entry in lane.expired(now):
            self._keep(self._end(lane, entry, _given_up(entry), _too_old(entry)), entry)
        while (taken := lane.take(now)) is not None:
            self._keep(self._send(lane, taken), taken)
        self._set_timer(lane, now)

    def _set_timer(self, lane: Lane, now: float) -> None:
        timer = self._timers.pop(lane.name, None)
        if timer is not None:
            timer.cancel()
        at = lane.wake_at()
        if at is not None:
            loop = asyncio.get_running_loop()
            self._timers[lane.name] = loop.call_at(max(at, now + 0.001), self._pump, lane)

    def _keep(self, work: Awaitable[None], entry: Entry | None) -> None:
        """A task with a strong reference, until it ends."""
        task = asyncio.ensure_future(work)
        assert isinstance(task, asyncio.Task)
        self._tasks[task] = entry
        task.add_done_callback(self._tasks.pop)

    async def _send(self, lane: Lane, entry: Entry) -> None:
        """One attempt, and what follows from it. `started` marks the time in which it may arrive."""
        channel = lane.channel
        if entry.cancelled or channel is None:
            lane.sending -= 1
            lane.breaker.withdrawn(entry.probe)
            await self._end_unsent(lane, entry)
            return
        entry.attempt += 1
        entry.started = True
        answer = await self._attempt(lane, channel, entry)
        entry.started = False
        lane.sending -= 1
        match answer:
            case Receipt():
                entry.detail = answer.detail
                if answer.pause is not None:
                    lane.breaker.hold(self._seconds() + answer.pause.total_seconds())
                self._worked(lane)
                await self._end(lane, entry, Outcome.ACCEPTED, answer.refused, _heard(lane, entry, answer.conversation))
            case Permanent(error):
                self._worked(lane)
                await self._end(lane, entry, _given_up(entry), error)
            case Temporary():
                await self._failed(lane, entry, answer)
            case _:
                assert_never(answer)

    async def _attempt(self, lane: Lane, channel: Channel, entry: Entry) -> Answer:
        started = self._clock.monotonic()
        try:
            delivery = self._finish(entry.delivery)
            answer = await channel.send(delivery, entry.attempt, lane.conversation(delivery.incident))
        except Exception as error:  # noqa: BLE001
            # A fault of the channel's own. Its text may quote what it sent, so only the kind is said.
            answer = Temporary(f"fault of imd's in this channel: {type(error).__name__}", ambiguous=True)
        count = self._metrics.count
        count("delivery_latency_seconds", (lane.name,), self._clock.monotonic() - started)
        count("delivery_attempts_total", (lane.name, _ATTEMPT_OUTCOME[type(answer)]))
        return answer

    def _worked(self, lane: Lane) -> None:
        if lane.breaker.worked():
            self._metrics.receiver_breaker_open.labels(lane.name).set(0)
            _log.info(Log.BREAKER_CLOSED.value, receiver=lane.name)
            lane.hurry()
        self._pump(lane)

    async def _failed(self, lane: Lane, entry: Entry, answer: Temporary) -> None:
        now = self._seconds()
        entry.error = lane.last_error = answer.error
        entry.ambiguous = entry.ambiguous or answer.ambiguous
        hold = answer.retry_after.total_seconds() if answer.retry_after else 0.0
        if lane.breaker.failed(now, entry.probe, hold):
            self._metrics.receiver_breaker_open.labels(lane.name).set(1)
            _log.warning(Log.BREAKER_OPENED.value, receiver=lane.name, error=answer.error)
        wait = max(backoff(entry.delivery.id, entry.attempt, self._base), hold)
        if entry.cancelled:
            self._pump(lane)
            await self._end_unsent(lane, entry)
        elif now + wait >= entry.expires:
            self._pump(lane)
            await self._end(lane, entry, _given_up(entry), _too_old(entry))
        else:
            entry.fixed = entry.fixed or hold > 0
            lane.delay(entry, now + wait)
            self._note(entry, timedelta(seconds=wait), answer.error, entry.ambiguous)
            self._pump(lane)

    def _note(self, entry: Entry, wait: timedelta, error: str, ambiguous: bool) -> None:
        at = self._clock.now() + wait
        self._retries.note(entry.delivery.id, Row(entry.attempt, at, error, ambiguous))
        _log.warning(
            Log.DELIVERY_RETRIED.value, **_named(entry), attempt=entry.attempt, next_attempt_at=str(at), error=error
        )

    def _end_cancelled(self, lane: Lane, entries: list[Entry]) -> None:
        for entry in entries:
            self._keep(self._end_unsent(lane, entry), entry)

    async def _end_unsent(self, lane: Lane, entry: Entry) -> None:
        """Over without a further attempt: cancelled, or its receiver is gone."""
        if not entry.cancelled:
            await self._end(lane, entry, _given_up(entry), "no receiver of that name is configured any more")
        elif entry.may_have_arrived:
            await self._end(lane, entry, Outcome.UNKNOWN, "cancelled after an attempt that may have arrived")
        else:
            await self._end(lane, entry, Outcome.CANCELLED, entry.error)

    async def _end(
        self, lane: Lane, entry: Entry, outcome: Outcome, error: str, conversation: Conversation = b""
    ) -> None:
        """Reports the end until it is taken, which with a store that is down takes as long as that."""
        entry.stage = Stage.ENDING
        delivery = entry.delivery
        self._retries.forget(delivery.id)
        if error:
            lane.last_error = error
        event = DeliveryFinished(
            delivery=delivery.id,
            incident=delivery.incident,
            receiver=delivery.receiver,
            outcome=outcome,
            error=error,
            attempts=entry.attempt,
            conversation=conversation,
        )
        await self._report(event)
        self._settled(lane, entry, outcome, error)

    async def _report(self, event: DeliveryFinished) -> None:
        failures = 0
        while True:
            try:
                await self._submit(event, 0)
            except Exception:  # noqa: BLE001  (overloaded, store down: the end must not be lost, whatever it is)
                failures += 1
                await asyncio.sleep(min(REPORT_MAX_SECONDS, backoff(event.delivery, failures, REPORT_BASE_SECONDS)))
            else:
                return

    def _settled(self, lane: Lane, entry: Entry, outcome: Outcome, error: str) -> None:
        lane.finished(entry, self._seconds())
        self._metrics.outbox_pending.dec()
        self._metrics.count("pages_total", (lane.name, entry.delivery.kind.value, outcome.value))
        oldest = [each.delivery.created_at for other in self._lanes.values() if (each := other.oldest)]
        self._oldest_at = min(oldest, default=None)
        said = {"detail": entry.detail} if entry.detail else {}
        _log.log(_LEVEL[outcome], _EVENT[outcome].value, **_named(entry), attempt=entry.attempt, error=error, **said)
        self._pump(lane)

    async def _close_after(self, channels: list[Channel], tasks: list[asyncio.Task[None]]) -> None:
        if tasks:
            await asyncio.wait(tasks)
        for channel in channels:
            await channel.close()

    def _seconds(self) -> float:
        return asyncio.get_running_loop().time()

    def _expires(self, delivery: Delivery) -> float:
        left = delivery.created_at + GIVE_UP_AFTER[delivery.kind] - self._clock.now()
        return self._seconds() + left.total_seconds()

    def _resumes_at(self, next_attempt_at: datetime | None) -> float:
        if next_attempt_at is None:
            return 0.0
        return self._seconds() + min(next_attempt_at - self._clock.now(), RESUME_MAX).total_seconds()

    def _oldest_seconds(self) -> float:
        """For the metric; called in the thread that renders, so it reads one attribute once."""
        oldest_at = self._oldest_at
        return 0.0 if oldest_at is None else max(0.0, (self._clock.now() - oldest_at).total_seconds())


def _heard(lane: Lane, entry: Entry, conversation: Conversation) -> Conversation:
    """What of the receipt is to be stored: nothing where nothing is new. One over its bound is a fault of the channel's
    and left out, for the message itself was taken."""
    if len(conversation) > CONVERSATION_BYTES_MAX:
        return b""
    return conversation if lane.converse(entry.delivery.incident, conversation) else b""


def _given_up(entry: Entry) -> Outcome:
    return Outcome.UNKNOWN if entry.ambiguous else Outcome.FAILED


def _too_old(entry: Entry) -> str:
    return f"given up for its age; {entry.error}" if entry.error else "given up for its age, never tried"


def _named(entry: Entry) -> dict[str, str]:
    delivery = entry.delivery
    return {
        "delivery": delivery.id,
        "incident": delivery.incident,
        "receiver": delivery.receiver,
        "kind": delivery.kind.value,
    }


_ATTEMPT_OUTCOME = {Receipt: "accepted", Temporary: "temporary", Permanent: "permanent"}
_EVENT = {
    Outcome.ACCEPTED: Log.DELIVERY_ACCEPTED,
    Outcome.FAILED: Log.DELIVERY_FAILED,
    Outcome.CANCELLED: Log.DELIVERY_CANCELLED,
    Outcome.UNKNOWN: Log.DELIVERY_FAILED,
}
_LEVEL = {Outcome.ACCEPTED: 20, Outcome.FAILED: 40, Outcome.CANCELLED: 20, Outcome.UNKNOWN: 30}  # logging's numbers
