"""What one rule set makes of a history, kept small enough that two of a million events can be compared.

Owns the shapes of a result and the run that makes one. How it stays small and quick: of an alert only its incident is
kept, or why it is in none; of an incident what a comparison looks at, once it leaves the engine's memory; nothing is
written to timelines, and receivers hear of pages alone, which changes no page.

Receivers take every page at once, whatever the history recorded: that told of the messages of other rules. So does an
acknowledgement that comes before its incident's first page: it is taken with that page.
"""

from __future__ import annotations

from array import array
from datetime import datetime, timedelta

import msgspec

from imd.core.transaction import Transaction
from imd.model.alert import Alert, AlertReport
from imd.model.effect import (
    AppendTimeline,
    CancelPages,
    Deliver,
    Delivery,
    Effect,
    ForgetIncident,
    SaveAlert,
    SaveIncident,
)
from imd.model.event import ActionKind, ActionTaken, AlertsExpired, DeliveryFinished
from imd.model.incident import Incident, IncidentState, Priority
from imd.model.policy import PageKind, Ruleset
from imd.replay.journal import EventsReader
from imd.replay.run import Replay

NONE = 0
"""The number of no incident, and the place of no verdict."""

QUOTED = frozenset({"route", "not_notified"})
"""Kinds of timeline lines whose last text is kept."""


