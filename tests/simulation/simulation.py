"""One seed's run of the whole daemon: imd's own `Daemon` over virtual time, disk and network, killed and started again.

Owns the lives of the process and what the items of a plan do. Nothing of imd is replaced but its ports: the event loop,
the clock, the file under SQLite and its threads, the HTTP client's one method, the listening socket, the files of the
configuration. What is wrong is found by `oracles`; the journal is one line for everything that crosses a port.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import structlog

from imd.config.load import Loaded
from imd.core import backlog, page
from imd.daemon import app, garbage, loop, proof
from imd.daemon.app import Daemon
from imd.daemon.memory import Memory
from imd.store.contract import StoreFailed, StoreRefused
from imd.telemetry import Metrics
from tests.simulation import files
from tests.simulation.clients import Beater, Door, Person, Prometheus, Sender, in_future
from tests.simulation.disk import COMMIT_SECONDS, Disk, SimulatedStore
from tests.simulation.oracles import Oracles
from tests.simulation.plan import CALM_AT, END_AT, OVER_AT, RECEIVERS, Item
from tests.simulation.receivers import Send, Servers, SimulatedHttp
from tests.simulation.virtual import Crashed, Listening, Universe, VirtualLoop

ALIVE_EVERY_SECONDS = 15.0
"""In place of imd's 5: an idle hour is then 240 commits. Outages are measured the more coarsely. How late the loop is
is looked at as often, and not each 0.1 s: no callback takes any time here."""
DIGEST_INCIDENTS_MAX = 2  # in place of 500
IDLE_SECONDS = 600.0  # between looks at a canary that no file asks for
RESTART_SECONDS = 1.0  # systemd's Restart=always, for a process that ended by itself


@dataclass
class Outcome:
    """What came of one seed."""

    seed: int
    items: Sequence[Item]
    journal: list[str]
    violations: list[str]
    lives: int = 0
    sends: int = 0
    answers: int = 0
    counted: dict[str, int] = field(default_factory=dict)


class _Memory(Memory):
    """There is enough, and nobody reads of the machine's."""

    async def watch(self) -> None: ...


class SimulatedDaemon(Daemon):
    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._memory = _Memory(self._metrics)


