"""EVENTS.jsonl: lines of recorded history, read into the engine's own events.

Owns the shape of the lines (design section 2; `core.journal` writes them), their order and their faults. A fault is
worded `file:line: …`; reading goes on behind it, so that one run names them all. Whatever the engine cannot take yet is
counted by name, and so are types of lines that this imd does not know. Knows nothing of what becomes of the events.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from imd.config.syntax import BadMatcher, parse_matchers
from imd.model.alert import AlertReport, Identity
from imd.model.event import (
    ActionKind,
    ActionTaken,
    AlertsExpired,
    AlertsReported,
    ClockStepped,
    DeliveryFinished,
    Event,
    Expired,
    HeartbeatBeat,
    IncidentReported,
    OverrideEnded,
    OverrideSet,
    Restarted,
    SilenceExpired,
    SilenceSet,
)
from imd.model.policy import Source
from imd.model.quiet import Silence
from imd.model.rule import Matcher
from imd.model.schedule import Override
from imd.replay import shapes
from imd.sources.contract import NOT_JSON, AlertRefused, instant
from imd.sources.labels import KnownLabels

FAULTS_MAX = 20
_FIRST_YEAR, _END = 1900, datetime(9000, 1, 1, tzinfo=UTC)


class BadEvents(ValueError):
    """The file has faults; `faults` are the first of them, each `file:line: …`, and `count` says how many there are."""

    def __init__(self, faults: list[str], count: int) -> None:
        super().__init__(f"{count} fault{'s' if count != 1 else ''}, the first: {faults[0]}")
        self.faults = faults
        self.count = count


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """One step of the engine. `lines`: the numbers of its lines, from 1; for a request one for each of its alerts, in
    order. `first`: for an action, the identity key of its incident's first alert, where the line has it."""

    at: datetime
    lines: tuple[int, ...]
    event: Event
    first: bytes = b""


class Glance(msgspec.Struct, frozen=True):
    """What must be known of a file before its first event is taken. `deliveries`: recorded ends of deliveries, by
    incident and count (`i000000000001-3`; the store's name before it is another one in a replay), to their receiver."""

    actions: bool
    deliveries: dict[str, str]


_Read = tuple[datetime, Event | None, bytes]
"""When by the line itself, the event (None: counted instead), and `Recorded.first`."""


class _Open(msgspec.Struct, gc=False):
    """A step whose lines are being read: a request of `sender` (source and by_api), or alerts that expired together."""

    at: datetime
    lines: list[int]
    sender: tuple[str, bool] | None
    reports: list[AlertReport] = []
    expired: list[Expired] = []

    def taken(self) -> Recorded:
        event: Event = AlertsExpired(tuple(self.expired))
        if self.sender is not None:
            event = AlertsReported(*self.sender, tuple(self.reports))
        return Recorded(self.at, tuple(self.lines), event)


