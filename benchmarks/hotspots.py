"""Where a new alert's CPU time goes: by thread, by stage, and by function.

    python -m benchmarks.hotspots [--quick] [--functions N]

Threads: the daemon under load, main thread against all others (the store's writer before all), from /proc. Stages: the
same alerts through the same code in this process, a stage at a time, without HTTP; `HTTP and loop` is what is left of
the main thread's share. Functions: the daemon under cProfile, main thread alone; it makes Python code look two or three
times dearer than C, so it shows where to look and not what would be saved.
"""

from __future__ import annotations

import math
import pstats
import tempfile
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.driver import alerts, process
from benchmarks.driver.client import CONNECTIONS
from benchmarks.driver.figures import Results
from benchmarks.driver.options import Options, options_of, parser, quiet_driver
from benchmarks.driver.server import NO_PAGES, Grouping, Imd, one_rule
from benchmarks.rules import ruleset
from imd.core.engine import Engine
from imd.core.state import State
from imd.daemon.gather import ALERTS_MAX
from imd.model.effect import Counted, Effect
from imd.model.event import AlertsReported
from imd.sources.alertmanager_api import AlertmanagerApi
from imd.sources.labels import KnownLabels
from imd.store.contract import Batch, Store
from imd.store.migrate import open_store

ALERTS = {1: 20_000, 100: 60_000}
"""Alerts by body size."""

WARM_UP = 1_000
NOWHERE = "http://127.0.0.1:9/"
MAIN, OTHERS = "main thread", "other threads"


def threads(size: int, count: int) -> dict[str, process.ThreadCpu]:
    """CPU of the daemon's threads while it takes `count` new alerts."""
    target = Imd()
    with target.server(NOWHERE, NO_PAGES, Grouping.BY_NAME) as server:
        server.fill(alerts.requests(target.path, target.form, range(count, count + WARM_UP), size))
        load = alerts.requests(target.path, target.form, range(count), size)
        before = process.threads(server.pid)
        server.fill(load)
        used = {one: cpu.since(before.get(one)) for one, cpu in process.threads(server.pid).items()}
        main = used.pop(server.pid)
    others = process.ThreadCpu(sum(one.user for one in used.values()), sum(one.system for one in used.values()))
    return {MAIN: main, OTHERS: others}


@dataclass
class Stages:
    """CPU seconds by stage; `writer` is what other threads than the main one used during commits."""

    decode: float = 0.0
    step: float = 0.0
    encode: float = 0.0
    writer: float = 0.0


def stages(size: int, count: int) -> Stages:
    """New alerts through decoder, engine, batch and store. Every commit takes one body of each connection, as under
    load, and what these say is stepped together, as many alerts at a time as the loop does."""
    engine = Engine(ruleset([one_rule(NO_PAGES, Grouping.BY_NAME)]), State("benchmark"))
    decoder = AlertmanagerApi(KnownLabels({}))
    since = alerts.now()
    made = [[alerts.alert(number, since) for number in range(start, start + size)] for start in range(0, count, size)]
    bodies = [alerts.api_body(part) for part in made]
    used = Stages()
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(f"sqlite:///{folder}/imd.db")
        for start in range(0, len(bodies), CONNECTIONS):
            _commit(store, _step(engine, decoder, bodies[start : start + CONNECTIONS], used), used)
        store.close()
    return used


def _step(engine: Engine, decoder: AlertmanagerApi, bodies: list[bytes], used: Stages) -> Batch:
    batch, now = Batch(), datetime.now(UTC)
    began = time.thread_time()
    reports = [report for body in bodies for report in decoder.decode(body, now).alerts]
    used.decode += time.thread_time() - began
    for start in range(0, len(reports), ALERTS_MAX):
        event = AlertsReported("alertmanager", True, tuple(reports[start : start + ALERTS_MAX]))
        decoded = time.thread_time()
        effects: list[Effect] = engine.step(event, now)
        stepped = time.thread_time()
        for effect in effects:
            if type(effect) is not Counted:
                batch.add(effect, now)
        used.step += stepped - decoded
        used.encode += time.thread_time() - stepped
    return batch


def _commit(store: Store, batch: Batch, used: Stages) -> None:
    over = threading.Event()
    errors: list[BaseException | None] = []

    def done(error: BaseException | None) -> None:
        errors.append(error)
        over.set()

    process_began, main_began = time.process_time(), time.thread_time()
    store.commit(batch, done)
    over.wait()
    used.writer += (time.process_time() - process_began) - (time.thread_time() - main_began)
    if errors[0] is not None:
        raise errors[0]


def functions(size: int, count: int, shown: int) -> None:
    """Prints the main thread's dearest functions, by their own time."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "profile"
        target = Imd(under=("-m", "cProfile", "-o", str(file)))
        with target.server(NOWHERE, NO_PAGES, Grouping.BY_NAME) as server:
            server.fill(alerts.requests(target.path, target.form, range(count), size))
        pstats.Stats(str(file)).sort_stats("tottime").print_stats(shown)


def run(options: Options) -> Results:
    columns = ("us an alert", "us user", "us system")
    results = Results("hotspots", columns)
    for size, full in ALERTS.items():
        count = options.count(full)
        cell = f"body of {size}, new"
        by_thread, by_stage = threads(size, count), stages(size, count)
        us = 1e6 / count
        for name, cpu in by_thread.items():
            figures = ((cpu.user + cpu.system) * us, cpu.user * us, cpu.system * us)
            results.add(cell, name, 0, **dict(zip(columns, figures, strict=True)))
        rest = (by_thread[MAIN].user + by_thread[MAIN].system) - by_stage.decode - by_stage.step - by_stage.encode
        parts = {"decode": by_stage.decode, "engine step": by_stage.step, "encode rows": by_stage.encode}
        for name, seconds in {**parts, "HTTP and loop": rest, "writer, alone": by_stage.writer}.items():
            results.add(cell, f"- {name}", 0, **{columns[0]: seconds * us, columns[1]: math.nan, columns[2]: math.nan})
    return results


def main() -> None:
    quiet_driver()
    arguments = parser(__doc__)
    arguments.add_argument("--functions", type=int, default=0, metavar="N", help="the N dearest functions as well")
    found = arguments.parse_args()
    options = options_of(found)
    results = run(options)
    print(f"\n{results.table()}\n", flush=True)
    results.write(options.json)
    if found.functions:
        for size, full in ALERTS.items():
            print(f"## body of {size}\n")
            functions(size, options.count(full) // 2, found.functions)


if __name__ == "__main__":
    main()
