"""Healthchecks' webhook, whose body the operator writes; docs/sources.md has one.

Its placeholders are $CODE, $NAME, $STATUS (up, down), $TAGS, $NOW, $SLUG and $BODY; its page was not read anew.
"""

from __future__ import annotations

from imd.model.bodymap import BodyMap
from imd.sources.shapes import is_, moment, path, there, value

MAPS = (
    BodyMap(
        when=there("status"),
        resolved=is_("status", "up"),
        firing=is_("status", "down"),
        key=value("{code}", "{slug}", "{name}"),
        labels={
            "alertname": value("{name}", "{slug}", "{code}"),
            "severity": value("{severity}", default="critical"),
        },
        spread_labels=(path("tags"),),
        annotations={"summary": value("{name} is {status}"), "body": value("{body}")},
        at=moment("{now}"),
    ),
)
