"""From the first alert to the end: hold, joining, resolving, reopening, raising."""

from __future__ import annotations

from datetime import timedelta

from imd.model.incident import Level, Priority
from imd.model.policy import PageKind, Receiver, Route
from imd.model.rule import Flapping, Mode, Raise, Resolve, ResolveWhen, Rule
from imd.model.template import Template
from tests.core.making import minutes, policy, seconds, step
from tests.stories.told import Story

ANA = [policy(step("ana"))]


def test_a_storm_is_one_page() -> None:
    """Five hundred alerts of one cluster within seconds are one incident and one page."""
    story = Story(Rule(name="cluster", group_by=("cluster",)), policies=ANA)
    for second in range(5):
        story.at(f"0:00:0{second}")
        story.fire_together({"alertname": "PodDown", "cluster": "c1", "pod": f"p{second}-{n}"} for n in range(100))
    story.at("0:00:10").page_to("ana").is_("triggered", firing=500)
    assert story.sent[0].body.count(b'"fingerprint"') == 20
    story.incidents(1)


def test_an_alert_that_ends_within_hold_pages_nobody() -> None:
    """Ten seconds of hold: what is over before then is cancelled, and says so."""
    story = Story(policies=ANA)
    story.at("0:00").fires("Blip")
    story.at("0:00:08").resolves("Blip").is_("cancelled").line("nobody was paged")
    story.at("1:00").fires("Blip").is_("pending", incident=2)
    story.at("1:00:10").page_to("ana", incident=2)


def test_hold_of_nothing_pages_at_once() -> None:
    """With hold 0s the page leaves with the first alert."""
    story = Story(Rule(name="now", hold=seconds(0)), policies=ANA)
    story.at("0:00").fires("Down").page_to("ana").is_("triggered")


def test_resolved_one_minute_after_the_last_alert() -> None:
    """An incident is over a minute after its last alert ended, and whoever was paged hears of it."""
    story = Story(policies=ANA)
    story.at("0:00").fires("Down", instance="a").fires("Down", instance="b")
    story.at("0:00:10").page_to("ana")
    story.at("0:05").resolves("Down", instance="a").update_to("ana")
    story.at("0:08").resolves("Down", instance="b").update_to("ana").is_("triggered", firing=0)
    story.at("0:09").end_to("ana").is_("resolved", resolved_because="alerts resolved", ended=2)


def test_an_alert_that_comes_back_within_the_minute_keeps_the_incident() -> None:
    """The resolve waits a minute; an alert that fires again meanwhile calls it off, and nobody is paged anew."""
    story = Story(policies=ANA)
    story.at("0:00").fires("Down")
    story.at("0:00:10").page_to("ana")
    story.at("0:05").resolves("Down")
    story.at("0:05").update_to("ana")
    story.at("0:05:30").fires("Down").is_("triggered", firing=1, resolved_because="")
    story.at("0:06").update_to("ana")
    story.at("0:20").is_("triggered")
    story.at("0:21").resolves("Down").update_to("ana")
    story.at("0:22").end_to("ana").is_("resolved")


def test_the_reason_of_the_end_outlives_an_acknowledgement() -> None:
    """Acknowledging while the resolve waits changes nothing of why the incident ended."""
    story = Story(policies=ANA)
    story.at("0:00").fires("Down", source="prom")
    story.at("0:00:10").page_to("ana")
    story.at("0:04:30").hears_from("prom")
    story.at("0:04:35").update_to("ana").line("no longer reported")
    story.at("0:05").acknowledged_by("ana").acknowledgement_to("ana")
    story.at("0:05:35").end_to("ana").is_("resolved", resolved_because="no longer reported")


def test_reopened_within_thirty_minutes_pages_from_step_one() -> None:
    """What comes back within reopen_within is the same incident, and its first escalation step is paged again."""
    story = Story(policies=[policy(step("ana"), step("ben"))])
    story.at("0:00").fires("Down")
    story.at("0:00:10").page_to("ana")
    story.at("0:05:10").page_to("ben", "escalated")
    story.at("0:06").resolves("Down").update_to("ana").at("0:06:10").update_to("ben")
    story.at("0:07").end_to("ana").end_to("ben")
    story.at("0:36").fires("Down").is_("pending", reopened=1)
    story.at("0:36:10").page_to("ana", "reopened").is_("triggered").incidents(1)
    story.at("0:38").resolves("Down").update_to("ana")
    # Ben was not told that it came back, so he is not told that it went.
    story.at("0:39").end_to("ana").is_("resolved")


