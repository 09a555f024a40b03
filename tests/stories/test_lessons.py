"""What others' bugs taught, and which test holds each lesson. A story here is named for where it was seen.

- at-least-once duplicates make one incident (Alertmanager #4108)
    test_at_least_once_duplicates_make_one_incident_alertmanager_4108
- acknowledge stops every pending page (Grafana OnCall #4760)
    test_acknowledge_stops_every_pending_page_oncall_4760
    test_acknowledge_stops_every_way_and_every_policy_oncall_4760
- an acknowledged incident never escalates months later (OnCall #3111)
    test_an_acknowledged_incident_never_escalates_months_later_oncall_3111
- escalation goes on after a restart inside a time-range step (OnCall #1206)
    test_escalation_goes_on_after_a_restart_inside_a_step_oncall_1206
    test_escalation_goes_on_after_a_restart_inside_a_time_range_oncall_1206
- resolving while alerts fire is refused, or re-opens (OnCall #5392)
    test_resolving_while_alerts_fire_is_refused_oncall_5392
    test_resolved_by_force_it_reopens_while_alerts_fire_oncall_5392
- a resolved incident takes no new alert in (Keep #2481)
    test_a_resolved_incident_takes_no_new_alert_in_keep_2481
- a threshold counts firing alerts only (Keep #5115)
    test_a_threshold_counts_firing_alerts_only_keep_5115
- the incident lists every alert it counted (Keep #5212)
    test_the_incident_lists_every_alert_it_counted_keep_5212
    tests/stories/test_open_when.py::test_the_third_alert_within_five_minutes_opens_and_lists_all_three
- an alert that does not fire never opens an incident (Keep #3418)
    test_an_alert_that_does_not_fire_never_opens_an_incident_keep_3418
- a group does not come back under a new id (OnCall #4998)
    test_a_group_does_not_come_back_under_a_new_id_oncall_4998
- a resolve lost by an upstream restart is reconciled or expires (Alertmanager #2370)
    test_a_resolve_lost_by_an_upstream_restart_expires_alertmanager_2370
- a forgotten silence cannot hide alerts for months unseen (Alertmanager #3457)
    test_a_forgotten_silence_hides_nothing_unseen_alertmanager_3457
    tests/daemon/test_gauges.py::test_a_forgotten_silence_shows_its_age
- a truncated webhook never resolves the alerts it leaves out (Alertmanager `max_alerts`)
    test_a_truncated_webhook_resolves_nothing_it_leaves_out
- 429 from a channel honours Retry-After and holds up no other channel
    tests/daemon/test_outbox.py::test_retry_after_holds_the_receiver
    tests/channels/test_suite.py::test_retry_after_is_honoured
    tests/system/test_storm.py::test_a_429_holds_up_no_other_channel
- Teams "accepted" is not "delivered" (uptime-kuma #4922)
    test_accepted_by_teams_is_not_answered_uptime_kuma_4922
    tests/channels/test_chats.py::test_a_card_is_never_so_large_that_teams_drops_it
- routes and inhibitions can be tested in batch, with the clock set (Alertmanager #5167, #4822, #3889)
    tests/replay/test_ruletest.py::test_what_happens
- a backlog after an outage pages the present state, not its history (PagerDuty 2023-01-06)
    test_a_backlog_after_an_outage_is_the_present_state_pagerduty_2023_01_06
    tests/stories/test_storms.py::test_two_hours_without_any_receiver
    tests/daemon/test_outage.py::test_two_hours_without_any_receiver
- a silenced alert's end reaches whoever was paged (Alertmanager #226, #2805)
    test_a_silenced_alerts_end_reaches_whoever_was_paged_alertmanager_226
- an inhibition holds over a restart, whatever comes first (Alertmanager #4064, #2229, #2612)
    test_an_inhibition_holds_over_a_restart_alertmanager_4064
- a silence is on disk before it is answered (Alertmanager #2683, #1673)
    test_a_silence_holds_over_a_crash_alertmanager_2683
- a reload loses no resolve and pages nobody anew (Alertmanager #2417, #2146, #3407)
    test_a_reload_loses_no_resolve_alertmanager_2417
- an acknowledgement does not hide the next event (Alertmanager #1860, #3825)
    test_an_acknowledgement_does_not_hide_the_next_event_alertmanager_1860
- gone and back between two looks is not passed over (Alertmanager #2398)
    test_gone_and_back_is_on_record_alertmanager_2398
- a window ends, however steadily alerts come (peers)
    test_a_window_ends_however_steadily_alerts_come
    tests/stories/test_windows.py::test_max_life_ends_the_window_of_an_open_incident
- one key is one incident, however its alerts come (peers)
    test_one_key_is_one_incident_however_its_alerts_come
- an alert is in one incident (peers)
    tests/core/test_properties.py::an_episode_is_in_one_incident
"""

