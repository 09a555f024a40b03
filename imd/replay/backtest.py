"""Two rule sets over the same history: what differs, and which rule makes it so.

Owns the comparison and the conditions that a merge request may fail on; runs nothing and reads no file. Incidents of
both sides are matched by what is in them, the firing lines of the history; their numbers, which shift as soon as one
rule does, play no part. One whose lines are in no incident of the other side is lost or new; one whose lines are in
several there is split or merged. Each is tied to the one with which it shares most (of equals: the oldest), and what is
tied together is one story: priority, first page and people are compared story by story, the most urgent, the earliest
and all of either side. So an incident that is split is not said to be less urgent because of one of its parts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

import msgspec

from imd.model.incident import Priority
from imd.replay import reasons
from imd.replay.outcome import NONE, Ended
from imd.replay.sides import Side, Summary

KINDS = ("lost", "new", "merged", "split", "priority", "earlier", "later", "recipient")
"""In the order in which they are told."""

APART = timedelta(seconds=1)
"""Pages that leave closer together than this leave at the same time."""

_OLD, _NEW = "old", "new"


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """`old` and `new` are ids of incidents under the old and the new rules. `at` is when the first of them opened,
    `title` its own; `was` and `now` are what changed, where a word or two can say it."""

    kind: str
    old: list[str]
    new: list[str]
    reason: str
    title: str
    at: datetime
    was: str = ""
    now: str = ""


class Compared(msgspec.Struct, frozen=True):
    """What `backtest --json` prints; `summary` has `old` and `new`."""

    summary: dict[str, Summary]
    differences: list[Difference]


class Story(NamedTuple):
    """Incidents of both sides that are tied together; at least one of each."""

    olds: list[Ended]
    news: list[Ended]


class Comparison:
    """Which incidents of the two sides are which: by the lines they share. An incident that no line is left in (a
    person reported it, or all of its alerts are in a later one now) is no rule's, and is compared with nothing."""

    def __init__(self, old: Side, new: Side) -> None:
        self.old = old
        self.new = new
        self.overlap = _overlap(old, new)
        of_old, of_new = set(old.lines), set(new.lines)
        self.news: dict[int, list[int]] = {number: [] for number in old.incidents if number in of_old}
        self.olds: dict[int, list[int]] = {number: [] for number in new.incidents if number in of_new}
        for a, b in sorted(self.overlap):
            self.news[a].append(b)
            self.olds[b].append(a)

    def stories(self) -> list[Story]:
        """What is tied together, in order of the oldest incident under the old rules."""
        above: dict[tuple[str, int], tuple[str, int]] = {}

        def top(one: tuple[str, int]) -> tuple[str, int]:
            while (higher := above.get(one, one)) != one:
                above[one] = above.get(higher, higher)
                one = higher
            return one

        for a, found in self.news.items():
            if found:
                best = max(found, key=lambda b: (self.overlap[a, b], -b))
                above[top((_NEW, best))] = top((_OLD, a))
        for b, found in self.olds.items():
            if found:
                best = max(found, key=lambda a: (self.overlap[a, b], -a))
                above[top((_NEW, b))] = top((_OLD, best))
        stories: dict[tuple[str, int], Story] = {}
        for a in (a for a, found in self.news.items() if found):
            stories.setdefault(top((_OLD, a)), Story([], [])).olds.append(self.old.incidents[a])
        for b in (b for b, found in self.olds.items() if found):
            stories[top((_NEW, b))].news.append(self.new.incidents[b])
        return list(stories.values())

    def compared(self) -> Compared:
        summary = {"old": self.old.summary(), "new": self.new.summary()}
        return Compared(summary, sorted(self._differences(), key=_order))

    def _differences(self) -> Iterator[Difference]:
        old, new = self.old.incidents, self.new.incidents
        gone = {a for a, found in self.news.items() if not found}
        fresh = {b for b, found in self.olds.items() if not found}
        lines_old, lines_new = _lines_of(self.old, gone), _lines_of(self.new, fresh)
        for a in gone:
            yield _difference("lost", [old[a]], [], reasons.lost(self.new, lines_old[a]))
        for b in fresh:
            yield _difference("new", [], [new[b]], reasons.appeared(self.old, self.new, new[b], lines_new[b]))
        for b, several in self.olds.items():
            if len(several) > 1:
                olds = [old[a] for a in several]
                yield _difference("merged", olds, [new[b]], reasons.merged(self.old, self.new, olds, new[b]))
        for a, parts in self.news.items():
            if len(parts) > 1:
                shares = [self.overlap[a, b] for b in parts]
                news = [new[b] for b in parts]
                yield _difference("split", [old[a]], news, reasons.split(self.old, self.new, old[a], news, shares))
        for story in self.stories():
            yield from self._changes(story)

    def _changes(self, story: Story) -> Iterator[Difference]:
        changed = partial(_difference, old=story.olds, new=story.news)
        old, new = self.old, self.new
        a, b = _most_urgent(story.olds), _most_urgent(story.news)
        if a.priority is not b.priority:
            was, now = a.priority.value, b.priority.value
            yield changed("priority", reason=reasons.priority(old, new, a, b), was=was, now=now)
        before, after = _recipients(old, story.olds), _recipients(new, story.news)
        if before and after:
            yield from self._timing(story)
        if before != after:
            was, now = reasons.people(before), reasons.people(after)
            yield changed("recipient", reason=reasons.recipient(old, new, *story), was=was, now=now)

    def _timing(self, story: Story) -> Iterator[Difference]:
        first, a = _first_paged(self.old, story.olds)
        second, b = _first_paged(self.new, story.news)
        if abs(second - first) >= APART:
            kind = "later" if second > first else "earlier"
            reason = reasons.timing(self.old, self.new, a, b)
            yield _difference(kind, story.olds, story.news, reason, _clock(first), _clock(second))


