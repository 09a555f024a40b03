"""What is only looked at: why, alerts, deliveries, status, in the shapes that the API makes."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import msgspec
import pytest

from imd.api.views import DeliveryView, LineView, RejectedView
from imd.api.why import Next, WhyView
from imd.model.incident import RootCause
from imd.model.view import incident_view
from tests.cli.conftest import Imd
from tests.cli.standin import StandIn
from tests.cli.test_incidents import OPENED, TITLE, as_json, incident, single

EMPTY = [("alerts", "no alert fires\n"), ("deliveries", "no delivery\n"), ("rejected", "nothing was refused\n")]


def delivery(state: str, error: str | None = None) -> DeliveryView:
    return DeliveryView(
        delivery_id="d1",
        incident="01J00003",
        number=3,
        receiver="ops-chat",
        to="receiver:ops-chat",
        kind="page",
        reason="first",
        priority="P2",
        step=1,
        state=state,
        attempts=2,
        ambiguous=False,
        created_at=OPENED,
        next_attempt_at=None,
        settled_at=OPENED,
        error=error,
        headline=f"PAGE P2 #3 {TITLE}",
    )


def why(alerts: int) -> object:
    line = LineView(at=OPENED, learnt_at=OPENED, kind="not_notified", by="imd", details={}, text="Not paged, because x")
    return as_json(
        WhyView(
            incident=incident_view(incident(3)),
            exists=["Rule node-loss took its alerts."],
            alerts=single(3).alerts * alerts,
            pages=[delivery("accepted"), delivery("failed", "channel_not_found")],
            lines=[line],
            root_cause=RootCause("host/n1", "f" * 16, "it explains 4 of 4"),
            causes={"silence/7": "silence/7 by ana until noon: disk swap"},
            priority=[LineView(**msgspec.structs.asdict(line) | {"text": "raised from P3 to P2: breadth"})],
            suppressed=[LineView(**msgspec.structs.asdict(line) | {"text": "Down suppressed by silence/7"})],
            not_paged=["Not paged, because x", "step 2 of policy team (person:ben) was not reached: it was over"],
            next=[Next(OPENED, "step 3 of policy team")],
        )
    )


def test_why_tells_existence_membership_and_pages(daemon: StandIn, imd: Imd) -> None:
    daemon.answers["GET /v1/incidents/3/why"] = (200, why(alerts=1))
    code, out, _ = imd("why", "3")
    assert code == 0
    assert out.splitlines()[0] == f"#3 P2 triggered {TITLE}"
    assert "Why it exists\n  - Rule node-loss took its alerts.\n" in out
    assert '    - KubeNodeNotReady{cluster="c1", node="n1"}\n' in out
    assert "  - 2026-01-01T09:00:00Z Not paged, because x\n" in out
    assert "accepted  ops-chat" in out
    assert "channel_not_found" in out, "a failure's own words"
    assert "Probable cause\n  - host/n1: it explains 4 of 4\n" in out
    assert "How it came to its priority\n  - 2026-01-01T09:00:00Z raised from P3 to P2: breadth\n" in out
    assert "What was suppressed, and by what\n  - 2026-01-01T09:00:00Z Down suppressed by silence/7\n" in out
    assert "  - silence/7 by ana until noon: disk swap\n" in out
    assert "Who was not reached\n  - step 2 of policy team (person:ben) was not reached: it was over\n" in out
    assert "What comes by itself\n  - 2026-01-01T09:00:00Z step 3 of policy team\n" in out
    assert out.count("Not paged, because x") == 1


def test_why_says_a_shared_reason_once(daemon: StandIn, imd: Imd) -> None:
    daemon.answers["GET /v1/incidents/3/why"] = (200, why(alerts=4))
    _, out, _ = imd("why", "3")
    assert out.count("no reason recorded") == 1
    assert out.count("KubeNodeNotReady{") == 4


@pytest.mark.parametrize("width", [40, 80, 200])
def test_why_keeps_to_the_width(daemon: StandIn, imd: Imd, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    daemon.answers["GET /v1/incidents/3/why"] = (200, why(alerts=1))
    _, out, _ = imd("why", "3")
    behind_the_headline = out.splitlines()[1:]
    assert max(map(len, behind_the_headline)) <= width


@pytest.mark.parametrize(
    ("argv", "path", "query", "item"),
    [
        (["alerts", "--match", 'a="b"'], "/v1/alerts", {"match": ['a="b"'], "limit": ["100"]}, single(3).alerts[0]),
        (
            ["deliveries", "--incident", "#3", "--state", "failed"],
            "/v1/deliveries",
            {"incident": ["3"], "state": ["failed"], "limit": ["50"]},
            delivery("failed", "503 from the receiver"),
        ),
        (
            ["rejected", "--source", "eu", "--since", "1h"],
            "/v1/rejected",
            {"source": ["eu"], "since": ["1h"], "limit": ["50"]},
            RejectedView(at=OPENED, source="eu", index=-1, error="503 from the receiver", excerpt="{"),
        ),
    ],
)
def test_lists(daemon: StandIn, imd: Imd, argv: list[str], path: str, query: object, item: object) -> None:
    daemon.answers[f"GET {path}"] = (200, {"items": [as_json(item)], "next_cursor": None})
    code, out, _ = imd(*argv)
    assert code == 0
    assert len(out.splitlines()) == 2
    assert "KubeNodeNotReady" in out or "503 from the receiver" in out
    assert daemon.asked[0].query == query
    assert json.loads(imd(*argv, "--json")[1]) == {"items": [as_json(item)]}


@pytest.mark.parametrize(("command", "said"), EMPTY)
def test_an_empty_list_says_so(daemon: StandIn, imd: Imd, command: str, said: str) -> None:
    daemon.answers[f"GET /v1/{command}"] = (200, {"items": [], "next_cursor": None})
    assert imd(command) == (0, said, "")


def test_an_empty_page_with_a_cursor_is_not_the_end(daemon: StandIn, imd: Imd) -> None:
    pages = iter([{"items": [], "next_cursor": "5"}, {"items": [as_json(delivery("accepted"))], "next_cursor": None}])
    daemon.reply_by = lambda asked: (200, next(pages))
    _, out, _ = imd("deliveries")
    assert len(out.splitlines()) == 2


@pytest.mark.parametrize(("ready", "code"), [(True, 0), (False, 1)])
def test_status_is_a_failure_where_nothing_is_taken(daemon: StandIn, imd: Imd, ready: bool, code: int) -> None:
    status = {
        "version": "1.2.3",
        "started_at": OPENED - timedelta(days=1),
        "ready": ready,
        "unready_because": None if ready else "the disk is full",
        "config_hash": "abc",
        "rules": 7,
        "sources": [{"name": "prom-eu", "last_heard_at": OPENED}, {"name": "pd", "last_heard_at": None}],
        "counts": {"alerts_open": 12},
        "open": {
            "incidents": 3, "by_state": {"acknowledged": 1, "triggered": 2}, "by_priority": {"P1": 3}, "unanswered": 2,
            "oldest_unanswered_at": OPENED,
        },
        "pages": {
            "owed": 9, "overdue": 2, "waiting": 6, "incidents": 5, "oldest_at": OPENED,
            "receivers": {"ops": 8, "sms": 1},
        },
        "outbox": {"pending": 1, "oldest_at": OPENED},
        "heartbeats_missing": ["watchdog (eu)"],
        "paused_until": OPENED,
        "store": {"bytes": 5 * 1024**2, "wal_bytes": 700},
        "last_reload": {"at": OPENED, "error": "rules/a.yaml:3:5: error[R003]: unknown key\n  3 | widow: 5m"},
        "receivers": [{"receiver": "ops", "breaker": "open", "pending": 4, "last_error": "503", "oldest_at": OPENED}],
    }  # fmt: skip
    daemon.answers["GET /v1/status"] = (200, msgspec.to_builtins(status))
    got, out, _ = imd("status")
    assert got == code
    assert ("the disk is full" in out) is not ready
    said = dict(line.split(":", 1) for line in out.splitlines() if ":" in line)
    assert said["alerts open"].strip() == "12"
    pages = (
        "9 NOT TAKEN BY ANY RECEIVER YET, of 5 incidents: 2 overdue, 6 put off (for a digest, or until their receiver"
    )
    assert said["pages"].strip().startswith(pages)
    assert re.search(r"^ops +open +4 +8 ", out, re.MULTILINE)
    assert said["of them"].strip() == "1 acknowledged, 2 triggered, 3 P1"
    assert said["unanswered"].strip().startswith("2, for ")
    assert said["heartbeats missing"].strip() == "watchdog (eu)"
    assert said["store"].strip() == "5.0 MiB, of it 700 B log"
    assert "REFUSED, the old rules run on" in said["last reload"]
    assert "\nrules/a.yaml:3:5: error[R003]: unknown key\n  3 | widow: 5m\n" in out
    assert "rules/a.yaml:3:5: error[R003]: unknown key\n" in out
    assert "paused" in said
    assert "never" in out
    assert imd("status", "--json")[0] == code
