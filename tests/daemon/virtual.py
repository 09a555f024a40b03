"""Engine and outbox together in virtual time: an event loop whose clock goes on only when nothing is left to be done,
so that two hours take a second and come out the same each time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime, timedelta
from typing import Any

from imd.channels.contract import Channel
from imd.core.engine import Engine
from imd.core.state import State
from imd.daemon.outbox import Outbox
from imd.model.effect import CancelPages, Deliver, ForgetIncident, Refused, SaveIncident
from imd.model.event import Event, Tick
from imd.model.incident import Incident
from imd.model.policy import Ruleset
from imd.store.contract import Batch
from imd.telemetry import Metrics
from tests.core.making import STORE_ID, T0


class _Selector(selectors.DefaultSelector):  # type: ignore[misc,valid-type]
    """Never waits: what was to be waited for has passed."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        assert timeout is not None, "nothing is left that could happen"
        if timeout > 0:
            self.loop.seconds += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its time is `seconds`, from 0."""

    def __init__(self) -> None:
        self.seconds = 0.0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.seconds


def play(story: Coroutine[Any, Any, None]) -> None:
    """Runs it to its end on a loop of its own."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(story)


class LoopClock:
    """The wall clock shows T0 at the loop's 0."""

    def now(self) -> datetime:
        return T0 + timedelta(seconds=asyncio.get_running_loop().time())

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


class _Nothing:
    """A store that is always up."""

    def commit(self, _batch: Batch, done: Callable[[BaseException | None], None]) -> None:
        done(None)


class House:
    """The engine, whose effects go to the outbox, whose ends go to the engine. Deadlines are kept as the daemon keeps
    them: by a timer for the next one. `incidents` are all that ever were, as they were saved last."""

    def __init__(self, rules: Ruleset, channels: Mapping[str, Channel]) -> None:
        self.engine = Engine(rules, State(STORE_ID))
        self.incidents: dict[str, Incident] = {}
        self.clock = LoopClock()
        self.outbox = Outbox(channels, self.submit, _Nothing(), self.clock, Metrics())
        self._timer: asyncio.TimerHandle | None = None
        self.outbox.start()

    async def submit(self, event: Event, _size_bytes: int = 0) -> tuple[Refused, ...]:
        return self.step(event)

    def step(self, event: Event) -> tuple[Refused, ...]:
        effects = self.engine.step(event, self.clock.now())
        for effect in effects:
            match effect:
                case CancelPages():
                    self.outbox.cancel(effect)
                case Deliver(delivery=delivery):
                    self.outbox.offer((delivery,))
                case SaveIncident(incident=incident):
                    self.incidents[incident.id] = incident
                case ForgetIncident(id=gone):
                    self.outbox.forget(gone)
                case _:
                    pass
        self._arm()
        return tuple(one for one in effects if isinstance(one, Refused))

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        due, loop = self.engine.next_deadline(), asyncio.get_running_loop()
        if due is not None:
            self._timer = loop.call_at(max((due - T0).total_seconds(), loop.time()), self.step, Tick())
