"""Which incident a new alert is related to: along a map, along labels, in time, and in bounds."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imd.core.cause import probable
from imd.core.links import LAST, Placement, Record
from imd.core.relate import Relator
from imd.core.relation import SMALL
from imd.model.rule import Matcher, Op, Relate
from imd.model.topology import AlertClass, ClassRule, Entity, FromLabels, Topology
from tests.core.outages import Told, agreement, outages

RELATE = Relate()


def on(name: str, value: str) -> tuple[tuple[Matcher, ...], ...]:
    return ((Matcher(name, Op.EQUAL, value),),)


SHOP = Topology(
    entities=(
        Entity(id="rack/r1"),
        Entity(id="host/n1", match=on("node", "n1"), part_of=("rack/r1",)),
        Entity(id="host/n2", match=on("node", "n2"), part_of=("rack/r1",)),
        Entity(id="host/n3", match=on("node", "n3"), part_of=("rack/r1",)),
        Entity(id="host/n9", match=on("node", "n9")),
        Entity(id="db/orders", match=on("db", "orders"), runs_on=("host/n9",)),
        Entity(id="service/pay", match=on("service", "pay"), depends_on=("db/orders",), runs_on=("host/n1",)),
        Entity(id="service/lone", match=on("service", "lone"), depends_on=("db/orders",)),
        Entity(id="service/shop", match=on("service", "shop"), depends_on=("service/pay",)),
        Entity(id="service/web", match=on("service", "web"), depends_on=("service/shop", "service/unmapped")),
        Entity(id="service/ring", match=on("service", "ring"), depends_on=("service/ring", "service/web")),
    )
)


NAMED = (
    FromLabels(entity="service/{cluster?}/{service}", depends_on=("db/{cluster?}/{db}",)),
    FromLabels(entity="db/{cluster?}/{db}"),
    FromLabels(entity="cluster/{cluster}", broad=True),
)


def identity(labels: dict[str, str]) -> bytes:
    return repr(sorted(labels.items())).encode()


class Site:
    """A Relator and the incidents it makes, as the engine would keep them."""

    def __init__(self, topology: Topology = SHOP, relate: Relate = RELATE) -> None:
        self.relator = Relator(topology)
        self.relate = relate
        self.count = 0
        self.merged: dict[str, str] = {}
        self.of: dict[int, str] = {}
        self.openers: dict[str, bytes] = {}

    def fire(
        self, at: float, name: str, scope: tuple[tuple[str, str], ...] = (), severity: str = "warning", **labels: str
    ) -> str:
        """Places an alert and enters it; the incident it is in."""
        return self.told(at, {"alertname": name, "severity": severity, **labels}, scope)

    def told(self, at: float, labels: dict[str, str], scope: tuple[tuple[str, str], ...] = ()) -> str:
        self.count += 1
        placement = self.placed(at, labels, scope)
        incident, told = placement.join or f"i{self.count:06d}", identity(labels)
        self.openers.setdefault(incident, told)
        self.relator.enter(placement.record, incident, scope, told)
        self.of[self.count] = incident
        placement.record.tie = placement.tie
        if placement.opens:
            self._opens(incident, told)
            self._draw_in(incident, placement.record)
        for other in placement.merges:
            self._draw_in(other, placement.record)
            older, younger = sorted((incident, other))
            opener = self.openers[younger if self.relator.opened_after(older, younger) else older]
            self.merged[younger] = incident = older
            self.relator.merge(younger, older)
            del self.openers[younger]
            self._opens(older, opener)
        for record, _ in placement.nearer:
            self._move(record, incident, placement.record)
        return incident

    def _draw_in(self, incident: str, by: Record) -> None:
        for root in self.relator.roots(incident):
            root.tie = by if root is not by else None

    def _move(self, record: Record, into: str, by: Record) -> None:
        assert record.group is not None
        moving = self.relator.with_it(record)
        record.tie = by
        if record.group.id != into:
            self.relator.move(moving, into)
            self.of |= {one.ref: into for one in moving}

    def _opens(self, incident: str, opener: bytes) -> None:
        self.openers[incident] = opener
        self.relator.opens(incident, opener)

    def placed(self, at: float, labels: dict[str, str], scope: tuple[tuple[str, str], ...] = ()) -> Placement:
        return self.relator.place(self.count, labels, at, self.relate, scope)

    def now_in(self, ref: int) -> str:
        incident = self.of[ref]
        while incident in self.merged:
            incident = self.merged[incident]
        return incident

    def cause(self, incident: str) -> str:
        found = probable(self.relator.members(incident), self.relator.map, self.relate.max_hops)
        assert found is not None
        return found.entity


def test_an_effect_joins_the_incident_of_its_cause_and_says_why() -> None:
    site = Site()
    incident = site.fire(0, "PostgresqlDown", db="orders")
    labels = {"alertname": "HighErrorRate", "service": "pay"}
    placement = site.placed(20, labels)
    assert placement.join == incident
    assert placement.because == "suffers from db/orders, where PostgresqlDown is, 20s later"


def test_a_dependency_path_fades_with_each_hop() -> None:
    site = Site()
    incident = site.fire(0, "PostgresqlDown", db="orders")
    assert site.fire(30, "HighErrorRate", service="web") == incident
    assert Site(relate=Relate(max_hops=2)).fire(0, "PostgresqlDown", db="orders")
    near = Site(relate=Relate(max_hops=2))
    near.fire(0, "PostgresqlDown", db="orders")
    assert near.fire(30, "HighErrorRate", service="web") == "i000002"


class Lasting:
    """An alert that fires until it is told otherwise."""

    firing = True


def test_what_is_still_down_is_the_same_trouble_however_late_another_alert_says_so() -> None:
    minutes = RELATE.within / 5
    for ends, later, joins in (
        (False, "NodeUnreachable", True),
        (True, "NodeUnreachable", False),
        (False, "PodNotReady", False),
    ):
        site, alert = Site(), Lasting()
        down = site.placed(0, {"alertname": "NodeDown", "node": "n1"}).record
        site.relator.enter(down, "i000001", (), b"down", alert)
        alert.firing = not ends
        labels = {"alertname": later, "node": "n1"}
        assert (site.placed(15 * minutes.total_seconds(), labels).join == "i000001") is joins


def test_what_is_not_related_opens_its_own() -> None:
    site = Site()
    assert site.fire(0, "PostgresqlDown", db="orders") != site.fire(30, "NodeDown", node="n3")


def test_a_gap_beyond_the_time_scale_is_another_incident() -> None:
    site = Site()
    assert site.fire(0, "PostgresqlDown", db="orders") != site.fire(600, "HighErrorRate", service="pay")
    quiet = Site(relate=Relate(within=RELATE.within * 6))
    assert quiet.fire(0, "PostgresqlDown", db="orders") == quiet.fire(600, "HighErrorRate", service="pay")


def test_onset_takes_each_alerts_for_off_so_that_a_late_alert_is_no_late_effect() -> None:
    minutes = RELATE.within / 5
    known = Topology(entities=SHOP.entities, pending={"DbDown": {"": minutes}, "SlowToTell": {"warning": minutes * 15}})
    site = Site(known)
    assert site.fire(60, "DbDown", db="orders") == site.fire(920, "SlowToTell", service="pay")
    other = Site(SHOP)
    assert other.fire(60, "DbDown", db="orders") != other.fire(920, "SlowToTell", service="pay")


def test_a_cause_seen_after_its_effects_merges_their_incidents_into_the_older() -> None:
    world = Topology(
        entities=(
            Entity(id="db/x", match=on("db", "x")),
            Entity(id="service/a", match=on("service", "a"), depends_on=("db/x",)),
            Entity(id="service/b", match=on("service", "b"), depends_on=("db/x",)),
        )
    )
    site = Site(world)
    first, second = site.fire(0, "HighErrorRate", service="a"), site.fire(25, "PodCrashLooping", service="b")
    assert first != second
    assert site.fire(27, "PostgresqlDown", db="x") == first
    assert site.now_in(2) == first
    assert site.cause(first) == "db/x"


def test_what_depends_on_one_thing_and_begins_to_fail_together_is_one() -> None:
    """The database may be ill, and its own alert still waits for its `for:`."""
    world = Topology(
        entities=(
            Entity(id="service/a", match=on("service", "a"), depends_on=("db/x",)),
            Entity(id="service/b", match=on("service", "b"), depends_on=("db/x",)),
            Entity(id="service/c", match=on("service", "c"), depends_on=("db/y",)),
        )
    )
    site = Site(world)
    incident = site.fire(0, "HighErrorRate", service="a")
    placement = site.placed(20, {"alertname": "HighLatency", "service": "b"})
    assert placement.join == incident
    assert placement.because == "began to fail with HighErrorRate, 20s later: both depend on db/x"
    assert site.fire(20, "HighErrorRate", service="c") != incident
    assert site.fire(120, "HighErrorRate", service="b") != incident


def test_errors_go_along_dependencies_and_not_to_what_is_carried() -> None:
    """A failed unit of a host is no reason for the service on it; the host's death is."""
    site = Site()
    failed = site.fire(0, "NodeSystemdServiceFailed", node="n1")
    assert site.fire(5, "HighErrorRate", service="pay") != failed
    lost = Site()
    assert lost.fire(0, "NodeDown", node="n1") == lost.fire(5, "HighErrorRate", service="pay")


