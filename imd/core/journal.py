"""State-changing events as lines of EVENTS.jsonl (design section 2).

Owns the encoding of the journal's lines. Firing lines carry no ends_at: every end is a line of its own.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from imd.model.alert import Alert, AlertReport
from imd.model.event import ActionTaken, DeliveryFinished

_encode = msgspec.json.Encoder().encode


class _AlertLine(msgspec.Struct, omit_defaults=True, gc=False):
    ts: datetime
    type: str
    status: str
    source: str
    labels: msgspec.Raw
    annotations: msgspec.Raw
    starts_at: datetime | None = None
    ends_at: datetime | None = None


class _ExpiredLine(msgspec.Struct):
    ts: datetime
    type: str
    source: str
    labels: msgspec.Raw
    reason: str


class _ActionLine(msgspec.Struct):
    ts: datetime
    type: str
    action: str
    incident: str
    by: str
    note: str
    force: bool
    through: str


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


def reported(now: datetime, source: str, report: AlertReport) -> bytes:
    line = _AlertLine(
        ts=now,
        type="alert",
        status="resolved" if report.resolved else "firing",
        source=source,
        labels=msgspec.Raw(report.labels or report.identity.canonical),
        annotations=msgspec.Raw(report.annotations),
        starts_at=report.starts_at,
        ends_at=report.ends_at if report.resolved else None,
    )
    return _encode(line)


def expired(now: datetime, alert: Alert, because: str) -> bytes:
    labels = msgspec.Raw(alert.other_labels or alert.identity.canonical)
    return _encode(_ExpiredLine(ts=now, type="expired", source=alert.source, labels=labels, reason=because))


def acted(now: datetime, event: ActionTaken) -> bytes:
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


def reloaded(now: datetime, config_hash: str) -> bytes:
    return _encode(_ReloadLine(ts=now, type="reload", config_hash=config_hash))
