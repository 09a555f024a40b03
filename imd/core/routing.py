"""Which policies an incident gets: its rule's, else those of the routes that take it, else `default`.

Owns what a route sees: label by label the rule's, else the group key's, else what all members have in common, else the
cause's; and the hours of routes. Pure.

Routes are tried in order. The first that takes the incident decides, unless it has `continue`: then the routes behind
it are tried too, and the incident walks through the policies of all that took it. The last of them is the incident's
own policy, the others are beside it. Outside its hours a route takes nothing; whoever wants an incident to wait for
them sends it to the policy `nobody` behind: its routes are read again when hours begin or end.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from imd.core import times
from imd.model.incident import Incident
from imd.model.policy import BUILT_IN_POLICY, Route, Ruleset
from imd.model.quiet import TimeInterval
from imd.model.rule import Rule, Test, first_unmet, match_test


class Chosen(msgspec.Struct, frozen=True):
    """The policies in order of their routes, the incident's own last, and for each what chose it, in words. `again_at`:
    the own one pages nobody, and the answer may be another one then."""

    policies: tuple[str, ...]
    because: tuple[str, ...]
    again_at: datetime | None = None


class _Compiled(msgspec.Struct, frozen=True):
    number: int
    route: Route
    test: Test
    during: TimeInterval | None
    but: TimeInterval | None

    @property
    def words(self) -> str:
        """`route 2 (during office)`."""
        hours = [f"during {self.route.during}"] if self.route.during else []
        hours += [f"except {self.route.but}"] if self.route.but else []
        return f"route {self.number}" + (f" ({', '.join(hours)})" if hours else "")

    def in_hours(self, now: datetime) -> bool:
        inside = self.during is None or times.in_force(self.during, now)
        return inside and not (self.but is not None and times.in_force(self.but, now))

    def next_change(self, now: datetime) -> datetime | None:
        """When its hours may begin or end."""
        changes = [times.next_boundary(one, now) for one in (self.during, self.but) if one is not None]
        return min((at for at in changes if at is not None), default=None)


class RouteTrial(msgspec.Struct, frozen=True):
    """How one route fared; routes count from 1 in order of trial. `because` says why it does not take the incident."""

    number: int
    policy: str
    because: str


class Router:
    """Compiled routes, in order of trial."""

    def __init__(self, ruleset: Ruleset) -> None:
        self._ruleset = ruleset
        self._routes = [
            _Compiled(
                number,
                route,
                match_test(route.match),
                ruleset.times.get(route.during),
                ruleset.times.get(route.but),
            )
            for number, route in enumerate(ruleset.routes, start=1)
        ]

    def choose(self, incident: Incident, rule: Rule, now: datetime) -> Chosen:
        """For the incident as it is now."""
        if rule.policy in self._ruleset.policies:
            return Chosen((rule.policy,), (f"rule {rule.name}",))
        labels = routed_labels(incident, rule)
        taken: dict[str, str] = {}
        waiting: list[_Compiled] = []
        for one in self._routes:
            if (one.route.priority is not None and incident.priority not in one.route.priority) or not one.test(labels):
                continue
            if not one.in_hours(now):
                waiting.append(one)
                continue
            taken[one.route.policy] = taken.pop(one.route.policy, one.words)
            if not one.route.goes_on:
                break
        return self._chosen(taken or {BUILT_IN_POLICY: "no route took it"}, waiting, now)

    def trials(self, incident: Incident, rule: Rule, now: datetime) -> list[RouteTrial]:
        """Every route up to the last that `choose` looks at; none where the rule names the policy."""
        tried: list[RouteTrial] = []
        if rule.policy in self._ruleset.policies:
            return tried
        labels = routed_labels(incident, rule)
        for one in self._routes:
            because = _passed_by(one, incident, labels, now)
            tried.append(RouteTrial(one.number, one.route.policy, because))
            if not because and not one.route.goes_on:
                break
        return tried

    def _chosen(self, taken: dict[str, str], waiting: list[_Compiled], now: datetime) -> Chosen:
        closed = f"; outside its hours: {', '.join(one.words for one in waiting)}" if waiting else ""
        because = tuple(words + closed for words in taken.values())
        again_at = None
        # The last one taken is the incident's own: `nobody` there waits, whoever else hears of it by `continue`.
        if not self._ruleset.policy(next(reversed(taken))).steps:
            again_at = min((at for one in waiting if (at := one.next_change(now)) is not None), default=None)
        return Chosen(tuple(taken), because, again_at)


def routed_labels(incident: Incident, rule: Rule) -> dict[str, str]:
    """What a route sees."""
    return {**incident.labels, **{name: value for name, value in incident.group_key if value}, **rule.labels}


def _passed_by(one: _Compiled, incident: Incident, labels: Mapping[str, str], now: datetime) -> str:
    """Why the route does not take the incident; "" where it does."""
    if one.route.priority is not None and incident.priority not in one.route.priority:
        wanted = ", ".join(sorted(priority.value for priority in one.route.priority))
        return f"it is for {wanted}, this is {incident.priority.value}"
    if not one.test(labels):
        return "; ".join(f"{matcher} does not hold" for matcher in first_unmet(one.route.match, labels))
    return "" if one.in_hours(now) else f"{one.words} is outside its hours"
