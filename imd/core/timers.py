"""Deadlines of incidents: what each timer does when it is due, and what a restart or a set clock does to all of them.

Owns the order in which timers due together are taken (lifecycle.TIMERS) and the senders' time after a long outage. What
follows from a timer is `incidents`, `escalation` and `notify`; that deadlines are kept at all is `state`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from imd.core import journal, lifecycle, targets
from imd.core.incidents import Incidents
from imd.core.life import LOOK_AGAIN
from imd.core.notify import arm
from imd.core.state import State
from imd.core.transaction import Transaction
from imd.core.walks import resume, shift
from imd.model.effect import Journal
from imd.model.incident import Incident, IncidentState
from imd.model.rule import Rule

LONG_OUTAGE = timedelta(minutes=5)  # after a longer one, senders get SENDERS_FIRST to speak before anything escalates
SENDERS_FIRST = timedelta(seconds=90)

_ORDER = {name: place for place, name in enumerate(lifecycle.TIMERS)}


def _order(timer: str) -> tuple[int, str]:
    """lifecycle.TIMERS in their order, then the others by name."""
    return _ORDER.get(timer, len(_ORDER)), timer


class Timers:
    """Takes the timers of the state's incidents."""

    def __init__(self, state: State, incidents: Incidents) -> None:
        self._state = state
        self._incidents = incidents

    def due(self, tx: Transaction, incident_id: str, until: datetime) -> None:
        """Takes the incident's timers that were due by then, in the order of lifecycle.TIMERS."""
        incident = self._state.incidents.get(incident_id)
        if incident is None:
            return
        due = [name for name, at in incident.timers.items() if at <= until]
        for name in sorted(due, key=_order) if len(due) > 1 else due:
            at = incident.timers.get(name)
            if at is not None and at <= until:
                due_at = incident.timers.pop(name)
                tx.touch(incident)
                self._timer(tx, incident, name, due_at)

    def _timer(self, tx: Transaction, incident: Incident, name: str, due_at: datetime) -> None:
        rule = self._incidents.rule_of(incident)
        kind, _, which = name.partition(":")
        match kind:
            case "hold":
                self._held(tx, incident, rule)
            case "resolve":
                self._incidents.resolve(tx, incident, incident.resolved_because or "alerts resolved")
            case "rate":
                self._incidents.settle_resolve(tx, incident, rule, tx.touch(incident))
            case "ack":
                self._lapse(tx, incident, rule)
            case "accept":
                self._incidents.escalation.accept_due(tx, incident, rule)
            case "reach":
                self._incidents.escalation.reach_due(tx, incident, rule)
            case "route":
                self._incidents.route_due(tx, incident, rule)
            case "still":
                self._still_firing(tx, incident, rule, due_at)
            case "escalate":
                self._incidents.escalation.escalate_due(tx, incident, rule, which)
            case "remind":
                self._incidents.escalation.remind_due(tx, incident, rule, which)
            case targets.ACK | targets.RESOLVE:
                self._incidents.late(tx, incident, name)
            case _:
                self._incidents.notifier.update(tx, incident, rule, which)

    def _held(self, tx: Transaction, incident: Incident, rule: Rule) -> None:
        incident.timers["hold"] = tx.now
        if incident.state is IncidentState.PENDING and incident.firing:
            self._incidents.name(tx, incident, rule)
            self._incidents.trigger(tx, incident, rule)
        incident.timers.pop("hold", None)

    def _lapse(self, tx: Transaction, incident: Incident, rule: Rule) -> None:
        by, snoozed = incident.acknowledged_by, incident.state is IncidentState.SNOOZED
        lifecycle.move(incident, "lapse", tx.now)
        what = f"snoozed by {by} until now" if snoozed else f"the acknowledgement by {by} ran out after ack_timeout"
        tx.say(incident, "ack_lapsed", what)
        self._incidents.escalation.lapse(tx, incident, rule, by)
        if self._incidents.escalation.waits_for_hours(incident):
            self._incidents.route_due(tx, incident, rule)

    def _still_firing(self, tx: Transaction, incident: Incident, rule: Rule, due_at: datetime) -> None:
        """Resolved by hand: a member that is still reported so long after that reopens it. That report decides, so the
        journal gets it, at the deadline that saw it: the looks are whole minutes apart, in a replay too."""
        if incident.state is not IncidentState.RESOLVED or incident.resolved_at is None or not incident.firing:
            return
        since = incident.resolved_at + rule.reopen_within
        members = self._state.members[incident.id]
        seen = next((alert for alert in members if alert.firing and alert.seen_at >= since), None)
        if seen is not None:
            tx.effects.append(Journal(due_at, journal.still_reported(due_at, seen)))
            self._incidents.reopen(tx, incident, "still reported reopen_within after it was resolved by hand")
            self._incidents.name(tx, incident, rule)
            self._incidents.settle_pending(tx, incident, rule)
        else:
            arm(self._state, incident, "still", due_at + LOOK_AGAIN * ((tx.now - due_at) // LOOK_AGAIN + 1))

    def restarted(self, tx: Transaction, alive_at: datetime) -> None:
        """What fell due meanwhile pages no crowd at once (`walks.resume`). After a long outage the senders speak first:
        nothing is decided by a deadline before they had the time."""
        outage = tx.now - alive_at
        resumes_at = tx.now + SENDERS_FIRST if outage > LONG_OUTAGE else tx.now
        if outage > LONG_OUTAGE:
            self._state.judge_after = resumes_at
            self._incidents.openings.put_off(tx, resumes_at)
        for incident in self._state.incidents.values():
            moved = resume(self._state, incident, alive_at, resumes_at)
            self._incidents.escalation.reacher.arm(incident)
            if outage > LONG_OUTAGE:
                early = [name for name, at in incident.timers.items() if at < resumes_at]
                for name in early:
                    arm(self._state, incident, name, resumes_at)
                if moved or early:
                    minutes = int(outage.total_seconds() // 60)
                    text = f"imd was away for {minutes} min; its senders get 90 s to speak first"
                    tx.say(incident, "restarted", text)
            elif moved:
                tx.touch(incident)

    def shift(self, tx: Transaction, by: timedelta) -> None:
        """The clock was set: what was five minutes away still is. Hours of routes go by the wall clock."""
        for incident in self._state.incidents.values():
            for name, at in list(incident.timers.items()):
                arm(self._state, incident, name, at if name == "route" else at + by)
            shift(incident, by)
            self._incidents.escalation.reacher.arm(incident)
            if incident.timers or incident.reaches or incident.told:
                tx.touch(incident)
