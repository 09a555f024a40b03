"""Episodes and their spans: what a report means for the alert that it names."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imd.core.dedup import Verdict, judge
from imd.core.engine import Engine
from imd.core.state import State
from imd.model.alert import Alert, AlertReport, AlertState, fingerprint, identify
from imd.model.effect import Effect, ForgetAlert, Journal, Refused, SaveAlert, SaveSeen
from imd.model.event import Tick
from imd.model.policy import Bounds
from imd.model.rule import Mode, Rule
from tests.core.making import STORE_ID, Kept, after, api, report, ruleset, webhook

A = {"alertname": "A"}
LATENESS = timedelta(minutes=2)
VECTORS = Path(__file__).parents[1] / "vectors" / "alertmanager_api_cases.json"
FINGERPRINTS = json.loads(VECTORS.read_text())["fingerprints"]["cases"]


class Desk:
    """One engine, fed with reports of the alert A; `by_api` says how all of them speak."""

    def __init__(self, by_api: bool = False, rule: Rule | None = None, bounds: Bounds | None = None) -> None:
        rules = (rule,) if rule is not None else ()
        self.engine = Engine(ruleset(*rules, bounds=bounds or Bounds()), State(STORE_ID))
        self.by_api = by_api
        self.kept = Kept()
        self.effects: list[Effect] = []

    def hear(self, at: float, *reports: AlertReport) -> Desk:
        event = api(*reports) if self.by_api else webhook(*reports)
        self.effects = self.engine.step(event, after(at))
        self.kept.apply(self.effects)
        return self

    @property
    def alert(self) -> Alert:
        return self.engine.state.alerts[identify(A).key]

    def firing(self) -> bool:
        alert = self.engine.state.alerts.get(identify(A).key)
        return alert is not None and alert.firing

    def open_starts(self) -> set[float]:
        alert = self.engine.state.alerts.get(identify(A).key)
        spans = alert.spans if alert is not None else ()
        return {(span.starts_at - after(0)).total_seconds() for span in spans if span.ended_at is None}


def saved(effects: list[Effect]) -> int:
    return sum(isinstance(effect, SaveAlert) for effect in effects)


# -- identity -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", FINGERPRINTS, ids=lambda case: case["fingerprint"])
def test_fingerprints_are_alertmanagers(case: dict[str, object]) -> None:
    labels = case["labels"]
    assert isinstance(labels, dict)
    assert fingerprint(labels) == case["fingerprint"]


def test_identity_does_not_depend_on_the_order_of_labels() -> None:
    assert identify({"a": "1", "b": "2"}) == identify({"b": "2", "a": "1"})
    assert identify({"a": "1"}).key != identify({"a": "2"}).key
    assert identify({"b": "2", "a": "1"}).labels() == {"a": "1", "b": "2"}


# -- repeats --------------------------------------------------------------------------------------------------------


def test_a_repeat_is_not_saved_at_once_and_keeps_what_is_newest() -> None:
    desk = Desk().hear(0, report(A, annotations={"v": "1"})).hear(60, report(A, annotations={"v": "2"}))
    assert saved(desk.effects) == 0
    assert not any(isinstance(effect, Journal) for effect in desk.effects)
    assert (desk.alert.count, desk.alert.seen_at, desk.alert.annotation_map()) == (2, after(60), {"v": "2"})


def test_repeats_reach_the_disk_within_seen_flush() -> None:
    desk = Desk().hear(0, report(A)).hear(60, report(A))
    due = desk.engine.next_deadline()
    assert due is not None
    assert due <= after(75)
    effects = desk.engine.step(Tick(), after(75))
    assert [effect.alerts[0].id for effect in effects if isinstance(effect, SaveSeen)] == [1]


def test_a_report_without_a_start_refreshes_the_newest_open_span() -> None:
    desk = Desk().hear(0, report(A, 0)).hear(5, report(A, 3)).hear(60, report(A, None))
    assert desk.open_starts() == {0, 3}
    assert desk.alert.count == 3


def test_an_alert_without_a_start_begins_when_it_is_received() -> None:
    desk = Desk().hear(7, report(A, None))
    assert desk.alert.starts_at == after(7)


# -- two replicas ---------------------------------------------------------------------------------------------------


def test_starts_seconds_apart_are_one_episode_from_the_earliest() -> None:
    desk = Desk(by_api=True).hear(10, report(A, 5, ends=300)).hear(12, report(A, 0, ends=300))
    assert desk.alert.id == 1
    assert desk.alert.starts_at == after(0)
    assert desk.open_starts() == {0, 5}


def test_it_fires_while_either_replica_says_so() -> None:
    desk = Desk(by_api=True).hear(10, report(A, 0, ends=300), report(A, 5, ends=300))
    desk.hear(60, report(A, 0, resolved=True, ends=60))
    assert desk.firing()
    desk.hear(61, report(A, 5, resolved=True, ends=61))
    assert desk.alert.state is AlertState.RESOLVED
    assert desk.alert.ended_at == after(61)


# -- resolves -------------------------------------------------------------------------------------------------------


def test_an_api_resolve_ends_the_span_it_names_and_no_other() -> None:
    desk = Desk(by_api=True).hear(0, report(A, 0, ends=300)).hear(1, report(A, 1, ends=300))
    desk.hear(60, report(A, 1, resolved=True, ends=60))
    assert desk.open_starts() == {0}


def test_a_webhook_resolve_ends_every_span_begun_by_its_end() -> None:
    desk = Desk().hear(0, report(A, 0)).hear(5, report(A, 5)).hear(50, report(A, 50))
    desk.hear(60, report(A, 0, resolved=True, ends=40))
    assert desk.open_starts() == {50}
    desk.hear(61, report(A, 50, resolved=True, ends=61))
    assert not desk.firing()


def test_a_resolve_without_a_start_ends_all_begun_by_then() -> None:
    desk = Desk(by_api=True).hear(0, report(A, 0, ends=300), report(A, 5, ends=300))
    desk.hear(60, report(A, None, resolved=True, ends=60))
    assert not desk.firing()


def test_a_bare_resolve_ends_a_span_whose_start_is_ahead() -> None:
    """The sender's clock runs ahead of ours and its resolve says no times: what was received has begun."""
    desk = Desk().hear(0, report(A, 3)).hear(1, report(A, None, resolved=True))
    assert not desk.firing()


