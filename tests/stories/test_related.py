"""Outages along a map: one incident a cause, whatever comes first, and who hears of it."""

from __future__ import annotations

import msgspec

from imd.model.incident import Level
from imd.model.policy import PageKind, Receiver, Route
from imd.model.rule import Matcher, Mode, Op, Raise, Relate, Rule, Window
from imd.model.topology import FROM_LABELS, Entity, Topology
from tests.core.making import minutes, policy, report, seconds, step
from tests.stories.told import Story


def _on(name: str, value: str) -> tuple[tuple[Matcher, ...], ...]:
    return ((Matcher(name, Op.EQUAL, value),),)


SHOP = Topology(
    entities=(
        Entity(id="db/orders", match=_on("db", "orders")),
        Entity(id="service/pay", match=_on("service", "pay"), depends_on=("db/orders",)),
        Entity(id="service/shop", match=_on("service", "shop"), depends_on=("db/orders",)),
        Entity(id="service/web", match=_on("service", "web"), depends_on=("service/shop",)),
    ),
    from_labels=(),
)
OUTAGES = Rule(name="outages", group_by=("cluster",), relate=Relate())
ANA = [policy(step("#ana", wait=minutes(2000)))]
PAGES_AND_ENDS = frozenset({PageKind.PAGE, PageKind.RESOLVED})
QUIET = [Receiver(name=name, send=PAGES_AND_ENDS) for name in ("ana", "ben")]


def told(*rules: Rule, **other: object) -> Story:
    return Story(
        *(rules or (OUTAGES,)), **{"policies": ANA, "topology": SHOP, "receivers": QUIET, "people": (), **other}
    )


def test_a_dead_database_and_its_services_are_one_page() -> None:
    """One incident; it says why each alert is in it, and what is probably the cause."""
    story = told()
    story.at("0:00").fires("PostgresqlDown", db="orders").at("0:00:05").fires("HighErrorRate", service="pay")
    story.at("0:00:10").page_to("ana").incidents(1)
    story.at("0:00:20").fires("HighErrorRate", service="web").incidents(1).is_("triggered", firing=3)
    story.line("HighErrorRate joined: suffers from db/orders, where PostgresqlDown is, 5s later")
    cause = story.incident().root_cause
    assert cause is not None
    assert (cause.entity, cause.reason) == (
        "db/orders",
        "PostgresqlDown on db/orders explains 2 of the 2 other entities, and nothing that it suffers from has an alert",
    )


def test_effects_that_came_first_become_one_incident_with_their_cause() -> None:
    """Two services page first; their database links them: the younger is merged, and its receiver hears so."""
    story = told()
    story.at("0:00").fires("HighErrorRate", service="pay", severity="critical")
    story.at("0:00:10").page_to("ana")
    story.at("0:00:12").fires("PodCrashLooping", service="shop").incidents(2)
    story.at("0:00:22").page_to("ana", incident=2)
    story.at("0:00:25").fires("PostgresqlDown", db="orders").end_to("ana", incident=2)
    story.is_("merged", incident=2, merged_into="i000000000001", firing=0).is_("triggered", firing=3)
    story.line("merged into #1", incident=2).line("#2 is part of this").line("they came with what was merged into this")
    assert story.incident().root_cause is not None
    story.at("0:30").restart().is_("triggered", firing=3)
    story.resolves("HighErrorRate", service="pay").resolves("PodCrashLooping", service="shop").resolves(
        "PostgresqlDown"
    )
    story.at("0:31:01").end_to("ana").is_("resolved")


def test_a_cause_that_comes_late_has_opened_the_incident_of_its_effect() -> None:
    """The database's alert takes another way and is a minute late. The incident is as if it had come in its turn: it is
    not paged again, and when the database goes down once more that is the same incident; also over a restart."""
    story = told()
    story.at("0:01").fires("HighErrorRate", service="pay").at("0:01:10").page_to("ana")
    story.at("0:01:40").fires("PostgresqlDown", db="orders", starts="0:00:45").incidents(1)
    story.line(
        "PostgresqlDown joined: began before HighErrorRate, which suffers from db/orders, where PostgresqlDown is, "
        "15s later"
    )
    story.at("0:02").resolves("PostgresqlDown", db="orders", starts="0:00:45").restart().at("0:20").fires(
        "PostgresqlDown", db="orders"
    ).incidents(1)
    assert story.alert("PostgresqlDown").joined_because == "returned"


