"""The incident state machine: one table of named transitions.

Owns which state may follow which, and nothing of what a transition causes. A move that has no row is refused by `may`
and is a bug in `move`.
"""

from __future__ import annotations

from datetime import datetime

from imd.model.incident import Incident, IncidentState

_PENDING, _TRIGGERED, _ACKNOWLEDGED, _SNOOZED, _RESOLVED, _CLOSED, _MERGED, _CANCELLED = IncidentState

TRANSITIONS: dict[str, tuple[frozenset[IncidentState], IncidentState]] = {
    # name: from any of these, to this
    "trigger": (frozenset({_PENDING}), _TRIGGERED),  # hold is over and something fires
    "cancel": (frozenset({_PENDING}), _CANCELLED),  # nothing fires before hold is over
    "calm": (frozenset({_PENDING}), _RESOLVED),  # the same, where the incident was only reopened
    "acknowledge": (frozenset({_PENDING, _TRIGGERED, _SNOOZED}), _ACKNOWLEDGED),
    "unacknowledge": (frozenset({_ACKNOWLEDGED, _SNOOZED}), _TRIGGERED),
    "lapse": (frozenset({_ACKNOWLEDGED, _SNOOZED}), _TRIGGERED),  # ack_timeout or the snooze ran out
    "hand on": (frozenset({_ACKNOWLEDGED, _SNOOZED}), _TRIGGERED),  # somebody asks for the next escalation step
    "snooze": (frozenset({_PENDING, _TRIGGERED, _ACKNOWLEDGED, _SNOOZED}), _SNOOZED),
    "resolve": (frozenset({_PENDING, _TRIGGERED, _ACKNOWLEDGED, _SNOOZED}), _RESOLVED),
    "reopen": (frozenset({_RESOLVED}), _PENDING),  # hold is asked for again; with hold 0s it triggers at once
    "close": (frozenset({_RESOLVED}), _CLOSED),
    "merge": (frozenset({_PENDING, _TRIGGERED, _ACKNOWLEDGED, _SNOOZED}), _MERGED),
}

TIMERS = ("hold", "rate", "resolve", "ack", "route", "accept", "reach", "escalate", "remind", "still",
          "ack_target", "resolve_target")  # fmt: skip
"""Deadlines of an incident by name, in the order in which those due together are taken; behind them come, by name,
those of policies beside its own (`escalate:POLICY`, `remind:POLICY`), then `update:RECEIVER`.

hold: page if still firing. rate: too little is new to hold the incident open any more. resolve: nothing fires, resolve
now. ack: the acknowledgement or the snooze lapses. route: it waits for hours of a route, which begin or end. accept:
a page was not accepted in time. reach: a person's next way, or the end of quiet hours. escalate: the next escalation
step. remind: exhausted and unanswered. still: resolved by hand and yet firing. ack_target,
resolve_target: late by the targets of its priority.
"""

_STAMPS = {_TRIGGERED: "triggered_at", _ACKNOWLEDGED: "acknowledged_at", _RESOLVED: "resolved_at", _CLOSED: "closed_at"}


def may(incident: Incident, transition: str) -> bool:
    return incident.state in TRANSITIONS[transition][0]


def move(incident: Incident, transition: str, now: datetime) -> None:
    """Takes the incident along one row and stamps the instant. The caller has asked `may`."""
    sources, target = TRANSITIONS[transition]
    assert incident.state in sources, f"{transition} from {incident.state}"
    incident.state = target
    stamp = _STAMPS.get(target)
    if stamp is not None:
        setattr(incident, stamp, now)
    if target in (_TRIGGERED, _PENDING):
        incident.acknowledged_at = None
        incident.acknowledged_by = ""
    if target is _PENDING:  # reopened
        incident.resolved_at = None
        incident.resolved_because = ""
