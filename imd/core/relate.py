"""Which open incident a new alert is related to, and which incidents it shows to be one.

Owns the records of recent alerts, filed by entity, and the union of incidents that were merged; pure. It decides by the
nearest related recent alert, not by the nearest incident, and moves nothing between incidents otherwise.

How it stays linear: an alert looks at the bounded neighbourhood of where it stands (`core.standing`), there at entities
that have alerts, and of each at its last LAST open alerts. How it stays the same after a restart: records stand in
order of their refs, whenever they entered, and an incident's opener is on its record, so that entering the same alerts
again gives the same answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

from imd.core import relation
from imd.core.alertclass import Classifier
from imd.core.links import (
    Firing,
    Group,
    Link,
    Place,
    Placement,
    Record,
    Scope,
    because,
    better,
    file_of,
    still_down,
    weigh,
)
from imd.core.relation import FADE
from imd.core.standing import Map, Weights
from imd.model.rule import Relate
from imd.model.topology import AlertClass, Topology

_NO_TIME = timedelta(0)

LAST = 8
"""Open alerts of one entity that a new one is compared with."""

LOOK_BACK = 32
"""Records of one entity looked at to find those: the rest of a chatty host's are past."""

SAMPLE = 8
"""First alerts of an incident that tell what it is about."""


