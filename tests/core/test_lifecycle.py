"""The incident state machine: every state against every transition."""

from __future__ import annotations

import pytest

from imd.core.lifecycle import TRANSITIONS, may, move
from imd.model.incident import Incident, IncidentState
from tests.core.making import T0, after

S = IncidentState
OPEN = {S.PENDING, S.TRIGGERED, S.ACKNOWLEDGED, S.SNOOZED}
TABLE = {
    "trigger": ({S.PENDING}, S.TRIGGERED),
    "cancel": ({S.PENDING}, S.CANCELLED),
    "calm": ({S.PENDING}, S.RESOLVED),
    "acknowledge": ({S.PENDING, S.TRIGGERED, S.SNOOZED}, S.ACKNOWLEDGED),
    "unacknowledge": ({S.ACKNOWLEDGED, S.SNOOZED}, S.TRIGGERED),
    "lapse": ({S.ACKNOWLEDGED, S.SNOOZED}, S.TRIGGERED),
    "hand on": ({S.ACKNOWLEDGED, S.SNOOZED}, S.TRIGGERED),
    "snooze": (OPEN, S.SNOOZED),
    "resolve": (OPEN, S.RESOLVED),
    "reopen": ({S.RESOLVED}, S.PENDING),
    "close": ({S.RESOLVED}, S.CLOSED),
    "merge": (OPEN, S.MERGED),
}


def incident(state: IncidentState) -> Incident:
    return Incident(
        id="i1", number=1, rule="r", group_key=(), state=state, opened_at=T0, config_hash="c",
        acknowledged_by="ana", acknowledged_at=after(1), resolved_at=after(2), resolved_because="why",
    )  # fmt: skip


def test_the_table_has_these_rows() -> None:
    assert set(TRANSITIONS) == set(TABLE)


@pytest.mark.parametrize("state", IncidentState)
@pytest.mark.parametrize("transition", TABLE)
def test_every_state_and_transition(state: IncidentState, transition: str) -> None:
    one = incident(state)
    sources, target = TABLE[transition]
    assert may(one, transition) == (state in sources)
    if state in sources:
        move(one, transition, after(9))
        assert one.state is target
    else:
        with pytest.raises(AssertionError):
            move(one, transition, after(9))
        assert one.state is state


def test_stamps() -> None:
    one = incident(S.PENDING)
    move(one, "trigger", after(3))
    assert (one.triggered_at, one.acknowledged_by, one.acknowledged_at) == (after(3), "", None)
    move(one, "acknowledge", after(4))
    one.acknowledged_by = "ben"
    move(one, "resolve", after(5))
    assert (one.acknowledged_at, one.acknowledged_by, one.resolved_at) == (after(4), "ben", after(5))
    move(one, "reopen", after(6))
    assert (one.acknowledged_by, one.resolved_at, one.resolved_because) == ("", None, "")


def test_ends_have_no_way_out() -> None:
    for end in (S.CLOSED, S.MERGED, S.CANCELLED):
        assert not any(may(incident(end), transition) for transition in TRANSITIONS)
