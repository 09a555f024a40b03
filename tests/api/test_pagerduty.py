"""Events v2: PagerDuty's own client against imd, the faults as PagerDuty words them, and whose key it is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pagerduty
import pytest

from tests.api.server import Serve, Server

KEYS = """
sources:
- {name: pd-shop, type: pagerduty, labels: {service: shop}, keys: [0123456789abcdef0123456789abcdef, second]}
- {name: pd-base, type: pagerduty, labels: {service: base}, keys: [key: ffffffffffffffffffffffffffffffff]}
"""
KEY = "0123456789abcdef0123456789abcdef"
OPEN = "limits: {body_read_timeout: 5s}\n"
PAYLOAD = {"summary": "disk of db1 is full", "source": "db1", "severity": "critical"}


class Plain(pagerduty.EventsApiV2Client):
    """PagerDuty's own client, which would speak TLS alone."""

    url = ""


async def client(server: Server, call: Callable[[pagerduty.EventsApiV2Client], Any], key: str = KEY) -> Any:
    """PagerDuty's client blocks, so it gets a thread."""

    def run() -> Any:
        made = Plain(key, base_url=server.url)
        made.sleep_timer = 0.01
        return call(made)

    return await asyncio.to_thread(run)


async def incidents(server: Server) -> list[dict[str, Any]]:
    _, answer, _ = await server.call("GET", "/v1/incidents")
    return list(answer["items"])


async def send(server: Server, **event: Any) -> tuple[int, Any]:
    return (await server.call("POST", "/v2/enqueue", {"routing_key": KEY, **event}))[:2]


async def rejected(server: Server) -> list[tuple[str, str]]:
    _, answer, _ = await server.call("GET", "/v1/rejected")
    return [(one["source"], one["error"]) for one in answer["items"]]


async def test_pagerdutys_client_triggers_acknowledges_and_resolves(serve: Serve) -> None:
    """One incident from the first trigger to the resolve; the acknowledgement stops its pages."""
    async with serve(KEYS) as server:
        made = await client(server, lambda pd: pd.trigger("disk full", "db1", custom_details={"team": "infra"}))
        assert len(made) == 32  # generated
        assert (
            await client(
                server, lambda pd: pd.trigger("disk full", "db1", dedup_key=made, custom_details={"team": "infra"})
            )
            == made
        )
        await server.pass_time(timedelta(seconds=11))
        [incident] = await incidents(server)
        assert (incident["state"], incident["priority"], incident["title"]) == ("triggered", "P2", "disk full shop")
        assert incident["labels"]["team"] == "infra"

        assert await client(server, lambda pd: pd.acknowledge(made)) == made
        [incident] = await incidents(server)
        assert (incident["state"], incident["acknowledged_by"]) == ("acknowledged", "pd-shop")
        assert await client(server, lambda pd: pd.resolve(made)) == made
        await server.pass_time(timedelta(minutes=2))
        assert [one["state"] for one in await incidents(server)] == ["resolved"]

        again = await client(server, lambda pd: pd.trigger("disk full", "db1"))
        assert again != made
        await client(server, lambda pd: pd.submit("deployed 1.2.3", source="ci", timestamp="2026-11-21T12:00:00Z"))
        assert (await rejected(server))[0] == ("pd-shop", "says nothing of an alert: the change 'deployed 1.2.3'")


async def test_an_unknown_key_is_refused_as_there(serve: Serve) -> None:
    """400, and no word of the key is kept."""
    async with serve(KEYS) as server:
        with pytest.raises(pagerduty.errors.Error) as caught:
            await client(server, lambda pd: pd.trigger("x", "y"), "0" * 32)
        assert caught.value.response.status_code == 400
        expected = {"status": "invalid event", "message": "Event object is invalid", "errors": ["Invalid routing key"]}
        assert caught.value.response.json() == expected
        _, answer, _ = await server.call("GET", "/v1/rejected")
        assert "0000" not in json.dumps(answer)
        assert "***" in answer["items"][0]["excerpt"]
        status, _ = await send(server, event_action="trigger", payload={"summary": "x"})
        assert status == 400
        assert KEY not in json.dumps((await server.call("GET", "/v1/rejected"))[1])


async def test_each_key_has_its_own_alerts(serve: Serve) -> None:
    """The same dedup_key under two keys is two alerts, which their sources' labels tell apart."""
    async with serve(KEYS) as server:
        for key in (KEY, "second", "f" * 32):
            body = {"routing_key": key, "event_action": "trigger", "dedup_key": "d", "payload": PAYLOAD}
            status, answer, _ = await server.call("POST", "/v2/enqueue", body)
            assert (status, answer) == (202, {"status": "success", "message": "Event processed", "dedup_key": "d"})
        assert [(one.source, one.labels()["service"]) for one in server.open_alerts()] == [
            ("pd-shop", "shop"),
            ("pd-base", "base"),
        ]
        await send(server, event_action="resolve", dedup_key="d")
        assert [one.source for one in server.open_alerts()] == ["pd-base"]


