"""One transaction's worth of effects, encoded on the event loop's side.

Owns what each effect means in rows, whatever the back end: `add` encodes at once, for alerts and incidents are the
engine's own records and go on changing. Back ends read the row lists and know no effects. Within a batch the last
word wins, so every list may be written in one go, in the order in which the attributes stand here.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias

import msgspec

from imd.model.alert import Alert
from imd.model.effect import (
    AppendTimeline,
    CancelPages,
    Counted,
    Deliver,
    Delivery,
    Effect,
    ForgetAlert,
    ForgetBeat,
    ForgetIncident,
    Journal,
    Refused,
    SaveAlert,
    SaveBeat,
    SaveConversation,
    SaveDigests,
    SaveIncident,
    SaveOverride,
    SavePresence,
    SaveSeen,
    SaveSilence,
    SaveTurn,
    SettleDelivery,
)
from imd.model.heartbeat import By
from imd.model.incident import Incident
from imd.model.policy import PageKind
from imd.store.record import EPOCH, micros, micros_or_none, pack

EXCERPT_CHARS_MAX = 512
ERROR_CHARS_MAX = 2048

AlertTuple: TypeAlias = tuple[int, int, str, bytes]
SeenTuple: TypeAlias = tuple[int, bytes]
SilenceTuple: TypeAlias = tuple[str, int, bytes]
OverrideTuple: TypeAlias = tuple[str, int, bytes]
TurnTuple: TypeAlias = tuple[str, int]
IncidentTuple: TypeAlias = tuple[int, str, str, str, str, int, int | None, bytes]
EntryTuple: TypeAlias = tuple[str, int, bytes]
CancelTuple: TypeAlias = tuple[str, str | None, str]
DeliveryTuple: TypeAlias = tuple[str, str, str, str, int, bool, bytes]
RetryTuple: TypeAlias = tuple[int, int, str, bool, str]
SettleTuple: TypeAlias = tuple[str, int, str, int, str]
ConversationTuple: TypeAlias = tuple[str, str, bytes]
BeatTuple: TypeAlias = tuple[str, str, bytes]
JournalTuple: TypeAlias = tuple[int, bytes]
RejectTuple: TypeAlias = tuple[int, str, int, str, str]


class Batch:
    """Collects one transaction. Not thread-safe; untouched once it was handed to `Store.commit`.

    Row shapes, instants in microseconds:
      alerts     id -> (id, state, incident, record); written, they count as held by the engine
      seen, words  id -> (id, record): newer than the alert's own record
      dropped    ids whose rows go; forgotten: ids whose rows stay and are no longer held
      incidents  id -> (number, id, state, priority, rule, opened_at, over_at, record)
      past       ids of incidents that are no longer held
      silences, overrides  id -> (id, ends_at, record)
      turns      step -> (step, next)
      digests    receiver -> (receiver, record)
      timeline   (incident, seq, record)
      cancelled  (incident, receiver or None for all, kind), for deliveries of earlier batches
      outgoing   id -> (id, incident, receiver, kind, created_at, cancelled, record)
      retries    (attempt, next_attempt_at, error, ambiguous, id)
      settled    (state, attempts, error, settled_at, id)
      conversations  (incident, receiver) -> (incident, receiver, conversation)
      beats      (name, by) -> (name, by, record); None where the row goes
      journal, audit  (at, line); rejections: (at, source, index, error, excerpt)
      presence   the one record of it
    `after` lists deliveries, cancellations and incidents that the engine let go of, in its order, for the outbox once
    the commit is durable.
    """

    __slots__ = (
        "_last_at",
        "_last_micros",
        "after",
        "alerts",
        "alive_at",
        "audit",
        "beats",
        "cancelled",
        "conversations",
        "digests",
        "dropped",
        "forgotten",
        "incidents",
        "journal",
        "outgoing",
        "overrides",
        "past",
        "presence",
        "rejections",
        "retries",
        "seen",
        "settled",
        "silences",
        "timeline",
        "turns",
        "words",
    )

    def __init__(self) -> None:
        self.alerts: dict[int, AlertTuple] = {}
        self.seen: dict[int, SeenTuple] = {}
        self.words: dict[int, SeenTuple] = {}
        self.dropped: set[int] = set()
        self.forgotten: set[int] = set()
        self.incidents: dict[str, IncidentTuple] = {}
        self.past: set[str] = set()
        self.silences: dict[str, SilenceTuple] = {}
        self.overrides: dict[str, OverrideTuple] = {}
        self.turns: dict[str, TurnTuple] = {}
        self.digests: dict[str, tuple[str, bytes]] = {}
        self.timeline: list[EntryTuple] = []
        self.cancelled: list[CancelTuple] = []
        self.outgoing: dict[str, DeliveryTuple] = {}
        self.retries: list[RetryTuple] = []
        self.settled: list[SettleTuple] = []
        self.conversations: dict[tuple[str, str], ConversationTuple] = {}
        self.beats: dict[tuple[str, str], BeatTuple | None] = {}
        self.presence: bytes | None = None
        self.journal: list[JournalTuple] = []
        self.audit: list[JournalTuple] = []
        self.rejections: list[RejectTuple] = []
        self.alive_at: int | None = None
        self.after: list[Delivery | CancelPages | ForgetIncident] = []
        self._last_at, self._last_micros = EPOCH, 0

    def add(self, effect: Effect, now: datetime) -> None:
        """Encode one effect. Refused and Counted leave nothing on disk; `now` is when the step happened."""
        _ADD[type(effect)](self, effect, now)

    def retry(self, delivery: str, attempt: int, next_attempt_at: datetime, error: str, ambiguous: bool) -> None:
        """Attempt number `attempt` failed for now. `ambiguous` stays true once it was."""
        self.retries.append((attempt, micros(next_attempt_at), error[:ERROR_CHARS_MAX], ambiguous, delivery))

    def reject(self, at: datetime, source: str, index: int, error: str, excerpt: str) -> None:
        """Part `index` of a request was refused."""
        self.rejections.append(
            (micros(at), _clean(source), index, _clean(error[:ERROR_CHARS_MAX]), _clean(excerpt[:EXCERPT_CHARS_MAX]))
        )

    def alive(self, at: datetime) -> None:
        """imd was running at this instant."""
        self.alive_at = micros(at)

    @property
    def deliveries(self) -> list[Delivery]:
        """The new deliveries, in order."""
        return [each for each in self.after if isinstance(each, Delivery)]

    @property
    def cancels(self) -> list[CancelPages]:
        """The cancellations, in order. Where a delivery stands behind one of them in `after`, it is not meant."""
        return [each for each in self.after if isinstance(each, CancelPages)]

    @property
    def rows(self) -> int:
        """Rows that the transaction will write."""
        return (
            len(self.alerts)
            + len(self.seen)
            + len(self.dropped)
            + len(self.forgotten)
            + len(self.incidents)
            + len(self.past)
            + len(self.silences)
            + len(self.overrides)
            + len(self.turns)
            + len(self.digests)
            + len(self.timeline)
            + len(self.cancelled)
            + len(self.outgoing)
            + len(self.retries)
            + len(self.settled)
            + len(self.conversations)
            + len(self.beats)
            + len(self.journal)
            + len(self.audit)
            + len(self.rejections)
            + (self.presence is not None)
            + (self.alive_at is not None)
        )

    @property
    def empty(self) -> bool:
        return self.rows == 0

    def _save_alert(self, effect: SaveAlert, _now: datetime) -> None:
        self._put_alert(effect.alert)

    def _put_alert(self, alert: Alert) -> None:
        alert_id = alert.id
        self.alerts[alert_id] = (alert_id, int(alert.state), alert.incident, pack(alert))
        if self.seen:
            self.seen.pop(alert_id, None)
            self.words.pop(alert_id, None)
        if self.forgotten:
            self.forgotten.discard(alert_id)
        if self.dropped:
            self.dropped.discard(alert_id)

    def _save_seen(self, effect: SaveSeen, _now: datetime) -> None:
        for alert in effect.alerts:
            alert_id = alert.id
            if alert_id in self.alerts:
                self._put_alert(alert)  # one row says it all
                continue
            seen = pack((alert.by_api, alert.starts_at, alert.seen_at, alert.spans, alert.count))
            words = pack((alert.source, alert.annotations, alert.generator_url, alert.other_labels))
            self.seen[alert_id] = (alert_id, seen)
            self.words[alert_id] = (alert_id, words)

    def _forget_alert(self, effect: ForgetAlert, _now: datetime) -> None:
        if effect.keep:
            self.forgotten.add(effect.id)
            return
        self.alerts.pop(effect.id, None)
        self.seen.pop(effect.id, None)
        self.words.pop(effect.id, None)
        self.forgotten.discard(effect.id)
        self.dropped.add(effect.id)

    def _save_beat(self, effect: SaveBeat, _now: datetime) -> None:
        beat = effect.beat
        name, by = beat.heartbeat, by_text(beat.by)
        self.beats[name, by] = (name, by, pack(beat))

    def _forget_beat(self, effect: ForgetBeat, _now: datetime) -> None:
        self.beats[effect.heartbeat, by_text(effect.by)] = None

    def _save_incident(self, effect: SaveIncident, now: datetime) -> None:
        incident = effect.incident
        self.past.discard(incident.id)
        self.incidents[incident.id] = (
            incident.number,
            incident.id,
            incident.state.value,
            incident.priority.value,
            incident.rule,
            micros(incident.opened_at),
            micros_or_none(_over_at(incident, now)),
            pack(incident),
        )

    def _forget_incident(self, effect: ForgetIncident, _now: datetime) -> None:
        self.past.add(effect.id)
        self.after.append(effect)

    def _save_silence(self, effect: SaveSilence, _now: datetime) -> None:
        silence = effect.silence
        self.silences[silence.id] = (silence.id, micros(silence.ends_at), pack(silence))

    def _save_presence(self, effect: SavePresence, _now: datetime) -> None:
        self.presence = pack(effect.presence)

    def _save_override(self, effect: SaveOverride, _now: datetime) -> None:
        override = effect.override
        self.overrides[override.id] = (override.id, micros(override.ends_at), pack(override))

    def _save_turn(self, effect: SaveTurn, _now: datetime) -> None:
        self.turns[effect.step] = (effect.step, effect.next)

    def _save_digests(self, effect: SaveDigests, _now: datetime) -> None:
        self.digests[effect.digests.receiver] = (effect.digests.receiver, pack(effect.digests))

    def _append_timeline(self, effect: AppendTimeline, _now: datetime) -> None:
        self.timeline.append((effect.incident, effect.entry.seq, pack(effect.entry)))

    def _deliver(self, effect: Deliver, _now: datetime) -> None:
        new = effect.delivery
        created = micros(new.created_at)
        self.outgoing[new.id] = (new.id, new.incident, new.receiver, new.kind.value, created, False, pack(new))
        self.after.append(new)

    def _cancel_pages(self, effect: CancelPages, _now: datetime) -> None:
        self.after.append(effect)
        for kind in {PageKind.PAGE: None, **dict.fromkeys(effect.kinds)}:
            self.cancelled.append((effect.incident, effect.receiver, kind.value))
            for row in list(self.outgoing.values()):
                if row[1] == effect.incident and row[3] == kind.value and effect.receiver in (None, row[2]):
                    self.outgoing[row[0]] = (*row[:5], True, row[6])

    def _settle(self, effect: SettleDelivery, _now: datetime) -> None:
        error = effect.error[:ERROR_CHARS_MAX]
        self.settled.append((effect.outcome, effect.attempts, error, micros(effect.at), effect.delivery))

    def _save_conversation(self, effect: SaveConversation, _now: datetime) -> None:
        key = (effect.incident, effect.receiver)
        self.conversations[key] = (*key, effect.conversation)

    def _journal(self, effect: Journal, _now: datetime) -> None:
        if effect.at is not self._last_at:  # one instant for a step's hundred lines
            self._last_at, self._last_micros = effect.at, micros(effect.at)
        row = (self._last_micros, effect.line)
        self.journal.append(row)
        if effect.audit:
            self.audit.append(row)

    def _nothing(self, effect: Refused | Counted, _now: datetime) -> None:
        pass


def _over_at(incident: Incident, now: datetime) -> datetime | None:
    """When the incident ended, for retention; None while it is open. Cancelled and merged ones end as they change."""
    if incident.open:
        return None
    return incident.resolved_at or incident.closed_at or now


def by_text(by: By) -> str:
    """The `by` values as the key of a row: `[["cluster","c1"]]`."""
    return msgspec.json.encode(by).decode()


def _clean(text: str) -> str:
    """Text from a refused request may hold what no database takes: lone surrogates, NUL."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{SYMBOL FOR NULL}")


_ADD: dict[type, Callable[..., None]] = {
    SaveAlert: Batch._save_alert,
    SaveSeen: Batch._save_seen,
    ForgetAlert: Batch._forget_alert,
    SaveBeat: Batch._save_beat,
    ForgetBeat: Batch._forget_beat,
    SaveIncident: Batch._save_incident,
    ForgetIncident: Batch._forget_incident,
    SaveSilence: Batch._save_silence,
    SavePresence: Batch._save_presence,
    SaveOverride: Batch._save_override,
    SaveTurn: Batch._save_turn,
    SaveDigests: Batch._save_digests,
    AppendTimeline: Batch._append_timeline,
    Deliver: Batch._deliver,
    CancelPages: Batch._cancel_pages,
    SettleDelivery: Batch._settle,
    SaveConversation: Batch._save_conversation,
    Journal: Batch._journal,
    Refused: Batch._nothing,
    Counted: Batch._nothing,
}