def test_an_end_called_off_with_a_page_is_told_in_the_end() -> None:
    """Ben was told of it, and its end has not reached him when it comes back. His page is called off by an
    acknowledgement, and with it all that waits: he hears that it is over when it is, and once."""
    story = back_before_its_end_left().at("0:15:10").page_to("ben", "escalated")
    story.restart().at("0:16").acknowledged_by("ana").acknowledgement_to("ana").answers("ben-phone")
    assert story.incident().told["ben-phone"].heard
    story.at("0:20").resolves("Down").update_to("ana").update_to("ben").at("0:21").end_to("ana").end_to("ben")
    story.is_("resolved").at("0:21:30").fires("Down").at("0:21:40").page_to("ana", "reopened")
    assert "ben-phone" not in story.incident().told


def test_an_end_that_came_late_is_not_told_twice() -> None:
    """It reaches ben after the incident came back, of which he never hears: nothing more is owed to him."""
    story = back_before_its_end_left().answers("ben-phone")
    assert "ben-phone" not in story.incident().told
    story.at("0:12").acknowledged_by("ana").acknowledgement_to("ana")
    story.at("0:20").resolves("Down").update_to("ana").at("0:21").end_to("ana").is_("resolved")


def test_an_end_called_off_by_the_end_itself_is_told() -> None:
    """What calls the page off is that it is over: of what waited for ben, one end is left."""
    story = back_before_its_end_left().at("0:15:10").page_to("ben", "escalated").restart()
    story.at("0:16").resolved_by("ana", force=True).end_to("ana").end_to("ben").quiet()
    assert [one.kind for one in story._on_the_way] == [PageKind.RESOLVED]


def test_an_end_called_off_after_the_end_is_told() -> None:
    """It ends by itself, and then a person calls the page off: again, of what waited for ben one end is left."""
    story = back_before_its_end_left().at("0:15:10").page_to("ben", "escalated").at("0:16").resolves("Down")
    story.update_to("ana").at("0:16:10").update_to("ben").at("0:17").end_to("ana").end_to("ben").restart()
    story.resolved_by("ana").end_to("ben").at("0:30").quiet()
    assert [one.kind for one in story._on_the_way] == [PageKind.RESOLVED]


def test_an_end_called_off_while_it_holds_is_told_when_it_is_calm() -> None:
    """That ben's page never left is heard of only once it is over and back again; no page will follow, but the end."""
    story = back_before_its_end_left().at("0:15:10").page_to("ben", "escalated").settles_late()
    story.at("0:16").acknowledged_by("ana").acknowledgement_to("ana").acknowledgement_to("ben")
    story.at("0:17").resolves("Down").update_to("ana").update_to("ben").at("0:18").end_to("ana").end_to("ben")
    story.at("0:19").fires("Down").settles().settles().is_("pending", reopened=2).answers("ben-phone")
    story.at("0:19:05").resolves("Down").end_to("ben").is_("resolved")


def test_an_end_called_off_while_it_holds_is_told_when_it_is_merged() -> None:
    """As above, and before its hold is over it becomes part of another: its own key is to be ended."""
    story = back_before_its_end_left().at("0:15:10").page_to("ben", "escalated").settles_late()
    story.at("0:16").acknowledged_by("ana").acknowledgement_to("ana").acknowledgement_to("ben")
    story.at("0:17").resolves("Down").update_to("ana").update_to("ben").at("0:18").end_to("ana").end_to("ben")
    story.fires("Other").at("0:18:10").page_to("ana", incident=2)
    story.at("0:19").fires("Down").settles().settles().answers("ben-phone")
    story.at("0:19:05").does("merge", "ana", into=2).end_to("ben").is_("merged")


def back_before_its_end_left() -> Story:
    """Ben has the page, the end is on its way to him, and ana was paged anew."""
    rule = Rule(name="r", hold=seconds(10), flapping=Flapping(changes=9))
    story = Story(rule, policies=[policy(step("ana"), step("ben"))])
    story.at("0:00").fires("Down")
    story.at("0:00:10").page_to("ana")
    story.at("0:05:10").page_to("ben", "escalated").hangs("ben-phone")
    story.at("0:06").resolves("Down").update_to("ana").at("0:06:10").update_to("ben")
    story.at("0:07").end_to("ana").end_to("ben").at("0:10").fires("Down")
    return story.at("0:10:10").page_to("ana", "reopened")


