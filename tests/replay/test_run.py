"""What stands in for the world in a replay: time, receivers, people; and the lines that are written of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from imd.model.incident import IncidentState, RootCause
from imd.model.policy import PageKind, Receiver, Ruleset
from imd.model.quiet import Maintenance, TimeInterval, Weekly
from imd.model.rule import Resolve, Rule
from imd.replay.journal import EventsReader, glance
from imd.replay.report import Report
from imd.replay.run import Story, replay
from tests.core.making import minutes, policy, ruleset, seconds, step

A = {"alertname": "A", "severity": "critical"}
ANA_THEN_BEN = ruleset(policies=[policy(step("ana", wait=minutes(5)), step("ben"))])


def alert(ts: float, labels: dict[str, str] = A, status: str = "firing", **other: object) -> dict[str, object]:
    return {"ts": ts, "status": status, "labels": labels, **other}


def run(
    *events: dict[str, object], rules: Ruleset = ANA_THEN_BEN, ack: timedelta | None = None, expire: bool = False
) -> Story:
    lines = [json.dumps(event).encode() for event in events]
    reader = EventsReader("events", rules.sources)
    return replay(reader.read(lines), rules, ack_after=ack, expire=expire, deliveries=glance(lines).deliveries)


def out(story: Story, kind: str) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, Report(story).lines()) if line["type"] == kind]


def pages(story: Story) -> list[tuple[float, str, str]]:
    """Pages and ends; what else the receivers of these rules are told is no matter here."""
    wanted = [page for page in out(story, "page") if page["kind"] in ("page", "resolved")]
    return [(page["ts"], page["to"], page["reason"] or page["kind"]) for page in wanted]


def test_time_jumps_from_deadline_to_deadline() -> None:
    story = run(alert(0), alert(400, status="resolved"))
    assert pages(story) == [
        (10, "ana", "first"),
        (310, "ben", "escalated"),
        (460, "ana", "resolved"),
        (460, "ben", "resolved"),
    ]


def test_time_begins_with_the_first_event_whatever_recurs() -> None:
    """A window of each day has had no boundaries since the year 1."""
    patching = Maintenance(name="patching", match=(), during=TimeInterval(weekly=(Weekly(ends=minutes(60)),)))
    story = run(alert(0), rules=msgspec.structs.replace(ANA_THEN_BEN, maintenance=(patching,)))
    assert pages(story) == [(10, "ana", "first")]


def test_after_the_last_event_timers_run_until_no_hold_and_no_resolve_waits() -> None:
    story = run(alert(0))
    assert pages(story) == [(10, "ana", "first")], "escalation is not waited for"
    story = run(alert(0), alert(1, A | {"i": "2"}), alert(30, status="resolved"), alert(30, A | {"i": "2"}, "resolved"))
    assert [one["resolved_at"] for one in out(story, "incident")] == [90]


def test_with_ack_after_the_first_pages_target_acknowledges() -> None:
    events = [alert(0), alert(2000, A | {"x": "1"}, source="other")]
    assert pages(run(*events, ack=seconds(0))) == [(10, "ana", "first")]
    story = run(*events, ack=minutes(6))
    assert pages(story) == [(10, "ana", "first"), (310, "ben", "escalated")]
    assert story.incidents["i000000000001"].acknowledged_by == "ana"
    assert story.incidents["i000000000001"].acknowledged_at == datetime.fromtimestamp(370, UTC)


def test_an_alert_fires_until_its_resolve_however_long_nobody_speaks_of_it() -> None:
    year = 365 * 86_400
    story = run(alert(0), alert(year, A | {"alertname": "B"}))
    assert story.incidents["i000000000001"].state is IncidentState.TRIGGERED
    assert run(alert(0), alert(year, A | {"alertname": "B"}), expire=True).incidents[
        "i000000000001"
    ].resolved_because in ("no longer reported", "source silent")


def test_an_alert_ends_at_its_own_end_on_the_second() -> None:
    """Whether or not its source spoke since, and even with the status of a webhook."""
    story = run(alert(0, ends_at=100), alert(1000, A | {"alertname": "B"}))
    assert story.incidents["i000000000001"].resolved_at is not None
    assert story.incidents["i000000000001"].resolved_at.timestamp() == 160


def test_a_later_line_moves_the_end_or_takes_it_back() -> None:
    last = alert(1000, A | {"alertname": "B"})
    moved = run(alert(0, ends_at=100), alert(60, ends_at=200), last)
    assert [one["resolved_at"] for one in out(moved, "incident")][:1] == [260]
    open_end = run(alert(0, ends_at=100), alert(60), last)
    assert [one["resolved_at"] for one in out(open_end, "incident")][:1] == [None]
    late = run(alert(0), alert(60, ends_at=200), last)
    assert [one["resolved_at"] for one in out(late, "incident")][:1] == [260]


def test_an_expired_line_ends_an_alert_and_says_why() -> None:
    story = run(alert(0), {"ts": 500, "type": "expired", "labels": A, "reason": "source silent"})
    incident = story.incidents["i000000000001"]
    assert (incident.state, incident.resolved_because) == (IncidentState.RESOLVED, "source silent")


def test_a_recorded_delivery_overrides_the_receiver_that_accepts_at_once() -> None:
    failed = {"ts": 12, "type": "delivery", "delivery": "x-i000000000001-1", "incident": "i000000000001"}
    story = run(alert(0), failed | {"receiver": "ana-phone", "outcome": "failed"}, alert(1000, A | {"a": "1"}))
    assert pages(story)[:2] == [(10, "ana", "first"), (12, "ben", "escalated")]
    cancelled = run(alert(0), failed | {"receiver": "ana-phone", "outcome": "cancelled"})
    assert pages(cancelled) == [], "what was called off before it left is no page"


def test_a_recorded_delivery_of_a_message_that_was_not_sent_is_said() -> None:
    stray = {"ts": 5, "type": "delivery", "delivery": "x-i000000000007-1", "incident": "i000000000007"}
    assert sum(run(alert(0), stray | {"receiver": "ana-phone", "outcome": "failed"}).unmet.values()) == 1


def test_an_action_finds_its_incident_by_the_first_alert_where_numbers_differ() -> None:
    ack = {"ts": 60, "type": "action", "action": "ack", "incident": "i000000000042", "by": "cleo", "alert": A}
    assert run(alert(0), ack).incidents["i000000000001"].acknowledged_by == "cleo"


def test_an_action_that_the_engine_refuses_is_said() -> None:
    story = run(alert(0), {"ts": 60, "type": "action", "action": "resolve", "incident": 1, "by": "ana"})
    assert list(story.unmet) == ["1 alert is still firing in incident #1; force resolves it anyway"]
    story = run(alert(0), {"ts": 60, "type": "action", "action": "ack", "incident": 7, "by": "ana"})
    assert list(story.unmet) == ["incident i000000000007 does not exist"]


def test_while_imd_was_away_nothing_was_done() -> None:
    story = run(alert(0), {"ts": 200, "type": "restart", "alive_at": 4})
    assert pages(story) == [(200, "ana", "first")], "what fell due meanwhile is found at the start"
    story = run(alert(0), {"ts": 1000, "type": "restart", "alive_at": 4})
    assert pages(story) == [(1090, "ana", "first")], "after long, its senders speak first"


def test_a_clock_that_is_set_passes_no_time() -> None:
    story = run(alert(0), {"ts": 3604, "type": "clock", "by_seconds": 3600})
    assert pages(story) == [(3610, "ana", "first")]


@pytest.mark.parametrize("hold", [0, 10])
def test_every_line_of_an_episode_is_assigned_and_none_of_a_cancelled_incident(hold: int) -> None:
    rules = ruleset(Rule(name="r", hold=seconds(hold), resolve=Resolve(after=seconds(0))))
    story = run(
        alert(0, annotations={"n": "1"}), alert(5, A | {"i": "2"}), alert(20, annotations={"n": "2"}),
        alert(30, status="resolved"), alert(40, A | {"alertname": "B"}), alert(41, A | {"alertname": "B"}, "resolved"),
        rules=rules,
    )  # fmt: skip
    lines = out(story, "assignment")
    assert [line["event"] for line in lines if line["incident"] == "i000000000001"] == [1, 2, 3, 4]
    assert [line["annotations"] for line in lines[:3]] == [{"n": "1"}, {}, {"n": "2"}]
    assert lines[0]["fingerprint"] == lines[2]["fingerprint"] != lines[1]["fingerprint"]
    listed = {line["id"] for line in out(story, "incident")}
    assert {line["incident"] for line in lines} == listed
    assert len(listed) == (2 if hold == 0 else 1)


def test_the_lines_have_the_keys_of_the_contract() -> None:
    story = run(alert(0), alert(30, status="resolved"))
    [first, _] = out(story, "assignment")
    assert set(first) == {"type", "event", "fingerprint", "incident", "annotations"}
    [incident] = out(story, "incident")
    assert incident == {
        "type": "incident", "id": "i000000000001", "state": "resolved", "merged_into": None, "rule": "default",
        "group_key": {"alertname": "A", "cluster": "", "namespace": "", "service": ""}, "priority": "P2",
        "opened_at": 0, "resolved_at": 90, "alerts": 1, "root_cause": None,
    }  # fmt: skip
    assert out(story, "page")[0] == {
        "type": "page", "ts": 10, "incident": "i000000000001", "receiver": "ana-phone", "to": "ana", "kind": "page",
        "reason": "first", "priority": "P2", "step": 1,
    }  # fmt: skip


def test_a_merged_incident_counts_as_its_survivor() -> None:
    """Merges are told of as the engine left them in the records."""
    story = run(alert(0, annotations={"n": "1"}), alert(0, A | {"alertname": "B"}), alert(1, A | {"alertname": "C"}))
    first, second, third = (story.incidents[f"i00000000000{n}"] for n in (1, 2, 3))
    third.merged_into, third.state = second.id, IncidentState.MERGED
    second.merged_into, second.state = first.id, IncidentState.MERGED
    print_of = out(story, "assignment")[0]["fingerprint"]
    first.root_cause = RootCause("host/n1", print_of, "because")
    assert {line["incident"] for line in out(story, "assignment")} == {first.id}
    lines = {line["id"]: line for line in out(story, "incident")}
    assert [line["alerts"] for line in lines.values()] == [3, 1, 1]
    assert lines[third.id]["merged_into"] == second.id
    assert lines[first.id]["root_cause"] == {
        "entity": "host/n1", "fingerprint": print_of, "reason": "because", "annotations": {"n": "1"},
    }  # fmt: skip
    assert {line["incident"] for line in out(story, "page")} == {first.id, second.id, third.id}


READ = Receiver(name="ana-phone", send=frozenset({PageKind.PAGE}), people=True)


def test_pages_in_a_digest_are_acknowledged_by_whom_they_were_for() -> None:
    """Six incidents at once: three are paged singly, three in one digest, and nothing escalates of any of them."""
    rules = msgspec.structs.replace(ANA_THEN_BEN, receivers={**ANA_THEN_BEN.receivers, "ana-phone": READ})
    events = [alert(0, A | {"cluster": f"c{number}"}) for number in range(6)] + [alert(2000, A | {"cluster": "z"})]
    story = run(*events, rules=rules, ack=seconds(0))
    assert {one.acknowledged_by for one in story.incidents.values()} == {"ana"}
    lines = out(story, "page")
    assert [(line["kind"], line["reason"]) for line in lines] == [
        *[("page", "first")] * 3,
        ("digest", None),
        ("page", "first"),
    ]
    assert lines[3]["incident"] is None
    assert lines[3]["incidents"] == ["i000000000004", "i000000000005", "i000000000006"]
    assert "incidents" not in lines[0]
    late = run(*events, rules=rules, ack=minutes(4))
    acknowledged = [one.acknowledged_at.timestamp() for one in late.incidents.values() if one.acknowledged_at]
    assert acknowledged[:6] == [250, 250, 250, 260, 260, 260]
