"""Many pages to one receiver: digests, and what they mean for who is waited for and what is owed."""

from __future__ import annotations

import msgspec
import pytest

from imd.core.engine import Engine
from imd.core.page import DIGEST_INCIDENTS_MAX
from imd.core.state import State
from imd.model.digest import Storm
from imd.model.effect import Deliver
from imd.model.event import DeliveryFinished, Outcome, Tick
from imd.model.incident import Priority
from imd.model.owed import pages_owed
from imd.model.policy import PageKind, Receiver
from imd.model.rule import MATCH_ALL, Matcher, Op, Resolve, Rule
from tests.core.making import EVERY_KIND, STORE_ID, T0, minutes, policy, report, ruleset, seconds, step, webhook
from tests.stories.told import Story

CHAT = Receiver(name="chat", send=EVERY_KIND, people=True, deliver_within=seconds(20))
PAGES = frozenset({PageKind.PAGE, PageKind.RESOLVED})


def storm(*steps: object, receiver: Receiver = CHAT, **other: object) -> Story:
    return Story(policies=[policy(*(steps or (step("#chat"), step("ben"))))], receivers=[receiver], **other)  # type: ignore[arg-type]


def burst(story: Story, *names: str) -> Story:
    return story.fire_together([{"alertname": name} for name in names])


def test_more_than_three_in_a_minute_are_a_digest() -> None:
    """Six incidents at once: three pages, and ten seconds later one digest of the other three."""
    story = burst(storm().at("0:00"), "A", "B", "C", "D", "E", "F").at("0:00:10")
    story.page_to("chat", incident=1).page_to("chat", incident=2).page_to("chat", incident=3)
    story.line("not paged singly, in a digest because chat had 3 pages within 60 s: chat by chat (first), step 1", 4)
    story.at("0:00:20").digest_to("chat", 4, 5, 6).line("chat is told of it in a digest of 3 incidents", 4)


def test_a_minute_without_pages_ends_the_storm() -> None:
    """Whatever comes then is paged singly, as ever."""
    story = burst(storm().at("0:00"), "A", "B", "C", "D").at("0:00:10")
    story.page_to("chat", incident=1).page_to("chat", incident=2).page_to("chat", incident=3)
    story.at("0:00:20").digest_to("chat", 4)
    story.at("0:01").fires("E").at("0:01:10").page_to("chat", incident=5)


def test_news_wait_a_minute_for_the_next_digest() -> None:
    """While the storm lasts there is one digest a minute, of what is new."""
    story = burst(storm().at("0:00"), "A", "B", "C", "D").at("0:00:10")
    story.page_to("chat", incident=1).page_to("chat", incident=2).page_to("chat", incident=3)
    story.at("0:00:20").digest_to("chat", 4)
    story.fires("E").at("0:00:40").fires("F").at("0:01").quiet()
    story.at("0:01:20").digest_to("chat", 5, 6)


def test_a_digest_counts_as_the_page() -> None:
    """Escalation waits for it as for any page: the next step hears five minutes after the page, not before."""
    story = burst(storm(untold=["digest"]).at("0:00"), "A", "B", "C", "D").at("0:00:10")
    for number in (1, 2, 3):
        story.page_to("chat", incident=number).at("0:01" if number == 3 else "0:00:10").acknowledged_by("ana", number)
        story.acknowledgement_to("chat", incident=number)
    story.at("0:05").is_("triggered", 4, step=0)
    story.at("0:05:10").page_to("ben", "escalated", incident=4)


def test_an_ack_takes_a_page_out_of_the_digest() -> None:
    """Acknowledged while it waits: it is not in the digest, and nothing is owed for it."""
    story = burst(storm().at("0:00"), "A", "B", "C", "D", "E").at("0:00:10")
    story.page_to("chat", incident=1).page_to("chat", incident=2).page_to("chat", incident=3)
    story.at("0:00:15").acknowledged_by("ana", 4).line("because it ended before the digest left", 4)
    assert not story.incident(4).awaited
    assert not story.incident(4).told
    story.at("0:00:20").digest_to("chat", 5)


