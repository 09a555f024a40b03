"""kill -9 at named points: of a commit, before the answer, around a send (rows 2 and 3 of docs/faults.md).

After each death imd is started again, and the oracle asks: is every acknowledged state there, is no body and no commit
there by half, does every page owed arrive, and under one key, however often it is sent?
"""

from __future__ import annotations

import itertools
import random
import signal
import sys

from tests.faults.crashing import POINTS, SECOND
from tests.faults.trials import share, spread, trials
from tests.system.killing import SINGLE, Killing, Pages, due_of_each, judge
from tests.system.load import Producer
from tests.system.running import START_SECONDS, Daemon, Daemons, until
from tests.system.sink import Message, Sink

RUNS_A_DATABASE = 100  # then a fresh one: reading thousands of incidents at each start would be most of the time
PASSES_MAX = 6  # a point is fatal at the first to sixth time that it is passed
ARMED_AT_START = 0.1  # share of runs whose point is armed before the start, and may be passed in it
ALERTS_PER_SECOND = 300
REACHED_SECONDS = 3.0

RECEIVERS = f"""receivers:
  - {{{{name: sink, type: webhook, url: "{{url}}/sink"}}}}
  - {{{{name: {SECOND}, type: webhook, url: "{{url}}/{SECOND}"}}}}
"""


class Crashing(Killing):
    """Deaths at named points."""

    def __init__(self, daemon: Daemon, producer: Producer, seed: str) -> None:
        super().__init__(daemon, producer, seed)
        self.reached: dict[str, int] = dict.fromkeys(POINTS, 0)
        self._chance = random.Random(seed)

    def crash(self, point: str) -> None:
        order = f"{point} {self._chance.randint(1, PASSES_MAX)}"
        if self._chance.random() < ARMED_AT_START:
            self._again_armed(order)
        else:
            self._order(order)
            self.daemon.send_signal(signal.SIGUSR1)
        self.producer.start()
        try:
            until("the point is passed", lambda: not self.daemon.pid, REACHED_SECONDS)
            self.reached[point] += 1
        except AssertionError:
            self.daemon.kill()  # a death all the same, counted apart
        self.daemon.wait()
        self.producer.join()
        (self.daemon.folder / "crash").unlink(missing_ok=True)
        self.resurrect()

    def _again_armed(self, order: str) -> None:
        self.daemon.kill()
        self._order(order)
        self.daemon.spawn()
        until("it is up, or dead", lambda: not self.daemon.pid or self.daemon.ready, START_SECONDS)

    def _order(self, order: str) -> None:
        (self.daemon.folder / "crash").write_text(order)


def test_at_every_point_nothing_is_lost_and_keys_stay(daemons: Daemons, sink: Sink, figures: list[str]) -> None:
    """Alert, incident and outbox row are there together or not at all; a 2xx came after them; a page whose send was cut
    off is sent again under its own key."""
    sink.delay_seconds = lambda: random.random() * 0.02
    points = list(itertools.islice(itertools.cycle(POINTS), trials(quick=len(POINTS), long=1_000)))
    reached = dict.fromkeys(POINTS, 0)
    runs = acked = due = doubles = 0
    restarts: list[float] = []
    delays: list[float] = []
    for first in range(0, len(points), RUNS_A_DATABASE):
        part = points[first : first + RUNS_A_DATABASE]
        sink.messages.clear()
        killing, pages = _campaign(daemons, sink, f"crash/{first}", part)
        runs += len(part)
        acked += killing.producer.total("acked")
        due += pages.due
        doubles += pages.duplicates
        restarts += killing.restarts
        delays += _again(sink.messages)
        reached = {point: count + killing.reached[point] for point, count in reached.items()}
        print(f"{runs} runs, {acked} acked, {due} messages due, {doubles} sent again, none lost", flush=True)
    figures.append(
        f"rows 2, 3: {runs} runs at {len(POINTS)} points, {sum(reached.values())} reached, {acked} acked, "
        f"L 0; {due} messages due, M 0, D {share(doubles, due)}, K 0; sent again after {spread(delays)}; "
        f"restart {spread(restarts)}"
    )
    assert all(reached.values()), f"never reached: {[point for point, count in reached.items() if not count]}"


def _campaign(daemons: Daemons, sink: Sink, seed: str, points: list[str]) -> tuple[Crashing, Pages]:
    daemon = daemons(RECEIVERS.format(url=sink.url), SINGLE)
    daemon.program = [sys.executable, "-m", "tests.faults.crashing"]
    daemon.start()
    producer = Producer(daemon, ALERTS_PER_SECOND, sum(seed.encode()))
    killing = Crashing(daemon, producer, seed)
    for point in points:
        killing.crash(point)
    killing.finish()
    one = [message for message in sink.messages if message.path.endswith("/sink")]
    other = [message for message in sink.messages if message.path.endswith(SECOND)]
    pages = Pages(one, due_of_each(daemon, producer))
    judge(killing, pages)
    beside = Pages(other, due_of_each(daemon, producer))
    judge(killing, beside)
    assert {message.key for message in one} == {message.key for message in other}, "a key of its own for each receiver"
    pages.due += beside.due
    pages.duplicates += beside.duplicates
    assert daemon.stop() == 0
    return killing, pages


def _again(messages: list[Message]) -> list[float]:
    """Seconds from each receipt of a message to its next."""
    last: dict[str, float] = {}
    delays = []
    for message in messages:
        if message.id in last:
            delays.append(message.at - last[message.id])
        last[message.id] = message.at
    return delays
