"""The commands that need no daemon: replay, backtest and explain, as commands, from their start to their end.

    python -m benchmarks.offline [--rounds N] [--quick] [--json FILE]

The histories are those of `benchmarks.backtest`: 100,000 events for `imd replay`, a million for `imd backtest`, whose
two rule sets run side by side on two processors. `imd explain` explains one alert by the example's files.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.backtest import NEW, OLD, history
from benchmarks.driver import command
from benchmarks.driver.figures import Results
from benchmarks.driver.options import Options, conclude, parse

REPLAYED, BACKTESTED = 100_000, 1_000_000
COLUMNS = ("seconds", "CPU seconds", "events a CPU second", "MiB of the largest process")


def timed(results: Results, cell: str, number: int, events: int, arguments: list[str]) -> None:
    used = command.run(*arguments)
    if used.code:
        raise SystemExit(f"imd {' '.join(arguments)} ended with {used.code}")
    figures = (used.seconds, used.cpu_seconds, events / used.cpu_seconds, used.peak_bytes / 2**20)
    results.add(cell, "imd", number, **dict(zip(COLUMNS, figures, strict=True)))


def run(options: Options) -> Results:
    results = Results("offline", COLUMNS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "old.yaml").write_text(OLD)
        (folder / "new.yaml").write_text(NEW)
        new, old = ["--rules", str(folder / "new.yaml")], ["--rules", str(folder / "old.yaml")]
        counts = {count: options.count(count) for count in (REPLAYED, BACKTESTED)}
        for full, count in counts.items():
            (folder / f"{full}.jsonl").write_text("\n".join(history(count)) + "\n")
        few, many = (str(folder / f"{full}.jsonl") for full in counts)
        for number in range(options.rounds):
            timed(results, "explain", number, 1, ["explain", "alertname=NodeDown", "cluster=c1", "node=n1", *old])
            timed(results, "replay", number, counts[REPLAYED], ["replay", few, *old])
            against = ["--against", str(folder / "old.yaml")]
            timed(results, "backtest", number, counts[BACKTESTED], ["backtest", "--events", many, *new, *against])
    return results


def main(options: Options) -> Results:
    return conclude(run(options), options)


if __name__ == "__main__":
    main(parse(__doc__))
