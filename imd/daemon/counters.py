"""Counters with labels stand at 0 from the moment that configuration names what they count.

A series that appears with its first count looks to Prometheus as if nothing had happened: `increase()` needs a value
before. So the first failed page of a receiver would set off no alert; with the zero it does.
"""

from __future__ import annotations

from collections.abc import Iterator

from imd.config.settings import Settings
from imd.model.event import Outcome
from imd.model.policy import PageKind, Ruleset
from imd.sources.contract import Reason
from imd.telemetry import Metrics


def start(metrics: Metrics, settings: Settings, ruleset: Ruleset) -> None:
    """Once at the start and after each reload; what counts already is left as it is."""
    for name, values in _named(settings, ruleset):
        metrics.count(name, values, 0.0)


def _named(settings: Settings, ruleset: Ruleset) -> Iterator[tuple[str, tuple[str, ...]]]:
    for receiver in settings.receivers:
        yield from (("pages_total", (receiver, PageKind.PAGE.value, outcome.value)) for outcome in Outcome)
        attempts = ("accepted", "temporary", "permanent")
        yield from (("delivery_attempts_total", (receiver, outcome)) for outcome in attempts)
        yield "receiver_templates_failed_total", (receiver,)
    for source in settings.sources:
        yield from (("alerts_received_total", (source, status)) for status in ("firing", "resolved"))
        yield from (("alerts_rejected_total", (source, reason.value)) for reason in Reason)
        yield "alerts_expired_total", (source,)
    yield from (("overload_rejections_total", (reason,)) for reason in ("inbox", "store", "memory"))
    if settings.watchdog is not None:
        yield from (("watchdog_pings_total", (outcome,)) for outcome in ("sent", "failed"))
    if settings.canary is not None:
        outcomes = ("accepted", "failed")
        yield from (("canary_pages_total", (settings.canary.receiver, outcome)) for outcome in outcomes)
    conditions = (rule.name for rule in ruleset.rules if rule.when is not None)
    yield from (("conditions_failed_total", (rule, "failed")) for rule in conditions)
