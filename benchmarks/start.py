"""How long a start takes with 100,000 open alerts in 10,000 incidents, all of which have paged; and the stop before it.

    python -m benchmarks.start [--rounds N] [--quick] [--json FILE]

From the start of the process to the first 200 of /-/ready, after a stop by SIGTERM and after a kill -9. For comparison,
the start on an empty folder, which is mostly imports. One fill serves all rounds.
"""

from __future__ import annotations

import asyncio
import signal

from benchmarks.driver import alerts, process
from benchmarks.driver.client import drive
from benchmarks.driver.figures import Results
from benchmarks.driver.options import Options, conclude, parse, quiet_driver
from benchmarks.driver.server import Grouping, Imd, Server
from benchmarks.driver.sink import Sink

ALERTS = 100_000
INCIDENTS = 10_000
BODY = 100
SLICE = 10_000
PAGES_SECONDS = 300.0
MIB = 1024 * 1024
COLUMNS = ("seconds to ready", "CPU seconds", "RSS MiB", "seconds to stop")
WAYS = {"stopped": signal.SIGTERM, "killed": signal.SIGKILL}


async def fill(server: Server, sink: Sink, count: int, incidents: int) -> None:
    """Posts the alerts and waits until every incident has paged."""
    target = Imd()
    for start in range(0, count, SLICE):
        part = range(start, min(start + SLICE, count))
        load = await drive(server.port, alerts.requests(target.path, target.form, part, BODY, names=incidents))
        if load.errors:
            raise SystemExit(f"{load.errors} requests failed: {dict(load.statuses)}")
    await sink.wait(incidents, PAGES_SECONDS)
    if len(sink.messages) < incidents:
        raise SystemExit(f"{len(sink.messages)} pages came for {incidents} incidents")
    await asyncio.sleep(1)  # for the last deliveries to be settled


def measure(results: Results, server: Server, cell: str, number: int, by: signal.Signals) -> None:
    """Ends the server in one way and starts it anew; it runs before and after."""
    gone = server.stop(by)
    ready = server.start()
    used, held = server.cpu_seconds(), process.rss_bytes(server.pid)
    figures = {"seconds to ready": ready, "CPU seconds": used, "RSS MiB": held / MIB, "seconds to stop": gone}
    results.add(cell, "imd", number, **figures)


def run(options: Options) -> Results:
    return asyncio.run(_run(options))


async def _run(options: Options) -> Results:
    results = Results("start", COLUMNS)
    sink = await Sink().start()
    count, incidents = options.count(ALERTS), options.count(INCIDENTS)
    with (
        Imd().server(sink.url, "0s", Grouping.BY_NAME) as empty,
        Imd().server(sink.url, "0s", Grouping.BY_NAME) as full,
    ):
        await fill(full, sink, count, incidents)
        for number in range(options.rounds):
            for way, by in WAYS.items():
                measure(results, empty, f"empty, {way}", number, by)
                measure(results, full, f"{count:,} alerts, {incidents:,} incidents, {way}", number, by)
    sink.close()
    return results


def main(options: Options) -> Results:
    quiet_driver()
    return conclude(run(options), options)


if __name__ == "__main__":
    main(parse(__doc__))
