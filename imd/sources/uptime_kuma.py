"""Uptime Kuma's webhook.

Source: github.com/louislam/uptime-kuma, issue 1207 (read 2026-11-21), and recorded bodies (tests/payloads).
heartbeat.status is 0 down, 1 up, 2 pending, 3 maintenance. Tests and warnings of certificates have neither heartbeat
nor monitor, only a `msg`; a test's ends in "Testing".
"""

from __future__ import annotations

from imd.model.bodymap import BodyMap
from imd.sources.shapes import any_of, is_, moment, path, there, value, values

MAPS = (
    BodyMap(
        when=any_of(there("monitor.id"), there("heartbeat.status")),
        ignore=is_("heartbeat.status", "2|3"),
        resolved=is_("heartbeat.status", "1"),
        firing=is_("heartbeat.status", "0"),
        key=value("kuma/{monitor.id}", "kuma/{heartbeat.monitorID}"),
        labels={
            "alertname": value("{monitor.name}"),
            "severity": value("critical"),
            "instance": value("{monitor.url}", "{monitor.hostname}", regex="(https?://)?(.*)", replacement="$1$2"),
            "monitor_type": value("{monitor.type}"),
        },
        spread_labels=(path("monitor.tags"),),
        annotations={"summary": value("{heartbeat.msg}", "{msg}"), **values(description="{monitor.description}")},
        at=moment("{heartbeat.time}", "{heartbeat.localDateTime}{heartbeat.timezoneOffset}"),
    ),
    BodyMap(
        when=there("msg"),
        ignore=is_("msg", ".*testing"),
        key=value("{msg}"),
        labels={"alertname": value("UptimeKuma"), "severity": value("warning")},
        annotations=values(summary="{msg}"),
    ),
)
