"""A daemon's life by real clocks, over HTTP, replayed from what it wrote down: the same incidents, the same messages.

What is told: alerts of both protocols, a suppressed and a released one, a cause that mutes, a pause, acknowledgements
given and taken back, an escalation, a receiver that refuses for good, a resolve by hand, a reopened incident, an alert
that expires, a heartbeat missed, a reload of the same rules, a stop and a kill.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from imd.config.load import load_config
from imd.model.incident import IncidentState
from imd.replay.journal import EventsReader, glance
from imd.replay.run import Story, replay
from imd.store.sqlite_journal import JournalFile
from tests.system.running import Daemon, Daemons, until
from tests.system.sink import Sink

LATE = timedelta(seconds=3)  # how late a busy machine may do what is due
CONFIG = """\
receivers:
  - {{name: chat, type: webhook, url: {url}, send: [page, acknowledged, resolved, note], update_every: 1h}}
  - {{name: broken, type: webhook, url: {broken}}}
sources: [{{name: hook, type: alertmanager, silent_after: 1h, expire_after: 1h}}]
"""
RULES = """\
rules:
  - {name: nodes, match: 'alertname="Down"', group_by: [node], hold: 300ms, resolve: {after: 300ms}, policy: slow}
  - {name: steps, match: 'alertname="Steps"', group_by: [n], hold: 100ms, policy: quick}
  - {name: lame, match: 'alertname="Lame"', group_by: [n], hold: 100ms, policy: lame}
  - {name: muted, match: 'alertname=~"Cause|Effect"', group_by: [alertname], hold: 100ms, resolve: {after: 300ms},
     policy: slow}
heartbeats: [{name: backup, by: [host], every: 1s, grace: 1s, priority: P2}]
inhibit: [{name: cause, source: 'alertname="Cause"', target: 'alertname="Effect"', equal: [zone]}]
policies:
  - {name: slow, steps: [{notify: ['receiver:chat'], for: 1h}]}
  - {name: quick, steps: [{notify: ['receiver:chat'], for: 1s}, {notify: ['receiver:chat'], for: 1h}]}
  - {name: lame, steps: [{notify: ['receiver:broken'], for: 1h}, {notify: ['receiver:chat'], for: 1h}]}
  - {name: default, steps: [{notify: ['receiver:chat'], for: 1h}]}
"""


class Life:
    """What its operator and its senders do to a daemon."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon

    def alert(self, name: str, *, over: bool = False, **labels: str) -> None:
        at = {"endsAt": f"{datetime.now(UTC).isoformat()}"} if over else {}
        body = [{"labels": {"alertname": name, "severity": "critical", **labels}, **at}]
        assert self.daemon.post("/api/v2/alerts", body).status == 200

    def hook(self, name: str, status: str, **labels: str) -> None:
        alert = {"status": status, "labels": {"alertname": name, **labels}, "startsAt": "2026-01-01T00:00:00Z"}
        if status == "resolved":
            alert["endsAt"] = datetime.now(UTC).isoformat()
        body = {"version": "4", "status": status, "alerts": [alert]}
        assert self.daemon.post("/v1/ingest/hook", body).status == 200

    def act(self, action: str, number: int, **more: object) -> None:
        answer = self.daemon.post(f"/v1/incidents/{number}/{action}", {"by": "ana", **more})
        assert answer.status == 200, answer.body

    def incident(self, **wanted: str) -> Any:
        """The newest with these labels, once it is there."""
        match = ", ".join(f'{name}="{value}"' for name, value in wanted.items())
        return until(f"an incident of {match}", lambda: self.daemon.items("/v1/incidents", match=match))[0]

    def becomes(self, number: int, state: str) -> None:
        until(f"#{number} {state}", lambda: self.daemon.get(f"/v1/incidents/{number}").json()["state"] == state, 20)

    def settled(self) -> None:
        until("every message is settled", lambda: self.daemon.pending() == 0, 20)

    def paged(self, number: int, times: int) -> None:
        def pages() -> bool:
            sent = self.daemon.items("/v1/deliveries", incident=str(number))
            return sum(one["kind"] == "page" and one["state"] == "accepted" for one in sent) >= times

        until(f"#{number} paged {times} times", pages, 20)


