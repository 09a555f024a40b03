"""Who is on call when the page is due: schedules, overrides, teams and turns."""

from __future__ import annotations

from datetime import date, timedelta

from imd.model.incident import Priority
from imd.model.policy import Receiver, Team
from imd.model.quiet import TimeInterval, Weekly
from imd.model.rule import Matcher, Op, Rule
from imd.model.schedule import Rotation, Schedule
from tests.core.making import minutes, policy, ruleset, step
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


A = ((Matcher("alertname", Op.EQUAL, "A"),),)
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


def test_an_empty_slot_beside_a_chat_passes_on_at_once() -> None:
    """The chat hears of it, and that is nobody who could answer: step 2 hears in the same instant. With a person in the
    step there is somebody to wait for."""
    schedule = schedules(daily("ana", within=OFFICE), name="office")
    story = Story(
        policies=[policy(step("@office", "#chat"), step("ben"))], receivers=[Receiver(name="chat")], schedules=schedule
    )
    story.at("3:00").fires("Down").at("3:00:10").page_to("chat").page_to("ben", "escalated")
    story.line("nobody is on call by schedule office")
    story = Story(policies=[policy(step("@office", "cleo"), step("ben"))], schedules=schedule)
    story.at("3:00").fires("Down").at("3:00:10").page_to("cleo").at("3:05:10").page_to("ben", "escalated")


def test_empty_slots_all_through_end_at_the_fallback_once() -> None:
    """Nobody is on call by any step: no hundred rounds of nothing, but the end of the policy at once."""
    story = Story(
        policies=[policy(step("@office"), repeat=100, remind=minutes(60))],
        schedules=schedules(daily("ana", within=OFFICE), name="office"),
    )
    story.at("8:30").fires("Down")
    story.at("8:30:10").is_("triggered", exhausted=True).line("policy default is exhausted").quiet()
    story.at("9:30:10").page_to("ana", "repeated")


def test_a_thousand_steps_with_nobody() -> None:
    """They are passed in one instant, each with its line, and the last one hears."""
    story = Story(
        policies=[policy(*[step("@office")] * 1000, step("ben"))],
        schedules=schedules(daily("ana", within=OFFICE), name="office"),
    )
    story.at("3:00").fires("Down").at("3:00:10").page_to("ben", "escalated").is_("triggered", step=1000)
    assert story.told().count("not notified: schedule:office") == 1000


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


# Overrides that people set.


def on_call(*steps: object, **other: object) -> Story:
    return Story(policies=[policy(*steps, remind=None)], schedules=schedules(daily("ana", "ben")), **other)  # type: ignore[arg-type]


def test_an_override_acts_from_its_beginning_to_its_end() -> None:
    """Cleo stands in from two to four; Ana is on call before and after. The page says why it is Cleo."""
    story = on_call(step("@primary"))
    story.at("1:00").overridden("cleo", "4:00", starts="2:00", by="ben")
    story.fires("A").at("1:00:10").page_to("ana").at("3:00").fires("B").at("3:00:10").page_to("cleo", incident=2)
    story.line("on call by schedule:primary, override by ben", incident=2)
    story.at("4:00").fires("C").at("4:00:10").page_to("ana", incident=3).acknowledged_by("ana", incident=3)


def test_an_override_acts_on_the_steps_to_come_of_what_is_open() -> None:
    """Set between two steps: the second asks the schedule again."""
    story = on_call(step("@primary"), step("@primary"))
    story.at("0:00").fires("A").at("0:00:10").page_to("ana").at("0:01").overridden("cleo", "4:00")
    story.at("0:05:10").page_to("cleo", "escalated")


def test_an_override_that_is_taken_back_is_over() -> None:
    """And once more changes nothing; one that never was is refused."""
    story = on_call(step("@primary"))
    story.at("0:00").overridden("cleo", "4:00").at("1:00").override_ended().override_ended()
    story.fires("A").at("1:00:10").page_to("ana").override_ended(7).refused("there is no override")


def test_the_newest_override_counts() -> None:
    """Two over the same hours: the one set last."""
    story = on_call(step("@primary"))
    story.at("0:00").overridden("cleo", "4:00").at("0:01").overridden("ben", "2:00", number=2)
    story.at("1:00").fires("A").at("1:00:10").page_to("ben").at("3:00").fires("B").at("3:00:10")
    story.page_to("cleo", incident=2)


def test_overrides_survive_a_restart() -> None:
    """Set before it, in force after it."""
    story = on_call(step("@primary"))
    story.at("0:00").overridden("cleo", "4:00").restart().at("1:00").fires("A").at("1:00:10").page_to("cleo")


