"""Bugs planted on purpose, each a patch of imd's own code: what the simulation must find to be worth its time.

Each is as narrow as such a bug is in life: it shows only after a crash, only on a retry, only for the second of two.
`hunt` counts the seeds until an oracle speaks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple
from unittest.mock import patch

from imd.channels import webhook
from imd.channels.contract import Receipt, Temporary
from imd.core import expiry
from imd.core.digests import WAITS, Digester
from imd.core.escalation import Escalation
from imd.core.heartbeats import Heartbeats
from imd.core.notify import Notifier
from imd.core.reach import Reacher
from imd.core.regroup import Regroup
from imd.core.timers import Timers
from imd.daemon import restored
from imd.daemon.breaker import Breaker
from imd.daemon.lane import Lane, Stage
from imd.daemon.loop import Loop
from imd.daemon.outbox import Outbox
from imd.daemon.outgoing import send_off
from imd.model.effect import Deliver, SaveAlert, SaveDigests
from imd.model.event import Outcome
from imd.model.incident import IncidentState
from imd.model.policy import PageKind, PageReason
from imd.store import batch as store_batch
from imd.store import sqlite_rows
from imd.store.batch import Batch
from tests.simulation.plan import plan
from tests.simulation.simulation import Simulation


@dataclass(frozen=True)
class Bug:
    """`patches` makes what plants it; `seed` is one that is known to find it."""

    name: str
    patches: Callable[[], Iterable[Any]]
    seed: int = 0

    @contextmanager
    def planted(self) -> Iterator[None]:
        with ExitStack() as stack:
            for one in self.patches():
                stack.enter_context(one)
            yield


class Found(NamedTuple):
    """`seeds` were run until then, this one included."""

    seeds: int
    seed: int
    violation: str


def hunt(bug: Bug, seeds: Iterable[int]) -> Found | None:
    """The first seed that finds it."""
    with bug.planted():
        for number, seed in enumerate(seeds, 1):
            violations = Simulation(seed, plan(seed)).run().violations
            if violations:
                return Found(number, seed, violations[0])
    return None


# -- the store and the loop -------------------------------------------------------------------------------------------


def _outbox_row_lost() -> Iterable[Any]:
    """Of several messages in one transaction the last is neither written nor sent."""

    def deliver(self: Batch, effect: Deliver, now: Any) -> None:
        if len(self.outgoing) < 1:
            Batch._deliver(self, effect, now)

    yield patch.dict(store_batch._ADD, {Deliver: deliver})


def _answer_before_commit() -> Iterable[Any]:
    """Whoever comes while another commit is under way is answered at once."""
    submit = Loop.submit

    async def hasty(self: Loop, event: Any, size_bytes: int, rejected: Any = ()) -> Any:
        if self._under_way and not self._down and not rejected:
            refused = self._step(event)
            self._plan_flush()
            return refused
        return await submit(self, event, size_bytes, rejected)

    yield patch.object(Loop, "submit", hasty)


def _page_before_commit() -> Iterable[Any]:
    """Messages leave as their batch goes to the store."""
    flush = Loop._flush

    def early(self: Loop) -> None:
        current = self._open
        flush(self)
        if self._open is not current:
            send_off(current.batch, self._outgoing)

    yield patch.object(Loop, "_flush", early)


def _failure_swallowed() -> Iterable[Any]:
    """A commit that failed is taken for one that did not."""
    committed = Loop._committed
    yield patch.object(Loop, "_committed", lambda self, current, _error: committed(self, current, None))


def _failure_answered_well() -> Iterable[Any]:
    """The engine is rebuilt after a failed commit, but who waited for it is told that all is well."""
    fail = Loop._fail

    def kindly(self: Loop, reason: str) -> None:
        for void in (*self._under_way, self._open):
            self._wake(void)
        fail(self, reason)

    yield patch.object(Loop, "_fail", kindly)


def _cancelled_not_stored() -> Iterable[Any]:
    """A cancellation is known to the process alone: a restart sends what was called off."""
    yield patch.object(sqlite_rows, "_CANCEL", sqlite_rows._CANCEL + " AND ?1 = ''")


def _marked_sent_at_once() -> Iterable[Any]:
    """A message's row is written as settled."""

    def deliver(self: Batch, effect: Deliver, now: Any) -> None:
        Batch._deliver(self, effect, now)
        if len(self.settled) == 0:
            self.settled.append(("accepted", 1, "", 0, effect.delivery.id))

    yield patch.dict(store_batch._ADD, {Deliver: deliver})


