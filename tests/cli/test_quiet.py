"""silence, maintenance, pause: what is asked of the daemon, what is shown, and the whole way against a real one."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator

import pytest

from tests.cli.conftest import Imd
from tests.cli.running import Operator, running
from tests.cli.standin import StandIn

SILENCE = {
    "id": "0d9c5a5e-5d6a-4b0e-8d5d-3d3f4ad3b7c1",
    "state": "active",
    "matchers": ['alertname="Down"'],
    "starts_at": "2026-01-01T00:00:00Z",
    "ends_at": "2999-01-01T00:00:00Z",
    "updated_at": "2026-01-01T00:00:00Z",
    "by": "ana",
    "comment": "swap\x1b[2J",
    "suppressing": 3,
}
PATH = f"/v1/silences/{SILENCE['id']}"


def test_what_add_asks_for(daemon: StandIn, imd: Imd) -> None:
    daemon.answers["POST /v1/silences"] = 201, SILENCE
    code, out, err = imd("silence", "add", "Disk Full", 'host=~"a"', "--for", "2h", "--comment", "swap")
    assert (code, err) == (0, "")
    assert out.startswith(SILENCE["id"] + " active\nmatchers: ")
    assert "mutes:    3 alerts now\n" in out
    assert "\x1b" not in out
    matchers = ['alertname="Disk Full"', 'host=~"a"']
    assert daemon.asked[-1].body == {"by": "ana", "comment": "swap", "matchers": matchers, "for": "2h"}
    imd(
        "silence",
        "add",
        "--incident",
        "3",
        "--until",
        "2999-01-01T00:00:00Z",
        "--start",
        "2998-01-01T00:00:00Z",
        "--json",
    )
    assert daemon.asked[-1].body == {
        "by": "ana",
        "comment": "",
        "incident": "3",
        "ends_at": "2999-01-01T00:00:00Z",
        "starts_at": "2998-01-01T00:00:00Z",
    }


def test_list_and_expire(daemon: StandIn, imd: Imd) -> None:
    daemon.answers["GET /v1/silences"] = 200, {"items": [SILENCE], "next_cursor": None}
    code, out, _ = imd("silence", "list", "--match", 'a="b"')
    assert code == 0
    assert out.splitlines()[0].split() == ["ID", "STATE", "ENDS", "IN", "MUTES", "BY", "MATCHERS", "COMMENT"]
    assert daemon.asked[-1].query["match"] == ['a="b"']
    assert "state" not in daemon.asked[-1].query
    assert json.loads(imd("silence", "list", "--all", "--json")[1])["items"] == [SILENCE]
    assert daemon.asked[-1].query["state"] == ["active,pending,expired"]

    daemon.answers[f"POST {PATH}/expire"] = 200, SILENCE | {"state": "expired"}
    code, out, err = imd("silence", "expire", SILENCE["id"], "nope")
    assert code == 1
    assert out.startswith(SILENCE["id"] + " expired")
    assert err.startswith("imd: silence nope: ")
    assert daemon.asked[-2].body == {"by": "ana"}
    daemon.answers["GET /v1/silences"] = 200, {"items": [], "next_cursor": None}
    assert imd("silence", "list")[1] == "no silence\n"


def test_maintenance_and_pause(daemon: StandIn, imd: Imd) -> None:
    planned = {
        "name": "db",
        "match": [['a="b"'], ['c="d"']],
        "reason": "patching",
        "active": True,
        "begins_at": "2026-01-01T00:00:00Z",
        "ends_at": "2026-01-01T02:00:00Z",
        "timezone": "Europe/Berlin",
        "windows": ["sun 23:00-02:00"],
    }
    gone = planned | {"name": "gone", "active": False, "begins_at": None, "ends_at": None}
    daemon.answers["GET /v1/maintenance"] = 200, {"items": [planned, gone], "next_cursor": None}
    code, out, _ = imd("maintenance", "list")
    assert code == 0
    first, second = out.splitlines()[1:]
    assert first.split()[:4] == ["db", "quiet", "2026-01-01T00:00:00Z", "2026-01-01T02:00:00Z"]
    assert 'a="b" or c="d"' in first
    assert second.split()[:2] == ["gone", "never"]

    daemon.answers["GET /v1/pause"] = 200, {"paused": False}
    daemon.answers["POST /v1/pause"] = (
        201,
        {"paused": True, "until": "2999-01-01T00:00:00Z", "by": "ana", "reason": "x"},
    )
    assert imd("pause")[1] == "not paused\n"
    assert imd("pause", "30m", "--reason", "x")[1] == "paused until 2999-01-01T00:00:00Z by ana: x; nobody is paged\n"
    assert daemon.asked[-1].body == {"by": "ana", "for": "30m", "reason": "x"}


@pytest.mark.parametrize(
    "argv",
    [
        ["silence", "add", "--for", "2h"],
        ["silence", "add", "a=b", "--incident", "3", "--for", "2h"],
        ["silence", "add", "a=b"],
        ["silence", "add", "a=b", "--for", "2h", "--until", "2999-01-01T00:00:00Z"],
        ["silence", "list", "x"],
        ["silence", "expire"],
        ["pause", "30m", "--end"],
    ],
)
def test_wrong_use(argv: list[str], daemon: StandIn, imd: Imd) -> None:
    code, out, err = imd(*argv)
    assert (code, out, daemon.asked) == (2, "", [])
    assert err.startswith("imd: ")


CONFIG = """
rules: [rules.yaml]
receivers: [{name: ops, type: file, path: pages.jsonl}]
"""
RULES = """
rules: [{name: all, match: 'alertname=~".+"', group_by: [alertname], hold: 0s}]
maintenance: [{name: nightly, match: 'job="never"', weekly: {from: "22:00", to: "06:00"}, reason: backups}]
"""


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    folder = tmp_path_factory.mktemp("daemon")
    (folder / "rules.yaml").write_text(RULES)
    with running(folder, CONFIG) as operator:
        yield operator


def test_against_a_real_daemon(operator: Operator) -> None:
    operator("send", "Quiet", "host=a")
    made = operator.json("silence", "add", "--incident", "1", "--for", "1h", "--comment", "swap")
    assert made["matchers"] == ['alertname="Quiet"']
    assert (
        "not notified any more: anybody, because the one firing alert is suppressed by silence/"
        in operator("why", "1")[1]
    )
    assert "suppressed" in operator("alerts")[1]
    changed = operator.json("silence", "add", "Quiet", "--id", made["id"], "--for", "3h")
    assert changed["id"] == made["id"]
    assert operator("silence", "expire", made["id"])[0] == 0
    assert operator("silence", "list")[1] == "no silence\n"
    assert operator.json("silence", "list", "--all")["items"][0]["state"] == "expired"
    assert operator("silence", "add", "Quiet", "--for", "soon")[0] == 1
    assert operator("maintenance", "list")[1].splitlines()[1].startswith("nightly")
    assert operator("pause", "30m")[1].startswith("paused until ")
    assert operator("pause", "--end")[1] == "not paused\n"


needs_amtool = pytest.mark.skipif(
    shutil.which("amtool") is None and os.environ.get("IMD_REQUIRE_REAL") != "1",
    reason="amtool is not installed (package prometheus-alertmanager)",
)


@needs_amtool
def test_amtool_sets_changes_imports_and_ends_silences(operator: Operator) -> None:
    """The real tool: add, query, update, import, expire."""
    url = operator.url

    def amtool(*argv: str, stdin: str | None = None) -> str:
        command = ["amtool", f"--alertmanager.url={url}", "silence", *argv]
        done = subprocess.run(command, capture_output=True, text=True, check=False, input=stdin, timeout=30)
        assert done.returncode == 0, done.stderr
        return done.stdout

    operator("send", "Noisy", "host=a")
    first = amtool("add", "alertname=Noisy", 'host=~"a|b"', "--author=ana", "--comment=swap", "--duration=2h").strip()
    assert re.fullmatch(r"[0-9a-f-]{36}", first)
    [alert] = operator.json("alerts", "--match", 'alertname="Noisy"')["items"]
    assert alert["suppressed_by"] == [f"silence/{first}"]
    assert amtool("query", "-q").split() == [first]
    assert amtool("query", "-q", "alertname=Noisy").split() == [first]
    assert amtool("query", "-q", "alertname=Other").split() == []
    assert first in amtool("update", "--duration=3h", "--comment=longer", first)
    exported = amtool("query", "-o", "json")
    [shown] = json.loads(exported)
    assert (shown["comment"], shown["createdBy"]) == ("longer", "ana")
    assert {one["name"] for one in shown["matchers"]} == {"alertname", "host"}
    amtool("expire", first)
    assert amtool("query", "-q").split() == []
    assert first in amtool("query", "-q", "--expired").split()
    for one in (imported := json.loads(exported)):
        one.pop("id")
    amtool("import", stdin=json.dumps(imported))
    [again] = amtool("query", "-q").split()
    assert again != first
    amtool("expire", again)
    [alert] = operator.json("alerts", "--match", 'alertname="Noisy"')["items"]
    assert alert["suppressed_by"] == []


@needs_amtool
def test_amtool_reads_the_receivers_as_a_configuration(operator: Operator) -> None:
    """It loads that of the status by Alertmanager's own code, as Grafana does: one without a route is refused."""
    command = ["amtool", f"--alertmanager.url={operator.url}", "config", "routes"]
    shown = subprocess.run([*command, "show"], capture_output=True, text=True, check=False, timeout=30)
    assert shown.returncode == 0, shown.stderr
    assert "default-route" in shown.stdout
    tested = subprocess.run([*command, "test", "a=b"], capture_output=True, text=True, check=True, timeout=30)
    with urllib.request.urlopen(f"{operator.url}/api/v2/receivers", timeout=10) as answer:
        assert tested.stdout.strip() in {one["name"] for one in json.load(answer)}
