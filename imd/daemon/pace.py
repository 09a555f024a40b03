"""How fast receivers may be spoken to: one pacer for all lanes, since several receivers may share a chat or an account.

Pure: instants are seconds of the event loop's clock, handed in. A pace delays and never drops. How it works: for each
key the pacer keeps the instant at which its allowance is whole again (the GCRA of ATM's traffic shapers: one number in
place of a bucket and a clock); a send is admitted as long as that instant is less than `burst` sends ahead.
"""

from __future__ import annotations

from collections.abc import Sequence

from imd.channels.contract import Pace


class Pacer:
    def __init__(self) -> None:
        self._whole_at: dict[str, float] = {}

    def ready_at(self, paces: Sequence[Pace]) -> float:
        """When the next send under all of these may start; an instant gone by means now."""
        return max(
            (self._whole_at.get(pace.key, 0.0) - (pace.burst - 1) / pace.per_second for pace in paces), default=0
        )

    def spend(self, paces: Sequence[Pace], now: float) -> None:
        """A send starts."""
        for pace in paces:
            self._whole_at[pace.key] = max(self._whole_at.get(pace.key, 0.0), now) + 1 / pace.per_second
