"""Recorded history through the engine, in virtual time.

Owns what stands in for the world: time, which jumps from deadline to deadline; receivers, which take every message at
once unless the file says how it went; and a person, who acknowledges where the file has nobody. How it works: before
each event everything is done that falls due earlier; what falls due at its very instant comes after it.

An alert ends by its resolve, by the `ends_at` that its newest firing line gave, or by an `expired` line; for want of
repeats only with `expire`. Nothing is sent and nothing is stored.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

import msgspec

from imd.core.engine import Engine
from imd.core.state import State
from imd.core.transaction import Transaction
from imd.core.waiting import Place
from imd.model.alert import Alert, AlertReport
from imd.model.effect import CancelPages, Counted, Deliver, Delivery, Effect, Refused, SaveAlert, SaveIncident
from imd.model.event import (
    ActionKind,
    ActionTaken,
    AlertsExpired,
    AlertsReported,
    ClockStepped,
    DeliveryFinished,
    Event,
    Expired,
    HeartbeatBeat,
    Outcome,
    Restarted,
    Tick,
)
from imd.model.incident import Awaited, Incident, IncidentState, Priority
from imd.model.policy import PageKind, PageReason, Ruleset
from imd.replay.journal import Recorded, delivery_of
from imd.replay.shapes import NO_LONGER_REPORTED

STORE_ID = "replay"
WAITED_FOR = ("hold", "rate", "resolve")
"""Timers of an open incident that are still run after the last event."""
_BEGINNINGS = frozenset({PageReason.FIRST, PageReason.REOPENED, PageReason.FLAPPING})


class Given(msgspec.Struct, frozen=True):
    """What a line said of an alert, and the episode that it belongs to."""

    line: int
    alert: Alert
    annotations: bytes


class Story(msgspec.Struct):
    """What became of the events. The records are the engine's own, as they were left.

    `members`: ids of all episodes that were ever in an incident. `pages`: every message but those called off before
    they left; `digests`: which incidents were paged in each message that is one. `unmet`: what the file asked for and
    the engine could not do, by sentence.
    """

    given: list[Given] = []
    incidents: dict[str, Incident] = {}
    members: dict[str, set[int]] = {}
    pages: list[Delivery] = []
    digests: dict[str, list[str]] = {}
    unmet: Counter[str] = msgspec.field(default_factory=Counter)
    events: int = 0
    began_at: datetime | None = None
    ended_at: datetime | None = None

    def surviving(self, incident: str) -> str:
        """The incident that it was merged into, and that one in turn."""
        while (found := self.incidents.get(incident)) is not None and found.merged_into:
            incident = found.merged_into
        return incident


class InDigest(msgspec.Struct, frozen=True):
    """An incident's page that left in a digest. `begins`: a policy begins by it."""

    incident: str
    number: int
    priority: Priority
    awaited: Awaited
    begins: bool


class World(Protocol):
    """Whoever stands for the receivers, and watches."""

    def answer(self, delivery: Delivery) -> tuple[Outcome, str] | None:
        """How the delivery ends, now, and in what words; None: not yet, `settle` says it."""
        ...

    def watch(self, effect: Effect) -> None:
        """An effect other than what is counted."""
        ...