def test_closing_what_is_over_takes_its_page_out_of_the_digest() -> None:
    """It ended by itself while its page waited: whoever closes it wants nobody to hear of it any more."""
    quick = Rule(name="quick", group_by=("alertname",), resolve=Resolve(after=seconds(0)))
    story = burst(Story(quick, policies=[policy(step("#chat"))], receivers=[CHAT]).at("0:00"), "A", "B", "C", "D", "E")
    story.at("0:00:10").page_to("chat", incident=1).page_to("chat", incident=2).page_to("chat", incident=3)
    story.at("0:00:15").resolves("D").is_("resolved", 4).resolves("E").is_("resolved", 5)
    story.does("close", "ana", incident=4).line("because it ended before the digest left", 4)
    story.at("0:00:20").digest_to("chat", 5).at("1:00").is_("closed", 4, awaited={})


@pytest.mark.parametrize("restarted", [False, True])
def test_a_digest_names_at_most_500_and_the_others_are_in_the_next(restarted: bool) -> None:
    """None is told of that is not named: each is in one digest, the most urgent first, and is escalated by that one."""
    story = storm(step("#chat", wait=minutes(60)))
    names = [f"A{number:04d}" for number in range(3 + 2 * DIGEST_INCIDENTS_MAX + 1)]
    burst(story.at("0:00"), *names)
    story.at("0:00:10").page_to("chat", incident=1).page_to("chat", incident=2).page_to("chat", incident=3)
    first, second = 4 + DIGEST_INCIDENTS_MAX, 4 + 2 * DIGEST_INCIDENTS_MAX
    story.at("0:00:20").digest_to("chat", *range(4, first)).is_("triggered", first, step=0)
    if restarted:
        story.restart("0:00:00")
    deadline = next(iter(story.incident(second).awaited.values())).deadline_at
    story.at("0:01:20").digest_to("chat", *range(first, second)).line("in a digest of 500 incidents", first)
    assert next(iter(story.incident(second).awaited.values())).deadline_at == deadline, "written once"
    story.at("0:02:20").digest_to("chat", second).at("0:30").quiet()
    assert "told of it" not in story.told(second).partition("0:02:20")[0]


def test_what_waits_for_a_digest_or_a_receiver_is_counted_until_it_is_taken() -> None:
    """As `imd status` tells it: under way, overdue, put off."""

    def counted(story: Story) -> tuple[int, int, int, dict[str, int]]:
        found = pages_owed(story.engine.state.incidents.values(), story.ruleset.receivers, story.now)
        return found.owed, found.overdue, found.waiting, found.receivers

    story = storm(step("#chat", wait=minutes(60)), receiver=msgspec.structs.replace(CHAT, send=PAGES)).hangs("chat")
    burst(story.at("0:00"), "A", "B", "C", "D", "E").at("0:00:10")
    story.page_to("chat", incident=1).page_to("chat", incident=2).page_to("chat", incident=3)
    assert counted(story) == (5, 0, 2, {"chat": 5})
    story.at("0:00:20").digest_to("chat", 4, 5).at("0:05")
    assert counted(story) == (5, 3, 2, {"chat": 5})
    story.at("0:15:10").at("0:15:20").digest_to("chat", 1, 2, 3, 4, 5)
    assert counted(story) == (5, 0, 5, {"chat": 5})
    story.acknowledged_by("ana", 1).digest_to("chat", 2, 3, 4, 5)
    assert counted(story) == (4, 0, 4, {"chat": 4})
    story.answers("chat").at("0:16")
    assert counted(story) == (0, 0, 0, {})


def test_an_ack_calls_a_digest_back() -> None:
    """The chat is down and the digest on its way: acknowledged, one of its incidents leaves it, the others stay."""
    story = storm(step("#chat", wait=minutes(60)))
    burst(story.at("0:00"), "A", "B", "C").at("0:00:10")
    story.page_to("chat", incident=1).page_to("chat", incident=2).page_to("chat", incident=3)
    story.hangs("chat")
    burst(story, "D", "E").at("0:00:30").digest_to("chat", 4, 5)
    story.acknowledged_by("ana", 4).digest_to("chat", 5)
    assert not story.incident(4).awaited
    story.answers("chat").at("0:02").is_("triggered", 5)
    assert story.incident(5).told["chat"].heard
    assert not story.incident(5).awaited


