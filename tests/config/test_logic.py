"""What matchers say of each other is never untrue, and finds what is plain to see."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imd.config.logic import Takers, apart, begin_of, label_values, match_within, never, taken, values_of, within
from imd.config.syntax import parse_matchers
from imd.model.rule import Match, Matcher, Op, full_match, match_test, whole_pattern

NAMES = ["a", "b"]
PATTERNS = [
    "", ".*", ".+", "x", "x|y", "(x|y)", "(?:x|)", "x.*", "xy.*", "x.+", ".*y", "xy?", "x\\.y", "[xy]", "x|y.*",
    "(?i)X", "x{0}y", "x*", "x?y.*", "z.*", "xy", "\\|", "x||y",
]  # fmt: skip
VALUES = ["", "x", "y", "xy", "xyz", "x.y", "X", "z", "zx", "yx", "|", "xx", "xz"]
MATCHERS = st.builds(
    lambda name, op, value, pattern: Matcher(name, op, pattern if "~" in op.value else value),
    st.sampled_from(NAMES), st.sampled_from(Op), st.sampled_from(VALUES), st.sampled_from(PATTERNS),
)  # fmt: skip
LISTS = st.lists(MATCHERS, max_size=4).map(tuple)
LABELS = [{"a": a, "b": b} for a in VALUES for b in VALUES]


def _holding(match: Match) -> list[dict[str, str]]:
    test = match_test(match)
    return [labels for labels in LABELS if test(labels)]


def _of(text: str) -> tuple[Matcher, ...]:
    return parse_matchers(text)


@given(LISTS, LISTS)
@settings(max_examples=2000, deadline=None)
def test_no_answer_is_untrue(one: tuple[Matcher, ...], other: tuple[Matcher, ...]) -> None:
    """Tried on every pair of labels that could tell."""
    holding, others = _holding((one,)), _holding((other,))
    if never(taken(one)):
        assert not holding
    if within(taken(one), taken(other)):
        assert all(labels in others for labels in holding)
    if apart(taken(one), taken(other)):
        assert not [labels for labels in holding if labels in others]
    for name in NAMES:
        values = label_values((one,), name)
        assert values is None or {labels[name] for labels in holding} <= values


@given(st.lists(LISTS, max_size=6), LISTS)
@settings(max_examples=1500, deadline=None)
def test_takers_take_all_of_it(before: list[tuple[Matcher, ...]], wanted: tuple[Matcher, ...]) -> None:
    """Whoever is named, together, leaves nothing; and one alone is always found."""
    takers = Takers()
    for number, matchers in enumerate(before):
        takers.add(str(number), taken(matchers))
    found = takers.of(taken(wanted)) if not never(taken(wanted)) else ()
    if found:
        left = _holding((wanted,))
        for owner in found:
            test = match_test((before[int(owner)],))
            left = [labels for labels in left if not test(labels)]
        assert not left
    elif not never(taken(wanted)):
        assert not any(within(taken(wanted), taken(one)) for one in before)


@given(st.sampled_from([".+", ".*", "a|b", "a|", "", "a.*"]), st.text(st.sampled_from("ab\n\r\u2028 .|"), max_size=3))
def test_short_ways_say_what_re2_says(pattern: str, value: str) -> None:
    assert full_match(pattern)(value) is (whole_pattern(pattern).search(value) is not None)


@given(st.sampled_from(PATTERNS), st.sampled_from(VALUES))
def test_values_and_beginnings_are_those_of_the_pattern(pattern: str, value: str) -> None:
    """Plain alternatives are all there is; what a pattern begins with every match begins with."""
    values = values_of(pattern)
    assert values is None or (value in values) is full_match(pattern)(value)
    assert not full_match(pattern)(value) or value.startswith(begin_of(pattern))


@pytest.mark.parametrize(
    ("inner", "outer"),
    [
        ('a="x"', 'a=~"x|y"'), ('a="x"', 'a!="y"'), ('a="x"', 'a=~"x.*"'), ('a=~"xy.*"', 'a=~"x.*"'),
        ('a="x"', 'a=~".+"'), ('a="x", b="y"', 'b="y"'), ('a=~"x.*"', 'a!=""'), ('a=~"(x|y)"', 'a!~"z"'),
        ('a=~"[0-9]"', 'a=~"[0-9]"'),
        ('a!="x", a!="y"', 'a!="x"'), ('b="y"', 'a=~".*"'), ('a=~"x\\\\.y"', 'a="x.y"'), ('a="x"', 'a!~"y.*"'),
        ('a!~"y.*", b="z"', 'a!~"y.*"'),
    ],
)  # fmt: skip
def test_what_is_within_what(inner: str, outer: str) -> None:
    """What people write."""
    assert match_within((_of(inner),), (_of(outer),))
    assert not match_within((_of(outer),), (_of(inner),)) or inner == outer or taken(_of(inner)) == taken(_of(outer))


@pytest.mark.parametrize(
    "text",
    [
        'a="x", a="y"', 'a="x", a!="x"', 'a="", a=~".+"', 'a=~"x|y", a="z"', 'a=~"x.*", a=~"y.*"', 'a!~".*"',
        'a=~"x.*", a="y"', 'a="x", a!~"x|y"', 'a=~"Kube.*", a=~"Node.+"',
    ],
)  # fmt: skip
def test_what_can_never_hold(text: str) -> None:
    """Two values for one label."""
    assert never(taken(_of(text)))


def test_several_together_take_all() -> None:
    """Each value by another; and nobody where one is left."""
    takers = Takers()
    for value in ("x", "y"):
        takers.add(f"only-{value}", taken(_of(f'a="{value}"')))
    assert takers.of(taken(_of('a=~"x|y", b="1"'))) == ("only-x", "only-y")
    assert takers.of(taken(_of('a=~"x|y|z"'))) == ()


def test_looking_up_costs_little_among_many() -> None:
    """Ten thousand that differ in one label of three, by value or by pattern: few are compared with."""
    takers = Takers()
    for number in range(5000):
        takers.add(str(number), taken(_of(f'severity="critical", team="a", alertname="Kube{number}"')))
        takers.add(f"p{number}", taken(_of(f'severity="critical", team="a", alertname=~"Node{number}x.*"')))
    assert takers.of(taken(_of('severity="critical", team="a", alertname="Kube4999", b="c"'))) == ("4999",)
    assert takers.of(taken(_of('severity="critical", team="a", alertname="Node77xy", b="c"'))) == ("p77",)
    assert takers.of(taken(_of('severity="critical", team="a", alertname=~"Node4xy.*"'))) == ("p4",)
