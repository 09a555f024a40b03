"""Which policies an incident walks through: hours of routes, several routes at once, and nobody for now."""

from __future__ import annotations

from datetime import timedelta

import pytest

from imd.model.incident import Priority
from imd.model.policy import NOBODY, PageKind, Policy, Receiver, Route
from imd.model.quiet import TimeInterval, Weekly
from imd.model.rule import Matcher, Op, Rule
from tests.core.making import minutes, policy, ruleset, seconds, step
from tests.stories.told import Story


def hours(begins: float, ends: float, *weekdays: int) -> TimeInterval:
    window = Weekly(weekdays=weekdays, begins=timedelta(hours=begins), ends=timedelta(hours=ends))
    return TimeInterval(weekly=(window,))


TIMES = {"office": hours(9, 17), "lunch": hours(12, 13)}
POLICIES = [
    policy(step("ana"), step("ben", wait=minutes(600)), name="shop", remind=None),
    policy(step("cleo", wait=minutes(600)), remind=None),
    policy(step("#chat"), name="chat", remind=None),
    Policy(name=NOBODY, steps=()),
]
QUIET = frozenset({PageKind.PAGE})
RECEIVERS = [Receiver(name=name, send=QUIET) for name in ("chat", "ops", "ana-phone", "ben-phone", "cleo-phone")]
WIDE = Rule(name="wide", group_by=(), hold=seconds(0))


def a_story(*routes: Route, rule: Rule = WIDE, **other: object) -> Story:
    return Story(rule, policies=POLICIES, receivers=RECEIVERS, routes=routes, times=TIMES, **other)  # type: ignore[arg-type]


@pytest.mark.parametrize(("at", "who"), [("8:59:59", "cleo"), ("9:00", "ana"), ("16:59:59", "ana"), ("17:00", "cleo")])
def test_during(at: str, who: str) -> None:
    """In its hours the route takes the incident; outside it the next one does, here `default`."""
    story = a_story(Route(policy="shop", during="office"))
    story.at(at).fires("Down").page_to(who)
    story.line("policy shop: route 1 (during office)" if who == "ana" else "outside its hours: route 1 (during office)")


@pytest.mark.parametrize(("at", "who"), [("11:59", "ana"), ("12:30", "cleo"), ("13:00", "ana"), ("18:00", "cleo")])
def test_except(at: str, who: str) -> None:
    """Both together: in the office's hours, but not at lunch."""
    story = a_story(Route(policy="shop", during="office", but="lunch"))
    story.at(at).fires("Down").page_to(who)


def test_hours_that_end_do_not_end_a_walk() -> None:
    """The routes are read when the incident triggers: at 17:00 the policy begun at 16:58 goes on."""
    story = a_story(Route(policy="shop", during="office"))
    story.at("16:58").fires("Down").page_to("ana").at("17:03").page_to("ben", "escalated").at("24:00").quiet()


# Nobody for now.

BY_DAY = (Route(policy="shop", during="office"), Route(policy=NOBODY))


def test_paged_by_day_only() -> None:
    """At night nobody is paged and the record says when the routes are read again; at nine Ana is, with all that
    follows."""
    story = a_story(*BY_DAY)
    story.at("2:00").fires("Down").quiet()
    story.line("policy nobody: route 2; outside its hours: route 1 (during office)")
    story.line("not notified: anybody, because policy nobody pages nobody")
    story.line("the routes are read again at 2026-01-01 09:00 UTC")
    story.at("9:00").page_to("ana").line("policy shop: route 1 (during office)")
    story.at("9:05").page_to("ben", "escalated").is_("triggered", policy="shop")


def test_what_is_silenced_waits_for_no_hours() -> None:
    """Silenced before it was paged, taken and given back: routes are read when the silence ends, not at nine."""
    story = a_story(*BY_DAY, rule=Rule(name="held", group_by=()))
    story.at("8:00").fires("Down").at("8:00:05").silenced("9:30", alertname="Down").acknowledged_by("ana")
    story.unacknowledged_by("ana").is_("triggered", timers={}).at("9:29").quiet()
    story.at("9:30").page_to("ana").is_("triggered", policy="shop")


