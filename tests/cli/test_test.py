"""`imd test`: what is run, what is printed, and an exit code that CI can rely on."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.cli.conftest import Imd

RULES = """\
rules:
  - {name: nodes, match: 'alertname="Down"', group_by: [node], policy: team}
  - {name: disks, match: 'alertname="Full"', group_by: [node]}
policies: [{name: team, steps: [{notify: ['receiver:chat'], for: 5m}, {notify: ['receiver:boss']}]}]
"""
GOOD = """\
name: a node is one page
events: [{at: 0s, fire: {alertname: Down, node: n1}}]
expect: [{at: 1m, incidents: [{rule: nodes}], pages: [{to: chat}]}]
"""
BAD = """\
name: nobody is told
events:
  - {at: 0s, fire: {alertname: Down, node: n1}}
expect:
  - {at: 1m, pages: []}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/nodes.yaml").write_text(RULES)
    (tmp_path / "rules/good.test.yaml").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_a_path_it_runs_rules_else_the_folder(imd: Imd, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "elsewhere.test.yaml").write_text(BAD)
    code, out, err = imd("test")
    assert (code, err) == (0, "")
    assert out.startswith("1 passed, ")
    monkeypatch.chdir(folder / "rules")
    assert imd("test")[1].startswith("1 passed, ")


def test_a_failure_says_what_was_expected_what_was_and_what_led_there(imd: Imd, folder: Path) -> None:
    (folder / "rules/bad.test.yaml").write_text(BAD)
    code, out, _ = imd("test")
    assert code == 1
    told, _, rest = out.partition("\n\n")
    assert told.splitlines() == [
        "FAIL rules/bad.test.yaml:1 nobody is told",
        "  rules/bad.test.yaml:5:21: at 1m: 1 page, not as expected",
        "    5 |   - {at: 1m, pages: []}",
        "      |                     ^^",
        "    + {to: chat, reason: first, incident: 1, times: 1}  # at 10s",
        "    (- expected, + was)",
        "  what led there:",
        "    0s   fire: {alertname: Down, node: n1}",
        '    0s   #1 opened by rule nodes (rules/nodes.yaml:2), key {node="n1"}, window while_open, hold 10s',
        "    10s  #1 still firing after hold: P3, impact medium x urgency medium",
        "    10s  #1 policy team: rule nodes",
        "    10s  #1 paged chat by chat (first), step 1 of policy team",
    ]
    assert rest.startswith("1 passed, 1 failed, ")
    assert "\x1b" not in out


def test_json_for_programs(imd: Imd, folder: Path) -> None:
    (folder / "rules/bad.test.yaml").write_text(BAD)
    (folder / "rules/broken.test.yaml").write_text("expect: [{at: soon, pages: []}]\n")
    code, out, _ = imd("test", "--json", "--coverage")
    told = json.loads(out)
    assert code == 1
    assert (told["passed"], told["failed"], told["errors"]) == (1, 1, 1)
    assert [(one["name"], one["outcome"]) for one in told["tests"]] == [
        ("nobody is told", "failed"),
        ("broken.test.yaml", "error"),
        ("a node is one page", "passed"),
    ]
    failure = told["tests"][0]["failures"][0]
    assert (failure["path"], failure["line"], failure["column"], failure["at"]) == ("rules/bad.test.yaml", 5, 21, "1m")
    assert told["tests"][0]["timeline"][0] == {
        "at": "0s",
        "incident": None,
        "text": "fire: {alertname: Down, node: n1}",
    }
    assert told["diagnostics"][0]["code"] == "R701"
    assert told["coverage"]["kinds"]["rule"] == {"reached": 1, "of": 2}
    assert {"kind": "rule", "name": "disks", "where": "rules/nodes.yaml:3", "step": 0, "targets": []} in told[
        "coverage"
    ]["unreached"]


