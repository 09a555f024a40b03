"""An alert that comes late: what began after it and came before it is asked again, as if it had been there in its turn.

Owns who is asked and what the answers mean; pure. The alert itself is compared with what began before it alone. Alerts
that began later may have opened incidents for want of it, or would have drawn its incident into theirs: those tell
which incidents are one. Nothing else is undone: an alert that has joined another incident meanwhile stays there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from imd.core.links import Group, Link, Record, Scope, Shelves, Turn, because
from imd.core.nearest import Search

ASKED_MAX = 8
"""Openers of incidents that are asked again, and as many others: those that began next after the alert."""


def turn_of(late: Record) -> Turn:
    """The turn that an alert takes when it comes: behind all that began with it."""
    return late.began, math.inf


class Answer:
    """One that began later and is one with the alert that came late; `why` in words."""

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
    `answers`: openers first, then in their turn; `compared`: how many alerts were looked at."""

    def __init__(self, shelves: Shelves, late: Record, home: Group | None, half: float, scope: Scope) -> None:
        self.answers: list[Answer] = []
        self.compared = 0
        asked = list(_asked(shelves, late, home, scope))
        if not asked:
            return
        group = home or _alone(late, scope)
        with _standing_there(shelves, late, group):
            for other in asked:
                search = Search(shelves, other, half, scope, other.turn)
                self.compared += search.compared
                link = _link(search, other, group)
                if link is not None:
                    self.answers.append(Answer(other, f"began before {other.name}, which {because(other, link)}"))


def _asked(shelves: Shelves, late: Record, home: Group | None, scope: Scope) -> Iterator[Record]:
    """Those of other incidents that began after it and may be related to it; openers first."""
    later: dict[int, Record] = {}
    for shelf in shelves.around(late):
        later.update((other.ref, other) for other in shelf.later(scope, turn_of(late)) if other.group is not home)
    in_turn = sorted(later.values(), key=lambda record: record.turn)
    openers = [record for record in in_turn if _opened(record)]
    yield from openers[:ASKED_MAX]
    yield from [record for record in in_turn if not _opened(record)][:ASKED_MAX]


def _opened(record: Record) -> bool:
    """Whether its incident has no other reason than this alert, of which nothing explained it."""
    group = record.group
    return group is not None and group.sample[0] is record and not group.returned


def _link(search: Search, asked: Record, group: Group) -> Link | None:
    """How the incident of one that was asked again is one with this one: it would not have opened its own, or it would
    have drawn this one in."""
    if _opened(asked) and search.best is not None and search.best.record.group is group:
        return search.best
    return search.explains(group)


def _alone(late: Record, scope: Scope) -> Group:
    """The incident that it would have opened."""
    group = Group("", scope, b"")
    group.members, group.sample = [late], [late]
    return group


@contextmanager
def _standing_there(shelves: Shelves, late: Record, group: Group) -> Iterator[None]:
    """For as long as others are asked it stands where it would."""
    late.group = group
    shelves.put(late)
    try:
        yield
    finally:
        shelves.take_away(late)
        late.group = None
