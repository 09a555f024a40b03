"""What a test sees of a run: incidents, messages, verdicts and timelines, and how each looks when it is shown.

Owns the way from the engine's records to the values that expectations name (`config.testkeys`), and which alert a test
means by a name or by labels. Judges nothing; that is `judging`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from imd.config.syntax import format_duration
from imd.config.testvalues import AlertRef
from imd.model.alert import Alert, fingerprint
from imd.model.effect import AppendTimeline, Deliver, Delivery, Effect, SaveAlert, SettleDelivery
from imd.model.event import Outcome
from imd.model.incident import Incident, IncidentState
from imd.model.policy import Ruleset
from imd.model.rule import Mode
from imd.replay.run import Story

_BUILT_IN = frozenset({"default", "built-in"})
_GONE = frozenset({IncidentState.CANCELLED, IncidentState.MERGED})


class Line(msgspec.Struct, frozen=True):
    """One line of what led there. `incident` 0: an event of the test."""

    at: timedelta
    incident: int
    text: str


class Message(msgspec.Struct):
    """One delivery. `left`: its receiver was asked; `outcome` None: it hangs."""

    at: timedelta
    delivery: Delivery
    left: bool = False
    outcome: Outcome | None = None


class Seen:
    """Everything that a run of one test showed so far. `story` is the replay's."""

    def __init__(self, start: datetime) -> None:
        self.start = start
        self.at = timedelta(0)
        self.story = Story()
        self.messages: dict[str, Message] = {}
        self.alerts: dict[int, Alert] = {}
        self.lines: list[Line] = []
        self.steps: set[tuple[str, int]] = set()
        self.causes: set[str] = set()
        self.silences: dict[str, str] = {}
        self.names: dict[bytes, str] = {}
        self.modes: dict[str, Mode] = {}
        self._members: dict[str, set[int]] | None = None
        self._policies: Callable[[str], str] = lambda incident: ""

    def begin(self, story: Story, policy_of: Callable[[str], str]) -> None:
        self.story, self._policies = story, policy_of

    def under(self, ruleset: Ruleset) -> None:
        """The rules that decide from now on."""
        self.modes.update({rule.name: rule.mode for rule in ruleset.rules})

    def take(self, effect: Effect) -> None:
        match effect:
            case SaveAlert(alert=alert):
                self.alerts[alert.id] = alert
                if alert.suppressed_by:
                    self.causes.update(alert.suppressed_by)
            case AppendTimeline(incident=incident, entry=entry):
                self.lines.append(Line(self.at, number_of(incident), entry.text))
            case Deliver(delivery=delivery):
                self.messages[delivery.id] = Message(self.at, delivery)
                if delivery.step:
                    self.steps.add((self._policies(delivery.incident), delivery.step))
            case SettleDelivery(delivery=delivery_id, outcome=outcome) if delivery_id in self.messages:
                self._settled(self.messages[delivery_id], Outcome(outcome))
            case _:
                pass

    def _settled(self, message: Message, outcome: Outcome) -> None:
        message.outcome = outcome
        if not message.left:
            del self.messages[message.delivery.id]  # called off before anybody was asked

    # -- incidents --------------------------------------------------------------------------------------------------

    def incidents(self) -> list[Incident]:
        """Those that were opened so far, but cancelled and merged ones, in order."""
        return [one for one in self.every_incident() if one.state not in _GONE]

    def every_incident(self) -> list[Incident]:
        return sorted(self.story.incidents.values(), key=lambda one: one.number)

    def members(self, incident: Incident) -> list[Alert]:
        """Every episode that was ever in it, or in one that was merged into it, in order."""
        if self._members is None:
            self._members = self._by_survivor()
        found = self._members.get(incident.id) or self.story.members.get(incident.id, set())
        return [self.alerts[one] for one in sorted(found)]

    def looked_at_anew(self) -> None:
        """The run has gone on."""
        self._members = None

    def _by_survivor(self) -> dict[str, set[int]]:
        merged: dict[str, set[int]] = {}
        for incident, found in self.story.members.items():
            merged.setdefault(self.story.surviving(incident), set()).update(found)
        return merged

    def means(self, ref: AlertRef, alert: Alert) -> bool:
        """Whether the test means this alert."""
        if ref.name:
            return self.names.get(alert.identity.key) == ref.name
        labels, sent = alert.full_labels(), alert.labels()
        return all(value in (labels.get(name, ""), sent.get(name, "")) for name, value in ref.labels.items())

    def called(self, alert: Alert) -> str | dict[str, str]:
        """The alert's name in the test, else its labels."""
        return self.names.get(alert.identity.key) or alert.labels()

    # -- verdicts ---------------------------------------------------------------------------------------------------

    def newest(self) -> list[Alert]:
        """The newest episode of each alert."""
        return list({alert.identity.key: alert for alert in self.alerts.values()}.values())

    def suppressed(self) -> list[Alert]:
        return [alert for alert in self.newest() if alert.firing and alert.suppressed_by]

    def cause(self, cause: str) -> tuple[str, str]:
        """By what, and the name of it in the rules or in the test."""
        kind, _, rest = cause.partition("/")
        if kind == "silence":
            return kind, self.silences.get(rest, rest)
        return kind, rest.rpartition("/")[0] if kind == "inhibition" else rest

    def unmatched(self) -> list[Alert]:
        return [alert for alert in self.newest() if alert.rule in _BUILT_IN]

    def dropped(self) -> list[Alert]:
        return [one for one in self.newest() if one.dropped_by or self.modes.get(one.rule) is Mode.DROP]

    def waiting(self) -> list[Alert]:
        return [one for one in self.newest() if one.counted_at is not None and not one.incident]

    # -- words ------------------------------------------------------------------------------------------------------

    def offset(self, at: datetime | None) -> str | None:
        """An instant as a time after the start."""
        return None if at is None else time_text(at - self.start)


