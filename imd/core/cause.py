"""Which entity an incident is probably about: the one that explains most of the others, with nothing ill above it.

Owns the choice and its reason in words; pure. It looks at no more than the first MEMBERS_MAX alerts and ENTITIES_MAX
entities of an incident, so that it costs the same however large a storm grows. A container counts as a candidate where
several of its members went down together, though it may have no alert of its own.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from imd.core import relation
from imd.core.links import Record
from imd.core.relate import Relator
from imd.core.standing import Map, Standing, Weights
from imd.model.alert import Alert, fingerprint
from imd.model.incident import Incident, RootCause
from imd.model.rule import Relate
from imd.model.topology import AlertClass

MEMBERS_MAX = 200
ENTITIES_MAX = 64
CONTAINED_MIN = 3
"""Members of one container that went down, before the container itself is thought of."""

CHOSEN_ALWAYS = 16
CHOSEN_AFTER = 1.25
"""Up to so many members the cause is chosen again with each; then whenever there are a quarter more."""

EXPLAINED_MIN = 0.5
"""What counts as explained by something above: a busy host does not explain a dead database."""

UNTIED = 0.4
"""What one weighs that may come of an entity, by kind and time, though nothing is known to lead there: less than one
that is three hops away. On labels alone there is mostly nothing else to go by."""


EVALUATED = 30.0
"""Seconds by which what fails may be told of before what is down: rules are evaluated every half minute or so."""


class Probable:
    """The probable cause. `ref` is the alert that speaks for it: its first, for a container its members' first."""

    __slots__ = ("entity", "reason", "ref")

    def __init__(self, entity: str, ref: int, reason: str) -> None:
        self.entity = entity
        self.ref = ref
        self.reason = reason


class _Ill:
    """One entity with its alerts: the one that speaks for it, the earliest onset and the kinds."""

    __slots__ = ("first", "kinds", "onset")

    def __init__(self, record: Record) -> None:
        self.first = record
        self.onset = record.onset
        self.kinds: dict[AlertClass, None] = {record.kind: None}

    def add(self, record: Record) -> None:
        self.kinds[record.kind] = None
        self.onset = min(self.onset, record.onset)
        if _strength(record) > _strength(self.first):
            self.first = record

    def explains(self, other: _Ill) -> float:
        return max(relation.explains(one, another) for one in self.kinds for another in other.kinds)


def _strength(record: Record) -> tuple[float, float, int]:
    """Which of an entity's alerts speaks for it: of the class that explains most, the first."""
    return sum(relation.EXPLAINS[record.kind].values()), -record.onset, -record.ref


def choose(incident: Incident, relator: Relator, relate: Relate, members: Sequence[Alert], *, anew: bool) -> None:
    """Writes the probable cause into the incident, where enough members were added since, or `anew`."""
    count = len(members)
    if not anew and count > CHOSEN_ALWAYS and count < incident.cause_of * CHOSEN_AFTER:
        return
    incident.cause_of = count
    found = probable(relator.members(incident.id), relator.map, relate.max_hops)
    if found is None:
        return
    speaker = next((alert for alert in members if alert.id == found.ref), None)
    shown = fingerprint(speaker.identity.labels()) if speaker is not None else ""
    incident.root_cause = RootCause(found.entity, shown, found.reason)


def over(incident: Incident, relator: Relator, members: Sequence[Alert]) -> bool:
    """Whether the alerts of the probable cause have ended, and not before the incident was last opened: what comes back
    without its cause is not over by what ended then. `members` in order of their ids."""
    if incident.root_cause is None:
        return False
    found = [_member(members, ref) for ref in relator.on(incident.id, incident.root_cause.entity)]
    if any(_holds(alert) for alert in found):
        return False
    since = incident.reopened_at
    return any(since is None or max(one.seen_at, one.ended_at or one.seen_at) >= since for one in found)


def _member(members: Sequence[Alert], ref: int) -> Alert:
    return members[bisect_left(members, ref, key=lambda alert: alert.id)]


def _holds(alert: Alert) -> bool:
    """Whether it holds the incident open."""
    return (alert.firing or alert.flapping_since is not None) and not alert.aside


def probable(members: Iterable[Record], world: Map, max_hops: int) -> Probable | None:
    """None where no member relates to anything."""
    ill: dict[str, _Ill] = {}
    ways = _Ways(world, max_hops)
    for count, record in enumerate(members):
        if count >= MEMBERS_MAX:
            break
        own = record.standing.own
        for entity in [one for one in own if world.holds(one)] or own:
            ways.tie(entity, record.standing)
            if entity in ill:
                ill[entity].add(record)
            elif len(ill) < ENTITIES_MAX:
                ill[entity] = _Ill(record)
    if not ill:
        return None
    spanning = [its for its in ill.values() if its.first.standing.spans]
    topmost = [entity for entity in ill if not _explained_by(entity, ill, spanning, ways)] or list(ill)
    explained = {entity: _explained(entity, ill, ways) for entity in topmost}
    might = {entity: _might_explain(entity, ill, explained[entity]) for entity in topmost}
    weighed = {one: sum(explained[one].values()) + UNTIED * might[one] for one in topmost}
    entity = min(topmost, key=lambda one: (-weighed[one], ill[one].first.onset, one))
    container = _container(ill, world, max_hops)
    if container is not None and container[1] > sum(explained[entity].values()):
        return Probable(container[0], container[3], container[2])
    return Probable(entity, ill[entity].first.ref, _reason(entity, ill, len(explained[entity]), might[entity]))


