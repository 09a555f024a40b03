"""`python -m tests.simulation`: many seeds, or one of them in full.

    python -m tests.simulation --seeds 5000            seeds 0 to 4999, one process for each processor
    python -m tests.simulation --seed 1234             its plan, its journal, and what it violates
    python -m tests.simulation --seed 1234 --shrink    as few items of the plan as still fail
    python -m tests.simulation --planted               how many seeds find each planted bug

Exit code 1 where anything is violated (with `--planted`: where a bug is not found). See docs/simulation.md.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor

from tests.simulation import planted
from tests.simulation.plan import plan
from tests.simulation.shrinking import shrink
from tests.simulation.simulation import Outcome, Simulation

SLICE = 50
SHOWN_MAX = 10


def run(seed: int) -> Outcome:
    return Simulation(seed, plan(seed)).run()


def _slice(seeds: range) -> tuple[float, list[tuple[int, list[str]]], dict[str, int]]:
    """CPU seconds, failing seeds with their violations, and sums."""
    began = time.process_time()
    failing, sums = [], dict.fromkeys(("lives", "sends", "answers", "crashes", "failed commits", "moves"), 0)
    for seed in seeds:
        outcome = run(seed)
        if outcome.violations:
            failing.append((seed, outcome.violations))
        sums["lives"] += outcome.lives
        sums["sends"] += outcome.sends
        sums["answers"] += outcome.answers
        for name, count in outcome.counted.items():
            sums[name] += count
    return time.process_time() - began, failing, sums


def _slices(first: int, count: int) -> Iterator[range]:
    for start in range(first, first + count, SLICE):
        yield range(start, min(start + SLICE, first + count))


def many(first: int, count: int, jobs: int) -> int:
    """Prints what came of it; the number of failing seeds."""
    began, cpu, failing = time.monotonic(), 0.0, 0
    total: dict[str, int] = {}
    with ProcessPoolExecutor(jobs) as pool:
        for seconds, failed, sums in pool.map(_slice, _slices(first, count)):
            cpu += seconds
            total = {name: total.get(name, 0) + number for name, number in sums.items()}
            for seed, violations in failed:
                failing += 1
                if failing <= SHOWN_MAX:
                    print(
                        f"seed {seed}: {violations[0]}"
                        + (f" (and {len(violations) - 1} more)" if violations[1:] else "")
                    )
                    print(f"    python -m tests.simulation --seed {seed} --shrink")
    print(f"{failing} violations in {count} seeds from {first}; {1000 * cpu / count:.1f} ms a seed, "
          f"{time.monotonic() - began:.0f} s in all with {jobs} processes")  # fmt: skip
    print(", ".join(f"{number} {name}" for name, number in total.items()))
    return failing


def one(seed: int, shrunk: bool) -> int:
    items = plan(seed)
    if shrunk:
        items = shrink(seed, items)
    outcome = Simulation(seed, items).run()
    print(f"seed {seed}, {len(items)} items:")
    _print(map(str, items))
    print("journal:")
    _print(outcome.journal)
    print("violations:" if outcome.violations else "nothing is violated")
    _print(outcome.violations)
    return len(outcome.violations)


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(f"  {line}")


def plant(seeds_max: int) -> int:
    """How soon each planted bug is found; the number that is not."""
    missed = 0
    for bug in planted.BUGS:
        found = planted.hunt(bug, range(seeds_max))
        missed += found is None
        print(f"{bug.name:45} " + ("NOT FOUND" if found is None else f"{found.seeds:4} seeds  {found.violation}"))
    return missed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seed", type=int, help="one seed, in full")
    parser.add_argument("--shrink", action="store_true", help="with --seed: leave out what it fails without")
    parser.add_argument("--seeds", type=int, default=1000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--planted", action="store_true", help="hunt the planted bugs, --seeds at most for each")
    asked = parser.parse_args()
    if asked.planted:
        failed = plant(asked.seeds)
    elif asked.seed is not None:
        failed = one(asked.seed, asked.shrink)
    else:
        failed = many(asked.first, asked.seeds, asked.jobs)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
