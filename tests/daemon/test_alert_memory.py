"""What an open alert takes in memory: decoder's cache and engine together, counted byte by byte."""

from __future__ import annotations

import gc
import json
import tracemalloc
from datetime import UTC, datetime, timedelta

from imd.core.engine import Engine
from imd.core.state import State
from imd.model.event import AlertsReported
from imd.model.policy import Ruleset
from imd.model.rule import Matcher, Op, Relate, Rule
from imd.model.topology import Entity, Topology
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
TABLE_BYTES = 100_000


OF_A_HOST = 10


def instance(number: int, place: int) -> str:
    return f"10.0.{number}.{place // OF_A_HOST}:8080"


def on_map() -> Ruleset:
    """Ten alerts of each host make an incident. The map declares the hosts; their labels say as much once more."""
    hosts = [instance(number, place) for number in range(BODIES) for place in range(0, BODY, OF_A_HOST)]
    racks = [Entity(id=f"rack/{number}") for number in range(BODIES)]
    entities = (
        Entity(id=f"host/{one}", match=((Matcher("instance", Op.EQUAL, one),),), part_of=(f"rack/{number % BODIES}",))
        for number, one in enumerate(hosts)
    )
    topology = Topology(entities=(*racks, *entities))
    return ruleset(
        Rule(name="hosts", group_by=("instance",), relate=Relate(), hold=timedelta(hours=1)), topology=topology
    )


def body(number: int, own_words: bool, related: bool) -> bytes:
    alerts = []
    for place in range(BODY):
        name = f"n{number:04d}.{place:03d}"
        words = {"description": (name if own_words else "").ljust(TEXT_BYTES, "x")}
        since = (NOW + timedelta(seconds=number)).isoformat()
        labels = {**LABELS, "n": name}
        if related:
            labels |= {"instance": instance(number, place), "alertname": f"SlowRequests{place % OF_A_HOST}"}
        alerts.append({"labels": dict(sorted(labels.items())), "annotations": words, "startsAt": since})
    return json.dumps(alerts, separators=(",", ":")).encode()


def bytes_an_alert(own_words: bool = False, related: bool = False) -> float:
    engine = Engine(on_map() if related else ruleset(), State("memory"))
    decoder = AlertmanagerApi(KnownLabels({}))
    bodies = [body(number, own_words, related) for number in range(BODIES)]
    before = 0
    tracemalloc.start(1)
    try:
        for number, text in enumerate(bodies):
            if number == 1:  # what is there once and for all is not counted
                gc.collect()
                before = _traced_bytes(tables=not related)
            now = NOW + timedelta(seconds=number)
            engine.step(AlertsReported("prom", True, tuple(decoder.decode(text, now).alerts)), now)
        gc.collect()
        return (_traced_bytes(tables=not related) - before) / (BODIES - 1) / BODY
    finally:
        tracemalloc.stop()


def _traced_bytes(tables: bool) -> int:
    """Without `tables`: what is no large dictionary's. That of the interpreter's own words grows with whatever ran
    before, all at once."""
    if tables:
        return tracemalloc.get_traced_memory()[0]
    return sum(trace.size for trace in tracemalloc.take_snapshot().traces if trace.size < TABLE_BYTES)


def test_an_open_alert_takes_less_than_a_kilobyte_beside_its_annotations() -> None:
    """As sent the labels are 160 bytes. Annotations that each has for its own are kept once, those of all are one."""
    shared, own = bytes_an_alert(own_words=False), bytes_an_alert(own_words=True)
    assert shared < 860, shared
    assert own - shared < TEXT_BYTES + 120, own - shared


def test_an_alert_of_ten_on_a_host_of_the_map_takes_less_than_one_and_a_half_kilobytes() -> None:
    """A tenth of an incident and of a host's neighbourhood included; some 120 more are its share of large tables."""
    related = bytes_an_alert(related=True)
    assert related < 1400, related
