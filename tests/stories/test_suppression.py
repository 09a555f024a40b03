"""Alerts that are kept quiet, and go on (design section 5, Suppressed), told as timelines."""

from __future__ import annotations

import msgspec
import pytest

from imd.core.quiet import JUDGED_MAX
from imd.model.incident import Level
from imd.model.quiet import Maintenance, TimeInterval, Weekly
from imd.model.rule import Mode, Raise, Resolve, ResolveWhen, Rule, Window, WindowKind
from imd.model.view import alert_view
from tests.core.making import T0, equals, inhibition, minutes, policy, seconds, step
from tests.stories.told import Story, time_of

ANA = [policy(step("ana"))]
TWO = [policy(step("ana"), step("ben"))]
CLUSTER = Rule(name="cluster", group_by=("cluster",))


def test_a_silenced_alert_is_kept_and_opens_nothing() -> None:
    """It arrives silenced: no incident, no page, and a verdict with its cause; its end is nobody's news."""
    story = Story(policies=ANA)
    story.at("0:00").silenced("2:00", alertname="Down")
    story.at("0:01").fires("Down").incidents(0).is_suppressed("Down", "silence")
    story.at("1:00").fires("Down").resolves("Down").at("3:00").incidents(0).quiet()


def test_it_joins_an_open_incident_as_a_suppressed_member() -> None:
    """The incident lists it, and it raises nothing: no breadth, no urgency, no update, no common label lost."""
    rule = msgspec.structs.replace(
        CLUSTER,
        raises=(
            Raise(at_least=2, impact=Level.HIGH),
            Raise(at_least=2, distinct="service", impact=Level.HIGH),
        ),
    )
    story = Story(rule, policies=ANA)
    story.at("0:00").silenced("2:00", alertname="Quiet")
    story.fires("Slow", cluster="c", service="a", severity="warning")
    story.at("0:00:10").page_to("ana", priority="P3")
    story.at("0:01").fires("Quiet", cluster="c", service="b", severity="critical")
    story.is_("triggered", firing=1, suppressed=1, held=0, aside=1, ended=0)
    assert story.incident().labels["service"] == "a"
    story.line("Quiet came suppressed by silence/00000000-0000-4000-8000-000000000001 by ana until 2026-01-01T02:00")
    story.at("0:04").incidents(1)


def test_one_that_joined_suppressed_holds_no_incident_open() -> None:
    """The incident resolves while the suppressed member fires on; whoever was paged hears the end."""
    story = Story(CLUSTER, policies=ANA)
    story.at("0:00").silenced("2:00", alertname="Quiet").fires("Slow", cluster="c")
    story.at("0:00:10").page_to("ana")
    story.at("0:01").fires("Quiet", cluster="c")
    story.at("0:02").resolves("Slow", cluster="c").update_to("ana")
    story.at("0:03").end_to("ana").is_("resolved", suppressed=1, ended=1)
    story.at("0:30").resolves("Quiet", cluster="c").is_("resolved", suppressed=0, ended=2).quiet()
    story.line("Quiet: resolved, suppressed to the end")


def test_one_suppressed_after_joining_does() -> None:
    """All that fires is silenced: escalation stops, the cause is on record, the incident stays; the end is told."""
    story = Story(policies=TWO)
    story.at("0:00").fires("Down")
    story.at("0:00:10").page_to("ana")
    story.at("0:02").silenced("9:00", alertname="Down").is_("triggered", firing=0, suppressed=1, held=1)
    story.line("not notified any more: anybody, because the one firing alert is suppressed by silence/")
    story.at("0:20").is_("triggered").quiet()
    story.at("1:00").resolves("Down").update_to("ana").is_("triggered")
    story.at("1:01").end_to("ana").is_("resolved", resolved_because="alerts resolved", ended=1)


