"""A real imd without its outbox: real sockets, engine, loop and SQLite, and a clock that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import msgspec
from aiohttp import web

from imd.api.changes import Stream
from imd.api.context import Context, FetchFailed, ReloadRefused, TestPageFailed, UnknownReceiver
from imd.api.server import Authorize, runner
from imd.clock import ManualClock
from imd.config.settings import Limits, Settings
from imd.daemon.explaining import Explainer
from imd.daemon.loop import Loop
from imd.model.alert import Alert
from imd.model.effect import CancelPages, Delivery
from imd.model.event import DeliveryFinished, Outcome
from imd.model.heartbeat import Beat
from imd.model.incident import Incident
from imd.model.policy import BUILT_IN_POLICY, Receiver, Ruleset, built_in_policy
from imd.model.quiet import Silence
from imd.model.schedule import Override
from imd.store.contract import PendingDelivery, Store, StoredConversation
from imd.store.migrate import open_store
from imd.telemetry import Metrics, configure_logs
from tests.api.described import described

START = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


class Logged:
    """The process's log, kept in memory."""

    def __init__(self) -> None:
        self._stream = BytesIO()
        self._writer = configure_logs(stream=self._stream, cached=False)

    def text(self) -> str:
        """All that was logged; the log ends here."""
        self._writer.close()
        return self._stream.getvalue().decode()


class Sink:
    """Stands for the outbox: keeps what was handed to it."""

    def __init__(self) -> None:
        self.sent: list[Delivery] = []

    def offer(self, deliveries: Iterable[Delivery]) -> None:
        self.sent += deliveries

    def offer_pending(self, pending: Iterable[PendingDelivery]) -> None:
        self.sent += [one.delivery for one in pending]

    def cancel(self, effect: CancelPages) -> None:
        pass

    def recall(self, conversations: Iterable[StoredConversation]) -> None:
        pass

    def forget(self, incident: str) -> None:
        pass


