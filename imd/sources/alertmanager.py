"""Alertmanager's webhook message, version "4".

Source: prometheus/alertmanager notify/webhook and template (0.34, read 2026-11); requests recorded from 0.25. Each
alert's own status decides; its end means something only in a resolve. A message says nothing of alerts that it leaves
out: neither a short list nor `truncatedAlerts` ever resolves one.
"""

from __future__ import annotations

from datetime import datetime

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

_NONE = msgspec.Raw(b"")
_SHALLOW = 2  # the message itself and its list of alerts


class _Notified(msgspec.Struct, gc=False):
    status: str = ""
    labels: msgspec.Raw = _NONE
    annotations: msgspec.Raw = _NONE
    startsAt: Instant | None = None  # noqa: N815
    endsAt: Instant | None = None  # noqa: N815
    generatorURL: str | None = None  # noqa: N815


class _Message(msgspec.Struct, gc=False):
    alerts: list[_Notified] | None
    status: str = ""


class _LooseMessage(msgspec.Struct, gc=False):
    alerts: list[msgspec.Raw] | None
    status: str = ""


_decode_message = msgspec.json.Decoder(_Message).decode
_decode_loosely = msgspec.json.Decoder(_LooseMessage).decode
_decode_one = msgspec.json.Decoder(_Notified).decode


class AlertmanagerWebhook:
    """Decoder of `{version: "4", status, alerts: [{status, labels, annotations, startsAt, endsAt, …}], …}`."""

    by_api = False

    def __init__(self, known: KnownLabels) -> None:
        self.known = known

    def decode(self, body: bytes, now: datetime, headers: Headers = NO_HEADERS) -> Decoded:
        check_text(body)
        try:
            message = _decode_message(body)
            status = message.status
            decoded = collect(
                message.alerts or [], lambda alert: self._report(alert, status), lambda alert: alert.labels
            )
        except NOT_JSON:
            decoded = self._one_by_one(whole_characters(body))
        self.check(body, decoded)
        return decoded

    def split(self, body: bytes, alerts_max: int) -> list[bytes]:
        check_text(body)
        try:
            message = _decode_loosely(whole_characters(body))
        except NOT_JSON as error:
            raise BadBody(f"no Alertmanager webhook message: {error}") from None
        return [encode_items(_LooseMessage(part, message.status)) for part in parts(message.alerts or [], alerts_max)]

    def check(self, body: bytes, decoded: Decoded) -> None:
        check_depth(body, decoded, _SHALLOW, self.known.limits.depth_max)

    def _one_by_one(self, body: bytes) -> Decoded:
        """Some alert has the wrong shape: each is decoded alone, so that the others are kept."""
        try:
            message = _decode_loosely(body)
        except NOT_JSON as error:
            raise BadBody(f"no Alertmanager webhook message: {error}") from None
        status = message.status
        return collect(message.alerts or [], lambda item: self._report(_decode_one(item), status), lambda item: item)

    def _report(self, alert: _Notified, message_status: str) -> AlertReport:
        status = alert.status or message_status
        if status not in ("firing", "resolved"):
            raise AlertRefused(Reason.STATUS, f'status must be "firing" or "resolved", not {status[:40]!a}')
        known = self.known.find(bytes(alert.labels), bytes(alert.annotations))
        resolved = status == "resolved"
        starts_at, ends_at = self.known.instants(alert.startsAt, alert.endsAt if resolved else None)
        url = self.known.url(alert.generatorURL)
        return AlertReport(known.identity, resolved, starts_at, ends_at, known.annotations, url)
