"""Opsgenie's outgoing webhook: what Opsgenie itself was told, for as long as it still runs beside imd.

Source: a recorded body (tests/payloads); Opsgenie's page was not read anew. The alias is the alert's key; an alert
without one has its id. Actions that are neither its beginning nor its end say nothing of the alert.
"""

from __future__ import annotations

from imd.model.bodymap import BodyMap
from imd.sources.shapes import is_, moment, path, there, value, values

SEVERITY = {
    "p1": "critical", "p2": "error", "p3": "warning", "p4": "info", "p5": "info",
    "1": "critical", "2": "error", "3": "warning", "4": "info", "5": "info",
}  # fmt: skip
"""Opsgenie knows priorities alone."""

MAPS = (
    BodyMap(
        when=there("alert.alertId"),
        ignore=is_("action", "(?:un)?acknowledge|add.*|remove.*|assign.*|take.*|escalate.*|snooze.*|update.*|custom.*"),
        resolved=is_("action", "close|delete"),
        firing=is_("action", "create"),
        key=value("{alert.alias}", "{alert.alertId}"),
        labels={
            "alertname": value("{alert.details.alertname}", "{alert.message}"),
            "severity": value("{alert.details.severity}", "{alert.priority}", table=SEVERITY),
            "priority": value("{alert.priority}", regex="(?i)p?([1-5])", replacement="P$1"),
            "entity": value("{alert.entity}"),
        },
        spread_labels=(path("alert.details"),),
        annotations=values(summary="{alert.message}", description="{alert.description}", tags="{alert.tags}"),
        starts_at=moment("{alert.createdAt}"),
    ),
)
