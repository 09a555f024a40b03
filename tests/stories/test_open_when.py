"""open_when: one alert is nothing, some together are an incident, and silence after one may be one too."""

from __future__ import annotations

from datetime import timedelta

import pytest

from imd.model.policy import Bounds
from imd.model.rule import Absent, AllOf, Count, Match, Matcher, Mode, Op, Rate, Rule, Window
from imd.model.view import alert_view
from tests.core.making import minutes, policy, ruleset, seconds, step
from tests.stories.told import Story

ANA = [policy(step("ana"))]
HOURS = timedelta(hours=1)


def named(name: str) -> Match:
    return ((Matcher("alertname", Op.EQUAL, name),),)


def of_three(**other: object) -> Rule:
    return Rule(name="nodes", group_by=("cluster",), open_when=Count(at_least=3, within=minutes(5)), **other)


def verdict(story: Story, alertname: str, **labels: str) -> str | None:
    wanted = {"alertname": alertname, **labels}.items()
    alert = next(one for one in story.engine.state.alerts.values() if one.labels().items() >= wanted)
    return alert_view(alert, None).verdict


def test_the_third_alert_within_five_minutes_opens_and_lists_all_three() -> None:
    """Two wait and say what for; the third opens the incident, and hold begins there. (Keep #5212)"""
    story = Story(of_three(), policies=ANA)
    story.at("0:00").fires("Down", n="1").at("0:02").fires("Down", n="2").incidents(0)
    assert verdict(story, "Down", n="1") == "waits for 3 alerts within 5m"
    story.at("0:04").fires("Down", n="3").is_("pending", firing=3).line("open_when 3 alerts within 5m")
    story.at("0:04:10").page_to("ana").is_("triggered")
    members = story.engine.state.members["i000000000001"]
    assert {alert.labels()["n"] for alert in members} == {"1", "2", "3"}
    because = {alert_view(alert, story.incident()).joined_because for alert in members}
    said = 'counted towards 3 alerts within 5m, which opened this incident under rule nodes and key {alertname="Down"}'
    assert because == {said}
    story.fires("Down", n="4").is_("triggered", firing=4).at("0:05:10").update_to("ana")


def test_two_within_the_window_and_one_behind_it_are_nothing() -> None:
    """The first has left the window when the third comes; what waited in vain says so, pages nobody and is kept."""
    story = Story(of_three(), policies=ANA)
    story.at("0:00").fires("Down", n="1").at("0:03").fires("Down", n="2")
    story.at("0:05:01").fires("Down", n="3").incidents(0)
    story.at("0:07:01")
    assert verdict(story, "Down", n="1") == "waited in vain for 3 alerts within 5m"
    story.at("1:00").incidents(0)
    assert not story.engine.state.waiting
    assert story.engine.state.firing == 3


def test_a_threshold_counts_what_fires_alone() -> None:
    """One of three has ended before the third begins: two fire, and two are not three. (Keep #5115)"""
    story = Story(of_three(), policies=ANA)
    story.at("0:00").fires("Down", n="1").fires("Down", n="2")
    story.at("0:01").resolves("Down", n="2").fires("Down", n="3").incidents(0)
    assert verdict(story, "Down", n="2") == "ended before it was one of 3 alerts within 5m"
    story.at("0:02").fires("Down", n="2").is_("pending", firing=3)
    story.at("0:02:10").page_to("ana")


def test_repeats_are_not_counted() -> None:
    """The same alert said a hundred times is one alert."""
    story = Story(of_three(), policies=ANA)
    for second in range(50):
        story.at(f"0:00:{second:02}").fires("Down", n="1")
    story.at("0:30").incidents(0)


def test_distinct_counts_values() -> None:
    """Ten alerts of two hosts are two; a third host opens."""
    rule = Rule(name="hosts", group_by=(), open_when=Count(at_least=3, distinct="host", within=minutes(5)))
    story = Story(rule, policies=ANA)
    for number in range(10):
        story.at(f"0:00:{number:02}").fires("Down", n=str(number), host=f"h{number % 2}")
    story.at("0:01").fires("Down", n="x").incidents(0)
    story.at("0:02").fires("Down", n="y", host="h2").is_("pending", firing=12).line("3 of host within 5m")
    story.at("0:02:10").page_to("ana")


