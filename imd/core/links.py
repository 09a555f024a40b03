"""Recent alerts as they are compared, the incidents that they are in, and the links between them.

Owns the shapes that `core.relate` works on, and what one link weighs and says; pure. The weights are `core.relation`.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import islice
from operator import attrgetter
from typing import Protocol

from imd.core import relation
from imd.core.standing import Standing
from imd.model.topology import AlertClass

Scope = tuple[tuple[str, str], ...]

LAST = 8
"""Open alerts of one entity that a new one is compared with."""

LOOK_BACK = 32
"""Records of one entity looked at to find those: the rest of a chatty host's are past."""

LATER_MAX = 64
"""Records of one entity looked at by an alert that comes late, because they came before their turn."""

Turn = tuple[float, float]
"""A place in the order in which alerts began: when, and for those that began together the number."""

NEVER: Turn = (-math.inf, 0)


class Firing(Protocol):
    """What knows whether an alert still fires: the resident alert itself."""

    @property
    def firing(self) -> bool: ...


class Group:
    """An incident as it matters here. `returned`: it reopened, so it has a story of its own and is merged no more.
    `sample`: the first of its members, in their turn."""

    __slots__ = ("id", "members", "open", "opener", "returned", "sample", "scope")

    def __init__(self, incident: str, scope: Scope, opener: bytes) -> None:
        self.id = incident
        self.opener = opener
        self.scope = scope
        self.open = True
        self.returned = False
        self.members: list[Record] = []
        self.sample: list[Record] = []


class Record:
    """One alert that is in an incident. It `began` to fire then, in unix seconds; `onset` is that less its `for:`,
    where that is `known`. `usual`: by so many seconds the onset may lie earlier still, if the alert waited as it
    usually does. `alert`: once it entered. `alike`: those of its name that begin with it say something. `tie`: by whom
    it came into its incident; None of what opened one, until another draws that incident into its own. It holds for as
    long as both are in one incident."""

    __slots__ = (
        "alert", "alike", "began", "group", "kind", "known", "name", "onset", "ref", "standing", "tie", "usual",
    )  # fmt: skip

    def __init__(
        self,
        ref: int,
        name: str,
        kind: AlertClass,
        began: float,
        standing: Standing,
        *,
        pending: float | None = None,
        usual: float = 0.0,
        alike: bool = True,
    ) -> None:
        self.ref = ref
        self.began = began
        self.name = name
        self.kind = kind
        self.onset = began if pending is None else began - pending
        self.known = pending is not None
        self.usual = usual
        self.alike = alike
        self.standing = standing
        self.group: Group | None = None
        self.alert: Firing | None = None
        self.tie: Record | None = None

    @property
    def turn(self) -> Turn:
        return self.began, self.ref


class Last:
    """The last records of a shelf, newest first, their incidents, and the latest onset."""

    __slots__ = ("groups", "onset", "records")

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.groups: dict[Group, None] = {}
        self.onset = -math.inf


