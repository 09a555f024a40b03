"""Alerts: what a sender reported, and what imd keeps of it.

Owns identity (which reports speak of the same alert) and the resident record of an alert's episode.
Knows nothing of rules, incidents' decisions or disks.

Labels and annotations are kept as canonical JSON bytes, not as dicts: a resident alert then costs a fifth of the
memory, and a repeat whose raw text was seen before is never parsed at all (see `sources`).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b

import msgspec

_encode_sorted = msgspec.json.Encoder(order="sorted").encode
_decode_labels = msgspec.json.Decoder(dict[str, str]).decode

NO_ANNOTATIONS = b"{}"


class Identity(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Which alert this is: the sender's label set, empty values dropped, plus the source's own labels.

    `key` is blake2b-128 of `canonical` and is what the engine and the store compare. `canonical` is the label set as
    JSON with sorted names. The fingerprint shown outside is Alertmanager's and is worked out when somebody looks.
    """

    key: bytes
    canonical: bytes

    def labels(self) -> dict[str, str]:
        """The label set, decoded anew at each call (about 1 us)."""
        return _decode_labels(self.canonical)


def identify(labels: dict[str, str], said: bytes = b"") -> Identity:
    """The identity of a label set. The caller has dropped empty values and added the source's labels. `said`: the text
    that they came in; it is kept where it is canonical, the very same object, so that labels are in memory once."""
    canonical = _encode_sorted(labels)
    if canonical == said:
        canonical = said
    return Identity(blake2b(canonical, digest_size=16).digest(), canonical)


