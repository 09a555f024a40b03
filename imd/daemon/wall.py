"""The wall clock as the engine may see it: never falling, and a jump of it is told apart from time going by."""

from __future__ import annotations

from datetime import datetime, timedelta

from imd.clock import Clock

CLOCK_STEP_MIN = timedelta(seconds=30)  # less than this is a clock being slewed or a busy machine


class Wall:
    """`latest` is the last instant that `now` gave, or that of the start."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._monotonic = clock.monotonic()
        self._jump = timedelta(0)
        self.latest = clock.now()

    @property
    def jumped(self) -> bool:
        """Whether the clock was set and the engine has not been told."""
        return bool(self._jump)

    def now(self) -> datetime:
        """A jump against monotonic time is noted for the next step."""
        wall, monotonic = self._clock.now(), self._clock.monotonic()
        drift = (wall - self.latest) - timedelta(seconds=monotonic - self._monotonic)
        self._monotonic = monotonic
        if abs(drift) >= CLOCK_STEP_MIN:
            self._jump += drift
            self.latest = wall
        else:
            self.latest = max(wall, self.latest)
        return self.latest

    def take_jump(self) -> timedelta:
        """By how much the clock was set since this was last asked."""
        jump, self._jump = self._jump, timedelta(0)
        return jump
