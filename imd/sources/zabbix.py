"""Zabbix's webhook media type, whose body its script makes; docs/sources.md has one.

Source: zabbix.com/documentation, Supported macros (5.0 to 7.2, read 2026-11-21), and a recorded body (tests/payloads).
{EVENT.ID} is that of the problem in its recovery too. {EVENT.STATUS} is PROBLEM or RESOLVED (OK before 5.0).
{EVENT.UPDATE.STATUS} is 1 for an acknowledgement or comment. Zabbix' dates name no zone and are not read.
"""

from __future__ import annotations

from imd.model.bodymap import BodyMap
from imd.sources.shapes import is_, moment, path, there, value, values

_SEVERITY = {
    "not classified": "info", "information": "info", "warning": "warning", "average": "error", "high": "critical",
    "disaster": "critical", "0": "info", "1": "info", "2": "warning", "3": "error", "4": "critical", "5": "critical",
}  # fmt: skip

MAPS = (
    BodyMap(
        when=there("trigger"),
        json=(path("tags"),),
        ignore=is_("update", "1"),
        resolved=is_("status", "ok|resolved"),
        firing=is_("status", "problem"),
        key=value("zabbix/{event_id}", "zabbix/{hostname}/{trigger}", "zabbix/{host}/{trigger}"),
        labels={
            "alertname": value("{trigger}"),
            "severity": value("{severity}", table=_SEVERITY),
            "host": value("{hostname}", "{host}"),
        },
        spread_labels=(path("tags"),),
        annotations={"summary": value("{problem}", "{hostname}: {item}", "{trigger}"), **values(data="{opdata}")},
        at=moment("{timestamp}"),
        url=value("{link}"),
    ),
)
