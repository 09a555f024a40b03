"""StatusCake's webhook of uptime tests: a form.

Source: the pages of two other receivers, docs.firehydrant.com and docs.itoc360.com (read 2026-11-21): Status (Up,
Down), StatusCode, URL, IP, Name, Tags, CheckRate. No number names the test, so its name and URL are its key.
"""

from __future__ import annotations

from imd.model.bodymap import BodyMap
from imd.sources.shapes import is_, path, there, value, values

MAPS = (
    BodyMap(
        when=there("Status"),
        resolved=is_("Status", "up"),
        firing=is_("Status", "down"),
        key=value("{Name} {URL}", "{Name}", "{URL}"),
        labels={
            "alertname": value("{Name}", "{URL}"),
            "severity": value("critical"),
            "instance": value("{URL}"),
        },
        spread_labels=(path("Tags"),),
        annotations={**values(summary="{Status}: status {StatusCode}", ip="{IP}")},
    ),
)
