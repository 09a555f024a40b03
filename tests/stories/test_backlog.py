"""A program's receiver was down and is back: of each incident it hears what holds now, once; what is over is a list."""

from __future__ import annotations

import msgspec
import pytest

from imd.model.event import Outcome
from imd.model.incident import Priority
from imd.model.policy import Receiver
from imd.model.rule import MATCH_ALL, Rule
from tests.core.making import EVERY_KIND, minutes, policy, seconds, step
from tests.stories.told import Story

HOOK = Receiver(name="hook", deliver_within=minutes(60))
P1 = Rule(name="urgent", match=MATCH_ALL, hold=seconds(10), priority=Priority.P1)


def down(*rules: Rule, untold: tuple[str, ...] = (), repeat: int = 0, receiver: Receiver = HOOK) -> Story:
    """The hook takes nothing from the start; the policy goes back to it every ten minutes."""
    policies = [policy(step("#hook", wait=minutes(10)), repeat=repeat, remind=None)]
    return Story(*rules, policies=policies, receivers=[receiver], untold=untold).hangs("hook")


def test_one_page_says_what_holds_now() -> None:
    """First page and repeat are called back; in their place one leaves, with what holds now; what comes later waits."""
    story = down(repeat=2).at("0:00").fires("A").at("0:00:10").page_to("hook")
    story.at("0:10:10").page_to("hook", "repeated")
    story.at("0:15:10").page_to("hook")  # one, to try whether the hook is back
    story.line("not paged yet because hook did not take it in 15 min: hook by hook")
    story.line("paged hook by hook with what holds now, for 2 pages that waited")
    story.at("0:20:10").line("not paged yet because hook takes nothing at present: hook by hook (repeated), step 1")
    story.at("0:30:10").page_to("hook").answers("hook").at("2:00")
    last = story.sent[-1]
    assert last.reason is not None
    assert (last.reason.value, {one.dedup_key for one in story.sent}) == ("first", {last.dedup_key})
    assert not story.incident().awaited
    assert story.incident().told["hook"].heard


def test_the_most_urgent_tries_it_though_all_were_called_back_at_once() -> None:
    """Four pages left in one second. The first of them to be called back, P4, is not the one that goes again."""
    story = down().at("0:00").fires("A", severity="info").fires("B").fires("C", severity="critical").fires("D")
    story.at("0:00:10")
    for number in (1, 2, 3, 4):
        story.page_to("hook", incident=number)
    story.settles_late().at("0:15:10").quiet().settles().page_to("hook", incident=3)
    story.at("0:20").answers("hook").page_to("hook", incident=2).page_to("hook", incident=4)
    story.page_to("hook", incident=1).at("0:21").quiet()


def test_what_began_and_ended_meanwhile_is_a_list_at_the_end() -> None:
    """Nobody was told of it, so nobody hears its end singly; a digest names it, behind what is open."""
    story = down()
    for number, name in enumerate("ABCD"):
        story.at(f"0:0{number}").fires(name).at(f"0:0{number}:10").page_to("hook", incident=number + 1)
    story.at("0:05").resolves("B").resolves("C").at("0:06").end_to("hook", 2).end_to("hook", 3)
    story.at("0:15:10").page_to("hook", incident=1).at("0:30:10").page_to("hook", incident=1)
    story.at("0:40").answers("hook").page_to("hook", incident=4).digest_to("hook", 2, 3)
    story.line("hook is told of it in a digest of 2 incidents", 2)
    assert all(not story.incident(number).awaited for number in range(1, 5))
    story.at("0:50").resolves("A").at("0:51").end_to("hook", 1)


def test_what_was_told_before_gets_its_end() -> None:
    """It was paged for before the outage: its end leaves singly, and the repeats that waited are nothing any more."""
    story = down(repeat=3).answers("hook").at("0:00").fires("A").at("0:00:10").page_to("hook")
    story.at("0:05").hangs("hook").at("0:10:10").page_to("hook", "repeated").at("0:20:10").page_to("hook", "repeated")
    story.at("0:22").fires("B").at("0:22:10").page_to("hook", incident=2)
    story.at("0:25:10").page_to("hook", "repeated").resolves("A").at("0:26:10").end_to("hook")
    story.at("0:40:10").page_to("hook", incident=2).acknowledged_by("ana", 2).answers("hook").at("1:10")
    assert [one.kind.value for one in story.sent if one.number == 1][-1] == "resolved"
    assert not story.incident().awaited


@pytest.mark.parametrize("outcome", [Outcome.ACCEPTED, Outcome.UNKNOWN])
def test_what_may_have_arrived_is_told_again(outcome: Outcome) -> None:
    """Called back after an attempt that may have arrived: rather twice than not at all; it is owed its end, too."""
    story = down().settles_late().at("0:00").fires("A").at("0:00:10").page_to("hook").at("0:15:10")
    story.settles_as(outcome)
    if outcome is Outcome.UNKNOWN:
        story.page_to("hook").line("did not take it in 15 min, or did not say so")
    story.answers("hook").at("0:20").resolves("A").at("0:21").end_to("hook")
    assert not story.incident().awaited


