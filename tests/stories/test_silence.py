"""Silence is explained: every way in which a step, or a page that was owed, reaches nobody has a line that says why.

| nobody is notified, because | story |
|---|---|
| the rule only watches | test_a_rule_that_only_watches |
| all that fires is suppressed | test_all_is_silenced, test_silenced_before_it_triggers |
| it was suppressed from the start | test_silenced_before_it_fires |
| nothing fires any more before hold is over | test_it_was_over_within_hold |
| the policy pages nobody | test_a_policy_that_pages_nobody |
| a P4 or P5 is heard of once | test_the_steps_that_a_p4_never_takes |
| nobody is on call | test_nobody_is_on_call |
| the target is gone since a reload | test_what_a_reload_took_away |
| the receiver takes no pages, or none so low | test_a_receiver_that_takes_none |
| it has this page already | test_the_same_receiver_twice |
| quiet hours | test_quiet_hours |
| each way to a person is left out | test_a_person_without_a_way_left |
| nobody of a round robin can be notified | test_a_round_robin_of_nobody |
| there is no fallback | test_no_fallback |
| the page was called off before it was sent | test_called_off_before_it_was_sent |
| it waited for a digest and was answered first | test_answered_before_its_digest_left |
| the one who had it is nobody of people: | test_a_lapse_of_somebody_unknown |
| it is pending when somebody is asked to help | test_asked_to_help_too_early |
| the receiver refused it, or may not have got it | test_refused_or_unsure |

In each of them, and after each step, `explained` looks that no step was entered in silence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from imd.model.event import Outcome
from imd.model.incident import Priority
from imd.model.policy import NOBODY, PageKind, Policy, Receiver, Route, Team
from imd.model.quiet import TimeInterval, Weekly
from imd.model.rule import Mode, Rule
from imd.model.schedule import Rotation, Schedule
from tests.core.making import EVERY_KIND, minutes, person, policy, seconds, step
from tests.stories.told import Story

ROOT = Path(__file__).parents[2]

QUIET = frozenset({PageKind.PAGE})
STORIES: list[Story] = []


def story(*rules: Rule, **given: object) -> Story:
    given.setdefault("untold", [kind.value for kind in PageKind])
    told = Story(*rules, **given)  # type: ignore[arg-type]
    STORIES.append(told)
    return told


@pytest.fixture(autouse=True)
def explained() -> Iterator[None]:
    """Each time a step was gone on to, somebody was paged or it was said why not, before the next one."""
    STORIES.clear()
    yield
    for told in STORIES:
        for number in range(1, len(told.engine.state.incidents) + 2):
            lines = [line.split(" ", 1)[1] for line in told.told(number).splitlines()]
            for index, line in enumerate(lines):
                if re.match(r"passed_on: (went on to step|policy \S+ starts over)", line):
                    after = [one.split(":")[0] for one in lines[index + 1 :]]
                    ends = next((n for n, one in enumerate(after) if one == "passed_on"), len(after))
                    assert {"paged", "not_notified", "exhausted"} & set(after[:ends]), "\n".join(lines)


def test_a_rule_that_only_watches() -> None:
    told = story(Rule(name="trial", mode=Mode.MONITOR), policies=[policy(step("ana"), step("ben"))])
    told.at("0:00").fires("Down").at("1:00").line("not notified: anybody, because rule trial has mode monitor")
    assert told.sent == []


def test_all_is_silenced() -> None:
    """Between two steps: the second one never comes, and the line says whose silence it was."""
    told = story(policies=[policy(step("ana"), step("ben"))])
    told.at("0:00").fires("Down").at("0:01").silenced("9:00", alertname="Down").at("1:00")
    told.line("not notified any more: anybody, because the one firing alert is suppressed by")
    assert {one.to for one in told.sent} == {"ana"}


def test_silenced_before_it_triggers() -> None:
    """Within hold: nobody was to be paged yet, and nobody is."""
    told = story(policies=[policy(step("ana"))])
    told.at("0:00").fires("Down").at("0:00:05").silenced("9:00", alertname="Down").at("1:00")
    told.line("not notified any more: anybody, because the one firing alert is suppressed by")
    assert told.sent == []


def test_it_was_over_within_hold() -> None:
    told = story(policies=[policy(step("ana"))])
    told.at("0:00").fires("Down").at("0:00:05").resolves("Down").at("1:00").is_("cancelled")
    told.line("nothing fires any more before hold is over; nobody was paged")


def test_a_policy_that_pages_nobody() -> None:
    told = story(policies=[Policy(name=NOBODY, steps=())], routes=(Route(policy=NOBODY),))
    told.at("0:00").fires("Down").at("1:00").line("not notified: anybody, because policy nobody pages nobody")


def test_the_steps_that_a_p4_never_takes() -> None:
    told = story(policies=[policy(step("ana"), step("ben"), step("cleo"))])
    told.at("0:00").fires("Hint", severity="info").at("9:00")
    told.line("not notified: step 2 to 3 of policy default, because of a P4 step 1 hears, once")
    assert {one.to for one in told.sent} == {"ana"}


def test_nobody_is_on_call() -> None:
    hours = TimeInterval(weekly=(Weekly(begins=timedelta(hours=9), ends=timedelta(hours=17)),))
    office = Rotation(name="office", people=("ana",), timezone="UTC", within=hours)
    told = story(
        policies=[policy(step("@office"), step("ben"))],
        schedules={"office": Schedule(name="office", rotations=(office,))},
    )
    told.at("0:00").fires("Down").at("0:00:10").line("not notified: schedule:office, because nobody is on call")
    told.line("went on to step 2")


def test_what_a_reload_took_away() -> None:
    """A person, a team, a schedule and a receiver: each step is passed over with a line, in the end the policy is."""
    told = story(
        policies=[policy(step("ben", wait=minutes(1)), step("ana"), step("+team"), step("@office"), step("#chat"))],
        receivers=[Receiver(name="chat")],
        teams={"team": Team(name="team", people=("ana",))},
        schedules={"office": Schedule(name="office", rotations=(Rotation(name="o", people=("ana",), timezone="UTC"),))},
    )
    told.at("0:00").fires("Down", severity="critical").at("0:00:10")
    gone = {name: one for name, one in told.ruleset.people.items() if name == "ben"}
    receivers = {name: one for name, one in told.ruleset.receivers.items() if name != "chat"}
    told.reload(msgspec.structs.replace(told.ruleset, people=gone, teams={}, schedules={}, receivers=receivers)).at(
        "0:02"
    )
    for who in ("person:ana", "team:team", "schedule:office", "receiver:chat"):
        told.line(f"not notified: {who}, because it is not in the configuration any more")
    told.line("policy default is exhausted, nobody answered: nobody of step 5 is notified")


def test_a_receiver_that_takes_none() -> None:
    mute = Receiver(name="mute", send=frozenset({PageKind.RESOLVED}))
    urgent = Receiver(name="urgent", min_priority=Priority.P1)
    told = story(policies=[policy(step("#mute"), step("#urgent"), step("ana"))], receivers=[mute, urgent])
    told.at("0:00").fires("Down", severity="critical").at("0:00:10")
    told.line("not notified: receiver:mute, because receiver mute does not send pages")
    told.line("not notified: receiver:urgent, because receiver urgent takes P1 and up, this is P2")
    assert {one.to for one in told.sent} == {"ana"}


def test_the_same_receiver_twice() -> None:
    told = story(
        policies=[policy(step("#chat", "ana", "ben"))],
        receivers=[Receiver(name="chat", send=QUIET)],
        people=(person("ana", "chat"), person("ben", "chat")),
    )
    told.at("0:00").fires("Down").at("0:00:10")
    told.line("not notified: ana by chat, because it has this page already")
    told.line("not notified: ben by chat, because it has this page already")
    assert len(told.sent) == 1


def test_quiet_hours() -> None:
    night = TimeInterval(weekly=(Weekly(begins=timedelta(hours=22), ends=timedelta(hours=7)),))
    told = story(policies=[policy(step("ana"))], people=(person("ana", "ntfy", quiet_hours=night),))
    told.at("0:00").fires("Hint", severity="info").at("0:01")
    told.line("not notified: ana, because it is P4, and quiet hours last until 2026-01-01 07:00 (UTC)")


def test_a_person_without_a_way_left() -> None:
    """Both of Ana's ways take P1 alone: she cannot be reached about a P3, so Ben is, at once."""
    loud = [Receiver(name=name, min_priority=Priority.P1) for name in ("voice", "sms")]
    told = story(
        policies=[policy(step("ana"), step("ben"))], people=(person("ana", "voice", "sms 5m"), "ben"), receivers=loud
    )
    told.at("0:00").fires("Slow", severity="warning").at("0:00:10")
    told.line("not notified: ana by voice, because receiver voice takes P1 and up, this is P3")
    told.line("not notified: ana by sms, because receiver sms takes P1 and up, this is P3")
    told.line("nobody of step 1 is notified")
    assert {one.to for one in told.sent} == {"ben"}


