from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.api.server import Logged, Server, serving


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
