"""The promises of the design where causes come after their effects, and alerts move between incidents all the time.

The histories of `test_properties` and `test_paging_properties` with outages of which the cause comes last, and with
restarts, answers and silences before it does. Besides what those look at: nobody waits longer for a page than where the
alert was, all that others are related by is the same after a restart, and alerts did move.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import ClassVar
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from imd.core import quiet
from imd.core.links import Record
from imd.core.regroup import Regroup
from imd.core.relate import Relator
from imd.core.ties import Ties
from imd.core.transaction import Transaction
from imd.model.alert import Alert
from imd.model.effect import Effect
from imd.model.event import ActionKind, AlertsReported, Event, SilenceSet
from imd.model.incident import Incident, IncidentState
from imd.model.policy import Ruleset
from tests.core.making import T0, inhibition, seconds, silence
from tests.core.moving import (
    ANOTHER_MAP,
    CLUSTERS,
    DATABASES,
    FIRST,
    HOSTS,
    LAST,
    LONG_AGO,
    MAP,
    RULES,
    SAID,
    known,
    moves,
    outage,
)
from tests.core.test_paging_properties import Paging
from tests.core.test_paging_properties import rules_of as paging_rules_of
from tests.core.test_properties import History, rules_of
from tests.hunting import histories

BETWEEN = ("", "", "", "down 1", "down 600", "twin", "twin", "reload", "ack", "snooze", "resolve", "merge", "split",
           "mute", "mute all", "ends", "host ends", "settle")  # fmt: skip
"""What befalls before the cause comes."""
ACTS = {"ack": ActionKind.ACK, "snooze": ActionKind.SNOOZE, "resolve": ActionKind.RESOLVE,
        "merge": ActionKind.MERGE, "split": ActionKind.SPLIT}  # fmt: skip
SEVERITY = st.sampled_from(["critical", "warning"])
CLUSTER = st.sampled_from(CLUSTERS)


class Moving(History):
    """`moved` counts, by the states of the incident that lost an alert and of that which took it in."""

    moved: ClassVar[Counter[str]] = Counter()

    def configured(self, version: int) -> Ruleset:
        before = rules_of(version)
        inhibitions = (*before.inhibitions, inhibition("DiskFull", "LatencyHigh", "cluster", name="full"))
        rules, topology = (*RULES, *before.rules), MAP if version % 2 else ANOTHER_MAP
        return msgspec.structs.replace(before, rules=rules, topology=topology, inhibitions=inhibitions)

    # -- driving ------------------------------------------------------------------------------------------------------

    def take(self, event: Event) -> None:
        state = self.engine.state
        heard_at = {one.id: (one.state.value, self._heard_at(one)) for one in state.incidents.values()}
        homes = {one.id: one.incident for members in state.members.values() for one in members}
        super().take(event)
        for members in self.engine.state.members.values():
            for alert in members:
                home = homes.get(alert.id, alert.incident)
                if home != alert.incident and alert.joined_because == "moved":
                    self._look_at_move(alert, *heard_at[home])

    def _heard_at(self, incident: Incident) -> datetime | None:
        """When people hear of what fires in it, if they do."""
        if incident.hushed or not incident.open:
            return None
        return incident.timers["hold"] if incident.state is IncidentState.PENDING else self.now

    def _look_at_move(self, alert: Alert, was: str, due: datetime | None) -> None:
        into = self.engine.state.incidents[alert.incident]
        self.moved[f"{was} to {into.state.value}"] += 1
        assert into.open
        heard_at = self._heard_at(into)
        if alert.firing and not alert.suppressed_by and due is not None:
            assert heard_at is not None, "nobody hears of it any more"
            assert heard_at <= max(due, self.now), f"heard of at {heard_at}, and not at {due}"

    # -- what happens -------------------------------------------------------------------------------------------------

    @rule()
    def restore_the_twin(self) -> None:
        super().restore_the_twin()
        assert known(self.twin) == known(self.engine)

    @rule(
        said=st.integers(0, len(SAID) - 1),
        cluster=CLUSTER,
        ago=st.sampled_from([0, 0, 5, 15, 40, 90, 119, 121, 300]),
        severity=SEVERITY,
        resolved=st.booleans(),
    )
    def comes_late(self, said: int, cluster: str, ago: int, severity: str, resolved: bool) -> None:
        at = self._seconds()
        self._tell(((said, at - ago),), cluster, severity, ended=at if resolved else None)

    @rule(
        cluster=CLUSTER,
        host=st.sampled_from(HOSTS),
        first=st.integers(0, 1),
        last=st.sampled_from([(), LAST[:1], LAST]),
        cause=st.sampled_from(DATABASES),
        before=st.sampled_from([0, 20, 40]),
        late=st.sampled_from([0, 1, 20, 50, 70]),
        between=st.sampled_from(BETWEEN),
        ago=st.integers(0, 1),
        one_body=st.sampled_from([False, False, True]),
        answered=st.sampled_from(["no", *BETWEEN]),
        at_once=st.booleans(),
    )
    def overtakes(
        self, cluster: str, host: int, first: int, last: tuple[int, ...], cause: int, before: int, late: int,
        between: str, ago: int, one_body: bool, answered: str, at_once: bool,
    ) -> None:  # fmt: skip
        """A host dies, services on it and what hangs on those fail, and what they suffer from is told of last. Unless
        `answered` is "no" there is an incident for that already, and this befalls it."""
        if answered != "no":
            self._tell(((LONG_AGO, self._seconds()),), cluster, "warning")
            self.tick_until(self.now + seconds(5 if at_once else 60))
            self._between(answered, cluster, 0, (LONG_AGO,), lasts=500)
            self.tick_until(self.now + seconds(250))
        self._tell(((host, self._seconds() - 20),), cluster, "warning")
        self.tick_until(self.now + seconds(before))
        began = self._seconds()
        effects = (FIRST[host][first], *last)
        if one_body:
            told = tuple((one, began + number * 0.001) for number, one in enumerate(effects))
            self._tell((*told, (cause, began - 5)), cluster, "warning")
            return
        for one in effects:
            self._tell(((one, self._seconds()),), cluster, "critical")
            self.tick_until(self.now + seconds(5))
        self._between(between, cluster, ago, effects)
        self.tick_until(self.now + seconds(late))
        self._tell(((cause, began - 5),), cluster, "critical")

    @rule(cluster=CLUSTER, host=st.sampled_from(HOSTS), between=st.sampled_from(BETWEEN), late=st.sampled_from([0, 20]),
          answered=st.sampled_from(["no", "", "ack", "snooze", "mute", "mute"]))  # fmt: skip
    def overtakes_again(self, cluster: str, host: int, between: str, late: int, answered: str) -> None:
        self.overtakes(
            cluster=cluster, host=host, first=0, last=LAST, cause=DATABASES[0], before=40, late=late, between=between,
            ago=0, one_body=False, answered=answered, at_once=answered == "mute",
        )  # fmt: skip

    def _between(self, what: str, cluster: str, ago: int, effects: tuple[int, ...], lasts: int = 60) -> None:
        at = self._seconds()
        if what in ACTS:
            self.act(kind=ACTS[what], ago=ago, by="ana", force=True)
        elif what == "twin":
            self.restore_the_twin()
        elif what == "settle":
            self.settle_all()
        elif what == "mute":
            self.take(SilenceSet(silence(at, at + lasts, 1, alertname=SAID[effects[-1]][0], cluster=cluster)))
        elif what == "mute all":
            self.take(SilenceSet(silence(at, at + lasts, 2, cluster=cluster)))
        elif what == "host ends":
            host = HOSTS[effects[0] in FIRST[1]]
            self._tell(((host, at - 60),), cluster, "warning", ended=at)
        elif what == "ends":
            self._tell(((effects[0], at - 10),), cluster, "critical", ended=at)
        elif what:
            self.the_world_changes(what=what)

    def _tell(
        self, told: tuple[tuple[int, float], ...], cluster: str, severity: str, ended: float | None = None
    ) -> None:
        self.take(
            AlertsReported("am", False, tuple(outage(said, cluster, severity, began, ended) for said, began in told))
        )

    def _seconds(self) -> float:
        return (self.now - T0).total_seconds()


class MovingAndSpreading(Moving):
    """With silences that are rolled out alert by alert."""

    def __init__(self) -> None:
        super().__init__()
        self.slices = quiet.MUTED_MAX, quiet.LOOKED_MAX
        quiet.MUTED_MAX = quiet.LOOKED_MAX = 1

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            quiet.MUTED_MAX, quiet.LOOKED_MAX = self.slices


class MovingAndPaging(Paging):
    """Who is on call answers, or does not; the outbox is slow, and receivers fail."""

    moved: ClassVar[Counter[str]] = Counter()

    def configured(self, version: int) -> Ruleset:
        before = paging_rules_of(version)
        return msgspec.structs.replace(before, rules=(RULES[0], RULES[2], *before.rules), topology=MAP)

    def take(self, event: Event) -> list[Effect]:
        effects = super().take(event)
        for gone, into in moves(effects):
            states = [self.engine.state.incidents[one].state.value for one in (gone, into)]
            self.moved[" to ".join(states)] += 1
        return effects

    @rule(
        cluster=CLUSTER.filter(lambda name: name[0] in "mo"),  # others end by themselves, or page nobody
        host=st.sampled_from(HOSTS),
        known=st.sampled_from([0, 0, 5, 300]),
        acts=st.lists(st.tuples(st.sampled_from([ActionKind.ACK, ActionKind.UNACK]), st.integers(0, 1)), max_size=2),
        down=st.sampled_from([0, 0, 1, 30]),
        late=st.sampled_from([0, 1, 20, 70]),
        severity=SEVERITY,
    )
    def overtakes(
        self, cluster: str, host: int, known: int, acts: list[tuple[ActionKind, int]], down: int, late: int,
        severity: str,
    ) -> None:  # fmt: skip
        if known:
            self._tell(LONG_AGO, cluster, severity, 0)
            self.tick_until(self.now + seconds(known))
        self._tell(host, cluster, severity, 20)
        self.tick_until(self.now + seconds(40))
        began = self.now
        for one in (FIRST[host][0], *LAST):
            self._tell(one, cluster, severity, 0)
            self.tick_until(self.now + seconds(3))
        for kind, ago in acts:
            self.act(kind=kind, ago=ago)
        if down:
            self.restart(down=down)
        self.tick_until(self.now + seconds(late))
        self._tell(DATABASES[0], cluster, severity, (self.now - began).total_seconds() + 5)

    def _tell(self, said: int, cluster: str, severity: str, ago: float) -> None:
        at = (self.now - T0).total_seconds()
        self.take(AlertsReported("am", False, (outage(said, cluster, severity, at - ago),)))


def test_whoever_moves() -> None:
    Moving.moved.clear()
    run_state_machine_as_test(Moving, settings=histories(80, steps=30))
    ways = Moving.moved
    assert sum(ways.values()) > 20, ways
    assert len(ways) > 1, ways


def test_whoever_moves_while_silences_are_rolled_out() -> None:
    Moving.moved.clear()
    run_state_machine_as_test(MovingAndSpreading, settings=histories(30, steps=30))
    assert sum(Moving.moved.values()) > 5, Moving.moved


def test_whoever_is_paged_of_what_moves() -> None:
    MovingAndPaging.moved.clear()
    run_state_machine_as_test(MovingAndPaging, settings=histories(80, steps=30))
    assert sum(MovingAndPaging.moved.values()) > 5, MovingAndPaging.moved


def _forgets_whom_it_left(self: Relator, records: Iterable[Record], incident: str) -> list[Record]:
    """What stays behind still hangs on what moved."""
    ties = {one: one.tie for group in self._groups.values() for one in group.members}
    for one in move(self, records, incident):
        one.tie = ties[one]
    return []


def _nobody_looks_at_what_is_left(
    self: Regroup, tx: Transaction, incident: Incident, into: Incident, members: Sequence[Alert], *why: str
) -> None:
    """Whether that holds the incident open."""
    regroup(self, tx, incident, into, members, *why)
    tx.touch(incident).restated.clear()


move, regroup = Relator.move, Regroup.move
PLANTED = {
    "what stays behind hangs on what moved": patch.object(Relator, "move", _forgets_whom_it_left),
    "what moves waits for its page anew": patch.object(Regroup, "_wait_no_longer", lambda *_, **_loud: None),
    "a tie is not on record": patch.object(Ties, "_save", lambda *_: None),
    "what is left holds its incident open": patch.object(Regroup, "move", _nobody_looks_at_what_is_left),
}


def _lives(seed: int) -> None:
    """A few outages one after the other, and all that holds looked at."""
    rng, life = random.Random(seed), Moving()
    life.begin()
    for _ in range(5):
        life.overtakes(
            cluster=rng.choice(CLUSTERS), host=rng.choice(HOSTS), first=rng.randrange(2), last=LAST,
            cause=rng.choice(DATABASES), before=40, late=rng.choice((0, 20)), between=rng.choice(BETWEEN),
            ago=rng.randrange(2), one_body=rng.random() < 0.2, answered=rng.choice(("no", "", "mute")), at_once=True,
        )  # fmt: skip
        life.counts_equal_members()
        life.open_incidents_have_their_timers()
        life.restore_the_twin()
        life.tick_until(life.now + seconds(rng.choice((5, 100))))
        life.open_incidents_have_their_timers()
    life.teardown()


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_found(bug: str) -> None:
    """Each shows only once alerts have moved."""
    with PLANTED[bug]:
        for seed in range(300):
            try:
                _lives(seed)
            except AssertionError:
                break
        else:
            pytest.fail(f"{bug}: not found")
    _lives(seed)
