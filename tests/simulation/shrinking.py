"""A failing plan with as few items as still fail: each is left out in turn, and alerts lose what they do last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tests.simulation.plan import Item
from tests.simulation.simulation import Simulation


def shrink(seed: int, items: Sequence[Item]) -> list[Item]:
    """The items in order. What is violated may change on the way; that something is does not."""
    left = list(items)
    if not _fails(seed, left):
        return left
    while (smaller := _smaller(seed, left)) is not None:
        left = smaller
    return left


def _smaller(seed: int, items: list[Item]) -> list[Item] | None:
    for place in range(len(items)):
        if items[place].kind == "site":
            continue  # the others are made for it
        without = items[:place] + items[place + 1 :]
        if _fails(seed, without):
            return without
    for place, item in enumerate(items):
        flips = item.what.get("flips", ())
        if len(flips) > 1:
            shorter = replace(item, what={**item.what, "flips": flips[:-1]})
            without = [*items[:place], shorter, *items[place + 1 :]]
            if _fails(seed, without):
                return without
    return None


def _fails(seed: int, items: list[Item]) -> bool:
    return bool(Simulation(seed, items).run().violations)