def test_a_round_robin_of_nobody() -> None:
    mute = [Receiver(name=name, send=frozenset({PageKind.RESOLVED})) for name in ("a", "b")]
    told = story(policies=[policy(step("#a", "#b", round_robin=True), step("ana"))], receivers=mute)
    told.at("0:00").fires("Down").at("0:00:10")
    told.line("not notified: receiver:a, because receiver a does not send pages")
    told.line("not notified: receiver:b, because receiver b does not send pages").line("went on to step 2")


def test_no_fallback() -> None:
    told = story(policies=[policy(step("ana"), remind=None)])
    told.at("0:00").fires("Down").at("0:10").line("policy default is exhausted")
    told.line("not notified: the fallback, because none is configured")


def test_called_off_before_it_was_sent() -> None:
    """Ana's page hangs while Ben answers: the record calls her paged, and then says that she was not."""
    told = story(policies=[policy(step("ana", "ben"))]).hangs("ana-phone")
    told.at("0:00").fires("Down").at("0:00:15").acknowledged_by("ben")
    told.line("not notified: ana by ana-phone, because the page was called off before it was sent")


def test_answered_before_its_digest_left() -> None:
    read = Receiver(name="chat", send=EVERY_KIND, people=True, deliver_within=seconds(20))
    told = story(policies=[policy(step("#chat"))], receivers=[read])
    told.at("0:00").fire_together([{"alertname": name} for name in "ABCD"]).at("0:00:12").acknowledged_by("ana", 4)
    told.line("not paged singly, in a digest because chat had 3 pages within 60 s", 4)
    told.line("not notified: chat, because it ended before the digest left", 4)


