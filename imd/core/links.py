"""Recent alerts as they are compared, the incidents that they are in, and the links between them.

Owns the shapes that `core.relate` works on, and what one link weighs and says; pure. The weights are `core.relation`.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    long as both are in one incident.

    Alone in its place a record is what a `Shelf` of one would be, and the `Last` of it: most places never see another,
    and a shelf with its list takes as much memory as the record."""

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

    # -- alone in a place -----------------------------------------------------------------------------------------

    @property
    def records(self) -> Sequence[Record]:
        return (self,)

    @property
    def groups(self) -> Iterable[Group]:
        return (self.group,) if self.group is not None else ()

    def last(self, scope: Scope, turn: Turn | None = None) -> Last | Record:
        group = self.group
        if group is None or not group.open or group.scope != scope or (turn is not None and turn <= self.turn):
            return NOTHING
        return self

    def later(self, scope: Scope, turn: Turn) -> Sequence[Record]:
        group = self.group
        within = group is not None and group.open and group.scope == scope
        return (self,) if within and turn < self.turn else ()

    def look_anew(self) -> None:
        """Nothing is remembered."""

    def of(self, group: Group) -> list[int]:
        return [self.ref] if self.group is group else []


class Last:
    """The last records of a shelf, newest first, their incidents, and the latest onset."""

    __slots__ = ("groups", "onset", "records")

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.groups: dict[Group, None] = {}
        self.onset = -math.inf


NOTHING = Last()


class Shelf:
    """The records of one entity in one role, in their turn, whenever they came; the first of them was alone there."""

    __slots__ = ("_last", "_records", "_scope")

    def __init__(self, first: Record) -> None:
        self._records = [first]
        self._scope: Scope = ()
        self._last: Last | None = None

    def last(self, scope: Scope, turn: Turn | None = None) -> Last:
        """`look_back`, remembered for the scope that was asked for last, where nothing stands behind the turn."""
        if turn is not None and turn <= self._records[-1].turn:
            return self.look_back(scope, turn)
        last = self._last
        if last is None or self._scope != scope:
            self._last = last = self.look_back(scope)
            # The very scope of its incident, if any: an equal one for each shelf would be memory.
            self._scope = next(iter(last.groups)).scope if last.groups else scope
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
        if turn > records[-1].turn:
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

Place = Shelf | Record
Places = dict[str, Place]


class Shelves:
    """The places of all entities that have any records, by how these are with it: `own` on it, `beside` tied to it by
    labels, `down` and `begun` within it, `failing` depending on it. `spanning` serving all within it. In a place is a
    record, or once there are several a shelf of them. `alike` are those within it, by what they are called: a record
    where there is one, or places by name."""

    __slots__ = ("alike", "begun", "beside", "down", "failing", "own", "spanning")

    def __init__(self) -> None:
        self.alike: dict[str, Record | Places] = {}
        self.own: Places = {}
        self.spanning: Places = {}
        self.beside: Places = {}
        self.down: Places = {}
        self.begun: Places = {}
        self.failing: Places = {}

    def called(self, name: str, entity: str) -> Place | None:
        """What is of this name within an entity."""
        found = self.alike.get(entity)
        if isinstance(found, dict):
            return found.get(name)
        return found if found is not None and found.name == name else None

    def of(self, record: Record) -> Iterator[tuple[Places, str]]:
        """Where a record stands, but for those alike: the places by entity, and the entity."""
        if record.kind is AlertClass.BACKGROUND:
            return
        standing = record.standing
        for entity in standing.own:
            yield self.own, entity
        for entity in standing.spans:
            yield self.spanning, entity
        for entity in standing.near:
            yield self.beside, entity
        if record.kind in relation.GOES_DOWN:
            for entity in standing.containers:
                yield self.down, entity
        if record.kind in relation.FAILS:
            for entity in standing.needs:
                yield self.failing, entity
        if record.kind in relation.BURSTS:
            for entity in standing.within:
                yield self.begun, entity

    def around(self, record: Record) -> Iterator[Place]:
        """All on which there may be what is related to it, or would be."""
        standing = record.standing
        neighbours = [entities for _, _, entities in (*standing.above, *standing.below)]
        for places, groups in (
            (self.own, (standing.own, standing.near, *neighbours)),
            (self.beside, (standing.own, standing.near, *neighbours)),
            (self.down, (standing.containers,)),
            (self.failing, (standing.needs,)),
            (self.begun, (standing.within, standing.spans)),
            (self.spanning, (standing.within,)),
        ):
            for entities in groups if places else ():
                for entity in filter(places.__contains__, entities):
                    yield places[entity]
        for entity in _contain(standing) if self.alike else ():
            place = self.called(record.name, entity)
            if place is not None:
                yield place

    def put(self, record: Record) -> None:
        turn = record.turn
        for entity in _contain(record.standing) if record.alike else ():
            found = self.alike.get(entity)
            if found is None:
                self.alike[entity] = record
                continue
            if isinstance(found, Record):
                found = self.alike[entity] = {found.name: found}
            _put(found, record.name, record, turn)
        for places, entity in self.of(record):
            _put(places, entity, record, turn)

    def take_away(self, record: Record) -> None:
        for entity in _contain(record.standing) if record.alike else ():
            found = self.alike.get(entity)
            if isinstance(found, dict):
                _take_away(found, record.name, record)
            if found is record or found == {}:
                del self.alike[entity]
        for places, entity in self.of(record):
            _take_away(places, entity, record)

    def look_anew(self, record: Record) -> None:
        """Whether it counts among the last of its places, and for which incident, is no longer what it was."""
        for entity in _contain(record.standing) if record.alike else ():
            place = self.called(record.name, entity)
            if place is not None:
                place.look_anew()
        for places, entity in self.of(record):
            places[entity].look_anew()


def _contain(standing: Standing) -> tuple[str, ...]:
    """Within what it is with its like."""
    return (*standing.containers, *standing.within)


def _put(places: Places, key: str, record: Record, turn: Turn) -> None:
    place = places.get(key)
    if place is None:
        places[key] = record
        return
    if isinstance(place, Record):
        place = places[key] = Shelf(place)
    place.put(record, turn)


def _take_away(places: Places, key: str, record: Record) -> None:
    place = places.get(key)
    if place is record or (isinstance(place, Shelf) and place.take_away(record)):
        del places[key]


class Link:
    """One related alert: how strongly, how (one of HOW) and through which entity."""

    __slots__ = ("kind", "record", "through", "weight")

    def __init__(self, weight: float, record: Record, kind: str, through: str) -> None:
        self.weight = weight
        self.record = record
        self.kind = kind
        self.through = through


NONE_OF_ITS_OWN: Mapping[str, str] = {}


class Placement:
    """Where an alert belongs. `join` is an incident or "", `merges` those that turn out to be one with it; `tie` is the
    alert by which it joins. `opens`: it came late, and had it come in its turn it would have opened the incident.
    `nearer`: those that would then have come in by it, with the reason, and not by what they did. `likewise`: the
    reason of merges that have one of their own."""

    __slots__ = ("because", "join", "likewise", "merges", "nearer", "opens", "record", "tie")

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
        likewise: Mapping[str, str] = NONE_OF_ITS_OWN,
    ) -> None:
        self.record = record
        self.join = join
        self.merges = merges
        self.because = because
        self.opens = opens
        self.tie = tie
        self.nearer = nearer
        self.likewise = likewise


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
