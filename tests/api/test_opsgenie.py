"""Opsgenie's Alert API: Opsgenie's own client against imd, both addresses, answers and errors as there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import opsgenie_sdk as og
import pytest

from imd.model.heartbeat import Heartbeat
from imd.model.incident import Priority
from tests.api.server import BENCH, Logged, Serve, Server, serving

KEYS = """
sources:
- {name: og-shop, type: opsgenie, labels: {service: shop}, keys: [11111111-2222-3333-4444-555555555555]}
- {name: og-base, type: opsgenie, labels: {service: base}, keys: [key: second]}
"""
KEY = {"Authorization": "GenieKey 11111111-2222-3333-4444-555555555555"}
UNSOUND = "Request body is not processable. Please check the errors."
JSM = "/jsm/ops/integration/v2"


async def sdk(server: Server, call: Callable[[og.AlertApi], Any]) -> Any:
    """Opsgenie's client blocks, so it gets a thread."""

    def run() -> Any:
        conf = og.Configuration()
        conf.host = server.url
        conf.api_key["Authorization"] = KEY["Authorization"].partition(" ")[2]
        conf.retry_enabled = False
        return call(og.AlertApi(og.ApiClient(configuration=conf)))

    return await asyncio.to_thread(run)


async def incidents(server: Server) -> list[dict[str, Any]]:
    _, answer, _ = await server.call("GET", "/v1/incidents")
    return list(answer["items"])


async def rejected(server: Server) -> list[tuple[str, str]]:
    _, answer, _ = await server.call("GET", "/v1/rejected")
    return [(one["source"], one["error"]) for one in answer["items"]]


async def outcome(server: Server, answer: Any, base: str = "/v2") -> dict[str, Any]:
    status, said, _ = await server.call("GET", f"{base}/alerts/requests/{answer['requestId']}", **KEY)
    assert status == 200
    return dict(said["data"])


async def test_opsgenies_client_creates_acknowledges_notes_and_closes(serve: Serve) -> None:
    """One incident from create to close; by alias and by the id that the request's outcome names."""
    async with serve(KEYS) as server:
        payload = og.CreateAlertPayload(
            message="db is down",
            alias="db/1 ü",
            description="since ten",
            priority="P1",
            entity="db1",
            source="checker",
            tags=["env:prod", "vip"],
            details={"mount": "/var"},
            responders=[{"name": "infra", "type": "team"}],
        )
        made = await sdk(server, lambda api: api.create_alert(payload))
        assert (made.result, len(made.request_id)) == ("Request will be processed", 36)
        done = (await sdk(server, lambda api: api.get_request_status(made.request_id))).data
        assert (done.is_success, done.action, done.alias) == (True, "Create", "db/1 ü")
        await server.pass_time(timedelta(seconds=11))
        [incident] = await incidents(server)
        assert (incident["state"], incident["priority"], incident["title"]) == ("triggered", "P1", "db is down shop")
        labels = incident["labels"]
        assert {labels[name] for name in ("team", "entity", "env", "mount", "severity")} == {
            "infra", "db1", "prod", "/var", "critical",
        }  # fmt: skip

        shown = (await sdk(server, lambda api: api.get_alert(done.alert_id))).data
        assert (shown.alias, shown.status, shown.acknowledged, shown.priority) == ("db/1 ü", "open", False, "P1")
        ack = og.AcknowledgeAlertPayload(user="ana", note="on it")
        await sdk(
            server, lambda api: api.acknowledge_alert("db/1 ü", identifier_type="alias", acknowledge_alert_payload=ack)
        )
        [incident] = await incidents(server)
        assert (incident["state"], incident["acknowledged_by"]) == ("acknowledged", "ana")
        note = og.AddNoteToAlertPayload(note="rebooting", user="ana")
        await sdk(server, lambda api: api.add_note(done.alert_id, note, identifier_type="id"))
        _, lines, _ = await server.call("GET", f"/v1/incidents/{incident['id']}/timeline")
        assert ("note", "rebooting", "ana") in {(one["kind"], one["text"], one["by"]) for one in lines["items"]}

        close = og.CloseAlertPayload(note="up again", user="ben")
        await sdk(server, lambda api: api.close_alert("db/1 ü", identifier_type="alias", close_alert_payload=close))
        await server.pass_time(timedelta(minutes=2))
        assert [one["state"] for one in await incidents(server)] == ["resolved"]
        assert (await sdk(server, lambda api: api.get_alert(done.alert_id))).data.status == "closed"
        assert await rejected(server) == []


