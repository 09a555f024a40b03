"""Which rule takes an alert, under which key, and while which window is open."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imd.core.correlate import RuleIndex, group_key, trial, window_end
from imd.model.incident import Incident, IncidentState
from imd.model.rule import Matcher, Op, Rule, Window, WindowKind, match_test
from tests.core.making import T0, after, equals, minutes

NAMES = st.sampled_from(["alertname", "job", "env"])
VALUES = st.sampled_from(["", "a", "b", "c-1"])
PATTERNS = st.sampled_from(["a|b", "a|", "", "a.*", ".+", "[ab]", "c-1", "a|b|c-1", "(a|b)"])
MATCHERS = st.one_of(
    st.builds(Matcher, NAMES, st.sampled_from([Op.EQUAL, Op.NOT_EQUAL]), VALUES),
    st.builds(Matcher, NAMES, st.sampled_from([Op.REGEX, Op.NOT_REGEX]), PATTERNS),
)
MATCHES = st.lists(st.lists(MATCHERS, max_size=3).map(tuple), min_size=1, max_size=3).map(tuple)
LABELS = st.dictionaries(NAMES, VALUES.filter(bool))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(MATCHES, max_size=8), st.lists(LABELS, min_size=1, max_size=6))
def test_the_index_finds_what_trying_each_rule_in_turn_finds(
    matches: list[tuple[tuple[Matcher, ...], ...]], alerts: list[dict[str, str]]
) -> None:
    rules = (*(Rule(name=f"r{number}", match=match) for number, match in enumerate(matches)), Rule(name="default"))
    index = RuleIndex(rules)
    for labels in alerts:
        naive = next(rule.name for rule in rules if match_test(rule.match)(labels))
        found = index.find(labels)
        assert found is not None
        assert found.name == naive
        trials = [trial(rule, labels) for rule in rules]
        assert next(one.rule.name for one in trials if one.taken) == naive
        for one in trials:
            assert one.taken == match_test(one.rule.match)(labels)
            assert not any(matcher.test()(labels) for matcher in one.failed)


def test_a_trial_names_of_each_list_the_first_matcher_that_does_not_hold() -> None:
    rule = Rule(name="r", match=(equals(a="1", b="2"), equals(a="2", b="1")))
    assert [str(matcher) for matcher in trial(rule, {"a": "1", "b": "1"}).failed] == ['b="2"', 'a="2"']
    assert trial(rule, {"a": "1", "b": "2"}).taken
    assert trial(Rule(name="none", match=()), {}).unmet == "matches nothing"


def test_no_rule_no_answer() -> None:
    assert RuleIndex(()).find({"alertname": "A"}) is None


@pytest.mark.parametrize(
    ("group_by", "labels", "key"),
    [
        (
            ("alertname", "cluster"),
            {"alertname": "A", "cluster": "c", "x": "y"},
            (("alertname", "A"), ("cluster", "c")),
        ),
        (("cluster", "node"), {"alertname": "A", "cluster": "c"}, (("cluster", "c"), ("node", ""))),
        (("cluster", "node"), {"alertname": "A"}, (("alertname", "A"),)),
        (("cluster",), {}, (("alertname", ""),)),
        ((), {"alertname": "A"}, ()),
        (None, {"b": "2", "a": "1"}, (("a", "1"), ("b", "2"))),
    ],
    ids=[
        "as asked",
        "a missing label is empty",
        "none of them: by alertname",
        "not even that",
        "one group",
        "all labels",
    ],
)
def test_group_keys(group_by: tuple[str, ...] | None, labels: dict[str, str], key: tuple[tuple[str, str], ...]) -> None:
    assert group_key(Rule(name="r", group_by=group_by), labels) == key


def incident(firing: int = 1, active: float = 0) -> Incident:
    return Incident(
        id="i1", number=1, rule="r", group_key=(), state=IncidentState.TRIGGERED, opened_at=T0, config_hash="c",
        firing=firing, active_at=after(active),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("window", "firing", "members", "at", "end"),
    [
        (Window(), 0, 10, 3600, ""),
        (Window(max_life=minutes(10)), 1, 1, 600, ""),
        (Window(max_life=minutes(10)), 1, 1, 601, "max_life"),
        (Window(max_alerts=3), 1, 2, 0, ""),
        (Window(max_alerts=3), 1, 3, 0, "max_alerts"),
        (Window(kind=WindowKind.FIXED, gap=minutes(1)), 1, 1, 60, ""),
        (Window(kind=WindowKind.FIXED, gap=minutes(1)), 1, 1, 61, "gap after the opening"),
        (Window(kind=WindowKind.SESSION, gap=minutes(1)), 1, 1, 9999, ""),
        (Window(kind=WindowKind.SESSION, gap=minutes(1)), 0, 1, 90, ""),
        (Window(kind=WindowKind.SESSION, gap=minutes(1)), 0, 1, 91, "gap without an alert"),
    ],
)
def test_window_ends(window: Window, firing: int, members: int, at: float, end: str) -> None:
    assert window_end(incident(firing, active=30), window, members, after(at)) == end
