"""The keys of `open_when`, `flapping` and `heartbeats`: what each may hold, and its bounds."""

from __future__ import annotations

from datetime import timedelta

from imd.config import codes
from imd.config.document import Mapping as MappingNode
from imd.config.document import Node, Sequence
from imd.config.form import Table
from imd.config.reading import label_name, match
from imd.config.shape import (
    Key,
    Keys,
    Refused,
    Scope,
    boolean,
    choice,
    duration,
    listed,
    name,
    read_keys,
    takes,
    whole,
    wrong_type,
)
from imd.config.wording import quote
from imd.model.heartbeat import Heartbeat
from imd.model.incident import Priority
from imd.model.rule import Absent, AllOf, Count, OpenWhen, Rate

_SECOND, _DAY = timedelta(seconds=1), timedelta(days=1)
_COUNT_MAX = 1_000_000
PARTS_MAX = 20

_WITHIN = Key(duration(_SECOND, 7 * _DAY), "The alerts must have begun within this time.", required=True)
COUNT: Keys = {
    "at_least": Key(whole(1, _COUNT_MAX), "So many alerts that fire.", required=True),
    "distinct": Key(label_name, "Count different values of this label in place of alerts."),
    "within": _WITHIN,
}
ALL_OF: Keys = {
    "within": _WITHIN,
    "in_order": Key(boolean, "The alerts must have begun in the order of the parts.", False),
    "parts": Key(listed(match, least=1), "An alert of each of these, 2 to 20 matchers.", required=True),
}
ABSENT: Keys = {
    "match": Key(match, "The follow-up that must come; without it the alert's own end is awaited."),
    "for": Key(duration(_SECOND, 90 * _DAY), "How long after its beginning an alert waits.", required=True),
}
RATE: Keys = {
    "at_least": Key(whole(1, _COUNT_MAX), "So many new alerts, ended or not.", required=True),
    "per": Key(duration(_SECOND, _DAY), "In so much time.", required=True),
    "until_below": Key(
        whole(1, _COUNT_MAX), "The incident does not resolve before fewer are new `per` this; at most `at_least`."
    ),
}
FLAPPING: Keys = {
    "changes": Key(whole(2, 100), "Beginnings and ends that senders reported.", 6),
    "within": Key(duration(_SECOND, _DAY), "So many changes within this time are flapping.", "30m"),
    "calm": Key(duration(_SECOND, _DAY), "When nothing has changed for so long, it has settled.", "15m"),
}
HEARTBEAT: Keys = {
    "name": Key(name, "Names the heartbeat; it is the last part of /v1/heartbeats/{name}.", required=True),
    "match": Key(match, "Alerts that are beats; without it beats come by HTTP alone."),
    "by": Key(listed(label_name), "One heartbeat for each combination of these labels' values.", []),
    "every": Key(duration(_SECOND, 90 * _DAY), "A beat is awaited so long after the last.", required=True),
    "grace": Key(duration(_SECOND, 90 * _DAY), "And missed so much later.", "1m"),
    "priority": Key(choice(Priority), "Of the incident.", "P2"),
}


@takes(Table(COUNT))
def _count(node: Node, scope: Scope) -> Count:
    values = read_keys(COUNT, node, scope)
    if not {"at_least", "within"} <= values.keys():
        raise Refused
    return Count(**values)


@takes(Table(ALL_OF))
def _all_of(node: Node, scope: Scope) -> AllOf:
    values = read_keys(ALL_OF, node, scope)
    if not {"within", "parts"} <= values.keys():
        raise Refused
    assert isinstance(node, MappingNode)
    parts = node.entries["parts"].value
    assert isinstance(parts, Sequence)
    count = len(parts.items)
    if not 2 <= count <= PARTS_MAX:
        raise scope.fault(
            codes.OUT_OF_BOUNDS,
            parts,
            f"{quote('parts')} of {scope.owner} holds {count}",
            expected=f"expected 2 to {PARTS_MAX}",
        )
    if len(values["parts"]) < count:
        raise Refused
    return AllOf(**values)


@takes(Table(ABSENT))
def _absent(node: Node, scope: Scope) -> Absent:
    values = read_keys(ABSENT, node, scope)
    if "for" not in values:
        raise Refused
    return Absent(match=values.get("match", ()), wait=values["for"])


@takes(Table(RATE))
def _rate(node: Node, scope: Scope) -> Rate:
    values = read_keys(RATE, node, scope)
    if not {"at_least", "per"} <= values.keys():
        raise Refused
    until_below = values.get("until_below", values["at_least"])
    if until_below > values["at_least"]:
        assert isinstance(node, MappingNode)
        raise scope.fault(
            codes.OUT_OF_BOUNDS,
            node.entries["until_below"].value,
            f"{quote('until_below')} of {scope.owner} is {until_below}",
            expected=f"expected at most its at_least, {values['at_least']}",
        )
    return Rate(at_least=values["at_least"], per=values["per"], until_below=until_below)


OPEN_WHEN: Keys = {
    "count": Key(_count, "So many alerts fire, or different values of a label do."),
    "all_of": Key(_all_of, "An alert of each part has come."),
    "absent": Key(_absent, "An alert fires on and its follow-up did not come."),
    "rate": Key(_rate, "So many alerts are new in a stretch of time."),
}


@takes(Table(OPEN_WHEN, {"minProperties": 1, "maxProperties": 1}))
def open_when(node: Node, scope: Scope) -> OpenWhen:
    """Exactly one of count, all_of, absent and rate."""
    if not isinstance(node, MappingNode) or not node.entries:
        raise wrong_type(node, scope, "one of: count, all_of, absent, rate")
    given = [word for word in node.entries if word in OPEN_WHEN]
    values = read_keys(OPEN_WHEN, node, scope)
    if len(given) > 1:
        raise scope.fault(
            codes.EXCLUSIVE_KEYS,
            node.entries[given[1]].key,
            f"{scope.subject} has both {quote(given[0])} and {quote(given[1])}",
            help="keep one; two conditions are two rules",
        )
    if len(values) != 1:
        raise Refused
    found: OpenWhen = next(iter(values.values()))
    return found


def heartbeat(node: Node, scope: Scope, where: str) -> Heartbeat:
    """One entry of `heartbeats`; `where` is file:line of its name."""
    values = read_keys(HEARTBEAT, node, scope)
    if not {"name", "every"} <= values.keys():
        raise Refused
    return Heartbeat(where=where, **values)