class Simulation:
    """`items` in order of time, as `plan` makes them or a test writes them."""

    _disk: Disk | None = None
    _metrics: Metrics | None = None

    def __init__(self, seed: int, items: Sequence[Item]) -> None:
        cls = Simulation
        cls._disk = cls._disk or Disk()
        cls._metrics = cls._metrics or Metrics()
        self.seed = seed
        self.items = items
        self.disk = cls._disk
        self.disk.wipe()
        self.metrics = cls._metrics
        self.draw = Random(f"run {seed}")
        self.universe = Universe()
        self.listening = Listening()
        self.journal: list[str] = []
        self.servers = Servers(self.universe, self.draw, self.note)
        self.door = Door(self.universe, self.listening, self.note)
        self.senders: list[Sender] = []
        self.site = "plain"
        self.beater: Beater | None = None
        self.files = "first"
        self.loop: VirtualLoop | None = None
        self.lives = 0
        self.crashes = 0
        self.down_for = 0.0
        self.ended = False
        self._wanted: tuple[str, int, float] | None = None  # the point at which to crash, its count, the time down
        self.oracles = Oracles(self)
        self.disk.troubled = self.oracles.trouble
        self.servers.saw = self.oracles.page_starts
        self.servers.point = self.door.point = self.point

    def note(self, line: str) -> None:
        self.journal.append(f"{self.universe.elapsed:11.6f} {line}")

    # -- the process ----------------------------------------------------------------------------------------------

    def run(self) -> Outcome:
        for item in self.items:
            self._place(item)
        self.universe.at(CALM_AT, self._calm)
        self.universe.at(CALM_AT + 240, self.oracles.when_calm_a_while)
        self.universe.at(OVER_AT, self._over)
        self.universe.at(END_AT, self._end)
        with ports(self.draw):
            while not self.ended:
                self._live()
        self.oracles.at_the_end()
        counted = {"failed commits": self.disk.failed, "crashes": self.crashes, "moves": self.oracles.moves()}
        return Outcome(
            self.seed, self.items, self.journal, self.oracles.violations, self.lives,
            len(self.servers.sends), len(self.door.answers), counted,
        )  # fmt: skip

    def _live(self) -> None:
        """One process, from its start to its end, and the time until the next."""
        self.lives += 1
        self.note(f"imd starts, life {self.lives}")
        self.oracles.process_begins()
        loop = self.loop = VirtualLoop(self.universe, self.draw, self.listening)
        store: SimulatedStore | None = None
        self.down_for = RESTART_SECONDS
        try:
            store = SimulatedStore(self.disk, self.universe, self.draw, self.point, self.oracles.queued)
            loop.run_until_complete(self._serve(store))
            store.close()
            self.note("imd ends")
        except (StoreRefused, StoreFailed) as error:
            self.note(f"imd exits 1: {error}")
        except Crashed:
            if not self.ended:
                self.crashes += 1
                self.note(f"imd is killed, {self.down_for:.1f} s")
        finally:
            self._bury(loop)
        if not self.ended:
            self._pass(self.down_for)

    async def _serve(self, store: SimulatedStore) -> None:
        loaded = files.version("changed" if self.files == "changed" else "first", self.site)()
        http = SimulatedHttp(self.servers, self.draw)
        await SimulatedDaemon(Path("config.yaml"), loaded, store, self.universe, self.metrics, self._load, http).run()

    def _load(self, _path: Path) -> Loaded:
        return files.version(self.files, self.site)()

    def _bury(self, loop: VirtualLoop) -> None:
        """Nothing of a dead process runs any more, and nobody complains of it."""
        self.loop = None
        self._wanted = None
        self.disk.died()
        self.listening.died()
        self.oracles.process_ended(loop.unhandled)
        loop.set_exception_handler(lambda _loop, _context: None)
        loop._ready.clear()
        loop._scheduled.clear()
        for task in asyncio.all_tasks(loop):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            with contextlib.suppress(BaseException):
                task.get_coro().close()  # type: ignore[union-attr]
        loop._ready.clear()
        loop._scheduled.clear()
        loop.close()

    def _pass(self, seconds: float) -> None:
        """Time without a process."""
        until = self.universe.elapsed + seconds
        while self.universe.next_at <= until and not self.ended:
            with contextlib.suppress(Crashed):  # nothing to kill
                self.universe.turn()
        self.universe.elapsed = max(self.universe.elapsed, until)

    def point(self, name: str) -> None:
        """A place where a crash may have been asked for."""
        wanted = self._wanted
        if wanted is None or wanted[0] != name:
            return
        if wanted[1] > 1:
            self._wanted = (name, wanted[1] - 1, wanted[2])
            return
        self.down_for = wanted[2]
        self.note(f"crash point: {name}")
        raise Crashed

    # -- the plan -------------------------------------------------------------------------------------------------

    def _place(self, item: Item) -> None:
        take: Callable[[Item, Random], None] = getattr(self, f"_on_{item.kind}")
        draw = Random(f"{self.seed} {item.seed}")
        if item.kind in ("alert", "site"):
            take(item, draw)
            return

        def due() -> None:
            self.note(f"! {item.kind} {item.what}")
            take(item, draw)

        self.universe.at(item.at, due)

    def _on_alert(self, item: Item, draw: Random) -> None:
        labels = item.what["labels"]
        by = item.what.get("by", "")
        kind = Prometheus if by else Sender
        sender = kind(labels["alertname"], labels, self.door, self.universe, draw, self.oracles.taken)
        sender.late = item.what.get("late", 0.0)
        self.senders.append(sender)
        for number, at in enumerate(item.what["flips"]):
            status = ("gone" if "gone" in by else "resolved") if number % 2 else "firing"
            self.universe.at(at, lambda status=status: sender.turns(status))  # type: ignore[misc]

    def _on_site(self, item: Item, _draw: Random) -> None:
        self.site = item.what["name"]
        if "silent" in item.what:
            self.beater = Beater("job", self.door, self.universe, item.what["silent"])
            self.universe.at(1.0, self.beater.begin)

    def _on_odd(self, item: Item, draw: Random) -> None:
        action = item.what["action"]
        zoe = Person("zoe", self.door, self.universe, draw, self.oracles.acted)
        if action == "report":
            zoe.says("POST", "/v1/incidents", {"by": "zoe", "title": "it smells", "key": "k", "policy": "db"})
        elif action == "override":
            asked = {"by": "zoe", "schedule": "duty", "person": "ben", "for": "5m"}
            zoe.says("POST", "/v1/oncall/overrides", asked)
        elif action == "split":
            self._split(zoe, draw)
        else:
            self._odd(zoe, action, draw)

    def _odd(self, zoe: Person, action: str, draw: Random) -> None:
        status = "resolved" if action == "close" else "open"

        def looked(status: int, answer: Any) -> None:
            found = [one["id"] for one in answer["items"]] if status == 200 else []
            if action == "merge" and len(found) > 1:
                one, other = draw.sample(found, 2)
                zoe.acts_on(one, "merge", {"into": other})
            elif action != "merge" and found:
                body = {"to": draw.choice(("person:ben", "receiver:desk"))} if action == "responder" else {}
                zoe.acts_on(draw.choice(found), action, body)

        self.door.ask("zoe", "GET", f"/v1/incidents?status={status}", None, looked)

    def _split(self, zoe: Person, draw: Random) -> None:
        def looked(status: int, answer: Any) -> None:
            found = [one["id"] for one in answer["items"]] if status == 200 else []
            if found:
                chosen = draw.choice(found)
                ask = f"/v1/incidents/{chosen}/alerts"
                self.door.ask("zoe", "GET", ask, None, lambda status, answer: saw(chosen, status, answer))

        def saw(incident: str, status: int, answer: Any) -> None:
            members = [one["fingerprint"] for one in answer["items"]] if status == 200 else []
            if len(members) > 1:
                zoe.acts_on(incident, "split", {"fingerprints": members[:1]})

        self.door.ask("zoe", "GET", "/v1/incidents?status=open", None, looked)

    def _on_person(self, item: Item, draw: Random) -> None:
        action = item.what["action"]
        person = Person(item.what["by"], self.door, self.universe, draw, self.oracles.acted)
        person.acts(action.rstrip("!"), _body(action, draw))

    def _on_answerer(self, item: Item, draw: Random) -> None:
        what, left = item.what, item.what["times"]

        def took(send: Send) -> None:
            nonlocal left
            if left > 0 and send.kind == "page" and send.incident and send.receiver in what["reads"]:
                left -= 1
                action, body = what["action"].rstrip("!"), _body(what["action"], draw)
                person = Person(what["by"], self.door, self.universe, draw, self.oracles.acted)
                after = what["after"] * draw.uniform(0.5, 1.5)
                self.universe.after(after, lambda: person.acts_on(send.incident, action, body))

        self.servers.readers.append(took)

    def _on_crash(self, item: Item, _draw: Random) -> None:
        what = item.what
        if self.loop is None:
            return
        if "point" in what:
            self._wanted = (what["point"], what["count"], what["down"])
        elif "turns" in what:
            self.down_for = what["down"]
            self.loop.crash_at_turn = self.loop.turns + what["turns"]
        else:
            self.down_for = what["down"]
            raise Crashed

    def _on_stop(self, item: Item, _draw: Random) -> None:
        if self.loop is not None and signal.SIGTERM in self.loop.signals:
            self.down_for = item.what["down"]
            self.loop.signals[signal.SIGTERM]()

    def _on_receiver(self, item: Item, _draw: Random) -> None:
        who = RECEIVERS if item.what["receiver"] == "all" else (item.what["receiver"],)
        for receiver in who:
            self.servers.moods[receiver] = item.what["mood"]
            self.universe.after(item.what["for"], lambda receiver=receiver: self.servers.moods.pop(receiver, None))  # type: ignore[misc]

    def _on_disk(self, item: Item, _draw: Random) -> None:
        disk, what, after = self.disk, item.what, self.universe.after
        if "full" in what:
            disk.full = True
            after(what["full"], lambda: setattr(disk, "full", False))
        if "reads" in what:
            disk.broken_reads = True
            after(what["reads"], lambda: setattr(disk, "broken_reads", False))
        if "slow" in what:
            disk.slow = what["slow"]
            after(what["for"], lambda: setattr(disk, "slow", COMMIT_SECONDS))
        if "fails" in what:
            disk.fail_commits, disk.kept = what["fails"], what["kept"]

    def _on_quiet(self, item: Item, draw: Random) -> None:
        what = item.what
        person = Person("zoe", self.door, self.universe, draw, self.oracles.acted)
        if "pause" in what:
            person.says("POST", "/v1/pause", {"by": "zoe", "for": f"{what['pause']:.0f}s", "reason": "tests"})
            return
        matchers = [f'{name}="{value}"' for name, value in what["silence"].items()]
        ends_at = in_future(self.universe, what["for"])
        person.says("POST", "/v1/silences", {"by": "zoe", "matchers": matchers, "ends_at": ends_at, "comment": "tests"})
        if what["expire"]:
            self.universe.after(what["for"] / 2, lambda: self._expire(draw))

    def _expire(self, draw: Random) -> None:
        def looked(status: int, answer: Any) -> None:
            for one in answer["items"] if status == 200 else ():
                person = Person("zoe", self.door, self.universe, draw, self.oracles.acted)
                person.says("POST", f"/v1/silences/{one['id']}/expire", {"by": "zoe"})

        self.door.ask("zoe", "GET", "/v1/silences", None, looked)

    def _on_reload(self, item: Item, _draw: Random) -> None:
        self.files = item.what["version"]
        if item.what["by"] == "door":
            self.door.ask("operator", "POST", "/-/reload", None, lambda _status, _answer: None)
        elif self.loop is not None and signal.SIGHUP in self.loop.signals:
            self.loop.signals[signal.SIGHUP]()

    def _on_clock(self, item: Item, _draw: Random) -> None:
        self.universe.set_by += timedelta(seconds=item.what["by"])
        self.oracles.clock_set()

    def _calm(self) -> None:
        self.note("! every fault ends")
        self.oracles.calm_begins()
        self.disk.heal()
        self.servers.moods.clear()
        self.servers.readers.clear()
        self._wanted = None
        if self.loop is not None:
            self.loop.crash_at_turn = 0

    def _over(self) -> None:
        self.oracles.when_calm()
        self.note("! all resolves")
        for sender in self.senders:
            if sender.status:
                sender.turns("resolved")
        self._end_reports()

    def _end_reports(self) -> None:
        """What a person reported, a person ends."""

        def looked(_status: int, answer: Any) -> None:
            zoe = Person("zoe", self.door, self.universe, self.draw, self.oracles.acted)
            for one in answer["items"]:
                if one["reported_by"]:
                    zoe.acts_on(one["id"], "resolve", {"force": True})

        if self.site != "plain":
            self.door.ask("zoe", "GET", "/v1/incidents?status=open", None, looked)

    def _end(self) -> None:
        self.ended = True
        self.note("! the end")
        raise Crashed


