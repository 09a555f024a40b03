"""Senders of every kind, over HTTP: what is taken, ignored and refused, and what fires is ended by what resolves."""

from __future__ import annotations

from datetime import timedelta

from tests.api.server import Serve

JOBS = """
sources:
- name: jobs
  type: mapped
  map:
    each: jobs
    ignore: 'state="running"'
    resolved: 'state="ok"'
    firing: 'state="failed"'
    key: '{host}/{name}'
    labels: {alertname: Backup, host: '{host}'}
"""


async def test_a_mapped_source(serve: Serve) -> None:
    """It fires, says the same again, and ends by its key; what says nothing is told apart from what is wrong."""
    async with serve(JOBS) as server:
        job = {"host": "h", "name": "n", "state": "failed"}
        assert (await server.call("POST", "/v1/ingest/jobs", {"jobs": [job]}))[:2] == (
            200,
            {"accepted": 1, "rejected": []},
        )
        await server.pass_time(timedelta(seconds=11))
        _, incidents, _ = await server.call("GET", "/v1/incidents")
        assert [(one["state"], one["alert_count"]["firing"]) for one in incidents["items"]] == [("triggered", 1)]

        status, answer, _ = await server.call("POST", "/v1/ingest/jobs", {"jobs": [job | {"state": "running"}]})
        ignored = [{"index": 0, "error": 'says nothing of an alert: state is "running"'}]
        assert (status, answer) == (200, {"accepted": 0, "rejected": [], "ignored": ignored})
        status, answer, _ = await server.call("POST", "/v1/ingest/jobs", {"jobs": [{"state": "failed"}]})
        assert (status, answer["rejected"]) == (400, [{"index": 0, "error": "no key: nothing stands at host or name"}])
        assert (await server.call("POST", "/v1/ingest/jobs", {"other": 1}))[0] == 400
        _, kept, _ = await server.call("GET", "/v1/rejected")
        assert [(one["source"], one["index"]) for one in kept["items"]] == [("jobs", -1), ("jobs", 0), ("jobs", 0)]
        _, text, _ = await server.call("GET", "/metrics")
        for reason in ("ignored", "required", "body"):
            assert f'imd_alerts_rejected_total{{reason="{reason}",source="jobs"}} 1.0' in str(text)

        await server.call("POST", "/v1/ingest/jobs", {"jobs": [job | {"state": "ok"}]})
        await server.pass_time(timedelta(minutes=2))
        _, incidents, _ = await server.call("GET", "/v1/incidents")
        assert [one["state"] for one in incidents["items"]] == ["resolved"]
        assert (await server.call("POST", "/v1/ingest/mapped", {}))[0] == 404  # a type is no source by itself


async def test_the_handshake_of_cloudevents(serve: Serve) -> None:
    """Only a source of that type answers it; what is asked for is allowed."""
    async with serve("sources: [{name: events, type: cloudevents}]\n") as server:
        asked = {"WebHook-Request-Origin": "mon.example", "WebHook-Request-Rate": "120"}
        status, _, response = await server.call("OPTIONS", "/v1/ingest/events", **asked)
        assert (status, response.headers["WebHook-Allowed-Origin"], response.headers["WebHook-Allowed-Rate"]) == (
            200,
            "mon.example",
            "120",
        )
        assert (await server.call("OPTIONS", "/v1/ingest/grafana"))[0] == 405


async def test_alertmanagers_whole_groups(serve: Serve) -> None:
    """Each message tells its whole group again, from two replicas, perhaps cut short: each alert by its own status."""
    fires = {"status": "firing", "startsAt": "2026-11-21T11:59:00Z", "endsAt": "0001-01-01T00:00:00Z"}
    over = fires | {"status": "resolved", "endsAt": "2026-11-21T12:01:30Z"}
    one, two = ({"labels": {"alertname": "Down", "node": node}} for node in ("n1", "n2"))

    async with serve("") as server:

        async def say(*alerts: object, status: str = "firing", truncated: int = 0) -> None:
            body = {
                "version": "4",
                "groupKey": "{}",
                "truncatedAlerts": truncated,
                "status": status,
                "alerts": list(alerts),
            }
            assert (await server.call("POST", "/v1/ingest/alertmanager", body))[:2] == (
                200,
                {"accepted": len(alerts), "rejected": []},
            )
            await server.pass_time(timedelta(seconds=30))

        async def counted() -> list[tuple[str, int, int]]:
            _, found, _ = await server.call("GET", "/v1/incidents")
            return [
                (item["state"], item["alert_count"]["firing"], item["alert_count"]["resolved"])
                for item in found["items"]
            ]

        for _replica in range(2):
            await say(one | fires, two | fires)
        assert await counted() == [("triggered", 2, 0)]
        await say(one | fires, truncated=1)
        assert await counted() == [("triggered", 2, 0)], "what is cut off has not ended"
        for _replica in range(2):
            await say(one | over, two | fires)
        assert await counted() == [("triggered", 1, 1)], "a group that fires holds what is over"
        await say(two | over, status="resolved")
        await say(one | fires, two | over)
        assert await counted() == [("resolved", 0, 2)], "a message that comes late begins nothing anew"
