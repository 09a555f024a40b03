"""What rules cost: 10 against 10,000 of them, for new alerts and for repeats; and what alerts already open cost.

    python -m benchmarks.rules [--rounds N] [--quick] [--json FILE]

The engine alone (in this process: no HTTP, no decoding, no disk) and the whole daemon by bodies of 100. Two kinds of
rules: all by name (`alertname="X", namespace="Y"`), and with one in a hundred by a pattern that no index can file, so
that it is tried for every new alert. The alerts match none but the last rule: the dearest case. Repeats are never
matched. The last table column compares with 10 rules and nothing open in the same round.
"""

from __future__ import annotations

import asyncio
import gc
import json
import math
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.driver import alerts
from benchmarks.driver.client import drive
from benchmarks.driver.figures import Results
from benchmarks.driver.options import Options, conclude, parse, quiet_driver
from benchmarks.driver.server import NO_PAGES, Grouping, Imd, rule, rules_file, write_rules
from imd.config.load import load_rules
from imd.core.engine import Engine
from imd.core.state import State
from imd.model.event import AlertsReported
from imd.model.policy import Ruleset
from imd.sources.alertmanager_api import AlertmanagerApi
from imd.sources.labels import KnownLabels

FEW, MANY = 10, 10_000
OPEN = 100_000
BODY = 100
FILE_RULES = 2_000  # rules in one file: a megabyte is the most that one may have
ENGINE_ALERTS = 20_000
DAEMON_ALERTS = 20_000
REPEATED = 10
NOWHERE = "http://127.0.0.1:9/"
NEW, REPEAT = "us CPU a new alert", "us CPU a repeat"
FIRST = f"{FEW} rules"
CELLS: dict[str, tuple[int, int, int]] = {
    FIRST: (FEW, 0, 0),
    f"{MANY:,} rules by name": (MANY, 0, 0),
    f"{MANY:,} rules, 1 % by pattern": (MANY, 100, 0),
    f"{FEW} rules, many open": (FEW, 0, OPEN),
}
"""Cell: how many rules, of which every so many-th is by pattern (0: none), and how many alerts are open before
(a tenth with --quick)."""

INCIDENTS = 10_000
ENTITIES = (100, 10_000)
ON_MAP = 4_000
"""Alerts whose place on the map is looked for."""


def rules(count: int, pattern_every: int) -> list[str]:
    """Texts of rule files. No rule but the last takes the benchmark's alerts."""
    made = []
    for number in range(count - 1):
        match = f'alertname="Absent{number:05d}", namespace="shop-{number % 40}"'
        if pattern_every and number % pattern_every == 0:
            match = f'service=~"absent-{number:05d}-.*"'
        made.append(rule(f"rule-{number:05d}", match, NO_PAGES, Grouping.BY_NAME))
    made.append(rule("last", 'service="checkout"', NO_PAGES, Grouping.BY_NAME))
    parts = [made[start : start + FILE_RULES] for start in range(0, count, FILE_RULES)]
    return [rules_file(part, last=part is parts[-1]) for part in parts]


def ruleset(texts: Sequence[str]) -> Ruleset:
    with tempfile.TemporaryDirectory() as folder:
        write_rules(Path(folder) / "rules", texts)
        return load_rules([Path(folder) / "rules"]).ruleset


def instance(host: int) -> str:
    return f"10.0.{host >> 8 & 255}.{host & 255}:8080"


