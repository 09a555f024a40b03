"""The windows of open_when, against a plain reading of what they mean."""

from __future__ import annotations

import gc
import time
from datetime import datetime, timedelta
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imd.core.engine import Engine
from imd.core.opening import Condition, Waiting, said, span_text
from imd.core.state import State
from imd.model.alert import Alert, AlertState, Span, identify
from imd.model.effect import Effect, SaveSeen
from imd.model.event import AlertsReported, Restarted, Tick
from imd.model.rule import Absent, AllOf, Count, Match, Matcher, Op, OpenWhen, Rate, Rule
from tests.core.making import STORE_ID, T0, Kept, after, minutes, policy, report, ruleset, seconds, step

LATENESS = 120
PARTS = ("a", "b", "c")


def part(name: str) -> Match:
    return ((Matcher("part", Op.EQUAL, name),),)


def alert(number: int, at: int, kind: str) -> Alert:
    labels = {"n": str(number), "part": kind, "host": kind}
    start = after(at)
    return Alert(
        number, identify(labels), "am", False, AlertState.FIRING, start, start, start, (Span(start, None, None),)
    )


CONDITIONS: list[OpenWhen] = [
    Count(at_least=3, within=seconds(10)),
    Count(at_least=3, distinct="host", within=seconds(10)),
    AllOf(parts=tuple(map(part, PARTS)), within=seconds(10)),
    AllOf(parts=tuple(map(part, PARTS)), within=seconds(10), in_order=True),
    Rate(at_least=4, per=seconds(10), until_below=2),
]


def plainly(when: OpenWhen, given: list[tuple[int, str]]) -> bool:
    """Whether some window of ten seconds is full, looked at one by one."""
    for start, _ in given:
        inside = sorted((at, kind) for at, kind in given if start <= at <= start + 10)
        kinds = {kind for _, kind in inside}
        match when:
            case Count(distinct="", at_least=at_least) | Rate(at_least=at_least):
                full = len(inside) >= at_least
            case AllOf(in_order=True):
                full = any(
                    all(one[0] <= other[0] for one, other in pairwise(some))
                    for some in product(*([one for one in inside if one[1] == kind] for kind in PARTS))
                )
            case _:
                full = len(kinds) >= 3
        if full:
            return True
    return False


@pytest.mark.parametrize("when", CONDITIONS, ids=said)
@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from(PARTS)), max_size=14))
def test_a_window_is_full_when_a_plain_look_says_so(when: OpenWhen, given: list[tuple[int, str]]) -> None:
    """In whatever order they come; and some leave meanwhile and come again."""
    condition = Condition(when)
    waiting = Waiting(condition)
    come: list[tuple[int, str]] = []
    for number, (at, kind) in enumerate(given, start=1):
        one = alert(number, at, kind)
        one.counted_at = one.starts_at
        token = condition.stands_for(one.labels())
        assert token is not None
        if number % 3 == 0:
            waiting.add(one, one.starts_at, token)
            waiting.discard(one)
        entry = waiting.add(one, one.starts_at, token)
        come.append((at, kind))
        assert waiting.full(entry) == waiting.ever_full() == plainly(when, come)
        if waiting.full(entry):
            return


def test_what_is_waited_for_in_words() -> None:
    assert [said(when) for when in CONDITIONS] == [
        "3 alerts within 10s",
        "3 of host within 10s",
        "all 3 parts within 10s",
        "all 3 parts in order within 10s",
        "4 new alerts per 10s",
    ]
    assert said(Absent(wait=timedelta(hours=26))) == "its end within 26h"
    assert said(Absent(match=part("a"), wait=minutes(90))) == 'part="a", or its end, within 1h30m'
    assert [span_text(each) for each in (timedelta(days=2), seconds(0.5), seconds(0))] == ["2d", "0.5s", "0s"]


# -- through the engine -----------------------------------------------------------------------------------------------


def engine_of(when: OpenWhen, state: State | None = None) -> Engine:
    rule = Rule(name="some", group_by=(), hold=seconds(0), open_when=when)
    return Engine(ruleset(rule, policies=[policy(step("ana"))]), state or State(STORE_ID))


Story = list[tuple[int, int, str]]
"""When it began, how much later imd hears of it, and its part."""


def lived(when: OpenWhen, story: Story) -> Engine:
    engine = engine_of(when)
    received = sorted(((at + late, number) for number, (at, late, _) in enumerate(story)))
    for at, number in received:
        began, _, kind = story[number]
        tick_until(engine, at)
        labels = {"n": str(number), "part": kind, "host": kind}
        engine.step(AlertsReported("am", False, (report(labels, began),)), after(at))
    return engine


def tick_until(engine: Engine, at: float) -> None:
    while (due := engine.next_deadline()) is not None and due <= after(at):
        engine.step(Tick(), max(due, T0))


