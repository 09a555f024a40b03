"""Which alerts flap: begin and end again and again within a short time.

Owns the counting of changes, and what an incident makes of a member that flaps. A change is a beginning or an end that
a sender reported, at the instant it named, clamped by the caller. Only the latest few are kept, and only from an
alert's first end on, so that one which never ended costs nothing. What it means not to be heard of any more is not
known, so an expiry is no change.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import chain

from imd.core import keeping
from imd.core.incidents import Incidents
from imd.core.opening import span_text
from imd.core.state import Due, State
from imd.core.telling import named
from imd.core.transaction import Transaction
from imd.model.alert import Alert, AlertState
from imd.model.incident import IncidentState
from imd.model.policy import PageReason
from imd.model.rule import Flapping

_TOLD = frozenset({IncidentState.TRIGGERED, IncidentState.ACKNOWLEDGED, IncidentState.SNOOZED})


def changed(
    tx: Transaction, alert: Alert, at: datetime, state: State, incidents: Incidents, lateness: timedelta
) -> None:
    """A sender said that the alert began or ended at `at`. Where it begins to flap with it, one page says so: at once,
    or after hold. Call it before the end is told to the incident. An alert of which nothing was made cannot flap, nor
    can one that is suppressed."""
    if alert.suppressed_by or not (alert.incident or alert.counted_at is not None or alert.changes):
        return
    terms = _terms(alert, incidents)
    if not note(alert, min(max(at, tx.now - lateness), tx.now), tx.now, terms):
        return
    tx.count("alerts_flapped_total", alert.rule)
    state.remind(calm_at(alert, terms), Due.FLAPPING, alert)
    incident = state.incidents.get(alert.incident)
    if incident is None:
        return
    incident.flapping += 1
    often = f"{terms.changes} changes within {span_text(terms.within)}"
    calm = f"it counts as firing until it has been calm for {span_text(terms.calm)}"
    tx.say(incident, "flapping", f"{named([alert])} is flapping: {often}; {calm}")
    if incident.state in _TOLD:
        incidents.escalation.raised(tx, incident, incidents.rule_of(incident), (), PageReason.FLAPPING)


def look(tx: Transaction, alert: Alert, state: State, incidents: Incidents) -> None:
    """A flapping alert may be calm by now; then it counts for what it is."""
    resident = alert.incident or alert.counted_at is not None or state.alerts.get(alert.identity.key) is alert
    if alert.flapping_since is None or not resident:
        return
    due = calm_at(alert, _terms(alert, incidents))
    if due > tx.at:  # however late this comes: it may be a look from before the last change
        state.remind(due, Due.FLAPPING, alert)
        return
    _settle(tx, alert, state, incidents)


def cease(tx: Transaction, alert: Alert, state: State, incidents: Incidents) -> None:
    """The alert is suppressed, or would be if it fired: what nobody hears of does not flap."""
    if alert.flapping_since is not None:
        _settle(tx, alert, state, incidents)


def _settle(tx: Transaction, alert: Alert, state: State, incidents: Incidents) -> None:
    alert.changes, alert.flapping_since = (), None
    incident = state.incidents.get(alert.incident)
    if incident is not None:
        incident.flapping -= 1
        tx.say(incident, "settled", f"{named([alert])} flaps no more: it {'fires' if alert.firing else 'has ended'}")
    if not alert.firing:
        incidents.clear(tx, alert, "resolved" if alert.state is AlertState.RESOLVED else "no longer reported")
        if not alert.incident:
            keeping.plan_leave(state, alert, tx.now)
    tx.save(alert)


def arm(state: State, incidents: Incidents) -> None:
    """After a restore or a reload: when each that flaps may be calm. A member need not be the newest episode."""
    members = [alert for one in state.incidents.values() if one.flapping for alert in state.members[one.id]]
    others = [alert for alert in state.alerts.values() if not alert.incident]
    for alert in [*members, *others, *(alert for behind in state.older.values() for alert in behind)]:
        if alert.flapping_since is not None:
            state.remind(calm_at(alert, _terms(alert, incidents)), Due.FLAPPING, alert)


def shift(tx: Transaction, state: State, incidents: Incidents, by: timedelta) -> None:
    """The clock was set: an alert that needs a minute more to be calm still does."""
    members = (alert for incident in state.incidents for alert in state.members[incident])
    others = (alert for alert in state.alerts.values() if not alert.incident)
    for alert in chain(members, others, (alert for behind in state.older.values() for alert in behind)):
        if alert.changes:
            alert.changes = tuple(one + by for one in alert.changes)
            if alert.flapping_since is not None:
                alert.flapping_since += by
            tx.save(alert)
    arm(state, incidents)


def swallows(alert: Alert | None, state: State) -> bool:
    """Whether a beginning adds no episode: the alert flaps, and counts as firing already where it is."""
    if alert is None or alert.flapping_since is None:
        return False
    incident = state.incidents.get(alert.incident)
    return alert.counted_at is not None or (incident is not None and incident.open)


def _terms(alert: Alert, incidents: Incidents) -> Flapping:
    rule = incidents.rule_named(alert.rule)
    return rule.flapping if rule is not None else Flapping()


def note(alert: Alert, at: datetime, now: datetime, terms: Flapping) -> bool:
    """Counts a change; whether the alert begins to flap with it."""
    known = tuple(one for one in alert.changes if one > at - terms.within)
    if not known:
        if alert.firing:  # it begins, and what went before is long past
            alert.changes = ()
            return False
        known = (min(alert.received_at, at),)  # its first end: that it began was the change before
    changes = sorted((*known, at))[-terms.changes :]
    alert.changes = tuple(one for one in changes if one > changes[-1] - terms.within)
    if alert.flapping_since is not None or len(alert.changes) < terms.changes:
        return False
    alert.flapping_since = now
    return True


def calm_at(alert: Alert, terms: Flapping) -> datetime:
    """When a flapping alert has settled, if nothing changes until then."""
    assert alert.flapping_since is not None
    return max(alert.changes[-1], alert.flapping_since) + terms.calm
