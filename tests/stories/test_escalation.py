"""Who hears when: escalation steps, acknowledgements, failures, reminders."""

from __future__ import annotations

import pytest

from imd.model.effect import AppendTimeline
from imd.model.event import DeliveryFinished, Outcome
from imd.model.incident import Priority
from imd.model.policy import PageKind, Receiver, Route
from imd.model.rule import Matcher, Op, Rule
from tests.core.making import minutes, policy, ruleset, seconds, step
from tests.stories.told import Story


def test_the_next_step_when_nobody_answers() -> None:
    """Five minutes without an acknowledgement: the next step hears, and so to the end, then the fallback."""
    story = Story(
        policies=[policy(step("ana"), step("ben", wait=minutes(10)))],
        receivers=[Receiver(name="ops")],
        fallback="ops",
    )
    story.at("0:00").fires("Down")
    story.at("0:00:10").page_to("ana")
    story.at("0:05:10").page_to("ben", "escalated").line("nobody acknowledged in time")
    story.at("0:15:10").page_to("ops", "escalated").is_("triggered", exhausted=True).line("policy default is exhausted")
    # Reminded every four hours while it fires and nobody answers: the fallback and the last step.
    story.at("4:15:10").page_to("ops", "repeated").page_to("ben", "repeated")
    story.at("8:15:10").page_to("ops", "repeated").page_to("ben", "repeated")
    story.at("9:00").acknowledged_by("ben").acknowledgement_to("ana").acknowledgement_to("ben")
    story.at("40:00").quiet()


def test_a_page_that_not_everybody_got_says_so() -> None:
    """A mail to several: it counts as taken, and the timeline says who was refused."""
    story = Story(policies=[policy(step("ana"))]).hangs("ana-phone")
    story.at("0:00").fires("Down").at("0:00:10").page_to("ana")
    [page] = story.sent
    ended = DeliveryFinished(
        delivery=page.id,
        incident=page.incident,
        receiver=page.receiver,
        outcome=Outcome.ACCEPTED,
        error="ben@x: 550 gone",
    )
    story._on_the_way.clear()
    story._step(ended).line("ana-phone took the page, but not for everybody: ben@x: 550 gone").is_(
        "triggered", awaited={}
    )


def test_repeat_starts_the_whole_policy_over() -> None:
    """repeat: 1 walks all steps twice before the policy is exhausted."""
    story = Story(policies=[policy(step("ana"), step("ben"), repeat=1, remind=None)])
    story.at("0:00").fires("Down")
    story.at("0:00:10").page_to("ana")
    story.at("0:05:10").page_to("ben", "escalated")
    story.at("0:10:10").page_to("ana", "repeated").line("starts over (1 of 1)")
    story.at("0:15:10").page_to("ben", "repeated")
    story.at("0:20:10").is_("triggered", exhausted=True).line("the fallback, because none is configured")
    story.at("90:00").quiet()


def test_reminders_go_on_after_a_moment_without_firing_alerts() -> None:
    """Nothing fired at the instant of the reminder, yet the incident went on: the next reminder still comes."""
    story = Story(policies=[policy(step("ana"), remind=minutes(60))])
    story.at("0:00").fires("Down")
    story.at("0:00:10").page_to("ana")
    story.at("1:05:00").resolves("Down").update_to("ana")
    story.at("1:05:10").quiet()
    story.at("1:05:30").fires("Down").at("1:06").update_to("ana").is_("triggered", exhausted=True)
    story.at("2:05:10").page_to("ana", "repeated")


def test_an_ack_stops_everything() -> None:
    """From the acknowledgement on no page leaves, whatever time passes."""
    story = Story(policies=[policy(step("ana"), step("ben"), repeat=3)])
    story.at("0:00").fires("Down")
    story.at("0:00:10").page_to("ana")
    story.at("0:01").acknowledged_by("ana", note="on it").acknowledgement_to("ana").line('"on it"')
    story.at("100:00").is_("acknowledged", acknowledged_by="ana").quiet()


