"""`GET /v1/stream`: what changed, once it is on disk."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest

from imd.api import changes
from imd.api.changes import Listener
from tests.api.server import Server


async def events(response: aiohttp.ClientResponse, count: int) -> list[dict[str, object]]:
    """So many incidents, each as it was told."""
    found: list[dict[str, object]] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            line = await response.content.readline()
            if line.startswith(b"data: "):
                found.append(json.loads(line[6:]))
    return found


async def test_changes_are_told_as_they_are_on_disk(server: Server) -> None:
    assert server.session is not None
    async with server.session.get(server.url + "/v1/stream") as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        await response.content.readuntil(b"\n\n")
        await server.call("POST", "/api/v2/alerts", [{"labels": {"alertname": "Down"}}])
        [opened] = await events(response, 1)
        assert opened["number"] == 1
        await server.call("POST", "/v1/incidents/1/ack", {"by": "ana"})
        [acknowledged] = await events(response, 1)
        assert (acknowledged["state"], acknowledged["acknowledged_by"]) == ("acknowledged", "ana")
        _, listed, _ = await server.call("GET", "/v1/incidents")
        assert listed["items"] == [acknowledged]


async def test_a_status_narrows_it_and_a_wrong_one_is_refused(server: Server) -> None:
    assert server.session is not None
    async with server.session.get(server.url + "/v1/stream?status=resolved") as response:
        await response.content.readuntil(b"\n\n")
        for name in ("A", "B"):
            await server.call("POST", "/api/v2/alerts", [{"labels": {"alertname": name}}])
        await server.call("POST", "/v1/incidents/2/resolve", {"by": "ana", "force": True})
        [told] = await events(response, 1)
        assert (told["number"], told["state"]) == (2, "resolved")
    assert (await server.call("GET", "/v1/stream?status=burning"))[0] == 400


async def test_who_goes_away_is_forgotten(server: Server) -> None:
    assert server.session is not None
    async with server.session.get(server.url + "/v1/stream") as response:
        await response.content.readuntil(b"\n\n")
        assert len(server.stream.listeners) == 1
    for _ in range(50):
        await server.call("POST", "/api/v2/alerts", [{"labels": {"alertname": "Down"}}])
        await server.call("POST", "/v1/incidents/1/note", {"by": "ana", "note": "hm"})
        if not server.stream.listeners:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("the listener stays")


def test_a_slow_listener_costs_ids_and_is_told_how_many_it_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "BEHIND_MAX", 3)
    listener = Listener()
    listener.note(["a", "b", "a", "c", "d", "e", "b"])
    assert (listener.take(), listener.lost) == (["a", "b", "c"], 2)
    assert listener.take() == []