def on_map(entities: int, grouping: str = Grouping.BY_NAME) -> str:
    """A rules file with a map of hosts in racks of ten, and one rule that relates along it."""
    hosts: list[dict[str, object]] = [{"id": f"rack/{number}"} for number in range(entities // 10)]
    for number in range(entities):
        match = f'instance="{instance(number)}"'
        hosts.append({"id": f"host/{number}", "match": match, "part_of": [f"rack/{number % (entities // 10)}"]})
    taking = {**rule("last", 'service="checkout"', NO_PAGES, grouping), "relate": {"along": "topology"}}
    made = json.loads(rules_file([taking], last=True))
    return json.dumps({"topology": {"entities": hosts}, **made})


def events(numbers: Sequence[int], at: datetime, names: int = alerts.NAMES) -> list[AlertsReported]:
    """As the daemon's decoder makes them."""
    decoder, since = AlertmanagerApi(KnownLabels({})), alerts.now()
    made = []
    for start in range(0, len(numbers), BODY):
        body = alerts.api_body([alerts.alert(number, since, names) for number in numbers[start : start + BODY]])
        made.append(AlertsReported("alertmanager", True, tuple(decoder.decode(body, at).alerts)))
    return made


def cpu_of(engine: Engine, given: Sequence[AlertsReported], at: datetime) -> float:
    began = time.process_time()
    for event in given:
        engine.step(event, at)
    return time.process_time() - began


def engine_alone(results: Results, options: Options, number: int, cell: str, decided_by: Ruleset, held: int) -> None:
    at = datetime.now(UTC)
    engine = Engine(decided_by, State("benchmark"))
    count, held = options.count(ENGINE_ALERTS), options.count(held) if held else 0
    cpu_of(engine, events(range(count, count + held), at), at)
    cpu_of(engine, events(range(count + held, count + held + 1000), at), at)
    new = events(range(count), at)
    gc.collect()
    at += timedelta(seconds=1)
    figures = {NEW: cpu_of(engine, new, at) / count * 1e6}
    again = sum(cpu_of(engine, new, at + timedelta(seconds=turn)) for turn in range(1, REPEATED + 1))
    figures[REPEAT] = again / count / REPEATED * 1e6
    results.add(cell, "engine", number, **figures, **compared(results, "engine", number, figures))


def many_incidents(results: Results, options: Options, number: int, decided_by: Ruleset) -> None:
    """New alerts beside so many open incidents."""
    at = datetime.now(UTC)
    engine = Engine(decided_by, State("benchmark"))
    count, incidents = options.count(ENGINE_ALERTS), options.count(INCIDENTS)
    cpu_of(engine, events(range(count, count + incidents), at, incidents), at)
    figures = {NEW: cpu_of(engine, events(range(count), at), at) / count * 1e6, REPEAT: math.nan}
    compare = compared(results, "engine", number, figures)
    results.add(f"{FEW} rules, many incidents", "engine", number, **figures, **compare)


def many_entities(results: Results, options: Options, number: int, maps: dict[int, Ruleset]) -> None:
    """New alerts of a rule that relates, on a small map and on a large one. A time of its own: relating is dearer."""
    used: list[float] = []
    for entities, decided_by in maps.items():
        at, count = datetime.now(UTC), options.count(ON_MAP)
        engine = Engine(decided_by, State("benchmark"))
        used.append(cpu_of(engine, events(range(count), at), at) / count * 1e6)
        figures = {NEW: used[-1], REPEAT: math.nan, "new: times": used[-1] / used[0], "repeat: times": math.nan}
        results.add(f"{entities:,} entities", "engine", number, **figures)


def whole_daemon(results: Results, options: Options, number: int, cell: str, texts: Sequence[str], held: int) -> None:
    target = Imd(rules=texts)
    count, held = options.count(DAEMON_ALERTS), options.count(held) if held else 0
    with target.server(NOWHERE, NO_PAGES, Grouping.BY_NAME) as server:
        server.fill(alerts.requests(target.path, target.form, range(count, count + held + 1000), BODY))
        new = alerts.requests(target.path, target.form, range(count), BODY)
        used = []
        for load in (new, new * REPEATED):
            before = server.cpu_seconds()
            came = asyncio.run(drive(server.port, load))
            used.append((server.cpu_seconds() - before) / came.accepted * 1e6)
    figures = {NEW: used[0], REPEAT: used[1]}
    results.add(cell, "daemon", number, **figures, **compared(results, "daemon", number, figures))


def compared(results: Results, target: str, number: int, figures: dict[str, float]) -> dict[str, float]:
    """The figures as multiples of the first cell's of this round."""
    first = next((one for one in results.every if (one.target, one.round, one.cell) == (target, number, FIRST)), None)
    base = first.figures if first is not None else figures
    return {"new: times": figures[NEW] / base[NEW], "repeat: times": figures[REPEAT] / base[REPEAT]}


def run(options: Options) -> Results:
    results = Results("rules", (NEW, "new: times", REPEAT, "repeat: times"))
    texts = {cell: rules(count, pattern_every) for cell, (count, pattern_every, _) in CELLS.items()}
    rulesets = {cell: ruleset(text) for cell, text in texts.items()}
    maps = {entities: ruleset([on_map(entities)]) for entities in ENTITIES}
    for number in range(options.rounds):
        for cell, (_, _, held) in CELLS.items():
            engine_alone(results, options, number, cell, rulesets[cell], held)
            whole_daemon(results, options, number, cell, texts[cell], held)
        many_incidents(results, options, number, rulesets[FIRST])
        many_entities(results, options, number, maps)
    return results


def main(options: Options) -> Results:
    quiet_driver()
    return conclude(run(options), options)


if __name__ == "__main__":
    main(parse(__doc__))
