"""Who is on call when the page is due: schedules and teams as targets of steps."""

from __future__ import annotations

from datetime import date, timedelta

from imd.model.policy import Team
from imd.model.quiet import TimeInterval, Weekly
from imd.model.schedule import Rotation, Schedule
from tests.core.making import minutes, policy, step
from tests.stories.told import Story


def daily(*people: str, start: str = "2025-12-30", at: float = 0.0, **other: object) -> Rotation:
    return Rotation(  # type: ignore[arg-type]
        name="rotation 1",
        people=people,
        timezone="UTC",
        every=timedelta(days=1),
        start=date.fromisoformat(start),
        at=timedelta(hours=at),
        **other,
    )


def schedules(*layers: Rotation, name: str = "primary") -> dict[str, Schedule]:
    return {name: Schedule(name=name, rotations=layers)}


OFFICE = TimeInterval(weekly=(Weekly(begins=timedelta(hours=9), ends=timedelta(hours=17)),))


def test_whoever_is_on_call_is_paged() -> None:
    """Ana began on 30 December, so it is her turn on New Year's Day; the page names her."""
    story = Story(policies=[policy(step("@primary"))], schedules=schedules(daily("ana", "ben")))
    story.at("0:00").fires("Down")
    story.at("0:00:10").page_to("ana").line("paged ana by ana-phone (first), step 1 of policy default")


def test_a_hand_off_between_two_steps() -> None:
    """Each step asks anew: the second round of the same schedule, past midnight, is the next one's."""
    story = Story(policies=[policy(step("@primary"), repeat=1, remind=None)], schedules=schedules(daily("ana", "ben")))
    story.at("23:56").fires("Down")
    story.at("23:56:10").page_to("ana")
    story.at("24:01:10").page_to("ben", "repeated")


def test_an_empty_slot_passes_on_at_once() -> None:
    """At three in the morning nobody is on call by the office's schedule: step 2 hears in the same instant, and the
    timeline says why step 1 did not."""
    story = Story(
        policies=[policy(step("@office"), step("ben"))], schedules=schedules(daily("ana", within=OFFICE), name="office")
    )
    story.at("3:00").fires("Down")
    story.at("3:00:10").page_to("ben", "escalated")
    story.line("not notified: schedule:office, because nobody is on call: no layer has anybody")
    story.line("nobody of step 1 is notified")


def test_empty_slots_all_through_end_at_the_fallback_once() -> None:
    """Nobody is on call by any step: no hundred rounds of nothing, but the end of the policy at once."""
    story = Story(
        policies=[policy(step("@office"), repeat=100, remind=minutes(60))],
        schedules=schedules(daily("ana", within=OFFICE), name="office"),
    )
    story.at("8:30").fires("Down")
    story.at("8:30:10").is_("triggered", exhausted=True).line("policy default is exhausted").quiet()
    story.at("9:30:10").page_to("ana", "repeated")


def test_everyone_of_a_team_is_paged() -> None:
    """Each once, though Ana is named beside her team."""
    teams = {"platform": Team(name="platform", people=("ana", "ben"))}
    story = Story(policies=[policy(step("ana", "+platform"), step("cleo"))], teams=teams)
    story.at("0:00").fires("Down")
    story.at("0:00:10").page_to("ana").page_to("ben").quiet()
    story.at("0:05:10").page_to("cleo", "escalated")


def test_a_schedule_that_a_reload_took_away() -> None:
    """Its step passes on at once, and says so."""
    story = Story(policies=[policy(step("@gone"), step("ben"))])
    story.at("0:00").fires("Down")
    story.at("0:00:10").page_to("ben", "escalated").line("schedule:gone, because it is not in the configuration")
