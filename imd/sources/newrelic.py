"""New Relic: workflows (one body an issue) and the webhook channels that were before them.

Source: recorded bodies of both (tests/payloads); New Relic's pages were not read anew. An issue keeps its `id` from
CREATED by ACTIVATED and ACKNOWLEDGED to CLOSED.
"""

from __future__ import annotations

from imd.model.bodymap import BodyMap
from imd.sources.shapes import is_, moment, path, there, value, values

_PRIORITY = {"critical": "critical", "high": "error", "medium": "warning", "low": "info"}

MAPS = (
    BodyMap(
        when=there("issueUrl"),
        resolved=is_("state", "closed"),
        firing=is_("state", "created|activated|acknowledged"),
        key=value("{id}"),
        labels={
            "alertname": value("{alertConditionNames[0]}", "{title}"),
            "severity": value("{priority}", table=_PRIORITY),
            "policy": value("{alertPolicyNames[0]}"),
            "entity": value("{impactedEntities[0]}"),
        },
        annotations=values(summary="{title}", entities="{impactedEntities}", workflow="{workflowName}"),
        starts_at=moment("{activatedAt}", "{createdAt}"),
        ends_at=moment("{closedAt}", "{updatedAt}"),
        url=value("{issueUrl}"),
    ),
    BodyMap(
        when=there("incident_id"),
        resolved=is_("current_state", "closed"),
        firing=is_("current_state", "open|acknowledged"),
        key=value("newrelic/{incident_id}"),
        labels={
            "alertname": value("{condition_name}", "{policy_name}"),
            "severity": value("{severity}", table={"critical": "critical", "warning": "warning", "info": "info"}),
            "policy": value("{policy_name}"),
            "entity": value("{targets[0].name}"),
        },
        spread_labels=(path("targets[0].labels"),),
        annotations=values(summary="{details}", runbook_url="{runbook_url}"),
        at=moment("{timestamp}"),
        url=value("{incident_url}"),
    ),
)