def live(life: Life) -> None:
    """In order, each step once what the one before it causes has happened."""
    daemon = life.daemon
    for node in ("n1", "n2"):
        life.alert("Down", node=node, part="a")
        life.alert("Down", node=node, part="b")
    first, second = life.incident(node="n1")["number"], life.incident(node="n2")["number"]
    life.paged(first, 1)
    life.paged(second, 1)
    life.act("note", first, note="vendor called")
    life.act("ack", first, note="on it")
    life.act("unack", first)
    life.paged(first, 2)
    life.act("ack", first)
    life.alert("Steps", n="1")
    steps = life.incident(alertname="Steps")["number"]
    life.paged(steps, 2)
    life.alert("Lame", n="1")
    lame = life.incident(alertname="Lame")["number"]
    life.paged(lame, 1)
    life.settled()

    silence = {"by": "ben", "matchers": ['node="n3"'], "for": "1h"}
    silenced = daemon.post("/v1/silences", silence).json()["id"]
    life.alert("Down", node="n3")
    life.alert("Cause", zone="z")
    life.paged(life.incident(alertname="Cause")["number"], 1)
    life.alert("Effect", zone="z")
    assert not daemon.items("/v1/incidents", match='alertname="Effect"')
    assert daemon.post(f"/v1/silences/{silenced}/expire", {"by": "ben"}).status == 200
    life.paged(life.incident(node="n3")["number"], 1)
    assert daemon.post("/v1/pause", {"by": "ben", "for": "2s", "reason": "drill"}).status == 201
    life.alert("Down", node="n4")
    life.paged(life.incident(node="n4")["number"], 1)
    life.alert("Cause", zone="z", over=True)
    life.paged(life.incident(alertname="Effect")["number"], 1)

    life.hook("Hooked", "firing", n="1")
    hooked = life.incident(alertname="Hooked")["number"]
    life.hook("Hooked", "resolved", n="1")
    until("it is over", lambda: daemon.get(f"/v1/incidents/{hooked}").json()["state"] in ("cancelled", "resolved"), 20)
    for part in ("a", "b"):
        life.alert("Down", node="n1", part=part, over=True)
    life.becomes(first, "resolved")
    life.settled()
    life.alert("Down", node="n1", part="a")
    life.paged(first, 3)
    life.act("resolve", second, force=True, note="replaced")
    assert daemon.post("/-/reload").status == 200
    life.settled()
    assert daemon.stop() == 0
    daemon.start()
    life.alert("Down", node="n5")
    life.paged(life.incident(node="n5")["number"], 1)
    life.settled()
    daemon.kill()
    daemon.start()
    assert daemon.post("/v1/heartbeats/backup?host=h1").status == 200
    life.paged(life.incident(heartbeat="backup")["number"], 1)
    life.settled()


@pytest.mark.slow
def test_a_recorded_run_replays_to_the_same_incidents_and_messages(
    daemons: Daemons, sink: Sink, figures: list[str]
) -> None:
    broken = Sink()
    broken.status = 404
    try:
        daemon = daemons(CONFIG.format(url=sink.url, broken=broken.url), RULES)
        daemon.start()
        live(Life(daemon))
        ended_at = datetime.now(UTC)
        incidents, deliveries = daemon.items("/v1/incidents"), daemon.items("/v1/deliveries")
        lines = list(JournalFile(f"sqlite:///{daemon.folder}/imd.db"))
        assert daemon.items("/v1/journal") == [json.loads(line) for line in lines], "the export says the same"
        assert daemon.stop() == 0
    finally:
        broken.close()
    story = replayed(daemon.folder, lines, ended_at)
    assert not story.unmet
    told = [one for one in story.incidents.values() if one.state is not IncidentState.CANCELLED]
    mine = sorted((one.number, one.state.value, one.priority.value, one.rule, one.title, one.firing) for one in told)
    theirs = sorted(
        (one["number"], one["state"], one["priority"], one["rule"], one["title"], one["alert_count"]["firing"])
        for one in incidents
        if one["state"] != "cancelled"
    )
    assert mine == theirs
    sent = [one for one in deliveries if one["state"] != "cancelled"]
    assert Counter(map(_message, sent)) == Counter(
        (one.number, one.receiver, one.kind.value, one.reason.value if one.reason else None, one.step)
        for one in story.pages
    )
    for one in told:
        [shown] = [two for two in incidents if two["number"] == one.number]
        assert abs(one.opened_at - datetime.fromisoformat(shown["opened_at"])) < LATE
    kinds = Counter(line.split(b'"type":"')[1].split(b'"')[0].decode() for line in lines)
    assert set(kinds) >= {"alert", "action", "silence", "delivery", "reload", "restart", "beat"}
    figures.append(f"recorded run: {sum(kinds.values())} lines, {len(told)} incidents, {len(sent)} messages replayed")


def replayed(folder: Path, lines: list[bytes], until_: datetime) -> Story:
    ruleset = load_config(folder / "config.yaml").ruleset
    reader = EventsReader("journal", ruleset.sources)
    story = replay(reader.read(lines), ruleset, deliveries=glance(lines).deliveries, until=until_)
    assert set(reader.skipped) <= {"reload"}
    return story


def _message(one: dict[str, Any]) -> tuple[object, ...]:
    return one["number"], one["receiver"], one["kind"], one["reason"], one["step"]
