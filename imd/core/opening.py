"""When the alerts that wait under one rule and group key are enough to open an incident (open_when).

Owns the conditions and the arithmetic of their windows; pure. An alert counts by the instant at which it began, clamped
by the caller to what lateness allows, so whether a window is full does not depend on the order of coming: with each
newcomer the windows that hold it are looked at, those behind it too. For that, what waits is kept for `lateness` beyond
its window. Instants that tie are in the order of parts, then of coming.

Cost: an alert that is the newest is judged by counting back from the end, a late one by a sweep over its neighbours,
and neither is done before a cheaper bound says that the window may be full.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from imd.model.alert import Alert
from imd.model.rule import Absent, AllOf, Count, OpenWhen, Rate, Test, match_test

Entry = tuple[datetime, int, int, str, Alert]
"""The instant by which it counts, its part (where the order of parts matters), its id, what it stands for."""

_INSTANT = timedelta(microseconds=1)
_DAY, _HOUR, _MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


class Condition:
    """An open_when, compiled. `span` is the width of its window, `words` says what it waits for. `keeps_ended`: alerts
    count on when they have ended. `distinct`: not the alerts are counted but what they stand for."""

    def __init__(self, when: OpenWhen) -> None:
        self.when = when
        self.words = said(when)
        self.keeps_ended = isinstance(when, AllOf | Rate)
        self.in_order = isinstance(when, AllOf) and when.in_order
        self.distinct = isinstance(when, AllOf) or (isinstance(when, Count) and bool(when.distinct))
        match when:
            case Count(at_least=at_least, within=span) | Rate(at_least=at_least, per=span):
                self.at_least, self.span = at_least, span
            case AllOf(parts=parts, within=span):
                self.at_least, self.span = len(parts), span
            case Absent(wait=span):
                self.at_least, self.span = 1, span
        self._parts: list[Test] = [match_test(part) for part in when.parts] if isinstance(when, AllOf) else []

    def stands_for(self, labels: Mapping[str, str]) -> str | None:
        """A part, or a value of `distinct`; "" for nothing in particular. None: the alert does not count."""
        if isinstance(self.when, AllOf):
            return next((str(number) for number, test in enumerate(self._parts) if test(labels)), None)
        return labels.get(self.when.distinct, "") if isinstance(self.when, Count) and self.when.distinct else ""


class Waiting:
    """The alerts that wait under one rule and group key, by instant. `look_at`: when it is to be looked at next, as far
    as that is planned; `unjudged`: the condition is new to it."""

    __slots__ = ("_latest", "_tally", "condition", "entries", "look_at", "unjudged")

    def __init__(self, condition: Condition) -> None:
        self.condition = condition
        self.entries: list[Entry] = []
        self.look_at: datetime | None = None
        self.unjudged = False
        self._tally: dict[str, int] = {}
        self._latest: dict[str, datetime] = {}

    @property
    def alerts(self) -> list[Alert]:
        return [entry[4] for entry in self.entries]

    def add(self, alert: Alert, at: datetime, token: str) -> Entry:
        """Files the alert; judge it by `full` after that."""
        entry = (at, int(token) if self.condition.in_order else 0, alert.id, token, alert)
        insort(self.entries, entry)
        if token:
            self._tally[token] = self._tally.get(token, 0) + 1
            self._latest[token] = max(at, self._latest.get(token, at))
        return entry

    def discard(self, alert: Alert) -> None:
        """The alert does not wait any more."""
        at = alert.counted_at
        assert at is not None
        place = bisect_left(self.entries, at, key=lambda entry: entry[0])
        while self.entries[place][4] is not alert:
            place += 1
        self._remove(place)

    def take_oldest(self) -> Alert:
        return self._remove(0)

    def next_look(self, lateness: timedelta) -> datetime | None:
        """When the oldest has waited long enough, either way."""
        if not self.entries:
            return None
        due = self.entries[0][0] + self.condition.span
        if isinstance(self.condition.when, Absent):
            return due
        return due + lateness + _INSTANT  # what begins at its very edge and comes as late as may be still counts

    def full(self, entry: Entry) -> bool:
        """Whether a window that holds this entry is full."""
        if isinstance(self.condition.when, Absent):
            return False
        return self._full_of_kinds(entry) if self.condition.distinct else self._full_of_alerts(entry)

    def ever_full(self) -> bool:
        return any(self.full(entry) for entry in self.entries)

    def _full_of_alerts(self, entry: Entry) -> bool:
        entries, wanted, span = self.entries, self.condition.at_least, self.condition.span
        place = bisect_left(entries, entry[:3])
        first, last = max(0, place - wanted + 1), min(place, len(entries) - wanted)
        return any(entries[at + wanted - 1][0] - entries[at][0] <= span for at in range(first, last + 1))

    def _full_of_kinds(self, entry: Entry) -> bool:
        entries, wanted, span = self.entries, self.condition.at_least, self.condition.span
        if len(self._tally) < wanted or sum(at >= entry[0] - span for at in self._latest.values()) < wanted:
            return False
        newest = entries[-1] is entry
        if newest and not self.condition.in_order:
            return True  # of each kind the latest is within the window that ends here
        if newest and int(entry[3]) != wanted - 1:
            return False
        begin = bisect_left(entries, entry[0] - span, key=lambda one: one[0])
        near = [one for one in entries[begin:] if one[0] <= entry[0] + span]
        return self._sequence(near) if self.condition.in_order else self._together(near)

    def _together(self, near: list[Entry]) -> bool:
        """Whether a window over these holds enough kinds."""
        held: dict[str, int] = {}
        first = 0
        for entry in near:
            if entry[3]:
                held[entry[3]] = held.get(entry[3], 0) + 1
            while entry[0] - near[first][0] > self.condition.span:
                token = near[first][3]
                first += 1
                if token:
                    held[token] -= 1
                    if not held[token]:
                        del held[token]
            if len(held) >= self.condition.at_least:
                return True
        return False

    def _sequence(self, near: list[Entry]) -> bool:
        """Whether part follows part in these, first to last within the window."""
        began: list[datetime | None] = [
            None
        ] * self.condition.at_least  # the latest start of a sequence up to each part
        for at, part, _, _, _ in near:
            began[part] = at if part == 0 else began[part - 1]
            start = began[-1]
            if start is not None and at - start <= self.condition.span:
                return True
        return False

    def _remove(self, place: int) -> Alert:
        at, _, _, token, alert = self.entries.pop(place)
        if token:
            self._tally[token] -= 1
            if not self._tally[token]:
                del self._tally[token], self._latest[token]
            elif self._latest[token] == at:
                self._latest[token] = next(one[0] for one in reversed(self.entries) if one[3] == token)
        return alert


def below_at(when: OpenWhen | None, members: Sequence[Alert], lateness: timedelta) -> datetime | None:
    """When fewer than `until_below` of the incident's members are new, if no other comes; None where that is so
    already, or nothing holds an incident open. `members` in order of joining."""
    if not isinstance(when, Rate) or len(members) < when.until_below:
        return None
    oldest = max(alert.received_at for alert in members[-when.until_below :]) - when.per - lateness
    begun: list[datetime] = []
    for alert in reversed(members):
        if alert.received_at < oldest:
            break
        begun.append(min(max(alert.starts_at, alert.received_at - lateness), alert.received_at))
    return sorted(begun)[-when.until_below] + when.per if len(begun) >= when.until_below else None


def said(when: OpenWhen) -> str:
    """What is waited for, in words: `3 of instance within 5m`."""
    match when:
        case Count(at_least=at_least, distinct=distinct, within=within):
            return f"{at_least} {'of ' + distinct if distinct else 'alerts'} within {span_text(within)}"
        case AllOf(parts=parts, within=within, in_order=in_order):
            return f"all {len(parts)} parts{' in order' if in_order else ''} within {span_text(within)}"
        case Rate(at_least=at_least, per=per):
            return f"{at_least} new alerts per {span_text(per)}"
        case Absent(match=(), wait=wait):
            return f"its end within {span_text(wait)}"
        case Absent(match=match, wait=wait):
            awaited = " or ".join(", ".join(str(one) for one in matchers) for matchers in match)
            return f"{awaited}, or its end, within {span_text(wait)}"


def span_text(span: timedelta) -> str:
    """`5m`, `1h30m`, `26h`, `2d`."""
    if span >= _DAY and span % _DAY == timedelta(0):
        return f"{span // _DAY}d"
    hours, rest = divmod(span, _HOUR)
    minutes, rest = divmod(rest, _MINUTE)
    seconds = f"{rest.total_seconds():g}s" if rest or not span else ""
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes else "") + seconds
