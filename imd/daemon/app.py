"""The house wired together: start, reload, test page, drain, stop.

Owns the order in which parts come up and go down. Up: configuration, store, engine, outbox, HTTP. Down: HTTP takes no
more, what was stepped is committed, messages under way end, the store closes. Decides nothing about alerts.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from aiohttp import web

from imd import __version__, channels
from imd.api import server
from imd.api.access import Access
from imd.api.context import (
    Context,
    FetchFailed,
    ReloadRefused,
    ReloadStatus,
    StoreDown,
    TestPageFailed,
    UnknownReceiver,
)
from imd.api.doors import Doors, signer
from imd.api.status import event_loop
from imd.channels.contract import BadSettings, Receipt, Temporary
from imd.channels.http import Endpoint, Reply
from imd.clock import Clock, SystemClock
from imd.config.diagnostic import Diagnostic
from imd.config.load import Faulty, Loaded, load_config
from imd.config.settings import LogFormat, Settings
from imd.daemon import counters, gauges, sites
from imd.daemon.explaining import Explainer
from imd.daemon.garbage import settle_memory, unswept
from imd.daemon.loop import Loop
from imd.daemon.memory import Memory, spare_address_space
from imd.daemon.outbox import Outbox
from imd.daemon.preparing import prepare
from imd.daemon.proof import Prover
from imd.daemon.reconcile import Reconciler
from imd.daemon.ringing import Ringing
from imd.daemon.systemd import Notifier, inherited_sockets, watchdog_interval
from imd.daemon.testpage import test_delivery
from imd.daemon.watching import Watch
from imd.model.alert import Alert
from imd.model.effect import Delivery
from imd.model.event import ActionKind, RulesChanged
from imd.model.heartbeat import Beat
from imd.model.incident import Incident
from imd.model.quiet import Silence
from imd.model.schedule import Override
from imd.store.contract import Retention, Store, StoreFailed, StoreRefused
from imd.store.migrate import open_store
from imd.telemetry import Log, Metrics, configure_logs

STOP_SECONDS = 4.0  # what messages under way get to end; all of a stop stays within 10 s
PRUNE_EVERY = timedelta(hours=1)
_NO_RECEIVER_LEFT = "the file names no receiver any more: nobody would be paged; restart imd if that is meant"

_log = structlog.get_logger()


def run(config: Path) -> int:
    """Runs the daemon until SIGTERM or SIGINT. 0: stopped cleanly, 1: refused to start or failed."""
    spare_address_space()
    clock = SystemClock()
    try:
        loaded = load_config(config)
    except Faulty as faulty:
        _show(faulty.diagnostics)
        return 1
    _show(loaded.warnings)
    metrics = Metrics()
    settings = loaded.settings
    writer = configure_logs(_log_form(settings), settings.log.level.value, on_drop=metrics.log_lines_dropped_total.inc)
    try:
        retention = Retention(journal=settings.limits.journal_keep, closed=settings.limits.closed_keep)
        store = open_store(settings.store, clock, retention)
    except (StoreRefused, StoreFailed) as error:
        _complain(error)
        return 1
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_start(config, loaded, store, clock, metrics))
    except (StoreRefused, StoreFailed, BadSettings, OSError) as error:
        _complain(error)
        return 1
    finally:
        store.close()
        writer.close()


async def _start(config: Path, loaded: Loaded, store: Store, clock: Clock, metrics: Metrics) -> int:
    return await Daemon(config, loaded, store, clock, metrics).run()


class Daemon:
    """One run of the daemon. Time, disk, network and files come in by the arguments, `load` (which reads `config` anew
    at a reload) and `http` (requests to receivers) among them: a simulation hands in its own."""

    def __init__(
        self,
        config: Path,
        loaded: Loaded,
        store: Store,
        clock: Clock,
        metrics: Metrics,
        load: Callable[[Path], Loaded] = load_config,
        http: channels.HttpClient | None = None,
    ) -> None:
        self._config = config
        self._load = load
        self._settings = loaded.settings
        self._ruleset = loaded.ruleset
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._notifier = Notifier.from_environment()
        self._http = http or channels.http_client(self._settings.limits)
        self._shared = channels.Shared(self._http, clock, self._settings.limits, self._template_failed)
        self._channels = channels.build(self._settings.receivers, self._shared)
        limits = self._settings.limits
        self._loop = Loop(store, self._ruleset, clock, metrics, limits.inbox_bytes_max)
        self._outbox = Outbox(self._channels, self._loop.submit, store, clock, metrics, finish=self._with_link)
        self._context = Context(
            submit=self._loop.submit,
            report=self._loop.report,
            store=store,
            view=self,
            ruleset=lambda: self._ruleset,
            settings=lambda: self._settings,
            reload=self._reload,
            test_page=self._test_page,
            explain=Explainer(self._loop),
            unready=lambda: self._loop.unready,
            metrics=metrics,
            clock=clock,
            started_at=clock.now(),
            receivers=self._outbox.status,
            fetch=self._fetch,
            post=self._post,
            last_reload=lambda: self._last_reload,
            before_scrape=self._before_scrape,
        )
        self._loop.on_changed = self._context.stream.changed
        self._memory = Memory(metrics)
        self._loop.crowded = lambda: self._memory.short
        self._loop.give_up = self._give_up
        self._code = 0
        self._last_reload: ReloadStatus | None = None
        self._reloading = asyncio.Lock()
        self._watch = Watch(loaded.looked, lambda: self._settings.watch, self._reload)
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> int:
        with unswept():
            await self._loop.start(self._outbox)
        self._outbox.start()
        runner = server.runner(self._context, Access(lambda: self._settings).authorize)
        await runner.setup()
        settle_memory()
        await self._listen(runner)
        self._catch_signals()
        self._reloaded("")
        self._tasks = [
            asyncio.create_task(one)
            for one in (
                self._memory.watch(),
                self._prune(),
                self._watchdog(),
                self._reconcile(),
                self._prove(),
                self._ring(),
            )
        ]
        self._watch.keep()
        self._notifier.ready(f"listening on {self._settings.listen}")
        _log.info(
            Log.STARTED,
            version=__version__,
            listen=str(self._settings.listen),
            store=self._settings.store,
            loop=event_loop(),
        )
        self._warn_of_tee()
        await self._stop.wait()
        await self._shut_down(runner)
        return self._code

    def _give_up(self, why: str) -> None:
        """Ends the process, for the supervisor to start another: what it must not forget is on disk."""
        _log.error(Log.FAILED, gives_up=why)
        self._code = 1
        self._stop.set()

    def _warn_of_tee(self) -> None:
        if self._settings.tee:
            _log.warning(Log.TEE, because="tee is set: imd runs beside another pager")

    async def _listen(self, runner: web.AppRunner) -> None:
        inherited = inherited_sockets()
        for one in inherited:
            await web.SockSite(runner, one).start()
        if not inherited:
            listen = self._settings.listen
            await sites.listen(runner, listen.host or None, listen.port)

    async def _shut_down(self, runner: web.AppRunner) -> None:
        _log.info(Log.STOPPING)
        self._notifier.stopping("taking no more alerts")
        self._watch.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await runner.cleanup()
        await self._outbox.drain(STOP_SECONDS)
        await self._loop.stop()
        await self._http.close()
        _log.info(Log.STOPPED)

    # -- what the API sees ----------------------------------------------------------------------------------------

    def open_alerts(self) -> list[Alert]:
        return list(self._loop.open_alerts())

    def alert(self, key: bytes) -> Alert | None:
        return self._loop.state.alerts.get(key) if self._loop.state else None

    def incident(self, id: str) -> Incident | None:  # noqa: A002 - its name in the record
        return self._loop.state.incidents.get(id) if self._loop.state else None

    def reported(self, key: str) -> Incident | None:
        incidents = self._loop.state.incidents.values() if self._loop.state else ()
        return next((one for one in incidents if one.report == key), None)

    def silences(self) -> Iterable[Silence]:
        return self._loop.silences()

    def suppressed(self, cause: str) -> int:
        return self._loop.suppressed(cause)

    def overrides(self) -> Iterable[Override]:
        return self._loop.overrides()

    def beats(self) -> list[Beat]:
        return list(self._loop.beats())

    def open_incidents(self) -> list[Incident]:
        return list(self._loop.open_incidents())

    def owing(self) -> Iterable[Incident]:
        return self._loop.owing()

    def heard(self) -> Mapping[str, datetime]:
        return self._loop.heard()

    def counts(self) -> Mapping[str, int]:
        state = self._loop.state
        return {
            "alerts_open": state.firing if state else 0,
            "alerts_suppressed": len(state.suppressed) if state else 0,
            "incidents_open": len(self.open_incidents()),
            "outbox_pending": self._outbox.pending,
        }

    async def _reconcile(self) -> None:
        """What senders' own lists lack ends here, where a source asks for it."""
        reconciler = Reconciler(
            lambda: self._settings, self, lambda expired: self._loop.submit(expired, 0), self._clock, self._metrics
        )
        await reconciler.run()

    async def _prove(self) -> None:
        """Tells the outside that imd works, and tries the way to people."""
        prover = Prover(
            lambda: self._settings,
            self._loop.round_trip,
            self._outbox.status,
            self._test_page,
            lambda alerts: self._loop.submit(alerts, 0),
            self._http,
            self._clock,
            self._metrics,
        )
        await prover.run()

    async def _ring(self) -> None:
        """What rings in Pushover is answered there, and stops as soon as somebody has it here."""
        doors = Doors(self._context)

        async def taken(incident: str, by: str) -> None:
            await doors.act(ActionKind.ACK, await doors.incident(incident), by, "pushover")

        await Ringing(self._outbox.conversations, self.incident, taken).run()

    async def _fetch(self, url: str) -> bytes:
        """GETs a public address, as senders' protocols ask for (Amazon SNS)."""
        endpoint = Endpoint(url, allow_private=False, public=True)
        reply = await self._http.exchange(endpoint, b"", {}, self._clock.now(), "GET")
        if not isinstance(reply, Reply):
            raise FetchFailed(reply.error)
        if reply.status != 200:
            raise FetchFailed(f"{endpoint.shown} answered {reply.status}")
        return reply.body

    async def _post(self, url: str, body: bytes) -> None:
        """POSTs JSON to a public address that a service named in a signed call."""
        endpoint = Endpoint(url, secrets=[url], allow_private=False, public=True)
        headers = {"Content-Type": "application/json"}
        reply = await self._http.exchange(endpoint, body, headers, self._clock.now())
        if not isinstance(reply, Reply):
            raise FetchFailed(reply.error)
        if reply.status >= 300:
            raise FetchFailed(f"{endpoint.shown} answered {reply.status}")

    def _with_link(self, delivery: Delivery) -> Delivery:
        """As a message leaves; by the settings of now, so that a retry after a reload has a link that works."""
        settings = self._settings
        return (
            signer(settings, self._store).put_into(delivery, settings.external_url)
            if settings.links.enabled
            else delivery
        )

    async def _test_page(self, receiver: str, text: str, by: str) -> str:
        """Sends past engine and outbox: does this way to reach people work?"""
        channel = self._channels.get(receiver)
        if channel is None:
            raise UnknownReceiver(receiver)
        answer = await channel.send(test_delivery(self._store.store_id, receiver, text, by, self._clock.now()), 1)
        if isinstance(answer, Receipt):
            return answer.detail
        raise TestPageFailed(answer.error, isinstance(answer, Temporary))

    def _template_failed(self, receiver: str, which: str, why: str) -> None:
        self._metrics.count("receiver_templates_failed_total", (receiver,))
        _log.warning(Log.TEMPLATE_FAILED.value, receiver=receiver, template=which, error=why)

    # -- reload ---------------------------------------------------------------------------------------------------

    async def _reload(self) -> None:
        """All or nothing: with any fault the old rules and receivers run on. Raises ReloadRefused, StoreDown."""
        async with self._reloading:
            before = await asyncio.to_thread(self._watch.loads)
            try:
                loaded = await asyncio.to_thread(self._load, self._config)
                self._watch.loaded(before, loaded.looked)
                if self._settings.receivers and not loaded.settings.receivers:
                    raise BadSettings(_NO_RECEIVER_LEFT)
                # In a thread as well: apprise takes half a second to import.
                fresh = await asyncio.to_thread(channels.build, loaded.settings.receivers, self._shared)
            except (Faulty, BadSettings) as error:
                faults = [one.render() for one in error.diagnostics] if isinstance(error, Faulty) else [str(error)]
                if isinstance(error, Faulty):
                    self._watch.loaded(before, error.looked)
                self._reloaded("\n".join(faults))
                _log.error(Log.CONFIG_REFUSED, error=str(error))
                raise ReloadRefused("\n".join(faults)) from None
            await self._take(loaded, fresh)

    async def _take(self, loaded: Loaded, fresh: Mapping[str, channels.Channel]) -> None:
        self._notifier.reloading()
        await prepare(lambda: self._loop.engine, loaded.ruleset)
        try:
            await self._loop.submit(RulesChanged(loaded.ruleset), 0)
        except StoreDown:
            self._notifier.ready()
            raise
        self._loop.use(loaded.ruleset)
        self._ruleset = loaded.ruleset
        fixed = [
            name for name in ("listen", "store") if getattr(loaded.settings, name) != getattr(self._settings, name)
        ]
        if fixed:
            _log.warning(Log.CONFIG_RELOADED, needs_restart=fixed)
        self._settings = loaded.settings
        self._channels = dict(fresh)
        self._outbox.replace(fresh)
        self._reloaded("")
        self._notifier.ready()
        _log.info(Log.CONFIG_RELOADED, config_hash=loaded.ruleset.config_hash, rules=len(loaded.ruleset.rules))
        self._warn_of_tee()
        self._watch.keep()

    def _reloaded(self, faults: str) -> None:
        """Says how the last reload went, to metrics and status. `faults` "": well."""
        self._last_reload = ReloadStatus(self._clock.now(), faults or None)
        self._metrics.config_last_reload_successful.set(0 if faults else 1)
        if not faults:
            self._metrics.config_last_reload_success_timestamp_seconds.set(self._clock.now().timestamp())
            self._metrics.topology_dangling_edges.set(self._ruleset.topology.dangling)
            counters.start(self._metrics, self._settings, self._ruleset)
            self._metrics.tee.set(self._settings.tee)
            self._metrics.config_hash.set(int(self._ruleset.config_hash[:12] or "0", 16))

    # -- in the background ----------------------------------------------------------------------------------------

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)

    def _hang_up(self) -> None:
        async def reload() -> None:
            with contextlib.suppress(ReloadRefused, StoreDown):  # both are logged, and metrics say so
                await self._reload()

        self._tasks = [task for task in self._tasks if not task.done()]
        self._tasks.append(asyncio.create_task(reload()))

    async def _watchdog(self) -> None:
        """Feeds systemd's watchdog, each time after a round trip through loop and store. A store that is down is not
        the loop being stuck: a restart would not mend the disk, and what is in memory still serves reads."""
        interval = watchdog_interval()
        if interval is None:
            return
        while True:
            try:
                async with asyncio.timeout(interval.total_seconds()):
                    await self._loop.round_trip()
                self._notifier.watchdog()
            except StoreDown as down:
                self._notifier.watchdog()
                self._notifier.status(f"503 to senders: {down}")
            except TimeoutError:
                _log.error(Log.WATCHDOG)
            await asyncio.sleep(interval.total_seconds() / 2)

    async def _prune(self) -> None:
        while True:
            await asyncio.sleep(PRUNE_EVERY.total_seconds())
            with contextlib.suppress(StoreFailed):
                removed = await self._store.prune(self._clock.now())
                if removed:
                    _log.info(Log.STORE_PRUNED, rows=removed)

    def _before_scrape(self) -> None:
        gauges.refresh(self._metrics, self._loop.engine, self._clock.now())
        self._metrics.wal_bytes.set(self._store.wal_bytes)
        self._metrics.outbox_pending.set(self._outbox.pending)


def _log_form(settings: Settings) -> str:
    if settings.log.format is LogFormat.AUTO:
        return "console" if sys.stderr.isatty() else "json"
    return settings.log.format.value


def _complain(error: Exception) -> None:
    sys.stderr.write(f"imd: {error}\n")


def _show(diagnostics: tuple[Diagnostic, ...]) -> None:
    for diagnostic in diagnostics:
        sys.stderr.write(diagnostic.render() + "\n")


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where the extra `fast` is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
