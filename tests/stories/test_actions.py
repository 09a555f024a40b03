"""What people do to incidents beside acknowledging: put off, hand on, ask for help, regroup, end, report."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from imd.model.event import Outcome
from imd.model.incident import Level, Priority
from imd.model.policy import Route
from imd.model.rule import Matcher, Op, Raise, Rule
from tests.core.making import minutes, person, policy, step
from tests.stories.told import Story


def story(**given: object) -> Story:
    given = {"policies": [policy(step("ana"), step("ben"))], "untold": ["update"]} | given
    return Story(Rule(name="nodes", group_by=("node",)), **given)  # type: ignore[arg-type]


def paged(**given: object) -> Story:
    """Ana was just paged of #1: two alerts on n1 fire."""
    told = story(**given)
    told.at("0:00").fires("Down", node="n1").fires("Slow", node="n1")
    return told.at("0:00:10").page_to("ana")


# -- snooze -----------------------------------------------------------------------------------------------------------


def test_a_snooze_ends_with_a_page_to_its_author_and_then_step_1() -> None:
    told = paged()
    told.at("0:01").does("snooze", "ben", until="2:00").acknowledgement_to("ana").is_("snoozed", acknowledged_by="ben")
    told.at("1:59").quiet().restart()
    told.at("2:00").page_to("ben", "ack_lapsed").is_("triggered").line("snoozed by ben until")
    told.at("2:05").page_to("ana", "escalated")


def test_a_second_snooze_moves_the_end_and_an_ack_makes_it_open_ended() -> None:
    told = paged()
    told.at("0:01").does("snooze", "ana", until="1:00").acknowledgement_to("ana")
    told.at("0:30").does("snooze", "ana", until="3:00").line("in place of the time before")
    told.at("2:00").quiet().acknowledged_by("ana").acknowledgement_to("ana")
    told.at("9:00").quiet().is_("acknowledged")


def test_who_acknowledges_again_has_heard_the_news_and_others_still_hear_it() -> None:
    """Ana has it; it is raised while her first way hangs, and she answers on the second: the first does not follow.
    Ben, to whom she gave it, has not answered by that."""
    rule = Rule(name="all", group_by=(), raises=(Raise(at_least=2, impact=Level.HIGH),))
    people = (person("ana", "push", "sms 1m"), person("ben", "bens"))
    story = Story(rule, policies=[policy(step("ben"))], people=people, untold=["update"])
    story.at("0:00").fires("One", severity="critical").at("0:00:10").page_to("ben")
    story.at("0:01").acknowledged_by("ana").acknowledgement_to("ben").hangs("push").hangs("bens")
    story.at("0:02").does("assign", "ana", to="ben").page_to("ben", "escalated")
    story.fires("Two", severity="critical").page_to("ana", "raised").at("0:02:20").page_to("ana", "raised")
    story.at("0:03").acknowledged_by("ana").line("acknowledged again by ana, whose pages under way are called back")
    assert {one.receiver for one in story._on_the_way} == {"bens"}
    story.at("0:04").acknowledged_by("ana").answers("bens").at("1:00").quiet()
    assert story.told().count("acknowledged again") == 1


def test_a_snooze_needs_an_end_ahead() -> None:
    told = paged()
    told.at("0:02").does("snooze", "ana", until="0:01").refused("must end in the future").is_("triggered")
    told.does("snooze", "ana").refused("needs an end")


def test_a_snooze_before_the_page_means_no_page() -> None:
    told = story()
    told.at("0:00").fires("Down", node="n1").at("0:00:05").does("snooze", "ana", until="1:00")
    told.at("0:59").quiet()
    told.at("1:00").page_to("ana", "ack_lapsed")


# -- people -----------------------------------------------------------------------------------------------------------


def test_an_assignee_is_paged_and_the_escalation_goes_on() -> None:
    told = paged()
    told.at("0:01").does("assign", "ana", to="cleo").page_to("cleo", "escalated").is_("triggered", assignee="cleo")
    told.does("assign", "ana", to="cleo").quiet()
    told.at("0:05:10").page_to("ben", "escalated")


