"""A restart changes nothing after it, and a late step does what fell due in the order in which it did.

Each was found by random histories (tests/core/test_properties.py) or belongs to one that was.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from imd.model.alert import identify
from imd.model.heartbeat import Heartbeat
from imd.model.incident import Priority
from imd.model.policy import Receiver, Route, Source
from imd.model.quiet import Maintenance, Once, TimeInterval
from imd.model.rule import Absent, Count, Flapping, Relate, Rule, Window, WindowKind
from imd.model.topology import Entity, Topology
from tests.core.making import T0, equals, inhibition, minutes, policy, seconds, step
from tests.stories.told import Story, time_of

TWO = [policy(step("ana", wait=minutes(5)), step("ben"))]
Restore = Callable[[Story], object]
EITHER = pytest.mark.parametrize("restores", [Story.quiet, Story.restores], ids=["goes on", "restored"])


@EITHER
def test_a_pause_that_ends_in_a_late_step_ends_in_its_turn(restores: Restore) -> None:
    """The pause ends at 0:00:15; the loop sleeps until 0:00:30, when another alert comes. Ana's page, which was called
    off, is sent anew and waited for from then on."""
    story = Story(policies=TWO).hangs("ana-phone")
    story.at("0:00").fires("Down", severity="critical").at("0:00:10").page_to("ana")
    story.paused("0:00:15")
    restores(story)
    story.late("0:00:30").fires("Up", cluster="c").page_to("ana", "first").is_("triggered", step=0, round=0)
    story.at("0:00:40").page_to("ana", incident=2).at("0:00:50").page_to("ben", "escalated")
    story.at("0:01:40").page_to("ben", "escalated", incident=2)


@EITHER
def test_the_end_of_a_page_that_was_called_off_comes_after_the_end_of_the_pause(restores: Restore) -> None:
    """Ana's page hangs when imd is paused for five seconds. The loop is late, and the next that it hears is that her
    page was called off: she was paged anew by then and is owed the end, so nothing of that is called off too."""
    story = Story(policies=TWO).hangs("ana-phone").settles_late()
    story.at("0:00").fires("Down").at("0:00:10").page_to("ana").paused("0:00:15")
    restores(story)
    story.late("0:00:20").settles().page_to("ana").resolves("Down").at("0:01:20").end_to("ana")


@EITHER
def test_a_silence_that_came_and_went_in_a_late_step_held(restores: Restore) -> None:
    """It holds from 0:05 to 0:06, and Ben was due at 0:05:10. The loop is late until 0:07: he is not paged then, and
    Ana is paged anew, as if it had been on time."""
    story = Story(policies=TWO)
    story.silenced("0:06", starts="0:05", alertname="Down")
    story.at("0:00").fires("Down").at("0:00:10").page_to("ana")
    restores(story)
    story.late("0:07").ticks().ticks().page_to("ana", "repeated").at("0:12").page_to("ben", "escalated")


@EITHER
def test_a_window_that_came_and_went_in_a_late_step_held(restores: Restore) -> None:
    """The same of planned work."""
    during = TimeInterval(once=(Once(begins_at=time_of("0:05"), ends_at=time_of("0:06")),))
    story = Story(
        policies=TWO, maintenance=(Maintenance(name="work", match=(equals(alertname="Down"),), during=during),)
    )
    story.at("0:00").fires("Down").at("0:00:10").page_to("ana")
    restores(story)
    story.late("0:07").ticks().ticks().page_to("ana", "repeated").at("0:12").page_to("ben", "escalated")


def test_what_began_and_ended_while_imd_was_away_wakes_nobody() -> None:
    """A silence and a window pass during an outage of four minutes: escalation goes on where it stood."""
    during = TimeInterval(once=(Once(begins_at=time_of("0:02"), ends_at=time_of("0:03")),))
    story = Story(
        policies=TWO, maintenance=(Maintenance(name="work", match=(equals(alertname="Down"),), during=during),)
    )
    story.silenced("0:03", starts="0:02", alertname="Down")
    story.at("0:00").fires("Down").at("0:00:10").page_to("ana")
    story.at("0:01").restart("0:04").at("0:05:10").page_to("ben", "escalated")
    assert "suppress" not in story.told()


@pytest.mark.parametrize("goes", [lambda one: one, lambda one: one.restart("0:00:01")], ids=["up", "restarted again"])
def test_the_senders_time_after_an_outage_survives_another_restart(goes: Restore) -> None:
    """The silence ended while imd was away for an hour: what it muted goes on 90 s after the first start, not at the
    second, which comes 10 s later."""
    story = Story(policies=TWO)
    story.silenced("0:30", alertname="Down").at("0:00:01").fires("Down")
    story.at("0:10").restart("1:00")
    story.at("1:10:10")
    goes(story)
    story.at("1:11:29").incidents(0).at("1:11:30").incidents(1).at("1:11:40").page_to("ana")


def test_outages_add_up() -> None:
    """An hour away, and a restart a minute later: the alert that nobody spoke of since gets the hour as before."""
    source = Source(name="am", type="alertmanager", expire_after=minutes(10), silent_after=minutes(600))
    story = Story(policies=TWO, sources=[source])
    story.at("0:00").fires("Down").at("0:00:10").page_to("ana").acknowledged_by("ana").acknowledgement_to("ana")
    story.at("0:05").restart("1:00").at("1:06").restart("0:00:01").hears_from("am")
    story.at("1:19:50").hears_from("am").at("1:20").is_("acknowledged", firing=1)  # 10 min, an hour, 5 min and 5 min
    story.at("1:20:02").hears_from("am").update_to("ana").is_("acknowledged", firing=0)
    story.at("1:21:02").end_to("ana")


@EITHER
def test_who_was_heard_is_known_after_a_restart(restores: Restore) -> None:
    """The source spoke of other things half a minute before: it has not been away, and needs no time to settle."""
    source = Source(name="am", type="alertmanager", expire_after=minutes(10), silent_after=minutes(60))
    story = Story(policies=TWO, sources=[source])
    story.at("0:00").fires("Down").at("0:00:10").page_to("ana").acknowledged_by("ana").acknowledgement_to("ana")
    story.at("0:09:30").hears_from("am").at("0:09:50")
    restores(story)
    story.at("0:10:10").hears_from("am").update_to("ana").is_("acknowledged", firing=0)
    story.at("0:11:10").end_to("ana")


@EITHER
def test_what_a_source_left_out_when_it_came_back_ends_in_order_of_coming(restores: Restore) -> None:
    """It is back when the first alert is overdue and the second falls due: both have the same five seconds."""
    source = Source(name="am", type="alertmanager", expire_after=minutes(10), silent_after=minutes(60))
    story = Story(Rule(name="r", group_by=()), policies=TWO, sources=[source])
    story.at("0:00").fires("A").at("0:00:10").page_to("ana").acknowledged_by("ana").acknowledgement_to("ana")
    story.at("0:00:15").fires("B").at("0:01:10").update_to("ana").at("0:10:02").hears_from("x")
    story.at("0:10:15").hears_from("am").at("0:10:17")
    restores(story)
    story.at("0:10:20").update_to("ana").is_("acknowledged", firing=0)
    assert story.alert("A").changed < story.alert("B").changed


@EITHER
def test_an_ended_alert_is_forgotten_at_the_same_instant(restores: Restore) -> None:
    """It came and went, one of too few. Ten minutes after its last word its changes count no more."""
    rule = Rule(name="r", open_when=Count(at_least=2, within=minutes(9)), flapping=Flapping(within=minutes(60)))
    for back, changes in (("0:12:59", 3), ("0:13:01", 0)):
        story = Story(rule, policies=TWO)
        story.at("0:00").fires("Down").at("0:03").resolves("Down").at("0:05")
        restores(story)
        story.at(back).fires("Down").incidents(0)
        assert len(story.alert("Down").changes) == changes


@EITHER
def test_an_older_episode_is_the_newest_once_the_newer_has_left(restores: Restore) -> None:
    """The second episode's incident is over and forgotten; the first's is open still. A double of the first's report
    that comes late is known for what it is."""
    rule = Rule(name="r", group_by=(), window=Window(kind=WindowKind.FIXED, gap=minutes(1)), reopen_within=minutes(0))
    story = Story(rule, policies=TWO)
    story.at("0:00").fires("A").fires("B").at("0:00:10").page_to("ana").acknowledged_by("ana").acknowledgement_to("ana")
    story.at("0:01").resolves("A", starts="0:00").at("0:01:10").update_to("ana")
    story.at("0:03").fires("A", starts="0:03").at("0:03:10").page_to("ana", incident=2)
    story.acknowledged_by("ana", incident=2).acknowledgement_to("ana", incident=2)
    story.at("0:04").resolves("A", starts="0:03").at("0:04:10").update_to("ana", incident=2)
    story.at("0:05").end_to("ana", incident=2).at("4:00")
    restores(story)
    story.resolves("A", starts="0:00").incidents(2).is_("acknowledged", firing=1, ended=1)


@EITHER
def test_a_missing_beat_is_looked_for_at_the_same_instants(restores: Restore) -> None:
    """It is missed at 0:06; its next look is each 15 s from then on, whenever imd was started."""
    beat = Heartbeat(name="dog", match=(equals(alertname="Watchdog"),), every=minutes(5), grace=minutes(1))
    story = Story(policies=TWO, heartbeats=(beat,))
    story.at("0:00").fires("Watchdog").at("0:06").page_to("ana").at("0:06:07")
    restores(story)
    story.at("0:06:20").fires("Watchdog").is_("triggered").at("0:06:29").is_("triggered")
    story.at("0:06:30").end_to("ana").is_("resolved")


@EITHER
def test_alerts_that_wait_are_looked_at_in_their_turn(restores: Restore) -> None:
    """Two things fall due while the loop is late: the second is not looked at before the first."""
    late = Rule(name="late", match=(equals(alertname="Due"),), open_when=Absent(wait=minutes(5)), hold=seconds(0))
    few = Rule(name="few", match=(equals(alertname="Few"),), open_when=Count(at_least=2, within=minutes(1)))
    story = Story(late, few, policies=TWO)
    story.at("0:00").fires("Other").fires("Few").at("0:00:10").page_to("ana").at("0:01").fires("Due")
    restores(story)
    story.late("0:07").ticks().page_to("ben", "escalated").page_to("ana", incident=2)
    first, second = (line.split()[0] for line in (story.told(1).splitlines()[-1], story.told(2).splitlines()[0]))
    assert first == second == "0:07:00"
    assert [one.number for one in story.sent] == [1, 1, 2]


@EITHER
def test_what_opened_an_incident_is_known(restores: Restore) -> None:
    """Two alerts of one service go on together after a pause, the later one first: it opened the incident. When it
    comes back as a new episode, it returns to what it opened."""
    outages = Rule(name="outages", group_by=(), relate=Relate())
    places = Topology(entities=(Entity(id="service/a", match=(equals(service="a"),)),), from_labels=())
    story = Story(outages, policies=TWO, topology=places)
    names = sorted(("ServiceDown", "ServiceErrors"), key=lambda one: _identity(one), reverse=True)
    story.at("0:00").paused("0:01")
    for name in names:
        story.fires(name, service="a")
    story.at("0:01:10").page_to("ana")
    assert [story.alert(name).joined_because for name in names] == ["related", "opened"]
    story.acknowledged_by("ana").acknowledgement_to("ana").at("0:02").resolves(names[1]).at("0:02:10").update_to("ana")
    restores(story)
    story.at("0:10").fires(names[1], service="a").update_to("ana").incidents(1)
    assert story.alert(names[1]).joined_because == "returned"


@EITHER
def test_members_are_muted_in_order_of_coming(restores: Restore) -> None:
    """The second episode of an alert came after another alert, and is muted after it."""
    story = Story(Rule(name="r", group_by=()), policies=TWO)
    story.at("0:00").fires("A").at("0:00:10").page_to("ana").acknowledged_by("ana").acknowledgement_to("ana")
    story.at("0:00:20").fires("B").resolves("A").at("0:00:30").fires("A").at("0:01:10").update_to("ana")
    restores(story)
    story.paused("1:00")
    assert story.alert("B").changed < story.alert("A").changed


def _identity(name: str) -> bytes:
    return identify({"alertname": name, "service": "a"}).key


@EITHER
def test_a_merged_incident_stays_in_memory_as_long_after_a_restore(restores: Restore) -> None:
    """It was opened 55 minutes before it was merged: what is done to it ten minutes after that is still refused."""
    story = Story(policies=TWO, untold=["page", "update", "resolved"])
    story.at("0:00").fires("Down").at("0:55").fires("Up").does("merge", "ana", incident=1, into=2)
    restores(story)
    story.at("1:04").acknowledged_by("ana", incident=1).refused("incident #1 is merged")
    story.at("1:07").acknowledged_by("ana", incident=1).refused("incident i000000000001 is over")


@EITHER
def test_one_that_somebody_works_on_again_takes_nothing_in_after_a_restore(restores: Restore) -> None:
    """Closed three hours after its end, from the record. What fires then is no part of it, and does not name it."""
    story = Story(policies=TWO, untold=["page", "update", "resolved"])
    story.at("0:00").fires("Down").at("0:01").resolves("Down")
    story.at("3:00").does("close", "ana", outcome="fixed")
    restores(story)
    story.fires("Down").is_("closed", ended=1).incidents(2)
    assert story.incident(2).previous == ""


@EITHER
@pytest.mark.parametrize("was", ["cancelled", "closed"])
def test_what_is_not_done_to_a_forgotten_incident_brings_nothing_back(restores: Restore, was: str) -> None:
    """A cancelled one cannot be closed, and a closed one need not be: neither is in memory, restored or not."""
    story = Story(policies=TWO, untold=["page", "update", "resolved"])
    story.at("0:00").fires("Down").at("0:00:05" if was == "cancelled" else "0:02").resolves("Down")
    if was == "closed":
        story.at("0:30").does("close", "ana", outcome="fixed")
    story.at("3:00").does("close", "ana")
    if was == "cancelled":
        story.refused("incident #1 is cancelled: close is not possible")
    restores(story)
    assert not story.engine.state.incidents
    story.acknowledged_by("ana").refused("incident i000000000001 is over").incidents(1)


@EITHER
def test_the_last_beat_of_an_alert_that_goes_on_is_on_record(restores: Restore) -> None:
    """It repeats at 0:05, and at 0:06 it is well until 0:11. The clock is set 45 seconds ahead, and so is that."""
    dog = Heartbeat(name="dog", match=(equals(alertname="Watchdog"),), every=minutes(5), grace=minutes(1))
    story = Story(policies=TWO, heartbeats=(dog,))
    story.at("0:00").fires("Watchdog").at("0:05").fires("Watchdog").at("0:07")
    restores(story)
    story.clock_jumps("0:00:45").at("0:11:40").quiet().at("0:11:45").page_to("ana")


@EITHER
def test_a_repeat_goes_on_record_when_the_beat_falls_due(restores: Restore) -> None:
    """The first beat is due at 0:06, the second one puts that off to 0:07; the repeat at 0:02 is looked at then."""
    dog = Heartbeat(name="dog", match=(equals(alertname="Watchdog"),), every=minutes(5), grace=minutes(1))
    story = Story(policies=TWO, heartbeats=(dog,))
    story.at("0:00").fires("Watchdog").at("0:01").fires("Watchdog", n="1").at("0:02").fires("Watchdog").at("0:03")
    restores(story)
    beat = story.at("0:06:30").engine.state.beats["dog", ()]
    assert (beat.beat_at, beat.due_at) == (time_of("0:01"), time_of("0:07"))
    story.at("0:07:30")
    assert (beat.beat_at, beat.due_at) == (time_of("0:02"), time_of("0:08"))
    story.at("0:07:59").quiet().at("0:08").page_to("ana")


@EITHER
def test_what_came_by_its_key_into_an_incident_of_related_alerts_is_related_to_nothing(restores: Restore) -> None:
    """A person has merged the incident of that key into the other one, whose cause stays what it was."""
    entities = tuple(Entity(id=f"service/{n}", match=(equals(n=n),)) for n in "01")
    rules = (
        Rule(name="related", match=(equals(alertname="ServiceErrors"),), group_by=("cluster",), relate=Relate()),
        Rule(name="keyed", match=(equals(alertname="Slow"),), group_by=("cluster",)),
    )
    story = Story(*rules, policies=TWO, topology=Topology(entities=entities), untold=["page", "update", "resolved"])
    story.at("0:00").fires("ServiceErrors", n="0", cluster="c").fires("Slow", n="1", cluster="c")
    story.at("0:01").does("merge", "ana", incident=2, into=1).fires("Slow", n="1", cluster="c", pod="2")
    restores(story)
    story.at("0:02").fires("Slow", n="1", cluster="c", pod="3").is_("triggered", firing=4)
    assert "nothing else is ill" in str(story.incident().root_cause)


@EITHER
def test_an_alert_repeated_after_the_clock_was_set_back_expires_by_that_repeat(restores: Restore) -> None:
    """Seen at 2:00, and at 1:01 then: nobody vouches for it from 1:31 on, its source is silent, and at 1:41 it ends."""
    source = Source(name="am", type="alertmanager", expire_after=minutes(30), silent_after=minutes(10))
    story = Story(policies=TWO, sources=[source])
    story.at("2:00").fires("Down", starts="2:00").at("2:00:10").page_to("ana").acknowledged_by(
        "ana"
    ).acknowledgement_to("ana")
    story.clock_falls("1:00").at("1:01").fires("Down", starts="2:00").at("1:01:20")
    restores(story)
    story.at("1:40:59").is_("acknowledged", firing=1).at("1:41").is_("acknowledged", firing=0)


@EITHER
def test_while_senders_have_time_to_speak_a_muted_alert_keeps_its_verdict(restores: Restore) -> None:
    """It is paused and inhibited. The pause ends within the 90 s that senders have after an outage: its verdict is
    looked at again when they are over, and not at a restart before."""
    story = Story(policies=TWO, inhibitions=[inhibition("Down", "Slow", "cluster")])
    story.at("0:00").fires("Down", cluster="c").at("0:00:10").page_to("ana").acknowledged_by("ana")
    story.acknowledgement_to("ana").restart("0:10").paused("0:10:20")
    story.at("0:10:15").fires("Slow", cluster="c").at("0:10:30")
    restores(story)
    both = story.alert("Slow", cluster="c").suppressed_by
    assert [one.partition("/")[0] for one in both] == ["pause", "inhibition"]
    story.at("0:11:39")
    assert story.alert("Slow", cluster="c").suppressed_by == both
    story.at("0:11:40").is_suppressed("Slow", both[1], cluster="c")


@EITHER
@pytest.mark.parametrize(("source", "ends"), [("am", "1:34"), ("prom", "1:08")])
def test_an_alert_repeated_after_the_clock_was_set_forward_expires_by_that_repeat(
    restores: Restore, source: str, ends: str
) -> None:
    """The hour that the clock jumped counts as an outage until it is heard of again, at 1:02: from then on its sender
    vouches for it as ever, and the source is silent for two minutes more."""
    sources = [Source(name=source, type="alertmanager", expire_after=minutes(30), silent_after=minutes(2))]
    story = Story(policies=TWO, sources=sources)
    story.at("0:00").fires("Down", source=source).at("0:00:10").page_to("ana").acknowledged_by("ana")
    story.acknowledgement_to("ana").at("0:01").clock_jumps("1:00").at("1:02").fires("Down", source=source)
    story.at("1:02:20")
    restores(story)
    before = time_of(ends) - seconds(1) - T0
    story.at(str(before)).is_("acknowledged", firing=1).at(ends).is_("acknowledged", firing=0)


@EITHER
@pytest.mark.parametrize("raised", ["0:10", "0:16"])
def test_a_page_of_a_policy_that_was_left_is_not_sent_again(restores: Restore, raised: str) -> None:
    """The hook takes nothing. The priority goes up, which is another policy's, and its page is called off; what became
    of it is heard late, when it is too old. It was not to be sent any more, and does not wait for the hook."""
    policies = [policy(step("#hook"), name="slow"), *TWO]
    routes = (Route(policy="default", priority=frozenset({Priority.P1, Priority.P2})), Route(policy="slow"))
    story = Story(policies=policies, routes=routes, receivers=[Receiver(name="hook")], untold=("update",))
    story.hangs("hook").settles_late()
    story.at("0:00").fires("Down", severity="warning").at("0:00:10").page_to("hook").at(raised)
    story.fires("Down", severity="critical").page_to("ana", "raised")
    if raised == "0:10":
        story.at("0:15").page_to("ben", "escalated")
    story.at("0:17:30")
    restores(story)
    story.at("0:18").settles().line("not notified: hook by hook, because the page was called off before it was sent")
    assert not story.incident().awaited
    story.answers("hook").at("0:20")
