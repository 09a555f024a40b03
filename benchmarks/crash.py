"""kill -9 in the middle of a storm: is anything lost that was answered for, and does everybody hear of it?

    python -m benchmarks.crash [--rounds N] [--quick] [--json FILE]

20,000 alerts of 500 incidents, held for a second; when half are answered for the server is killed, and started anew on
the same folder. `lost`: answered with 2xx and not listed afterwards; `unheard`: incidents of such alerts of which no
message came, before or after; `keys`: dedup keys of an incident beyond one (imd). Nothing is sent again: Prometheus
would.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal

from benchmarks.driver import alerts
from benchmarks.driver.client import drive
from benchmarks.driver.figures import Results
from benchmarks.driver.options import Options, conclude, parse, quiet_driver
from benchmarks.driver.server import Grouping, Imd, Target, peers
from benchmarks.driver.sink import Sink

ALERTS, INCIDENTS, BODY = 20_000, 500, 50
WAIT_SECONDS = 20.0
COLUMNS = ("answered", "lost", "unheard", "keys", "seconds to ready")
_KEY = re.compile(rb'"dedup_key":"([^"]+)"')


async def measure(results: Results, options: Options, number: int, target: Target) -> None:
    sink = await Sink().start()
    count, incidents = options.count(ALERTS), options.count(INCIDENTS)
    requests = alerts.requests(target.path, target.form, range(count), BODY, names=incidents)
    with target.server(sink.url, "1s", Grouping.BY_NAME) as server:
        answered: list[int] = []

        def taken(request: int) -> None:
            answered.append(request)
            if len(answered) == len(requests) // 2:
                server.stop(signal.SIGKILL)

        await drive(server.port, requests, on_accepted=taken)
        ready = server.start()
        shown = json.loads(server.get("/api/v2/alerts")[1])
        listed = {int(one["labels"]["number"][1:]) for one in shown}
        acked = {one for request in answered for one in range(request * BODY, min((request + 1) * BODY, count))}
        await sink.wait(len({one % incidents for one in acked}), WAIT_SECONDS)
        await asyncio.sleep(2)
    sink.close()
    heard = {one % incidents for one in sink.first_heard()}
    keys: dict[int, set[bytes]] = {}
    for _, message in sink.messages:
        for one in {number % incidents for number in alerts.numbers_in(message)}:
            keys.setdefault(one, set()).update(_KEY.findall(message))
    figures = {
        "answered": len(acked),
        "lost": len(acked - listed),
        "unheard": len({one % incidents for one in acked} - heard),
        "keys": sum(max(0, len(found) - 1) for found in keys.values()),
        "seconds to ready": ready,
    }
    results.add(f"{count:,} alerts", target.name, number, **figures)


def run(options: Options) -> Results:
    results = Results("crash", COLUMNS)
    targets: list[Target] = [*peers(), Imd()]
    for number in range(options.rounds):
        for target in targets:
            asyncio.run(measure(results, options, number, target))
    return results


def main(options: Options) -> Results:
    quiet_driver()
    return conclude(run(options), options)


if __name__ == "__main__":
    main(parse(__doc__))
