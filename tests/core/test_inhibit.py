"""Inhibition: Alertmanager's cases, and an index that says what trying all pairs would."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imd.core.inhibit import Inhibitors
from imd.model.alert import Alert, AlertState, Span, identify
from imd.model.quiet import Inhibition
from imd.model.rule import match_test
from tests.core.making import T0, equals

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "alertmanager_semantics.json").read_text())
CASES = [
    pytest.param(group, case, id=f"{number}-{case.get('note', case['target'])}")
    for number, group in enumerate(VECTORS["inhibit"])
    for case in group["cases"]
]


def alert(number: int, labels: dict[str, str]) -> Alert:
    return Alert(number, identify(labels), "am", False, AlertState.FIRING, T0, T0, T0, (Span(T0, None, None),))


@pytest.mark.parametrize(("group", "case"), CASES)
def test_alertmanagers_cases(group: dict[str, list[dict[str, object]]], case: dict[str, object]) -> None:
    """Muted or not, by what fires; what is resolved has entered and left."""
    rules = [
        Inhibition(
            name=f"r{number}",
            source=(equals(**rule["source_match"]),),
            target=(equals(**rule["target_match"]),),
            equal=tuple(rule["equal"]),
        )
        for number, rule in enumerate(group["rules"])
    ]
    inhibitors = Inhibitors(tuple(rules))
    firing, resolved = group["firing"], group.get("resolved", [])
    for number, labels in enumerate([*firing, *resolved], start=1):
        inhibitors.enter(alert(number, labels), labels)
    for number, labels in enumerate(resolved, start=len(firing) + 1):
        inhibitors.leave(alert(number, labels))
    target = alert(99, case["target"])
    inhibitors.enter(target, case["target"])
    assert bool(inhibitors.causes(target)) == case["inhibited"]


RULES = (
    Inhibition(name="a", source=(equals(s="1"),), target=(equals(t="1"),), equal=("e",)),
    Inhibition(name="b", source=(equals(s="2"),), target=(equals(s="1"),), equal=()),
    Inhibition(
        name="c", source=(equals(s="1"), equals(s="2")), target=(equals(t="1"), equals(t="2")), equal=("e", "f")
    ),
)
_labels = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from(["1", "2"]) for name in ("s", "t", "e", "f")} | {"x": st.just("y")}
)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 6), _labels), max_size=25))
def test_the_index_says_what_all_pairs_say(moves: list[tuple[bool, int, dict[str, str]]]) -> None:
    """After each coming and going; and whose verdict changed was named."""
    inhibitors = Inhibitors(RULES)
    firing: dict[int, Alert] = {}
    verdicts: dict[int, list[str]] = {}
    for comes, number, labels in moves:
        if comes and number not in firing:
            firing[number] = alert(number, labels)
            named = {one.id for one in inhibitors.enter(firing[number], labels)} | {number}
        elif not comes and number in firing:
            named = {one.id for one in inhibitors.leave(firing.pop(number))}
            verdicts.pop(number)
        else:
            continue
        for one in firing.values():
            causes = inhibitors.causes(one)
            assert bool(causes) == _muted(one, firing.values())
            assert causes == verdicts.get(one.id) or one.id in named
            verdicts[one.id] = causes
    assert not [inhibitors.leave(one) for one in list(firing.values())] or not inhibitors._buckets


def _muted(target: Alert, firing: object) -> bool:
    labels = target.labels()
    for rule in RULES:
        source_side, target_side = match_test(rule.source), match_test(rule.target)
        if not target_side(labels):
            continue
        for source in firing:
            other = source.labels()
            equal = all(labels.get(name, "") == other.get(name, "") for name in rule.equal)
            if equal and source_side(other) and not (target_side(other) and source_side(labels)):
                return True
    return False
