"""`imd replay` and `imd journal export`, the second against a real daemon whose life is then replayed."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Imd
from tests.cli.running import running

EVENTS = """\
{"ts": 0, "status": "firing", "labels": {"alertname": "Down", "node": "n1", "severity": "critical"}}
{"ts": 60, "status": "resolved", "labels": {"alertname": "Down", "node": "n1", "severity": "critical"}}
{"ts": 30, "type": "silence"}
"""
RULES = """\
rules: [{name: nodes, match: 'alertname="Down"', group_by: [node], hold: 20s, policy: team}]
policies: [{name: team, steps: [{notify: ['receiver:chat'], for: 5m}]}]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "events.jsonl").write_text(EVENTS)
    (tmp_path / "rules.yaml").write_text(RULES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_prints_incidents_and_messages(imd: Imd, folder: Path) -> None:
    code, out, err = imd("replay", "events.jsonl", "--rules", "rules.yaml")
    assert (code, err) == (0, "")
    assert out == (
        "#  PRIO  STATE     OPENED                LASTED  ALERTS  PAGES  RULE   TITLE\n"
        "1  P2    resolved  1970-01-01T00:00:00Z      2m       1      1  nodes  Down n1\n"
        "\n"
        "AT                    #  PRIO  KIND      REASON  TO    RECEIVER\n"
        "1970-01-01T00:00:20Z  1  P2    page      first   chat  chat\n"
        "1970-01-01T00:02:00Z  1  P2    resolved          chat  chat\n"
        "\n"
        "2 events, 1 incidents, 1 pages, 1 other messages, 1970-01-01T00:00:00Z to 1970-01-01T00:02:00Z\n"
        "not replayed: 1 lines of silence\n"
        "1 lines are older than a line before them and were taken at its time\n"
    )


def test_json_and_out_say_the_same(imd: Imd, folder: Path) -> None:
    code, out, _ = imd("replay", "events.jsonl", "--rules", ".", "--json", "--out", "out.jsonl")
    assert code == 0
    told: dict[str, Any] = json.loads(out)
    lines = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    assert [line for line in lines if line["type"] != "assignment"] == told["incidents"] + told["pages"]
    assert told["summary"] == {
        "events": 2, "incidents": 1, "pages": 1, "messages": 2, "skipped": {"silence": 1}, "late": 1, "unmet": {},
    }  # fmt: skip


def test_without_rules_there_is_one_receiver(imd: Imd, folder: Path) -> None:
    code, out, _ = imd("replay", "events.jsonl", "--json")
    assert code == 0
    assert {page["receiver"] for page in json.loads(out)["pages"]} == {"default"}


def test_it_reads_standard_input(imd: Imd, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(EVENTS.encode())))
    assert imd("replay", "-", "--json")[0] == 0


def test_a_config_gives_receivers_and_sources(imd: Imd, folder: Path) -> None:
    (folder / "config.yaml").write_text("rules: [rules.yaml]\nreceivers: [{name: chat, type: console}]\n")
    code, out, _ = imd("replay", "events.jsonl", "--config", "config.yaml")
    assert code == 0
    assert "PAGE P2" not in out, "nothing is sent"


def test_faults_are_exit_1_and_wrong_use_is_exit_2(imd: Imd, folder: Path) -> None:
    (folder / "bad.jsonl").write_text('{"ts": 1}\n{\n')
    assert imd("replay", "bad.jsonl") == (
        1,
        "",
        'imd: 2 faults, no replay\nbad.jsonl:1: status is "", expected "firing" or "resolved"\n'
        "bad.jsonl:2: Input data was truncated\n",
    )
    (folder / "bad.yaml").write_text("rules: [{nam: x}]\n")
    code, _, err = imd("replay", "events.jsonl", "--rules", "bad.yaml")
    assert code == 1
    assert "bad.yaml:1:" in err
    assert imd("replay", "nowhere.jsonl") == (2, "", "imd: no such file or folder: nowhere.jsonl\n")
    assert imd("replay", "events.jsonl", "--out", "nowhere/out.jsonl")[0] == 2
    with pytest.raises(SystemExit) as ended:
        imd("replay", "events.jsonl", "--ack-after", "soon")
    assert ended.value.code == 2