class Shelf:
    """The records of one entity in one role, in their turn, whenever they came."""

    __slots__ = ("_last", "_records", "_scope")

    def __init__(self) -> None:
        self._records: list[Record] = []
        self._scope: Scope = ()
        self._last: Last | None = None

    def last(self, scope: Scope, turn: Turn | None = None) -> Last:
        """`look_back`, remembered for the scope that was asked for last, where nothing stands behind the turn."""
        if turn is not None and turn <= self._records[-1].turn:
            return self.look_back(scope, turn)
        last = self._last
        if last is None or self._scope != scope:
            last, self._scope = self.look_back(scope), scope
            self._last = last
        return last

    def later(self, scope: Scope, turn: Turn) -> Iterator[Record]:
        """Records of open incidents of this scope that stand behind a turn, those next to it first; LATER_MAX are
        looked at."""
        if turn > self._records[-1].turn:
            return
        for record in islice(self._records, self._behind(turn), self._behind(turn) + LATER_MAX):
            group = record.group
            if group is not None and group.open and group.scope == scope:
                yield record

    def look_back(self, scope: Scope, turn: Turn | None = None) -> Last:
        """The last LAST of open incidents of this scope, or those before a turn; LOOK_BACK are looked at."""
        end = len(self._records) if turn is None else bisect_left(self._records, turn, key=_turn)
        last = Last()
        records = last.records
        for record in self._records[max(0, end - LOOK_BACK) : end][::-1]:
            group = record.group
            if group is None or not group.open or group.scope != scope:
                continue
            if record.onset > last.onset:
                last.onset = record.onset
            records.append(record)
            last.groups[group] = None
            if len(records) == LAST:
                break
        return last

    def _behind(self, turn: Turn) -> int:
        return bisect_right(self._records, turn, key=_turn)

    def look_anew(self) -> None:
        self._last = None

    def put(self, record: Record, turn: Turn) -> None:
        records, self._last = self._records, None
        if not records or turn > records[-1].turn:
            records.append(record)
        else:
            records.insert(self._behind(turn), record)

    def take_away(self, record: Record) -> bool:
        """Whether none is left."""
        records, self._last = self._records, None
        at = bisect_left(records, record.turn, key=_turn)
        if at < len(records) and records[at] is record:
            del records[at]
        return not records

    def of(self, group: Group) -> list[int]:
        return [record.ref for record in self._records if record.group is group]


_turn = attrgetter("turn")


class Shelves:
    """The shelves of all entities that have any records, by how these are with it: `own` on it, `beside` tied to it by
    labels, `down` and `begun` within it, `failing` depending on it. `spanning` serving all within it.
    `alike` within it by what they are called, too:
    that has `likeness` for keys."""

    __slots__ = ("alike", "begun", "beside", "down", "failing", "own", "spanning")

    def __init__(self) -> None:
        self.alike: dict[str, Shelf] = {}
        self.own: dict[str, Shelf] = {}
        self.spanning: dict[str, Shelf] = {}
        self.beside: dict[str, Shelf] = {}
        self.down: dict[str, Shelf] = {}
        self.begun: dict[str, Shelf] = {}
        self.failing: dict[str, Shelf] = {}

    def of(self, record: Record) -> Iterator[tuple[dict[str, Shelf], str]]:
        """Where a record stands: the shelves by entity, and the entity."""
        standing = record.standing
        if record.alike:
            for entity in (*standing.containers, *standing.within):
                yield self.alike, likeness(entity, record.name)
        if record.kind is AlertClass.BACKGROUND:
            return
        yield from self._where(standing)
        if record.kind in relation.GOES_DOWN:
            for entity in standing.containers:
                yield self.down, entity
        if record.kind in relation.FAILS:
            for entity in standing.needs:
                yield self.failing, entity
        if record.kind in relation.BURSTS:
            for entity in standing.within:
                yield self.begun, entity

    def _where(self, standing: Standing) -> Iterator[tuple[dict[str, Shelf], str]]:
        for entity in standing.own:
            yield self.own, entity
        for entity in standing.spans:
            yield self.spanning, entity
        for entity in standing.near:
            yield self.beside, entity

    def around(self, record: Record) -> Iterator[Shelf]:
        """All on which there may be what is related to it, or would be."""
        standing = record.standing
        neighbours = [entities for _, _, entities in (*standing.above, *standing.below)]
        for shelves, places in (
            (self.own, (standing.own, standing.near, *neighbours)),
            (self.beside, (standing.own, standing.near, *neighbours)),
            (self.down, (standing.containers,)),
            (self.failing, (standing.needs,)),
            (self.begun, (standing.within, standing.spans)),
            (self.spanning, (standing.within,)),
            (self.alike, ([likeness(one, record.name) for one in (*standing.containers, *standing.within)],)),
        ):
            for entities in places if shelves else ():
                for entity in filter(shelves.__contains__, entities):
                    yield shelves[entity]

    def put(self, record: Record) -> None:
        turn = record.turn
        for shelves, entity in self.of(record):
            shelf = shelves.get(entity)
            if shelf is None:
                shelf = shelves[entity] = Shelf()
            shelf.put(record, turn)

    def take_away(self, record: Record) -> None:
        for shelves, entity in self.of(record):
            shelf = shelves.get(entity)
            if shelf is not None and shelf.take_away(record):
                del shelves[entity]


