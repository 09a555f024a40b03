"""What every sender but Alertmanager's has in common: a body of JSON or a form, and one alert made of what it says.

Owns the reading of such bodies and the making of a report: whether its identity is the sender's key or its labels, that
it has an alertname and a severity, and which times go together. Knows no sender's words.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from imd.model.alert import AlertReport
from imd.sources.contract import (
    NOT_JSON,
    BadBody,
    Headers,
    check_nesting,
    check_text,
    instant,
    safe_url,
    whole_characters,
)
from imd.sources.labels import KnownLabels

KEY = "key"
SEVERITY = "warning"
"""What stands in for a severity that the sender does not say."""

NEVER_IDENTITY = frozenset({"severity", "priority"})
"""What may change of an alert that has no key of its own without making it another one."""

_FORM = "application/x-www-form-urlencoded"
_FIELDS_MAX = 1000
_BOM = b"\xef\xbb\xbf"

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder(order="sorted").encode


def parse(body: bytes, headers: Headers, depth_max: int) -> Any:
    """The body's JSON, or a form's fields as an object of texts. Raises BadBody."""
    body = body.removeprefix(_BOM)
    check_text(body)
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind == _FORM and body.lstrip()[:1] not in (b"{", b"["):  # curl -d calls JSON a form
        return _form(body)
    return parse_json(body, depth_max)


def parse_json(body: bytes, depth_max: int) -> Any:
    """Raises BadBody."""
    try:
        value = _decode(body)
    except NOT_JSON as error:
        try:
            value = _decode(whole_characters(body))
        except NOT_JSON:
            raise BadBody(f"not JSON: {error}") from None
    check_nesting(body, depth_max)
    return value


def _form(body: bytes) -> dict[str, str]:
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_FIELDS_MAX)
    except ValueError as error:
        raise BadBody(f"not a form: {error}") from None
    return dict(reversed(fields))  # the first of two of one name


class Said(msgspec.Struct, kw_only=True):
    """What a sender says of one alert. `key` "": its labels are its identity, or those of `identity` where given. `at`
    is when it said so, where it does not tell the start and the end by themselves."""

    labels: dict[str, str]
    resolved: bool
    key: str = ""
    identity: dict[str, str] | None = None
    annotations: dict[str, str] = {}
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    at: datetime | None = None
    url: str = ""


def make(known: KnownLabels, source: str, said: Said) -> AlertReport:
    """The report. What has no alertname has the source's name. Raises AlertRefused."""
    labels = {name: value for name, value in said.labels.items() if value}
    labels.setdefault("alertname", source)
    labels.setdefault("severity", SEVERITY)
    if said.key:
        identity = {KEY: said.key}
        labels[KEY] = said.key
    elif said.identity is not None:
        identity = said.identity
    else:
        identity = {name: value for name, value in labels.items() if name not in NEVER_IDENTITY}
    found = known.find(_encode(identity), _encode(said.annotations) if said.annotations else b"")
    whole = known.whole(_encode(labels))
    starts_at, ends_at, event_time = _times(said)
    return AlertReport(
        found.identity,
        said.resolved,
        starts_at,
        ends_at,
        found.annotations,
        safe_url(said.url),
        None if whole == found.identity.canonical else whole,
        event_time,
    )


def _times(said: Said) -> tuple[datetime | None, datetime | None, bool]:
    """Start, end, and whether the start is only when it was said. An end before the start says nothing."""
    starts_at, ends_at, at = instant(said.starts_at), instant(said.ends_at), instant(said.at)
    if not said.resolved:
        return (starts_at, None, False) if starts_at is not None else (at, None, at is not None)
    ends_at = ends_at or at
    if starts_at is not None and ends_at is not None and ends_at < starts_at:
        ends_at = None
    return starts_at, ends_at, False
