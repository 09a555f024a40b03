"""Splunk's webhook alert action.

Source: a recorded body (tests/payloads). It carries the first result only. Splunk knows no resolve; a search may say
one itself, in a field `state` of its result.
"""

from __future__ import annotations

from imd.model.bodymap import BodyMap
from imd.sources.shapes import is_, moment, there, value, values

MAPS = (
    BodyMap(
        when=there("search_name"),
        resolved=is_("result.state", "ok|up|resolved|closed|cleared"),
        key=value("{app}/{search_name}/{result.host}", "{app}/{search_name}", "{search_name}"),
        labels=values(
            alertname="{search_name}",
            severity="{result.severity}",
            host="{result.host}",
            app="{app}",
            sourcetype="{result.sourcetype}",
        ),
        annotations={
            "summary": value("{result.message}", "{result._raw}"),
            "owner": value("{owner}"),
        },
        at=moment("{result._time}"),
        url=value("{results_link}"),
    ),
)
