"""The part of the state on which decisions about one new alert depend, copied, so that they can be tried on it.

Owns what that part is: the incidents that the alert could join with their members, those that wait as it would or are
suppressed, those that could mute it, and every silence. Records are copied by encoding them, as the store does, and
come back as after a restart; so nothing that is done to the copy is seen by the running engine. Encoding is all that
holds that one up, some 50 ms at worst (ALERTS_MAX); `state`, which takes several times as long, is for another thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from imd.core.correlate import GroupKey, group_key
from imd.core.related import related_key
from imd.core.state import State, restore
from imd.model.alert import Alert
from imd.model.digest import Digests
from imd.model.incident import Incident
from imd.model.quiet import Silence
from imd.model.rule import Rule
from imd.model.schedule import Override

_encode = msgspec.msgpack.Encoder().encode
_alert = msgspec.msgpack.Decoder(Alert).decode
_incident = msgspec.msgpack.Decoder(Incident).decode


ALERTS_MAX = 10_000
"""Beyond it the newest are copied: what an alert is related to is recent, and an incident's window is bounded."""

Muting = Callable[[Mapping[str, str]], Iterable[Alert]]
"""Labels to the firing alerts that mute whatever has these."""


class Excerpt(msgspec.Struct, frozen=True):
    """Encoded records, and what is never changed in place. Shares nothing with the engine."""

    store_id: str
    alerts: list[bytes]
    incidents: list[bytes]
    last_alert_id: int
    last_number: int
    silences: list[Silence]
    overrides: list[Override]
    turns: dict[str, int]
    digests: list[Digests]

    def state(self) -> State:
        """A State of its own, made anew at each call."""
        incidents = [_incident(one) for one in self.incidents]
        known = {one.id for one in incidents}
        return restore(
            self.store_id,
            [_within(_alert(one), known) for one in self.alerts],
            incidents,
            self.last_alert_id,
            self.last_number,
            self.silences,
            overrides=self.overrides,
            turns=dict(self.turns),
            digests=[msgspec.structs.replace(one) for one in self.digests],
        )


def excerpt(state: State, rule: Rule, key: GroupKey, labels: Mapping[str, str], muting: Muting, own: bytes) -> Excerpt:
    """For an alert with these labels, of which the rule and its key are known. `own` is its identity's key: what is
    known of the alert itself is left out, so that it comes as a new one."""
    incidents = list(_incidents(state, rule, key))
    waiting = state.waiting.get((rule.name, key))
    members = [alert for one in incidents for alert in state.members[one.id]]
    concerned = [*members, *(waiting.alerts if waiting is not None else ()), *_hushed(state, rule, key)]
    concerned = sorted(concerned, key=lambda alert: alert.id)[-ALERTS_MAX:]
    suppressed = (alert.full_labels() for alert in concerned if alert.suppressed_by)
    concerned += [alert for seen in (labels, *suppressed) for alert in muting(seen)]
    alerts = {alert.id: alert for alert in concerned if alert.identity.key != own}
    if len(members) > ALERTS_MAX:
        held = {alert.incident for alert in alerts.values()}
        incidents = [one for one in incidents if one.id in held]
    return Excerpt(
        store_id=state.store_id,
        alerts=[_encode(alert) for alert in alerts.values()],
        incidents=[_encode(one) for one in incidents],
        last_alert_id=state.last_alert_id,
        last_number=state.last_number,
        silences=list(state.silences.values()),
        overrides=list(state.overrides.values()),
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


def _within(alert: Alert, known: set[str]) -> Alert:
    """Of an alert that only mutes, its incident is not copied."""
    if alert.incident not in known:
        alert.incident = ""
    return alert
