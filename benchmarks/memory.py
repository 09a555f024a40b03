"""Memory: what an open alert costs, in ten incidents and in an incident of its own, and what an idle server takes.

Last on a map of 10,000 hosts under a rule with `relate`: ten alerts of each are an incident. Alertmanager has no map;
it groups by host.

    python -m benchmarks.memory [--rounds N] [--quick] [--json FILE]

Resident memory is read once it has stood still for three seconds, before the alerts and after, so what was
needed for a moment only and given back does not count. Bodies of 100; no page leaves.
"""

from __future__ import annotations

from benchmarks.driver import alerts, process
from benchmarks.driver.figures import Results
from benchmarks.driver.options import Options, conclude, parse, quiet_driver
from benchmarks.driver.server import NO_PAGES, Grouping, Imd, Target, peers
from benchmarks.rules import instance, on_map

ALERTS = 100_000
BODY = 100
SLICE = 10_000  # made ahead and sent, so that the driver does not hold all of them
GROUPINGS = {"in 10 incidents": Grouping.BY_NAME, "an incident each": Grouping.EACH}
HOSTS, OF_A_HOST = 10_000, 10
BY_HOST = '["instance"]'
NOWHERE = "http://127.0.0.1:9/"
MIB = 1024 * 1024
COLUMNS = ("bytes an alert", "idle MiB", "full MiB")


def of_host(number: int, since: str) -> dict[str, object]:
    """Alert `number`: neighbours are on one host, in one namespace, and none is of severity info, which would relate to
    nothing."""
    host = number // OF_A_HOST % HOSTS
    labels = alerts.labels(host)
    own = {"alertname": alerts.labels(number)["alertname"], "severity": ("critical", "warning")[number % 2]}
    labels = {**labels, **own, "instance": instance(host), "number": f"n{number}"}
    return {**alerts.alert(number, since), "labels": dict(sorted(labels.items()))}


def measure(
    results: Results, count: int, number: int, name: str, target: Target, grouping: str, make: alerts.Make | None = None
) -> None:
    with target.server(NOWHERE, NO_PAGES, grouping) as server:
        idle = process.settled_rss_bytes(server.pid)
        for start in range(0, count, SLICE):
            part = range(start, min(start + SLICE, count))
            server.fill(alerts.requests(target.path, target.form, part, BODY, make=make))
        full = process.settled_rss_bytes(server.pid)
    figures = {"bytes an alert": (full - idle) / count, "idle MiB": idle / MIB, "full MiB": full / MIB}
    results.add(f"{count:,} alerts {name}", target.name, number, **figures)


def run(options: Options) -> Results:
    results = Results("memory", COLUMNS, peer="alertmanager", ratio_of="bytes an alert")
    count = options.count(ALERTS)
    hosts = options.count(HOSTS)
    for number in range(options.rounds):
        for name, grouping in GROUPINGS.items():
            for target in (*peers(), Imd()):
                measure(results, count, number, name, target, grouping)
        for target in (*peers(), Imd(rules=[on_map(hosts, BY_HOST)])):
            measure(results, count, number, f"in {hosts:,} incidents on a map", target, BY_HOST, of_host)
    return results


def main(options: Options) -> Results:
    quiet_driver()
    return conclude(run(options), options)


if __name__ == "__main__":
    main(parse(__doc__))
