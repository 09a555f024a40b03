"""Is this report new, a repeat, a resolve, a revival or out of order: episodes and their spans (design section 5).

Owns the arithmetic of spans; pure. A span is one stretch of firing as one sender numbers it by its start. Spans of one
identity that overlap are one episode. How it stays the same under any order of reports:

- a resolve of a start that was never seen is kept as an ended span, so that the firing report that comes late finds it;
- a firing report for an ended span is a late double and changes nothing, unless it was received more than `lateness`
  after that end: then somebody still sees it firing, and the episode revives.
- so an ended span is remembered for `lateness`, into the next episode if need be, and then says nothing any more.
"""

from __future__ import annotations

import enum
from datetime import UTC, datetime, timedelta

import msgspec

from imd.model.alert import Alert, AlertReport, AlertState, Span

_NEVER = datetime.min.replace(tzinfo=UTC)


class Verdict(enum.Enum):
    """What a report means for the alert it names."""

    NEW = "a new episode"
    REPEAT = "nothing but a refresh"
    WIDENED = "another span of an episode that fires already"
    RESOLVED = "the episode has ended"
    NARROWED = "one span ended, another fires on"
    REVIVED = "the episode fires again"
    LATE = "older than what is known already"
    ENDED_UNSEEN = "a resolve of something that was never seen firing"


class Alone:
    """Makes the spans of alerts that have one. Those of one body mostly begin and end together: they share it."""

    def __init__(self) -> None:
        self._last = (Span(_NEVER, None, None),)

    def __call__(self, starts_at: datetime, until: datetime | None, unsaid: bool = False) -> tuple[Span, ...]:
        last = self._last[0]
        if last.starts_at is not starts_at or last.until is not until or last.unsaid is not unsaid:
            self._last = (Span(starts_at, until, None, unsaid),)
        return self._last


def refresh(alert: Alert, report: AlertReport, now: datetime, alone: Alone) -> bool:
    """The short way for the commonest report: the one span that fires, reported again. False: judge it in full."""
    if report.resolved or alert.state is not AlertState.FIRING or len(alert.spans) != 1:
        return False
    span = alert.spans[0]
    if span.starts_at != report.starts_at or alert.other_labels != report.labels:
        return False
    if span.until != report.ends_at:
        if brings_forward(span, report):
            return False
        alert.spans = alone(report.starts_at, report.ends_at)
    alert.seen_at = now
    alert.count += 1
    alert.annotations = report.annotations
    alert.generator_url = report.generator_url
    return True


def brings_forward(span: Span, report: AlertReport) -> bool:
    """Whether the end that a sender gave before may have moved to an earlier instant: its deadline is planned anew."""
    before, end = span.until, report.ends_at
    return before != end and (before is None or end is None or end < before)


def restates(alert: Alert, report: AlertReport) -> bool:
    """Whether a sender with a key of its own says other labels of the alert than before. What comes with a resolve is
    passed over: `severity: ok` says nothing of what it was."""
    return not report.resolved and report.labels != alert.other_labels


def anchored(alert: Alert, report: AlertReport) -> AlertReport:
    """The report of a sender that tells the time of each event and not when it all began: what fires already, or was
    only not heard of any more, keeps its start, unless the event came before that."""
    if not report.event_time or report.resolved or report.starts_at is None or alert.state is AlertState.RESOLVED:
        return report
    began = min((span.starts_at for span in alert.spans if span.ended_at is None), default=alert.starts_at)
    return msgspec.structs.replace(report, starts_at=None) if report.starts_at >= began else report


def judge(alert: Alert | None, report: AlertReport, now: datetime, lateness: timedelta) -> Verdict:
    """What the report means. Changes nothing; `absorb` does."""
    if report.resolved:
        return _judge_resolve(alert, report, now, lateness)
    if alert is None:
        return Verdict.NEW
    if alert.state is AlertState.FIRING:
        return _judge_firing(alert, report, now, lateness)
    return _judge_return(alert, report, now, lateness)


def _judge_firing(alert: Alert, report: AlertReport, now: datetime, lateness: timedelta) -> Verdict:
    span = named_span(alert, report.starts_at)
    if span is None:
        ended = ended_by_then(alert, report.starts_at)
        return Verdict.WIDENED if ended is None or now - lateness > ended else Verdict.LATE
    if span.ended_at is None:
        return Verdict.REPEAT
    return Verdict.WIDENED if now - lateness > span.ended_at else Verdict.LATE


def _judge_return(alert: Alert, report: AlertReport, now: datetime, lateness: timedelta) -> Verdict:
    """A firing report for an episode that has ended."""
    ended_at = alert.ended_at
    assert ended_at is not None
    if report.starts_at is None:
        return Verdict.REVIVED if alert.state is AlertState.EXPIRED else Verdict.NEW
    span = named_span(alert, report.starts_at)
    if span is not None:
        end = span.ended_at
    elif report.starts_at > ended_at:
        return Verdict.NEW
    else:
        end = ended_by_then(alert, report.starts_at)
    if end is None:
        return Verdict.REVIVED
    return Verdict.REVIVED if now - lateness > end else Verdict.LATE


def _judge_resolve(alert: Alert | None, report: AlertReport, now: datetime, lateness: timedelta) -> Verdict:
    if alert is not None:
        open_spans = [span for span in alert.spans if span.ended_at is None]
        ended = sum(_ends(alert, report, span, lateness) for span in open_spans)
        if ended:
            whole = ended == len(open_spans) and alert.state is AlertState.FIRING
            return Verdict.RESOLVED if whole else Verdict.NARROWED
    fresh = report.ends_at is None or report.ends_at >= now - lateness
    if report.starts_at is None or not fresh:
        return Verdict.LATE
    if alert is None:
        return Verdict.ENDED_UNSEEN
    if named_span(alert, report.starts_at) is not None:
        return Verdict.LATE
    apart = alert.ended_at is not None and report.starts_at > alert.ended_at
    return Verdict.ENDED_UNSEEN if apart else Verdict.NARROWED


