"""Lints of the map.

Owns the words and places of what `model.mapedges` finds.
"""

from __future__ import annotations

from imd.config import codes
from imd.config.topologyfile import Mapped, Placed
from imd.config.wording import quote, suggest
from imd.model.mapedges import containing_themselves, leading_nowhere
from imd.model.topology import FROM_LABELS

NAMED_MAX = 5
"""Edges that one lint names; the rest is counted."""

ROUNDS_MAX = 100

Edge = tuple[str, str]


def lint_map(mapped: Mapped) -> None:
    """A lint for each entity that has edges which lead nowhere; for a map in JSON, one for the whole file."""
    declared: dict[str, list[Edge]] = {}
    in_json: dict[str, list[Edge]] = {}
    for owner, end in leading_nowhere(mapped.entities.values(), mapped.from_labels or FROM_LABELS):
        if owner in mapped.declared:
            declared.setdefault(owner, []).append((owner, end))
        elif owner in mapped.came_from:
            in_json.setdefault(mapped.came_from[owner].said, []).append((owner, end))
    for owner, edges in declared.items():
        _lint(mapped, mapped.declared[owner], f"entity {quote(owner)}", edges, [quote(end) for _, end in edges])
    for path, edges in in_json.items():
        shown = [f"{quote(end)} of {quote(owner)}" for owner, end in edges]
        _lint(mapped, mapped.came_from[edges[0][0]], path, edges, shown)
    for way in containing_themselves(mapped.entities)[:ROUNDS_MAX]:
        place = mapped.declared.get(way[0]) or mapped.came_from.get(way[0])
        if place is not None:
            text = f"entity {quote(way[0])} is part of itself: {' in '.join(way[: NAMED_MAX * 2])}"
            hint = "what contains it is its part_of; what it depends on is its depends_on"
            place.document.lint(codes.CONTAINS_ITSELF, place.span, text, help=hint)


def _lint(mapped: Mapped, place: Placed, subject: str, edges: list[Edge], shown: list[str]) -> None:
    more = f" and {len(shown) - NAMED_MAX} more" if len(shown) > NAMED_MAX else ""
    place.document.lint(
        codes.LEADS_NOWHERE,
        place.span,
        f"edges of {subject} lead to what nobody declares, names or shares: {', '.join(shown[:NAMED_MAX])}{more}",
        help=suggest(edges[0][1], list(mapped.entities)) or "declare it, or take the edge out",
    )
