"""A silence over very many alerts takes hold in slices: nobody waits but who set it, and no kill halves it."""

from __future__ import annotations

import threading
import time

from tests.system.running import Answer, Daemon, Daemons, until
from tests.system.sink import Sink

ALERTS = 6_000
RECEIVER = "receivers: [{{name: sink, type: webhook, url: {url}}}]\n"
RULES = "rules: [{name: each, match: 'alertname=~\".+\"', group_by: [group], hold: 0s}]\n"
PAUSE = {"by": "ben", "for": "1h", "reason": "drill"}
KILLS = 6
ROUNDS = 10


def _fill(daemon: Daemon) -> None:
    for first in range(0, ALERTS, 500):
        numbers = range(first, first + 500)
        alerts = [{"labels": {"alertname": "Load", "n": str(n), "group": str(n // 20)}} for n in numbers]
        assert daemon.post("/api/v2/alerts", alerts).status == 200


def _suppressed(daemon: Daemon) -> int:
    return int(daemon.metric("imd_alerts_suppressed", by="pause"))


def test_its_answer_comes_when_all_are_quiet_and_others_are_answered_meanwhile(daemons: Daemons, sink: Sink) -> None:
    daemon = daemons(RECEIVER.format(url=sink.url), RULES)
    daemon.start()
    _fill(daemon)
    halves = _pause_and_look(daemon)
    for _ in range(ROUNDS):  # on a busy machine no look may fall into it
        if halves:
            break
        assert daemon.call("DELETE", "/v1/pause?by=ben").status == 200
        until("all go on", lambda: _suppressed(daemon) == 0)
        halves = _pause_and_look(daemon)
    assert halves, "others saw it happen"
    told = len(sink.of("page"))
    assert daemon.post("/api/v2/alerts", [{"labels": {"alertname": "Load", "n": "late"}}]).status == 200
    assert _suppressed(daemon) == ALERTS + 1
    assert len(sink.of("page")) == told


def _pause_and_look(daemon: Daemon) -> int:
    """How often somebody else saw some of the alerts quiet and others not yet, until all were."""
    answers: list[Answer] = []
    pausing = threading.Thread(target=lambda: answers.append(daemon.post("/v1/pause", PAUSE)))
    pausing.start()
    halves = 0
    while pausing.is_alive():
        halves += 0 < _suppressed(daemon) < ALERTS
        assert daemon.get("/-/healthy").status == 200
    pausing.join()
    assert [one.status for one in answers] == [201]
    assert _suppressed(daemon) == ALERTS
    return halves


def test_a_kill_in_the_middle_leaves_none_out(daemons: Daemons, sink: Sink) -> None:
    """Killed a little later each time: there is no pause, or every alert is quiet, a moment after the start."""
    daemon = daemons(RECEIVER.format(url=sink.url), RULES)
    daemon.start()
    _fill(daemon)
    paused = 0
    for kill in range(KILLS):
        pausing = threading.Thread(target=lambda: _try_to_pause(daemon))
        pausing.start()
        time.sleep(0.02 * (kill + 1))  # only varies the instant; nothing waits for it to be enough
        daemon.kill()
        pausing.join()
        daemon.start()
        if daemon.get("/v1/status").json()["paused_until"] is None:
            until("what the end of the last one had not reached goes on", lambda: _suppressed(daemon) == 0)
            continue
        paused += 1
        until("all are quiet", lambda: _suppressed(daemon) == ALERTS)
        assert daemon.call("DELETE", "/v1/pause?by=ben").status == 200
        until("all go on", lambda: _suppressed(daemon) == 0)
    assert paused


def _try_to_pause(daemon: Daemon) -> None:
    try:
        daemon.post("/v1/pause", PAUSE)
    except OSError:
        return
