"""Alerts taken in: how many one second of server CPU pays for, how many a second, and how long a POST takes.

    python -m benchmarks.ingest [--rounds N] [--quick] [--json FILE]

Each cell is a fresh server, warmed up, that gets alerts it never saw (new), then the same ones over and over (repeats),
at last both, one in twenty new (mixed). Rules hold for ten minutes, so that no page leaves and only taking in is
measured. Targets alternate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from benchmarks.driver import alerts
from benchmarks.driver.alerts import Request
from benchmarks.driver.client import CONNECTIONS, drive
from benchmarks.driver.figures import Results, quantile
from benchmarks.driver.options import Options, conclude, parse, quiet_driver
from benchmarks.driver.server import NO_PAGES, Grouping, Imd, Server, Target, peers

NEW = {1: 10_000, 10: 30_000, 100: 50_000, 1000: 50_000}
"""Alerts by body size."""

REPEATS = {1: 20_000, 10: 150_000, 100: 400_000, 1000: 400_000}
WARM_UP = 1_000
NOWHERE = "http://127.0.0.1:9/"  # the hold outlasts the benchmark: nothing is sent
PER_CPU = "alerts per server-CPU-second"
COLUMNS = (PER_CPU, "alerts/s", "p50 ms", "p99 ms", "server cores", "errors")


MIXED_NEW = 20
"""Of so many alerts one is new, in a mixed load."""


def mixed(known: int, count: int) -> list[int]:
    """Numbers of alerts: those below `known`, over and over, and one in twenty that was never sent."""
    fresh = iter(range(2 * known + WARM_UP, 2 * known + WARM_UP + count))
    return [next(fresh) if number % MIXED_NEW == 0 else number % known for number in range(count)]


def measure(results: Results, cell: str, target: Target, number: int, server: Server, load: Sequence[Request]) -> None:
    connections = min(CONNECTIONS, len(load))
    before = server.cpu_seconds()
    came = asyncio.run(drive(server.port, load, connections))
    used = server.cpu_seconds() - before
    results.add(
        cell,
        target.name,
        number,
        **{
            PER_CPU: came.accepted / used,
            "alerts/s": came.accepted / came.seconds,
            "p50 ms": quantile(came.waits, 0.5) * 1e3,
            "p99 ms": quantile(came.waits, 0.99) * 1e3,
            "server cores": used / came.seconds,
            "errors": came.errors,
        },
    )


def round_of(results: Results, options: Options, number: int, size: int, target: Target) -> None:
    with target.server(NOWHERE, NO_PAGES, Grouping.BY_NAME) as server:
        count = max(size, options.count(NEW[size]))
        warm_up = alerts.requests(target.path, target.form, range(count, count + WARM_UP), min(size, 100))
        new = alerts.requests(target.path, target.form, range(count), size)
        server.fill(warm_up)
        measure(results, f"body of {size}, new", target, number, server, new)
        again = new * max(1, options.count(REPEATS[size]) // count)
        measure(results, f"body of {size}, repeats", target, number, server, again)
        both = alerts.requests(target.path, target.form, mixed(count, 2 * count), size)
        measure(results, f"body of {size}, mixed", target, number, server, both)


def run(options: Options) -> Results:
    results = Results("ingest", COLUMNS, peer="alertmanager", ratio_of=PER_CPU)
    targets: list[Target] = [*peers(), Imd(), Imd("imd by webhook", "webhook")]
    for number in range(options.rounds):
        for size in NEW:
            for target in targets:
                round_of(results, options, number, size, target)
    return results


def main(options: Options) -> Results:
    quiet_driver()
    return conclude(run(options), options)


if __name__ == "__main__":
    main(parse(__doc__))
