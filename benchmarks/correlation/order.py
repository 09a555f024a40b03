"""Whether alerts that come late, doubled and out of order end in the same incidents as those that come in order.

Owns the shuffling and the agreement of two groupings; pure. Every delay lies within the lateness that rules are
promised (`limits: lateness`, two minutes unless configured).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

LATENESS = 120.0

Line = dict[str, Any]


def in_order(lines: Sequence[Line]) -> list[Line]:
    """Each firing and each end as it happened: received at once, in the order of that."""
    told = [line | {"ts": _happened(line)} for line in lines]
    return sorted(told, key=lambda line: float(line["ts"]))


def shuffled(lines: Sequence[Line], share: float, seed: int) -> list[Line]:
    """The same with this share of them late by up to LATENESS, and as many told twice. An alert's end does not overtake
    its beginning, for senders repeat one before the other."""
    rng = random.Random(seed)
    late: list[Line] = []
    reached: dict[str, float] = {}
    for line in in_order(lines):
        for again in (False, True):
            if again and rng.random() >= share:
                continue
            delay = rng.uniform(0, LATENESS) if rng.random() < share else 0.0
            at = max(float(line["ts"]) + delay, reached.get(line["id"], 0.0) if line["status"] == "resolved" else 0.0)
            reached[line["id"]] = max(at, reached.get(line["id"], 0.0))
            late.append(line | {"ts": at})
    return sorted(late, key=lambda line: float(line["ts"]))


def agreement(one: Mapping[str, Hashable], other: Mapping[str, Hashable]) -> float:
    """B-cubed F1 of two groupings of the same alerts; which of the two is the truth does not matter to it."""
    both = Counter((one[name], other[name]) for name in one)
    sizes, others = Counter(one[name] for name in one), Counter(other[name] for name in one)
    precision = sum(count * count / others[pair[1]] for pair, count in both.items())
    recall = sum(count * count / sizes[pair[0]] for pair, count in both.items())
    return 2 * precision * recall / (precision + recall) / len(one) if one else 1.0


def _happened(line: Line) -> float:
    return float(line["starts_at"]) if line["kind"] == "new" else float(line["ts"])