class EventsReader:
    """Reads one file. `sources`: configured senders by name, whose labels join the identity of their alerts.

    After `read` is exhausted: `skipped` counts what the engine cannot take yet, `late` the lines whose time fell.
    """

    def __init__(self, name: str, sources: Mapping[str, Source]) -> None:
        self.skipped: Counter[str] = Counter()
        self.late = 0
        self._name = name
        self._sources = sources
        self._known: dict[str, KnownLabels] = {}
        self._now: datetime | None = None
        self._faults: list[str] = []
        self._fault_count = 0
        self._readers: dict[str, Callable[[bytes], _Read]] = {
            "action": self._action,
            "delivery": self._delivery,
            "restart": self._restart,
            "clock": self._clock,
            "reload": self._reload,
            "silence": self._silence,
            "beat": self._beat,
            "override": self._override,
        }

    def read(self, lines: Iterable[bytes]) -> Iterator[Recorded]:
        """Each step in order. Raises BadEvents behind the last line where there were faults."""
        opened: _Open | None = None
        for number, line in enumerate(lines, start=1):
            if not line or line.isspace():
                continue
            try:
                step = self._line(number, line, opened)
            except (*NOT_JSON, AlertRefused, _Wrong) as fault:
                self._fault(number, fault)
                continue
            if opened is not None:
                if step is opened:
                    continue
                yield opened.taken()
            opened = step if isinstance(step, _Open) else None
            if isinstance(step, Recorded):
                yield step
        if opened is not None:
            yield opened.taken()
        if self._faults:
            raise BadEvents(self._faults, self._fault_count)

    def _line(self, number: int, line: bytes, opened: _Open | None) -> _Open | Recorded | None:
        """`opened` itself where the line belongs to it; None where it is counted instead."""
        alert = self._as_alert(line)
        if alert is None:
            return self._other(number, line, opened)
        report, sender = self._report(alert), (alert.source or "", alert.by_api)
        if alert.same_step and opened is not None and opened.sender == sender:
            opened.reports.append(report)
            opened.lines.append(number)
            return opened
        return _Open(self._at(_instant(alert.ts, "ts")), [number], sender, reports=[report])

    def _as_alert(self, line: bytes) -> shapes.Alert | None:
        """None where the line is of another type, whose keys may mean other things."""
        try:
            alert = shapes.alert(line)
        except msgspec.ValidationError:
            if shapes.typed(line).type == "alert":
                raise
            return None
        return alert if alert.type == "alert" else None

    def _other(self, number: int, line: bytes, opened: _Open | None) -> _Open | Recorded | None:
        kind = shapes.typed(line).type
        if kind == "expired":
            return self._expired(number, line, opened)
        read = self._readers.get(kind)
        if read is None:  # of a later imd, or another tool's
            self.skipped[f"type {kind[:50]}"] += 1
            read = self._untold
        at, event, first = read(line)
        if isinstance(event, ClockStepped):
            self._now = at  # the clock was set, back perhaps: time goes on from here
        at = self._at(at)
        return None if event is None else Recorded(at, (number,), event, first)

    def _at(self, at: datetime) -> datetime:
        """Time does not fall: a lower instant counts as the highest so far."""
        if self._now is None or at >= self._now:
            self._now = at
        else:
            self.late += 1
        return self._now

    def _report(self, alert: shapes.Alert) -> AlertReport:
        if alert.status not in ("firing", "resolved"):
            raise _Wrong(f'status is "{alert.status[:50]}", expected "firing" or "resolved"')
        starts_at, ends_at = _stated(alert.starts_at, "starts_at"), _stated(alert.ends_at, "ends_at")
        known = self._of(alert.source or "").find(bytes(alert.labels), bytes(alert.annotations))
        identity, annotations = known.identity, known.annotations
        labels: bytes | None = None
        if alert.identity is not shapes.ABSENT:
            identity, labels = self._identity(alert.source or "", alert.identity), identity.canonical
        return AlertReport(identity, alert.status == "resolved", starts_at, ends_at, annotations, labels=labels)

    def _of(self, source: str) -> KnownLabels:
        known = self._known.get(source)
        if known is None:
            configured = self._sources.get(source)
            known = self._known[source] = KnownLabels(configured.labels if configured else {})
        return known

    def _identity(self, source: str, labels: msgspec.Raw) -> Identity:
        return self._of(source).find(bytes(labels), b"").identity

    # -- the other types ------------------------------------------------------------------------------------------

    def _expired(self, number: int, line: bytes, opened: _Open | None) -> _Open:
        read = shapes.expired(line)
        at = _instant(read.ts, "ts")
        identity = self._identity(read.source or "", read.labels if read.identity is shapes.ABSENT else read.identity)
        ends_at = at if read.ends_at is None else _instant(read.ends_at, "ends_at")
        expired = Expired(identity, ends_at, read.reason)
        if read.same_step and opened is not None and opened.sender is None:
            opened.expired.append(expired)
            opened.lines.append(number)
            return opened
        return _Open(self._at(at), [number], None, expired=[expired])

    def _action(self, line: bytes) -> _Read:
        if b'"report"' in line and shapes.named(line).action == "report":
            told = shapes.report(line)
            return _instant(told.ts, "ts"), _reported(told), b""
        read = shapes.action(line)
        at = _instant(read.ts, "ts")
        if read.action not in set(ActionKind):
            self.skipped[f"action {read.action[:50]}"] += 1
            return at, None, b""
        event = ActionTaken(
            kind=ActionKind(read.action),
            incident=_incident(read.incident),
            by=read.by,
            note=read.note,
            force=read.force,
            through=read.through,
            until=None if read.until is None else _instant(read.until, "until"),
            to=read.to,
            into=_incident(read.into),
            fingerprints=read.fingerprints,
            outcome=read.outcome,
            cause=read.cause,
            actionable=read.actionable,
        )
        return at, event, b"" if read.alert is shapes.ABSENT else self._identity("", read.alert).key

    def _delivery(self, line: bytes) -> _Read:
        read = shapes.delivery(line)
        event = DeliveryFinished(
            delivery=read.delivery,
            incident=read.incident,
            receiver=read.receiver,
            outcome=read.outcome,
            error=read.error,
        )
        return _instant(read.ts, "ts"), event, b""

    def _restart(self, line: bytes) -> _Read:
        read = shapes.restart(line)
        return _instant(read.ts, "ts"), Restarted(_instant(read.alive_at, "alive_at")), b""

    def _clock(self, line: bytes) -> _Read:
        read = shapes.clock(line)
        try:
            by = timedelta(seconds=read.by_seconds)
        except (OverflowError, ValueError):
            raise _Wrong(f"by_seconds is {read.by_seconds:g}, which no clock is set by") from None
        return _instant(read.ts, "ts"), ClockStepped(by), b""

    def _reload(self, line: bytes) -> _Read:
        """The recorded run changed its rules here; a replay has one set of them."""
        self.skipped["reload"] += 1
        return self._untold(line)

    def _untold(self, line: bytes) -> _Read:
        """Time passes, and that is all."""
        return _instant(shapes.timed(line).ts, "ts"), None, b""

    def _beat(self, line: bytes) -> _Read:
        read = shapes.beat(line)
        return _instant(read.ts, "ts"), HeartbeatBeat(read.heartbeat, tuple(read.by.items())), b""

    def _silence(self, line: bytes) -> _Read:
        read = shapes.silence(line)
        at = _instant(read.ts, "ts")
        if not read.action or not read.silence:  # not one of ours
            self.skipped["silence"] += 1
            return at, None, b""
        if read.action == "expired":
            return at, SilenceExpired(read.silence, read.by), b""
        if read.action != "set":
            raise _Wrong(f'action is "{read.action[:50]}", expected "set" or "expired"')
        if read.ends_at is None:
            raise _Wrong("ends_at is missing")
        silence = Silence(
            id=read.silence,
            matchers=_matchers(read.matchers),
            starts_at=at if read.starts_at is None else _instant(read.starts_at, "starts_at"),
            ends_at=_instant(read.ends_at, "ends_at"),
            updated_at=at,
            created_by=read.by,
            comment=read.comment,
        )
        return at, SilenceSet(silence, read.replaces), b""

    def _override(self, line: bytes) -> _Read:
        read = shapes.override(line)
        at = _instant(read.ts, "ts")
        if read.action == "ended":
            return at, OverrideEnded(read.override, read.by), b""
        if read.action != "set":
            raise _Wrong(f'action is "{read.action[:50]}", expected "set" or "ended"')
        if read.ends_at is None:
            raise _Wrong("ends_at is missing")
        override = Override(
            id=read.override,
            schedule=read.schedule,
            person=read.person,
            begins_at=at if read.starts_at is None else _instant(read.starts_at, "starts_at"),
            ends_at=_instant(read.ends_at, "ends_at"),
            created_by=read.by,
            created_at=at,
            comment=read.comment,
        )
        return at, OverrideSet(override), b""

    def _fault(self, number: int, fault: Exception) -> None:
        self._fault_count += 1
        if len(self._faults) < FAULTS_MAX:
            self._faults.append(f"{self._name}:{number}: {fault}")


