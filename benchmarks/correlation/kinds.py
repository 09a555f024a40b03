"""The scores of one trial, fault kind by fault kind; pure.

Owns the table that says where grouping goes wrong. The definitions are the scorer's own; B-cubed counts each alert
under the kind of its fault, and pages count for the fault that has most alerts in the incident they told of.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

NOISE = "noise"

Alerts = Mapping[str, Mapping[str, Any]]


@dataclass
class Kind:
    """Sums over the faults of one kind. `split`: incidents that hold any alert of one."""

    faults: int = 0
    alerts: int = 0
    precision: float = 0.0
    recall: float = 0.0
    best: float = 0.0
    roots: int = 0
    pages: int = 0
    unpaged: int = 0
    split: int = 0

    def add(self, other: Kind) -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def scores(self) -> dict[str, float]:
        """B3 F1 for every kind, and per fault what makes sense for faults alone."""
        precision, recall = self.precision / self.alerts, self.recall / self.alerts
        means = {"macro_f1": self.best, "root_cause_at_1": self.roots, "pages": self.pages, "incidents": self.split}
        return {
            "faults": self.faults,
            "alerts": self.alerts,
            "bcubed_precision": precision,
            "bcubed_recall": recall,
            "bcubed_f1": 2 * precision * recall / (precision + recall),
            **{name: value / self.faults for name, value in means.items()},
            "never_paged": self.unpaged,
        }


def by_kind(
    alerts: Alerts,
    assigned: Mapping[str, str],
    pages: Iterable[tuple[str, float]],
    roots: Mapping[str, Mapping[str, str]],
    kind_of: Mapping[str, str],
) -> dict[str, Kind]:
    """`alerts` by id as the scorer loads them, `kind_of` each true incident."""
    found: dict[str, Hashable] = {name: assigned.get(name, ("alone", name)) for name in alerts}
    truth: dict[str, Hashable] = {name: one.get("truth_incident") or ("alone", name) for name, one in alerts.items()}
    both = Counter((truth[name], found[name]) for name in alerts)
    sizes, true_sizes = Counter(found.values()), Counter(truth.values())
    paged = Counter(incident for incident, _ in pages)
    members: dict[Hashable, list[str]] = defaultdict(list)
    for name, fault in truth.items():
        members[fault].append(name)
    mostly: dict[Hashable, tuple[int, Hashable]] = {}
    for (fault, incident), count in both.items():
        if isinstance(fault, str):
            mostly[incident] = max(mostly.get(incident, (0, "")), (count, fault), key=lambda one: one[0])
    kinds: dict[str, Kind] = defaultdict(Kind)
    for fault, names in members.items():
        held = Counter(found[name] for name in names)
        kind = kinds[kind_of[fault] if isinstance(fault, str) else NOISE]
        kind.add(
            Kind(
                faults=1,
                alerts=len(names),
                precision=sum(count * count / sizes[incident] for incident, count in held.items()),
                recall=sum(count * count / true_sizes[fault] for count in held.values()),
            )
        )
        if isinstance(fault, str):
            kind.best += max(2 * count / (len(names) + sizes[incident]) for incident, count in held.items())
            kind.roots += _found(alerts, names, roots.get(str(held.most_common(1)[0][0]), {}), fault)
            kind.pages += sum(paged[str(one)] for one in held if mostly[one][1] == fault)
            kind.unpaged += not any(paged[str(one)] for one in held)
            kind.split += len(held)
    return dict(kinds)


def _found(alerts: Alerts, names: list[str], guess: Mapping[str, str], fault: str) -> bool:
    if guess.get("entity") in {alerts[name].get("truth_root_cause") for name in names}:
        return True
    speaker = alerts.get(guess.get("id", ""))
    return bool(speaker is not None and speaker.get("truth_incident") == fault and speaker.get("truth_is_root"))
