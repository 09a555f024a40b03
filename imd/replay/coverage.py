"""Which rules, escalation steps, inhibitions and maintenance windows some test reached, and which none did.

Owns what counts as reached: a rule that took an alert or opened an incident, a step that sent a message, an inhibition
or window that kept an alert quiet. What is built in does not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from imd.model.policy import Ruleset
from imd.replay.seen import Seen


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a test may reach. `kind` is rule, step, inhibition or maintenance; `where` file:line, where it is
    known; `step` from 1."""

    kind: str
    name: str
    where: str = ""
    step: int = 0
    targets: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.kind == "step":
            return f"policy {self.name}, step {self.step} ({', '.join(self.targets)})"
        return f"{self.kind} {self.name}"


class Coverage:
    """Adds up over tests."""

    def __init__(self) -> None:
        self._parts: dict[Part, bool] = {}

    def add(self, rulesets: Iterable[Ruleset], seen: Seen) -> None:
        """One test, and the rules that decided in it."""
        rules = {alert.rule for alert in seen.alerts.values()}
        rules |= {incident.rule for incident in seen.story.incidents.values()}
        causes = {seen.cause(cause) for cause in seen.causes}
        for ruleset in rulesets:
            for part in _parts(ruleset):
                match part.kind:
                    case "rule":
                        reached = part.name in rules
                    case "step":
                        reached = (part.name, part.step) in seen.steps
                    case _:
                        reached = (part.kind, part.name) in causes
                self._parts[part] = self._parts.get(part, False) or reached

    def counts(self) -> dict[str, tuple[int, int]]:
        """By kind, how many are reached, of how many; kinds of which there are none are left out."""
        found: dict[str, tuple[int, int]] = {}
        for part, reached in self._parts.items():
            some, all_of_them = found.get(part.kind, (0, 0))
            found[part.kind] = (some + reached, all_of_them + 1)
        return found

    @property
    def percent(self) -> float:
        """Of everything that can be reached; 100 where there is nothing."""
        return 100 * sum(self._parts.values()) / len(self._parts) if self._parts else 100.0

    def unreached(self) -> list[Part]:
        return [part for part, reached in self._parts.items() if not reached]


def _parts(ruleset: Ruleset) -> Iterator[Part]:
    for rule in ruleset.rules:
        if rule.where:
            yield Part(kind="rule", name=rule.name, where=rule.where)
    for policy in ruleset.policies.values():
        if policy.once:
            continue
        for number, step in enumerate(policy.steps, 1):
            yield Part(kind="step", name=policy.name, step=number, targets=tuple(map(str, step.notify)))
    for inhibition in ruleset.inhibitions:
        yield Part(kind="inhibition", name=inhibition.name)
    for maintenance in ruleset.maintenance:
        yield Part(kind="maintenance", name=maintenance.name)
