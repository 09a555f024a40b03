"""Starting, stopping, reloading and starting again: what a supervisor and an operator rely on."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.load import Producer
from tests.system.running import Daemon, Daemons, until
from tests.system.sink import HANG, Sink

RECEIVER = "receivers: [{{name: sink, type: webhook, url: {url}}}]\n"
EACH = """rules:
  - {name: each, match: 'alertname=~".+"', group_by: [serial], hold: 0s, resolve: {after: 0s}}
"""


def _alert(**labels: str) -> list[dict[str, dict[str, str]]]:
    return [{"labels": {"alertname": "Load", **labels}}]


# -- one instance, on an address that it may have ---------------------------------------------------------------------


def test_a_second_instance_on_one_database_refuses_within_a_second(daemons: Daemons) -> None:
    """It says who holds the database; the first one does not notice."""
    first, second = daemons(""), daemons("")
    first.start()
    (second.folder / "config.yaml").write_text(
        f"listen: 127.0.0.1:{second.port}\nstore: sqlite:///{first.folder}/imd.db\n"
    )
    took = []
    for _ in range(3):  # the best of three: a busy machine's Python may take its time to start
        began = time.monotonic()
        second.spawn()
        assert second.wait() == 1
        took.append(time.monotonic() - began)
    assert min(took) < 1.0
    assert f"another imd uses this database (process {first.pid})" in second.log()
    assert first.post("/api/v2/alerts", _alert()).status == 200
    assert first.stop() == 0
    second.start()
    assert [one["labels"]["alertname"] for one in second.items("/v1/alerts")] == ["Load"]


@pytest.mark.parametrize("host", ["0.0.0.0", ""])
def test_beyond_loopback_it_listens_only_with_auth(host: str, daemons: Daemons) -> None:
    """Refused with the place and the way out; `auth: {open: true}` is one way out."""
    daemon = daemons("", host=host)
    daemon.spawn()
    assert daemon.wait() == 1
    assert re.search(r"config\.yaml:1:9: error\[R\d{3}\]: listens on .* beyond loopback", daemon.log())
    assert "auth: {open: true}" in daemon.log()
    assert not (daemon.folder / "imd.db").exists()

    daemon.configure("auth: {open: true}\n")
    daemon.start()
    daemon.configure("")
    assert daemon.post("/-/reload").status == 400, "nor can a reload leave the door open"
    assert daemon.stop() == 0


# -- stopping ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("receiver", ["answers", "hangs"])
def test_a_stop_under_load_is_clean_and_loses_nothing(receiver: str, daemons: Daemons, sink: Sink) -> None:
    """SIGTERM: exit 0 within 10 s, also while a receiver keeps messages hanging; all that got a 2xx is there after."""
    sink.status = 200 if receiver == "answers" else HANG
    daemon = daemons(RECEIVER.format(url=sink.url), EACH)
    daemon.start()
    producer = Producer(daemon, 600, seed=1)
    producer.start()
    until("some messages are under way", lambda: len(sink.messages) >= 16)
    began = time.monotonic()
    daemon.send_signal(signal.SIGTERM)
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(10) == 0
    took = time.monotonic() - began
    assert took < (3 if receiver == "answers" else 10)
    producer.join()
    assert set(producer.statuses()) == {200}

    sink.status = 200
    daemon.start()
    assert producer.look() == []
    if receiver == "hangs":
        until("what was under way is sent again", lambda: daemon.pending() == 0, 20)
        ids = [message.id for message in sink.messages]
        assert set(ids[:16]) <= set(ids[16:])
    assert daemon.stop() == 0


# -- reloading --------------------------------------------------------------------------------------------------------

SMALL = """rules:
  - {name: small, match: 'alertname="Load"', group_by: [serial], hold: 0s, title: 'small {{ group.serial }}'}
"""
LARGE = """rules:
  - {name: large, match: 'alertname="Load"', group_by: [place], hold: 0s, title: 'large {{ group.place }}'}
"""
MAP = """topology: {entities: [{id: service/a, depends_on: [db/ordres]}, {id: db/orders}]}
"""
BROKEN = """rules:
  - {name: small, match: 'alertname="Load"', widow: 5m}
