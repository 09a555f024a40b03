"""What `imd test` costs: a thousand tests of the shipped packs, as one command.

    python -m benchmarks.ruletests [COUNT]

The packs' tests over and over, each time as a file of its own beside a copy of the packs: every file is read, every
engine is new. Prints wall time and CPU time of the process, once with `--coverage`.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.driver import command

RULES = Path(__file__).parents[1] / "rules"
COUNT = 1000


def copies(folder: Path, count: int) -> None:
    """So many test files, and the rules that they name beside them."""
    tests = sorted(RULES.glob("*.test.yaml"))
    for file in RULES.glob("*.yaml"):
        if file not in tests:
            shutil.copy(file, folder)
    for number in range(count):
        test = tests[number % len(tests)]
        shutil.copy(test, folder / f"{number:05d}-{test.name}")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    with tempfile.TemporaryDirectory() as name:
        copies(Path(name), count)
        for flags in ([], ["--coverage"]):
            used = command.run("test", name, *flags)
            took = f"{used.seconds:5.1f} s, {used.cpu_seconds:5.1f} s CPU"
            print(f"imd test {' '.join(flags):10} {took}: {' '.join(used.output.splitlines()[-1:])}")
            if used.code:
                raise SystemExit(used.output[-2000:])


if __name__ == "__main__":
    main()
