"""Datadog's webhooks, whose body the operator writes; docs/sources.md has one that says all. Datadog's own default body
is read too, as far as it goes.

Source: docs.datadoghq.com/integrations/webhooks (read 2026-11-21). $ALERT_TRANSITION is Triggered, Re-Triggered, Warn,
Re-Warn, No Data, Re-No Data, Renotify or Recovered. A monitor (`alert_id`) alerts once for each group (`scope`). The
default body has neither: its title, `[Recovered on {host:a}] Disk full`, stands for both.
"""

from __future__ import annotations

from imd.model.bodymap import BodyMap
from imd.sources.shapes import all_of, any_of, is_, moment, path, there, value

_TITLE = r"(?:\[[^\]]*\]\s*)*(.*?)\s*"
_SEVERITY = {"error": "critical", "warning": "warning", "info": "info", "success": "info", "user_update": "info"}

MAPS = (
    BodyMap(
        when=any_of(there("alert_id"), there("monitor_id"), there("title")),
        resolved=any_of(
            is_("transition", "recovered"),
            is_("alert_transition", "recovered"),
            all_of(is_("transition", ""), is_("alert_transition", ""), is_("title", r"\[recovered.*")),
        ),
        key=value(
            "{alert_id}/{scope}",
            "{alert_id}",
            "{monitor_id}/{scopes}",
            "{monitor_id}",
            "{title}",
            regex=r"(?:\[[^\]]*\]\s*)*(.+?)\s*",
            replacement="datadog/$1",
        ),
        labels={
            "alertname": value("{title}", "{alert_id}", regex=_TITLE),
            "severity": value("{type}", "{alert_type}", regex="(?i)(error|warning|info|success)", table=_SEVERITY),
            "priority": value("{priority}", regex="(?i)p?([1-5])", replacement="P$1"),
            "host": value("{host}"),
        },
        spread_labels=(path("scope"), path("tags")),
        annotations={
            "summary": value("{status}", "{title}"),
            "description": value("{message}", "{body}"),
            "query": value("{query}"),
        },
        at=moment("{date}"),
        url=value("{link}"),
    ),
)  # fmt: skip
