"""How a person is reached: way after way, other ways for what can wait, and quiet hours."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from imd.model.event import Outcome
from imd.model.incident import Priority
from imd.model.policy import PageKind, Receiver, Route
from imd.model.quiet import TimeInterval, Weekly
from imd.model.rule import Rule
from tests.core.making import minutes, person, policy, ruleset, seconds, step
from tests.stories.told import Story

ANA = person("ana", "ntfy", "sms 2m", "voice 10m")
PAGES = frozenset({PageKind.PAGE})
NIGHT = TimeInterval(weekly=(Weekly(begins=timedelta(hours=22), ends=timedelta(hours=7)),))


def quiet(*names: str) -> list[Receiver]:
    """Receivers that want pages and nothing else."""
    return [Receiver(name=name, send=PAGES) for name in names]


def a_story(*steps: object, people: tuple[object, ...] = (ANA, "ben"), **other: object) -> Story:
    receivers = quiet("ntfy", "sms", "voice", "mail", "ben-phone")
    return Story(policies=[policy(*steps, remind=None)], people=people, receivers=receivers, **other)  # type: ignore[arg-type]


def test_one_way_after_the_other_until_somebody_answers() -> None:
    """At once, after two minutes, after ten: then it is acknowledged, and a day is quiet."""
    story = a_story(step("ana", wait=minutes(30)), step("ben"))
    story.at("0:00").fires("Down", severity="critical")
    story.at("0:00:10").page_to("ana", by="ntfy").line("paged ana by ntfy (first), step 1 of policy default")
    story.at("0:02:10").page_to("ana", by="sms").at("0:10:10").page_to("ana", by="voice")
    story.at("0:12").acknowledged_by("ana").at("24:00").is_("acknowledged", reaches=[]).quiet()


def test_an_answer_stops_the_ways_that_are_left() -> None:
    """Acknowledged after a minute: no text message, no call."""
    story = a_story(step("ana", wait=minutes(30)))
    story.at("0:00").fires("Down", severity="critical").at("0:00:10").page_to("ana", by="ntfy")
    story.at("0:01:10").acknowledged_by("ben").at("24:00").quiet()


def test_the_next_step_does_not_end_the_ways_of_the_one_before() -> None:
    """Ben hears after five minutes, and Ana's telephone still rings after ten: nobody has answered."""
    story = a_story(step("ana"), step("ben", wait=minutes(30)))
    story.at("0:00").fires("Down", severity="critical").at("0:00:10").page_to("ana", by="ntfy")
    story.at("0:02:10").page_to("ana", by="sms").at("0:05:10").page_to("ben", "escalated")
    story.at("0:10:10").page_to("ana", by="voice").at("0:11").acknowledged_by("ben").at("24:00").quiet()


def test_the_last_way_of_a_step_that_was_left_passes_nothing_on() -> None:
    """Ana's call of step 1 is refused while the walk stands at step 2: Cleo's turn comes in its time, not now."""
    story = a_story(step("ana"), step("ben", wait=minutes(30)), step("cleo"), people=(ANA, "ben", "cleo"))
    story.refuses("voice").at("0:00").fires("Down", severity="critical").at("0:00:10").page_to("ana", by="ntfy")
    story.at("0:02:10").page_to("ana", by="sms").at("0:05:10").page_to("ben", "escalated")
    story.at("0:10:10").page_to("ana", by="voice").is_("triggered", step=1).at("0:35:10").page_to("cleo", "escalated")


def test_a_way_that_is_refused_gives_way_to_the_next_at_once() -> None:
    """And the last one to the next step. What was taken early is not taken again in its time."""
    story = a_story(step("ana", wait=minutes(30)), step("ben")).refuses("ntfy")
    story.at("0:00").fires("Down", severity="critical")
    story.at("0:00:10").page_to("ana", by="ntfy").page_to("ana", by="sms")
    story.line("went on to the next way to ana: ntfy refused the page for good")
    story.refuses("voice").at("0:02:10").quiet()
    story.at("0:10:10").page_to("ana", by="voice").page_to("ben", "escalated").line("voice refused the page for good")


def test_every_way_refused_is_the_next_step_at_once() -> None:
    """Three refusals and Ben hears, all in one instant."""
    story = a_story(step("ana", wait=minutes(30)), step("ben")).refuses("ntfy").refuses("sms").refuses("voice")
    story.at("0:00").fires("Down", severity="critical").at("0:00:10")
    story.page_to("ana", by="ntfy").page_to("ana", by="sms").page_to("ana", by="voice").page_to("ben", "escalated")
    story.at("0:05:00").is_("triggered", step=1).quiet()


