"""heartbeat: a beat from a cron job, and who is missing; asked of a stand-in and of a real daemon."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Imd
from tests.cli.running import running
from tests.cli.standin import StandIn

BEAT = {
    "name": "dog",
    "by": {"cluster": "eu 1"},
    "missing": False,
    "last_beat_at": "2026-01-01T00:00:00Z",
    "due_at": "2999-01-01T00:00:00Z",
    "every_seconds": 300.0,
    "grace_seconds": 60.0,
    "priority": "P2",
}
CONFIG = "rules: [rules.yaml]\nreceivers: [{name: ops, type: console}]\n"
RULES = """heartbeats:
  - {name: backup, every: 26h}
  - {name: dog, by: [cluster, rack], every: 5m}
"""


def test_a_beat_with_the_values_it_is_one_by(daemon: StandIn, imd: Imd) -> None:
    daemon.answers["POST /v1/heartbeats/dog"] = 200, BEAT
    code, out, err = imd("heartbeat", "dog", "cluster=eu 1")
    assert (code, err) == (0, "")
    assert out == 'dog{cluster="eu 1"} was heard; missing from 2999-01-01T00:00:00Z on unless it is heard again\n'
    assert daemon.asked[-1].query == {"cluster": ["eu 1"]}
    assert json.loads(imd("heartbeat", "dog", "cluster=eu 1", "--json")[1]) == BEAT


def test_the_list(daemon: StandIn, imd: Imd) -> None:
    never = {**BEAT, "name": "cat", "by": {}, "last_beat_at": None}
    gone = {**BEAT, "missing": True}
    daemon.answers["GET /v1/heartbeats"] = 200, {"items": [never, BEAT, gone]}
    code, out, err = imd("heartbeat")
    assert (code, err) == (0, "")
    assert [line.split()[-2] for line in out.splitlines()[1:]] == ["never", "ago", "ago"]
    assert [word for line in out.splitlines() for word in line.split() if word in ("awaited", "heard", "missing")] == [
        "awaited", "heard", "missing",
    ]  # fmt: skip
    daemon.answers["GET /v1/heartbeats"] = 200, {"items": []}
    assert imd("heartbeat")[1] == "no heartbeat is configured\n"


@pytest.mark.parametrize("word", ["cluster", "=eu"])
def test_a_word_that_is_no_pair_is_used_wrongly(imd: Imd, word: str) -> None:
    code, _, err = imd("heartbeat", "dog", word)
    assert code == 2
    assert "name=value" in err


def test_against_a_real_daemon(tmp_path: Path) -> None:
    """What cron sees: 0 once it is on disk, else 1 and why."""
    (tmp_path / "rules.yaml").write_text(RULES)
    with running(tmp_path, CONFIG) as operator:
        code, out, err = operator("heartbeat", "backup")
        assert (code, err) == (0, "")
        assert out.startswith("backup was heard; missing from ")
        assert operator("heartbeat", "dog", "cluster=eu", "rack=r1")[0] == 0
        code, out, err = operator("heartbeat", "dog", "cluster=eu")
        assert (code, out) == (1, "")
        assert "heartbeat dog is one by cluster, rack: add ?rack=VALUE" in err
        assert "no heartbeat 'cat' is configured" in operator("heartbeat", "cat")[2]
        listed = operator.json("heartbeat")
        assert isinstance(listed, dict)
        assert [(one["name"], one["by"]) for one in listed["items"]] == [
            ("backup", {}), ("dog", {"cluster": "eu", "rack": "r1"}),
        ]  # fmt: skip
        assert 'dog     {cluster="eu", rack="r1"}  heard' in operator("heartbeat")[1]
