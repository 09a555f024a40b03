"""The array that Prometheus, amtool and friends post to Alertmanager's API v2.

Source: prometheus/alertmanager api/v2/openapi.yaml and api.go (0.34, read 2026-11); requests recorded from Prometheus
2.42 and amtool 0.25. Here the alert's own end decides: in the past it is a resolve, ahead it is a deadline.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import msgspec

from imd.model.alert import AlertReport
from imd.sources.contract import (
    NO_HEADERS,
    NOT_JSON,
    AlertRefused,
    BadBody,
    Decoded,
    Headers,
    Instant,
    Reason,
    check_depth,
    check_text,
    collect,
    encode_items,
    parts,
    whole_characters,
)
from imd.sources.labels import KnownLabels

RESOLVE_TIMEOUT = timedelta(minutes=5)
"""How long an alert without an end fires after it was last reported (Alertmanager's resolve_timeout)."""

_NONE = msgspec.Raw(b"")
_URI = re.compile(r"(?:/|[A-Za-z][A-Za-z0-9+.-]*:)[^\x00-\x1f\x7f]*")


class _Posted(msgspec.Struct, gc=False):
    labels: msgspec.Raw = _NONE
    annotations: msgspec.Raw = _NONE
    startsAt: Instant | None = None  # noqa: N815
    endsAt: Instant | None = None  # noqa: N815
    generatorURL: str | None = None  # noqa: N815


_decode_all = msgspec.json.Decoder(list[_Posted] | None).decode
_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_one = msgspec.json.Decoder(_Posted).decode


class AlertmanagerApi:
    """Decoder of `[{labels, annotations?, startsAt?, endsAt?, generatorURL?}]`; null counts as []."""

    by_api = True

    def __init__(self, known: KnownLabels) -> None:
        self.known = known

    def decode(self, body: bytes, now: datetime, headers: Headers = NO_HEADERS) -> Decoded:
        check_text(body)
        try:
            posted = _decode_all(body) or []
            decoded = collect(posted, lambda alert: self._report(alert, now), lambda alert: alert.labels)
        except NOT_JSON:
            decoded = self._one_by_one(whole_characters(body), now)
        self.check(body, decoded)
        return decoded

    def split(self, body: bytes, alerts_max: int) -> list[bytes]:
        check_text(body)
        try:
            return [encode_items(part) for part in parts(_decode_items(whole_characters(body)), alerts_max)]
        except NOT_JSON as error:
            raise BadBody(f"parsing alerts body failed: {error}") from None

    def check(self, body: bytes, decoded: Decoded) -> None:
        check_depth(body, decoded, 1, self.known.limits.depth_max)

    def _one_by_one(self, body: bytes, now: datetime) -> Decoded:
        """Some alert has the wrong shape: each is decoded alone, so that the others are kept."""
        try:
            items = _decode_items(body)
        except NOT_JSON as error:
            raise BadBody(f"parsing alerts body failed: {error}") from None
        return collect(items, lambda item: self._report(_decode_one(item), now), lambda item: item)

    def _report(self, alert: _Posted, now: datetime) -> AlertReport:
        known = self.known.find(bytes(alert.labels), bytes(alert.annotations))
        starts_at, ends_at = self.known.instants(alert.startsAt, alert.endsAt)
        if starts_at is not None and starts_at > (ends_at or now + RESOLVE_TIMEOUT):
            raise AlertRefused(Reason.TIMES, "start time must be before end time")
        said = alert.generatorURL
        url = self.known.url(said)
        if said and not url and not _URI.fullmatch(said):
            raise AlertRefused(Reason.URL, f'generatorURL in body must be of type uri: "{said[:200]}"')
        resolved = ends_at is not None and ends_at <= now
        return AlertReport(known.identity, resolved, starts_at, ends_at, known.annotations, url)
