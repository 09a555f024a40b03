"""Lints of what an incident is worth and where it goes: the priority table and the routes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from imd.config import codes
from imd.config.document import Mapping as MappingNode
from imd.config.document import Node
from imd.config.logic import Takers, never, taken
from imd.config.rulefile import RuleFiles
from imd.config.wording import quote
from imd.model.incident import Level, Priority
from imd.model.policy import Route
from imd.model.rule import PriorityTable

_SEVERITIES = ("critical", "error", "warning", "info")
"""As most senders order them; other words have no order."""

Cell = tuple[str, ...]
"""The keys under which a cell of a table stands."""


def lint_routes(files: RuleFiles) -> None:
    """Priorities that fall where they should rise, and routes that come too late."""
    if files.priority is not None and files.priority_at is not None:
        _lint_table(files, files.priority)
    _lint_reach(files)


def _lint_table(files: RuleFiles, table: PriorityTable) -> None:
    """Of cells that stand in each other's way the one in most ways is named, once."""
    ways = [way for way in [*_matrix_ways(table), *_level_ways(table)] if way[2]]
    while ways:
        cells = [cell for upper, lower, _ in ways for cell in (upper, lower)]
        given = [cell for cell in cells if _node(files.priority_node, cell) is not None] or cells
        worst = max(dict.fromkeys(given), key=given.count)
        text = next(said for upper, lower, said in ways if worst in (upper, lower))
        assert files.priority_at is not None
        document, span = files.priority_at
        at = _node(files.priority_node, worst)
        document.lint(codes.NOT_MONOTONE, at.span if at is not None else span.first(), text)
        ways = [way for way in ways if worst not in way[:2]]


def _matrix_ways(table: PriorityTable) -> Iterator[tuple[Cell, Cell, str]]:
    """Each two neighbours, the upper one of which must not be less urgent; with what is wrong, "" if nothing."""
    levels = list(Level)
    for other in levels:
        for high, low in pairwise(levels):
            for upper, lower in (((high, other), (low, other)), ((other, high), (other, low))):
                above, below = table.matrix[upper[0]][upper[1]], table.matrix[lower[0]][lower[1]]
                said = f"{_named(upper)} is {above.value}, and {_named(lower)} is more urgent, {below.value}"
                yield (
                    ("matrix", upper[0].value, upper[1].value),
                    ("matrix", lower[0].value, lower[1].value),
                    said if above.rank > below.rank else "",
                )


def _named(cell: tuple[Level, Level]) -> str:
    return f"impact {cell[0].value} with urgency {cell[1].value}"


def _level_ways(table: PriorityTable) -> Iterator[tuple[Cell, Cell, str]]:
    rank = list(Level).index
    tiers = sorted((word for word in table.impact_from_tier if word.isdecimal()), key=int)
    severities = [word for word in _SEVERITIES if word in table.urgency_from_severity]
    for key, words, of, what in (
        ("urgency_from_severity", severities, table.urgency_from_severity, "severity"),
        ("impact_from_tier", tiers, table.impact_from_tier, "tier"),
    ):
        for upper, lower in pairwise(words):
            said = f"{what} {upper} counts as {of[upper].value}, and {lower} as more, {of[lower].value}"
            yield (key, upper), (key, lower), said if rank(of[upper]) > rank(of[lower]) else ""


def _node(node: Node | None, keys: Cell) -> Node | None:
    for key in keys:
        entry = node.entries.get(key) if isinstance(node, MappingNode) else None
        node = entry.value if entry is not None else None
    return node


def _lint_reach(files: RuleFiles) -> None:
    """A route all of whose incidents go elsewhere before, priority by priority."""
    takers = {priority: Takers() for priority in Priority}
    routes = [*files.routes, *([files.matchless_route] if files.matchless_route is not None else [])]
    for placed in routes:
        route = placed.route
        lists = [of for of in map(taken, route.match) if not never(of)]
        priorities = sorted(route.priority or frozenset(Priority), key=lambda one: one.rank)
        found = [takers[priority].of(of) for priority in priorities for of in lists]
        if found and all(found):
            owners = list(dict.fromkeys(owner for owners in found for owner in owners))
            before = f"{' and '.join(owners)} {'takes' if len(owners) == 1 else 'take'} all of it before"
            placed.document.lint(
                codes.UNREACHABLE_ROUTE,
                placed.span,
                f"the route to policy {quote(route.policy)} is never taken: {before}",
                help="move it up, or remove it",
            )
        # With any other key it takes its incidents at some times alone, or lets them go on.
        plain = Route(policy=route.policy, match=route.match, priority=route.priority) == route
        for of in lists if plain else ():
            for priority in priorities:
                takers[priority].add(f"the route of {placed.document.path}:{placed.span.line}", of)