class Relator:
    """Places alerts under one topology."""

    def __init__(self, topology: Topology) -> None:
        self.map = Map(topology)
        self._pending = topology.pending
        self._usual = topology.usual
        self._classes = Classifier(topology.classes)
        self._places: dict[str, Place] = {}
        self._groups: dict[str, Group] = {}
        self._opened_by: dict[bytes, list[str]] = {}
        self.compared = 0

    # -- asking ---------------------------------------------------------------------------------------------------

    def place(self, ref: int, labels: Mapping[str, str], began: float, relate: Relate, scope: Scope) -> Placement:
        """Where an alert that began firing then (unix seconds) belongs, among incidents of the same scope. Changes
        nothing: `enter` does."""
        record = self.record(ref, labels, began, relate)
        if record.kind is AlertClass.BACKGROUND:
            return Placement(record)
        links = self._links(record, relate, scope)
        best = self._best(record, links)
        if best is None:
            return Placement(record)
        group = best.record.group
        assert group is not None
        return Placement(record, group.id, self._merges(record, links, group), because(record, best))

    def record(self, ref: int, labels: Mapping[str, str], began: float, relate: Relate) -> Record:
        """The alert as it is compared: its class, its onset and where it stands."""
        name = labels.get("alertname", "")
        by_severity = self._pending.get(name)
        pending = None
        if by_severity is not None:
            pending = by_severity.get(labels.get("severity", ""), by_severity.get(""))
        kind, standing = self._classes.classify(labels), self.map.standing(labels, relate.max_hops)
        if pending is not None:
            return Record(ref, name, kind, began - pending.total_seconds(), standing, known=True, usual=0.0)
        usual = self._usual.get(name, _NO_TIME).total_seconds()
        return Record(ref, name, kind, began, standing, known=False, usual=usual)

    def opened_by(self, identity: bytes) -> str:
        """The newest incident that this very alert opened; "" where there is none in memory."""
        opened = self._opened_by.get(identity)
        return opened[-1] if opened else ""

    def _links(self, record: Record, relate: Relate, scope: Scope) -> list[Link]:
        half = relate.within.total_seconds() / 5
        standing = record.standing
        links: list[Link] = []
        for entity in standing.own:
            self._at(links, record, entity, (1.0, 1.0), "same", half, scope)
        for entity in standing.near:
            self._at(links, record, entity, (FADE, FADE), "near", half, scope)
        for entity in self._reached(standing.above):
            weights = standing.above[entity], standing.asked_above.get(entity, 0.0)
            self._at(links, record, entity, weights, "cause", half, scope)
        below = standing.asked_below if record.kind in relation.ASKED else standing.below
        for entity in self._reached(below):
            self._at(links, record, entity, (below[entity], below[entity]), "effect", half, scope)
        if record.kind in relation.GOES_DOWN:
            self._siblings(links, record, half, scope)
        if record.kind in relation.FAILS:
            self._dependents(links, record, half, scope)
        if record.kind in relation.BURSTS:
            self._bursts(links, record, half, scope)
        return links

    def _reached(self, weights: Weights) -> list[str]:
        """Those of the entities that have alerts."""
        if len(weights) <= len(self._places):
            return [entity for entity in weights if entity in self._places]
        return [entity for entity in self._places if entity in weights]

    def _at(
        self,
        links: list[Link],
        record: Record,
        entity: str,
        weights: tuple[float, float],
        kind: str,
        half: float,
        scope: Scope,
    ) -> None:
        """Links to the alerts on and beside one entity. `weights`: of any alert there, and of those whose trouble
        goes along dependencies alone."""
        place = self._places.get(entity)
        if place is None:
            return
        for other in self._last(place.own, scope) if place.own else ():
            heavy = weights[other.kind in relation.ASKED] * weigh(record, other, kind, half)
            if heavy < relation.JOIN and kind == "same" and still_down(other, record):
                links.append(Link(relation.JOIN, other, "still", entity))
            elif heavy >= relation.MERGE:
                links.append(Link(heavy, other, kind, entity))
        if not place.beside:
            return
        tied = "near" if kind == "same" else kind
        for other in self._last(place.beside, scope):
            heavy = weights[other.kind in relation.ASKED] * FADE * weigh(record, other, tied, half)
            if heavy >= relation.MERGE:
                links.append(Link(heavy, other, tied, entity))

    def _siblings(self, links: list[Link], record: Record, half: float, scope: Scope) -> None:
        own = record.standing.own
        for container in record.standing.containers:
            place = self._places.get(container)
            for other in self._last(place.down, scope) if place is not None else ():
                if not any(entity in own for entity in other.standing.own):
                    weight = relation.SIBLINGS * relation.decay(record.onset - other.onset, half)
                    links.append(Link(weight, other, "sibling", container))

    def _dependents(self, links: list[Link], record: Record, half: float, scope: Scope) -> None:
        """Links to what began to fail with it and depends on the same: that may be ill, and nobody has said so yet."""
        own = record.standing.own
        for need in record.standing.needs:
            place = self._places.get(need)
            for other in self._last(place.failing, scope) if place is not None and place.failing else ():
                weight = relation.BURST * relation.decay(record.onset - other.onset, half)
                if weight >= relation.JOIN and not any(entity in own for entity in other.standing.own):
                    links.append(Link(weight, other, "common", need))

    def _bursts(self, links: list[Link], record: Record, half: float, scope: Scope) -> None:
        for container in record.standing.within:
            place = self._places.get(container)
            for other in self._last(place.begun, scope) if place is not None else ():
                if other.kind not in relation.BEGIN_WITH[record.kind]:
                    continue
                weight = relation.BURST * relation.decay(record.onset - other.onset, half / 2)
                if record.standing.mapped and other.standing.mapped:
                    weight *= relation.BURST_MAPPED
                weight *= max(
                    relation.explains(other.kind, record.kind),
                    relation.UNLIKE * relation.explains(record.kind, other.kind),
                    relation.UNLIKE,
                )
                links.append(Link(weight, other, "burst", container))

    def _last(self, records: dict[int, Record], scope: Scope) -> Iterator[Record]:
        """The last few of open incidents of this scope, newest first."""
        found = 0
        for looked_at, record in enumerate(reversed(records.values())):
            group = record.group
            if group is not None and group.open and group.scope == scope:
                self.compared += 1
                yield record
                found += 1
            if found >= LAST or looked_at >= LOOK_BACK:
                return

    def _best(self, record: Record, links: list[Link]) -> Link | None:
        """The heaviest link that is heavy enough; bursts only where there is no other; ties go to the older."""
        best: Link | None = None
        covered: dict[str, bool] = {}
        for link in links:
            if link.weight < relation.JOIN or (best is not None and not better(link, best)):
                continue
            if link.kind == "effect" and not self._covers(record, link.record, covered):
                continue
            best = link
        return best

    def _merges(self, record: Record, links: list[Link], into: Group) -> tuple[str, ...]:
        merged: dict[str, None] = {}
        covered: dict[str, bool] = {}
        for link in links:
            group = link.record.group
            if link.kind != "effect" or group is None or group is into or group.id in merged:
                continue
            if min(len(group.members), len(into.members)) > relation.SMALL:
                continue
            if self._covers(record, link.record, covered):
                merged[group.id] = None
        return tuple(sorted(merged))

    def _covers(self, record: Record, effect: Record, covered: dict[str, bool]) -> bool:
        """Whether the alert explains what the incident of `effect` is about."""
        group = effect.group
        assert group is not None
        known = covered.get(group.id)
        if known is None:
            known = covered[group.id] = not group.returned and self._share(record, group) >= relation.COVER
        return known

    def _share(self, record: Record, group: Group) -> float:
        sample, standing = group.sample, record.standing
        explained = 0
        for member in sample:
            self.compared += 1
            reached = any(entity in standing.below or entity in standing.own for entity in member.standing.own)
            explained += reached and relation.explains(record.kind, member.kind) > 0
        return explained / len(sample) if sample else 0.0

    # -- entering and leaving -------------------------------------------------------------------------------------

    def begin(self, incident: str, scope: Scope, opener: bytes) -> Group:
        """The alert of this identity opened an incident."""
        group = self._groups[incident] = Group(incident, scope, opener)
        self._opened_by.setdefault(opener, []).append(incident)
        return group

    def enter(self, record: Record, incident: str, scope: Scope, identity: bytes, alert: Firing | None = None) -> None:
        """The alert is a member of this incident; its first one opened it. `alert` says whether it still fires."""
        group = self._groups.get(incident) or self.begin(incident, scope, identity)
        record.group, record.alert = group, alert
        if record.kind is AlertClass.BACKGROUND:
            return
        group.members.append(record)
        if len(group.sample) < SAMPLE or record.ref < group.sample[-1].ref:
            group.sample = _first([*group.sample, record])
        for entity, file in self._files(record):
            place = self._places.get(entity)
            if place is None:
                place = self._places[entity] = Place()
            records = file_of(place, file)
            late = bool(records) and record.ref < next(reversed(records))
            records[record.ref] = record
            if late:
                ordered = sorted(records.items())
                records.clear()
                records.update(ordered)

    def _files(self, record: Record) -> Iterator[tuple[str, str]]:
        standing = record.standing
        for entity in standing.own:
            yield entity, "own"
        for entity in standing.near:
            yield entity, "beside"
        if record.kind in relation.GOES_DOWN:
            for entity in standing.containers:
                yield entity, "down"
        if record.kind in relation.FAILS:
            for entity in standing.needs:
                yield entity, "failing"
        if record.kind in relation.BURSTS:
            for entity in standing.within:
                yield entity, "begun"

    def merge(self, younger: str, older: str) -> None:
        """From now on the alerts of the younger are the older's."""
        gone = self._groups.pop(younger, None)
        into = self._groups.get(older)
        if gone is None or into is None:
            return
        self._forget_opener(gone)
        for record in gone.members:
            record.group = into
        into.members.extend(gone.members)
        into.sample = _first([*into.sample, *gone.sample])

    def close(self, incident: str) -> None:
        """The incident takes nothing in any more: it is over, or its window is."""
        group = self._groups.get(incident)
        if group is not None:
            group.open = False

    def reopen(self, incident: str) -> None:
        group = self._groups.get(incident)
        if group is not None:
            group.open = group.returned = True

    def forget(self, incident: str) -> None:
        """The incident and its alerts leave memory."""
        group = self._groups.pop(incident, None)
        if group is None:
            return
        self._forget_opener(group)
        for record in group.members:
            self._unfile(record)

    def leave(self, incident: str, ref: int) -> None:
        """One alert leaves its incident, to be placed anew."""
        group = self._groups.get(incident)
        record = next((one for one in group.members if one.ref == ref), None) if group is not None else None
        if group is None or record is None:
            return
        group.members = [one for one in group.members if one is not record]
        group.sample = _first(group.members)
        self._unfile(record)

    def moved(self, incident: str, ref: int, seconds: float) -> None:
        """One alert began so much earlier than was known."""
        group = self._groups.get(incident)
        for record in group.members if group is not None else ():
            if record.ref == ref:
                record.onset -= seconds

    def _unfile(self, record: Record) -> None:
        for entity, file in self._files(record):
            place = self._places.get(entity)
            if place is None:
                continue
            file_of(place, file).pop(record.ref, None)
            if not (place.own or place.beside or place.down or place.begun or place.failing):
                del self._places[entity]

    def _forget_opener(self, group: Group) -> None:
        opened = self._opened_by[group.opener]
        opened.remove(group.id)
        if not opened:
            del self._opened_by[group.opener]

    def on(self, incident: str, entity: str) -> list[int]:
        """Refs of the incident's alerts on an entity; of one that has none, of those that went down within it."""
        group, place = self._groups.get(incident), self._places.get(entity)
        if group is None or place is None:
            return []
        own = [ref for ref, record in place.own.items() if record.group is group]
        return own or [ref for ref, record in place.down.items() if record.group is group]

    def members(self, incident: str) -> list[Record]:
        """The incident's alerts that relate to anything, in order of their refs."""
        group = self._groups.get(incident)
        return sorted(group.members, key=lambda record: record.ref) if group is not None else []


def _first(records: list[Record]) -> list[Record]:
    """What tells what an incident is about."""
    return sorted(records, key=lambda record: record.ref)[:SAMPLE]
