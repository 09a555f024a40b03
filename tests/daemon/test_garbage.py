"""What the daemon throws away leaves memory."""

from __future__ import annotations

import asyncio
import gc
import weakref
from pathlib import Path

import pytest

from imd.api.context import StoreDown
from imd.core.engine import Engine
from imd.daemon import loop
from imd.model.event import Event, Tick
from tests.api.server import serving


async def test_an_engine_that_was_thrown_away_leaves_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without waiting for a look at all of memory: a disk that fails now and then would fill it with them."""
    monkeypatch.setattr(loop, "PROBE_EVERY_SECONDS", 0.01)

    def fails(self: Engine, event: Event, now: object) -> object:
        raise ValueError("a bug")

    async with serving(tmp_path) as server:
        assert server.loop.state is not None
        gc.freeze()  # as after a start
        gc.disable()
        try:
            thrown_away = weakref.ref(server.loop.state)
            with monkeypatch.context() as patch:
                patch.setattr(Engine, "step", fails)
                with pytest.raises(StoreDown):
                    await server.loop.submit(Tick(), 1)
            async with asyncio.timeout(10):
                while server.loop.down or thrown_away() is not None:  # noqa: ASYNC110 - nothing tells of either
                    await asyncio.sleep(0.01)
        finally:
            gc.enable()
            gc.unfreeze()
