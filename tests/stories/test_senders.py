"""Senders that double, fall silent or come back; imd away and back; clocks that jump."""

from __future__ import annotations

from imd.core.expiry import NO_LONGER_REPORTED, SOURCE_SILENT
from imd.model.policy import Receiver, Source
from tests.core.making import minutes, policy, step
from tests.stories.told import Story

ANA = [policy(step("ana"), step("ben"))]


def test_two_prometheus_replicas_seconds_apart_are_one_episode() -> None:
    """Both replicas report the alert, starts four seconds apart: one incident, one page, over when both say so."""
    story = Story(policies=[policy(step("ana"))])
    story.at("0:00:05").fires("Down", source="prom", starts="0:00:00")
    story.at("0:00:07").fires("Down", source="prom", starts="0:00:04").is_("pending", firing=1)
    story.at("0:00:15").page_to("ana")
    story.at("0:01").fires("Down", source="prom", starts="0:00:00").fires("Down", source="prom", starts="0:00:04")
    story.at("0:02").resolves("Down", source="prom", starts="0:00:00").is_("triggered", firing=1)
    story.at("0:02:10").resolves("Down", source="prom", starts="0:00:04").update_to("ana").is_("triggered", firing=0)
    story.at("0:03:10").end_to("ana").is_("resolved", ended=1)


def test_an_alert_left_out_expires_and_says_so() -> None:
    """Prometheus goes on speaking and no longer of this alert: it ends at its deadline, `no longer reported`."""
    story = Story(policies=[policy(step("ana", wait=minutes(60)))])
    story.at("0:00").fires("Down", source="prom").at("0:00:10").page_to("ana")
    for minute in range(1, 5):
        story.at(f"0:0{minute}").hears_from("prom")
    story.update_to("ana").is_("triggered", firing=0, resolved_because=NO_LONGER_REPORTED)
    story.at("0:05").end_to("ana").is_("resolved", resolved_because=NO_LONGER_REPORTED)


def test_a_silent_source_says_nothing_of_its_alerts() -> None:
    """Prometheus is down with the rest: the alert is stale and fires for an hour more, then `source silent`."""
    story = Story(policies=[policy(step("ana", wait=minutes(600)))])
    story.at("0:00").fires("Down", source="prom").at("0:00:10").page_to("ana")
    story.at("1:03:59").is_("triggered", firing=1)
    story.at("1:04").update_to("ana").is_("triggered", firing=0)
    story.at("1:05").end_to("ana").is_("resolved", resolved_because=SOURCE_SILENT)


def test_a_sender_that_comes_back_gets_five_seconds_to_speak_of_all() -> None:
    """After half an hour of silence its first body leaves the alert out, the second speaks of it: it never ended."""
    story = Story(policies=[policy(step("ana", wait=minutes(600)))])
    story.at("0:00").fires("Down", source="prom").at("0:00:10").page_to("ana")
    story.at("0:30").hears_from("prom")
    story.at("0:30:03").fires("Down", source="prom").at("0:31").is_("triggered", firing=1)
    story.at("1:00").hears_from("prom").at("1:00:04").is_("triggered", firing=1)
    story.at("1:00:05").update_to("ana").is_("triggered", firing=0)  # this time it was left out


def test_an_expired_alert_that_is_reported_again_revives_in_its_incident() -> None:
    """It had only been forgotten by its sender: same episode, same incident, no new page."""
    story = Story(policies=[policy(step("ana", wait=minutes(600)))])
    story.at("0:00").fires("Down", source="prom").fires("Up", source="prom").at("0:00:10")
    story.page_to("ana").page_to("ana", incident=2)
    story.at("0:04").hears_from("prom").at("0:04:05").update_to("ana").update_to("ana", incident=2)
    story.at("0:04:30").fires("Down", source="prom").is_("triggered", firing=1, ended=0).line("Down fire again")
    story.at("0:05:05").update_to("ana").end_to("ana", incident=2)


def test_webhooks_are_believed_for_five_days() -> None:
    """A webhook's status alone decides; unheard of for expire_after, with its source alive, the alert is over."""
    story = Story(policies=[policy(step("ana", wait=minutes(60 * 24 * 9)))])
    story.at("0:00").fires("Down").at("0:00:10").page_to("ana")
    story.at("119:59").is_("triggered", firing=1).hears_from("am")
    story.at("120:00:30").hears_from("am").at("120:00:35").update_to("ana").is_("triggered", firing=0)


