"""`resolve: {when: root}`: an incident is over once its probable cause is, told as timelines."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from imd.model.policy import PageKind, Receiver, Source
from imd.model.rule import Matcher, Op, Relate, Resolve, ResolveWhen, Rule, Window
from imd.model.topology import Entity, FromLabels, Topology
from tests.core.making import minutes, policy, step
from tests.stories.told import Story


def _on(name: str, value: str) -> tuple[tuple[Matcher, ...], ...]:
    return ((Matcher(name, Op.EQUAL, value),),)


SHOP = Topology(
    entities=(
        Entity(id="node/n1", match=_on("node", "n1")),
        Entity(id="db/orders", match=_on("db", "orders"), runs_on=("node/n1",)),
        Entity(id="service/pay", match=_on("service", "pay"), depends_on=("db/orders",)),
        Entity(id="service/shop", match=_on("service", "shop"), depends_on=("db/orders",)),
        Entity(id="service/web", match=_on("service", "web"), depends_on=("service/shop",)),
        *(Entity(id=f"host/h{n}", match=_on("host", f"h{n}"), part_of=("rack/r1",)) for n in range(4)),
    ),
    from_labels=(),
)
ROOT = Rule(name="outages", group_by=(), relate=Relate(), resolve=Resolve(when=ResolveWhen.ROOT, after=minutes(1)))
ANA = [policy(step("#ana", wait=minutes(2000)))]
QUIET = [Receiver(name="ana", send=frozenset({PageKind.PAGE, PageKind.RESOLVED}))]
Restore = Callable[[Story], object]
EITHER = pytest.mark.parametrize("restores", [Story.quiet, Story.restores], ids=["goes on", "restored"])


def told(rule: Rule = ROOT, **other: object) -> Story:
    return Story(rule, **{"policies": ANA, "topology": SHOP, "receivers": QUIET, "people": (), **other})


def outage(rule: Rule = ROOT, **other: object) -> Story:
    """A database goes, and two services with it: one incident, paged."""
    story = told(rule, **other)
    story.at("0:00").fires("PostgresqlDown", db="orders").at("0:00:05").fires("HighErrorRate", service="pay")
    return story.fires("HighErrorRate", service="shop").at("0:00:10").page_to("ana").incidents(1)


@EITHER
def test_it_is_over_a_while_after_its_cause(restores: Restore) -> None:
    """The database is back, and stays so for `after`; the services' alerts take their time and nobody waits for them.
    Their ends change nothing."""
    story = outage()
    story.at("0:10").resolves("PostgresqlDown").is_("triggered", firing=2)
    restores(story)
    story.at("0:10:59").is_("triggered").at("0:11").end_to("ana")
    story.is_("resolved", firing=2, resolved_because="its probable cause is over: db/orders")
    story.at("0:12").resolves("HighErrorRate", service="pay").is_("resolved", firing=1).at("3:00").quiet()


def test_what_ends_before_its_cause_ends_nothing() -> None:
    story = outage()
    story.at("0:10").resolves("HighErrorRate", service="pay").resolves("HighErrorRate", service="shop")
    story.at("1:00").is_("triggered", firing=1).resolves("PostgresqlDown").at("1:01").end_to("ana")
    story.is_("resolved", resolved_because="alerts resolved")


def test_a_cause_with_two_alerts_is_over_with_the_second() -> None:
    story = outage()
    story.at("0:01").fires("PostgresqlExporterDown", db="orders").is_("triggered", firing=4)
    story.at("0:10").resolves("PostgresqlDown").at("0:30").is_("triggered", firing=3)
    story.resolves("PostgresqlExporterDown").at("0:31").end_to("ana").is_("resolved", firing=2)


@EITHER
def test_a_cause_that_comes_back_within_after_is_not_over(restores: Restore) -> None:
    story = outage()
    story.at("0:10").resolves("PostgresqlDown").at("0:10:30").fires("PostgresqlDown", db="orders")
    restores(story)
    story.at("0:30").is_("triggered", firing=3, resolved_because="").resolves("PostgresqlDown")
    story.at("0:31").end_to("ana").is_("resolved")


@EITHER
def test_the_cause_changes(restores: Restore) -> None:
    """The database resolves, but within `after` its node is found dead: that is the cause now, and it is not over."""
    story = outage()
    story.at("0:00:20").resolves("PostgresqlDown").at("0:00:22").fires("NodeDown", node="n1").incidents(1)
    cause = story.incident().root_cause
    assert cause is not None
    assert cause.entity == "node/n1"
    restores(story)
    story.at("0:30").is_("triggered", firing=3)
    story.resolves("NodeDown").at("0:31").end_to("ana")
    story.is_("resolved", resolved_because="its probable cause is over: node/n1")


@EITHER
def test_a_suppressed_cause_is_not_over(restores: Restore) -> None:
    """A silence is no resolve: nobody has mended the database. When it ends under the silence, that counts."""
    story = outage()
    story.at("0:02").silenced("9:00", db="orders").at("0:30").is_("triggered", firing=2, held=1).quiet()
    restores(story)
    story.at("0:31").resolves("PostgresqlDown").at("0:32").end_to("ana").is_("resolved", firing=2)


@EITHER
def test_a_cause_that_came_suppressed_was_never_one(restores: Restore) -> None:
    """What came suppressed explains nothing: the services go on by what is known of them, and the first of these
    is as good a cause as any."""
    story = told()
    story.at("0:00").fires("HighErrorRate", service="shop").silenced("9:00", db="orders")
    story.at("0:00:02").fires("PostgresqlDown", db="orders").at("0:00:05").fires("HighErrorRate", service="web")
    story.at("0:00:10").page_to("ana").is_("triggered", firing=2, aside=1)
    restores(story)
    story.at("0:10").resolves("PostgresqlDown").at("0:20").is_("triggered", firing=2)
    story.resolves("HighErrorRate", service="shop").at("0:21").end_to("ana")
    story.is_("resolved", resolved_because="its probable cause is over: service/shop")


def test_a_cause_that_is_not_heard_of_any_more_is_over_too() -> None:
    story = outage(sources=[Source(name="am", type="alertmanager", expire_after=minutes(10))])
    for minute in range(1, 11):
        story.at(f"0:{minute:02d}").fires("HighErrorRate", service="pay").fires("HighErrorRate", service="shop")
    story.line("PostgresqlDown: no longer reported").at("0:11").end_to("ana").is_("resolved", firing=2)


@EITHER
def test_a_container_is_over_once_what_went_down_in_it_is_up(restores: Restore) -> None:
    """Four hosts of a rack that has no alert of its own; and what their services made of it fires on."""
    story = told()
    for host in range(4):
        story.at(f"0:00:0{host}").fires("HostDown", host=f"h{host}")
    story.at("0:00:10").page_to("ana").incidents(1)
    cause = story.incident().root_cause
    assert cause is not None
    assert cause.entity == "rack/r1"
    story.at("0:01").fires("HighLatency", host="h1").is_("triggered", firing=5)
    for host in range(3):
        story.at("0:05").resolves("HostDown", host=f"h{host}")
    restores(story)
    story.at("0:10").is_("triggered", firing=2).resolves("HostDown", host="h3").at("0:11").end_to("ana")
    story.is_("resolved", firing=1, resolved_because="its probable cause is over: rack/r1")


@EITHER
def test_reopened_it_does_not_end_by_what_ended_before(restores: Restore) -> None:
    """It resolved with the database. A service's alert comes back and reopens it: the database's end is an old story,
    and the incident is over when the service's is, or when the database fell again and came back."""
    story = outage()
    story.at("0:10").resolves("PostgresqlDown").resolves("HighErrorRate", service="pay")
    story.resolves("HighErrorRate", service="shop").at("0:11").end_to("ana").is_("resolved", firing=0)
    restores(story)
    story.at("0:20").fires("HighErrorRate", service="pay").incidents(2)
    story.at("0:20:10").page_to("ana", incident=2).at("0:21").fires("PostgresqlDown", db="orders").incidents(2)


