"""Label sets and annotations: checked once, then known by their raw text.

A sender repeats its alerts each minute, byte for byte. So the text of a label set, as sent, leads to the identity that
was worked out at its first sight, and the text of the annotations is compared with the last one that passed. A repeat
is then never parsed (0.3 us instead of 5). The cache is an accelerator only: identity is that of the *sorted* labels,
and a forgotten text is simply parsed again.

A text that is not the canonical one is known by its hash alone, so that each label set is in memory once: senders in Go
sort their labels, and only what others send is hashed again each time (0.8 us).

What many alerts share, URLs, instants and annotations, is kept as one object for all of them, and looked at once.

Two generations bound it: what is used moves to the young one; when that is full it becomes the old one, and the old
one's entries are let go two at a time, so that no request pays for freeing a hundred thousand.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b
from typing import cast

import msgspec

from imd.model.alert import NO_ANNOTATIONS, Identity, identify
from imd.sources.contract import DEFAULT_LIMITS, NOT_JSON, AlertRefused, Limits, Reason, instant, safe_url

ENTRIES_MAX = 200_000
"""Default bound of one source's cache: twice as many alerts as most installations have open."""

URLS_MAX = 10_000
"""URLs that are shared; as many rules have alerts."""

WORDS_MAX, WORDS_BYTES_MAX = 1_000, 2_048
"""Annotations that are shared, of so many bytes: those of a rule that names nothing in them are the same for all of its
alerts. Where each says something of its own, to look for them costs 0.2 us a new alert."""

_decode_texts = msgspec.json.Decoder(dict[str, str | None]).decode
_encode = msgspec.json.Encoder().encode
_ABSENT = (b"", b"null")
_ESCAPE, _NUL = b"\\", b"\\u0000"  # the one way in which JSON can say it
_CUT = "…"


class Known(msgspec.Struct, gc=False):
    """A label set that passed: whose it is, and the annotations that came with it last, as sent and as kept."""

    identity: Identity
    annotations_sent: bytes
    annotations: bytes


