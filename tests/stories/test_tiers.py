"""How important a thing is reaches the priority of its incidents: by a label, by enrichment, by the map."""

from __future__ import annotations

import pytest

from imd.model.enrich import Table, TableLookup
from imd.model.incident import Level
from imd.model.rule import Matcher, Op, Relate, Rule
from imd.model.topology import Entity, FromLabels, Topology
from tests.core.making import policy, step
from tests.stories.told import Story


def _on(name: str, value: str) -> tuple[tuple[Matcher, ...], ...]:
    return ((Matcher(name, Op.EQUAL, value),),)


MAP = Topology(
    entities=(
        Entity(id="service/checkout", match=_on("service", "checkout"), tier=1),
        Entity(id="service/search", match=_on("service", "search"), tier=2, runs_on=("host/h1",)),
        Entity(id="service/reports", match=_on("service", "reports"), tier=3),
        Entity(id="service/blog", match=_on("service", "blog")),
        Entity(id="host/h1", match=_on("host", "h1"), tier=2),
        Entity(id="team/web", tier=1),
    ),
    from_labels=(FromLabels(entity="team/{team}"),),
)
ANA = [policy(step("ana"))]
ONE = Rule(name="one", group_by=())


@pytest.mark.parametrize(
    ("labels", "impact", "priority"),
    [
        ({"service": "checkout"}, Level.HIGH, "P2"),
        ({"service": "search"}, Level.MEDIUM, "P3"),
        ({"service": "reports"}, Level.LOW, "P4"),
        ({"service": "blog"}, Level.MEDIUM, "P3"),
        ({"service": "unheard-of"}, Level.MEDIUM, "P3"),
        ({"service": "reports", "host": "h1"}, Level.MEDIUM, "P3"),
        ({"team": "web"}, Level.HIGH, "P2"),
        ({"service": "checkout", "tier": "3"}, Level.LOW, "P4"),
        ({"service": "blog", "tier": "1"}, Level.HIGH, "P2"),
    ],
    ids=[
        "tier 1", "tier 2", "a tier not listed", "no tier", "not on the map", "of two the most important",
        "named by a template", "its own label comes first", "a label alone",
    ],
)  # fmt: skip
def test_the_tier_of_what_it_is_on_is_the_impact(labels: dict[str, str], impact: Level, priority: str) -> None:
    """A warning is of medium urgency; the rule relates nothing, and the map counts all the same."""
    story = Story(ONE, policies=ANA, topology=MAP)
    story.at("0:00").fires("Slow", severity="warning", **labels).is_("pending", impact=impact)
    story.at("0:00:10").page_to("ana", priority=priority)


def test_a_more_important_member_raises() -> None:
    """It opens on a blog and spreads to the checkout; the impact stays when that is well again."""
    story = Story(ONE, policies=ANA, topology=MAP)
    story.at("0:00").fires("Slow", severity="warning", service="blog").at("0:00:10").page_to("ana", priority="P3")
    story.at("0:01").fires("Slow", severity="warning", service="checkout").page_to("ana", "raised", priority="P2")
    story.at("0:02").resolves("Slow", service="checkout").update_to("ana").is_("triggered", impact=Level.HIGH)


def test_the_impact_of_the_rule_comes_before_the_map() -> None:
    story = Story(Rule(name="one", group_by=(), impact=Level.LOW), policies=ANA, topology=MAP)
    story.at("0:00").fires("Slow", severity="warning", service="checkout").is_("pending", impact=Level.LOW)
    story.at("0:00:10").page_to("ana", priority="P4")


def test_a_rule_that_relates_counts_the_tiers_of_what_it_relates() -> None:
    """The host first, of no great account, then the service on it, then what is suppressed and counts only later."""
    story = Story(Rule(name="outages", group_by=(), relate=Relate()), policies=ANA, topology=MAP)
    story.at("0:00").fires("HostDown", severity="warning", host="h1").is_("pending", impact=Level.MEDIUM)
    story.at("0:00:01").fires("ServiceDown", severity="warning", service="search", team="web").incidents(1)
    story.is_("pending", impact=Level.HIGH).at("0:00:10").page_to("ana", priority="P2")


def test_an_enriched_tier_is_as_good_as_a_label() -> None:
    table = Table("services", {"blog": ("1",)})
    cmdb = TableLookup(name="cmdb", table=table, on=(("service", "name"),), add=("tier",))
    story = Story(ONE, policies=ANA, topology=MAP, enrich=(cmdb,))
    story.at("0:00").fires("Slow", severity="warning", service="blog").is_("pending", impact=Level.HIGH)
    story.at("0:00:10").page_to("ana", priority="P2")


def test_a_member_that_goes_on_brings_its_tier() -> None:
    """It came suppressed and raised nothing; when the silence ends it does."""
    story = Story(ONE, policies=ANA, topology=MAP)
    story.at("0:00").silenced("0:05", service="checkout").fires("Slow", severity="warning", service="blog")
    story.fires("Slow", severity="warning", service="checkout").at("0:00:10").page_to("ana", priority="P3")
    story.is_("triggered", impact=Level.MEDIUM).at("0:05").page_to("ana", "raised", priority="P2")