def test_an_alert_that_does_not_fire_never_opens() -> None:
    """Resolves of alerts that were never seen firing count for nothing. (Keep #3418)"""
    story = Story(of_three(), policies=ANA)
    for number in range(5):
        story.at("0:00").resolves("Down", n=str(number))
    story.at("1:00").incidents(0)


def test_groups_count_for_themselves() -> None:
    """Two alerts in each of two clusters are not three."""
    story = Story(of_three(), policies=ANA)
    for cluster in ("a", "b"):
        story.at("0:00").fires("Down", n="1", cluster=cluster).fires("Down", n="2", cluster=cluster)
    story.at("0:01").incidents(0).fires("Down", n="3", cluster="b").is_("pending", firing=3)
    story.at("0:01:10").page_to("ana")


def test_what_came_late_counts_by_its_beginning() -> None:
    """The alert that completes the window arrives after a younger one: two minutes of lateness are allowed."""
    story = Story(of_three(), policies=ANA)
    story.at("0:00").fires("Down", n="1").at("0:04:30").fires("Down", n="2")
    story.at("0:06:30").fires("Down", n="3", starts="0:04:45").is_("pending", firing=3)
    story.at("0:06:40").page_to("ana")


def test_a_restart_between_the_second_and_the_third_changes_nothing() -> None:
    """What waits is on disk, and goes on waiting."""
    story = Story(of_three(), policies=ANA)
    story.at("0:00").fires("Down", n="1").fires("Down", n="2").restart()
    story.at("0:02")
    assert verdict(story, "Down", n="1") == "waits for 3 alerts within 5m"
    story.fires("Down", n="3").is_("pending", firing=3)
    story.at("0:02:10").page_to("ana")


def test_a_threshold_that_a_reload_lowers_is_met_at_once() -> None:
    """Two wait for three; the rule now asks for two, and both are an incident."""
    story = Story(of_three(), policies=ANA)
    story.at("0:00").fires("Down", n="1").fires("Down", n="2")
    two = Rule(name="nodes", group_by=("cluster",), open_when=Count(at_least=2, within=minutes(5)))
    story.at("0:01").reload(ruleset(two, policies=ANA)).at("0:01:01").is_("pending", firing=2)
    story.at("0:01:10").page_to("ana")


def test_what_waits_goes_on_where_its_rule_waits_no_more() -> None:
    """The reload takes open_when away: each alert is an incident's as if it had just come."""
    story = Story(of_three(), policies=ANA)
    story.at("0:00").fires("Down", n="1").fires("Down", n="2")
    story.at("0:01").reload(ruleset(Rule(name="nodes", group_by=("cluster",)), policies=ANA))
    story.at("0:01:01").is_("pending", firing=2).at("0:01:10").page_to("ana")


def test_after_the_end_it_counts_anew_and_reopens() -> None:
    """Within reopen_within a single alert does not bring the incident back; three do."""
    story = Story(of_three(), policies=ANA)
    for number in "123":
        story.at("0:00").fires("Down", n=number)
    story.at("0:00:10").page_to("ana")
    for number in "123":
        story.at("0:05").resolves("Down", n=number)
    story.update_to("ana").at("0:06").end_to("ana")
    story.at("0:10").fires("Down", n="4").fires("Down", n="5").is_("resolved")
    story.at("0:11").fires("Down", n="6").is_("pending", reopened=1, firing=3).incidents(1)
    story.at("0:11:10").page_to("ana", "reopened")


def test_no_more_than_max_alerts_wait() -> None:
    """The oldest goes; it is still an alert that fires."""
    story = Story(
        Rule(
            name="few",
            group_by=(),
            window=Window(max_alerts=5),
            open_when=Count(at_least=3, distinct="host", within=HOURS),
        ),
        policies=ANA,
    )
    for number in range(20):
        story.at(f"0:00:{number:02}").fires("Down", n=str(number), host="h1")
    (waiting,) = story.engine.state.waiting.values()
    assert len(waiting.entries) == 5
    assert verdict(story, "Down", n="3") == "waited in vain for 3 of host within 1h"


