"""Alerts as Alertmanager lists them, and by groups: imd's incidents take the place of its groups.

Owns the shapes (gettableAlert, alertGroup of api/v2/openapi.yaml, 0.34, read 2026-11) and which alerts make a group. An
alert that is in no incident, for it waits for others or came suppressed, is grouped as its rule would group it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec

from imd.core.correlate import group_key
from imd.model.alert import Alert
from imd.model.incident import Incident
from imd.model.policy import Ruleset
from imd.model.rule import Test
from imd.model.view import RawTexts


class ReceiverName(msgspec.Struct):
    """A receiver."""

    name: str


class AlertStatus(msgspec.Struct):
    """What suppresses it, if anything does."""

    state: str = "active"
    silencedBy: list[str] = []  # noqa: N815
    inhibitedBy: list[str] = []  # noqa: N815
    mutedBy: list[str] = []  # noqa: N815


class GettableAlert(msgspec.Struct):
    """Alertmanager's gettableAlert."""

    annotations: RawTexts
    endsAt: datetime  # noqa: N815
    fingerprint: str
    receivers: list[ReceiverName]
    startsAt: datetime  # noqa: N815
    status: AlertStatus
    updatedAt: datetime  # noqa: N815
    generatorURL: str  # noqa: N815
    labels: RawTexts


class Listed(msgspec.Struct):
    """An alert with its listing."""

    alert: Alert
    shown: GettableAlert


class AlertGroup(msgspec.Struct):
    """Alertmanager's alertGroup: one for each receiver. `routeLabels` is empty: imd's routes do not label."""

    labels: Mapping[str, str]
    receiver: ReceiverName
    alerts: list[GettableAlert]
    routeLabels: dict[str, str] = {}  # noqa: N815


def grouped(
    listed: list[Listed], incident_of: Callable[[str], Incident | None], ruleset: Ruleset, wanted: Test
) -> list[AlertGroup]:
    """The groups in order of their labels, then of their receiver. Their labels are the group key's, as far as it has
    values; else what all listed members have in common. One that reaches nobody has the receiver ``."""
    rules = {rule.name: rule for rule in ruleset.rules}
    members: dict[object, list[Listed]] = {}
    keys: dict[object, dict[str, str]] = {}
    for one in listed:
        incident = incident_of(one.alert.incident)
        rule = rules.get(one.alert.rule)
        if incident is not None:
            place: object = incident.id
            pairs = incident.group_key
        else:
            pairs = group_key(rule, one.alert.full_labels()) if rule is not None else ()
            place = (one.alert.rule, pairs)
        members.setdefault(place, []).append(one)
        keys[place] = {name: value for name, value in pairs if value}
    groups = [
        AlertGroup(labels=keys[place] or _common(alerts), receiver=receiver, alerts=[one.shown for one in alerts])
        for place, alerts in members.items()
        for receiver in _receivers(alerts)
        if not receiver.name or wanted({"receiver": receiver.name})
    ]
    return sorted(groups, key=lambda group: (sorted(group.labels.items()), group.receiver.name))


def _receivers(alerts: list[Listed]) -> list[ReceiverName]:
    names = dict.fromkeys(receiver.name for one in alerts for receiver in one.shown.receivers)
    return [ReceiverName(name) for name in names] or [ReceiverName("")]


def _common(alerts: list[Listed]) -> dict[str, str]:
    first, *others = (one.alert.labels() for one in alerts)
    common = set(first.items())
    for labels in others:
        common &= labels.items()
    return dict(sorted(common))