def test_two_fit_also_if_both_waited_as_their_alerts_usually_do() -> None:
    minutes = RELATE.within / 5
    usual = {"PodNotReady": minutes * 15, "NodeDown": minutes}
    site = Site(Topology(entities=SHOP.entities, usual=usual))
    assert site.fire(60, "NodeDown", node="n1") == site.fire(920, "PodNotReady", service="pay")
    unusual = Site(Topology(entities=SHOP.entities, usual=usual))
    assert unusual.fire(60, "NodeDown", node="n1") == unusual.fire(80, "PodNotReady", service="pay")
    known = Topology(
        entities=SHOP.entities, usual=usual, pending={"PodNotReady": {"": minutes}, "NodeDown": {"": minutes}}
    )
    told = Site(known)
    assert told.fire(60, "NodeDown", node="n1") != told.fire(920, "PodNotReady", service="pay")


def test_a_workload_in_trouble_draws_no_errors_from_elsewhere() -> None:
    site = Site(Topology())
    first = site.fire(0, "PodCrashLooping", namespace="a", pod="p", cluster="c1")
    assert site.fire(1, "HighErrorRate", service="b", cluster="c1") != first


def test_two_incidents_that_have_grown_are_not_merged() -> None:
    """Each has a story of its own by then; a small one still goes into a large one."""
    for grown, merged in ((SMALL, True), (SMALL + 1, False)):
        site = Site()
        first = site.fire(0, "PodCrashLooping", service="pay")
        for number in range(SMALL):
            site.fire(1, f"PodTrouble{number}", service="pay")
        second = site.fire(0, "PodCrashLooping", service="lone")
        for number in range(grown - 1):
            site.fire(1, f"PodTrouble{number}", service="lone")
        assert first != second
        site.fire(3, "PostgresqlDown", db="orders")
        assert (site.now_in(SMALL + 2) == site.now_in(1)) is merged