from __future__ import annotations

import re
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from imd.model.incident import Level
from imd.model.policy import NOBODY, Policy, Receiver, Route
from imd.model.quiet import TimeInterval, Weekly
from imd.model.rule import Count, Mode, Raise, Rule, Window, WindowKind
from imd.model.schedule import Rotation, Schedule
from tests.core.making import inhibition, minutes, person, policy, step
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


def test_resolved_by_force_it_reopens_while_alerts_fire_oncall_5392() -> None:
    """Somebody resolves it by force, the alert is still reported half an hour later: it comes back, and pages."""
    story = Story(policies=TWO_STEPS)
    story.at("0:00").fires("Down").at("0:00:10").page_to("ana")
    story.at("0:01").resolved_by("ana", force=True).end_to("ana").is_("resolved", firing=1)
    for minute in range(2, 32):
        story.at(f"0:{minute:02d}").fires("Down").is_("resolved")
    story.at("0:32").is_("pending", reopened=1).at("0:32:10").page_to("ana", "reopened").is_("triggered")


def test_a_threshold_counts_firing_alerts_only_keep_5115() -> None:
    """Three hosts within five minutes; the first is well again before the third falls ill, so it takes a fourth."""
    rule = Rule(name="r", group_by=(), open_when=Count(at_least=3, distinct="host", within=minutes(5)))
    story = Story(rule, policies=[policy(step("ana"))])
    story.at("0:00").fires("Down", host="a").at("0:01").fires("Down", host="b").resolves("Down", host="a")
    story.at("0:02").fires("Down", host="c").incidents(0)
    story.at("0:03").fires("Down", host="d").incidents(1).is_("pending", firing=3).at("0:03:10").page_to("ana")


def test_a_forgotten_silence_hides_nothing_unseen_alertmanager_3457() -> None:
    """Ninety days under a silence: the alert is kept with its cause all the time, the incident says until when and by
    whom nobody hears of it, and once the silence ends it is paged."""
    story = Story(policies=[policy(step("ana"), remind=minutes(240))])
    story.at("0:00").fires("Down").at("0:00:10").page_to("ana").acknowledged_by("ana").acknowledgement_to("ana")
    story.at("0:01").silenced("2160:00", alertname="Down", by="ben").fires("Full")
    story.silenced("2160:00", number=2, alertname="Full", by="ben").at("0:02")
    for day in range(1, 90, 4):
        story.at(f"{24 * day}:00").fires("Down").fires("Full").at(f"{24 * day}:01").restart()
        story.is_suppressed("Down", "silence").is_suppressed("Full", "silence")
        assert story.engine.state.suppressed.counts["silence"] == 2
    story.is_("acknowledged", suppressed=1, held=1)
    story.line("by ben until 2026-04-01T00:00:00Z: planned")
    story.at("2160:00").update_to("ana").is_suppressed("Full").line("suppressed no more")
    story.at("2160:00:10").page_to("ana", incident=2)


def test_a_silenced_alerts_end_reaches_whoever_was_paged_alertmanager_226() -> None:
    """Paged, then silenced, then over while the silence holds: the pager is told."""
    story = Story(policies=[policy(step("ana"))])
    story.at("0:00").fires("Down").at("0:00:10").page_to("ana")
    story.at("0:01").silenced("5:00", alertname="Down").at("1:00").resolves("Down").update_to("ana")
    story.at("1:01").end_to("ana").is_("resolved")


@pytest.mark.parametrize(("first", "second"), [("NodeDown", "PodDown"), ("PodDown", "NodeDown")])
def test_an_inhibition_holds_over_a_restart_alertmanager_4064(first: str, second: str) -> None:
    """The node and its pod, in either order; restarted, the pod's repeat comes before the node's and pages nobody."""
    muted = (inhibition("NodeDown", "PodDown", "node"),)
    story = Story(Rule(name="r", group_by=("alertname",)), policies=[policy(step("ana"))], inhibitions=muted)
    story.at("0:00").fires(first, node="n1").fires(second, node="n1").at("0:00:10")
    node = 1 if first == "NodeDown" else 2
    story.page_to("ana", incident=node).acknowledged_by("ana", incident=node).acknowledgement_to("ana", incident=node)
    story.at("0:01").restart().fires("PodDown", node="n1").is_suppressed("PodDown", "inhibition")
    story.at("0:02").fires("NodeDown", node="n1").restart(down="0:02").at("0:04:30")
    story.is_suppressed("PodDown", "inhibition").at("1:00").quiet()


def test_a_silence_holds_over_a_crash_alertmanager_2683() -> None:
    """Killed at the very instant after the answer: the silence is there, and so is its end by hand."""
    story = Story(policies=[policy(step("ana"))])
    story.at("0:00").silenced("2:00", alertname="Down").restores().restart()
    story.fires("Down").incidents(0).is_suppressed("Down", "silence")
    story.at("0:01").unsilenced().restores().restart().is_suppressed("Down").at("0:01:10").page_to("ana")