# -- the outbox and the channels --------------------------------------------------------------------------------------


def _second_key() -> Iterable[Any]:
    """A retry bears another key."""
    body_of = webhook.body_of

    def anew(delivery: Any, attempt: int) -> bytes:
        body = body_of(delivery, attempt)
        if attempt < 2:
            return body
        return body.replace(f'"dedup_key":"{delivery.dedup_key}"'.encode(), f'"dedup_key":"{delivery.id}"'.encode())

    yield patch.object(webhook, "body_of", anew)


def _doubt_taken_for_success() -> Iterable[Any]:
    """A failure after which the message may have arrived counts as arrived."""
    attempt = Outbox._attempt

    async def hopeful(self: Outbox, *args: Any) -> Any:
        answer = await attempt(self, *args)
        return Receipt() if isinstance(answer, Temporary) and answer.ambiguous else answer

    yield patch.object(Outbox, "_attempt", hopeful)


def _retries_forgotten() -> Iterable[Any]:
    """What was tried before the process died is not taken up again."""
    offer = Outbox.offer_pending

    def forgetful(self: Outbox, pending: Any) -> None:
        offer(self, [row for row in pending if not row.attempt])

    yield patch.object(Outbox, "offer_pending", forgetful)


def _cancel_ignored() -> Iterable[Any]:
    """An acknowledgement does not call back what waits for its next attempt."""
    yield patch.object(Outbox, "cancel", lambda _self, _effect: None)


def _resolve_overtakes() -> Iterable[Any]:
    """A resolve goes before the page that waits for its next attempt."""
    add = Lane.add

    def urgent(self: Lane, entry: Any, now: float) -> None:
        chain = self._chains.get(entry.delivery.incident)
        if not chain or entry.delivery.kind is not PageKind.RESOLVED or chain[0].stage is not Stage.DELAYED:
            add(self, entry, now)
            return
        self._entries[entry.delivery.id] = entry
        chain[0].stage = Stage.QUEUED
        chain.appendleft(entry)
        self._activate(chain, now)

    yield patch.object(Lane, "add", urgent)


def _breaker_stays_open() -> Iterable[Any]:
    """A breaker's probe is never ended by a failure."""
    failed = Breaker.failed

    def stuck(self: Breaker, now: float, probe: bool, hold_seconds: float = 0.0) -> bool:
        opens = failed(self, now, probe, hold_seconds)
        self._probing = self._probing or probe
        return opens

    yield patch.object(Breaker, "failed", stuck)


# -- decisions, restarts and the clock --------------------------------------------------------------------------------


def _timer_dropped(name: str) -> Callable[[], Iterable[Any]]:
    """A timer does not come back from the store."""

    def patches() -> Iterable[Any]:
        restore = restored.restore

        def forgetful(*args: Any) -> Any:
            state = restore(*args)
            for incident in state.incidents.values():
                incident.timers.pop(name, None)
            return state

        yield patch.object(restored, "restore", forgetful)

    return patches


def _ack_leaves_way_armed() -> Iterable[Any]:
    """A person's next way goes on after the acknowledgement."""
    due = Reacher.due

    def regardless(self: Reacher, tx: Any, incident: Any, rule: Any) -> None:
        before = incident.state
        if before is IncidentState.ACKNOWLEDGED:
            incident.state = IncidentState.TRIGGERED
        due(self, tx, incident, rule)
        if before is IncidentState.ACKNOWLEDGED:
            incident.state = before

    yield patch.object(Reacher, "stop", lambda *_args: None)
    yield patch.object(Reacher, "due", regardless)


def _ack_leaves_step_armed() -> Iterable[Any]:
    """The next step follows although somebody has it."""
    stop, due = Escalation.stop, Escalation.escalate_due

    def forgetful(self: Escalation, tx: Any, incident: Any, cancel: bool) -> None:
        at = incident.timers.get("escalate")
        stop(self, tx, incident, cancel)
        if at is not None:
            incident.timers["escalate"] = at

    def regardless(self: Escalation, tx: Any, incident: Any, rule: Any, policy: str) -> None:
        if incident.state is IncidentState.ACKNOWLEDGED and incident.step >= 0:
            self._walker.move_on(tx, incident, rule, incident, "nobody acknowledged in time")
        due(self, tx, incident, rule, policy)

    yield patch.object(Escalation, "stop", forgetful)
    yield patch.object(Escalation, "escalate_due", regardless)


