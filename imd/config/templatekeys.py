"""`templates:` of a receiver: the operator's own words, compiled and tried on samples.

Owns the samples: values as templates see them (`channels.text.values`; a test keeps the two alike), one with
all there can be and one with as little. A template that fails on both is a fault, at the expression that fails; on one
of them it is a lint, for in a page the built-in text stands in.
"""

from __future__ import annotations

from typing import Any

from imd.config import codes, form
from imd.config.channelsettings import Templates
from imd.config.document import Node, Scalar
from imd.config.form import Table
from imd.config.places import point_in
from imd.config.reading import template
from imd.config.shape import Key, Keys, Scope, read_keys, takes
from imd.model.template import RenderFailed, Template, failing_at


class _AnyLabel(dict[str, str]):
    """Which labels there will be is unknown: every one is there."""

    def __missing__(self, name: str) -> str:
        return f"a-{name}"

    def get(self, name: str, default: Any = None) -> Any:
        return self[name]

    def __contains__(self, name: object) -> bool:
        return True


_AT = "2026-01-01T00:00:00Z"


def sample(rich: bool) -> dict[str, Any]:
    """Values of a page with two alerts, a cause and all links; else of a resolve without anything."""
    alert: dict[str, Any] = {
        "fingerprint": "0123456789abcdef",
        "labels": _AnyLabel(alertname="NodeDown", severity="critical"),
        "annotations": _AnyLabel(summary="it is down") if rich else _AnyLabel(),
        "enriched": {},
        "status": "firing" if rich else "resolved",
        "starts_at": _AT,
        "ends_at": None if rich else _AT,
        "count": 1,
        "source": "prom",
        "incident": "i000000000001",
        "joined_at": _AT,
        "joined_because": "opened this incident",
        "generator_url": "https://prometheus.example/graph" if rich else "",
        "dropped_by": None,
        "suppressed_by": [],
        "verdict": None,
        "flapping": False,
    }
    incident: dict[str, Any] = {
        "id": "i000000000001",
        "number": 1,
        "title": "NodeDown n1: it is down",
        "state": "triggered" if rich else "resolved",
        "priority": "P2",
        "impact": "medium",
        "urgency": "high",
        "rule": "node-loss",
        "group_key": _AnyLabel(alertname="NodeDown"),
        "labels": _AnyLabel(alertname="NodeDown"),
        "root_cause": {"entity": "host/n1", "fingerprint": "0123456789abcdef", "reason": "it explains the others"}
        if rich
        else None,
        "alert_count": {"firing": 2 if rich else 0, "resolved": 0, "suppressed": 0},
        "opened_at": _AT,
        "acknowledged_at": _AT if rich else None,
        "resolved_at": None if rich else _AT,
        "closed_at": None,
        "assignee": "ana" if rich else None,
        "policy": "platform",
        "merged_into": None,
        "previous": None,
        "config_hash": "0123456789ab",
        "drill": False,
        "acknowledged_by": "ana" if rich else None,
        "resolved_because": None if rich else "alerts resolved",
    }
    url = "https://imd.example/v1/incidents/i000000000001"
    return {
        "version": "1",
        "kind": "page" if rich else "resolved",
        "reason": "first" if rich else None,
        "dedup_key": "s-i000000000001",
        "delivery_id": "s-i000000000001-1",
        "incident": incident,
        "alerts": [alert, alert] if rich else [],
        "truncated": 3 if rich else 0,
        "links": dict.fromkeys(("incident", "ack", "runbook"), url if rich else None),
        "note": None,
        "title": incident["title"],
        "headline": f"PAGE P2 #1 {incident['title']}",
        "happened": "" if rich else "Resolved.",
        "priority": "P2",
        "number": 1,
        "state": incident["state"],
        "to": "ana",
        "receiver": "ops-chat",
        "labels": incident["labels"],
        "group": incident["group_key"],
        "firing": incident["alert_count"]["firing"],
        "cause": "host/n1" if rich else "",
    }


@takes(form.text("template", "", "{{ labels.cluster }}: {{ firing }} alerts"))
def tried_template(node: Node, scope: Scope) -> Template:
    """A template that works on a sample at least."""
    compiled = template(node, scope)
    failed = {rich: reason for rich in (True, False) if (reason := _failure(compiled, rich))}
    if not failed:
        return compiled
    rich, reason = next(iter(failed.items()))
    assert isinstance(node, Scalar)
    place = point_in(scope.document, node, *failing_at(compiled.source, sample(rich)))
    if len(failed) == 2:
        raise scope.fault(codes.TEMPLATE_FAILS, place, f"{scope.subject} fails: {reason}")
    which = "a page with everything" if rich else "a resolve without alerts, cause and links"
    scope.document.lint(
        codes.TEMPLATE_FAILS_AT_TIMES,
        place,
        f"{scope.subject} fails on {which}: {reason}",
        help="test for what may be missing, with {% if … %} or | default('…'); the built-in text is sent instead",
    )
    return compiled


def _failure(compiled: Template, rich: bool) -> str:
    try:
        compiled.render(sample(rich))
    except RenderFailed as failed:
        return str(failed)
    return ""


TEMPLATES: Keys = {
    "title": Key(tried_template, "The title in plain text, in place of the incident's."),
    "body": Key(tried_template, "The text below it, in the receiver's own markup; what is inserted is made harmless."),
}


@takes(Table(TEMPLATES))
def templates(node: Node, scope: Scope) -> Templates:
    return Templates(**read_keys(TEMPLATES, node, scope))
