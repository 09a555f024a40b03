"""Durations, times of day and matchers."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imd.config import syntax
from imd.config.syntax import BadDuration, BadMatcher, BadTimeOfDay
from imd.model.rule import Matcher, Op

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent.parent / "vectors/alertmanager_matchers.json").read_text())
_PARSERS = {
    ("utf8", False): syntax.parse_utf8,
    ("utf8", True): lambda text: (syntax.one_of(syntax.parse_utf8(text)),),
    ("classic", False): syntax.parse_classic,
    ("fallback", False): syntax.parse_matchers,
    ("fallback", True): lambda text: (syntax.parse_matcher(text),),
}


def _cases(part: str) -> list[Any]:
    return [
        pytest.param(case, id=f"{number}-{case.get('id', case['test'])}") for number, case in enumerate(VECTORS[part])
    ]


def _matcher(case: dict[str, Any]) -> Matcher:
    return Matcher(case["name"], Op(case["op"]), case["value"])


@pytest.mark.parametrize("case", _cases("parse"))
def test_parses_as_alertmanager(case: dict[str, Any]) -> None:
    """Every matcher vector of Alertmanager's own tests is read, or refused, as there."""
    parse = _PARSERS[case["parser"], case.get("entry") == "single"]
    if "error" in case:
        with pytest.raises(BadMatcher) as raised:
            parse(case["input"])
        assert 0 <= raised.value.offset <= len(case["input"])
    else:
        assert parse(case["input"]) == tuple(_matcher(one) for one in case["matchers"])


@pytest.mark.parametrize("case", _cases("match"))
def test_matches_as_alertmanager(case: dict[str, Any]) -> None:
    """Whole values, RE2, no newline for a dot."""
    matcher = Matcher("x", Op(case["op"]), case["pattern"])
    assert matcher.test()({"x": case["label_value"]}) is case["match"]


@pytest.mark.parametrize("case", _cases("filter_match"))
def test_filters_as_alertmanager(case: dict[str, Any]) -> None:
    """A filter sees a missing label as the empty text."""
    assert _matcher(case).test()(case["labels"]) is case["match"]


@pytest.mark.parametrize("case", _cases("to_string"))
def test_writes_as_alertmanager(case: dict[str, Any]) -> None:
    """A matcher as text, its name quoted where it has to be; and the text reads back as the same matcher."""
    assert str(_matcher(case)) == case["string"]
    assert syntax.parse_matcher(case["string"]) == _matcher(case)


@pytest.mark.parametrize("case", _cases("json_form"))
def test_json_form_as_alertmanager(case: dict[str, Any]) -> None:
    """isEqual is true where it is left out."""
    shown = case["json"]
    read = syntax.matcher_from_object(shown["name"], shown["value"], shown["isRegex"], shown.get("isEqual", True))
    assert read == _matcher(case)
    assert syntax.matcher_object(read) == {"isEqual": True, **shown}


@pytest.mark.parametrize("case", _cases("label_names"))
def test_label_names_as_alertmanager(case: dict[str, Any]) -> None:
    """Classic names are letters, digits and _; in UTF-8 mode any text is a name."""
    assert syntax.valid_label_name(case["label_name"], classic=case["mode"] == "classic") is case["valid"]


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("foo", 3),
        ("foo!bar", 3),
        ('foo="bar', 4),
        ('a="b" c="d"', 6),
        ('a="b", ="d"', 7),
        ('ok="1", bad="x" y', 16),
        ('env=~"("', 6),
        ('a="1", env=~"("', 13),
        ('env=~"a\\\\d+(?!x)"', 11),
        ('env=~"a\\d+(?!x)"', 10),
        ('a="1", {', 7),
        ('env=~"é\\U0001F600["', 17),
        ("env=~a|b)", 8),
        ('{a="1", env=~"[z-a]"}', 15),
        ('"a"=:"b"', 5),
        ('name-x=~"\\d+"', 9),
    ],
)
def test_a_fault_knows_its_column(text: str, offset: int) -> None:
    """The column is that of the fault, not of the matcher."""
    with pytest.raises(BadMatcher) as raised:
        syntax.parse_matchers(text)
    assert raised.value.offset == offset


def test_a_regex_that_only_backtracking_engines_take_is_refused_by_name() -> None:
    """RE2's own words, and marked as a fault of the expression."""
    with pytest.raises(BadMatcher, match=r"perl operator") as raised:
        syntax.parse_matcher('a=~"(?=b)"')
    assert raised.value.regex


@pytest.mark.parametrize("text", ["{a=b}", "{a=b", "a=b}", "", "a=b,", "x" * 20_000])
def test_one_matcher_is_exactly_one_without_braces(text: str) -> None:
    """A filter of the API is one matcher; `a=b,` is one by the classic grammar, whose value holds the comma."""
    if text == "a=b,":
        assert syntax.parse_matcher(text).value == "b,"
    else:
        with pytest.raises(BadMatcher):
            syntax.parse_matcher(text)


@given(st.text(alphabet=st.sampled_from(list("ab=!~{},\"\\ nx'`\n🙂0")), max_size=30))
def test_any_text_is_matchers_or_a_fault_inside_it(text: str) -> None:
    """No other exception, and the offset stays inside the text."""
    try:
        matchers = syntax.parse_matchers(text)
    except BadMatcher as error:
        fault = error.offset
    else:
        fault = 0
        assert all(isinstance(matcher, Matcher) for matcher in matchers)
    assert 0 <= fault <= len(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("30s", 30),
        ("5m", 300),
        ("2h", 7200),
        ("7d", 604800),
        ("1w", 604800),
        ("1y", 31536000),
        ("1h30m", 5400),
        ("0s", 0),
        ("0", 0),
        ("1w2d3h4m5s6ms", 788645.006),
    ],
)
def test_durations_as_prometheus(text: str, seconds: float) -> None:
    """The units of Prometheus, and its sizes of a year and a week."""
    assert syntax.parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "5", "s", "1m1h", "1h1h", "-5m", "1.5h", "5 m", "5M", "300y", "9" * 70, "１s", "1h "]
)
def test_what_is_no_duration(text: str) -> None:
    """Order of units, no signs, no fractions, no blanks, no other digits."""
    with pytest.raises(BadDuration):
        syntax.parse_duration(text)


@given(st.integers(min_value=0, max_value=9_000_000_000_000))
def test_durations_survive_writing(milliseconds: int) -> None:
    """What format_duration writes, parse_duration reads."""
    value = timedelta(milliseconds=milliseconds)
    assert syntax.parse_duration(syntax.format_duration(value)) == value


def test_durations_are_written_short() -> None:
    """As people would."""
    texts = [syntax.format_duration(timedelta(seconds=seconds)) for seconds in (0, 90, 5400, 86400, 604800)]
    assert texts == ["0s", "1m30s", "1h30m", "1d", "1w"]


def test_times_of_day() -> None:
    """Two digits each, the day's end included."""
    assert syntax.parse_time_of_day("09:30") == timedelta(hours=9, minutes=30)
    assert syntax.parse_time_of_day("24:00") == timedelta(hours=24)
    for text in ("9:30", "24:01", "25:00", "09:60", "0930", ""):
        with pytest.raises(BadTimeOfDay):
            syntax.parse_time_of_day(text)
