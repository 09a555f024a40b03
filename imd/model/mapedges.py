"""Edges of the map that change nothing.

Owns which edges mean something though no entity is declared at their end: those to what labels can name, those to what
contains an entity, and those that several entities have in common, for what shares a dependency falls together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

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