def test_past_thirty_minutes_a_fresh_incident() -> None:
    """What comes back later is another incident."""
    story = Story(policies=ANA)
    story.at("0:00").fires("Down")
    story.at("0:00:10").page_to("ana")
    story.at("0:05").resolves("Down").update_to("ana").at("0:06").end_to("ana")
    story.at("0:36:01").fires("Down").is_("resolved").is_("pending", incident=2)
    story.at("0:36:11").page_to("ana", incident=2).incidents(2)


def test_reopened_and_calm_again_pages_nobody() -> None:
    """An incident that was reopened for less than its hold is resolved again without a word to anybody."""
    story = Story(policies=ANA)
    story.at("0:00").fires("Down")
    story.at("0:00:10").page_to("ana")
    story.at("0:05").resolves("Down").update_to("ana").at("0:06").end_to("ana")
    story.at("0:10").fires("Down").is_("pending")
    story.at("0:10:05").resolves("Down").is_("resolved").line("ended again before hold was over")
    story.at("0:40").fires("Down").is_("pending", reopened=2)
    story.at("0:40:10").page_to("ana", "reopened").incidents(1)


def test_breadth_raises_the_priority_and_routes_again() -> None:
    """At three services the impact is high: P1 is routed to the platform team's policy, and it hears at step 1."""
    rule = Rule(name="wide", group_by=("cluster",), raises=(Raise(at_least=3, distinct="service", impact=Level.HIGH),))
    story = Story(
        rule,
        policies=[policy(step("ana")), policy(step("ben"), name="platform")],
        routes=(Route(policy="platform", priority=frozenset({Priority.P1})),),
    )
    for number in (1, 2):
        story.at("0:00").fires("Slow", cluster="c", service=f"s{number}", severity="critical")
    story.at("0:00:10").page_to("ana", priority="P2").is_("triggered", policy="default")
    story.at("0:01").fires("Slow", cluster="c", service="s3", severity="critical")
    story.page_to("ben", "raised", priority="P1").is_("triggered", policy="platform", priority=Priority.P1)
    story.line("raised from P2 to P1: impact high, urgency high").line("route 1")
    story.at("0:01:10").update_to("ana")
    story.at("0:06").quiet()  # the platform's policy has one step: exhausted, and no fallback
    story.is_("triggered", exhausted=True)


def test_a_raise_under_the_same_policy_pages_the_current_step_once_more() -> None:
    """The second step's target has the page when the priority goes up; he hears it again, the first step does not."""
    rule = Rule(name="wide", group_by=("cluster",))
    story = Story(rule, policies=[policy(step("ana"), step("ben", wait=minutes(30)))])
    story.at("0:00").fires("Slow", cluster="c", severity="warning")
    story.at("0:00:10").page_to("ana", priority="P3")
    story.at("0:05:10").page_to("ben", "escalated")
    story.at("0:06").fires("Dead", cluster="c", severity="critical").page_to("ben", "raised", priority="P2")
    story.update_to("ana")


def test_a_raise_after_an_ack_is_for_the_acknowledger_alone() -> None:
    """Ben has it; when it gets worse, Ben hears of it and nobody else is paged."""
    rule = Rule(name="wide", group_by=("cluster",))
    story = Story(rule, policies=[policy(step("ana"), ack_timeout=minutes(30))])
    story.at("0:00").fires("Slow", cluster="c", severity="warning")
    story.at("0:00:10").page_to("ana")
    story.at("0:02").acknowledged_by("ben").acknowledgement_to("ana")
    story.at("0:06").fires("Dead", cluster="c", severity="critical").page_to("ben", "raised").update_to("ana")
    story.at("0:31").is_("acknowledged")
    story.at("0:32").page_to("ben", "ack_lapsed").is_("triggered")


def test_a_raise_to_another_policy_after_an_ack_keeps_the_ack_and_its_end() -> None:
    """The new policy's first step hears of it once; Ana still has it, until her acknowledgement runs out."""
    rule = Rule(name="wide", group_by=("cluster",))
    story = Story(
        rule,
        policies=[policy(step("ana"), ack_timeout=minutes(30)), policy(step("ben"), step("cleo"), name="platform")],
        routes=(Route(policy="platform", priority=frozenset({Priority.P2})),),
    )
    story.at("0:00").fires("Slow", cluster="c", severity="warning")
    story.at("0:00:10").page_to("ana")
    story.at("0:02").acknowledged_by("ana").acknowledgement_to("ana")
    story.at("0:06").fires("Dead", cluster="c", severity="critical").page_to("ben", "raised").update_to("ana")
    story.at("0:31").is_("acknowledged")
    story.at("0:32").page_to("ana", "ack_lapsed").is_("triggered")
    story.at("0:37").page_to("ben", "escalated")


