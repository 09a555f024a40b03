"""Explanations beside what fires now: a copy of what matters, tried in a thread.

Owns that nothing of it touches the running engine, and that one is made at a time: with ten thousand rules each takes a
fifth of a second of a processor that alerts want too.
"""

from __future__ import annotations

import asyncio

import msgspec

from imd.api.context import StoreDown
from imd.daemon.loop import Loop
from imd.replay.explain import Asked, explain, known_of
from imd.replay.explained import Explained


class Explainer:
    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._turn = asyncio.Lock()

    async def __call__(self, asked: Asked, whole: bool) -> Explained:
        """Raises StoreDown while there is no engine."""
        async with self._turn:
            engine = self._loop.engine
            if engine is None:
                raise StoreDown(self._loop.down)
            known, copy = known_of(engine.state, asked.report), engine.excerpt(asked.report)
            explained = await asyncio.to_thread(lambda: explain(engine.ruleset, asked, copy.state(), whole=whole))
            return msgspec.structs.replace(explained, known=known)