def test_an_ack_before_the_page_means_no_page() -> None:
    """Acknowledged within hold: nobody is paged, and nobody hears the end."""
    story = Story(policies=[policy(step("ana"))])
    story.at("0:00").fires("Down")
    story.at("0:00:05").acknowledged_by("ben").is_("acknowledged")
    story.at("1:00").resolves("Down")
    story.at("1:01").is_("resolved").quiet()


def test_acknowledging_twice_changes_nothing() -> None:
    """A second acknowledgement is no fault and no second message."""
    story = Story(policies=[policy(step("ana"))])
    story.at("0:00").fires("Down")
    story.at("0:00:10").page_to("ana")
    story.at("0:01").acknowledged_by("ana").acknowledgement_to("ana")
    story.at("0:02").acknowledged_by("ben").is_("acknowledged", acknowledged_by="ana").quiet()


def test_an_ack_lapses_after_ack_timeout() -> None:
    """Thirty minutes later its author is paged; step 1 follows only after step 1's `for`."""
    story = Story(policies=[policy(step("ana"), step("cleo"), ack_timeout=minutes(30))])
    story.at("0:00").fires("Down")
    story.at("0:00:10").page_to("ana")
    story.at("0:01").acknowledged_by("ben").acknowledgement_to("ana")
    story.at("0:31").page_to("ben", "ack_lapsed").is_("triggered", acknowledged_by="").line("by ben ran out")
    story.at("0:36").page_to("ana", "escalated")
    story.at("0:37").acknowledged_by("ana").acknowledgement_to("ana").acknowledgement_to("ben")
    story.at("1:07").page_to("ana", "ack_lapsed")


def test_taking_an_ack_back_starts_the_policy_again() -> None:
    """Unack: step 1 at once, and the steps after it in their time."""
    story = Story(policies=[policy(step("ana"), step("ben"), ack_timeout=minutes(30))])
    story.at("0:00").fires("Down")
    story.at("0:00:10").page_to("ana")
    story.at("0:01").acknowledged_by("ana").acknowledgement_to("ana")
    story.at("0:10").unacknowledged_by("ana").page_to("ana", "repeated").is_("triggered", acknowledged_at=None)
    story.at("0:15").page_to("ben", "escalated")
    story.at("0:31").is_("triggered")  # the acknowledgement's own timeout is void


def test_a_permanent_failure_passes_on_at_once() -> None:
    """Ana's phone refuses for good: Ben hears in the same instant."""
    story = Story(policies=[policy(step("ana"), step("ben"))]).refuses("ana-phone")
    story.at("0:00").fires("Down")
    story.at("0:00:10").page_to("ana").page_to("ben", "escalated").line("refused for good")
    story.at("0:05:10").line("exhausted")
    story.at("0:06").resolves("Down").update_to("ben").at("0:07").end_to("ben")


def test_every_way_refused_ends_with_the_fallback() -> None:
    """When all refuse, the fallback hears within the same second, and nothing loops."""
    story = Story(
        policies=[policy(step("ana"), step("ben"), repeat=1)], receivers=[Receiver(name="ops")], fallback="ops"
    )
    story.refuses("ana-phone").refuses("ben-phone").at("0:00").fires("Down")
    story.at("0:00:10").page_to("ana").page_to("ben", "escalated").page_to("ana", "repeated")
    story.page_to("ben", "repeated").page_to("ops", "escalated").is_("triggered", exhausted=True)


@pytest.mark.parametrize(("severity", "passed_on"), [("critical", "0:00:30"), ("warning", "0:01:10")])
def test_a_page_not_accepted_in_time_passes_on(severity: str, passed_on: str) -> None:
    """Twenty seconds for P1 and P2, sixty for P3; the first attempts go on."""
    story = Story(policies=[policy(step("ana"), step("ben"))]).hangs("ana-phone")
    story.at("0:00").fires("Down", severity=severity)
    story.at("0:00:10").page_to("ana")
    story.at(passed_on).page_to("ben", "escalated").line("did not accept the page in time")
    story.at("0:02").answers("ana-phone").is_("triggered").quiet()
    story.at("0:03").resolves("Down").update_to("ana").update_to("ben").at("0:04").end_to("ana").end_to("ben")


