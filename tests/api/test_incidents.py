"""Incidents over HTTP, from the alert to the resolve by hand; engine and store are real."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.api.server import Server

ALERT = {
    "labels": {"alertname": "DiskFull", "cluster": "eu", "severity": "critical"},
    "annotations": {"summary": "90 %"},
}


@pytest.fixture
async def incident(server: Server) -> dict[str, object]:
    """One triggered incident, paged and the page accepted."""
    assert (await server.call("POST", "/api/v2/alerts", [ALERT]))[0] == 200
    await server.pass_time(timedelta(seconds=11))
    await server.finish_deliveries()
    _, page, _ = await server.call("GET", "/v1/incidents?status=open")
    return page["items"][0]


async def test_an_alert_is_shown_as_an_incident(server: Server, incident: dict[str, object]) -> None:
    assert incident["number"] == 1
    assert incident["state"] == "triggered"
    assert incident["rule"] == "default"
    assert incident["config_hash"] == "c0ffee"
    for which in ("1", incident["id"]):
        status, shown, _ = await server.call("GET", f"/v1/incidents/{which}")
        assert status == 200
        assert shown["alerts"][0]["labels"] == ALERT["labels"]
        assert shown["alerts"][0]["annotations"] == ALERT["annotations"]
        assert shown["alerts"][0]["joined_because"].startswith("opened this incident under rule default")


async def test_the_four_actions(server: Server, incident: dict[str, object]) -> None:
    """Acknowledge, hand back, note and resolve; again is fine and changes nothing."""
    for _ in range(2):
        status, answer, _ = await server.call("POST", "/v1/incidents/1/ack", {"by": "ana", "note": "on it"})
        assert (status, answer["state"], answer["acknowledged_by"]) == (200, "acknowledged", "ana")
    status, answer, _ = await server.call("POST", "/v1/incidents/1/unack", {"by": "ana"})
    assert (status, answer["state"]) == (200, "triggered")
    assert (await server.call("POST", "/v1/incidents/1/note", {"by": "ben", "note": "disk ordered"}))[0] == 200
    status, answer, _ = await server.call("POST", "/v1/incidents/1/resolve", {"by": "ben"})
    assert status == 409
    assert "force" in answer["detail"]
    status, answer, _ = await server.call("POST", "/v1/incidents/1/resolve", {"by": "ben", "force": True})
    assert (status, answer["state"]) == (200, "resolved")
    _, timeline, _ = await server.call("GET", "/v1/incidents/1/timeline")
    assert [line["by"] for line in timeline["items"] if line["kind"] == "note"][-1:] == ["ben"]
    assert sum(line["kind"] == "acknowledged" for line in timeline["items"]) == 1


async def test_why_names_rule_key_alerts_and_pages(server: Server, incident: dict[str, object]) -> None:
    status, why, _ = await server.call("GET", "/v1/incidents/1/why")
    assert status == 200
    assert "Rule default" in why["exists"][0]
    assert "alertname" in why["exists"][0]
    assert why["alerts"][0]["joined_because"]
    assert [(page["receiver"], page["state"]) for page in why["pages"]] == [("bench", "accepted")]
    assert any(line["kind"] == "paged" for line in why["lines"])
    _, deliveries, _ = await server.call("GET", "/v1/deliveries?incident=1&state=accepted")
    assert deliveries["items"] == why["pages"]


async def test_lists_narrow_and_page(server: Server) -> None:
    """Newest first, by state, priority, rule, matcher and age; the cursor leads through all of them once."""
    for name in "ABCDE":
        await server.call("POST", "/api/v2/alerts", [{"labels": {"alertname": name, "severity": "critical"}}])
        await server.pass_time(timedelta(seconds=20))
    seen, cursor = [], ""
    while True:
        _, page, _ = await server.call("GET", f"/v1/incidents?limit=2{cursor}")
        seen += [incident["number"] for incident in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == [5, 4, 3, 2, 1]

    async def numbers(query: str) -> list[int]:
        status, page, _ = await server.call("GET", f"/v1/incidents?{query}")
        assert status == 200, page
        return [incident["number"] for incident in page["items"]]

    assert await numbers("match=alertname%3D%22B%22") == [2]
    assert await numbers("match=alertname%3D~%22B|C%22&match=alertname!%3DB") == [3]
    assert await numbers("status=resolved,closed") == []
    assert await numbers("status=open&rule=default&since=45s") == [5, 4]
    assert await numbers("rule=other") == []
    everything = await numbers("status=open,resolved")
    priorities = {incident for p in ("P1", "P2", "P3", "P4", "P5") for incident in await numbers(f"priority={p}")}
    assert priorities == set(everything)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/v1/incidents?status=broken", "status"),
        ("/v1/incidents?priority=P9", "priority"),
        ("/v1/incidents?limit=-1", "limit"),
        ("/v1/incidents?limit=0", "limit"),
        ("/v1/incidents?cursor=abc", "cursor"),
        ("/v1/incidents?since=yesterday", "since"),
        ("/v1/incidents?since=2026-01-01T00:00:00", "since"),
        ("/v1/incidents?match=a%3D~%22(%22", "match"),
        ("/v1/incidents?match=%7Ba", "match"),
        ("/v1/incidents?statsu=open", "unknown parameter"),
        ("/v1/deliveries?state=lost", "state"),
        ("/v1/alerts?match=%3D", "match"),
    ],
)
async def test_a_wrong_question_is_told_what_is_wrong(server: Server, path: str, said: str) -> None:
    status, problem, response = await server.call("GET", path)
    assert status == 400
    assert said in problem["detail"]
    assert response.content_type == "application/problem+json"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "by"),
        ({"by": " "}, "by"),
        ({"by": "a" * 201}, "by"),
        ({"by": 1}, "by"),
        ({"by": "a", "note": ""}, "note"),
        ({"by": "a", "note": "x" * 20_000}, "note"),
        ({"by": "a", "note": "a\0"}, "NUL"),
        ([], "object"),
        ("x", "object"),
    ],
)
async def test_a_wrong_action_is_told_what_is_wrong(
    server: Server, incident: dict[str, object], body: object, said: str
) -> None:
    status, problem, _ = await server.call("POST", "/v1/incidents/1/note", body)
    assert status == 400
    assert said in problem["detail"]


async def test_unknown_incidents_and_methods(server: Server, incident: dict[str, object]) -> None:
    for path in ("/v1/incidents/99", "/v1/incidents/nope", "/v1/incidents/99/timeline", "/v1/incidents/%F0%9F%99%82"):
        assert (await server.call("GET", path))[0] == 404
    assert (await server.call("POST", "/v1/incidents/99/ack", {"by": "a"}))[0] == 404
    assert (await server.call("POST", "/v1/incidents/1/explode", {"by": "a"}))[0] == 404
    status, _, response = await server.call("DELETE", "/v1/incidents/1")
    assert (status, response.headers["Allow"]) == (405, "GET")


async def test_members_are_paged(server: Server) -> None:
    alerts = [{"labels": {"alertname": "A", "n": str(n)}} for n in range(7)]
    await server.call("POST", "/api/v2/alerts", alerts)
    _, first, _ = await server.call("GET", "/v1/incidents/1/alerts?limit=5")
    _, second, _ = await server.call("GET", f"/v1/incidents/1/alerts?limit=5&cursor={first['next_cursor']}")
    assert [alert["labels"]["n"] for alert in first["items"] + second["items"]] == [str(n) for n in range(7)]
    assert second["next_cursor"] is None
    _, live, _ = await server.call("GET", "/v1/alerts?limit=5&match=n!%3D%220%22")
    assert [alert["labels"]["n"] for alert in live["items"]] == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize(
    ("method", "path", "body", "said"),
    [
        ("GET", "/v1/incidents?status=opne", None, "it is one or more of open, pending, triggered, acknowledged"),
        ("GET", "/v1/incidents?priority=1", None, "it is one or more of P1, P2, P3, P4, P5"),
        ("GET", "/v1/deliveries?state=sent", None, "it is one or more of pending, accepted"),
        (
            "POST",
            "/v1/incidents/1/snooze",
            {"by": "ana", "until": "tomorrow"},
            "like 2026-03-02T08:00:00Z - at `$.until`",
        ),
        (
            "POST",
            "/v1/silences",
            {"by": "ana", "matchers": ["a=b"], "for": "2"},
            "for: '2' is no duration like 2h: it has",
        ),
        ("POST", "/v1/silences", {"by": "ana", "matchers": ["a~=b"], "for": "2h"}, "is matched by =~, not ~="),
    ],
)
async def test_what_is_not_understood_is_answered_with_what_is(
    server: Server, method: str, path: str, body: object, said: str
) -> None:
    status, answer, _ = await server.call(method, path, body)
    assert status == 400
    assert said in answer["detail"]
