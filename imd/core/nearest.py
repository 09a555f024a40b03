"""The search of one alert for the recent alerts that it is related to.

Owns what is looked at, in which order, and what is passed over: all that cannot weigh more than the heaviest link found
so far, before anything is weighed; the answer is that of a search that weighs everything. Pure; it changes nothing.
Same entity, tied entities, causes and siblings come first; then effects, which also say what is to be merged; and only
where nothing was found what hardly more than the time speaks for. What the map says nothing of is compared with what
says the same elsewhere in any case: an incident that began so is to be merged, too, whichever of the two came first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from imd.core import relation
from imd.core.links import Group, Link, Place, Record, Scope, Shelves, Turn, because, better, still_down, weigh
from imd.core.relation import FADE
from imd.model.topology import AlertClass


class Search:
    """Of one alert, among incidents of one scope. `half`: seconds in which a gap halves a weight. `turn`: only what
    stands before it counts, for an alert that comes late or is asked again. `best`: the heaviest link that is heavy
    enough; ties go to the older. `compared`: how many alerts were looked at."""

    __slots__ = (
        "_covered", "_effects", "_far", "_half", "_like", "_record", "_scope", "_shelves", "_turn", "best", "compared",
    )  # fmt: skip

    def __init__(self, shelves: Shelves, record: Record, half: float, scope: Scope, turn: Turn | None = None) -> None:
        self._shelves = shelves
        self._turn = turn
        self._record = record
        self._half = half
        self._scope = scope
        self._far = relation.FAR * half + record.usual
        self._effects: dict[Group, Link] = {}
        self._covered: dict[Group, bool] = {}
        self._like: dict[Group, Link] = {}
        self.best: Link | None = None
        self.compared = 0
        if record.kind is not AlertClass.BACKGROUND:
            self._nearest()
            self._explained()
        unexplained = self.best is None
        if record.alike and (unexplained or not record.standing.mapped):
            self._alike()  # what is on the map and explained mostly is, and shall cost no more for it
        if unexplained:
            self._by_time()

    def merges(self, into: Group) -> tuple[str, ...]:
        """The incidents that the alert draws into this one: it explains them as a whole, or says what began them."""
        merged = [group.id for group, link in self._effects.items() if self._apart(group, into) and self._covers(link)]
        if self._like:
            merged += [group.id for group in self._like if self._apart(group, into) and group.id not in merged]
        return tuple(sorted(merged))

    def likewise(self) -> dict[str, str]:
        """Why it draws an incident in that began by saying the same, in words."""
        if not self._like:
            return {}
        return {group.id: because(self._record, link) for group, link in self._like.items()}

    def _apart(self, group: Group, into: Group) -> bool:
        """Whether they are two that may be merged."""
        return group is not into and not (self._grown(group) and self._grown(into))

    def _grown(self, group: Group) -> bool:
        """Whether it has a story of its own by then."""
        return len(group.members) > relation.SMALL and len(self._by_then(group)) > relation.SMALL

    def _by_then(self, group: Group) -> Sequence[Record]:
        """Its first alerts, without those that began after this one."""
        turn, sample = self._turn, group.sample
        if turn is None or not sample or sample[-1].turn < turn:
            return sample
        return [record for record in sample if record.turn < turn]

    def explains(self, group: Group) -> Link | None:
        """The link by which the alert would draw this incident into its own, where it explains it as a whole."""
        link = self._effects.get(group)
        return link if link is not None and self._covers(link) else None

    # -- what is where it is, above it and beside it --------------------------------------------------------------

    def _nearest(self) -> None:
        standing = self._record.standing
        self._at(standing.own, 1.0, 1.0, "same", "near")
        if standing.near:
            self._at(standing.near, FADE, FADE, "near", "near")
        for weight, asked, entities in standing.above:
            if weight < (relation.JOIN if self.best is None else self.best.weight):
                break
            self._at(entities, weight, asked, "cause", "cause")
        for entity in standing.within:
            spanning = self._shelves.spanning.get(entity)
            if spanning is not None and entity not in standing.spans:
                self._look(entity, spanning, (FADE, FADE), "cause")
        if self._record.kind in relation.GOES_DOWN:
            self._siblings()

    def _at(self, entities: Iterable[str], weight: float, asked: float, kind: str, tied: str) -> None:
        """The alerts on and beside entities, which are so related. The weight of any alert there, and of those whose
        trouble goes along dependencies alone. Most of a neighbourhood has no alerts, and is passed over fast."""
        own, beside = self._shelves.own, self._shelves.beside
        for entity in filter(own.__contains__, entities):
            self._look(entity, own[entity], (weight, asked), kind)
        if beside:
            weights = weight * FADE, asked * FADE
            for entity in filter(beside.__contains__, entities):
                self._look(entity, beside[entity], weights, tied)

    def _look(self, entity: str, shelf: Place, weights: tuple[float, float], kind: str) -> None:
        record, half = self._record, self._half
        fits = relation.FITS[kind][record.kind]
        # What is still down is near, however long ago that began.
        far = math.inf if kind == "same" and record.kind is AlertClass.DOWN else self._far
        last = shelf.last(self._scope, self._turn)
        if record.onset - last.onset > far:
            return
        least = relation.JOIN if self.best is None else self.best.weight
        records = last.records
        self.compared += len(records)
        for other in records:
            weight = weights[other.kind in relation.ASKED]
            if weight * fits[other.kind] < least or record.onset - other.onset > far:
                continue
            weight *= weigh(record, other, kind, half)
            how = kind
            if weight < relation.JOIN and kind == "same" and still_down(other, record):
                weight, how = relation.JOIN, "still"
            if weight >= least:
                self._found(Link(weight, other, how, entity))
                least = weight

    def _siblings(self) -> None:
        record = self._record
        for container in record.standing.containers:
            for other in self._last(self._shelves.down.get(container)):
                weight = relation.SIBLINGS * relation.decay(record.onset - other.onset, self._half)
                if weight >= relation.JOIN and not _together(record, other):
                    self._found(Link(weight, other, "sibling", container))

    def _found(self, link: Link) -> None:
        if self.best is None or better(link, self.best):
            self.best = link

    # -- what is below it -----------------------------------------------------------------------------------------

    def _explained(self) -> None:
        """Finds the heaviest link to each incident that has an effect heavy enough to merge it, and the best of those
        that the alert covers."""
        own, beside, waits = self._shelves.own, self._shelves.beside, self._record.kind in relation.ASKED
        for weight, asked, entities in self._record.standing.below:
            left = asked if waits else weight
            if left < relation.MERGE:
                continue
            for entity in filter(own.__contains__, entities):
                self._look_below(entity, own[entity], left)
            if beside and left * FADE >= relation.MERGE:
                for entity in filter(beside.__contains__, entities):
                    self._look_below(entity, beside[entity], left * FADE)
        for link in self._effects.values():
            if link.weight < relation.JOIN or (self.best is not None and not better(link, self.best)):
                continue
            if self._covers(link):
                self.best = link

    def _look_below(self, entity: str, shelf: Place, weight: float) -> None:
        record, half, effects = self._record, self._half, self._effects
        last = shelf.last(self._scope, self._turn)
        gap = record.onset - last.onset
        most = weight * relation.LEFT_BACKWARD if gap >= -half else weight
        best = 0.0 if self.best is None else self.best.weight
        if most < relation.MERGE or gap > self._far or not self._wanted(last.groups, most, best):
            return
        came_after, was_first = relation.FITS["effect"][record.kind], relation.WAS_FIRST[record.kind]
        records = last.records
        self.compared += len(records)
        for other in records:
            gap = record.onset - other.onset
            fits = was_first if gap >= -half else came_after
            group = other.group
            assert group is not None
            known = effects.get(group)
            least = relation.MERGE if known is None else max(known.weight, best)
            if weight * fits[other.kind] < least or gap > self._far:
                continue
            heavy = weight * weigh(record, other, "effect", half)
            if heavy >= least:
                link = Link(heavy, other, "effect", entity)
                if known is None or better(link, known):
                    effects[group] = link

    def _wanted(self, groups: Iterable[Group], most: float, best: float) -> bool:
        """Whether a link of this weight would say anything new of any of these incidents."""
        for group in groups:
            known = self._effects.get(group)
            if known is None or most >= max(known.weight, best):
                return True
        return False

    def _covers(self, effect: Link) -> bool:
        """Whether the alert explains what the incident of `effect` is about."""
        group = effect.record.group
        assert group is not None
        known = self._covered.get(group)
        if known is None:
            known = self._covered[group] = not group.returned and self._share(group) >= relation.COVER
        return known

    def _share(self, group: Group) -> float:
        record, sample = self._record, self._by_then(group)
        within = {*record.standing.own}
        for weight, _, entities in record.standing.below:
            within.update(entities if weight else ())
        explained = 0
        for member in sample:
            self.compared += 1
            reached = any(entity in within for entity in member.standing.own)
            explained += reached and relation.explains(record.kind, member.kind) > 0
        return explained / len(sample) if sample else 0.0

    # -- what begins with it --------------------------------------------------------------------------------------

    def _by_time(self) -> None:
        if self._record.kind in relation.FAILS:
            self._dependents()
        if self._record.kind in relation.BURSTS:
            self._bursts()

    def _alike(self) -> None:
        """What says the same elsewhere within what contains both, or is around both: many of one name have one cause,
        whatever it is."""
        record, half = self._record, self._half
        standing = record.standing
        home = None if self.best is None else self.best.record.group
        for container in (*standing.containers, *standing.within):
            place = self._shelves.called(record.name, container)
            if place is None:
                continue
            last = place.last(self._scope, self._turn)
            if record.onset - last.onset > relation.BURST_FAR * half:
                continue
            self.compared += len(last.records)
            for other in last.records:
                if other.group is home or abs(record.onset - other.onset) > relation.BURST_FAR * half:
                    continue
                weight = relation.BURST * relation.decay(record.onset - other.onset, half)
                if standing.mapped and other.standing.mapped and container not in standing.containers:
                    weight *= relation.BURST_MAPPED
                if weight >= relation.JOIN and not _together(record, other):
                    link = Link(weight, other, "alike", container)
                    self._found(link)
                    if not standing.mapped:
                        self._likens(link)

    def _likens(self, link: Link) -> None:
        """What opened an incident says the same: that is no other trouble, whatever brings the alert where it is."""
        group = link.record.group
        assert group is not None
        if group.sample[0] is link.record and not group.returned:
            self._like.setdefault(group, link)

    def _dependents(self) -> None:
        """What began to fail with it and depends on the same: that may be ill, and nobody has said so yet."""
        record = self._record
        for need in record.standing.needs:
            for other in self._last(self._shelves.failing.get(need)):
                weight = relation.BURST * relation.decay(record.onset - other.onset, self._half)
                if weight >= relation.JOIN and not _together(record, other):
                    self._found(Link(weight, other, "common", need))

    def _bursts(self) -> None:
        record = self._record
        like = relation.BEGIN_WITH[record.kind]
        for container in record.standing.within:
            for other in self._last(self._shelves.begun.get(container)):
                weight = relation.BURST * relation.decay(record.onset - other.onset, self._half / 2)
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
                    self._found(Link(weight, other, "burst", container))

    def _last(self, shelf: Place | None) -> Sequence[Record]:
        if shelf is None:
            return ()
        others = shelf.last(self._scope, self._turn).records
        self.compared += len(others)
        return others


def _together(one: Record, other: Record) -> bool:
    """Whether the two are on one entity."""
    own = one.standing.own
    return any(entity in own for entity in other.standing.own)
