"""What imd would have done beside another pager, held against what that pager sent.

Owns the shape of that report, which incident a message of the other pager was about, and how messages are read. Pure.

A message is about the incident that has a member with all the labels of one of the message's alerts, and that was open
then, give or take NEAR; of several the one that opened last. Whoever sends whole groups again and again sends many
messages about one incident; each of them counts.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from imd.replay.sides import Side, Summary

NEAR = timedelta(minutes=10)
LINE_BYTES_MAX = 16 * 1024 * 1024
_FAULTS_MAX = 20


class BadSent(ValueError):
    """`faults` are lines for people: `file:line: …`."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__(f"{len(faults)} faults")
        self.faults = faults


class Sent(msgspec.Struct, frozen=True):
    """A message of the other pager. `labels` of each alert in it."""

    line: int
    at: datetime
    to: str
    labels: tuple[Mapping[str, str], ...]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One incident, or where `incident` is null one message that is about none. `imd_at` and `sent_at` are the first
    page of each, null where there is none; `imd_to` and `sent_to` whom."""

    incident: int | None
    title: str
    rule: str
    priority: str
    imd_at: datetime | None
    imd_to: list[str]
    imd_pages: int
    sent_at: datetime | None
    sent_to: list[str]
    sent_messages: int
    because: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """`both`: incidents of which people heard by both; `imd_only` and `sent_only`: by one of them alone.
    `seconds_later` is how much later imd's first page would have been, the median; negative is earlier; null without
    any."""

    began_at: datetime | None
    ended_at: datetime | None
    imd: Summary
    sent_messages: int
    sent_by_receiver: dict[str, int]
    both: list[Row]
    imd_only: list[Row]
    sent_only: list[Row]
    seconds_later: float | None


def read_sent(name: str, lines: Iterable[bytes]) -> list[Sent]:
    """JSONL: `{"ts", "labels": {…}}`, or `{"ts", "alerts": [{"labels": {…}}]}` as Alertmanager's webhook has it; `to`
    or `receiver` says whom. Raises BadSent with every fault."""
    found: list[Sent] = []
    faults: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found.append(_sent(number, msgspec.json.decode(line)))
        except (ValueError, OverflowError) as error:
            faults.append(f"{name}:{number}: {error}")
            if len(faults) >= _FAULTS_MAX:
                break
    if faults:
        raise BadSent(faults)
    return sorted(found, key=lambda one: one.at)


def _sent(number: int, body: Any) -> Sent:
    if not isinstance(body, dict):
        raise ValueError("a line is no object")
    listed = body.get("alerts")
    alerts = listed if isinstance(listed, list) else [body]
    labels = tuple(one["labels"] for one in alerts if isinstance(one, dict) and isinstance(one.get("labels"), dict))
    if not labels or not all(isinstance(value, str) for one in labels for value in one.values()):
        raise ValueError('it has no "labels" that are a map of texts, and no "alerts" that have them')
    to = body.get("to", body.get("receiver", ""))
    return Sent(number, _instant(body.get("ts")), to if isinstance(to, str) else "", labels)


def _instant(said: Any) -> datetime:
    if isinstance(said, int | float) and not isinstance(said, bool) and math.isfinite(said):
        return datetime.fromtimestamp(said, UTC)
    if isinstance(said, str):
        at = datetime.fromisoformat(said)
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    raise ValueError('"ts" is neither unix seconds nor an instant with its zone')


def report(side: Side, members: Mapping[int, list[Mapping[str, str]]], sent: Iterable[Sent]) -> Report:
    """`members`: the labels of each incident's alerts, by its number. `side` is what imd would have done."""
    began, ended = side.result.began_at, side.result.ended_at
    within = [one for one in sent if began is None or ended is None or began - NEAR <= one.at <= ended + NEAR]
    about = _About(side, members)
    heard: dict[int, list[Sent]] = {}
    nowhere: list[Sent] = []
    for message in within:
        number = about.incident(message)
        (nowhere if number is None else heard.setdefault(number, [])).append(message)
    rows = {number: _row(side, number, heard.get(number, [])) for number in side.incidents}
    both = [row for row in rows.values() if row.imd_at is not None and row.sent_at is not None]
    later = sorted((row.imd_at - row.sent_at).total_seconds() for row in both if row.imd_at and row.sent_at)
    return Report(
        began_at=began,
        ended_at=ended,
        imd=side.summary(),
        sent_messages=len(within),
        sent_by_receiver=dict(sorted(Counter(one.to for one in within).items())),
        both=both,
        imd_only=[row for row in rows.values() if row.imd_at is not None and row.sent_at is None],
        sent_only=[row for row in rows.values() if row.imd_at is None and row.sent_at is not None]
        + [_strange(one) for one in nowhere],
        seconds_later=later[len(later) // 2] if later else None,
    )


class _About:
    """Which incident a message is about. Incidents are filed under each alertname of their members, by opening."""

    def __init__(self, side: Side, members: Mapping[int, list[Mapping[str, str]]]) -> None:
        self._side = side
        self._members = members
        self._by_name: dict[str, list[tuple[datetime, int]]] = {}
        for number in side.incidents:
            for name in {one.get("alertname", "") for one in members.get(number, ())}:
                self._by_name.setdefault(name, []).append((side.incidents[number].opened_at, number))
        for filed in self._by_name.values():
            filed.sort()

    def incident(self, message: Sent) -> int | None:
        found = (number for labels in message.labels for number in self._of(labels, message.at))
        return next(found, None)

    def _of(self, labels: Mapping[str, str], at: datetime) -> Iterator[int]:
        filed = self._by_name.get(labels.get("alertname", ""), [])
        for opened_at, number in reversed(filed[: bisect_right(filed, (at + NEAR, 2**62))]):
            over_at = self._side.incidents[number].resolved_at
            if (over_at is None or at <= over_at + NEAR) and opened_at <= at + NEAR and self._has(number, labels):
                yield number

    def _has(self, number: int, labels: Mapping[str, str]) -> bool:
        return any(labels.items() <= one.items() for one in self._members.get(number, ()))


def _row(side: Side, number: int, heard: list[Sent]) -> Row:
    one, pages = side.incidents[number], side.pages.get(number, [])
    return Row(
        incident=number,
        title=one.title,
        rule=one.rule,
        priority=one.priority.value,
        imd_at=side.first_page(number),
        imd_to=sorted({f"{page.to} by {page.receiver}" if page.to != page.receiver else page.to for page in pages}),
        imd_pages=len(pages),
        sent_at=heard[0].at if heard else None,
        sent_to=sorted({message.to for message in heard} - {""}),
        sent_messages=len(heard),
        because="" if pages else one.not_notified,
    )


def _strange(message: Sent) -> Row:
    names = ", ".join(dict.fromkeys(labels.get("alertname", "?") for labels in message.labels))
    return Row(
        incident=None,
        title=names,
        rule="",
        priority="",
        imd_at=None,
        imd_to=[],
        imd_pages=0,
        sent_at=message.at,
        sent_to=[message.to] if message.to else [],
        sent_messages=1,
        because="no incident of imd has such an alert at that time",
    )
