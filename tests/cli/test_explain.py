"""`imd explain`: what a person reads of an alert's way, by files, by a sender's body and beside a running daemon."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Imd
from tests.cli.running import running
from tests.cli.standin import StandIn

RULES = """\
rules:
  - {name: noise, match: 'severity="info"', mode: drop}
  - name: nodes
    description: One incident of a node.
    match: 'alertname=~"NodeDown|PodDown"'
    group_by: [node]
    hold: 20s
    impact: high
    policy: team
enrich: [{name: zone, match: 'node=~"n.*"', extract: {from: node, regex: '(?P<zone>n).*'}}]
policies: [{name: team, steps: [{notify: ['receiver:chat'], for: 5m}, {notify: ['receiver:pager']}], remind: 2h}]
"""
CONFIG = """\
rules: [rules.yaml]
receivers: [{name: chat, type: console}, {name: pager, type: console}]
sources:
  - {name: eu, type: alertmanager, labels: {region: eu}}
"""
NODE = ("explain", "NodeDown", "node=n1", "severity=critical")
AT = ("--at", "2026-01-01T00:00:00Z")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "rules.yaml").write_text(RULES)
    (tmp_path / "config.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_whole_way_as_a_person_reads_it(imd: Imd) -> None:
    code, out, err = imd(*NODE, *AT, "--config", "config.yaml")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == 'NodeDown{node="n1", severity="critical"}'
    assert lines[1].startswith("at 2026-01-01T00:00:00Z, as if nothing else fired; configuration ")
    assert "\n".join(lines[2:]) == (
        "It opens an incident of P1 under rule nodes; chat is paged after 20s.\n"
        "\n"
        "What is known of it\n"
        '  - enrichment zone: zone="n"\n'
        "\n"
        "Which rule takes it\n"
        "  - rule nodes (rules.yaml:3), the 2nd that is tried: One incident of a node.\n"
        "  - before it\n"
        '    - noise (rules.yaml:2): severity="info" does not hold: severity is "critical"\n'
        "\n"
        "What keeps it quiet\n"
        "  - nothing: no silence, inhibition, maintenance or pause takes it\n"
        "\n"
        "Which incident\n"
        '  - key {node="n1"}, by group_by [node]\n'
        "  - window while_open, at most 1d and 5000 alerts; hold 20s; resolves: all, after 1m\n"
        '  - opens a new one: "NodeDown n1"\n'
        "\n"
        "How urgent it is\n"
        "  - P1: impact high x urgency high\n"
        "  - impact high: rule nodes sets it\n"
        '  - urgency high: severity="critical"\n'
        "\n"
        "Who is paged, if nobody answers\n"
        "  - policy team: rule nodes\n"
        "  - 2026-01-01T00:10:20Z policy team is exhausted, nobody answered: nobody acknowledged in time\n"
        "  - 2026-01-01T00:10:20Z not notified: the fallback, because none is configured\n"
        "  - 2026-01-01T02:10:20Z not notified: the fallback, because none is configured\n"
        "\n"
        "   AFTER  AT                    TO     RECEIVER  PRIO  REASON     STEP\n"
        "     20s  2026-01-01T00:00:20Z  chat   chat      P1    first         1\n"
        "   5m20s  2026-01-01T00:05:20Z  pager  pager     P1    escalated     2\n"
        "2h10m20s  2026-01-01T02:10:20Z  pager  pager     P1    repeated      2"
    )


def test_a_dropped_alert_ends_early(imd: Imd) -> None:
    code, out, _ = imd("explain", "Chatter", "severity=info", "--rules", "rules.yaml")
    assert code == 0
    assert "Rule noise drops it; nobody is paged.\n" in out
    assert out.endswith("Who is paged, if nobody answers\n  - nobody\n")


def test_json_and_a_source(imd: Imd) -> None:
    code, out, _ = imd(*NODE, *AT, "--config", "config.yaml", "--source", "eu", "--json")
    told = json.loads(out)
    assert code == 0
    assert told["labels"]["region"] == "eu"
    assert told["rule"]["where"] == "rules.yaml:3"
    assert [page["after_seconds"] for page in told["pages"]] == [20, 320, 7820]
    assert told["tried"][0]["failed"] == ['severity="info" does not hold: severity is "critical"']
    code, _, err = imd(*NODE, "--config", "config.yaml", "--source", "us")
    assert (code, err.startswith("imd: --source knows no 'us'; there are alertmanager, ")) == (2, True)
    assert ", eu, " in err


def test_a_body_that_a_source_was_sent(imd: Imd, folder: Path) -> None:
    alerts = [
        {"status": "firing", "labels": {"alertname": "NodeDown", "node": "n1"}, "startsAt": "2026-01-01T00:00:00Z"},
        {"status": "firing", "labels": {"alertname": "Other"}, "startsAt": "2026-01-01T00:00:00Z"},
        {"status": "firing", "labels": {"a": 1}, "startsAt": "2026-01-01T00:00:00Z"},
    ]
    (folder / "body.json").write_text(json.dumps({"version": "4", "status": "firing", "alerts": alerts}))
    asked = ("explain", "--config", "config.yaml", "--source", "eu", "--body", "body.json", *AT)
    code, out, err = imd(*asked, "--json")
    told = json.loads(out)
    assert code == 0
    assert [one["rule"]["rule"] for one in told] == ["nodes", "default"]
    assert all(one["labels"]["region"] == "eu" for one in told)
    assert err == 'imd: alert 2 is refused: label "a" must be a string\n'
    assert imd(*asked)[1].count("Which rule takes it") == 2
    (folder / "body.json").write_text("{")
    code, _, err = imd(*asked)
    assert code == 1
    assert err.startswith("imd: body.json is nothing that source eu understands: ")


def test_faults_of_the_rules_are_exit_1(imd: Imd, folder: Path) -> None:
    (folder / "rules.yaml").write_text("rules: [{nam: x}]\n")
    code, out, err = imd(*NODE, "--rules", "rules.yaml")
    assert (code, out) == (1, "")
    assert "rules.yaml:1:" in err


@pytest.mark.parametrize(
    "argv",
    [
        ("explain", "--rules", "rules.yaml"),
        ("explain", "severity=info", "--rules", "rules.yaml"),
        ("explain", "A", "b", "--rules", "rules.yaml"),
        (*NODE, "--rules", "nowhere"),
        (*NODE, "--rules", "rules.yaml", "--at", "noon"),
        (*NODE, "--rules", "rules.yaml", "--at", "2026-01-01T00:00:00"),
        (*NODE, "--rules", "rules.yaml", "--at", "9999-12-31T23:59:59Z"),
        (*NODE, "--rules", "rules.yaml", "--url", "http://127.0.0.1:1"),
        ("explain", "--rules", "rules.yaml", "--body", "rules.yaml"),
        ("explain", "--source", "eu", "--body", "rules.yaml"),
        (*NODE, "--rules", "rules.yaml", "--body", "rules.yaml", "--source", "eu"),
    ],
)
def test_wrong_use_is_exit_2(imd: Imd, argv: tuple[str, ...]) -> None:
    code, out, err = imd(*argv)
    assert (code, out) == (2, "")
    assert err.startswith("imd: ")


def test_without_files_the_daemon_is_asked(imd: Imd, daemon: StandIn) -> None:
    code, _, err = imd(*NODE, *AT, "--annotation", "summary=x", "--source", "eu", "--all")
    assert code == 1
    assert "404" in err
    [asked] = daemon.asked
    assert (asked.method, asked.path) == ("POST", "/v1/explain")
    assert asked.body == {
        "labels": {"alertname": "NodeDown", "node": "n1", "severity": "critical"}, "annotations": {"summary": "x"},
        "at": "2026-01-01T00:00:00Z", "source": "eu", "all": True,
    }  # fmt: skip


def test_offline_it_loads_neither_daemon_nor_client_nor_jinja(folder: Path) -> None:
    """What makes it answer in a tenth of a second; a count of modules, not a stopwatch."""
    program = "import sys\nfrom imd.cli.main import main\nmain(sys.argv[1:])\nprint(*sys.modules, file=sys.stderr)\n"
    command = [sys.executable, "-c", program, *NODE, "--rules", "rules.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stderr.split()} | set(done.stderr.split())
    assert "imd.core.engine" in loaded
    assert not loaded & {"aiohttp", "structlog", "jinja2", "apsw", "asyncio", "http", "imd.daemon", "imd.store"}


def test_beside_what_fires_in_a_running_daemon(folder: Path) -> None:
    with running(folder, CONFIG) as imd:
        assert imd("send", "NodeDown", "node=n1", "severity=critical")[0] == 0
        code, out, err = imd("explain", "PodDown", "node=n1", "severity=warning")
        assert (code, err) == (0, "")
        assert "beside what fires in the daemon" in out
        assert "It joins incident #1 under rule nodes; chat is paged after " in out
        known = imd("explain", "NodeDown", "node=n1", "severity=critical")[1]
        assert "it fires already in incident i000000000001, since " in known