def test_an_incident_that_reopened_has_a_story_of_its_own_and_is_not_merged() -> None:
    site = Site()
    flapping = site.fire(0, "ProbeSlow", service="pay")
    site.relator.close(flapping)
    site.relator.reopen(flapping)
    assert site.fire(5, "PostgresqlDown", db="orders") != flapping


def test_an_effect_that_overtakes_its_cause_is_asked_again_when_that_comes() -> None:
    site = Site()
    incident = site.fire(20, "HighErrorRate", service="pay")
    placement = site.placed(0, {"alertname": "PostgresqlDown", "db": "orders"})
    assert (placement.join, placement.opens) == (incident, True)
    assert placement.because == (
        "began before HighErrorRate, which suffers from db/orders, where PostgresqlDown is, 20s later"
    )
    assert site.fire(0, "PostgresqlDown", db="orders") == incident
    assert site.relator.opened_by(site.openers[incident]) == incident
    assert b"PostgresqlDown" in site.openers[incident]


def test_what_comes_late_draws_an_incident_that_is_there_for_want_of_it_into_its_own() -> None:
    site = Site()
    first = site.fire(0, "PostgresqlDown", db="orders")
    second = site.fire(130, "HighErrorRate", service="shop")
    assert first != second
    assert site.fire(100, "HighErrorRate", service="pay") == first
    assert site.now_in(2) == first


