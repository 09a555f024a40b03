"""Opsgenie: alerts as its senders create and close them (Alert API, and Jira Service Management's), and its outgoing
webhook, for as long as it still runs beside imd.

Source: docs.opsgenie.com, Alert API and Response (read 2026-11-21), the Python SDK 2.1.5, and a recorded body of the
webhook (tests/payloads). The alias is the alert's key; an alert without one has its id. Opsgenie knows priorities and
no severities. Milder than there: a priority that is none is passed over, and a long message is cut and not refused.

Owns what a body says. Who may send it, and what people's actions do, is the API's (`api.opsgenie`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from imd.model.alert import Alert, AlertReport, Identity
from imd.model.bodymap import BodyMap
from imd.sources.contract import NO_HEADERS, AlertRefused, BadBody, Decoded, Headers, Rejection, excerpt
from imd.sources.labels import KnownLabels
from imd.sources.made import KEY, Said, make, parse
from imd.sources.mapped import Mapped, fields, fits_label, text_of
from imd.sources.pagerduty import spread
from imd.sources.shapes import is_, moment, path, there, value, values

MESSAGE_CHARS_MAX = 1024
ALIAS_CHARS_MAX = 512
PRIORITIES = ("P1", "P2", "P3", "P4", "P5")
PARTS = {"message": "summary", "description": "description", "priority": ""}
"""What may be changed of an alert that is open, with the annotation that it is here."""

_LABELS_ROOM = 8
_SEVERITY = {
    "p1": "critical", "p2": "error", "p3": "warning", "p4": "info", "p5": "info",
    "1": "critical", "2": "error", "3": "warning", "4": "info", "5": "info",
}  # fmt: skip
_encode = msgspec.json.Encoder(order="sorted").encode

_WEBHOOK = (
    BodyMap(
        when=there("alert.alertId"),
        ignore=is_("action", "(?:un)?acknowledge|add.*|remove.*|assign.*|take.*|escalate.*|snooze.*|update.*|custom.*"),
        resolved=is_("action", "close|delete"),
        firing=is_("action", "create"),
        key=value("{alert.alias}", "{alert.alertId}"),
        labels={
            "alertname": value("{alert.details.alertname}", "{alert.message}"),
            "severity": value("{alert.details.severity}", "{alert.priority}", table=_SEVERITY),
            "priority": value("{alert.priority}", regex="(?i)p?([1-5])", replacement="P$1"),
            "entity": value("{alert.entity}"),
        },
        spread_labels=(path("alert.details"),),
        annotations=values(summary="{alert.message}", description="{alert.description}", tags="{alert.tags}"),
        starts_at=moment("{alert.createdAt}"),
    ),
)


class InvalidAlert(ValueError):
    """What Opsgenie answers 422; `errors` are its `errors`, by field."""

    def __init__(self, **errors: str) -> None:
        super().__init__("; ".join(f"{name}: {error}" for name, error in errors.items()))
        self.errors = errors


def check_alias(alias: Any) -> str:
    """An alias as it is kept, "" for none. Raises InvalidAlert."""
    text = text_of(alias) or ""
    if len(text) > ALIAS_CHARS_MAX:
        raise InvalidAlert(alias=f"Alias length can not be greater than {ALIAS_CHARS_MAX}.")
    return text


class Opsgenie:
    """Decoder of the webhook, and of a body that creates an alert."""

    by_api = False

    def __init__(self, known: KnownLabels, source: str) -> None:
        self.known = known
        self._source = source
        self._webhook = Mapped(known, source, _WEBHOOK)

    def decode(self, body: bytes, now: datetime, headers: Headers = NO_HEADERS) -> Decoded:
        value = parse(body, headers, self.known.limits.depth_max)
        if not isinstance(value, dict) or "alert" in value or "message" not in value:
            return self._webhook.take(value, headers)
        try:
            alias = check_alias(value.get("alias")) or text_of(value["message"]) or ""
            return self.create(value, alias, body)
        except InvalidAlert as error:
            raise BadBody(str(error)) from None

    def create(self, value: Mapping[str, Any], alias: str, body: bytes) -> Decoded:
        """The alert that a body creates under this alias, or says again. Raises InvalidAlert."""
        message = (text_of(value.get("message")) or "")[:MESSAGE_CHARS_MAX]
        if not message:
            raise InvalidAlert(message="Message can not be empty.")
        try:
            return Decoded([make(self.known, self._source, self._said(value, alias, message))], [])
        except AlertRefused as refusal:
            return Decoded([], [Rejection(0, str(refusal), refusal.reason, excerpt(body))])

    def identity(self, alias: str) -> Identity:
        """Of the alert that has this alias. Raises AlertRefused."""
        return self.known.find(_encode({KEY: alias}), b"").identity

    def changed(self, alert: Alert, part: str, text: str) -> AlertReport | None:
        """A report that says one thing of an open alert anew; None where nothing is changed by it."""
        labels, annotations = alert.labels(), alert.annotation_map()
        if part == "priority":
            priority = _priority(text)
            if not priority:
                return None
            labels |= {"priority": priority, "severity": _SEVERITY[priority.lower()]}
        else:
            annotations[PARTS[part]] = text[:MESSAGE_CHARS_MAX] if part == "message" else text
        found = self.known.find(alert.identity.canonical, _encode(annotations))
        return AlertReport(
            alert.identity,
            resolved=False,
            starts_at=None,
            ends_at=None,
            annotations=found.annotations,
            generator_url=alert.generator_url,
            labels=_encode(labels),
        )

    def _said(self, value: Mapping[str, Any], alias: str, message: str) -> Said:
        priority = _priority(value.get("priority"))
        labels = {
            "priority": priority,
            "entity": text_of(value.get("entity")) or "",
            "source": text_of(value.get("source")) or "",
            "team": _team(value),
        }
        annotations = {"summary": message, "description": text_of(value.get("description")) or ""}
        room = self.known.limits.labels_max - _LABELS_ROOM
        spread(value.get("details"), labels, annotations, room)
        for name, text in fields(value.get("tags"), "tags"):
            if name == "tags" or not fits_label(name, text) or len(labels) >= room:
                annotations["tags"] = f"{annotations.get('tags', '')}, {text}".strip(", ")
            else:
                labels[name] = labels.get(name) or text
        labels["alertname"] = labels.get("alertname", "") or message
        labels["severity"] = labels.get("severity", "").lower() or _SEVERITY.get(priority.lower(), "")
        return Said(
            labels=labels,
            resolved=False,
            key=alias,
            annotations={name: text for name, text in annotations.items() if text},
        )


def _priority(value: Any) -> str:
    text = (text_of(value) or "").upper()
    return text if text in PRIORITIES else ""


def _team(value: Mapping[str, Any]) -> str:
    """The first team among the responders."""
    found = value.get("responders") or value.get("teams")
    for one in found if isinstance(found, list) else ():
        if isinstance(one, dict) and one.get("type", "team") == "team" and (name := text_of(one.get("name"))):
            return name
    return ""
