"""Alerts that come late move between incidents: whatever comes, each is in one, and a restart changes nothing."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from imd.core.engine import Engine
from imd.core.state import State
from imd.model.effect import AppendTimeline, Deliver, Effect, SaveAlert
from imd.model.event import ActionKind, ActionTaken, AlertsReported, DeliveryFinished, Event, Outcome, SilenceSet, Tick
from imd.model.policy import Policy, Receiver, Ruleset
from imd.model.rule import Relate, Rule, Window
from tests.core.making import STORE_ID, Kept, after, minutes, policy, report, ruleset, seconds, silence, step
from tests.core.outages import outages
from tests.core.test_properties import Promised

LATE = 120.0
MOVED: dict[int, int] = {}


def _rules(seed: int) -> Ruleset:
    """Now with room for few alerts an incident, now for all."""
    window = Window(max_alerts=random.Random(seed).choice((6, 2000)))
    chat: Policy = policy(step("#chat", wait=minutes(5)), step("ana"))
    return ruleset(
        Rule(name="outages", group_by=("cluster",), relate=Relate(), window=window, hold=seconds(20)),
        policies=[chat],
        receivers=[Receiver(name="chat")],
        topology=outages(seed)[0],
    )


def _night(seed: int) -> Iterator[tuple[float, Event]]:
    """The outages of a small world, ten times as fast: every alert is late by up to two minutes, and every end; now and
    then somebody silences a service, acknowledges, merges or resolves."""
    rng = random.Random(seed)
    events: list[tuple[float, Event]] = []
    for told in outages(seed)[1]:
        began = told.began / 40 + rng.uniform(0, 60)
        ended = began + rng.uniform(30, 1500)
        came = began + rng.uniform(0, LATE)
        gone = max(came, ended) + rng.uniform(0, LATE)
        events.append((came, AlertsReported("am", False, (report(told.labels, began),))))
        events.append((gone, AlertsReported("am", False, (report(told.labels, began, resolved=True, ends=ended),))))
    for number in range(1, 40):
        at, incident, kind = rng.uniform(0, 3000), f"i{rng.randint(1, 20):012d}", rng.choice("mars")
        muted = silence(at, at + 200, number, service=f"s{rng.randrange(30)}")
        other = f"i{rng.randint(1, 20):012d}"
        acts: dict[str, Event] = {
            "m": ActionTaken(kind=ActionKind.MERGE, incident=incident, into=other, by="ana"),
            "a": ActionTaken(kind=ActionKind.ACK, incident=incident, by="ana"),
            "r": ActionTaken(kind=ActionKind.RESOLVE, incident=incident, by="ana", force=True),
            "s": SilenceSet(muted),
        }
        events.append((at, acts[kind]))
    yield from sorted(events, key=lambda told: told[0])


def _membership_is_whole(engine: Engine) -> None:
    """Each alert is in one incident, which counts it."""
    state = engine.state
    seen: dict[int, str] = {}
    for incident_id, members in state.members.items():
        incident = state.incidents[incident_id]
        assert [one.id for one in members] == sorted(one.id for one in members)
        for alert in members:
            assert seen.setdefault(alert.id, incident_id) == alert.incident == incident_id
        suppressed = [one for one in members if one.firing and one.suppressed_by]
        assert incident.suppressed == len(suppressed)
        assert incident.firing + incident.suppressed + incident.ended == len(members)
        assert members or not incident.open


def _records(engine: Engine) -> dict[int, tuple[str, int]]:
    """Of each alert that relates to anything the incident, and by whom it came there."""
    told = {}
    for incident in engine.state.incidents:
        for record in engine._relator.members(incident):
            assert record.group is not None
            tie = record.tie if record.tie is not None and record.tie.group is record.group else None
            told[record.ref] = record.group.id, tie.ref if tie is not None else 0
    return told


@pytest.mark.parametrize("seed", range(12))
def test_each_alert_is_in_one_incident_and_a_restart_changes_nothing(seed: int) -> None:
    rules, rng, moved = _rules(seed), random.Random(seed), 0
    engine, twin, kept = Engine(rules, State(STORE_ID)), Engine(rules, State(STORE_ID)), Kept()
    for at, told in _night(seed):
        events: list[Event] = [Tick(), told]
        here, there = Promised(), Promised()
        for event in events:
            effects = engine.step(event, after(at))
            here.add(effects)
            there.add(twin.step(event, after(at)))
            kept.apply(effects)
            moved += _look_at(effects)
            events += [
                DeliveryFinished(
                    delivery=one.delivery.id,
                    incident=one.delivery.incident,
                    receiver=one.delivery.receiver,
                    outcome=Outcome.ACCEPTED,
                )
                for one in effects
                if isinstance(one, Deliver)
            ]
        assert not here.less(there) + there.less(here)
        _membership_is_whole(engine)
        if rng.random() < 0.1:
            twin = Engine(rules, kept.restored(after(at)))
            assert _records(engine) == _records(twin)
    MOVED[seed] = moved


def test_alerts_did_move() -> None:
    """In the histories above."""
    assert sum(MOVED.values()) >= 25, MOVED


def _look_at(effects: list[Effect]) -> int:
    """How many incidents lost an alert; each such line has its other."""
    lines = [one for one in effects if isinstance(one, AppendTimeline) and one.entry.kind == "moved"]
    saved = {one.alert.id for one in effects if isinstance(one, SaveAlert) and one.alert.joined_because == "moved"}
    assert len(lines) % 2 == 0
    assert saved or not lines
    return len(lines) // 2
