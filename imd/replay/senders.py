"""Who reports which alert of a test, and what they say of it.

Owns what senders remember: which source an alert came from, when it began by that source's word, its annotations. Knows
nothing of time and engine but what it is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec

from imd.config.testevents import End, Fire
from imd.config.testvalues import AlertRef, Moment, NamedAlert
from imd.core.expiry import NO_LONGER_REPORTED
from imd.model.alert import NO_ANNOTATIONS, AlertReport, Identity, identify
from imd.model.event import AlertsExpired, AlertsReported, Expired
from imd.model.policy import Source
from imd.replay.seen import flow

SOURCE = "test"


class NotFiring(Exception):
    """An alert is to be repeated that does not fire; the text is its name."""


class _Told(msgspec.Struct):
    source: str
    annotations: bytes


class Senders:
    """`sources` are the configured ones, whose labels join the identity; `fires` says whether imd holds an alert for
    firing; `instant` makes an instant of a time of the test."""

    def __init__(
        self,
        alerts: Mapping[str, NamedAlert],
        sources: Mapping[str, Source],
        fires: Callable[[Identity], bool],
        instant: Callable[[Moment], datetime],
    ) -> None:
        self._alerts, self._sources = alerts, sources
        self._fires, self._instant = fires, instant
        self._told: dict[str, _Told] = {}
        self._starts: dict[bytes, datetime] = {}
        self.names: dict[bytes, str] = {}
        for name, alert in alerts.items():
            self.names.setdefault(self._identity(alert.labels, alert.source).key, name)

    def fire(self, fire: Fire, now: datetime) -> list[AlertsReported]:
        """A request for each source. Raises NotFiring."""
        reports: dict[str, list[AlertReport]] = {}
        for ref in fire.alerts:
            told, identity = self._meant(ref, fire.source)
            if fire.annotations:
                told.annotations = msgspec.json.encode(fire.annotations)
            firing = self._fires(identity)
            if fire.again and not firing:
                raise NotFiring(_word(ref))
            if ref.name:
                self.names.setdefault(identity.key, ref.name)
            starts_at = self._starts.get(identity.key, now) if firing else now
            if fire.starts_at is not None:
                starts_at = self._instant(fire.starts_at)
            self._starts[identity.key] = starts_at
            ends_at = None if fire.ends_at is None else self._instant(fire.ends_at)
            reports.setdefault(told.source, []).append(
                AlertReport(identity, False, starts_at, ends_at, told.annotations)
            )
        return [AlertsReported(source, False, tuple(several)) for source, several in reports.items()]

    def end(self, end: End, now: datetime) -> list[AlertsReported | AlertsExpired]:
        """A request for each source; or the word that nobody speaks of them any more."""
        reports: dict[str, list[AlertReport]] = {}
        expired: list[Expired] = []
        for ref in end.alerts:
            told, identity = self._meant(ref, end.source)
            expired.append(Expired(identity, now, NO_LONGER_REPORTED))
            starts_at = self._starts.pop(identity.key, None)
            reports.setdefault(told.source, []).append(AlertReport(identity, True, starts_at, now, told.annotations))
        if end.expired:
            return [AlertsExpired(tuple(expired))]
        return [AlertsReported(source, False, tuple(several)) for source, several in reports.items()]

    def identity(self, ref: AlertRef) -> Identity:
        """Of an alert of the test, as it was last reported."""
        return self._meant(ref, "")[1]

    def _meant(self, ref: AlertRef, source: str) -> tuple[_Told, Identity]:
        """What its sender said last, or says first."""
        named = self._alerts.get(ref.name) or NamedAlert(ref.labels)
        told = self._told.get(_word(ref))
        if told is None:
            annotations = msgspec.json.encode(named.annotations) if named.annotations else NO_ANNOTATIONS
            told = self._told[_word(ref)] = _Told(named.source or SOURCE, annotations)
        if source:
            told.source = source
        return told, self._identity(named.labels, told.source)

    def _identity(self, labels: dict[str, str], source: str) -> Identity:
        configured = self._sources.get(source)
        return identify(labels | configured.labels if configured is not None else labels)


def _word(ref: AlertRef) -> str:
    return ref.name or flow(ref.labels)