def test_a_restart_in_the_middle_of_a_step_goes_on_by_the_stored_deadline() -> None:
    """imd is away from minute 2 to minute 3: the next step follows at minute five, as planned."""
    story = Story(policies=ANA)
    story.at("0:00").fires("Down").at("0:00:10").page_to("ana")
    story.at("0:02").restart(down="0:01")
    story.at("0:05:09").quiet().at("0:05:10").page_to("ben", "escalated").incidents(1)
    story.acknowledged_by("ben").acknowledgement_to("ana").acknowledgement_to("ben")
    story.restart().at("9:00").is_("acknowledged").quiet()


def test_a_restart_past_a_deadline_fires_one_step_and_times_the_others_from_now() -> None:
    """Two steps would have been due: only the first fires at the start, the second in its own time after that."""
    story = Story(policies=[policy(step("ana", wait=minutes(1)), step("ben", wait=minutes(2)), step("cleo"))])
    story.at("0:00").fires("Down").at("0:00:10").page_to("ana")
    story.at("0:00:30").restart(down="0:04").at("0:04:30").page_to("ben", "escalated")
    story.at("0:06:30").page_to("cleo", "escalated")


def test_after_a_long_outage_the_senders_speak_first() -> None:
    """Away for an hour: ninety seconds in which the resolve arrives, so nobody is paged for what is over."""
    story = Story(policies=ANA)
    story.at("0:00").fires("Down").at("0:00:10").page_to("ana")
    story.at("0:01").restart(down="1:00").line("imd was away for 60 min")
    story.at("1:01:20").quiet().resolves("Down").update_to("ana")
    story.at("1:02:20").end_to("ana")
    story = Story(policies=ANA)
    story.at("0:00").fires("Down").at("0:00:10").page_to("ana")
    story.at("0:01").restart(down="1:00").at("1:02:30").page_to("ben", "escalated")


def test_deadlines_of_alerts_move_by_the_outage_and_five_minutes() -> None:
    """Prometheus could not reach imd for an hour: its alerts do not expire at the start."""
    story = Story(policies=[policy(step("ana", wait=minutes(600)))])
    story.at("0:00").fires("Down", source="prom").at("0:00:10").page_to("ana")
    story.at("0:01").restart(down="1:00").hears_from("prom")
    story.at("1:08:59").hears_from("prom").is_("triggered", firing=1)
    story.at("1:09:30").hears_from("prom").update_to("ana").is_("triggered", firing=0)


def test_a_page_under_way_at_a_restart_is_still_awaited() -> None:
    """The page hangs over the restart; not accepted in time, it is passed on."""
    story = Story(policies=ANA).hangs("ana-phone")
    story.at("0:00").fires("Down", severity="critical").at("0:00:10").page_to("ana")
    story.at("0:00:20").restart(down="0:00:05").at("0:00:30").page_to("ben", "escalated")


def test_a_clock_set_forward_fires_no_crowd() -> None:
    """The clock jumps an hour ahead: timers keep their distance, alerts do not expire."""
    story = Story(policies=ANA)
    story.at("0:00").fires("Down", source="prom").at("0:00:10").page_to("ana")
    story.at("0:02").clock_jumps("1:00").quiet().hears_from("prom")
    story.at("1:05:09").quiet().is_("triggered", firing=1).at("1:05:10").page_to("ben", "escalated")


def test_a_clock_set_back_puts_off_no_page() -> None:
    """The clock falls an hour: the next step is still three minutes away."""
    story = Story(policies=ANA)
    story.at("2:00").fires("Down").at("2:00:10").page_to("ana")
    story.at("2:02").clock_falls("1:00").at("1:05:10").page_to("ben", "escalated")


def test_a_clock_set_back_while_imd_is_down_puts_off_no_page() -> None:
    """Nobody saw it fall: what was decided last is ahead of now, so it fell by that much at least."""
    story = Story(policies=ANA)
    story.at("2:00").fires("Down").at("2:00:10").page_to("ana")
    story.at("2:02").set_back_while_down("1:00").at("1:05:10").page_to("ben", "escalated")
    story.at("1:20").resolves("Down").update_to("ana").update_to("ben")
    story.at("1:21").end_to("ana").end_to("ben")


def test_silent_after_of_the_source_counts() -> None:
    """A source whose silence is normal for a day keeps its alerts that long."""
    source = Source(name="prom", type="alertmanager", silent_after=minutes(24 * 60))
    story = Story(policies=[policy(step("ana", wait=minutes(9000)))], sources=[source], receivers=[Receiver(name="x")])
    story.at("0:00").fires("Down", source="prom").at("0:00:10").page_to("ana")
    story.at("24:03").is_("triggered", firing=1).at("24:04").update_to("ana").is_("triggered", firing=0)