def members(engine: Engine) -> set[str]:
    return {alert.labels()["n"] for some in engine.state.members.values() for alert in some}


_stories = st.lists(
    st.tuples(st.integers(0, 300), st.integers(0, LATENESS), st.sampled_from(PARTS)), min_size=1, max_size=12
)


@pytest.mark.parametrize("when", CONDITIONS, ids=said)
@given(_stories)
def test_within_lateness_any_order_ends_in_the_same_incidents(when: OpenWhen, story: Story) -> None:
    """Whether one opens does not depend on when imd heard of each alert; and each that fills a window is a member."""
    in_order = lived(when, [(at, 0, kind) for at, _, kind in story])
    late = lived(when, story)
    assert in_order.state.last_number == late.state.last_number
    full = {str(number) for number in range(len(story)) if _in_full_window(when, story, number)}
    assert full <= members(in_order)
    assert full <= members(late)


def _in_full_window(when: OpenWhen, story: Story, number: int) -> bool:
    """Whether a window that holds this alert is full."""
    at = story[number][0]
    for start in range(at - 10, at + 1):
        inside = [(other, kind) for other, _, kind in story if start <= other <= start + 10]
        if plainly(when, inside):
            return True
    return False


@pytest.mark.parametrize("when", [*CONDITIONS, Absent(match=part("b"), wait=seconds(60))], ids=said)
@given(_stories, st.integers(0, 12), st.integers(0, 1))
def test_a_restart_changes_nothing_after_it(when: OpenWhen, story: Story, cut: int, ends: int) -> None:
    """At any point, with alerts that end and come again: the same effects from then on."""
    engine, kept = engine_of(when), Kept()
    twin: Engine | None = None
    events = sorted((at, number, False) for number, (at, _, _) in enumerate(story))
    events = sorted(events + [(at + 7, number, True) for at, number, _ in events if (number + ends) % 2])
    for turn, (at, number, over) in enumerate(events):
        kind = story[number][2]
        _both(engine, twin, kept, at)
        if turn == cut:
            state = kept.restored(after(at))
            twin = engine_of(when, state)
            restarted = Restarted(after(at))
            _same(engine.step(restarted, after(at)), twin.step(restarted, after(at)))
        began = story[number][0]
        labels = {"n": str(number), "part": kind, "host": kind}
        one = report(labels, began, resolved=over, ends=at if over else None)
        event = AlertsReported("am", False, (one,))
        effects = engine.step(event, after(at))
        kept.apply(effects)
        if twin is not None:
            _same(effects, twin.step(event, after(at)))
    _both(engine, twin, kept, 3000)


def _both(engine: Engine, twin: Engine | None, kept: Kept, until: float) -> None:
    while (due := min(_dues(engine, twin), default=None)) is not None and due <= after(until):
        now = max(due, T0)
        effects = engine.step(Tick(), now)
        kept.apply(effects)
        if twin is not None:
            _same(effects, twin.step(Tick(), now))


def _dues(*engines: Engine | None) -> list[datetime]:
    return [due for one in engines if one is not None and (due := one.next_deadline()) is not None]


def _same(some: list[Effect], others: list[Effect]) -> None:
    def told(effects: list[Effect]) -> list[str]:
        kinds = {"SaveAlert", "SaveIncident", "AppendTimeline", "Deliver"}
        return sorted(repr(one) for one in effects if type(one).__name__ in kinds and not isinstance(one, SaveSeen))

    assert told(some) == told(others)


@pytest.mark.parametrize(
    "when",
    [
        Count(at_least=3, distinct="host", within=minutes(5)),
        AllOf(parts=(part("a"), part("z")), within=minutes(5)),
        Rate(at_least=1000, per=seconds(1), until_below=10),
        Absent(match=part("z"), wait=minutes(60)),
    ],
    ids=said,
)
def test_a_storm_that_waits_costs_the_same_per_alert(when: OpenWhen) -> None:
    """The second ten thousand of two hosts' storm costs no more than the first: what waits is bounded and indexed."""
    engine = engine_of(when)
    spent = []
    gc.collect()
    gc.freeze()  # a full collection in the second half would look at all that other tests left behind
    for half in range(2):
        began = time.process_time()
        for body in range(20):
            number = (half * 20 + body) * 500
            some = tuple(
                report({"n": str(number + n), "part": "a", "host": f"h{n % 2}"}, (number + n) / 100) for n in range(500)
            )
            engine.step(AlertsReported("am", False, some), after((number + 500) / 100))
        spent.append(time.process_time() - began)
    gc.unfreeze()
    assert engine.state.last_number == 0
    assert sum(len(one.entries) for one in engine.state.waiting.values()) <= 5000
    assert spent[1] < spent[0] * 2 + 0.2, spent