@pytest.mark.parametrize(
    ("event", "errors"),
    [
        ({"event_action": "trigger", "payload": PAYLOAD | {"summary": " "}}, ["'payload.summary' is missing or blank"]),
        ({"event_action": "trigger"}, ["'payload' is missing or blank"]),
        ({"event_action": "resolve"}, ["'dedup_key' is missing or blank"]),
        ({"payload": PAYLOAD}, ["'event_action' is missing or blank"]),
        (
            {"event_action": "open", "payload": PAYLOAD},
            ["'event_action' is invalid (must be one of the following: 'trigger', 'acknowledge' or 'resolve')"],
        ),
        ({"event_action": "trigger", "payload": PAYLOAD, "dedup_key": 7}, ["'dedup_key' must be a string"]),
        (
            {"event_action": "trigger", "payload": PAYLOAD, "dedup_key": "x" * 256},
            ["Length of 'dedup_key' is incorrect (should be no longer than 255 characters)"],
        ),
        ({"routing_key": "", "event_action": "resolve"}, ["'routing_key' is missing or blank"]),
        ({"routing_key": 7}, ["'routing_key' is missing or blank"]),
    ],
)
async def test_faults_are_worded_as_there(server: Server, event: dict[str, Any], errors: list[str]) -> None:
    status, answer = await send(server, **event)
    assert (status, answer) == (
        400,
        {"status": "invalid event", "message": "Event object is invalid", "errors": errors},
    )
    assert (await rejected(server))[0][1] == "; ".join(errors)


async def test_what_is_no_event_at_all(server: Server) -> None:
    for raw in (
        b"",
        b"[]",
        b"{",
        b"\xff",
        b'"x"',
        b'{"routing_key": "k", "event_action": "acknowledge", "dedup_key": "\\u0000"}',
    ):
        status, answer, _ = await server.call("POST", "/v2/enqueue", raw=raw)
        assert (status, answer["status"]) == (400, "invalid event")
        assert answer["errors"]
    status, _, response = await server.call("GET", "/v2/enqueue")
    assert (status, response.headers["Allow"]) == (405, "POST")
    status, answer, _ = await server.call("POST", "/v2/enqueue", raw=b"{" + b" " * 600_000 + b"}")
    assert status == 413


async def test_a_severity_that_is_none_pages_all_the_same(server: Server) -> None:
    status, _ = await send(server, event_action="trigger", payload=PAYLOAD | {"severity": "Catastrophic"})
    assert status == 202
    await server.pass_time(timedelta(seconds=11))
    [incident] = await incidents(server)
    assert (incident["state"], incident["labels"]["severity"]) == ("triggered", "catastrophic")


async def test_an_acknowledgement_of_nothing_is_kept(server: Server) -> None:
    """202, as there; and whoever wonders finds it."""
    status, answer = await send(server, event_action="acknowledge", dedup_key="nobody")
    assert (status, answer["message"]) == (202, "Event processed")
    said = "acknowledges nothing: no alert with this dedup_key is in an incident"
    assert await rejected(server) == [("pagerduty", said)]
    await send(server, event_action="trigger", dedup_key="d", payload=PAYLOAD)
    await server.pass_time(timedelta(seconds=11))
    await send(server, event_action="resolve", dedup_key="d")
    await server.pass_time(timedelta(minutes=2))
    await send(server, event_action="acknowledge", dedup_key="d")
    assert "is resolved: ack is not possible" in (await rejected(server))[0][1]


async def test_tokens_of_imd_will_do(serve: Serve) -> None:
    """As the routing key, or beside one; and where there are tokens nobody goes without."""
    config = "auth: {tokens: [{name: ci, scopes: [ingest], token: t0}, {name: eye, scopes: [read], token: t1}]}\n"
    async with serve(config) as server:
        for key, headers, status in (("t0", {}, 202), ("k", {"Authorization": "Bearer t0"}, 202), ("t1", {}, 400)):
            body = {"routing_key": key, "event_action": "trigger", "dedup_key": key, "payload": PAYLOAD}
            assert (await server.call("POST", "/v2/enqueue", body, **headers))[0] == status
        body = {"routing_key": "k", "event_action": "trigger", "payload": PAYLOAD}
        assert (await server.call("POST", "/v2/enqueue", body))[0] == 400
