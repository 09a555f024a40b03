"""Conditions: what compiles and where it does not, what an answer is, and that none can run away or stop the engine."""

from __future__ import annotations

import sys
import time

import pytest

from imd.core.correlate import RuleIndex
from imd.model.condition import BadCondition, Condition, ConditionFailed, NoCel, compile_condition
from imd.model.rule import Matcher, Op, Rule

if sys.platform != "linux":  # the lock has it for Linux alone, where these tests must run
    pytest.importorskip("cel_expr_python")


@pytest.mark.parametrize(
    ("source", "labels", "answer"),
    [
        ('labels.env == "prod"', {"env": "prod"}, True),
        ('labels.env == "prod"', {"env": "dev"}, False),
        ('has(labels.env) && labels.env == "prod"', {}, False),
        ('"env" in labels || labels.team == "x"', {"env": ""}, True),
        ('labels["a/b"].matches("^x+$")', {"a/b": "xxx"}, True),
        ("int(labels.shard) % 2 == 0", {"shard": "4"}, True),
        ("labels.a == labels.b", {"a": "ü", "b": "ü"}, True),
        ("true", {}, True),
    ],
)
def test_a_condition_answers(source: str, labels: dict[str, str], answer: bool) -> None:
    assert compile_condition(source).eval(labels) is answer


@pytest.mark.parametrize(
    ("source", "line", "column", "said"),
    [
        ('labels.severity == "a" && labels.team == 1', 1, 39, "no matching overload"),
        ('lables.env == "a"', 1, 1, "undeclared reference to 'lables.env'"),
        ('labels.a == "x" &&\n  labels.b == 2', 2, 12, "no matching overload"),
        ('foo(labels.a) == "b"', 1, 1, "undeclared reference to 'foo'"),
        ('labels.a == "b" &&', 1, 19, "Syntax error"),
        ("labels.a", 1, 1, "it gives string, not true or false"),
        ("dyn(labels.a)", 1, 1, "it gives dyn"),
        ("(" * 200 + "true" + ")" * 200, 1, 1, "recursion limit"),
        ("true" + " " * 5000, 1, 1, "longer than"),
    ],
)
def test_a_fault_has_its_place_inside_the_expression(source: str, line: int, column: int, said: str) -> None:
    with pytest.raises(BadCondition) as caught:
        compile_condition(source)
    assert said in str(caught.value)
    assert (caught.value.line, caught.value.column) == (line, column)


@pytest.mark.parametrize(
    ("source", "labels", "missing"),
    [
        ('labels.env == "prod"', {}, True),
        ("int(labels.shard) > 1", {"shard": "x"}, False),
        ('labels.a.matches(labels.b)', {"a": "x", "b": "("}, False),
        ('labels.env == "prod"', {"env": "\udc80"}, False),
    ],
)  # fmt: skip
def test_what_gives_no_answer_fails_and_says_whether_a_label_was_missing(
    source: str, labels: dict[str, str], missing: bool
) -> None:
    with pytest.raises(ConditionFailed) as caught:
        compile_condition(source).eval(labels)
    assert caught.value.missing is missing


def test_the_other_side_may_decide() -> None:
    assert compile_condition('labels.none == "x" || labels.a == "b"').eval({"a": "b"}) is True
    assert compile_condition('labels.none == "x" && labels.a == "b"').eval({"a": "c"}) is False


def test_a_condition_cannot_run_away() -> None:
    """A hundred million steps: the budget ends it."""
    numbers = "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]"
    source = "true"
    for name in "abcdefgh":
        source = f"{numbers}.all({name}, {source})"
    began = time.process_time()
    with pytest.raises((ConditionFailed, BadCondition)):
        compile_condition(source).eval({})
    assert time.process_time() - began < 2


def test_equal_where_the_text_is_equal() -> None:
    one, other = compile_condition("true"), compile_condition("true")
    assert one == other
    assert hash(one) == hash(other)
    assert one != compile_condition("false")
    assert isinstance(one, Condition)


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cel_expr_python", None)
    with pytest.raises(NoCel, match=r"imd\[cel\]"):
        compile_condition("true")


def test_a_rule_takes_what_matches_and_holds_and_a_failure_is_only_heard_of() -> None:
    prod = Rule(name="prod", match=((Matcher("job", Op.EQUAL, "db"),),), when=compile_condition('labels.env == "prod"'))
    index = RuleIndex((prod, Rule(name="default")))
    failures: list[tuple[str, bool]] = []

    def taken(labels: dict[str, str]) -> str:
        rule = index.find(labels, lambda rule, failed: failures.append((rule.name, failed.missing)))
        assert rule is not None
        return rule.name

    assert taken({"job": "db", "env": "prod"}) == "prod"
    assert taken({"job": "db", "env": "dev"}) == "default"
    assert taken({"job": "web"}) == "default"  # its match does not hold: the condition is not asked
    assert failures == []
    assert taken({"job": "db"}) == "default"
    assert failures == [("prod", True)]