def test_escalation_goes_on_while_another_member_fires() -> None:
    """One of two is silenced; somebody still has to look."""
    story = Story(CLUSTER, policies=TWO)
    story.at("0:00").fires("A", cluster="c").fires("B", cluster="c")
    story.at("0:00:10").page_to("ana")
    story.at("0:01").silenced("1:00", alertname="A").at("0:01:10").update_to("ana").is_("triggered", hushed="")
    story.at("0:05:10").page_to("ben", "escalated")
    story.at("0:06").silenced("1:00", number=2, alertname="B").quiet()
    assert story.incident().hushed
    story.at("0:50").quiet()


def test_on_release_escalation_begins_at_step_one() -> None:
    """The silence ends while the alert fires: Ana is paged again, then Ben."""
    story = Story(policies=TWO)
    story.at("0:00").fires("Down")
    story.at("0:00:10").page_to("ana")
    story.at("0:05:10").page_to("ben", "escalated")
    story.at("0:06").silenced("1:00", alertname="Down")
    story.at("1:00").page_to("ana", "repeated").is_("triggered", firing=1, suppressed=0, held=0, hushed="")
    story.line("the policy begins at step 1").line("Down: suppressed no more")
    story.update_to("ben").at("1:05").page_to("ben", "escalated")


def test_an_acknowledged_incident_stays_acknowledged() -> None:
    """Silenced and released: Ana has it, so nobody is paged."""
    story = Story(policies=TWO)
    story.at("0:00").fires("Down")
    story.at("0:00:10").page_to("ana")
    story.at("0:01").acknowledged_by("ana").acknowledgement_to("ana")
    story.at("0:02").silenced("1:00", alertname="Down").at("1:00").update_to("ana").is_("acknowledged", hushed="")
    story.at("2:00").is_("acknowledged").quiet()


def test_an_acknowledgement_that_lapses_meanwhile_pages_nobody_until_the_release() -> None:
    """Nobody hears of a hushed incident, and step 1 follows on release."""
    story = Story(policies=[policy(step("ana"), ack_timeout=minutes(30))])
    story.at("0:00").fires("Down")
    story.at("0:00:10").page_to("ana")
    story.at("0:01").acknowledged_by("ana").acknowledgement_to("ana").silenced("2:00", alertname="Down")
    story.at("0:31").is_("triggered").line("not notified: anybody, because all its firing alerts are suppressed")
    story.at("1:00").acknowledged_by("ben").acknowledgement_to("ana").unacknowledged_by("ben").quiet()
    story.at("2:00").page_to("ana", "repeated")


def test_a_page_that_has_not_left_is_called_off_and_a_late_failure_passes_nothing_on() -> None:
    """The chat hangs with its page when the silence comes; that it then refuses pages nobody else."""
    story = Story(policies=TWO).hangs("ana-phone")
    story.at("0:00").fires("Down")
    story.at("0:00:10").page_to("ana")
    story.at("0:00:15").silenced("1:00", alertname="Down")
    story.at("0:40").quiet()


def test_a_released_alert_without_an_incident_goes_on_as_if_it_had_just_arrived() -> None:
    """It opens an incident, waits its hold, and pages."""
    story = Story(policies=ANA)
    story.at("0:00").silenced("1:00", alertname="Down").fires("Down").incidents(0)
    story.at("1:00").is_suppressed("Down").is_("pending", firing=1)
    story.at("1:00:10").page_to("ana").is_("triggered", aside=0)


def test_released_together_they_are_one_incident() -> None:
    """Two hundred alerts of one key, released in one step: one page."""
    story = Story(CLUSTER, policies=ANA)
    story.at("0:00").silenced("1:00", cluster="c")
    story.fire_together([{"alertname": "Down", "cluster": "c", "instance": f"i{n}"} for n in range(200)])
    story.at("1:00").incidents(1).is_("pending", firing=200)
    story.at("1:00:10").page_to("ana")
    ids = [alert.id for alert in story.engine.state.members["i000000000001"]]
    assert ids == sorted(ids)