def test_who_takes_it_for_himself_is_not_paged() -> None:
    told = paged()
    told.at("0:01").does("assign", "ana", to="ana").quiet().is_("triggered", assignee="ana")
    told.does("assign", "ana", to="zoe").refused("nobody of the name zoe")


def test_a_responder_is_paged_once_beside_the_policy() -> None:
    told = paged()
    told.at("0:01").acknowledged_by("ana").acknowledgement_to("ana")
    told.at("0:02").does("responder", "ana", to="cleo").page_to("cleo", "escalated").is_("acknowledged")
    told.does("responder", "ana", to="person:cleo").quiet().is_("acknowledged", responders=("person:cleo",))
    told.does("responder", "ana", to="team:none").refused("there is no team:none")
    told.at("0:03").resolves("Down", node="n1").resolves("Slow", node="n1")
    told.at("0:04:00").end_to("ana").end_to("cleo")


def test_escalating_now_takes_the_next_step_also_from_who_has_it() -> None:
    told = paged()
    told.at("0:01").does("escalate", "ana").page_to("ben", "escalated").line("ana asks for it")
    told.does("escalate", "ana").refused("has no further escalation step")
    other = paged()
    other.at("0:01").acknowledged_by("ana").acknowledgement_to("ana")
    other.at("0:02").does("escalate", "ana").page_to("ben", "escalated").is_("triggered", acknowledged_by="")


# -- regrouping -------------------------------------------------------------------------------------------------------


def two() -> Story:
    told = paged()
    told.at("0:01").fires("Down", node="n2").at("0:01:10").page_to("ana", incident=2)
    return told


def test_what_is_merged_by_hand_ends_for_its_receivers_and_its_key_goes_along() -> None:
    told = two()
    told.at("0:02").does("merge", "ana", incident=2, into=1).end_to("ana", 2).is_(
        "merged", 2, merged_into="i000000000001"
    )
    told.is_("triggered", firing=3).does("merge", "ana", incident=2, into=1)
    told.at("0:02:10")
    told.restart().at("0:03").fires("Slow", node="n2").incidents(2).is_("triggered", firing=4)
    told.at("0:03:10").at("0:05:10").page_to("ben", "escalated")


def test_the_older_may_be_merged_into_the_younger() -> None:
    told = two()
    told.at("0:02").does("merge", "ana", incident=1, into=2).end_to("ana", 1).is_("merged").is_(
        "triggered", 2, firing=3
    )
    told.does("ack", "ana", incident=1).refused("is merged")
    told.at("0:02:10")


def test_only_open_incidents_are_merged() -> None:
    told = two()
    told.at("0:02").does("merge", "ana", incident=1, into=1).refused("into itself")
    told.does("merge", "ana", incident=1, into=9).refused("is not open")


def test_what_is_split_off_is_an_incident_of_its_own_and_the_key_stays() -> None:
    told = paged()
    told.at("0:01").does("split", "ana", alerts=["Slow"], note="another cause").page_to("ana", incident=2)
    told.is_("triggered", firing=1).is_("triggered", 2, firing=1, split_from="i000000000001").line("taken out into #2")
    told.at("0:01:10").restart().at("0:02").fires("Hot", node="n1").incidents(2).is_("triggered", firing=2)
    told.at("0:02:10").resolves("Slow", node="n1")
    told.at("0:03:10").end_to("ana", 2).is_("resolved", 2).is_("triggered")


def test_a_split_leaves_something_and_takes_nothing_suppressed() -> None:
    told = paged()
    told.at("0:01").does("split", "ana", alerts=["Slow", "Down"]).refused("nothing would be left")
    told.does("split", "ana").refused("no fingerprints")
    told.silenced("1:00", alertname="Slow").does("split", "ana", alerts=["Slow"]).refused("a suppressed alert")


