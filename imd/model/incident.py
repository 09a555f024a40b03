"""Incidents: what people work on. States, priorities, the record and its timeline.

Owns the words and the record's shape. The transition table is `core.lifecycle`; who is paged is `core.escalation`.
"""

from __future__ import annotations

import enum
from datetime import datetime

import msgspec


class IncidentState(enum.StrEnum):
    PENDING = "pending"
    TRIGGERED = "triggered"
    ACKNOWLEDGED = "acknowledged"
    SNOOZED = "snoozed"
    RESOLVED = "resolved"
    CLOSED = "closed"
    MERGED = "merged"
    CANCELLED = "cancelled"


OPEN_STATES = frozenset(
    {IncidentState.PENDING, IncidentState.TRIGGERED, IncidentState.ACKNOWLEDGED, IncidentState.SNOOZED}
)


class Level(enum.StrEnum):
    """Impact and urgency, the two sides of the priority matrix (ITIL)."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Priority(enum.StrEnum):
    """P1 is the most urgent. Compare by `rank`: a lower rank is more urgent."""

    P1 = "P1"
    P2 = "P2"
    P3 = "P3"
    P4 = "P4"
    P5 = "P5"

    @property
    def rank(self) -> int:
        return int(self.value[1])

    @property
    def low(self) -> bool:
        """It can wait for the morning: P4 and P5, of which step 1 hears once."""
        return self.rank >= 4


class RootCause(msgspec.Struct, frozen=True):
    entity: str
    fingerprint: str
    reason: str


class Told(msgspec.Struct):
    """What one receiver has heard of one incident; decides whether it is owed updates and the resolve.

    `heard` is true once a page was accepted or may have been (a timeout after sending). `at` is the last message,
    `changed` the change counter it told of. `digest`: it knows of it from digests alone; `listed` is what the last one
    said of it, `news` the id of the one under way that says how it changed, or that this waits (core.digests).
    `update` is the update under way, `ends` the message under way that says it is over. `before`: it has come back
    since, the receiver had heard of it until then, and of its coming back no page has reached it yet.
    """

    to: str
    heard: bool = False
    at: datetime | None = None
    changed: int = 0
    digest: bool = False
    listed: str = ""
    news: str = ""
    ends: str = ""
    before: bool = False
    update: str = ""


class Awaited(msgspec.Struct):
    """A page not yet settled, of which step of which policy; and when to pass on (None: never, or passed on already).
    `person`: it is one of that person's ways; "" where a step names the receiver itself. `digest`: it leaves in one,
    of that id, or waits for one (core.digests), or ends with the incident's page of that id (core.backlog); `off`: it
    was to be called off and is in one under way. `sent_at`: when it left singly; `stale`: since then too long, so it is
    called back and waits. `called_off`: somebody has answered, or its policy is left: no further attempt. `reason` and
    `shown` are those of the message, should it leave later; `maybe`: it may have arrived before it was called back."""

    receiver: str
    to: str
    step: int
    round: int
    deadline_at: datetime | None
    policy: str = ""
    person: str = ""
    digest: str = ""
    off: bool = False
    sent_at: datetime | None = None
    stale: bool = False
    called_off: bool = False
    reason: str = ""
    shown: int = 0
    maybe: bool = False


class Walk(msgspec.Struct):
    """Where a policy stands: its round and step from 0; step -1: not begun, or to begin once its timer says so. An
    incident has the same fields, for its own policy; those that routes with `continue` put beside it are Walks."""

    policy: str
    round: int = 0
    step: int = -1
    exhausted: bool = False


class Reach(msgspec.Struct, kw_only=True):
    """A person who was notified and has not answered: which way comes next, and when (`due_at` None: none by itself).

    `target` is what named the person (`schedule:primary`), `page` the delivery of the newest way, `began_at` when the
    first one left, or would have: delays count from there. `way` 0: held back until `due_at`, for quiet hours; the
    target is asked anew then. `policy`, `round`, `step` say of which step it is; `shown` is the step in messages.
    """

    person: str
    target: str
    policy: str
    round: int
    step: int
    shown: int
    reason: str
    began_at: datetime
    way: int = 0
    page: str = ""
    due_at: datetime | None = None


class Filed(msgspec.Struct, frozen=True, array_like=True):
    """A rule and group key under which an incident is found, and its place among those found so: the highest is the
    one that takes alerts in. Its own place is its number; that of one merged into it by hand goes over to it."""

    rule: str
    key: tuple[tuple[str, str], ...]
    place: int


class Incident(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The record of one incident. Mutable; only `core.engine` and its stages write to it.

    `timers` are wall deadlines by name (see core.lifecycle.TIMERS); they are stored with the record, so a restart
    continues them. `active_at` is the last join or resolve, `claimed` the highest priority that a sender gave,
    `summary` the first member's, `flapping` the number of members that flap (each counts as firing), `cause_of` how
    many members the probable cause was chosen from. Of rules with `relate`, `opener` is the identity of the alert that
    opened it, `returned` says that it came back to it. `reopened_at`: the last time. `silent` pages nobody (mode
    monitor). Its members are known by their alerts, which name their incident.

    `taken_over` are further rules and keys whose alerts it takes, of incidents merged into it by hand. `split_from` is
    the incident that it was taken out of, `report` the key of a person's report: either is found by no rule and key.
    `kept`: nothing fires and a person keeps it open, so that only a person, or alerts that come and go, resolve it.
    `stays_until`: it is over and stays in memory until then, beyond what reopening asks for: merged, and its end is
    being told; or it had left, and somebody works on it again.
    `judged`: the targets of its priority that were met or missed, since it opened or came back (core.targets).
    `outcome`, `cause` and `actionable` are what was said at closing; `responders` who was asked to help.

    `firing` counts members that fire and are not suppressed, `suppressed` those that fire and are; of these `held`
    hold the incident open, for they were suppressed only after joining. `aside` counts members ever that came
    suppressed and were not released. `hushed` is why nobody hears of it: all that hold it open are suppressed.

    `round`, `step` and `exhausted` are those of `policy`; `also` are the policies beside it. `turns` are the targets
    that steps with round_robin chose, by `POLICY/STEP` with steps from 1.
    """

    id: str
    number: int
    rule: str
    group_key: tuple[tuple[str, str], ...]
    state: IncidentState
    opened_at: datetime
    config_hash: str
    title: str = ""
    priority: Priority = Priority.P3
    impact: Level = Level.MEDIUM
    urgency: Level = Level.MEDIUM
    labels: dict[str, str] = {}
    triggered_at: datetime | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str = ""
    resolved_at: datetime | None = None
    resolved_because: str = ""
    closed_at: datetime | None = None
    assignee: str = ""
    policy: str = ""
    merged_into: str = ""
    previous: str = ""
    root_cause: RootCause | None = None
    drill: bool = False
    silent: bool = False
    reopened: int = 0
    window_ended: str = ""
    active_at: datetime | None = None
    claimed: Priority | None = None
    summary: str = ""
    changed: int = 0
    firing: int = 0
    ended: int = 0
    suppressed: int = 0
    held: int = 0
    aside: int = 0
    hushed: str = ""
    flapping: int = 0
    round: int = 0
    step: int = -1
    exhausted: bool = False
    timers: dict[str, datetime] = {}
    told: dict[str, Told] = {}
    awaited: dict[str, Awaited] = {}
    lines: int = 0
    deliveries: int = 0
    cause_of: int = 0
    also: list[Walk] = []
    reaches: list[Reach] = []
    turns: dict[str, str] = {}
    opener: bytes = b""
    returned: bool = False
    reopened_at: datetime | None = None
    taken_over: tuple[Filed, ...] = ()
    split_from: str = ""
    report: str = ""
    kept: bool = False
    reported_by: str = ""
    outcome: str = ""
    cause: str = ""
    actionable: bool | None = None
    responders: tuple[str, ...] = ()
    stays_until: datetime | None = None
    judged: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[Filed, ...]:
        """The rules and group keys whose alerts it takes."""
        own = () if self.split_from or self.report else (Filed(self.rule, self.group_key, self.number),)
        return (*own, *self.taken_over)

    @property
    def open(self) -> bool:
        return self.state in OPEN_STATES

    @property
    def holding(self) -> int:
        """Members that hold it open: those that fire, but for the ones that came suppressed."""
        return self.firing + self.held


class TimelineEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of an incident's history: what, who or which rule, why, when it happened and when imd learnt of it.

    `kind` is one of core.timeline.KINDS. `text` is a full sentence for people; `by` a person, a rule or `imd`.
    """

    seq: int
    kind: str
    text: str
    by: str
    at: datetime
    learnt_at: datetime
    details: dict[str, str] = {}