def test_what_comes_late_makes_two_incidents_one() -> None:
    """What it would have kept from opening an incident of its own, had it come in its turn, is merged into its own."""
    story = told()
    story.at("0:00").fires("PostgresqlDown", db="orders").at("0:00:10").page_to("ana")
    story.at("0:02:10").fires("HighErrorRate", service="web").incidents(2).at("0:02:20").page_to("ana", incident=2)
    story.at("0:02:50").fires("HighErrorRate", service="shop", starts="0:01:40")
    story.end_to("ana", incident=2).is_("merged", incident=2, merged_into="i000000000001").is_("triggered", firing=3)


def _host_and_database() -> Story:
    """A host dies, and is what the errors of a service on it are put down to; another service fails with that."""
    host = Entity(id="host/n1", match=_on("node", "n1"))
    pay = Entity(id="service/pay", match=_on("service", "pay"), depends_on=("db/orders",), runs_on=("host/n1",))
    web = Entity(id="service/web", match=_on("service", "web"), depends_on=("service/pay",))
    api = Entity(id="service/api", match=_on("service", "api"), depends_on=("service/web",))
    story = told(topology=Topology(entities=(host, SHOP.entities[0], pay, web, api), from_labels=()))
    story.at("0:00").fires("NodeDown", node="n1").at("0:00:10").page_to("ana")
    return story.at("0:01").fires("HighErrorRate", service="pay").at("0:01:05").fires("HighErrorRate", service="web")


def test_what_overtook_its_cause_moves_to_it_once_that_has_come() -> None:
    """The database died before the services failed, and its alert comes last: they are its incident's, with all that
    they say, and nobody waits for its page, for they have been told of already. Both timelines say so."""
    story = _host_and_database().is_("triggered", firing=3)
    story.at("0:01:40").fires("PostgresqlDown", db="orders", starts="0:00:55").page_to("ana", incident=2)
    story.is_("triggered", firing=1, ended=0).is_("triggered", incident=2, firing=3)
    why = "PostgresqlDown came late, and HighErrorRate suffers from db/orders, where PostgresqlDown is, 5s later"
    story.line(f"HighErrorRate x2 moved to #2: {why}").line(f"HighErrorRate x2 moved here from #1: {why}", incident=2)
    assert story.alert("HighErrorRate", service="web").incident == "i000000000002"
    assert story.alert("HighErrorRate", service="pay").joined_because == "moved"
    cause = story.incident(2).root_cause
    assert cause is not None
    assert cause.entity == "db/orders"
    story.at("0:10").restart().resolves("NodeDown", node="n1").at("0:11:01").end_to("ana").is_("resolved")
    for name, on in (("PostgresqlDown", {"db": "orders"}), ("HighErrorRate", {"service": "pay"})):
        story.resolves(name, **on)
    story.resolves("HighErrorRate", service="web").at("0:12:01").end_to("ana", incident=2).is_("resolved", incident=2)


def test_what_moves_in_the_request_in_which_it_came_joins_one_incident_alone() -> None:
    """The host, the errors of its services and last what they suffer from, at once: no timeline says that alerts joined
    where they are not."""
    story = told(topology=_host_and_database().ruleset.topology).at("0:01")
    story.sends(
        report({"alertname": "NodeDown", "node": "n1", "cluster": "c"}, 30),
        report({"alertname": "HighErrorRate", "service": "pay", "cluster": "c"}, 60),
        report({"alertname": "HighErrorRate", "service": "web", "cluster": "c"}, 61),
        report({"alertname": "PostgresqlDown", "db": "orders", "cluster": "c"}, 55),
    )
    story.line("HighErrorRate x2 moved to #2").line("HighErrorRate x2 joined: they came over", incident=2)
    assert "joined" not in story.told(1)
    story.at("0:01:10").page_to("ana").page_to("ana", incident=2).at("0:02")


