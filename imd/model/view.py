"""How incidents and alerts look from outside: the JSON of design section 3, in answers and in pages alike.

Owns the shapes and the plain translation from the records; decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated

import msgspec

from imd.model.alert import JOINED_BECAUSE, Alert, AlertState, decode_enriched, fingerprint
from imd.model.incident import Incident, IncidentState, RootCause

RawTexts = Annotated[
    msgspec.Raw, msgspec.Meta(extra_json_schema={"type": "object", "additionalProperties": {"type": "string"}})
]
"""Labels or annotations, kept as the JSON they were."""


class PagesOwed(msgspec.Struct, frozen=True, kw_only=True):
    """`owed` pages of so many `incidents`, open or over. Of them `overdue` are under way for longer than
    `deliver_within`; `waiting` are put off: for a digest, or until a receiver that takes nothing is back. `oldest_at`:
    when the first of the incidents was triggered. `receivers`: how many each is owed."""

    owed: int = 0
    overdue: int = 0
    waiting: int = 0
    incidents: int = 0
    oldest_at: datetime | None = None
    receivers: dict[str, int] = {}


class AlertCount(msgspec.Struct, frozen=True):
    firing: int
    resolved: int
    suppressed: int = 0


class AlertView(msgspec.Struct, frozen=True):
    """`status` is firing, resolved or expired; `ends_at` is when it ended, or the deadline its sender gave.

    `enriched` is what enrichment added to the labels or changed in them; an empty value took one away. `dropped_by`
    names the enrichment entry that stopped the alert. `suppressed_by` are the causes of its verdict, the last one if it
    fires no more: `silence/UUID`… `verdict` says why the alert is in no incident, where a rule or heartbeat decided so.
    While `flapping`, it counts as firing whatever its status."""

    fingerprint: str
    labels: RawTexts
    annotations: RawTexts
    enriched: dict[str, str]
    status: str
    starts_at: datetime
    ends_at: datetime | None
    count: int
    source: str
    incident: str | None
    joined_at: datetime | None
    joined_because: str
    generator_url: str
    dropped_by: str | None = None
    suppressed_by: tuple[str, ...] = ()
    verdict: str | None = None
    flapping: bool = False


class IncidentView(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    number: int
    title: str
    state: str
    priority: str
    impact: str
    urgency: str
    rule: str
    group_key: dict[str, str]
    labels: dict[str, str]
    root_cause: RootCause | None
    alert_count: AlertCount
    opened_at: datetime
    acknowledged_at: datetime | None
    resolved_at: datetime | None
    closed_at: datetime | None
    assignee: str | None
    policy: str | None
    merged_into: str | None
    previous: str | None
    config_hash: str
    drill: bool
    acknowledged_by: str | None
    snoozed_until: datetime | None
    resolved_because: str | None
    reported_by: str | None
    responders: tuple[str, ...]
    split_from: str | None
    outcome: str | None
    cause: str | None
    actionable: bool | None


class IncidentWithAlerts(IncidentView, frozen=True, kw_only=True):
    """The single view: `alerts` holds the first 100. `runbook` is the one that goes with its pages."""

    alerts: list[AlertView]
    runbook: str | None = None


def key_text(group_key: Iterable[tuple[str, str]]) -> str:
    """A group key for people: `{alertname="A", cluster="b"}`."""
    return "{" + ", ".join(f'{name}="{value}"' for name, value in group_key) + "}"


def incident_view(incident: Incident) -> IncidentView:
    return IncidentView(
        id=incident.id,
        number=incident.number,
        title=incident.title,
        state=incident.state.value,
        priority=incident.priority.value,
        impact=incident.impact.value,
        urgency=incident.urgency.value,
        rule=incident.rule,
        group_key=dict(incident.group_key),
        labels=incident.labels,
        root_cause=incident.root_cause,
        alert_count=AlertCount(firing=incident.firing, resolved=incident.ended, suppressed=incident.suppressed),
        opened_at=incident.opened_at,
        acknowledged_at=incident.acknowledged_at,
        resolved_at=incident.resolved_at,
        closed_at=incident.closed_at,
        assignee=incident.assignee or None,
        policy=incident.policy or None,
        merged_into=incident.merged_into or None,
        previous=incident.previous or None,
        config_hash=incident.config_hash,
        drill=incident.drill,
        acknowledged_by=incident.acknowledged_by or None,
        snoozed_until=incident.timers.get("ack") if incident.state is IncidentState.SNOOZED else None,
        resolved_because=incident.resolved_because or None,
        reported_by=incident.reported_by or None,
        responders=incident.responders,
        split_from=incident.split_from or None,
        outcome=incident.outcome or None,
        cause=incident.cause or None,
        actionable=incident.actionable,
    )


def incident_with_alerts(incident: Incident, alerts: Iterable[Alert], runbook: str = "") -> IncidentWithAlerts:
    """`runbook` is the rule's."""
    views = [alert_view(alert, incident) for alert in alerts]
    return IncidentWithAlerts(
        **msgspec.structs.asdict(incident_view(incident)),
        runbook=runbook or runbook_of(incident, views),
        alerts=views,
    )


_RUNBOOKS = ("runbook_url", "runbook")
"""Annotations that name one: the first is that of kubernetes-mixin and all mixins after it, the second is older."""


def runbook_of(incident: Incident, alerts: Sequence[AlertView]) -> str | None:
    """The URL that the senders give: the probable cause's, else that of the first of these alerts that has one."""
    found = {one.fingerprint: url for one in reversed(alerts) if (url := _runbook(bytes(one.annotations)))}
    cause = incident.root_cause.fingerprint if incident.root_cause is not None else ""
    return found.get(cause) or next(reversed(found.values()), None)


def _runbook(annotations: bytes) -> str:
    if b'"runbook' not in annotations:
        return ""
    texts = msgspec.json.decode(annotations, type=dict[str, str])
    return next((texts[name] for name in _RUNBOOKS if _is_url(texts.get(name, ""))), "")


def _is_url(text: str) -> bool:
    return text.startswith(("https://", "http://")) and text.isprintable() and " " not in text


def alert_view(alert: Alert, incident: Incident | None) -> AlertView:
    """About 15 us, nearly all of it the fingerprint."""
    because = ""
    if incident is not None and alert.joined_because:
        because = JOINED_BECAUSE[alert.joined_because].format(
            rule=incident.rule, key=key_text(incident.group_key), related=alert.related, waited=alert.waiting
        )
    return AlertView(
        fingerprint=fingerprint(alert.identity.labels()),
        labels=msgspec.Raw(alert.other_labels or alert.identity.canonical),
        annotations=msgspec.Raw(alert.annotations),
        enriched=decode_enriched(alert.enriched),
        status=_STATUS[alert.state],
        starts_at=alert.starts_at,
        ends_at=alert.ended_at if alert.ended_at is not None else alert.listed_until(),
        count=alert.count,
        source=alert.source,
        incident=alert.incident or None,
        joined_at=alert.joined_at,
        joined_because=because,
        generator_url=alert.generator_url,
        dropped_by=alert.dropped_by or None,
        suppressed_by=alert.suppressed_by,
        verdict=_verdict(alert),
        flapping=alert.flapping_since is not None,
    )


def _verdict(alert: Alert) -> str | None:
    if alert.incident:
        return alert.seen_off or None  # who closed it while the alert fired
    return f"waits for {alert.waiting}" if alert.counted_at is not None else alert.seen_off or None


_STATUS = {AlertState.FIRING: "firing", AlertState.RESOLVED: "resolved", AlertState.EXPIRED: "expired"}