def test_an_incident_acknowledged_before_its_hold_is_over_has_its_policy() -> None:
    """Ana sees the alert before it pages; a raise reaches her, and the policy's ack_timeout holds for her too."""
    rule = Rule(name="wide", group_by=("cluster",))
    story = Story(
        rule,
        policies=[policy(step("cleo"), name="mine", ack_timeout=minutes(30))],
        routes=(Route(policy="mine"),),
    )
    story.at("0:00").fires("Slow", cluster="c", severity="warning")
    story.at("0:00:05").acknowledged_by("ana").is_("acknowledged", policy="mine")
    story.at("0:06").fires("Dead", cluster="c", severity="critical").page_to("ana", "raised")
    story.at("0:30:05").page_to("ana", "ack_lapsed")


def test_monitor_mode_decides_and_pages_nobody() -> None:
    """A rule on trial opens, escalates and resolves on record only."""
    story = Story(Rule(name="trial", mode=Mode.MONITOR), policies=ANA)
    story.at("0:00").fires("Down")
    story.at("0:00:10").is_("triggered", silent=True).line("not notified: anybody, because rule trial has mode monitor")
    story.at("0:10").resolves("Down")
    story.at("0:11").is_("resolved").quiet()


def test_suppressed_and_dropped_alerts_open_nothing() -> None:
    """Modes suppress and drop keep people and incidents out of it."""
    for mode in (Mode.SUPPRESS, Mode.DROP):
        story = Story(Rule(name="quiet", mode=mode), policies=ANA)
        story.at("0:00").fires("Down")
        story.at("1:00").resolves("Down").incidents(0).quiet()


def test_updates_come_at_most_once_in_update_every() -> None:
    """Ten alerts that join within a minute are one update, a minute after the page."""
    story = Story(Rule(name="cluster", group_by=()), policies=ANA)
    story.at("0:00").fires("Down", instance="a")
    story.at("0:00:10").page_to("ana")
    for number in range(10):
        story.at(f"0:00:{11 + number}").fires("Down", instance=f"b{number}")
    story.at("0:01:10").update_to("ana")
    assert story.sent[-1].body.count(b'"fingerprint"') == 10, "only what is new since the page"
    story.at("0:01:20").fires("Down", instance="c").at("0:02:10").update_to("ana")
    assert story.sent[-1].body.count(b'"fingerprint"') == 1


def test_only_who_was_told_hears_the_end_and_always() -> None:
    """Ben was never paged; the pager wants no resolves; a receiver that refused the page is owed nothing."""
    receivers = [Receiver(name="pager", send=frozenset({PageKind.PAGE})), Receiver(name="chat"), Receiver(name="sms")]
    story = Story(policies=[policy(step("ana", "#pager", "#chat", "#sms"), step("ben"))], receivers=receivers)
    story.refuses("sms")
    story.at("0:00").fires("Down")
    story.at("0:00:10").page_to("ana").page_to("pager").page_to("chat").page_to("sms")
    story.page_to("ben", "escalated")  # sms refused for good, so the next step follows at once
    story.at("0:01").acknowledged_by("ana").acknowledgement_to("ana").acknowledgement_to("ben")
    story.at("0:02").resolves("Down").update_to("ana").update_to("ben")
    story.at("0:03").end_to("ana").end_to("ben").end_to("chat")


def test_a_page_under_way_at_the_end_is_followed_by_the_end() -> None:
    """The chat is slow: its page is still under way when the incident resolves, so the end is queued behind it."""
    story = Story(policies=[policy(step("#chat"))], receivers=[Receiver(name="chat")]).hangs("chat")
    story.at("0:00").fires("Down")
    story.at("0:00:10").page_to("chat")
    story.at("0:00:15").resolves("Down")
    story.at("0:01:15").end_to("chat").answers("chat")


def test_resolve_when_first_and_never() -> None:
    """`first` ends with the first member that resolves; `never` only by hand."""
    first = Rule(name="first", group_by=(), resolve=Resolve(when=ResolveWhen.FIRST, after=seconds(0)))
    story = Story(first, policies=ANA)
    story.at("0:00").fires("A").fires("B")
    story.at("0:00:10").page_to("ana")
    story.at("0:05").resolves("A").end_to("ana").is_("resolved", firing=1)
    never = Rule(name="never", resolve=Resolve(when=ResolveWhen.NEVER))
    story = Story(never, policies=[policy(step("ana"), remind=None)])
    story.at("0:00").fires("A")
    story.at("0:00:10").page_to("ana")
    story.at("0:05").resolves("A").update_to("ana")
    story.at("30:00").is_("triggered").resolved_by("ana").end_to("ana").is_("resolved")


