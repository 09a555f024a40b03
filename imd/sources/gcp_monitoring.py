"""Google Cloud Monitoring's webhook, versions 1.0 to 1.2.

Source: recorded bodies (tests/payloads), and cloud.google.com, AlertPolicy, for the severities (read 2026-11-21). An
incident has one `incident_id` from open to closed.
"""

from __future__ import annotations

from imd.model.bodymap import BodyMap
from imd.sources.shapes import any_of, is_, moment, path, there, value, values

_SEVERITY = {"critical": "critical", "error": "error", "warning": "warning", "no severity": "warning"}

MAPS = (
    BodyMap(
        when=any_of(there("incident.incident_id"), there("incident.state")),
        resolved=is_("incident.state", "closed"),
        firing=is_("incident.state", "open|acknowledged"),
        key=value("{incident.incident_id}"),
        labels={
            "alertname": value("{incident.policy_name}", "{incident.condition_name}"),
            "severity": value("{incident.severity}", "{incident.policy_user_labels.severity}", table=_SEVERITY),
            "condition": value("{incident.condition_name}"),
            "project": value("{incident.scoping_project_id}"),
            "resource": value("{incident.resource_display_name}", "{incident.resource_name}", "{incident.resource_id}"),
        },
        spread_labels=(
            path("incident.policy_user_labels"),
            path("incident.resource.labels"),
            path("incident.metric.labels"),
        ),
        annotations={
            **values(summary="{incident.summary}", observed="{incident.observed_value}"),
            "description": value("{incident.documentation.content}", "{incident.documentation}"),
        },
        starts_at=moment("{incident.started_at}"),
        ends_at=moment("{incident.ended_at}"),
        url=value("{incident.url}"),
    ),
)
