"""A peer that is gone without a word: its answers get lost on the way (row 21 of docs/faults.md).

The receiver is a process in a network namespace of its own. What is sent arrives there, and every packet back is
dropped: to imd that is a connection, kept from the last page, on which nothing is ever heard again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.system.running import Daemons, Output, until
from tests.system.sink import Sink

RECEIVERS = """receivers:
  - {{name: far, type: webhook, url: 'http://{far}:8080/', deliver_within: 3s}}
  - {{name: near, type: webhook, url: '{near}'}}
limits: {{connect_timeout: 1s, send_timeout: 2s}}
"""
RULES = """rules:
  - {name: each, match: 'alertname="Load"', group_by: [serial], hold: 0s, priority: P2}
policies:
  - name: default
    steps: [{notify: ['receiver:far'], for: 1h}, {notify: ['receiver:near'], for: 1h}]
"""
SERVER = """
import http.server, json, sys

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        print(json.dumps({"id": body["delivery_id"], "key": body["dedup_key"]}), flush=True)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *arguments):
        pass

http.server.ThreadingHTTPServer((sys.argv[1], 8080), Handler).serve_forever()
"""


class Far:
    """The namespace, the link to it and the receiver in it."""

    def __init__(self) -> None:
        number = os.getpid() % 200
        self.ours, self.theirs = f"10.254.{number}.1", f"10.254.{number}.2"
        self._name, self._link = f"imd{number}", f"imd{number}v"
        self._process: subprocess.Popen[bytes] | None = None

    def open(self) -> None:
        """Raises CalledProcessError where this machine lets nobody do it."""
        self._ip(f"netns add {self._name}")
        self._ip(f"link add {self._link} type veth peer name far netns {self._name}")
        self._ip(f"addr add {self.ours}/30 dev {self._link}")
        self._ip(f"link set {self._link} up")
        self._within("ip", "addr", "add", f"{self.theirs}/30", "dev", "far")
        self._within("ip", "link", "set", "far", "up")
        command = ["ip", "netns", "exec", self._name, sys.executable, "-c", SERVER, self.theirs]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self._output = Output(self._process.stdout)

    def received(self) -> list[dict[str, str]]:
        return [json.loads(line) for line in self._output.text().splitlines()]

    def falls_silent(self) -> None:
        self._within("ip", "route", "add", "blackhole", f"{self.ours}/32")

    def speaks_again(self) -> None:
        self._within("ip", "route", "del", "blackhole", f"{self.ours}/32")

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        subprocess.run(["ip", "netns", "del", self._name], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", self._link], check=False, capture_output=True)

    def _ip(self, arguments: str) -> None:
        subprocess.run(["ip", *arguments.split()], check=True, capture_output=True)

    def _within(self, *command: str) -> None:
        subprocess.run(["ip", "netns", "exec", self._name, *command], check=True, capture_output=True)


@pytest.fixture
def far() -> Iterator[Far]:
    made = Far()
    try:
        made.open()
    except (OSError, subprocess.CalledProcessError) as error:
        made.close()
        pytest.skip(f"no network namespace here: {error}")
    try:
        yield made
    finally:
        made.close()


def test_a_peer_that_is_gone_without_a_word(far: Far, daemons: Daemons, sink: Sink, figures: list[str]) -> None:
    """The send is given up when its time is over, another way is taken when the page is late, and it arrives all the
    same once the peer is heard again: each message under one id and one key."""
    daemon = daemons(RECEIVERS.format(far=far.theirs, near=sink.url), RULES)
    daemon.start()
    daemon.post("/api/v2/alerts", [{"labels": {"alertname": "Load", "serial": "0"}}])
    until("the first page is there, and its connection is kept", lambda: far.received() and not daemon.pending(), 20)
    far.falls_silent()
    began = time.monotonic()
    daemon.post("/api/v2/alerts", [{"labels": {"alertname": "Load", "serial": "1"}}])
    failed = "imd_delivery_attempts_total"
    until("it is given up", lambda: daemon.metric(failed, receiver="far", outcome="temporary") > 0, 15)
    detected = time.monotonic() - began
    until("the other way is taken", lambda: sink.of("page"), 15)
    passed = time.monotonic() - began
    far.speaks_again()
    until("the page itself is told", lambda: daemon.pending() == 0, 60)
    (near,) = sink.of("page")
    pages = {one["id"]: one["key"] for one in far.received()}
    doubles = len(far.received()) - len(pages)
    figures.append(
        f"row 21, a silent peer: noticed after {detected:.1f} s, other way taken after {passed:.1f} s; "
        f"M 0, D {doubles}, K 0"
    )
    assert detected < 5
    assert len(pages) == 2
    assert near.key in pages.values()
    assert len(set(pages.values())) == 2
    assert daemon.stop() == 0
