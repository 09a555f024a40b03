"""How long an incident takes alerts in, and what comes after."""

from __future__ import annotations

from datetime import timedelta

from imd.model.rule import Resolve, ResolveWhen, Rule, Window, WindowKind
from tests.core.making import minutes, policy, step
from tests.stories.told import Story

ANA = [policy(step("ana", wait=timedelta(days=2)))]


def story_of(window: Window) -> Story:
    return Story(Rule(name="r", group_by=("cluster",), window=window), policies=ANA)


def test_max_alerts_opens_a_fresh_incident_that_names_the_previous() -> None:
    """Three alerts are the most: the fourth opens another incident, and the full one never reopens."""
    story = story_of(Window(max_alerts=3))
    for pod in "abcd":
        story.at("0:00").fires("Down", cluster="c", pod=pod)
    story.is_("pending", firing=3, window_ended="max_alerts").is_("pending", incident=2, previous="i000000000001")
    story.at("0:00:10").page_to("ana").page_to("ana", incident=2).line("its window ended by max_alerts")
    for pod in "abcd":
        story.resolves("Down", pod=pod)
    story.at("0:01:10").end_to("ana").end_to("ana", incident=2)
    story.at("0:02").fires("Down", cluster="c", pod="a").is_("resolved").is_("pending", incident=2, reopened=1)
    story.at("0:02:10").page_to("ana", "reopened", incident=2)


def test_max_life_ends_the_window_of_an_open_incident() -> None:
    """After an hour the incident takes nothing more in; it stays open for what it has."""
    story = story_of(Window(max_life=minutes(60)))
    story.at("0:00").fires("Down", cluster="c", pod="a").at("0:00:10").page_to("ana")
    story.at("1:00").fires("Down", cluster="c", pod="b").update_to("ana").is_("triggered", firing=2)
    story.at("1:02:01").fires("Down", cluster="c", pod="c").is_("triggered", firing=2, window_ended="max_life")
    story.is_("pending", incident=2, previous="i000000000001").at("1:02:11").page_to("ana", incident=2)


def test_an_incident_past_its_max_life_does_not_reopen() -> None:
    """Resolved after 59 minutes, back after 62: the bound has passed, so it is a fresh incident."""
    story = story_of(Window(max_life=minutes(60)))
    story.at("0:00").fires("Down", cluster="c").at("0:00:10").page_to("ana")
    story.at("0:58").resolves("Down").update_to("ana").at("0:59").end_to("ana")
    story.at("1:02").fires("Down", cluster="c").is_("resolved").is_("pending", incident=2, previous="i000000000001")
    story.at("1:02:10").page_to("ana", incident=2)


def test_a_session_ends_with_a_gap_in_which_nothing_fires() -> None:
    """While a member fires everything joins; a quarter of an hour without any, and the next is another incident."""
    story = Story(
        Rule(
            name="r",
            group_by=("cluster",),
            window=Window(kind=WindowKind.SESSION, gap=minutes(15)),
            resolve=Resolve(when=ResolveWhen.NEVER),
        ),
        policies=ANA,
    )
    story.at("0:00").fires("Down", cluster="c", pod="a").at("0:00:10").page_to("ana")
    story.at("2:00").fires("Down", cluster="c", pod="b").update_to("ana").incidents(1)
    story.at("2:05").resolves("Down", pod="a").resolves("Down", pod="b").update_to("ana").at("2:06").update_to("ana")
    story.at("2:19").fires("Down", cluster="c", pod="d").update_to("ana").incidents(1)
    story.at("2:21").resolves("Down", pod="d").update_to("ana")
    story.at("2:39").fires("Down", cluster="c", pod="e").incidents(2).line("gap without an alert")
    story.at("2:39:10").page_to("ana", incident=2)


def test_a_fixed_window_counts_from_the_opening() -> None:
    """Ten minutes after the opening the next alert is another incident, whatever fires."""
    story = story_of(Window(kind=WindowKind.FIXED, gap=minutes(10)))
    story.at("0:00").fires("Down", cluster="c", pod="a").at("0:00:10").page_to("ana")
    story.at("0:10").fires("Down", cluster="c", pod="b").update_to("ana").incidents(1)
    story.at("0:12:01").fires("Down", cluster="c", pod="d").incidents(2).line("gap after the opening")
    story.at("0:12:11").page_to("ana", incident=2)


def test_the_window_goes_by_when_an_alert_began_within_lateness() -> None:
    """An alert received at 0:11 that began at 0:09:30 still belongs to the ten minutes; an older claim is clamped."""
    story = story_of(Window(kind=WindowKind.FIXED, gap=minutes(10)))
    story.at("0:00").fires("Down", cluster="c", pod="a").at("0:00:10").page_to("ana")
    story.at("0:11").fires("Down", cluster="c", pod="b", starts="0:09:30").update_to("ana").incidents(1)
    story.at("0:13").fires("Down", cluster="c", pod="d", starts="0:01").incidents(2)
    story.at("0:13:10").page_to("ana", incident=2)


def test_a_cancelled_incident_is_nobodys_previous_even_after_a_restart() -> None:
    """A blip and then the real thing: the real incident names no predecessor, restarted or not."""
    for restarted in (False, True):
        story = Story(policies=ANA)
        story.at("0:00").fires("Down").at("0:00:05").resolves("Down").is_("cancelled")
        if restarted:
            story.restart()
        story.at("0:01").fires("Down").is_("pending", incident=2, previous="")
        story.at("0:01:10").page_to("ana", incident=2)