def test_the_cause_that_moved_away_is_not_that_of_what_is_left() -> None:
    """Of which nothing is known to name another one."""
    story = told(topology=Topology(entities=SHOP.entities, from_labels=FROM_LABELS))
    story.at("0:01").fires("HighErrorRate", namespace="shop")
    story.at("0:01:05").fires("HighErrorRate", service="pay", namespace="shop").at("0:01:10").page_to("ana")
    cause = story.incident().root_cause
    assert cause is not None
    assert cause.entity == "service/pay"
    story.at("0:01:40").fires("PostgresqlDown", db="orders", starts="0:01:03").page_to("ana", incident=2)
    story.is_("triggered", firing=1, root_cause=None).is_("triggered", incident=2, firing=2)


def test_what_came_later_than_lateness_moves_nothing() -> None:
    story = _host_and_database().at("0:03:30").fires("PostgresqlDown", db="orders", starts="0:00:55")
    story.at("0:03:40").page_to("ana", incident=2).is_("triggered", firing=3).is_("triggered", incident=2, firing=1)


def test_what_is_suppressed_stays_where_it_is() -> None:
    """Somebody has muted the one; what came in by it moves with that, and it stays."""
    story = _host_and_database().silenced("1:00", service="web").at("0:01:40")
    story.fires("PostgresqlDown", db="orders", starts="0:00:55").page_to("ana", incident=2)
    story.is_("triggered", firing=1, suppressed=1).is_("triggered", incident=2, firing=2)
    assert story.alert("HighErrorRate", service="web").tied_to == 0, "it hangs on nothing that is elsewhere"
    chain = _host_and_database().at("0:01:10").fires("HighErrorRate", service="api").silenced("1:00", service="web")
    assert chain.alert("HighErrorRate", service="api").tied_to == chain.alert("HighErrorRate", service="web").id
    chain.at("0:01:40").fires("PostgresqlDown", db="orders", starts="0:00:55").page_to("ana", incident=2)
    chain.is_("triggered", firing=1, suppressed=1).is_("triggered", incident=2, firing=3)
    moved = chain.alert("HighErrorRate", service="api")
    assert moved.tied_to == chain.alert("HighErrorRate", service="pay").id, "it hangs on what is where it is"
    muted = _host_and_database().silenced("1:00", service="pay").at("0:01:40")
    muted.fires("PostgresqlDown", db="orders", starts="0:00:55").at("0:01:50").page_to("ana", incident=2)
    muted.is_("triggered", firing=2, suppressed=1).is_("triggered", incident=2, firing=1)


def test_nothing_moves_out_of_what_a_person_put_together() -> None:
    story = _host_and_database().fires("DiskFull", node="n7").at("0:01:15").page_to("ana", incident=2)
    story.does("merge", "ana", incident=2, into=1).end_to("ana", incident=2)
    story.at("0:01:40").fires("PostgresqlDown", db="orders", starts="0:00:55").at("0:01:50").page_to("ana", incident=3)
    story.is_("triggered", firing=4).is_("triggered", incident=3, firing=1)


def test_what_moves_before_anybody_was_paged_waits_no_longer_than_it_would_have() -> None:
    """Both are pending: the page that the first would have had by then is the second's as well."""
    story = told(msgspec.structs.replace(OUTAGES, hold=minutes(1)), topology=_host_and_database().ruleset.topology)
    story.at("0:00:30").fires("NodeDown", node="n1").at("0:01").fires("HighErrorRate", service="pay")
    story.at("0:01:20").fires("PostgresqlDown", db="orders", starts="0:00:58").is_("pending", incident=2, firing=2)
    story.at("0:01:30").page_to("ana").page_to("ana", incident=2).at("0:20")


def test_what_moves_to_where_all_was_silenced_waits_no_longer_either() -> None:
    """Nobody was paged of the database, for its first alert was silenced within hold. Of the services people have been
    told: what wakes the database's incident is no reason to wait for another hold."""
    story = told(topology=_host_and_database().ruleset.topology)
    story.at("0:00").fires("PostgresqlUnreachable", db="orders").silenced("1:00", alertname="PostgresqlUnreachable")
    story.at("0:10").fires("NodeDown", node="n1").at("0:10:10").page_to("ana", incident=2)
    story.at("0:11").fires("HighErrorRate", service="pay").is_("pending", suppressed=1).incidents(2)
    story.at("0:11:20").fires("PostgresqlDown", db="orders", starts="0:10:55").page_to("ana").incidents(2)
    story.is_("triggered", firing=2, suppressed=1).is_("triggered", incident=2, firing=1)