def test_a_lapse_of_somebody_unknown() -> None:
    """Who answered in a chat is nobody of people: the policy goes on, and says whom it could not page."""
    told = story(policies=[policy(step("ana"), ack_timeout=minutes(30))])
    told.at("0:00").fires("Down").at("0:01").acknowledged_by("U02STRANGER").at("0:32")
    told.line("not notified: U02STRANGER, because people: has no such name")


def test_asked_to_help_too_early() -> None:
    told = story(policies=[policy(step("ana"))])
    told.at("0:00").fires("Down").at("0:00:05").does("responder", "zoe", to="person:ben")
    told.line("not notified: person:ben, because hold is not over yet")


def test_refused_or_unsure() -> None:
    """Refused in the vendor's words; unsure where an answer never came."""
    told = story(policies=[policy(step("ana"), step("ben"))]).refuses("ana-phone").hangs("ben-phone")
    told.at("0:00").fires("Down").at("0:00:10").line("ana-phone refused for good after")
    told.at("0:00:20").answers("ben-phone", Outcome.UNKNOWN).at("0:01")
    told.line("ben by ben-phone may or may not have got the page")


def test_silenced_before_it_fires() -> None:
    """No incident that could say so: the alert does, and so do `imd why` and the lists of what is suppressed."""
    told = story(policies=[policy(step("ana"))])
    told.at("0:00").silenced("0:30", alertname="Down").fires("Down").incidents(0)
    assert told.alert("Down").suppressed_by
    told.at("0:31").line("paged ana")


def test_the_reference_has_every_reason() -> None:
    """docs/oncall.md says of each what to do; the words in its table are those that the core says."""
    rows = (ROOT / "docs/oncall.md").read_text().split("| because | what to do")[1].split("\n\n")[0]
    known = [re.split("…|P[0-9]", row.split("|")[1].strip()) for row in rows.splitlines()[2:]]
    source = "".join(file.read_text() for file in (ROOT / "imd/core").glob("*.py"))
    for parts in known:
        words = max((part.strip() for part in parts), key=len)
        core = words.removeprefix("it is ").removeprefix("of a ").removeprefix("the firing alerts are ")
        assert core in source, words
    assert len(known) == 18


def test_the_table_above_is_whole() -> None:
    """It names every story, and every story in it is there."""
    named = set(re.findall(r"test_\w+", __doc__ or ""))
    guards = {"test_the_table_above_is_whole", "test_the_reference_has_every_reason"}
    assert named == {name for name in globals() if name.startswith("test_")} - guards
