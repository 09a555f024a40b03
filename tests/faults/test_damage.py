"""Databases damaged while nobody looks (row 8 of docs/faults.md): what of it is found at the start?

A damaged file may be refused, or opened as it was (the damage hit what nothing rests on). What must not be is the
third: opened, and another state than the one that was acknowledged.
"""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from imd.model.effect import Deliver, SaveAlert
from imd.store.contract import Store, StoreFailed, StoreRefused
from imd.store.migrate import open_store
from tests.faults.trials import share, trials
from tests.store.samples import alert, commit, delivery, pair

COMMITS = 60
SEEDS = trials(quick=6, long=100)


def _state(store: Store) -> bytes:
    """All that the daemon starts from."""
    snapshot = store.load()
    parts = (snapshot.alerts, snapshot.incidents, [row.delivery for row in snapshot.deliveries], snapshot.last_number)
    return msgspec.msgpack.encode(parts)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """As kill -9 leaves it: half in the main file, half in the log alone."""
    folder = tmp_path_factory.mktemp("killed")
    working = folder / "working" / "imd.db"
    store = open_store(f"sqlite:///{working}")
    for number in range(1, COMMITS + 1):
        if number == COMMITS // 2:
            store.close()
            store = open_store(f"sqlite:///{working}")
        commit(store, *pair(number), Deliver(delivery(f"d{number}", number=number)))
        commit(store, *(SaveAlert(alert(1000 * number + extra)) for extra in range(5)))
    state = _state(store)
    for suffix in ("", "-wal", "-shm"):
        shutil.copy(f"{working}{suffix}", f"{folder / 'imd.db'}{suffix}")
    store.close()
    return folder / "imd.db", state


def _flip(path: Path, chance: random.Random, count: int = 1) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(count):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def _zero_a_page(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    at = chance.randrange(len(content) // 4096) * 4096
    content[at : at + 4096] = bytes(4096)
    path.write_bytes(content)


def _cut(path: Path, chance: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: chance.randrange(1, len(content))])


def _zero_from(path: Path, chance: random.Random) -> None:
    content = path.read_bytes()
    at = chance.randrange(len(content))
    path.write_bytes(content[:at] + bytes(len(content) - at))


Damage = Callable[[Path, random.Random], None]


def _in_log(damage: Damage) -> Damage:
    return lambda path, chance: damage(path.with_name(path.name + "-wal"), chance)


DAMAGES: dict[str, Damage] = {
    "a bit of the database": _flip,
    "sixteen bits of the database": lambda path, chance: _flip(path, chance, 16),
    "a page of the database zeroed": _zero_a_page,
    "the database cut off": _cut,
    "a bit of the log": _in_log(_flip),
    "a page of the log zeroed": _in_log(_zero_a_page),
    "the log zeroed from somewhere on": _in_log(_zero_from),
    "the log zeroed as a whole": _in_log(lambda path, _chance: path.write_bytes(bytes(path.stat().st_size)) and None),
    "-shm deleted": lambda path, _chance: path.with_name(path.name + "-shm").unlink(),
    "-shm flipped": lambda path, chance: _flip(path.with_name(path.name + "-shm"), chance, 8),
    "the log cut off": _in_log(_cut),
    "the log deleted": _in_log(lambda path, _chance: path.unlink()),
}
LOST_IN_SILENCE = {"the log cut off", "the log zeroed from somewhere on"}
"""What no check can find: a log that ends early looks like one that was never longer."""


def _outcome(database: Path, state: bytes) -> str:
    try:
        store = open_store(f"sqlite:///{database}")
    except StoreRefused as refused:
        return "refused" if "imd.db" in str(refused) else f"refused without its name: {refused}"
    try:
        if store.load().lost_log:
            return "said at the start"
        return "harmless" if _state(store) == state else "lost"
    except (StoreRefused, StoreFailed):
        return "refused"
    finally:
        store.close()


@pytest.mark.parametrize("what", DAMAGES)
def test_damage_is_found_or_harmless(what: str, killed: tuple[Path, bytes], tmp_path: Path, figures: list[str]) -> None:
    whole, state = killed
    outcomes: Counter[str] = Counter()
    for seed in range(SEEDS):
        folder = tmp_path / str(seed)
        folder.mkdir()
        database = folder / "imd.db"
        for suffix in ("", "-wal", "-shm"):
            shutil.copy(f"{whole}{suffix}", f"{database}{suffix}")
        DAMAGES[what](database, random.Random(f"{what}/{seed}"))
        outcomes[_outcome(database, state)] += 1
        shutil.rmtree(folder)
    caught = outcomes["refused"] + outcomes["said at the start"]
    harmful = caught + outcomes["lost"]
    found = share(caught, harmful) if harmful else "none"
    figures.append(f"row 8, {what}: {SEEDS} trials, {outcomes['harmless']} harmless, of the others found: {found}")
    assert outcomes.keys() <= {"refused", "said at the start", "harmless", "lost"}
    assert what in LOST_IN_SILENCE or not outcomes["lost"], outcomes
