"""Requests recorded from real clients, played back to a real daemon: one incident per cause, and it resolves.

All times of a recording are moved to now, and both they and the playback run FASTER times faster, so that ends and
deadlines fall as they fell. The rules wait that much less.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.system.running import Daemon, Daemons, until
from tests.system.sink import Sink

pytestmark = pytest.mark.slow

CAPTURES = Path(__file__).parents[1] / "captures"
FASTER = 20
CONFIG = "prefixes: [/am]\nreceivers: [{{name: sink, type: webhook, url: {url}}}]\n"
RULES = """rules:
  - {name: default, hold: 500ms, resolve: {after: 3s}}
"""  # the defaults, as much faster
YEAR_1 = "0001-01-01"
HOOK = re.compile(r"^/hook/alertmanager(?=\?|$)")

PROMETHEUS = "prometheus_2.42_api_v2_alerts.jsonl"
ALERTMANAGER = "alertmanager_0.25_webhook_v4.jsonl"
ALWAYS = {"TargetDown", "NodeFilesystemAlmostOutOfSpace", "FlappyDemo"}


class Recording:
    """One file's or several files' requests in order of arrival."""

    def __init__(self, *names: str) -> None:
        lines = [json.loads(line) for name in names for line in (CAPTURES / name).read_text().splitlines()]
        self._requests = sorted(lines, key=lambda request: request["t"])

    def play(self, daemon: Daemon) -> Counter[int]:
        """Sends all at their instants; how many answers of each status came."""
        began, first = time.time(), self._requests[0]["t"]
        answers: Counter[int] = Counter()
        for request in self._requests:
            due = began + (request["t"] - first) / FASTER
            until("it is due", lambda due=due: time.time() >= due)
            answers[self._send(daemon, request, began, first)] += 1
        return answers

    def _send(self, daemon: Daemon, request: dict[str, Any], began: float, first: float) -> int:
        body = (
            json.dumps(_moved(request["body"], began, first), ensure_ascii=False).encode() if "body" in request else b""
        )
        connection = HTTPConnection("127.0.0.1", daemon.port, timeout=10)
        connection.putrequest(request["method"], HOOK.sub("/v1/ingest/alertmanager", request["path"]), skip_host=True)
        for name, value in request["headers"]:
            connection.putheader(name, str(len(body)) if name == "Content-Length" else value)
        connection.endheaders(body)
        response = connection.getresponse()
        response.read()
        connection.close()
        return response.status


def _moved(body: Any, began: float, first: float) -> Any:
    if isinstance(body, dict):
        return {
            key: _moment(part, began, first) if key in ("startsAt", "endsAt") else _moved(part, began, first)
            for key, part in body.items()
        }
    return [_moved(part, began, first) for part in body] if isinstance(body, list) else body


def _moment(text: str, began: float, first: float) -> str:
    if text.startswith(YEAR_1):
        return text
    moved = began + (datetime.fromisoformat(text).timestamp() - first) / FASTER
    return datetime.fromtimestamp(moved, UTC).isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize(
    ("names", "amtool"),
    [((PROMETHEUS,), True), ((ALERTMANAGER,), False), ((PROMETHEUS, ALERTMANAGER), True)],
    ids=["prometheus", "alertmanager", "both"],
)
def test_one_incident_per_cause(names: tuple[str, ...], amtool: bool, daemons: Daemons, sink: Sink) -> None:
    """Each cause opens one incident, however many ways and times it is reported, with one page and, at its end, one
    resolve. What still fires when the recording stops ends by its sender's deadline, if that was Prometheus alone."""
    daemon = daemons(CONFIG.format(url=sink.url), RULES)
    daemon.start()
    assert set(Recording(*names).play(daemon)) == {200}

    causes = {*ALWAYS, "amtooltest"} if amtool else ALWAYS
    incidents = {one["labels"]["alertname"]: one for one in daemon.items("/v1/incidents")}
    assert incidents.keys() == causes
    assert len(daemon.items("/v1/incidents")) == len(causes)
    ended = {"NodeFilesystemAlmostOutOfSpace", "FlappyDemo"}
    until("what resolved is over", lambda: ended <= _titles(daemon, "resolved"), 10)
    until("its end is told", lambda: len(sink.of("resolved")) == len(ended))
    members = Counter(one["labels"]["alertname"] for one in _members(daemon))
    assert members == Counter({**dict.fromkeys(causes, 1), "TargetDown": 2, "FlappyDemo": 2})
    assert {one["resolved_because"] for one in daemon.items("/v1/incidents", status="resolved")} == {"alerts resolved"}

    firing = "TargetDown"
    if names == (PROMETHEUS,):
        until("its deadline is over", lambda: not _listed(daemon, firing))
        assert daemon.post("/api/v2/alerts", []).status == 200, "its source speaks, and not of it"
        until("the rest expired", lambda: firing in _titles(daemon, "resolved"), 10)
        over = [one for one in daemon.items("/v1/incidents", status="resolved") if one["title"].startswith(firing)]
        assert [one["resolved_because"] for one in over] == ["no longer reported"]
    else:
        assert firing in _titles(daemon, "triggered"), "a webhook's alerts end by their status alone"
    pages = Counter(message.incident["labels"]["alertname"] for message in sink.of("page"))
    assert pages == Counter(dict.fromkeys(causes, 1))
    assert daemon.stop() == 0


def _titles(daemon: Daemon, status: str) -> set[str]:
    return {one["labels"]["alertname"] for one in daemon.items("/v1/incidents", status=status)}


def _members(daemon: Daemon) -> list[dict[str, Any]]:
    return [
        alert for one in daemon.items("/v1/incidents") for alert in daemon.items(f"/v1/incidents/{one['id']}/alerts")
    ]


def _listed(daemon: Daemon, alertname: str) -> bool:
    listed: list[Any] = daemon.get("/api/v2/alerts", filter=f'alertname="{alertname}"').json()
    return bool(listed)