def test_at_most_five_hundred_a_step() -> None:
    """The end of a broad silence does not hold the loop; none is lost on the way, also not by a restart in between."""
    story = Story(policies=[policy(step("ana"), remind=None)])
    story.at("0:00").silenced("1:00", job="x")
    story.fire_together([{"alertname": "Down", "job": "x", "cluster": f"c{n}"} for n in range(1200)])
    story.now = time_of("1:00")
    while not (opened := story.engine.state.last_number):
        story.ticks()
    assert opened == JUDGED_MAX
    waiting = [alert.identity.key for alert in story.engine.state.alerts.values() if not alert.incident]
    assert max(one.identity.key for one in story.engine.state.alerts.values() if one.incident) < min(waiting)
    story.restart("0:00:00").at("1:00").incidents(1200)


def test_a_member_that_joined_suppressed_goes_on_in_its_incident() -> None:
    """Its incident is open still: it counts from now on, with its urgency, and its receivers get an update."""
    story = Story(CLUSTER, policies=ANA)
    story.at("0:00").silenced("0:30", alertname="Dead").fires("Slow", cluster="c", severity="warning")
    story.at("0:00:10").page_to("ana", priority="P3")
    story.at("0:01").fires("Dead", cluster="c", severity="critical")
    story.at("0:30").page_to("ana", "raised", priority="P2").is_("triggered", firing=2, suppressed=0, aside=0)
    assert story.alert("Dead").joined_because == "released"


def test_a_member_whose_incident_is_over_goes_on_in_a_fresh_one() -> None:
    """Past reopen_within the old incident takes nothing in: the alert leaves it, and is in one incident only."""
    story = Story(CLUSTER, policies=ANA)
    story.at("0:00").silenced("2:00", alertname="Quiet").fires("Slow", cluster="c")
    story.at("0:00:10").page_to("ana")
    story.at("0:01").fires("Quiet", cluster="c").resolves("Slow", cluster="c").at("0:01:10").update_to("ana")
    story.at("0:02").end_to("ana")
    story.at("2:00").is_("resolved", suppressed=0, aside=0, ended=1).is_(
        "pending", incident=2, previous="i000000000001"
    )
    story.at("2:00:10").page_to("ana", incident=2).line("Quiet left")
    assert story.alert("Quiet").incident == "i000000000002"


def test_a_release_within_reopen_within_reopens() -> None:
    """As an alert that had just arrived would."""
    story = Story(CLUSTER, policies=ANA)
    story.at("0:00").silenced("0:10", alertname="Quiet").fires("Slow", cluster="c")
    story.at("0:00:10").page_to("ana")
    story.at("0:01").fires("Quiet", cluster="c").resolves("Slow", cluster="c").at("0:01:10").update_to("ana")
    story.at("0:02").end_to("ana")
    story.at("0:10").is_("pending", reopened=1).at("0:10:10").page_to("ana", "reopened").incidents(1)


def test_a_suppressed_member_extends_no_window() -> None:
    """A session of ten minutes ends ten minutes after its last live alert, whatever joined suppressed."""
    rule = msgspec.structs.replace(
        CLUSTER, window=Window(kind=WindowKind.SESSION, gap=minutes(10)), resolve=Resolve(when=ResolveWhen.NEVER)
    )
    story = Story(rule, policies=[policy(step("ana"), remind=None)])
    story.at("0:00").silenced("2:00", alertname="Quiet").fires("A", cluster="c")
    story.at("0:00:10").page_to("ana")
    story.at("0:01").resolves("A", cluster="c").at("0:01:10").update_to("ana")
    story.at("0:09").fires("Quiet", cluster="c").is_("triggered", suppressed=1)
    story.at("0:12").fires("B", cluster="c").incidents(2)
    story.at("0:12:10").page_to("ana", incident=2)