@pytest.mark.parametrize("order", [("A", "B"), ("B", "A")])
def test_all_of_takes_its_parts_in_any_order(order: tuple[str, str]) -> None:
    """Both within ten minutes, whichever is first; the first may have ended by then and is a member all the same."""
    rule = Rule(name="both", group_by=(), open_when=AllOf(parts=(named("A"), named("B")), within=minutes(10)))
    story = Story(rule, policies=ANA)
    first, second = order
    story.at("0:00").fires(first).at("0:02").resolves(first).at("0:09").incidents(0)
    story.fires(second).is_("pending", firing=1, ended=1)
    story.at("0:09:10").page_to("ana")


def test_a_part_that_ended_long_ago_is_kept_as_long_as_it_counts() -> None:
    """An hour's window: an alert that ended fifty minutes ago is on the incident's list."""
    rule = Rule(name="both", group_by=(), open_when=AllOf(parts=(named("A"), named("B")), within=HOURS))
    story = Story(rule, policies=ANA)
    story.at("0:00").fires("A").at("0:02").resolves("A").at("0:30").restart()
    story.at("0:52").fires("B").is_("pending", firing=1, ended=1)
    story.at("0:52:10").page_to("ana")
    story = Story(rule, policies=ANA)
    story.at("0:00").fires("A").at("0:02").resolves("A").at("1:10").fires("B").incidents(0).at("3:00").incidents(0)
    assert len(story.engine.state.alerts) == 1


def test_a_sequence_wants_its_order() -> None:
    """B before A is no sequence; A, then B is one."""
    rule = Rule(
        name="sequence",
        group_by=(),
        open_when=AllOf(parts=(named("A"), named("B")), within=minutes(10), in_order=True),
    )
    story = Story(rule, policies=ANA)
    story.at("0:00").fires("B", n="1").at("0:01").fires("A").incidents(0)
    story.at("0:02").fires("B", n="2").is_("pending", firing=3).line("all 2 parts in order within 10m")
    story.at("0:02:10").page_to("ana")


def test_a_sequence_is_found_whatever_the_order_of_coming() -> None:
    """A began before B and is told of after it."""
    rule = Rule(
        name="sequence",
        group_by=(),
        open_when=AllOf(parts=(named("A"), named("B")), within=minutes(10), in_order=True),
    )
    story = Story(rule, policies=ANA)
    story.at("0:01").fires("B").at("0:02").fires("A", starts="0:00:30").is_("pending", firing=2)
    story.at("0:02:10").page_to("ana")


def test_an_alert_of_no_part_waits_for_nothing() -> None:
    """It matched the rule and stands for none of its parts, and says so."""
    rule = Rule(name="both", group_by=(), open_when=AllOf(parts=(named("A"), named("B")), within=minutes(10)))
    story = Story(rule, policies=ANA)
    story.at("0:00").fires("C").at("1:00").incidents(0)
    assert "stands for none of all 2 parts" in (verdict(story, "C") or "")


def absent_rule() -> Rule:
    awaited = Absent(match=named("BackupDone"), wait=timedelta(hours=26))
    return Rule(name="backup", group_by=("db",), open_when=awaited)


def test_a_follow_up_that_never_comes_is_an_incident() -> None:
    """The backup began and nobody heard of its end for 26 hours."""
    story = Story(absent_rule(), policies=ANA)
    story.at("0:00").fires("BackupStarted", db="a").at("26:00").is_("pending", firing=1)
    story.at("26:00:10").page_to("ana").line('alertname="BackupDone", or its end, within 26h')
    (member,) = story.engine.state.members["i000000000001"]
    assert alert_view(member, story.incident()).joined_because.startswith("waited in vain for alertname=")


def test_a_follow_up_in_time_ends_the_waiting() -> None:
    """It opens nothing itself, and says what it was."""
    story = Story(absent_rule(), policies=ANA)
    story.at("0:00").fires("BackupStarted", db="a").fires("BackupStarted", db="b")
    story.at("20:00").fires("BackupDone", db="a").at("25:59").incidents(0)
    assert verdict(story, "BackupStarted", db="a") == "what it waited for came: BackupDone"
    assert verdict(story, "BackupDone") == "is what rule backup waits for"
    story.at("26:00").incidents(1).is_("pending", group_key=(("db", "b"),)).at("26:00:10").page_to("ana")


