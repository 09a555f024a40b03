"""Messages to receivers: what each one was told of an incident, and what it is owed.

Owns the bookkeeping of who heard what: a receiver gets updates and a resolve only for what it was told of, and always
for that. Which receiver a page goes to, and when, is `escalation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from imd.core import page
from imd.core.backlog import Backlog
from imd.core.digests import Digester, owe_end
from imd.core.state import Due, State
from imd.core.transaction import Transaction
from imd.model.alert import Alert
from imd.model.effect import CancelPages, Deliver
from imd.model.event import DeliveryFinished, Outcome
from imd.model.incident import Awaited, Incident, IncidentState, Told
from imd.model.policy import PageKind, PageReason, Receiver, Ruleset
from imd.model.rule import Rule

FOLLOW_UPS = (PageKind.UPDATE, PageKind.ACKNOWLEDGED, PageKind.RESOLVED, PageKind.NOTE)
_UPDATED_STATES = frozenset({IncidentState.TRIGGERED, IncidentState.ACKNOWLEDGED, IncidentState.SNOOZED})


class Notifier:
    """Writes messages into the transaction. `rule` is always the rule that the incident opened with."""

    def __init__(self, ruleset: Ruleset, state: State) -> None:
        self._ruleset = ruleset
        self._state = state
        self.digests = Digester(ruleset, state)
        self.backlog = Backlog(ruleset, state, self.digests, self._leave)

    def page(
        self,
        tx: Transaction,
        incident: Incident,
        rule: Rule,
        receiver: Receiver,
        awaited: Awaited,
        reason: PageReason,
        step: int,
    ) -> tuple[str, str]:
        """Sends a page; the delivery's id, and how and why it does not leave now, if it does not. The receiver is owed
        what follows from now on, once it heard."""
        waits = (self.digests.crowded if receiver.people else self.backlog.holds_back)(tx, incident, receiver, reason)
        told = incident.told.setdefault(receiver.name, Told(to=awaited.to))
        if told.at is None:  # new, or kept for its end alone
            told.to, told.digest = awaited.to, bool(waits) and receiver.people
        if waits:
            sent = self.digests.hold(tx, incident, receiver, awaited)
            told.at, told.changed = tx.now, incident.changed
        else:
            sent = self._leave(tx, incident, receiver, awaited, reason, step)
        return sent, waits

    def _leave(
        self, tx: Transaction, incident: Incident, receiver: Receiver, awaited: Awaited, reason: PageReason, step: int
    ) -> str:
        """A page leaves singly."""
        rule, members, to = self._state.rules[incident.id], self._members(incident), awaited.to
        sent = self._send(tx, incident, rule, receiver, to, PageKind.PAGE, reason, step, members)
        self.backlog.join(incident, receiver, sent)
        incident.awaited[sent] = awaited
        told = incident.told.setdefault(receiver.name, Told(to=awaited.to))
        told.digest = False
        told.at, told.changed = tx.now, incident.changed
        self.digests.watch(tx, incident, receiver, awaited)
        return sent

    def due(self, tx: Transaction, receiver: str) -> list[Incident]:
        """What waits for the receiver leaves, if it is time. The incidents that it hears of."""
        found = self._ruleset.receivers.get(receiver)
        if found is None or found.people:
            return self.digests.due(tx, receiver)
        return self.backlog.due(tx, found)

    def collapse(self, tx: Transaction, incident: Incident, awaited: Awaited, event: DeliveryFinished) -> str:
        """A page that was called back for its age waits now, if it never left or if it may be sent twice: under which
        name; "" where it does not."""
        if not awaited.stale or event.outcome not in (Outcome.CANCELLED, Outcome.UNKNOWN):
            return ""
        if self.digests.is_program(awaited.receiver):
            return self.backlog.collapse(tx, incident, awaited, event)
        return self.digests.collapse(tx, incident, awaited) if event.outcome is Outcome.CANCELLED else ""

    def follow_up(
        self, tx: Transaction, incident: Incident, rule: Rule, kind: PageKind, note: str = "", ending: bool = True
    ) -> None:
        """Tells everyone who was paged and wants this kind; with `ending` False nobody whose end is under way."""
        for name, told in incident.told.items():
            if ending or not told.ends:
                self._tell(tx, incident, rule, name, told, kind, note)

    def _tell(
        self, tx: Transaction, incident: Incident, rule: Rule, name: str, told: Told, kind: PageKind, note: str = ""
    ) -> None:
        """One of them, if it wants this kind."""
        receiver = self._owed(incident, name, told, kind)
        if receiver is None or self.backlog.tells_later(incident, receiver, told):
            return
        if kind is not PageKind.NOTE and self._in_digest(receiver, told, tx.now):
            self.digests.tell(tx, incident, name, told)
        else:
            sent = self._send(tx, incident, rule, receiver, told.to, kind, None, 0, self._members(incident), note)
            told.ends = sent if kind is PageKind.RESOLVED else told.ends
        told.at, told.changed = tx.now, incident.changed
        incident.timers.pop(update_timer(name), None)

    def plan_updates(self, tx: Transaction, incident: Incident) -> None:
        """Arms an update for each receiver that is behind, `update_every` after its last message."""
        if incident.state not in _UPDATED_STATES or incident.hushed:
            return
        for name, told in incident.told.items():
            if told.changed >= incident.changed or told.update or update_timer(name) in incident.timers:
                continue
            receiver = self._owed(incident, name, told, PageKind.UPDATE)
            if receiver is not None:
                arm(self._state, incident, update_timer(name), max(tx.now, (told.at or tx.now) + receiver.update_every))

    def update(self, tx: Transaction, incident: Incident, rule: Rule, name: str) -> None:
        """The update that was planned: only the alerts that changed since the receiver's last message. One is under way
        at a time: what changes meanwhile is in the next one."""
        told = incident.told[name]
        receiver = self._owed(incident, name, told, PageKind.UPDATE)
        if receiver is None or told.changed >= incident.changed or told.update:
            return
        if incident.state not in _UPDATED_STATES or incident.hushed or self.backlog.waits(incident, name):
            return
        if self._in_digest(receiver, told, tx.now):
            self.digests.tell(tx, incident, name, told)
        else:
            news = [alert for alert in self._members(incident) if alert.changed > told.changed]
            told.update = self._send(tx, incident, rule, receiver, told.to, PageKind.UPDATE, None, 0, news)
        told.at, told.changed = tx.now, incident.changed

    def _in_digest(self, receiver: Receiver, told: Told, now: datetime) -> bool:
        return receiver.people and (told.digest or self.digests.stuck(receiver.name, now))

    def begin_anew(self, incident: Incident) -> None:
        """The incident is reopened. Its end was told; that it came back is news only to those whom it pages, and to
        those whom a digest will tell how it stands. An end that is under way is remembered, for it may be called off
        with what comes behind it."""
        under_way = {one.receiver for one in incident.awaited.values()}
        before, incident.told = incident.told, {}
        for name, told in before.items():
            if name in under_way or told.news:
                incident.told[name] = told
            elif told.ends:
                incident.told[name] = Told(to=told.to, ends=told.ends, before=True)

    def end_finished(self, tx: Transaction, incident: Incident, event: DeliveryFinished) -> None:
        """If that said that it is over, the receiver has it, or never will. If it said what changed, what changed since
        is next."""
        told = incident.told.get(event.receiver)
        if told is not None and told.update == event.delivery:
            told.update = ""
            self.plan_updates(tx, incident)
            tx.touch(incident)
        if told is None or told.ends != event.delivery:
            return
        told.ends, told.before = "", False
        if told.at is None:
            del incident.told[event.receiver]
        tx.touch(incident)

    def drop_follow_ups(self, tx: Transaction, incident: Incident, receiver: str, over: bool) -> None:
        """No page reached the receiver and none is on its way: it is owed nothing, not even the end, unless it had
        heard of it before it came back and the end of that has not left yet: both are told by one end then, now if it
        is over already."""
        told = incident.told.get(receiver)
        if told is None or told.heard or any(one.receiver == receiver for one in incident.awaited.values()):
            return
        owe_end(told)
        if not told.heard:
            del incident.told[receiver]
        incident.timers.pop(update_timer(receiver), None)
        tx.effects.append(CancelPages(incident.id, receiver, FOLLOW_UPS))
        if told.heard and over:
            self._tell(tx, incident, self._state.rules[incident.id], receiver, told, PageKind.RESOLVED)

    def _owed(self, incident: Incident, name: str, told: Told, kind: PageKind) -> Receiver | None:
        receiver = self._ruleset.receivers.get(name)
        if receiver is None or kind not in receiver.send:
            return None
        on_its_way = told.heard or any(one.receiver == name for one in incident.awaited.values())
        return receiver if on_its_way else None

    def _members(self, incident: Incident) -> Sequence[Alert]:
        return self._state.members.get(incident.id, ())

    def _send(
        self,
        tx: Transaction,
        incident: Incident,
        rule: Rule,
        receiver: Receiver,
        to: str,
        kind: PageKind,
        reason: PageReason | None,
        step: int,
        alerts: Sequence[Alert],
        note: str = "",
    ) -> str:
        delivery = page.delivery(
            incident,
            rule,
            receiver,
            to=to,
            kind=kind,
            reason=reason,
            step=step,
            priority=incident.priority,
            alerts=alerts,
            store_id=self._state.store_id,
            external_url=self._ruleset.external_url,
            now=tx.now,
            note=note,
        )
        tx.effects.append(Deliver(delivery))
        tx.touch(incident)
        return delivery.id


def update_timer(receiver: str) -> str:
    return f"update:{receiver}"


def arm(state: State, incident: Incident, timer: str, at: datetime) -> None:
    """Sets one of the incident's timers; an earlier setting of it is void."""
    incident.timers[timer] = at
    state.remind(at, Due.INCIDENT, incident.id)
