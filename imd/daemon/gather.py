"""Reports of requests that wait for their step, a few hundred alerts to a step.

Owns what is stepped together and in what order, who is told what of it was refused, and who waits for which commit. A
step costs as much again as one new alert, and so do the incident's row and line that it leaves: sixteen senders that
speak at once share them. And no step takes longer than some ten milliseconds, however much comes at once: others wait
for the loop meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence

import structlog

from imd.api.context import Over
from imd.model.alert import AlertReport
from imd.model.effect import Refused
from imd.model.event import AlertsReported
from imd.store.contract import Batch
from imd.telemetry import Log

ALERTS_MAX = 100
"""Together in one step: 4 ms, or 8 where each opens an incident."""

UNDER_WAY_MAX = 2
"""Commits behind which no more is stepped of what has gathered: one that is written, one that is next. Ten bodies of
5,000 new alerts at once put a second's worth before the first page of the storm."""

_log = structlog.get_logger()


class Part:
    """One request's share. `over` is told once it is on disk, or failed; `refused` is known once it is stepped, by the
    index in its own event."""

    __slots__ = ("bytes", "count", "over", "refused")

    def __init__(self, count: int, size_bytes: int, over: Over) -> None:
        self.count = count
        self.bytes = size_bytes
        self.over = over
        self.refused: tuple[Refused, ...] = ()


class _Group:
    """Reports of one source and kind."""

    __slots__ = ("by_api", "parts", "reports", "source")

    def __init__(self, event: AlertsReported) -> None:
        self.source = event.source
        self.by_api = event.by_api
        self.reports: list[AlertReport] = []
        self.parts: list[Part] = []

    def takes(self, event: AlertsReported) -> bool:
        """Whether it may come along: in a step of its own it would do the same."""
        fits = len(self.reports) + len(event.alerts) <= ALERTS_MAX
        return fits and event.source == self.source and event.by_api == self.by_api


class Gathered:
    """In order of arrival."""

    def __init__(self) -> None:
        self._groups: deque[_Group] = deque()

    def __bool__(self) -> bool:
        return bool(self._groups)

    @property
    def full(self) -> bool:
        """Whether there is a step's worth that nothing will be added to."""
        return len(self._groups) > 1

    @property
    def parts(self) -> list[Part]:
        return [part for group in self._groups for part in group.parts]

    def add(self, event: AlertsReported, part: Part) -> None:
        if not self._groups or not self._groups[-1].takes(event):
            self._groups.append(_Group(event))
        self._groups[-1].reports += event.alerts
        self._groups[-1].parts.append(part)

    def take(self) -> tuple[AlertsReported, list[Part]]:
        """The oldest step's worth as one event, with its parts."""
        group = self._groups.popleft()
        return AlertsReported(group.source, group.by_api, tuple(group.reports)), group.parts


class Open:
    """A batch with the submits that wait for it."""

    __slots__ = ("batch", "bytes", "effects", "since", "waiting")

    def __init__(self) -> None:
        self.batch = Batch()
        self.waiting: list[Part] = []
        self.bytes = 0
        self.effects = 0
        self.since = 0.0


def in_the_loop(
    committed: Callable[[Open, BaseException | None], None], current: Open
) -> Callable[[BaseException | None], None]:
    """What the writer's thread calls; `committed` runs in the event loop's."""
    loop = asyncio.get_running_loop()

    def over(error: BaseException | None) -> None:
        loop.call_soon_threadsafe(committed, current, error)

    return over


def settles(future: asyncio.Future[tuple[Refused, ...]]) -> Over:
    """For who awaits it."""

    def over(error: Exception | None, refused: Sequence[Refused]) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(tuple(refused))
        else:
            future.set_exception(error)

    return over


def end(waiting: Iterable[Part], error: Exception | None) -> None:
    """Each hears that it is on disk, or why not, whatever it does to another."""
    for part in waiting:
        try:
            part.over(error, part.refused)
        except Exception:  # noqa: BLE001 - a bug in one answer must not take the others' away
            _log.exception(Log.FAILED, step="an answer")


def tell(parts: Iterable[Part], refused: Iterable[Refused]) -> None:
    """Each part hears what was refused of it."""
    left = sorted(refused, key=lambda one: one.index)
    start = 0
    for part in parts:
        end = start + part.count
        part.refused = tuple(Refused(one.index - start, one.error) for one in left if start <= one.index < end)
        start = end
