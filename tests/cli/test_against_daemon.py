"""Every command against a real daemon: from a test alert to a resolve, as an operator would try it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.running import Operator, running

CONFIG = """
rules: [rules.yaml]
receivers: [{name: ops, type: file, path: pages.jsonl}]
"""
RULES = """
rules: [{name: disks, match: 'alertname="DiskFull"', group_by: [instance], hold: 0s}]
"""


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    folder = tmp_path_factory.mktemp("daemon")
    (folder / "rules.yaml").write_text(RULES)
    with running(folder, CONFIG) as operator:
        yield operator


def test_an_incidents_life(operator: Operator) -> None:
    sent = ["DiskFull", "instance=db1", "severity=critical"]
    assert operator("send", *sent, "--annotation", "summary=2% left") == (
        0,
        'firing: DiskFull{instance="db1", severity="critical"}\n',
        "",
    )
    code, out, err = operator("incidents")
    assert (code, err) == (0, "")
    assert out.splitlines()[1].split()[:3] == ["1", "P2", "triggered"]

    code, out, _ = operator("incidents", "show", "1")
    assert code == 0
    assert 'key:     {instance="db1"}\n' in out
    assert "instance=db1 severity=critical" in out

    code, out, err = operator("resolve", "1")
    assert (code, out) == (1, "")
    assert err.startswith("imd: incident 1: ")
    assert "(409 Conflict)" in err

    code, out, _ = operator("ack", "--match", 'instance="db1"', "--note", "on it")
    assert code == 0
    assert out.startswith("#1 P2 acknowledged ")
    assert operator("ack", "1")[0] == 0, "again is no error"
    assert operator("unack", "1")[1].startswith("#1 P2 triggered ")
    assert operator("note", "1", "vendor", "called")[0] == 0

    code, out, _ = operator("why", "1")
    assert code == 0
    assert "Why it exists" in out
    assert "disks" in out

    [alert] = operator.json("alerts", "--match", 'instance="db1"')["items"]
    assert alert["labels"]["alertname"] == "DiskFull"

    assert operator("resolve", "#1", "--force", "--note", "disk replaced")[1].startswith("#1 P2 resolved ")
    assert operator("incidents")[1] == "no open incident\n"
    assert operator("incidents", "--all", "--since", "1h")[1].splitlines()[1].split()[2] == "resolved"
    timeline = operator("incidents", "show", "1")[1]
    assert "vendor called" in timeline
    assert "disk replaced" in timeline


def test_deliveries_and_status(operator: Operator) -> None:
    operator("send", "DiskFull", "instance=db2")
    assert operator("deliveries")[0] == 0
    [incident] = operator.json("incidents", "--match", 'instance="db2"')["items"]
    code, out, _ = operator("deliveries", "--incident", str(incident["number"]))
    assert code == 0
    assert "ops" in out
    code, out, _ = operator("status")
    assert code == 0
    assert "ready" in out


def test_a_test_page_reaches_its_receiver(operator: Operator) -> None:
    code, out, err = operator("page", "ops", "a", "test")
    assert (code, err) == (0, "")
    assert out.startswith("ops took it")
    assert "a test" in (operator.folder / "pages.jsonl").read_text()
    assert operator("page", "nobody", "x")[0] == 1


def test_what_does_not_exist_is_one_line(operator: Operator) -> None:
    for argv in (["why", "99"], ["ack", "99"], ["incidents", "show", "99"]):
        code, out, err = operator(*argv)
        assert (code, out) == (1, "")
        assert err.count("\n") == 1
        assert "(404 Not Found)" in err
    code, _, err = operator("incidents", "--match", 'a="b')
    assert code == 1
    assert "(400 Bad Request)" in err