def test_a_chat_hears_at_night_what_waits_for_the_morning() -> None:
    """Its policy ends after five minutes, and that calls nobody: the incident is not exhausted, it waits. At nine Ana
    is paged; the fallback once hers is at its end too."""
    story = a_story(Route(policy="chat", goes_on=True), *BY_DAY, fallback="ops")
    story.at("2:00").fires("Down").page_to("chat").at("2:06").line("policy chat is exhausted").is_(
        "triggered", policy=NOBODY, exhausted=False
    )
    story.at("8:59").quiet().at("9:00").page_to("ana").at("9:05").page_to("ben", "escalated")
    story.at("19:05").page_to("ops", "escalated").is_("triggered", exhausted=True)


def test_what_is_over_in_the_morning_pages_nobody() -> None:
    """Resolved at six, or acknowledged: nine o'clock is quiet."""
    story = a_story(*BY_DAY, rule=Rule(name="each", hold=seconds(0)))
    story.at("2:00").fires("Down").at("3:00").fires("Slow").acknowledged_by("ben", incident=2)
    story.at("6:00").resolves("Down").at("12:00").quiet().is_("acknowledged", incident=2)


def test_a_raise_does_not_wait_for_the_morning() -> None:
    """P3 waits; the P2 that it becomes is the night's."""
    night = Route(policy="default", priority=frozenset({Priority.P1, Priority.P2}))
    story = a_story(night, *BY_DAY)
    story.at("2:00").fires("Slow", severity="warning").quiet()
    story.at("3:00").fires("Down", severity="critical").page_to("cleo", "raised").is_("triggered", policy="default")
    story.at("9:30").quiet()


def test_what_was_acknowledged_in_the_night_does_not_wait_when_it_is_raised() -> None:
    """Somebody has it: hours that begin page nobody, until it is given back."""
    story = a_story(*BY_DAY)
    story.at("2:00").fires("Slow", severity="warning").acknowledged_by("ben").at("3:00")
    story.fires("Down", severity="critical").page_to("ben", "raised").at("9:30").quiet()
    story.unacknowledged_by("ben").page_to("ana", "repeated")


def test_waiting_for_the_morning_survives_restart_reload_and_a_set_clock() -> None:
    """It goes by the wall clock, under the routes as they are then."""
    story = a_story(*BY_DAY)
    story.at("2:00").fires("Down").restart().at("3:00").clock_jumps("1:00").at("5:00")
    times = {"office": hours(10, 17)}
    story.reload(ruleset(WIDE, policies=POLICIES, receivers=RECEIVERS, routes=BY_DAY, times=times))
    story.at("9:30").quiet().at("10:00").page_to("ana")


def test_an_acknowledgement_that_lapses_in_the_night_waits_again() -> None:
    """Its author is paged, and the routes are read again: still nobody, until nine."""
    nobody = [one for one in POLICIES if one.name != NOBODY] + [Policy(name=NOBODY, steps=(), ack_timeout=minutes(30))]
    story = Story(WIDE, policies=nobody, receivers=RECEIVERS, routes=BY_DAY, times=TIMES)
    story.at("2:00").fires("Down").at("2:10").acknowledged_by("ben").at("2:40").page_to("ben", "ack_lapsed")
    story.at("9:00").page_to("ana")


def test_a_weekend_is_waited_out() -> None:
    """Thursday to Monday: hours on one weekday alone are found."""
    times = {"office": hours(9, 17, 0)}
    story = Story(WIDE, policies=POLICIES, receivers=RECEIVERS, routes=BY_DAY, times=times)
    story.at("2:00").fires("Down").at("104:59").quiet().at("105:00").page_to("ana")


# Several routes at once.

BOTH = (Route(policy="chat", goes_on=True), Route(policy="shop"), Route(policy="default"))


def test_continue_pages_by_both_policies() -> None:
    """The chat hears it and Ana does, Ben after her; the route behind the one without `continue` is not tried."""
    story = a_story(*BOTH, fallback="ops")
    story.at("0:00").fires("Down").page_to("chat").page_to("ana").is_("triggered", policy="shop")
    story.line("policy chat: route 1").line("policy shop: route 2")
    story.at("0:05").page_to("ben", "escalated").line("policy chat is exhausted").at("9:00").quiet()