def test_a_span_fires_from_receipt_even_if_its_start_is_ahead() -> None:
    desk = Desk().hear(0, report(A, 3600))
    assert desk.firing()
    desk.hear(10, report(A, 3600, resolved=True, ends=10))
    assert not desk.firing()


def test_a_second_resolve_changes_nothing() -> None:
    desk = Desk().hear(0, report(A)).hear(60, report(A, resolved=True, ends=60))
    desk.hear(61, report(A, resolved=True, ends=60))
    assert saved(desk.effects) == 0


def test_a_resolve_of_something_never_seen_is_kept_and_opens_nothing() -> None:
    desk = Desk().hear(60, report(A, 0, resolved=True, ends=50))
    assert saved(desk.effects) == 1
    assert desk.engine.state.incidents == {}
    assert judge(None, report(A, 0, resolved=True, ends=50), after(60), LATENESS) is Verdict.ENDED_UNSEEN
    desk.hear(61, report(A, 0))
    assert not desk.firing(), "its firing report was only late"


def test_an_old_resolve_of_something_never_seen_is_nothing() -> None:
    assert judge(None, report(A, 0, resolved=True, ends=50), after(600), LATENESS) is Verdict.LATE


def test_what_was_never_seen_firing_leaves_memory_in_ten_minutes() -> None:
    desk = Desk().hear(60, report(A, 0, resolved=True, ends=50))
    effects = desk.engine.step(Tick(), after(660))
    assert [effect.id for effect in effects if isinstance(effect, ForgetAlert)] == [1]
    assert desk.engine.state.alerts == {}


# -- late doubles and revivals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_api", [True, False])
def test_a_late_double_of_an_ended_span_changes_nothing(by_api: bool) -> None:
    desk = Desk(by_api).hear(0, report(A, 0, ends=240)).hear(60, report(A, 0, resolved=True, ends=60))
    desk.hear(70, report(A, 0, ends=240))
    assert not desk.firing()


def test_still_reported_after_lateness_it_revives() -> None:
    desk = Desk().hear(0, report(A, 0)).hear(60, report(A, 0, resolved=True, ends=60)).hear(181, report(A, 0))
    assert desk.firing()
    assert desk.alert.id == 1, "the same episode"


def test_a_later_start_is_an_episode_of_its_own() -> None:
    desk = Desk().hear(0, report(A, 0)).hear(60, report(A, 0, resolved=True, ends=60)).hear(90, report(A, 80))
    assert (desk.alert.id, desk.alert.starts_at) == (2, after(80))


@pytest.mark.parametrize("by_api", [True, False])
def test_the_double_of_an_episode_before_is_late_too(by_api: bool) -> None:
    """The first episode's firing report arrives again while the second one fires: it must not outlive the second."""
    desk = Desk(by_api).hear(0, report(A, 0, ends=240)).hear(60, report(A, 0, resolved=True, ends=60))
    desk.hear(90, report(A, 80, ends=330)).hear(91, report(A, 0, ends=240))
    assert desk.open_starts() == {80}
    desk.hear(100, report(A, 80, resolved=True, ends=100)).hear(101, report(A, 0, ends=240))
    assert not desk.firing()