def test_the_end_is_told_in_a_digest_too() -> None:
    """Of what a receiver knows from a digest alone, the end is told in one; of the others singly."""
    story = burst(storm(step("#chat"), receiver=msgspec.structs.replace(CHAT, send=PAGES)).at("0:00"), *"ABCDE")
    story.at("0:00:10").page_to("chat", incident=1).page_to("chat", incident=2).page_to("chat", incident=3)
    story.at("0:00:20").digest_to("chat", 4, 5)
    story.at("0:02").resolve_together([{"alertname": name} for name in "ADE"])
    story.at("0:03").end_to("chat", incident=1)
    story.at("0:03:10").digest_to("chat", 4, 5).is_("resolved", 4)
    assert not any(told.news for told in story.incident(4).told.values())


def test_an_end_that_waits_for_a_digest_while_it_comes_back() -> None:
    """The digest says how it stands, so the chat is owed the end, though no page of its coming back leaves."""
    story = burst(storm(step("#chat"), receiver=msgspec.structs.replace(CHAT, send=PAGES)).at("0:00"), *"ABCD")
    story.at("0:00:10").page_to("chat", incident=1).page_to("chat", incident=2).page_to("chat", incident=3)
    story.at("0:00:20").digest_to("chat", 4)
    story.at("0:02").resolves("D").at("0:03").is_("resolved", 4).at("0:03:05").fires("D").is_("pending", 4)
    story.at("0:03:10").digest_to("chat", 4).at("0:03:12").acknowledged_by("ana", 4).is_("acknowledged", 4)
    story.at("0:05").resolves("D").at("0:06").is_("resolved", 4).at("0:06:10").digest_to("chat", 4)


def test_what_ended_before_the_digest_left_is_said_to_be_over() -> None:
    """Behind what is open: one message says both that it was and that it is over."""
    story = storm(step("#chat"), receiver=msgspec.structs.replace(CHAT, send=PAGES))
    burst(story.at("0:00"), *"ABCD").at("0:00:10")
    story.page_to("chat", incident=1).page_to("chat", incident=2).page_to("chat", incident=3)
    story.at("0:00:20").digest_to("chat", 4)
    burst(story, "E", "F").at("0:00:30").resolves("E").at("0:01:20").digest_to("chat", 5, 6)
    story.at("0:01:30").is_("resolved", 5)
    story.at("0:02:20").digest_to("chat", 5)


def test_the_first_page_of_a_p1_never_waits() -> None:
    """Nor the one that says it has become a P1; what follows of it may."""
    rules = [Rule(name="urgent", match=MATCH_ALL, hold=seconds(10), priority=Priority.P1)]
    story = Story(
        *rules, policies=[policy(step("#chat", wait=minutes(1)), step("#chat", wait=minutes(5)))], receivers=[CHAT]
    )
    burst(story.at("0:00"), *"ABCDE").at("0:00:10")
    for number in range(1, 6):
        story.page_to("chat", incident=number)
    story.at("0:01:10")
    assert all("not paged singly" in story.told(number) for number in (4, 5))
    story.page_to("chat", "escalated", incident=1).page_to("chat", "escalated", incident=2)
    story.page_to("chat", "escalated", incident=3)
    story.at("0:01:20").digest_to("chat", 4, 5)


def test_what_says_nothing_new_waits_a_quarter_of_an_hour() -> None:
    """Paged again with nothing changed since the last digest: the next one is fifteen minutes after it."""
    story = storm(step("#chat", wait=minutes(1)), untold=["page"])
    story.reload(
        msgspec.structs.replace(
            story.ruleset, policies={"default": policy(step("#chat", wait=minutes(2)), repeat=9)}, storm=Storm(pages=1)
        )
    )
    burst(story.at("0:00"), *"ABC").at("0:00:20").digest_to("chat", 2, 3)
    story.at("0:15:19").quiet()
    story.at("0:15:20").digest_to("chat", 2, 3)


