"""Alertmanager's time intervals as entries of `times`, and the hours of a route as `during` and `except`.

Owns what differs: an entry of `times` has one time zone, and a route names one entry. Several intervals become one
entry of all their windows where their zones are equal; else a route for each zone.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from imd.imports.alertmanagershape import Interval, Route, Span
from imd.imports.remarks import Remarks
from imd.imports.written import Value


class Hours(msgspec.Struct, frozen=True, kw_only=True):
    """When a route pages: in any of `during` (names of entries; () is at any time) and not in `but`. `never`: at no
    time."""

    during: tuple[str, ...] = ()
    but: str = ""
    never: bool = False

    @property
    def always(self) -> bool:
        return not self.during and not self.but and not self.never


class Times:
    """Entries of `times` as routes ask for them."""

    def __init__(self, intervals: dict[str, Interval], remarks: Remarks) -> None:
        self._intervals = intervals
        self._remarks = remarks
        self._entries: dict[str, Value] = {}
        self._used: set[str] = set()

    @property
    def entries(self) -> dict[str, Value]:
        """Those that routes name."""
        return {name: entry for name, entry in self._entries.items() if name in self._used}

    def hours(self, route: Route) -> Hours:
        if not route.mute and not route.active:
            return Hours()
        during = self._names(route.active)
        but = self._names(route.mute)
        if len(but) > 1:
            self._remarks.lost(
                route.at,
                f"{route.what}.mute_time_intervals",
                f"a route has one `except`, and these are in several time zones; {but[0]} is kept",
                f"put {', '.join(but[1:])} into the time zone of {but[0]}",
            )
        self._used.update(during, but[:1])
        return Hours(during=during, but=but[0] if but else "", never=bool(route.active) and not during)

    def _names(self, names: Iterable[str]) -> tuple[str, ...]:
        """An entry for each time zone of these intervals; one that never holds gives none."""
        by_zone: dict[str, list[tuple[str, Span]]] = {}
        for name in dict.fromkeys(names):
            for span in self._intervals[name].spans:
                by_zone.setdefault(span.timezone, []).append((name, span))
        return tuple(self._entry(zone, spans) for zone, spans in by_zone.items())

    def _entry(self, zone: str, spans: list[tuple[str, Span]]) -> str:
        names = list(dict.fromkeys(name for name, _ in spans))
        named = " or ".join(names)
        if any(span.timezone != zone for name in names for span in self._intervals[name].spans):
            named = f"{named} ({zone})"
        named = named[:100].strip()
        weekly = [window for _, span in spans for window in _windows(span) if "days_of_month" not in window]
        monthly = [window for _, span in spans for window in _windows(span) if "days_of_month" in window]
        entry: dict[str, Value] = {}
        if weekly:
            entry["weekly"] = weekly[0] if len(weekly) == 1 else weekly
        if monthly:
            entry["monthly"] = monthly[0] if len(monthly) == 1 else monthly
        if zone != "UTC":
            entry["timezone"] = zone
        while self._entries.get(named, entry) != entry:
            named = f"{named[:96]} +"
        self._entries[named] = entry
        return named


def _windows(span: Span) -> list[dict[str, Value]]:
    """One for each of its times."""
    days: dict[str, Value] = {}
    for key in ("days_of_month", "weekdays", "months", "years"):
        values: tuple[str, ...] = getattr(span, key)
        if values:
            days[key] = [_number(value) for value in values]
    return [{**days, "from": first, "to": last} for first, last in span.times] or [days]


def _number(text: str) -> Value:
    return int(text) if text.lstrip("-").isdigit() else text
