"""P1 to P5 from impact and urgency."""

from __future__ import annotations

import pytest

from imd.core import priority
from imd.model.incident import Incident, IncidentState, Level, Priority
from imd.model.rule import PriorityTable, Raise, Rule
from tests.core.making import T0

TABLE = PriorityTable()
H, M, L = Level.HIGH, Level.MEDIUM, Level.LOW


def opened(rule: Rule, labels: dict[str, str]) -> Incident:
    impact, urgency = priority.open_levels(rule, labels, TABLE, labels.get("tier", ""))
    incident = Incident(
        id="i1", number=1, rule="r", group_key=(), state=IncidentState.PENDING, opened_at=T0, config_hash="c",
        impact=impact, urgency=urgency,
    )  # fmt: skip
    priority.take_in(incident, rule, labels, TABLE, labels.get("tier", ""))
    return incident


@pytest.mark.parametrize(
    ("rule", "labels", "expected"),
    [
        (Rule(name="r"), {"severity": "critical"}, "P2"),
        (Rule(name="r"), {"severity": "CRITICAL", "tier": "1"}, "P1"),
        (Rule(name="r"), {"severity": "warning"}, "P3"),
        (Rule(name="r"), {"severity": "info", "tier": "3"}, "P5"),
        (Rule(name="r"), {}, "P3"),
        (Rule(name="r"), {"severity": "catastrophe"}, "P3"),
        (Rule(name="r", impact=H), {"severity": "critical", "tier": "3"}, "P1"),
        (Rule(name="r", urgency=L), {"severity": "critical"}, "P4"),
        (Rule(name="r"), {"severity": "info", "priority": "p1"}, "P1"),
        (Rule(name="r", priority=Priority.P5), {"severity": "critical", "priority": "P1"}, "P5"),
        (Rule(name="r"), {"priority": "P9"}, "P3"),
    ],
)
def test_decide(rule: Rule, labels: dict[str, str], expected: str) -> None:
    assert priority.decide(opened(rule, labels), rule, TABLE).value == expected


def test_members_raise_and_never_lower() -> None:
    rule = Rule(name="r")
    incident = opened(rule, {"severity": "warning", "tier": "2"})
    priority.take_in(incident, rule, {"severity": "info"}, TABLE, "9")
    assert (incident.impact, incident.urgency) == (M, M)
    priority.take_in(incident, rule, {"severity": "critical"}, TABLE, "1")
    assert (incident.impact, incident.urgency) == (H, H)


def test_a_member_without_a_tier_says_nothing_of_impact() -> None:
    rule = Rule(name="r")
    incident = opened(rule, {"tier": "3"})
    priority.take_in(incident, rule, {}, TABLE, "")
    assert incident.impact is L


def test_breadth() -> None:
    rule = Rule(name="r", raises=(Raise(at_least=10, impact=M), Raise(at_least=3, distinct="service", impact=H)))
    assert priority.due_raise(rule, 9, {"service": 2}) is None
    assert priority.due_raise(rule, 10, {"service": 2}) == (M, rule.raises[0])
    assert priority.due_raise(rule, 10, {"service": 3}) == (H, rule.raises[1])


def test_severities_that_nobody_listed_are_known_as_such() -> None:
    assert priority.unknown_severity({"severity": "catastrophe"}, TABLE)
    assert not priority.unknown_severity({"severity": "Warning"}, TABLE)
    assert not priority.unknown_severity({}, TABLE)


def test_raising_impact_or_urgency_never_lowers_the_priority() -> None:
    ranks = [[TABLE.matrix[impact][urgency].rank for urgency in (H, M, L)] for impact in (H, M, L)]
    for row in ranks:
        assert row == sorted(row)
    for column in zip(*ranks, strict=True):
        assert list(column) == sorted(column)
