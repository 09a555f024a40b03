"""What others' bugs taught: one story each, named for where it was seen."""

from __future__ import annotations

from datetime import timedelta

from imd.model.incident import Level
from imd.model.policy import NOBODY, Policy, Receiver, Route
from imd.model.quiet import TimeInterval, Weekly
from imd.model.rule import Raise, Rule
from imd.model.schedule import Rotation, Schedule
from tests.core.making import minutes, person, policy, step
from tests.stories.told import Story

TWO_STEPS = [policy(step("ana"), step("ben"), repeat=2)]


def test_at_least_once_duplicates_make_one_incident_alertmanager_4108() -> None:
    """The same request five times is one incident, one member and one page."""
    story = Story(policies=[policy(step("ana"))])
    for second in range(5):
        story.at(f"0:00:0{second}").fires("Down", starts="0:00")
    story.at("0:00:10").page_to("ana").is_("triggered", firing=1).incidents(1)
    for second in range(5):
        story.at(f"0:02:0{second}").resolves("Down", starts="0:00")
        if second == 0:
            story.update_to("ana")
    story.at("0:02:30").fires("Down", starts="0:00")  # a firing report that comes late reopens nothing
    story.at("0:03").end_to("ana").is_("resolved", firing=0, ended=1)


def test_acknowledge_stops_every_pending_page_oncall_4760() -> None:
    """Ana's page still hangs when Ben acknowledges: it is called off, and no other page follows."""
    story = Story(policies=TWO_STEPS).hangs("ana-phone")
    story.at("0:00").fires("Down", severity="critical").at("0:00:10").page_to("ana")
    story.at("0:00:15").acknowledged_by("ben").at("9:00").quiet().is_("acknowledged", awaited={})


def test_acknowledge_stops_every_way_and_every_policy_oncall_4760() -> None:
    """Three ways to Ana, one of them hanging, and the chat's policy beside it: from the acknowledgement on, nothing."""
    story = Story(
        policies=[policy(step("ana"), step("ben"), repeat=3), policy(step("#chat"), step("cleo"), name="chat")],
        people=[person("ana", "push", "sms 1m", "call 2m"), "ben", "cleo"],
        receivers=[Receiver(name="chat")],
        routes=(Route(policy="chat", goes_on=True), Route(policy="default")),
    ).hangs("push")
    story.at("0:00").fires("Down", severity="warning").at("0:00:10").page_to("chat").page_to("ana", by="push")
    story.at("0:01:10").page_to("ana", by="sms").acknowledged_by("ben").acknowledgement_to("ana")
    story.at("0:03").restart().at("99:00").quiet().is_("acknowledged", awaited={}, reaches=[], timers={})


def test_an_acknowledged_incident_never_escalates_months_later_oncall_3111() -> None:
    """A hundred days, a dozen restarts and a reload: not a word."""
    story = Story(policies=TWO_STEPS)
    story.at("0:00").fires("Down").at("0:00:10").page_to("ana")
    story.at("0:01").acknowledged_by("ana").acknowledgement_to("ana")
    for day in range(1, 101, 4):
        story.at(f"{day * 24}:00").fires("Down").at(f"{day * 24}:01").restart().reload(story.ruleset).quiet()
    story.is_("acknowledged")


def test_escalation_goes_on_after_a_restart_inside_a_step_oncall_1206() -> None:
    """Restarted in every step, each step still follows the one before in its time."""
    story = Story(policies=TWO_STEPS)
    story.at("0:00").fires("Down").at("0:00:10").page_to("ana")
    story.at("0:03").restart(down="0:00").at("0:05:10").page_to("ben", "escalated")
    story.at("0:08").restart(down="0:00").at("0:10:10").page_to("ana", "repeated")


def test_escalation_goes_on_after_a_restart_inside_a_time_range_oncall_1206() -> None:
    """Restarted while it waits for the office, while the office's schedule has somebody, and once it has nobody: the
    page comes at nine, each step in its time, and in the evening whoever is next."""
    office = TimeInterval(weekly=(Weekly(begins=timedelta(hours=9), ends=timedelta(hours=17)),))
    desk = Rotation(name="desk", people=("ana",), timezone="UTC", within=office)
    story = Story(
        policies=[
            policy(step("@desk", wait=minutes(30)), step("ben"), repeat=1, name="day", remind=None),
            Policy(name=NOBODY, steps=()),
        ],
        schedules={"desk": Schedule(name="desk", rotations=(desk,))},
        times={"office": office},
        routes=(Route(policy="day", during="office"), Route(policy=NOBODY)),
    )
    story.at("3:00").fires("Down").at("3:30").restart().at("8:59").restart(down="0:00").at("9:00").page_to("ana")
    story.at("9:10").restart().at("9:30").page_to("ben", "escalated").at("9:35").page_to("ana", "repeated")
    story.at("10:05").page_to("ben", "repeated").at("10:06").acknowledged_by("ben").acknowledgement_to("ana")
    story.acknowledgement_to("ben").at("16:58").fires("Late", cluster="b").at("16:58:10").page_to("ana", incident=2)
    story.at("17:10").restart().at("17:28:10").page_to("ben", "escalated", incident=2).restart()
    story.at("17:33:10").page_to("ben", "repeated", incident=2)


