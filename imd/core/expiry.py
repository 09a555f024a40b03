"""When an alert that nobody speaks of any more expires (design section 5, Expiry is not a resolve).

Owns the deadlines; pure. An alert expires only once its source has been heard from at or after the deadline, because a
silent sender says nothing of its alerts; it stays stale, and firing, at most `silent_after` longer.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from imd.model.alert import Alert
from imd.model.policy import Source
from imd.model.presence import Outage

UNSTATED_END = timedelta(minutes=5)  # Alertmanager's resolve_timeout, for API alerts without endsAt
SETTLE = timedelta(seconds=5)  # a sender that comes back sends its alerts in several bodies
BACK_AFTER = timedelta(seconds=60)  # a longer gap than this between two reports counts as having been away
LOOK_EVERY = timedelta(hours=1)  # a deadline days ahead would keep an alert in memory till then, ended or not
OUTAGE_GRACE = timedelta(minutes=5)  # what senders get beyond the length of imd's own outage

NO_LONGER_REPORTED = "no longer reported"
SOURCE_SILENT = "source silent"


class Heard(msgspec.Struct):
    """When a source last spoke, and since when it has been speaking without a long gap. `waking`: its stale alerts are
    to be looked at soon."""

    heard_at: datetime
    back_at: datetime
    waking: bool = False

    def hear(self, now: datetime) -> None:
        if now - self.heard_at > BACK_AFTER:
            self.back_at = now
        self.heard_at = now


class Expires(msgspec.Struct, frozen=True):
    """The alert is over as of `at`, for this reason."""

    at: datetime
    because: str


class LooksAgain(msgspec.Struct, frozen=True):
    """Not yet. `stale` marks that only the source's silence keeps it."""

    at: datetime
    stale: bool


class Settles(msgspec.Struct, frozen=True):
    """Not yet: its source has just come back, and has until then to speak of it."""

    at: datetime


def deadline(alert: Alert, source: Source, outages: Iterable[Outage]) -> datetime:
    """The instant from which the alert's own sender no longer vouches for it. Outages since it was seen, oldest first,
    each put it off."""
    if alert.by_api:
        spans = alert.spans
        if len(spans) == 1 and spans[0].ended_at is None:  # as nearly all have
            due = spans[0].until or alert.seen_at + UNSTATED_END
        else:
            due = max(
                (span.until or alert.seen_at + UNSTATED_END for span in spans if span.ended_at is None),
                default=alert.seen_at + UNSTATED_END,
            )
    else:
        due = alert.seen_at + source.expire_after
    for outage in outages:
        if alert.seen_at < outage.back_at:
            due = max(due, outage.alive_at) + (outage.back_at - outage.alive_at) + OUTAGE_GRACE
    return due


def judge(
    alert: Alert, source: Source, heard: Heard, outages: Iterable[Outage], now: datetime
) -> Expires | LooksAgain | Settles:
    """Whether a firing alert expires now, else when to look again."""
    due = deadline(alert, source, outages)
    if now < due:
        return LooksAgain(due, stale=False)
    if heard.heard_at >= due:
        allowed = heard.back_at + SETTLE if heard.back_at >= due else due
        return Expires(due, NO_LONGER_REPORTED) if now >= allowed else Settles(allowed)
    if now >= due + source.silent_after:
        return Expires(due, SOURCE_SILENT)
    return LooksAgain(due + source.silent_after, stale=True)