def test_silenced_within_its_hold_an_incident_waits() -> None:
    """Nobody was paged yet, so nobody is; on release its hold begins, and with the alert's end it is cancelled."""
    story = Story(policies=ANA)
    story.at("0:00").fires("Down").fires("Up")
    story.at("0:00:05").silenced("1:00", alertname="Down").silenced("2:00", number=2, alertname="Up")
    story.at("0:30").is_("pending").quiet()
    story.at("1:00").is_("pending", hushed="").at("1:00:10").page_to("ana").is_("triggered")
    story.at("1:30").resolves("Up").is_("cancelled", incident=2).quiet()


def test_an_alert_that_fires_again_suppressed_reopens_nothing() -> None:
    """The same episode within reopen_within: it waits aside."""
    story = Story(policies=ANA)
    story.at("0:00").fires("Down")
    story.at("0:00:10").page_to("ana")
    story.at("0:05").resolves("Down").update_to("ana").at("0:06").end_to("ana").silenced("0:20", alertname="Down")
    story.at("0:10").fires("Down", starts="0:00").is_("resolved", suppressed=1, ended=0).quiet()
    story.at("0:20").is_("pending", firing=1, reopened=1).at("0:20:10").page_to("ana", "reopened").incidents(1)


def test_an_inhibited_alert_is_quiet_while_its_source_fires() -> None:
    """A lost node hides its pods, and those of no other node; when it is back, what still fires pages."""
    story = Story(policies=ANA, inhibitions=(inhibition("NodeDown", "PodDown", "node"),))
    story.at("0:00").fires("NodeDown", node="n1")
    story.at("0:00:01").fires("PodDown", node="n1", namespace="a").fires("PodDown", node="n2", namespace="b")
    story.at("0:00:10").page_to("ana").at("0:00:11").page_to("ana", incident=2)
    story.is_suppressed("PodDown", "inhibition", node="n1").is_suppressed("PodDown", node="n2")
    story.at("0:30").resolves("NodeDown").update_to("ana").is_("pending", incident=3)
    story.at("0:30:10").page_to("ana", incident=3)


def test_a_source_that_comes_late_mutes_what_fires_already() -> None:
    """Within the hold nobody is paged for the pod at all."""
    story = Story(policies=ANA, inhibitions=(inhibition("NodeDown", "PodDown", "node"),))
    story.at("0:00").fires("PodDown", node="n1")
    story.at("0:00:05").fires("NodeDown", node="n1").is_suppressed("PodDown", "inhibition")
    story.at("0:00:15").page_to("ana", incident=2).at("0:04").is_("pending").quiet()
    story.at("0:05").resolves("PodDown").is_("cancelled")


def test_suppressed_alerts_still_inhibit_and_resolved_ones_do_not() -> None:
    """A silenced node still hides its pods; its end lets them go on."""
    story = Story(policies=ANA, inhibitions=(inhibition("NodeDown", "PodDown", "node"),))
    story.at("0:00").silenced("9:00", alertname="NodeDown").fires("NodeDown", node="n1").fires("PodDown", node="n1")
    story.at("1:00").incidents(0).resolves("NodeDown").at("1:00:10").page_to("ana")


def test_what_ends_together_with_its_source_pages_nobody() -> None:
    """The node is back and so are its pods, in one message, the node first."""
    story = Story(policies=ANA, inhibitions=(inhibition("NodeDown", "PodDown", "node"),))
    story.at("0:00").fires("NodeDown", node="n1").fires("PodDown", node="n1")
    story.at("0:00:10").page_to("ana")
    both = [{"alertname": name, "node": "n1"} for name in ("NodeDown", "PodDown")]
    story.at("0:10").resolve_together(both).update_to("ana").at("0:11").end_to("ana").at("1:00").incidents(1)


