"""The search of `core.nearest` without its short cuts: every alert on every shelf is weighed. An oracle for tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from imd.core import relation
from imd.core.links import Group, Link, Place, Record, Scope, Shelf, Shelves, better, still_down, weigh
from imd.core.relation import FADE


class PlainSearch:
    """As `Search`: `best` and `merges`."""

    def __init__(self, shelves: Shelves, record: Record, half: float, scope: Scope) -> None:
        self._record = record
        self._half = half
        self._scope = scope
        self._shelves = shelves
        self._links = [*self._along(), *self._siblings(), *self._by_time()]
        self.best: Link | None = None
        for link in self._links:
            if link.weight < relation.JOIN or (self.best is not None and not better(link, self.best)):
                continue
            if link.kind != "effect" or self._covers(link):
                self.best = link

    def merges(self, into: Group) -> tuple[str, ...]:
        found = {
            link.record.group.id
            for link in self._links
            if link.kind == "effect"
            and link.record.group is not None
            and link.record.group is not into
            and min(len(link.record.group.members), len(into.members)) <= relation.SMALL
            and self._covers(link)
        }
        return tuple(sorted(found | self._alike(into)))

    def _alike(self, into: Group) -> set[str]:
        groups = [
            link.record.group
            for link in self._links
            if link.kind == "alike" and link.weight >= relation.JOIN and not self._record.standing.mapped
            and link.record.group is not None and link.record.group.sample[0] is link.record
        ]  # fmt: skip
        return {
            group.id
            for group in groups
            if group is not into and not group.returned and min(len(group.members), len(into.members)) <= relation.SMALL
        }

    def _along(self) -> Iterator[Link]:
        standing = self._record.standing
        for entity in standing.own:
            yield from self._at(entity, 1.0, 1.0, "same")
        for entity in standing.near:
            yield from self._at(entity, FADE, FADE, "near")
        for entity in standing.within:
            for other in self._last(self._shelves.spanning.get(entity)) if entity not in standing.spans else ():
                yield Link(FADE * weigh(self._record, other, "cause", self._half), other, "cause", entity)
        for weight, asked, entities in standing.above:
            for entity in entities if weight else ():
                yield from self._at(entity, weight, asked, "cause")
        for weight, asked, entities in standing.below:
            left = asked if self._record.kind in relation.ASKED else weight
            for entity in entities:
                yield from self._at(entity, left, left, "effect")

    def _at(self, entity: str, weight: float, asked: float, kind: str) -> Iterator[Link]:
        for shelf, fade, how in (
            (self._shelves.own.get(entity), 1.0, kind),
            (self._shelves.beside.get(entity), FADE, "near" if kind == "same" else kind),
        ):
            for other in self._last(shelf):
                left = (asked if other.kind in relation.ASKED else weight) * fade
                left *= weigh(self._record, other, how, self._half)
                if left < relation.JOIN and how == "same" and still_down(other, self._record):
                    yield Link(relation.JOIN, other, "still", entity)
                elif left >= relation.MERGE:
                    yield Link(left, other, how, entity)

    def _siblings(self) -> Iterator[Link]:
        if self._record.kind not in relation.GOES_DOWN:
            return
        for container in self._record.standing.containers:
            for other in self._last(self._shelves.down.get(container)):
                if not self._together(other):
                    yield Link(relation.SIBLINGS * self._faded(other, self._half), other, "sibling", container)

    def _by_time(self) -> Iterator[Link]:
        record = self._record
        for container in (*record.standing.containers, *record.standing.within) if record.alike else ():
            for other in self._last(self._shelves.called(record.name, container)):
                weight = relation.BURST * self._faded(other, self._half)
                if record.standing.mapped and other.standing.mapped and container in record.standing.within:
                    weight *= relation.BURST_MAPPED
                if not self._together(other):
                    yield Link(weight, other, "alike", container)
        for need in record.standing.needs if record.kind in relation.FAILS else ():
            for other in self._last(self._shelves.failing.get(need)):
                if not self._together(other):
                    yield Link(relation.BURST * self._faded(other, self._half), other, "common", need)
        for container in record.standing.within if record.kind in relation.BURSTS else ():
            for other in self._last(self._shelves.begun.get(container)):
                if other.kind in relation.BEGIN_WITH[record.kind]:
                    weight = relation.BURST * self._faded(other, self._half / 2)
                    if record.standing.mapped and other.standing.mapped:
                        weight *= relation.BURST_MAPPED
                    back = relation.UNLIKE * relation.explains(record.kind, other.kind)
                    weight *= max(relation.explains(other.kind, record.kind), back, relation.UNLIKE)
                    yield Link(weight, other, "burst", container)

    def _last(self, place: Place | None) -> Sequence[Record]:
        if place is None:
            return ()
        return (place if isinstance(place, Shelf) else Shelf(place)).look_back(self._scope).records

    def _faded(self, other: Record, half: float) -> float:
        return relation.decay(self._record.onset - other.onset, half)

    def _together(self, other: Record) -> bool:
        return bool({*self._record.standing.own} & {*other.standing.own})

    def _covers(self, effect: Link) -> bool:
        group, record = effect.record.group, self._record
        assert group is not None
        below = {entity for weight, _, entities in record.standing.below if weight for entity in entities}
        below |= {*record.standing.own}
        explained = [
            member
            for member in group.sample
            if below & {*member.standing.own} and relation.explains(record.kind, member.kind) > 0
        ]
        return not group.returned and len(explained) >= relation.COVER * len(group.sample)