def test_what_is_merged_into_where_all_was_silenced_waits_no_longer_either() -> None:
    story = told().at("0:00:50").fires("HighErrorRate", service="pay").silenced("1:00", service="pay")
    story.at("0:01").fires("PodCrashLooping", service="shop").at("0:01:10").page_to("ana", incident=2)
    story.at("0:01:20").fires("PostgresqlDown", db="orders").end_to("ana", incident=2).page_to("ana")
    story.is_("triggered", firing=2, suppressed=1).is_("merged", incident=2)


def test_what_was_taken_out_and_merged_back_links_nothing() -> None:
    """A person has put it there; also over a restart."""
    for restarts in (False, True):
        story = _host_and_database().does("split", "ana", alerts=["NodeDown"]).page_to("ana", incident=2)
        story.does("merge", "ana", incident=2, into=1).end_to("ana", incident=2).is_("triggered", firing=3)
        assert story.alert("NodeDown").joined_because == "handed"
        story = story.at("0:01:20").restart() if restarts else story.at("0:01:20")
        story.at("0:20").fires("NodeUnreachable", node="n1").at("0:20:10").page_to("ana", incident=3)


def test_over_a_restart_who_moves_is_the_same() -> None:
    """By whom each came in is on record."""
    story = _host_and_database().restart()
    story.at("0:01:40").fires("PostgresqlDown", db="orders", starts="0:00:55").page_to("ana", incident=2)
    story.is_("triggered", firing=1).is_("triggered", incident=2, firing=3)


def test_what_is_still_down_is_one_trouble_however_late_the_next_rule_says_so() -> None:
    """Each rule waits its own `for:`. Once the first has ended, or where it is of another kind, it is another trouble;
    a restart in between changes nothing."""
    story = told()
    story.at("0:00").fires("PostgresqlDown", db="orders").at("0:00:10").page_to("ana")
    story.at("0:10").restart().at("0:15").fires("PrometheusTargetMissing", db="orders").incidents(1)
    story.line(
        "PrometheusTargetMissing joined: says the same of db/orders as PostgresqlDown, which still fires, 900s later"
    )
    story.at("0:30").fires("PostgresqlTooManyConnections", db="orders").incidents(2)
    story.at("0:30:10").page_to("ana", incident=2)
    other = told()
    other.at("0:00").fires("PostgresqlDown", db="orders").fires("HighErrorRate", service="pay").at("0:00:10").page_to(
        "ana"
    )
    other.at("0:14").resolves("PostgresqlDown", db="orders")
    other.at("0:15").fires("PrometheusTargetMissing", db="orders").incidents(2).at("0:15:10").page_to("ana", incident=2)


def test_services_of_one_name_in_two_namespaces_are_two() -> None:
    """By labels alone: pods of one namespace are no part of what its namesake suffers in another."""
    story = told(topology=Topology())
    story.at("0:00").fires("HighErrorRate", cluster="c1", namespace="shop", service="cart").at("0:00:10").page_to("ana")
    story.at("0:05").fires("HighLatency", cluster="c1", namespace="bank", service="cart").incidents(2)
    story.at("0:05:05").fires("PodNotReady", cluster="c1", namespace="bank", pod="cart-0", workload="cart").incidents(2)
    story.at("0:05:10").page_to("ana", incident=2).is_("triggered", incident=2, firing=2)


def test_a_merge_before_anybody_was_paged_is_heard_by_nobody() -> None:
    story = told(msgspec.structs.replace(OUTAGES, hold=minutes(1)))
    story.at("0:00").fires("HighErrorRate", service="pay").at("0:00:12").fires("PodCrashLooping", service="shop")
    story.at("0:00:14").fires("PostgresqlDown", db="orders").is_("merged", incident=2)
    story.at("0:01").page_to("ana").at("3:00")