def _resolve_to_the_untold() -> Iterable[Any]:
    """Who was to be paged and never was is told that it is over."""
    yield patch.object(Notifier, "drop_follow_ups", lambda *_args, **_named: None)
    yield patch.object(Notifier, "_owed", _owed_to_all)


def _owed_to_all(self: Notifier, _incident: Any, name: str, _told: Any, kind: PageKind) -> Any:
    receiver = self._ruleset.receivers.get(name)
    return receiver if receiver is not None and kind in receiver.send else None


def _resolve_forgotten() -> Iterable[Any]:
    """A page whose arrival is unknown is owed no end."""
    finished = Escalation.finished

    def doubting(self: Escalation, tx: Any, incident: Any, rule: Any, event: Any) -> None:
        finished(self, tx, incident, rule, event)
        if event.outcome == "unknown":
            incident.told.pop(event.receiver, None)

    yield patch.object(Escalation, "finished", doubting)


def _escalation_doubled() -> Iterable[Any]:
    """After a restart a step that was entered is entered once more."""
    restarted = Timers.restarted

    def again(self: Timers, tx: Any, alive_at: Any) -> None:
        restarted(self, tx, alive_at)
        for incident in list(self._state.incidents.values()):
            if incident.state is IncidentState.TRIGGERED and incident.step == 0 and not incident.round:
                rule = self._incidents.rule_of(incident)
                self._incidents.escalation.begin(tx, incident, rule, PageReason.FIRST)

    yield patch.object(Timers, "restarted", again)


def _clock_fires_a_crowd() -> Iterable[Any]:
    """Deadlines stay where they are when the clock is set."""
    yield patch.object(Timers, "shift", lambda *_args: None)


# -- digests ----------------------------------------------------------------------------------------------------------


def _called_back_loses_news() -> Iterable[Any]:
    """Of a digest that was called back, what was news in it, or became so meanwhile, is in no other."""
    finished = Digester.finished

    def hasty(self: Digester, tx: Any, event: Any) -> Any:
        ended = finished(self, tx, event)
        for incident in self._state.incidents.values():
            told = incident.told.get(event.receiver)
            if event.outcome in (Outcome.CANCELLED, Outcome.UNKNOWN) and told is not None:
                told.news = ""
        return ended

    yield patch.object(Digester, "finished", hasty)


def _called_back_loses_pages() -> Iterable[Any]:
    """The pages in a digest that was called back count as called off, all of them."""
    finished = Digester.finished

    def hasty(self: Digester, tx: Any, event: Any) -> Any:
        ended = finished(self, tx, event)
        for incident in self._state.incidents.values() if event.outcome is Outcome.CANCELLED else ():
            for name, awaited in incident.awaited.items():
                if awaited.receiver == event.receiver and awaited.digest == WAITS:
                    awaited.digest = ""
                    ended.append((incident, name))
        return ended

    yield patch.object(Digester, "finished", hasty)


def _no_room_taken_for_told() -> Iterable[Any]:
    """What a digest has no room for is marked as told by it."""

    def due(self: Digester, tx: Any, receiver: str) -> Any:
        waiting = self.waiting(tx, receiver)
        if waiting:
            record = self._state.digests[receiver]
            self.send(tx, record, waiting)
            tx.effects.append(SaveDigests(record))
        return waiting

    yield patch.object(Digester, "due", due)


def _digest_dropped() -> Iterable[Any]:
    """When the next digest leaves does not come back from the store."""
    yield patch.object(Digester, "_remind", lambda *_args: None)


def _had_untold() -> Iterable[Any]:
    """Who knows an incident from digests alone is not told that somebody has it."""
    tell = Digester.tell

    def partly(self: Digester, tx: Any, incident: Any, receiver: str, told: Any) -> None:
        if incident.state is not IncidentState.ACKNOWLEDGED:
            tell(self, tx, incident, receiver, told)

    yield patch.object(Digester, "tell", partly)


# -- silent senders, heartbeats and merges ----------------------------------------------------------------------------


def _stale_fires_on() -> Iterable[Any]:
    """An alert of which a silent source says no more never ends."""
    judge = expiry.judge

    def patient(*args: Any) -> Any:
        verdict = judge(*args)
        silent = isinstance(verdict, expiry.Expires) and verdict.because == expiry.SOURCE_SILENT
        return expiry.LooksAgain(args[-1] + expiry.LOOK_EVERY, stale=True) if silent else verdict

    yield patch.object(expiry, "judge", patient)


