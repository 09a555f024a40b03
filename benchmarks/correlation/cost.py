"""What relating costs an alert: CPU time of the shipped packs' `relate`, apart from everything else.

    python -m benchmarks.correlation.cost --eval FOLDER --seeds 1-3

Three loads: the busy traces of the generator with their map, where the median alert counts; a storm over a map of
10,000 entities, of a tenth and of the whole of its alerts, which should cost an alert the same; and one host that never
stops talking, likewise. CPU time of this thread, so that other work on the machine hardly shows.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.correlation.trials import Trial, rules_of, simulated
from imd.core.relate import Relator
from imd.model.rule import Relate
from imd.model.topology import Topology
from imd.replay.journal import EventsReader
from imd.replay.run import replay

STORM, HOSTS, SERVICES = 50_000, 2_000, 8_000


def main() -> None:
    arguments = _parse()
    print("| load | alerts | us of CPU an alert: median | mean |\n|---|---|---|---|", flush=True)
    for seed in arguments.seeds:
        _show(f"busy, seed {seed}", _busy(Trial(arguments.eval, (arguments.rules,), "busy", seed, topology=True)))
    for name, told in (("storm over 10,000 entities", _storm), ("one chatty host", _chatty)):
        for size in (STORM // 10, STORM):
            _show(name, _direct(arguments.rules, told, size))


def _show(load: str, spent: list[float]) -> None:
    print(f"| {load} | {len(spent):,} | {statistics.median(spent):.1f} | {statistics.mean(spent):.1f} |", flush=True)


def _busy(trial: Trial) -> list[float]:
    """Microseconds of each alert that was placed, in a replay."""
    with tempfile.TemporaryDirectory() as folder:
        trace, _ = simulated(trial, Path(folder))
        ruleset = rules_of(trial.rules, trace.parent, topology=True)
        steps = list(EventsReader(trace.name, {}).read(trace.read_bytes().splitlines()))
        with _timed() as spent:
            replay(steps, ruleset, ack_after=timedelta(0))
    return list(spent.values())


@contextmanager
def _timed() -> Iterator[dict[int, float]]:
    """Time spent in placing and entering, by the alert's number."""
    spent: dict[int, float] = defaultdict(float)
    place, enter = Relator.place, Relator.enter

    def timed_place(self: Relator, ref: int, *given: Any) -> Any:
        began = time.thread_time_ns()
        try:
            return place(self, ref, *given)
        finally:
            spent[ref] += (time.thread_time_ns() - began) / 1e3

    def timed_enter(self: Relator, record: Any, *given: Any) -> None:
        began = time.thread_time_ns()
        enter(self, record, *given)
        spent[record.ref] += (time.thread_time_ns() - began) / 1e3

    Relator.place, Relator.enter = timed_place, timed_enter  # type: ignore[method-assign,assignment]
    try:
        yield spent
    finally:
        Relator.place, Relator.enter = place, enter  # type: ignore[method-assign]


def _direct(rules: Path, told: Callable[[int], Iterator[dict[str, str]]], size: int) -> list[float]:
    """Straight into a Relator: every alert is placed, and enters where it belongs or opens its own."""
    relator, relate, spent = Relator(_map(rules)), Relate(), []
    for ref, labels in enumerate(told(size)):
        began = time.thread_time_ns()
        found = relator.place(ref, labels, ref * 0.02, relate, ())
        relator.enter(found.record, found.join or f"i{ref:012d}", (), str(ref).encode())
        into = found.join
        for other in found.merges:
            into, younger = sorted((into, other))
            relator.merge(younger, into)
        spent.append((time.thread_time_ns() - began) / 1e3)
    return spent


def _map(rules: Path) -> Topology:
    """The packs' own entities, and a map of 10,000 more."""
    rng = random.Random(1)
    rows: list[dict[str, Any]] = [
        {"id": f"host/n{n}", "part_of": [f"rack/r{n % 60}"], "match": [[f'node="n{n}"']]} for n in range(HOSTS)
    ]
    for n in range(SERVICES):
        calls = [f"service/s{rng.randrange(SERVICES)}" for _ in range(2)]
        row = {"runs_on": [f"host/n{rng.randrange(HOSTS)}"], "depends_on": calls, "match": [[f'service="s{n}"']]}
        rows.append({"id": f"service/s{n}", **row})
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "topology.json").write_text(json.dumps({"entities": rows}))
        return rules_of([rules], Path(folder), topology=True).topology


def _storm(size: int) -> Iterator[dict[str, str]]:
    rng = random.Random(2)
    for _ in range(size):
        if rng.random() < 0.2:
            yield {"alertname": "KubeNodeNotReady", "severity": "critical", "node": f"n{rng.randrange(HOSTS)}"}
        else:
            yield {"alertname": "ServiceErrors", "severity": "critical", "service": f"s{rng.randrange(SERVICES)}"}


def _chatty(size: int) -> Iterator[dict[str, str]]:
    for n in range(size):
        yield {"alertname": f"Unit{n}Failed", "severity": "warning", "node": "n1"}


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--eval", type=Path, default=os.environ.get("IMD_EVAL"), metavar="FOLDER")
    parser.add_argument("--rules", type=Path, default=Path("rules"), metavar="PATH")
    parser.add_argument("--seeds", default="1-3", metavar="FROM-TO")
    arguments = parser.parse_args()
    if arguments.eval is None:
        sys.exit("--eval FOLDER or IMD_EVAL: where simulate_outages.py is")
    first, _, last = arguments.seeds.partition("-")
    arguments.seeds = range(int(first), int(last or first) + 1)
    return arguments


if __name__ == "__main__":
    main()