async def test_both_addresses_and_an_alias_made_for_you(serve: Serve) -> None:
    async with serve(KEYS) as server:
        for base in ("/v2", JSM):
            status, answer, response = await server.call("POST", f"{base}/alerts", {"message": "x"}, **KEY)
            assert (status, answer["result"]) == (202, "Request will be processed")
            assert response.headers["X-Request-ID"] == answer["requestId"]
            assert isinstance(answer["took"], float)
            made = await outcome(server, answer, base)
            assert len(made["alias"]) == 36
            status, answer, _ = await server.call("DELETE", f"{base}/alerts/{made['alertId']}", **KEY)
            assert status == 202
            assert (await outcome(server, answer))["status"] == "Closed alert"
        assert list(server.open_alerts()) == []


async def test_an_alert_belongs_to_its_key(serve: Serve) -> None:
    """Another key's alert cannot be closed, by its alias or by its id."""
    async with serve(KEYS) as server:
        _, answer, _ = await server.call("POST", "/v2/alerts", {"message": "x", "alias": "a"}, **KEY)
        made = await outcome(server, answer)
        other = {"Authorization": "GenieKey second"}
        for path in ("a/close?identifierType=alias", f"{made['alertId']}/close"):
            status, answer, _ = await server.call("POST", f"/v2/alerts/{path}", {}, **other)
            assert status == 202
            assert (await outcome(server, answer))["isSuccess"] is False
        assert [one.source for one in server.open_alerts()] == ["og-shop"]
        assert (await rejected(server))[0] == (
            "og-base",
            f"close of {made['alertId']!a}: Alert does not exist",
        )


async def test_message_description_and_priority_of_an_open_alert(serve: Serve) -> None:
    """As Alertmanager's update_alerts does; a priority that rises raises the incident."""
    async with serve(KEYS) as server:
        await server.call("POST", "/v2/alerts", {"message": "x", "alias": "a", "priority": "P4"}, **KEY)
        await server.pass_time(timedelta(seconds=11))
        for part, text in (("message", "y"), ("description", "z" * 5000), ("priority", "P1")):
            status, answer, _ = await server.call(
                "PUT", f"/v2/alerts/a/{part}?identifierType=alias", {part: text}, **KEY
            )
            assert (status, (await outcome(server, answer))["isSuccess"]) == (202, True)
        [alert] = server.open_alerts()
        notes = alert.annotation_map()
        assert (notes["summary"], len(notes["description"].encode())) == ("y", 4096)
        [incident] = await incidents(server)
        assert incident["priority"] == "P1"
        status, answer, _ = await server.call(
            "PUT", "/v2/alerts/a/priority?identifierType=alias", {"priority": "P9"}, **KEY
        )
        assert (status, list(answer["errors"])) == (422, ["priority"])
        await server.call("POST", "/v2/alerts/a/close?identifierType=alias", **KEY)
        _, answer, _ = await server.call("PUT", "/v2/alerts/a/message?identifierType=alias", {"message": "z"}, **KEY)
        assert (await outcome(server, answer))["status"] == "Alert does not exist"
        assert list(server.open_alerts()) == []