def test_what_would_have_come_in_by_an_alert_that_came_late_moves_to_it_with_what_came_in_by_that() -> None:
    """The host was all that explained the errors; the database, which is nearer, died before them."""
    site = Site()
    first = site.fire(0, "NodeDown", node="n1")
    assert site.fire(60, "HighErrorRate", service="pay") == first
    assert site.fire(65, "HighErrorRate", service="shop") == first
    second = site.fire(55, "PostgresqlDown", db="orders")
    assert [site.now_in(ref) for ref in (1, 2, 3)] == [first, second, second]
    assert [record.ref for record in site.relator.members(second)] == [2, 3, 4]
    assert site.fire(70, "HighErrorRate", service="web") == second


def test_what_is_nearer_to_what_it_came_in_by_stays_there() -> None:
    site = Site()
    first = site.fire(0, "NodeDown", node="n1")
    assert site.fire(5, "HighErrorRate", service="pay") == first
    assert site.fire(-60, "PostgresqlDown", db="orders") != first
    assert site.now_in(2) == first


def test_of_one_incident_a_late_alert_takes_with_it_what_would_have_come_in_by_it() -> None:
    """The pay service came in by its host. The alert of the database is late, and of that incident as well: once it
    proves to be another's, so do the errors."""
    site = Site()
    first = site.fire(0, "NodeDown", node="n9")
    assert site.fire(50, "HighErrorRate", service="pay") == first
    assert site.fire(45, "PostgresqlDown", db="orders") == first
    members = {record.ref: record for record in site.relator.members(first)}
    assert members[2].tie is members[3]
    assert [record.ref for record in site.relator.with_it(members[3])] == [3, 2]


def test_what_leaves_its_incident_is_no_tie_any_more() -> None:
    site = Site()
    incident = site.fire(0, "PostgresqlDown", db="orders")
    site.fire(5, "HighErrorRate", service="pay")
    site.fire(10, "HighErrorRate", service="shop")
    assert site.relator.leave(incident, 2) == [3]
    assert [record.ref for record in site.relator.roots(incident)] == [1, 3]


def test_siblings_that_go_down_together_are_one_and_name_their_container() -> None:
    site = Site()
    incidents = {site.fire(second, "NodeDown", node=f"n{second}") for second in (1, 2, 3)}
    assert len(incidents) == 1
    assert site.cause(incidents.pop()) == "rack/r1"


def test_siblings_that_are_merely_busy_are_not_one() -> None:
    site = Site()
    assert site.fire(1, "HighCpuLoad", node="n1") != site.fire(2, "HighCpuLoad", node="n2")


def test_what_serves_a_broad_entity_explains_all_within_it() -> None:
    """Everything of a cluster resolves names; nothing of it says so on any map."""
    labels = Topology(
        from_labels=(
            FromLabels(entity="dns/{cluster}/{dns}", serves=("cluster/{cluster}",)),
            FromLabels(entity="service/{service}"),
            FromLabels(entity="cluster/{cluster}", broad=True),
        )
    )
    site = Site(labels)
    first = site.fire(0, "NamesFail", dns="main", cluster="c1")
    assert site.fire(70, "Errors", service="a", cluster="c1") == first
    assert site.fire(80, "Slow", service="b", cluster="c1") == first
    assert site.fire(80, "Errors", service="c", cluster="c2") != first
    assert site.fire(300, "Errors", service="d", cluster="c1") != first
    cause = probable(site.relator.members(first), site.relator.map, RELATE.max_hops)
    assert cause is not None
    assert cause.entity == "dns/c1/main"


def test_what_says_the_same_within_one_container_at_once_is_one_whatever_it_speaks_of() -> None:
    """Clocks of many hosts have one time server; another alert of that minute is none of its business."""
    site = Site(Topology())
    first = site.fire(0, "ClockSkew", node="n1", cluster="c1")
    assert site.fire(80, "ClockSkew", node="n2", cluster="c1") == first
    assert site.fire(80, "ClockSkew", node="n3", cluster="c2") != first
    assert site.fire(81, "BackupLate", node="n4", cluster="c1") != first
    assert site.fire(82, "HostErrors", node="n2", cluster="c1") != first
    assert site.fire(180, "ClockSkew", node="n5", cluster="c1") != first