def test_a_refused_digest_passes_each_of_its_pages_on() -> None:
    """Nobody is lost in a digest: refused for good, each incident goes to its next step at once."""
    story = burst(storm().at("0:00"), *"ABCDE").at("0:00:10")
    story.page_to("chat", incident=1).page_to("chat", incident=2).page_to("chat", incident=3)
    story.refuses("chat").at("0:00:20").digest_to("chat", 4, 5)
    story.page_to("ben", "escalated", incident=4).page_to("ben", "escalated", incident=5)
    story.line("chat refused the page for good", 4)


def test_a_digest_not_accepted_in_time_passes_on() -> None:
    """Its time runs from when it left."""
    story = burst(storm().at("0:00"), *"ABCD").at("0:00:10")
    story.page_to("chat", incident=1).page_to("chat", incident=2).page_to("chat", incident=3)
    story.hangs("chat").at("0:00:20").digest_to("chat", 4)
    story.at("0:00:39").quiet()
    story.at("0:00:40").page_to("ben", "escalated", incident=4).line("did not accept the page in time", 4)


@pytest.mark.parametrize("when", ["0:00:15", "0:00:20", "0:01:30", "0:15:05", "0:16"])
def test_a_restart_changes_nothing(when: str) -> None:
    """Killed while pages wait, while the digest is under way or between two of them: the same messages follow."""

    def play(restored: bool) -> list[tuple[str, bytes]]:
        story = storm(untold=["page", "digest", "update", "resolved", "acknowledged"])
        burst(story.at("0:00"), *"ABCDEF").at("0:00:15").hangs("chat")
        story.at(when)
        if restored:
            story.restores()
        story.at(max(when, "0:00:31")).acknowledged_by("ana", 5).answers("chat")
        burst(story, "G", "H").at("0:30")
        return [(one.id, one.body) for one in story.sent]

    assert play(False) == play(True)


def test_machines_hear_of_each() -> None:
    """A webhook is no person: every incident leaves singly."""
    story = storm(step("#chat"), receiver=Receiver(name="chat", send=PAGES))
    burst(story.at("0:00"), *"ABCDEF").at("0:00:10")
    for number in range(1, 7):
        story.page_to("chat", incident=number)


def test_it_can_be_turned_off() -> None:
    story = storm(step("#chat"), storm=Storm(enabled=False))
    burst(story.at("0:00"), *"ABCDEF").at("0:00:10")
    for number in range(1, 7):
        story.page_to("chat", incident=number)


def test_six_hundred_incidents_are_a_handful_of_messages() -> None:
    """Every one of them is told of, and acknowledged or not, each is on record as told."""
    rules = ruleset(policies=[policy(step("#chat", wait=minutes(60)))], receivers=[CHAT])
    engine, sent = Engine(rules, State(STORE_ID)), []
    due = T0
    pending = [webhook(*(report({"alertname": f"A{n}"}) for n in range(600)))]
    while due <= T0 + minutes(5):
        for event in [*pending, Tick()]:
            answers = []
            for effect in engine.step(event, due):
                if isinstance(effect, Deliver):
                    sent.append(effect.delivery)
                    answers.append(effect.delivery)
            for one in answers:
                engine.step(
                    DeliveryFinished(
                        delivery=one.id, incident=one.incident, receiver=one.receiver, outcome=Outcome.ACCEPTED
                    ),
                    due,
                )
        pending = []
        due = engine.next_deadline() or T0 + minutes(6)
    kinds = [one.kind.value for one in sent]
    assert kinds.count("page") == 3
    bodies = [msgspec.json.decode(one.body) for one in sent if one.kind is PageKind.DIGEST]
    assert [(len(one["incidents"]), one["truncated"]) for one in bodies] == [(500, 0), (97, 0)]
    assert all(one.told["chat"].heard and not one.awaited for one in engine.state.incidents.values())


