"""Alternatives of a route tree as imd's rules, policies and routes.

Owns who is paged for what, and when. An alternative becomes a rule, in the same order; the receivers that it reaches
the one escalation step of a policy. Where one of them is reached in certain hours alone, the rule names no policy but a
label `route`, by which entries of `routes` with these hours take its incidents; the last of them is `nobody`, which
waits.

One incident has one group_by and one hold: where routes that an alert reaches together differ, those of the first that
pages anybody count, and a remark says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

import msgspec

from imd.config.syntax import format_duration
from imd.imports.alertmanagershape import ALL_LABELS, Inhibit, Route
from imd.imports.alertmanagertimes import Hours, Times
from imd.imports.alternatives import Alternative
from imd.imports.remarks import Remarks
from imd.imports.written import Noted, Value
from imd.model.rule import Matcher, Op

LABEL = "route"
"""The label of a rule by which routes know its incidents."""

DEFAULT, NOBODY = "default", "nobody"
_RESERVED = frozenset({DEFAULT, NOBODY})
_NAME_MAX = 90
_HOLD_MAX, _REMIND_MAX = timedelta(days=1), timedelta(days=30)
_WATCHDOG = "Watchdog"
_EVERYTHING = 'alertname=~"(?s:.*)"'


class _Leaf(msgspec.Struct, frozen=True):
    """A route that an alternative reaches, and whom it pages when."""

    route: Route
    targets: tuple[str, ...]
    hours: Hours


class Rules:
    """`targets`: imd's receivers by the name of Alertmanager's."""

    def __init__(self, targets: Mapping[str, tuple[str, ...]], times: Times, remarks: Remarks) -> None:
        self._targets = targets
        self._times = times
        self._remarks = remarks
        self._policies: dict[tuple[tuple[str, ...], timedelta], str] = {}
        self._names: set[str] = set(_RESERVED)
        self._rule_names: set[str] = set(_RESERVED)
        self._routes: list[Value] = []

    def parts(self, found: Sequence[Alternative], inhibits: Iterable[Inhibit], root: Route) -> dict[str, Value]:
        """Every key of the rule file. What no alert of theirs makes (a missing heartbeat) goes where the root goes."""
        rules: list[Value] = [self._rule(one) for one in found]
        last = _Leaf(root, self._targets[root.receiver], Hours())
        self._routes.append({"policy": self._policy_of([last]) if last.targets else NOBODY})
        return {
            "times": self._times.entries,
            "inhibit": list(self._inhibitions(inhibits)),
            "rules": rules,
            "policies": [self._policy(name, *key) for key, name in self._policies.items()],
            "routes": self._routes,
        }

    # Rules.

    def _rule(self, one: Alternative) -> Noted:
        leaves = [_Leaf(route, self._targets[route.receiver], self._times.hours(route)) for route in one.routes]
        paging = [leaf for leaf in leaves if leaf.targets and not leaf.hours.never]
        chief = (paging or leaves)[0].route
        rule: dict[str, Value] = {"name": self._rule_name(one)}
        if one.match:
            said = [str(matcher) for matcher in one.match]
            rule["match"] = said[0] if len(said) == 1 else said
        rule["group_by"] = [ALL_LABELS] if chief.group_by is None else list(chief.group_by)
        rule["hold"] = min(chief.group_wait, _HOLD_MAX)
        if not paging:
            rule["mode"] = "monitor"
        elif all(leaf.hours.always for leaf in paging):
            rule["policy"] = self._policy_of(paging)
        else:
            rule["labels"] = {LABEL: rule["name"]}
            self._by_hours(str(rule["name"]), paging)
        self._remark(one, leaves, chief)
        return Noted(rule, (self._note(one),))

    def _note(self, one: Alternative) -> str:
        lines = " + ".join(f"{self._remarks.path}:{route.at.span.line}" for route in one.routes)
        return f"{lines}: {', '.join(dict.fromkeys(route.receiver for route in one.routes))}"

    def _rule_name(self, one: Alternative) -> str:
        """By whom it reaches; where that is not enough by what it takes."""
        if not one.match:
            return DEFAULT
        receivers = " + ".join(dict.fromkeys(route.receiver for route in one.routes))
        wanted = [receivers, f"{receivers}: {', '.join(map(_short, one.match))}"]
        return _free(wanted, self._rule_names)

    def _remark(self, one: Alternative, leaves: Sequence[_Leaf], chief: Route) -> None:
        for leaf in leaves:
            route = leaf.route
            if leaf.targets and leaf.hours.never:
                said = "its active times never come: it pages nobody"
                self._remarks.differs(route.at, f"{route.what}.active_time_intervals", said)
            if route is chief or not leaf.targets:
                continue
            differing = [key for key in ("group_by", "group_wait") if getattr(route, key) != getattr(chief, key)]
            if differing:
                why = f"alerts that also reach {chief.what} are in its incidents, with its {' and '.join(differing)}"
                self._remarks.differs(route.at, f"{route.what}.{differing[0]}", why)
        if any(matcher.value == _WATCHDOG for matcher in one.match) and any(leaf.targets for leaf in leaves):
            self._remarks.differs(
                chief.at,
                chief.what,
                "an alert that always fires pages once, it is not repeated to whoever waits for it",
                "make it a heartbeat (docs/rules.md#heartbeats) and let `watchdog:` of config.yaml ping who waits",
            )

    # Policies and routes.

    def _policy_of(self, paging: Sequence[_Leaf]) -> str:
        targets = tuple(dict.fromkeys(target for leaf in paging for target in leaf.targets))
        repeat = min(leaf.route.repeat_interval for leaf in paging)
        key = (targets, min(repeat, _REMIND_MAX))
        if key not in self._policies:
            receivers = " + ".join(dict.fromkeys(leaf.route.receiver for leaf in paging))
            self._policies[key] = _free([receivers, f"{receivers} every {format_duration(key[1])}"], self._names)
        return self._policies[key]

    def _policy(self, name: str, targets: tuple[str, ...], repeat: timedelta) -> Value:
        return {"name": name, "steps": [{"notify": [f"receiver:{target}" for target in targets]}], "remind": repeat}

    def _by_hours(self, rule: str, paging: Sequence[_Leaf]) -> None:
        match = str(Matcher(LABEL, Op.EQUAL, rule))
        for leaf in paging:
            policy = self._policy_of([leaf])
            for during in leaf.hours.during or ("",):
                route: dict[str, Value] = {"match": match}
                if during:
                    route["during"] = during
                if leaf.hours.but:
                    route["except"] = leaf.hours.but
                self._routes.append({**route, "policy": policy, "continue": True})
        self._routes.append({"match": match, "policy": NOBODY})

    # Inhibitions.

    def _inhibitions(self, inhibits: Iterable[Inhibit]) -> Iterable[Value]:
        names: set[str] = set()
        for number, one in enumerate(inhibits, 1):
            wanted = one.name or f"{_words(one.source)} hides {_words(one.target)}"
            entry: dict[str, Value] = {"name": _free([wanted, f"inhibit-{number}"], names)}
            for side, matchers in (("source", one.source), ("target", one.target)):
                said = [str(matcher) for matcher in matchers] or [_EVERYTHING]
                entry[side] = said[0] if len(said) == 1 else said
            if one.equal:
                entry["equal"] = list(one.equal)
            yield Noted(entry, (f"{self._remarks.path}:{one.at.span.line}",))


def _words(matchers: Iterable[Matcher]) -> str:
    return ", ".join(map(_short, matchers)) or "everything"


def _short(matcher: Matcher) -> str:
    """`severity=critical`, for names."""
    return f"{matcher.name}{matcher.op.value}{matcher.value}"


def _free(wanted: Sequence[str], taken: set[str]) -> str:
    """The first of these that is not taken, else the last with a number."""
    names = ["".join(char if char.isprintable() else " " for char in one)[:_NAME_MAX].strip() for one in wanted]
    for name in names:
        if name and name not in taken:
            taken.add(name)
            return name
    number = 2
    while f"{names[-1]} {number}" in taken:
        number += 1
    taken.add(f"{names[-1]} {number}")
    return f"{names[-1]} {number}"