def test_a_reload_loses_no_resolve_alertmanager_2417() -> None:
    """A reload in hold, one while it fires, one before the end is told: one page, one end."""
    story = Story(policies=[policy(step("ana"))])
    story.at("0:00").fires("Down").at("0:00:05").reload(story.ruleset).at("0:00:10").page_to("ana")
    story.at("0:01").reload(story.ruleset).at("0:02").resolves("Down").update_to("ana")
    story.at("0:02:30").reload(story.ruleset).at("0:03").end_to("ana").is_("resolved").at("4:00").quiet()


def test_an_acknowledgement_does_not_hide_the_next_event_alertmanager_1860() -> None:
    """Acknowledged it is quiet until it is over; what comes after that pages anew, however soon."""
    story = Story(policies=TWO_STEPS)
    story.at("0:00").fires("Down").at("0:00:10").page_to("ana").acknowledged_by("ana").acknowledgement_to("ana")
    story.at("3:00").resolves("Down").update_to("ana").at("3:01").end_to("ana")
    story.at("3:02").fires("Down").at("3:02:10").page_to("ana", "reopened").at("3:07:10").page_to("ben", "escalated")


def test_gone_and_back_is_on_record_alertmanager_2398() -> None:
    """Twenty seconds between the end and the next beginning: one incident, and both are in its history."""
    story = Story(policies=[policy(step("ana"))])
    story.at("0:00").fires("Down").at("0:00:10").page_to("ana").acknowledged_by("ana").acknowledgement_to("ana")
    story.at("0:05").resolves("Down").update_to("ana").at("0:05:20").fires("Down").at("0:06").update_to("ana")
    story.incidents(1).is_("acknowledged", firing=1).line("Down: resolved; 0 still firing")
    story.line("Down joined: same rule, key and open window")


@pytest.mark.parametrize("kind", list(WindowKind))
def test_a_window_ends_however_steadily_alerts_come(kind: WindowKind) -> None:
    """An alert a minute for ever: a fresh incident at the latest after max_life, naming the one before."""
    window = Window(kind=kind, gap=minutes(10), max_life=minutes(60))
    story = Story(Rule(name="r", group_by=(), window=window, mode=Mode.MONITOR), policies=[policy(step("ana"))])
    for minute in range(125):
        story.at(f"{minute // 60}:{minute % 60:02d}").fires("Down", host=str(minute))
    count = {WindowKind.FIXED: 12, WindowKind.SESSION: 3, WindowKind.WHILE_OPEN: 3}[kind]
    story.incidents(count)
    assert [story.incident(number).previous[-1:] for number in (1, 2, 3)] == ["", "1", "2"]


def test_one_key_is_one_incident_however_its_alerts_come() -> None:
    """Two in one request, two from two senders at one instant, one more while the first is in hold."""
    story = Story(Rule(name="r", group_by=("cluster",)), policies=[policy(step("ana"))])
    story.at("0:00").fire_together([{"alertname": name, "cluster": "c"} for name in "AB"])
    story.fires("C", source="prom", cluster="c").fires("D", source="prom-b", cluster="c").at("0:00:05")
    story.fires("E", cluster="c").at("0:00:10").page_to("ana").incidents(1).is_("triggered", firing=5)


def test_accepted_by_teams_is_not_answered_uptime_kuma_4922() -> None:
    """The flow says 202 and may drop the card: acceptance stops nothing, the next step comes in its time."""
    story = Story(policies=[policy(step("#teams"), step("ana"))], receivers=[Receiver(name="teams")])
    story.at("0:00").fires("Down", severity="critical").at("0:00:10").page_to("teams")
    assert story.incident().told["teams"].heard
    story.at("0:05:10").page_to("ana", "escalated").line("nobody acknowledged in time")


def test_every_lesson_has_its_test() -> None:
    """The tests named above are there, and those that are there are named."""
    here = Path(__file__)
    lines = (__doc__ or "").splitlines()
    assert sum(line.startswith("- ") for line in lines) >= 26
    assert not any(line.startswith("- ") and other.startswith("- ") for line, other in pairwise(lines))
    own: set[str] = set()
    for test in (line.strip() for line in lines if line.startswith("    ")):
        path, _, name = test.rpartition("::")
        text = (here.parents[2] / path).read_text() if path else here.read_text()
        assert re.search(rf"^ *(async )?def {name}\(", text, re.MULTILINE), test
        own |= set() if path else {name}
    there = set(re.findall(r"^def (test_\w+)\(", here.read_text(), re.MULTILINE))
    assert there - own == {"test_every_lesson_has_its_test"}
