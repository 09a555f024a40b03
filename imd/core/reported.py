"""Incidents that a person reports: no alert, no key, no hold; paged at once, resolved by hand."""

from __future__ import annotations

from imd.core import journal, priority
from imd.core.incidents import Incidents
from imd.core.life import REPORTED
from imd.core.state import State
from imd.core.transaction import Transaction
from imd.model.effect import Journal
from imd.model.event import IncidentReported
from imd.model.policy import Ruleset


def report(tx: Transaction, event: IncidentReported, ruleset: Ruleset, state: State, incidents: Incidents) -> None:
    """Opens and triggers it. The same report twice is one: its key says so for as long as the first is in memory."""
    if any(one.report == event.key for one in state.incidents.values()):
        return
    incident = incidents.open(tx, REPORTED, (), event.labels, previous="", report=event.key)
    incident.reported_by = event.by
    incident.kept = True
    incident.title = event.title
    incident.claimed = event.priority or incident.claimed
    incidents.weigh_in(incident, REPORTED, event.labels)
    incident.priority = priority.decide(incident, REPORTED, ruleset.priority)
    if event.policy in ruleset.policies:
        incidents.escalation.take_policies(tx, incident, (event.policy,))
        tx.say(incident, "route", f"policy {event.policy}: {event.by} asks for it")
    tx.say(incident, "reported", f"reported by {event.by}: {event.title}", by=event.by, through=event.through)
    if event.note:
        tx.say(incident, "note", event.note, by=event.by, through=event.through)
    incidents.trigger(tx, incident, REPORTED)
    tx.effects.append(Journal(tx.now, journal.reported_by_hand(tx.now, event), True))
