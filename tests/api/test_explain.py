"""POST /v1/explain: an alert tried beside what fires, with nothing changed and nobody paged."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from imd.config.settings import Settings, SourceSettings
from imd.model.policy import Source
from tests.api.server import BENCH, START, Server, serving

DOWN = {"alertname": "Down", "cluster": "c1", "severity": "critical"}


async def test_it_is_told_beside_what_fires_and_nothing_changes(server: Server) -> None:
    await server.call("POST", "/api/v2/alerts", [{"labels": {**DOWN, "node": "n1"}}])
    before = (await server.call("GET", "/v1/incidents"))[1], (await server.call("GET", "/v1/journal"))[1]
    status, told, _ = await server.call("POST", "/v1/explain", {"labels": {**DOWN, "node": "n2"}})
    assert status == 200
    assert told["live"]
    assert (told["place"]["verdict"], told["place"]["number"]) == ("joins", 1)
    assert told["known"] is None
    assert told["pages"][0]["to"] == "bench"
    _, again, _ = await server.call("POST", "/v1/explain", {"labels": {**DOWN, "node": "n1"}})
    assert again["known"]["incident"] == "i000000000001"
    after = (await server.call("GET", "/v1/incidents"))[1], (await server.call("GET", "/v1/journal"))[1]
    assert after == before
    assert server.sink.sent == []


async def test_a_silence_in_force_is_seen_and_one_that_is_over_is_not(server: Server) -> None:
    await server.call("POST", "/v1/silences", {"by": "ana", "matchers": ['alertname="Down"'], "for": "1h"})
    _, now, _ = await server.call("POST", "/v1/explain", {"labels": DOWN})
    assert "by ana" in now["suppressed_by"][0]["words"]
    later = f"{START.replace(hour=15):%Y-%m-%dT%H:%M:%SZ}"
    _, then, _ = await server.call("POST", "/v1/explain", {"labels": DOWN, "at": later})
    assert (then["at"], then["suppressed_by"]) == (later, [])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "labels"),
        ({"labels": {}}, "at least one label"),
        ({"labels": {"a": 1}}, "must be a string"),
        ({"labels": DOWN, "source": "nobody"}, "neither configured nor a built-in type"),
        ({"labels": DOWN, "at": "2026-01-01T00:00:00"}, "zone"),
        ({"labels": DOWN, "at": "0002-01-01T00:00:00Z"}, "year"),
        ({"labels": DOWN, "annotations": []}, "annotations"),
        ([], "object"),
    ],
)
async def test_what_makes_no_sense_is_400(server: Server, body: object, words: str) -> None:
    status, told, _ = await server.call("POST", "/v1/explain", body)
    assert status == 400
    assert words in told["detail"]


async def test_a_sources_labels_join_the_identity(tmp_path: Path) -> None:
    eu = Source(name="eu", type="alertmanager", labels={"region": "eu"})
    rules = msgspec.structs.replace(BENCH, sources={"eu": eu})
    async with serving(tmp_path, rules, Settings(sources={"eu": SourceSettings(source=eu)})) as server:
        _, told, _ = await server.call("POST", "/v1/explain", {"labels": DOWN, "source": "eu"})
        assert told["labels"] == {**DOWN, "region": "eu"}
        assert told["source"] == "eu"


async def test_without_an_engine_it_is_503(server: Server) -> None:
    server.loop._fail("the disk is full")
    status, _, response = await server.call("POST", "/v1/explain", {"labels": DOWN})
    assert status == 503
    assert response.headers["Retry-After"]
