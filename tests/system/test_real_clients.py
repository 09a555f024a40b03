"""Debian's Prometheus, Alertmanager and amtool send to imd: one incident per cause, one page, one resolve."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.system.clients import PROGRAMS, Client, Clients, Exporter
from tests.system.running import Daemon, Daemons, free_port, programs, until
from tests.system.sink import Sink

REQUIRED = os.environ.get("IMD_REQUIRE_REAL") == "1"
MISSING = list(programs(*PROGRAMS))
SKIP = pytest.mark.skipif(
    bool(MISSING) and not REQUIRED,
    reason=f"not installed: {', '.join(MISSING)} (Debian: prometheus, prometheus-alertmanager)",
)
pytestmark = [pytest.mark.real, pytest.mark.slow, SKIP]

CONFIG = "prefixes: [/am]\nreceivers: [{{name: sink, type: webhook, url: {url}}}]\n"
RULES = "rules: [{name: default, hold: 500ms, resolve: {after: 500ms}}]\n"
SOON = 20.0


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    made = Exporter()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def imd(daemons: Daemons, sink: Sink) -> Daemon:
    daemon = daemons(CONFIG.format(url=sink.url), RULES)
    daemon.start()
    return daemon


def _the_incident(imd: Daemon, alertname: str) -> dict[str, Any]:
    """The one that there is of this cause."""
    found = [one for one in imd.items("/v1/incidents") if one["labels"]["alertname"] == alertname]
    assert len(found) == 1
    incident: dict[str, Any] = found[0]
    return incident


def _sends(client: Client, alertmanager: str) -> float:
    return client.metric("prometheus_notifications_sent_total", alertmanager=alertmanager)


def _notified(client: Client) -> float:
    return client.metric("alertmanager_notification_requests_total", integration="webhook")


def _told_once(sink: Sink, number: int) -> bool:
    pages, ends = sink.of("page", number=number), sink.of("resolved", number=number)
    assert len(pages) <= 1
    assert len(ends) <= 1
    return bool(pages and ends)


def test_directly_with_a_prefix_and_by_webhook(imd: Daemon, exporter: Exporter, clients: Clients, sink: Sink) -> None:
    """The same cause by three ways is one incident; amtool's alert is one of its own, and amtool sees both."""
    here = f"127.0.0.1:{imd.port}"
    alertmanager = clients.alertmanager(f"{imd.url}/v1/ingest/alertmanager")
    there = f"127.0.0.1:{alertmanager.port}"
    prometheus = clients.prometheus(exporter.address, "/metrics", [here, f"{here}/am", there], "Broken")
    clients.await_all()
    exporter.broken["/metrics"] = True
    ways = {here: f"http://{here}/api/v2/alerts", "prefix": f"http://{here}/am/api/v2/alerts"}
    until("it is paged", lambda: sink.of("page"), SOON)
    for name, way in ways.items():
        until(f"it came by {name}", lambda way=way: _sends(prometheus, way) > 2, SOON)
    until("it came by the webhook", lambda: _notified(alertmanager) > 1, SOON)

    assert clients.amtool(imd.url, "alert", "add", "Manual", "node=x", "--annotation=summary=by hand") == ""
    listed = clients.amtool(imd.url, "alert", "query", "-o", "simple")
    assert {line.split()[0] for line in listed.splitlines()[1:]} == {"Broken", "Manual"}
    assert "Manual" not in clients.amtool(f"{imd.url}/am", "alert", "query", "alertname=Broken")
    until("amtool's alert is paged", lambda: len(sink.of("page")) == 2)

    exporter.broken["/metrics"] = False
    broken = _the_incident(imd, "Broken")
    until("it resolves", lambda: _told_once(sink, broken["number"]), SOON)
    told = _notified(alertmanager), _sends(prometheus, ways[here])
    until("Alertmanager said so too", lambda: alertmanager.metric("alertmanager_alerts", state="active") == 0, SOON)
    until("and Prometheus says it again", lambda: _sends(prometheus, ways[here]) > told[1] + 1, SOON)
    assert _the_incident(imd, "Broken")["state"] == "resolved"
    assert _the_incident(imd, "Manual")["state"] == "triggered"
    assert len(imd.items("/v1/incidents")) == 2
    assert len(imd.items(f"/v1/incidents/{broken['id']}/alerts")) == 1
    assert [len(sink.of(kind)) for kind in ("page", "resolved")] == [2, 1]
    assert imd.stop() == 0


PAGERDUTY_KEY = "0123456789abcdef0123456789abcdef"
KEYED = """
sources:
  - {name: am-pd, type: pagerduty, labels: {way: pagerduty}, keys: [0123456789abcdef0123456789abcdef]}
  - {name: am-og, type: opsgenie, labels: {way: opsgenie}, keys: [second]}
"""


def test_alertmanagers_own_pagerduty_receiver(
    daemons: Daemons, exporter: Exporter, clients: Clients, sink: Sink
) -> None:
    """Its URL points at imd, and nothing else changes: what it triggers is paged, what it resolves is resolved."""
    imd = daemons(CONFIG.format(url=sink.url) + KEYED, RULES)
    imd.start()
    receiver = {"routing_key": PAGERDUTY_KEY, "url": f"{imd.url}/v2/enqueue", "class": "{{ .CommonLabels.alertname }}"}
    _by_its_own_receiver(imd, exporter, clients, sink, {"pagerduty_configs": [receiver]}, "pagerduty")


