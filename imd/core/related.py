"""Alerts of rules with `relate`: into the incident of their nearest relation, and incidents that prove to be one.

Owns what the answers of `relate` do to incidents: joining within the window, and merging the younger into the older.
Who moves for an alert that came late is `ties`. An alert that opened an incident and fires again goes back to it:
nothing is nearer than itself.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from imd.core.correlate import GroupKey, bound_reached, group_key
from imd.core.incidents import Incidents
from imd.core.links import Placement, Record
from imd.core.regroup import LINKS_NOTHING, Regroup
from imd.core.relate import Relator
from imd.core.state import State
from imd.core.ties import Ties
from imd.core.transaction import Transaction
from imd.core.waiting import Place
from imd.model.alert import Alert
from imd.model.incident import Incident, IncidentState
from imd.model.policy import Ruleset
from imd.model.rule import Mode, Relate, Rule

_NOT_RELATED = LINKS_NOTHING | {"suppressed"}
_SILENT = ("", Mode.MONITOR.value)  # no label is named so: what pages nobody relates to its like alone


class Related:
    """Works on the state's incidents of rules with `relate`, under one ruleset."""

    def __init__(
        self, ruleset: Ruleset, state: State, incidents: Incidents, relator: Relator, regroup: Regroup
    ) -> None:
        self._ruleset = ruleset
        self._state = state
        self._incidents = incidents
        self._relator = relator
        self._regroup = regroup
        self._began = Began()
        self._ties = Ties(state, incidents, relator, regroup, ruleset.bounds.lateness)

    def arrive(self, tx: Transaction, alert: Alert, rule: Rule, relate: Relate, labels: Mapping[str, str]) -> None:
        """A new episode goes to where it belongs; with open_when it waits while no incident of its rule and key is
        open."""
        if rule.open_when is not None and not self._any_open(rule, labels):
            at = min(max(alert.starts_at, tx.now - self._ruleset.bounds.lateness), tx.now)
            enough = self._incidents.openings.arrive(tx, alert, rule, group_key(rule, labels), labels, at)
            self.admit(tx, rule, relate, enough, alert)
        else:
            self._place(tx, alert, rule, relate, labels)

    def admit(self, tx: Transaction, rule: Rule, relate: Relate, alerts: list[Alert], newest: Alert | None) -> None:
        """As many as open_when takes, each to where it belongs. `newest` is saved by whoever brought it."""
        for alert in alerts:
            self._place(tx, alert, rule, relate, alert.full_labels())
            if alert is not newest:
                tx.save(alert)

    def look_at_waiting(self, tx: Transaction, place: Place) -> None:
        """A deadline of the alerts that wait under one rule and group key, whether the rule has `relate` or not."""
        enough = self._incidents.openings.look(tx, place)
        rule = self._incidents.rule_named(place[0])
        if not enough or rule is None:
            return
        if rule.relate is not None:
            self.admit(tx, rule, rule.relate, enough, None)
        else:
            self._incidents.admit(tx, rule, place[1], enough, None)

    def _any_open(self, rule: Rule, labels: Mapping[str, str]) -> bool:
        newest = self._state.newest(rule.name, related_key(rule, labels))
        return newest is not None and newest.open

    def _place(self, tx: Transaction, alert: Alert, rule: Rule, relate: Relate, labels: Mapping[str, str]) -> None:
        """Back to the incident it opened, to a related one, or to its own."""
        key = related_key(rule, labels)
        scope = scope_of(key, rule.mode is Mode.MONITOR)
        placement = self._relator.place(alert.id, labels, self._began(alert), relate, scope)
        incident, because = self._home(tx, alert, key, placement)
        if incident is None:
            incident, because = self._incidents.open(tx, rule, key, labels, previous=because), "opened"
            incident.opener = alert.identity.key
        elif because == "related":
            alert.related = sys.intern(placement.because)  # an entity's alerts mostly come by the same words
        self._regroup.hasten(incident, tx.now + rule.hold)
        self._incidents.join(tx, incident, alert, labels, because)
        self._relator.enter(placement.record, incident.id, scope, alert.identity.key, alert)
        self._ties.come(alert, placement.record, placement.tie if because == "related" else None)
        if because == "related":
            incident = self._draw_in(tx, alert, incident, placement)
        if because in ("related", "opened"):
            self._ties.move(tx, alert, incident, placement)

    def _draw_in(self, tx: Transaction, alert: Alert, incident: Incident, placement: Placement) -> Incident:
        """Which incidents are one by it; the one that it is in then."""
        if placement.opens:
            self._opens(incident, alert.identity.key)
            self._ties.draw_in(tx, incident.id, placement.record)
        for other in placement.merges:
            incident = self._merge(tx, incident, self._state.incidents[other], placement)
        return incident

    def nearest(self, alert: Alert, rule: Rule, relate: Relate, labels: Mapping[str, str]) -> Incident | None:
        """The incident of an alert that is suppressed: it is placed and links nothing."""
        key = related_key(rule, labels)
        scope = scope_of(key, rule.mode is Mode.MONITOR)
        placement = self._relator.place(alert.id, labels, self._began(alert), relate, scope)
        back = self._state.incidents.get(self._relator.opened_by(alert.identity.key))
        if back is not None and back.open and back.group_key == key:
            return back
        alert.related = placement.because
        return self._state.incidents.get(placement.join)

    def _home(self, tx: Transaction, alert: Alert, key: GroupKey, placement: Placement) -> tuple[Incident | None, str]:
        """The incident that takes the alert in and why; None and the id of the one before, where none does."""
        at = min(max(alert.starts_at, tx.now - self._ruleset.bounds.lateness), tx.now)
        back = self._state.incidents.get(self._relator.opened_by(alert.identity.key))
        if back is not None and back.group_key == key:
            if back.open and self._takes_in(tx, back, at):
                self._relator.reopen(back.id)
                back.returned = True
                return back, "returned"
            if self._incidents.reopens(back, tx.now):
                self._incidents.reopen(tx, back, "the alert that opened it came back within reopen_within")
                return back, "reopened"
        related = self._state.incidents.get(placement.join)
        if related is None:
            return None, back.id if back is not None else ""
        if self._takes_in(tx, related, at):
            return related, "related"
        return None, related.id

    def _takes_in(self, tx: Transaction, incident: Incident, at: datetime) -> bool:
        """Whether its window is open; once that has ended for good nothing is related to its alerts."""
        if self._incidents.window_open(tx, incident, at):
            return True
        if incident.window_ended:
            self._relator.close(incident.id)
        return False

    # -- two incidents that are one -------------------------------------------------------------------------------

    def _merge(self, tx: Transaction, one: Incident, other: Incident, placement: Placement) -> Incident:
        """The younger becomes part of the older; the survivor."""
        older, younger = (one, other) if one.number < other.number else (other, one)
        if not (older.open and younger.open) or self._too_large(tx, older, younger):
            return one
        opener = younger.opener if self._relator.opened_after(older.id, younger.id) else older.opener
        self._ties.draw_in(tx, other.id, placement.record)
        why = placement.likewise.get(other.id, placement.because)
        self._regroup.merge(tx, older, younger, f"the alert that links the two {why}")
        if opener != older.opener:
            self._opens(older, opener)
        return older

    def _opens(self, incident: Incident, opener: bytes) -> None:
        """By the order in which alerts began another one opened it than by that in which they came."""
        incident.opener = opener
        self._relator.opens(incident.id, opener)

    def _too_large(self, tx: Transaction, older: Incident, younger: Incident) -> bool:
        window = self._incidents.rule_of(older).window
        members = len(self._state.members[older.id]) + len(self._state.members[younger.id])
        return older.window_ended != "" or bound_reached(older, window, members - 1, tx.now) != ""