def test_what_says_the_same_draws_in_what_began_so_whatever_brings_it_where_it_belongs() -> None:
    """Two services fail within seconds; the second is known to depend on what is ill. Had it been heard of first, the
    other one would have come in by it."""
    site = Site(Topology(from_labels=NAMED))
    lone = site.fire(0, "RequestsFail", service="a", cluster="c1")
    ill = site.fire(30, "DatabaseDown", db="orders", cluster="c1")
    assert ill != lone
    assert site.fire(45, "RequestsFail", service="b", db="orders", cluster="c1") == lone
    assert site.now_in(2) == site.now_in(1)


def test_what_says_the_same_is_no_tie_to_what_began_otherwise_or_long_before_or_elsewhere() -> None:
    site = Site(Topology(from_labels=NAMED))
    site.fire(0, "RequestsFail", service="a", cluster="c1")  # too long before
    users = site.fire(100, "DatabaseDown", db="users", cluster="c1")
    assert site.fire(105, "RequestsFail", service="d", db="users", cluster="c1") == users  # that did not begin so
    site.fire(150, "RequestsFail", service="z", cluster="c2")  # in another cluster
    orders = site.fire(160, "DatabaseDown", db="orders", cluster="c1")
    placed = site.placed(190, {"alertname": "RequestsFail", "service": "b", "db": "orders", "cluster": "c1"})
    assert (placed.join, placed.merges) == (orders, ())


def test_where_the_map_has_edges_of_an_alert_it_draws_nothing_in_for_saying_the_same() -> None:
    tied = Entity(id="service/c1/b", match=on("service", "b"), depends_on=("db/c1/orders",))
    for entities, merges in (((), 1), ((tied,), 0)):
        site = Site(Topology(from_labels=NAMED, entities=entities))
        site.fire(0, "RequestsFail", service="a", cluster="c1")
        site.fire(30, "DatabaseDown", db="orders", cluster="c1")
        placed = site.placed(45, {"alertname": "RequestsFail", "service": "b", "db": "orders", "cluster": "c1"})
        assert len(placed.merges) == merges


@pytest.mark.parametrize(
    ("name", "severity"), [("DiskFull", "warning"), ("MemoryHigh", "critical"), ("RequestsFail", "info")]
)
def test_gauges_run_full_on_their_own_and_what_nobody_is_to_act_on_stands_alone(name: str, severity: str) -> None:
    site = Site(Topology())
    first = site.fire(0, name, node="n1", cluster="c1", severity=severity)
    assert site.fire(1, name, node="n2", cluster="c1", severity=severity) != first


def test_a_burst_within_one_container_is_one_where_nothing_else_is_known() -> None:
    site = Site(Topology())
    first = site.fire(0, "HighErrorRate", service="a", cluster="c1")
    assert site.fire(5, "HighErrorRate", service="b", cluster="c1") == first
    assert site.fire(6, "HighErrorRate", service="c", cluster="c2") != first
    assert site.fire(55, "ManyErrors", service="d", cluster="c1") != first


def test_what_the_map_lists_without_an_edge_is_as_if_it_were_not_there() -> None:
    listed = (Entity(id="service/a", match=on("service", "a")), Entity(id="service/b", match=on("service", "b")))
    tied = (Entity(id="service/a", match=on("service", "a"), depends_on=("db/a",)),
            Entity(id="service/b", match=on("service", "b"), depends_on=("db/b",)))  # fmt: skip
    for entities, alike in (((), True), (listed, True), (tied, False)):
        site = Site(Topology(entities=entities))
        first = site.fire(0, "RequestErrors", namespace="shop", service="a")
        assert (site.fire(25, "CallErrors", namespace="shop", service="b") == first) is alike


def test_background_and_info_stand_alone() -> None:
    site = Site()
    incident = site.fire(0, "NodeDown", node="n1")
    assert site.fire(1, "BackupFailed", node="n1") != incident
    assert site.fire(2, "NodeDown", severity="info", node="n1") != incident


def test_the_operators_classes_come_before_the_built_in_ones() -> None:
    quiet = ClassRule(kind=AlertClass.BACKGROUND, match=((Matcher("alertname", Op.EQUAL, "NodeDown"),),))
    site = Site(Topology(entities=SHOP.entities, classes=(quiet,)))
    assert site.fire(0, "NodeDown", node="n1") != site.fire(1, "NodeDown", node="n1")


