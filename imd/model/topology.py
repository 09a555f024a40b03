"""What depends on what and what contains what, and how alerts are related along it.

Owns the words and their shapes. How near two alerts are is `core.relation`; where an alert stands is `core.standing`.
An entity is named by its id (`host/n1`); ids that edges name and nobody declares are allowed: maps are never complete.
"""

from __future__ import annotations

import enum
from datetime import timedelta

import msgspec

from imd.model.rule import Match, Matcher, Op


class Entity(msgspec.Struct, frozen=True, kw_only=True):
    """Something that can be ill. `match` says which alerts are on it; the edges are ids of other entities.

    part_of: is contained in. runs_on, depends_on: suffers when that is ill. serves: that suffers when this is ill.
    `tier` counts from 1, the most important.
    """

    id: str
    match: Match = ()
    part_of: tuple[str, ...] = ()
    runs_on: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    serves: tuple[str, ...] = ()
    tier: int | None = None


class FromLabels(msgspec.Struct, frozen=True, kw_only=True):
    """An entity that labels name: templates such as `pod/{namespace}/{pod}`.

    A template whose labels are not all there names nothing; `{cluster?}` may be empty. The first entry that fits names
    the alert's entity, with its edges; what the others name is what the alert stands within, and `broad` ones never
    name more than that.
    """

    entity: str
    part_of: tuple[str, ...] = ()
    runs_on: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    serves: tuple[str, ...] = ()
    broad: bool = False


class AlertClass(enum.StrEnum):
    """What kind of trouble an alert speaks of; decides what it may explain."""

    DOWN = "down"
    NET = "net"
    DISK = "disk"
    WORKLOAD = "workload"
    ERROR = "error"
    LATENCY = "latency"
    SATURATION = "saturation"
    BACKGROUND = "background"


class ClassRule(msgspec.Struct, frozen=True, kw_only=True):
    """Alerts that match are of this class. The first that matches decides."""

    kind: AlertClass
    match: Match


def _named(words: str, beginning: str = "") -> Match:
    """Alerts whose name holds one of these words, in any case, written together or apart. Those of `beginning` are
    found within others (oom in TooMany, ntp in PaymentProvider), so a word must begin with them: behind what is no
    letter, or with a capital."""
    held = f"(?i:{words.replace(' ', '[ _-]?')})"
    begun = "".join(f"|{one[0].upper()}(?i:{one[1:]})" for one in beginning.split("|") if one)
    apart = f"|(?:^|[^a-zA-Z])(?i:{beginning})" if beginning else ""
    return ((Matcher("alertname", Op.REGEX, f".*(?:{held}{apart}{begun}).*"),),)


FROM_LABELS = (
    FromLabels(
        entity="pod/{cluster?}/{namespace}/{pod}",
        part_of=("host/{cluster?}/{node}",),
        serves=("service/{cluster?}/{namespace}/{container}", "service/{cluster?}/{namespace}/{workload}"),
    ),
    FromLabels(entity="service/{cluster?}/{namespace?}/{deployment}"),
    FromLabels(entity="service/{cluster?}/{namespace?}/{statefulset}"),
    FromLabels(entity="service/{cluster?}/{namespace?}/{daemonset}"),
    FromLabels(entity="host/{cluster?}/{node}"),
    FromLabels(entity="service/{cluster?}/{namespace?}/{service}"),
    FromLabels(entity="instance/{cluster?}/{instance}"),
    FromLabels(entity="namespace/{cluster?}/{namespace}", broad=True),
    FromLabels(entity="cluster/{cluster}", broad=True),
)
"""Where `topology:` gives no from_labels: the labels that Kubernetes and the exporters use. Names repeat from cluster
to cluster and from namespace to namespace, so both are part of each where labels give them."""

CLASSES = (
    ClassRule(kind=AlertClass.BACKGROUND, match=((Matcher("severity", Op.REGEX, "info|none"),),)),
    ClassRule(kind=AlertClass.DOWN, match=_named("(?:cert|tls|ssl).*(?:expired|invalid|(?:not|longer) valid)")),
    ClassRule(
        kind=AlertClass.BACKGROUND,
        match=_named("backup|snapshot|expir|clock|skew|watchdog|inhibitor|reboot", "cert|ntp|cron|job|version"),
    ),
    ClassRule(kind=AlertClass.NET, match=_named("network|interface|bonding|packet|bgp|conntrack|partition|tunnel|vpn")),
    ClassRule(  # what is not attached is no disk that runs full: several at once have one cause, and it fades no slower
        kind=AlertClass.WORKLOAD,
        match=_named("volume.*(?:attach|mount)|(?:attach|mount).*volume|persistent ?volume.*err"),
    ),
    ClassRule(kind=AlertClass.DISK, match=_named("filesystem|disk|volume|raid|inode|storage|io wait|iops")),
    ClassRule(kind=AlertClass.DOWN, match=_named("not respond|unresponsive|no response|not answer")),
    ClassRule(
        kind=AlertClass.LATENCY,
        match=_named(
            "latency|slow|duration|response|delay|p9[0-9]|percentile|apdex|too long|behind|stale|not fresh"
            "|out of date|too old|backlog|queue|ready messages|unack",
            "lag",
        ),
    ),
    ClassRule(
        kind=AlertClass.ERROR,
        match=_named("5xx|4xx|error|fail|reject|deadlock|burn|refus|denied|exception|timeout|broken"),
    ),
    ClassRule(
        kind=AlertClass.SATURATION,
        match=_named(
            "cpu|memory|overload|saturat|throttl|connections|clients|autoscal|usage|utili[sz]ation|pressure|filling|capacity"
            "|exhaust|pool|at limit|limit reached|nearly full|almost full|swap",
            "load|oom|hpa|fault",
        ),
    ),
    ClassRule(
        kind=AlertClass.WORKLOAD,
        match=_named("pod|container|deploy|replica|rollout|statefulset|daemonset|restart|crash|evict"),
    ),
    ClassRule(
        kind=AlertClass.DOWN,
        match=_named(
            "down|not ready|unreachable|not reachable|cannot be reached|missing|unavailable|absent|unhealthy|lost"
            "|offline|dead|gone|silent|no data|stopped|not running"
        ),
    ),
)
"""The built-in table, tried after the operator's own. What nothing matches is an error: something is wrong there."""

OTHER = AlertClass.ERROR


class Topology(msgspec.Struct, frozen=True, kw_only=True):
    """The whole map, checked by `config`. `pending` is each alert's `for:`, by alertname and then by severity, "" for
    every severity; `usual` is what it mostly is, by alertname, where nobody says so. `dangling` counts edges that lead
    nowhere (model.mapedges)."""

    entities: tuple[Entity, ...] = ()
    from_labels: tuple[FromLabels, ...] = FROM_LABELS
    classes: tuple[ClassRule, ...] = ()
    pending: dict[str, dict[str, timedelta]] = {}
    usual: dict[str, timedelta] = {}
    dangling: int = 0