def test_a_late_refusal_of_an_earlier_step_moves_nothing() -> None:
    """Ana's page was passed on long ago; that it fails now is only a line."""
    story = Story(policies=[policy(step("ana"), step("ben"), step("cleo"))]).hangs("ana-phone")
    story.at("0:00").fires("Down", severity="critical")
    story.at("0:00:10").page_to("ana")
    story.at("0:00:30").page_to("ben", "escalated")
    story.at("0:01").answers("ana-phone", Outcome.FAILED).line("ana-phone refused for good").quiet()
    story.at("0:05:30").page_to("cleo", "escalated")


def test_a_page_of_unknown_fate_passes_on_at_once() -> None:
    """Given up after an attempt that may have arrived: ben hears now, and ana is still owed the end."""
    story = Story(policies=[policy(step("ana"), step("ben"))]).hangs("ana-phone")
    story.at("0:00").fires("Down", severity="critical")
    story.at("0:00:10").page_to("ana")
    story.at("0:00:15").answers("ana-phone", Outcome.UNKNOWN)
    story.page_to("ben", "escalated").line("may not have got the page")
    story.at("0:02").resolves("Down").update_to("ana").update_to("ben").at("0:03").end_to("ana").end_to("ben")


def test_p4_is_paged_once() -> None:
    """A P4 notifies step 1 and that is all: no second step, no exhaustion, no reminder, no passing on."""
    story = Story(policies=[policy(step("ana"), step("ben"))])
    story.at("0:00").fires("Hint", severity="info")
    story.at("0:00:10").page_to("ana", priority="P4")
    story.at("100:00").is_("triggered", exhausted=False).quiet()


def test_the_built_in_policy_pages_every_receiver_once() -> None:
    """Without any policy every receiver hears once, in the order of the configuration."""
    story = Story(receivers=[Receiver(name="chat"), Receiver(name="mail")], people=())
    story.at("0:00").fires("Down", severity="critical")
    story.at("0:00:10").page_to("chat").page_to("mail").line("no route took it")
    story.at("100:00").is_("triggered", exhausted=False).quiet()


def test_not_notified_because_of_min_priority() -> None:
    """The chat wants P2 and up; a P3 leaves a line that says why, and the rest of the step is paged."""
    chat = Receiver(name="chat", min_priority=Priority.P2)
    story = Story(policies=[policy(step("#chat", "ana"))], receivers=[chat])
    story.at("0:00").fires("Slow", severity="warning")
    story.at("0:00:10").page_to("ana")
    story.line("not notified: receiver:chat, because receiver chat takes P2 and up, this is P3")
    story.at("0:01").resolves("Slow").at("0:01:10").update_to("ana").at("0:02").end_to("ana")


def test_a_step_that_reaches_nobody_passes_on_at_once() -> None:
    """Step 1 names a receiver that wants no P3: there is nobody to wait for, so step 2 hears now."""
    chat = Receiver(name="chat", min_priority=Priority.P2)
    story = Story(policies=[policy(step("#chat"), step("ana"))], receivers=[chat])
    story.at("0:00").fires("Slow", severity="warning")
    story.at("0:00:10").page_to("ana", "escalated").line("nobody of step 1 is notified")


def test_a_raise_out_of_quiet_that_reaches_nobody_passes_on_at_once() -> None:
    """As a P4 it was quiet and its step 1 took nobody; as a P3 that step still takes nobody, so step 2 hears now."""
    chat = Receiver(name="chat", min_priority=Priority.P2)
    rule = Rule(name="slow", match=((Matcher("alertname", Op.EQUAL, "Slow"),),), group_by=())
    story = Story(policies=[policy(step("#chat"), step("ana"))], receivers=[chat], rules=[rule])
    story.at("0:00").fires("Slow", severity="info", n="1")
    story.at("0:00:10").line("receiver chat takes P2 and up, this is P4")
    story.at("0:01").fires("Slow", severity="warning", n="2")
    story.page_to("ana", "escalated", priority="P3").line("nobody of step 1 is notified")