class _Ways:
    """What leads from entity to entity: the map, and what the labels of members tie together."""

    def __init__(self, world: Map, max_hops: int) -> None:
        self._world = world
        self._max_hops = max_hops
        self._up: dict[str, dict[str, None]] = {}
        self._down: dict[str, dict[str, None]] = {}

    def tie(self, entity: str, standing: Standing) -> None:
        for cause in standing.near[: standing.upon]:
            self._link(cause, entity)
        for effect in standing.near[standing.upon :]:
            self._link(entity, effect)

    def _link(self, cause: str, effect: str) -> None:
        self._down.setdefault(cause, {})[effect] = None
        self._up.setdefault(effect, {})[cause] = None

    def causes(self, entity: str) -> Weights:
        """What an entity suffers from, without itself."""
        return self._both(self._world.causes(entity, self._max_hops), entity, self._up)

    def effects(self, entity: str) -> Weights:
        """What suffers from an entity, without itself."""
        return self._both(self._world.effects(entity, self._max_hops), entity, self._down)

    def _both(self, mapped: Weights, entity: str, ties: dict[str, dict[str, None]]) -> Weights:
        if entity not in ties:
            return mapped
        found = dict(mapped)
        front, seen, weight = [entity], {entity: None}, 1.0
        for _ in range(self._max_hops):
            weight *= relation.FADE
            front = list(dict.fromkeys(one for at in front for one in ties.get(at, ()) if one not in seen))
            seen.update(dict.fromkeys(front))
            for one in front:
                found[one] = max(weight, found.get(one, 0.0))
        return found


def _explained(entity: str, ill: dict[str, _Ill], ways: _Ways) -> dict[str, float]:
    """What it explains of the others, by weight."""
    below = ways.effects(entity)
    found = {}
    here = ill[entity]
    for other in ill if here.first.standing.spans else [one for one in ill if one in below]:
        its = ill[other]
        weight = 0.0 if its is here else below.get(other, _spanned(here, its)) * here.explains(its)
        if weight:
            found[other] = weight
    return found


def _might_explain(entity: str, ill: dict[str, _Ill], explained: dict[str, float]) -> int:
    """How many of the others are such trouble as comes of its own and did not begin before it, though nothing is known
    to lead there: a map that has edges of both would know. Requests that fail somewhere bring no machine down, though
    the rule of that waits longer and tells of it later."""
    here = ill[entity]
    down = bool(relation.GOES_DOWN & here.kinds.keys())
    mapped = here.first.standing.mapped
    return sum(
        its is not here
        and other not in explained
        and not (mapped and its.first.standing.mapped)
        and its.onset >= here.onset - (EVALUATED if down else 0.0)
        and (down or not relation.GOES_DOWN & its.kinds.keys())
        and here.explains(its) >= EXPLAINED_MIN
        for other, its in ill.items()
    )


def _explained_by(entity: str, ill: dict[str, _Ill], spanning: list[_Ill], ways: _Ways) -> bool:
    here = ill[entity]
    above = [ill[other] for other in ways.causes(entity).keys() & ill.keys()]
    above += [its for its in spanning if its is not here and _spanned(its, here)]
    return any(its.explains(here) >= EXPLAINED_MIN for its in above)


def _spanned(cause: _Ill, effect: _Ill) -> float:
    """What is left of a weight from what serves all of a cluster to what is within it."""
    spans = cause.first.standing.spans
    within = effect.first.standing.within
    return relation.FADE if spans and any(one in within for one in spans) and not effect.first.standing.spans else 0.0


def _container(ill: dict[str, _Ill], world: Map, max_hops: int) -> tuple[str, float, str, int] | None:
    """A container whose members went down together: id, what it explains, why, and the first alert of those."""
    down: dict[str, list[Record]] = {}
    for entity, its in ill.items():
        if relation.GOES_DOWN & its.kinds.keys():
            for container in world.contains(entity):
                down.setdefault(container, []).append(its.first)
    broken = {container: firsts for container, firsts in down.items() if len(firsts) >= CONTAINED_MIN}
    if not broken:
        return None
    weighed = {container: _weight_below(container, ill, world, max_hops) for container in broken}
    best = min(weighed, key=lambda one: (-weighed[one], one))
    first = min(broken[best], key=lambda record: (record.onset, record.ref))
    return best, weighed[best], f"{len(broken[best])} of what it contains went down together", first.ref


def _weight_below(container: str, ill: dict[str, _Ill], world: Map, max_hops: int) -> float:
    below = world.effects(container, max_hops)
    return sum(1.0 if entity == container else below.get(entity, 0.0) for entity in ill)


def _reason(entity: str, ill: dict[str, _Ill], explained: int, might: int) -> str:
    its = ill[entity].first
    if len(ill) == 1:
        return f"{its.name} is on {entity}, and nothing else is ill"
    others = len(ill) - 1
    if not explained:
        of_them = f"{might} of the {others} other entities"
        return f"{its.name} on {entity}: of its kind {of_them} may suffer; nothing ties them"
    above = "nothing that it suffers from has an alert"
    return f"{its.name} on {entity} explains {explained} of the {others} other entities, and {above}"