class Ended(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """An incident as it was left. `claimed`: a sender gave its priority. `merged_into` is a number."""

    number: int
    rule: str
    group_key: tuple[tuple[str, str], ...]
    state: IncidentState
    priority: Priority
    impact: str
    urgency: str
    claimed: bool
    title: str
    policy: str
    routed: str
    not_notified: str
    opened_at: datetime
    merged_into: int
    resolved_at: datetime | None = None

    @property
    def id(self) -> str:
        return f"i{self.number:012d}"


class Paged(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One page. `incident` is the number of the one that survived all merges, `priority` that of the time."""

    incident: int
    at: datetime
    to: str
    receiver: str
    priority: Priority
    step: int


class Verdict(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Why an alert is in no incident: the rule that took it, and what became of it there."""

    rule: str
    dropped_by: str = ""
    suppressed_by: tuple[str, ...] = ()
    seen_off: str = ""


class Result(msgspec.Struct, frozen=True):
    """`lines` are numbers of incidents, `because` places in `verdicts`, both as an array of type I with one for each
    line of the history, from line 0, which there is none of: which incident, having survived all merges, has the alert
    of that firing line; where none, why not. `unmet` counts what the history asked for and could not be done; for
    `skipped` and `late` see EventsReader."""

    lines: bytes
    because: bytes
    verdicts: list[Verdict]
    incidents: list[Ended]
    pages: list[Paged]
    events: int
    began_at: datetime | None
    ended_at: datetime | None
    skipped: dict[str, int]
    late: int
    unmet: int


class Bare(Transaction):
    """Counts the lines of timelines and writes none but those that a comparison quotes."""

    tells = False

    def say(
        self, incident: Incident, kind: str, text: str, by: str = "imd", at: datetime | None = None, **details: str
    ) -> None:
        if kind in QUOTED:
            super().say(incident, kind, text, by, at, **details)
        else:
            incident.lines += 1
            self.touch(incident)

    def count(self, name: str, *values: str, amount: int = 1) -> None:
        pass

    def observe(self, name: str, amount: float, *values: str) -> None:
        pass


class Run(Replay):
    """A replay that keeps a result in place of a story. `ack_after` and `expire`: see Replay."""

    def __init__(self, ruleset: Ruleset, *, ack_after: timedelta | None = None, expire: bool = False) -> None:
        super().__init__(pages_alone(ruleset), ack_after=ack_after, expire=expire, transaction=Bare)
        self._held: dict[str, Incident] = {}
        self._ended: dict[int, Ended] = {}
        self._quoted: dict[str, dict[str, str]] = {}
        self._incident_of: dict[int, str] = {}
        self._verdicts: dict[int, Verdict] = {}
        self._line_numbers = array("I")
        self._line_alerts = array("I")
        self._pages: list[tuple[str, Paged]] = []
        self._answers: dict[str, ActionTaken] = {}

    def result(self, reader: EventsReader, until: datetime | None = None) -> Result:
        """Ends the run, as `finish` does."""
        story = self.finish(until)
        for incident in self._held.values():
            self._end(incident)
        numbers = self._numbers()
        lines, because, verdicts = self._by_line(numbers)
        pages = (paged for delivery, paged in self._pages if delivery not in self._cancelled)
        return Result(
            lines=lines.tobytes(),
            because=because.tobytes(),
            verdicts=verdicts,
            incidents=[self._ended[number] for number in sorted(self._ended)],
            pages=[msgspec.structs.replace(one, incident=numbers[one.incident]) for one in pages],
            events=story.events,
            began_at=story.began_at,
            ended_at=story.ended_at,
            skipped=dict(reader.skipped),
            late=reader.late,
            unmet=sum(story.unmet.values()),
        )

    def _numbers(self) -> dict[int, int]:
        """Of each incident the one that survived all merges."""
        found: dict[int, int] = {}
        for number, ended in self._ended.items():
            while ended.merged_into in self._ended:
                ended = self._ended[ended.merged_into]
            found[number] = ended.number
        return found

    def _by_line(self, numbers: dict[int, int]) -> tuple[array[int], array[int], list[Verdict]]:
        size = self._line_numbers[-1] + 1 if self._line_numbers else 1
        lines, because = array("I", bytes(4 * size)), array("I", bytes(4 * size))
        known: dict[Verdict, int] = {}
        incident_of = {alert: numbers.get(number_of(name), NONE) for alert, name in self._incident_of.items()}
        for line, alert in zip(self._line_numbers, self._line_alerts, strict=True):
            lines[line] = incident_of.get(alert, NONE)
            if lines[line] == NONE and alert in self._verdicts:
                because[line] = known.setdefault(self._verdicts[alert], len(known) + 1)
        return lines, because, [Verdict(rule=""), *known]

    # -- what a replay tells --------------------------------------------------------------------------------------

    def _said(self, line: int, alert: Alert, report: AlertReport) -> None:
        if not report.resolved:
            self._line_numbers.append(line)
            self._line_alerts.append(alert.id)

    def _act(self, action: ActionTaken, at: datetime) -> list[str]:
        """An acknowledgement before the first page was an answer to one that left earlier then: it waits for it."""
        incident = self.engine.state.incidents.get(action.incident)
        self._answers.pop(action.incident, None)
        if action.kind is ActionKind.ACK and incident is not None and incident.state is IncidentState.PENDING:
            self._answers[action.incident] = action
            return []
        return super()._act(action, at)

    def _answer(self, incident: str, to: str, begins: bool, at: datetime) -> None:
        answer = self._answers.pop(incident, None)
        if answer is not None:
            self._step(answer, at)
        else:
            super()._answer(incident, to, begins, at)

    def _delivery_finished(self, event: DeliveryFinished, at: datetime) -> None:
        """Of the messages of other rules."""

    def _keep_expired(self, lines: tuple[int, ...], event: AlertsExpired) -> None:
        pass

    def _take(self, effect: Effect, sent: list[Delivery], called_off: list[Delivery]) -> None:
        match effect:
            case SaveAlert(alert=alert):
                self._keep_alert(alert)
            case SaveIncident(incident=incident):
                self._held[incident.id] = incident
            case ForgetIncident(id=incident_id):
                self._end(self._held.pop(incident_id))
            case AppendTimeline(incident=incident_id, entry=entry):
                self._quoted.setdefault(incident_id, {})[entry.kind] = entry.text
            case Deliver(delivery=delivery):
                self._page(delivery)
                sent.append(delivery)
            case CancelPages():
                called_off.extend(self._call_off(sent, effect))
            case _:
                pass

    def _keep_alert(self, alert: Alert) -> None:
        if alert.incident:
            self._incident_of[alert.id] = alert.incident
        else:
            self._incident_of.pop(alert.id, None)
            seen_off = f"waits for {alert.waiting}" if alert.counted_at is not None else alert.seen_off
            self._verdicts[alert.id] = Verdict(alert.rule, alert.dropped_by, alert.suppressed_by, seen_off)

    def _page(self, delivery: Delivery) -> None:
        """A page in a digest is that incident's page."""
        if delivery.kind is PageKind.DIGEST:
            for one in self._note_digest(delivery):
                in_digest = Paged(
                    one.number,
                    delivery.created_at,
                    one.awaited.to,
                    delivery.receiver,
                    one.priority,
                    one.awaited.step + 1,
                )
                self._pages.append((delivery.id, in_digest))
            return
        paged = Paged(
            delivery.number, delivery.created_at, delivery.to, delivery.receiver, delivery.priority, delivery.step
        )
        self._pages.append((delivery.id, paged))

    def _end(self, incident: Incident) -> None:
        quoted = self._quoted.pop(incident.id, {})
        self._ended[incident.number] = Ended(
            number=incident.number,
            rule=incident.rule,
            group_key=incident.group_key,
            state=incident.state,
            priority=incident.priority,
            impact=incident.impact.value,
            urgency=incident.urgency.value,
            claimed=incident.claimed is not None,
            title=incident.title,
            policy=incident.policy,
            routed=quoted.get("route", ""),
            not_notified=quoted.get("not_notified", ""),
            opened_at=incident.opened_at,
            merged_into=number_of(incident.merged_into),
            resolved_at=incident.resolved_at,
        )


def pages_alone(ruleset: Ruleset) -> Ruleset:
    """The same pages without the messages that follow them."""
    receivers = {
        name: msgspec.structs.replace(one, send=one.send & {PageKind.PAGE}) for name, one in ruleset.receivers.items()
    }
    return msgspec.structs.replace(ruleset, receivers=receivers)


def number_of(incident: str) -> int:
    """Of an incident's id; NONE of ""."""
    return int(incident[1:]) if incident else NONE
