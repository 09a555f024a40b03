"""P1 to P5 from impact and urgency (design section 5, Priority).

Owns the arithmetic. All of it is incremental: a member can only raise, so looking at the newest one is enough.
"""

from __future__ import annotations

from collections.abc import Mapping

from imd.model.incident import Incident, Level, Priority
from imd.model.rule import PriorityTable, Raise, Rule

LABELS = ("severity", "priority", "tier")
"""What an alert's priority is made of."""

_RANK = {Level.HIGH: 0, Level.MEDIUM: 1, Level.LOW: 2}


def higher(one: Level, other: Level) -> Level:
    return one if one is other or _RANK[one] <= _RANK[other] else other


def more_urgent(one: Priority, other: Priority) -> Priority:
    return one if one.rank <= other.rank else other


_HIGH = Level.HIGH  # the way of every new alert: see model.alert


def urgency_of(labels: Mapping[str, str], table: PriorityTable) -> Level:
    """From the severity label; severities not listed take the table's default."""
    levels = table.urgency_from_severity
    severity = labels.get("severity", "")
    return levels.get(severity) or levels.get(severity.lower()) or levels.get("default", Level.MEDIUM)


def unknown_severity(labels: Mapping[str, str], table: PriorityTable) -> bool:
    """Whether the table's default had to stand in for a severity that was given."""
    severity = labels.get("severity", "")
    return bool(severity) and severity.lower() not in table.urgency_from_severity


def impact_of(tier: str, table: PriorityTable) -> Level:
    """Medium without any tier."""
    if not tier:
        return Level.MEDIUM
    return table.impact_from_tier.get(tier) or table.impact_from_tier.get("default", Level.LOW)


def claimed(labels: Mapping[str, str]) -> Priority | None:
    """The sender's own P1 to P5, in the label priority."""
    return _CLAIMS.get(labels.get("priority", ""))


_CLAIMS = {spelling: priority for priority in Priority for spelling in (priority.value, priority.value.lower())}


def open_levels(rule: Rule, labels: Mapping[str, str], table: PriorityTable, tier: str) -> tuple[Level, Level]:
    """Impact and urgency at opening. `tier` is the first alert's, by its label or by the map; "" for none."""
    return rule.impact or impact_of(tier, table), rule.urgency or urgency_of(labels, table)


def take_in(incident: Incident, rule: Rule, labels: Mapping[str, str], table: PriorityTable, tier: str) -> None:
    """A firing member's say: impact, urgency and the sender's claim go up, never down."""
    claim = _CLAIMS.get(labels.get("priority", ""))
    if claim is not None:
        incident.claimed = claim if incident.claimed is None else more_urgent(incident.claimed, claim)
    if rule.impact is None and tier:
        incident.impact = higher(incident.impact, impact_of(tier, table))
    if rule.urgency is None and incident.urgency is not _HIGH:
        incident.urgency = higher(incident.urgency, urgency_of(labels, table))


def due_raise(rule: Rule, alerts: int, distinct: Mapping[str, int]) -> tuple[Level, Raise] | None:
    """The highest impact that breadth has earned. `alerts` counts members ever, `distinct` values by label."""
    earned = [
        step for step in rule.raises if (distinct.get(step.distinct, 0) if step.distinct else alerts) >= step.at_least
    ]
    return min(((step.impact, step) for step in earned), key=lambda pair: _RANK[pair[0]], default=None)


def decide(incident: Incident, rule: Rule, table: PriorityTable) -> Priority:
    """Rule, else the sender's claim, else the matrix."""
    if rule.priority is not None:
        return rule.priority
    if incident.claimed is not None:
        return incident.claimed
    return table.matrix[incident.impact][incident.urgency]


def impact_because(rule: Rule, labels: Mapping[str, str], table: PriorityTable, tier: str) -> str:
    """Where the impact of `open_levels` comes from, in words."""
    if rule.impact is not None:
        return f"rule {rule.name} sets it"
    if not tier:
        return "there is no label tier, and none on the map"
    said = f'tier="{tier}"' if labels.get("tier") else f"tier {tier} of what it is on"
    return said if tier in table.impact_from_tier else f"{said} is not listed, so the default"


def urgency_because(rule: Rule, labels: Mapping[str, str], table: PriorityTable) -> str:
    """Where the urgency of `open_levels` comes from, in words."""
    if rule.urgency is not None:
        return f"rule {rule.name} sets it"
    severity = labels.get("severity", "")
    if not severity:
        return "there is no label severity, so the default"
    unknown = unknown_severity(labels, table)
    return f'severity="{severity}" is not listed, so the default' if unknown else f'severity="{severity}"'


def decided_because(incident: Incident, rule: Rule) -> str:
    """Which of its three sources `decide` went by, in words."""
    if rule.priority is not None:
        return f"rule {rule.name} sets it outright"
    if incident.claimed is not None:
        return f'a sender says so (label priority="{incident.claimed.value}")'
    return f"impact {incident.impact.value} x urgency {incident.urgency.value}"