def _body(action: str, draw: Random) -> dict[str, Any]:
    match action:
        case "snooze":
            return {"for": f"{draw.randint(30, 400)}s"}
        case "note":
            return {"note": "looking"}
        case "assign":
            return {"to": "ben"}
        case "resolve!":
            return {"force": True}
        case _:
            return {}


@contextlib.contextmanager
def ports(draw: Random) -> Iterator[None]:
    """What is set for the process as a whole, and put back. Ids of silences are random, by way of uuid4."""
    before = structlog.get_config()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger("critical"), cache_logger_on_first_use=False
    )
    try:
        with (
            patch.object(os, "urandom", draw.randbytes),
            patch.object(app, "settle_memory", lambda: None),
            patch.object(garbage, "sweep", lambda: None),
            patch.object(loop, "ALIVE_EVERY_SECONDS", ALIVE_EVERY_SECONDS),
            patch.object(loop, "LAG_EVERY_SECONDS", ALIVE_EVERY_SECONDS),
            patch.object(page, "DIGEST_INCIDENTS_MAX", DIGEST_INCIDENTS_MAX),
            patch.object(backlog, "DIGEST_INCIDENTS_MAX", DIGEST_INCIDENTS_MAX),
            patch.object(proof, "_LOOK_EVERY_SECONDS", IDLE_SECONDS),
        ):
            yield
    finally:
        structlog.configure(**before)
