"""Beside another pager (`tee`): everything is decided and recorded, nobody is paged."""

from __future__ import annotations

import msgspec

from imd.model.policy import Route
from imd.model.rule import Rule
from tests.core.making import minutes, policy, ruleset, seconds, step
from tests.stories.told import Story

POLICIES = [policy(step("ana"), step("ben"), repeat=2)]


def beside(*rules: Rule, **other: object) -> Story:
    story = Story(*rules, **other)
    return story.reload(msgspec.structs.replace(ruleset(*rules, **other), tee=True))


def test_an_incident_lives_and_nobody_hears() -> None:
    """It opens, changes and ends as ever; its line says who would have been paged, and nothing is exhausted."""
    story = beside(policies=POLICIES)
    story.at("0:00").fires("Down")
    story.at("0:00:10").is_("triggered", exhausted=False)
    story.line("not notified: person:ana, because imd runs beside another pager (tee)")
    story.at("4:00").is_("triggered", exhausted=False).quiet()
    story.at("4:01").resolves("Down").at("4:02").is_("resolved").quiet()


def test_each_policy_of_an_incident_says_whom() -> None:
    story = beside(
        policies=[*POLICIES, policy(step("#chat"), name="chat")],
        routes=(Route(policy="chat", goes_on=True), Route(policy="default")),
    )
    story.at("0:00").fires("Down").at("0:01").quiet()
    story.line("not notified: receiver:chat, because imd runs beside another pager (tee)")
    story.line("not notified: person:ana, because imd runs beside another pager (tee)")


def test_actions_and_restarts_page_nobody_either() -> None:
    """An acknowledgement that lapses, a raise, a reopening, a restart in between."""
    story = beside(policies=[policy(step("ana"), ack_timeout=minutes(30))])
    story.at("0:00").fires("Down").at("0:00:10").acknowledged_by("ben")
    story.restart().at("0:30:10").is_("triggered").at("1:00").restart()
    story.resolves("Down").at("1:02").is_("resolved").at("1:05").fires("Down").at("2:00").is_("triggered").quiet()


def test_set_while_people_are_being_paged_it_ends_what_was_to_come() -> None:
    """Whoever heard hears the end; the next step, the next way and the reminder do not come."""
    rules, told = (Rule(name="r", hold=seconds(0)),), {"policies": POLICIES}
    story = Story(*rules, **told)
    story.at("0:00").fires("Down").page_to("ana")
    story.at("0:01").reload(msgspec.structs.replace(ruleset(*rules, **told), tee=True))
    story.at("0:05:01").line("not notified: person:ben, because imd runs beside another pager (tee)").at("9:00").quiet()
    story.resolves("Down").update_to("ana").at("9:01").end_to("ana").quiet()


def test_taken_away_what_is_new_is_paged() -> None:
    """What opened before stays as it was decided: another pager had it."""
    story = beside(policies=POLICIES)
    story.at("0:00").fires("Old").at("0:10")
    story.reload(ruleset(policies=POLICIES))
    story.at("1:00").quiet().fires("New").at("1:00:10").page_to("ana", incident=2).at("1:04").quiet()
