from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from io import BytesIO
from pathlib import Path

import pytest
import pytest_asyncio

from imd.telemetry import configure_logs
from tests.api.server import Server, serving


@pytest.fixture
def log() -> Iterator[BytesIO]:
    """What the process logs, as JSON lines, from here to the end of the test."""
    stream = BytesIO()
    writer = configure_logs(stream=stream, cached=False)
    yield stream
    writer.close()


@pytest_asyncio.fixture
async def server(tmp_path: Path, log: BytesIO) -> AsyncIterator[Server]:
    async with serving(tmp_path) as running:
        yield running
