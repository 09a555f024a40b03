"""One trial: a simulated trace, replayed through rules in this process, and its scores.

Owns the calls of generator and scorer, two programs that live outside the repository: the folder is an argument, the
generator is run as a program, the scorer's functions are called. Knows no table.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.correlation.assignment import assignment
from imd.config.load import Faulty, load
from imd.model.policy import Ruleset
from imd.replay.journal import EventsReader
from imd.replay.report import Report
from imd.replay.run import replay

PRESETS = {
    "calm": ("--hours", "12"),
    "busy": ("--hours", "8", "--gap", "6", "--overlap", "0.5", "--noise", "60"),
    "storm": ("--hours", "2", "--gap", "1.5", "--overlap", "0.6", "--noise", "120", "--each"),
}
NAIVE = (
    "none", "alertname", "window:60", "window:300", "label:cluster+window:120", "label:cluster+namespace+window:300",
)  # fmt: skip


class BadRules(Exception):
    """The rules have faults; the text names each. (It crosses from one process to another.)"""


Scores = dict[str, float | None]


@dataclass(frozen=True)
class Trial:
    """`extra`: further options of the generator. `topology`: the map goes with the rules. `onset`: each alert's `for:`
    does too."""

    evaluation: Path
    rules: tuple[Path, ...]
    preset: str
    seed: int
    topology: bool = False
    onset: bool = False
    extra: tuple[str, ...] = ()

    @property
    def hours(self) -> float:
        options = (*PRESETS[self.preset], *self.extra)
        return float(options[len(options) - options[::-1].index("--hours")])


def run(trial: Trial) -> dict[str, Scores]:
    """Scores of imd, and of each naive rule, by name. Raises BadRules."""
    with tempfile.TemporaryDirectory() as folder:
        trace = _simulated(trial, Path(folder))
        scorer = _scorer(trial.evaluation)
        alerts = scorer.load_trace(str(trace))
        found = {"imd": _scored(trial, trace, scorer, alerts)}
        for spec in NAIVE:
            found[spec] = _naive(scorer, alerts, spec, trial.hours)
        return found


def rules_of(
    rules: Iterable[Path], folder: Path | None = None, *, topology: bool = False, onset: bool = False
) -> Ruleset:
    """The rules, with the map and the `for:` times that lie in `folder` where they are asked for."""
    paths = list(rules)
    if folder is not None and (topology or onset):
        known = folder / "known.yaml"
        parts = ["topology: {files: [topology.json]}\n"] * topology + [
            "onset: {prometheus_rules: [for.yaml]}\n"
        ] * onset
        known.write_text("".join(parts))
        paths.append(known)
    try:
        return load(None, paths).ruleset
    except Faulty as faulty:
        raise BadRules("\n".join(found.render() for found in faulty.diagnostics)) from None


def _simulated(trial: Trial, folder: Path) -> Path:
    trace = folder / "trace.jsonl"
    files = ["--out", trace, "--topology", folder / "topology.json", "--prometheus-rules", folder / "for.yaml"]
    program = [sys.executable, trial.evaluation / "simulate_outages.py", "--seed", str(trial.seed)]
    options = [*PRESETS[trial.preset], *trial.extra]
    subprocess.run([*program, *options, *files], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return trace


def _scored(trial: Trial, trace: Path, scorer: ModuleType, alerts: dict[str, Any]) -> Scores:
    ruleset = rules_of(trial.rules, trace.parent, topology=trial.topology, onset=trial.onset)
    lines = trace.read_bytes().splitlines()
    steps = list(EventsReader(trace.name, {}).read(lines))
    began = time.process_time()
    story = replay(steps, ruleset, ack_after=timedelta(0))
    spent = time.process_time() - began
    assigned: dict[str, str] = {}
    pages: list[tuple[str, float]] = []
    roots: dict[str, dict[str, str]] = {}
    for line in assignment(json.loads(line) for line in Report(story).lines()):
        if "page" in line:
            pages.append((line["page"], line["ts"]))
        elif "root" in line:
            roots[line["root"]] = line
        else:
            assigned[line["id"]] = line["incident"]
    scores: Scores = scorer.score(alerts, assigned, pages, roots)
    _an_hour(scores, trial.hours)
    scores["us_per_event"] = spent / max(1, len(steps)) * 1e6
    return scores


def _naive(scorer: ModuleType, alerts: dict[str, Any], spec: str, hours: float) -> Scores:
    """The naive rule pages once a group, at its first alert, and calls that one the cause."""
    assigned = scorer.baseline(alerts, spec)
    first: dict[str, tuple[float, str]] = {}
    for name, event in sorted(alerts.items(), key=lambda item: (item[1]["ts"], item[0])):
        first.setdefault(assigned[name], (event["ts"], name))
    pages = [(group, ts) for group, (ts, _) in first.items()]
    roots = {group: {"id": name} for group, (_, name) in first.items()}
    scores: Scores = scorer.score(alerts, assigned, pages, roots)
    _an_hour(scores, hours)
    return scores


def _an_hour(scores: Scores, hours: float) -> None:
    scores["noise_pages_an_hour"] = (scores.get("noise_pages") or 0) / hours


@functools.cache
def _scorer(evaluation: Path) -> ModuleType:
    path = evaluation / "score_grouping.py"
    spec = importlib.util.spec_from_file_location("score_grouping", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
