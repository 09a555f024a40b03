"""Resolves that an Alertmanager never sent: its own list says what is over, if it is fit to be believed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from imd.config.settings import Reconcile, Settings, SourceSettings
from imd.daemon.reconcile import NOT_LISTED, UP_MIN, Reconciler
from imd.model.policy import Source
from imd.model.secret import Secret
from tests.api.conftest import log  # noqa: F401 - a fixture
from tests.api.server import BENCH, START, Logged, Server, serving
from tests.system.clients import Clients
from tests.system.running import programs, until

AM = Source(name="am", type="alertmanager", labels={"region": "eu"})
EVERY = timedelta(minutes=5)
CLUSTER = {"status": "ready", "peers": []}


class Alertmanager:
    """Lists what it is told to list; `status` is what it says of itself."""

    def __init__(self) -> None:
        self.listed: Any = []
        self.status: Any = {"uptime": (START - timedelta(hours=2)).isoformat(), "cluster": CLUSTER}
        self.code = 200
        self.asked: list[str] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        value = self.status if request.path.endswith("/status") else self.listed
        return web.Response(status=self.code, text=value if isinstance(value, str) else json.dumps(value))


@asynccontextmanager
async def running(tmp_path: Path) -> AsyncIterator[tuple[Server, Alertmanager, Reconciler]]:
    there = Alertmanager()
    app = web.Application()
    app.router.add_get("/am/api/v2/{what}", there.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    there.url = f"http://127.0.0.1:{runner.addresses[0][1]}/am"
    ruleset = msgspec.structs.replace(BENCH, sources={"am": AM})
    try:
        async with serving(tmp_path, ruleset, _settings(there.url)) as server:
            reconciler = _reconciler(server, UP_MIN)
            yield server, there, reconciler
            await reconciler.close()
    finally:
        await runner.cleanup()


def _settings(url: str) -> Settings:
    entry = SourceSettings(source=AM, reconcile=Reconcile(url=Secret(url), every=EVERY))
    return Settings(sources={"am": entry})


def _reconciler(server: Server, up_min: timedelta) -> Reconciler:
    return Reconciler(
        lambda: server.settings,
        server,
        lambda ended: server.loop.submit(ended, 0),
        server.clock,
        server.metrics,
        up_min,
    )


async def fire(server: Server, *names: str) -> None:
    alerts = [{"labels": {"alertname": name}, "status": "firing", "startsAt": START.isoformat()} for name in names]
    assert (await server.call("POST", "/v1/ingest/am", {"alerts": alerts}))[0] == 200


def open_names(server: Server) -> set[str]:
    return {alert.labels()["alertname"] for alert in server.open_alerts()}


def listed(*names: str) -> list[object]:
    return [{"labels": {"alertname": name}, "annotations": {}, "status": {"state": "active"}} for name in names]


async def pass_and_look(server: Server, reconciler: Reconciler, by: timedelta = EVERY) -> None:
    await server.pass_time(by)
    await reconciler.look()


async def test_what_two_readings_lack_is_over(tmp_path: Path, log: Logged) -> None:  # noqa: F811
    """With its reason in the incident; what is listed stays, and a later message revives what was only forgotten."""
    async with running(tmp_path) as (server, there, reconciler):
        await fire(server, "A", "B")
        await server.pass_time(timedelta(seconds=11))
        there.listed = listed("B")
        await reconciler.look()
        assert open_names(server) == {"A", "B"}
        await pass_and_look(server, reconciler, timedelta(minutes=1))
        assert len(there.asked) == 2, "it is asked each `every`, and not oftener"
        await pass_and_look(server, reconciler)
        assert open_names(server) == {"B"}
        await server.pass_time(timedelta(minutes=2))
        _, answer, _ = await server.call("GET", "/v1/incidents")
        assert isinstance(answer, dict)
        told = {one["group_key"]["alertname"]: (one["state"], one["resolved_because"]) for one in answer["items"]}
        assert told["A"] == ("resolved", NOT_LISTED)
        assert told["B"][0] == "triggered"
        assert "/am/api/v2/alerts?active=true&silenced=true&inhibited=true&unprocessed=true" in there.asked
        await fire(server, "A")
        assert open_names(server) == {"A", "B"}
        _, text, _ = await server.call("GET", "/metrics")
        assert 'imd_source_reconciliations_total{outcome="read",source="am"} 2.0' in str(text)


async def test_one_that_is_spoken_of_meanwhile_fires_on(tmp_path: Path, log: Logged) -> None:  # noqa: F811
    """Its list may lag behind its messages; and what another source says is none of its business."""
    async with running(tmp_path) as (server, _, reconciler):
        await fire(server, "A")
        other = {"alerts": [{"labels": {"alertname": "Z"}, "status": "firing"}]}
        assert (await server.call("POST", "/v1/ingest/alertmanager", other))[0] == 200
        await pass_and_look(server, reconciler)
        await server.pass_time(timedelta(minutes=1))
        await fire(server, "A")
        await pass_and_look(server, reconciler)
        assert open_names(server) == {"A", "Z"}, "the first reading after that word"
        await pass_and_look(server, reconciler)
        assert open_names(server) == {"Z"}


@pytest.mark.parametrize(
    "spoilt",
    [
        {"status": {"uptime": START.isoformat(), "cluster": CLUSTER}},
        {"status": {"uptime": (START - timedelta(hours=5)).isoformat(), "cluster": {"status": "settling"}}},
        {"status": {"uptime": "yesterday"}},
        {"status": {"uptime": "2026-11-21T10:00:00"}},
        {"status": "<html>"},
        {"listed": {"alerts": []}},
        {"listed": "[{"},
        {"listed": [{"labels": {"a": 1}}]},
        {"code": 503},
    ],
)
async def test_an_alertmanager_that_cannot_be_believed_ends_nothing(
    tmp_path: Path,
    log: Logged,  # noqa: F811
    spoilt: dict[str, Any],
) -> None:
    """Just started, joining its cluster, broken or away: its silence means nothing."""
    async with running(tmp_path) as (server, there, reconciler):
        await fire(server, "A")
        await pass_and_look(server, reconciler)
        vars(there).update(spoilt)
        await pass_and_look(server, reconciler)
        assert open_names(server) == {"A"}
        assert "source.reconcile_failed" in log.text()


@pytest.mark.real
@pytest.mark.skipif(bool(list(programs("prometheus-alertmanager", "amtool"))), reason="not installed")
async def test_a_real_alertmanager(tmp_path: Path, log: Logged) -> None:  # noqa: F811
    """It lists one of two alerts that imd heard of, and never tells of the other."""
    clients = Clients(tmp_path / "clients")
    try:
        client = clients.alertmanager("http://127.0.0.1:1/nobody")
        clients.await_all()
        url = f"http://127.0.0.1:{client.port}"
        clients.amtool(url, "alert", "add", "B", "node=x")
        until("it lists it", lambda: "B" in clients.amtool(url, "alert", "query"))
        ruleset = msgspec.structs.replace(BENCH, sources={"am": AM})
        async with serving(tmp_path, ruleset, _settings(url)) as server:
            alerts = [
                {"labels": labels, "status": "firing"}
                for labels in ({"alertname": "A"}, {"alertname": "B", "node": "x"})
            ]
            await server.call("POST", "/v1/ingest/am", {"alerts": alerts})
            reconciler = _reconciler(server, timedelta(days=-3650))
            await pass_and_look(server, reconciler)
            await pass_and_look(server, reconciler)
            await reconciler.close()
            assert open_names(server) == {"B"}
    except subprocess.TimeoutExpired as error:
        pytest.fail(f"amtool hangs: {error}")
    finally:
        clients.end()
