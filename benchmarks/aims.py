"""What imd is to reach, and what it did reach in this run: one table over all benchmarks.

Owns the aims. A figure is the median over the rounds; its ratio is the median of the rounds' ratios to Alertmanager's
figure of the same cell and round. Where the aim is a ratio, met or not goes by the ratio, else by the figure.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.driver.figures import Result, Results, short

PEER = "alertmanager"
PER_CPU = "alerts per server-CPU-second"


@dataclass(frozen=True)
class Aim:
    """One row: a column of a cell of a benchmark, by the beginning of the cell's name. At least `at_least` or at most
    `at_most`; `ratio`: of Alertmanager's."""

    row: str
    benchmark: str
    cell: str
    column: str
    at_least: float | None = None
    at_most: float | None = None
    ratio: bool = False
    target: str = "imd"
    unit: str = ""

    @property
    def text(self) -> str:
        sign, bound = (">=", self.at_least) if self.at_least is not None else ("<=", self.at_most)
        if bound is None:
            return ""
        return f"{sign} {short(bound)}" + (" x" if self.ratio else f" {self.unit}".rstrip())

    def met(self, figure: float) -> bool:
        return (self.at_least is None or figure >= self.at_least) and (self.at_most is None or figure <= self.at_most)


def _ingest() -> list[Aim]:
    aims = []
    bounds = {("1", "new"): 0.9, ("100", "repeats"): 5.0, ("100", "new"): 1.2}
    for size in ("1", "10", "100", "1000"):
        for kind in ("new", "repeats", "mixed"):
            for target in ("imd", "imd by webhook"):
                way = "API" if target == "imd" else "webhook"
                row = f"alerts a CPU second, bodies of {size}, {kind}, {way}"
                bound = bounds.get((size, kind))
                aims.append(Aim(row, "ingest", f"body of {size}, {kind}", PER_CPU, bound, None, True, target))
    return aims


AIMS = (
    *_ingest(),
    Aim("POST to page, p50, 200/s", "latency", "200 a second", "page p50 ms", at_most=5, unit="ms"),
    Aim("POST to page, p99, 200/s", "latency", "200 a second", "page p99 ms", at_most=25, unit="ms"),
    Aim("bytes an open alert, 10 incidents", "memory", "in 10 incidents", "bytes an alert", at_most=1536, unit="B"),
    Aim("bytes an open alert, an incident each", "memory", "an incident each", "bytes an alert", unit="B"),
    Aim("bytes an open alert, on a map", "memory", "incidents on a map", "bytes an alert", at_most=1536, unit="B"),
    Aim("idle", "memory", "in 10 incidents", "idle MiB", unit="MiB"),
    Aim(
        "10,000 rules against 10, new",
        "rules",
        "10,000 rules by name",
        "new: times",
        at_most=2,
        unit="x",
        target="daemon",
    ),
    Aim(
        "10,000 rules against 10, repeats",
        "rules",
        "10,000 rules by name",
        "repeat: times",
        at_most=1.3,
        unit="x",
        target="daemon",
    ),
    Aim(
        "100,000 open alerts against none, new",
        "rules",
        "10 rules, many open",
        "new: times",
        at_most=2,
        unit="x",
        target="daemon",
    ),
    Aim(
        "10,000 incidents against 10, new",
        "rules",
        "10 rules, many incidents",
        "new: times",
        at_most=2,
        unit="x",
        target="engine",
    ),
    Aim(
        "10,000 entities against 100, new",
        "rules",
        "10,000 entities",
        "new: times",
        at_most=2,
        unit="x",
        target="engine",
    ),
    Aim("storm: first page behind its hold", "storm", "in bodies of 100", "first page s", at_most=1, unit="s"),
    Aim("storm: pages of 1,000 incidents", "storm", "in bodies of 100", "pages", at_most=1000),
    Aim("storm: p99 of /-/healthy", "storm", "in bodies of 100", "healthy p99 ms", at_most=50, unit="ms"),
    Aim(
        "storm, bodies of 5,000: p99 of /-/healthy",
        "storm",
        "in bodies of 5,000",
        "healthy p99 ms",
        at_most=50,
        unit="ms",
    ),
    Aim("storm: loop lag, p99", "storm", "in bodies of 100", "loop lag p99 ms", at_most=50, unit="ms"),
    Aim("storm: peak of resident memory", "storm", "in bodies of 100", "peak MiB", unit="MiB"),
    Aim("kill -9 in a storm: alerts lost", "crash", "", "lost", at_most=0),
    Aim("kill -9 in a storm: incidents nobody heard of", "crash", "", "unheard", at_most=0),
    Aim(
        "start with 100,000 alerts, 10,000 incidents",
        "start",
        "incidents, killed",
        "seconds to ready",
        at_most=3,
        unit="s",
    ),
    Aim("imd check, 2,000 rules", "check", " rules", "seconds", at_most=1, unit="s", target="imd check"),
    Aim("replay of 100,000 events", "offline", "replay", "seconds", at_most=10, unit="s"),
    Aim("backtest of 1,000,000 events", "offline", "backtest", "seconds", at_most=60, unit="s"),
    Aim("imd explain", "offline", "explain", "seconds", at_most=0.25, unit="s"),
)


def table(every: Sequence[Results]) -> str:
    """A Markdown table of the aims whose benchmarks ran, with and without an aim."""
    lines = ["| row | figure | aim | met | Alertmanager | ratio |", "| --- | --- | --- | --- | --- | --- |"]
    for aim in AIMS:
        found = next((one for one in every if one.benchmark == aim.benchmark), None)
        line = _line(aim, found.every) if found is not None else None
        if line is not None:
            lines.append(line)
    return "\n".join(lines)


def _line(aim: Aim, results: Sequence[Result]) -> str | None:
    of_cell = [one for one in results if one.cell.startswith(aim.cell) or one.cell.endswith(aim.cell)]
    mine = {one.round: one.figures[aim.column] for one in of_cell if one.target == aim.target}
    peers = {one.round: one.figures[aim.column] for one in of_cell if one.target == PEER and aim.column in one.figures}
    if not mine:
        return None
    figure = statistics.median(mine.values())
    ratios = [mine[number] / peer for number, peer in peers.items() if peer and number in mine]
    ratio = statistics.median(ratios) if ratios else None
    judged = ratio if aim.ratio else figure
    met = "" if not aim.text or judged is None else "yes" if aim.met(judged) else "**no**"
    peer = short(statistics.median(peers.values())) if peers else ""
    shown = [
        aim.row,
        f"{short(figure)} {aim.unit}".rstrip(),
        aim.text,
        met,
        peer,
        "" if ratio is None else short(ratio),
    ]
    return "| " + " | ".join(shown) + " |"
