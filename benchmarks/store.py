"""What the store costs: CPU of the whole process (encoding and writer thread) per row, and the time of single commits.

    python benchmarks/store.py [folder]

The folder decides which disk is measured; without one the system's temporary folder is.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from imd.model.alert import Alert, AlertState, Span, identify
from imd.model.effect import Effect, Journal, SaveAlert, SaveSeen
from imd.store.contract import Batch, Store
from imd.store.migrate import open_store

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ALERTS = 100_000
BATCH = 2_000


def alert(number: int) -> Alert:
    """Ten labels, 300 bytes of annotations: some 670 bytes as a record."""
    labels = {f"label{place}": f"value-{place}-{number % 1000 if place else number}" for place in range(10)}
    return Alert(
        id=number,
        identity=identify(labels),
        source="prom",
        by_api=True,
        state=AlertState.FIRING,
        starts_at=NOW,
        received_at=NOW,
        seen_at=NOW,
        spans=(Span(NOW, NOW + timedelta(minutes=4), None),),
        annotations=b'{"summary":"' + b"x" * 280 + b'"}',
        generator_url="http://prometheus.example:9090/graph?g0.expr=up",
        incident=f"i{number // 50:08d}",
        joined_at=NOW,
        joined_because="joined",
        rule="node-loss",
    )


def commit(store: Store, batch: Batch) -> None:
    over = threading.Event()
    answers: list[BaseException | None] = []

    def done(answer: BaseException | None) -> None:
        answers.append(answer)
        over.set()

    store.commit(batch, done)
    over.wait()
    if answers[0] is not None:
        raise answers[0]


def measure(store: Store, name: str, effects: Callable[[int, int], Iterable[Effect]], rows: int, step: int) -> None:
    """Commit `rows` in batches of `step`, one after the other, and print what each row cost."""
    adding = 0.0
    waits: list[float] = []
    started, cpu = time.perf_counter(), time.process_time()
    for first in range(0, rows, step):
        batch = Batch()
        before = time.thread_time()
        for effect in effects(first, first + step):
            batch.add(effect, NOW)
        adding += time.thread_time() - before
        before = time.perf_counter()
        commit(store, batch)
        waits.append(time.perf_counter() - before)
    cpu = time.process_time() - cpu
    wall = time.perf_counter() - started
    waits.sort()
    print(
        f"{name:36} {cpu / rows * 1e6:6.2f} us CPU a row (adding {adding / rows * 1e6:.2f}), "
        f"{rows / cpu:9,.0f} rows/CPU-s, {rows / wall:9,.0f} rows/s; commit p50 {waits[len(waits) // 2] * 1e3:.2f} "
        f"p99 {waits[len(waits) * 99 // 100] * 1e3:.2f} ms; log {store.wal_bytes / 1e6:.0f} MB"
    )


def measure_alerts(store: Store, alerts: list[Alert]) -> None:
    def new(first: int, end: int) -> Iterable[Effect]:
        yield from (SaveAlert(each) for each in alerts[first:end])
        yield from (Journal(NOW, b"x" * 25_000) for _ in range((end - first) // 100))

    def again(first: int, end: int) -> Iterable[Effect]:
        return (SaveAlert(each) for each in alerts[first:end])

    def seen(first: int, end: int) -> Iterable[Effect]:
        yield SaveSeen(tuple(alerts[first:end]))

    measure(store, "new alert, 1 journal row a 100", new, ALERTS, BATCH)
    for each in alerts:
        each.state, each.ended_at = AlertState.RESOLVED, NOW
    measure(store, "changed alert", again, ALERTS, BATCH)
    for name in ("repeats, first flush", "repeats, later flush"):
        for each in alerts:
            each.seen_at, each.count = each.seen_at + timedelta(seconds=15), each.count + 1
        measure(store, name, seen, ALERTS, BATCH)
    for each in alerts:
        each.annotations = each.annotations.replace(b"xx", b"yx", 1)
    measure(store, "repeats, other annotations", seen, ALERTS, BATCH)
    measure(store, "changed alert, batches of 10", again, ALERTS // 5, 10)
    measure(store, "changed alert, batches of 1", again, ALERTS // 20, 1)


def main(folder: str | None) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as place:
        url = f"sqlite:///{Path(place).absolute()}/imd.db"
        store = open_store(url)
        measure_alerts(store, [alert(number) for number in range(1, ALERTS + 1)])
        store.close()
        started = time.perf_counter()
        store = open_store(url)
        opened = time.perf_counter()
        held = len(store.load().alerts)
        print(
            f"start: open and check {opened - started:.2f} s, load {held:,} alerts {time.perf_counter() - opened:.2f} s"
        )
        store.close()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