def _ends(alert: Alert, report: AlertReport, span: Span, lateness: timedelta) -> bool:
    """An API resolve ends the span it names; a webhook's, or one without a start, every span begun by its end. Where
    that is not given it is now, and every span has begun, also one that its sender's clock puts ahead of ours. A span
    whose start nobody said began when it was heard of, which may be later than its end by its sender's clock."""
    if alert.by_api and report.starts_at is not None:
        return span.starts_at == report.starts_at
    ends_at = report.ends_at
    if ends_at is None or span.starts_at <= ends_at or span.starts_at == report.starts_at:
        return True
    return span.unsaid and span.starts_at - lateness <= ends_at


def named_span(alert: Alert, starts_at: datetime | None) -> Span | None:
    """The span that a report speaks of: by its start; without one the newest that is open, else the newest."""
    if starts_at is None:
        return next((span for span in reversed(alert.spans) if span.ended_at is None), alert.spans[-1])
    return next((span for span in alert.spans if span.starts_at == starts_at), None)


def ended_by_then(alert: Alert, starts_at: datetime | None) -> datetime | None:
    """Webhook resolves end every span begun by their end, also one that arrives later. The end, or None."""
    if alert.by_api or starts_at is None:
        return None
    return max((span.ended_at for span in alert.spans if span.ended_at and span.ended_at >= starts_at), default=None)


def absorb(
    alert: Alert, report: AlertReport, verdict: Verdict, now: datetime, lateness: timedelta, spans_max: int
) -> None:
    """Brings the record's spans, times and texts up to date with a report that was judged."""
    alert.seen_at = now
    if report.resolved:
        _absorb_resolve(alert, report, now, lateness, spans_max)
        return
    alert.count += 1
    alert.annotations = report.annotations
    alert.generator_url = report.generator_url
    alert.other_labels = report.labels
    if verdict is Verdict.REVIVED:
        alert.state = AlertState.FIRING
        alert.ended_at = None
    _absorb_span(alert, report, spans_max)
    if len(alert.spans) > 1:
        alert.spans = tuple(span for span in alert.spans if span.ended_at is None or span.ended_at >= now - lateness)


def _absorb_span(alert: Alert, report: AlertReport, spans_max: int) -> None:
    span = named_span(alert, report.starts_at)
    if span is None:
        assert report.starts_at is not None
        alert.spans = _capped((*alert.spans, Span(report.starts_at, report.ends_at, None)), spans_max)
        alert.starts_at = min(alert.starts_at, report.starts_at)
        return
    if span.until != report.ends_at or span.ended_at is not None:
        fresh = Span(span.starts_at, report.ends_at, None, span.unsaid)
        alert.spans = tuple(fresh if one is span else one for one in alert.spans)


def _absorb_resolve(alert: Alert, report: AlertReport, now: datetime, lateness: timedelta, spans_max: int) -> None:
    end = report.ends_at or now
    spans = tuple(
        Span(span.starts_at, span.until, end, span.unsaid)
        if span.ended_at is None and _ends(alert, report, span, lateness)
        else span
        for span in alert.spans
    )
    if report.starts_at is not None and all(span.starts_at != report.starts_at for span in spans):
        spans = _capped((*spans, Span(report.starts_at, None, end)), spans_max)
        if end >= alert.starts_at:  # else it was over before this episode began
            alert.starts_at = min(alert.starts_at, report.starts_at)
    alert.spans = spans
    if all(span.ended_at is not None for span in spans):
        alert.state = AlertState.RESOLVED
        alert.ended_at = max(span.ended_at for span in spans if span.ended_at is not None)


def _capped(spans: tuple[Span, ...], spans_max: int) -> tuple[Span, ...]:
    """In order of start; beyond the cap the two oldest become one that ends when the later of them does."""
    ordered = tuple(sorted(spans, key=lambda span: span.starts_at))
    while len(ordered) > spans_max:
        first, second = ordered[:2]
        joined = second if second.ended_at is None else first
        if first.ended_at is not None and second.ended_at is not None and first.ended_at < second.ended_at:
            joined = second
        ordered = (joined, *ordered[2:])
    return ordered


def first_span(report: AlertReport, now: datetime) -> Span:
    """The span that begins a new episode. A report without a start begins at its end, as in
    Alertmanager, or now."""
    end = (report.ends_at or now) if report.resolved else None
    starts_at = report.starts_at or report.ends_at or now
    unsaid = report.starts_at is None and report.ends_at is None
    return Span(starts_at, None if report.resolved else report.ends_at, end, unsaid)


def begin(
    old: Alert | None, report: AlertReport, now: datetime, lateness: timedelta, spans_max: int, alone: Alone
) -> tuple[Span, tuple[Span, ...]]:
    """The span that begins a new episode, and all its spans: those of the episode before that ended within `lateness`
    are remembered, so that their doubles are known for late."""
    if old is None and not report.resolved and report.starts_at is not None:
        spans = alone(report.starts_at, report.ends_at)
        return spans[0], spans
    span = first_span(report, now)
    before = old.spans if old is not None else ()
    kept = [
        one
        for one in before
        if one.ended_at is not None and one.ended_at >= now - lateness and one.starts_at != span.starts_at
    ]
    return span, _capped((*kept, span), spans_max) if kept else (span,)