def test_nothing_is_related_across_scopes() -> None:
    site = Site()
    eu, us = (("region", "eu"),), (("region", "us"),)
    assert site.fire(0, "PostgresqlDown", scope=eu, db="orders") != site.fire(
        5, "HighErrorRate", scope=us, service="pay"
    )


def test_a_closed_incident_takes_nothing_in() -> None:
    site = Site()
    incident = site.fire(0, "PostgresqlDown", db="orders")
    site.relator.close(incident)
    assert site.fire(5, "HighErrorRate", service="pay") != incident


def test_a_forgotten_incident_leaves_nothing_behind() -> None:
    site = Site()
    incident = site.fire(0, "PostgresqlDown", db="orders", cluster="c1")
    site.relator.forget(incident)
    assert site.relator.members(incident) == []
    assert site.fire(5, "HighErrorRate", service="pay") != incident


_POD = FromLabels(entity="pod/{pod}", part_of=("host/{node}",))


def test_labels_tie_a_pod_to_its_host() -> None:
    tied = Topology(
        from_labels=(FromLabels(entity="pod/{pod}", part_of=("host/{node}",)), FromLabels(entity="host/{node}"))
    )
    site = Site(tied)
    assert site.fire(0, "NodeDown", node="n1") == site.fire(30, "PodNotReady", pod="p", node="n1")
    assert site.fire(35, "NodeUnreachable", node="n1") == site.now_in(1)


def test_the_probable_cause_is_the_one_with_nothing_ill_above_it() -> None:
    site = Site()
    incident = site.fire(0, "HighErrorRate", service="shop")
    site.fire(10, "HighErrorRate", service="pay")
    site.fire(20, "PostgresqlDown", db="orders")
    found = probable(site.relator.members(incident), site.relator.map, 3)
    assert found is not None
    assert found.entity == "db/orders"
    assert found.reason == (
        "PostgresqlDown on db/orders explains 2 of the 2 other entities, and nothing that it suffers from has an alert"
    )


def test_without_a_map_the_cause_is_what_the_others_may_come_of_by_kind_and_time() -> None:
    site = Site(Topology())
    site.fire(0, "PostgresDown", namespace="shop", service="orders-db")
    for number, name in enumerate(("pay", "ship", "mail")):
        site.fire(10 + number, "RequestErrors", namespace="shop", service=name)
    home = site.fire(40, "PodNotReady", namespace="shop", pod="pay-0", container="pay")
    found = probable(site.relator.members(home), site.relator.map, RELATE.max_hops)
    assert found is not None
    assert found.entity == "service/shop/orders-db"
    assert "of its kind 4 of the 4 other entities may suffer; nothing ties them" in found.reason


def test_without_a_map_failing_requests_bring_no_host_down() -> None:
    """The rule of a dead host waits longer than that of what fails by it, and tells of it later."""
    site = Site(Topology())
    first = site.fire(0, "HighErrorRate", service="a", cluster="c1")
    site.fire(10, "NodeDown", node="n1", cluster="c1")
    for at, service in ((12, "b"), (14, "c")):
        assert site.fire(at, "HighErrorRate", service=service, cluster="c1") == first
    assert len({site.now_in(ref) for ref in range(1, 5)}) == 1
    assert site.cause(first) == "host/c1/n1"


def test_what_labels_tie_together_explains_without_a_map() -> None:
    site = Site(Topology())
    site.fire(0, "RequestErrors", namespace="shop", service="pay")
    home = site.fire(5, "PodCrashLooping", namespace="shop", pod="pay-0", container="pay", node="n1")
    found = probable(site.relator.members(home), site.relator.map, RELATE.max_hops)
    assert found is not None
    assert found.entity == "pod/shop/pay-0"
    assert found.reason.startswith("PodCrashLooping on pod/shop/pay-0 explains 1 of the 1 other entities")
    assert site.fire(9, "NodeDown", node="n1") == home
    found = probable(site.relator.members(home), site.relator.map, RELATE.max_hops)
    assert found is not None
    assert found.entity == "host/n1"