def test_the_fallback_hears_once_all_policies_are_exhausted() -> None:
    """The chat's policy ends after five minutes, and that is no alarm: Ana's and Ben's goes on until it ends too."""
    story = a_story(*BOTH, fallback="ops")
    story.at("0:00").fires("Down").page_to("chat").page_to("ana")
    story.at("0:05").page_to("ben", "escalated").at("10:05").page_to("ops", "escalated")
    story.is_("triggered", exhausted=True)


def test_an_answer_stops_both() -> None:
    """One acknowledgement, and neither policy goes on."""
    story = a_story(Route(policy="shop", goes_on=True), Route(policy="default"))
    story.at("0:00").fires("Down").page_to("ana").page_to("cleo").at("0:01").acknowledged_by("ana")
    story.at("40:00").quiet().is_("acknowledged", timers={})


def test_taking_it_back_starts_both_again() -> None:
    """Both from step 1."""
    story = a_story(Route(policy="shop", goes_on=True), Route(policy="default"))
    story.at("0:00").fires("Down").page_to("ana").page_to("cleo").at("0:01").acknowledged_by("ana")
    story.at("0:10").unacknowledged_by("ana").page_to("ana", "repeated").page_to("cleo", "repeated")
    story.at("0:15").page_to("ben", "escalated")


def test_whom_both_policies_name_hears_once() -> None:
    """One page to the chat, though two policies begin with it."""
    two = [policy(step("#chat", "ana"), name="a"), policy(step("#chat", "ben"))]
    story = Story(
        WIDE, policies=two, receivers=RECEIVERS, routes=(Route(policy="a", goes_on=True), Route(policy="default"))
    )
    story.at("0:00").fires("Down").page_to("chat").page_to("ana").page_to("ben").quiet()
    story.line("not notified: receiver:chat, because it has this page already")


def test_only_routes_with_continue_leave_no_default() -> None:
    """As in Alertmanager: what some route took does not come to `default` as well."""
    story = a_story(Route(policy="chat", goes_on=True))
    story.at("0:00").fires("Down").page_to("chat").is_("triggered", policy="chat").quiet()


def test_a_policy_chosen_twice_is_one() -> None:
    """Two routes to the same policy: its steps come once."""
    story = a_story(Route(policy="shop", goes_on=True), Route(policy="shop"))
    story.at("0:00").fires("Down").page_to("ana").at("0:05").page_to("ben", "escalated")


def test_a_rules_own_policy_is_the_only_one() -> None:
    """`policy` of a rule wins over routes, those with `continue` too."""
    story = a_story(*BOTH, rule=Rule(name="own", policy="default", hold=seconds(0)))
    story.at("0:00").fires("Down").page_to("cleo").quiet()


def test_a_raise_keeps_what_stays_begins_what_is_new_and_leaves_what_is_gone() -> None:
    """P3: chat and shop. P2: chat and default. The chat hears it again, Cleo begins, Ben is not reached any more."""
    urgent = Route(policy="default", priority=frozenset({Priority.P1, Priority.P2}))
    story = a_story(BOTH[0], urgent, BOTH[1])
    story.at("0:00").fires("Slow", severity="warning").page_to("chat").page_to("ana")
    story.at("0:01").fires("Down", severity="critical").page_to("cleo", "raised").page_to("chat", "raised")
    story.is_("triggered", policy="default").at("9:00").quiet()


def test_the_incidents_own_policy_may_become_one_beside_it() -> None:
    """Shop alone at P3, shop and default at P2: shop goes on from its step with its time."""
    urgent = (Priority.P1, Priority.P2)
    story = a_story(
        Route(policy="shop", goes_on=True),
        Route(policy="default", priority=frozenset(urgent)),
    )
    story.at("0:00").fires("Slow", severity="warning").page_to("ana").is_("triggered", policy="shop")
    story.at("0:04").fires("Down", severity="critical").page_to("cleo", "raised").page_to("ana", "raised")
    story.is_("triggered", policy="default").restart().at("0:05").page_to("ben", "escalated")


