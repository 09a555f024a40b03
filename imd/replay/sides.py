"""One side of a comparison: a rule set, what came of it line by line, and its summary.

Owns what is looked up of a result; compares nothing. A line is one of the history, by number from 1.
"""

from __future__ import annotations

from array import array
from collections import Counter
from datetime import datetime

import msgspec

from imd.core.heartbeats import built_in_rules
from imd.model.incident import IncidentState
from imd.model.policy import Ruleset
from imd.model.rule import Rule
from imd.replay.outcome import NONE, Ended, Paged, Result, Verdict

_NO_INCIDENT = (IncidentState.CANCELLED, IncidentState.MERGED)


class Tally(msgspec.Struct):
    incidents: int = 0
    pages: int = 0


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """`alerts` are firing lines that are in an incident, `incidents` all but cancelled and merged ones, `paged` those
    of them that somebody was paged about. An incident counts under the priority that it ended with, a page under that
    of its time."""

    config_hash: str
    events: int
    alerts: int
    incidents: int
    paged: int
    pages: int
    by_priority: dict[str, Tally]
    by_rule: dict[str, Tally]
    by_receiver: dict[str, int]
    by_recipient: dict[str, int]


class Side:
    """`incidents` are those that stand at the end, by number; `pages` those of each, merged ones' among them."""

    def __init__(self, ruleset: Ruleset, result: Result) -> None:
        self.ruleset = ruleset
        self.result = result
        self._rules = {rule.name: rule for rule in (*ruleset.rules, *built_in_rules(ruleset))}
        self._ended = {one.number: one for one in result.incidents}
        self.incidents = {number: one for number, one in self._ended.items() if one.state not in _NO_INCIDENT}
        self.pages: dict[int, list[Paged]] = {}
        for page in result.pages:
            self.pages.setdefault(page.incident, []).append(page)
        self._because = array("I", result.because)
        self.lines = array("I", result.lines)
        self._cancelled = {
            line: number for line, number in enumerate(self.lines) if number and number not in self.incidents
        }
        for line in self._cancelled:
            self.lines[line] = NONE

    def rule(self, name: str) -> Rule:
        return self._rules[name]

    def cancelled(self, line: int) -> Ended | None:
        """The incident that the line was in, which came to nothing."""
        number = self._cancelled.get(line)
        return None if number is None else self._ended[number]

    def verdict(self, line: int) -> Verdict | None:
        """Why the line is in no incident at all, if that is known."""
        place = self._because[line] if line < len(self._because) else NONE
        return self.result.verdicts[place] if place else None

    def first_page(self, number: int) -> datetime | None:
        return min((page.at for page in self.pages.get(number, ())), default=None)

    def recipients(self, number: int) -> frozenset[tuple[str, str]]:
        """Who was paged, and by which receiver."""
        return frozenset((page.to, page.receiver) for page in self.pages.get(number, ()))

    def summary(self) -> Summary:
        by_priority: dict[str, Tally] = {}
        by_rule: dict[str, Tally] = {}
        for number, one in self.incidents.items():
            by_priority.setdefault(one.priority.value, Tally()).incidents += 1
            tally = by_rule.setdefault(one.rule, Tally())
            tally.incidents += 1
            tally.pages += len(self.pages.get(number, ()))
        pages = self.result.pages
        for page in pages:
            by_priority.setdefault(page.priority.value, Tally()).pages += 1
        return Summary(
            config_hash=self.ruleset.config_hash,
            events=self.result.events,
            alerts=len(self.lines) - self.lines.count(NONE),
            incidents=len(self.incidents),
            paged=sum(1 for number in self.incidents if number in self.pages),
            pages=len(pages),
            by_priority=dict(sorted(by_priority.items())),
            by_rule=dict(sorted(by_rule.items())),
            by_receiver=dict(sorted(Counter(page.receiver for page in pages).items())),
            by_recipient=dict(sorted(Counter(page.to for page in pages).items())),
        )
