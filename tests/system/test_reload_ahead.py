"""A reload that concerns very many alerts: what comes meanwhile is taken, and with its answer the new rules hold."""

from __future__ import annotations

import threading

from tests.system.running import Answer, Daemons
from tests.system.sink import Sink

ALERTS = 6_000
RECEIVER = "receivers: [{{name: sink, type: webhook, url: {url}}}]\n"
MAP = "topology: {{entities: [{{id: host/{host}, match: 'host=\"{host}\"', part_of: [rack/r1]}}]}}\n"
RULES = "rules: [{name: each, match: 'alertname=~\".+\"', group_by: [group], relate: {along: topology}, hold: 5m}]\n"
INHIBIT = "inhibit: [{name: up, source: 'alertname=\"Up\"', target: 'alertname=\"Load\"'}]\n"


def _alerts(numbers: range) -> list[dict[str, dict[str, str]]]:
    return [{"labels": {"alertname": "Load", "n": str(n), "host": str(n), "group": str(n // 20)}} for n in numbers]


def test_what_comes_while_a_reload_is_prepared_is_taken_and_goes_by_the_new_rules_then(
    daemons: Daemons, sink: Sink
) -> None:
    daemon = daemons(RECEIVER.format(url=sink.url), MAP.format(host="1") + RULES)
    daemon.start()
    for first in range(0, ALERTS, 500):
        assert daemon.post("/api/v2/alerts", _alerts(range(first, first + 500))).status == 200
    assert daemon.post("/api/v2/alerts", [{"labels": {"alertname": "Up"}}]).status == 200
    daemon.configure(RECEIVER.format(url=sink.url), MAP.format(host="2") + INHIBIT + RULES)
    answers: list[Answer] = []
    reloading = threading.Thread(target=lambda: answers.append(daemon.post("/-/reload")))
    reloading.start()
    came = ALERTS
    while reloading.is_alive():
        assert daemon.post("/api/v2/alerts", _alerts(range(came, came + 10))).status == 200
        assert daemon.get("/-/healthy").status == 200
        came += 10
    reloading.join()
    assert [one.status for one in answers] == [200]
    assert came > ALERTS
    assert daemon.metric("imd_alerts_suppressed", by="inhibition") == came
    assert daemon.post("/api/v2/alerts", _alerts(range(came, came + 1))).status == 200
    assert daemon.metric("imd_alerts_suppressed", by="inhibition") == came + 1
    daemon.kill()
    daemon.start()
    assert daemon.metric("imd_alerts_suppressed", by="inhibition") == came + 1