def test_a_stale_page_goes_into_a_digest() -> None:
    """The chat is down: after 15 minutes each page is called back, and all of them are one message, as things stand."""
    story = storm(step("#chat"), receiver=msgspec.structs.replace(CHAT, send=PAGES))
    story.hangs("chat").at("0:00").fires("A").at("0:00:10").page_to("chat", incident=1)
    story.at("0:05").fires("B").at("0:05:10").page_to("chat", incident=2)
    story.at("0:06").resolves("A").at("0:07").end_to("chat", incident=1).is_("resolved", 1)
    story.at("0:15:20").digest_to("chat", 1)
    story.line("not paged singly, in a digest because chat did not take it in 15 min: chat by chat", 1)
    story.at("0:30:20").digest_to("chat", 2, 1)  # called back in its turn, with what became stale meanwhile
    story.answers("chat").at("1:00")
    assert story.incident(1).told["chat"].heard
    assert not story.incident(2).awaited


def test_an_ack_of_a_stale_page_ends_it() -> None:
    """Acknowledged while imd waits to hear what became of the page that was called back: it goes nowhere."""
    story = storm(step("#chat"), receiver=msgspec.structs.replace(CHAT, send=PAGES)).hangs("chat").settles_late()
    story.at("0:00").fires("A").at("0:00:10").page_to("chat", incident=1)
    story.at("0:15:10").acknowledged_by("ana")
    story._untold.clear()
    story.settles().at("1:00").is_("acknowledged")
    assert not story.incident(1).awaited


def test_two_hours_without_any_receiver() -> None:
    """All receivers of the policy are down for two hours, in which 240 incidents begin and half of them end. Back
    again, each hears a handful of messages, the most urgent incident first, and every incident is in one of them."""
    urgent = [
        Rule(name="p1", match=matching("U.*"), hold=seconds(10), priority=Priority.P1),
        Rule(name="p3", match=MATCH_ALL, hold=seconds(10), priority=Priority.P3),
    ]
    sms = Receiver(name="sms", people=True, deliver_within=seconds(20))
    story = Story(
        *urgent,
        policies=[policy(step("#chat"), step("#sms"), repeat=1, remind=None)],
        receivers=[msgspec.structs.replace(CHAT, send=PAGES), sms],
        untold=[kind.value for kind in PageKind],
    )
    story.hangs("chat").hangs("sms")
    for number in range(240):
        story.at(f"{number // 120}:{number % 120 // 2:02}:{number % 2 * 30:02}")
        story.fires(f"U{number}" if number % 40 == 39 else f"A{number}")
        if number % 2 and number > 20:
            story.resolves(f"A{number - 19}" if (number - 19) % 40 != 39 else f"U{number - 19}")
    story.at("2:00")
    waiting = {name: [one for one in story._on_the_way if one.receiver == name] for name in ("chat", "sms")}
    before = len(story.sent)
    story.answers("chat").answers("sms").at("2:30")
    for name in ("chat", "sms"):
        heard = [*waiting[name], *(one for one in story.sent[before:] if one.receiver == name)]
        kinds = [one.kind.value for one in heard]
        told = set()
        for one in heard:
            body = msgspec.json.decode(one.body)
            shown = [body["incident"]] if body.get("incident") else body["incidents"]
            ranks = [(each["state"] == "resolved", each["priority"]) for each in shown]
            assert ranks == sorted(ranks)
            told |= {each["number"] for each in shown}
        everyone = {number: story.incident(number) for number in range(1, 241)}
        assert all(one.told[name].heard for one in everyone.values())
        assert not any(one.awaited or one.told[name].news for one in everyone.values())
        assert told == set(everyone)
        assert kinds.count("page") + kinds.count("digest") == len(heard) <= 8


def matching(regex: str) -> tuple[tuple[Matcher, ...], ...]:
    return ((Matcher("alertname", Op.REGEX, regex),),)
