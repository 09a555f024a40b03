"""Checkmk, by a notification script that posts its variables; docs/sources.md has one.

Source: a recorded body (tests/payloads) and the script that made it, of keephq/keep (read 2026-11-21). `what` is HOST
or SERVICE. Of the types of notifications PROBLEM and RECOVERY say something of an alert, and all others do not. Its
dates are local but for one that says UTC.
"""

from __future__ import annotations

from imd.model.bodymap import BodyMap, Value
from imd.model.rule import Match
from imd.sources.shapes import is_, is_not, moment, there, value, values

_SEVERITY = {
    "crit": "critical", "critical": "critical", "warn": "warning", "warning": "warning", "unkn": "warning",
    "unknown": "warning", "down": "critical", "unreach": "error", "unreachable": "error",
}  # fmt: skip
_UTC = r"\w+ (\w+) +(\d+) ([\d:]+) UTC (\d+)"


def _notified(when: Match, name: Value, severity: Value, *key: str) -> BodyMap:
    return BodyMap(
        when=when,
        ignore=is_not("notification_type", "problem|recovery"),
        resolved=is_("notification_type", "recovery"),
        key=value(*key),
        labels={
            "alertname": name,
            "severity": severity,
            **values(host="{host}", site="{site}", address="{address}"),
        },
        annotations=values(summary="{host}: {output}", event="{event}", description="{long_output}"),
        at=moment("{timestamp}", "{long_date_time}", regex=rf"{_UTC}|(\d+)", replacement="$4 $1 $2 $3$5", pattern=""),
    )


MAPS = (
    _notified(
        is_("what", "service"),
        value("{service}"),
        value("{severity}", "{state}", table=_SEVERITY),
        "{site}/{host}/{service}",
        "{host}/{service}",
    ),
    _notified(there("host"), value("host"), value("{status}", "{state}", table=_SEVERITY), "{site}/{host}", "{host}"),
)