def test_an_answer_ends_what_waits() -> None:
    """Acknowledged while the hook is down: it never hears of it, and the timeline says so."""
    story = down().at("0:00").fires("A").at("0:00:10").page_to("hook").at("0:05").fires("B")
    story.at("0:05:10").page_to("hook", incident=2).at("0:15:10").page_to("hook").at("0:20:10")
    story.acknowledged_by("ana", 2).line("not notified: hook, because it ended before hook was back", 2)
    assert not story.incident(2).told
    story.at("0:30:10").page_to("hook").answers("hook").at("1:00")


def test_what_comes_after_an_answer_is_not_lost_with_what_came_before() -> None:
    """The acknowledgement is taken back while it is not known yet how the page ended that it called off: the hook is
    paged anew, whatever becomes of that one."""
    story = down().at("0:00").fires("A").at("0:00:10").page_to("hook").settles_late()
    story.at("0:16").acknowledged_by("ana").unacknowledged_by("ana").page_to("hook", "repeated").settles()
    story.answers("hook").at("1:00")
    assert story.incident().told["hook"].heard


def test_the_first_page_of_a_p1_never_waits() -> None:
    """Whatever waits before it: it is on its way at once."""
    story = down(P1).at("0:00").fires("A").at("0:00:10").page_to("hook").at("0:15:10").page_to("hook")
    story.at("0:20").fires("B").at("0:20:10").page_to("hook", incident=2)
    story.at("0:25").fires("C").at("0:25:10").page_to("hook", incident=3)


def test_changes_do_not_pile_up() -> None:
    """One update is under way; what changes meanwhile is in the next."""
    story = down(receiver=msgspec.structs.replace(HOOK, send=EVERY_KIND)).answers("hook")
    story.at("0:00").fires("A", pod="1").at("0:00:10").page_to("hook").hangs("hook")
    story.at("0:01").fires("A", pod="2").at("0:01:10").update_to("hook")
    for minute in range(2, 10):
        story.at(f"0:0{minute}").fires("A", pod=str(minute + 1))
    story.at("0:12").answers("hook").update_to("hook").at("0:14")
    news = msgspec.json.decode(story.sent[-1].body)["alerts"]
    assert len(news) == 8


def test_what_comes_back_is_owed_the_end_it_had() -> None:
    """Told of it before the outage; it ended, came back and ended once more: the end that is owed still leaves."""
    story = down().answers("hook").at("0:00").fires("A").at("0:00:10").page_to("hook").hangs("hook")
    story.at("0:01").resolves("A").at("0:02").end_to("hook")
    story.at("0:10").fires("A").at("0:10:10").page_to("hook", "reopened")
    story.at("0:25:10").page_to("hook", "reopened").at("0:29").resolves("A").at("0:30").end_to("hook")
    story.answers("hook").at("1:00")
    assert not story.incident().awaited
    assert not story.incident().told["hook"].ends


@pytest.mark.parametrize("when", ["0:15:05", "0:15:10", "0:20", "0:40:10"])
def test_a_restart_changes_nothing(when: str) -> None:
    def play(restored: bool) -> list[tuple[str, bytes]]:
        story = down(repeat=4, untold=("page", "digest", "update", "resolved"))
        for number, name in enumerate("ABCD"):
            story.at(f"0:0{number}").fires(name)
        story.at("0:05").resolves("B").at(when)
        if restored:
            story.restores()
        story.at("0:41").answers("hook").at("2:00")
        assert all(not story.incident(number).awaited for number in range(1, 5))
        return [(one.id, one.body) for one in story.sent]

    assert play(False) == play(True)


def test_after_a_day_what_is_over_is_given_up() -> None:
    """A hook that never comes back keeps no incident in memory for ever."""
    story = (
        down(untold=("page", "digest", "resolved", "update")).at("0:00").fires("A").fires("B").at("0:05").resolves("B")
    )
    story.at("25:00").line("not notified: hook by hook, because it is over and hook took nothing for a day", 2)
    assert "i000000000002" not in story.engine.state.incidents
    assert story.incident(1).awaited


def test_it_is_gone_after_a_reload() -> None:
    """What waited for a receiver that is no more is sent, so that the outbox says why it fails."""
    story = down(untold=("page",)).at("0:00").fires("A").fires("B").at("0:20")
    story.reload(msgspec.structs.replace(story.ruleset, receivers={"other": Receiver(name="other")}))
    story.answers("hook", Outcome.FAILED).refuses("hook").digest_to("hook", 2).at("2:00")
    assert not story.incident(1).awaited
    assert not story.incident(2).awaited


def test_what_is_called_off_at_last_lets_the_incident_leave_memory() -> None:
    """The only page of what ended long ago waits for the hook to be back. Whoever resolves it again wants none of it:
    nothing keeps the incident any more."""
    story = down(untold=("page", "resolved")).at("0:00").fires("A").at("0:16").fires("B").at("0:16:10")
    story.line("not paged yet because hook takes nothing at present", 2).at("0:17").resolves("B").at("2:00")
    assert "i000000000002" in story.kept.incidents
    story.resolved_by("ana", 2).line("resolved again by ana: pages under way are called back", 2)
    assert "i000000000002" in story.kept.past
