"""A reload that is about to come, worked out ahead: a slice to a turn of the event loop, with others' turns between.

Owns whose turn it is, and that a preparation is of no use to an engine that was thrown away. What is worked out is
`core.prepared`; without it a changed map would hold all others up for a second or two, where 100,000 alerts are open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from imd.core.engine import Engine
from imd.core.prepared import Prepared
from imd.daemon.turns import BETWEEN
from imd.model.policy import Ruleset


async def prepare(engine_now: Callable[[], Engine | None], ruleset: Ruleset) -> None:
    """Returns once the rest is short enough for the reload's own step; also where there is no engine any more."""
    engine = engine_now()
    if engine is None:
        return
    ahead = await asyncio.to_thread(Prepared, engine.ruleset, ruleset)
    if engine is not engine_now():
        return
    engine.prepare(ahead)
    while ahead.slice() and engine is engine_now():
        for _ in range(BETWEEN):
            await asyncio.sleep(0)
