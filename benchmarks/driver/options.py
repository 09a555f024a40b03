"""The flags that every benchmark has, and what they make of its loads."""

from __future__ import annotations

import argparse
import gc
from dataclasses import dataclass
from pathlib import Path

from benchmarks.driver.figures import Results

QUICK = 10  # --quick: so many times less of everything
ROUNDS_MAX = 20


@dataclass(frozen=True)
class Options:
    """`rounds` repetitions of every cell; `quick` for a look at whether all works, not for figures to quote."""

    rounds: int = 3
    quick: bool = False
    json: Path | None = None

    def count(self, full: int) -> int:
        """A load's bound, a tenth of it with --quick."""
        return max(1, full // QUICK) if self.quick else full


def parse(description: str, arguments: list[str] | None = None) -> Options:
    found = parser(description).parse_args(arguments)
    return options_of(found)


def parser(description: str) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--rounds", type=int, help="repetitions of every cell, at most 20; 3, or 1 with --quick")
    made.add_argument("--quick", action="store_true", help="a tenth of every load: does it all work?")
    made.add_argument("--json", type=Path, metavar="FILE", help="append a line of JSON for every result")
    return made


def options_of(found: argparse.Namespace) -> Options:
    rounds = found.rounds or (1 if found.quick else 3)
    return Options(rounds=min(rounds, ROUNDS_MAX), quick=found.quick, json=found.json)


def quiet_driver() -> None:
    """The driver's own collections must not stand still a client that is being timed."""
    gc.collect()
    gc.freeze()
    gc.disable()


def conclude(results: Results, options: Options) -> Results:
    print(f"\n{results.table()}\n", flush=True)
    results.write(options.json)
    return results