class Server:
    """`url` is where it listens. `pages` is what the world has to fetch, by URL without query, and `fetched` what was.
    `posted` is what was sent to whom, unless they are `deaf`.
    `reload_fault` and `unready` are what the test wants it to meet."""

    def __init__(self, store: Store, clock: ManualClock, ruleset: Ruleset, settings: Settings) -> None:
        self.clock, self.store = clock, store
        self.metrics = Metrics()
        self.sink = Sink()
        self.stream = Stream()
        self.loop = Loop(store, ruleset, clock, self.metrics, settings.limits.inbox_bytes_max)
        self.ruleset, self.settings = ruleset, settings
        self.reload_fault = ""
        self.fetched: list[str] = []
        self.posted: list[tuple[str, dict[str, object]]] = []
        self.deaf = False
        self.pages: dict[str, bytes] = {}
        self.tested: list[tuple[str, str, str]] = []
        self.url = ""
        self.port = 0
        self.session: aiohttp.ClientSession | None = None

    def context(self) -> Context:
        self.loop.on_changed = self.stream.changed
        return Context(
            submit=self.loop.submit,
            report=self.loop.report,
            store=self.store,
            view=self,
            ruleset=lambda: self.ruleset,
            settings=lambda: self.settings,
            reload=self._reload,
            test_page=self._test_page,
            explain=Explainer(self.loop),
            unready=lambda: self.loop.down,
            metrics=self.metrics,
            clock=self.clock,
            started_at=START,
            fetch=self._fetch,
            post=self._post,
            stream=self.stream,
        )

    def alert(self, key: bytes) -> Alert | None:
        return self.loop.state.alerts.get(key) if self.loop.state else None

    def open_alerts(self) -> Iterable[Alert]:
        return self.loop.open_alerts()

    def incident(self, id: str) -> Incident | None:  # noqa: A002
        return self.loop.state.incidents.get(id)

    def reported(self, key: str) -> Incident | None:
        incidents = self.loop.state.incidents.values() if self.loop.state else ()
        return next((one for one in incidents if one.report == key), None)

    def open_incidents(self) -> Iterable[Incident]:
        return self.loop.open_incidents()

    def owing(self) -> Iterable[Incident]:
        return self.loop.owing()

    def heard(self) -> Mapping[str, datetime]:
        return self.loop.heard()

    def silences(self) -> Iterable[Silence]:
        return self.loop.silences()

    def suppressed(self, cause: str) -> int:
        return self.loop.suppressed(cause)

    def overrides(self) -> Iterable[Override]:
        return self.loop.overrides()

    def beats(self) -> Iterable[Beat]:
        return self.loop.beats()

    def counts(self) -> Mapping[str, int]:
        return {"alerts_open": len(list(self.open_alerts()))}

    async def call(
        self, method: str, path: str, body: object = None, raw: bytes | None = None, **headers: str
    ) -> tuple[int, object, aiohttp.ClientResponse]:
        """Status, the body as JSON (text where it is none), and the response for its headers. All of it has to be as
        /v1/openapi.json says."""
        assert self.session is not None
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        given = {"data": raw} if raw is not None else {"json": body} if body is not None else {}
        async with self.session.request(method, self.url + path, headers=sent, **given) as response:
            text = await response.text()
            try:
                answer = await response.json(content_type=None)
            except ValueError:
                answer = text
        prefixes = (urlsplit(self.settings.external_url).path.rstrip("/"), *self.settings.prefixes)
        described(self.context(), prefixes).check(method, path, response.status, response.headers, answer)
        return response.status, answer, response

    async def finish_deliveries(self) -> None:
        """As an outbox whose receivers all accept."""
        while self.sink.sent:
            one = self.sink.sent.pop(0)
            finished = DeliveryFinished(
                delivery=one.id, incident=one.incident, receiver=one.receiver, outcome=Outcome.ACCEPTED
            )
            await self.loop.submit(finished, 0)

    async def pass_time(self, by: timedelta) -> None:
        """The clock moves on and the loop takes what became due."""
        self.clock.advance(by)
        await self.loop.round_trip()

    async def _reload(self) -> None:
        if self.reload_fault:
            raise ReloadRefused(self.reload_fault)

    async def _fetch(self, url: str) -> bytes:
        self.fetched.append(url)
        page = self.pages.get(url.partition("?")[0])
        if page is None:
            raise FetchFailed("nobody there")
        return page

    async def _post(self, url: str, body: bytes) -> None:
        if self.deaf:
            raise FetchFailed("nobody there")
        self.posted.append((url, msgspec.json.decode(body)))

    async def _test_page(self, name: str, text: str, by: str) -> str:
        if name not in self.ruleset.receivers:
            raise UnknownReceiver(name)
        if text == "fail":
            raise TestPageFailed("it said no")
        self.tested.append((name, text, by))
        return "delivered"


BENCH = Ruleset(
    policies={BUILT_IN_POLICY: built_in_policy(("bench",))},
    receivers={"bench": Receiver(name="bench")},
    config_hash="c0ffee",
)


@asynccontextmanager
async def serving(
    folder: Path,
    ruleset: Ruleset = BENCH,
    settings: Settings | None = None,
    start: datetime = START,
    authorize: Authorize | None = None,
) -> AsyncIterator[Server]:
    """The server on a port of its own; everything is closed at the end."""
    settings = settings or Settings(prefixes=("/am",), limits=Limits(body_read_timeout=timedelta(seconds=0.3)))
    clock = ManualClock(start)
    store = open_store(f"sqlite:///{folder}/imd.db", clock=clock)
    server = Server(store, clock, ruleset, settings)
    await server.loop.start(server.sink)
    running = runner(server.context(), authorize)
    await running.setup()
    site = web.TCPSite(running, "127.0.0.1", 0)
    await site.start()
    server.port = running.addresses[0][1]
    server.url = f"http://127.0.0.1:{server.port}"
    async with aiohttp.ClientSession() as session:
        server.session = session
        try:
            yield server
        finally:
            await running.cleanup()
            await server.loop.stop()
            await asyncio.to_thread(store.close)


Serve = Callable[[str], AbstractAsyncContextManager[Server]]
"""The fixture `serve`."""
