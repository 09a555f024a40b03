"""Targets of a priority: what is late is said and counted, once, and wakes nobody."""

from __future__ import annotations

from datetime import timedelta

import pytest

from imd.model.incident import Level, Priority
from imd.model.rule import PriorityTable, PriorityTarget, Raise, Rule
from tests.core.making import policy, step
from tests.stories.told import Story

ANA = [policy(step("ana"))]
ACK = "not acknowledged within {}, the target of {}"
RESOLVE = "not resolved within {}, the target of {}"
P2, P1 = (
    PriorityTarget(ack=timedelta(minutes=30), resolve=timedelta(hours=8)),
    PriorityTarget(ack=timedelta(minutes=15), resolve=timedelta(hours=4)),
)


def story(rule: Rule, **targets: PriorityTarget) -> Story:
    table = PriorityTable(targets={Priority(word): target for word, target in targets.items()})
    return Story(rule, policies=ANA, priority=table, untold=("update", "acknowledged"))


def rule(**given: object) -> Rule:
    return Rule(name="r", group_by=("cluster",), urgency=Level.HIGH, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("restarted", [False, True])
def test_nobody_answers_in_time(restarted: bool) -> None:
    """A line for each target that was missed, also over a restart; the pages are the policy's."""
    told = story(rule(), P2=P2)
    told.at("0:00").fires("Down", cluster="c1").at("0:00:10").page_to("ana")
    if restarted:
        told.restores()
    told.at("0:29:59")
    assert "target" not in told.told()
    told.at("0:30").line(ACK.format("30m", "P2")).at("3:00").acknowledged_by("ana")
    told.at("7:59:59")
    assert "resolved within" not in told.told()
    told.at("8:00").line(RESOLVE.format("8h", "P2")).at("24:00")
    assert told.told().count("target") == 2


def test_an_answer_in_time_is_one_whatever_comes_of_it() -> None:
    """Acknowledged and taken back: somebody has answered in time. Resolved in time: nothing is late."""
    told = story(rule(), P2=P2)
    told.at("0:00").fires("Down", cluster="c1").at("0:00:10").page_to("ana")
    told.at("0:05").acknowledged_by("ana").at("0:10").unacknowledged_by("ana").page_to("ana", "repeated")
    told.at("4:00").resolves("Down").at("4:01").end_to("ana").at("24:00")
    assert "target" not in told.told()


def test_an_answer_before_the_page_leaves_the_second_target() -> None:
    """Acknowledged while pending: nobody is paged, and it should be resolved in time all the same."""
    told = story(rule(), P2=P2)
    told.at("0:00").fires("Down", cluster="c1").at("0:00:05").acknowledged_by("ana").at("8:00").line(
        RESOLVE.format("8h", "P2")
    )
    assert "acknowledged within" not in told.told()


def test_a_raise_brings_the_targets_of_the_new_priority() -> None:
    """Counted from the opening, so what is raised late may be late at once; what was missed once is that."""
    told = story(rule(raises=(Raise(at_least=2, impact=Level.HIGH),)), P1=P1)
    told.at("0:00").fires("Down", cluster="c1").at("0:00:10").page_to("ana")
    told.at("0:40")
    assert "target" not in told.told()
    told.fires("Down", cluster="c1", n="2").page_to("ana", "raised").ticks().line(ACK.format("15m", "P1"))
    told.at("4:00").line(RESOLVE.format("4h", "P1"))
    told = story(rule(raises=(Raise(at_least=2, impact=Level.HIGH),)), P1=P1, P2=P2)
    told.at("0:00").fires("Down", cluster="c1").at("0:00:10").page_to("ana").at("0:40").line(ACK.format("30m", "P2"))
    told.fires("Down", cluster="c1", n="2").page_to("ana", "raised").at("1:00")
    assert told.told().count("not acknowledged") == 1


def test_what_comes_back_has_its_time_anew() -> None:
    told = story(rule(reopen_within=timedelta(hours=12)), P2=P2)
    told.at("0:00").fires("Down", cluster="c1").at("0:00:10").page_to("ana").at("0:30").line(ACK.format("30m", "P2"))
    told.at("0:40").resolves("Down").at("0:41").end_to("ana")
    told.at("9:00").fires("Down", cluster="c1").at("9:00:10").page_to("ana", "reopened").at("9:29:59")
    assert told.told().count("target") == 1
    told.at("9:30")
    assert told.told().count(ACK.format("30m", "P2")) == 2


def test_while_all_is_suppressed_nothing_is_late() -> None:
    told = story(rule(), P2=P2)
    told.at("0:00").fires("Down", cluster="c1").at("0:00:10").page_to("ana")
    told.at("0:01").silenced("2:00", cluster="c1").at("0:30")
    told.line(ACK.format("30m", "P2") + ": not counted, for all that fires is suppressed")
