"""Deliveries for tests."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from imd.model.effect import Delivery
from imd.model.incident import Priority
from imd.model.policy import PageKind, PageReason

STORE_ID = "96dc2baa782af44b"


def delivery(number: int = 1, **changes: Any) -> Delivery:
    """A page, as the engine hands it out."""
    fields: dict[str, Any] = {
        "id": f"d{number}",
        "incident": f"i{number}",
        "number": number,
        "dedup_key": f"store/i{number}",
        "receiver": "hook",
        "to": "receiver:hook",
        "kind": PageKind.PAGE,
        "reason": PageReason.FIRST,
        "priority": Priority.P2,
        "step": 1,
        "created_at": datetime.now(UTC),
        "headline": f"PAGE P2 #{number} node lost",
        "body": b'{"version":"1","kind":"page","delivery_id":"d%d","incident":{"number":%d}}' % (number, number),
    }
    return Delivery(**{**fields, **changes})


STATES = {PageKind.ACKNOWLEDGED: "acknowledged", PageKind.RESOLVED: "resolved"}


def message(
    kind: PageKind = PageKind.PAGE,
    seq: int = 1,
    *,
    number: int = 1,
    reason: PageReason | None = None,
    priority: Priority = Priority.P2,
    title: str = "KubeNodeNotReady c1 n1: kubelet stopped posting node status",
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    alerts: int = 2,
    note: str | None = None,
    **incident: Any,
) -> Delivery:
    """A message of a whole incident, with a body as `core.page` writes it. `seq` counts the incident's messages."""
    labels = labels if labels is not None else {"cluster": "c1", "node": "n1"}
    annotations = annotations if annotations is not None else {"summary": "kubelet stopped posting node status"}
    reason = reason if kind is not PageKind.PAGE or reason is not None else PageReason.FIRST
    incident_id = f"i{number:012d}"
    at = "2026-11-21T21:23:52.516744Z"
    over = kind is PageKind.RESOLVED
    one: dict[str, Any] = {
        "fingerprint": "6a6cebdb10c818c6",
        "annotations": annotations,
        "enriched": {},
        "status": "resolved" if over else "firing",
        "starts_at": at,
        "ends_at": at if over else None,
        "count": 1,
        "source": "alertmanager",
        "incident": incident_id,
        "joined_at": at,
        "joined_because": "opened this incident",
        "generator_url": "http://prometheus.example/graph?g0.expr=up",
        "dropped_by": None,
        "suppressed_by": [],
        "verdict": None,
        "flapping": False,
    }
    body = {
        "version": "1",
        "kind": kind.value,
        "reason": reason.value if reason else None,
        "dedup_key": f"{STORE_ID}-{incident_id}",
        "delivery_id": f"{STORE_ID}-{incident_id}-{seq}",
        "incident": {
            "id": incident_id,
            "number": number,
            "title": title,
            "state": STATES.get(kind, "triggered"),
            "priority": priority.value,
            "impact": "medium",
            "urgency": "high",
            "rule": "node-loss",
            "group_key": labels,
            "labels": {"severity": "critical", **labels},
            "root_cause": {"entity": "host/n1", "fingerprint": "6a6cebdb10c818c6", "reason": "it explains the others"},
            "alert_count": {"firing": 0 if over else alerts, "resolved": alerts if over else 0, "suppressed": 0},
            "opened_at": at,
            "acknowledged_at": at if kind is PageKind.ACKNOWLEDGED else None,
            "resolved_at": "2026-11-21T21:36:00Z" if over else None,
            "closed_at": None,
            "assignee": None,
            "policy": "default",
            "merged_into": None,
            "previous": None,
            "config_hash": "56f32515e018",
            "drill": False,
            "acknowledged_by": "ana" if kind is PageKind.ACKNOWLEDGED else None,
            "resolved_because": "alerts resolved" if over else None,
            **incident,
        },
        "alerts": [
            {**one, "labels": {"alertname": "KubePodNotReady", "severity": "critical", "pod": f"web-{each}", **labels}}
            for each in range(alerts)
        ],
        "truncated": 0,
        "links": {
            "incident": f"https://imd.example/v1/incidents/{incident_id}",
            "ack": None,
            "runbook": "https://wiki.example/node-loss",
        },
        "note": note,
    }
    return Delivery(
        id=f"{STORE_ID}-{incident_id}-{seq}",
        incident=incident_id,
        number=number,
        dedup_key=f"{STORE_ID}-{incident_id}",
        receiver="chat",
        to="chat",
        kind=kind,
        reason=reason,
        priority=priority,
        step=1,
        created_at=datetime(2026, 11, 21, 21, 24, 2, tzinfo=UTC),
        headline=f"{kind.value.upper()} {priority.value} #{number} {title}",
        body=json.dumps(body).encode(),
    )