async def test_what_is_not_carried_out_says_so(serve: Serve) -> None:
    async with serve(KEYS) as server:
        await server.call("POST", "/v2/alerts", {"message": "x", "alias": "a"}, **KEY)
        for word in ("tags", "details", "assign", "escalate", "snooze", "responders"):
            status, answer, _ = await server.call("POST", f"/v2/alerts/a/{word}?identifierType=alias", {"x": 1}, **KEY)
            assert status == 202
            assert (await outcome(server, answer))["status"] == f"{word} is not carried out by imd"
        assert len(await rejected(server)) == 6


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "message"),
    [
        ("POST", "/v2/alerts", {"message": " "}, KEY, 422, UNSOUND),
        ("POST", "/v2/alerts", {}, KEY, 422, UNSOUND),
        ("POST", "/v2/alerts", [], KEY, 400, "Could not parse request body: it must be an object"),
        ("POST", "/v2/alerts", {"message": "x", "alias": "a" * 513}, KEY, 422, UNSOUND),
        ("POST", "/v2/alerts", {"message": "x"}, {"Authorization": "GenieKey nobody"}, 401, "Could not authenticate"),
        ("POST", "/v2/alerts", {"message": "x"}, {}, 401, "Key format is not valid!"),
        ("POST", "/v2/alerts/a/notes?identifierType=alias", {}, KEY, 202, None),
        ("POST", "/v2/alerts/7/close?identifierType=tiny", {}, KEY, 422, UNSOUND),
        ("POST", "/v2/alerts/nonsense/close", {}, KEY, 202, None),
        ("POST", "/v2/alerts/%00/close?identifierType=alias", {}, KEY, 202, None),
        ("GET", "/v2/alerts/nonsense", None, KEY, 404, "Alert does not exist"),
        ("GET", "/v2/alerts/requests/nonsense", None, KEY, 404, "Request not found. It might not be processed, yet."),
        ("GET", "/v2/heartbeats/nobody/ping", None, KEY, 404, "Heartbeat with name [nobody] does not exist"),
        ("PATCH", "/v2/alerts/a", {}, KEY, 405, None),
    ],
)  # fmt: skip
async def test_errors_have_opsgenies_shape(
    serve: Serve, method: str, path: str, body: object, headers: dict[str, str], status: int, message: str | None
) -> None:
    async with serve(KEYS) as server:
        got, answer, _ = await server.call(method, path, body, **headers)
        assert got == status, answer
        assert {"took", "requestId"} <= set(answer)
        if message is not None:
            assert answer["message"] == message


async def test_broken_bodies(serve: Serve) -> None:
    async with serve(KEYS) as server:
        for raw in (b"{", b"\xff", b'{"message": "\\u0000", "alias": "\\u0000"}', b"[" * 50 + b"]" * 50):
            status, answer, _ = await server.call("POST", "/v2/alerts", raw=raw, **KEY)
            assert status in (400, 422), answer
        for body in (
            {"message": {"a": 1}},
            {"message": 7, "tags": 7, "details": [1], "responders": {"a": 1}, "priority": []},
        ):
            status, _, _ = await server.call("POST", "/v2/alerts", body, **KEY)
            assert status in (202, 422)
        assert "11111111-2222" not in json.dumps((await server.call("GET", "/v1/rejected"))[1])


async def test_heartbeats_are_pinged(tmp_path: Path, log: Logged) -> None:
    """By GET and by POST; one by labels has its own path."""
    hours = timedelta(hours=1)
    beats = (
        Heartbeat(name="nightly", match=(), every=hours, grace=timedelta(0), priority=Priority.P1),
        Heartbeat(name="each", match=(), by=("site",), every=hours, grace=timedelta(0), priority=Priority.P1),
    )
    async with serving(tmp_path, msgspec.structs.replace(BENCH, heartbeats=beats)) as server:
        for method, path in (("GET", "/v2/heartbeats/nightly/ping"), ("POST", f"{JSM}/heartbeats/nightly/ping")):
            status, answer, _ = await server.call(method, path)
            assert (status, answer["result"]) == (202, "PONG - Heartbeat received")
        assert [one.beat_at for one in server.beats() if one.heartbeat == "nightly"] == [server.clock.now()]
        assert (await server.call("GET", "/v2/heartbeats/each/ping"))[0] == 422
