"""What an open alert takes in memory: decoder's cache and engine together, counted byte by byte."""

from __future__ import annotations

import gc
import json
import tracemalloc
from datetime import UTC, datetime, timedelta

from imd.core.engine import Engine
from imd.core.state import State
from imd.model.event import AlertsReported
from imd.sources.alertmanager_api import AlertmanagerApi
from imd.sources.labels import KnownLabels
from tests.core.making import ruleset

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BODIES, BODY = 60, 100
LABELS = {
    "alertname": "SlowRequests",
    "severity": "warning",
    "namespace": "shop",
    "service": "checkout",
    "instance": "10.0.0.1:8080",
    "prometheus": "monitoring/main",
}
TEXT_BYTES = 300


def body(number: int, own_words: bool) -> bytes:
    alerts = []
    for place in range(BODY):
        name = f"n{number:04d}.{place:03d}"
        words = {"description": (name if own_words else "").ljust(TEXT_BYTES, "x")}
        since = (NOW + timedelta(seconds=number)).isoformat()
        alerts.append({"labels": dict(sorted({**LABELS, "n": name}.items())), "annotations": words, "startsAt": since})
    return json.dumps(alerts, separators=(",", ":")).encode()


def bytes_an_alert(own_words: bool) -> float:
    engine, decoder = Engine(ruleset(), State("memory")), AlertmanagerApi(KnownLabels({}))
    bodies = [body(number, own_words) for number in range(BODIES)]
    before = 0
    tracemalloc.start(1)
    try:
        for number, text in enumerate(bodies):
            if number == 1:  # what is there once and for all is not counted
                gc.collect()
                before = tracemalloc.get_traced_memory()[0]
            now = NOW + timedelta(seconds=number)
            engine.step(AlertsReported("prom", True, tuple(decoder.decode(text, now).alerts)), now)
        gc.collect()
        return (tracemalloc.get_traced_memory()[0] - before) / (BODIES - 1) / BODY
    finally:
        tracemalloc.stop()


def test_an_open_alert_takes_less_than_a_kilobyte_beside_its_annotations() -> None:
    """As sent the labels are 160 bytes. Annotations that each has for its own are kept once, those of all are one."""
    shared, own = bytes_an_alert(own_words=False), bytes_an_alert(own_words=True)
    assert shared < 860, shared
    assert own - shared < TEXT_BYTES + 120, own - shared
