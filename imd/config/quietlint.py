"""Lints of what keeps alerts quiet: windows that never come or never end, inhibitions that mute nothing.

Quiet that is planned and does not come pages people at night; quiet that nobody planned is worse.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from imd.config import codes
from imd.config.document import Document
from imd.config.logic import ANY, Taken, Takers, match_within, never, shared, taken
from imd.config.rulefile import Named, Planned, RuleFiles
from imd.config.wording import quote
from imd.model.quiet import DAY, Inhibition, TimeInterval, Weekly
from imd.model.rule import Match

_CALENDAR_FROM, _CALENDAR_YEARS = 2020, 28
_WEEK = timedelta(days=7)
_FAR = timedelta(days=366)
_HOW_URGENT = frozenset({"severity", "priority"})
"""Labels that say of an alert how bad it is, and neither what nor where."""


def lint_quiet(files: RuleFiles, now: datetime | None) -> None:
    """With `now`, windows that are over count as those that never come."""
    for times in files.times.values():
        if times.value is not None and not _occurs(times.value, now):
            _never_occurs(times.document, times, f"times {quote(times.name)} never occur")
    for planned in files.maintenance.values():
        if planned.value is not None:
            _lint_maintenance(files, planned, planned.value, now)
    used = {reference.name for reference in files.references if reference.kind == "times"}
    for times in files.times.values():
        if times.name not in used:
            times.document.lint(
                codes.UNUSED_TIMES,
                times.span,
                f"times {quote(times.name)} are never used",
                help="remove it, or name it where it is meant",
            )
    beats = Takers()
    for heartbeat in files.heartbeats.values():
        for matchers in heartbeat.value.match if heartbeat.value is not None else ():
            beats.add(quote(heartbeat.name), taken(matchers))
    for inhibition in files.inhibitions.values():
        if inhibition.value is not None:
            _lint_inhibition(inhibition, inhibition.value, beats)


def _never_occurs(document: Document, named: Named[TimeInterval] | Named[Planned], text: str) -> None:
    span = named.value.span if isinstance(named.value, Planned) else named.span
    document.lint(codes.NEVER_OCCURS, span, text, help="no day fits, or its last window is over")


def _lint_maintenance(files: RuleFiles, named: Named[Planned], planned: Planned, now: datetime | None) -> None:
    who = f"maintenance {quote(named.name)}"
    own = planned.windows
    shared_times = files.times.get(planned.during)
    windows = own or (shared_times.value if shared_times is not None else None)
    if windows is None:
        return
    if own is not None and not _occurs(own, now):  # those of `times` are said where they stand
        _never_occurs(named.document, named, f"{who} never occurs")
    elif _always(windows, now):
        named.document.lint(
            codes.QUIET_WITHOUT_END,
            planned.span,
            f"{who} never ends: some window of it is always in force",
            help="what it matches pages nobody, P1 neither; for good a rule with mode: suppress says so",
        )
    for of in map(taken, planned.match):
        if all(label.allows("") for label in of.values()):
            lacking = " and ".join(quote(name) for name in of)
            named.document.lint(
                codes.TAKES_NEARLY_ALL,
                named.place("match"),
                f"{who} keeps every alert quiet{f' that is without {lacking}' if lacking else ''}",
                help=f'ask for a value as well, such as {next(iter(of))}=~".+"' if of else "say which alerts are meant",
            )
            return


def _lint_inhibition(named: Named[Inhibition], inhibition: Inhibition, beats: Takers) -> None:
    sources, targets = list(_possible(inhibition.source)), list(_possible(inhibition.target))
    if not sources or not targets:
        return  # said at the matchers
    said, hint, at = "", "", named.span
    same = match_within(inhibition.source, inhibition.target) and match_within(inhibition.target, inhibition.source)
    fed = [beats.of(of) for of in sources]
    label = _never_equal(sources, targets, inhibition.equal)
    if same:
        said = "its source and target are the same"
        hint = "an alert that both sides take is not muted by another that both sides take"
    elif label:
        said = f"its source and target never have the same {quote(label)}, which equal asks for"
        hint = "take it out of equal, or ask for the same values on both sides"
        at = named.place("equal", inhibition.equal.index(label))
    elif all(fed):
        said = f"the heartbeat {fed[0][0]} takes the alerts of its source before"
        hint = "an alert that feeds a heartbeat goes no further"
        at = named.place("source")
    if said:
        text = f"inhibition {quote(named.name)} mutes nothing: {said}"
        named.document.lint(codes.MUTES_NOTHING, at, text, help=hint)
    elif not inhibition.equal and (of := next((one for one in targets if one.keys() <= _HOW_URGENT), None)) is not None:
        which = f" of this {' and '.join(of)}" if of else ""
        said = "one alert of its source, wherever it is, mutes every alert"
        text = f"inhibition {quote(named.name)} has no equal: {said}{which}"
        hint = "name what both have in common, such as equal: [cluster, namespace], or say which alerts the target is"
        named.document.lint(codes.MUTES_EVERYWHERE, named.place("target"), text, help=hint)


def _never_equal(sources: list[Taken], targets: list[Taken], equal: tuple[str, ...]) -> str:
    """A label of `equal` that source and target cannot have in common."""
    for name in equal:
        if not any(shared(source.get(name, ANY), target.get(name, ANY)) for source in sources for target in targets):
            return name
    return ""


def _possible(match: Match) -> Iterator[Taken]:
    return (of for of in map(taken, match) if not never(of))


# Windows.


def _occurs(windows: TimeInterval, now: datetime | None) -> bool:
    """Whether one lies ahead. Years that are given are looked at alone, else the 28 in which the calendar repeats."""
    if any(now is None or once.ends_at > now for once in windows.once):
        return True
    return any(_has_a_day(weekly, now) for weekly in windows.weekly)


def _has_a_day(weekly: Weekly, now: datetime | None) -> bool:
    first = now.date() - timedelta(days=1) if now is not None else date(_CALENDAR_FROM, 1, 1)
    last = date(max((last for _, last in weekly.years), default=first.year + _CALENDAR_YEARS), 12, 31)
    if now is None and weekly.years:
        first = date(min(first for first, _ in weekly.years), 1, 1)
    return any(weekly.begins_on(first + timedelta(days=days)) for days in range((last - first).days + 1))


def _always(windows: TimeInterval, now: datetime | None) -> bool:
    """Whether the weekly windows leave no moment of a week, or a single one runs on for more than a year from now."""
    if now is not None and any(once.begins_at <= now and once.ends_at > now + _FAR for once in windows.once):
        return True
    stretches: list[tuple[timedelta, timedelta]] = []
    for weekly in windows.weekly:
        if weekly.days_of_month or weekly.months or weekly.years:
            continue
        for day in weekly.weekdays or range(7):
            begins = day * DAY + weekly.begins
            ends = day * DAY + weekly.ends + (DAY if weekly.begins > weekly.ends else timedelta(0))
            stretches += [(begins, ends), (begins - _WEEK, ends - _WEEK)]
    reached = timedelta(0)
    for begins, ends in sorted(stretches):
        if begins > reached:
            return False
        reached = max(reached, ends)
    return reached >= _WEEK
