"""What is to be done: every output of the engine. The shell commits a step's effects in one transaction, in this order,
before any of them is seen outside."""

from __future__ import annotations

from datetime import datetime

import msgspec

from imd.model.alert import Alert
from imd.model.digest import Digests
from imd.model.heartbeat import Beat, By
from imd.model.incident import Incident, Priority, TimelineEntry
from imd.model.policy import PageKind, PageReason
from imd.model.presence import Presence
from imd.model.quiet import Silence
from imd.model.schedule import Override


class Delivery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message to one receiver. `id` is one per message and stays the same over attempts (webhook-id).

    `dedup_key` is one per incident, over steps and reopenings. `body` is the JSON object of design section 6 without
    `attempt`, which the channel adds. `headline` is the one-line text (`PAGE P2 #1 title`). `to` is the person or
    receiver that the escalation step named. `step` counts from 1; 0 is outside the policy.
    """

    id: str
    incident: str
    number: int
    dedup_key: str
    receiver: str
    to: str
    kind: PageKind
    reason: PageReason | None
    priority: Priority
    step: int
    created_at: datetime
    headline: str
    body: bytes


class SaveAlert(msgspec.Struct, frozen=True):
    """The alert's state changed (new, resolved, revived, joined): commit before the answer. Encode it before the next
    step: the record is the engine's own and goes on changing."""

    alert: Alert


class SaveSeen(msgspec.Struct, frozen=True):
    """Last seen, ends, counts and annotations moved on: in batches; a crash may lose the newest seconds of it."""

    alerts: tuple[Alert, ...]


class ForgetAlert(msgspec.Struct, frozen=True):
    """The episode left memory (ended long enough ago, or replaced); its row stays for its incident's history.
    `keep` is False where it belongs to no incident: then the row goes too."""

    id: int
    keep: bool


class SaveBeat(msgspec.Struct, frozen=True):
    """As SaveAlert, of a heartbeat's record."""

    beat: Beat


class ForgetBeat(msgspec.Struct, frozen=True):
    """The heartbeat is not in the configuration any more: its row goes."""

    heartbeat: str
    by: By


class SaveIncident(msgspec.Struct, frozen=True):
    """As SaveAlert: encode before the next step."""

    incident: Incident


class ForgetIncident(msgspec.Struct, frozen=True):
    """Resolved and past reopening: it stays in the store and leaves memory."""

    id: str


class SaveSilence(msgspec.Struct, frozen=True):
    """A silence is new, changed, begun or over: commit before the answer."""

    silence: Silence


class SavePresence(msgspec.Struct, frozen=True):
    """When imd and its sources were there. Outages: commit before anything is decided by them; what was heard moves on
    with SaveSeen, and a crash may lose the newest seconds of it."""

    presence: Presence


class SaveOverride(msgspec.Struct, frozen=True):
    """An override of a schedule is new or was ended: commit before the answer."""

    override: Override


class SaveTurn(msgspec.Struct, frozen=True):
    """Whose turn is next at a step with round_robin (`POLICY/STEP`, steps from 1): their place, from 0."""

    step: str
    next: int


class SaveDigests(msgspec.Struct, frozen=True):
    """As SaveAlert, of a receiver's record of digests."""

    digests: Digests


class AppendTimeline(msgspec.Struct, frozen=True):
    incident: str
    entry: TimelineEntry


class Deliver(msgspec.Struct, frozen=True):
    """Commit to the outbox; send after the commit."""

    delivery: Delivery


class CancelPages(msgspec.Struct, frozen=True):
    """Unsent messages of kind page of this incident must not start any more (`receiver` None: to all). The outbox
    reports each as DeliveryFinished, cancelled or unknown. `kinds` widens it, for a resolve that nobody is owed."""

    incident: str
    receiver: str | None
    kinds: tuple[PageKind, ...]


class SettleDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """The delivery is over: the outbox row is final."""

    delivery: str
    outcome: str
    error: str
    attempts: int
    at: datetime


class SaveConversation(msgspec.Struct, frozen=True):
    """What the receiver's channel said last of this incident: committed together with the end of its delivery."""

    incident: str
    receiver: str
    conversation: bytes


class Journal(msgspec.Struct, frozen=True):
    """One line of EVENTS.jsonl (design section 2), already encoded, for the journal. `audit`: a person did it, or it
    changed what imd decides by, so it goes on the audit log too."""

    at: datetime
    line: bytes
    audit: bool = False


class Refused(msgspec.Struct, frozen=True):
    """Part `index` of the event was refused for `error`; `conflict` marks an action that the state does not allow."""

    index: int
    error: str
    conflict: bool = False


class Counted(msgspec.Struct, frozen=True):
    """For the metrics alone: `name` is a metric of imd.telemetry, `values` its label values (config names only)."""

    name: str
    values: tuple[str, ...] = ()
    amount: float = 1.0


Effect = (
    SaveAlert
    | SaveSeen
    | ForgetAlert
    | SaveBeat
    | ForgetBeat
    | SaveIncident
    | ForgetIncident
    | SaveSilence
    | SavePresence
    | SaveOverride
    | SaveTurn
    | SaveDigests
    | AppendTimeline
    | Deliver
    | CancelPages
    | SettleDelivery
    | SaveConversation
    | Journal
    | Refused
    | Counted
)
