"""Actions and reports over HTTP: what each needs, what is refused of it, and the answer."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.api.server import Server


async def fires(server: Server, *names: str) -> None:
    for name in names:
        assert (await server.call("POST", "/api/v2/alerts", [{"labels": {"alertname": name}}]))[0] == 200


async def act(server: Server, which: object, action: str, **body: object) -> tuple[int, dict[str, object]]:
    status, answer, _ = await server.call("POST", f"/v1/incidents/{which}/{action}", {"by": "ana", **body})
    assert isinstance(answer, dict)
    return status, answer


async def test_a_snooze_by_duration_or_instant(server: Server) -> None:
    await fires(server, "Down")
    status, incident = await act(server, 1, "snooze", **{"for": "2h"})
    assert (status, incident["state"], incident["acknowledged_by"]) == (200, "snoozed", "ana")
    until = server.clock.now() + timedelta(hours=3)
    status, incident = await act(server, 1, "snooze", until=until.isoformat())
    assert (status, incident["snoozed_until"]) == (200, until.isoformat().replace("+00:00", "Z"))


@pytest.mark.parametrize(
    ("action", "body", "says"),
    [
        ("snooze", {}, "one of the two"),
        ("snooze", {"for": "2h", "until": "2031-01-01T00:00:00Z"}, "one of the two"),
        ("snooze", {"for": "soon"}, "for: 'soon' is no duration like 2h"),
        ("snooze", {"for": "31d"}, "at most 30 days"),
        ("snooze", {"until": "2001-01-01T00:00:00Z"}, "in the future"),
        ("snooze", {"until": "2031-01-01T00:00:00"}, "time zone"),
        ("assign", {}, "needs `to`"),
        ("responder", {"to": " "}, "needs `to`"),
        ("merge", {}, "needs `into`"),
        ("split", {}, "needs `fingerprints`"),
        ("note", {}, "needs `note`"),
        ("close", {"outcome": "x" * 65}, "at most 64 characters"),
        ("close", {"cause": "<script>"}, "at most 64 characters"),
        ("ack", {"by": ""}, "needs `by`"),
    ],
)
async def test_what_is_missing_or_wrong_is_named(
    server: Server, action: str, body: dict[str, object], says: str
) -> None:
    await fires(server, "Down")
    status, answer = await act(server, 1, action, **body)
    assert status == 400
    assert says in str(answer["detail"])


async def test_merging_splitting_and_closing(server: Server) -> None:
    await fires(server, "A", "B")
    assert (await act(server, 2, "merge", into=99))[0] == 404
    status, merged = await act(server, 2, "merge", into=1)
    assert (status, merged["state"]) == (200, "merged")
    _, alerts, _ = await server.call("GET", "/v1/incidents/1/alerts")
    second = alerts["items"][1]["fingerprint"]
    status, _ = await act(server, 1, "split", fingerprints=[second])
    _, third, _ = await server.call("GET", "/v1/incidents/3")
    assert (status, third["split_from"], third["alert_count"]["firing"]) == (200, merged["merged_into"], 1)
    assert (await act(server, 1, "close", outcome="fixed"))[0] == 409
    assert (await act(server, 1, "resolve", force=True))[0] == 200
    status, closed = await act(server, 1, "close", outcome="fixed", cause="capacity", actionable=False)
    assert (status, closed["state"]) == (200, "closed")
    assert (closed["outcome"], closed["cause"], closed["actionable"]) == ("fixed", "capacity", False)


async def test_what_ended_long_ago_is_closed_from_the_store(server: Server) -> None:
    await fires(server, "Down")
    assert (await act(server, 1, "resolve", force=True))[0] == 200
    await server.call("POST", "/api/v2/alerts", [{"labels": {"alertname": "Down"}, "endsAt": "2000-01-01T00:00:00Z"}])
    await server.pass_time(timedelta(days=2))
    assert server.incident("i000000000001") is None, "it left memory"
    assert (await act(server, 1, "note", note="seen in the review"))[0] == 200
    assert (await act(server, 1, "close", outcome="fixed"))[1]["state"] == "closed"
    assert (await act(server, 1, "ack"))[0] == 409
    _, timeline, _ = await server.call("GET", "/v1/incidents/1/timeline")
    kinds = [line["kind"] for line in timeline["items"]]
    assert kinds[-2:] == ["note", "closed"]
    await server.pass_time(timedelta(minutes=2))
    assert server.incident("i000000000001") is None


async def test_a_report_by_a_person(server: Server) -> None:
    body = {"title": "checkout is slow", "by": "ana", "labels": {"team": "shop"}, "priority": "P2", "key": "k1"}
    status, incident, _ = await server.call("POST", "/v1/incidents", body)
    assert (status, incident["state"], incident["priority"], incident["title"]) == (
        201,
        "triggered",
        "P2",
        "checkout is slow",
    )
    assert (incident["reported_by"], incident["labels"]["team"]) == ("ana", "shop")
    status, again, _ = await server.call("POST", "/v1/incidents", body)
    assert (status, again["id"]) == (200, incident["id"])
    _, listed, _ = await server.call("GET", "/v1/incidents?status=open")
    assert len(listed["items"]) == 1


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"by": "ana"}, "needs `title`"),
        ({"title": "x"}, "needs `by`"),
        ({"title": "x", "by": "ana", "labels": {"a b": "c"}}, "no label name"),
        ({"title": "x", "by": "ana", "policy": "nope"}, "there is no policy"),
        ({"title": "x", "by": "ana", "priority": "P9"}, "P9"),
    ],
)
async def test_a_report_that_lacks_something_opens_nothing(server: Server, body: dict[str, object], says: str) -> None:
    status, answer, _ = await server.call("POST", "/v1/incidents", body)
    assert (status, says in answer["detail"]) == (400, True), answer
    assert (await server.call("GET", "/v1/incidents"))[1]["items"] == []
