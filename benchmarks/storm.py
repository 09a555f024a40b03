"""A storm: 50,000 new alerts as fast as they are taken. What leaves, when, and how long do others wait meanwhile?

    python -m benchmarks.storm [--rounds N] [--quick] [--json FILE]

The alerts make a thousand incidents (groups of Alertmanager), in bodies of 100 and of 5,000, and each is held for a
second. As long as alerts are sent, and no longer, /-/healthy is asked each 5 ms from a process of its own, so what it
shows includes the wait for a processor. `first page s`: from the end of the first incident's hold to the first message
at the sink. `loop lag` is imd's own metric of that time, the upper bound of the bucket. `cores missed`: for
how many processors its threads waited meanwhile, on average; where that is not small, times say more of the machine
than of the server. `raised` are pages beyond an incident's first, of imd: where the machine is slow, its hold is over
before its first critical alert is read, and that raises it from P3 to P2. `twice` are receipts of a message that came
before. `unheard` are alerts' incidents without a message, and must be 0.
"""

from __future__ import annotations

import asyncio
import math
import re

from benchmarks.driver import alerts, process
from benchmarks.driver.client import drive
from benchmarks.driver.figures import Results, quantile
from benchmarks.driver.options import Options, conclude, parse, quiet_driver
from benchmarks.driver.probe import Probe
from benchmarks.driver.server import Grouping, Imd, Server, Target, peers
from benchmarks.driver.sink import Sink

ALERTS = 50_000
INCIDENTS = 1_000
BODIES = (100, 5_000)
HOLD_SECONDS = 1.0
LAST_MESSAGE_SECONDS = 60.0
MIB = 1024 * 1024
HEALTHY_P99, LAG_P99, FIRST_PAGE, PAGES = "healthy p99 ms", "loop lag p99 ms", "first page s", "pages"
COLUMNS = (
    "alerts/s",
    "healthy p50 ms",
    HEALTHY_P99,
    "healthy max ms",
    LAG_P99,
    "cores missed",
    FIRST_PAGE,
    "last page s",
    PAGES,
    "raised",
    "twice",
    "unheard",
    "RSS MiB",
    "peak MiB",
    "errors",
)
_ID = re.compile(rb"\r\nwebhook-id: ([^\r]+)", re.IGNORECASE)
_BUCKET = re.compile(r'imd_loop_lag_seconds_bucket\{le="([^"]+)"\} ([0-9.e+]+)')


def lag_buckets(server: Server) -> dict[float, float]:
    """How many looks at the loop found it at most so many seconds late; none of a server that has no such metric."""
    return {float(bound): float(count) for bound, count in _BUCKET.findall(server.get("/metrics")[1].decode())}


def lag_p99(before: dict[float, float], after: dict[float, float]) -> float:
    counts = {bound: count - before.get(bound, 0.0) for bound, count in after.items()}
    whole = counts.get(math.inf, 0.0)
    return next((bound for bound, count in sorted(counts.items()) if whole and count >= 0.99 * whole), math.nan)


async def measure(results: Results, options: Options, number: int, size: int, target: Target) -> None:
    sink = await Sink().start()
    count, incidents = options.count(ALERTS), options.count(INCIDENTS)
    requests = alerts.requests(target.path, target.form, range(count), size, names=incidents)
    with target.server(sink.url, f"{HOLD_SECONDS:g}s", Grouping.BY_NAME) as server:
        before = lag_buckets(server)
        probe = await asyncio.to_thread(Probe, server.port, "/-/healthy")
        waited = process.waited_seconds(server.pid)
        began = asyncio.get_running_loop().time()
        load = await drive(server.port, requests)
        waited = process.waited_seconds(server.pid) - waited
        waits = await asyncio.to_thread(probe.stop)
        lag = lag_p99(before, await asyncio.to_thread(lag_buckets, server))
        await sink.wait(incidents, LAST_MESSAGE_SECONDS)
        await asyncio.sleep(1)  # what comes beyond is counted too
        held, peak = process.rss_bytes(server.pid), process.peak_rss_bytes(server.pid)
    sink.close()
    came = [at - began - HOLD_SECONDS for at, _ in sink.messages]
    raised = sum(b'"reason":"raised"' in message for _, message in sink.messages)
    ids = [found[1] for _, message in sink.messages if (found := _ID.search(message))]
    heard = {one % incidents for one in sink.first_heard()}
    figures = {
        "alerts/s": load.accepted / load.seconds,
        "healthy p50 ms": quantile(waits, 0.5) * 1e3,
        HEALTHY_P99: quantile(waits, 0.99) * 1e3,
        "healthy max ms": max(waits) * 1e3,
        LAG_P99: lag * 1e3,
        "cores missed": waited / load.seconds,
        FIRST_PAGE: min(came, default=math.nan),
        "last page s": max(came, default=math.nan),
        PAGES: len(came) - raised,
        "raised": raised,
        "twice": len(ids) - len(set(ids)),
        "unheard": incidents - len(heard),
        "RSS MiB": held / MIB,
        "peak MiB": peak / MIB,
        "errors": load.errors,
    }
    results.add(cell_of(count, size), target.name, number, **figures)


def cell_of(count: int, size: int) -> str:
    return f"{count:,} alerts in bodies of {size:,}"


def run(options: Options) -> Results:
    results = Results("storm", COLUMNS)
    targets: list[Target] = [*peers(), Imd()]
    for number in range(options.rounds):
        for size in BODIES:
            for target in targets:
                asyncio.run(measure(results, options, number, size, target))
    return results


def main(options: Options) -> Results:
    quiet_driver()
    return conclude(run(options), options)


if __name__ == "__main__":
    main(parse(__doc__))