def trial(text: str = "is this thing on?") -> Delivery:
    """What `imd page` sends."""
    identity = f"{STORE_ID}-test-1"
    body = {"version": "1", "kind": "note", "incident": None, "alerts": [], "truncated": 0, "note": text, "by": "ana"}
    return Delivery(
        id=identity,
        incident="",
        number=0,
        dedup_key=identity,
        receiver="chat",
        to="chat",
        kind=PageKind.NOTE,
        reason=None,
        priority=Priority.P5,
        step=0,
        created_at=datetime(2026, 11, 21, 21, 24, 2, tzinfo=UTC),
        headline=f"TEST {text} (by ana)",
        body=json.dumps(body).encode(),
    )


def digest() -> Delivery:
    """Several incidents in one message."""
    incidents = [
        {"number": number, "title": f"node n{number} lost", "priority": "P2", "state": "triggered"}
        for number in (1, 2, 3)
    ]
    identity = f"{STORE_ID}-digest-1"
    return Delivery(
        id=identity,
        incident="",
        number=0,
        dedup_key=identity,
        receiver="chat",
        to="chat",
        kind=PageKind.DIGEST,
        reason=None,
        priority=Priority.P2,
        step=0,
        created_at=datetime(2026, 11, 21, 21, 24, 2, tzinfo=UTC),
        headline="DIGEST P2 3 incidents",
        body=json.dumps({"version": "1", "kind": "digest", "incident": None, "incidents": incidents}).encode(),
    )


HOSTILE = (
    "a\r\nBcc: x@evil.example\r\n\r\n<!channel> @everyone @here <@U1> <https://evil.example|click> *b* _i_ ~s~ `c` "
    "<b>&amp;</b> <script>alert(1)</script> [l](https://evil.example) # h {{ 7*7 }} %s \\ \" ' \x00\x1b[31m \u202e "
    "naïve 日本語 🔥 </at> |"
)


def hostile(kind: PageKind = PageKind.PAGE, seq: int = 1) -> Delivery:
    """Markup, mentions, line breaks and control characters wherever a sender can put text."""
    return message(
        kind,
        seq,
        title="".join(char if char.isprintable() else " " for char in HOSTILE),  # the engine lets no others through
        labels={"cluster": HOSTILE, "node": "n1"},
        annotations={"summary": HOSTILE, "description": HOSTILE},
        acknowledged_by=HOSTILE,
        resolved_because=HOSTILE,
        note=HOSTILE if kind is PageKind.NOTE else None,
    )


def enormous(kind: PageKind = PageKind.PAGE, seq: int = 1) -> Delivery:
    """A storm of 200 alerts with long labels, none left out; the title is as long as a title may be."""
    return message(
        kind,
        seq,
        title="ü" * 299 + "🔥",
        labels={f"label_{each}": "é" * 500 for each in range(20)},
        annotations={"summary": "ß" * 4000},
        alerts=200,
        note="ñ" * 50_000 if kind is PageKind.NOTE else None,
    )
