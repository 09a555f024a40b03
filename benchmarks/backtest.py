"""What a backtest costs: two rule sets over one history.

    python -m benchmarks.backtest [--events N] [--keep FOLDER]

The history is made up, the same for the same N: over thirty days nodes of five clusters die with their pods and come
back, single services are slow, somebody acknowledges every other incident. Its lines are those of a journal. The old
rules make one incident of a node with all that is on it; the new ones take the pods apart, wait longer and give another
impact, so that there is much to tell. Prints wall time and CPU time of `imd backtest` over all its processes.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.driver import command

SPAN_SECONDS = 30 * 86_400
BEGIN = 1_767_225_600  # 2026-01-01
LINES_EACH = 36  # an outage's lines, on average
OLD = """\
rules:
  - {name: node-loss, match: 'alertname=~"NodeDown|KubePod.*|TargetDown"', group_by: [cluster, node], hold: 10s,
     impact: high, policy: platform}
  - {name: slow, match: 'alertname="HighLatency"', group_by: [cluster, service], hold: 2m}
policies:
  - {name: platform, steps: [{notify: ['receiver:ana'], for: 5m}, {notify: ['receiver:ben'], for: 10m}]}
  - {name: default, steps: [{notify: ['receiver:chat']}]}
"""
NEW = """\
rules:
  - {name: pods, match: 'alertname=~"KubePod.*"', group_by: [cluster, namespace], hold: 1m}
  - {name: node-loss, match: 'alertname=~"NodeDown|TargetDown"', group_by: [cluster, node], hold: 30s,
     impact: medium, policy: platform}
  - {name: slow, match: 'alertname="HighLatency"', group_by: [cluster, service], hold: 10m}
policies:
  - {name: platform, steps: [{notify: ['receiver:ana'], for: 5m}, {notify: ['receiver:ben'], for: 10m}]}
  - {name: default, steps: [{notify: ['receiver:chat']}]}
"""

_Line = tuple[float, int, dict[str, object]]


def history(count: int) -> Iterator[str]:
    """At least `count` lines of EVENTS.jsonl, in order of time."""
    chance = random.Random(count)
    outages = count // LINES_EACH + 1
    begins = sorted(BEGIN + chance.random() * SPAN_SECONDS for _ in range(outages))
    waiting: list[_Line] = []
    number = 0
    for at in begins:
        while waiting and waiting[0][0] <= at:
            yield json.dumps(heapq.heappop(waiting)[2])
        for line_at, line in _outage(at, chance):
            number += 1
            heapq.heappush(waiting, (line_at, number, {"ts": round(line_at, 6), **line}))
    while waiting:
        yield json.dumps(heapq.heappop(waiting)[2])


def _outage(at: float, chance: random.Random) -> Iterator[tuple[float, dict[str, object]]]:
    cluster = f"c{chance.randrange(5)}"
    if chance.random() < 0.3:
        labels = {
            "alertname": "HighLatency",
            "cluster": cluster,
            "service": f"s{chance.randrange(80)}",
            "severity": "warning",
        }
        yield from _alert(at, at + chance.uniform(30, 1800), labels, "latency of the 99th percentile is above 2 s")
        return
    node = f"node-{chance.randrange(400):03}"
    on_node = {"cluster": cluster, "node": node}
    end = at + chance.uniform(300, 3600)
    yield from _alert(at, end, {"alertname": "NodeDown", **on_node, "severity": "critical"}, f"{node} does not answer")
    yield from _alert(
        at + 15, end + 20, {"alertname": "TargetDown", **on_node, "job": "node", "severity": "warning"}, ""
    )
    for pod in range(chance.randint(2, 45)):
        labels = {
            "alertname": "KubePodNotReady", **on_node, "namespace": f"shop-{pod % 7}", "pod": f"web-{pod}-{node[-3:]}",
            "severity": "warning", "prometheus": "monitoring/k8s", "container": "app",
        }  # fmt: skip
        began = at + chance.uniform(5, 240)
        yield from _alert(began, end + chance.uniform(0, 120), labels, f"pod {labels['pod']} is not ready since 15 min")
    if chance.random() < 0.5:
        first = {"alertname": "NodeDown", "cluster": cluster, "node": node, "severity": "critical"}
        act = {"type": "action", "action": "ack", "incident": "i000000000000", "by": "ana", "alert": first}
        yield at + chance.uniform(30, 900), act


def _alert(at: float, until: float, labels: dict[str, str], summary: str) -> Iterator[tuple[float, dict[str, object]]]:
    said = {
        "type": "alert", "source": "prometheus", "labels": labels, "by_api": True, "starts_at": at,
        "annotations": {"summary": summary, "runbook_url": f"https://wiki.example/runbooks/{labels['alertname']}"},
    }  # fmt: skip
    yield at, {"status": "firing", **said}
    yield until, {"status": "resolved", "ends_at": until, **said}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--events", type=int, default=1_000_000, metavar="N", help="lines of history (1,000,000)")
    arguments.add_argument("--keep", type=Path, metavar="FOLDER", help="leave the history and the outcome there")
    found = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(found.keep or Path(folder), found.events)


def measure(folder: Path, count: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    events = folder / "events.jsonl"
    with events.open("w") as file:
        lines = sum(1 for line in history(count) if file.write(line + "\n"))
    for name, text in (("old.yaml", OLD), ("new.yaml", NEW)):
        (folder / name).write_text(text)
    rules = ["--rules", str(folder / "new.yaml"), "--against", str(folder / "old.yaml")]
    used = command.run("backtest", "--events", str(events), "--json", *rules)
    if used.code:
        raise SystemExit(used.output[-2000:])
    (folder / "outcome.json").write_text(used.output)
    outcome = json.loads(used.output)
    print(f"{lines:,} events, {events.stat().st_size / 1e6:.0f} MB")
    print(f"wall {used.seconds:.1f} s, CPU {used.cpu_seconds:.1f} s, of one process {used.peak_bytes / 2**20:.0f} MiB")
    print(f"{outcome['summary']}\n{len(outcome['differences'])} differences")


if __name__ == "__main__":
    main()
