"""A database that is damaged while nobody looks: refused, recovered, and somebody is paged about what may be lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import apsw

from tests.system.running import ROOT, Daemon, Daemons, until
from tests.system.sink import Sink

RECEIVER = "receivers: [{{name: sink, type: webhook, url: {url}}}]\n"
RULES = "rules: [{name: each, match: 'alertname=~\".+\"', group_by: ['...'], hold: 0s}]\n"


def _recover(daemon: Daemon, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "imd", "db", "recover", "--config", "config.yaml", *arguments],
        cwd=daemon.folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_recovered_database_goes_on_and_pages_that_state_may_be_lost(daemons: Daemons, sink: Sink) -> None:
    daemon = daemons(RECEIVER.format(url=sink.url), RULES)
    daemon.start()
    alerts = [{"labels": {"alertname": "Load", "serial": str(n)}} for n in range(200)]
    assert daemon.post("/api/v2/alerts", alerts).status == 200
    assert daemon.stop() == 0
    _flip_a_bit_of_alert(daemon.folder / "imd.db", 151)
    daemon.spawn()
    assert daemon.wait() == 1
    assert "the record of alert 151 is damaged" in daemon.log()
    assert "imd db recover" in daemon.log()
    run = _recover(daemon)
    assert run.returncode == 0, run.stderr
    assert "ImdStateLost" in run.stdout
    daemon.start()
    until("the page", lambda: [one for one in sink.of("page") if "ImdStateLost" in one.incident["title"]])
    kept = len(daemon.items("/v1/alerts"))
    assert kept == 199 + 1, "all but the damaged one, and what imd says of itself"
    assert daemon.stop() == 0
    daemon.start()
    assert len(daemon.items("/v1/alerts")) == kept, "it is said once"


def test_a_log_that_was_deleted_after_a_kill_pages_that_state_may_be_lost(daemons: Daemons, sink: Sink) -> None:
    """What was acknowledged a moment ago is in the log alone. Who deletes it (a "temporary file") sets the
    pager back in time."""
    daemon = daemons(RECEIVER.format(url=sink.url), RULES)
    daemon.start()
    log = daemon.folder / "imd.db-wal"
    assert daemon.post("/api/v2/alerts", [{"labels": {"alertname": "Load", "serial": "1"}}]).status == 200
    daemon.kill()
    daemon.start()
    assert len(daemon.items("/v1/alerts")) == 1, "a kill alone loses nothing, and nothing is said"
    assert daemon.post("/api/v2/alerts", [{"labels": {"alertname": "Load", "serial": "2"}}]).status == 200
    daemon.kill()
    log.unlink()
    daemon.start()
    [page] = until("the page", lambda: [one for one in sink.of("page") if "ImdStateLost" in one.incident["title"]])
    assert "the file beside the database that ends in -wal) was gone" in page.incident["title"]
    assert "store.state_lost" in daemon.log()
    assert daemon.stop() == 0
    assert not log.exists()
    daemon.start()
    assert [one for one in sink.of("page") if "ImdStateLost" in one.incident["title"]] == [page], "it is said once"


def _flip_a_bit_of_alert(database: Path, number: int) -> None:
    connection = apsw.Connection(str(database))
    [(record,)] = connection.execute("SELECT record FROM alert WHERE id = ?", (number,))
    connection.execute("UPDATE alert SET record = ? WHERE id = ?", (record[:-1] + bytes([record[-1] ^ 1]), number))
    connection.close()
