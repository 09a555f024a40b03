"""Floor 1, from bytes to events: one pure decoder a sender. To add one: a file, a line in DECODERS, a test, a docs
section. Sees the model alone.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from imd.model.bodymap import BodyMap
from imd.model.policy import Source
from imd.sources import (
    aws_cloudwatch_sns,
    azure_monitor,
    checkmk,
    datadog,
    elastalert,
    gcp_monitoring,
    healthchecks,
    icinga2,
    newrelic,
    sentry,
    splunk,
    statuscake,
    uptime_kuma,
    uptimerobot,
    zabbix,
)
from imd.sources.alertmanager import AlertmanagerWebhook
from imd.sources.alertmanager_api import AlertmanagerApi
from imd.sources.cloudevents import CloudEvents
from imd.sources.contract import DEFAULT_LIMITS, NO_HEADERS, Decoded, Decoder, Headers, Limits
from imd.sources.email import Email
from imd.sources.grafana import Grafana
from imd.sources.labels import KnownLabels
from imd.sources.mapped import Mapped
from imd.sources.opsgenie import Opsgenie
from imd.sources.pagerduty import PagerDuty

Factory = Callable[[KnownLabels, Source], Decoder]


def _by(maps: tuple[BodyMap, ...]) -> Factory:
    """Maps of the source's own come first, where its type takes any."""
    return lambda known, source: Mapped(known, source.name, source.maps + maps)


DECODERS: dict[str, Factory] = {
    "alertmanager": lambda known, source: AlertmanagerWebhook(known),
    "prometheus": lambda known, source: AlertmanagerApi(known),
    "grafana": lambda known, source: Grafana(known, source.name),
    "aws_cloudwatch_sns": _by(aws_cloudwatch_sns.MAPS),
    "azure_monitor": _by(azure_monitor.MAPS),
    "gcp_monitoring": _by(gcp_monitoring.MAPS),
    "datadog": _by(datadog.MAPS),
    "newrelic": _by(newrelic.MAPS),
    "zabbix": _by(zabbix.MAPS),
    "icinga2": _by(icinga2.MAPS),
    "nagios": _by(icinga2.MAPS),
    "checkmk": _by(checkmk.MAPS),
    "sentry": _by(sentry.MAPS),
    "splunk": _by(splunk.MAPS),
    "elastalert": _by(elastalert.MAPS),
    "uptime_kuma": _by(uptime_kuma.MAPS),
    "uptimerobot": _by(uptimerobot.MAPS),
    "statuscake": _by(statuscake.MAPS),
    "healthchecks": _by(healthchecks.MAPS),
    "pagerduty": lambda known, source: PagerDuty(known, source.name),
    "opsgenie": lambda known, source: Opsgenie(known, source.name),
    "cloudevents": lambda known, source: CloudEvents(known, source.name, source.maps),
    "email": lambda known, source: Email(known, source.name, source.maps),
    "mapped": _by(()),
}
"""A source's `type` to its decoder. `KnownLabels(source.labels)` is one per source."""

BUILT_IN = frozenset(DECODERS) - {"mapped"}
"""Types whose name is that of a source, too, where config has none of that name."""


def decode(
    source: Source, body: bytes, now: datetime, headers: Headers = NO_HEADERS, limits: Limits = DEFAULT_LIMITS
) -> Decoded:
    """What a body of this source means, for trying it out. Raises BadBody; KeyError for a type that has no decoder."""
    return DECODERS[source.type](KnownLabels(source.labels, limits), source).decode(body, now, headers)
