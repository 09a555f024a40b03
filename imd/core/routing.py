"""Which policy an incident gets: its rule's, else the first route that takes it, else `default`.

Owns what a route sees: label by label the rule's, else the group key's, else what all members have in common, else the
cause's. Pure.
"""

from __future__ import annotations

import msgspec

from imd.model.incident import Incident
from imd.model.policy import BUILT_IN_POLICY, Route, Ruleset
from imd.model.rule import Rule, Test, match_test


class Chosen(msgspec.Struct, frozen=True):
    """The policy and what chose it, in words."""

    policy: str
    because: str


class Router:
    """Compiled routes, in order of trial."""

    def __init__(self, ruleset: Ruleset) -> None:
        self._policies = ruleset.policies
        self._routes: list[tuple[Route, Test]] = [(route, match_test(route.match)) for route in ruleset.routes]

    def choose(self, incident: Incident, rule: Rule) -> Chosen:
        if rule.policy in self._policies:
            return Chosen(rule.policy, f"rule {rule.name}")
        labels = {**incident.labels, **{name: value for name, value in incident.group_key if value}, **rule.labels}
        for number, (route, test) in enumerate(self._routes, start=1):
            if (route.priority is None or incident.priority in route.priority) and test(labels):
                return Chosen(route.policy, f"route {number}")
        return Chosen(BUILT_IN_POLICY, "no route took it")