def test_a_way_that_is_late_gives_way_to_the_next_at_once() -> None:
    """Twenty seconds without an acceptance each, then step 2; that the first is accepted late changes nothing."""
    story = a_story(step("ana", wait=minutes(30)), step("ben", wait=minutes(60)))
    story.hangs("ntfy").hangs("sms").hangs("voice")
    story.at("0:00").fires("Down", severity="critical").at("0:00:10").page_to("ana", by="ntfy")
    story.at("0:00:30").page_to("ana", by="sms").line("ntfy did not accept the page in time")
    story.at("0:00:50").page_to("ana", by="voice").at("0:01:10").page_to("ben", "escalated")
    story.at("0:02").answers("ntfy").answers("sms", Outcome.FAILED).at("0:15").is_("triggered", step=1).quiet()


def test_a_way_that_a_newer_one_has_followed_decides_nothing() -> None:
    """The push hangs, the text message after five seconds arrives; that the push is given up then is only a line."""
    people = (person("ana", "ntfy", "sms 0.1m"), "ben")
    story = a_story(step("ana", wait=minutes(30)), step("ben"), people=people).hangs("ntfy")
    story.at("0:00").fires("Down", severity="critical").at("0:00:10").page_to("ana", by="ntfy")
    story.at("0:00:16").page_to("ana", by="sms")
    story.at("0:00:20").answers("ntfy", Outcome.FAILED).line("ntfy refused for good").at("0:30").quiet()


def test_ways_without_a_delay_are_taken_together() -> None:
    """Push and text message at once."""
    story = a_story(step("ana"), people=(person("ana", "ntfy", "sms"),))
    story.at("0:00").fires("Down").at("0:00:10").page_to("ana", by="ntfy").page_to("ana", by="sms").quiet()


def test_what_can_wait_takes_other_ways() -> None:
    """A P4 goes by mail; where mail refuses, by push; no step follows."""
    people = (person("ana", "voice", low=("mail", "ntfy 60m")), "ben")
    story = a_story(step("ana"), step("ben"), people=people)
    story.at("0:00").fires("Hint", severity="info").at("0:00:10").page_to("ana", by="mail")
    story.line("not notified: step 2 of policy default, because of a P4 step 1 hears, once")
    story.at("1:00:10").page_to("ana", by="ntfy").at("20:00").quiet()
    story.refuses("mail").fires("Hint", severity="info", instance="b", cluster="b")
    story.at("20:00:10").page_to("ana", by="mail", incident=2).page_to("ana", by="ntfy", incident=2).at("40:00").quiet()


def test_a_raise_takes_the_urgent_ways() -> None:
    """As a P4 it went by mail; as a P2 it goes by telephone at once, and on to step 2."""
    people = (person("ana", "voice", low=("mail", "ntfy 60m")), "ben")
    story = a_story(step("ana"), step("ben"), people=people, rules=[Rule(name="r", group_by=())])
    story.at("0:00").fires("Hint", severity="info").at("0:00:10").page_to("ana", by="mail")
    story.at("0:10").fires("Down", severity="critical").page_to("ana", "raised", by="voice")
    story.at("0:15").page_to("ben", "escalated").at("1:00:10").quiet()


def test_a_way_that_takes_no_such_priority_is_left_out_with_a_line() -> None:
    """The telephone rings for P1 and P2 only: of a P3 the text message comes in its place."""
    receivers = [Receiver(name="voice", send=PAGES, min_priority=Priority.P2), *quiet("sms")]
    story = Story(policies=[policy(step("ana"))], people=[person("ana", "voice", "sms 5m")], receivers=receivers)
    story.at("0:00").fires("Slow", severity="warning").at("0:00:10").page_to("ana", by="sms")
    story.line("not notified: ana by voice, because receiver voice takes P2 and up, this is P3")


def test_two_people_behind_one_receiver_are_one_page() -> None:
    """Ben's pager is Ana's: he is told in words why he gets no page of his own; his other way comes in its time."""
    people = (person("ana", "ntfy"), person("ben", "ntfy", "sms 2m"))
    story = a_story(step("ana", "ben"), people=people)
    story.at("0:00").fires("Down").at("0:00:10").page_to("ana", by="ntfy")
    story.line("not notified: ben by ntfy, because it has this page already")
    story.at("0:02:10").page_to("ben", by="sms")


