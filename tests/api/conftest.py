from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from imd.api.access import Access
from imd.config.load import load
from tests.api.server import Logged, Serve, Server, serving


@pytest.fixture
def log() -> Iterator[Logged]:
    """What the process logs, as JSON lines, from here to the end of the test."""
    logged = Logged()
    yield logged
    logged.text()


@pytest_asyncio.fixture
async def server(tmp_path: Path, log: Logged) -> AsyncIterator[Server]:
    async with serving(tmp_path) as running:
        yield running


@pytest.fixture
def serve(tmp_path: Path, log: Logged) -> Serve:
    """A server by the text of a config.yaml, which may lack receivers."""

    @asynccontextmanager
    async def started(config: str) -> AsyncIterator[Server]:
        receivers = "" if "\nreceivers:" in config else "receivers: [{name: bench, type: console}]\n"
        (tmp_path / "config.yaml").write_text(receivers + config)
        loaded = load(tmp_path / "config.yaml", (), {})
        access = Access(lambda: loaded.settings)
        async with serving(tmp_path, loaded.ruleset, loaded.settings, authorize=access.authorize) as server:
            yield server

    return started