def test_a_follow_up_may_overtake_what_it_answers() -> None:
    """It began later and is told of first: within lateness that is an answer, also over a restart."""
    story = Story(absent_rule(), policies=ANA)
    story.at("0:01").fires("BackupDone", db="a").restart()
    story.at("0:01:30").fires("BackupStarted", db="a", starts="0:00:30").at("27:00").incidents(0)
    assert verdict(story, "BackupStarted") == "what it would have waited for had come already"


def test_an_end_in_time_is_an_answer_too() -> None:
    """Without `match` the alert's own end is awaited: it is an incident if it fires for two hours."""
    rule = Rule(name="slow", group_by=(), open_when=Absent(wait=2 * HOURS))
    story = Story(rule, policies=ANA)
    story.at("0:00").fires("Job", n="1").fires("Job", n="2").at("1:00").resolves("Job", n="1")
    assert verdict(story, "Job", n="1") == "ended before it was one of its end within 2h"
    story.at("2:00").is_("pending", firing=1).at("2:00:10").page_to("ana")


def test_after_an_outage_the_follow_up_has_its_time_to_be_told() -> None:
    """imd was away when the deadline passed: senders speak first."""
    rule = Rule(name="slow", group_by=(), open_when=Absent(match=named("Done"), wait=HOURS))
    story = Story(rule, policies=ANA)
    story.at("0:00").fires("Started").at("0:55").restart(down="0:20:00")
    story.at("1:15:30").fires("Done").at("3:00").incidents(0)


def test_a_set_clock_fires_no_deadline() -> None:
    """The wall clock jumps an hour ahead: the hour that is left is still left."""
    rule = Rule(name="slow", group_by=(), open_when=Absent(wait=2 * HOURS))
    story = Story(rule, policies=ANA)
    story.at("0:00").fires("Job", source="hook").at("1:00").clock_jumps("1:30:00").at("3:29").incidents(0)
    story.at("3:30").incidents(1).at("3:30:10").page_to("ana")


def test_a_rate_opens_and_holds_on_until_it_is_low() -> None:
    """Ten a minute open; all have ended, but while three a minute are new the incident stays."""
    rule = Rule(name="logins", group_by=(), open_when=Rate(at_least=10, per=minutes(1), until_below=3))
    story = Story(rule, policies=ANA)
    for number in range(10):
        story.at(f"0:00:{number * 4:02}").fires("Login", n=str(number))
        story.resolves("Login", n=str(number)) if number < 9 else None
    story.is_("pending", firing=1, ended=9)
    story.at("0:00:46").page_to("ana").resolves("Login", n="9").at("0:01:46").update_to("ana")
    # The third newest began at 0:00:28, so from 0:01:28 on fewer than three are new; a minute after that it is over.
    story.at("0:02:28").end_to("ana").is_("resolved")


def test_a_rate_counts_episodes_of_one_alert() -> None:
    """The same alert that comes and goes ten times a minute is ten; every one is a member."""
    rule = Rule(name="logins", group_by=(), hold=seconds(0), open_when=Rate(at_least=3, per=minutes(1), until_below=1))
    story = Story(rule, policies=ANA)
    for number in range(2):
        story.at(f"0:00:{number * 10:02}").fires("Login").at(f"0:00:{number * 10 + 5:02}").resolves("Login")
    story.at("0:00:30").restart().fires("Login").page_to("ana").is_("triggered", firing=1, ended=2)


def test_monitor_counts_and_pages_nobody() -> None:
    """Mode monitor decides and records."""
    story = Story(of_three(mode=Mode.MONITOR), policies=ANA)
    for number in "123":
        story.at("0:00").fires("Down", n=number)
    story.at("1:00").is_("triggered", silent=True)


def test_lateness_is_a_setting() -> None:
    """Without lateness an alert counts from when it came."""
    story = Story(of_three(), policies=ANA, bounds=Bounds(lateness=timedelta(0)))
    story.at("0:00").fires("Down", n="1").at("0:04").fires("Down", n="2")
    story.at("0:06").fires("Down", n="3", starts="0:04:30").incidents(0)
