"""Where suppression meets open_when, flapping and heartbeats, told as timelines."""

from __future__ import annotations

from imd.model.heartbeat import Heartbeat
from imd.model.rule import Absent, AllOf, Count, Flapping, Match, Matcher, Op, Rule
from imd.model.view import alert_view
from tests.core.making import inhibition, minutes, policy, step
from tests.stories.told import Story

ANA = [policy(step("ana"))]
TWO = [policy(step("ana"), step("ben"))]
THREE = Rule(name="nodes", group_by=("cluster",), open_when=Count(at_least=3, within=minutes(5)))


def named(name: str) -> Match:
    return ((Matcher("alertname", Op.EQUAL, name),),)


def test_a_suppressed_alert_counts_for_nothing_until_it_goes_on() -> None:
    """Two fire and the third is silenced: two are not three. Its silence ends within the window, and they are."""
    story = Story(THREE, policies=ANA)
    story.at("0:00").silenced("0:03", n="3")
    story.fires("Down", n="1").fires("Down", n="2").fires("Down", n="3").incidents(0)
    assert alert_view(story.alert("Down", n="3"), None).verdict is None
    story.at("0:02:59").incidents(0)
    story.at("0:03").ticks().is_("pending", firing=3, suppressed=0)
    story.at("0:03:10").page_to("ana")
    assert story.alert("Down", n="3").joined_because == "counted"


def test_one_that_is_suppressed_while_it_waits_counts_no_more() -> None:
    """It says so; another takes its place, and its release joins what is open by then."""
    story = Story(THREE, policies=ANA)
    story.at("0:00").fires("Down", n="1").fires("Down", n="2")
    story.at("0:01").silenced("1:00", n="2").fires("Down", n="3").incidents(0)
    assert (
        alert_view(story.alert("Down", n="2"), None).verdict == "was suppressed before it was one of 3 alerts within 5m"
    )
    story.at("0:02").fires("Down", n="4").is_("pending", firing=3)
    story.at("0:02:10").page_to("ana")
    story.at("1:00").update_to("ana").is_("triggered", firing=4)


def test_an_inhibited_alert_leaves_those_that_wait() -> None:
    """What fires because of something else that fires is no part of a sequence."""
    rule = Rule(name="all", group_by=(), open_when=AllOf(parts=(named("A"), named("B")), within=minutes(10)))
    muted = inhibition("Root", "A")
    story = Story(rule, policies=ANA, inhibitions=(muted,))
    story.at("0:00").fires("A").fires("Root").fires("B").incidents(0)
    story.at("0:05").resolves("Root").ticks().is_("pending", firing=2)


def test_a_suppressed_follow_up_is_a_follow_up() -> None:
    """It came, whoever hears of it."""
    rule = Rule(
        name="jobs", match=named("Started"), group_by=(), open_when=Absent(match=named("Done"), wait=minutes(5))
    )
    story = Story(rule, policies=ANA)
    story.at("0:00").silenced("2:00", alertname="Done").fires("Started")
    story.at("0:01").fires("Done").at("0:30").incidents(0)


def test_what_waits_suppressed_over_a_restart_is_the_same_after_it() -> None:
    story = Story(THREE, policies=ANA)
    story.at("0:00").fires("Down", n="1").fires("Down", n="2").silenced("0:04", n="2").fires("Down", n="3")
    story.at("0:02").restart().at("0:03:59").incidents(0)
    story.at("0:04").ticks().is_("pending", firing=3)


def test_a_member_set_aside_does_not_open_its_incident_again_alone() -> None:
    """The incident it joined silenced is over; once it goes on, it is one of three like any other."""
    story = Story(THREE, policies=ANA)
    story.at("0:00").fires("Down", n="1").fires("Down", n="2").fires("Down", n="3")
    story.at("0:00:10").page_to("ana")
    story.at("0:01").silenced("0:05", n="4").fires("Down", n="4").is_("triggered", firing=3, suppressed=1, aside=1)
    story.at("0:02").resolves("Down", n="1").resolves("Down", n="2").resolves("Down", n="3").update_to("ana")
    story.at("0:03").end_to("ana").is_("resolved")
    story.at("0:06").is_("resolved").incidents(1)
    assert alert_view(story.alert("Down", n="4"), None).verdict == "waits for 3 alerts within 5m"


