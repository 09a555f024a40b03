"""Where records stand: alone in a place, several on a shelf, and alike within an entity."""

from __future__ import annotations

import math
import random
from itertools import product

import pytest

from imd.core.links import Group, Place, Record, Scope, Shelf, Shelves
from imd.core.standing import Standing
from imd.model.topology import AlertClass

TEAM: Scope = (("team", "a"),)


def record(ref: int, began: float = 0.0, name: str = "HighErrorRate", **standing: tuple[str, ...]) -> Record:
    stands = Standing(standing.pop("own", ()), mapped=False)
    for where, entities in standing.items():
        setattr(stands, where, entities)
    return Record(ref, name, AlertClass.ERROR, began, stands)


def refs(place: Place | None) -> list[int]:
    """In their turn."""
    if place is None:
        return []
    return [one.ref for one in place.later((), (-math.inf, 0))]


@pytest.mark.parametrize("state", ["open", "closed", "left"])
def test_a_record_alone_answers_as_a_shelf_of_one_would(state: str) -> None:
    """Asked by any scope, for any turn, whatever has become of its incident."""
    alone = record(7, 100.0)
    group = Group("i1", TEAM, b"")
    group.open, alone.group = state == "open", None if state == "left" else group
    shelf = Shelf(alone)
    for scope, began, ref in product((TEAM, ()), (99.0, 100.0, 101.0), (6, 7, 8, math.inf)):
        for turn in (None, (began, ref)):
            one, many = alone.last(scope, turn), shelf.last(scope, turn)
            assert (list(one.records), list(one.groups)) == (list(many.records), list(many.groups)), (scope, turn)
            assert one.onset == many.onset
        assert list(alone.later(scope, (began, ref))) == list(shelf.later(scope, (began, ref)))
    assert alone.of(group) == shelf.of(group) == ([] if state == "left" else [7])


def test_what_comes_to_a_place_second_stands_with_the_first_in_its_turn() -> None:
    shelves, group = Shelves(), Group("i1", (), b"")
    late, first = record(1, 50.0, own=("host/a",)), record(2, 10.0, own=("host/a",))
    for one in (late, first):
        one.group = group
        shelves.put(one)
    assert refs(shelves.own["host/a"]) == [2, 1]
    shelves.take_away(late)
    assert refs(shelves.own["host/a"]) == [2]
    shelves.take_away(first)
    assert not shelves.own


def test_the_only_alert_of_an_entity_has_no_shelf_there() -> None:
    """With ten alerts on each of 10,000 hosts that is a fifth of the memory that an alert takes."""
    shelves, one = Shelves(), record(1, own=("host/a",), within=("instance/a",))
    shelves.put(one)
    assert shelves.own == {"host/a": one}
    assert shelves.alike == {"instance/a": one}


@pytest.mark.parametrize("seed", range(20))
def test_alerts_alike_are_found_by_their_name_as_they_come_and_go(seed: int) -> None:
    """Of several entities, some of which contain one in two ways; nothing is left of those that went."""
    rng, shelves, group = random.Random(seed), Shelves(), Group("i1", (), b"")
    here: list[Record] = []
    entities, names = ("rack/1", "rack/2", "zone/1"), ("LinkDown", "DiskFull", "PodNotReady")
    for ref in range(120):
        if here and rng.random() < (0.7 if ref > 80 else 0.4):
            shelves.take_away(here.pop(rng.randrange(len(here))))
        else:
            contained = {"containers": (rng.choice(entities),), "within": (rng.choice(entities),)}
            one = record(ref, float(rng.randrange(9)), rng.choice(names), **contained)
            one.group = group
            shelves.put(one)
            here.append(one)
        for entity, name in product(entities, names):
            stands = [
                (one.turn, one.ref)
                for one in here
                for within in (*one.standing.containers, *one.standing.within)
                if within == entity and one.name == name
            ]
            assert refs(shelves.called(name, entity)) == [at for _, at in sorted(stands)]
    for one in here:
        shelves.take_away(one)
    assert not shelves.alike