@pytest.mark.parametrize("by_api", [True, False])
@pytest.mark.parametrize("start", [30, 80])
def test_a_resolve_that_overtakes_its_firing_report(by_api: bool, start: float) -> None:
    """The resolve of a second span arrives first, after the first ended: the firing report behind it is late."""
    desk = Desk(by_api).hear(0, report(A, 0, ends=240)).hear(60, report(A, 0, resolved=True, ends=60))
    desk.hear(100, report(A, start, resolved=True, ends=95)).hear(101, report(A, start, ends=330))
    assert not desk.firing()


def test_what_ended_before_the_episode_does_not_make_it_older() -> None:
    desk = Desk(by_api=True).hear(100, report(A, 90, ends=400)).hear(101, report(A, 0, resolved=True, ends=50))
    assert desk.alert.starts_at == after(90)


def test_ended_spans_are_forgotten_after_lateness() -> None:
    desk = Desk(by_api=True).hear(0, report(A, 0, ends=240), report(A, 5, ends=240))
    desk.hear(10, report(A, 5, resolved=True, ends=10)).hear(60, report(A, 0, ends=300))
    assert len(desk.alert.spans) == 2
    desk.hear(200, report(A, 0, ends=440))
    assert len(desk.alert.spans) == 1
    desk.hear(201, report(A, 5, resolved=True, ends=10))
    assert saved(desk.effects) == 0, "the sender repeats an old resolve"


# -- bounds ---------------------------------------------------------------------------------------------------------


def test_spans_are_capped_and_the_oldest_joined() -> None:
    desk = Desk(by_api=True)
    for start in range(20):
        desk.hear(20 + start, report(A, start, ends=300))
    assert len(desk.alert.spans) == Bounds().spans_max
    assert desk.alert.starts_at == after(0)
    for start in range(20):
        desk.hear(60, report(A, start, resolved=True, ends=60))
    assert not desk.firing()


def test_beyond_open_alerts_max_new_ones_are_refused_and_the_rest_goes_on() -> None:
    desk = Desk(bounds=Bounds(open_alerts_max=2))
    desk.hear(0, *(report({"alertname": name}) for name in "ABC"), report(A))
    assert [(one.index, one.conflict) for one in desk.effects if isinstance(one, Refused)] == [(2, False)]
    assert desk.alert.count == 2
    desk.hear(1, report(A, resolved=True, ends=1)).hear(2, report({"alertname": "C"}))
    assert desk.engine.state.firing == 2


def test_an_alert_that_is_replaced_is_not_saved_any_more() -> None:
    """In no incident, seen again and ended: its row goes with the next episode, and no flush brings it back."""
    desk = Desk(rule=Rule(name="s", mode=Mode.SUPPRESS)).hear(0, report(A)).hear(1, report(A))
    desk.hear(2, report(A, resolved=True, ends=2)).hear(4, report(A, 3))
    assert [effect.id for effect in desk.effects if isinstance(effect, ForgetAlert)] == [1]
    desk.kept.apply(desk.engine.step(Tick(), after(30)))


# -- any order ------------------------------------------------------------------------------------------------------


def _told(by_api: bool, said: list[tuple[int, int | None]]) -> set[int]:
    """The model: which starts are open once all was heard, in whatever order."""
    ends = [(start, end) for start, end in said if end is not None]
    fired = {start for start, end in said if end is None}
    if by_api:
        return fired - {start for start, _ in ends}
    return {start for start in fired if not any(start <= end or start == began for began, end in ends)}


STARTS = st.integers(0, 20)
SAID = st.lists(st.tuples(STARTS, st.none() | st.integers(0, 40)), min_size=1, max_size=7)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.data(), st.booleans())
def test_state_is_the_same_under_any_order(data: st.DataObject, by_api: bool) -> None:
    """All within lateness: what fires at the end, and since when, is a function of the set of reports."""
    said = [(start, None if end is None else max(start, end)) for start, end in data.draw(SAID)]
    shuffled = data.draw(st.permutations(said))
    desk = Desk(by_api)
    for number, (start, end) in enumerate(shuffled):
        if end is None:
            desk.hear(45 + number, report(A, start, ends=400 if by_api else None))
        else:
            desk.hear(45 + number, report(A, start, resolved=True, ends=end))
    assert desk.open_starts() == _told(by_api, said), shuffled
    assert desk.firing() == bool(_told(by_api, said))


def test_alerts_of_one_body_share_their_span() -> None:
    """In memory, at their first report and at their repeats; what ends one of them ends no other."""
    engine = Engine(ruleset(Rule(name="r", match=())), State(STORE_ID))
    begin = after(0)
    for at, until in ((0, after(300)), (60, after(360))):
        made = (AlertReport(identify({**A, "n": n}), False, begin, until) for n in "12")
        engine.step(api(*made), after(at))
        one, other = engine.state.alerts.values()
        assert one.spans is other.spans
        assert one.spans[0].until == until
    engine.step(api(report({**A, "n": "1"}, resolved=True, ends=70.0)), after(80))
    assert (one.firing, other.firing) == (False, True)
    assert other.spans[0].ended_at is None
