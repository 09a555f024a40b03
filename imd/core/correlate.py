"""Which rule takes an alert, under which group key, and whether an incident's window still takes it in.

Owns the rule index and the windows; pure. The first rule that matches takes the alert. The index makes the cost of a
new alert independent of the number of rules: each list of matchers is filed under one equality that it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec

from imd.model.condition import ConditionFailed
from imd.model.incident import Incident
from imd.model.rule import MATCH_ALL, Matcher, Op, Rule, Test, Window, WindowKind, first_unmet, match_test

GroupKey = tuple[tuple[str, str], ...]
OnFailure = Callable[[Rule, ConditionFailed], None]


def _unheard(_rule: Rule, _failed: ConditionFailed) -> None:
    """Nobody wants to know."""


class Trial(msgspec.Struct, frozen=True):
    """How one rule fared with some labels. `failed` are matchers that do not hold, the first of each of its lists,
    where no list holds as a whole; `unmet` why its condition does not, where that was asked."""

    rule: Rule
    failed: tuple[Matcher, ...] = ()
    unmet: str = ""

    @property
    def taken(self) -> bool:
        return not self.failed and not self.unmet


def trial(rule: Rule, labels: Mapping[str, str]) -> Trial:
    """Why a rule takes these labels or not; the index says which one takes them, at less cost. Raises BadPattern."""
    failed = first_unmet(rule.match, labels)
    if not rule.match:
        return Trial(rule, unmet="matches nothing")
    if failed or rule.when is None:
        return Trial(rule, failed)
    reasons: list[str] = []
    holds = _holds(rule, labels, lambda _, failure: reasons.append(f"gives no answer: {failure}"))
    return Trial(rule) if holds else Trial(rule, (), reasons[0] if reasons else "is false")


class RuleIndex:
    """Finds the first matching rule. `rules` in order of trial, the last of which takes everything."""

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self._rules = rules
        self._tests: list[Test] = [match_test(rule.match) for rule in rules]
        self._always: list[int] = []
        self._filed: dict[str, dict[str, list[int]]] = {}
        for number, rule in enumerate(rules):
            self._file(number, rule)

    def find(self, labels: Mapping[str, str], on_failure: OnFailure = _unheard) -> Rule | None:
        """The rule whose match and condition hold. A condition that gives no answer does not hold; `on_failure` hears
        of it."""
        candidates = self._always
        for name, by_value in self._filed.items():
            found = by_value.get(labels.get(name, ""))
            if found:
                candidates = sorted([*candidates, *found])
        for number in candidates:
            if self._tests[number](labels):
                rule = self._rules[number]
                if rule.when is None or _holds(rule, labels, on_failure):
                    return rule
        return None

    def _file(self, number: int, rule: Rule) -> None:
        for matchers in rule.match or MATCH_ALL:
            needed = _needed(matchers)
            if needed is None:
                if number not in self._always:
                    self._always.append(number)
                continue
            name, values = needed
            for value in values:
                filed = self._filed.setdefault(name, {}).setdefault(value, [])
                if number not in filed[-1:]:
                    filed.append(number)


def _holds(rule: Rule, labels: Mapping[str, str], on_failure: OnFailure) -> bool:
    if rule.when is None:
        return True
    try:
        return rule.when.eval(labels)
    except ConditionFailed as failed:
        on_failure(rule, failed)
        return False


def _needed(matchers: tuple[Matcher, ...]) -> tuple[str, tuple[str, ...]] | None:
    """A label and the values of which one is needed for these matchers to hold; alertname for choice."""
    found: dict[str, tuple[str, ...]] = {}
    for matcher in matchers:
        if matcher.op is Op.EQUAL:
            found.setdefault(matcher.name, (matcher.value,))
        elif matcher.op is Op.REGEX and _plain(matcher.value):
            found.setdefault(matcher.name, tuple(dict.fromkeys(matcher.value.split("|"))))
    if not found:
        return None
    name = "alertname" if "alertname" in found else min(found, key=lambda one: (len(found[one]), one))
    return name, found[name]


def _plain(pattern: str) -> bool:
    """Alternatives of plain words, which a set of values stands for."""
    return not pattern or pattern.translate(_AS_LETTERS).isalnum()


_AS_LETTERS = str.maketrans("_-|", "aaa")


def group_key(rule: Rule, labels: Mapping[str, str]) -> GroupKey:
    """The rule's chosen labels and their values; a missing one is empty. Without any of them: the alertname."""
    if rule.group_by is None:
        return tuple(sorted(labels.items()))
    key = tuple([(name, labels.get(name, "")) for name in rule.group_by])
    for _, value in key:
        if value:
            return key
    return (("alertname", labels.get("alertname", "")),) if key else key


_WHILE_OPEN = WindowKind.WHILE_OPEN  # the way of nearly every new alert: see model.alert


def window_end(incident: Incident, window: Window, members: int, at: datetime) -> str:
    """Why the window of an incident no longer takes in an alert of this instant; "" while it does."""
    bound = bound_reached(incident, window, members, at)
    if bound:
        return bound
    kind = window.kind
    if kind is _WHILE_OPEN:
        return ""
    if kind is WindowKind.FIXED and at > incident.opened_at + window.gap:
        return "gap after the opening"
    if kind is WindowKind.SESSION and incident.firing == 0:
        last = incident.active_at or incident.opened_at
        return "gap without an alert" if at > last + window.gap else ""
    return ""


def bound_reached(incident: Incident, window: Window, members: int, at: datetime) -> str:
    """max_life and max_alerts bound every window, and an incident ended by one never reopens."""
    if members >= window.max_alerts:
        return "max_alerts"
    return "max_life" if at > incident.opened_at + window.max_life else ""
