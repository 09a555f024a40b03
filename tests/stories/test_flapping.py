"""Alerts that come and go: one page says so, and the incident waits until they are calm."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from imd.model.policy import PageKind
from imd.model.rule import Count, Flapping, Rule
from imd.model.view import alert_view
from tests.core.making import minutes, policy, seconds, step
from tests.stories.told import Story

ANA = [policy(step("ana"))]


def pages(story: Story) -> list[str]:
    return [str(one.reason) for one in story.sent if one.kind is PageKind.PAGE]


def up_and_down(story: Story, start: int, times: int, name: str = "Link", every: int = 4) -> None:
    """So many times two minutes up, then down, from minute `start` on; what people hear is passed over."""
    for turn in range(times):
        minute = start + turn * every
        passing(story, minute).fires(name)
        passing(story, minute + 2).resolves(name)


def passing(story: Story, minute: int) -> Story:
    goal = f"{minute // 60}:{minute % 60:02}"
    while True:
        try:
            return story.at(goal)
        except AssertionError as heard:
            if "not told of" not in str(heard):
                raise
            story._untold.clear()


def test_an_alert_that_comes_and_goes_is_one_page_more_and_then_quiet() -> None:
    """Each return reopens and pages until it flaps; then one page says so, and it counts as firing until it is calm."""
    story = Story(policies=ANA)
    up_and_down(story, 0, times=10)
    assert pages(story) == ["first", "reopened", "reopened", "flapping"]
    story.is_("triggered", firing=1, flapping=1).incidents(1).line("Link is flapping: 6 changes within 30m")
    (alert,) = story.engine.state.alerts.values()
    assert alert_view(alert, None).flapping
    members = len(story.engine.state.members["i000000000001"])
    passing(story, 52).is_("triggered", firing=1)
    passing(story, 53).line("Link flaps no more: it has ended").is_("triggered", firing=0, flapping=0)
    passing(story, 54).is_("resolved")
    assert len(story.engine.state.members["i000000000001"]) == members == 3
    assert pages(story) == ["first", "reopened", "reopened", "flapping"]


@pytest.mark.parametrize("restores", [Story.quiet, Story.restores], ids=["goes on", "restored"])
def test_too_short_for_hold_and_too_seldom_to_flap(restores: Callable[[Story], object]) -> None:
    """Two seconds up, a quarter of an hour and more down, all day: nobody is paged, and each incident says what was
    missing. Every eleven minutes, which is longer than an ended alert is kept for itself, is often enough."""
    story = Story(policies=ANA)
    for turn in range(40):
        hour, minute = divmod(turn * 16, 60)
        story.at(f"{hour}:{minute:02}").fires("Link").at(f"{hour}:{minute:02}:02").resolves("Link")
        story.is_("cancelled", turn + 1)
        restores(story)
    story.line("nothing fires any more before hold is over; nobody was paged", 1)
    assert "It comes and goes" not in story.told(1)
    story.line("nobody was paged. It comes and goes: 4 of the 6 changes within 30m that page", 40)
    counted = sum(one.amount for one in story.counted if one.name == "holds_cancelled_total")
    assert counted == 40
    story.at("20:00").fires("Link").at("20:00:02").resolves("Link").at("20:11")
    restores(story)
    story.fires("Link").at("20:11:02").resolves("Link").at("20:22").fires("Link").at("20:22:02").resolves("Link")
    story.at("20:22:10").page_to("ana", "flapping", incident=43)


def test_changes_that_hold_cancelled_count() -> None:
    """Two seconds up, a minute down: never longer than hold, so nobody is paged, until it flaps."""
    story = Story(policies=ANA)
    for minute in range(3):
        story.at(f"0:0{minute}").fires("Link").at(f"0:0{minute}:02").resolves("Link")
    story.is_("cancelled", 1).is_("cancelled", 2).is_("pending", 3, flapping=1, firing=1)
    story.at("0:02:10").page_to("ana", "flapping", incident=3)
    story.at("0:03").fires("Link").at("0:03:02").resolves("Link").incidents(3)
    story.at("0:18:02").is_("triggered", 3, firing=0).at("0:18:02").update_to("ana", 3)
    story.at("0:19:02").end_to("ana", 3).is_("resolved", 3)


def test_it_goes_on_firing_where_it_settles_firing() -> None:
    """Calm and up: an ordinary alert again, and the incident stays as it is."""
    story = Story(policies=ANA)
    up_and_down(story, 0, times=3)
    passing(story, 12).fires("Link")
    passing(story, 28).is_("triggered", firing=1, flapping=0).line("it fires")
    passing(story, 40).resolves("Link")
    passing(story, 41).is_("resolved")


def test_a_clock_that_is_set_leaves_what_flaps_as_long_to_calm_down() -> None:
    """It had eleven minutes to go, and still has them, whichever way the clock went."""
    for jump, then in ((Story.clock_falls, -60), (Story.clock_jumps, 60)):
        story = Story(policies=ANA)
        up_and_down(story, 60, times=6)
        passing(story, 86).is_("triggered", flapping=1)
        jump(story, "1:00")
        passing(story, 96 + then).is_("triggered", flapping=1)
        passing(story, 98 + then).is_("resolved", flapping=0)


def test_an_acknowledged_incident_tells_its_acknowledger_alone() -> None:
    """Ana has it; that it flaps is for her."""
    story = Story(Rule(name="all", group_by=()), policies=[policy(step("ben"), step("cleo"))])
    story.at("0:00").fires("Link").fires("Other").at("0:00:10").page_to("ben")
    story.at("0:01").acknowledged_by("ana").acknowledgement_to("ben")
    for minute in (1, 3):
        passing(story, minute).resolves("Link")
        passing(story, minute + 1).fires("Link")
    passing(story, 5)
    story._untold.clear()
    story.resolves("Link").page_to("ana", "flapping")
    passing(story, 30)
    assert pages(story) == ["first", "flapping"]


def test_a_restart_in_the_midst_of_it_changes_nothing() -> None:
    """That it flaps, and since when, is on disk."""
    story = Story(policies=ANA)
    up_and_down(story, 0, times=3)
    story.restart()
    up_and_down(story, 13, times=2)
    assert pages(story).count("flapping") == 1
    passing(story, 34).is_("triggered", firing=0).line("flaps no more")
    passing(story, 35).is_("resolved")


def test_while_it_flaps_it_counts_for_a_threshold() -> None:
    """Two are down, the third comes and goes: it is one of three, and one only."""
    rule = Rule(
        name="links",
        group_by=(),
        hold=seconds(0),
        open_when=Count(at_least=3, within=minutes(20)),
        flapping=Flapping(changes=3, within=minutes(20), calm=minutes(5)),
    )
    story = Story(rule, policies=ANA)
    for minute in (0, 2, 4):
        story.at(f"0:0{minute}").fires("Link", n="1").at(f"0:0{minute + 1}").resolves("Link", n="1")
    story.at("0:06").incidents(0).fires("Link", n="2").incidents(0)
    story.at("0:07").fires("Link", n="3").is_("triggered", firing=3, flapping=1).page_to("ana", "flapping")


def test_slow_changes_are_no_flapping() -> None:
    """Six changes over an hour are six changes."""
    story = Story(policies=ANA)
    up_and_down(story, 0, times=6, every=20)
    assert "flapping" not in pages(story)


def test_resolved_by_hand_it_may_come_back() -> None:
    """A person ends it while it flaps: what begins after that is news again."""
    story = Story(policies=ANA)
    up_and_down(story, 0, times=3)
    story._untold.clear()
    story.at("0:11").resolved_by("ana", force=True).end_to("ana").is_("resolved")
    story.at("0:12").fires("Link").is_("pending", reopened=3)
    story.at("0:12:10").page_to("ana", "flapping")
    passing(story, 28).is_("triggered", firing=1, flapping=0)