def test_one_refusal_of_a_page_for_two_passes_both_on() -> None:
    """Ana and Ben share a push; it is refused: both get their next way at once."""
    people = (person("ana", "ntfy", "sms 2m"), person("ben", "ntfy", "mail 2m"))
    story = a_story(step("ana", "ben"), people=people).refuses("ntfy")
    story.at("0:00").fires("Down").at("0:00:10").page_to("ana", by="ntfy")
    story.page_to("ana", by="sms").page_to("ben", by="mail").at("0:05").quiet()


def test_whoever_let_an_acknowledgement_lapse_is_reached_by_every_way() -> None:
    """Ana had it and fell asleep: push, then text message; step 1 after its time."""
    story = Story(
        policies=[policy(step("ben"), ack_timeout=minutes(30), remind=None)], people=[ANA, "ben"],
        receivers=quiet("ntfy", "sms", "voice", "ben-phone"),
    )  # fmt: skip
    story.at("0:00").fires("Down").at("0:00:10").page_to("ben")
    story.at("0:01").acknowledged_by("ana").at("0:31").page_to("ana", "ack_lapsed", by="ntfy")
    story.at("0:33").page_to("ana", "ack_lapsed", by="sms").at("0:36").page_to("ben", "escalated")
    story.at("0:37").acknowledged_by("ben").at("1:06").quiet()


# Restarts and clocks.


def test_ways_go_on_after_a_restart_to_the_second() -> None:
    """Restarted between every two ways, each comes in its time."""
    story = a_story(step("ana", wait=minutes(30)))
    story.at("0:00").fires("Down", severity="critical").at("0:00:10").page_to("ana", by="ntfy")
    story.at("0:01").restart().at("0:02:10").page_to("ana", by="sms")
    story.at("0:09").restart(down="0:01:00").at("0:10:10").page_to("ana", by="voice")


def test_after_a_short_outage_the_first_thing_due_comes_and_the_rest_keeps_its_distance() -> None:
    """Away for four minutes, in which the text message and step 2 fell due: the message now, Ben three minutes later,
    as he would have been."""
    story = a_story(step("ana"), step("ben", wait=minutes(60)))
    story.at("0:00").fires("Down", severity="critical").at("0:00:10").page_to("ana", by="ntfy")
    story.at("0:01:30").restart(down="0:04:00").page_to("ana", by="sms")
    story.at("0:08:30").page_to("ben", "escalated").at("0:13:30").page_to("ana", by="voice")


def test_after_a_long_outage_nobody_is_flooded() -> None:
    """Away all night: senders get 90 s, then the message, then Ben, then the call, at the distances they had."""
    story = a_story(step("ana"), step("ben", wait=minutes(60)))
    story.at("0:00").fires("Down", severity="critical").at("0:00:10").page_to("ana", by="ntfy")
    story.at("0:01:00").restart(down="8:00:00").at("8:02:29").quiet().at("8:02:30").page_to("ana", by="sms")
    story.at("8:05:30").page_to("ben", "escalated").at("8:10:30").page_to("ana", by="voice")


def test_a_page_on_its_way_when_imd_went_away_has_its_time_when_it_is_back() -> None:
    """Ten of its twenty seconds were left: they count from the return; nobody is passed by for imd's absence."""
    story = a_story(step("ana", wait=minutes(30))).hangs("ntfy")
    story.at("0:00").fires("Down", severity="critical").at("0:00:10").page_to("ana", by="ntfy")
    story.at("0:00:20").restart(down="0:01:00").at("0:01:29").quiet().at("0:01:30").page_to("ana", by="sms")


def test_a_clock_that_is_set_moves_no_way() -> None:
    """An hour forward and an hour back: two minutes stay two minutes, and nobody hears twice."""
    story = a_story(step("ana", wait=minutes(120)))
    story.at("0:00").fires("Down", severity="critical").at("0:00:10").page_to("ana", by="ntfy")
    story.at("0:01").clock_jumps("1:00").at("1:02:10").page_to("ana", by="sms")
    story.at("1:05").clock_falls("1:00").at("0:10:10").page_to("ana", by="voice").at("0:59").quiet()


# Quiet hours.

SLEEPER = person("ana", "ntfy", "sms 2m", quiet_hours=NIGHT)


def test_what_can_wait_waits_for_the_morning() -> None:
    """A P4 at two in the morning is paged at seven, for it is still open; the record says so at once."""
    story = a_story(step("ana"), people=(SLEEPER,))
    story.at("2:00").fires("Hint", severity="info")
    story.at("2:00:10").line("not notified: ana, because it is P4, and quiet hours last until 2026-01-01 07:00 (UTC)")
    story.at("7:00").page_to("ana", by="ntfy").at("7:02").page_to("ana", by="sms").at("20:00").quiet()