def fingerprint(labels: dict[str, str]) -> str:
    """Alertmanager's fingerprint: FNV-1a 64 over name 0xFF value 0xFF in order of names; 16 hex digits.

    Source: prometheus/common model.LabelSet.Fingerprint; vectors in tests. About 10 us: show it, do not key by it.
    """
    digest = 0xCBF29CE484222325
    for byte in b"".join(name.encode() + b"\xff" + labels[name].encode() + b"\xff" for name in sorted(labels)):
        digest = ((digest ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{digest:016x}"


def decode_enriched(enriched: bytes | None) -> dict[str, str]:
    """What enrichment added or changed; an empty value takes the sender's label of that name away."""
    return {} if enriched is None else _decode_labels(enriched)


def overlay(labels: dict[str, str], enriched: Mapping[str, str]) -> dict[str, str]:
    """The labels that every stage sees, made of the sender's in place."""
    for name, value in enriched.items():
        if value:
            labels[name] = value
        else:
            labels.pop(name, None)
    return labels


class AlertReport(msgspec.Struct, frozen=True, gc=False):
    """One alert as one request reported it. Instants are aware UTC; None means that the sender did not say.

    `annotations` is a JSON object of strings as canonical or raw bytes. `labels` is None where the identity holds all
    labels; senders with a key of their own (dedup_key, alias) put the newest full label set here, as JSON.
    `resolved` is the sender's claim: status for webhooks, an end in the past for the Alertmanager API.
    `event_time`: starts_at is when the sender spoke, not when it began; what fires already began before.
    """

    identity: Identity
    resolved: bool
    starts_at: datetime | None
    ends_at: datetime | None
    annotations: bytes = NO_ANNOTATIONS
    generator_url: str = ""
    labels: bytes | None = None
    event_time: bool = False


class AlertState(enum.IntEnum):
    """FIRING: some span fires. RESOLVED: the sender said so. EXPIRED: nobody spoke of it any more."""

    FIRING = 0
    RESOLVED = 1
    EXPIRED = 2


_FIRING = AlertState.FIRING  # a member of an enumeration costs Python 3.11 some 0.1 us by its name, each time


class Span(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One stretch of firing, as one sender numbers it by its start.

    `until` is the deadline that an API sender gave (None: until told otherwise); `ended_at` is set by a resolve only.
    `unsaid`: nobody said when it began; it is when it was heard of.
    """

    starts_at: datetime
    until: datetime | None
    ended_at: datetime | None
    unsaid: bool = False


class Alert(msgspec.Struct, gc=False, array_like=True):
    """The resident record of one episode of one alert. Mutable; only `core.engine` and its stages write to it.

    `id` counts episodes in the store and never comes again. `incident` is "" while the alert is in none.
    `joined_because` is one of JOINED_BECAUSE, the reason of its membership. `changed` is the incident's change counter
    at this alert's last change of state, so that an update can say only what is new. `related` says in words to what it
    was found related, where that is why it joined. `enriched` is what enrichment added when the episode began, as
    canonical JSON, never part of identity; equal ones are one object. `dropped_by` names the enrichment entry whose
    keep or drop stopped the alert. `suppressed_by` are the causes of the last verdict while it fired (core.suppress);
    `aside`: it fires, suppressed, and holds no incident open.

    `counted_at` is set while the alert waits for its rule's open_when, and is the instant by which it counts; `waiting`
    says what for, `seen_off` how that ended where it joined nothing, or who closed its incident while it fired.
    `changes` are the latest instants at which it began or ended, kept from its first end on and over episodes;
    `flapping_since` is set while it flaps, which it does not while it is suppressed.

    `placed` are all labels by which it was put where it is (rule, key, entities), as JSON, once its sender has changed
    those outside its identity; None while they are what they were. `tied_to` is the id of the alert by which it came
    into its incident, where that has `relate`; 0 of what came in by none.
    """

    id: int
    identity: Identity
    source: str
    by_api: bool
    state: AlertState
    starts_at: datetime
    received_at: datetime
    seen_at: datetime
    spans: tuple[Span, ...]
    count: int = 1
    annotations: bytes = NO_ANNOTATIONS
    generator_url: str = ""
    other_labels: bytes | None = None
    ended_at: datetime | None = None
    incident: str = ""
    joined_at: datetime | None = None
    joined_because: str = ""
    changed: int = 0
    rule: str = ""
    related: str = ""
    enriched: bytes | None = None
    dropped_by: str = ""
    suppressed_by: tuple[str, ...] = ()
    aside: bool = False
    counted_at: datetime | None = None
    waiting: str = ""
    seen_off: str = ""
    changes: tuple[datetime, ...] = ()
    flapping_since: datetime | None = None
    placed: bytes | None = None
    tied_to: int = 0

    @property
    def firing(self) -> bool:
        return self.state is _FIRING

    def labels(self) -> dict[str, str]:
        """The sender's labels, decoded anew at each call."""
        return _decode_labels(self.other_labels or self.identity.canonical)

    def full_labels(self) -> dict[str, str]:
        """The labels that every stage sees: the sender's, and over them what enrichment made of them."""
        labels = self.labels()
        return labels if self.enriched is None else overlay(labels, decode_enriched(self.enriched))

    def placed_labels(self) -> dict[str, str]:
        """The labels by which it was put where it is, whatever its sender says by now."""
        return self.full_labels() if self.placed is None else _decode_labels(self.placed)

    def annotation_map(self) -> dict[str, str]:
        return _decode_labels(self.annotations)

    def listed_until(self) -> datetime | None:
        """The latest end that the sender gave; None where it gave none (webhooks, whose status alone decides)."""
        ends = [span.until for span in self.spans if span.ended_at is None]
        return None if not ends or None in ends else max(end for end in ends if end is not None)


JOINED_BECAUSE = {
    "opened": "opened this incident under rule {rule} and key {key}",
    "joined": "matched rule {rule} and had the key {key} while the window was open",
    "reopened": "came back within reopen_within under rule {rule} and key {key}",
    "returned": "opened this incident, ended, and fires again while the incident is open",
    "related": "{related}",
    "split": "was taken out of another incident by hand",
    "handed": "came with an incident that a person merged into this one",
    "merged": "came with an incident that was merged into this one",
    "moved": "came over from another incident, with what proved to be nearer to a late alert here",
    "revived": "the same episode fires again",
    "suppressed": "came suppressed, under rule {rule} and the key {key}, while the incident was open",
    "released": "was suppressed and goes on, under rule {rule} and the key {key}",
    "counted": "counted towards {waited}, which opened this incident under rule {rule} and key {key}",
    "awaited": "waited in vain for {waited}, which opened this incident under rule {rule} and key {key}",
}
