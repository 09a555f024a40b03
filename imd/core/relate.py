"""Which open incident a new alert is related to, and which incidents it shows to be one.

Owns the records of recent alerts, filed by entity, and the union of incidents that were merged; pure. It decides by the
nearest related recent alert, not by the nearest incident, and moves nothing between incidents otherwise.

How it stays linear: an alert looks at the bounded neighbourhood of where it stands (`core.standing`), there at entities
that have alerts, and of each at its last LAST open alerts; and what cannot be nearer than the nearest found so far is
passed over before anything is weighed. How it stays the same after a restart: records stand in order of their refs,
whenever they entered, and an incident's opener is on its record, so that entering the same alerts again gives the same
answers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from imd.core import relation
from imd.core.alertclass import Classifier
from imd.core.links import (
    ROLES,
    Firing,
    Group,
    Link,
    Placement,
    Record,
    Role,
    Scope,
    Shelf,
    because,
    better,
    still_down,
    weigh,
)
from imd.core.relation import FADE
from imd.core.standing import Map
from imd.model.rule import Relate
from imd.model.topology import AlertClass, Topology

_NO_TIME = timedelta(0)

SAMPLE = 8
"""First alerts of an incident that tell what it is about."""


class Relator:
    """Places alerts under one topology."""

    def __init__(self, topology: Topology) -> None:
        self.map = Map(topology)
        self._pending = topology.pending
        self._usual = topology.usual
        self._classes = Classifier(topology.classes)
        self._shelves: dict[Role, dict[str, Shelf]] = {role: {} for role in ROLES}
        self._own, self._beside = self._shelves["own"], self._shelves["beside"]
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
        half = relate.within.total_seconds() / 5
        effects: dict[str, Link] = {}
        covered: dict[str, bool] = {}
        best = self._nearest(record, half, scope)
        best = self._effects(effects, best, record, half, scope, covered)
        if best is None:
            best = self._by_time(record, half, scope)
        if best is None:
            return Placement(record)
        group = best.record.group
        assert group is not None
        return Placement(record, group.id, self._merges(record, effects, group, covered), because(record, best))

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

    def _nearest(self, record: Record, half: float, scope: Scope) -> Link | None:
        """The heaviest link to what is on the same entity or tied to it, to a cause, and to a sibling."""
        best: Link | None = None
        standing = record.standing
        for entity in standing.own:
            best = self._at(best, record, entity, (1.0, 1.0), "same", half, scope)
        for entity in standing.near:
            best = self._at(best, record, entity, (FADE, FADE), "near", half, scope)
        asked = standing.asked_above
        for entity, weight in standing.above.items():
            if best is None or weight >= best.weight:
                best = self._at(best, record, entity, (weight, asked.get(entity, 0.0)), "cause", half, scope)
        if record.kind in relation.GOES_DOWN:
            best = self._siblings(best, record, half, scope)
        return best

    def _at(
        self,
        best: Link | None,
        record: Record,
        entity: str,
        weights: tuple[float, float],
        kind: str,
        half: float,
        scope: Scope,
    ) -> Link | None:
        """The better of `best` and the links to the alerts on and beside one entity. `weights`: of any alert there, and
        of those whose trouble goes along dependencies alone."""
        on = self._own.get(entity)
        if on is not None:
            best = self._look(best, record, entity, on.last(scope), weights, kind, half)
        beside = self._beside.get(entity)
        if beside is not None:
            faded = weights[0] * FADE, weights[1] * FADE
            tied = "near" if kind == "same" else kind
            best = self._look(best, record, entity, beside.last(scope), faded, tied, half)
        return best

    def _look(
        self,
        best: Link | None,
        record: Record,
        entity: str,
        others: Sequence[Record],
        weights: tuple[float, float],
        kind: str,
        half: float,
    ) -> Link | None:
        fits = relation.FITS[kind][record.kind]
        long_ago = record.onset - relation.FAR * half - record.usual
        if kind == "same" and record.kind is AlertClass.DOWN:
            long_ago = -math.inf  # what is still down is near, however long ago that began
        least = relation.JOIN if best is None else best.weight
        self.compared += len(others)
        for other in others:
            weight = weights[other.kind in relation.ASKED]
            if weight * fits[other.kind] < least or other.onset < long_ago:
                continue
            weight *= weigh(record, other, kind, half)
            how = kind
            if weight < relation.JOIN and kind == "same" and still_down(other, record):
                weight, how = relation.JOIN, "still"
            if weight >= least:
                link = Link(weight, other, how, entity)
                if best is None or better(link, best):
                    best, least = link, weight
        return best

    def _siblings(self, best: Link | None, record: Record, half: float, scope: Scope) -> Link | None:
        for container in record.standing.containers:
            for other in self._shelved("down", container, scope):
                weight = relation.SIBLINGS * relation.decay(record.onset - other.onset, half)
                if weight >= relation.JOIN and not _shared(record, other):
                    best = _better(best, Link(weight, other, "sibling", container))
        return best

    def _effects(
        self,
        effects: dict[str, Link],
        best: Link | None,
        record: Record,
        half: float,
        scope: Scope,
        covered: dict[str, bool],
    ) -> Link | None:
        """The better of `best` and of the links to effects that the alert covers. `effects` becomes the heaviest link
        to each incident that has any heavy enough to merge."""
        standing = record.standing
        below = standing.asked_below if record.kind in relation.ASKED else standing.below
        for entity, weight in below.items():
            on, beside = self._own.get(entity), self._beside.get(entity)
            if on is not None:
                self._look_below(effects, record, entity, on.last(scope), weight, half)
            if beside is not None:
                self._look_below(effects, record, entity, beside.last(scope), weight * FADE, half)
        for link in effects.values():
            if link.weight < relation.JOIN or (best is not None and not better(link, best)):
                continue
            if self._covers(record, link.record, covered):
                best = link
        return best

    def _look_below(
        self,
        effects: dict[str, Link],
        record: Record,
        entity: str,
        others: Sequence[Record],
        weight: float,
        half: float,
    ) -> None:
        fits = relation.FITS["effect"][record.kind]
        long_ago = record.onset - relation.FAR * half - record.usual
        self.compared += len(others)
        for other in others:
            group = other.group
            assert group is not None
            known = effects.get(group.id)
            least = relation.MERGE if known is None else known.weight
            if weight * fits[other.kind] < least or other.onset < long_ago:
                continue
            heavy = weight * weigh(record, other, "effect", half)
            if heavy >= least:
                link = Link(heavy, other, "effect", entity)
                if known is None or better(link, known):
                    effects[group.id] = link

    def _by_time(self, record: Record, half: float, scope: Scope) -> Link | None:
        """The heaviest link for which hardly more than the time speaks."""
        best: Link | None = None
        if record.kind in relation.FAILS:
            best = self._dependents(best, record, half, scope)
        if record.kind in relation.BURSTS:
            best = self._bursts(best, record, half, scope)
        return best

    def _dependents(self, best: Link | None, record: Record, half: float, scope: Scope) -> Link | None:
        """Links to what began to fail with it and depends on the same: that may be ill, and nobody has said so yet."""
        for need in record.standing.needs:
            for other in self._shelved("failing", need, scope):
                weight = relation.BURST * relation.decay(record.onset - other.onset, half)
                if weight >= relation.JOIN and not _shared(record, other):
                    best = _better(best, Link(weight, other, "common", need))
        return best

    def _bursts(self, best: Link | None, record: Record, half: float, scope: Scope) -> Link | None:
        like = relation.BEGIN_WITH[record.kind]
        for container in record.standing.within:
            for other in self._shelved("begun", container, scope):
                weight = relation.BURST * relation.decay(record.onset - other.onset, half / 2)
                if weight < relation.JOIN or other.kind not in like:
                    continue
                if record.standing.mapped and other.standing.mapped:
                    weight *= relation.BURST_MAPPED
                weight *= max(
                    relation.explains(other.kind, record.kind),
                    relation.UNLIKE * relation.explains(record.kind, other.kind),
                    relation.UNLIKE,
                )
                if weight >= relation.JOIN:
                    best = _better(best, Link(weight, other, "burst", container))
        return best

    def _shelved(self, role: Role, entity: str, scope: Scope) -> Sequence[Record]:
        shelf = self._shelves[role].get(entity)
        if shelf is None:
            return ()
        others = shelf.last(scope)
        self.compared += len(others)
        return others

    def _merges(
        self, record: Record, effects: dict[str, Link], into: Group, covered: dict[str, bool]
    ) -> tuple[str, ...]:
        merged = []
        for incident, link in effects.items():
            group = link.record.group
            if group is None or group is into or min(len(group.members), len(into.members)) > relation.SMALL:
                continue
            if self._covers(record, link.record, covered):
                merged.append(incident)
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
        for role, entity in _roles(record):
            shelves = self._shelves[role]
            shelf = shelves.get(entity)
            if shelf is None:
                shelf = shelves[entity] = Shelf()
            shelf.put(record)

    def merge(self, younger: str, older: str) -> None:
        """From now on the alerts of the younger are the older's."""
        gone = self._groups.pop(younger, None)
        into = self._groups.get(older)
        if gone is None or into is None:
            return
        self._forget_opener(gone)
        for record in gone.members:
            record.group = into
        self._look_anew(gone)
        into.members.extend(gone.members)
        into.sample = _first([*into.sample, *gone.sample])

    def close(self, incident: str) -> None:
        """The incident takes nothing in any more: it is over, or its window is."""
        group = self._groups.get(incident)
        if group is not None and group.open:
            group.open = False
            self._look_anew(group)

    def reopen(self, incident: str) -> None:
        group = self._groups.get(incident)
        if group is not None:
            group.returned = True
            if not group.open:
                group.open = True
                self._look_anew(group)

    def _look_anew(self, group: Group) -> None:
        """Whether its alerts count among the last of their entities is no longer what it was."""
        for record in group.members:
            for role, entity in _roles(record):
                self._shelves[role][entity].look_anew()

    def forget(self, incident: str) -> None:
        """The incident and its alerts leave memory."""
        group = self._groups.pop(incident, None)
        if group is None:
            return
        self._forget_opener(group)
        for record in group.members:
            self._take_away(record)

    def leave(self, incident: str, ref: int) -> None:
        """One alert leaves its incident, to be placed anew."""
        group = self._groups.get(incident)
        record = next((one for one in group.members if one.ref == ref), None) if group is not None else None
        if group is None or record is None:
            return
        group.members = [one for one in group.members if one is not record]
        group.sample = _first(group.members)
        self._take_away(record)

    def moved(self, incident: str, ref: int, seconds: float) -> None:
        """One alert began so much earlier than was known."""
        group = self._groups.get(incident)
        for record in group.members if group is not None else ():
            if record.ref == ref:
                record.onset -= seconds

    def _take_away(self, record: Record) -> None:
        for role, entity in _roles(record):
            shelves = self._shelves[role]
            shelf = shelves.get(entity)
            if shelf is not None and shelf.take_away(record):
                del shelves[entity]

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
        for shelf in (self._own.get(entity), self._shelves["down"].get(entity)):
            found = shelf.of(group) if shelf is not None else []
            if found:
                return found
        return []

    def members(self, incident: str) -> list[Record]:
        """The incident's alerts that relate to anything, in order of their refs."""
        group = self._groups.get(incident)
        return sorted(group.members, key=lambda record: record.ref) if group is not None else []


def _better(best: Link | None, link: Link) -> Link:
    return link if best is None or better(link, best) else best


def _shared(one: Record, other: Record) -> bool:
    """Whether the two are on one entity."""
    own = one.standing.own
    return any(entity in own for entity in other.standing.own)


def _roles(record: Record) -> Iterator[tuple[Role, str]]:
    """On which shelves it stands."""
    standing = record.standing
    for entity in standing.own:
        yield "own", entity
    for entity in standing.near:
        yield "beside", entity
    if record.kind in relation.GOES_DOWN:
        for entity in standing.containers:
            yield "down", entity
    if record.kind in relation.FAILS:
        for entity in standing.needs:
            yield "failing", entity
    if record.kind in relation.BURSTS:
        for entity in standing.within:
            yield "begun", entity


def _first(records: list[Record]) -> list[Record]:
    """What tells what an incident is about."""
    return sorted(records, key=lambda record: record.ref)[:SAMPLE]
