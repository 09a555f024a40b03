"""Who waits while a silence over very many alerts is rolled out: whoever set it, and whoever wants something decided.

Nothing else is decided before the last alert is muted (`core.quiet`), and the answer comes once that is on disk: from
then on no read and no page shows otherwise. Reports of alerts wait as they always do for what was due before them.
"""

from __future__ import annotations

import asyncio

from imd.core.state import State


class Muting:
    """For the event loop's thread alone."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    async def wait(self) -> None:
        """Until somebody looks and it is over; or until `wake`."""
        over = asyncio.get_running_loop().create_future()
        self._waiting.append(over)
        await over

    def look(self, state: State) -> None:
        if self._waiting and not state.to_mute:
            self.wake()

    def wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for over in waiting:
            if not over.done():
                over.set_result(None)
