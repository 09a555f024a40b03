"""The whole daemon under seeds: nothing is violated, the same seed is the same run, and planted bugs are found."""

from __future__ import annotations

import os
import subprocess
import sys
from hashlib import blake2b
from pathlib import Path

import pytest

from tests.simulation import planted
from tests.simulation.plan import Item, plan
from tests.simulation.planted import BUGS, Bug
from tests.simulation.shrinking import shrink
from tests.simulation.simulation import Simulation

SEEDS = int(os.environ.get("IMD_SIMULATION_SEEDS", "250"))  # `make simulate` runs thousands
HUNT_SEEDS_MAX = 2000
ROOT = Path(__file__).parents[2]
_DIGESTS = """
import sys
from tests.simulation.test_simulation import journal_digest
print([journal_digest(seed) for seed in range(40, 46)])
"""


def journal_digest(seed: int) -> str:
    outcome = Simulation(seed, plan(seed)).run()
    return blake2b("\n".join(outcome.journal).encode(), digest_size=8).hexdigest()


def test_nothing_is_violated() -> None:
    """Clients, receivers and the disk agree in the end, whatever befell them."""
    crashes = sends = moves = 0
    for seed in range(SEEDS):
        outcome = Simulation(seed, plan(seed)).run()
        assert not outcome.violations, (
            f"seed {seed}: {outcome.violations}; python -m tests.simulation --seed {seed} --shrink"
        )
        crashes += outcome.counted["crashes"]
        sends += outcome.sends
        moves += outcome.counted["moves"]
    print(f"simulation: 0 violations in {SEEDS} seeds with {crashes} crashes and {sends} attempts to send")
    assert crashes > SEEDS / 4, "the plans do what they are for"
    assert sends > 5 * SEEDS
    assert moves > SEEDS / 20


def test_a_seed_is_one_run() -> None:
    """Byte for byte, in other processes and under other hash seeds too."""
    found = set()
    for hash_seed in ("0", "1", "4711"):
        environ = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
        ran = subprocess.run(
            [sys.executable, "-c", _DIGESTS], cwd=ROOT, env=environ, capture_output=True, text=True, check=True
        )
        found.add(ran.stdout)
    found.add(f"{[journal_digest(seed) for seed in range(40, 46)]}\n")
    assert len(found) == 1, found


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_is_found(bug: Bug) -> None:
    """Within the budget of `make simulate`. The seed that is known to find it is asked first."""
    found = planted.hunt(bug, [bug.seed, *range(HUNT_SEEDS_MAX)])
    assert found is not None, f"{bug.name}: not found in {HUNT_SEEDS_MAX} seeds"
    print(f"{bug.name}: seed {found.seed}: {found.violation}")
    outcome = Simulation(found.seed, plan(found.seed)).run()
    assert not outcome.violations, "it is the bug that was found, and nothing else"


def test_a_failing_plan_is_cut_down() -> None:
    """To what the failure needs: an alert whose message has to be tried twice, and a receiver that fails."""
    bug = next(one for one in BUGS if one.name == "a second key on a retry")
    failing = Item(10.0, "receiver", 1, {"receiver": "ana", "mood": "broken", "for": 120.0})
    paged = Item(20.0, "alert", 2, {"labels": _labels("A0"), "flips": [20.0]})
    items = [
        failing,
        paged,
        Item(300.0, "receiver", 3, {"receiver": "desk", "mood": "slow", "for": 60.0}),
        Item(400.0, "alert", 4, {"labels": _labels("A1"), "flips": [400.0, 500.0]}),
        Item(600.0, "person", 5, {"action": "ack", "by": "ben"}),
    ]
    assert not Simulation(0, items).run().violations
    with bug.planted():
        assert shrink(0, items) == [failing, paged]


def _labels(name: str) -> dict[str, str]:
    return {"alertname": name, "severity": "critical", "team": "web", "cluster": name}
