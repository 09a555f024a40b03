"""Reports of several requests, to be taken in by one step.

Owns what waits to be stepped together, and who is told what of it was refused. A step costs as much again as one new
alert, and so do the incident's row and line that it leaves: sixteen senders that speak at once share them.
"""

from __future__ import annotations

from collections.abc import Iterable

from imd.model.alert import AlertReport
from imd.model.effect import Refused
from imd.model.event import AlertsReported

ALERTS_MAX = 500
"""Together in one step: some 7 ms, as long as a slice of a large body."""


class Part:
    """One request's share; `refused` is told once it is stepped, by the index in its own event."""

    __slots__ = ("count", "refused")

    def __init__(self, count: int) -> None:
        self.count = count
        self.refused: tuple[Refused, ...] = ()


class Gathered:
    """Reports in order of arrival, all of one source and kind."""

    def __init__(self) -> None:
        self._source = ""
        self._by_api = False
        self._reports: list[AlertReport] = []
        self._parts: list[Part] = []

    def __bool__(self) -> bool:
        return bool(self._parts)

    def takes(self, event: AlertsReported) -> bool:
        """Whether it may come along: in a step of its own it would do the same."""
        if not self._parts:
            return True
        fits = len(self._reports) + len(event.alerts) <= ALERTS_MAX
        return fits and event.source == self._source and event.by_api == self._by_api

    def add(self, event: AlertsReported) -> Part:
        self._source, self._by_api = event.source, event.by_api
        self._reports += event.alerts
        part = Part(len(event.alerts))
        self._parts.append(part)
        return part

    def take(self) -> tuple[AlertsReported, list[Part]]:
        """All of it as one event, with its parts; nothing is left."""
        event, parts = AlertsReported(self._source, self._by_api, tuple(self._reports)), self._parts
        self._reports, self._parts = [], []
        return event, parts


def tell(parts: Iterable[Part], refused: Iterable[Refused]) -> None:
    """Each part hears what was refused of it."""
    left = sorted(refused, key=lambda one: one.index)
    start = 0
    for part in parts:
        end = start + part.count
        part.refused = tuple(Refused(one.index - start, one.error) for one in left if start <= one.index < end)
        start = end
