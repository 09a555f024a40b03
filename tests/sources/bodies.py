"""The bodies of tests/payloads/, by the type of source that they are sent to."""

from __future__ import annotations

from pathlib import Path

PAYLOADS = Path(__file__).parents[1] / "payloads"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_SENT_TO = {
    "alertmanager_fragment": "alertmanager",
    "opsgenie_webhook": "opsgenie",
    "pagerduty_events_v2": "pagerduty",
    "pagerduty_change_event": "pagerduty",
}
BODIES = sorted(str(file.relative_to(PAYLOADS)) for file in PAYLOADS.glob("*/*") if file.suffix in (".json", ".form"))


def kind(name: str) -> str:
    folder = name.partition("/")[0]
    return _SENT_TO.get(folder, folder)


def body(name: str) -> bytes:
    return (PAYLOADS / name).read_bytes().strip()


def headers(name: str) -> dict[str, str]:
    return FORM if name.endswith(".form") else {"Content-Type": "application/json"}


PAIRS = [
    ("aws_cloudwatch_sns/2.json", "aws_cloudwatch_sns/ok.json"),
    ("azure_monitor/fired.json", "azure_monitor/resolved.json"),
    ("checkmk/problem.json", "checkmk/1.json"),
    ("checkmk/service_problem.json", "checkmk/service_recovery.json"),
    ("cloudevents/failed.json", "cloudevents/recovered.json"),
    ("datadog/triggered.json", "datadog/recovered.json"),
    ("datadog/default_triggered.json", "datadog/default_recovered.json"),
    ("email/problem.json", "email/recovery.json"),
    ("email/firing.json", "email/resolved.json"),
    ("gcp_monitoring/1.json", "gcp_monitoring/2.json"),
    ("grafana/1.json", "grafana/2.json"),
    ("grafana/unified_firing.json", "grafana/unified_resolved.json"),
    ("healthchecks/down.json", "healthchecks/up.json"),
    ("icinga2/problem.json", "icinga2/recovery.json"),
    ("nagios/problem.json", "nagios/recovery.json"),
    ("newrelic/1.json", "newrelic/legacy_closed.json"),
    ("newrelic/2.json", "newrelic/closed.json"),
    ("opsgenie_webhook/1.json", "opsgenie_webhook/close.json"),
    ("pagerduty_events_v2/trigger.json", "pagerduty_events_v2/resolve.json"),
    ("sentry/event_alert.json", "sentry/issue_resolved.json"),
    ("sentry/metric_critical.json", "sentry/metric_resolved.json"),
    ("splunk/1.json", "splunk/resolved.json"),
    ("statuscake/down.form", "statuscake/up.form"),
    ("uptime_kuma/2.json", "uptime_kuma/2_up.json"),
    ("uptimerobot/down.json", "uptimerobot/up.json"),
    ("zabbix/problem.json", "zabbix/resolved.json"),
    ("zabbix/2.json", "zabbix/2_ok.json"),
]
"""What fires, and what says that it is over."""
