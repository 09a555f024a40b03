"""A reload whose map or inhibitions are others: worked out ahead in slices it decides what it does in one step."""

from __future__ import annotations

import random

import msgspec
import pytest

from imd.core import prepared
from imd.core.engine import Engine
from imd.core.links import Shelf
from imd.core.prepared import Prepared
from imd.core.state import State
from imd.model.effect import Effect, SaveAlert
from imd.model.event import AlertsReported, Event, RulesChanged, Tick
from imd.model.policy import Ruleset
from imd.model.quiet import Inhibition
from imd.model.rule import Matcher, Op, Relate, Rule
from tests.core.making import STORE_ID, Kept, after, equals, inhibition, minutes, report, ruleset, seconds
from tests.core.outages import outages
from tests.core.test_ties import _night, _records

NODES = inhibition("NodeDown", "PodCrashLooping", "cluster", name="nodes")
ERRORS = Inhibition(
    name="errors",
    source=(equals(alertname="HighErrorRate", service="s7"), equals(alertname="HighErrorRate", service="s11")),
    target=((Matcher("service", Op.NOT_EQUAL, "s7"),),),
    equal=("cluster",),
)


def _each(seed: int) -> list[Ruleset]:
    """Rules of which every one has another map, or other inhibitions, than the one before."""
    whole = outages(seed)[0]
    rng = random.Random(seed)
    half = tuple(one for one in whole.entities if rng.random() < 0.6)
    rule = Rule(name="outages", group_by=("cluster",), relate=Relate(), hold=seconds(20))
    small = msgspec.structs.replace(whole, entities=half)
    return [
        ruleset(rule, topology=topology, inhibitions=inhibitions, config_hash=f"c{number}")
        for number, (topology, inhibitions) in enumerate(
            [(whole, ()), (small, (NODES,)), (small, (NODES, ERRORS)), (whole, (NODES, ERRORS)), (whole, ())]
        )
    ]


def _said(effects: list[Effect]) -> list[bytes]:
    return [type(one).__name__.encode() + msgspec.json.encode(one) for one in effects]


def _muted(engine: Engine) -> dict[int, tuple[str, ...]]:
    """What mutes each alert that fires, by the index of inhibitors."""
    inhibitors = engine._intake.quiet._suppression.inhibitors
    return {one.id: tuple(inhibitors.causes(one)) for one in engine.state.alerts.values() if one.firing}


@pytest.mark.parametrize("seed", [*range(8), 29])
def test_slices_ahead_of_a_reload_change_nothing_that_is_decided(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alerts come, end, move, are merged and silenced between the slices: effect for effect as without them, and both
    indexes are those of a restart."""
    monkeypatch.setattr(prepared, "SLICE", 1 + seed % 7)
    rules, rng, kept = _each(seed), random.Random(seed), Kept()
    engine, plain = Engine(rules[0], State(STORE_ID)), Engine(rules[0], State(STORE_ID))
    ahead: Prepared | None = None
    ruled, slices, suppressed = rules[0], 0, 0
    for number, (at, told) in enumerate(_night(seed)):
        events: list[Event] = [Tick(), told]
        if number % 60 == 30:
            ruled = rules[(rules.index(ruled) + 1) % len(rules)]
            ahead = Prepared(engine.ruleset, ruled)
            engine.prepare(ahead)
        elif ahead is not None and number % 60 < 30 and rng.random() < 0.1:
            events.append(RulesChanged(ruled))
            ahead = None
        for event in events:
            effects = engine.step(event, after(at))
            suppressed += any(isinstance(one, SaveAlert) and one.alert.suppressed_by for one in effects)
            kept.apply(effects)
            assert _said(effects) == _said(plain.step(event, after(at))), (number, event)
            for _ in range(rng.randrange(3) if ahead is not None else 0):
                ahead.slice()
                slices += 1
        if isinstance(events[-1], RulesChanged):
            twin = Engine(ruled, kept.restored(after(at)))
            assert _records(engine) == _records(plain) == _records(twin)
            assert _muted(engine) == _muted(plain) == _muted(twin)
            assert _shelves(engine) == _shelves(plain) == _shelves(twin)
    assert slices > 100
    assert suppressed > 2


def _shelves(engine: Engine) -> dict[tuple[str, str], list[int]]:
    """By role and entity the alerts that stand there, in their turn."""
    shelves = engine._relator.shelves
    places = {
        (role, entity): place
        for role in type(shelves).__slots__
        if role != "alike"
        for entity, place in getattr(shelves, role).items()
    }
    for entity, found in shelves.alike.items():
        by_name = found if isinstance(found, dict) else {found.name: found}
        places |= {(entity, name): place for name, place in by_name.items()}
    return {
        key: [record.ref for record in (place._records if isinstance(place, Shelf) else place.records)]
        for key, place in places.items()
    }


def test_the_old_rules_hold_until_the_reload_and_the_new_ones_from_it_on() -> None:
    """While the slices are taken nothing is muted; with the reload all is, though some of it came meanwhile. A restart
    in between knows of nothing."""
    rules = ruleset(Rule(name="r", hold=minutes(5)))
    other = msgspec.structs.replace(rules, inhibitions=(inhibition("Up", "Down"),), config_hash="c2")
    engine, kept = Engine(rules, State(STORE_ID)), Kept()
    kept.apply(engine.step(_body("Down", range(400)), after(0)))
    ahead = Prepared(rules, other)
    engine.prepare(ahead)
    assert ahead.slice()
    kept.apply(engine.step(_body("Up", range(1)), after(1)))
    kept.apply(engine.step(_body("Down", range(400, 500)), after(2)))
    while ahead.slice():
        pass
    assert not any(one.suppressed_by for one in engine.state.alerts.values())
    assert not any(one.suppressed_by for one in kept.restored(after(2)).alerts.values())
    twin = Engine(other, kept.restored(after(2)))
    for one in (engine, twin):
        one.step(RulesChanged(other), after(3))
        one.step(_body("Down", range(500, 501)), after(3))
        muted = [alert for alert in one.state.alerts.values() if alert.suppressed_by]
        assert len(muted) == 501


def _body(name: str, numbers: range) -> AlertsReported:
    return AlertsReported("prom", False, tuple(report({"alertname": name, "n": str(one)}) for one in numbers))


def test_a_slice_is_so_many_alerts_and_what_keeps_changing_is_left_to_the_reload(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Labels are read for SLICE alerts at most. Where every alert changes in between, there is an end all the same."""
    read: list[int] = []
    plain = prepared.goes_nowhere
    monkeypatch.setattr(prepared, "goes_nowhere", lambda alert: read.append(alert.id) or plain(alert))
    rules = ruleset()
    other = msgspec.structs.replace(rules, inhibitions=(inhibition("Up", "Down"),))
    engine = Engine(rules, State(STORE_ID))
    engine.step(_body("Down", range(1_000)), after(0))
    ahead = Prepared(rules, other)
    engine.prepare(ahead)
    slices = 0
    while True:
        before, more = len(read), ahead.slice()
        assert len(read) - before <= prepared.SLICE
        if not more:
            break
        ahead.saw([SaveAlert(one) for one in engine.state.alerts.values()])
        slices += 1
    assert 5 <= slices <= 6 * (prepared.ROUNDS_MAX + 1)