def test_of_two_sources_the_other_takes_over() -> None:
    """While one of them fires the target stays quiet; the verdict names the one that does."""
    story = Story(policies=ANA, inhibitions=(inhibition("NodeDown", "PodDown", "rack"),))
    story.at("0:00").silenced("9:00", alertname="NodeDown")
    story.fires("NodeDown", rack="r", node="a").fires("NodeDown", rack="r", node="b").fires("PodDown", rack="r")
    before = story.alert("PodDown").suppressed_by
    story.at("0:10").resolves("NodeDown", node="a").is_suppressed("PodDown", "inhibition")
    assert story.alert("PodDown").suppressed_by != before
    story.at("0:20").resolves("NodeDown", node="b").at("0:20:10").page_to("ana")


NIGHT = Maintenance(
    name="patching",
    match=(equals(service="db"),),
    during=TimeInterval(weekly=(Weekly(begins=minutes(23 * 60), ends=minutes(2 * 60)),), timezone="UTC"),
    reason="patching",
)


def test_maintenance_begins_and_ends_at_its_instants() -> None:
    """From 23:00 to 02:00, over midnight: paged before, quiet within, paged again after."""
    story = Story(policies=ANA, maintenance=(NIGHT,))
    story.at("10:00").fires("Slow", service="db")
    story.at("10:00:10").page_to("ana").is_("triggered").acknowledged_by("ana").acknowledgement_to("ana")
    story.at("22:59").fires("Dead", service="db").fires("Dead", service="web", namespace="w")
    story.at("22:59:10").page_to("ana", incident=2).page_to("ana", incident=3)
    story.at("23:00").is_suppressed("Dead", "maintenance/patching", service="db")
    story.line("by maintenance/patching: patching", incident=2).is_suppressed("Dead", service="web")
    story.at("23:30").fires("Late", service="db").incidents(3)
    story.at("26:00").page_to("ana", "repeated", incident=2).is_("pending", incident=4).update_to("ana")
    story.at("26:00:10").page_to("ana", incident=4)


def test_a_restart_within_maintenance_changes_nothing() -> None:
    """Down over its beginning: what fires is muted at the start; down over its end: it goes on after that."""
    story = Story(policies=ANA, maintenance=(NIGHT,))
    story.at("22:58").fires("Dead", service="db")
    story.at("22:58:10").page_to("ana").at("22:59").restart("0:03").is_suppressed("Dead", "maintenance/patching")
    story.at("25:59").restart("0:02").page_to("ana", "repeated").is_suppressed("Dead")


@pytest.mark.parametrize("restarted", [False, True])
def test_a_silence_set_for_later_begins_by_itself(restarted: bool) -> None:
    """Also where imd was restarted before, or was down at that instant."""
    story = Story(policies=TWO)
    story.at("0:00").silenced("1:00", starts="0:10", alertname="Down").fires("Down").is_suppressed("Down")
    story.at("0:00:10").page_to("ana").at("0:05:10").page_to("ben", "escalated").at("0:09")
    if restarted:
        story.restart("0:02")
    story.at("0:12").is_suppressed("Down", "silence")
    story.at("0:13").restart() if restarted else story
    story.at("1:00").page_to("ana", "repeated").update_to("ben")


def test_a_changed_silence_and_one_ended_early() -> None:
    """It is made longer, then ended by hand; the deadline of before finds nothing to do."""
    story = Story(policies=ANA)
    story.at("0:00").silenced("1:00", alertname="Down").fires("Down")
    story.at("0:30").silenced("3:00", starts="0:00", alertname="Down").at("2:00").is_suppressed("Down", "silence")
    story.unsilenced().at("2:00:10").page_to("ana")
    story.unsilenced(number=7).refused("there is no silence")


def test_two_causes_both_must_end() -> None:
    """Silenced and inhibited: the end of one releases nothing."""
    story = Story(policies=ANA, inhibitions=(inhibition("NodeDown", "PodDown"),))
    story.at("0:00").silenced("1:00", alertname="PodDown").silenced("9:00", number=2, alertname="NodeDown")
    story.fires("NodeDown").fires("PodDown").is_suppressed("PodDown", "silence", "inhibition")
    story.at("1:00").is_suppressed("PodDown", "inhibition").incidents(0)
    story.resolves("NodeDown").at("1:00:10").page_to("ana")


