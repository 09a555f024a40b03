"""A delivery's body as channels read it: tolerant of fields that are missing, for an outbox may be older than imd.

Owns the shapes and what can be read off them directly. Words are `text`'s.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from imd.model.effect import Delivery


class Cause(msgspec.Struct, frozen=True):
    entity: str = ""
    fingerprint: str = ""
    reason: str = ""


class Counts(msgspec.Struct, frozen=True):
    firing: int = 0
    resolved: int = 0
    suppressed: int = 0


class Links(msgspec.Struct, frozen=True):
    incident: str | None = None
    ack: str | None = None
    runbook: str | None = None


class SaidAlert(msgspec.Struct, frozen=True):
    """An alert of the incident. Labels are those it came with, overlaid by `enriched`."""

    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    enriched: dict[str, str] = {}
    status: str = "firing"
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    source: str = ""
    generator_url: str = ""
    suppressed_by: tuple[str, ...] = ()

    @property
    def all_labels(self) -> dict[str, str]:
        return {name: value for name, value in (self.labels | self.enriched).items() if value}


class SaidIncident(msgspec.Struct, frozen=True):
    id: str = ""
    number: int = 0
    title: str = ""
    state: str = ""
    priority: str = "P5"
    impact: str = ""
    urgency: str = ""
    rule: str = ""
    group_key: dict[str, str] = {}
    labels: dict[str, str] = {}
    root_cause: Cause | None = None
    alert_count: Counts = Counts()
    opened_at: datetime | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    resolved_at: datetime | None = None
    resolved_because: str | None = None
    assignee: str | None = None
    merged_into: str | None = None


class Said(msgspec.Struct, frozen=True):
    """`incident` is None in a digest, which has `incidents`, and in a test page, which has a `note` and `by`."""

    incident: SaidIncident | None = None
    incidents: tuple[SaidIncident, ...] = ()
    alerts: tuple[SaidAlert, ...] = ()
    truncated: int = 0
    links: Links = Links()
    note: str | None = None
    by: str | None = None


_decode = msgspec.json.Decoder(Said).decode
_decode_any = msgspec.json.Decoder().decode


def read(delivery: Delivery) -> Said:
    """The body. One that is not as it should be says nothing: the headline stands beside it."""
    try:
        return _decode(delivery.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Said()


def raw(delivery: Delivery) -> dict[str, Any]:
    """The body's JSON, for templates."""
    try:
        found = _decode_any(delivery.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}
