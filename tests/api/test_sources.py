"""Senders of every kind, over HTTP: what is taken, ignored and refused, and what fires is ended by what resolves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from imd.api.access import Access
from imd.config.load import load
from tests.api.server import Logged, Server, serving

Serve = Callable[[str], AbstractAsyncContextManager[Server]]
HEAD = "receivers: [{name: bench, type: console}]\n"


@pytest.fixture
def serve(tmp_path: Path, log: Logged) -> Serve:
    """A server by the text of a config.yaml."""

    @asynccontextmanager
    async def started(config: str) -> AsyncIterator[Server]:
        (tmp_path / "config.yaml").write_text(HEAD + config)
        loaded = load(tmp_path / "config.yaml", (), {})
        access = Access(lambda: loaded.settings)
        async with serving(tmp_path, loaded.ruleset, loaded.settings, authorize=access.authorize) as server:
            yield server

    return started


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
