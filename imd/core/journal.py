"""State-changing events as lines of EVENTS.jsonl (design section 2).

Owns the encoding of the journal's lines. Firing lines carry no ends_at: every end is a line of its own. What a replay
needs beyond the shape that people write by hand is in keys that they may leave out: `by_api` (how resolves are read),
`same_step` (taken in together with the line before), `identity` (where labels are not the alert's identity), `alert`
(the identity of the first member of the incident that a person worked on). Lines of type restart and clock say when imd
was away and when its clock was set, those of type beat that a heartbeat was heard.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from imd.model.alert import Alert, AlertReport
from imd.model.event import ActionTaken, DeliveryFinished, IncidentReported, OverrideEnded, SilenceExpired
from imd.model.heartbeat import By
from imd.model.quiet import Silence
from imd.model.schedule import Override

_encode = msgspec.json.Encoder().encode
_ABSENT = msgspec.Raw(b"")


class _AlertLine(msgspec.Struct, omit_defaults=True, gc=False):
    ts: datetime
    type: str
    status: str
    source: str
    labels: msgspec.Raw
    annotations: msgspec.Raw
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    by_api: bool = False
    same_step: bool = False
    identity: msgspec.Raw = _ABSENT


class _ExpiredLine(msgspec.Struct, omit_defaults=True):
    ts: datetime
    type: str
    source: str
    labels: msgspec.Raw
    ends_at: datetime
    reason: str
    same_step: bool = False
    identity: msgspec.Raw = _ABSENT


class _ActionLine(msgspec.Struct, omit_defaults=True):
    ts: datetime
    type: str
    action: str
    incident: str
    by: str
    note: str
    force: bool
    through: str
    alert: msgspec.Raw = _ABSENT
    until: datetime | None = None
    to: str = ""
    into: str = ""
    fingerprints: tuple[str, ...] = ()
    outcome: str = ""
    cause: str = ""
    actionable: bool | None = None


class _ReportLine(msgspec.Struct, omit_defaults=True):
    """A report by a person: an action too, of an incident that it opens."""

    ts: datetime
    type: str
    action: str
    report: str
    title: str
    by: str
    labels: dict[str, str] = {}
    priority: str = ""
    policy: str = ""
    note: str = ""
    through: str = ""


class _DeliveryLine(msgspec.Struct):
    ts: datetime
    type: str
    delivery: str
    incident: str
    receiver: str
    outcome: str
    error: str


class _ReloadLine(msgspec.Struct):
    ts: datetime
    type: str
    config_hash: str


class _SilenceLine(msgspec.Struct, omit_defaults=True):
    """`action` is set or expired. `silence` is its id, `pause` for the pause; `replaces` one that ends with it."""

    ts: datetime
    type: str
    action: str
    silence: str
    by: str
    matchers: list[str] = []
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    comment: str = ""
    replaces: str = ""


class _BeatLine(msgspec.Struct, omit_defaults=True):
    """`by`: the values of the heartbeat's `by` labels."""

    ts: datetime
    type: str
    heartbeat: str
    by: dict[str, str] = {}


class _OverrideLine(msgspec.Struct, omit_defaults=True):
    """`action` is set or ended. `override` is its id."""

    ts: datetime
    type: str
    action: str
    override: str
    by: str
    schedule: str = ""
    person: str = ""
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    comment: str = ""


class _RestartLine(msgspec.Struct):
    ts: datetime
    type: str
    alive_at: datetime


class _ClockLine(msgspec.Struct):
    """`by_seconds`: how much further the wall clock moved than time did."""

    ts: datetime
    type: str
    by_seconds: float


def reported(now: datetime, source: str, by_api: bool, report: AlertReport, same_step: bool) -> bytes:
    """`same_step`: the line before is of the same request, whose alerts are taken in together."""
    line = _AlertLine(
        ts=now,
        type="alert",
        status="resolved" if report.resolved else "firing",
        source=source,
        labels=msgspec.Raw(report.labels or report.identity.canonical),
        annotations=msgspec.Raw(report.annotations),
        starts_at=report.starts_at,
        ends_at=report.ends_at if report.resolved else None,
        by_api=by_api,
        same_step=same_step,
        identity=_ABSENT if report.labels is None else msgspec.Raw(report.identity.canonical),
    )
    return _encode(line)


