"""Who hears what: receivers, persons, policies, routes, sources; and the Ruleset that holds every decision's input."""

from __future__ import annotations

import enum
from datetime import timedelta

import msgspec

from imd.model.bodymap import BodyMap
from imd.model.digest import Storm
from imd.model.enrich import Enrichment
from imd.model.heartbeat import Heartbeat
from imd.model.incident import Priority
from imd.model.quiet import Inhibition, Maintenance, TimeInterval
from imd.model.rule import MATCH_ALL, Match, PriorityTable, Rule
from imd.model.schedule import Schedule
from imd.model.topology import Topology


class PageKind(enum.StrEnum):
    PAGE = "page"
    UPDATE = "update"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    NOTE = "note"
    DIGEST = "digest"


class PageReason(enum.StrEnum):
    """Why a message of kind page was sent."""

    FIRST = "first"
    ESCALATED = "escalated"
    REPEATED = "repeated"
    RAISED = "raised"
    REOPENED = "reopened"
    ACK_LAPSED = "ack_lapsed"
    FLAPPING = "flapping"


class Receiver(msgspec.Struct, frozen=True, kw_only=True):
    """A named destination, as the engine sees it. How it is reached is ChannelSettings, which only channels read.

    `send_alerts` None means all. `deliver_within` None means 20 s for P1 and P2, 60 s for the rest. `people`: they read
    it, so a storm reaches it in digests.
    """

    name: str
    send: frozenset[PageKind] = frozenset({PageKind.PAGE, PageKind.RESOLVED})
    send_alerts: int | None = 20
    update_every: timedelta = timedelta(minutes=1)
    min_priority: Priority = Priority.P5
    deliver_within: timedelta | None = None
    stale_after: timedelta = timedelta(minutes=15)
    people: bool = False

    def accept_within(self, priority: Priority) -> timedelta:
        if self.deliver_within is not None:
            return self.deliver_within
        return timedelta(seconds=20 if priority.rank <= 2 else 60)


class Way(msgspec.Struct, frozen=True):
    """One way to a person: a receiver, `after` so long without an answer."""

    receiver: str
    after: timedelta = timedelta(0)


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """A human being, and the ways to reach them, in order; the first one is taken at once. `reach_low`: for P4 and P5,
    where these are others. `quiet_hours`: P4 and P5 wait until they are over."""

    name: str
    timezone: str = "UTC"
    reach: tuple[Way, ...]
    reach_low: tuple[Way, ...] = ()
    quiet_hours: TimeInterval | None = None

    def ways(self, priority: Priority) -> tuple[Way, ...]:
        return (self.reach_low if priority.low else ()) or self.reach


class Team(msgspec.Struct, frozen=True, kw_only=True):
    """People who are paged together."""

    name: str
    people: tuple[str, ...]


class TargetKind(enum.StrEnum):
    PERSON = "person"
    RECEIVER = "receiver"
    SCHEDULE = "schedule"
    TEAM = "team"


class Target(msgspec.Struct, frozen=True):
    """What a step names: `person:ana`, `receiver:ops-chat`, `schedule:primary`, `team:platform`."""

    kind: TargetKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind.value}:{self.name}"

    @classmethod
    def parse(cls, text: str) -> Target:
        """From what str() gave."""
        kind, _, name = text.partition(":")
        return cls(TargetKind(kind), name)


class EscalationStep(msgspec.Struct, frozen=True, kw_only=True):
    """Notify these, then wait `wait` (YAML: `for`) before the next step. `round_robin`: one of them only, each incident
    the next one; everyone of a team counts for themselves."""

    notify: tuple[Target, ...]
    wait: timedelta = timedelta(minutes=5)
    round_robin: bool = False


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Ordered escalation steps; none in the built-in policy `nobody`. `once` marks the built-in policy `default`: its
    one step is notified once, then nothing more."""

    name: str
    steps: tuple[EscalationStep, ...]
    repeat: int = 0
    ack_timeout: timedelta | None = None
    remind: timedelta | None = timedelta(hours=4)
    once: bool = False


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """Which policy an incident gets, where its rule names none. The first that matches; a matchless one is last.
    `during` and `but` (YAML: `except`) name `times`: only in them, not in them. `goes_on` (YAML: `continue`): the
    routes behind it are tried too."""

    policy: str
    match: Match = MATCH_ALL
    priority: frozenset[Priority] | None = None
    during: str = ""
    but: str = ""
    goes_on: bool = False


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A configured sender, as the engine sees it. `labels` join the identity of each of its alerts. `maps` say how its
    bodies become alerts, where its type leaves that to them."""

    name: str
    type: str
    labels: dict[str, str] = {}
    maps: tuple[BodyMap, ...] = ()
    expire_after: timedelta = timedelta(days=5)
    silent_after: timedelta = timedelta(hours=1)


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds that the engine itself keeps (design section 7)."""

    open_alerts_max: int = 1_000_000
    spans_max: int = 8
    lateness: timedelta = timedelta(minutes=2)
    seen_flush: timedelta = timedelta(seconds=15)


BUILT_IN_RULE = Rule(name="default")
BUILT_IN_POLICY = "default"
NOBODY = "nobody"
"""The built-in policy that pages nobody: its incidents wait for the hours of another route."""


class Ruleset(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decisions depend on, checked as a whole by `config.load`. Dicts are by name, in config order.

    `rules` are in order of trial; the last takes every alert. `enrich` is in order of work. `policies` always hold
    `default`, and where they are loaded `nobody`. `config_hash` names this very content; `store_id` prefixes every
    dedup_key (fixed in replay). `tee`: another pager has the watch, and nobody is paged.
    """

    rules: tuple[Rule, ...] = (BUILT_IN_RULE,)
    enrich: tuple[Enrichment, ...] = ()
    routes: tuple[Route, ...] = ()
    policies: dict[str, Policy]
    receivers: dict[str, Receiver] = {}
    people: dict[str, Person] = {}
    teams: dict[str, Team] = {}
    schedules: dict[str, Schedule] = {}
    sources: dict[str, Source] = {}
    priority: PriorityTable = PriorityTable()
    topology: Topology = Topology()
    inhibitions: tuple[Inhibition, ...] = ()
    times: dict[str, TimeInterval] = {}
    maintenance: tuple[Maintenance, ...] = ()
    heartbeats: tuple[Heartbeat, ...] = ()
    storm: Storm = Storm()
    fallback: str = ""
    external_url: str = ""
    bounds: Bounds = Bounds()
    tee: bool = False
    config_hash: str = ""

    def policy(self, name: str) -> Policy:
        """The policy of that name; `default` if a reload took it away. Under `tee` nobody is waited for."""
        found = self.policies.get(name) or self.policies[BUILT_IN_POLICY]
        return msgspec.structs.replace(found, once=True) if self.tee else found


def built_in_policy(receivers: tuple[str, ...]) -> Policy:
    """The policy `default` where none is configured: every receiver once, in config order."""
    targets = tuple(Target(TargetKind.RECEIVER, name) for name in receivers)
    return Policy(name=BUILT_IN_POLICY, steps=(EscalationStep(notify=targets),), remind=None, once=True)
