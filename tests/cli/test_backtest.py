"""`imd backtest`: files and a running daemon's store, what is printed, and the exit code that merge requests go by."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Imd
from tests.cli.running import running

EVENTS = """\
{"ts": 0, "status": "firing", "labels": {"alertname": "Down", "node": "n1", "severity": "critical"}}
{"ts": 5, "status": "firing", "labels": {"alertname": "Down", "node": "n2", "severity": "critical"}}
{"ts": 60, "status": "resolved", "labels": {"alertname": "Down", "node": "n1", "severity": "critical"}}
{"ts": 90, "status": "firing", "labels": {"alertname": "Noise", "severity": "info"}}
"""
OLD = """\
rules:
  - {name: nodes, match: 'alertname="Down"', group_by: [node], impact: high, policy: team}
policies: [{name: team, steps: [{notify: ['receiver:chat']}]}]
"""
NEW = """\
rules:
  - {name: noise, match: 'alertname="Noise"', mode: drop}
  - {name: nodes, match: 'alertname="Down"', group_by: [alertname], hold: 30s, policy: team}
policies: [{name: team, steps: [{notify: ['receiver:chat']}]}]
"""
COMMAND = ("backtest", "--rules", "new", "--against", "old", "--events", "events.jsonl")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "events.jsonl").write_text(EVENTS)
    for name, text in (("old", OLD), ("new", NEW)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rules.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_prints_the_summary_and_every_difference(imd: Imd) -> None:
    code, out, err = imd(*COMMAND)
    assert (code, err) == (0, "")
    assert out == (
        "              INCIDENTS  NOW      PAGES  NOW\n"
        "all                   3    1  -2      3    1  -2\n"
        "P1                    2    0  -2      2    0  -2\n"
        "P2                    0    1  +1      0    1  +1\n"
        "P4                    1    0  -1      1    0  -1\n"
        "rule default          1    0  -1      1    0  -1\n"
        "rule nodes            2    1  -1      2    1  -1\n"
        "to chat                               3    1  -2\n"
        "\n"
        "lost: 1 no incident any more\n"
        '  - old #3 "Noise", 1970-01-01T00:01:30Z: its alert is now dropped by rule noise (new/rules.yaml:2)\n'
        "\n"
        "merged: 1 several that are one now\n"
        '  - old #1, #2 > new #1 "Down n1", 1970-01-01T00:00:00Z: rule nodes (new/rules.yaml:3) makes one of them: '
        "group_by [alertname] in place of [node]; hold 30s in place of 10s\n"
        "\n"
        "priority: 1 another priority\n"
        '  - old #1, #2 > new #1 "Down n1", 1970-01-01T00:00:00Z, P1 > P2: rule nodes (new/rules.yaml:3): '
        "impact medium x urgency high, in place of impact high x urgency high\n"
        "\n"
        "later: 1 paged later\n"
        '  - old #1, #2 > new #1 "Down n1", 1970-01-01T00:00:00Z, 1970-01-01T00:00:10Z > 1970-01-01T00:00:30Z: '
        "rule nodes (new/rules.yaml:3): hold is 30s in place of 10s\n"
        "\n"
        "4 events, 1970-01-01T00:00:00Z to 1970-01-01T00:01:30Z: 4 differences\n"
    )


def test_json_has_the_keys_of_the_contract(imd: Imd) -> None:
    code, out, _ = imd(*COMMAND, "--json")
    told = json.loads(out)
    assert code == 0
    assert set(told) == {"summary", "differences"}
    assert set(told["summary"]) == {"old", "new"}
    assert [one["kind"] for one in told["differences"]] == ["lost", "merged", "priority", "later"]
    lost, merged, *_ = told["differences"]
    assert (lost["old"], lost["new"]) == (["i000000000003"], [])
    assert (merged["old"], merged["new"]) == (["i000000000001", "i000000000002"], ["i000000000001"])
    assert all(one["reason"] for one in told["differences"])


def test_the_same_rules_differ_in_nothing(imd: Imd) -> None:
    code, out, _ = imd("backtest", "--rules", "old", "--against", "old", "--events", "events.jsonl", "--fail-on", "any")
    assert code == 0
    assert out.endswith(": no difference\n")


def test_without_old_rules_the_built_in_one_stands_for_them(imd: Imd) -> None:
    """`--against` may be left out (design section 2)."""
    code, out, _ = imd("backtest", "--rules", "new", "--events", "events.jsonl", "--json")
    assert code == 0
    assert json.loads(out)["summary"]["old"]["by_rule"].keys() == {"default"}


def test_a_condition_that_holds_is_exit_1_and_is_named(imd: Imd) -> None:
    assert imd(*COMMAND, "--fail-on", "more-pages")[0] == 0
    code, out, err = imd(*COMMAND, "--fail-on", "more-pages,lost-p1", "--fail-on", "lost")
    assert code == 1
    assert err == "imd: failed on lost-p1 (2), lost (1)\n"
    assert "4 differences" in out, "the report comes all the same"
    code, _, err = imd(*COMMAND, "--fail-on", "lost-p9")
    assert (code, err.startswith("imd: --fail-on knows no 'lost-p9'; there are any, lost, new, ")) == (2, True)


def test_since_leaves_out_what_was_before(imd: Imd) -> None:
    code, out, _ = imd(*COMMAND, "--since", "1970-01-01T00:01:00Z", "--json")
    assert code == 0
    assert json.loads(out)["summary"]["old"]["events"] == 2
    assert "0 events" in imd(*COMMAND, "--since", "1h")[1], "an hour before now"
    assert imd(*COMMAND, "--since", "yesterday")[0] == 2


def test_markdown_for_a_merge_request(imd: Imd, folder: Path) -> None:
    hostile = EVENTS + '{"ts": 95, "status": "firing", "labels": {"alertname": "<b>|`x`", "severity": "critical"}}\n'
    (folder / "events.jsonl").write_text(hostile.replace("Noise", "<img>|`x`"))
    (folder / "new/rules.yaml").write_text(NEW.replace('"Noise"', '~".*x.*"').replace("=~", "=~"))
    code, out, _ = imd(*COMMAND, "--markdown", "report.md")
    report = (folder / "report.md").read_text()
    assert code == 0
    assert "differences" in out
    assert report.startswith("### Backtest: ")
    assert "| rule nodes | 2 | 1 | -1 | 2 | 1 | -1 |\n" in report
    assert "<img" not in report
    assert "<b>" not in report
    tables = [line for line in report.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in tables} == {8}
    assert imd(*COMMAND, "--markdown", "nowhere/report.md")[0] == 2


def test_wrong_use_is_exit_2(imd: Imd) -> None:
    assert imd("backtest", "--rules", "new", "--against", "old")[0] == 2, "over which history?"
    assert imd(*COMMAND, "--store", "sqlite:///imd.db")[0] == 2, "over both?"
    assert imd("backtest", "--rules", "nowhere", "--against", "old", "--events", "events.jsonl")[0] == 2
    assert imd("backtest", "--rules", "new", "--against", "old", "--store", "sqlite:///nowhere.db")[0] == 2


def test_faults_of_rules_and_of_the_history_are_exit_1(imd: Imd, folder: Path) -> None:
    (folder / "events.jsonl").write_text("{\n")
    assert imd(*COMMAND) == (1, "", "imd: 1 fault, no backtest\nevents.jsonl:1: Input data was truncated\n")
    (folder / "new/rules.yaml").write_text("rules: [{nam: x}]\n")
    code, out, err = imd(*COMMAND)
    assert (code, out) == (1, "")
    assert "new/rules.yaml:1:" in err


def test_many_differences_are_cut_on_a_terminal_and_all_are_there_on_request(imd: Imd, folder: Path) -> None:
    line = '{"ts": %d, "status": "firing", "labels": {"alertname": "Noise", "n": "%d"}}\n'
    (folder / "events.jsonl").write_text("".join(line % (n * 9000, n) for n in range(15)))
    (folder / "old/rules.yaml").write_text('rules: [{name: each, match: n!="", group_by: [n]}]\n')
    out = imd(*COMMAND)[1]
    assert "lost: 15 " in out
    assert "  - and 5 more; --all shows them, --json has all\n" in out
    assert imd(*COMMAND, "--all")[1].count("  - old #") == 15


CONFIG = "rules: [old]\nreceivers: [{name: chat, type: console}]\n"


def test_a_running_daemons_history_is_read_from_its_store(imd: Imd, folder: Path) -> None:
    with running(folder, CONFIG) as daemon:
        for node in ("n1", "n2"):
            assert daemon("send", "Down", f"node={node}", "severity=critical")[0] == 0
        code, out, err = imd("backtest", "--rules", "new", "--config", "config.yaml", "--json")
        assert (code, err) == (0, "")
        told = json.loads(out)
        assert told["summary"]["old"]["events"] == 2
        assert [one["kind"] for one in told["differences"]] == ["merged", "priority", "later"]
        deadline = time.monotonic() + 20
        while "accepted" not in daemon("deliveries")[1]:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    code, again, _ = imd("backtest", "--rules", "new", "--against", "old", "--store", "sqlite:///imd.db", "--json")
    assert code == 0
    assert [one["kind"] for one in json.loads(again)["differences"]] == [one["kind"] for one in told["differences"]]