def test_resolving_by_hand_is_refused_while_alerts_fire() -> None:
    """Without force it is refused; with force it is over, and a member still reported half an hour later reopens it."""
    story = Story(policies=ANA)
    story.at("0:00").fires("Down")
    story.at("0:00:10").page_to("ana")
    story.at("0:02").resolved_by("ana").refused("still firing").is_("triggered")
    story.resolved_by("ana", force=True).end_to("ana").is_("resolved")
    for minute in (10, 20, 30):
        story.at(f"0:{minute}").fires("Down").is_("resolved")
    story.at("0:34").fires("Down")
    story.at("0:34:59").is_("resolved")
    story.at("0:35").is_("pending", reopened=1)
    story.at("0:35:10").page_to("ana", "reopened").is_("triggered").incidents(1)


def test_resolved_by_hand_and_ended_is_over() -> None:
    """Forced to its end, and the alert did end: nothing comes back."""
    story = Story(policies=ANA)
    story.at("0:00").fires("Down")
    story.at("0:00:10").page_to("ana")
    story.at("0:02").resolved_by("ana", force=True).end_to("ana")
    story.at("0:10").resolves("Down")
    story.at("5:00").is_("resolved").quiet()


def test_a_note_reaches_those_who_were_paged() -> None:
    """A note is on the timeline and with everybody who was told of the incident and wants notes."""
    story = Story(policies=ANA)
    story.at("0:00").fires("Down")
    story.at("0:00:10").page_to("ana")
    story.at("0:02").noted_by("ben", "looking at the switch").note_to("ana").line("looking at the switch")


def test_a_title_of_the_rule_is_rendered_again_as_members_join() -> None:
    """The rule's template counts what fires. A label that is not common to all is empty, as it is everywhere; a title
    that fails, or has nothing left to say, gives way to the built-in one."""
    rule = Rule(name="t", group_by=("cluster",), title=Template("{{ labels.cluster }}: {{ firing }} down"))
    story = Story(rule, policies=ANA)
    story.at("0:00").fires("Down", cluster="c1", instance="a").is_("pending", title="c1: 1 down")
    story.at("0:00:05").fires("Down", cluster="c1", instance="b").is_("pending", title="c1: 2 down")
    story.at("0:00:10").page_to("ana")
    story = Story(Rule(name="t", group_by=("cluster",), title=Template("{{ labels.nope }}")), policies=ANA)
    story.at("0:00").fires("Down", cluster="c1").is_("pending", title="Down c1")
    title = Template("{{ labels.instance }} of {{ group.cluster }} down ({{ firing }})")
    story = Story(Rule(name="t", group_by=("cluster",), title=title), policies=ANA)
    story.at("0:00").fires("Down", cluster="c1", instance="a").is_("pending", title="a of c1 down (1)")
    story.at("0:00:05").fires("Down", cluster="c1", instance="b").is_("pending", title="of c1 down (2)")


def test_over_midnight_and_many_days() -> None:
    """Nothing changes at midnight: a two-day incident is held, reminded of and resolved like any other."""
    story = Story(policies=[policy(step("ana"), remind=timedelta(hours=20))], fallback="")
    story.at("23:59:55").fires("Down")
    story.at("24:00:05").page_to("ana")
    story.at("44:05:05").page_to("ana", "repeated")
    story.at("47:00").resolves("Down").update_to("ana").at("47:01").end_to("ana")


def test_a_long_hold_counts_from_the_first_while_one_of_its_alerts_fires() -> None:
    """Half an hour, and no alert lasts longer than twelve minutes: as long as the next begins before the last one ends,
    the trouble goes on and is paged. Where nothing fires in between, each waits its own half hour and is cancelled."""
    held = Rule(name="held", group_by=("site",), hold=minutes(30))
    story = Story(held, policies=[policy(step("ana", wait=minutes(60)))], untold=["update"])
    story.at("0:00").fires("Slow", site="a", n="0").fires("Slow", site="b", n="0")
    for n in (1, 2):
        story.at(f"0:{n}0").resolves("Slow", site="b", n=str(n - 1)).fires("Slow", site="a", n=str(n))
        story.at(f"0:{n}1").fires("Slow", site="b", n=str(n)).at(f"0:{n}2").resolves("Slow", site="a", n=str(n - 1))
    story.at("0:29").quiet().at("0:30").page_to("ana").is_("triggered", firing=1).at("0:40").quiet()
    story.is_("cancelled", 2).line("nobody was paged", 2).is_("cancelled", 3).is_("pending", 4)
