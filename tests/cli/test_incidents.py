"""Commands on incidents against the shapes of the HTTP API."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import msgspec
import pytest

from imd.model.alert import Alert, AlertState, Span, identify
from imd.model.incident import Incident, IncidentState, Priority
from imd.model.view import IncidentWithAlerts, incident_view, incident_with_alerts
from tests.cli.conftest import Imd
from tests.cli.standin import StandIn

OPENED = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)
TITLE = "KubeNodeNotReady c1: node n1 lost and everything on it"


def incident(number: int, state: IncidentState = IncidentState.TRIGGERED) -> Incident:
    return Incident(
        id=f"01J{number:05}",
        number=number,
        rule="node-loss",
        group_key=(("cluster", "c1"), ("node", "n1")),
        state=state,
        opened_at=OPENED,
        config_hash="abc",
        title=TITLE,
        priority=Priority.P2,
        acknowledged_at=OPENED if state is IncidentState.ACKNOWLEDGED else None,
        acknowledged_by="ana" if state is IncidentState.ACKNOWLEDGED else "",
        firing=1,
    )


def as_json(value: object) -> object:
    return json.loads(msgspec.json.encode(value))


def viewed(number: int, state: IncidentState = IncidentState.TRIGGERED) -> object:
    return as_json(incident_view(incident(number, state)))


def single(number: int) -> IncidentWithAlerts:
    labels = {"alertname": "KubeNodeNotReady", "cluster": "c1", "node": "n1"}
    alert = Alert(
        1, identify(labels), "am", True, AlertState.FIRING, OPENED, OPENED, OPENED, (Span(OPENED, None, None),)
    )
    return incident_with_alerts(incident(number), [alert])


def test_the_list_shows_open_incidents(daemon: StandIn, imd: Imd) -> None:
    daemon.answers["GET /v1/incidents"] = (200, {"items": [viewed(2), viewed(1)], "next_cursor": None})
    code, out, err = imd("incidents")
    heading, first, second = out.splitlines()
    assert (code, err) == (0, "")
    assert heading.split() == ["#", "PRIO", "STATE", "AGE", "FIRING", "ALERTS", "WHO", "RULE", "TITLE"]
    assert first.split()[:3] == ["2", "P2", "triggered"]
    assert second.endswith(TITLE)
    assert daemon.asked[0].query == {"status": ["open"], "limit": ["50"]}


def test_filters_go_to_the_daemon(daemon: StandIn, imd: Imd) -> None:
    daemon.answers["GET /v1/incidents"] = (200, {"items": [], "next_cursor": None})
    options = ["--all", "--priority", "P1,P2", "--rule", "node-loss", "--match", 'a="b"', "--match", 'c!="d"']
    _, out, _ = imd("incidents", "list", *options, "--since", "2026-01-01T00:00:00Z", "--limit", "7")
    assert out == "no incident\n"
    assert daemon.asked[0].query == {
        "match": ['a="b"', 'c!="d"'],
        "priority": ["P1,P2"],
        "rule": ["node-loss"],
        "since": ["2026-01-01T00:00:00Z"],
        "limit": ["7"],
    }


def test_the_limit_is_kept_over_pages(daemon: StandIn, imd: Imd) -> None:
    daemon.answers["GET /v1/incidents"] = (200, {"items": [viewed(9), viewed(8)], "next_cursor": "8"})
    code, out, err = imd("incidents", "--limit", "3")
    assert code == 0
    assert len(out.splitlines()) == 4
    assert "there may be more" in err
    assert [asked.query.get("cursor") for asked in daemon.asked] == [None, ["8"]]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_list_fits_the_terminal(daemon: StandIn, imd: Imd, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    daemon.answers["GET /v1/incidents"] = (200, {"items": [viewed(2)], "next_cursor": None})
    _, out, _ = imd("incidents")
    assert max(map(len, out.splitlines())) <= width
    assert "KubeNode" in out
    assert ("…" in out) is (width < 200)


def test_json_is_what_the_daemon_said(daemon: StandIn, imd: Imd) -> None:
    items = [{**viewed(2), "to_come": [1]}]
    daemon.answers["GET /v1/incidents"] = (200, {"items": items, "next_cursor": None})
    _, out, _ = imd("incidents", "--json")
    assert json.loads(out) == {"items": items}


def test_show_tells_facts_alerts_and_timeline(daemon: StandIn, imd: Imd) -> None:
    daemon.answers["GET /v1/incidents/3"] = (200, as_json(single(3)))
    line = {"seq": 0, "kind": "opened", "text": "opened under rule node-loss", "by": "node-loss"}
    line |= {"at": "2026-01-01T09:00:00Z", "learnt_at": "2026-01-01T09:00:00Z"}
    daemon.answers["GET /v1/incidents/3/timeline"] = (200, {"items": [line]})
    code, out, _ = imd("incidents", "show", "#3")
    assert code == 0
    assert out.splitlines()[0] == f"#3 P2 triggered {TITLE}"
    assert 'key:    {cluster="c1", node="n1"}\n' in out
    assert "cluster=c1 node=n1" in out
    assert "- 2026-01-01T09:00:00Z opened under rule node-loss\n" in out


def test_show_has_what_the_cause_says_its_runbook_and_who_wrote_a_note(daemon: StandIn, imd: Imd) -> None:
    shown = single(3)
    said = b'{"runbook_url":"https://wiki/node","summary":"kubelet is silent"}'
    quiet, loud = shown.alerts[0], msgspec.structs.replace(shown.alerts[0], annotations=msgspec.Raw(said))
    shown = msgspec.structs.replace(shown, alerts=[quiet, loud], runbook="https://wiki/node")
    daemon.answers["GET /v1/incidents/3"] = (200, as_json(shown))
    line = {"kind": "note", "text": "vendor called", "by": "ben", "at": "2026-01-01T09:00:00Z"}
    daemon.answers["GET /v1/incidents/3/timeline"] = (200, {"items": [line]})
    code, out, _ = imd("incidents", "show", "3")
    assert code == 0
    assert "summary: kubelet is silent\n" in out
    assert "runbook: https://wiki/node\n" in out
    assert "- 2026-01-01T09:00:00Z ben: vendor called\n" in out


def test_ack_does_each_by_itself(daemon: StandIn, imd: Imd) -> None:
    daemon.answers["POST /v1/incidents/3/ack"] = (200, viewed(3, IncidentState.ACKNOWLEDGED))
    daemon.answers["POST /v1/incidents/4/ack"] = (409, {"title": "Conflict", "status": 409, "detail": "it is resolved"})
    daemon.answers["POST /v1/incidents/5/ack"] = (200, viewed(5, IncidentState.ACKNOWLEDGED))
    code, out, err = imd("ack", "3", "4", "5", "--note", "on it", "--by", "ben")
    assert code == 1
    assert [line.split()[:3] for line in out.splitlines()] == [
        ["#3", "P2", "acknowledged"],
        ["#5", "P2", "acknowledged"],
    ]
    assert err == "imd: incident 4: it is resolved (409 Conflict)\n"
    assert [asked.body for asked in daemon.asked] == [{"by": "ben", "through": "cli", "note": "on it"}] * 3


def test_ack_by_matcher_takes_every_open_incident_that_matches(daemon: StandIn, imd: Imd) -> None:
    daemon.answers["GET /v1/incidents"] = (200, {"items": [viewed(3)], "next_cursor": None})
    daemon.answers["POST /v1/incidents/3/ack"] = (200, viewed(3, IncidentState.ACKNOWLEDGED))
    code, _, _ = imd("ack", "--match", 'cluster="c1"')
    assert code == 0
    assert daemon.asked[0].query["match"] == ['cluster="c1"']
    assert daemon.asked[0].query["status"] == ["open"]
    assert daemon.asked[1].path == "/v1/incidents/3/ack"


def test_ack_by_a_matcher_that_matches_nothing_is_a_failure(daemon: StandIn, imd: Imd) -> None:
    daemon.answers["GET /v1/incidents"] = (200, {"items": [], "next_cursor": None})
    assert imd("ack", "--match", 'a="b"') == (1, "", "imd: no open incident matches\n")


@pytest.mark.parametrize(
    ("argv", "path", "body"),
    [
        (["unack", "3"], "/v1/incidents/3/unack", {"by": "ana", "through": "cli"}),
        (["resolve", "3", "--force"], "/v1/incidents/3/resolve", {"by": "ana", "through": "cli", "force": True}),
        (
            ["resolve", "3", "--note", "done"],
            "/v1/incidents/3/resolve",
            {"by": "ana", "through": "cli", "note": "done"},
        ),
        (
            ["note", "3", "vendor", "called"],
            "/v1/incidents/3/note",
            {"by": "ana", "through": "cli", "note": "vendor called"},
        ),
        (["note", "../x", "y"], "/v1/incidents/..%2Fx/note", {"by": "ana", "through": "cli", "note": "y"}),
    ],
)
def test_actions(daemon: StandIn, imd: Imd, argv: list[str], path: str, body: object) -> None:
    daemon.answers[f"POST {path}"] = (200, viewed(3))
    code, out, _ = imd(*argv, "--json")
    assert code == 0
    assert json.loads(out) == [viewed(3)]
    assert daemon.asked[0].path == path
    assert daemon.asked[0].body == body