class Link:
    """One related alert: how strongly, how (one of HOW) and through which entity."""

    __slots__ = ("kind", "record", "through", "weight")

    def __init__(self, weight: float, record: Record, kind: str, through: str) -> None:
        self.weight = weight
        self.record = record
        self.kind = kind
        self.through = through


class Placement:
    """Where an alert belongs. `join` is an incident or "", `merges` those that turn out to be one with it; `tie` is the
    alert by which it joins. `opens`: it came late, and had it come in its turn it would have opened the incident.
    `nearer`: those that would then have come in by it, with the reason, and not by what they did."""

    __slots__ = ("because", "join", "merges", "nearer", "opens", "record", "tie")

    def __init__(
        self,
        record: Record,
        join: str = "",
        merges: tuple[str, ...] = (),
        because: str = "",
        *,
        tie: Record | None = None,
        opens: bool = False,
        nearer: tuple[tuple[Record, str], ...] = (),
    ) -> None:
        self.record = record
        self.join = join
        self.merges = merges
        self.because = because
        self.opens = opens
        self.tie = tie
        self.nearer = nearer


def likeness(entity: str, name: str) -> str:
    """Under which alerts of one name within an entity are filed."""
    return f"{entity} {name}"


BY_TIME = frozenset({"alike", "common", "burst"})
"""Relations that hardly more than the time speaks for: they count only where there is no other."""

HOW = {
    "same": "is on the same entity {through} as {name}, {gap}",
    "still": "says the same of {through} as {name}, which still fires, {gap}",
    "near": "is tied by its labels to {through}, where {name} is, {gap}",
    "cause": "suffers from {through}, where {name} is, {gap}",
    "effect": "explains {name} on {through}, {gap}",
    "sibling": "went down with its neighbour in {through}: {name}, {gap}",
    "alike": "says the same as another within {through}, {gap}",
    "common": "began to fail with {name}, {gap}: both depend on {through}",
    "burst": "began with {name} within {through}, {gap}",
}


def better(link: Link, best: Link) -> bool:
    if (link.kind in BY_TIME) != (best.kind in BY_TIME):
        return best.kind in BY_TIME
    if link.weight != best.weight:
        return link.weight > best.weight
    return (link.record.turn, link.through, link.kind) < (best.record.turn, best.through, best.kind)


def still_down(earlier: Record, later: Record) -> bool:
    """Whether what was down is so still, and the later alert says the same of it: each rule waits its own `for:`."""
    return (
        earlier.kind is later.kind is AlertClass.DOWN
        and earlier.onset <= later.onset
        and earlier.alert is not None
        and earlier.alert.firing
    )


def weigh(record: Record, other: Record, kind: str, half: float) -> float:
    """What classes and onsets leave of a weight: as the two came, or as they usually wait, whichever says more."""
    gap = record.onset - other.onset
    weight = _by_gap(record, other, kind, gap, half, record.known if gap >= 0 else other.known)
    later = record.usual - other.usual
    if later and weight < relation.USUAL:
        weight = max(weight, relation.USUAL * _by_gap(record, other, kind, gap - later, half, True))
    return weight


def _by_gap(record: Record, other: Record, kind: str, gap: float, half: float, known: bool) -> float:
    if abs(gap) > relation.FAR * half:
        return 0.0
    if kind == "cause":
        return relation.from_cause(other.kind, record.kind, gap, half, known)
    if kind == "effect":
        return relation.from_effect(record.kind, other.kind, -gap, half, known)
    if gap >= 0:
        return relation.in_one_place(other.kind, record.kind, gap, half, known, kind == "near")
    return relation.in_one_place(record.kind, other.kind, gap, half, known, kind == "near")


def because(record: Record, link: Link) -> str:
    seconds = round(record.onset - link.record.onset)
    gap = "at the same time" if seconds == 0 else f"{abs(seconds)}s {'later' if seconds > 0 else 'earlier'}"
    return HOW[link.kind].format(through=link.through, name=link.record.name, gap=gap)
