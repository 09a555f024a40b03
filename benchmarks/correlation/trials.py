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
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.correlation import colonies, estates, order, sites
from benchmarks.correlation.assignment import assignment
from benchmarks.correlation.kinds import Kind, by_kind
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
OWN = "own"
"""The preset of `sites`: kinds of faults that the generator does not have, half an hour apart, on a sparse map."""
ESTATES = "estates"
"""The preset of `estates`: other habits of labels, names, maps, times and noise with every seed."""
COLONIES = "colonies"
"""The preset of `colonies`: the same with other faults, other alerts and hardly a map; nothing was chosen by it."""
MADE = {ESTATES: estates.Estate, COLONIES: colonies.Colony}
OWN_HOURS, OWN_GAP, OWN_NOISE, OWN_KNOWN = 12.0, 20.0, 20.0, 0.6
SHARES = (0.05, 0.2, 1.0)
"""Of events that come late, and of those that come twice, in a trial of order."""
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
    order: bool = False

    @property
    def hours(self) -> float:
        if self.preset == OWN:
            return OWN_HOURS
        if self.preset in MADE:
            return estates.HOURS
        options = (*PRESETS[self.preset], *self.extra)
        return float(options[len(options) - options[::-1].index("--hours")])


@dataclass
class Found:
    """`scores` of imd and of each naive rule, by name; `kinds` of imd by kind of fault; `order`: how far the incidents
    of the shuffled trace agree with those of the ordered one, by the share that was late, where that was asked."""

    scores: dict[str, Scores]
    kinds: dict[str, Kind]
    order: dict[float, float] = field(default_factory=dict)


def run(trial: Trial) -> Found:
    """Raises BadRules."""
    with tempfile.TemporaryDirectory() as folder:
        trace, faults = simulated(trial, Path(folder))
        scorer = _scorer(trial.evaluation)
        alerts = scorer.load_trace(str(trace))
        ruleset = rules_of(trial.rules, trace.parent, topology=trial.topology, onset=trial.onset)
        scores, kinds = _scored(trial, trace, ruleset, scorer, alerts, faults)
        naive = {spec: _naive(scorer, alerts, spec, trial.hours) for spec in NAIVE}
        return Found({"imd": scores, **naive}, kinds, _ordered(trace, ruleset, trial.seed) if trial.order else {})


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


def simulated(trial: Trial, folder: Path) -> tuple[Path, dict[str, str]]:
    """The trace, and the kind of each fault in it."""
    trace = folder / "trace.jsonl"
    if trial.preset == OWN:
        made = sites.write(folder, trial.seed, hours=OWN_HOURS, gap=OWN_GAP, noise=OWN_NOISE, known=OWN_KNOWN)
        return trace, {fault["truth_incident"]: fault["fault"] for fault in made}
    if trial.preset in MADE:
        made = estates.write(folder, MADE[trial.preset](trial.seed))
        return trace, {fault["truth_incident"]: fault["fault"] for fault in made}
    files = ["--out", trace, "--topology", folder / "topology.json", "--prometheus-rules", folder / "for.yaml"]
    program = [sys.executable, trial.evaluation / "simulate_outages.py", "--seed", str(trial.seed)]
    options = [*PRESETS[trial.preset], *trial.extra]
    done = subprocess.run([*program, *options, *files], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    told = json.loads(done.stderr.splitlines()[-1])
    return trace, {fault["truth_incident"]: fault["fault"] for fault in told["faults"]}


def _scored(
    trial: Trial, trace: Path, ruleset: Ruleset, scorer: ModuleType, alerts: dict[str, Any], faults: dict[str, str]
) -> tuple[Scores, dict[str, Kind]]:
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
    return scores, by_kind(alerts, assigned, pages, roots, faults)


def _ordered(trace: Path, ruleset: Ruleset, seed: int) -> dict[float, float]:
    lines = [json.loads(line) for line in trace.read_bytes().splitlines()]
    told = [line for line in lines if line["kind"] != "repeat"]
    truth = _grouped(order.in_order(told), ruleset)
    agreed = {}
    for share in SHARES:
        found = _grouped(order.shuffled(told, share, seed), ruleset)
        names = [name for name in truth if name in found]
        agreed[share] = order.agreement({name: truth[name] for name in names}, found)
    return agreed


def _grouped(lines: list[dict[str, Any]], ruleset: Ruleset) -> dict[str, str]:
    """Every alert's incident, and itself where it came to none."""
    steps = EventsReader("order", {}).read(json.dumps(line).encode() for line in lines)
    story = replay(list(steps), ruleset, ack_after=timedelta(0))
    assigned = {line["id"]: f"alone {line['id']}" for line in lines}
    told = assignment(json.loads(line) for line in Report(story).lines())
    return assigned | {line["id"]: line["incident"] for line in told if "incident" in line}


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
