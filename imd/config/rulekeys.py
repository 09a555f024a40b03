"""The keys of rule files that stand for themselves: tables, and the readers that need nothing else.

Owns what each key may hold and its bounds. Keys that add to other files or refer to other parts (lists of rules,
targets, ways to reach) are read by `rulefile`.
"""

from __future__ import annotations

import enum
from datetime import timedelta
from typing import Any

import msgspec

from imd.config import codes, form
from imd.config.document import Mapping as MappingNode
from imd.config.document import Node
from imd.config.enrichfile import ENRICHMENT
from imd.config.form import ByName, Either, Schema, Several, Table
from imd.config.oncallkeys import PERSON, SCHEDULE, TEAM
from imd.config.openingkeys import FLAPPING, HEARTBEAT, open_when
from imd.config.quietkeys import INHIBIT, INTERVAL_FORM, MAINTENANCE_FORM
from imd.config.reading import condition, label_name, labels, match, title, web_url
from imd.config.shape import (
    Key,
    Keys,
    Refused,
    Scope,
    any_text,
    boolean,
    choice,
    duration,
    form_of,
    listed,
    mapped,
    name,
    nested,
    read_keys,
    takes,
    whole,
)
from imd.config.topologyfile import ONSET, TOPOLOGY
from imd.config.wording import quote
from imd.model.heartbeat import RULE_PREFIX
from imd.model.incident import Level, Priority
from imd.model.rule import (
    IMPACT_FROM_TIER,
    URGENCY_FROM_SEVERITY,
    Flapping,
    Mode,
    PriorityTable,
    PriorityTarget,
    Raise,
    Relate,
    Resolve,
    ResolveWhen,
    Window,
    WindowKind,
)

ALL_LABELS = "..."
_SECOND, _MINUTE, _DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)


@takes(form_of(name))
def rule_name(node: Node, scope: Scope) -> str:
    """A name that no built-in rule has."""
    value = name(node, scope)
    if value.startswith(RULE_PREFIX):
        raise scope.fault(
            codes.BAD_NAME,
            node,
            f"{quote(value)} is the name of a heartbeat's own rule",
            expected=f"expected a name that does not begin with {RULE_PREFIX}",
            help="what a heartbeat's incidents do is said at the heartbeat, and routes see its labels",
        )
    return value


_ZERO, _YEAR = timedelta(0), 365 * _DAY


@takes(Several(form_of(label_name)))
def _group_by(node: Node, scope: Scope) -> tuple[tuple[str, ...] | None]:
    """Label names; `['...']` is every label, [] none. In a tuple of one, for None would say that it is not there."""
    found = listed(label_name)(node, scope)
    if ALL_LABELS in found:
        if len(found) > 1:
            raise scope.fault(
                codes.ALL_LABELS_AND_MORE,
                node,
                f"{scope.subject} holds '...' and more",
                expected="expected ['...'] alone",
            )
        return (None,)
    return (tuple(dict.fromkeys(found)),)


class Along(enum.StrEnum):
    """Along what alerts are related."""

    TOPOLOGY = "topology"


def _relate(along: Along, **values: Any) -> Relate:
    assert along is Along.TOPOLOGY
    return Relate(**values)


def _raise(node: Node, scope: Scope) -> Raise:
    """`{alerts: 10, impact: high}` or `{distinct: LABEL, at_least: 5, impact: high}`."""
    at = scope.inside("", f"{quote('raise')} of {scope.owner}")
    counted = isinstance(node, MappingNode) and "distinct" not in node.entries and "at_least" not in node.entries
    values = read_keys(RAISE_ALERTS if counted else RAISE_DISTINCT, node, at)
    if len(values) < (2 if counted else 3):
        raise Refused
    if counted:
        return Raise(at_least=values["alerts"], impact=values["impact"])
    return Raise(**values)


def _level_map(node: Node, scope: Scope) -> dict[str, Level]:
    return mapped(choice(Level))(node, scope)


def _matrix(node: Node, scope: Scope) -> dict[Level, dict[Level, Priority]]:
    """matrix[impact][urgency]; cells that are left out keep the built-in priority."""
    row = nested({level.value: Key(choice(Priority)) for level in Level}, lambda **cells: cells)
    rows = nested({level.value: Key(row) for level in Level}, lambda **found: found)(node, scope)
    return {Level(impact): {Level(urgency): cell for urgency, cell in cells.items()} for impact, cells in rows.items()}


def _targets(node: Node, scope: Scope) -> dict[Priority, PriorityTarget]:
    """By priority; those that are left out have none."""
    found = nested(_TARGETS, lambda **given: given)(node, scope)
    return {Priority(word): target for word, target in found.items()}


def priority_table(values: dict[str, Any]) -> PriorityTable:
    """What the file says over the built-in tables, key by key and cell by cell."""
    table = PriorityTable()
    matrix = {impact: {**cells, **values.get("matrix", {}).get(impact, {})} for impact, cells in table.matrix.items()}
    return PriorityTable(
        urgency_from_severity={**table.urgency_from_severity, **values.get("urgency_from_severity", {})},
        impact_from_tier={**table.impact_from_tier, **values.get("impact_from_tier", {})},
        matrix=matrix,
        targets=values.get("targets", {}),
    )


