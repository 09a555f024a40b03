"""`python -m tests.simulation.soak`: weeks of the daemon's life within minutes; does its memory stay as it is?

The same whole daemon in virtual time as the simulation's, on a database file, and without faults: a site of a few
hundred alerts that stand and are repeated each minute, and more that come and go, no two of them with the same labels.
History is kept for two days, so that from the third on as much is pruned as comes. A line for each day; the verdict is
about the second half of the days, by the slope of a straight line through what is resident at midnight.

Each label set that was ever sent stays known until the source's cache is full, which with 200,000 of them is after two
months here: 3,000 a day of 400 bytes each look like a leak of 1.2 MiB a day, and are none. So the cache is a small one,
which has turned over several times before the verdict begins.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import gc
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import apsw

from imd.api import ingest
from imd.config.load import Loaded
from imd.sources.labels import KnownLabels
from imd.store.contract import Retention
from imd.store.migrate import known_migrations, migrate
from imd.telemetry import Metrics
from tests.simulation import files
from tests.simulation.clients import Door
from tests.simulation.disk import PATH, STORE_ID, Disk, SimulatedStore
from tests.simulation.receivers import Servers, SimulatedHttp
from tests.simulation.simulation import SimulatedDaemon, ports
from tests.simulation.virtual import START, Crashed, Listening, Universe, VirtualLoop

DAY_SECONDS = 86_400.0
KEPT = timedelta(days=2)
STANDING = 300
"""Alerts that fire for good and are repeated each minute, in one body."""
LABELS_MAX = 2_000
"""Label sets that the source's cache holds, in place of 200,000: all that stand, and some hours of those that come."""
SLOPE_MAX_BYTES = 1 << 20
"""A day. What is over must be gone: 3,000 alerts a day that each left 400 bytes behind would be more than this."""


class FileDisk(Disk):
    """A database file in `folder`, with SQLite's own checkpoints."""

    def __init__(self, folder: Path) -> None:
        self.connection = apsw.Connection(str(folder / PATH.name))
        for setting in ("journal_mode = WAL", "synchronous = OFF"):
            self.connection.execute(f"PRAGMA {setting}").fetchall()
        migrate(self.connection, PATH, known_migrations(), START)
        self.connection.execute("INSERT INTO meta (key, value) VALUES ('store_id', ?)", (STORE_ID,))
        self.new()

    def bytes(self) -> int:
        (size,) = self.rows("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")[0]
        return int(size)


