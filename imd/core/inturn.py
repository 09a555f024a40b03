"""Alerts that wait for their turn, which comes by the hash of their identity: the same order after a restart.

Owns the order of very many at small cost: what comes is only noted, and sorted in once somebody's turn is asked for.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from imd.model.alert import Alert


class InTurn:
    """By id; each alert once."""

    def __init__(self) -> None:
        self._alerts: dict[int, Alert] = {}
        self._heap: list[tuple[bytes, int]] = []
        self._new: list[tuple[bytes, int]] = []

    def __len__(self) -> int:
        return len(self._alerts)

    def __contains__(self, alert_id: int) -> bool:
        return alert_id in self._alerts

    def add(self, alerts: Iterable[Alert]) -> None:
        new = [one for one in alerts if one.id not in self._alerts]
        self._alerts.update((one.id, one) for one in new)
        self._new += [(one.identity.key, one.id) for one in new]

    def take(self, at_most: int) -> list[Alert]:
        """The next, who wait no more."""
        heap, new = self._heap, self._new
        if len(new) > len(heap) // 8:  # then it is cheaper to order all of them
            heap += new
            heapq.heapify(heap)
        else:
            for one in new:
                heapq.heappush(heap, one)
        self._new = []
        return [self._alerts.pop(heapq.heappop(heap)[1]) for _ in range(min(at_most, len(heap)))]