def still_reported(now: datetime, alert: Alert) -> bytes:
    """A repeat that decided something."""
    starts_at = next(span.starts_at for span in alert.spans if span.ended_at is None)
    line = _AlertLine(
        ts=now,
        type="alert",
        status="firing",
        source=alert.source,
        labels=_labels(alert),
        annotations=msgspec.Raw(alert.annotations),
        starts_at=starts_at,
        by_api=alert.by_api,
        identity=_identity(alert),
    )
    return _encode(line)


def expired(now: datetime, alert: Alert, ends_at: datetime, because: str, same_step: bool) -> bytes:
    """`ends_at`: as of when it is over; found out now."""
    line = _ExpiredLine(
        ts=now,
        type="expired",
        source=alert.source,
        labels=_labels(alert),
        ends_at=ends_at,
        reason=because,
        same_step=same_step,
        identity=_identity(alert),
    )
    return _encode(line)


def acted(now: datetime, event: ActionTaken, first: Alert | None) -> bytes:
    """`first`: the incident's first member, by which a replay under other rules finds who was meant."""
    return _encode(
        _ActionLine(
            ts=now,
            type="action",
            action=event.kind.value,
            incident=event.incident,
            by=event.by,
            note=event.note,
            force=event.force,
            through=event.through,
            alert=_ABSENT if first is None else msgspec.Raw(first.identity.canonical),
            until=event.until,
            to=event.to,
            into=event.into,
            fingerprints=event.fingerprints,
            outcome=event.outcome,
            cause=event.cause,
            actionable=event.actionable,
        )
    )


def reported_by_hand(now: datetime, event: IncidentReported) -> bytes:
    return _encode(
        _ReportLine(
            ts=now,
            type="action",
            action="report",
            report=event.key,
            title=event.title,
            by=event.by,
            labels=event.labels,
            priority=event.priority.value if event.priority else "",
            policy=event.policy,
            note=event.note,
            through=event.through,
        )
    )


def delivered(now: datetime, event: DeliveryFinished) -> bytes:
    return _encode(
        _DeliveryLine(
            ts=now,
            type="delivery",
            delivery=event.delivery,
            incident=event.incident,
            receiver=event.receiver,
            outcome=event.outcome.value,
            error=event.error,
        )
    )


def silence_set(now: datetime, silence: Silence, replaces: str) -> bytes:
    return _encode(
        _SilenceLine(
            ts=now,
            type="silence",
            action="set",
            silence=silence.id,
            by=silence.created_by,
            matchers=[str(matcher) for matcher in silence.matchers],
            starts_at=silence.starts_at,
            ends_at=silence.ends_at,
            comment=silence.comment,
            replaces=replaces,
        )
    )


def silence_ended(now: datetime, event: SilenceExpired) -> bytes:
    """Before its time; one that ends as planned leaves no line."""
    return _encode(_SilenceLine(ts=now, type="silence", action="expired", silence=event.silence, by=event.by))


def beat(now: datetime, heartbeat: str, by: By) -> bytes:
    """One that came by itself; what an alert that feeds it says is on its own line."""
    return _encode(_BeatLine(ts=now, type="beat", heartbeat=heartbeat, by=dict(by)))


def override_set(now: datetime, override: Override) -> bytes:
    return _encode(
        _OverrideLine(
            ts=now,
            type="override",
            action="set",
            override=override.id,
            by=override.created_by,
            schedule=override.schedule,
            person=override.person,
            starts_at=override.begins_at,
            ends_at=override.ends_at,
            comment=override.comment,
        )
    )


def override_ended(now: datetime, event: OverrideEnded) -> bytes:
    """Before its time; one that ends as planned leaves no line."""
    return _encode(_OverrideLine(ts=now, type="override", action="ended", override=event.override, by=event.by))


def reloaded(now: datetime, config_hash: str) -> bytes:
    return _encode(_ReloadLine(ts=now, type="reload", config_hash=config_hash))


def restarted(now: datetime, alive_at: datetime) -> bytes:
    """imd was away from `alive_at` until now: nothing that fell due meanwhile was done in time."""
    return _encode(_RestartLine(ts=now, type="restart", alive_at=alive_at))


def clock_stepped(now: datetime, by: timedelta) -> bytes:
    return _encode(_ClockLine(ts=now, type="clock", by_seconds=by.total_seconds()))


def _labels(alert: Alert) -> msgspec.Raw:
    return msgspec.Raw(alert.other_labels or alert.identity.canonical)


def _identity(alert: Alert) -> msgspec.Raw:
    return _ABSENT if alert.other_labels is None else msgspec.Raw(alert.identity.canonical)