@pytest.mark.parametrize(
    ("fires", "pages"),
    [
        ("2086:00", "2093:00"),
        ("7125:00", "7134:00"),
    ],  # 28 March and 24 October 2026, 23:00 there; 07:00, 7 and 9 h later
    ids=["spring", "autumn"],
)
def test_the_morning_comes_when_the_clock_says_so(fires: str, pages: str) -> None:
    """In the night in which clocks change it is seven o'clock an hour earlier, or later."""
    night = msgspec.structs.replace(NIGHT, timezone="Europe/Berlin")
    story = a_story(step("ana"), people=(person("ana", "ntfy", quiet_hours=night),))
    story.at(fires).fires("Hint", severity="info").at(fires + ":10").line("quiet hours last until 2026-").restart()
    story.at(pages).page_to("ana", by="ntfy")


def test_what_cannot_wait_does_not() -> None:
    """A P3 at two in the morning is paged at two."""
    story = a_story(step("ana"), people=(SLEEPER,))
    story.at("2:00").fires("Slow", severity="warning").at("2:00:10").page_to("ana", by="ntfy")


def test_what_ended_in_the_night_wakes_nobody_in_the_morning() -> None:
    """Resolved at three, acknowledged at four: seven o'clock is quiet."""
    story = a_story(step("ana"), people=(SLEEPER,))
    story.at("2:00").fires("Hint", severity="info").at("2:00:10")
    story.at("3:00").resolves("Hint").fires("Other", severity="info")
    story.at("4:00").acknowledged_by("ben", incident=2).at("9:00").quiet().is_("resolved")


def test_a_raise_in_the_night_pages_at_once() -> None:
    """The P4 that waited for the morning is a P2 at three: now, and not again at seven."""
    story = a_story(step("ana", wait=minutes(600)), people=(SLEEPER,), rules=[Rule(name="r", group_by=())])
    story.at("2:00").fires("Hint", severity="info").at("2:00:10")
    story.at("3:00").fires("Down", severity="critical").page_to("ana", "raised", by="ntfy")
    story.at("3:02").page_to("ana", "raised", by="sms").at("9:00").quiet()


def test_quiet_hours_survive_a_restart_and_a_clock_that_is_set() -> None:
    """They go by the wall clock: seven is seven, also where the clock was an hour slow."""
    story = a_story(step("ana"), people=(SLEEPER,))
    story.at("2:00").fires("Hint", severity="info").at("2:00:10").restart().at("3:00").clock_jumps("1:00")
    story.at("6:59:59").quiet().at("7:00").page_to("ana", by="ntfy")


def test_a_reload_takes_the_last_way_away() -> None:
    """Ana's list is shorter than where she stands in it: nothing breaks, nothing comes."""
    story = a_story(step("ana", wait=minutes(30)))
    story.at("0:00").fires("Down", severity="critical").at("0:00:10").page_to("ana", by="ntfy")
    people = [person("ana", "ntfy")]
    story.at("0:01").reload(ruleset(policies=[policy(step("ana", wait=minutes(30)))], people=people))
    story.at("0:30:00").quiet()


def test_an_update_and_the_end_go_to_every_way_that_was_taken() -> None:
    """Both heard of it, so both hear the end; the third, which was never taken, hears nothing."""
    story = Story(policies=[policy(step("ana", wait=minutes(30)))], people=[ANA])
    story.at("0:00").fires("Down", severity="critical").at("0:00:10").page_to("ana", by="ntfy")
    story.at("0:02:10").page_to("ana", by="sms")
    story.at("0:05").resolves("Down").update_to("ana").update_to("ana").at("0:06").end_to("ana").end_to("ana").quiet()


def test_the_policy_that_is_left_takes_its_ways_along() -> None:
    """A raise moves the incident to Ben's policy: Ana's text message is not sent any more."""
    story = Story(
        Rule(name="wide", group_by=("cluster",), hold=seconds(0)),
        policies=[policy(step("ana", wait=minutes(30))), policy(step("ben", wait=minutes(30)), name="urgent")],
        routes=(Route(policy="urgent", priority=frozenset({Priority.P2})),),
        people=[ANA, "ben"],
        receivers=quiet("ntfy", "sms", "voice", "ben-phone"),
    )
    story.at("0:00").fires("Slow", severity="warning", cluster="c").page_to("ana", by="ntfy")
    story.at("0:01").fires("Down", severity="critical", cluster="c").page_to("ben", "raised").at("0:29").quiet()
