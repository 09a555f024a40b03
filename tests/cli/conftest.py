"""A stand-in for the daemon, and the command run in this very process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imd.cli.main import main
from tests.cli.standin import StandIn, standing_in


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StandIn]:
    # tmp_path first: pytest names its folder after $USER.
    with standing_in() as stand_in:
        monkeypatch.setenv("IMD_URL", stand_in.url)
        monkeypatch.setenv("USER", "ana")
        for name in ("IMD_TOKEN", "COLUMNS", "NO_COLOR"):
            monkeypatch.delenv(name, raising=False)
        yield stand_in


Imd = Callable[..., tuple[int, str, str]]


@pytest.fixture
def imd(capsys: pytest.CaptureFixture[str]) -> Imd:
    """imd("ack", "3") -> (exit code, standard output, standard error)."""

    def run(*argv: str) -> tuple[int, str, str]:
        code = main(argv)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