WINDOW: Keys = {
    "kind": Key(
        choice(WindowKind),
        "`while_open`: until the incident is resolved; `session`: while a member fires, or `gap` after the last join "
        "or resolve; `fixed`: within `gap` of the opening.",
        "while_open",
    ),
    "gap": Key(duration(_SECOND, _YEAR), "How long a `session` or `fixed` window lasts.", "15m"),
    "max_life": Key(duration(_MINUTE, _YEAR), "Bounds every kind; the next alert opens a fresh incident.", "24h"),
    "max_alerts": Key(whole(1, 1_000_000), "Alerts in one incident; bounds every kind.", 5000),
}
RESOLVE: Keys = {
    "when": Key(
        choice(ResolveWhen),
        "`all` members are resolved, those of the `root` are (the probable cause), the `first` one is, or `never` by "
        "itself.",
        "all",
    ),
    "after": Key(duration(_ZERO, _YEAR), "How long it must have been so.", "1m"),
}
_IMPACT = Key(choice(Level), "The incident's impact is at least this then.", required=True)
RAISE_ALERTS: Keys = {
    "alerts": Key(whole(1, 1_000_000), "From so many member alerts on.", required=True),
    "impact": _IMPACT,
}
RAISE_DISTINCT: Keys = {
    "distinct": Key(label_name, "The label whose different values count.", required=True),
    "at_least": Key(whole(1, 1_000_000), "From so many different values on.", required=True),
    "impact": _IMPACT,
}
RELATE: Keys = {
    "along": Key(choice(Along), "Along what alerts are related.", required=True),
    "max_hops": Key(whole(1, 6), "How far from each other two related alerts may be.", 3),
    "within": Key(
        duration(10 * _SECOND, _DAY),
        "The time scale: each fifth of it between two beginnings halves the weight of a relation.",
        "5m",
    ),
}
RULE: Keys = {
    "name": Key(
        rule_name, "Names the rule, once over all files; `default` takes what no other rule takes.", required=True
    ),
    "match": Key(match, "Which alerts the rule is for; the first rule that matches takes an alert.", required=True),
    "when": Key(condition, "A condition that is asked after `match`; needs the extra imd[cel]."),
    "description": Key(any_text, "What the rule is for, for people."),
    "group_by": Key(
        _group_by,
        "Alerts with equal values of these labels are one incident; `['...']` is every label, `[]` one group.",
        ["alertname", "cluster", "namespace", "service"],
    ),
    "window": Key(nested(WINDOW, Window), "How long an incident takes alerts in."),
    "hold": Key(
        duration(_ZERO, _DAY),
        "How long to wait from arrival, or from when `open_when` is met; only what still fires then is paged.",
        "10s",
    ),
    "resolve": Key(nested(RESOLVE, Resolve), "When an incident ends."),
    "reopen_within": Key(
        duration(_ZERO, _YEAR), "An alert of the same key so soon after the resolve reopens the incident.", "30m"
    ),
    "impact": Key(choice(Level), "How much suffers; without it by the label `tier`, else medium."),
    "urgency": Key(choice(Level), "How soon it must be seen to; without it the highest severity of the alerts says."),
    "priority": Key(choice(Priority), "The priority outright; impact and urgency then do not count."),
    "raise": Key(
        listed(_raise),
        "Breadth of impact: from so many alerts, or different values of a label, the impact is raised.",
        [],
        ([{"alerts": 10, "impact": "high"}],),
        form=Several(Either((Table(RAISE_ALERTS), Table(RAISE_DISTINCT)))),
    ),
    "title": Key(title, "A Jinja template over labels, group, alerts, firing, cause and incident."),
    "runbook": Key(web_url, "Goes with each page."),
    "labels": Key(labels, "Labels of the incident, which routes see.", {}),
    "policy": Key(name, "The policy of its incidents; wins over routes."),
    "mode": Key(
        choice(Mode),
        "`page`; `monitor`: decide and record, page nobody; `suppress`: keep the alert, open nothing; `drop`: count it "
        "only.",
        "page",
    ),
    "relate": Key(nested(RELATE, _relate), "Related alerts are one incident; `group_by` then says within what."),
    "open_when": Key(open_when, "What it takes to open an incident; without it the first alert does."),
    "flapping": Key(nested(FLAPPING, Flapping), "What counts as an alert that comes and goes; it is one page then."),
}
DEFAULT_RULE: Keys = {**RULE, "match": msgspec.structs.replace(RULE["match"], required=False)}
_RULE_FORM = Table(
    DEFAULT_RULE,
    {"anyOf": [{"required": ["match"]}, {"properties": {"name": {"const": "default"}}, "required": ["name"]}]},
)
_TARGET = form.text(
    "target", "^(person|receiver|schedule|team):.", "schedule:primary", "person:ana", "team:platform", "receiver:ops"
)
STEP: Keys = {
    "notify": Key(
        any_text,
        "Who is paged: `schedule:NAME`, `person:NAME`, `team:NAME`, `receiver:NAME`.",
        required=True,
        form=Several(_TARGET, 1),
    ),
    "for": Key(duration(_SECOND, 30 * _DAY), "How long to wait for an acknowledgement before the next step.", "5m"),
    "round_robin": Key(
        boolean,
        "Only one of them is paged, each incident the next one; everyone of a team counts for themselves.",
        False,
    ),
}
POLICY: Keys = {
    "name": Key(name, "Names the policy; `default` takes what no route takes.", required=True),
    "steps": Key(any_text, "Escalation steps, in order.", required=True, form=Several(Table(STEP), 1)),
    "repeat": Key(whole(0, 100), "How often the whole policy starts over.", 0),
    "ack_timeout": Key(duration(_MINUTE, 30 * _DAY), "When an acknowledgement lapses; without it never."),
    "remind": Key(
        duration(_ZERO, 30 * _DAY), "How often to remind while exhausted, unanswered and firing; 0s never.", "4h"
    ),
}
ROUTE: Keys = {
    "match": Key(match, "Against the incident's labels: the rule's, the group key's, what all members share."),
    "priority": Key(listed(choice(Priority), least=1), "Only for incidents of these priorities."),
    "during": Key(name, "A name of `times`: only then."),
    "except": Key(name, "A name of `times`: not then."),
    "policy": Key(name, "The policy that the incident gets; `nobody` pages nobody.", required=True),
    "continue": Key(boolean, "The routes behind it are tried too, and add their policies.", False),
}
_LEVEL = form_of(choice(Level))
_CELL, _LEVELS = Key(choice(Priority)), [level.value for level in Level]
_MATRIX = Table({impact: Key(any_text, form=Table(dict.fromkeys(_LEVELS, _CELL))) for impact in _LEVELS})
TARGET: Keys = {
    "ack": Key(
        duration(_SECOND, _YEAR), "An incident of this priority should be acknowledged so soon after it opened."
    ),
    "resolve": Key(duration(_SECOND, _YEAR), "And resolved."),
}
_TARGETS: Keys = {
    one.value: Key(nested(TARGET, PriorityTarget), f"By when incidents of {one.value} should be done with.")
    for one in Priority
}
PRIORITY: Keys = {
    "urgency_from_severity": Key(
        _level_map,
        "Urgency by the label `severity`; `default` for those not listed. What is left out stays as built in.",
        dict(URGENCY_FROM_SEVERITY),
        form=ByName(_LEVEL),
    ),
    "impact_from_tier": Key(
        _level_map,
        "Impact by the label `tier`; `default` for those not listed. What is left out stays as built in.",
        dict(IMPACT_FROM_TIER),
        form=ByName(_LEVEL),
    ),
    "matrix": Key(_matrix, "Priority by impact, then urgency; cells left out stay as built in.", form=_MATRIX),
    "targets": Key(
        _targets,
        "By when incidents of a priority should be acknowledged and resolved; what is late is said and counted.",
        {},
        form=Table(_TARGETS),
    ),
}