def compare(old: Side, new: Side) -> Compared:
    """Pure; the same for the same two sides, whatever the order of anything in memory."""
    return Comparison(old, new).compared()


# -- conditions to fail on --------------------------------------------------------------------------------------------

Condition = Callable[[Comparison, Compared], int]
"""How often it holds."""


def _of_kind(kind: str, _: Comparison, compared: Compared) -> int:
    return sum(one.kind == kind for one in compared.differences)


def _grown(what: str, by: int, _: Comparison, compared: Compared) -> int:
    """How many more pages or incidents there are, or with `by` -1 how many fewer."""
    old, new = compared.summary["old"], compared.summary["new"]
    grown = new.pages - old.pages if what == "pages" else new.incidents - old.incidents
    return max(0, by * grown)


def _lost_priority(priority: Priority, comparison: Comparison, _: Compared) -> int:
    """Incidents of this priority about which somebody was paged, and none with these alerts and at least as urgent
    that anybody is paged about."""
    old, new = comparison.old, comparison.new
    return sum(
        old.incidents[a].priority is priority
        and a in old.pages
        and not any(new.incidents[b].priority.rank <= priority.rank and b in new.pages for b in found)
        for a, found in comparison.news.items()
    )


def _unpaged(comparison: Comparison, _: Compared) -> int:
    """Incidents about which somebody was paged, and none with these alerts that anybody is paged about."""
    new = comparison.new
    return sum(
        a in comparison.old.pages and not any(b in new.pages for b in found) for a, found in comparison.news.items()
    )


def _prioritised(by: int, comparison: Comparison, _: Compared) -> int:
    """Stories that are more urgent (`by` 1) or less urgent (-1) than they were."""
    ranks = (
        (_most_urgent(story.olds).priority.rank, _most_urgent(story.news).priority.rank)
        for story in comparison.stories()
    )
    return sum(by * (was - now) > 0 for was, now in ranks)


CONDITIONS: Mapping[str, Condition] = {
    "any": lambda _, compared: len(compared.differences),
    **{kind: partial(_of_kind, kind) for kind in KINDS},
    **{f"lost-{priority.value.lower()}": partial(_lost_priority, priority) for priority in Priority},
    "unpaged": _unpaged,
    "more-pages": partial(_grown, "pages", 1),
    "fewer-pages": partial(_grown, "pages", -1),
    "more-incidents": partial(_grown, "incidents", 1),
    "fewer-incidents": partial(_grown, "incidents", -1),
    "more-urgent": partial(_prioritised, 1),
    "less-urgent": partial(_prioritised, -1),
}
"""By the word of `--fail-on`."""


def held(names: Iterable[str], comparison: Comparison, compared: Compared) -> dict[str, int]:
    """Which of these conditions hold, and how often. A name that is none raises KeyError."""
    found = {name: CONDITIONS[name](comparison, compared) for name in dict.fromkeys(names)}
    return {name: count for name, count in found.items() if count}


# -- within -----------------------------------------------------------------------------------------------------------


def _overlap(old: Side, new: Side) -> Counter[tuple[int, int]]:
    """How many lines each two incidents share. The last lines of a history may be in one side's array alone."""
    shared = Counter(zip(old.lines, new.lines, strict=False))
    return Counter({pair: count for pair, count in shared.items() if NONE not in pair})


def _lines_of(side: Side, incidents: set[int]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {number: [] for number in incidents}
    for line, number in enumerate(side.lines):
        if number in found:
            found[number].append(line)
    return found


def _difference(kind: str, old: list[Ended], new: list[Ended], reason: str, was: str = "", now: str = "") -> Difference:
    first = min((*old, *new), key=lambda one: one.opened_at)
    return Difference(
        kind=kind,
        old=[one.id for one in old],
        new=[one.id for one in new],
        reason=reason,
        title=first.title,
        at=first.opened_at,
        was=was,
        now=now,
    )


def _most_urgent(incidents: list[Ended]) -> Ended:
    """Of equals the oldest."""
    return min(incidents, key=lambda one: (one.priority.rank, one.number))


def _recipients(side: Side, incidents: list[Ended]) -> frozenset[tuple[str, str]]:
    return frozenset(pair for one in incidents for pair in side.recipients(one.number))


def _first_paged(side: Side, incidents: list[Ended]) -> tuple[datetime, Ended]:
    """When the first page left, and of which incident; one of them was paged about."""
    paged = [(at, one.number, one) for one in incidents if (at := side.first_page(one.number)) is not None]
    at, _, one = min(paged, key=lambda found: found[:2])
    return at, one


def _order(one: Difference) -> tuple[int, datetime, list[str], list[str]]:
    return KINDS.index(one.kind), one.at, one.old, one.new


def _clock(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
