"""Where an alert stands: its entities, what they suffer from, what suffers from them, and within what they are.

Owns the graph of the map, its bounded neighbourhoods with their weights, and the standing of a set of labels. Pure;
knows no incidents. Both neighbourhoods of an entity are worked out when an alert first stands on it, nearest first,
bounded by hops and by NEIGHBOURS_MAX, and remembered, as standings are, up to a bound. Cycles do no harm: an entity is
visited once, by its heaviest path.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from imd.core.entities import EntityIndex, FromLabelsIndex
from imd.core.relation import FADE
from imd.model.topology import Topology

NEIGHBOURS_MAX = 256
REMEMBERED_MAX = 4_000

Key = TypeVar("Key")
Value = TypeVar("Value")

Weights = dict[str, float]
Edges = dict[str, dict[str, None]]


class Standing:
    """`own`: its entities. `near`: what its own labels tie these to, in one hop, both ways. `above` and `below`: what
    they suffer from and what suffers from them, by weight, without those. `containers`: what directly contains them.
    `within`: what they merely are in the midst of. `mapped`: the map declares one of its own."""

    __slots__ = ("above", "below", "containers", "mapped", "near", "own", "within")

    def __init__(self, own: tuple[str, ...], mapped: bool) -> None:
        self.own = own
        self.mapped = mapped
        self.near: tuple[str, ...] = ()
        self.above: Weights = {}
        self.below: Weights = {}
        self.containers: tuple[str, ...] = ()
        self.within: tuple[str, ...] = ()


class Map:
    """The map as a graph: from an entity to its causes, to its effects, and to what contains it."""

    def __init__(self, topology: Topology) -> None:
        self._entities = EntityIndex(topology.entities)
        self._from_labels = FromLabelsIndex(topology.from_labels)
        self._looked_at = tuple({**self._entities.labels, **self._from_labels.labels})
        self._causes: Edges = {}
        self._effects: Edges = {}
        self._containers: Edges = {}
        self._ids = {entity.id for entity in topology.entities}
        for entity in topology.entities:
            for cause in (*entity.part_of, *entity.runs_on, *entity.depends_on):
                self._link(cause, entity.id)
            for effect in entity.serves:
                self._link(entity.id, effect)
            if entity.part_of:
                self._containers[entity.id] = dict.fromkeys(entity.part_of)
        self._near: dict[tuple[str, bool, int], Weights] = {}
        self._standings: dict[tuple[int, tuple[str, ...]], Standing] = {}

    def _link(self, cause: str, effect: str) -> None:
        self._causes.setdefault(effect, {})[cause] = None
        self._effects.setdefault(cause, {})[effect] = None

    def holds(self, entity: str) -> bool:
        """Whether the map declares it."""
        return entity in self._ids

    def contains(self, entity: str) -> tuple[str, ...]:
        """What directly contains an entity of the map."""
        return tuple(self._containers.get(entity, ()))

    def causes(self, entity: str, max_hops: int) -> Weights:
        """What an entity suffers from, itself at 1."""
        return self._neighbourhood(entity, True, max_hops)

    def effects(self, entity: str, max_hops: int) -> Weights:
        """What suffers from an entity, itself at 1."""
        return self._neighbourhood(entity, False, max_hops)

    def _neighbourhood(self, entity: str, causes: bool, max_hops: int) -> Weights:
        known = self._near.get((entity, causes, max_hops))
        if known is not None:
            return known
        edges = self._causes if causes else self._effects
        weights, front, weight = {entity: 1.0}, [entity], 1.0
        for _ in range(max_hops):
            weight *= FADE
            reached = [one for at in front for one in edges.get(at, ()) if one not in weights]
            front = list(dict.fromkeys(reached))[: NEIGHBOURS_MAX - len(weights)]
            weights.update(dict.fromkeys(front, weight))
        _remember(self._near, (entity, causes, max_hops), weights)
        return weights

    def standing(self, labels: Mapping[str, str], max_hops: int) -> Standing:
        """The standing of an alert with these labels; equal labels share one."""
        key = max_hops, tuple([labels.get(name, "") for name in self._looked_at])
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
        for entity in own:
            _widen(standing.above, self.causes(entity, max_hops), 1.0)
            _widen(standing.below, self.effects(entity, max_hops), 1.0)
        for cause in (*named.parents, *named.causes):
            _widen(standing.above, self.causes(cause, max_hops - 1), FADE)
        for effect in named.serves:
            _widen(standing.below, self.effects(effect, max_hops - 1), FADE)
        tied = (*named.parents, *named.causes, *named.serves)
        standing.near = tuple(one for one in dict.fromkeys(tied) if one not in own)
        for entity in (*own, *standing.near):
            standing.above.pop(entity, None)
            standing.below.pop(entity, None)
        inside = [one for entity in own for one in self.contains(entity)]
        standing.containers = tuple(dict.fromkeys((*inside, *named.parents)))
        standing.within = tuple(one for one in named.within if one not in own)
        return standing


def _widen(weights: Weights, more: Weights, by: float) -> None:
    for entity, weight in more.items():
        if weight * by > weights.get(entity, 0.0):
            weights[entity] = weight * by


def _remember(known: dict[Key, Value], key: Key, value: Value) -> None:
    """Bounded: past the bound the older half is forgotten."""
    if len(known) >= REMEMBERED_MAX:
        for old in list(known)[: REMEMBERED_MAX // 2]:
            del known[old]
    known[key] = value
