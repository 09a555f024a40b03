"""Sentry: the integration platform's webhooks (metric alerts, issue alerts, issues), and the WebHooks plugin before it.

Source: docs.sentry.io, Integration Platform, Webhooks (read 2026-11-21). The header Sentry-Hook-Timestamp says when. An
issue alert never resolves by itself: the webhook of the issue does, and has the same key. The plugin knows no resolve.
"""

from __future__ import annotations

from imd.model.bodymap import BodyMap
from imd.sources.shapes import is_, moment, path, there, value, values

_LEVEL = {
    "fatal": "critical",
    "error": "error",
    "warning": "warning",
    "info": "info",
    "debug": "info",
    "sample": "info",
}
_SAID = moment("{@sentry-hook-timestamp}")


MAPS = (
    BodyMap(
        when=there("data.metric_alert.id"),
        resolved=is_("action", "resolved"),
        firing=is_("action", "critical|warning"),
        key=value("metric/{data.metric_alert.id}"),
        labels=values(
            alertname="{data.metric_alert.alert_rule.name}",
            severity="{action}",
            project="{data.metric_alert.projects[0]}",
            environment="{data.metric_alert.alert_rule.environment}",
        ),
        annotations=values(summary="{data.description_title}", description="{data.description_text}"),
        starts_at=moment("{data.metric_alert.date_started}"),
        ends_at=moment("{data.metric_alert.date_closed}", "{@sentry-hook-timestamp}"),
        url=value("{data.web_url}"),
    ),
    BodyMap(
        when=there("data.issue.id"),
        ignore=is_("action", "assigned"),
        resolved=is_("action", "resolved|ignored|archived"),
        firing=is_("action", "created|unresolved"),
        key=value("issue/{data.issue.id}"),
        labels={
            "alertname": value("{data.issue.metadata.type}", "{data.issue.title}"),
            "severity": value("{data.issue.level}", table=_LEVEL),
            "project": value("{data.issue.project.slug}"),
        },
        annotations=values(summary="{data.issue.title}", culprit="{data.issue.culprit}"),
        at=_SAID,
        url=value("{data.issue.web_url}", "{data.issue.permalink}"),
    ),
    BodyMap(
        when=there("data.event.issue_id"),
        key=value("issue/{data.event.issue_id}"),
        labels={
            "alertname": value("{data.event.metadata.type}", "{data.event.title}"),
            "severity": value("{data.event.level}", table=_LEVEL),
            "environment": value("{data.event.environment}"),
            "rule": value("{data.triggered_rule}"),
        },
        annotations=values(summary="{data.event.title}", culprit="{data.event.culprit}"),
        at=_SAID,
        url=value("{data.event.web_url}"),
    ),
    BodyMap(
        when=there("project_slug"),
        key=value("issue/{id}"),
        labels={
            "alertname": value("{event.title}", "{message}"),
            "severity": value("{level}", table=_LEVEL),
            "project": value("{project_slug}"),
            "environment": value("{event.environment}"),
        },
        spread_annotations=(path("event.tags"),),
        annotations=values(summary="{message}", culprit="{culprit}"),
        at=moment("{event.timestamp}"),
        url=value("{url}"),
    ),
)
