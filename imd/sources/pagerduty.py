"""PagerDuty's Events API v2, as senders speak it: trigger, acknowledge and resolve, and change events.

Source: PagerDuty developer docs, Events API v2 Overview, Trigger Events, Change Events, and the answers of
v2.developer.pagerduty.com (read 2026-11-21). Faults are worded as there. One thing is milder: a severity that is none
of the four is taken as it is, for a page that is refused for one word is a page lost.

Owns what an event says. Who may send it, and what an acknowledgement does, is the API's (`api.pagerduty`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any

import msgspec

from imd.model.alert import Identity
from imd.sources.contract import (
    NO_HEADERS,
    AlertRefused,
    BadBody,
    Decoded,
    Headers,
    Reason,
    Rejection,
    excerpt,
)
from imd.sources.labels import KnownLabels
from imd.sources.made import KEY, Said, make, parse
from imd.sources.mapped import fields, fits_label, text_of
from imd.sources.moments import read_instant

DEDUP_KEY_CHARS_MAX = 255
SUMMARY_CHARS_MAX = 1024
LINKS_MAX = 20
ACTIONS = ("trigger", "acknowledge", "resolve")
_LABELS = ("source", "component", "group", "class")
_ROOM = len(_LABELS) + 3  # alertname, severity and key

_encode = msgspec.json.Encoder(order="sorted").encode


class InvalidEvent(ValueError):
    """What PagerDuty answers 400; `errors` are its `errors`."""

    def __init__(self, *errors: str) -> None:
        super().__init__("; ".join(errors))
        self.errors = list(errors)


class Event(msgspec.Struct, frozen=True):
    """One event that is sound. `dedup_key` "" only for a trigger that has none."""

    routing_key: str
    action: str
    dedup_key: str
    payload: Mapping[str, Any]
    whole: Mapping[str, Any]


def routing_key(value: Any) -> str:
    """Raises InvalidEvent."""
    if not isinstance(value, dict):
        raise InvalidEvent("Event object must be a JSON object")
    key = value.get("routing_key")
    if not isinstance(key, str) or not key.strip():
        raise InvalidEvent("'routing_key' is missing or blank")
    return key.strip()


def read_event(value: Any) -> Event:
    """Of a body that is read already. Raises InvalidEvent."""
    key, errors = routing_key(value), list[str]()
    action, dedup_key = value.get("event_action"), value.get("dedup_key")
    payload = value.get("payload")
    if not isinstance(action, str) or not action.strip():
        errors.append("'event_action' is missing or blank")
    elif action not in ACTIONS:
        errors.append("'event_action' is invalid (must be one of the following: 'trigger', 'acknowledge' or 'resolve')")
    if dedup_key is not None and not isinstance(dedup_key, str):
        errors.append("'dedup_key' must be a string")
    elif isinstance(dedup_key, str) and len(dedup_key) > DEDUP_KEY_CHARS_MAX:
        errors.append(f"Length of 'dedup_key' is incorrect (should be no longer than {DEDUP_KEY_CHARS_MAX} characters)")
    elif action in ("acknowledge", "resolve") and not (dedup_key or "").strip():
        errors.append("'dedup_key' is missing or blank")
    if action == "trigger":
        errors += _missing(payload, "summary", "source", "severity")
    if errors:
        raise InvalidEvent(*errors)
    known = payload if isinstance(payload, dict) else {}
    return Event(key, str(action), (dedup_key or "").strip(), known, value)


def read_change(value: Any) -> str:
    """The summary of a change event. Raises InvalidEvent."""
    routing_key(value)
    payload = value.get("payload")
    errors = _missing(payload, "summary")
    if errors:
        raise InvalidEvent(*errors)
    return str(payload["summary"])[:SUMMARY_CHARS_MAX]


def _missing(payload: Any, *names: str) -> list[str]:
    if not isinstance(payload, dict):
        return ["'payload' is missing or blank"]
    return [f"'payload.{name}' is missing or blank" for name in names if not text_of(payload.get(name))]


class PagerDuty:
    """Decoder of events; an acknowledgement says nothing of the alert itself."""

    by_api = False

    def __init__(self, known: KnownLabels, source: str) -> None:
        self.known = known
        self._source = source

    def decode(self, body: bytes, now: datetime, headers: Headers = NO_HEADERS) -> Decoded:
        value = parse(body, headers, self.known.limits.depth_max)
        try:
            if isinstance(value, dict) and "event_action" not in value and isinstance(value.get("payload"), dict):
                return ignored(f"says nothing of an alert: the change {read_change(value)[:100]!a}", body)
            event = read_event(value)
        except InvalidEvent as error:
            raise BadBody(str(error)) from None
        if event.action == "acknowledge":
            return ignored("says nothing of an alert: event_action is acknowledge", body)
        return self.report(event, event.dedup_key or blake2b(body, digest_size=16).hexdigest(), body)

    def report(self, event: Event, dedup_key: str, body: bytes) -> Decoded:
        """What a trigger or resolve means under this key."""
        try:
            return Decoded([make(self.known, self._source, self._said(event, dedup_key))], [])
        except AlertRefused as refusal:
            return Decoded([], [Rejection(0, str(refusal), refusal.reason, excerpt(body))])

    def identity(self, dedup_key: str) -> Identity:
        """Of the alert that has this key. Raises AlertRefused."""
        return self.known.find(_encode({KEY: dedup_key}), b"").identity

    def _said(self, event: Event, dedup_key: str) -> Said:
        payload, resolved = event.payload, event.action == "resolve"
        summary = (text_of(payload.get("summary")) or "")[:SUMMARY_CHARS_MAX]
        labels = {name: text_of(payload.get(name)) or "" for name in _LABELS}
        labels["severity"] = (text_of(payload.get("severity")) or "").lower()
        annotations = {name: text for name in ("client", "client_url") if (text := text_of(event.whole.get(name)))}
        links = _links(event.whole)
        annotations |= {"summary": summary, "links": "\n".join(f"{text} {href}".strip() for href, text in links)}
        spread(payload.get("custom_details"), labels, annotations, self.known.limits.labels_max - _ROOM)
        labels["alertname"] = labels["class"] or labels.get("alertname", "") or summary
        return Said(
            labels=labels,
            resolved=resolved,
            key=dedup_key,
            annotations={name: text for name, text in annotations.items() if text},
            at=read_instant(text_of(payload.get("timestamp")) or ""),
            url=links[0][0] if links else annotations.get("client_url", ""),
        )


def spread(details: Any, labels: dict[str, str], annotations: dict[str, str], room: int) -> None:
    """Details of the sender's own: labels where they are short and there is room, else annotations. What is there
    already stays."""
    if isinstance(details, str):
        annotations.setdefault("details", details)
        return
    for name, text in fields(details, "details"):
        if room > 0 and fits_label(name, text):
            room -= name not in labels
            labels[name] = labels.get(name) or text
        elif name not in annotations:
            annotations[name] = text


def _links(whole: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Address and text of each."""
    found = whole.get("links")
    links = [one for one in found[:LINKS_MAX] if isinstance(one, dict)] if isinstance(found, list) else []
    return [(href, text_of(one.get("text")) or "") for one in links if (href := text_of(one.get("href")))]


def ignored(error: str, body: bytes) -> Decoded:
    """A body that was understood and says nothing of an alert."""
    return Decoded([], [], None, [Rejection(0, error, Reason.IGNORED, excerpt(body))])