def _incident(named: str | int) -> str:
    """An incident's id, from that or from its number."""
    number = str(named)
    return f"i{int(number):012d}" if number.isdecimal() and number.isascii() else number


def _reported(read: shapes.Report) -> IncidentReported:
    return IncidentReported(
        key=read.report or f"{read.ts}",
        title=read.title,
        by=read.by,
        labels=read.labels,
        priority=read.priority,
        policy=read.policy,
        note=read.note,
        through=read.through,
    )


def _matchers(texts: list[str]) -> tuple[Matcher, ...]:
    try:
        return tuple(matcher for text in texts for matcher in parse_matchers(text))
    except BadMatcher as fault:
        raise _Wrong(f"matchers: {fault}") from None


def glance(lines: Iterable[bytes]) -> Glance:
    """Looks through a file for actions and ends of deliveries; faulty lines are left to `read`."""
    actions = False
    deliveries: dict[str, str] = {}
    for line in lines:
        if b'"action"' not in line and b'"delivery"' not in line:
            continue
        try:
            kind = shapes.typed(line).type
            if kind == "delivery":
                read = shapes.delivery(line)
                deliveries[delivery_of(read.delivery, read.incident)] = read.receiver
            actions = actions or kind == "action"
        except NOT_JSON:
            continue
    return Glance(actions, deliveries)


def happened(lines: Iterable[bytes]) -> bool:
    """Whether the file tells of people or of deliveries: then it is a recorded run. Reads no further than it must."""
    for line in lines:
        if b'"action"' in line or b'"delivery"' in line:
            seen = glance([line])
            if seen.actions or seen.deliveries:
                return True
    return False


def delivery_of(delivery: str, incident: str) -> str:
    """A delivery's id without the name of the store that it was made in."""
    if not incident:  # a digest
        return delivery[max(0, delivery.find("digest-")) :]
    return delivery[max(0, delivery.rfind(f"{incident}-")) :]


def _instant(when: datetime | float, key: str) -> datetime:
    """From unix seconds or RFC 3339. Years of which no deadline can be worked out are refused, but for ends and starts
    beyond them, which a daemon takes as the last (a silence without an end is one until 9999)."""
    try:
        if not isinstance(when, datetime):
            at = datetime.fromtimestamp(when, UTC)
        else:
            at = when if when.tzinfo is UTC else when.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise _Wrong(f"{key} is {when}, which is no time in unix seconds") from None
    if key != "ts" and at >= _END:
        return _END
    if not _FIRST_YEAR <= at.year < _END.year:
        raise _Wrong(f"{key} is in the year {at.year}")
    return at


def _stated(when: datetime | float | None, key: str) -> datetime | None:
    """A time that a sender gave; None where it did not, which Go's senders write as year 1."""
    if when is None or isinstance(when, datetime):
        return instant(when)
    return _instant(when, key)


class _Wrong(ValueError):
    """What a line says makes no sense."""