def test_what_was_merged_in_raises_the_priority_and_reads_the_routes_again() -> None:
    """A warning's incident takes a critical one in: the older goes up, and to the policy of its new priority."""
    story = told(
        policies=[*ANA, policy(step("#ben", wait=minutes(2000)), name="urgent")],
        routes=[Route(policy="urgent", match=_on("severity", "critical"))],
    )
    story.at("0:00").fires("HighErrorRate", service="pay", severity="warning").at("0:00:10").page_to(
        "ana", priority="P3"
    )
    story.at("0:00:12").fires("PodCrashLooping", service="shop", severity="critical").at("0:00:22")
    story.page_to("ben", incident=2, priority="P2")
    story.at("0:00:24").fires("PostgresqlDown", db="orders", severity="critical").end_to("ben", incident=2)
    story.page_to("ana", "raised", priority="P2").is_("triggered", firing=3)


def test_breadth_counts_what_was_merged_in() -> None:
    story = told(
        msgspec.structs.replace(
            OUTAGES, hold=minutes(1), raises=(Raise(at_least=2, distinct="service", impact=Level.HIGH),)
        )
    )
    story.at("0:00").fires("HighErrorRate", service="pay").at("0:00:12").fires("PodCrashLooping", service="shop")
    story.at("0:00:14").fires("PostgresqlDown", db="orders").is_("pending", impact=Level.HIGH)
    story.at("0:01").page_to("ana", priority="P2")


def test_nothing_is_related_across_group_keys() -> None:
    """`group_by: [cluster]`: the other cluster's service is another incident."""
    story = told()
    story.at("0:00").fires("PostgresqlDown", db="orders", cluster="a")
    story.fires("HighErrorRate", service="pay", cluster="b").incidents(2)
    story.at("0:00:10").page_to("ana").page_to("ana", incident=2)


def test_alerts_without_any_of_the_keys_labels_are_related_to_their_like() -> None:
    """Where a rule without relate would key them by alertname."""
    story = told()
    story.at("0:00").fires("PostgresqlDown", db="orders").fires("HighErrorRate", service="pay").incidents(1)
    story.at("0:00:10").page_to("ana").is_("triggered", group_key=(("cluster", ""),))


def test_rules_with_relate_share_incidents() -> None:
    """The rule that opened it decides for it."""
    databases = Rule(
        name="databases", match=_on("db", "orders"), group_by=("cluster",), relate=Relate(), hold=seconds(5)
    )
    story = told(databases, OUTAGES)
    story.at("0:00").fires("PostgresqlDown", db="orders").fires("HighErrorRate", service="pay").incidents(1)
    story.at("0:00:05").page_to("ana").is_("triggered", rule="databases", firing=2)


def test_what_pages_nobody_hides_nothing_that_does() -> None:
    """A rule in mode monitor relates its alerts among themselves alone."""
    trial = Rule(name="trial", match=_on("db", "orders"), group_by=("cluster",), relate=Relate(), mode=Mode.MONITOR)
    story = told(trial, OUTAGES)
    story.at("0:00").fires("PostgresqlDown", db="orders").fires("HighErrorRate", service="pay").incidents(2)
    story.at("0:00:10").page_to("ana", incident=2)


def test_an_alert_that_opened_an_incident_comes_back_to_it() -> None:
    """While it is open, and within reopen_within after its end; another alert of it does neither."""
    story = told()
    story.at("0:00").fires("ProbeSlow", service="web").at("0:00:10").page_to("ana")
    story.at("0:05").resolves("ProbeSlow", service="web").at("0:05:30").fires("ProbeSlow", service="web")
    story.incidents(1).is_("triggered", firing=1).line("it opened this incident before")
    story.at("0:10").resolves("ProbeSlow", service="web").at("0:11").end_to("ana").is_("resolved")
    story.at("0:20").fires("ProbeSlow", service="web").incidents(1).at("0:20:10").page_to("ana", "reopened")
    story.at("0:20:20").fires("HighErrorRate", service="web").incidents(1)
    # Past half an hour after it began: six changes within that would be flapping.
    story.at("0:31").resolves("ProbeSlow", service="web").resolves("HighErrorRate", service="web")
    story.update_to("ana") if story._untold else None
    story.at("0:32").end_to("ana")
    story.at("0:36").fires("HighErrorRate", service="web").incidents(2).at("0:36:10").page_to("ana", incident=2)