def test_junit_is_what_ci_servers_read(imd: Imd, folder: Path) -> None:
    (folder / "rules/bad.test.yaml").write_text(BAD.replace("nobody", "no\tbody <&> \\u0001"))
    (folder / "rules/broken.test.yaml").write_text("expect: [{at: soon, pages: []}]\n")
    assert imd("test", "--junit", "out.xml")[0] == 1
    root = ElementTree.parse("out.xml").getroot()
    assert (root.tag, root.get("tests"), root.get("failures"), root.get("errors")) == ("testsuites", "3", "1", "1")
    cases = {case.get("file"): case for case in root.iter("testcase")}
    failure = cases["rules/bad.test.yaml"].find("failure")
    error = cases["rules/broken.test.yaml"].find("error")
    assert failure is not None
    assert error is not None
    assert "1 page, not as expected" in str(failure.get("message"))
    assert "+ {to: chat" in str(failure.text)
    assert "error[R701]" in str(error.get("message"))
    assert list(cases["rules/good.test.yaml"]) == []


def test_k_chooses_and_v_names(imd: Imd, folder: Path) -> None:
    (folder / "rules/bad.test.yaml").write_text(BAD)
    code, out, _ = imd("test", "-v", "-k", "A NODE")
    assert code == 0
    assert out.splitlines()[0].split() == ["ok", "rules/good.test.yaml:1", "a", "node", "is", "one", "page"]
    assert imd("test", "-k", "good.test")[0] == 0


def test_coverage_names_what_no_test_reached(imd: Imd, folder: Path) -> None:
    code, out, _ = imd("test", "--coverage")
    assert code == 0
    assert out.splitlines()[:3] == [
        "Reached by these tests: 1 of 2 rules, 1 of 2 escalation steps (50%)",
        "   not reached: rule disks (rules/nodes.yaml:3)",
        "   not reached: policy team, step 2 (receiver:boss)",
    ]
    assert imd("test", "--coverage-min", "50")[0] == 0
    code, out, _ = imd("test", "--coverage-min", "50.1")
    assert code == 1
    assert "coverage is 50%, at least 50.1% is asked for" in out


def test_faults_of_rules_are_told_once(imd: Imd, folder: Path) -> None:
    (folder / "rules/nodes.yaml").write_text("rules: [{nam: x}]\n")
    (folder / "rules/good2.test.yaml").write_text(GOOD)
    code, out, _ = imd("test")
    assert code == 1
    assert out.count("error[R003]") == 1
    assert out.count("NOT RUN") == 2
    assert "2 not run" in out


def test_a_config_brings_receivers_and_its_rules(imd: Imd, folder: Path) -> None:
    (folder / "config.yaml").write_text(
        "rules: [rules/nodes.yaml]\n"
        "receivers: [{name: chat, type: webhook, url_file: secret}, {name: boss, type: console}]\n"
    )
    code, out, _ = imd("test", "--config", "config.yaml")
    assert (code, out.split(",")[0]) == (0, "1 passed"), "the secret is not there, and not asked for"
    (folder / "config.yaml").write_text("rules: [rules/nodes.yaml]\nreceivers: [{name: boss, type: console}]\n")
    code, out, err = imd("test", "--config", "config.yaml")
    assert code == 1
    assert "unknown receiver" in out + err


def test_no_test_is_exit_1_and_a_path_that_is_not_there_exit_2(imd: Imd, folder: Path) -> None:
    (folder / "empty").mkdir()
    code, _, err = imd("test", "empty")
    assert (code, err) == (1, "imd: no test in empty: tests are files that end in .test.yaml\n")
    assert imd("test", "-k", "nothing like it")[0] == 1
    assert imd("test", "nowhere") == (2, "", "imd: no such file or folder: nowhere\n")
    assert imd("test", "--config", "nowhere.yaml")[0] == 2
    assert imd("test", "--junit", "nowhere/out.xml")[0] == 2


def test_a_file_that_is_named_is_a_test_whatever_its_name(imd: Imd, folder: Path) -> None:
    (folder / "rules/good.test.yaml").rename(folder / "rules/good.txt")
    assert imd("test", "rules/good.txt")[0] == 0


def test_an_event_that_comes_again_and_again_is_one_line(imd: Imd, folder: Path) -> None:
    (folder / "rules/bad.test.yaml").write_text(BAD.replace("{at: 0s,", "{at: 0s, every: 1s, until: 1m,"))
    _, out, _ = imd("test", "-k", "nobody")
    assert "50 times, last at 1m)" in out