def test_a_pause_mutes_everything_until_its_end() -> None:
    """Half an hour of peace with a name; what still fires then pages; one ended early is over at once."""
    story = Story(policies=ANA)
    story.at("0:00").fires("Down")
    story.at("0:00:10").page_to("ana").paused("0:30")
    story.at("0:10").fires("Other").is_suppressed("Other", "pause").incidents(1)
    story.at("0:20").restart().at("0:30").page_to("ana", "repeated").is_("pending", incident=2)
    story.at("0:30:10").page_to("ana", incident=2)
    story.paused("9:00").at("0:40").unpaused().page_to("ana", "repeated").page_to("ana", "repeated", incident=2)
    story.paused("0:10").refused("a pause ends in the future")


def test_mode_suppress_is_a_verdict_too() -> None:
    """The rule keeps it quiet; a reload that takes the mode away lets it go on."""
    story = Story(Rule(name="noise", mode=Mode.SUPPRESS), policies=ANA)
    story.at("0:00").fires("Down").is_suppressed("Down", "rule/noise").incidents(0)
    changed = msgspec.structs.replace(story.ruleset, rules=(Rule(name="noise"), *story.ruleset.rules[1:]))
    story.at("1:00").reload(changed).is_suppressed("Down").at("1:00:10").page_to("ana")


def test_a_reload_changes_inhibition_and_maintenance() -> None:
    """New rules act on what fires already; rules that are gone let it go on."""
    story = Story(policies=ANA)
    plain = story.ruleset
    story.at("23:10").fires("NodeDown").fires("PodDown").fires("Slow", service="db")
    story.at("23:10:10").page_to("ana").page_to("ana", incident=2).page_to("ana", incident=3)
    quiet = msgspec.structs.replace(plain, inhibitions=(inhibition("NodeDown", "PodDown"),), maintenance=(NIGHT,))
    story.at("23:11").reload(quiet).is_suppressed("PodDown", "inhibition").is_suppressed("Slow", "maintenance/patching")
    story.at("23:12").reload(plain).page_to("ana", "repeated", incident=2).page_to("ana", "repeated", incident=3)


def test_after_a_long_outage_senders_speak_before_anything_is_released() -> None:
    """The silence ended while imd was away; the alert that is gone by now is not opened for."""
    story = Story(policies=ANA)
    story.at("0:00").silenced("1:00", alertname="Down").fires("Down", source="prom")
    story.at("0:58").fires("Down", source="prom").restart("0:20").hears_from("prom")
    story.at("1:18:30").incidents(0).resolves("Down", source="prom").at("2:00").incidents(0)


def test_a_clock_set_back_releases_nothing_and_loses_nothing() -> None:
    """The hour of the silence comes twice."""
    story = Story(policies=ANA)
    story.at("0:00").silenced("1:00", alertname="Down").fires("Down")
    story.at("0:59").clock_falls("0:30")
    story.at("0:59:30").is_suppressed("Down", "silence").at("1:00:10").page_to("ana")


def test_the_hold_of_a_released_alert_is_its_rules() -> None:
    """With no hold it pages at once."""
    story = Story(Rule(name="now", hold=seconds(0)), policies=ANA)
    story.at("0:00").silenced("1:00", alertname="Down").fires("Down").at("1:00").page_to("ana")
    assert story.incident().opened_at == T0 + minutes(60)


def test_what_goes_on_in_no_incident_goes_by_its_rule() -> None:
    """A sender with a key of its own says another name while its alert is paused; its incident is long over. The rule
    that takes it now suppresses it."""
    story = Story(Rule(name="hushed", match=(equals(alertname="Hushed"),), mode=Mode.SUPPRESS), policies=ANA)
    story.at("0:00").says("x", alertname="Wide").at("0:00:10").page_to("ana")
    story.at("0:01").resolved_by("ana", force=True).end_to("ana").at("0:30").paused("1:00")
    story.at("0:31").says("x", alertname="Hushed").at("1:00:01").is_suppressed("Hushed", "rule").incidents(1)
    assert story.alert("Hushed").incident == ""


