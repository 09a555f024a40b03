"""The server around the handlers: prefixes, health, reload, metrics, errors; what clients learn while imd is down."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from imd.api.answers import Refusal
from imd.api.server import ACTIONS, ANYTHING, routes
from imd.config.settings import Limits, Scope, Settings
from imd.model.policy import Source
from tests.api.server import BENCH, Logged, Server, serving
from tests.captures import recorded

ALERT = {"labels": {"alertname": "A"}, "status": "firing"}


async def test_health_ready_and_head(server: Server) -> None:
    for path in ("/-/healthy", "/-/ready", "/am/-/healthy"):
        assert (await server.call("GET", path))[0] == 200
        status, text, response = await server.call("HEAD", path)
        assert (status, text) == (200, None)
        assert response.headers["Server"] == "imd"


async def test_reload_says_what_is_wrong(server: Server) -> None:
    assert (await server.call("POST", "/-/reload"))[0] == 200
    server.reload_fault = 'rules/db.yaml:3:5: error[R003]: unknown key "widow"'
    status, problem, _ = await server.call("POST", "/-/reload")
    assert status == 400
    assert problem["detail"] == server.reload_fault


async def test_metrics_are_prometheus_text(server: Server) -> None:
    await server.call("POST", "/v1/ingest/alertmanager", {"alerts": [ALERT, {"labels": {}, "status": "firing"}]})
    status, text, response = await server.call("GET", "/metrics")
    assert status == 200
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert 'imd_alerts_received_total{source="alertmanager",status="firing"} 1.0' in text
    assert 'imd_alerts_rejected_total{reason="labels",source="alertmanager"} 1.0' in text
    assert 'imd_http_request_duration_seconds_count{code="200",path="/v1/ingest/{source}"} 1.0' in text
    assert (
        f'imd_source_last_heard_timestamp_seconds{{source="alertmanager"}} {server.clock.now().timestamp():.1f}'[:60]
        in text
    )


async def test_errors_are_problems(server: Server) -> None:
    status, problem, response = await server.call("GET", "/nothing/here")
    assert (status, problem["status"], problem["title"]) == (404, 404, "Not Found")
    assert response.content_type == "application/problem+json"
    status, problem, _ = await server.call("POST", "/v1/ingest/nobody", {"alerts": []})
    assert status == 404
    assert "nobody" in problem["detail"]


@pytest.mark.parametrize("path", ["/api/v2/nope", "/api/v2/alerts/", "/am/api/v2/cluster", "/api/v3/status"])
async def test_what_alertmanager_has_not_either_is_said_in_its_words(server: Server, path: str) -> None:
    status, said, response = await server.call("GET", path)
    assert (status, response.content_type) == (404, "application/json")
    assert said == {"code": 404, "message": f"nothing is served at {path}"}


@pytest.mark.parametrize("path", ["/v1/incidents", "/api/v2/alerts", "/metrics", "/nothing/here", "/v1/incidents/x"])
async def test_no_browser_takes_an_answer_for_a_page_and_nothing_keeps_a_copy(server: Server, path: str) -> None:
    _, _, response = await server.call("GET", path)
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "no-store"


async def test_the_ingest_answer(server: Server) -> None:
    """200 if any alert was accepted or there was none, else 400; each refusal by its place and reason."""
    path, bad = "/v1/ingest/alertmanager", {"labels": {"alertname": 1}, "status": "firing"}
    assert (await server.call("POST", path, {"alerts": []}))[:2] == (200, {"accepted": 0, "rejected": []})
    refusal = {"index": 1, "error": 'label "alertname" must be a string'}
    assert (await server.call("POST", path, {"alerts": [ALERT, bad]}))[:2] == (
        200,
        {"accepted": 1, "rejected": [refusal]},
    )
    assert (await server.call("POST", path, {"alerts": [bad]}))[:2] == (
        400,
        {"accepted": 0, "rejected": [refusal | {"index": 0}]},
    )
    _, kept, _ = await server.call("GET", "/v1/rejected?limit=1")
    assert kept["items"][0]["error"] == refusal["error"]
    assert kept["next_cursor"]


async def test_the_bound_of_open_alerts_is_told_by_place(tmp_path: Path, log: Logged) -> None:
    ruleset = msgspec.structs.replace(BENCH, bounds=msgspec.structs.replace(BENCH.bounds, open_alerts_max=2))
    async with serving(tmp_path, ruleset) as server:
        alerts = [{"labels": {}}, *({"labels": {"alertname": "A", "n": str(n)}} for n in range(3))]
        status, answer, _ = await server.call("POST", "/v1/ingest/alertmanager", {"alerts": alerts, "status": "firing"})
        assert (status, answer["accepted"]) == (200, 2)
        assert [part["index"] for part in answer["rejected"]] == [0, 3]


async def test_configured_sources_bring_their_labels(tmp_path: Path, log: Logged) -> None:
    ruleset = msgspec.structs.replace(
        BENCH, sources={"prom-eu": Source(name="prom-eu", type="alertmanager", labels={"region": "eu"})}
    )
    async with serving(tmp_path, ruleset) as server:
        assert (await server.call("POST", "/v1/ingest/prom-eu", {"alerts": [ALERT]}))[0] == 200
        assert [alert.labels() for alert in server.open_alerts()] == [{"alertname": "A", "region": "eu"}]
        server.ruleset = msgspec.structs.replace(
            BENCH, sources={"prom-eu": Source(name="prom-eu", type="alertmanager", labels={"region": "us"})}
        )
        await server.call("POST", "/v1/ingest/prom-eu", {"alerts": [ALERT]})
        assert {alert.labels()["region"] for alert in server.open_alerts()} == {"eu", "us"}
        _, status, _ = await server.call("GET", "/v1/status")
        assert status["sources"][0]["name"] == "prom-eu"
        assert status["sources"][0]["last_heard_at"]


async def test_when_nothing_is_taken_senders_get_503(server: Server) -> None:
    """With Retry-After, so that Alertmanager comes back; health stays, readiness goes."""
    await server.loop.stop()
    for path, body in (("/api/v2/alerts", [{"labels": {"a": "b"}}]), ("/v1/ingest/alertmanager", {"alerts": [ALERT]})):
        status, _, response = await server.call("POST", path, body)
        assert status == 503
        assert int(response.headers["Retry-After"]) > 0
    assert (await server.call("GET", "/-/ready"))[0] == 503
    assert (await server.call("GET", "/-/healthy"))[0] == 200
    assert (await server.call("POST", "/v1/ingest/alertmanager", raw=b"bad"))[0] == 400


async def test_a_full_inbox_is_503(tmp_path: Path, log: Logged) -> None:
    """Bodies beyond the bound of what waits for its commit are turned away, and taken when they come again."""
    settings = Settings(limits=Limits(inbox_bytes_max=1000))
    async with serving(tmp_path, settings=settings) as server:
        bodies = [{"alerts": [{**ALERT, "labels": {"alertname": "A", "n": str(n), "x": "y" * 600}}]} for n in range(20)]
        calls = [server.call("POST", "/v1/ingest/alertmanager", body) for body in bodies]
        answers = [status for status, _, _ in await asyncio.gather(*calls)]
        assert set(answers) <= {200, 503}
        assert len(list(server.open_alerts())) == answers.count(200)
        for body in bodies:
            assert (await server.call("POST", "/v1/ingest/alertmanager", body))[0] == 200
        assert len(list(server.open_alerts())) == 20


async def test_a_test_page(server: Server) -> None:
    path = "/v1/receivers/bench/test"
    status, answer, _ = await server.call("POST", path, {"text": "hello", "by": "ana"})
    assert (status, answer["accepted"], server.tested) == (200, True, [("bench", "hello", "ana")])
    _, answer, _ = await server.call("POST", path, {"text": "fail", "by": "ana"})
    assert (answer["accepted"], answer["detail"]) == (False, "it said no")
    assert (await server.call("POST", "/v1/receivers/nobody/test", {"text": "x", "by": "ana"}))[0] == 404
    assert (await server.call("POST", path, {"text": "", "by": "ana"}))[0] == 400


async def test_rules_are_listed_in_order(server: Server) -> None:
    _, rules, _ = await server.call("GET", "/v1/rules")
    assert [rule["name"] for rule in rules["items"]] == ["default"]


async def test_recorded_requests_are_taken(server: Server) -> None:
    """Prometheus (with and without a prefix), amtool and Alertmanager, byte for byte as their clients sent them."""
    for request in recorded("prometheus_2.42_api_v2_alerts.jsonl"):
        body = json.dumps(request["body"], ensure_ascii=False).encode() if "body" in request else None
        kind = {"Content_Type": "application/json"} if body is not None else {}
        status, answer, _ = await server.call(request["method"], request["path"], raw=body, **kind)
        assert status == 200, answer
        if request["method"] == "GET" and request["path"].startswith("/api/v2/alerts"):
            assert isinstance(answer, list)
    for request in recorded("alertmanager_0.25_webhook_v4.jsonl"):
        status, answer, _ = await server.call("POST", "/v1/ingest/alertmanager", request["body"])
        assert (status, answer["rejected"]) == (200, [])


KEYED = ("/v2/", "/jsm/", "/v1/callbacks/", "/v1/links/")
"""Paths that senders and readers speak to with a key or a signature of their own, which their handlers check."""


async def test_every_route_that_is_not_open_asks_who(tmp_path: Path, log: Logged) -> None:
    """The hook for tokens stands in front of all but health and what is gone, and before the body is read."""
    asked: list[Scope] = []

    def refuse(_request: web.Request, scope: Scope) -> None:
        asked.append(scope)
        raise Refusal(401, "who are you?", headers={"WWW-Authenticate": "Bearer"})

    patient = Settings(prefixes=("/am",), limits=Limits(refused_max=1000))
    async with serving(tmp_path, settings=patient, authorize=refuse) as server:
        table = routes(server.context())
        table = [route for route in table if not route.path.startswith(KEYED)]
        gone = f"/api/v1/{ANYTHING}"
        assert {route.path for route in table if route.scope is None} == {"/-/healthy", "/-/ready", gone}
        for route in table:
            path = route.path.replace("{source}", "alertmanager").replace(f"{{action:{ACTIONS}}}", "ack")
            path = path.replace("{id}", "1").replace("{name}", "bench").replace(ANYTHING, "alerts")
            for prefix in ("", "/am"):
                status, _, _ = await server.call(route.method, prefix + path)
                assert (status == 401) is (route.scope is not None), route
        assert asked == [route.scope for route in table for _ in range(2) if route.scope is not None]


@pytest.mark.parametrize("query", ["active=maybe", "silenced=2"])
async def test_flags_are_booleans(server: Server, query: str) -> None:
    assert (await server.call("GET", f"/api/v2/alerts?{query}"))[0] == 422


async def test_active_and_receiver_narrow_the_listing(server: Server) -> None:
    await server.call("POST", "/api/v2/alerts", [{"labels": {"a": "b"}}])
    for query, count in (("active=false", 0), ("receiver=ben.*", 1), ("receiver=ben", 0), ("silenced=false", 1)):
        assert len((await server.call("GET", f"/api/v2/alerts?{query}"))[1]) == count