def test_the_strictest_ack_timeout_counts() -> None:
    """Half an hour by one policy, none by the other: it lapses after half an hour, and both begin again."""
    two = [policy(step("ana"), name="a", ack_timeout=minutes(30)), policy(step("ben", wait=minutes(7)))]
    story = Story(
        WIDE, policies=two, receivers=RECEIVERS, routes=(Route(policy="a", goes_on=True), Route(policy="default"))
    )
    story.at("0:00").fires("Down").page_to("ana").page_to("ben").at("0:01").acknowledged_by("cleo")
    story.at("0:31").page_to("cleo", "ack_lapsed")
    story.at("0:36").page_to("ana", "escalated").at("0:38").page_to("ben", "escalated")


def test_both_survive_a_restart() -> None:
    """Each with its own step and time."""
    two = [
        policy(step("ana"), step("ana", wait=minutes(60)), name="a"),
        policy(step("ben", wait=minutes(7)), step("cleo")),
    ]
    story = Story(
        WIDE, policies=two, receivers=RECEIVERS, routes=(Route(policy="a", goes_on=True), Route(policy="default"))
    )
    story.at("0:00").fires("Down").page_to("ana").page_to("ben").at("0:03").restart()
    story.at("0:05").page_to("ana", "escalated").restart().at("0:07").page_to("cleo", "escalated")


def test_a_refusal_passes_on_in_its_own_policy() -> None:
    """The chat refuses: its policy goes on, that of Ana and Ben does not."""
    two = [policy(step("#chat"), step("cleo"), name="a"), policy(step("ana", wait=minutes(60)), step("ben"))]
    story = Story(
        WIDE, policies=two, receivers=RECEIVERS, routes=(Route(policy="a", goes_on=True), Route(policy="default"))
    ).refuses("chat")
    story.at("0:00").fires("Down").page_to("chat").page_to("ana").page_to("cleo", "escalated").at("0:04").quiet()


def test_of_a_p4_the_first_steps_of_both_hear_once() -> None:
    """And nothing follows in either."""
    story = a_story(*BOTH)
    story.at("0:00").fires("Hint", severity="info").page_to("chat").page_to("ana").at("40:00").quiet()


def test_reminders_once_all_are_exhausted() -> None:
    """Each policy in its own time; the fallback with the incident's own."""
    two = [
        policy(step("#chat"), name="a", remind=minutes(60)),
        policy(step("ana", wait=minutes(10)), remind=minutes(120)),
    ]
    story = Story(
        WIDE, policies=two, receivers=RECEIVERS, fallback="ops",
        routes=(Route(policy="a", goes_on=True), Route(policy="default")),
    )  # fmt: skip
    story.at("0:00").fires("Down").page_to("chat").page_to("ana").at("0:10").page_to("ops", "escalated")
    story.at("1:10").page_to("chat", "repeated")
    story.at("2:10").page_to("chat", "repeated").page_to("ana", "repeated").page_to("ops", "repeated")
    story.at("2:20").acknowledged_by("ana").at("60:00").quiet()


def test_the_fallback_is_reminded_also_where_the_incidents_own_policy_does_not() -> None:
    """Only the policy beside it reminds: the fallback hears with it."""
    two = [policy(step("#chat"), name="a", remind=minutes(60)), policy(step("ana"), remind=None)]
    story = Story(
        WIDE, policies=two, receivers=RECEIVERS, fallback="ops",
        routes=(Route(policy="a", goes_on=True), Route(policy="default")),
    )  # fmt: skip
    story.at("0:00").fires("Down").page_to("chat").page_to("ana").at("0:05").page_to("ops", "escalated")
    story.at("1:05").page_to("chat", "repeated").page_to("ops", "repeated")


def test_routes_see_labels_as_before() -> None:
    """Hours change nothing of what a route sees."""
    match = ((Matcher("team", Op.EQUAL, "shop"),),)
    story = a_story(Route(policy="shop", match=match, during="office"), rule=Rule(name="each", hold=seconds(0)))
    story.at("10:00").fires("Down", team="shop").page_to("ana").fires("Slow", team="else").page_to("cleo", incident=2)