@EITHER
def test_a_member_that_fires_again_after_the_end_reopens_it(restores: Restore) -> None:
    """The same episode of a service's alert, heard again after a late end: no cause holds that now."""
    story = outage()
    story.at("0:10").resolves("PostgresqlDown").at("0:11").end_to("ana").is_("resolved", firing=2)
    story.at("0:12").resolves("HighErrorRate", service="pay").at("0:15")
    restores(story)
    story.fires("HighErrorRate", service="pay", starts="0:00:05").is_("pending", reopened=1)
    story.at("0:15:10").page_to("ana", "reopened").at("1:30").is_("triggered", firing=2)
    story.resolves("HighErrorRate", service="pay").at("1:31").is_("triggered", firing=1)
    story.resolves("HighErrorRate", service="shop").at("1:32").end_to("ana").is_("resolved", firing=0)


def test_without_a_cause_it_is_as_all() -> None:
    """A rule that does not relate knows of no cause: every member has to end."""
    story = told(msgspec.structs.replace(ROOT, relate=None))
    story.at("0:00").fires("PostgresqlDown", db="orders").fires("HighErrorRate", service="pay")
    story.at("0:00:10").page_to("ana").at("0:05").resolves("PostgresqlDown").at("0:10").is_("triggered", firing=1)
    story.resolves("HighErrorRate", service="pay").at("0:11").end_to("ana")


def test_off_the_map_an_alert_is_its_own_cause() -> None:
    story = told(topology=Topology(entities=(), from_labels=(FromLabels(entity="x/{x}"),)))
    story.at("0:00").fires("A").at("0:00:10").page_to("ana").at("0:05").resolves("A").at("0:06").end_to("ana")


def test_a_window_that_closed_ends_nothing() -> None:
    """The incident takes no more alerts in; its cause still ends it."""
    story = outage(msgspec.structs.replace(ROOT, window=Window(max_alerts=3)))
    story.at("0:05").fires("HighErrorRate", service="web").at("0:05:10").page_to("ana", incident=2)
    story.at("0:10").resolves("PostgresqlDown").at("0:11").end_to("ana").is_("resolved", firing=2)