def test_an_override_of_somebody_who_is_gone_does_not_count() -> None:
    """A reload takes Cleo out of the people: Ana is on call again, nobody is lost."""
    story = on_call(step("@primary"))
    story.at("0:00").overridden("cleo", "4:00")
    people = ["ana", "ben"]
    story.reload(ruleset(policies=[policy(step("@primary"))], schedules=schedules(daily("ana", "ben")), people=people))
    story.at("1:00").fires("A").at("1:00:10").page_to("ana")


def test_overrides_that_make_no_sense_are_refused() -> None:
    """Of nobody, of no schedule, backwards, in the past."""
    story = on_call(step("@primary"))
    story.at("1:00").overridden("dai", "4:00").refused("there is no person dai")
    story.overridden("ana", "4:00", schedule="secondary").refused("there is no schedule secondary")
    story.overridden("ana", "2:00", starts="3:00").refused("ends after it begins")
    story.overridden("ana", "0:30", starts="0:00").refused("in the future")
    assert not story.engine.state.overrides


def test_there_are_at_most_a_thousand_overrides() -> None:
    """Ended ones make room, those to come do not."""
    story = on_call(step("@primary"))
    for number in range(1000):
        story.overridden("cleo", "2:00" if number else "1:00", number=number)
    story.overridden("cleo", "2:00", number=1000).refused("there are 1000 overrides already")
    story.at("1:00").overridden("cleo", "2:00", number=1000)
    assert len(story.engine.state.overrides) == 1000
    assert "override-0" not in story.engine.state.overrides


# Round robin.

TEAM = {"platform": Team(name="platform", people=("ana", "ben", "cleo"))}


def test_round_robin_takes_the_next_one_for_each_incident() -> None:
    """Ana, Ben, Cleo, Ana; and a restart in between changes nothing."""
    story = Story(policies=[policy(step("+platform", round_robin=True), remind=None)], teams=TEAM)
    for number, who in enumerate(["ana", "ben", "cleo", "ana"], start=1):
        story.at(f"{number}:00").fires(f"A{number}").at(f"{number}:00:10").page_to(who, incident=number).restart()
        story.acknowledged_by(who, incident=number).acknowledgement_to(who, incident=number)


def test_round_robin_passes_over_whoever_cannot_be_notified() -> None:
    """Ben's telephone takes P2 and up, and the office is empty at night: both are named, and the turn goes on."""
    story = Story(
        policies=[policy(step("ana", "ben", "@office", "cleo", round_robin=True), remind=None)],
        receivers=[Receiver(name="ben-phone", min_priority=Priority.P2)],
        schedules=schedules(daily("ana", within=OFFICE), name="office"),
    )
    story.at("0:00").fires("A", severity="warning").at("0:00:10").page_to("ana")
    story.at("1:00").fires("B", severity="warning").at("1:00:10").page_to("cleo", incident=2)
    story.line("not notified: ben by ben-phone, because receiver ben-phone takes P2 and up", incident=2)
    story.line("not notified: schedule:office, because nobody is on call", incident=2)
    story.at("2:00").fires("C", severity="warning").at("2:00:10").page_to("ana", incident=3)


def test_round_robin_without_anybody_passes_on_at_once() -> None:
    """Nobody of the step can be notified: the next step hears, and no turn is used up."""
    story = Story(
        policies=[policy(step("@office", "#gone", round_robin=True), step("ben"))],
        schedules=schedules(daily("ana", within=OFFICE), name="office"),
    )
    story.at("0:00").fires("A").at("0:00:10").page_to("ben", "escalated")
    assert story.engine.state.turns == {}


def test_a_repeat_takes_the_next_one_and_a_raise_the_same() -> None:
    """The second round is Ben's; that the priority goes up is for him too, and so is a reminder."""
    rule = Rule(name="r", group_by=())
    story = Story(
        rule, policies=[policy(step("+platform", round_robin=True), repeat=1, remind=minutes(60))], teams=TEAM
    )
    story.at("0:00").fires("A", severity="warning").at("0:00:10").page_to("ana").at("0:05:10").page_to(
        "ben", "repeated"
    )
    story.at("0:06").fires("B", severity="critical").page_to("ben", "raised").update_to("ana")
    story.at("1:10:10").page_to("ben", "repeated")


def test_two_policies_have_turns_of_their_own() -> None:
    """By policy and step."""
    policies = [
        policy(step("+platform", round_robin=True), name="a", remind=None),
        policy(step("+platform", round_robin=True), remind=None),
    ]
    story = Story(Rule(name="a", match=A, policy="a"), policies=policies, teams=TEAM)
    story.at("0:00").fires("A").at("0:00:10").page_to("ana").at("0:01").fires("B").at("0:01:10")
    story.page_to("ana", incident=2).at("0:02").fires("A", cluster="c").at("0:02:10").page_to("ben", incident=3)
