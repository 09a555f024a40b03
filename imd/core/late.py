"""An alert that comes late: what began after it and came before it is asked again, as if it had been there in its turn.

Owns who is asked and what the answers mean; pure. The alert itself is compared with what began before it alone. Alerts
that began later may have opened incidents for want of it, or would have drawn its incident into theirs: those tell
which incidents are one. Others have come in by what was the nearest by then, and would have come in by this one. Each
is asked of this alert alone, and whether that is nearer than the one by which it came: of all others it was asked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from imd.core.links import Group, Link, Record, Scope, Shelves, Turn, because, better
from imd.core.nearest import Search

ASKED_MAX = 32
"""Openers of incidents that are asked again, and as many others: those that began next after the alert."""


def turn_of(late: Record) -> Turn:
    """The turn that an alert takes when it comes: behind all that began with it."""
    return late.began, math.inf


class Answer:
    """One that began later and is related to the alert that came late; `why` in words."""

    __slots__ = ("record", "why")

    def __init__(self, record: Record, why: str) -> None:
        self.record = record
        self.why = why

    @property
    def incident(self) -> str:
        assert self.record.group is not None
        return self.record.group.id


class Asking:
    """Asks those that overtook an alert. `home` is the incident that it joins by what began before it, or None.
    `one`: answers that make two incidents one, openers first, then in their turn; `nearer`: of those that would have
    come in by this alert and not by what they did; `compared`: how many alerts were looked at."""

    def __init__(self, shelves: Shelves, late: Record, home: Group | None, half: float, scope: Scope) -> None:
        self.one: list[Answer] = []
        self.nearer: list[Answer] = []
        self.compared = 0
        self._half = half
        self._scope = scope
        asked = _asked(shelves, late, scope)
        if not asked:
            return
        late.group = home or _alone(late, scope)
        alone = _only(late)
        for other in asked:
            self._ask(other, alone, late.group)
        late.group = None

    def _ask(self, other: Record, alone: Shelves, group: Group) -> None:
        search = self._search(other, alone)
        link = search.best
        if link is not None and not _opened(other):
            if self._is_nearer(other, link):
                self.nearer.append(Answer(other, because(other, link)))
                return
            link = None
        if other.group is group:
            return
        link = link or search.explains(group)
        if link is not None:
            self.one.append(Answer(other, f"began before {other.name}, which {because(other, link)}"))

    def _is_nearer(self, other: Record, link: Link) -> bool:
        """Whether it would have come in by this link and not by that by which it did. What opened an incident has come
        in by one that began later, if at all. What came back to the incident that it opened stays there."""
        tie = other.tie
        if tie is None or tie.group is not other.group:
            return False
        if tie.turn > other.turn:
            return True
        known = self._search(other, _only(tie)).best
        return known is None or better(link, known)

    def _search(self, other: Record, among: Shelves) -> Search:
        search = Search(among, other, self._half, self._scope, other.turn)
        self.compared += search.compared
        return search


def _asked(shelves: Shelves, late: Record, scope: Scope) -> Sequence[Record]:
    """Those that began after it and may be related to it; openers first."""
    later: dict[int, Record] = {}
    for shelf in shelves.around(late):
        later.update((other.ref, other) for other in shelf.later(scope, turn_of(late)))
    in_turn = sorted(later.values(), key=lambda record: record.turn)
    openers = [record for record in in_turn if _opened(record)]
    others = [record for record in in_turn if not _opened(record)]
    return openers[:ASKED_MAX] + others[:ASKED_MAX]


def _opened(record: Record) -> bool:
    """Whether its incident has no other reason than this alert, of which nothing explained it."""
    group = record.group
    return group is not None and group.sample[0] is record and not group.returned


def _only(record: Record) -> Shelves:
    shelves = Shelves()
    shelves.put(record)
    return shelves


def _alone(late: Record, scope: Scope) -> Group:
    """The incident that it would have opened."""
    group = Group("", scope, b"")
    group.members, group.sample = [late], [late]
    return group
