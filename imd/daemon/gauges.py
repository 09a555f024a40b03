"""Gauges of the engine's state, counted when somebody looks rather than with each change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from imd.core.engine import Engine
from imd.core.reach import once
from imd.core.state import State
from imd.core.suppress import KINDS
from imd.model.incident import Awaited, Incident
from imd.model.policy import Receiver, Ruleset
from imd.telemetry import Metrics


def refresh(metrics: Metrics, engine: Engine | None, now: datetime) -> None:
    """Sets them all. Without an engine (the store is down) they keep their last values."""
    if engine is None:
        return
    open_incidents = [one for one in engine.state.incidents.values() if one.open]
    metrics.alerts_open.set(engine.state.firing)
    metrics.alerts_open_max.set(engine.ruleset.bounds.open_alerts_max)
    state = engine.state
    for kind in KINDS:
        metrics.alerts_suppressed.labels(kind).set(state.suppressed.counts[kind])
    metrics.silence_oldest_seconds.set(_oldest_silence_seconds(state, now))
    metrics.alerts_waiting.set(sum(len(waiting.entries) for waiting in state.waiting.values()))
    metrics.alerts_flapping.set(sum(one.flapping for one in state.incidents.values()))
    metrics.heartbeats_missing.clear()
    for heartbeat in engine.ruleset.heartbeats:
        missing = sum(beat.missing for (name, _), beat in state.beats.items() if name == heartbeat.name)
        metrics.heartbeats_missing.labels(heartbeat.name).set(missing)
    tally = Counter((one.state.value, one.priority.value) for one in engine.state.incidents.values())
    metrics.incidents.clear()
    for (name, priority), amount in tally.items():
        metrics.incidents.labels(name, priority).set(amount)
    metrics.escalation_overdue_seconds.set(_overdue_seconds(open_incidents, now))
    metrics.page_overdue.set(_overdue_pages(open_incidents, engine.ruleset, now))


def _oldest_silence_seconds(state: State, now: datetime) -> float:
    """Of those that suppress something: what is forgotten so long is to be seen."""
    silences = (state.silences.get(cause.removeprefix("silence/")) for cause in state.suppressed.by_cause)
    began_at = min((one.starts_at for one in silences if one is not None), default=now)
    return max(0.0, (now - began_at).total_seconds())


def _overdue_seconds(incidents: Iterable[Incident], now: datetime) -> float:
    earliest = min((at for one in incidents for at in one.timers.values()), default=now)
    return max(0.0, (now - earliest).total_seconds())


def _overdue_pages(incidents: Iterable[Incident], ruleset: Ruleset, now: datetime) -> int:
    """Pages that nobody has accepted within `deliver_within`, and that somebody still waits for."""
    return sum(_overdue(one, incident, ruleset, now) for incident in incidents for one in incident.awaited.values())


def _overdue(awaited: Awaited, incident: Incident, ruleset: Ruleset, now: datetime) -> bool:
    if awaited.called_off or awaited.off:
        return False
    if awaited.deadline_at is not None:
        return awaited.deadline_at < now
    if not once(incident, ruleset.policy(awaited.policy)):
        return True  # passed on
    if awaited.sent_at is None:
        return False  # it waits for a digest
    receiver = ruleset.receivers.get(awaited.receiver) or Receiver(name=awaited.receiver)
    return awaited.sent_at + receiver.accept_within(incident.priority) < now
