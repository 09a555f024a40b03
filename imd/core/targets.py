"""Targets of a priority: by when an incident should be acknowledged and resolved, and what is said when it is not.

Owns the timers `ack_target` and `resolve_target`. They page nobody, which is the policy's to do: a missed target is a
line of the timeline and counted, once each, until the incident comes back. Time runs from when the incident opened or
was reopened, whatever its priority was then: raised late, it is late at once.
"""

from __future__ import annotations

from datetime import timedelta

from imd.core.notify import arm
from imd.core.opening import span_text
from imd.core.state import State
from imd.core.transaction import Transaction
from imd.model.incident import Incident, IncidentState
from imd.model.rule import PriorityTable

ACK, RESOLVE = "ack_target", "resolve_target"
_WORDS = {ACK: ("acknowledged", "ack"), RESOLVE: ("resolved", "resolve")}


def aim(tx: Transaction, state: State, incident: Incident, table: PriorityTable) -> None:
    """Sets the deadlines of its present priority."""
    since = incident.reopened_at or incident.opened_at
    for timer in (ACK, RESOLVE):
        within = _within(incident, timer, table)
        if within is None or timer in incident.judged:
            incident.timers.pop(timer, None)
        else:
            arm(state, incident, timer, max(tx.now, since + within))


def acknowledged(incident: Incident) -> None:
    """Whatever comes of it later, somebody answered in time, or it was said already that nobody did."""
    if incident.timers.pop(ACK, None) is not None:
        incident.judged = (*incident.judged, ACK)


def _within(incident: Incident, timer: str, table: PriorityTable) -> timedelta | None:
    target = table.targets.get(incident.priority)
    if target is None:
        return None
    return target.ack if timer == ACK else target.resolve


def due(tx: Transaction, incident: Incident, timer: str, table: PriorityTable) -> None:
    """The deadline has come, and the incident is still open."""
    within = _within(incident, timer, table)
    if within is None or timer in incident.judged:
        return  # the target was taken away meanwhile
    incident.judged = (*incident.judged, timer)
    done, word = _WORDS[timer]
    if timer == ACK and incident.state is not IncidentState.TRIGGERED:
        return
    text = f"not {done} within {span_text(within)}, the target of {incident.priority.value}"
    if incident.hushed:
        tx.say(incident, "late", f"{text}: not counted, for all that fires is suppressed")
    else:
        tx.say(incident, "late", text)
        tx.count("targets_missed_total", word, incident.priority.value)