class Replay:
    """One run. Hand it each step in order, then call `finish`.

    `ack_after`: how long after its first page an incident is acknowledged by that page's target; None: never.
    `expire`: alerts also end for want of repeats, as for a running daemon, and heartbeats are found missing; `beats`
    says the latter alone. `deliveries`: see `journal.Glance`. `transaction` is the engine's. Without a `world` every
    message is accepted.
    """

    def __init__(
        self,
        ruleset: Ruleset,
        *,
        ack_after: timedelta | None = None,
        expire: bool = False,
        beats: bool | None = None,
        deliveries: Mapping[str, str] | None = None,
        transaction: type[Transaction] = Transaction,
        world: World | None = None,
    ) -> None:
        self.engine = Engine(unread(ruleset), State(STORE_ID), expires=expire, beats=beats, transaction=transaction)
        self.story = Story()
        self._world = world
        self._hanging: list[Delivery] = []
        self._unanswered: list[list[Delivery]] = []
        self._ack_after = ack_after
        self._recorded = dict(deliveries or {})
        self._heartbeats = {one.name for one in ruleset.heartbeats}
        self._awaited: dict[str, Delivery] = {}
        self._cancelled: set[str] = set()
        self._in_digests: dict[str, list[InDigest]] = {}
        self._agenda: list[tuple[datetime, int, Event]] = []
        self._waiting: list[Callable[[], datetime | None]] = []
        self._planned = 0
        self._now: datetime | None = None

    def take(self, recorded: Recorded) -> list[str]:
        """One step of the file, after all that is due before it. Answers what the engine refused of it."""
        event, at = recorded.event, recorded.at
        story = self.story
        if story.began_at is None:
            self.begin(_lived_until(event, at))
            story.began_at = at
        story.events += len(recorded.lines)
        self.pass_time(_lived_until(event, at))
        if isinstance(event, DeliveryFinished):
            self._delivery_finished(event, at)
            return []
        if isinstance(event, HeartbeatBeat) and event.heartbeat not in self._heartbeats:
            return []
        if isinstance(event, ActionTaken):
            meant = self._meant(event.incident, recorded.first)
            event = msgspec.structs.replace(event, incident=meant, record=self.story.incidents.get(meant))
        refused = self._act(event, at) if isinstance(event, ActionTaken) else self._step(event, at)
        if refused:
            story.unmet.update(refused)
        if isinstance(event, AlertsReported):
            self._keep(recorded.lines, event, at)
        elif isinstance(event, AlertsExpired):
            self._keep_expired(recorded.lines, event)
        return refused

    def begin(self, at: datetime) -> None:
        """Time begins: what recurs has no deadline before."""
        self.story.began_at = self._now = at

    def finish(self, until: datetime | None = None) -> Story:
        """Runs timers up to `until`, where it is given, then until no hold, open_when, resolve or first page waits."""
        if until is not None:
            self.pass_time(until)
            self._step(Tick(), until)
        while (waiting := self._waits_until()) is not None:
            due = self.engine.next_deadline()
            assert due is not None, "a timer that nothing looks at"
            assert due <= waiting, "a timer that nothing looks at"
            self.pass_time(due)
            self._step(Tick(), due)
        self.story.pages = [page for page in self.story.pages if page.id not in self._cancelled]
        self.story.ended_at = self._now
        return self.story

    # -- time -----------------------------------------------------------------------------------------------------

    def next_due(self) -> datetime | None:
        """When something happens by itself next; None if nothing waits."""
        due = self.engine.next_deadline()
        if not self._agenda:
            return due
        return self._agenda[0][0] if due is None else min(due, self._agenda[0][0])

    def pass_time(self, until: datetime) -> None:
        """Does what falls due before `until`, in order; at one instant the agenda comes first, as expiry does."""
        while True:
            due = self.engine.next_deadline()
            if self._agenda and self._agenda[0][0] < until and (due is None or self._agenda[0][0] <= due):
                at, _, event = heapq.heappop(self._agenda)
                if not isinstance(event, AlertsExpired) or self._end_stands(event.alerts[0]):
                    self._step(event, at)
            elif due is not None and due < until:
                self._step(Tick(), due)
            else:
                return

    def _plan(self, at: datetime, event: Event) -> None:
        self._planned += 1
        heapq.heappush(self._agenda, (at, self._planned, event))

    def _waits_until(self) -> datetime | None:
        """An instant for which some hold, open_when, resolve or first page waits. What did when last looked at is
        asked first, so that all are looked through only when none of those waits any more."""
        while self._waiting:
            until = self._waiting[-1]()
            if until is not None:
                return until
            self._waiting.pop()
        incidents = (partial(_incident_waits, one) for one in self.engine.state.incidents.values())
        openings = (partial(_opening_waits, self.engine.state, place) for place in self.engine.state.waiting)
        digests = (partial(_digest_waits, self.engine.state, receiver) for receiver in self.engine.state.digests)
        self._waiting = [waits for waits in (*incidents, *openings, *digests) if waits() is not None]
        return self._waiting[-1]() if self._waiting else None

    # -- alerts ---------------------------------------------------------------------------------------------------

    def _keep(self, lines: tuple[int, ...], event: AlertsReported, at: datetime) -> None:
        alerts = self.engine.state.alerts
        for line, report in zip(lines, event.alerts, strict=True):
            alert = alerts.get(report.identity.key)
            if alert is None:
                continue
            self._said(line, alert, report)
            if report.ends_at is not None and not report.resolved:
                end = Expired(report.identity, report.ends_at, NO_LONGER_REPORTED)
                self._plan(max(at, report.ends_at), AlertsExpired((end,)))

    def _said(self, line: int, alert: Alert, report: AlertReport) -> None:
        """A line spoke of this episode."""
        self.story.given.append(Given(line, alert, report.annotations))

    def _keep_expired(self, lines: tuple[int, ...], event: AlertsExpired) -> None:
        for line, expired in zip(lines, event.alerts, strict=True):
            alert = self.engine.state.alerts.get(expired.identity.key)
            if alert is not None:
                self.story.given.append(Given(line, alert, alert.annotations))

    def _end_stands(self, expired: Expired) -> bool:
        """Whether the end that a firing line gave still stands: a later line may have moved it."""
        alert = self.engine.state.alerts.get(expired.identity.key)
        if alert is None or not alert.firing:
            return False
        ends = [span.until for span in alert.spans if span.ended_at is None]
        return all(end is not None and end <= expired.at for end in ends)

    # -- people ---------------------------------------------------------------------------------------------------

    def _meant(self, incident_id: str, first: bytes) -> str:
        """The incident that an action is about: by its first alert where the number is another incident's here."""
        state = self.engine.state
        members = state.members.get(incident_id)
        if not first or (members and members[0].identity.key == first):
            return incident_id
        alert = state.alerts.get(first)
        return alert.incident if alert is not None and alert.incident else incident_id

    def _act(self, action: ActionTaken, at: datetime) -> list[str]:
        """What a person did. What was refused of it."""
        return self._step(action, at)

    # -- messages -------------------------------------------------------------------------------------------------

    def _delivery_finished(self, event: DeliveryFinished, at: datetime) -> None:
        recorded = delivery_of(event.delivery, event.incident)
        # What is due at this very instant may be what sends it, or what is armed by that for now.
        while recorded not in self._awaited and (due := self.engine.next_deadline()) is not None and due <= at:
            self._step(Tick(), at)
        self._recorded.pop(recorded, None)
        delivery = self._awaited.pop(recorded, None)
        if delivery is None:
            self.story.unmet["recorded deliveries of messages that this run did not send"] += 1
            return
        self._finish(delivery, event.outcome, at, event.error)

    def settle(self, receiver: str, outcome: Outcome, at: datetime, error: str = "") -> None:
        """What hangs at the receiver ends."""
        for delivery in [one for one in self._hanging if one.receiver == receiver]:
            if delivery in self._hanging:  # the end of the one before may have called it off
                self._hanging.remove(delivery)
                self._finish(delivery, outcome, at, error)

    def _answered(self, delivery: Delivery, at: datetime) -> None:
        answer = (Outcome.ACCEPTED, "") if self._world is None else self._world.answer(delivery)
        if answer is None:
            self._hanging.append(delivery)
        else:
            self._finish(delivery, answer[0], at, answer[1])

    def _finish(self, delivery: Delivery, outcome: Outcome, at: datetime, error: str = "") -> None:
        if outcome is Outcome.CANCELLED:
            self._cancelled.add(delivery.id)
        self._step(
            DeliveryFinished(
                delivery=delivery.id,
                incident=delivery.incident,
                receiver=delivery.receiver,
                outcome=outcome,
                error=error,
            ),
            at,
        )

    def _call_off(self, sent: list[Delivery], cancel: CancelPages) -> Iterator[Delivery]:
        kinds = {PageKind.PAGE, *cancel.kinds}
        for waiting in (sent, *self._unanswered, self._hanging):
            for delivery in list(waiting):
                meant = delivery.incident == cancel.incident and cancel.receiver in (None, delivery.receiver)
                if meant and delivery.kind in kinds:
                    waiting.remove(delivery)
                    yield delivery

    # -- the engine -----------------------------------------------------------------------------------------------

    def _step(self, event: Event, at: datetime) -> list[str]:
        """Steps, keeps what is told of it, and answers for the receivers and the person on call. What was refused."""
        if self._now is not None and at < self._now and not isinstance(event, ClockStepped):
            at = self._now  # a deadline that was left over from a step before
        self._now = at
        sent: list[Delivery] = []
        called_off: list[Delivery] = []
        refused: list[str] = []
        for effect in self.engine.step(event, at):
            if type(effect) is Refused:
                refused.append(effect.error)
            elif type(effect) is not Counted:
                self._take(effect, sent, called_off)
        if not sent and not called_off:
            return refused
        left: list[Delivery] = []
        self._unanswered.append(sent)
        for delivery in called_off:
            self._finish(delivery, Outcome.CANCELLED, at)
        while sent:
            left.append(sent.pop(0))
            self._answered(left[-1], at)  # which may call off those behind it
        self._unanswered.pop()
        for delivery in left:
            self._acknowledge(delivery, at)
        return refused

    def _take(self, effect: Effect, sent: list[Delivery], called_off: list[Delivery]) -> None:
        story = self.story
        if self._world is not None:
            self._world.watch(effect)
        match effect:
            case SaveAlert(alert=alert):
                if alert.incident:
                    story.members.setdefault(alert.incident, set()).add(alert.id)
            case SaveIncident(incident=incident):
                story.incidents[incident.id] = incident
            case Deliver(delivery=delivery):
                story.pages.append(delivery)
                if delivery.kind is PageKind.DIGEST:
                    story.digests[delivery.id] = [one.incident for one in self._note_digest(delivery)]
                recorded = delivery_of(delivery.id, delivery.incident)
                if self._recorded.get(recorded) == delivery.receiver:
                    self._awaited[recorded] = delivery
                else:
                    sent.append(delivery)
            case CancelPages():
                called_off.extend(self._call_off(sent, effect))
            case _:
                pass

    def _acknowledge(self, delivery: Delivery, at: datetime) -> None:
        """Whoever was paged, alone or in a digest, answers."""
        if delivery.kind is PageKind.DIGEST:
            for one in self._in_digests.pop(delivery.id, ()):
                self._answer(one.incident, one.awaited.to, one.begins, at)
        else:
            begins = delivery.kind is PageKind.PAGE and delivery.reason in _BEGINNINGS
            self._answer(delivery.incident, delivery.to, begins, at)

    def _note_digest(self, delivery: Delivery) -> list[InDigest]:
        """Whose pages leave in it, while the engine still knows."""
        state, found = self.engine.state, []
        for name in state.in_digests.get(delivery.receiver, ()):
            incident = state.incidents.get(name)
            for awaited in incident.awaited.values() if incident is not None else ():
                if incident is not None and awaited.digest == delivery.id:
                    begins = incident.state is IncidentState.TRIGGERED and awaited.step == awaited.round == 0
                    found.append(InDigest(incident.id, incident.number, incident.priority, awaited, begins))
        self._in_digests[delivery.id] = found
        return found

    def _answer(self, incident: str, to: str, begins: bool, at: datetime) -> None:
        """`begins`: it is the page by which a policy begins."""
        if self._ack_after is None or not begins:
            return
        event = ActionTaken(kind=ActionKind.ACK, incident=incident, by=to, through="replay")
        if self._ack_after:
            self._plan(at + self._ack_after, event)
        else:
            self._step(event, at)


