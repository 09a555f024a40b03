"""Memory: what an open alert costs, in ten incidents and in an incident of its own, and what an idle server takes.

    python -m benchmarks.memory [--rounds N] [--quick] [--json FILE]

Resident memory is read once it has stood still for three seconds, before the alerts and after, so what was
needed for a moment only and given back does not count. Bodies of 100; no page leaves.
"""

from __future__ import annotations

from benchmarks.driver import alerts, process
from benchmarks.driver.figures import Results
from benchmarks.driver.options import Options, conclude, parse, quiet_driver
from benchmarks.driver.server import NO_PAGES, Grouping, Imd, Target, peers

ALERTS = 100_000
BODY = 100
SLICE = 10_000  # made ahead and sent, so that the driver does not hold all of them
GROUPINGS = {"in 10 incidents": Grouping.BY_NAME, "an incident each": Grouping.EACH}
NOWHERE = "http://127.0.0.1:9/"
MIB = 1024 * 1024
COLUMNS = ("bytes an alert", "idle MiB", "full MiB")


def measure(results: Results, count: int, number: int, name: str, target: Target) -> None:
    with target.server(NOWHERE, NO_PAGES, GROUPINGS[name]) as server:
        idle = process.settled_rss_bytes(server.pid)
        for start in range(0, count, SLICE):
            part = range(start, min(start + SLICE, count))
            server.fill(alerts.requests(target.path, target.form, part, BODY))
        full = process.settled_rss_bytes(server.pid)
    figures = {"bytes an alert": (full - idle) / count, "idle MiB": idle / MIB, "full MiB": full / MIB}
    results.add(f"{count:,} alerts {name}", target.name, number, **figures)


def run(options: Options) -> Results:
    results = Results("memory", COLUMNS, peer="alertmanager", ratio_of="bytes an alert")
    targets: list[Target] = [*peers(), Imd()]
    for number in range(options.rounds):
        for name in GROUPINGS:
            for target in targets:
                measure(results, options.count(ALERTS), number, name, target)
    return results


def main(options: Options) -> Results:
    quiet_driver()
    return conclude(run(options), options)


if __name__ == "__main__":
    main(parse(__doc__))
