"""Grafana: unified alerting, whose body is Alertmanager's with more in it, and the legacy alerting before version 11.

Source: grafana.com/docs, Webhook notifier, 9.3 to latest (read 2026-11-21), and recorded bodies (tests/payloads).
Unified alerts are their label sets, as at Alertmanager; each has its own status. Legacy rules have a number.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from imd.model.alert import AlertReport
from imd.model.bodymap import BodyMap
from imd.sources.contract import NO_HEADERS, AlertRefused, Decoded, Headers, Reason, collect
from imd.sources.labels import KnownLabels
from imd.sources.made import Said, make, parse
from imd.sources.mapped import Mapped, text_of
from imd.sources.moments import read_instant
from imd.sources.shapes import any_of, is_, path, there, value, values

_encode = msgspec.json.Encoder().encode
_LINKS = {
    "dashboard": "dashboardURL", "panel": "panelURL", "silence": "silenceURL", "image": "imageURL",
    "value": "valueString",
}  # fmt: skip
_LEGACY = (
    BodyMap(
        when=any_of(there("ruleId"), there("ruleName")),
        ignore=is_("state", "paused|pending|unknown"),
        resolved=is_("state", "ok"),
        firing=is_("state", "alerting|no_data"),
        key=value("grafana/{ruleId}", "grafana/{ruleName}"),
        labels={"alertname": value("{ruleName}", "{title}"), "severity": value("{tags.severity}")},
        spread_labels=(path("tags"),),
        annotations=values(summary="{message}", image="{imageUrl}", metrics="{evalMatches[*].metric}"),
        url=value("{ruleUrl}"),
    ),
)


class Grafana:
    """Decoder of both."""

    by_api = False

    def __init__(self, known: KnownLabels, source: str) -> None:
        self.known = known
        self._source = source
        self._legacy = Mapped(known, source, _LEGACY)

    def decode(self, body: bytes, now: datetime, headers: Headers = NO_HEADERS) -> Decoded:
        value = parse(body, headers, self.known.limits.depth_max)
        alerts = value.get("alerts") if isinstance(value, dict) else None
        if not isinstance(alerts, list):
            return self._legacy.take(value, headers)
        return collect(alerts, self._report, _encode)

    def _report(self, alert: Any) -> AlertReport:
        if not isinstance(alert, dict) or not isinstance(alert.get("labels"), dict):
            raise AlertRefused(Reason.REQUIRED, "labels in body is required")
        status = alert.get("status")
        if status not in ("firing", "resolved"):
            shown = status[:40] if isinstance(status, str) else status
            raise AlertRefused(Reason.STATUS, f'status must be "firing" or "resolved", not {shown!a}')
        annotations = alert.get("annotations")
        texts = _texts(annotations) if isinstance(annotations, dict) else {}
        texts |= {name: text for name, field in _LINKS.items() if (text := text_of(alert.get(field)))}
        labels = _texts(alert["labels"])
        said = Said(
            labels=labels,
            identity=labels,
            resolved=status == "resolved",
            annotations=texts,
            starts_at=read_instant(text_of(alert.get("startsAt")) or ""),
            ends_at=read_instant(text_of(alert.get("endsAt")) or ""),
            url=text_of(alert.get("generatorURL")) or "",
        )
        return make(self.known, self._source, said)


def _texts(found: dict[str, Any]) -> dict[str, str]:
    for name, one in found.items():
        if not isinstance(one, str | None):
            raise AlertRefused(Reason.SCHEMA, f'label or annotation "{name[:100]}" must be a string')
    return {name: one for name, one in found.items() if one}
