"""How records look in a row: msgpack for what only imd reads, integers for what SQL compares.

Owns the codecs. Instants are microseconds since 1970 in columns (they sort) and msgpack timestamps in records. Every
record begins with its CRC-32, for SQLite's own check does not look inside a blob: a flipped bit is refused, not read.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar
from zlib import crc32

import msgspec

from imd.model.alert import Alert, Span
from imd.model.digest import Digests
from imd.model.effect import Delivery
from imd.model.heartbeat import Beat
from imd.model.incident import Incident, TimelineEntry
from imd.model.presence import Presence
from imd.model.quiet import Silence
from imd.model.schedule import Override

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_CRC_BYTES = 4

T = TypeVar("T")

_encode = msgspec.msgpack.Encoder().encode


class BadRecord(ValueError):
    """A record's bytes are not what was written."""


def pack(record: object) -> bytes:
    """The record's bytes, CRC first. About 1.5 us for an alert with ten labels."""
    body = _encode(record)
    return crc32(body).to_bytes(_CRC_BYTES, "big") + body


class Unpacker(Generic[T]):
    """Decodes records of one type; raises BadRecord."""

    def __init__(self, kind: type[T]) -> None:
        self._decode = msgspec.msgpack.Decoder(kind).decode

    def __call__(self, stored: bytes) -> T:
        body = stored[_CRC_BYTES:]
        if crc32(body).to_bytes(_CRC_BYTES, "big") != stored[:_CRC_BYTES]:
            raise BadRecord("checksum mismatch")
        try:
            return self._decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadRecord(str(error)) from None


class Seen(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The narrow half of what a repeat moves: some 40 bytes, rewritten at each flush."""

    by_api: bool
    starts_at: datetime
    seen_at: datetime
    spans: tuple[Span, ...]
    count: int


class Words(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The wide half, mostly the same from repeat to repeat. SQLite writes no page for an equal value of equal size."""

    source: str
    annotations: bytes
    generator_url: str
    other_labels: bytes | None


unpack_alert = Unpacker(Alert)
unpack_seen = Unpacker(Seen)
unpack_words = Unpacker(Words)
unpack_incident = Unpacker(Incident)
unpack_entry = Unpacker(TimelineEntry)
unpack_delivery = Unpacker(Delivery)
unpack_silence = Unpacker(Silence)
unpack_override = Unpacker(Override)
unpack_digests = Unpacker(Digests)
unpack_beat = Unpacker(Beat)
unpack_presence = Unpacker(Presence)


def whole_alert(stored: bytes, seen: bytes | None, words: bytes | None) -> Alert:
    """The alert, with what repeats moved since it was last saved as a whole."""
    alert = unpack_alert(stored)
    if seen is not None:
        moved = unpack_seen(seen)
        alert.by_api, alert.starts_at, alert.seen_at = moved.by_api, moved.starts_at, moved.seen_at
        alert.spans, alert.count = moved.spans, moved.count
    if words is not None:
        said = unpack_words(words)
        alert.source, alert.annotations = said.source, said.annotations
        alert.generator_url, alert.other_labels = said.generator_url, said.other_labels
    return alert


def micros(instant: datetime) -> int:
    """Microseconds since 1970 of an aware instant, exact over the whole range of datetime."""
    return (instant - EPOCH) // _MICROSECOND


def micros_or_none(instant: datetime | None) -> int | None:
    return None if instant is None else micros(instant)


def instant(stored: int) -> datetime:
    return EPOCH + timedelta(microseconds=stored)


def instant_or_none(stored: int | None) -> datetime | None:
    return None if stored is None else instant(stored)