def test_a_silence_ends_flapping() -> None:
    """What nobody hears of does not flap, even if it has just ended; once it goes on it is counted anew."""
    rule = Rule(name="flappy", flapping=Flapping(changes=4, within=minutes(10), calm=minutes(15)))
    story = Story(rule, policies=TWO)
    story.at("0:00").fires("Down")
    story.at("0:00:10").page_to("ana")
    story.at("0:00:20").resolves("Down").at("0:00:30").fires("Down")
    story.at("0:00:40").resolves("Down").is_("triggered", flapping=1, firing=1).page_to("ana", "flapping")
    story.at("0:01").silenced("9:00", alertname="Down").is_("triggered", flapping=0, firing=0, ended=2)
    story.line("Down flaps no more: it has ended")


def test_a_flapping_alert_that_fires_again_under_a_pause_is_muted() -> None:
    """It held its incident open, so it holds it, suppressed."""
    rule = Rule(name="flappy", flapping=Flapping(changes=4, within=minutes(10), calm=minutes(15)))
    story = Story(rule, policies=TWO)
    story.at("0:00").fires("Down")
    story.at("0:00:10").page_to("ana")
    story.at("0:00:20").resolves("Down").at("0:00:30").fires("Down")
    story.at("0:00:40").resolves("Down").page_to("ana", "flapping").at("0:00:50").fires("Down")
    story.is_("triggered", flapping=1, firing=1)
    story.at("0:01").paused("0:10").is_("triggered", flapping=0, firing=0, suppressed=1, held=1)
    story.at("0:10").ticks().is_("triggered", firing=1, suppressed=0, flapping=0)


def test_a_silence_takes_imds_own_alert_and_no_beat() -> None:
    """The alert of a missing heartbeat can be silenced, and goes on by its own rule; alerts that feed it have no
    verdict and open nothing, before a silence or after it."""
    dog = Heartbeat(name="dog", match=named("Watchdog"), every=minutes(5))
    story = Story(policies=ANA, heartbeats=(dog,))
    story.at("0:00").fires("Watchdog").silenced("0:20", alertname="HeartbeatMissing")
    story.silenced("0:02", alertname="Watchdog", number=2).at("0:03").incidents(0)
    assert story.alert("Watchdog").suppressed_by == ()
    story.at("0:10").is_suppressed("HeartbeatMissing", "silence").incidents(0)
    story.at("0:20").ticks().page_to("ana")
    assert story.incident().rule == "heartbeat:dog"


def test_a_flapping_member_that_is_heard_again_after_its_incident_is_counted_once() -> None:
    """It was not heard of any more and flapped on, counting as firing; somebody resolved the incident meanwhile."""
    rule = Rule(name="flappy", flapping=Flapping(changes=3, within=minutes(10), calm=minutes(15)))
    story = Story(rule, policies=ANA)
    story.at("0:00").fires("Down", source="prom")
    story.at("0:00:10").page_to("ana")
    story.at("0:00:20").resolves("Down", source="prom").at("0:00:30").fires("Down", source="prom", starts="0:00:30")
    story.page_to("ana", "flapping").is_("triggered", firing=1, flapping=1, ended=1)
    for minute in range(1, 9):
        story.at(f"0:0{minute}").hears_from("prom")
    story.is_("triggered", firing=1, flapping=1)
    assert not story.alert("Down").firing
    story.resolved_by("ben", force=True).end_to("ana").is_("resolved", firing=1)
    story.at("0:09").fires("Down", source="prom", starts="0:00:30").is_("pending", firing=1, flapping=1, ended=1)