def related_key(rule: Rule, labels: Mapping[str, str]) -> GroupKey:
    """The rule's chosen labels; unlike the key of a rule without `relate` never the alertname: what has none of them
    is related to what has none of them."""
    if rule.group_by is None:
        return tuple(sorted(labels.items()))
    return tuple((name, labels.get(name, "")) for name in rule.group_by)


def scope_of(key: GroupKey, silent: bool) -> GroupKey:
    """Within what an alert may be related."""
    return (*key, _SILENT) if silent else key


class Began:
    """When alerts began, in unix seconds: one number for all that began with the one before, as a body's mostly did."""

    __slots__ = ("_at", "_seconds")

    def __init__(self) -> None:
        self._at: datetime | None = None
        self._seconds = 0.0

    def __call__(self, alert: Alert) -> float:
        at = min(alert.starts_at, alert.received_at)
        if at is not self._at:
            self._at, self._seconds = at, at.timestamp()
        return self._seconds


def restore(relator: Relator, state: State, rules: Mapping[str, Rule]) -> None:
    """Enters every member of incidents of rules with `relate` again, in order of their ids."""
    for incident in state.incidents.values():
        if incident.opener and incident.state is not IncidentState.MERGED:
            relator.begin(incident.id, scope_of(incident.group_key, incident.silent), incident.opener)
    members = [(alert.id, alert) for alerts in state.members.values() for alert in alerts]
    entered: list[tuple[Record, int]] = []
    began = Began()
    for _, alert in sorted(members, key=lambda pair: pair[0]):
        incident, rule = state.incidents[alert.incident], state.rules[alert.incident]
        relate = (rules.get(alert.rule) or rule).relate  # a rule without it came by its key, into what took that over
        if rule.relate is None or relate is None or alert.joined_because in _NOT_RELATED:
            continue
        record = relator.record(alert.id, alert.placed_labels(), began(alert), relate)
        scope = scope_of(incident.group_key, incident.silent)
        relator.enter(record, incident.id, scope, alert.identity.key, alert)
        entered.append((record, alert.tied_to))
    _tie_again(entered)
    for incident in state.incidents.values():
        _end_again(relator, incident)


def place_again(
    relator: Relator, state: State, rules: Mapping[str, Rule], incident: Incident, leave: Callable[[Alert, str], None]
) -> Iterator[Alert]:
    """The same for one incident that the relator does not know; after each alert others may have their turn. `leave`
    is called before each is entered."""
    rule, entered, began = state.rules[incident.id], [], Began()
    scope = scope_of(incident.group_key, incident.silent)
    if incident.opener and incident.state is not IncidentState.MERGED:
        relator.begin(incident.id, scope, incident.opener)
    for alert in list(state.members[incident.id]) if rule.relate is not None else ():
        relate = (rules.get(alert.rule) or rule).relate
        if relate is None or alert.joined_because in _NOT_RELATED:
            continue
        leave(alert, incident.id)
        record = relator.record(alert.id, alert.placed_labels(), began(alert), relate)
        relator.enter(record, incident.id, scope, alert.identity.key, alert)
        entered.append((record, alert.tied_to))
        yield alert
    _tie_again(entered)
    _end_again(relator, incident)


def _end_again(relator: Relator, incident: Incident) -> None:
    if incident.reopened or incident.returned:
        relator.reopen(incident.id)
    if not incident.open or incident.window_ended:
        relator.close(incident.id)


def _tie_again(entered: list[tuple[Record, int]]) -> None:
    """A tie holds within one incident."""
    known = {record.ref: record for record, _ in entered}
    for record, ref in entered:
        tie = known.get(ref)
        if tie is not None and tie.group is record.group:
            record.tie = tie