def _entries(keys: Keys, about: str, also: Schema | None = None) -> Key:
    """A list of maps that `rulefile` reads, for it adds to what other files gave."""
    return Key(any_text, about, [], form=Several(Table(keys, also or {})))


TOP: Keys = {
    "enrich": Key(
        any_text,
        "What else is known of alerts: tables, extraction, relabelling, in order, before anything else looks at them.",
        [],
        form=Several(ENRICHMENT),
    ),
    "inhibit": _entries(INHIBIT, "Which alerts mute which others."),
    "times": Key(any_text, "Windows with a name, for `maintenance` and `routes`.", {}, form=ByName(INTERVAL_FORM)),
    "maintenance": Key(any_text, "Planned windows in which alerts are quiet.", [], form=Several(MAINTENANCE_FORM)),
    "rules": Key(
        any_text,
        "What to do with which alerts; the first rule that matches takes an alert.",
        [],
        form=Several(_RULE_FORM),
    ),
    "heartbeats": _entries(HEARTBEAT, "Senders that must not fall silent."),
    "priority": Key(any_text, "How impact and urgency make a priority; stands once.", form=Table(PRIORITY)),
    "people": _entries(PERSON, "Who there is, and how to reach them."),
    "teams": _entries(TEAM, "People who are paged together."),
    "schedules": _entries(SCHEDULE, "Who is on call when."),
    "policies": _entries(POLICY, "Who hears of an incident, and who next."),
    "routes": _entries(ROUTE, "Which incident takes which policy; the first that matches decides."),
    "topology": Key(any_text, "What depends on what and what contains what, for `relate`.", form=Table(TOPOLOGY)),
    "onset": Key(any_text, "How long each alert waits before it fires, for `relate`.", form=Table(ONSET)),
}
"""Keys that refer to other parts or add to other files are read by rulefile._Parts, which knows each of these."""