class KnownLabels:
    """One source's cache, with the checks for what is not in it."""

    def __init__(
        self, source_labels: Mapping[str, str], limits: Limits = DEFAULT_LIMITS, entries_max: int = ENTRIES_MAX
    ) -> None:
        self.limits = limits
        self._source_labels = dict(source_labels)
        self._generation_max = max(1, entries_max // 2)
        self._young: dict[bytes, Known] = {}
        self._old: dict[bytes, Known] = {}
        self._leaving: dict[bytes, Known] = {}
        self._hashed = False  # some text is known by its hash
        self._words: dict[bytes, tuple[bytes, bytes]] = {}
        self._urls: dict[str, str] = {}
        self._instants: tuple[datetime | None, datetime | None] = (None, None)
        self._annotations: tuple[bytes, bytes] = (b"", NO_ANNOTATIONS)

    def __len__(self) -> int:
        return len(self._young) + len(self._old) + len(self._leaving)

    def find(self, labels: bytes, annotations: bytes) -> Known:
        """What is known of an alert by the raw JSON of its labels and annotations; b"" stands for absent.

        Read the answer before the next call: it changes with the annotations. Raises AlertRefused.
        """
        known = self._young.get(labels)
        if known is None:
            known = self._look_up(labels)
        if known.annotations_sent != annotations:
            last = self._annotations
            if last[0] != annotations:  # else another alert of its rule has just said the same
                last = self._annotations = self._shared(annotations)
            known.annotations_sent, known.annotations = last
        return known

    def whole(self, labels: bytes) -> bytes:
        """All labels of an alert whose identity is another, with the source's own, checked, as canonical JSON. Raises
        AlertRefused."""
        known = self._young.get(labels) or self._look_up(labels)
        return known.identity.canonical

    def url(self, url: str | None) -> str:
        """The same URL, as one object for all; "" for what no page may carry as a link."""
        shared = self._urls.get(url) if url else ""
        if shared is None:
            shared = safe_url(url)
            if shared:
                if len(self._urls) >= URLS_MAX:
                    self._urls.clear()
                self._urls[shared] = shared
        return shared

    def instants(self, starts_at: datetime | None, ends_at: datetime | None) -> tuple[datetime | None, datetime | None]:
        """The same instants as imd keeps them (`contract.instant`); those of the alert before where they are equal, as
        they mostly are within a body."""
        last = self._instants
        if last[0] != starts_at or last[1] != ends_at:
            starts_at, ends_at = instant(starts_at), instant(ends_at)
            last = last[0] if last[0] == starts_at else starts_at, last[1] if last[1] == ends_at else ends_at
            self._instants = last
        return last

    def _look_up(self, labels: bytes) -> Known:
        """Not known by its text as one of the young: one of the old, one known by its hash, or a new one."""
        known, labels_hash = self._old.get(labels), b""
        if known is None and self._hashed:
            labels_hash = _hash(labels)
            known = self._young.get(labels_hash)
            if known is not None:
                return known
            known = self._old.get(labels_hash)
            if known is not None:
                labels = labels_hash
        if known is None:
            known = Known(self._identity(labels), b"", NO_ANNOTATIONS)
            if known.identity.canonical is not labels:
                labels, self._hashed = labels_hash or _hash(labels), True
        self._add(labels, known)
        return known

    def _add(self, labels: bytes, known: Known) -> None:
        if len(self._young) >= self._generation_max:
            self._young, self._old, self._leaving = {}, self._young, self._old
        self._young[labels] = known
        if self._leaving:
            self._leaving.popitem()
            if self._leaving:
                self._leaving.popitem()

    def _identity(self, raw: bytes) -> Identity:
        if raw in _ABSENT:
            raise AlertRefused(Reason.REQUIRED, "labels in body is required")
        limits = self.limits
        if len(raw) > limits.label_set_bytes_max:
            raise AlertRefused(Reason.LIMIT, f"label set is larger than {limits.label_set_bytes_max} bytes")
        texts = _texts(raw, "label")
        labels = cast(dict[str, str], texts) if all(texts.values()) else {n: v for n, v in texts.items() if v}
        if not labels:
            raise AlertRefused(Reason.LABELS, "at least one label pair required")
        if len(labels) > limits.labels_max:
            raise AlertRefused(Reason.LIMIT, f"{len(labels)} labels, more than {limits.labels_max}")
        if len(raw) > limits.label_value_bytes_max:
            _check_sizes(labels, limits.label_value_bytes_max)
        if "" in labels or _holds_nul(raw):
            _check_names(labels)
        return identify(labels | self._source_labels if self._source_labels else labels, raw)

    def _shared(self, raw: bytes) -> tuple[bytes, bytes]:
        """Annotations as sent and as kept, the same objects for all alerts of which they are said."""
        words = self._words.get(raw)
        if words is None:
            words = raw, self._kept(raw)
            if len(raw) <= WORDS_BYTES_MAX:
                if len(self._words) >= WORDS_MAX:
                    self._words.clear()
                self._words[raw] = words
        return words

    def _kept(self, raw: bytes) -> bytes:
        """The annotations as they are kept: the raw text itself unless something had to be cut or mended."""
        if raw in _ABSENT or raw == NO_ANNOTATIONS:
            return NO_ANNOTATIONS
        limits = self.limits
        texts = _texts(raw, "annotation")
        fits = len(raw) <= limits.annotation_bytes_max and len(texts) <= limits.annotations_max
        if fits and (all(texts.values()) or None not in texts.values()) and not _holds_nul(raw):
            return raw
        kept = {
            _cut(name, limits.annotation_bytes_max): _cut(value or "", limits.annotation_bytes_max)
            for name, value in list(texts.items())[: limits.annotations_max]
        }
        if len(texts) > limits.annotations_max:
            kept[_CUT] = f"{len(texts) - limits.annotations_max} more annotations were cut"
        return _encode(kept)


def _holds_nul(raw: bytes) -> bool:
    """Whether it may. A search for one byte takes a tenth of one for six, and often there is no escape at all."""
    return _ESCAPE in raw and _NUL in raw


def _hash(labels: bytes) -> bytes:
    """What stands for a text: 120 bits, as much as Python keeps in 48 bytes."""
    return blake2b(labels, digest_size=15).digest()


def _texts(raw: bytes, what: str) -> dict[str, str | None]:
    try:
        return _decode_texts(raw)
    except msgspec.ValidationError:
        raise AlertRefused(Reason.SCHEMA, _not_text(raw, what)) from None
    except NOT_JSON:
        raise AlertRefused(Reason.SCHEMA, f"{what}s hold text that is not valid JSON") from None


def _not_text(raw: bytes, what: str) -> str:
    """Names the culprit; msgspec shows no more than `[...]` for a dict's key."""
    try:
        found = msgspec.json.decode(raw)
    except NOT_JSON:
        return f"{what}s hold text that is not valid JSON"
    if not isinstance(found, dict):
        return f"{what}s must be an object of strings"
    culprit = next((name for name, value in found.items() if not isinstance(value, str | None)), "")
    return f'{what} "{culprit[:100]}" must be a string'


def _check_sizes(labels: Mapping[str, str], bytes_max: int) -> None:
    for name, value in labels.items():
        if len(value.encode()) > bytes_max:
            raise AlertRefused(Reason.LIMIT, f'label "{name[:100]}" is longer than {bytes_max} bytes')
        if len(name.encode()) > bytes_max:
            raise AlertRefused(Reason.LIMIT, f'label name "{name[:100]}{_CUT}" is longer than {bytes_max} bytes')


def _check_names(labels: Mapping[str, str]) -> None:
    for name, value in labels.items():
        if not name or "\0" in name:
            raise AlertRefused(Reason.LABELS, f"invalid label set: invalid name {name[:100]!a}")
        if "\0" in value:
            raise AlertRefused(Reason.LABELS, f'invalid label set: label "{name[:100]}" holds a NUL')


def _cut(text: str, bytes_max: int) -> str:
    """At most `bytes_max` bytes of UTF-8, the mark of the cut included. A NUL, which no store likes, becomes U+FFFD."""
    text = text.replace("\0", "\ufffd")
    encoded = text.encode()
    if len(encoded) <= bytes_max:
        return text
    return encoded[: bytes_max - len(_CUT.encode())].decode("utf-8", "ignore") + _CUT
