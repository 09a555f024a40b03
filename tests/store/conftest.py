"""The stores under test. A second back end joins by one more entry in BACK_ENDS; the contract suite stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imd.store.contract import Retention, Store
from imd.store.migrate import open_store

Opener = Callable[..., Store]

BACK_ENDS = {"sqlite": lambda folder: f"sqlite:///{folder}/var/imd.db"}


@pytest.fixture(params=sorted(BACK_ENDS))
def open_again(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """Opens the same database each time; closes what is still open at the end."""
    url = BACK_ENDS[request.param](tmp_path)
    opened: list[Store] = []

    def open_it(retention: Retention | None = None) -> Store:
        for store in opened:
            store.close()
        opened.append(open_store(url, retention=retention))
        return opened[-1]

    yield open_it
    for store in opened:
        store.close()


@pytest.fixture
def store(open_again: Opener) -> Store:
    return open_again()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Where an SQLite database of this test goes."""
    return tmp_path / "imd.db"
