"""`imd tee`: what would have been, against what was sent; and a real daemon that pages nobody."""

from __future__ import annotations

import json
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from imd.cli.main import main
from tests.cli.running import running

CONFIG = """\
receivers: [{name: chat, type: console}]
rules: [rules.yaml]
tee: true
"""
RULES = """\
rules:
  - {name: noise, match: 'severity="info"', mode: monitor}
  - {name: default, group_by: [cluster], hold: 10s}
policies: [{name: default, steps: [{notify: ['receiver:chat']}]}]
"""
START = 1_767_225_600  # 2026-01-01T00:00:00Z


def event(ts: float, status: str = "firing", **labels: str) -> str:
    return json.dumps({"ts": START + ts, "type": "alert", "status": status, "labels": labels})


EVENTS = [
    event(0, alertname="DiskFull", cluster="c1", instance="n1", severity="critical"),
    event(5, alertname="DiskFull", cluster="c1", instance="n2", severity="critical"),
    event(100, alertname="Hint", cluster="c1", severity="info"),
    event(200, alertname="Slow", cluster="c2", severity="warning"),
    event(203, "resolved", alertname="Slow", cluster="c2", severity="warning"),
    event(300, alertname="Down", cluster="c3", severity="critical"),
    event(900, "resolved", alertname="Down", cluster="c3", severity="critical"),
]
SENT = [
    {"ts": START + 40, "to": "ana", "labels": {"alertname": "DiskFull", "instance": "n1"}},
    {"ts": "2026-01-01T00:01:00Z", "to": "ana", "labels": {"alertname": "DiskFull", "instance": "n2"}},
    {"ts": START + 130, "receiver": "mails", "alerts": [{"labels": {"alertname": "Hint"}}]},
    {"ts": START + 230, "to": "ana", "labels": {"alertname": "Slow", "cluster": "c2"}},
    {"ts": START + 400, "to": "ana", "labels": {"alertname": "Unknown"}},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "rules.yaml").write_text(RULES)
    (tmp_path / "events.jsonl").write_text("\n".join(EVENTS))
    (tmp_path / "sent.jsonl").write_text("\n".join(map(json.dumps, SENT)))
    return tmp_path


def tee(folder: Path, *flags: str) -> list[str]:
    return ["tee", "--config", str(folder / "config.yaml"), "--events", str(folder / "events.jsonl"), *flags]


def said(folder: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> dict[str, Any]:
    assert main([*tee(folder, *flags), "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_each_message_is_about_its_incident(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two messages are one incident; what ended within its hold, and what is only monitored, imd keeps quiet."""
    found = said(folder, capsys, "--sent", str(folder / "sent.jsonl"))
    [both] = found["both"]
    assert (both["incident"], both["sent_messages"], both["imd_pages"], both["imd_to"]) == (1, 2, 1, ["chat"])
    assert (both["imd_at"], both["sent_at"]) == ("2026-01-01T00:00:10Z", "2026-01-01T00:00:40Z")
    assert found["seconds_later"] == -30
    [alone] = found["imd_only"]
    assert (alone["sent_at"], alone["imd_pages"], alone["priority"]) == (None, 1, "P2")
    hint, *strange = found["sent_only"]
    assert (hint["rule"], hint["sent_to"]) == ("noise", ["mails"])
    assert "mode monitor" in hint["because"]
    assert [one["title"] for one in strange] == ["Slow", "Unknown"]
    assert (found["sent_messages"], found["sent_by_receiver"]) == (5, {"ana": 4, "mails": 1})
    assert (found["imd"]["incidents"], found["imd"]["pages"]) == (3, 2)


def test_without_messages_it_says_what_would_have_been(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(tee(folder)) == 0
    text = capsys.readouterr().out
    assert "4 alerts would have been 3 incidents, 2 of them paged, in 2 pages" in text
    assert "WOULD HAVE BEEN PAGED (2)" in text
    assert main([*tee(folder), "--sent", str(folder / "sent.jsonl")]) == 0
    text = capsys.readouterr().out
    for heading in ("IMD ALONE WOULD HAVE PAGED (1)", "THE OTHER PAGER ALONE SENT (3)", "BOTH (1)", "30 s earlier"):
        assert heading in text


def test_nobody_answering_is_escalated(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "rules.yaml").write_text(
        RULES.replace(
            "steps: [{notify: ['receiver:chat']}]", "steps: [{notify: ['receiver:chat'], for: 1m}], repeat: 1"
        )
    )
    assert said(folder, capsys)["imd"]["pages"] == 2
    assert said(folder, capsys, "--ack-after", "never")["imd"]["pages"] == 4


def test_since_leaves_out_what_was_before(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = said(folder, capsys, "--since", "2026-01-01T00:04:00Z", "--sent", str(folder / "sent.jsonl"))
    assert found["imd"]["incidents"] == 1
    assert found["sent_messages"] <= 5


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{", "sent.jsonl:2: "),
        ("[]", "sent.jsonl:2: a line is no object"),
        ('{"ts": 1}', 'sent.jsonl:2: it has no "labels"'),
        ('{"labels": {"a": "b"}}', 'sent.jsonl:2: "ts" is neither'),
        ('{"ts": 1e400, "labels": {"a": "b"}}', "sent.jsonl:2: "),
        ('{"ts": "2026-01-01T00:00:00", "labels": {"a": "b"}}', 'sent.jsonl:2: "ts" is neither'),
        ('{"ts": 1, "labels": {"a": 1}}', 'sent.jsonl:2: it has no "labels"'),
    ],
)
def test_what_cannot_be_read_is_said_by_its_line(
    folder: Path, capsys: pytest.CaptureFixture[str], line: str, fault: str
) -> None:
    (folder / "sent.jsonl").write_text(json.dumps(SENT[0]) + "\n" + line + "\n")
    assert main([*tee(folder), "--sent", str(folder / "sent.jsonl")]) == 1
    assert fault in capsys.readouterr().err


def test_a_daemon_beside_another_pager(tmp_path: Path) -> None:
    """It pages nobody, says so everywhere, and its own journal tells what it would have done."""
    (tmp_path / "rules.yaml").write_text(RULES.replace("10s", "100ms"))
    with running(tmp_path, CONFIG) as operator:
        assert operator("send", "DiskFull", "cluster=c1", "severity=critical")[0] == 0
        deadline = time.monotonic() + 20
        while "another pager" not in operator("why", "1")[1]:
            assert time.monotonic() < deadline, operator("why", "1")
        assert "NOBODY IS PAGED" in operator("status")[1]
        assert "not notified: receiver:chat, because imd runs beside another pager (tee)" in operator("why", "1")[1]
        with urllib.request.urlopen(f"{operator.url}/metrics") as answer:
            metrics = answer.read().decode()
        assert "imd_tee 1.0" in metrics
        assert "imd_pages_withheld_total 1.0" in metrics
        code, out, err = operator(
            "tee", "--config", str(tmp_path / "config.yaml"), "--store", f"sqlite:///{tmp_path}/imd.db", "--json"
        )
        assert code == 0, err
        found = json.loads(out)
        assert [one["imd_to"] for one in found["imd_only"]] == [["chat"]]
        assert "tee.pages_nobody" in operator.printed()
        assert "PAGE" not in operator.printed()