def test_alertmanagers_own_opsgenie_receiver(
    daemons: Daemons, exporter: Exporter, clients: Clients, sink: Sink
) -> None:
    """The same of its Opsgenie receiver, with updates of what is open."""
    imd = daemons(CONFIG.format(url=sink.url) + KEYED, RULES)
    imd.start()
    receiver = {
        "api_key": "second", "api_url": f"{imd.url}/", "update_alerts": True, "tags": "env:lab,vip", "priority": "P2",
        "responders": [{"name": "infra", "type": "team"}],
    }  # fmt: skip
    _by_its_own_receiver(imd, exporter, clients, sink, {"opsgenie_configs": [receiver]}, "opsgenie")


def _by_its_own_receiver(
    imd: Daemon, exporter: Exporter, clients: Clients, sink: Sink, receiver: dict[str, object], integration: str
) -> None:
    alertmanager = clients.notifying(receiver)
    clients.prometheus(exporter.address, "/metrics", [f"127.0.0.1:{alertmanager.port}"], "Broken")
    clients.await_all()
    exporter.broken["/metrics"] = True
    until("it is paged", lambda: sink.of("page"), SOON)
    incident = _the_incident(imd, "Broken")
    [alert] = imd.items(f"/v1/incidents/{incident['id']}/alerts")
    assert alert["labels"]["way"] == integration
    assert alert["labels"]["key"]

    exporter.broken["/metrics"] = False
    until("it resolves", lambda: _told_once(sink, incident["number"]), SOON)
    failed = alertmanager.metric("alertmanager_notification_requests_failed_total", integration=integration)
    sent = alertmanager.metric("alertmanager_notification_requests_total", integration=integration)
    assert (failed, sent >= 2) == (0, True)
    assert _the_incident(imd, "Broken")["state"] == "resolved"
    assert imd.items("/v1/rejected") == []
    assert imd.stop() == 0


def test_two_replicas_are_one_episode(imd: Daemon, exporter: Exporter, clients: Clients, sink: Sink) -> None:
    """They see it seconds apart and say so with starts of their own: one episode, one page. One sees it end: it goes
    on. The other does: resolved."""
    here = f"127.0.0.1:{imd.port}"
    replicas = [clients.prometheus(exporter.address, f"/{name}", [here], "Broken", name) for name in ("a", "b")]
    clients.await_all()
    way = f"http://{here}/api/v2/alerts"
    exporter.broken["/a"] = True
    until("the first saw it", lambda: _sends(replicas[0], way) > 1, SOON)
    exporter.broken["/b"] = True
    until("the second saw it", lambda: _sends(replicas[1], way) > 2, SOON)
    until("it is paged", lambda: sink.of("page"), SOON)

    exporter.broken["/a"] = False
    until("the first saw it end", lambda: imd.metric("imd_alerts_received_total", status="resolved") > 1, SOON)
    before = _sends(replicas[1], way)
    until("the second says it goes on", lambda: _sends(replicas[1], way) > before + 2, SOON)
    incident = _the_incident(imd, "Broken")
    assert (incident["state"], incident["alert_count"]["firing"]) == ("triggered", 1)
    assert not sink.of("resolved")

    exporter.broken["/b"] = False
    until("it resolves", lambda: _told_once(sink, incident["number"]), SOON)
    assert len(imd.items(f"/v1/incidents/{incident['id']}/alerts")) == 1
    assert len(sink.messages) == 2
    assert imd.stop() == 0


def test_two_alertmanager_peers_are_one_page(imd: Daemon, exporter: Exporter, clients: Clients, sink: Sink) -> None:
    """A cluster whose peers both send, as after a partition: imd hears it twice and pages once."""
    url = f"{imd.url}/v1/ingest/alertmanager"
    meeting = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    peers = [clients.alertmanager(url, meeting[0]), clients.alertmanager(url, meeting[1], meeting[:1])]
    clients.prometheus(exporter.address, "/metrics", [f"127.0.0.1:{peer.port}" for peer in peers], "Broken")
    clients.await_all()
    until(
        "they found each other", lambda: all(peer.metric("alertmanager_cluster_members") == 2 for peer in peers), SOON
    )
    exporter.broken["/metrics"] = True
    until("both told it", lambda: all(_notified(peer) > 0 for peer in peers), SOON)
    until("it is paged", lambda: sink.of("page"), SOON)
    exporter.broken["/metrics"] = False
    incident = _the_incident(imd, "Broken")
    until("it resolves", lambda: _told_once(sink, incident["number"]), SOON)
    until(
        "nothing is left", lambda: all(peer.metric("alertmanager_alerts", state="active") == 0 for peer in peers), SOON
    )
    assert _the_incident(imd, "Broken")["state"] == "resolved"
    assert len(sink.messages) == 2
    assert imd.stop() == 0
