"""Edges of the map that change nothing, and those that cannot be meant.

Owns which edges mean something though no entity is declared at their end: those to what labels can name, those to what
contains an entity, and those that several entities have in common, for what shares a dependency falls together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from imd.model.topology import Entity, FromLabels


def leading_nowhere(entities: Collection[Entity], from_labels: Iterable[FromLabels]) -> list[tuple[str, str]]:
    """Entity and other end of each edge that changes nothing, in order."""
    ends = [(one.id, end) for one in entities for end in dict.fromkeys((*one.runs_on, *one.depends_on, *one.serves))]
    declared = {one.id for one in entities}
    declared.update(container for one in entities for container in one.part_of)
    named_by = Counter(end for _, end in ends)
    beginnings = tuple(row.entity.partition("{")[0] for row in from_labels)
    return [
        (owner, end)
        for owner, end in ends
        if named_by[end] == 1 and end not in declared and not end.startswith(beginnings)
    ]


def containing_themselves(entities: Mapping[str, Entity]) -> list[tuple[str, ...]]:
    """The ways on which an entity contains itself, by `part_of` alone: of each round one, from the entity that stands
    first, which is its end again. Every edge is walked once."""
    found: list[tuple[str, ...]] = []
    done: set[str] = set()
    for first in entities:
        path: dict[str, None] = {}
        waiting = [(first, False)]
        while waiting:
            name, left = waiting.pop()
            if left:
                del path[name]
                done.add(name)
            elif name in path:
                way = list(path)
                found.append((*way[way.index(name) :], name))
            elif name not in done:
                path[name] = None
                waiting.append((name, True))
                own = entities.get(name)
                waiting += [(one, False) for one in reversed(own.part_of if own is not None else ())]
    return found
