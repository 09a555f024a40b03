"""Alerts as Alertmanager lists them, and by groups: imd's incidents take the place of its groups.

Owns the shapes (gettableAlert, alertGroup of api/v2/openapi.yaml, 0.34, read 2026-11) and which alerts make a group. An
alert that is in no incident, for it waits for others or came suppressed, is grouped as its rule would group it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from datetime import datetime

import msgspec

from imd.api.long import Runs, with_commas
from imd.core.correlate import group_key
from imd.model.alert import Alert
from imd.model.incident import Incident
from imd.model.policy import Ruleset
from imd.model.rule import Test
from imd.model.view import RawTexts

_SLICE = 1000
_NO_ALERTS = b'"alerts":[]}'
_encode = msgspec.json.Encoder().encode


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


class Listed(msgspec.Struct, gc=False):
    """An alert with its listing, which is JSON already."""

    alert: Alert
    fingerprint: str
    receivers: list[ReceiverName]
    shown: bytes


class AlertGroup(msgspec.Struct):
    """Alertmanager's alertGroup: one for each receiver. `routeLabels` is empty: imd's routes do not label."""

    labels: Mapping[str, str]
    receiver: ReceiverName
    routeLabels: dict[str, str]  # noqa: N815
    alerts: list[GettableAlert]


class _Members(msgspec.Struct, gc=False):
    """The alerts of one group: JSON by fingerprint. There may be as many groups as alerts, so nothing in here is of the
    kind that the collector of garbage has to look at again and again."""

    key: dict[str, str]
    receivers: tuple[str, ...]
    shown: dict[str, bytes]
    common: frozenset[tuple[str, str]] | None = None
    many: Runs[bytes] | None = None

    def add(self, one: Listed) -> None:
        fingerprint = one.fingerprint
        while fingerprint in self.shown:
            fingerprint += "+"
        self.shown[fingerprint] = one.shown
        for receiver in one.receivers:
            if receiver.name not in self.receivers:
                self.receivers += (receiver.name,)
        if not self.key:
            pairs = one.alert.labels().items()
            self.common = frozenset(pairs) if self.common is None else self.common & pairs

    def labels(self) -> dict[str, str]:
        return self.key or dict(sorted(self.common or ()))

    async def sort(self) -> None:
        """Those that are too many to be sorted at once."""
        if len(self.shown) > _SLICE:
            self.many = Runs()
            for number, (fingerprint, shown) in enumerate(self.shown.items()):
                self.many.add(fingerprint, shown)
                if number % _SLICE == _SLICE - 1:
                    await asyncio.sleep(0)

    def in_order(self) -> Iterable[bytes]:
        return self.many if self.many is not None else (self.shown[one] for one in sorted(self.shown))


async def grouped(
    slices: AsyncIterator[list[Listed]], incident_of: Callable[[str], Incident | None], ruleset: Ruleset, wanted: Test
) -> Iterator[bytes]:
    """The groups in order of their labels, then of their receiver. Their labels are the group key's, as far as it has
    values; else what all listed members have in common. One that reaches nobody has the receiver ``."""
    rules = {rule.name: rule for rule in ruleset.rules}
    members: dict[object, _Members] = {}
    async for listed in slices:
        for one in listed:
            incident = incident_of(one.alert.incident)
            rule = rules.get(one.alert.rule)
            if incident is not None:
                place: object = incident.id
                pairs = incident.group_key
            else:
                pairs = group_key(rule, one.alert.full_labels()) if rule is not None else ()
                place = (one.alert.rule, pairs)
            if place not in members:
                members[place] = _Members({name: value for name, value in pairs if value}, (), {})
            members[place].add(one)
    groups: Runs[tuple[dict[str, str], str, _Members]] = Runs()
    for number, group in enumerate(members.values()):
        if number % _SLICE == _SLICE - 1:
            await asyncio.sleep(0)
        await group.sort()
        labels = group.labels()
        words = "".join(f"{name}\0{value}\0" for name, value in sorted(labels.items()))
        for receiver in group.receivers or ("",):
            if not receiver or wanted({"receiver": receiver}):
                groups.add(f"{words}\0{receiver}", (labels, receiver, group))
    return _pieces(groups.drain())


def _pieces(groups: Iterable[tuple[dict[str, str], str, _Members]]) -> Iterator[bytes]:
    """Each group's JSON, alert by alert: `AlertGroup` without its alerts, and these put in at its end."""
    for number, (labels, receiver, group) in enumerate(groups):
        head = _encode(AlertGroup(labels, ReceiverName(receiver), {}, []))
        assert head.endswith(_NO_ALERTS)
        yield (b"," if number else b"") + head.removesuffix(_NO_ALERTS) + b'"alerts":['
        yield from with_commas(group.in_order())
        yield b"]}"
