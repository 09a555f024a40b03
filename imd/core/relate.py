"""Which open incident a new alert is related to, and which incidents it shows to be one.

Owns the records of recent alerts, filed by entity, and the union of incidents that were merged; pure. It decides by the
nearest related recent alert, not by the nearest incident; that one is its tie, and an incident's ties make it a tree.

How it stays linear: an alert looks at the bounded neighbourhood of where it stands (`core.standing`), there at entities
that have alerts, and of each at its last LAST open alerts (`core.nearest`). How it stays the same after a restart:
records stand in their turn, whenever they entered, and an incident's opener is on its record, so that entering
the same alerts again gives the same answers.
"""

from __future__ import annotations

import sys
from bisect import insort
from collections.abc import Iterable, Mapping
from datetime import timedelta

from imd.core import relation
from imd.core.alertclass import Classifier
from imd.core.late import Answer, Asking, turn_of
from imd.core.links import NEVER, Firing, Group, Placement, Record, Scope, Shelves, because
from imd.core.nearest import Search
from imd.core.standing import Map
from imd.model.rule import Relate
from imd.model.topology import Topology

_NOBODY = ("info", "none")  # nobody is to act on these, so they draw nobody's attention to each other either

SAMPLE = 8
"""First alerts of an incident that tell what it is about."""


