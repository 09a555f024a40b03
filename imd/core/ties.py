"""By which alert another one came into its incident, and who moves once a late one proves to be nearer.

Owns the ties on record, and what is moved for them: an alert that overtook the one by which it would have come in, with
those that came in by it. An incident's ties make it a tree; the alert that opened it has none, and stays. Nothing moves
for an alert that comes later than `lateness`, out of an incident that a person has put together, or while suppressed.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import timedelta

from imd.core.correlate import bound_reached
from imd.core.incidents import Incidents
from imd.core.links import Placement, Record
from imd.core.regroup import Regroup
from imd.core.relate import Relator
from imd.core.state import State
from imd.core.telling import NAMELESS
from imd.core.transaction import Transaction
from imd.model.alert import Alert
from imd.model.incident import Incident


class Ties:
    """Works on the state's members and the relator's records of them."""

    def __init__(
        self, state: State, incidents: Incidents, relator: Relator, regroup: Regroup, lateness: timedelta
    ) -> None:
        self._state = state
        self._incidents = incidents
        self._relator = relator
        self._regroup = regroup
        self._lateness = lateness

    @staticmethod
    def come(alert: Alert, record: Record, tie: Record | None) -> None:
        """An alert came into its incident; whoever brought it saves it."""
        record.tie = tie
        alert.tied_to = tie.ref if tie is not None else 0

    def draw_in(self, tx: Transaction, incident: str, by: Record) -> None:
        """By this alert all of this incident is where it will be."""
        for root in self._relator.roots(incident):
            if root is not by:
                self._tie(tx, root, by)

    def move(self, tx: Transaction, late: Alert, into: Incident, placement: Placement) -> None:
        """What would have come in by the late alert, had that come in its turn, is where that is."""
        if late.starts_at < tx.now - self._lateness:
            return
        for record, why in placement.nearer:
            group = record.group
            assert group is not None
            if group.id == into.id:
                self._tie(tx, record, placement.record)
            else:
                self._move(tx, late, self._state.incidents[group.id], into, record, placement.record, why)

    def _move(
        self, tx: Transaction, late: Alert, gone: Incident, into: Incident, record: Record, by: Record, why: str
    ) -> None:
        records = {one.ref: one for one in self._relator.with_it(record)}
        members = self._state.members[gone.id]
        moving = [alert for alert in members if alert.id in records and not alert.suppressed_by]
        moving.sort(key=lambda alert: alert.id != record.ref)
        stays = not moving or moving[0].id != record.ref or len(moving) == len(members)
        if stays or gone.taken_over or not self._has_room(tx, into, len(moving)):
            return
        moved = dict.fromkeys(records[alert.id] for alert in moving)
        for one in moved:
            if one.tie not in moved:
                self._tie(tx, one, by if one is record else record)  # that by which it came in stays
        for left in self._relator.move(moved, into.id):
            self._untie(tx, left)
        name = late.full_labels().get("alertname", NAMELESS)
        self._regroup.move(tx, gone, into, moving, f"{name} came late, and {record.name} {why}", why)

    def _has_room(self, tx: Transaction, into: Incident, more: int) -> bool:
        window = self._incidents.rule_of(into).window
        members = len(self._state.members[into.id]) + more - 1
        return not into.window_ended and not bound_reached(into, window, members, tx.now)

    def _tie(self, tx: Transaction, record: Record, by: Record) -> None:
        record.tie = by
        self._save(tx, record, by.ref)

    def _untie(self, tx: Transaction, record: Record) -> None:
        record.tie = None
        self._save(tx, record, 0)

    def _save(self, tx: Transaction, record: Record, tied_to: int) -> None:
        assert record.group is not None
        alert = self._member(self._state.incidents[record.group.id], record.ref)
        alert.tied_to = tied_to
        tx.save(alert)

    def _member(self, incident: Incident, ref: int) -> Alert:
        members = self._state.members[incident.id]
        return members[bisect_left(members, ref, key=lambda alert: alert.id)]