def test_a_policy_that_reaches_nobody_ends_at_the_fallback_at_once() -> None:
    """No step and no repetition has anybody: the fallback is paged in the same instant, once."""
    gone = Receiver(name="gone", send=frozenset({PageKind.RESOLVED}))
    story = Story(
        policies=[policy(step("#gone"), step("#missing"), repeat=100)],
        receivers=[gone, Receiver(name="ops")],
        fallback="ops",
    )
    story.at("0:00").fires("Down")
    story.at("0:00:10").page_to("ops", "escalated").is_("triggered", exhausted=True)
    story.line("does not send pages").line("it is not in the configuration any more")


def test_one_receiver_behind_two_targets_is_paged_once() -> None:
    """Ana and her phone by name in one step are one page."""
    story = Story(policies=[policy(step("ana", "#ana-phone"))])
    story.at("0:00").fires("Down")
    story.at("0:00:10").page_to("ana").quiet()


def test_a_reload_goes_on_with_the_policy_of_the_same_name() -> None:
    """The policy's second step changes under an open incident: the new one is taken."""
    story = Story(policies=[policy(step("ana"), step("ben"))])
    story.at("0:00").fires("Down")
    story.at("0:00:10").page_to("ana")
    story.reload(ruleset(policies=[policy(step("ana"), step("cleo"))], config_hash="beef"))
    story.at("0:05:10").page_to("cleo", "escalated").is_("triggered", config_hash="c0ffee")


def test_a_reload_that_drops_the_policy_goes_on_with_default() -> None:
    """Policy `team` is gone: `default` goes on from where the walk stands, and nothing breaks."""
    rule = Rule(name="r", policy="team")
    story = Story(rule, policies=[policy(step("ana"), step("ben"), name="team")])
    story.at("0:00").fires("Down")
    story.at("0:00:10").page_to("ana")
    story.reload(ruleset(rule, policies=[policy(step("cleo"), remind=None)]))
    story.at("0:05:10").is_("triggered", exhausted=True).line("policy default is exhausted")


def test_open_incidents_keep_the_rule_they_opened_with() -> None:
    """A reload makes the hold an hour; what is open keeps its ten seconds, what is new waits."""
    story = Story(Rule(name="r", hold=seconds(10)), policies=[policy(step("ana"))])
    story.at("0:00").fires("Old")
    story.at("0:00:05").reload(ruleset(Rule(name="r", hold=minutes(60)), policies=[policy(step("ana"))]))
    story.at("0:00:06").fires("New")
    story.at("0:00:10").page_to("ana")
    story.at("1:00").is_("pending", incident=2).at("1:00:06").page_to("ana", incident=2)


def test_no_page_of_the_old_steps_leaves_after_a_raise_to_another_policy() -> None:
    """Ana's page hangs when the incident moves to Ben's policy: hers is called off."""
    story = Story(
        Rule(name="wide", group_by=("cluster",)),
        policies=[policy(step("ana")), policy(step("ben"), name="platform")],
        routes=(Route(policy="platform", priority=frozenset({Priority.P2})),),
    ).hangs("ana-phone")
    story.at("0:00").fires("Slow", cluster="c", severity="warning")
    story.at("0:00:10").page_to("ana")
    story.at("0:00:20").fires("Dead", cluster="c", severity="critical").page_to("ben", "raised")
    story.at("0:01").resolves("Slow", cluster="c").resolves("Dead", cluster="c").at("0:01:20").update_to("ben")
    story.at("0:02").end_to("ben")


def test_every_page_and_every_person_left_out_has_a_line() -> None:
    """The timeline names each page with step, reason and target."""
    story = Story(policies=[policy(step("ana", "#missing"))])
    story.at("0:00").fires("Down")
    story.at("0:00:10").page_to("ana")
    story.line("paged ana by ana-phone (first), step 1 of policy default").line("not notified: receiver:missing")
    assert all(isinstance(line, AppendTimeline) and line.entry.text for line in story._lines)
