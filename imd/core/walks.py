"""Where an incident's policies stand, and the timers by which they go on.

Owns the one list of an incident's walks (its own policy first, then those that routes with `continue` put beside it),
the names of their timers, and how both come through a change of policies and time away. What a walk does is
`escalation`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from imd.core.notify import arm
from imd.core.state import State
from imd.model.incident import Incident, Walk

KINDS = ("escalate", "remind")
_NO_TIME = timedelta(0)


class Walking(Protocol):
    """An incident, which walks through its own policy, or one of those beside it."""

    policy: str
    round: int
    step: int
    exhausted: bool


def walks(incident: Incident) -> Iterator[Walking]:
    """All of an incident's, its own first."""
    yield incident
    yield from incident.also


def walk_of(incident: Incident, policy: str) -> Walking | None:
    return next((one for one in walks(incident) if one.policy == policy), None)


def policies(incident: Incident) -> tuple[str, ...]:
    """In order of their routes: its own comes last."""
    return (*(one.policy for one in incident.also), incident.policy)


def take_up(incident: Incident, wanted: Sequence[str]) -> None:
    """From now on it walks through these, the last one its own. Those that it walks through already go on from where
    they stand, with their timers."""
    known = {one.policy: Walk(one.policy, one.round, one.step, one.exhausted) for one in walks(incident)}
    waiting = {one.policy: {kind: incident.timers[name] for kind, name in timers(incident, one).items()}
               for one in walks(incident)}  # fmt: skip
    for one in walks(incident):
        halt(incident, one)
    *beside, own = (known.get(policy) or Walk(policy) for policy in wanted)
    incident.policy, incident.round, incident.step, incident.exhausted = own.policy, own.round, own.step, own.exhausted
    incident.also = beside
    for one in walks(incident):
        for kind, at in waiting.get(one.policy, {}).items():
            incident.timers[_name(incident, one, kind)] = at


# Timers.


def timers(incident: Incident, walk: Walking) -> dict[str, str]:
    """Those that are set, by what they are for."""
    names = {kind: _name(incident, walk, kind) for kind in KINDS}
    return {kind: name for kind, name in names.items() if name in incident.timers}


def arm_timer(state: State, incident: Incident, walk: Walking, kind: str, at: datetime) -> None:
    arm(state, incident, _name(incident, walk, kind), at)


def halt(incident: Incident, walk: Walking) -> None:
    for name in timers(incident, walk).values():
        del incident.timers[name]


def _name(incident: Incident, walk: Walking, kind: str) -> str:
    """That of a policy beside the incident's own bears its name."""
    return kind if walk is incident else f"{kind}:{walk.policy}"


def resume(state: State, incident: Incident, alive_at: datetime, at: datetime) -> bool:
    """imd was away: of what fell due meanwhile the first is due `at`, and the rest keeps its distance to it, so that no
    crowd is paged at once. A page's time to be accepted stood still. Whether there was anything."""
    late = [one for one in incident.awaited.values() if one.deadline_at is not None and one.deadline_at < at]
    for awaited in late:
        assert awaited.deadline_at is not None
        awaited.deadline_at = at + max(awaited.deadline_at - alive_at, _NO_TIME)
    names = [name for walk in walks(incident) for name in timers(incident, walk).values()]
    ways = [one for one in incident.reaches if one.due_at is not None and one.due_at < at]
    due = [incident.timers[name] for name in names] + [one.due_at for one in ways if one.due_at is not None]
    by = at - min(due, default=at)
    if by <= _NO_TIME:
        return bool(late)
    for name in names:
        if incident.timers[name] < at:
            arm(state, incident, name, incident.timers[name] + by)
    for way in ways:
        assert way.due_at is not None
        way.due_at, way.began_at = way.due_at + by, way.began_at + by
    return True


def shift(incident: Incident, by: timedelta) -> None:
    """The clock was set: what was five minutes away still is; quiet hours go by the wall clock. The timers themselves
    are moved with all others."""
    for awaited in incident.awaited.values():
        if awaited.deadline_at is not None:
            awaited.deadline_at += by
    for told in incident.told.values():
        if told.at is not None:
            told.at += by
    for reach in incident.reaches:
        if reach.way == 0:
            continue
        reach.began_at += by
        if reach.due_at is not None:
            reach.due_at += by
