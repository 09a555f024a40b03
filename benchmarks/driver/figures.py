"""Figures: quantiles, min / median / max over rounds, tables for people and JSON lines for machines.

Owns how a result is kept and shown. A result is one cell of one round: what was measured, of what, and its figures.
"""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed; NaN of none."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


@dataclass(frozen=True)
class Result:
    benchmark: str
    cell: str
    target: str
    round: int
    figures: dict[str, float]


@dataclass
class Results:
    """Collects one benchmark's results. `peer` is the target that the others are compared with, by round."""

    benchmark: str
    columns: Sequence[str]
    peer: str = ""
    ratio_of: str = ""
    every: list[Result] = field(default_factory=list)

    def add(self, cell: str, target: str, number: int, **figures: float) -> None:
        result = Result(self.benchmark, cell, target, number, figures)
        self.every.append(result)
        shown = "  ".join(f"{name} {short(value)}" for name, value in figures.items())
        print(f"  round {number + 1}  {cell:28} {target:13} {shown}", flush=True)

    def write(self, path: Path | None) -> None:
        """Appends a line of JSON for each result, with what the machine was and how busy."""
        if path is None:
            return
        machine = {"python": platform.python_version(), "cpus": os.cpu_count(), "load1": os.getloadavg()[0]}
        with path.open("a") as file:
            for one in self.every:
                line = {"benchmark": one.benchmark, "cell": one.cell, "target": one.target, "round": one.round}
                file.write(json.dumps({**line, **one.figures, **machine}) + "\n")

    def table(self) -> str:
        """A Markdown table: a line for each cell and target, min / median / max of each column over the rounds."""
        head = ["cell", "target", *self.columns]
        if self.ratio_of:
            head.append(f"{self.ratio_of}: ratio to {self.peer}")
        lines = [head, ["---"] * len(head)]
        for cell, target in dict.fromkeys((one.cell, one.target) for one in self.every):
            mine = self._of(cell, target)
            line = [cell, target, *(spread([one.figures[name] for one in mine]) for name in self.columns)]
            if self.ratio_of:
                line.append(self._ratio(cell, target))
            lines.append(line)
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)

    def _of(self, cell: str, target: str) -> list[Result]:
        return [one for one in self.every if (one.cell, one.target) == (cell, target)]

    def _ratio(self, cell: str, target: str) -> str:
        """This target's figure over the peer's of the same round, where both were measured."""
        peers = {one.round: one.figures[self.ratio_of] for one in self._of(cell, self.peer)}
        mine = {one.round: one.figures[self.ratio_of] for one in self._of(cell, target)}
        ratios = [figure / peers[number] for number, figure in mine.items() if peers.get(number)]
        return spread(ratios) if ratios and target != self.peer else ""


def spread(values: Sequence[float]) -> str:
    """`min / median / max`, or the value itself where all are alike."""
    if len(set(values)) == 1:
        return short(values[0])
    return " / ".join(short(value) for value in (min(values), statistics.median(values), max(values)))


def short(value: float) -> str:
    """Three digits that count, whole numbers in full."""
    if math.isnan(value):
        return "-"
    if float(value).is_integer() or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"
