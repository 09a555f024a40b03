"""Plays a `*.test.yaml` through the engine in virtual time, so that the shipped packs' tests cannot rot.

Owns just as much of the format of design section 4 as the packs use, and refuses the rest: the runner for operators is
a command of its own. Alerts come in by webhook and fire until they are resolved; messages are accepted at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from imd.config.document import Document, Mapping, Node, Scalar, Sequence
from imd.config.load import load_rules
from imd.config.syntax import parse_duration
from imd.config.yamlfile import read_document
from imd.core.engine import Engine
from imd.core.state import State
from imd.model.alert import AlertReport, identify
from imd.model.effect import Deliver, Effect, SaveIncident
from imd.model.event import ActionKind, ActionTaken, AlertsReported, DeliveryFinished, Event, Outcome, Tick
from imd.model.incident import Incident, IncidentState
from imd.model.policy import PageKind
from tests.core.making import STORE_ID, T0

_TOP = {"name", "rules", "start", "alerts", "events", "expect"}
_EVENT = {"at", "fire", "resolve", "ack", "by", "every", "until"}
_EXPECT = {"at", "since", "incidents", "incidents_include", "pages"}
_INCIDENT = {"rule", "state", "priority", "alerts", "firing", "title", "group_key"}
_GONE = {IncidentState.CANCELLED, IncidentState.MERGED}


class Page(msgspec.Struct, frozen=True):
    at: datetime
    to: str
    kind: str


def plain(node: Node | None) -> Any:
    """The document as lists, dicts and text; durations and numbers as they are written."""
    match node:
        case Mapping(entries=entries):
            return {name: plain(entry.value) for name, entry in entries.items()}
        case Sequence(items=items):
            return [plain(item) for item in items]
        case Scalar(value=None):
            return ""
        case Scalar(text=text):
            return text
        case _:
            raise AssertionError("not sound YAML")


def read(file: Path) -> dict[str, Any]:
    document: Document = read_document(file.name, file.read_bytes())
    assert not document.faults, "\n".join(fault.render() for fault in document.faults)
    told = plain(document.root)
    assert told.keys() <= _TOP, told.keys() - _TOP
    assert all(event.keys() <= _EVENT for event in told["events"])
    assert all(expected.keys() <= _EXPECT for expected in told["expect"])
    return told


class Play:
    """One test file, played as far as `until` was called."""

    def __init__(self, file: Path) -> None:
        self.told = read(file)
        names = self.told.get("rules")
        paths = [file.parent / name for name in names] if names else [file.parent]
        self.engine = Engine(load_rules(paths).ruleset, State(STORE_ID))
        self.now = T0
        self.pages: list[Page] = []
        self.incidents: dict[int, Incident] = {}
        self._starts: dict[str, datetime] = {}
        self._events = sorted(self._all_events(), key=lambda event: event[0])

    def until(self, at: datetime) -> None:
        while self._events and self._events[0][0] <= at:
            when, event = self._events.pop(0)
            self._tick(when)
            self._happen(event)
        self._tick(at)

    def listed(self) -> list[Incident]:
        return [one for _, one in sorted(self.incidents.items()) if one.state not in _GONE]

    def _all_events(self) -> Iterator[tuple[datetime, dict[str, Any]]]:
        for event in self.told["events"]:
            at, last = instant(event["at"]), instant(event.get("until", event["at"]))
            every = parse_duration(event["every"]) if "every" in event else timedelta(days=365)
            while at <= last:
                yield at, event
                at += every

    def _happen(self, event: dict[str, Any]) -> None:
        if "ack" in event:
            incident = f"i{int(event['ack']):012d}"
            self._step(ActionTaken(kind=ActionKind.ACK, incident=incident, by=event.get("by", "test")))
            return
        resolved = "resolve" in event
        named = event["resolve" if resolved else "fire"]
        labels = self.told["alerts"][named] if isinstance(named, str) else named
        identity = identify({name: value for name, value in labels.items() if value})
        known = identity.canonical.decode()
        starts_at = self._starts.pop(known, self.now) if resolved else self._starts.setdefault(known, self.now)
        report = AlertReport(identity, resolved, starts_at, self.now if resolved else None)
        self._step(AlertsReported("test", False, (report,)))

    def _tick(self, until: datetime) -> None:
        while (due := self.engine.next_deadline()) is not None and due <= until:
            self.now = max(self.now, due)
            self._step(Tick())
        self.now = until

    def _step(self, event: Event) -> None:
        for effect in self.engine.step(event, self.now):
            self._take(effect)

    def _take(self, effect: Effect) -> None:
        match effect:
            case SaveIncident(incident=incident):
                self.incidents[incident.number] = incident
            case Deliver(delivery=sent):
                if sent.kind is PageKind.PAGE:
                    self.pages.append(Page(self.now, sent.to, sent.kind.value))
                finished = DeliveryFinished(
                    delivery=sent.id, incident=sent.incident, receiver=sent.receiver, outcome=Outcome.ACCEPTED
                )
                self._step(finished)
            case _:
                pass


def instant(text: str) -> datetime:
    return T0 + parse_duration(text)


def check(play: Play, expected: dict[str, Any]) -> None:
    """One entry of `expect`, at its time."""
    at = instant(expected["at"])
    play.until(at)
    found = play.listed()
    shown = "\n".join(f"{one.state} {one.priority} {one.rule} {dict(one.group_key)}" for one in found)
    if "incidents" in expected:
        assert len(found) == len(expected["incidents"]), f"at {expected['at']}:\n{shown}"
        for wanted, incident in zip(expected["incidents"], found, strict=True):
            assert _differing(play, wanted, incident) == {}, f"at {expected['at']}:\n{shown}"
    for wanted in expected.get("incidents_include", []):
        assert any(not _differing(play, wanted, one) for one in found), f"at {expected['at']}, {wanted}:\n{shown}"
    if "pages" in expected:
        since = instant(expected.get("since", "0s"))
        sent: dict[str, int] = {}
        for page in play.pages:
            if since <= page.at <= at:
                sent[page.to] = sent.get(page.to, 0) + 1
        assert sent == {page["to"]: int(page.get("times", 1)) for page in expected["pages"]}, f"at {expected['at']}"


def _differing(play: Play, wanted: dict[str, Any], incident: Incident) -> dict[str, Any]:
    assert wanted.keys() <= _INCIDENT, wanted.keys() - _INCIDENT
    values: dict[str, Any] = {
        "rule": incident.rule,
        "state": incident.state.value,
        "priority": incident.priority.value,
        "alerts": str(incident.firing + incident.ended),
        "firing": str(incident.firing),
        "title": incident.title,
        "group_key": dict(incident.group_key),
    }
    return {key: values[key] for key in wanted if wanted[key] != values[key]}
