"""How many different values of a label an incident's members have, for `raise`.

Owns the tallies; each member is looked at once. A member that came suppressed counts only once it goes on.
"""

from __future__ import annotations

from imd.core.state import Distinct, State
from imd.model.alert import Alert
from imd.model.incident import Incident
from imd.model.rule import Rule


def distinct(state: State, incident: Incident, rule: Rule) -> dict[str, int]:
    """How many values each label has that `raise` asks for."""
    members = state.members[incident.id]
    counts: dict[str, int] = {}
    for label in {step.distinct: None for step in rule.raises if step.distinct}:
        tally = state.distinct.setdefault((incident.id, label), Distinct())
        tally.values.update(value for alert in members[tally.counted :] if (value := _value(alert, label)))
        tally.counted = len(members)
        counts[label] = len(tally.values)
    return counts


def _value(alert: Alert, label: str) -> str:
    return "" if alert.joined_because == "suppressed" else alert.placed_labels().get(label, "")
