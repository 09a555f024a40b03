"""Ends that recorded history tells the engine, and an engine that waits for them."""

from __future__ import annotations

import msgspec

from imd.core.engine import Engine
from imd.core.state import State
from imd.model.effect import Journal, SaveAlert
from imd.model.event import AlertsExpired, Expired, SourceHeard, Tick
from imd.model.incident import IncidentState
from tests.core.making import STORE_ID, after, api, report, ruleset

A, B = ({"alertname": "A", "n": n} for n in "12")


def test_an_engine_without_expiry_waits_for_the_word() -> None:
    engine = Engine(ruleset(), State(STORE_ID), expires=False)
    engine.step(api(report(A, ends=240), report(B, ends=240)), after(0))
    engine.step(Tick(), after(10))
    engine.step(SourceHeard("prom"), after(100_000))
    engine.step(Tick(), after(200_000))
    assert engine.state.firing == 2

    one, other = (Expired(report(labels).identity, after(250), "no longer reported") for labels in (A, B))
    effects = engine.step(AlertsExpired((one, other)), after(200_000))
    saved = [effect.alert for effect in effects if isinstance(effect, SaveAlert)]
    assert [alert.ended_at for alert in saved] == [after(250)] * 2
    lines = [msgspec.json.decode(effect.line) for effect in effects if isinstance(effect, Journal)]
    assert [(line["type"], line.get("same_step")) for line in lines] == [("expired", None), ("expired", True)]
    engine.step(Tick(), after(200_060))
    assert engine.state.incidents["i000000000001"].state is IncidentState.RESOLVED
    assert engine.state.incidents["i000000000001"].resolved_because == "no longer reported"


def test_the_word_on_an_alert_that_does_not_fire_changes_nothing() -> None:
    engine = Engine(ruleset(), State(STORE_ID))
    assert engine.step(AlertsExpired((Expired(report(A).identity, after(0), "source silent"),)), after(1)) == []