class Relator:
    """Places alerts under one topology."""

    def __init__(self, topology: Topology) -> None:
        self.map = Map(topology)
        self._pending = {name: _seconds(by_severity) for name, by_severity in topology.pending.items()}
        self._usual = _seconds(topology.usual)
        self._classes = Classifier(topology.classes)
        self.shelves = Shelves()
        self._groups: dict[str, Group] = {}
        self._opened_by: dict[bytes, list[str]] = {}
        self._newest = NEVER
        self.compared = 0

    # -- asking ---------------------------------------------------------------------------------------------------

    def place(self, ref: int, labels: Mapping[str, str], began: float, relate: Relate, scope: Scope) -> Placement:
        """Where an alert that began firing then (unix seconds) belongs, among incidents of the same scope. Changes
        nothing: `enter` does."""
        record = self.record(ref, labels, began, relate)
        half, turn = relate.within.total_seconds() / 5, turn_of(record)
        late = turn < self._newest
        search = Search(self.shelves, record, half, scope, turn if late else None)
        self.compared += search.compared
        best = search.best
        group = best.record.group if best is not None else None
        one, nearer = self._asked_again(record, group, half, scope) if late else ([], ())
        if best is None or group is None:
            return self._overtaken(record, one, nearer)
        merges = search.merges(group)
        if one:
            merges = tuple(sorted({*merges, *(answer.incident for answer in one)}))
        why = because(record, best)
        return Placement(record, group.id, merges, why, tie=best.record, nearer=nearer, likewise=search.likewise())

    def _asked_again(
        self, record: Record, home: Group | None, half: float, scope: Scope
    ) -> tuple[list[Answer], tuple[tuple[Record, str], ...]]:
        asking = Asking(self.shelves, record, home, half, scope)
        self.compared += asking.compared
        return asking.one, tuple((answer.record, answer.why) for answer in asking.nearer)

    def _overtaken(self, record: Record, one: list[Answer], nearer: tuple[tuple[Record, str], ...]) -> Placement:
        """An alert to which nothing before it is related: into the first of the incidents that are there for want of
        it, with the others."""
        if not one:
            return Placement(record, nearer=nearer)
        first, others = one[0], {answer.incident for answer in one[1:]}
        join = first.incident
        merges = tuple(sorted(others - {join}))
        if turn_of(record) < self._groups[join].sample[0].turn:
            return Placement(record, join, merges, first.why, opens=True, nearer=nearer)
        return Placement(record, join, merges, first.why, tie=first.record, nearer=nearer)

    def record(self, ref: int, labels: Mapping[str, str], began: float, relate: Relate) -> Record:
        """The alert as it is compared: its class, its onset and where it stands."""
        name = sys.intern(labels.get("alertname", ""))  # of a few hundred names, each by very many alerts
        by_severity = self._pending.get(name)
        pending = None
        if by_severity is not None:
            pending = by_severity.get(labels.get("severity", ""), by_severity.get(""))
        kind, standing = self._classes.classify(labels), self.map.standing(labels, relate.max_hops)
        alike = kind in relation.ALIKE and labels.get("severity") not in _NOBODY
        if pending is not None:
            return Record(ref, name, kind, began, standing, pending=pending, alike=alike)
        return Record(ref, name, kind, began, standing, usual=self._usual.get(name, 0.0), alike=alike)

    def opened_by(self, identity: bytes) -> str:
        """The newest incident that this very alert opened; "" where there is none in memory."""
        opened = self._opened_by.get(identity)
        return opened[-1] if opened else ""

    # -- entering and leaving -------------------------------------------------------------------------------------

    def begin(self, incident: str, scope: Scope, opener: bytes) -> Group:
        """The alert of this identity opened an incident."""
        group = self._groups[incident] = Group(incident, scope, opener)
        insort(self._opened_by.setdefault(opener, []), incident)
        return group

    def opened_after(self, one: str, other: str) -> bool:
        """Whether the first alert of one incident began after that of the other."""
        first, second = (self._groups[incident].sample[0] for incident in (one, other))
        return first.turn > second.turn

    def opens(self, incident: str, opener: bytes) -> None:
        """The alert of this identity would have opened the incident, had all come in their turn."""
        group = self._groups[incident]
        self._forget_opener(group)
        group.opener = opener
        insort(self._opened_by.setdefault(opener, []), incident)

    def enter(self, record: Record, incident: str, scope: Scope, identity: bytes, alert: Firing | None = None) -> None:
        """The alert is a member of this incident; its first one opened it. `alert` says whether it still fires."""
        group = self._groups.get(incident) or self.begin(incident, scope, identity)
        record.group, record.alert = group, alert
        group.members.append(record)
        self._newest = max(self._newest, record.turn)
        if len(group.sample) < SAMPLE or record.turn < group.sample[-1].turn:
            group.sample = _first([*group.sample, record])
        self.shelves.put(record)

    def roots(self, incident: str) -> list[Record]:
        """Those of its alerts that came in by no other."""
        return [record for record in self._groups[incident].members if record.tie is None]

    def with_it(self, record: Record) -> list[Record]:
        """An alert, those that came into its incident by it, and those that did by these."""
        assert record.group is not None
        by: dict[Record, list[Record]] = {}
        for one in record.group.members:
            if one.tie is not None:
                by.setdefault(one.tie, []).append(one)
        found = {record: None}
        waiting = [record]
        for one in waiting:
            fresh = [other for other in by.get(one, ()) if other not in found]
            found.update(dict.fromkeys(fresh))
            waiting += fresh
        return waiting

    def move(self, records: Iterable[Record], incident: str) -> list[Record]:
        """These alerts of one other incident, without what it is about, are this one's from now on. Those that came in
        by them and stay have now come in by none."""
        moved, into = dict.fromkeys(records), self._groups[incident]
        gone = next(iter(moved)).group
        assert gone is not None
        gone.members = [record for record in gone.members if record not in moved]
        gone.sample = _first(gone.members)
        for record in moved:
            record.group = into
            self.shelves.look_anew(record)
        into.members.extend(moved)
        into.sample = _first([*into.sample, *moved])
        left = [record for record in gone.members if record.tie in moved]
        for record in left:
            record.tie = None
        return left

    def merge(self, younger: str, older: str) -> None:
        """From now on the alerts of the younger are the older's. Those of one that relates to nothing do so no more."""
        gone, into = self._groups.get(younger), self._groups.get(older)
        if gone is None:
            return
        if into is None:
            self.forget(younger)
            return
        del self._groups[younger]
        self._forget_opener(gone)
        for record in gone.members:
            record.group = into
            self.shelves.look_anew(record)
        into.members.extend(gone.members)
        into.sample = _first([*into.sample, *gone.sample])

    def close(self, incident: str) -> None:
        """The incident takes nothing in any more: it is over, or its window is."""
        group = self._groups.get(incident)
        if group is not None and group.open:
            group.open = False
            self._all_look_anew(group)

    def reopen(self, incident: str) -> None:
        group = self._groups.get(incident)
        if group is not None:
            group.returned = True
            if not group.open:
                group.open = True
                self._all_look_anew(group)

    def _all_look_anew(self, group: Group) -> None:
        for record in group.members:
            self.shelves.look_anew(record)

    def forget(self, incident: str) -> None:
        """The incident and its alerts leave memory."""
        group = self._groups.pop(incident, None)
        if group is None:
            return
        self._forget_opener(group)
        for record in reversed(group.members):  # the last of a shelf goes at once
            self.shelves.take_away(record)

    def leave(self, incident: str, ref: int) -> list[int]:
        """One alert leaves its incident, to be placed anew. Those that came in by it, and now by none."""
        group = self._groups.get(incident)
        record = next((one for one in group.members if one.ref == ref), None) if group is not None else None
        if group is None or record is None:
            return []
        group.members = [one for one in group.members if one is not record]
        group.sample = _first(group.members)
        self.shelves.take_away(record)
        record.group = None
        tied = [one for one in group.members if one.tie is record]
        for one in tied:
            one.tie = None
        return [one.ref for one in tied]

    def moved(self, incident: str, ref: int, began: float) -> None:
        """One alert began earlier than was known (unix seconds)."""
        group = self._groups.get(incident)
        record = next((one for one in group.members if one.ref == ref), None) if group is not None else None
        if group is not None and record is not None:
            self.shelves.take_away(record)
            record.onset -= record.began - began
            record.began = began
            self.shelves.put(record)
            group.sample = _first(group.members)

    def _forget_opener(self, group: Group) -> None:
        opened = self._opened_by[group.opener]
        opened.remove(group.id)
        if not opened:
            del self._opened_by[group.opener]

    def on(self, incident: str, entity: str) -> list[int]:
        """Refs of the incident's alerts on an entity; of one that has none, of those that went down within it."""
        group = self._groups.get(incident)
        if group is None:
            return []
        for shelf in (self.shelves.own.get(entity), self.shelves.down.get(entity)):
            found = shelf.of(group) if shelf is not None else []
            if found:
                return found
        return []

    def members(self, incident: str) -> list[Record]:
        """The incident's alerts that relate to anything, in order of their refs."""
        group = self._groups.get(incident)
        return sorted(group.members, key=lambda record: record.ref) if group is not None else []


def _seconds(spans: Mapping[str, timedelta]) -> dict[str, float]:
    return {name: span.total_seconds() for name, span in spans.items()}


def _first(records: list[Record]) -> list[Record]:
    """What tells what an incident is about."""
    return sorted(records, key=lambda record: record.turn)[:SAMPLE]