def test_a_full_gauge_does_not_speak_for_what_fails_beside_it() -> None:
    site = Site(Topology())
    site.fire(0, "HpaAtLimit", namespace="shop", service="pay")
    home = site.fire(9, "RequestErrors", namespace="shop", service="pay")
    found = probable(site.relator.members(home), site.relator.map, RELATE.max_hops)
    assert found is not None
    assert found.ref == 2


def test_a_chatty_host_costs_each_alert_the_same() -> None:
    site = Site()
    for second in range(2_000):
        site.fire(float(second), f"Unit{second}Failed", node="n1")
    assert site.relator.compared <= 2_000 * (LAST * 4)


def test_a_storm_is_linear() -> None:
    """Ten times the alerts, ten times the comparisons, not a hundred times."""
    compared = []
    for size in (300, 3_000):
        site = Site()
        rng = random.Random(1)
        for number in range(size):
            site.fire(number * 0.1, rng.choice(("NodeDown", "HighErrorRate")), **rng.choice(_SPOTS))
        compared.append(site.relator.compared)
    assert compared[1] < 15 * compared[0]


_SPOTS: list[dict[str, str]] = [{"node": f"n{n}"} for n in (1, 2, 3, 9)] + [
    {"service": name} for name in ("pay", "shop", "web", "ring")
]

_ALERTS = st.lists(
    st.tuples(
        st.integers(0, 900),
        st.sampled_from(["NodeDown", "HighErrorRate", "ProbeSlow", "PodNotReady", "DiskFull", "BackupFailed"]),
        st.sampled_from(_SPOTS),
    ),
    max_size=40,
)


@given(_ALERTS)
@settings(max_examples=60, deadline=None)
def test_entering_the_same_alerts_again_gives_the_same_answers(alerts: list[tuple[int, str, dict[str, str]]]) -> None:
    """A restart: the members of what is known, entered in order of their coming into a fresh Relator, place the next
    alert alike, be it late or not."""
    site = Site()
    entered = []
    for at, name, labels in alerts:
        site.fire(at, name, **labels)
        entered.append((site.count, at, {"alertname": name, "severity": "warning", **labels}))
    again, records = Relator(SHOP), {}
    for incident, opener in site.openers.items():
        again.begin(incident, (), opener)
    for ref, at, told in entered:
        record = again.record(ref, told, at, RELATE)
        again.enter(record, site.now_in(ref), (), identity(told))
        records[ref] = record
    for incident in site.openers:
        for known in site.relator.members(incident):
            records[known.ref].tie = records[known.tie.ref] if known.tie is not None else None
    for at in (905, 450):
        for spot in _SPOTS:
            labels = {"alertname": "NodeDown", **spot}
            one, other = (relator.place(10_000, labels, at, RELATE, ()) for relator in (site.relator, again))
            assert (one.join, one.merges, one.because, one.opens) == (
                other.join, other.merges, other.because, other.opens,
            )  # fmt: skip
            assert [(told.ref, why) for told, why in one.nearer] == [(told.ref, why) for told, why in other.nearer]
            assert site.relator.opened_by(identity(labels)) == again.opened_by(identity(labels))


@pytest.mark.parametrize("seed", [4, 12, 30])
def test_late_and_shuffled_alerts_end_in_nearly_the_same_incidents(seed: int) -> None:
    """All of them up to two minutes late."""
    topology, alerts = outages(seed)
    assert agreement(_partition(topology, alerts), _partition(topology, _late(alerts, seed))) >= 0.995


def _late(alerts: list[Told], seed: int) -> list[Told]:
    rng = random.Random(seed)
    return sorted(alerts, key=lambda told: told.began + rng.uniform(0, 120))


def _partition(topology: Topology, alerts: list[Told]) -> dict[str, str]:
    site = Site(topology)
    for told in alerts:
        site.told(told.began, told.labels)
    return {told.id: site.now_in(number) for number, told in enumerate(alerts, start=1)}


def test_outages_are_found_again() -> None:
    """The faults of the small world come out as one incident each, nearly."""
    topology, alerts = outages(7)
    found = _partition(topology, alerts)
    assert agreement({told.id: told.fault for told in alerts}, found) >= 0.9
    assert len(set(found.values())) <= 1.5 * len(Counter(told.fault for told in alerts))
