"""Clocks that are set, imd's and the senders' (rows 10 and 12 of docs/faults.md)."""

from __future__ import annotations

import signal
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.faults.trials import LONG, trials
from tests.system.running import Daemon, Daemons, until
from tests.system.sink import Sink

INCIDENTS = 40
RECEIVERS = """receivers:
  - {{name: first, type: webhook, url: '{url}/first'}}
  - {{name: second, type: webhook, url: '{url}/second'}}
"""
RULES = """rules:
  - {name: each, match: 'alertname="Load"', group_by: [serial], hold: 0s, resolve: {after: 0s}, priority: P2}
policies:
  - name: default
    steps: [{notify: ['receiver:first'], for: 30m}, {notify: ['receiver:second'], for: 30m}]
"""
STEPS = {"an hour on": 3600.0, "an hour back": -3600.0}
if LONG:
    STEPS |= {"a day on": 86400.0, "two minutes back": -120.0, "a week back": -604800.0, "forty seconds on": 40.0}


def _set_clock(daemon: Daemon, seconds: float) -> None:
    (daemon.folder / "offset").write_text(str(seconds))
    daemon.send_signal(signal.SIGUSR1)
    daemon.post("/api/v2/alerts", [])  # the loop turns, and sees it


def _serials(sink: Sink, receiver: str) -> set[str]:
    pages = [one for one in sink.of("page") if one.path.endswith(receiver)]
    return {one.incident["labels"]["serial"] for one in pages}


def _fire(daemon: Daemon, first: int, count: int) -> set[str]:
    serials = {str(first + n) for n in range(count)}
    body = [{"labels": {"alertname": "Load", "serial": serial}} for serial in serials]
    assert daemon.post("/api/v2/alerts", body).status == 200
    return serials


@pytest.mark.parametrize("step", STEPS)
def test_a_clock_that_is_set_pages_no_crowd_and_puts_off_no_page(
    step: str, daemons: Daemons, sink: Sink, figures: list[str]
) -> None:
    """Forty incidents wait for half an hour each: none escalates because the clock was set, and no alert is taken for
    gone. What comes afterwards is paged and resolved at once, before a restart and after it."""
    daemon = daemons(RECEIVERS.format(url=sink.url), RULES)
    daemon.program = [sys.executable, "-m", "tests.faults.shifted"]
    daemon.start()
    before = _fire(daemon, 0, INCIDENTS)
    until("they are paged", lambda: _serials(sink, "first") == before and not daemon.pending())
    _set_clock(daemon, STEPS[step])
    began = time.monotonic()
    after = _fire(daemon, 1000, 5)
    until("new ones are paged", lambda: _serials(sink, "first") == before | after, 5)
    put_off = time.monotonic() - began
    until("a crowd would have come", lambda: time.monotonic() - began > trials(quick=1, long=20), 30)
    assert _serials(sink, "second") == set()
    assert not sink.of("resolved")
    assert len(daemon.items("/v1/alerts")) == INCIDENTS + 5

    over = [{"labels": {"alertname": "Load", "serial": serial}, "status": "resolved"} for serial in sorted(after)]
    assert daemon.post("/v1/ingest/alertmanager", {"alerts": over}).status == 200
    until("their ends are told", lambda: len(sink.of("resolved")) == len(after), 5)
    daemon.kill()
    daemon.start()
    began = time.monotonic()
    again = _fire(daemon, 2000, 1)
    until("paged after a restart too", lambda: again <= _serials(sink, "first"), 5)
    early = len(_serials(sink, "second"))
    figures.append(
        f"row 10, {step}: {INCIDENTS} waiting incidents, {early} paged early; new ones paged within {put_off:.2f} s"
    )
    assert early == 0
    assert len({message.key for message in sink.messages}) == len({one.incident["id"] for one in sink.messages})
    assert daemon.stop() == 0


STARTS = {
    "1970": "1970-01-01T00:00:00Z",
    "year 1": "0001-01-01T00:00:00Z",
    "year 9999": "9999-12-31T23:59:59Z",
    "tomorrow": (datetime.now(UTC) + timedelta(days=1)).isoformat(),
    "a year ago": (datetime.now(UTC) - timedelta(days=365)).isoformat(),
    "none": None,
    "leap second": "2016-12-31T23:59:60Z",
    "nanoseconds": "2026-01-01T00:00:00.123456789+05:45",
}
REFUSED = {
    # Alertmanager's API, and so ours, refuses a start after the end; without an end that is five minutes from now.
    "/api/v2/alerts": {"leap second", "tomorrow", "year 9999"},
    "/v1/ingest/alertmanager": {"leap second"},
}


@pytest.mark.parametrize("path", ["/api/v2/alerts", "/v1/ingest/alertmanager"])
def test_starts_of_any_year_are_taken_or_refused_by_name(
    path: str, daemons: Daemons, sink: Sink, figures: list[str]
) -> None:
    """Never a 5xx; each that is accepted is paged at once, whenever it says that it began; windows go by the time of
    receipt where a start is far off."""
    daemon = daemons(RECEIVERS.format(url=sink.url), RULES)
    daemon.start()
    taken, refused = set(), set()
    for name, start in STARTS.items():
        alert = {"labels": {"alertname": "Load", "serial": name}, **({"startsAt": start} if start else {})}
        body = [alert] if path.startswith("/api") else {"alerts": [{**alert, "status": "firing"}]}
        status = daemon.post(path, body).status
        assert status in (200, 400), f"{name}: {status}"
        (taken if status == 200 else refused).add(name)
    until("all that were taken are paged", lambda: taken <= _serials(sink, "first"), 10)
    figures.append(
        f"row 12, {path}: {len(STARTS)} starts, {len(taken)} taken and paged, refused by name: {sorted(refused)}"
    )
    assert refused == REFUSED[path]
    assert _serials(sink, "first") == taken
    opened = [datetime.fromisoformat(one["opened_at"]) for one in daemon.items("/v1/incidents")]
    assert all(abs(datetime.now(UTC) - at) < timedelta(minutes=3) for at in opened)
    assert daemon.stop() == 0