CONFIG = "rules: [rules.yaml]\nreceivers: [{name: chat, type: file, path: pages.jsonl, send: [page, resolved, note]}]\n"
LIVE_RULES = """\
rules:
  - {name: nodes, match: 'alertname="Down"', group_by: [rack], hold: 300ms, resolve: {after: 300ms}, policy: team}
policies: [{name: team, steps: [{notify: ['receiver:chat'], for: 5m}]}]
"""


def test_a_daemons_life_replays_to_the_same_incidents_and_messages(tmp_path: Path) -> None:
    """Instants are milliseconds apart, for a daemon's timers are a little late and a replay's are not."""
    (tmp_path / "rules.yaml").write_text(LIVE_RULES)
    events = str(tmp_path / "events.jsonl")
    with running(tmp_path, CONFIG) as imd:
        down = ["Down", "rack=r1", "severity=critical"]
        for node in ("n1", "n2"):
            assert imd("send", *down, f"node={node}")[0] == 0
        assert imd("send", "Other", "severity=warning", "--resolve")[0] == 0
        _wait_for(lambda: "accepted" in imd("deliveries")[1])
        assert imd("note", "1", "power is back")[0] == 0
        assert imd("ack", "1", "--note", "on it")[0] == 0
        for node in ("n1", "n2"):
            assert imd("send", *down, f"node={node}", "--resolve")[0] == 0
        _wait_for(lambda: "resolved" in imd("incidents", "list", "--all")[1])
        _wait_for(lambda: "pending" not in imd("deliveries")[1])
        code, out, err = imd("journal", "export", "--out", events)
        assert (code, out, err) == (0, f"{len(Path(events).read_bytes().splitlines())} events to {events}\n", "")
        assert imd("journal", "export", "--since", "2999-01-01T00:00:00Z") == (0, "", "")
        assert imd("journal", "export")[1] == Path(events).read_text()
        live: Any = imd.json("incidents", "list", "--all"), imd.json("deliveries", "--limit", "100")
    code, out, err = imd("replay", events, "--config", str(tmp_path / "config.yaml"), "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert told["summary"]["unmet"] == {}
    incidents, deliveries = (listed["items"] for listed in live)
    assert [(one["id"], one["state"], one["priority"], one["alerts"]) for one in told["incidents"]] == [
        (one["id"], one["state"], one["priority"], one["alert_count"]["resolved"]) for one in incidents
    ]
    assert [_page(one) for one in told["pages"]] == [_page(one) for one in reversed(deliveries)]
    for page, delivery in zip(told["pages"], reversed(deliveries), strict=True):
        assert abs(page["ts"] - datetime.fromisoformat(delivery["created_at"]).timestamp()) < 0.5


def _page(one: dict[str, Any]) -> tuple[object, ...]:
    return one["incident"], one["receiver"], one["to"], one["kind"], one["reason"]


def _wait_for(seen: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_storm_in_a_replay_has_its_digest(imd: Imd, folder: Path) -> None:
    """A receiver that people read: what was paged in a digest counts as paged, and is acknowledged like the rest."""
    (folder / "config.yaml").write_text(
        "rules: [rules.yaml]\nreceivers: [{name: chat, type: slack, token: x, channel: '#ops', send: [page]}]\n"
    )
    (folder / "events.jsonl").write_text(
        "".join(
            f'{{"ts": 0, "status": "firing", "labels": {{"alertname": "Down", "node": "n{n}"}}}}\n' for n in range(5)
        )
    )
    code, out, err = imd("replay", "events.jsonl", "--config", "config.yaml")
    assert (code, err) == (0, "")
    table = [line.split() for line in out.splitlines()]
    assert [row[2] for row in table[1:6]] == ["acknowledged"] * 5
    assert [row[4:6] for row in table[1:6]] == [["1", "1"]] * 5
    assert ["P3", "digest", "2", "paged", "chat", "chat"] in [row[1:] for row in table]
    code, out, err = imd("backtest", "--rules", "rules.yaml", "--events", "events.jsonl", "--config", "config.yaml")
    assert (code, err) == (0, "")
