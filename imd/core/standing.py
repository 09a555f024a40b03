"""Where an alert stands: its entities, what they suffer from, what suffers from them, and within what they are.

Owns the graph of the map, its bounded neighbourhoods with their weights, and the standing of a set of labels. Pure;
knows no incidents. Both neighbourhoods of an entity are worked out when an alert first stands on it, nearest first,
bounded by hops and by NEIGHBOURS_MAX, and remembered, as standings are, up to a bound; standings share them. Cycles do
no harm: an entity is visited once, by its heaviest path.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, islice
from typing import TypeVar

from imd.core.entities import EntityIndex, FromLabelsIndex
from imd.core.relation import FADE
from imd.model.topology import Topology

NEIGHBOURS_MAX = 256
REMEMBERED_MAX = 16_000
"""Standings, and neighbourhoods: a storm over a large map meets all of its entities again and again. Each takes a
kilobyte or two."""

WEIGHED_MAX = 2_000
"""Neighbourhoods by entity, which are larger, and wanted only for the members of the incidents that grow just now."""

NEEDS_MAX = 16

Key = TypeVar("Key")
Value = TypeVar("Value")

Weights = Mapping[str, float]
Edges = dict[str, dict[str, None]]
Way = tuple[bool, bool]
"""Up to causes, or down to effects; along dependencies alone, or along what carries and contains as well."""

Rings = tuple[tuple[float, float, tuple[str, ...]], ...]
"""A neighbourhood, heaviest first: what a path leaves of a weight, what one along dependencies alone leaves (0: there
is none), and the entities of which both are true."""


class Standing:
    """`own`: its entities. `near`: what its own labels tie these to, in one hop, both ways; by these it suffers from
    the first `upon`. `above` and `below`: what they suffer from and what suffers from them, without those.
    `containers`: what directly contains them. `needs`: what they directly depend on. `within`: what they merely are in
    the midst of. `mapped`: the map knows an edge of one of its own. `spans`: within what it serves everything."""

    __slots__ = ("above", "below", "containers", "mapped", "near", "needs", "own", "spans", "upon", "within")

    def __init__(self, own: tuple[str, ...], mapped: bool) -> None:
        self.own = own
        self.mapped = mapped
        self.near: tuple[str, ...] = ()
        self.upon = 0
        self.above: Rings = ()
        self.below: Rings = ()
        self.containers: tuple[str, ...] = ()
        self.needs: tuple[str, ...] = ()
        self.spans: tuple[str, ...] = ()
        self.within: tuple[str, ...] = ()


class Map:
    """The map as a graph: from an entity to its causes, to its effects, and to what contains it."""

    def __init__(self, topology: Topology) -> None:
        self._entities = EntityIndex(topology.entities)
        self._from_labels = FromLabelsIndex(topology.from_labels)
        self._looked_at = tuple({**self._entities.labels, **self._from_labels.labels})
        self._edges: dict[Way, Edges] = {(up, asked): {} for up in (True, False) for asked in (True, False)}
        self._containers: Edges = {}
        self._ids = {entity.id for entity in topology.entities}
        for entity in topology.entities:
            for carrier in (*entity.part_of, *entity.runs_on):
                self._link(carrier, entity.id, False)
            for cause in entity.depends_on:
                self._link(cause, entity.id, True)
            for effect in entity.serves:
                self._link(entity.id, effect, True)
            if entity.part_of:
                self._containers[entity.id] = dict.fromkeys(entity.part_of)
        self._tiers = {entity.id: entity.tier for entity in topology.entities if entity.tier is not None}
        self._tier_of: dict[tuple[str | None, ...], str] = {}
        self._near: dict[tuple[str, bool, int], Rings] = {}
        self._weights: dict[tuple[str, bool, int], Weights] = {}
        self._standings: dict[tuple[int, tuple[str | None, ...]], Standing] = {}

    def _link(self, cause: str, effect: str, asked: bool) -> None:
        for only in {False, asked}:
            self._edges[True, only].setdefault(effect, {})[cause] = None
            self._edges[False, only].setdefault(cause, {})[effect] = None

    def _tied(self, entity: str) -> bool:
        """Whether the map says what it hangs together with; of what it merely lists it knows nothing."""
        return entity in self._ids and (entity in self._edges[True, False] or entity in self._edges[False, False])

    def holds(self, entity: str) -> bool:
        """Whether the map declares it."""
        return entity in self._ids

    def contains(self, entity: str) -> tuple[str, ...]:
        """What directly contains an entity of the map."""
        return tuple(self._containers.get(entity, ()))

    def causes(self, entity: str, max_hops: int) -> Weights:
        """What an entity suffers from, without itself."""
        return self._weighed(entity, True, max_hops)

    def effects(self, entity: str, max_hops: int) -> Weights:
        """What suffers from an entity, without itself."""
        return self._weighed(entity, False, max_hops)

    def _weighed(self, entity: str, up: bool, max_hops: int) -> Weights:
        known = self._weights.get((entity, up, max_hops))
        if known is None:
            rings = self._around(entity, up, max_hops)
            known = {one: weight for weight, _, entities in rings if weight for one in entities}
            _remember(self._weights, (entity, up, max_hops), known, WEIGHED_MAX)
        return known

    def _around(self, entity: str, up: bool, max_hops: int) -> Rings:
        if entity not in self._edges[up, False]:
            return ()
        known = self._near.get((entity, up, max_hops))
        if known is None:
            walked = self._walked(entity, (up, False), max_hops)
            known = _rings(walked, self._walked(entity, (up, True), max_hops))
            _remember(self._near, (entity, up, max_hops), known, REMEMBERED_MAX)
        return known

    def _walked(self, entity: str, way: Way, max_hops: int) -> dict[str, float]:
        """All that is reached from an entity, without itself."""
        edges = self._edges[way]
        if entity not in edges:
            return {}
        weights = {entity: 1.0}
        front, weight = weights, 1.0
        for _ in range(max_hops):
            weight *= FADE
            reached = dict.fromkeys(chain.from_iterable(edges[at] for at in front if at in edges), weight)
            for known in reached.keys() & weights.keys():
                del reached[known]
            left = NEIGHBOURS_MAX - len(weights)
            front = reached if len(reached) <= left else dict(islice(reached.items(), left))
            weights.update(front)
        del weights[entity]
        return weights

    def tier(self, labels: Mapping[str, str]) -> str:
        """Of the entities of an alert with these labels the most important tier; "" where none has one."""
        if not self._tiers:
            return ""
        key = tuple(map(labels.get, self._looked_at))
        known = self._tier_of.get(key)
        if known is None:
            own = (*self._entities.find(labels), self._from_labels.find(labels).entity)
            known = str(min((self._tiers[one] for one in own if one in self._tiers), default=""))
            _remember(self._tier_of, key, known, REMEMBERED_MAX)
        return known

    def standing(self, labels: Mapping[str, str], max_hops: int) -> Standing:
        """The standing of an alert with these labels; equal labels share one."""
        key = max_hops, tuple(map(labels.get, self._looked_at))
        known = self._standings.get(key)
        if known is None:
            known = self._work_out(labels, max_hops)
            _remember(self._standings, key, known, REMEMBERED_MAX)
        return known

    def _work_out(self, labels: Mapping[str, str], max_hops: int) -> Standing:
        named = self._from_labels.find(labels)
        mapped = self._entities.find(labels)
        own = tuple(dict.fromkeys((*mapped, named.entity) if named.entity else mapped))
        standing = Standing(own, any(self._tied(entity) for entity in own))
        upon = [one for one in dict.fromkeys((*named.parents, *named.carriers, *named.needs)) if one not in own]
        standing.near = (*upon, *(one for one in dict.fromkeys(named.serves) if one not in own and one not in upon))
        standing.upon = len(upon)
        around = self._around
        above = [(around(entity, True, max_hops), 1.0, 1.0) for entity in own]
        above += [(around(cause, True, max_hops - 1), FADE, FADE) for cause in named.needs]
        above += [(around(cause, True, max_hops - 1), FADE, 0.0) for cause in (*named.parents, *named.carriers)]
        below = [(around(entity, False, max_hops), 1.0, 1.0) for entity in own]
        below += [(around(effect, False, max_hops - 1), FADE, FADE) for effect in named.serves]
        standing.above = self._joined(above, standing)
        standing.below = self._joined(below, standing)
        needs = [one for entity in own for one in self._edges[True, True].get(entity, ())]
        standing.needs = tuple(dict.fromkeys((*needs, *named.needs)))[:NEEDS_MAX]
        inside = [one for entity in own for one in self.contains(entity)]
        standing.containers = tuple(dict.fromkeys((*inside, *named.parents)))
        standing.spans = tuple(named.spans)
        standing.within = tuple(one for one in named.within if one not in own)
        return standing

    def _joined(self, parts: list[tuple[Rings, float, float]], standing: Standing) -> Rings:
        """Of several neighbourhoods, with what is left of their weights, one by the heaviest paths, without what is in
        the standing itself. One alone is mostly all there is, and stays what it is."""
        parts = [part for part in parts if part[0]]
        causes, effects = self._edges[False, False], self._edges[True, False]
        here = [one for one in (*standing.own, *standing.near) if one in causes or one in effects]
        if not parts:
            return ()
        if len(parts) == 1 and parts[0][1:] == (1.0, 1.0) and len(here) == 1:
            return parts[0][0]
        weights: dict[str, float] = {}
        asked: dict[str, float] = {}
        for rings, by, asked_by in parts:
            for weight, asked_weight, entities in rings:
                for entity in entities:
                    weights[entity] = max(weight * by, weights.get(entity, 0.0))
                    asked[entity] = max(asked_weight * asked_by, asked.get(entity, 0.0))
        for entity in here:
            weights.pop(entity, None)
            asked.pop(entity, None)
        return _rings(weights, asked)


def _rings(weights: Weights, asked: Weights) -> Rings:
    by_weights: dict[tuple[float, float], list[str]] = {}
    for entity, weight in weights.items():
        by_weights.setdefault((weight, asked.get(entity, 0.0)), []).append(entity)
    for entity, weight in asked.items():
        if entity not in weights:
            by_weights.setdefault((0.0, weight), []).append(entity)
    return tuple((*both, tuple(by_weights[both])) for both in sorted(by_weights, reverse=True))


def _remember(known: dict[Key, Value], key: Key, value: Value, most: int) -> None:
    """Bounded: past the bound the older half is forgotten."""
    if len(known) >= most:
        for old in list(known)[: most // 2]:
            del known[old]
    known[key] = value