# -- ends and beginnings ----------------------------------------------------------------------------------------------


def ended() -> Story:
    told = paged()
    told.at("0:02").resolves("Down", node="n1").resolves("Slow", node="n1")
    return told.at("0:03").end_to("ana").is_("resolved")


@pytest.mark.parametrize("outcome", [Outcome.CANCELLED, Outcome.UNKNOWN])
def test_whoever_resolves_what_ended_by_itself_ends_its_pages_too(outcome: Outcome) -> None:
    """One hangs still: it is called back, and who may have had it hears that it is over. Again, it changes nothing."""
    told = paged().hangs("ben-phone").settles_late().at("0:05:10").page_to("ben", "escalated").at("0:06")
    told.resolves("Down", node="n1").resolves("Slow", node="n1").at("0:07").end_to("ana").end_to("ben").is_("resolved")
    told.resolved_by("ana").line("resolved again by ana: pages under way are called back").settles_as(outcome)
    told.resolved_by("ana").at("1:00").quiet().is_("resolved")
    assert told.told().count("resolved again") == 1
    assert not told.incident().awaited


@pytest.mark.parametrize("outcome", [Outcome.CANCELLED, Outcome.UNKNOWN])
def test_whoever_closes_what_ended_by_itself_ends_its_pages_too(outcome: Outcome) -> None:
    """As one that resolves it: nobody is woken at night for what was reviewed and put away."""
    told = paged().hangs("ben-phone").settles_late().at("0:05:10").page_to("ben", "escalated").at("0:06")
    told.resolves("Down", node="n1").resolves("Slow", node="n1").at("0:07").end_to("ana").end_to("ben").is_("resolved")
    told.does("close", "ana", outcome="fixed").line("closed by ana: outcome fixed; pages under way are called back")
    told.settles_as(outcome).at("1:00").quiet().is_("closed")
    assert not told.incident().awaited


def _merge(told: Story) -> None:
    told.fires("Down", node="n2").at("0:06:10").page_to("ana", incident=2)
    told.does("merge", "ana", into=2)


def _come_back_and_calm(told: Story) -> None:
    _end_by_themselves(told)
    told.at("0:10").fires("Down", node="n1").at("0:10:05").resolves("Down", node="n1").is_("resolved", reopened=1)


def _end_by_themselves(told: Story) -> None:
    told.resolves("Down", node="n1").resolves("Slow", node="n1").at("0:07")


def _resolve_then_close(told: Story) -> None:
    _end_by_themselves(told)
    told.does("close", "ana")


def _resolve_again(told: Story) -> None:
    _end_by_themselves(told)
    told.resolved_by("ana")


ENDS: dict[str, tuple[Callable[[Story], object], bool]] = {
    "its alerts resolve": (_end_by_themselves, True),
    "they come back and end within hold": (_come_back_and_calm, True),
    "resolved by hand": (lambda told: told.resolved_by("ana", force=True), False),
    "resolved by hand when it was over": (_resolve_again, False),
    "closed when it was over": (_resolve_then_close, False),
    "acknowledged": (lambda told: told.acknowledged_by("ana"), False),
    "snoozed": (lambda told: told.does("snooze", "ana", until="9:00"), False),
    "merged": (_merge, False),
    "suppressed": (lambda told: told.paused("9:00"), False),
}


@pytest.mark.parametrize("how", ENDS)
def test_which_pages_that_are_owed_still_leave(how: str) -> None:
    """Ben's telephone takes nothing while it ends: the table of docs/receivers.md, a row each."""
    end, leaves = ENDS[how]
    told = paged(untold=["update", "acknowledged", "resolved"]).hangs("ben-phone").settles_late()
    told.at("0:05:10").page_to("ben", "escalated").at("0:06")
    end(told)
    called_off = [one.number for one in told._called_off or [] if one.receiver == "ben-phone" and one.kind == "page"]
    assert called_off == ([] if leaves else [1])


