"""Icinga 2 and Nagios, whose notification commands send what the operator writes; docs/sources.md has one for each.

Source: a recorded body (tests/payloads) and both programs' macros, whose pages were not read anew. Types are PROBLEM,
RECOVERY, ACKNOWLEDGEMENT, CUSTOM and those of downtimes and flapping; soft states are not yet believed by the sender
itself.
"""

from __future__ import annotations

from imd.model.bodymap import BodyMap
from imd.sources.shapes import all_of, any_of, is_, is_not, moment, there, value

_SEVERITY = {
    "critical": "critical", "down": "critical", "unreachable": "error", "warning": "warning", "unknown": "warning",
    "1": "warning", "2": "critical", "3": "warning",
}  # fmt: skip
_OTHERS = "acknowledgement|custom|downtime.*|flapping.*"
_SOFT = any_of(is_("state_type", "soft|0"), is_("check_result.state_type", "soft|0"))
_GOOD = "ok|up"

MAPS = (
    BodyMap(
        when=any_of(there("host"), there("host.name")),
        ignore=any_of(
            is_("notification_type", _OTHERS),
            *(all_of((soft,), is_not("state", _GOOD), is_not("check_result.state", _GOOD)) for soft in _SOFT),
        ),
        resolved=any_of(is_("state", _GOOD), is_("check_result.state", _GOOD)),
        firing=any_of(
            is_("state", "critical|down|unreachable|warning|unknown"),
            is_("check_result.state", "critical|down|unreachable|warning|unknown"),
        ),
        key=value("{host.name}!{service.name}", "{host}!{service}", "{host.name}", "{host}"),
        labels={
            "alertname": value("{service.name}", "{service}", "host"),
            "severity": value("{check_result.state}", "{state}", table=_SEVERITY),
            "host": value("{host.name}", "{host}"),
            "address": value("{address}", "{host.address}"),
        },
        annotations={
            "summary": value(
                "{host.name}: {check_result.output}", "{host.name}: {output}", "{host}: {output}", "{output}"
            ),
            "comment": value("{comment}"),
        },
        at=moment("{timestamp}", "{check_result.execution_end}"),
        url=value("{url}"),
    ),
)
