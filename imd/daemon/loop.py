"""Inbox to step to commit to answer: the only caller of the engine, and the single writer.

Owns the order that every promise hangs on. How it works, all in the event loop's thread:

- `submit` steps the engine and puts the effects into the open batch; then it waits for that batch's commit.
- Alerts gather first and are stepped together, a few hundred at a time: at once where more come, with a turn of the
  loop for others between, else when the batch leaves. What was due before they came is done before them. Other events
  pass them by: nobody was told yet that they were taken.
- The open batch goes to the store's writer thread when none is under way, or when it is full. So bodies that arrive
  during one commit share the next, and the busier it gets the larger the groups: no timer. Behind two that are under
  way no more alerts are stepped, for a page would wait for all of them.
- Answers and messages leave only after their own commit: `_committed` wakes who waits and hands messages on.
  A submit that changed nothing waits as well while anything is under way, for it may repeat what is not yet on disk.
- When a commit fails, or the engine itself does, nothing is stepped until a probe write succeeds. Then the engine is
  built anew from the store: what was stepped and not committed never happened, and its senders were told so.
  Meanwhile reads show what is on disk: an empty list of alerts would be the all-clear to whoever asks.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import structlog

from imd.api.context import MemoryShort, Over, Overloaded, StoreDown
from imd.clock import Clock
from imd.core.engine import Engine
from imd.core.state import State
from imd.daemon import garbage, gather
from imd.daemon.fairness import Fairness
from imd.daemon.memory import known_of
from imd.daemon.muting import Muting
from imd.daemon.outgoing import Outgoing, send_off
from imd.daemon.restored import log_restored, restored, said_lost
from imd.daemon.shortage import Shortage
from imd.daemon.shown import Shown
from imd.daemon.turns import Turns
from imd.daemon.wall import Wall
from imd.model.effect import Counted, Effect, Refused
from imd.model.event import AlertsReported, ClockStepped, DeliveryFinished, Event, Restarted, Tick
from imd.model.policy import Ruleset
from imd.sources.contract import Rejection
from imd.store.contract import Snapshot, Store
from imd.telemetry import Log, Metrics

BATCH_EFFECTS_MAX = 2000  # more rows than this make acks slow (libraries page: 100 rows x 64 clients took 42 ms)
COMMIT_SPACING_SECONDS = 0.002
"""From one commit's begin to the next. Under load it makes groups of what would be commits of two or three bodies:
measured at one new alert a body, a commit costs 100 us before its first row: 20 % less CPU and no fewer alerts a
second. An idle daemon never waits for it."""
ALIVE_EVERY_SECONDS = 5.0
LAG_EVERY_SECONDS = 0.1  # how late the loop runs a timer is looked at as often
PROBE_EVERY_SECONDS = 1.0
SLEEP_SECONDS_MAX = 60.0  # a wall deadline is looked at again at least so often, for the clock may be set meanwhile

_log = structlog.get_logger()


class Loop(Shown):
    """Steps, commits, answers. For the event loop's thread alone."""

    def __init__(
        self,
        store: Store,
        ruleset: Ruleset,
        clock: Clock,
        metrics: Metrics,
        inbox_bytes_max: int,
    ) -> None:
        self._store = store
        self._ruleset = ruleset
        self._clock = clock
        self._metrics = metrics
        self._inbox_bytes_max = inbox_bytes_max
        self._inbox_bytes = 0
        self._open = gather.Open()
        self._gathered = gather.Gathered()
        self._under_way: deque[gather.Open] = deque()
        self._fairness = Fairness(lambda: bool(self._under_way))
        self._muting = Muting()
        self._flush_planned = False
        self._turns = Turns(self._turn)
        self._flushed, self._down = 0.0, "not started"
        self._shortage = Shortage(store, metrics)
        self._engine: Engine | None = None
        self._stored: State | None = None
        self._outgoing: Outgoing | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: datetime | None = None
        self._wall = Wall(clock)
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        metrics.inbox_bytes.set_function(lambda: float(self._inbox_bytes))
        metrics.inbox_bytes_max.set(inbox_bytes_max)

    on_changed: Callable[[Iterable[str]], None] = staticmethod(lambda _ids: None)
    """Called with the ids of incidents whose change is on disk."""

    crowded: Callable[[], str] = staticmethod(lambda: "")
    give_up: Callable[[str], None] = staticmethod(lambda _why: None)
    """Why memory is short, "" while it is not; and what to call when only a new process can help."""

    # -- life -----------------------------------------------------------------------------------------------------

    async def start(self, outgoing: Outgoing) -> None:
        """Builds the engine from the store and begins to keep time. Raises StoreRefused, StoreFailed."""
        self._outgoing = outgoing
        snapshot = await asyncio.to_thread(self._store.load)
        self._rebuild(snapshot)
        self._spawn(self._stay_alive())

    async def stop(self) -> None:
        """Takes no more events and waits until what was stepped is committed."""
        self._stopping = True
        self._disarm()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        while not self._down and (
            self._under_way or self._gathered or self._open.waiting or not self._open.batch.empty
        ):
            if self._gathered:
                self._step_gathered()
            self._flush()
            await asyncio.sleep(0.001)
        self._down = "stopping"
        self._muting.wake()

    # -- what others see ------------------------------------------------------------------------------------------

    @property
    def down(self) -> str:
        """Why nothing is taken just now; "" when all is well."""
        return self._down

    @property
    def unready(self) -> str:
        """Why no alerts are taken just now, though others' work may be."""
        return self._down or self._shortage.reason

    @property
    def engine(self) -> Engine | None:
        return self._engine

    @property
    def state(self) -> State | None:
        """For reads alone: the engine's state, without an engine what is on disk. None before the start."""
        return self._engine.state if self._engine is not None else self._stored

    # -- the door -------------------------------------------------------------------------------------------------

    async def submit(self, event: Event, size_bytes: int, rejected: Sequence[Rejection] = ()) -> tuple[Refused, ...]:
        """Steps the event; returns once its effects are on disk, with what the engine refused of it. Raises Overloaded
        (the inbox is full) and StoreDown (nothing was taken, or its commit failed)."""
        if type(event) is DeliveryFinished:
            await self._turns.light()
        if self._down:
            raise StoreDown(self._down)
        if self._shortage.reason:
            self._shortage.check(event, rejected)
        if self._full(size_bytes):
            self._metrics.count("overload_rejections_total", ("inbox",))
            raise Overloaded(f"{self._inbox_bytes} bytes wait to be committed")
        if type(event) is AlertsReported:
            if short := self.crowded():
                await self._take_known_alone(event, size_bytes, short)
            self._reject(event, rejected)
            gathered: asyncio.Future[tuple[Refused, ...]] = asyncio.get_running_loop().create_future()
            self._gather(event, gather.Part(len(event.alerts), size_bytes, gather.settles(gathered)))
            return await gathered
        await self._all_muted()
        refused = self._step(event)
        await self._all_muted()
        current = self._open
        self._reject(event, rejected)
        if current.batch.empty and not self._under_way and not current.waiting:
            return refused
        committed = asyncio.get_running_loop().create_future()
        current.waiting.append(gather.Part(0, size_bytes, gather.settles(committed)))
        current.bytes += size_bytes
        self._inbox_bytes += size_bytes
        self._plan_flush()
        await committed
        return refused

    def report(self, event: AlertsReported, size_bytes: int, over: Over) -> bool:
        """As Context says."""
        if self._down or self._shortage.reason or self._full(size_bytes) or self.crowded():
            return False
        self._gather(event, gather.Part(len(event.alerts), size_bytes, over))
        return True

    def _full(self, size_bytes: int) -> bool:
        return bool(self._inbox_bytes) and self._inbox_bytes + size_bytes > self._inbox_bytes_max

    def _gather(self, event: AlertsReported, part: gather.Part) -> None:
        self._gathered.add(event, part)
        self._inbox_bytes += part.bytes
        if self._gathered.full:
            self._turns.plan()
        self._plan_flush()

    async def _all_muted(self) -> None:
        """Raises StoreDown."""
        while self._engine is not None and self._engine.state.to_mute:
            await self._muting.wait()
        if self._down:
            raise StoreDown(self._down)

    def _reject(self, event: Event, rejected: Sequence[Rejection]) -> None:
        source = getattr(event, "source", "")
        for one in rejected:
            self._open.batch.reject(self._wall.latest, one.source or source, one.index, one.error, one.excerpt)

    async def _take_known_alone(self, event: AlertsReported, size_bytes: int, short: str) -> None:
        """Returns where all alerts of the event are known; else takes those that are, and raises Overloaded."""
        assert self._engine is not None
        known = known_of(event, self._engine.state.alerts)
        if known is event:
            return
        if known.alerts:
            await self.submit(known, size_bytes)
        self._metrics.count("overload_rejections_total", ("memory",))
        raise MemoryShort(f"memory is short, no new alerts are taken: {short}")

    async def round_trip(self) -> None:
        """A durable write through loop and store; what the watchdog rests on. Raises StoreDown."""
        if self._down:
            raise StoreDown(self._down)
        self._open.batch.alive(self._wall.now())
        await self.submit(Tick(), 0)

    # -- stepping -------------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        """One step's worth of what has gathered, or of what was due before; then others have the loop."""
        if self._gathered.full and not self._down and len(self._under_way) < gather.UNDER_WAY_MAX:
            self._step_gathered()
            if self._gathered.full:
                self._turns.plan()
            self._plan_flush()
        elif self._timer is None:
            self._tick()

    def _step_gathered(self) -> bool:
        """What was due before, a step of it, or the oldest that has gathered; whether it was the latter. A failure is
        told to those who wait."""
        engine = self._engine
        assert engine is not None
        deadline = engine.next_deadline()
        overdue = deadline is not None and deadline <= self._wall.now()
        with contextlib.suppress(StoreDown):
            if overdue:
                self._step(Tick())
                return False
            event, parts = self._gathered.take()
            current = self._open
            current.waiting += parts
            current.bytes += sum(part.bytes for part in parts)
            if refused := self._step(event):
                gather.tell(parts, refused)
        return True

    def _step(self, event: Event) -> tuple[Refused, ...]:
        engine = self._engine
        assert engine is not None
        now = self._wall.now()
        current, metrics = self._open, self._metrics
        batch, before = current.batch, current.effects
        refused: list[Refused] = []
        try:
            for effect in self._effects(engine, event, now):
                if type(effect) is Counted:
                    metrics.count(effect.name, effect.values, effect.amount)
                elif type(effect) is Refused:
                    refused.append(effect)
                else:
                    batch.add(effect, now)
                    current.effects += 1
        except Exception as error:
            # A bug. Whatever it left half done in memory must not reach the disk: as if the commit had failed.
            _log.exception(Log.FAILED, step=type(event).__name__)
            self._fail(f"the engine failed on {type(event).__name__}: {type(error).__name__}")
            raise StoreDown(self._down) from error
        self._turns.stepped(current.effects - before)
        self._muting.look(engine.state)
        self._arm_timer(engine.next_deadline(), now)
        if current.effects >= BATCH_EFFECTS_MAX:
            self._flush()
        return tuple(refused)

    def _effects(self, engine: Engine, event: Event, now: datetime) -> list[Effect]:
        stepped = self._wall.take_jump()
        if not stepped:
            return engine.step(event, now)
        self._open.batch.alive(now)  # with it: written an hour ahead, a start would take the clock for set back again
        return [*engine.step(ClockStepped(stepped), now), *engine.step(event, now)]

    def _arm_timer(self, deadline: datetime | None, now: datetime) -> None:
        if deadline is None or (self._timer is not None and self._timer_at is not None and self._timer_at <= deadline):
            return
        self._disarm()
        seconds = min(max(0.0, (deadline - now).total_seconds()), SLEEP_SECONDS_MAX)
        self._timer, self._timer_at = asyncio.get_running_loop().call_later(seconds, self._tick), deadline

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._timer_at = None

    def _tick(self) -> None:
        self._timer = self._timer_at = None
        if self._down or self._engine is None or self._stopping or self._turns.planned:
            return  # a turn that is planned begins with what is due: two steps in one would hold the loop
        deadline, now = self._engine.next_deadline(), self._wall.now()
        if (deadline is not None and deadline <= now) or self._wall.jumped:
            with contextlib.suppress(StoreDown):
                self._step(Tick())
                self._plan_flush()
        else:
            self._arm_timer(deadline, now)

    # -- committing -----------------------------------------------------------------------------------------------

    def _plan_flush(self) -> None:
        """In this turn of the loop others may still step: the batch leaves at its end, and not right behind another."""
        if not self._flush_planned and not self._under_way:
            self._flush_planned = True
            wait = self._flushed + COMMIT_SPACING_SECONDS - self._clock.monotonic()
            loop = asyncio.get_running_loop()
            if wait > 0:
                loop.call_later(wait, self._flush_as_planned)
            else:
                loop.call_soon(self._flush_as_planned)

    def _flush_as_planned(self) -> None:
        self._flush_planned = False
        if self._under_way:
            return
        if self._gathered and not self._gathered.full and not self._down and not self._step_gathered():
            self._plan_flush()  # what was due goes before it
        if not self._under_way:
            self._flush()

    def _flush(self) -> None:
        current = self._open
        if self._down or (current.batch.empty and not current.waiting):
            return
        self._open = gather.Open()
        if current.batch.empty and not self._under_way:
            self._wake(current)
            return
        self._flushed = current.since = self._clock.monotonic()
        self._under_way.append(current)
        self._store.commit(current.batch, gather.in_the_loop(self._committed, current))
        self._fairness.watch()

    def _committed(self, current: gather.Open, error: BaseException | None) -> None:
        if current not in self._under_way:
            return  # failed together with one before it
        if error is not None:
            self._metrics.commit_failures_total.inc()
            self._fail(str(error) or type(error).__name__)
            return
        self._under_way.remove(current)
        self._metrics.commit_seconds.observe(self._clock.monotonic() - current.since)
        self._metrics.commit_rows.observe(current.batch.rows)
        assert self._outgoing is not None
        send_off(current.batch, self._outgoing)
        self._wake(current)
        if current.batch.incidents:
            self.on_changed(current.batch.incidents)
        if self._gathered.full:
            self._turns.plan()
        if self._open.waiting or self._open.effects or self._gathered:
            self._plan_flush()

    def _wake(self, current: gather.Open) -> None:
        self._inbox_bytes -= current.bytes
        gather.end(current.waiting, None)

    # -- failing and coming back ----------------------------------------------------------------------------------

    def _fail(self, reason: str) -> None:
        """Everything stepped and not committed is void: say so to those who wait, and forget the engine."""
        self._down = f"the store does not take writes: {reason}"
        _log.error(Log.STORE_FAILED, reason=reason)
        self._metrics.store_up.set(0)
        for void in (*self._under_way, self._open):
            self._inbox_bytes -= void.bytes
            gather.end(void.waiting, StoreDown(self._down))
        self._inbox_bytes -= sum(part.bytes for part in self._gathered.parts)
        gather.end(self._gathered.parts, StoreDown(self._down))
        self._muting.wake()
        self._under_way.clear()
        self._open, self._gathered = gather.Open(), gather.Gathered()
        self._stored, self._engine = self.state, None  # a moment ahead of the disk, until that is read
        self._disarm()
        self._spawn(self._recover())

    async def _recover(self) -> None:
        with contextlib.suppress(Exception):  # where the disk cannot be read either, the last that was known is shown
            self._stored = await asyncio.to_thread(lambda: restored(self._store.load()))
        while True:
            await asyncio.sleep(PROBE_EVERY_SECONDS)
            try:
                await asyncio.to_thread(self._store.probe)
                snapshot = await asyncio.to_thread(self._store.load)
            except Exception as error:  # noqa: BLE001 - whatever it is, the daemon waits for the store to come back
                self._down = f"the store does not take writes: {error}"
                if isinstance(error, MemoryError):
                    self.give_up("no memory to read the store")
                continue
            if self._rebuilt(snapshot):
                garbage.sweep()
                _log.info(Log.STORE_RECOVERED)
                return

    def _rebuilt(self, snapshot: Snapshot) -> bool:
        """Whether it was, or failed in a way that began another recovery."""
        try:
            self._rebuild(snapshot)
        except StoreDown:
            return True
        except Exception as error:  # noqa: BLE001 - a task that dies of it would leave imd at 503 for good
            _log.exception(Log.FAILED, step="rebuilding the engine")
            self._down = f"the engine cannot be built: {type(error).__name__}"
            if isinstance(error, MemoryError):
                self.give_up("no memory to build the engine")
            return False
        return True

    def _rebuild(self, snapshot: Snapshot) -> None:
        self._engine = Engine(self._ruleset, restored(snapshot))
        self._stored, self._down = None, ""
        self._metrics.store_up.set(1)
        assert self._outgoing is not None
        self._outgoing.recall(snapshot.conversations)
        self._outgoing.offer_pending(snapshot.deliveries)
        now = self._wall.now()
        if snapshot.alive_at is not None:
            self._wall.take_jump()  # the engine hears of the outage as a whole
            self._step(Restarted(snapshot.alive_at))
        for event in (*said_lost(snapshot, now), *self._shortage.begin(self._engine.state)):
            self._step(event)
        self._spawn(self._shortage.end(self.submit))
        self._open.batch.alive(now)
        self._plan_flush()
        self._arm_timer(self._engine.next_deadline(), now)
        log_restored(snapshot)

    def use(self, ruleset: Ruleset) -> None:
        """The rules to build the engine with should it be rebuilt; the running one hears of them by RulesChanged."""
        self._ruleset = ruleset

    async def _stay_alive(self) -> None:
        """Writes down regularly that imd is up: outages are measured by it after a restart."""
        while True:
            for _ in range(round(ALIVE_EVERY_SECONDS / LAG_EVERY_SECONDS)):
                before = self._clock.monotonic()
                await asyncio.sleep(LAG_EVERY_SECONDS)
                late = self._clock.monotonic() - before - LAG_EVERY_SECONDS
                self._metrics.loop_lag_seconds.observe(max(0.0, late))
            if not self._down:
                self._open.batch.alive(self._wall.now())
                self._plan_flush()

    def _spawn(self, work: asyncio._CoroutineLike[None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