"""


def _successful(daemon: Daemon) -> bool:
    return daemon.metric("imd_config_last_reload_successful") == 1


def _by_rule(daemon: Daemon) -> dict[str, list[tuple[str, int]]]:
    found: dict[str, list[tuple[str, int]]] = {}
    for one in reversed(daemon.items("/v1/incidents")):
        found.setdefault(one["rule"], []).append((one["title"], one["alert_count"]["firing"]))
    return found


def test_with_watch_a_changed_file_is_taken_and_one_with_faults_is_not(daemons: Daemons, sink: Sink) -> None:
    """Also once it is mended, and `watch` itself may be set by a reload."""
    config = RECEIVER.format(url=sink.url)
    daemon = daemons(config, SMALL)
    daemon.start()
    daemon.configure(config + "watch: true\n", SMALL)
    assert daemon.post("/-/reload").status == 200

    def names() -> set[str]:
        return {one["name"] for one in daemon.items("/v1/rules")}

    daemon.configure(config + "watch: true\n", LARGE)
    until("the changed file is taken", lambda: "large" in names(), seconds=20)
    daemon.configure(config + "watch: true\n", BROKEN)
    until("the faults are seen", lambda: not _successful(daemon), seconds=20)
    assert "large" in names()
    daemon.configure(config + "watch: true\n", SMALL)
    until("the mended file is taken", lambda: _successful(daemon) and "small" in names(), seconds=20)
    assert daemon.stop() == 0


def test_a_reload_is_all_or_nothing(daemons: Daemons, sink: Sink) -> None:
    """Bad files: 400 with every fault, metric 0, the old rules run on. Good ones: new alerts go by the new rules, open
    incidents keep theirs."""
    config = RECEIVER.format(url=sink.url)
    daemon = daemons(config, SMALL)
    daemon.start()
    daemon.post("/api/v2/alerts", _alert(serial="1", place="here"))

    daemon.configure(config, BROKEN)
    answer = daemon.post("/-/reload")
    assert answer.status == 400
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert "rules.yaml:2:" in answer.json()["detail"]
    assert 'unknown key "widow"' in answer.json()["detail"]
    assert not _successful(daemon)
    daemon.post("/api/v2/alerts", _alert(serial="2", place="here"))
    assert _by_rule(daemon) == {"small": [("small 1", 1), ("small 2", 1)]}

    daemon.configure(config, LARGE + MAP)
    assert daemon.post("/-/reload").status == 200
    assert _successful(daemon)
    assert daemon.metric("imd_topology_dangling_edges") == 1
    daemon.post("/api/v2/alerts", _alert(serial="3", place="here") + _alert(serial="1", place="here"))
    assert _by_rule(daemon) == {"small": [("small 1", 1), ("small 2", 1)], "large": [("large here", 1)]}
    assert [one["name"] for one in daemon.items("/v1/rules")] == ["large", "default"]

    end = {"endsAt": "2026-01-01T00:00:00Z", "startsAt": "2025-12-31T00:00:00Z"}
    assert daemon.post("/api/v2/alerts", [{**_alert(serial="1", place="here")[0], **end}]).status == 200
    until("every incident paged", lambda: len(sink.of("page")) == 3)
    assert {message.incident["title"] for message in sink.of("page")} == {"small 1", "small 2", "large here"}
    assert daemon.stop() == 0


def test_a_reload_in_the_middle_of_a_write_takes_no_receiver_away(daemons: Daemons, sink: Sink) -> None:
    """config.yaml emptied, cut off behind a whole line, gone, a link to nowhere, a folder; rules emptied, gone, a link
    to nowhere: 400, and the next alert is paged as the one before."""
    config = RECEIVER.format(url=sink.url)
    daemon = daemons(config, EACH)
    daemon.start()
    config_file, rules_file = daemon.folder / "config.yaml", daemon.folder / "rules.yaml"
    sound = {file: file.read_text() for file in (config_file, rules_file)}
    cut = "".join(sound[config_file].partition("rules: [rules.yaml]\n")[:2])
    assert "receivers" not in cut
    broken: list[tuple[Path, Callable[[Path], object]]] = [
        *((file, lambda file, text=text: file.write_text(text)) for file in sound for text in ("", "\n", "\0" * 4096)),
        *((file, Path.unlink) for file in sound),
        *((file, lambda file: (file.unlink(), file.symlink_to("gone"))) for file in sound),
        (config_file, lambda file: (file.unlink(), file.mkdir())),
        (config_file, lambda file: file.write_text(cut)),
        (config_file, lambda file: file.write_text("# nothing left\n")),
    ]
    for number, (file, damage) in enumerate(broken):
        damage(file)
        answer = daemon.post("/-/reload")
        assert answer.status == 400, (number, answer.body)
        assert not _successful(daemon)
        daemon.post("/api/v2/alerts", _alert(serial=str(number)))
        until("it is paged", lambda sent=number + 1: len(sink.of("page")) == sent)
        if file.is_dir():
            file.rmdir()
        else:
            file.unlink(missing_ok=True)
        file.write_text(sound[file])
        assert daemon.post("/-/reload").status == 200
    assert daemon.stop() == 0


def test_hang_up_reloads_too_and_a_crowd_of_them_does_no_harm(daemons: Daemons) -> None:
    """SIGHUP with bad files keeps the old rules; a hundred of them under load lose nothing."""
    daemon = daemons("", EACH)
    daemon.start()
    producer = Producer(daemon, 300, seed=2)
    producer.start()
    daemon.configure("", BROKEN)
    daemon.send_signal(signal.SIGHUP)
    until("the reload was refused", lambda: not _successful(daemon))
    (daemon.folder / "rules.yaml").unlink()
    for number in range(100):
        daemon.send_signal(signal.SIGHUP)
        if number == 50:
            daemon.configure("", EACH + "  - {name: fresh, match: 'alertname=\"Fresh\"'}\n")
    until("the last one is taken", lambda: any(one["name"] == "fresh" for one in daemon.items("/v1/rules")))
    until("and succeeded", lambda: _successful(daemon))
    producer.stop()
    assert set(producer.statuses()) == {200}
    assert producer.look() == []
    assert daemon.stop() == 0


# -- starting again ---------------------------------------------------------------------------------------------------


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for at in range(4096, len(content), 997):
        content[at] ^= 0x5A
    path.write_bytes(content)


DAMAGE = {
    "emptied": lambda path: path.write_bytes(b""),
    "cut in half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "bytes flipped": _flip,
    "something else": lambda path: path.write_text("These are my notes.\n" * 500),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_database_is_refused(damage: str, daemons: Daemons) -> None:
    """Exit 1 with the file's name and what to do; the file is left as it is, and no fresh one takes its place."""
    daemon = daemons("", EACH)
    daemon.start()
    daemon.post("/api/v2/alerts", [_alert(serial=str(number))[0] for number in range(200)])
    assert daemon.stop() == 0
    database = daemon.folder / "imd.db"
    DAMAGE[damage](database)
    before = database.read_bytes()
    daemon.spawn()
    assert daemon.wait() == 1
    said = daemon.log().rpartition("imd: ")[2]
    assert "imd.db: " in said
    assert "restore a backup" in said
    assert database.read_bytes() == before


