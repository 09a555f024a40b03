"""EVENTS.jsonl: what people write by hand, what other tools leave in it, and faults with their place."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imd.model.alert import identify
from imd.model.event import (
    ActionKind,
    ActionTaken,
    AlertsExpired,
    AlertsReported,
    ClockStepped,
    HeartbeatBeat,
    Restarted,
    SilenceSet,
)
from imd.model.policy import Source
from imd.replay.journal import FAULTS_MAX, BadEvents, EventsReader, Recorded, glance

T = datetime(2026, 1, 1, tzinfo=UTC)


def read(*lines: str, sources: dict[str, Source] | None = None) -> tuple[list[Recorded], EventsReader]:
    reader = EventsReader("events.jsonl", sources or {})
    return list(reader.read(line.encode() + b"\n" for line in lines)), reader


def only(line: str) -> Recorded:
    [recorded], _ = read(line)
    return recorded


def faults(*lines: str) -> list[str]:
    with pytest.raises(BadEvents) as bad:
        read(*lines)
    return bad.value.faults


@pytest.mark.parametrize("ts", ["1767225600", "1767225600.0", '"2026-01-01T00:00:00Z"', '"2026-01-01T01:00:00+01:00"'])
def test_a_time_is_unix_seconds_or_rfc_3339(ts: str) -> None:
    assert only(f'{{"ts": {ts}, "status": "firing", "labels": {{"a": "b"}}}}').at == T


@pytest.mark.parametrize("ends_at", ['"9000-01-01T00:00:00Z"', '"9999-12-31T23:59:59Z"', "253402300799"])
def test_a_silence_without_an_end_is_one_until_the_last_year(ends_at: str) -> None:
    """Senders write 9999 for never, a daemon keeps it until 9000, and its export says so."""
    line = '{"ts": 1, "type": "silence", "action": "set", "silence": "s", "matchers": ["a=\\"b\\""], "ends_at": '
    event = only(f'{line}{ends_at}, "by": "ana"}}').event
    assert isinstance(event, SilenceSet)
    assert event.silence.ends_at == datetime(9000, 1, 1, tzinfo=UTC)


def test_an_alert_line_is_one_request_with_its_number() -> None:
    steps, _ = read(
        "",
        '{"ts": 0, "status": "firing", "labels": {"b": "2", "a": "1"}, "annotations": {"s":"x"},"starts_at":5, "id":9}',
        '{"ts": 1, "status": "resolved", "labels": {"a": "1", "b": "2", "c": ""}, "ends_at": 6, "source": "am"}',
    )
    assert [step.lines for step in steps] == [(2,), (3,)]
    first, second = (step.event for step in steps)
    assert isinstance(first, AlertsReported)
    assert isinstance(second, AlertsReported)
    assert (first.source, first.by_api, second.source) == ("", False, "am")
    assert first.alerts[0].identity.key == second.alerts[0].identity.key == identify({"a": "1", "b": "2"}).key
    assert first.alerts[0].annotations == b'{"s":"x"}'
    assert first.alerts[0].starts_at == datetime.fromtimestamp(5, UTC)
    assert second.alerts[0].resolved
    assert second.alerts[0].ends_at == datetime.fromtimestamp(6, UTC)


def test_a_key_that_is_null_is_not_there() -> None:
    nothing = dict.fromkeys(("annotations", "starts_at", "ends_at", "source"))
    line = {"ts": 1, "status": "firing", "labels": {"alertname": "A"}}
    assert only(json.dumps(line | nothing)) == only(json.dumps(line))


def test_a_configured_sources_labels_join_the_identity() -> None:
    [step], _ = read(
        '{"ts": 0, "status": "firing", "labels": {"a": "1"}, "source": "eu"}',
        sources={"eu": Source(name="eu", type="alertmanager", labels={"region": "eu"})},
    )
    assert isinstance(step.event, AlertsReported)
    assert step.event.alerts[0].identity.labels() == {"a": "1", "region": "eu"}


def test_time_does_not_fall_and_how_often_it_would_have_is_counted() -> None:
    steps, reader = read(*(f'{{"ts": {ts}, "status": "firing", "labels": {{"a": "b"}}}}' for ts in (10, 4, 12)))
    assert [step.at.timestamp() for step in steps] == [10, 10, 12]
    assert reader.late == 1


def test_lines_of_one_request_are_one_step() -> None:
    line = '{"ts": 0, "status": "firing", "labels": {"a": "%s"}%s}'
    steps, _ = read(line % ("1", ""), line % ("2", ', "same_step": true'), line % ("3", ""))
    assert [step.lines for step in steps] == [(1, 2), (3,)]


def test_the_other_types() -> None:
    steps, reader = read(
        '{"ts": 0, "type": "action", "action": "ack", "incident": 3, "by": "ana", "alert": {"a": "1"}}',
        '{"ts": 1, "type": "expired", "labels": {"a": "1"}}',
        '{"ts": 2, "type": "restart", "alive_at": 1}',
        '{"ts": -60, "type": "clock", "by_seconds": -62}',
        '{"ts": 3, "type": "silence", "labels": 5}',
        '{"ts": 4, "type": "action", "action": "promote", "incident": 3}',
        '{"ts": 5, "type": "reload", "config_hash": "c0ffee"}',
        '{"ts": 6, "type": "beat", "heartbeat": "backup", "by": {"cluster": "eu"}}',
        '{"ts": 7, "type": "wish", "labels": 5}',
    )
    kinds = [type(step.event) for step in steps]
    assert kinds == [ActionTaken, AlertsExpired, Restarted, ClockStepped, HeartbeatBeat]
    action = steps[0].event
    assert isinstance(action, ActionTaken)
    assert (action.kind, action.incident, action.by) == (ActionKind.ACK, "i000000000003", "ana")
    assert steps[0].first == identify({"a": "1"}).key
    assert steps[2].event == Restarted(datetime.fromtimestamp(1, UTC))
    assert steps[3].event == ClockStepped(timedelta(seconds=-62))
    assert steps[3].at.timestamp() == -60, "a clock that is set back goes on from there"
    assert steps[4].event == HeartbeatBeat("backup", (("cluster", "eu"),))
    skipped = {"silence": 1, "action promote": 1, "reload": 1, "type wish": 1}
    assert reader.skipped == skipped, "said, never silently left out"


def test_every_fault_has_its_line_and_none_hides_the_next() -> None:
    assert faults(
        '{"ts": 1, "status": "firing", "labels": {"a": "b"}}',
        "{",
        "[]",
        '{"ts": true, "status": "firing", "labels": {"a": "b"}}',
        '{"ts": "yesterday", "status": "firing", "labels": {"a": "b"}}',
        '{"ts": 1e300, "status": "firing", "labels": {"a": "b"}}',
        '{"ts": "9999-12-31T00:00:00Z", "status": "firing", "labels": {"a": "b"}}',
        '{"ts": 1, "status": "burning", "labels": {"a": "b"}}',
        '{"ts": 1, "status": "firing"}',
        '{"ts": 1, "status": "firing", "labels": {"a": 1}}',
        '{"ts": true, "type": "wish"}',
        '{"ts": 1, "type": 7}',
        '{"ts": 1, "type": "action", "action": "ack"}',
    ) == [
        "events.jsonl:2: Input data was truncated",
        "events.jsonl:3: Expected `object`, got `array`",
        "events.jsonl:4: Expected `int | float | datetime`, got `bool` - at `$.ts`",
        "events.jsonl:5: Invalid RFC3339 encoded datetime - at `$.ts`",
        "events.jsonl:6: ts is 1e+300, which is no time in unix seconds",
        "events.jsonl:7: ts is in the year 9999",
        'events.jsonl:8: status is "burning", expected "firing" or "resolved"',
        "events.jsonl:9: labels in body is required",
        'events.jsonl:10: label "a" must be a string',
        "events.jsonl:11: Expected `int | float | datetime`, got `bool` - at `$.ts`",
        "events.jsonl:12: Expected `str`, got `int` - at `$.type`",
        "events.jsonl:13: Object missing required field `incident`",
    ]


def test_the_first_faults_are_named_and_all_are_counted() -> None:
    with pytest.raises(BadEvents) as bad:
        read(*["{"] * 50)
    assert (len(bad.value.faults), bad.value.count) == (FAULTS_MAX, 50)


@given(st.lists(st.binary(max_size=60) | st.just(b'{"ts":0,"status":"firing","labels":{"a":"b"}}'), max_size=5))
def test_whatever_the_bytes_a_file_is_read_or_refused(lines: list[bytes]) -> None:
    try:
        steps = list(EventsReader("x", {}).read(lines))
    except BadEvents:
        pass
    else:
        assert len(steps) == sum(1 for line in lines if line.strip())


def test_a_glance_sees_actions_and_the_ends_of_deliveries_without_the_stores_name() -> None:
    lines = [
        b'{"ts":0,"status":"firing","labels":{"a":"the \\"action\\" of it"}}',
        b'{"ts":0,"type":"delivery","delivery":"ab12-i000000000001-3","incident":"i000000000001","receiver":"ops",'
        b'"outcome":"failed"}',
        b'"delivery" and nothing that makes sense',
    ]
    seen = glance(lines)
    assert (seen.actions, seen.deliveries) == (False, {"i000000000001-3": "ops"})
    assert glance([*lines, b'{"ts":0,"type":"action","action":"ack","incident":1}']).actions
