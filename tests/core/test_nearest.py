"""What the search passes over would not have changed its answer."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from imd.core.links import Record
from imd.core.nearest import Search
from imd.core.relate import Relator
from imd.model.rule import Matcher, Op, Relate
from imd.model.topology import Entity, FromLabels, Topology
from tests.core.plain_search import PlainSearch

RELATE = Relate()
HALF = RELATE.within.total_seconds() / 5
NAMES = (
    "NodeDown", "LinkDown", "DiskFull", "PodCrashLooping", "PodNotReady", "HighErrorRate", "HighLatency", "CpuHigh",
)  # fmt: skip
MINUTE = timedelta(minutes=1)


class Alert:
    def __init__(self, firing: bool) -> None:
        self.firing = firing


def world(rng: random.Random) -> Topology:
    """Racks, hosts, services that call each other, in rings too; pods that only their labels know."""
    entities = [Entity(id=f"rack/r{n}") for n in range(2)]
    for n in range(6):
        match = ((Matcher("node", Op.EQUAL, f"n{n}"),),)
        entities.append(Entity(id=f"host/n{n}", match=match, part_of=(f"rack/r{n % 2}",)))
    for n in range(10):
        calls = tuple(f"service/s{rng.randrange(10)}" for _ in range(rng.randrange(3)))
        serves = tuple(f"service/s{rng.randrange(10)}" for _ in range(rng.randrange(2)))
        home = (f"host/n{rng.randrange(6)}",)
        match = ((Matcher("service", Op.EQUAL, f"s{n}"),),)
        entities.append(Entity(id=f"service/s{n}", match=match, runs_on=home, depends_on=calls, serves=serves))
    templates = (
        FromLabels(entity="pod/{pod}", part_of=("host/{node}",), serves=("service/{service}",)),
        FromLabels(entity="job/{job}", depends_on=("service/{service}",)),
        FromLabels(entity="space/{space}", broad=True),
    )
    usual = {name: rng.choice((1, 2, 3, 15)) * MINUTE for name in NAMES if rng.random() < 0.6}
    pending = {name: {"": rng.randrange(6) * MINUTE} for name in NAMES if rng.random() < 0.3}
    return Topology(entities=tuple(entities), from_labels=templates, usual=usual, pending=pending)


def labels(rng: random.Random) -> dict[str, str]:
    told = {"alertname": rng.choice(NAMES), "severity": "warning"}
    for name, values in (("node", 6), ("service", 10), ("pod", 4), ("job", 3), ("space", 2)):
        if rng.random() < 0.45:
            told[name] = f"{name[0]}{rng.randrange(values)}"
    return told


@pytest.mark.parametrize("seed", range(100))
def test_the_answers_are_those_of_a_search_that_weighs_everything(seed: int) -> None:
    """Alerts early and late, of two scopes; incidents that close, come back, merge and are forgotten."""
    rng = random.Random(seed)
    relator, at, opened = Relator(world(rng)), 0.0, ["none", "never"]
    found, step = 0, rng.choice((1, 15, 60))
    for ref in range(150):
        at += rng.choice((0, 1, 1, 3)) * step
        scope = rng.choice(((), (("team", "a"),)))
        told = labels(rng)
        began = at - rng.choice((0.0, 0.0, 15.0 * rng.randrange(20)))
        record = relator.record(ref, told, began, RELATE)
        expected = PlainSearch(relator.shelves, record, HALF, scope)
        search = Search(relator.shelves, record, HALF, scope)
        assert _said(search, record) == _said(expected, record)
        found += search.best is not None
        placement = relator.place(ref, told, began, RELATE, scope)
        incident = placement.join or f"i{ref:04d}"
        opened += [] if placement.join else [incident]
        relator.enter(placement.record, incident, scope, str(ref).encode(), Alert(rng.random() < 0.7))
        for other in placement.merges:
            incident, younger = sorted((incident, other))
            relator.merge(younger, incident)
        if rng.random() < 0.2:
            rng.choice((relator.close, relator.reopen, relator.forget))(rng.choice(opened))
        if rng.random() < 0.05:
            relator.merge(*rng.sample(opened, 2))
    assert 15 <= found <= 145


def _said(search: Search | PlainSearch, record: Record) -> tuple[object, ...]:
    best = search.best
    if best is None:
        return ()
    group = best.record.group
    assert group is not None
    return best.weight, best.record.ref, best.kind, best.through, search.merges(group)
