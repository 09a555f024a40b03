"""kill -9 at random instants under load: what was acknowledged is there, what is owed is sent, under one key each."""

from __future__ import annotations

import os
import random
from collections import Counter

import pytest

from tests.system.killing import RECEIVERS, SINGLE, STEADY, Killing, Pages, due_of_each, judge
from tests.system.load import Producer
from tests.system.running import Daemons
from tests.system.sink import Sink

CYCLES = int(os.environ.get("IMD_KILL_CYCLES", "50"))
SEED = int(os.environ.get("IMD_KILL_SEED", "20261121"))
ALERTS_PER_SECOND = 300
CROWD = f"""rules:
  - name: crowd
    {STEADY}
    match: 'alertname="Load"'
    group_by: []
    hold: 0s
    resolve: {{after: 1s}}
    window: {{max_alerts: 1000000}}
    raise: [{{alerts: 40, impact: high}}]
"""


@pytest.mark.slow
def test_one_incident_an_alert(daemons: Daemons, sink: Sink, figures: list[str]) -> None:
    """Every episode pages once and resolves once; both are found at the sink, however often imd died between."""
    sink.delay_seconds = lambda: random.random() * 0.15  # about as fast as messages come: many die unsent or under way
    sink.refuse = lambda: random.random() < 0.03
    daemon = daemons(RECEIVERS.format(url=sink.url), SINGLE)
    daemon.start()
    producer = Producer(daemon, ALERTS_PER_SECOND, SEED)
    killing = Killing(daemon, producer, f"{SEED}/single")
    for _ in range(CYCLES):
        killing.cycle()
    sink.delay_seconds, sink.refuse = lambda: 0.0, lambda: False
    killing.finish()

    pages = Pages(sink.messages, due_of_each(daemon, producer))
    figures.append(killing.figures("kill -9, an incident an alert", pages))
    judge(killing, pages)
    assert not pages.out_of_order()
    assert daemon.stop() == 0


@pytest.mark.slow
def test_one_incident_for_all(daemons: Daemons, sink: Sink, figures: list[str]) -> None:
    """Thousands of alerts join one incident: two pages (the first, and one raise), updates, one resolve, one key."""
    daemon = daemons(RECEIVERS.format(url=sink.url), CROWD)
    daemon.start()
    producer = Producer(daemon, ALERTS_PER_SECOND, SEED + 1)
    killing = Killing(daemon, producer, f"{SEED}/crowd")
    for _ in range(max(CYCLES // 3, 10)):
        killing.cycle()
    killing.finish()

    (incident,) = daemon.items("/v1/incidents")
    pages = Pages(sink.messages, {incident["id"]: Counter(page=2, resolved=1)})
    figures.append(killing.figures("kill -9, one incident for all", pages))
    judge(killing, pages)
    assert [message.body["reason"] for message in pages.distinct if message.kind == "page"] == ["first", "raised"]
    members = Counter(int(one["labels"]["serial"]) for one in daemon.items(f"/v1/incidents/{incident['id']}/alerts"))
    assert members == Counter({one.serial: one.state.episode for one in producer.subjects if one.state.episode})
    assert daemon.stop() == 0
