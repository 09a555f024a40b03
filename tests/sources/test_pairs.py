"""What fires and what resolves meet in the real engine, for every sender; repeats of either change nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest

from imd.core.engine import Engine
from imd.core.state import State
from imd.model.alert import AlertState
from imd.model.event import AlertsReported
from imd.model.policy import Source
from imd.sources import decode
from tests.core.making import STORE_ID, ruleset
from tests.sources.bodies import PAIRS, body, headers, kind
from tests.sources.test_payloads import NOW


@pytest.mark.parametrize(("firing", "resolved"), PAIRS, ids=[one for one, _ in PAIRS])
def test_what_resolves_meets_what_fires(firing: str, resolved: str) -> None:
    source = Source(name="eu", type=kind(firing), labels={"region": "eu"})
    engine = Engine(ruleset(), State(STORE_ID))
    now = NOW
    for name in (firing, firing, resolved, resolved, firing):
        now += timedelta(seconds=30)
        decoded = decode(source, body(name), now, headers(name))
        assert decoded.alerts
        assert not decoded.rejected
        engine.step(AlertsReported("eu", False, tuple(decoded.alerts)), now)
        alerts = list(engine.state.alerts.values())
        expected = AlertState.FIRING if name == firing else AlertState.RESOLVED
        assert len(alerts) == len(decoded.alerts)
        if now - NOW <= timedelta(seconds=120):  # the last is a late double: what it means depends on what it says
            assert {alert.state for alert in alerts} == {expected}
        assert all(alert.labels()["region"] == "eu" for alert in alerts)
        assert all(alert.labels()["alertname"] and alert.labels()["severity"] for alert in alerts)
    ids = {alert.id for alert in alerts}
    assert max(ids) <= 2 * len(alerts)


def test_every_type_has_a_pair() -> None:
    """But for those that speak Alertmanager's own language, and those that know no resolve."""
    assert {kind(firing) for firing, _ in PAIRS} | {"alertmanager", "prometheus", "elastalert", "mapped"} >= {
        kind(name) for name, _ in PAIRS
    }
