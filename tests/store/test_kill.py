"""kill -9 while committing: what was acknowledged is there, and nothing is there by half."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from imd.store.migrate import open_store

CYCLES = 20
ROOT = Path(__file__).parents[2]

CHILD = """
import sys
from imd.model.effect import Deliver
from imd.store.migrate import open_store
from tests.store.samples import commit, delivery, pair

store = open_store(sys.argv[1])
number = store.load().last_number
while True:
    number += 1
    commit(store, *pair(number), Deliver(delivery(f"d{number}", number=number)))
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""


def test_kill_at_random_instants(database: Path) -> None:
    """Each child is killed after a random number of acknowledged commits, or in the middle of opening."""
    chance = random.Random(7)
    acknowledged = 0
    for cycle in range(CYCLES):
        acknowledged = max(acknowledged, run_and_kill(database, chance.randrange(0, 60), chance.random() / 200))
        store = open_store(f"sqlite:///{database}")
        snapshot = store.load()
        store.close()
        assert (snapshot.lost_at, snapshot.lost_log) == (None, False), "the log was there, whatever the instant"
        numbers = [each.number for each in snapshot.incidents]
        assert numbers == list(range(1, len(numbers) + 1)), f"a gap after cycle {cycle}"
        assert len(numbers) >= acknowledged, f"acknowledged and lost in cycle {cycle}"
        assert [each.id for each in snapshot.alerts] == numbers
        assert [each.delivery.number for each in snapshot.deliveries] == numbers
    assert acknowledged > CYCLES


def run_and_kill(database: Path, commits: int, delay_seconds: float) -> int:
    """The last number the child acknowledged. The delay only varies the instant; nothing waits for it to be enough."""
    command = [sys.executable, "-c", CHILD, f"sqlite:///{database}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(commits)]
        time.sleep(delay_seconds)
        os.kill(child.pid, signal.SIGKILL)
        lines += child.stdout.readlines()
    whole = [line for line in lines if line.endswith(b"\n")]
    return int(whole[-1]) if whole else 0
