"""CloudEvents 1.0 over HTTP: structured, binary, and batches of structured ones.

Source: the CNCF's spec, HTTP protocol binding and HTTP webhooks, 1.0.2 (as in the project's notes; not read anew). Only
the envelope is standard: what an event means for an alert is its producer's. The built-in map reads the words that
alerts commonly use; a source's own `map`, which sees the envelope with its `data`, goes before it.

An event is asked for by its attributes: `id`, `source`, `type`, `subject`, `time`, extensions, and `data`.
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Any

from imd.model.bodymap import BodyMap
from imd.sources.contract import NO_HEADERS, BadBody, Decoded, Headers, Reason, Rejection
from imd.sources.labels import KnownLabels
from imd.sources.made import parse, parse_json
from imd.sources.mapped import Mapped
from imd.sources.shapes import any_of, is_, moment, path, there, value, values

BATCH = "application/cloudevents-batch"
STRUCTURED = "application/cloudevents"
_PREFIX = "ce-"
_REQUIRED = ("id", "source", "type", "specversion")
_ENDED = "resolved|recovered|recovery|closed|cleared|ended|ok|up|healthy|normal"
_FIRING = "firing|triggered|alert|alarm|problem|incident|failed|failure|error|down|unhealthy|critical|warning"

MAPS = (
    BodyMap(
        when=there("specversion"),
        each=path("$"),
        resolved=any_of(
            is_("data.status", _ENDED), is_("data.state", _ENDED), is_("type", rf"(?:.*[._-])?(?:{_ENDED})")
        ),
        firing=any_of(
            is_("data.status", f"{_FIRING}|open|opened"),
            is_("data.state", f"{_FIRING}|open|opened"),
            is_("type", rf"(?:.*[._-])?(?:{_FIRING})"),
        ),
        key=value("{data.key}", "{data.alertId}", "{source} {subject}", "{source}"),
        labels={
            "alertname": value("{data.alertname}", "{data.name}", "{data.title}", "{subject}", "{type}"),
            "severity": value("{data.severity}", "{severity}"),
            **values(source="{source}", subject="{subject}"),
        },
        spread_labels=(path("data.labels"),),
        annotations={
            "summary": value("{data.summary}", "{data.message}", "{data.title}", "{data.description}"),
            **values(event_type="{type}", event_id="{id}"),
        },
        spread_annotations=(path("data.annotations"),),
        at=moment("{time}"),
        url=value("{data.url}", "{data.link}"),
    ),
)


class CloudEvents:
    """Decoder of all three modes; `maps` go before the built-in one."""

    by_api = False

    def __init__(self, known: KnownLabels, source: str, maps: tuple[BodyMap, ...]) -> None:
        self.known = known
        self._mapped = Mapped(known, source, maps + MAPS)

    def decode(self, body: bytes, now: datetime, headers: Headers = NO_HEADERS) -> Decoded:
        depth_max = self.known.limits.depth_max
        lower = {name.lower(): text for name, text in headers.items()}
        kind = lower.get("content-type", "").partition(";")[0].strip().lower()
        binary = f"{_PREFIX}specversion" in lower and not kind.startswith(STRUCTURED)
        found = _binary(body, lower, kind, depth_max) if binary else parse(body, headers, depth_max)
        events = found if isinstance(found, list) else [found]
        for event in events:
            _check(event)
        return self._each(events, headers)

    def _each(self, events: list[Any], headers: Headers) -> Decoded:
        """Each by the first map that takes it; positions are those in the batch."""
        whole = Decoded([], [], [])
        assert whole.positions is not None
        for index, event in enumerate(events):
            try:
                part = self._mapped.take(event, headers)
            except BadBody as error:  # a map of the source's own leads nowhere
                if len(events) == 1:
                    raise
                whole.rejected.append(Rejection(index, str(error), Reason.SCHEMA))
                continue
            whole.alerts.extend(part.alerts)
            whole.positions.extend([index] * len(part.alerts))
            for told, more in ((whole.rejected, part.rejected), (whole.ignored, part.ignored)):
                told.extend(Rejection(index, one.error, one.reason, one.excerpt) for one in more)
        return whole


def _check(event: Any) -> None:
    """Raises BadBody: a batch with one that is none is none."""
    if not isinstance(event, dict):
        raise BadBody("a CloudEvent must be an object")
    missing = [name for name in _REQUIRED if not isinstance(event.get(name), str) or not event[name]]
    if missing:
        raise BadBody(f"a CloudEvent without {', '.join(missing)}")
    if "data" not in event and isinstance(event.get("data_base64"), str):
        try:
            event["data"] = base64.b64decode(event["data_base64"], validate=True).decode("utf-8", "replace")
        except (binascii.Error, ValueError):
            raise BadBody("data_base64 is no base64") from None


def _binary(body: bytes, headers: dict[str, str], kind: str, depth_max: int) -> dict[str, Any]:
    """Attributes are headers, the body is the data."""
    event: dict[str, Any] = {
        name.removeprefix(_PREFIX): text.encode("utf-8", "replace").decode()
        for name, text in headers.items()
        if name.startswith(_PREFIX) and name != f"{_PREFIX}data"
    }
    if kind.endswith("json"):
        event["data"] = parse_json(body, depth_max)
    else:
        event["data"] = body.decode("utf-8", "replace")
    return event