def test_reopened_by_hand_it_is_paged_and_stays_until_a_person_ends_it() -> None:
    told = ended()
    told.at("0:10").does("reopen", "ben", note="not over").page_to("ana", "reopened").is_("triggered", reopened=1)
    told.does("reopen", "ben").quiet()
    told.at("0:15").page_to("ben", "escalated").restart()
    told.acknowledged_by("ben").acknowledgement_to("ana").acknowledgement_to("ben").at("30:00").is_("acknowledged")
    told.resolved_by("ben").end_to("ana").end_to("ben").is_("resolved")


def test_reopened_by_hand_its_alerts_end_it_once_they_came_and_went() -> None:
    told = ended()
    told.at("0:10").does("reopen", "ben").page_to("ana", "reopened").acknowledged_by("ana").acknowledgement_to("ana")
    told.at("0:20").fires("Down", node="n1").at("0:25").resolves("Down", node="n1")
    told.at("0:26").end_to("ana").is_("resolved")


def test_closing_says_how_it_ended_and_only_what_is_resolved_is_closed() -> None:
    told = paged()
    told.at("0:01").does("close", "ana", outcome="fixed").refused("is triggered: close is not possible")
    told = ended()
    told.does("close", "ana", outcome="fixed", cause="capacity", actionable=True)
    told.is_("closed", outcome="fixed", cause="capacity", actionable=True).line("closed by ana: outcome fixed, cause")
    told.does("close", "ben", outcome="other").is_("closed", outcome="fixed")
    told.does("reopen", "ben").refused("is closed")
    told.at("0:05").fires("Down", node="n1").at("0:05:10").page_to("ana", incident=2)


@pytest.mark.parametrize("restarted", [False, True])
def test_what_ended_long_ago_takes_notes_and_closing_and_nothing_else(restarted: bool) -> None:
    told = ended()
    told.at("30:00")
    assert not told.engine.state.incidents, "it left memory"
    told.does("note", "ana", note="found in the review").note_to("ana")
    if restarted:
        told.restart()
    told.does("note", "ana", note="one more").note_to("ana").line("found in the review").line("one more")
    told.does("close", "ana", outcome="fixed").is_("closed", outcome="fixed")
    told.does("reopen", "ana").refused("is closed")
    told.at("31:00")
    assert not told.engine.state.incidents
    told.does("reopen", "ana").refused("takes no more than notes and closing")
    told.fires("Down", node="n1").incidents(2)


# -- reports ----------------------------------------------------------------------------------------------------------


def test_a_report_is_paged_at_once_and_ends_by_hand_alone() -> None:
    routes = (Route(match=((Matcher("team", Op.EQUAL, "shop"),),), policy="shop"),)
    told = story(policies=[policy(step("ana")), policy(step("ben"), name="shop", remind=minutes(60))], routes=routes)
    told.at("0:00").reports("checkout is slow", labels={"team": "shop"}, priority=Priority.P2).page_to(
        "ben", priority="P2"
    )
    told.is_("triggered", title="checkout is slow", policy="shop", reported_by="ana", rule="reported")
    told.reports("checkout is slow", labels={"team": "shop"}).incidents(1)
    told.restart().at("0:05").is_("triggered", exhausted=True)
    told.at("1:05").page_to("ben", "repeated")
    told.resolved_by("ben").end_to("ben").is_("resolved")


def test_a_report_may_name_its_policy() -> None:
    told = story(policies=[policy(step("ana")), policy(step("ben"), name="shop")])
    told.at("0:00").reports("the door is open", policy="shop").page_to("ben", priority="P3").line("ana asks for it")
    told.at("0:00:30").does("merge", "ana", into=1).refused("into itself")
    told.fires("Down", node="n1").at("0:00:40").page_to("ana", incident=2)
    told.does("merge", "ben", incident=2, into=1).end_to("ana", 2).is_("triggered", firing=1, policy="shop", kept=False)