def replay(
    steps: Iterable[Recorded],
    ruleset: Ruleset,
    *,
    ack_after: timedelta | None = None,
    expire: bool = False,
    deliveries: Mapping[str, str] | None = None,
    until: datetime | None = None,
) -> Story:
    """A whole file. The arguments are those of Replay and `finish`; raises what `steps` raises."""
    run = Replay(ruleset, ack_after=ack_after, expire=expire, deliveries=deliveries)
    for recorded in steps:
        run.take(recorded)
    return run.finish(until)


def _lived_until(event: Event, at: datetime) -> datetime:
    """Up to when imd did in time what fell due before this event: not while it was away, and a clock that is set ahead
    passes no time."""
    if isinstance(event, Restarted):
        return min(at, event.alive_at)
    return at - event.by if isinstance(event, ClockStepped) else at


def _digest_waits(state: State, receiver: str) -> datetime | None:
    """When the receiver's digest leaves, where by it somebody hears of an incident for the first time."""
    record = state.digests[receiver]
    if record.sent or record.due_at is None:
        return None
    for name in state.in_digests.get(receiver, ()):
        incident = state.incidents.get(name)
        told = incident.told.get(receiver) if incident is not None else None
        if told is not None and told.digest and not told.heard and not told.listed:
            return record.due_at
    return None


def _incident_waits(incident: Incident) -> datetime | None:
    if not incident.open:
        return None
    return max((incident.timers[name] for name in WAITED_FOR if name in incident.timers), default=None)


def _opening_waits(state: State, place: Place) -> datetime | None:
    waiting = state.waiting.get(place)
    return waiting.look_at if waiting is not None else None


def unread(ruleset: Ruleset) -> Ruleset:
    """The same decisions with empty lists of alerts in the messages, which nobody reads here: they cost the most."""
    receivers = {name: msgspec.structs.replace(one, send_alerts=0) for name, one in ruleset.receivers.items()}
    return msgspec.structs.replace(ruleset, receivers=receivers)
