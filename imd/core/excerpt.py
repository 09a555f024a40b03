"""The part of the state on which decisions about one new alert depend, copied, so that they can be tried on it.

Owns what that part is: the incidents that the alert could join with their members, those that wait as it would or are
suppressed, those that could mute it, and every silence. Records are copied by encoding them, as the store does, and
come back as after a restart; so nothing that is done to the copy is seen by the running engine. It costs as much as the
members it copies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from imd.core.correlate import GroupKey, group_key
from imd.core.related import related_key
from imd.core.state import State, restore
from imd.model.alert import Alert
from imd.model.incident import Incident
from imd.model.rule import Rule

_encode = msgspec.msgpack.Encoder().encode
_alert = msgspec.msgpack.Decoder(Alert).decode
_incident = msgspec.msgpack.Decoder(Incident).decode


Muting = Callable[[Mapping[str, str]], Iterable[Alert]]
"""Labels to the firing alerts that mute whatever has these."""


def excerpt(state: State, rule: Rule, key: GroupKey, labels: Mapping[str, str], muting: Muting, own: bytes) -> State:
    """For an alert with these labels, of which the rule and its key are known. `own` is its identity's key: what is
    known of the alert itself is left out, so that it comes as a new one."""
    incidents = list(_incidents(state, rule, key))
    waiting = state.waiting.get((rule.name, key))
    members = [alert for one in incidents for alert in state.members[one.id]]
    concerned = [*members, *(waiting.alerts if waiting is not None else ()), *_hushed(state, rule, key)]
    suppressed = (alert.full_labels() for alert in concerned if alert.suppressed_by)
    concerned += [alert for seen in (labels, *suppressed) for alert in muting(seen)]
    alerts = {alert.id: alert for alert in concerned if alert.identity.key != own}
    known = {one.id for one in incidents}
    return restore(
        state.store_id,
        [_copied(alert, known) for alert in alerts.values()],
        [_incident(_encode(one)) for one in incidents],
        state.last_alert_id,
        state.last_number,
        state.silences.values(),
        overrides=state.overrides.values(),
        turns=dict(state.turns),
        digests=[msgspec.structs.replace(one) for one in state.digests.values()],
    )


def _incidents(state: State, rule: Rule, key: GroupKey) -> Iterator[Incident]:
    """Under one key the newest alone takes anything in; where alerts are related, any of that key in memory may."""
    if rule.relate is not None:
        related = (one for one in state.incidents.values() if one.group_key == key)
        yield from (one for one in related if state.rules[one.id].relate is not None)
    elif (newest := state.newest(rule.name, key)) is not None:
        yield newest


def _hushed(state: State, rule: Rule, key: GroupKey) -> Iterator[Alert]:
    """Suppressed alerts in no incident that will go where this one goes, once they may."""
    for alert in state.suppressed.alerts():
        if alert.rule == rule.name and not alert.incident and key_of(rule, alert.full_labels()) == key:
            yield alert


def key_of(rule: Rule, labels: Mapping[str, str]) -> GroupKey:
    """The key under which the rule files an alert with these labels."""
    return group_key(rule, labels) if rule.relate is None else related_key(rule, labels)


def _copied(alert: Alert, known: set[str]) -> Alert:
    """Of an alert that only mutes, its incident is not copied."""
    copy = _alert(_encode(alert))
    if copy.incident not in known:
        copy.incident = ""
    return copy