def test_resolving_while_alerts_fire_is_refused_oncall_5392() -> None:
    """Without force the incident stays, with its escalation."""
    story = Story(policies=TWO_STEPS)
    story.at("0:00").fires("Down").at("0:00:10").page_to("ana")
    story.at("0:01").resolved_by("ana").refused("still firing").at("0:05:10").page_to("ben", "escalated")


def test_a_resolved_incident_takes_no_new_alert_in_keep_2481() -> None:
    """Past reopen_within a new alert of the same key is another incident; the old one's counts stay."""
    story = Story(Rule(name="r", reopen_within=minutes(0)), policies=[policy(step("ana"))])
    story.at("0:00").fires("Down").at("0:00:10").page_to("ana")
    story.at("0:02").resolves("Down").update_to("ana").at("0:03").end_to("ana")
    story.at("0:04").fires("Down").is_("resolved", firing=0, ended=1).incidents(2)
    story.at("0:04:10").page_to("ana", incident=2)


def test_the_incident_lists_every_alert_it_counted_keep_5212() -> None:
    """Breadth counted three services: all three are members."""
    rule = Rule(name="r", group_by=(), raises=(Raise(at_least=3, distinct="service", impact=Level.HIGH),))
    story = Story(rule, policies=[policy(step("ana"))])
    for service in "abc":
        story.at("0:00").fires("Slow", service=service)
    members = story.engine.state.members["i000000000001"]
    assert [one.labels()["service"] for one in members] == ["a", "b", "c"]
    story.is_("pending", impact=Level.HIGH).at("0:00:10").page_to("ana")


def test_an_alert_that_does_not_fire_never_opens_an_incident_keep_3418() -> None:
    """A resolve of something never seen, and one without any times: kept, and no incident."""
    story = Story(policies=[policy(step("ana"))])
    story.at("0:05").resolves("Down", starts="0:04").resolves("Up").incidents(0).at("1:00").quiet()


def test_a_group_does_not_come_back_under_a_new_id_oncall_4998() -> None:
    """Resolved and back within reopen_within, restarted in between: the same incident under the same key."""
    story = Story(policies=[policy(step("ana"))])
    story.at("0:00").fires("Down").at("0:00:10").page_to("ana")
    story.at("0:02").resolves("Down").update_to("ana").at("0:03").end_to("ana").restart()
    story.at("0:04").fires("Down").incidents(1).at("0:04:10").page_to("ana", "reopened")
    assert len({one.dedup_key for one in story.sent}) == 1
    assert len({one.id for one in story.sent}) == len(story.sent)


def test_a_resolve_lost_by_an_upstream_restart_expires_alertmanager_2370() -> None:
    """Alertmanager lost its resolve for good; it speaks of other alerts, and five days later this one is over."""
    story = Story(policies=[policy(step("ana", wait=minutes(60 * 24 * 9)))])
    story.at("0:00").fires("Down").at("0:00:10").page_to("ana")
    story.at("120:01").hears_from("am").at("120:01:05").update_to("ana").is_("triggered", firing=0)
    story.at("120:02:05").end_to("ana").is_("resolved", resolved_because="no longer reported")


def test_a_truncated_webhook_resolves_nothing_it_leaves_out() -> None:
    """Ten alerts fire; the next webhook carries only two of them (max_alerts): all ten still fire."""
    story = Story(Rule(name="r", group_by=()), policies=[policy(step("ana"))])
    pods = [{"alertname": "Down", "pod": f"p{number}"} for number in range(10)]
    story.at("0:00").fire_together(pods).at("0:00:10").page_to("ana")
    story.at("0:05").fire_together(pods[:2]).is_("triggered", firing=10)
    story.resolve_together(pods[:2]).update_to("ana").at("3:00").is_("triggered", firing=8)


def test_a_backlog_after_an_outage_is_the_present_state_pagerduty_2023_01_06() -> None:
    """imd was away for two hours in which the alert came and went: nobody is paged for it at the start."""
    story = Story(policies=[policy(step("ana"))])
    story.at("0:00").fires("Down").at("0:00:05").restart(down="2:00").resolves("Down").is_("cancelled")
    story.at("5:00").quiet()
