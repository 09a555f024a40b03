"""What people do to incidents: acknowledge and take it back, resolve, note.

Owns which action is possible when, and its line in the record. Doing again what is done already changes nothing and is
no fault; what the state does not allow is refused with the reason.
"""

from __future__ import annotations

from imd.core import journal, lifecycle
from imd.core.incidents import Incidents
from imd.core.notify import arm
from imd.core.state import State
from imd.core.transaction import Transaction
from imd.model.effect import Journal, Refused
from imd.model.event import ActionKind, ActionTaken
from imd.model.incident import Incident, IncidentState
from imd.model.policy import PageKind, PageReason

_DONE_ALREADY = {
    ActionKind.ACK: frozenset({IncidentState.ACKNOWLEDGED}),
    ActionKind.UNACK: frozenset({IncidentState.TRIGGERED, IncidentState.PENDING}),
    ActionKind.RESOLVE: frozenset({IncidentState.RESOLVED, IncidentState.CLOSED}),
}
_TRANSITION = {ActionKind.ACK: "acknowledge", ActionKind.UNACK: "unacknowledge", ActionKind.RESOLVE: "resolve"}


def act(tx: Transaction, event: ActionTaken, state: State, incidents: Incidents) -> None:
    """Does it, or refuses. The journal keeps what was done."""
    incident = state.incidents.get(event.incident)
    if incident is None:
        _refuse(tx, f"incident {event.incident} is over and takes no more actions")
        return
    if event.kind is not ActionKind.NOTE:
        if incident.state in _DONE_ALREADY[event.kind]:
            return
        if not lifecycle.may(incident, _TRANSITION[event.kind]):
            _refuse(tx, f"incident #{incident.number} is {incident.state.value}: {event.kind.value} is not possible")
            return
    if event.kind is ActionKind.RESOLVE and incident.holding and not event.force:
        _refuse(
            tx, f"{incident.holding} alerts of incident #{incident.number} are still firing; force resolves it anyway"
        )
        return
    _do(tx, event, incident, state, incidents)
    members = state.members[incident.id]
    tx.effects.append(Journal(tx.now, journal.acted(tx.now, event, members[0] if members else None), True))


def _do(tx: Transaction, event: ActionTaken, incident: Incident, state: State, incidents: Incidents) -> None:
    match event.kind:
        case ActionKind.ACK:
            _acknowledge(tx, event, incident, state, incidents)
        case ActionKind.UNACK:
            _unacknowledge(tx, event, incident, incidents)
        case ActionKind.RESOLVE:
            incidents.resolve(tx, incident, f"by {event.by}" + _quoted(event.note), by_hand=True)
        case ActionKind.NOTE:
            tx.say(incident, "note", event.note, by=event.by, through=event.through)
            incidents.notifier.follow_up(tx, incident, incidents.rule_of(incident), PageKind.NOTE, note=event.note)


def _acknowledge(tx: Transaction, event: ActionTaken, incident: Incident, state: State, incidents: Incidents) -> None:
    rule = incidents.rule_of(incident)
    if incident.state is IncidentState.PENDING:
        incidents.route(tx, incident)  # it will not trigger, and its policy still says when the acknowledgement lapses
    incidents.escalation.stop(tx, incident, cancel=True)
    incident.timers.pop("hold", None)
    lifecycle.move(incident, "acknowledge", tx.now)
    incident.acknowledged_by = event.by
    text = f"acknowledged by {event.by}" + _quoted(event.note) + "; nothing escalates any more"
    tx.say(incident, "acknowledged", text, by=event.by, through=event.through)
    tx.observe("incident_ack_seconds", (tx.now - incident.opened_at).total_seconds())
    incidents.notifier.follow_up(tx, incident, rule, PageKind.ACKNOWLEDGED, note=event.note)
    timeout = incidents.escalation.ack_timeout(incident)
    if timeout is not None:
        arm(state, incident, "ack", tx.now + timeout)


def _unacknowledge(tx: Transaction, event: ActionTaken, incident: Incident, incidents: Incidents) -> None:
    lifecycle.move(incident, "unacknowledge", tx.now)
    incident.timers.pop("ack", None)
    text = f"acknowledgement taken back by {event.by}" + _quoted(event.note) + "; the policy starts again"
    tx.say(incident, "unacknowledged", text, by=event.by, through=event.through)
    incidents.start(tx, incident, PageReason.REPEATED)


def _quoted(note: str) -> str:
    return f': "{note}"' if note else ""


def _refuse(tx: Transaction, error: str) -> None:
    tx.effects.append(Refused(0, error, conflict=True))