def number_of(incident_id: str) -> int:
    return int(incident_id.lstrip("i") or 0)


def time_text(after: timedelta) -> str:
    """`1m30s`; `-10s` before the start."""
    whole = timedelta(milliseconds=round(after / timedelta(milliseconds=1)))
    return f"-{format_duration(-whole)}" if whole < timedelta(0) else format_duration(whole)


def _root_causes(seen: Seen, incident: Incident) -> list[str]:
    """Every word by which a test may name the probable cause; "" where there is none."""
    cause = incident.root_cause
    if cause is None:
        return [""]
    words = [cause.entity, cause.fingerprint]
    for alert in seen.members(incident):
        if fingerprint(alert.labels()) == cause.fingerprint:
            called = seen.called(alert)
            words += [called] if isinstance(called, str) else []
            words.append(alert.labels().get("alertname", ""))
    return list(dict.fromkeys(word for word in words if word))


INCIDENT_VALUES: Mapping[str, Callable[[Seen, Incident], Any]] = {
    "rule": lambda seen, one: one.rule,
    "state": lambda seen, one: one.state.value,
    "priority": lambda seen, one: one.priority.value,
    "impact": lambda seen, one: one.impact.value,
    "urgency": lambda seen, one: one.urgency.value,
    "title": lambda seen, one: one.title,
    "alerts": lambda seen, one: len(seen.members(one)),
    "firing": lambda seen, one: one.firing,
    "suppressed": lambda seen, one: one.suppressed,
    "members": lambda seen, one: list({alert.identity.key: alert for alert in seen.members(one)}.values()),
    "group_key": lambda seen, one: dict(one.group_key),
    "labels": lambda seen, one: one.labels,
    "root_cause": _root_causes,
    "policy": lambda seen, one: one.policy,
    "assignee": lambda seen, one: one.assignee,
    "acknowledged_by": lambda seen, one: one.acknowledged_by,
    "reopened": lambda seen, one: one.reopened,
    "exhausted": lambda seen, one: one.exhausted,
    "number": lambda seen, one: one.number,
    "merged_into": lambda seen, one: number_of(one.merged_into),
    "previous": lambda seen, one: number_of(one.previous),
    "opened_at": lambda seen, one: seen.offset(one.opened_at),
    "resolved_at": lambda seen, one: seen.offset(one.resolved_at),
    "timeline": lambda seen, one: [line.text for line in seen.lines if line.incident == one.number],
}
"""The values of testkeys.INCIDENT, by key."""


def _message(field: str) -> Callable[[Message], Any]:
    return lambda message: getattr(message.delivery, field)


MESSAGE_VALUES: Mapping[str, Callable[[Message], Any]] = {
    "to": _message("to"),
    "receiver": _message("receiver"),
    "kind": lambda one: one.delivery.kind.value,
    "reason": lambda one: one.delivery.reason.value if one.delivery.reason else "",
    "priority": lambda one: one.delivery.priority.value,
    "step": _message("step"),
    "incident": _message("number"),
    "outcome": lambda one: one.outcome.value if one.outcome else "",
}
"""The values of testkeys.PAGE, by key, but for `times`."""


def flow(value: Any) -> str:
    """The value as YAML in one line, as somebody would write it into a test."""
    match value:
        case bool():
            return "true" if value else "false"
        case dict():
            return "{" + ", ".join(f"{key}: {flow(one)}" for key, one in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(flow(one) for one in value) + "]"
        case timedelta():
            return time_text(value)
        case None:
            return "~"
        case str():
            return _quoted(str(value))
        case _:
            return str(value)


def _quoted(text: str) -> str:
    plain = (
        text
        and (text[0].isalnum() or text[0] in "_/")
        and not set(text) & set(":#{}[],&*!|>'\"%@`\n")
        and text.isprintable()
    )
    if plain and text == text.strip() and text.lower() not in ("true", "false", "null"):
        return text
    return "'" + text.replace("'", "''") + "'" if text.isprintable() else msgspec.json.encode(text).decode()


def called(seen: Seen, alerts: Iterable[Alert]) -> list[str | dict[str, str]]:
    return [seen.called(alert) for alert in alerts]
