"""What every test of the whole daemon uses, and the figures that some of them print at the end of a run. The folders
whose tests do take it into their conftest.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.clients import Clients
from tests.system.running import Daemons
from tests.system.sink import Sink

_FIGURES = pytest.StashKey[list[str]]()


@pytest.fixture
def daemons(tmp_path: Path) -> Iterator[Daemons]:
    made = Daemons(tmp_path)
    try:
        yield made
    finally:
        made.end()


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = Sink()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def clients(tmp_path: Path) -> Iterator[Clients]:
    """Real senders, each started when a test asks for it; a program that is not installed is named then."""
    made = Clients(tmp_path)
    try:
        yield made
    finally:
        made.end()


@pytest.fixture
def figures(pytestconfig: pytest.Config) -> list[str]:
    """Lines for the end of the run."""
    return pytestconfig.stash.setdefault(_FIGURES, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    lines = config.stash.get(_FIGURES, [])
    for line in lines:
        terminalreporter.write_line(line)
    lines.clear()  # each folder's conftest asks
