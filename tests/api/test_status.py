"""GET /v1/status and GET /v1/rejected: what an operator looks at first, and what was refused."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import msgspec

from imd.config.settings import Settings, SourceSettings
from imd.model.heartbeat import Heartbeat
from imd.model.policy import Source
from tests.api.server import BENCH, START, Server, serving

DOWN = {"alertname": "Down", "severity": "critical"}


async def test_status_counts_open_work_and_names_what_is_amiss(tmp_path: Path) -> None:
    eu = Source(name="eu", type="alertmanager", silent_after=timedelta(minutes=10))
    never = Source(name="never", type="grafana")
    rules = msgspec.structs.replace(
        BENCH,
        sources={"eu": eu, "never": never},
        heartbeats=(Heartbeat(name="backup", every=timedelta(minutes=5), by=("cluster",)),),
    )
    settings = Settings(sources={one.name: SourceSettings(source=one) for one in (eu, never)})
    async with serving(tmp_path, rules, settings) as server:
        body = {"version": "4", "status": "firing", "alerts": [{"status": "firing", "labels": DOWN}]}
        await server.call("POST", "/v1/ingest/eu", body)
        await server.call("POST", "/v1/heartbeats/backup?cluster=c1")
        await server.pass_time(timedelta(seconds=10))
        await server.pass_time(timedelta(minutes=30))
        await server.call("POST", "/v1/pause", {"by": "ana", "for": "1h"})
        code, status, _ = await server.call("GET", "/v1/status")
    assert code == 200
    assert status["ready"]
    assert status["open"]["by_state"]["triggered"] >= 1
    assert status["open"]["unanswered"] == status["open"]["by_state"]["triggered"]
    assert status["open"]["oldest_unanswered_at"] == "2026-11-21T12:00:10Z"
    assert [(one["name"], one["type"], one["silent"]) for one in status["sources"]] == [
        ("eu", "alertmanager", True), ("never", "grafana", False),
    ]  # fmt: skip
    assert status["sources"][0]["last_heard_at"] == f"{START:%Y-%m-%dT%H:%M:%SZ}"
    assert status["sources"][1]["last_heard_at"] is None
    assert status["heartbeats_missing"] == ["backup (c1)"]
    assert status["paused_until"] == "2026-11-21T13:30:10Z"
    assert status["store"]["bytes"] > status["store"]["wal_bytes"] > 0
    assert (status["config_hash"], status["rules"]) == ("c0ffee", 1)


async def test_pages_that_nobody_took_are_counted_until_somebody_does(tmp_path: Path) -> None:
    """Three leave and are late, the fourth waits for a digest; that they are put off takes none of them out."""
    async with serving(tmp_path) as server:
        nobody = (await server.call("GET", "/v1/status"))[1]["pages"]
        await server.call("POST", "/api/v2/alerts", [{"labels": {**DOWN, "alertname": f"Down{n}"}} for n in range(4)])
        await server.pass_time(timedelta(seconds=10))
        fresh = (await server.call("GET", "/v1/status"))[1]["pages"]
        await server.pass_time(timedelta(minutes=2))
        late = (await server.call("GET", "/v1/status"))[1]["pages"]
        await server.call("POST", "/v1/incidents/1/ack", {"by": "ana"})
        acknowledged = (await server.call("GET", "/v1/status"))[1]["pages"]
        await server.finish_deliveries()
        taken = (await server.call("GET", "/v1/status"))[1]["pages"]
    empty = {"owed": 0, "overdue": 0, "waiting": 0, "incidents": 0, "oldest_at": None, "receivers": {}}
    assert nobody == taken == empty
    assert (fresh["overdue"], fresh["incidents"], fresh["oldest_at"]) == (0, 4, "2026-11-21T12:00:10Z")
    assert late["owed"] == late["overdue"] + late["waiting"] == sum(late["receivers"].values()) >= 4
    assert late["overdue"] >= 3
    assert (acknowledged["incidents"], acknowledged["owed"] < late["owed"]) == (3, True)


async def test_when_a_source_was_heard_outlives_a_restart(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        await server.call("POST", "/v1/ingest/alertmanager", {"version": "4", "alerts": []})
        await server.call("POST", "/api/v2/alerts", [{"labels": DOWN}])
        await server.pass_time(timedelta(seconds=20))
    async with serving(tmp_path, start=START + timedelta(minutes=1)) as server:
        _, status, _ = await server.call("GET", "/v1/status")
        _, metrics, _ = await server.call("GET", "/metrics")
    assert [(one["name"], one["last_heard_at"]) for one in status["sources"]] == [
        ("alertmanager", f"{START:%Y-%m-%dT%H:%M:%SZ}")
    ]
    [shown] = re.findall(r'imd_source_last_heard_timestamp_seconds\{source="alertmanager"\} (\S+)', metrics)
    assert float(shown) == START.timestamp()
    async with serving(tmp_path, start=START + timedelta(days=8)) as server:
        _, metrics, _ = await server.call("GET", "/metrics")
    assert "last_heard_timestamp_seconds{" not in metrics, "no entry names it"


async def test_what_was_refused_by_source_and_time_and_without_secrets(server: Server) -> None:
    for n in range(3):
        labels = {"a": n, "token": "s3cret-word"}
        await server.call("POST", "/api/v2/alerts", [{"labels": labels}])
        await server.pass_time(timedelta(minutes=1))
    _, listed, _ = await server.call("GET", "/v1/rejected?limit=2")
    assert [one["index"] for one in listed["items"]] == [0, 0]
    assert listed["items"][0]["source"] == "alertmanager"
    assert "must be a string" in listed["items"][0]["error"]
    assert "s3cret" not in msgspec.json.encode(listed).decode()
    _, rest, _ = await server.call("GET", f"/v1/rejected?limit=2&cursor={listed['next_cursor']}")
    assert (len(rest["items"]), rest["next_cursor"]) == (1, None)
    assert (await server.call("GET", "/v1/rejected?source=nobody"))[1]["items"] == []
    assert len((await server.call("GET", "/v1/rejected?source=alertmanager&since=150s"))[1]["items"]) == 2
    assert (await server.call("GET", "/v1/rejected?sinc=1h"))[0] == 400
