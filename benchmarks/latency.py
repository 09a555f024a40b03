"""From POST to page: a webhook receiver on this machine, no hold, an incident for each alert, at a steady rate.

    python -m benchmarks.latency [--rounds N] [--quick] [--json FILE]

One alert a POST. The clock starts when the POST is handed to the kernel and stops when the sink has read the whole
message that names the alert; imd has written alert and page to disk in between. `missing` must be 0.
"""

from __future__ import annotations

import asyncio

from benchmarks.driver import alerts
from benchmarks.driver.client import Load, drive, drive_paced
from benchmarks.driver.figures import Results, quantile
from benchmarks.driver.options import Options, conclude, parse, quiet_driver
from benchmarks.driver.server import Grouping, Imd, Server, Target, peers
from benchmarks.driver.sink import Sink

RATES = (50, 200, 500)
SECONDS = 20
WARM_UP = 100
LAST_MESSAGE_SECONDS = 20.0
COLUMNS = ("page p50 ms", "page p99 ms", "page max ms", "missing", "POST p50 ms", "POST p99 ms", "errors")


async def pages(target: Target, server: Server, sink: Sink, rate: int, count: int) -> tuple[Load, dict[int, float]]:
    """The load, and when each alert's first message came."""
    warm_up = alerts.requests(target.path, target.form, range(count, count + WARM_UP), 1)
    await drive(server.port, warm_up)
    await sink.wait(WARM_UP, LAST_MESSAGE_SECONDS)
    load = await drive_paced(server.port, alerts.requests(target.path, target.form, range(count), 1), rate)
    await sink.wait(WARM_UP + count, LAST_MESSAGE_SECONDS)
    return load, sink.first_heard()


async def measure(results: Results, options: Options, number: int, rate: int, target: Target) -> None:
    sink = await Sink().start()
    count = rate * options.count(SECONDS)
    with target.server(sink.url, "0s", Grouping.EACH) as server:
        load, heard = await pages(target, server, sink, rate, count)
    sink.close()
    took = [heard[one] - sent for one, sent in load.sent_at.items() if one in heard]
    results.add(
        f"{rate} a second",
        target.name,
        number,
        **{
            "page p50 ms": quantile(took, 0.5) * 1e3,
            "page p99 ms": quantile(took, 0.99) * 1e3,
            "page max ms": quantile(took, 1.0) * 1e3,
            "missing": count - len(took),
            "POST p50 ms": quantile(load.waits, 0.5) * 1e3,
            "POST p99 ms": quantile(load.waits, 0.99) * 1e3,
            "errors": load.errors,
        },
    )


def run(options: Options) -> Results:
    results = Results("latency", COLUMNS)
    targets: list[Target] = [*peers(), Imd(), Imd("imd by webhook", "webhook")]
    for number in range(options.rounds):
        for rate in RATES:
            for target in targets:
                asyncio.run(measure(results, options, number, rate, target))
    return results


def main(options: Options) -> Results:
    quiet_driver()
    return conclude(run(options), options)


if __name__ == "__main__":
    main(parse(__doc__))