class _Store(SimulatedStore):
    """Forgets after KEPT."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._retention = Retention(journal=KEPT, closed=KEPT, silences=KEPT)


class Soak:
    """One long life. `days` collects a row for each: day, resident bytes, open alerts, incidents, database bytes."""

    def __init__(self, folder: Path, comes_and_goes: int, out: Any = sys.stdout) -> None:
        self.universe = Universe()
        self.draw = Random("soak")
        self.listening = Listening()
        self.disk = FileDisk(folder)
        self.metrics = Metrics()
        self.servers = Servers(self.universe, self.draw, lambda _line: None)
        self.door = Door(self.universe, self.listening, lambda _line: None)
        self.days: list[tuple[int, int, int, int, int]] = []
        self.refused = 0
        self._gap = DAY_SECONDS / comes_and_goes
        self._came = 0
        self._until = 0.0
        self._daemon: SimulatedDaemon | None = None
        self._out = out
        self._began = time.process_time()

    def run(self, days: int) -> None:
        self._until = days * DAY_SECONDS
        universe = self.universe
        universe.at(2.0, self._repeat)
        universe.at(5.0, self._come)
        universe.at(DAY_SECONDS, self._midnight)
        loop = VirtualLoop(universe, self.draw, self.listening)
        labels = functools.partial(KnownLabels, entries_max=LABELS_MAX)
        with ports(self.draw), patch.object(ingest, "KnownLabels", labels), contextlib.suppress(Crashed):
            loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        store = _Store(self.disk, self.universe, self.draw, lambda _name: None)
        http = SimulatedHttp(self.servers, self.draw)
        self._daemon = SimulatedDaemon(
            Path("config.yaml"), files.version("first")(), store, self.universe, self.metrics, _no_reload, http
        )
        await self._daemon.run()

    def _post(self, alerts: Sequence[dict[str, Any]]) -> None:
        self.door.ask("prometheus", "POST", "/api/v2/alerts", alerts, self._answered)

    def _answered(self, status: int, _answer: Any) -> None:
        self.refused += status != 200

    def _repeat(self) -> None:
        standing = ({"alertname": "Standing", "cluster": f"c{n % 20}", "n": str(n)} for n in range(STANDING))
        self._post([self._alert(labels, 240) for labels in standing])
        self.universe.after(60.0, self._repeat)

    def _come(self) -> None:
        self._came += 1
        number = self._came
        team = self.draw.choice(("web", "db", "low", "other"))
        group = number // 9  # incidents end: what follows has other keys
        labels = {"alertname": f"Comes{number % 50}", "team": team, "pod": f"pod-{number}"}
        labels |= {"cluster": f"c{group}", "service": f"s{group}"}
        self._post([self._alert(labels, 7200)])
        lasts = self.draw.uniform(5, 3600)
        self.universe.after(lasts, lambda: self._post([self._alert(labels, 0)]))
        self.universe.after(self._gap * self.draw.uniform(0.5, 1.5), self._come)

    def _alert(self, labels: dict[str, str], seconds: float) -> dict[str, Any]:
        ends_at = self.universe.now() + timedelta(seconds=seconds)
        return {"labels": labels, "annotations": {"summary": "soak"}, "endsAt": ends_at.isoformat()}

    def _midnight(self) -> None:
        self.servers.sends.clear()  # what the world outside remembers is not the daemon's memory
        self.door.answers.clear()
        gc.collect()
        assert self._daemon is not None
        engine = self._daemon._loop.engine
        assert engine is not None
        day = round(self.universe.elapsed / DAY_SECONDS)
        state = engine.state
        row = (day, _resident_bytes(), state.firing, len(state.incidents), self.disk.bytes())
        self.days.append(row)
        cpu = time.process_time() - self._began
        held = f"{row[2]:5} alerts firing, {row[3]:5} incidents in memory, database {row[4] / 2**20:6.1f} MiB"
        print(f"day {day:3}: {row[1] / 2**20:7.1f} MiB resident, {held}, {cpu:6.0f} s CPU", file=self._out, flush=True)
        if self.universe.elapsed >= self._until:
            raise Crashed
        self.universe.after(DAY_SECONDS, self._midnight)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the straight line that lies nearest to the points."""
    middle_x = sum(x for x, _ in points) / len(points)
    middle_y = sum(y for _, y in points) / len(points)
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / sum((x - middle_x) ** 2 for x, _ in points)


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _no_reload(_path: Path) -> Loaded:
    raise AssertionError("nobody asks for a reload")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--days", type=int, default=20, help="virtual days, at least 6; default 20")
    arguments.add_argument("--alerts", type=int, default=3000, help="alerts that come and go in a day; default 3000")
    found = arguments.parse_args()
    if found.days < 6:
        arguments.error("--days: at least 6, for the first three only fill what is kept")
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(Path(folder), found.alerts)
        soak.run(found.days)
    late = soak.days[len(soak.days) // 2 :]
    resident = slope([(day, size) for day, size, *_ in late])
    database = slope([(day, size) for day, *_, size in late])
    print(
        f"{found.days} days, {soak._came} alerts came and went, {soak.refused} requests refused; over the second half "
        f"memory grows by {resident / 2**20:+.3f} MiB a day, the database by {database / 2**20:+.3f} MiB a day"
    )
    if soak.refused or max(resident, database) > SLOPE_MAX_BYTES:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
