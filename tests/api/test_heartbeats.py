"""Heartbeats and waiting alerts over HTTP; engine and store are real."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from imd.model.heartbeat import Heartbeat
from imd.model.policy import BUILT_IN_RULE
from imd.model.rule import Count, Matcher, Op, Rule
from tests.api.server import BENCH, Server, serving

HOUR = timedelta(hours=1)
RULES = msgspec.structs.replace(
    BENCH,
    heartbeats=(Heartbeat(name="backup", every=HOUR), Heartbeat(name="dog", by=("cluster",), every=HOUR)),
    rules=(
        Rule(
            name="nodes",
            match=((Matcher("alertname", Op.EQUAL, "Down"),),),
            open_when=Count(at_least=3, distinct="instance", within=timedelta(minutes=5)),
        ),
        BUILT_IN_RULE,
    ),
)


@pytest.fixture
async def beating(tmp_path: Path) -> AsyncIterator[Server]:
    async with serving(tmp_path, RULES) as server:
        yield server


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_beat_is_answered_with_the_heartbeat(beating: Server, method: str) -> None:
    """By either method; whatever the body says."""
    status, answer, _ = await beating.call(method, "/v1/heartbeats/backup", {"any": "thing"})
    assert status == 200
    assert (answer["name"], answer["by"], answer["missing"]) == ("backup", {}, False)
    assert (answer["every_seconds"], answer["priority"]) == (3600, "P2")
    assert answer["last_beat_at"] is not None


async def test_a_missing_beat_is_an_incident_and_a_beat_resolves_it(beating: Server) -> None:
    await beating.pass_time(timedelta(seconds=1))
    await beating.pass_time(2 * HOUR)
    _, page, _ = await beating.call("GET", "/v1/incidents?status=open")
    assert [one["rule"] for one in page["items"]] == ["heartbeat:backup"]
    _, listed, _ = await beating.call("GET", "/v1/heartbeats")
    assert [(one["name"], one["missing"]) for one in listed["items"]] == [("backup", True)]
    assert (await beating.call("POST", "/v1/heartbeats/backup"))[1]["missing"] is False
    _, page, _ = await beating.call("GET", "/v1/incidents?status=resolved")
    assert len(page["items"]) == 1


async def test_what_no_heartbeat_is_named_is_refused(beating: Server) -> None:
    """404 for the name, 400 for values that are missing or nobody asked for."""
    assert (await beating.call("POST", "/v1/heartbeats/nobody"))[0] == 404
    assert (await beating.call("POST", "/v1/heartbeats/dog"))[0] == 400
    assert (await beating.call("POST", "/v1/heartbeats/backup?cluster=a"))[0] == 400
    assert (await beating.call("POST", f"/v1/heartbeats/dog?cluster={'x' * 2000}"))[0] == 400
    status, answer, _ = await beating.call("POST", "/v1/heartbeats/dog?cluster=a")
    assert (status, answer["by"]) == (200, {"cluster": "a"})


async def test_a_waiting_alert_says_what_for(beating: Server) -> None:
    """It is listed, fires and is in no incident."""
    await beating.call("POST", "/api/v2/alerts", [{"labels": {"alertname": "Down", "instance": "a"}}])
    _, page, _ = await beating.call("GET", "/v1/alerts")
    (alert,) = page["items"]
    assert (alert["incident"], alert["verdict"]) == (None, "waits for 3 of instance within 5m")
    assert alert["flapping"] is False