def _heartbeat_unarmed() -> Iterable[Any]:
    """After a beat the next one is awaited for ever."""
    yield patch.object(Heartbeats, "_arm", lambda *_args: None)


def _merged_untold() -> Iterable[Any]:
    """Who was paged for an incident that becomes part of another is not told that its own is over."""
    follow_up = Notifier.follow_up

    def partly(self: Notifier, tx: Any, incident: Any, rule: Any, kind: Any, *args: Any, **named: Any) -> None:
        if incident.state is not IncidentState.MERGED:
            follow_up(self, tx, incident, rule, kind, *args, **named)

    yield patch.object(Notifier, "follow_up", partly)


# -- alerts that move -------------------------------------------------------------------------------------------------


def _move_not_stored() -> Iterable[Any]:
    """Where an alert has gone is known to the process alone."""
    move = Regroup.move

    def forgetful(self: Regroup, tx: Any, incident: Any, into: Any, members: Any, *why: str) -> None:
        before = len(tx.effects)
        move(self, tx, incident, into, members, *why)
        tx.effects[before:] = [one for one in tx.effects[before:] if not isinstance(one, SaveAlert)]

    yield patch.object(Regroup, "move", forgetful)


def _left_unwatched() -> Iterable[Any]:
    """Whether what is left holds its incident open is not asked."""
    move = Regroup.move

    def careless(self: Regroup, tx: Any, incident: Any, into: Any, members: Any, *why: str) -> None:
        move(self, tx, incident, into, members, *why)
        tx.touch(incident).restated.clear()

    yield patch.object(Regroup, "move", careless)


def _counted_twice() -> Iterable[Any]:
    """Of several that move only the first counts no more where it was."""
    take_out = Regroup._take_out

    def first(self: Regroup, incident: Any, members: Any) -> None:
        take_out(self, incident, members[:1])
        self._state.remove_members(incident, members)

    yield patch.object(Regroup, "_take_out", first)


BUGS = (
    Bug("an outbox row is lost", _outbox_row_lost),
    Bug("a 2xx before its commit", _answer_before_commit),
    Bug("a page before its commit", _page_before_commit),
    Bug("a failed commit is swallowed", _failure_swallowed),
    Bug("a failed commit is answered 2xx", _failure_answered_well, seed=150),
    Bug("a cancellation is not stored", _cancelled_not_stored),
    Bug("a delivery is marked sent before it was", _marked_sent_at_once),
    Bug("a second key on a retry", _second_key),
    Bug("a doubtful failure counts as delivered", _doubt_taken_for_success),
    Bug("pages tried before a crash are forgotten", _retries_forgotten, seed=40),
    Bug("an ack does not call back what waits", _cancel_ignored),
    Bug("a resolve overtakes its page", _resolve_overtakes, seed=302),
    Bug("a breaker stays open for ever", _breaker_stays_open),
    Bug("the escalation timer is dropped at restore", _timer_dropped("escalate")),
    Bug("the ack timer is dropped at restore", _timer_dropped("ack")),
    Bug("the resolve timer is dropped at restore", _timer_dropped("resolve")),
    Bug("an ack leaves a step armed", _ack_leaves_step_armed),
    Bug("an ack leaves a person's next way armed", _ack_leaves_way_armed),
    Bug("a resolve goes to one never told", _resolve_to_the_untold, seed=53),
    Bug("no resolve to one who may have been told", _resolve_forgotten, seed=44),
    Bug("an escalation is doubled after a restart", _escalation_doubled),
    Bug("a clock step starts a mass escalation", _clock_fires_a_crowd),
    Bug("a digest that is called back loses news", _called_back_loses_news, seed=262),
    Bug("a digest that is called back loses pages", _called_back_loses_pages, seed=86),
    Bug("what a digest has no room for counts as told", _no_room_taken_for_told, seed=189),
    Bug("a digest is dropped at restore", _digest_dropped),
    Bug("digests do not say that somebody has it", _had_untold, seed=216),
    Bug("what a silent source said fires for ever", _stale_fires_on, seed=127),
    Bug("a heartbeat is not awaited", _heartbeat_unarmed, seed=35),
    Bug("a merge is not told to those paged", _merged_untold, seed=12),
    Bug("a move is not stored", _move_not_stored, seed=15),
    Bug("what is left of an incident is not looked at", _left_unwatched, seed=181),
    Bug("what moves counts twice", _counted_twice, seed=15),
)