# -- what a person ended while it fired -------------------------------------------------------------------------------


def closed_while_it_fires(**other: object) -> Story:
    story = Story(policies=ANA, **other)  # type: ignore[arg-type]
    story.at("0:00").fires("PodDown", node="n1").at("0:00:10").page_to("ana")
    story.resolved_by("ana", force=True).end_to("ana").does("close", "ana", outcome="known").is_("closed", timers={})
    shown = alert_view(story.alert("PodDown"), story.incident())
    assert (shown.status, shown.verdict) == ("firing", "ana closed its incident while it fired")
    return story.line("closed by ana: outcome known; 1 alert fires on and is news again after ending and firing anew")


def quieted(story: Story, how: str) -> Story:
    """Quiet from 0:10 to 0:20, by all that there is."""
    match how:
        case "silence":
            return story.at("0:10").silenced("0:20", alertname="PodDown")
        case "pause":
            return story.at("0:10").paused("0:20")
        case "inhibition":
            story.at("0:10").fires("NodeDown", node="n1").at("0:10:10").page_to("ana", incident=2)
            return story.at("0:20").resolves("NodeDown", node="n1").update_to("ana", 2).at("0:21").end_to("ana", 2)
        case _:
            return story.at("0:10").is_suppressed("PodDown", "maintenance")


QUIETED = {
    "silence": {},
    "pause": {},
    "inhibition": {"inhibitions": (inhibition("NodeDown", "PodDown", "node"),)},
    "maintenance": {
        "maintenance": (
            Maintenance(
                name="m", match=(equals(alertname="PodDown"),), reason="",
                during=TimeInterval(weekly=(Weekly(begins=minutes(10), ends=minutes(20)),), timezone="UTC"),
            ),
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("how", QUIETED)
def test_what_was_closed_while_it_fired_is_not_brought_back_by_quiet(how: str, restarted: bool) -> None:
    """Without the quiet in between nobody would hear of it again before it ends; nor does anybody with it."""
    story = quieted(closed_while_it_fires(**QUIETED[how]), how)
    if restarted:
        story.restart()
    story.at("0:25").is_suppressed("PodDown").is_("closed", firing=1, suppressed=0)
    story.line("not notified of PodDown: anybody, because ana closed its incident while it fired")
    story.at("9:00").incidents(1 + (how == "inhibition")).quiet()
    story.resolves("PodDown", node="n1").at("9:01").fires("PodDown", node="n1")
    story.at("9:01:10").page_to("ana", incident=2 + (how == "inhibition")).is_("closed", firing=0)


def test_what_was_quiet_when_it_was_closed_goes_on_when_that_ends() -> None:
    """Nobody was done with its firing: whoever muted it until then wants to hear of it then."""
    story = Story(policies=ANA)
    story.at("0:00").fires("Down").at("0:00:10").page_to("ana").silenced("4:00", alertname="Down")
    story.at("0:05").resolved_by("ana", force=True).end_to("ana").does("close", "ana").is_("closed")
    story.at("4:00").is_("pending", 2, previous="i000000000001").at("4:00:10").page_to("ana", incident=2)


def test_what_was_resolved_while_it_fired_comes_back() -> None:
    """Quiet does not take the promise away that what still fires reopen_within after its resolve by hand is news."""
    story = Story(policies=ANA)
    story.at("0:00").fires("Down").at("0:00:10").page_to("ana").resolved_by("ana", force=True).end_to("ana")
    story.at("0:10").paused("2:00").at("1:00").fires("Down").at("2:00").is_("pending", 2)
    story.at("2:00:10").page_to("ana", incident=2)
