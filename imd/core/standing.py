"""Where an alert stands: its entities, what they suffer from, what suffers from them, and within what they are.

Owns the graph of the map, its bounded neighbourhoods with their weights, and the standing of a set of labels. Pure;
knows no incidents. Both neighbourhoods of an entity are worked out when an alert first stands on it, nearest first,
bounded by hops and by NEIGHBOURS_MAX, and remembered, as standings are, up to a bound; standings share them, and nobody
writes into them. Cycles do no harm: an entity is visited once, by its heaviest path.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from imd.core.entities import EntityIndex, FromLabelsIndex
from imd.core.relation import FADE
from imd.model.topology import Topology

NEIGHBOURS_MAX = 256
REMEMBERED_MAX = 4_000
NEEDS_MAX = 16

Key = TypeVar("Key")
Value = TypeVar("Value")

Weights = Mapping[str, float]
Edges = dict[str, dict[str, None]]
Way = tuple[bool, bool]
"""Up to causes, or down to effects; along dependencies alone, or along what carries and contains as well."""

_NOTHING: Weights = {}


class Standing:
    """`own`: its entities. `near`: what its own labels tie these to, in one hop, both ways. `above` and `below`: what
    they suffer from and what suffers from them, by weight, without those; `asked_above` and `asked_below`: the same
    along dependencies alone. `containers`: what directly contains them. `needs`: what they directly depend on.
    `within`: what they merely are in the midst of. `mapped`: the map declares one of its own."""

    __slots__ = (
        "above", "asked_above", "asked_below", "below", "containers", "mapped", "near", "needs", "own", "within",
    )  # fmt: skip

    def __init__(self, own: tuple[str, ...], mapped: bool) -> None:
        self.own = own
        self.mapped = mapped
        self.near: tuple[str, ...] = ()
        self.above = self.below = self.asked_above = self.asked_below = _NOTHING
        self.containers: tuple[str, ...] = ()
        self.needs: tuple[str, ...] = ()
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
        self._near: dict[tuple[str, Way, int], Weights] = {}
        self._standings: dict[tuple[int, tuple[str | None, ...]], Standing] = {}

    def _link(self, cause: str, effect: str, asked: bool) -> None:
        for only in {False, asked}:
            self._edges[True, only].setdefault(effect, {})[cause] = None
            self._edges[False, only].setdefault(cause, {})[effect] = None

    def holds(self, entity: str) -> bool:
        """Whether the map declares it."""
        return entity in self._ids

    def contains(self, entity: str) -> tuple[str, ...]:
        """What directly contains an entity of the map."""
        return tuple(self._containers.get(entity, ()))

    def causes(self, entity: str, max_hops: int) -> Weights:
        """What an entity suffers from, without itself."""
        return self._around(entity, (True, False), max_hops)

    def effects(self, entity: str, max_hops: int) -> Weights:
        """What suffers from an entity, without itself."""
        return self._around(entity, (False, False), max_hops)

    def _around(self, entity: str, way: Way, max_hops: int) -> Weights:
        edges = self._edges[way]
        if entity not in edges or max_hops <= 0:
            return _NOTHING
        known = self._near.get((entity, way, max_hops))
        if known is not None:
            return known
        weights = {entity: 1.0}
        front, weight = [entity], 1.0
        for _ in range(max_hops):
            weight *= FADE
            reached = [one for at in front for one in edges.get(at, ()) if one not in weights]
            front = list(dict.fromkeys(reached))[: NEIGHBOURS_MAX - len(weights)]
            weights.update(dict.fromkeys(front, weight))
        del weights[entity]
        _remember(self._near, (entity, way, max_hops), weights)
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
            _remember(self._tier_of, key, known)
        return known

    def standing(self, labels: Mapping[str, str], max_hops: int) -> Standing:
        """The standing of an alert with these labels; equal labels share one."""
        key = max_hops, tuple(map(labels.get, self._looked_at))
        known = self._standings.get(key)
        if known is None:
            known = self._work_out(labels, max_hops)
            _remember(self._standings, key, known)
        return known

    def _work_out(self, labels: Mapping[str, str], max_hops: int) -> Standing:
        named = self._from_labels.find(labels)
        mapped = self._entities.find(labels)
        own = tuple(dict.fromkeys((*mapped, named.entity) if named.entity else mapped))
        standing = Standing(own, any(entity in self._ids for entity in own))
        tied = (*named.parents, *named.carriers, *named.needs, *named.serves)
        standing.near = tuple(one for one in dict.fromkeys(tied) if one not in own)
        for asked in (False, True):
            causes = named.needs if asked else (*named.parents, *named.carriers, *named.needs)
            above = self._widened(standing, (True, asked), causes, max_hops)
            below = self._widened(standing, (False, asked), named.serves, max_hops)
            if asked:
                standing.asked_above, standing.asked_below = above, below
            else:
                standing.above, standing.below = above, below
        needs = [one for entity in own for one in self._edges[True, True].get(entity, ())]
        standing.needs = tuple(dict.fromkeys((*needs, *named.needs)))[:NEEDS_MAX]
        inside = [one for entity in own for one in self.contains(entity)]
        standing.containers = tuple(dict.fromkeys((*inside, *named.parents)))
        standing.within = tuple(one for one in named.within if one not in own)
        return standing

    def _widened(self, standing: Standing, way: Way, tied: Iterable[str], max_hops: int) -> Weights:
        """What is around the standing's own entities, and a hop further around those `tied` to them, each by its
        heaviest path, without all those. One neighbourhood alone is mostly all there is, and is not copied."""
        parts = [(self._around(entity, way, max_hops), 1.0) for entity in standing.own]
        parts += [(self._around(entity, way, max_hops - 1), FADE) for entity in tied]
        parts = [part for part in parts if part[0]]
        if not parts:
            return _NOTHING
        here = (*standing.own, *standing.near)
        first, by = parts[0]
        if len(parts) == 1 and by == 1.0 and not any(entity in first for entity in here):
            return first
        weights: dict[str, float] = {}
        for more, by in parts:
            for entity, weight in more.items():
                if weight * by > weights.get(entity, 0.0):
                    weights[entity] = weight * by
        for entity in here:
            weights.pop(entity, None)
        return weights


def _remember(known: dict[Key, Value], key: Key, value: Value) -> None:
    """Bounded: past the bound the older half is forgotten."""
    if len(known) >= REMEMBERED_MAX:
        for old in list(known)[: REMEMBERED_MAX // 2]:
            del known[old]
    known[key] = value