def test_a_flapping_service_is_not_drawn_into_what_happens_beside_it() -> None:
    """An incident that reopened has a story of its own."""
    story = told()
    story.at("0:00").fires("ProbeSlow", service="pay").at("0:00:10").page_to("ana")
    story.at("0:02").resolves("ProbeSlow", service="pay").at("0:03").end_to("ana")
    story.at("0:06").fires("ProbeSlow", service="pay").at("0:06:05").fires("PostgresqlDown", db="orders").incidents(2)
    story.at("0:06:10").page_to("ana", "reopened").at("0:06:15").page_to("ana", incident=2)


def test_a_full_incident_takes_nothing_in_and_merges_with_nothing() -> None:
    """max_alerts bounds it, merges included."""
    story = told(msgspec.structs.replace(OUTAGES, hold=minutes(30), window=Window(max_alerts=2)))
    story.at("0:00").fires("HighErrorRate", service="pay").at("0:00:12").fires("PodCrashLooping", service="shop")
    story.at("0:00:14").fires("PostgresqlDown", db="orders").incidents(2).is_("pending", incident=2)
    story.at("0:00:15").fires("PostgresqlLagging", db="orders").incidents(3).is_("pending", incident=3)


def test_an_incident_that_was_full_takes_nothing_in_though_it_lost_members() -> None:
    story = told(msgspec.structs.replace(OUTAGES, window=Window(max_alerts=2)))
    story.at("0:00").fires("PostgresqlDown", db="orders").fires("HighLatency", service="pay")
    story.at("0:00:10").page_to("ana").fires("HighErrorRate", service="shop").incidents(2)
    story.line("takes no more alerts in: its window ended by max_alerts").at("0:00:20").page_to("ana", incident=2)
    story.does("split", "ana", alerts=["HighLatency"])
    story.page_to("ana", incident=3).restart().at("0:01").fires("PostgresqlSlowQueries", db="orders").incidents(4)
    story.at("0:01:10").page_to("ana", incident=4)


def test_a_merged_incident_is_over() -> None:
    """It takes no more actions; resolving the survivor speaks for both."""
    story = told()
    story.at("0:00").fires("HighErrorRate", service="pay").at("0:00:10").page_to("ana")
    story.at("0:00:12").fires("PodCrashLooping", service="shop").at("0:00:14").fires("PostgresqlDown", db="orders")
    story.acknowledged_by("ana", incident=2).refused("incident #2 is merged").acknowledged_by("ana")
    story.is_("acknowledged", firing=3)


def test_a_reload_with_another_map_places_what_is_open_anew() -> None:
    """The edge is gone: what it would have related is not."""
    story = told()
    story.at("0:00").fires("PostgresqlDown", db="orders").at("0:00:05").fires("HighErrorRate", service="pay").incidents(
        1
    )
    apart = Topology(entities=(Entity(id="db/orders", match=_on("db", "orders")),), from_labels=())
    story.reload(msgspec.structs.replace(story.ruleset, topology=apart))
    story.at("0:00:08").fires("HighErrorRate", service="shop").incidents(2)
    story.at("0:00:10").page_to("ana").at("0:00:18").page_to("ana", incident=2)


def test_a_restart_changes_nothing() -> None:
    """What comes after it joins and merges as it would have."""
    story = told(msgspec.structs.replace(OUTAGES, hold=minutes(1)))
    story.at("0:00").fires("HighErrorRate", service="pay").at("0:00:12").fires("PodCrashLooping", service="shop")
    story.restart().fires("PostgresqlDown", db="orders").is_("merged", incident=2).is_("pending", firing=3)
    story.at("0:00:20").fires("HighErrorRate", service="web").incidents(2)
    story.at("0:01").page_to("ana").at("1:00")


def test_the_shortest_hold_among_its_alerts_rules_counts() -> None:
    """A busy host may wait a quarter of an hour; not so once the database on it is dead."""
    busy = msgspec.structs.replace(OUTAGES, name="busy", match=_on("alertname", "HighCpuLoad"), hold=minutes(15))
    story = told(busy, OUTAGES)
    story.at("0:00").fires("HighCpuLoad", db="orders").incidents(1)
    story.at("0:01").fires("PostgresqlDown", db="orders").at("0:01:10").page_to("ana").is_("triggered", rule="busy")
    alone = told(busy, OUTAGES)
    alone.at("0:00").fires("HighCpuLoad", db="orders").at("0:14:59").at("0:15").page_to("ana")
