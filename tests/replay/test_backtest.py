"""Two rule sets over the same few events: each kind of difference with its reason, and none where there is none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imd.model.incident import IncidentState, Level, Priority
from imd.model.policy import PageKind, Receiver, Route, Ruleset
from imd.model.quiet import Maintenance, Once, TimeInterval
from imd.model.rule import Count, Matcher, Mode, Op, Raise, Rule, Window, WindowKind
from imd.replay.backtest import CONDITIONS, KINDS, Comparison, Difference, held
from imd.replay.journal import EventsReader
from imd.replay.outcome import Run
from imd.replay.sides import Side
from tests.core.making import after, minutes, policy, ruleset, seconds, step

Event = dict[str, Any]


def fire(ts: float, name: str = "A", **labels: str) -> Event:
    return {"ts": after(ts).timestamp(), "status": "firing", "labels": {"alertname": name, **labels}}


def end(ts: float, name: str = "A", **labels: str) -> Event:
    return {**fire(ts, name, **labels), "status": "resolved"}


def named(name: str) -> tuple[tuple[Matcher, ...], ...]:
    return ((Matcher("alertname", Op.REGEX, name),),)


def side(rules: Ruleset, events: Sequence[Event], ack: timedelta | None = timedelta(0)) -> Side:
    reader = EventsReader("events", rules.sources)
    running = Run(rules, ack_after=ack)
    for recorded in reader.read([json.dumps(event).encode() for event in events]):
        running.take(recorded)
    result = msgspec.msgpack.decode(msgspec.msgpack.encode(running.result(reader)), type=type(running.result(reader)))
    return Side(rules, result)


def compared(old: Ruleset, new: Ruleset, *events: Event) -> list[Difference]:
    return comparison(old, new, *events).compared().differences


def comparison(old: Ruleset, new: Ruleset, *events: Event) -> Comparison:
    return Comparison(side(old, events), side(new, events))


def only(kind: str, found: list[Difference]) -> Difference:
    [one] = [one for one in found if one.kind == kind]
    return one


def rule(name: str = "r", match: str = ".*", **other: Any) -> Rule:
    return Rule(name=name, match=named(match), where=f"{name}.yaml:3", **other)


PLAIN = ruleset(rule())
PATCHING = Maintenance(
    name="patching", match=named(".*"), during=TimeInterval(once=(Once(begins_at=after(-9), ends_at=after(999)),))
)
LIFE = [fire(0, n="1", severity="critical"), fire(5, n="2", severity="warning"), end(600, n="1", severity="critical")]


def test_the_same_rules_differ_in_nothing() -> None:
    assert compared(PLAIN, PLAIN, *LIFE) == []


def test_an_incident_without_alerts_is_compared_with_nothing() -> None:
    """What a person reported, and what was closed by hand while its alert was quiet, which opened another one since."""
    quiet = {"type": "silence", "action": "set", "silence": "s1", "by": "ana", "matchers": ['alertname="A"'],
             "starts_at": after(30).timestamp(), "ends_at": after(300).timestamp()}  # fmt: skip
    events = [
        {"ts": after(0).timestamp(), "type": "action", "action": "report", "report": "r1", "title": "it smells",
         "by": "ana"},
        fire(0),
        {"ts": after(30).timestamp(), **quiet},
        *({"ts": after(at).timestamp(), "type": "action", "action": kind, "incident": 2, "by": "ana", "force": True}
          for at, kind in ((60, "resolve"), (61, "close"))),
        fire(4000, "B"),
    ]  # fmt: skip
    both = comparison(PLAIN, PLAIN, *events)
    assert len(both.old.incidents) == 4
    assert sorted(map(len, both.news.values())) == [1, 1]
    assert both.compared().differences == []
    assert {name for name, condition in CONDITIONS.items() if condition(both, both.compared())} == set()


def test_a_rule_that_drops_loses_the_incident() -> None:
    [lost] = compared(PLAIN, ruleset(rule("noise", mode=Mode.DROP)), *LIFE)
    assert (lost.kind, lost.old, lost.new) == ("lost", ["i000000000001"], [])
    assert lost.reason == "its 2 alerts are now dropped by rule noise (noise.yaml:3)"
    [new] = compared(ruleset(rule("noise", mode=Mode.DROP)), PLAIN, *LIFE)
    assert (new.kind, new.old, new.new) == ("new", [], ["i000000000001"])
    assert (
        new.reason == "its 2 alerts were dropped by rule noise (noise.yaml:3); now rule r (r.yaml:3) opens an incident"
    )


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        (ruleset(rule("r", hold=minutes(20))), "its alert is now over within the hold of 20m of rule r (r.yaml:3)"),
        (
            ruleset(rule("r", mode=Mode.SUPPRESS)),
            "its alert is now suppressed by rule r (r.yaml:3) (mode suppress)",
        ),
        (
            ruleset(rule(), maintenance=(PATCHING,)),
            "its alert is now suppressed by maintenance/patching",
        ),
        (
            ruleset(rule("r", open_when=Count(at_least=3, within=minutes(5)))),
            "its alert is now in no incident of rule r (r.yaml:3): ",
        ),
    ],
)  # fmt: skip
def test_a_lost_incident_says_what_became_of_its_alerts(new: Ruleset, reason: str) -> None:
    [lost] = compared(PLAIN, new, fire(0), end(600))
    assert lost.kind == "lost"
    assert lost.reason.startswith(reason), lost.reason


def test_a_wider_key_merges_and_a_narrower_one_splits() -> None:
    narrow, wide = ruleset(rule(group_by=("n",))), ruleset(rule(group_by=("alertname",)))
    [merged] = compared(narrow, wide, *LIFE)
    assert (merged.kind, merged.old, merged.new) == ("merged", ["i000000000001", "i000000000002"], ["i000000000001"])
    assert merged.reason == "rule r (r.yaml:3) makes one of them: group_by [alertname] in place of [n]"
    found = compared(wide, narrow, *LIFE)
    split = only("split", found)
    assert (split.old, split.new) == (["i000000000001"], ["i000000000001", "i000000000002"])
    assert split.reason == "rule r (r.yaml:3) takes them apart: group_by [n] in place of [alertname]"
    assert len(found) == 1, "its parts are one story: the most urgent of them is as urgent, paged as early, to the same"


def test_other_rules_that_take_parts_of_it_are_named_with_their_shares() -> None:
    events = [fire(0, "Node", c="1"), fire(1, "Pod", c="1", p="1"), fire(2, "Pod", c="1", p="2")]
    whole = ruleset(rule("node", group_by=("c",)))
    parts = ruleset(rule("pods", "Pod", group_by=("c",)), rule("node", "Node", group_by=("c",)))
    assert only("split", compared(whole, parts, *events)).reason == (
        "of its 3 alerts rule pods (pods.yaml:3) takes 2, rule node (node.yaml:3) takes 1; "
        "before, rule node (node.yaml:3) had them"
    )
    assert only("merged", compared(parts, whole, *events)).reason == (
        "rule node (node.yaml:3) makes one of them, by [c]; before, rule node (node.yaml:3), rule pods (pods.yaml:3) "
        "had them"
    )


def test_a_window_that_ends_splits_by_its_own_name() -> None:
    short = ruleset(rule(window=Window(kind=WindowKind.FIXED, gap=seconds(2))))
    [split] = compared(PLAIN, short, *LIFE)
    assert split.reason.startswith("rule r (r.yaml:3) takes them apart: window fixed (gap 2s")


def test_another_impact_is_another_priority() -> None:
    [one] = compared(PLAIN, ruleset(rule(impact=Level.HIGH)), *LIFE)
    assert (one.kind, one.was, one.now) == ("priority", "P2", "P1")
    assert one.reason == "rule r (r.yaml:3): impact high x urgency high, in place of impact medium x urgency high"
    outright = ruleset(rule("loud", priority=Priority.P1))
    assert only("priority", compared(PLAIN, outright, *LIFE)).reason == (
        "rule loud (loud.yaml:3): priority P1 outright, in place of rule r (r.yaml:3): impact medium x urgency high"
    )


def test_a_longer_hold_pages_later_and_a_shorter_one_earlier() -> None:
    patient = ruleset(rule(hold=minutes(1)))
    [later] = compared(PLAIN, patient, *LIFE)
    assert (later.kind, later.was, later.now) == ("later", "2026-01-01T00:00:10Z", "2026-01-01T00:01:00Z")
    assert later.reason == "rule r (r.yaml:3): hold is 1m in place of 10s"
    [earlier] = compared(patient, PLAIN, *LIFE)
    assert (earlier.kind, earlier.reason) == ("earlier", "rule r (r.yaml:3): hold is 10s in place of 1m")


def test_an_incident_that_opens_later_says_so() -> None:
    patient = ruleset(rule(open_when=Count(at_least=2, within=minutes(5))))
    [later] = compared(PLAIN, patient, fire(0, n="1"), fire(30, n="2"))
    assert later.kind == "later"
    assert later.reason == "rule r (r.yaml:3): it opens 30s later (open_when 2 alerts within 5m in place of none)"


def test_another_policy_pages_other_people() -> None:
    policies = [policy(step("ana")), policy(step("ben", "#chat"), name="team")]
    chat = [Receiver(name="chat")]
    old = ruleset(rule(), policies=policies, receivers=chat)
    [one] = compared(old, ruleset(rule(policy="team"), policies=policies, receivers=chat), *LIFE)
    assert (one.kind, one.was, one.now) == ("recipient", "ana by ana-phone", "ben by ben-phone, chat")
    assert one.reason == "rule r (r.yaml:3): policy team: rule r, in place of policy default: no route took it"
    routed = ruleset(rule(), policies=policies, receivers=chat, routes=(Route(policy="team"),))
    assert only("recipient", compared(old, routed, *LIFE)).reason.startswith("rule r (r.yaml:3): policy team: route 1")
    other = ruleset(rule(), policies=[policy(step("ben")), policies[1]], receivers=chat)
    assert only("recipient", compared(old, other, *LIFE)).reason == "rule r (r.yaml:3): policy default has other steps"


def test_an_incident_about_which_nobody_is_paged_any_more() -> None:
    found = compared(PLAIN, ruleset(rule(mode=Mode.MONITOR)), *LIFE)
    assert [one.kind for one in found] == ["recipient"]
    assert found[0].now == "nobody"
    assert found[0].reason == "rule r (r.yaml:3): rule r has mode monitor"
    assert compared(ruleset(rule(mode=Mode.MONITOR)), PLAIN, *LIFE)[0].reason == (
        "rule r (r.yaml:3) pages; before, rule r has mode monitor"
    )


def test_an_alert_that_goes_to_another_incident_is_told_from_both_ends() -> None:
    events = [fire(0, "A", g="1"), fire(1, "A", g="1", n="2"), fire(2, "B", g="2"), fire(3, "B", g="2", n="2")]
    old = ruleset(rule(group_by=("g",)))
    new = ruleset(rule("odd", "A", group_by=("n",)), rule(group_by=("g",)))
    moved = compared(old, new, *events)
    assert [one.kind for one in moved] == ["split"]
    away = ruleset(rule("n2", group_by=("n",)))
    kinds = [one.kind for one in compared(old, away, *events)]
    assert kinds == ["merged", "split", "split"]


def test_the_summary_counts_by_priority_rule_and_people() -> None:
    policies = [policy(step("ana", wait=minutes(5)), step("ben"))]
    old = side(ruleset(rule(), policies=policies), [*LIFE, fire(700, "B", severity="info")], ack=None)
    assert msgspec.to_builtins(old.summary()) == {
        "config_hash": "c0ffee", "events": 4, "alerts": 3, "incidents": 2, "paged": 2, "pages": 3,
        "by_priority": {"P2": {"incidents": 1, "pages": 2}, "P4": {"incidents": 1, "pages": 1}},
        "by_rule": {"r": {"incidents": 2, "pages": 3}},
        "by_receiver": {"ana-phone": 2, "ben-phone": 1},
        "by_recipient": {"ana": 2, "ben": 1},
    }  # fmt: skip


def test_a_raise_counts_a_page_under_the_priority_of_its_time() -> None:
    raised = side(ruleset(rule(raises=(Raise(at_least=2, impact=Level.HIGH),))), [fire(0), fire(60, n="2")], ack=None)
    by_priority = raised.summary().by_priority
    assert {name: (tally.incidents, tally.pages) for name, tally in by_priority.items()} == {"P2": (1, 3), "P3": (0, 3)}


CRITICAL = {"severity": "critical"}


@pytest.mark.parametrize(
    ("new", "holds"),
    [
        (PLAIN, set()),
        (ruleset(rule(mode=Mode.DROP)), {"any", "lost", "lost-p2", "unpaged", "fewer-pages", "fewer-incidents"}),
        (ruleset(rule(mode=Mode.MONITOR)), {"any", "recipient", "lost-p2", "unpaged", "fewer-pages"}),
        (ruleset(rule(impact=Level.HIGH)), {"any", "priority", "more-urgent"}),
        (ruleset(rule(impact=Level.LOW)), {"any", "priority", "less-urgent", "lost-p2"}),
        (ruleset(rule(group_by=("n",))), {"any", "split", "more-pages", "more-incidents"}),
        (ruleset(rule(hold=minutes(2))), {"any", "later"}),
    ],
)
def test_conditions_to_fail_on(new: Ruleset, holds: set[str]) -> None:
    found = comparison(PLAIN, new, *LIFE)
    assert set(held(CONDITIONS, found, found.compared())) == holds
    assert set(KINDS) < set(CONDITIONS)


def test_recorded_deliveries_are_of_other_messages_and_count_for_nothing() -> None:
    late = {
        "ts": after(400).timestamp(), "type": "delivery", "delivery": "x-i000000000001-1", "incident": "i000000000001",
        "receiver": "ana-phone", "outcome": "failed",
    }  # fmt: skip
    rules = ruleset(rule(), policies=[policy(step("ana", wait=minutes(30)), step("ben"))])
    assert {page.to for page in side(rules, [fire(0), late], ack=None).result.pages} == {"ana"}


def test_an_acknowledgement_before_the_first_page_comes_with_that_page() -> None:
    """Under the rules of that time the page had left before it."""
    first = {"alertname": "A"}
    ack = {"ts": after(30).timestamp(), "type": "action", "action": "ack", "incident": 1, "by": "ana", "alert": first}
    policies = [policy(step("ana", wait=minutes(5)), step("ben"))]
    patient, quick = (ruleset(rule(hold=seconds(hold)), policies=policies) for hold in (120, 10))
    for rules, at in ((patient, 120), (quick, 10)):
        pages = side(rules, [fire(0), ack, fire(900, "B")], ack=None).pages[1]
        assert [(page.to, page.at) for page in pages] == [("ana", after(at))]
    assert [one.kind for one in compared(quick, patient, fire(0), ack)] == ["later"]


def test_a_merge_counts_as_its_survivor_and_its_pages_as_the_survivors() -> None:
    """Merges are told of as the engine left them in the records."""
    running = Run(PLAIN)
    reader = EventsReader("events", {})
    for recorded in reader.read([json.dumps(event).encode() for event in (fire(0), fire(1, "B"))]):
        running.take(recorded)
    running.finish()
    younger = running.engine.state.incidents["i000000000002"]
    younger.state, younger.merged_into = IncidentState.MERGED, "i000000000001"
    one = Side(PLAIN, running.result(reader))
    assert list(one.lines) == [0, 1, 1]
    assert {page.incident for page in one.result.pages} == {1}
    assert list(one.incidents) == [1]


_events = st.lists(
    st.tuples(
        st.sampled_from(["fire", "fire", "end"]), st.sampled_from("AB"), st.sampled_from("12"), st.integers(0, 400)
    ),
    max_size=25,
)
_rules = st.builds(
    lambda key, hold, mode, gap: ruleset(
        rule("a", "A", group_by=key, hold=seconds(hold), mode=mode, window=Window(kind=WindowKind.SESSION, gap=gap)),
        rule("b", "B", group_by=key),
    ),
    st.sampled_from([("n",), ("alertname",), (), None]),
    st.sampled_from([0, 10, 120]),
    st.sampled_from([Mode.PAGE, Mode.PAGE, Mode.MONITOR, Mode.DROP]),
    st.sampled_from([minutes(1), minutes(15)]),
)


@settings(max_examples=150, deadline=None)
@given(_events, _rules, _rules)
def test_every_incident_is_told_of_and_both_directions_agree(
    steps: list[tuple[str, str, str, int]], old: Ruleset, new: Ruleset
) -> None:
    at, events = 0, []
    for what, name, n, wait in steps:
        at += wait
        events.append(fire(at, name, n=n) if what == "fire" else end(at, name, n=n))
    there, back = comparison(old, new, *events), comparison(new, old, *events)
    assert comparison(old, old, *events).compared().differences == []
    found, reverse = there.compared().differences, back.compared().differences
    told = {incident for one in found if one.kind == "lost" for incident in one.old}
    tied = {one.id for story in there.stories() for one in story.olds}
    assert told | tied == {one.id for one in there.old.incidents.values()}
    assert not told & tied
    assert {one.id for story in there.stories() for one in story.news} | {
        incident for one in found if one.kind == "new" for incident in one.new
    } == {one.id for one in there.new.incidents.values()}
    mirror = {
        "lost": "new",
        "new": "lost",
        "merged": "split",
        "split": "merged",
        "earlier": "later",
        "later": "earlier",
    }
    assert sorted((one.kind, one.old, one.new) for one in found) == sorted(
        (mirror.get(one.kind, one.kind), one.new, one.old) for one in reverse
    )
    assert all(one.reason for one in found)


def test_a_page_in_a_digest_is_its_incidents_page() -> None:
    """And is answered as any other, also by an acknowledgement that was given before the digest left."""
    read = Receiver(name="chat", send=frozenset({PageKind.PAGE}), people=True)
    steps = policy(step("#chat", wait=minutes(5)), step("#chat"))
    rules = ruleset(rule(hold=seconds(10)), policies=[steps], receivers=[read])
    last = {"alertname": "A5"}
    action = {"ts": after(5).timestamp(), "type": "action", "action": "ack", "incident": 6, "by": "zoe", "alert": last}
    events = [fire(0, f"A{number}") for number in range(6)]
    for ack, pages in ((timedelta(0), 1), (None, 2)):
        found = side(rules, [*events, action, fire(4000, "Z")], ack)
        assert [len(found.pages[number]) for number in range(1, 6)] == [pages] * 5
        assert [one.at.second for one in (found.pages[number][0] for number in (1, 4, 6))] == [10, 20, 20]
        assert {one.to for pages in found.pages.values() for one in pages} == {"chat"}
        assert len(found.pages[6]) == 1, "acknowledged by zoe"
