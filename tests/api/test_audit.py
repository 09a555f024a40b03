"""`GET /v1/audit`: who did what."""

from __future__ import annotations

from tests.api.server import Server


async def test_what_people_do_is_on_the_audit_log(server: Server) -> None:
    await server.call("POST", "/api/v2/alerts", [{"labels": {"alertname": "Down"}}])
    assert (await server.call("POST", "/v1/incidents/1/ack", {"by": "ana", "note": "mine"}))[0] == 200
    assert (await server.call("POST", "/v1/pause", {"by": "ben", "for": "30m", "reason": "drill"}))[0] in (200, 201)
    status, page, _ = await server.call("GET", "/v1/audit")
    assert status == 200
    assert [(one["event"]["type"], one["event"]["by"]) for one in page["items"]] == [
        ("silence", "ben"),
        ("action", "ana"),
    ]
    assert len({one["seal"] for one in page["items"]}) == 2
