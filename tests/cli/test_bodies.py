"""`imd explain --source --body`: a body that was sent, its alerts, and what of it nothing follows from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Imd

CONFIG = """
receivers: [{name: console, type: console}]
sources:
  - {name: events, type: cloudevents}
  - name: backups
    type: mapped
    map:
      each: jobs
      ignore: 'state="running"'
      resolved: 'state="ok"'
      firing: 'state="failed"'
      key: '{host}'
      labels: {alertname: Backup, host: '{host}'}
      at: '{at}'
"""
JOBS = [
    {"host": "a", "state": "failed"},
    {"host": "b", "state": "ok", "at": 1709991285},
    {"host": "c", "state": "running"},
    {"state": "failed"},
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(CONFIG)
    return tmp_path


def explain(imd: Imd, source: str, *more: str) -> tuple[int, str, str]:
    return imd("explain", "--config", "config.yaml", "--source", source, "--body", "body", *more)


def test_each_alert_is_told_of(imd: Imd, folder: Path) -> None:
    """What fires is explained; what is over, ignored or refused is said, in the order of the body."""
    (folder / "body").write_text(json.dumps({"jobs": JOBS}))
    code, out, err = explain(imd, "backups")
    assert code == 0
    assert out.startswith('Backup{host="a", key="a", severity="warning"}\n')
    assert out.count("It opens an incident") == 1
    assert err.splitlines() == [
        'imd: alert 1 is over, since 2024-03-09 13:34:45 UTC: it ends what fires as {key="b"}',
        'imd: alert 2 is ignored, it says nothing of an alert: state is "running"',
        "imd: alert 3 is refused: no key: nothing stands at host",
    ]
    (folder / "body").write_text(json.dumps({"jobs": JOBS[1:]}))
    assert explain(imd, "backups", "--json")[:2] == (0, "[]\n")


def test_forms_and_headers(imd: Imd, folder: Path) -> None:
    """What looks like a form is one; what comes in headers is given."""
    (folder / "body").write_text("Status=Down&Name=Shop&URL=https%3A%2F%2Fshop.example")
    assert explain(imd, "statuscake")[1].startswith('Shop{instance="https://shop.example"')
    (folder / "body").write_text('{"severity": "critical", "status": "firing"}')
    assert explain(imd, "events")[0] == 1
    attributes = {"specversion": "1.0", "id": "1", "source": "/mon", "type": "x", "subject": "db1"}
    given = [f"--header=ce-{name}: {text}" for name, text in attributes.items()]
    code, out, _ = explain(imd, "events", "--header", "Content-Type: application/json", *given)
    assert (code, out.startswith('db1{key="/mon db1", severity="critical"')) == (0, True)
    assert explain(imd, "events", "--header", "nonsense")[0] == 2
