"""What can happen: every input of the engine. There is one door into the core, and these are what passes it."""

from __future__ import annotations

import enum
from datetime import datetime, timedelta

import msgspec

from imd.model.alert import AlertReport, Identity
from imd.model.heartbeat import By
from imd.model.incident import Incident, Priority
from imd.model.policy import Ruleset
from imd.model.quiet import Silence
from imd.model.schedule import Override


class AlertsReported(msgspec.Struct, frozen=True):
    """One request's alerts, or one slice of them. `by_api`: a deadline in each alert's ends_at decides (Prometheus and
    amtool); otherwise the sender's status alone does (webhooks)."""

    source: str
    by_api: bool
    alerts: tuple[AlertReport, ...]


class SourceHeard(msgspec.Struct, frozen=True):
    """A source spoke and said nothing new of any alert (an empty body)."""

    source: str


class Expired(msgspec.Struct, frozen=True):
    """An alert that is over as of `at`."""

    identity: Identity
    at: datetime
    because: str


class AlertsExpired(msgspec.Struct, frozen=True):
    """Nobody speaks of these alerts any more. A running engine finds that out by itself; recorded history says so."""

    alerts: tuple[Expired, ...]


class HeartbeatBeat(msgspec.Struct, frozen=True):
    """Somebody says that they are alive. `by` holds the values of the heartbeat's `by` labels, in its order."""

    heartbeat: str
    by: By = ()


class ActionKind(enum.StrEnum):
    ACK = "ack"
    UNACK = "unack"
    SNOOZE = "snooze"
    ASSIGN = "assign"
    ESCALATE = "escalate"
    RESPONDER = "responder"
    RESOLVE = "resolve"
    REOPEN = "reopen"
    CLOSE = "close"
    MERGE = "merge"
    SPLIT = "split"
    NOTE = "note"


class ActionTaken(msgspec.Struct, frozen=True, kw_only=True):
    """A person did something. `incident` is its id; `through` says by which door (api, cli, a channel).

    snooze takes `until`; assign `to`, a person; responder `to`, what a step may name (`person:ana`, `team:shop`); merge
    `into`, the id of the incident that lives on; split `fingerprints` of members, as they are shown outside; close
    `outcome` and `cause`, words of the site's own, and `actionable`. `record` is the incident as the store has it, for
    one that is over and left the engine's memory.
    """

    kind: ActionKind
    incident: str
    by: str
    note: str = ""
    force: bool = False
    through: str = "api"
    until: datetime | None = None
    to: str = ""
    into: str = ""
    fingerprints: tuple[str, ...] = ()
    outcome: str = ""
    cause: str = ""
    actionable: bool | None = None
    record: Incident | None = None


class IncidentReported(msgspec.Struct, frozen=True, kw_only=True):
    """A person reports what no alert says. `key` names the report: the same one twice is one. `priority` None: impact
    medium, urgency medium by the matrix. `policy` "" leaves it to the routes, which see `labels`."""

    key: str
    title: str
    by: str
    labels: dict[str, str] = {}
    priority: Priority | None = None
    policy: str = ""
    note: str = ""
    through: str = "api"


class SilenceSet(msgspec.Struct, frozen=True):
    """A person mutes matchers until a time; or changes a silence of the same id. `replaces` is the id of one that ends
    in the same instant, for a change that needs an id of its own (`quiet.keeps_id`)."""

    silence: Silence
    replaces: str = ""


class SilenceExpired(msgspec.Struct, frozen=True):
    """A person ends a silence, or the pause, before its time."""

    silence: str
    by: str


class PauseSet(msgspec.Struct, frozen=True, kw_only=True):
    """A person mutes everything until then; in place of the pause before, if there is one."""

    until: datetime
    by: str
    reason: str = ""


class OverrideSet(msgspec.Struct, frozen=True):
    """A person says who is on call for a while, whoever's turn it is."""

    override: Override


class OverrideEnded(msgspec.Struct, frozen=True):
    """A person ends an override before its time, or takes one back that has not begun."""

    override: str
    by: str


class Outcome(enum.StrEnum):
    """How a delivery ended. UNKNOWN: given up or cancelled after an attempt that may have arrived."""

    ACCEPTED = "accepted"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


class DeliveryFinished(msgspec.Struct, frozen=True, kw_only=True):
    """The outbox reports the end of a delivery. `error` is the receiver's own words, without secrets; of one that was
    accepted, for whom of several it was refused. `conversation` is what the channel must know for the next message of
    this incident, `b""` where it said nothing new; no decision depends on it, so the journal leaves it out."""

    delivery: str
    incident: str
    receiver: str
    outcome: Outcome
    error: str = ""
    attempts: int = 1
    conversation: bytes = b""


class RulesChanged(msgspec.Struct, frozen=True):
    """A reload succeeded as a whole; open incidents keep the rule they opened with."""

    ruleset: Ruleset


class Restarted(msgspec.Struct, frozen=True):
    """imd starts on a state that was last alive at `alive_at`."""

    alive_at: datetime


class ClockStepped(msgspec.Struct, frozen=True):
    """The wall clock was set, or the machine slept: wall time moved by `by` more (or less) than time passed."""

    by: timedelta


class Tick(msgspec.Struct, frozen=True):
    """Time passed; deadlines up to now are due."""


Event = (
    AlertsReported
    | SourceHeard
    | HeartbeatBeat
    | AlertsExpired
    | ActionTaken
    | IncidentReported
    | SilenceSet
    | SilenceExpired
    | PauseSet
    | OverrideSet
    | OverrideEnded
    | DeliveryFinished
    | RulesChanged
    | Restarted
    | ClockStepped
    | Tick
)
