"""ElastAlert 2's http_post2 alerter, whose body the rule writes; docs/sources.md has one. ElastAlert knows no resolve.

The page of ElastAlert 2 was not read anew. Its `alertmanager` alerter may post to imd's /api/v2/alerts as well.
"""

from __future__ import annotations

from imd.model.bodymap import BodyMap
from imd.sources.shapes import any_of, is_, moment, path, there, value, values

MAPS = (
    BodyMap(
        when=any_of(there("rule"), there("rule_name")),
        resolved=is_("status", "resolved|ok"),
        key=value("{rule}/{key}", "{rule}", "{rule_name}/{key}", "{rule_name}"),
        labels={
            "alertname": value("{rule}", "{rule_name}"),
            "severity": value("{severity}"),
        },
        spread_labels=(path("labels"),),
        annotations=values(summary="{message}", hits="{num_hits}"),
        at=moment("{timestamp}", '{["@timestamp"]}'),
        url=value("{url}", "{kibana_discover_url}"),
    ),
)
