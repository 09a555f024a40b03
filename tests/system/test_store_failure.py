"""The disk fills up under load: 503 and nothing lost, what can go on goes on, and it heals by itself."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.system.load import Producer
from tests.system.running import Daemon, Daemons, until
from tests.system.sink import Sink

RECEIVER = "receivers: [{{name: sink, type: webhook, url: {url}}}]\n"
EACH = """rules:
  - {name: each, match: 'alertname=~".+"', group_by: [alertname, serial], hold: 0s, resolve: {after: 0s}}
"""
RECOVERY_SECONDS = 5.0  # one probe a second, and a machine that does other things too
WATCHDOG = {"WATCHDOG_USEC": "400000"}


class Disk(Protocol):
    """`reserve`: people's work goes on while it is full."""

    store: str
    reserve: bool

    def fill(self, daemon: Daemon) -> None: ...

    def free(self, daemon: Daemon) -> None: ...


class SmallDisk:
    """A file system of 16 MiB: the log may grow to some 4, and 4 are the reserve."""

    reserve = True

    def __init__(self, folder: Path) -> None:
        self._filler = folder / "filler"
        self.store = f"sqlite:///{folder}/imd.db"

    def fill(self, daemon: Daemon) -> None:
        with self._filler.open("wb", buffering=0) as file:
            for size in (65536, 4096, 1):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError:
                    continue

    def free(self, daemon: Daemon) -> None:
        self._filler.unlink()


class SizeLimit:
    """No file of the daemon's may grow: a disk that refuses writes, and it needs no root. No reserve helps there."""

    reserve = False

    store = ""
    _hard = resource.RLIM_INFINITY

    def fill(self, daemon: Daemon) -> None:
        _, self._hard = resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (512, self._hard))

    def free(self, daemon: Daemon) -> None:
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (self._hard, self._hard))


@pytest.fixture(params=["small disk", "size limit"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    if request.param == "size limit":
        yield SizeLimit()
        return
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no small disk here: {mounted.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def _post(daemon: Daemon, name: str, path: str = "/api/v2/alerts") -> int:
    return daemon.post(path, [{"labels": {"alertname": name, "severity": "warning"}}]).status


def test_a_full_disk_is_waited_out(disk: Disk, daemons: Daemons, sink: Sink, figures: list[str]) -> None:
    """503 with Retry-After; reads show what is stored, and a page that is stored leaves; space comes back: 200 again,
    and all that ever got a 2xx is there, before and after a restart."""
    daemon = daemons(RECEIVER.format(url=sink.url), EACH, store=disk.store)
    daemon.start()
    assert _post(daemon, "Told") == 200
    until("it is told", lambda: sink.of("page") and not daemon.pending())
    sink.status = 503
    assert _post(daemon, "Stored") == 200
    producer = Producer(daemon, 300, seed=3)
    producer.start()
    until("some alerts came", lambda: producer.total("acked") > 100)

    disk.fill(daemon)
    until("it says so", lambda: daemon.get("/-/ready").status == 503)
    assert daemon.get("/-/healthy").status == 200
    until("senders hear of it", lambda: producer.statuses()[503] > 8)
    answer = daemon.post("/v1/ingest/alertmanager", {"alerts": []})
    assert (answer.status, answer.headers["content-type"]) == (503, "application/problem+json")
    assert daemon.metric("imd_store_up") == 0
    _reads_go_on(daemon)
    _people_go_on(daemon, disk)

    sink.status = 200
    until("the stored page leaves", lambda: [one for one in sink.of("page", title="Stored") if one.status == 200], 15)
    assert daemon.get("/-/ready").status == 503

    disk.free(daemon)
    began = time.monotonic()
    until("it takes alerts again", lambda: daemon.get("/-/ready").status == 200, RECOVERY_SECONDS)
    healed = time.monotonic() - began
    own = "ImdDiskFull"
    until(
        "nor does it say otherwise", lambda: own not in {a["labels"]["alertname"] for a in daemon.items("/v1/alerts")}
    )
    acked = producer.total("acked")
    until("the senders go on", lambda: producer.total("acked") > acked + 100)
    producer.stop()
    assert set(producer.statuses()) == {200, 503}
    _nothing_is_lost(daemon, producer, sink)
    figures.append(
        f"disk full ({type(disk).__name__}): {producer.total('acked')} alerts acked, 0 lost, "
        f"{producer.statuses()[503]} times 503, ready again {healed * 1000:.0f} ms after space was freed"
    )


def _reads_go_on(daemon: Daemon) -> None:
    stored = [one for one in daemon.items("/v1/incidents") if one["rule"] == "each" and one["title"] == "Stored"]
    assert [one["state"] for one in stored] == ["triggered"]
    assert len(daemon.items(f"/v1/incidents/{stored[0]['id']}/alerts")) == 1
    assert daemon.get(f"/v1/incidents/{stored[0]['id']}/why").status == 200
    assert "Stored" in {one["labels"]["alertname"] for one in daemon.items("/v1/alerts")}
    listed = daemon.get("/api/v2/alerts").json()
    assert "Stored" in {one["labels"]["alertname"] for one in listed}, "to Karma an empty list would be the all-clear"


def _people_go_on(daemon: Daemon, disk: Disk) -> None:
    """With a reserve an acknowledgement is taken, and imd says of itself that it has no room; without one, neither."""
    (told,) = [one for one in daemon.items("/v1/incidents") if one["title"] == "Told"]
    acknowledge = f"/v1/incidents/{told['id']}/ack"
    if not disk.reserve:
        assert daemon.post(acknowledge, {"by": "ana"}).status == 503
        return
    until("it lives on its reserve", lambda: daemon.post(acknowledge, {"by": "ana"}).status == 200)
    assert daemon.get(f"/v1/incidents/{told['id']}").json()["state"] == "acknowledged"
    assert [one for one in daemon.items("/v1/alerts") if one["labels"]["alertname"] == "ImdDiskFull"]
    assert _post(daemon, "Later") == 503


def _nothing_is_lost(daemon: Daemon, producer: Producer, sink: Sink) -> None:
    assert producer.look() == []
    until("every message left", lambda: daemon.pending() == 0, 20)
    assert daemon.stop() == 0
    daemon.start()
    assert producer.look() == []
    keys: dict[str, set[str]] = {}
    for message in sink.messages:
        keys.setdefault(message.incident["id"], set()).add(message.key)
    assert {len(found) for found in keys.values()} == {1}
    told = {message.incident["id"] for message in sink.of("page") if message.status == 200}
    assert told == {one["id"] for one in daemon.items("/v1/incidents")}
    assert daemon.stop() == 0


def test_it_stops_cleanly_while_the_disk_is_full(disk: Disk, daemons: Daemons, sink: Sink) -> None:
    """SIGTERM in the middle of it, fed watchdog and all: exit 0 within 10 s."""
    daemon = daemons(RECEIVER.format(url=sink.url), EACH, store=disk.store)
    daemon.start(**WATCHDOG)
    assert _post(daemon, "Told") == 200
    disk.fill(daemon)
    until("it says so", lambda: _post(daemon, "Later") == 503)
    until("the watchdog met it", lambda: daemon.get("/-/ready").status == 503)
    until("and again", lambda: _post(daemon, "Later") == 503)
    beat = time.monotonic()
    until("some beats passed", lambda: time.monotonic() - beat > 0.5)
    assert daemon.stop() == 0
