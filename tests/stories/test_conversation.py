"""Which messages a receiver gets of an incident: what `send` names, only of what it was told of, and always the end."""

from __future__ import annotations

import pytest

from imd.model.policy import EscalationStep, PageKind, Policy, Receiver, Target, TargetKind
from imd.model.rule import Rule
from tests.core.making import minutes
from tests.stories.told import Story

CLUSTER = Rule(name="cluster", group_by=("cluster",))


def story(*receivers: Receiver, later: str = "") -> Story:
    """All receivers at once; `later` a step behind them."""
    names = [one.name for one in receivers if one.name != later]
    steps = [EscalationStep(notify=tuple(Target(TargetKind.RECEIVER, name) for name in names), wait=minutes(5))]
    if later:
        steps.append(EscalationStep(notify=(Target(TargetKind.RECEIVER, later),), wait=minutes(5)))
    return Story(CLUSTER, policies=[Policy(name="default", steps=tuple(steps))], receivers=receivers)


def takes(name: str, *kinds: PageKind) -> Receiver:
    return Receiver(name=name, send=frozenset({PageKind.PAGE, *kinds}))


def test_each_kind_goes_to_those_who_want_it() -> None:
    """Four chats, four tastes."""
    told = story(
        takes("pages"),
        takes("changes", PageKind.UPDATE),
        takes("people", PageKind.ACKNOWLEDGED, PageKind.NOTE),
        takes("ends", PageKind.RESOLVED),
    )
    told.at("0:00").fires("A", cluster="c")
    told.at("0:00:10").page_to("pages").page_to("changes").page_to("people").page_to("ends")
    told.at("0:01").fires("B", cluster="c").at("0:01:10").update_to("changes")
    told.at("0:02").noted_by("ana", "looking").note_to("people")
    told.at("0:03").acknowledged_by("ana").acknowledgement_to("people")
    told.at("0:04").resolves("A", cluster="c").resolves("B", cluster="c").update_to("changes")
    told.at("0:05").end_to("ends").quiet()


def test_who_was_not_told_hears_no_end() -> None:
    """The second step was never reached."""
    told = story(takes("first", PageKind.RESOLVED), takes("second", PageKind.RESOLVED), later="second")
    told.at("0:00").fires("A", cluster="c").at("0:00:10").page_to("first")
    told.at("0:02").resolves("A", cluster="c").at("0:03").end_to("first").quiet()


@pytest.mark.parametrize("restarted", [False, True])
def test_who_was_told_hears_the_end_though_it_was_silenced_meanwhile(restarted: bool) -> None:
    """The silence hushes what comes; the end of what was told is owed, over a restart too, and only once."""
    told = story(takes("chat", PageKind.RESOLVED, PageKind.UPDATE))
    told.at("0:00").fires("A", cluster="c").at("0:00:10").page_to("chat")
    told.at("0:01").silenced("9:00", alertname="A")
    if restarted:
        told.at("0:02").restart()
    told.at("0:30").resolves("A", cluster="c").update_to("chat")
    told.at("0:31").end_to("chat").at("1:00").quiet()


def test_who_never_got_the_page_is_owed_no_end() -> None:
    """It was refused for good: there is nothing to take back."""
    told = story(takes("broken", PageKind.RESOLVED), takes("works", PageKind.RESOLVED))
    told.refuses("broken")
    told.at("0:00").fires("A", cluster="c").at("0:00:10").page_to("broken").page_to("works")
    told.at("0:02").resolves("A", cluster="c").at("0:03").end_to("works").quiet()