POLICY = """
policies:
  - name: default
    steps: [{{notify: ['receiver:sink'], for: {wait}}}, {{notify: ['receiver:second'], for: {wait}}}, {{notify: ['receiver:third'], for: {wait}}}]
"""  # noqa: E501


def _escalating(daemons: Daemons, sink: Sink, wait: str) -> Daemon:
    names = ["sink", "second", "third"]
    receivers = ", ".join(f"{{name: {name}, type: webhook, url: '{sink.url}/{name}'}}" for name in names)
    daemon = daemons(f"receivers: [{receivers}]\n", EACH + POLICY.format(wait=wait))
    daemon.start()
    daemon.post("/api/v2/alerts", _alert(serial="1", severity="critical"))
    until("step 1 paged", lambda: len(sink.messages) == 1)
    until("which is on record", lambda: daemon.pending() == 0)
    return daemon


def test_escalation_goes_on_from_its_stored_deadline(daemons: Daemons, sink: Sink) -> None:
    """Killed a second into a wait of three: step 2 comes at three seconds, not three after the restart; same key."""
    daemon = _escalating(daemons, sink, "3s")
    first = sink.messages[0]
    daemon.kill()
    until("a second passed", lambda: time.monotonic() - first.at >= 1)
    daemon.start()
    until("step 2 paged", lambda: len(sink.messages) == 2, 5)
    second = sink.messages[1]
    assert 2.9 < second.at - first.at < 3.6
    assert second.path.endswith("/second")
    assert second.key == first.key
    assert second.id != first.id
    assert (first.body["reason"], second.body["reason"]) == ("first", "escalated")
    assert daemon.stop() == 0


def test_after_an_outage_one_step_is_caught_up_and_the_rest_keeps_its_distance(daemons: Daemons, sink: Sink) -> None:
    """Two steps fell due while imd was away: the first goes at once, the second its full wait later."""
    daemon = _escalating(daemons, sink, "1s")
    daemon.kill()
    until("both steps are overdue", lambda: time.monotonic() - sink.messages[0].at >= 2.5)
    daemon.start()
    began = time.monotonic()
    until("all three paged", lambda: len(sink.messages) == 3, 5)
    _, second, third = sink.messages
    assert second.at - began < 0.5
    # A second after step 2 was decided; its page came later than that by what a first connection takes.
    assert third.at - second.at > 0.6
    assert len({message.key for message in sink.messages}) == 1
    assert daemon.stop() == 0


def test_reopened_after_a_restart_it_keeps_its_key(daemons: Daemons, sink: Sink) -> None:
    """Resolved before, firing again after the restart: one incident, one key, a page that says reopened."""
    daemon = daemons(RECEIVER.format(url=sink.url), EACH)
    daemon.start()
    ended = {"startsAt": "2026-01-01T00:00:00Z"}
    daemon.post("/v1/ingest/alertmanager", {"alerts": [{**_alert(serial="1")[0], "status": "firing", **ended}]})
    daemon.post("/v1/ingest/alertmanager", {"alerts": [{**_alert(serial="1")[0], "status": "resolved", **ended}]})
    until("resolved", lambda: len(sink.of("resolved")) == 1)
    daemon.kill()
    daemon.start()
    daemon.post("/v1/ingest/alertmanager", {"alerts": [{**_alert(serial="1")[0], "status": "firing"}]})
    until("paged again", lambda: len(sink.of("page")) == 2)
    assert [one.body["reason"] for one in sink.of("page")] == ["first", "reopened"]
    assert len({message.key for message in sink.messages}) == 1
    assert len(daemon.items("/v1/incidents")) == 1
    assert daemon.stop() == 0
