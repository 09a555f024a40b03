"""Nothing that changes state is missing from the journal: each kind of event has a line that reads back as the event.

A new kind of event or action, or a new field of one, fails here until it is in the journal or says why it need not be.
"""

from __future__ import annotations

from datetime import timedelta
from typing import get_args

import msgspec
import pytest

from imd.core import journal
from imd.core.engine import Engine
from imd.core.state import State
from imd.model.effect import Journal, SaveAlert, SaveBeat, SaveIncident, SaveOverride, SaveSilence
from imd.model.event import (
    ActionKind,
    ActionTaken,
    AlertsExpired,
    AlertsReported,
    ClockStepped,
    DeliveryFinished,
    Event,
    Expired,
    HeartbeatBeat,
    IncidentReported,
    Outcome,
    OverrideEnded,
    OverrideSet,
    PauseSet,
    Restarted,
    RulesChanged,
    SilenceExpired,
    SilenceSet,
    SourceHeard,
    Tick,
)
from imd.model.heartbeat import Heartbeat
from imd.model.incident import Priority
from imd.model.schedule import Override, Schedule
from imd.replay.journal import EventsReader
from tests.core.making import STORE_ID, after, identify, minutes, report, ruleset, silence

RULES = ruleset(
    heartbeats=(Heartbeat(name="backup", every=minutes(5), by=("cluster",)),),
    schedules={"primary": Schedule(name="primary")},
)
STANDING = Override(
    id="00000000-0000-4000-8000-000000000004", schedule="primary", person="ana", begins_at=after(0), ends_at=after(900)
)
A = {"alertname": "A", "severity": "critical"}
FIRST = "i000000000001"
SECOND = "i000000000002"
DELIVERY = f"{STORE_ID}-{FIRST}-1"

NO_LINE: dict[type, str] = {
    Tick: "time passes in a replay by itself",
    SourceHeard: "it only puts off the end of alerts, and every end is a line",
}
READ_AS: dict[type, type] = {PauseSet: SilenceSet}
"""Kinds whose line reads back as another one that does the same."""

EXAMPLES: dict[type, Event] = {
    AlertsReported: AlertsReported("am", False, (report(A, 5, annotations={"summary": "s"}),)),
    AlertsExpired: AlertsExpired((Expired(identify(A), after(50), "source silent"),)),
    ActionTaken: ActionTaken(kind=ActionKind.NOTE, incident=FIRST, by="ana", note="hm", force=True, through="slack"),
    SilenceSet: SilenceSet(silence(60, 900, alertname="A"), replaces="00000000-0000-4000-8000-000000000009"),
    SilenceExpired: SilenceExpired("00000000-0000-4000-8000-000000000002", "ben"),
    PauseSet: PauseSet(until=after(600), by="ben", reason="drill"),
    OverrideSet: OverrideSet(
        Override(
            id="00000000-0000-4000-8000-000000000003",
            schedule="primary",
            person="ben",
            begins_at=after(100),
            ends_at=after(900),
            created_by="ana",
            created_at=after(60),
            comment="dentist",
        )
    ),
    OverrideEnded: OverrideEnded("00000000-0000-4000-8000-000000000004", "ben"),
    HeartbeatBeat: HeartbeatBeat("backup", (("cluster", "eu"),)),
    DeliveryFinished: DeliveryFinished(
        delivery=DELIVERY, incident=FIRST, receiver="ana-phone", outcome=Outcome.FAILED, error="no such number"
    ),
    IncidentReported: IncidentReported(
        key="k",
        title="the shop is slow",
        by="ana",
        labels={"team": "shop"},
        priority=Priority.P2,
        policy="default",
        note="calls come in",
        through="cli",
    ),
    RulesChanged: RulesChanged(RULES),
    Restarted: Restarted(after(40)),
    ClockStepped: ClockStepped(timedelta(seconds=-3)),
}


def lines(event: Event) -> list[bytes]:
    """Of one event, on an engine in whose one incident A fires, with a silence and an override to end."""
    engine = Engine(RULES, State(STORE_ID))
    engine.step(AlertsReported("am", False, (report(A),)), after(0))
    engine.step(Tick(), after(10))
    engine.step(SilenceSet(silence(0, 900, 2, alertname="Z")), after(20))
    engine.step(OverrideSet(STANDING), after(20))
    effects = engine.step(event, after(60))
    changed = any(
        isinstance(effect, SaveAlert | SaveIncident | SaveSilence | SaveOverride | SaveBeat) for effect in effects
    )
    found = [effect.line for effect in effects if isinstance(effect, Journal)]
    assert found or not changed
    return found


def test_every_kind_of_event_has_an_example_or_says_why_it_has_no_line() -> None:
    assert set(get_args(Event)) == set(EXAMPLES) | set(NO_LINE)


@pytest.mark.parametrize("kind", NO_LINE, ids=lambda kind: kind.__name__)
def test_what_has_no_line_changes_nothing_that_is_kept(kind: type) -> None:
    assert lines(SourceHeard("am") if kind is SourceHeard else Tick()) == []


@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
def test_its_line_reads_back_as_the_event(kind: type) -> None:
    event = EXAMPLES[kind]
    [line] = lines(event)
    reader = EventsReader("journal", {})
    steps = list(reader.read([line]))
    if isinstance(event, RulesChanged):
        assert steps == []
        assert reader.skipped == {"reload": 1}, "which rules they were is not in the journal; that it was is"
        return
    [step] = steps
    assert not reader.skipped
    assert step.at == after(60)
    assert type(step.event) is READ_AS.get(kind, kind)
    if kind not in READ_AS:
        assert step.event == msgspec.structs.replace(event, **_LEFT_OUT.get(kind, {}))


_LEFT_OUT: dict[type, dict[str, object]] = {
    DeliveryFinished: {"attempts": 1},  # how often it was tried decides nothing
    SilenceSet: {"silence": msgspec.structs.replace(silence(60, 900, alertname="A"), updated_at=after(60))},
}


@pytest.mark.parametrize("kind", ActionKind)
def test_every_action_with_all_that_it_says(kind: ActionKind) -> None:
    """Each field has a value that is not its default, so that one that is left out is found out."""
    said = {"kind": kind, "incident": FIRST, "by": "ana", "note": "hm", "force": True, "through": "slack"}
    said |= {"until": after(90), "to": "ben", "into": SECOND, "fingerprints": ("0123456789abcdef",), "outcome": "fixed"}
    said |= {"cause": "capacity", "actionable": False}
    action = ActionTaken(**said)
    untold = [
        field.name
        for field in msgspec.structs.fields(ActionTaken)
        if getattr(action, field.name) == field.default and field.name != "record"  # a replay has its own
    ]
    assert not untold, f"{untold}: give them a value here, and take them into the journal's lines"
    line = journal.acted(after(60), action, None)
    [step] = EventsReader("journal", {}).read([line])
    assert step.event == action


def test_a_pause_reads_back_as_the_silence_that_it_is() -> None:
    [line] = lines(EXAMPLES[PauseSet])
    [step] = EventsReader("journal", {}).read([line])
    assert isinstance(step.event, SilenceSet)
    pause = step.event.silence
    assert (pause.id, pause.matchers, pause.ends_at, pause.created_by, pause.comment) == (
        "pause", (), after(600), "ben", "drill",
    )  # fmt: skip
