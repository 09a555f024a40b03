"""Schemathesis reads /v1/openapi.json from a running daemon and tries what it says, and what it does not allow."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.system.running import Daemons

EXAMPLES = int(os.environ.get("IMD_SCHEMATHESIS_EXAMPLES", "8"))
SEED = os.environ.get("IMD_SCHEMATHESIS_SEED", "1")

CONFIG = """\
receivers: [{name: bench, type: file, path: pages.jsonl}]
auth: {tokens: [{name: all, scopes: [admin], token: all-token}]}
sources:
  - {name: prom, type: alertmanager}
  - {name: pd, type: pagerduty, keys: [0123456789abcdef0123456789abcdef]}
  - {name: og, type: opsgenie, keys: [0123456789abcdef]}
log: {level: error}
limits: {refused_max: 1000000}
"""
RULES = """\
people: [{name: ana, reach: [{receiver: bench}]}]
schedules:
  - name: primary
    timezone: Europe/Berlin
    rotations: [{people: [ana], every: 1w, handoff: {weekday: mon, at: "09:00"}, start: "2025-12-29"}]
policies: [{name: default, steps: [{notify: ['schedule:primary']}]}]
heartbeats: [{name: bench, every: 1h, grace: 5m}]
maintenance:
  - name: patching
    match: 'service="db"'
    weekly: {weekdays: [sun], from: "23:00", to: "02:00"}
    timezone: Europe/Berlin
    reason: patching
"""
SETTINGS = """\
[parameters]
"path.source" = "prom"
"path.name" = "bench"
"path.receiver" = "bench"
"""

LEFT_OUT = {
    # Matchers, durations, names of people: what is well formed may still be refused, in words.
    "checks": "positive_data_acceptance",
    # It ends when its listener goes away; tests/api/test_stream.py.
    "path": "/v1/stream",
}


@pytest.mark.slow
@pytest.mark.skipif(find_spec("schemathesis") is None, reason="schemathesis is not installed")
def test_no_request_gets_a_5xx_or_an_answer_that_is_not_described(
    daemons: Daemons, tmp_path: Path, figures: list[str]
) -> None:
    """Thousands of requests over every operation: no 5xx, no status, media type, header or field that the document
    does not name, nothing accepted that it forbids, 405 with Allow for other methods, 401 without a token."""
    daemon = daemons(CONFIG, RULES)
    daemon.start()
    (tmp_path / "schemathesis.toml").write_text(SETTINGS)
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{daemon.url}/v1/openapi.json"),
            *("-H", "Authorization: Bearer all-token", "--request-timeout", "10", "--no-color"),
            *("--exclude-checks", LEFT_OUT["checks"], "--exclude-path", LEFT_OUT["path"]),
            *("--phases", "examples,coverage,fuzzing", "-n", str(EXAMPLES), "--seed", SEED),
            *("--continue-on-failure", "--warnings", "off", "--generation-database", "none"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr[-2000:]
    counted = re.search(r"(\d+) generated, (\d+) passed", ran.stdout)
    assert counted, ran.stdout[-2000:]
    assert int(counted[1]) == int(counted[2]) > 1000
    figures.append(
        f"schemathesis: {counted[1]} requests over every operation of /v1/openapi.json, 0 faults, seed {SEED}"
    )
    assert daemon.get("/-/ready").status == 200
    assert daemon.stop() == 0
