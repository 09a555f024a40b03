"""The example configuration, untouched but for its port: what somebody sees who starts imd for the first time."""

from __future__ import annotations

import re
import shutil
import signal
from pathlib import Path

import pytest

from tests.system.running import ROOT, Daemon, Daemons, until

pytestmark = pytest.mark.slow

HOLD_SECONDS = 10.0

ALERTS = [
    ("P2", {"alertname": "KubeNodeNotReady", "cluster": "c1", "node": "n1", "severity": "warning"}),
    ("P2", {"alertname": "ApiErrors", "service": "checkout", "severity": "critical"}),
    ("P3", {"alertname": "NobodyHasARuleForThis", "severity": "warning"}),
    ("P4", {"alertname": "Trifle", "severity": "info"}),
    ("P3", {"alertname": "WithoutSeverity"}),
    ("P1", {"alertname": "SenderKnowsBest", "priority": "P1", "severity": "info"}),
]


@pytest.fixture
def example(daemons: Daemons) -> Daemon:
    """config.example.yaml and rules/ in a folder of their own, on a free port."""
    daemon = daemons("")
    text = (ROOT / "config.example.yaml").read_text()
    assert "listen: 127.0.0.1:9490" in text
    (daemon.folder / "config.yaml").write_text(text.replace("127.0.0.1:9490", f"127.0.0.1:{daemon.port}"))
    shutil.copytree(ROOT / "rules", daemon.folder / "rules")
    return daemon


def _line(priority: str, alertname: str) -> re.Pattern[str]:
    return re.compile(rf"^PAGE {priority} #\d+ .*{alertname}.*$", re.MULTILINE)


def test_every_alert_is_paged_on_the_console_matched_or_not(example: Daemon) -> None:
    """Each with a priority of its own, seconds after hold; Ctrl-C ends it."""
    example.start()
    assert "warning[" not in example.log()
    answer = example.post("/api/v2/alerts", [{"labels": labels} for _, labels in ALERTS])
    assert (answer.status, answer.body) == (200, b"")
    for priority, labels in ALERTS:
        line = _line(priority, labels["alertname"])
        until(
            f"{labels['alertname']} is paged as {priority}",
            lambda line=line: line.search(example.printed()),
            HOLD_SECONDS + 5,
        )
    assert len(re.findall("^PAGE ", example.printed(), re.MULTILINE)) == len(ALERTS)
    assert len(set(re.findall(r"^PAGE P\d #(\d+) ", example.printed(), re.MULTILINE))) == len(ALERTS)
    assert Path(example.folder, "var", "imd.db").is_file()
    assert example.stop(signal.SIGINT) == 0
