"""Shapes of answers that only the API shows; incidents and alerts look as `model.view` says.

Owns the translation from records and rows. Decides nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Generic, TypeVar

import msgspec

from imd.core.times import Window
from imd.model.incident import TimelineEntry
from imd.model.quiet import Maintenance, Silence, TimeInterval, Weekly
from imd.model.rule import Match, Rule
from imd.store.contract import DeliveryRow, RejectedRow

Item = TypeVar("Item")
RawObject = Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"type": "object"})]
"""An object that is kept as the JSON it was."""


class Items(msgspec.Struct, Generic[Item], frozen=True):
    """One page of a list. `next_cursor` goes back as `cursor`; null on the last page."""

    items: list[Item]
    next_cursor: str | None = None


class JournalPage(msgspec.Struct, frozen=True):
    """One page of the journal: lines of EVENTS.jsonl, as they were written."""

    items: list[RawObject]
    next_cursor: str | None = None


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """`state`: pending, accepted, failed, cancelled, unknown. `ambiguous`: an attempt may have arrived unanswered."""

    delivery_id: str
    incident: str
    number: int
    receiver: str
    to: str
    kind: str
    reason: str | None
    priority: str
    step: int
    state: str
    attempts: int
    ambiguous: bool
    created_at: datetime
    next_attempt_at: datetime | None
    settled_at: datetime | None
    error: str | None
    headline: str


class RejectedView(msgspec.Struct, frozen=True, kw_only=True):
    """`index` is the alert's place in its body, -1 for the body as a whole."""

    at: datetime
    source: str
    index: int
    error: str
    excerpt: str


class AuditView(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the audit log: the event as the journal has it, and the seal over it and all lines before."""

    seq: int
    event: RawObject
    seal: str


class RuleView(msgspec.Struct, frozen=True, kw_only=True):
    """One rule, as far as it tells which alerts it takes. `where`: its file and line."""

    name: str
    description: str
    match: list[list[str]]
    group_by: list[str]
    window: str
    hold_seconds: float
    mode: str
    policy: str | None
    where: str


class LineView(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a timeline."""

    at: datetime
    learnt_at: datetime
    kind: str
    text: str
    by: str
    details: dict[str, str]


class SilenceView(msgspec.Struct, frozen=True, kw_only=True):
    """`state`: pending, active, expired. `suppressing`: how many alerts it mutes now."""

    id: str
    state: str
    matchers: list[str]
    starts_at: datetime
    ends_at: datetime
    updated_at: datetime
    by: str
    comment: str
    suppressing: int


class MaintenanceView(msgspec.Struct, frozen=True, kw_only=True):
    """`begins_at` and `ends_at` are those of the window in force, else of the next one; null if none is in sight.
    `windows` are words for people."""

    name: str
    match: list[list[str]]
    reason: str
    active: bool
    begins_at: datetime | None
    ends_at: datetime | None
    timezone: str
    windows: list[str]


def delivery_view(row: DeliveryRow) -> DeliveryView:
    delivery = row.delivery
    return DeliveryView(
        delivery_id=delivery.id,
        incident=delivery.incident,
        number=delivery.number,
        receiver=delivery.receiver,
        to=delivery.to,
        kind=delivery.kind.value,
        reason=delivery.reason.value if delivery.reason else None,
        priority=delivery.priority.value,
        step=delivery.step,
        state=row.state.value,
        attempts=row.attempts,
        ambiguous=row.ambiguous,
        created_at=delivery.created_at,
        next_attempt_at=row.next_attempt_at,
        settled_at=row.settled_at,
        error=row.error or None,
        headline=delivery.headline,
    )


def rejected_view(row: RejectedRow) -> RejectedView:
    return RejectedView(at=row.at, source=row.source, index=row.index, error=row.error, excerpt=row.excerpt)


def rule_view(rule: Rule) -> RuleView:
    return RuleView(
        name=rule.name,
        description=rule.description,
        match=_matchers(rule.match),
        group_by=["..."] if rule.group_by is None else list(rule.group_by),
        window=rule.window.kind.value,
        hold_seconds=rule.hold.total_seconds(),
        mode=rule.mode.value,
        policy=rule.policy or None,
        where=rule.where,
    )


def _matchers(match: Match) -> list[list[str]]:
    return [[str(matcher) for matcher in matchers] for matchers in match]


def silence_view(silence: Silence, now: datetime, suppressing: int) -> SilenceView:
    return SilenceView(
        id=silence.id,
        state=silence.state(now).value,
        matchers=[str(matcher) for matcher in silence.matchers],
        starts_at=silence.starts_at,
        ends_at=silence.ends_at,
        updated_at=silence.updated_at,
        by=silence.created_by,
        comment=silence.comment,
        suppressing=suppressing,
    )


def maintenance_view(maintenance: Maintenance, window: Window | None, now: datetime) -> MaintenanceView:
    return MaintenanceView(
        name=maintenance.name,
        match=_matchers(maintenance.match),
        reason=maintenance.reason,
        active=window is not None and window.begins_at <= now,
        begins_at=window.begins_at if window is not None else None,
        ends_at=window.ends_at if window is not None else None,
        timezone=maintenance.during.timezone,
        windows=_windows(maintenance.during),
    )


_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _windows(interval: TimeInterval) -> list[str]:
    single = [f"{once.begins_at:%Y-%m-%dT%H:%MZ} to {once.ends_at:%Y-%m-%dT%H:%MZ}" for once in interval.once]
    return [_weekly(weekly) for weekly in interval.weekly] + single


def _weekly(weekly: Weekly) -> str:
    days = ",".join(_WEEKDAYS[day] for day in weekly.weekdays) or "daily"
    others = {"days": weekly.days_of_month, "months": weekly.months, "years": weekly.years}
    said = [f"{name} {','.join(f'{first}:{last}' for first, last in found)}" for name, found in others.items() if found]
    return " ".join([days, *said, f"{_clock(weekly.begins)}-{_clock(weekly.ends)}"])


def _clock(time_of_day: timedelta) -> str:
    minutes = int(time_of_day.total_seconds()) // 60
    return f"{minutes // 60:02}:{minutes % 60:02}"


def line_view(entry: TimelineEntry) -> LineView:
    return LineView(
        at=entry.at,
        learnt_at=entry.learnt_at,
        kind=entry.kind,
        text=entry.text,
        by=entry.by,
        details=entry.details,
    )
