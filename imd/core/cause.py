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
from imd.core.standing import Map
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


class Probable:
    """The probable cause. `ref` is the alert that speaks for it: its first, for a container its members' first."""

    __slots__ = ("entity", "reason", "ref")

    def __init__(self, entity: str, ref: int, reason: str) -> None:
        self.entity = entity
        self.ref = ref
        self.reason = reason


class _Ill:
    """One entity with its alerts: the earliest onset and the kinds."""

    __slots__ = ("first", "kinds")

    def __init__(self, record: Record) -> None:
        self.first = record
        self.kinds: dict[AlertClass, None] = {record.kind: None}

    def add(self, record: Record) -> None:
        self.kinds[record.kind] = None
        strength = len(relation.EXPLAINS[record.kind]), -record.onset, -record.ref
        if strength > (len(relation.EXPLAINS[self.first.kind]), -self.first.onset, -self.first.ref):
            self.first = record

    def explains(self, other: _Ill) -> float:
        return max(relation.explains(one, another) for one in self.kinds for another in other.kinds)


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
    for count, record in enumerate(members):
        if count >= MEMBERS_MAX:
            break
        own = record.standing.own
        for entity in [one for one in own if world.holds(one)] or own:
            if entity in ill:
                ill[entity].add(record)
            elif len(ill) < ENTITIES_MAX:
                ill[entity] = _Ill(record)
    if not ill:
        return None
    spanning = [its for its in ill.values() if its.first.standing.spans]
    topmost = [entity for entity in ill if not _explained_by(entity, ill, spanning, world, max_hops)] or list(ill)
    explained = {entity: _explained(entity, ill, world, max_hops) for entity in topmost}
    entity = min(topmost, key=lambda one: (-sum(explained[one].values()), ill[one].first.onset, one))
    container = _container(ill, world, max_hops)
    if container is not None and container[1] > sum(explained[entity].values()):
        return Probable(container[0], container[3], container[2])
    return Probable(entity, ill[entity].first.ref, _reason(entity, ill, len(explained[entity])))


def _explained(entity: str, ill: dict[str, _Ill], world: Map, max_hops: int) -> dict[str, float]:
    """What it explains of the others, by weight."""
    below = world.effects(entity, max_hops)
    found = {}
    here = ill[entity]
    for other in ill if here.first.standing.spans else [one for one in ill if one in below]:
        its = ill[other]
        weight = 0.0 if its is here else below.get(other, _spanned(here, its)) * here.explains(its)
        if weight:
            found[other] = weight
    return found


def _explained_by(entity: str, ill: dict[str, _Ill], spanning: list[_Ill], world: Map, max_hops: int) -> bool:
    here = ill[entity]
    above = [ill[other] for other in world.causes(entity, max_hops).keys() & ill.keys()]
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


def _reason(entity: str, ill: dict[str, _Ill], explained: int) -> str:
    its = ill[entity].first
    if len(ill) == 1:
        return f"{its.name} is on {entity}, and nothing else is ill"
    above = "nothing that it suffers from has an alert"
    return f"{its.name} on {entity} explains {explained} of the {len(ill) - 1} other entities, and {above}"
