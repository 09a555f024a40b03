"""A route tree as a list of alternatives, of which the first that matches counts: what imd's rules are.

Owns that translation; pure. Alertmanager walks the tree depth first; the first child that matches ends its level unless
it has `continue`, and where no child matches it is the node itself (dispatch/route.go Match, 0.34, read 2026-11-22).
Each alternative is what an alert must match all of, and the routes that it then reaches, in order. Because the first
one counts, no alternative has to say what an alert must not match.

A child with `continue` doubles what is behind it: with it and without. Alternatives that contradict themselves, or that
an earlier one takes all of, are left out; only what is certain counts (`config.logic`, and each matcher tried on the
values that are left of a label).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import msgspec

from imd.config.logic import Taken, never, taken
from imd.imports.alertmanagershape import Route
from imd.model.rule import Matcher

ALTERNATIVES_MAX = 1000


class TooMany(Exception):
    """More than ALTERNATIVES_MAX; `route` is the one with `continue` at which they got too many."""

    def __init__(self, route: Route) -> None:
        super().__init__(f"more than {ALTERNATIVES_MAX} combinations of routes")
        self.route = route


class Alternative(msgspec.Struct, frozen=True, eq=False):
    """An alert that `match` takes, and that no alternative before this one takes, reaches these routes. `of` is what
    `match` takes, label by label."""

    match: tuple[Matcher, ...]
    routes: tuple[Route, ...]
    of: Taken


def alternatives(root: Route) -> list[Alternative]:
    """In order; the last matches everything. Raises TooMany."""
    return _merged(_within(root))


def _within(node: Route) -> list[Alternative]:
    """Of an alert that the node takes."""
    behind = [_alternative((), ())]
    for child in reversed(node.children):
        behind = _before(child, behind)
    return [one if one.routes else Alternative(one.match, (node,), one.of) for one in behind]


def _before(child: Route, behind: list[Alternative]) -> list[Alternative]:
    """The child's alternatives, then those of its later siblings."""
    inside = _within(child)
    if not child.goes_on:
        both = _tidied(_alternative((*child.own, *one.match), one.routes) for one in inside)
    else:
        both = _tidied(
            _alternative((*child.own, *one.match, *other.match), (*one.routes, *other.routes))
            for one in inside
            for other in behind
        )
    found = both + [one for one in behind if not any(_takes_all_of(earlier, one) for earlier in both)]
    if len(found) > ALTERNATIVES_MAX:
        raise TooMany(child)
    return _merged(found)


def _alternative(match: tuple[Matcher, ...], routes: tuple[Route, ...]) -> Alternative:
    once = tuple(dict.fromkeys(match))
    return Alternative(once, routes, taken(once))


def _tidied(found: Iterable[Alternative]) -> list[Alternative]:
    """Without those that no alert gets to."""
    kept: list[Alternative] = []
    for one in found:
        if never(one.of) or any(_takes_all_of(earlier, one) for earlier in kept):
            continue
        kept.append(one)
    return kept


def _takes_all_of(earlier: Alternative, one: Alternative) -> bool:
    return all(matcher in one.match or _follows(matcher, one.of) for matcher in earlier.match)


def _follows(matcher: Matcher, of: Taken) -> bool:
    """Whether it holds for each value that is left of its label, where these can be counted."""
    left = of.get(matcher.name)
    if left is None or left.values is None:
        return False
    return all(_test(matcher)({matcher.name: value}) for value in left.values)


_test = lru_cache(maxsize=4096)(Matcher.test)


def _merged(found: list[Alternative]) -> list[Alternative]:
    """Without those whose alerts the next one would take to the same routes."""
    kept: list[Alternative] = []
    for one in reversed(found):
        if kept and kept[-1].routes == one.routes and _takes_all_of(kept[-1], one):
            continue
        kept.append(one)
    return kept[::-1]
