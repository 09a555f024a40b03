"""Outages in which causes come after their effects: the map, the rules and the alerts of histories in which many move.

Two hosts, a database, three services that hang on each other. What fails on a service is put down to its host; the
database's own alert, which is nearer, began before that and comes last.
"""

from __future__ import annotations

from imd.core.engine import Engine
from imd.core.links import Record
from imd.model.alert import AlertReport
from imd.model.effect import AppendTimeline, Effect
from imd.model.incident import Level
from imd.model.rule import Count, Flapping, Mode, Raise, Relate, Resolve, ResolveWhen, Rule, Window
from imd.model.topology import Entity, Topology
from tests.core.making import equals, minutes, report, seconds

MAP = Topology(
    entities=(
        Entity(id="host/n1", match=(equals(node="n1"),)),
        Entity(id="host/n2", match=(equals(node="n2"),)),
        Entity(id="db/orders", match=(equals(db="orders"),)),
        Entity(id="service/pay", match=(equals(service="pay"),), depends_on=("db/orders",), runs_on=("host/n1",)),
        Entity(id="service/shop", match=(equals(service="shop"),), depends_on=("db/orders",), runs_on=("host/n2",)),
        Entity(id="service/web", match=(equals(service="web"),), depends_on=("service/pay", "service/shop")),
    ),
    from_labels=(),
)
ANOTHER_MAP = Topology(entities=(*MAP.entities[:2], *MAP.entities[3:]), from_labels=())
"""The database is forgotten."""
SAID = (
    ("NodeDown", "node", "n1"),
    ("NodeDown", "node", "n2"),
    ("DiskFull", "node", "n1"),
    ("PostgresqlDown", "db", "orders"),
    ("PostgresqlLatencyHigh", "db", "orders"),
    ("HighErrorRate", "service", "pay"),
    ("PodCrashLooping", "service", "pay"),
    ("HighErrorRate", "service", "shop"),
    ("LatencyHigh", "service", "shop"),
    ("HighErrorRate", "service", "web"),
    ("LatencyHigh", "service", "web"),
    ("PostgresqlUnreachable", "db", "orders"),
)
"""Alerts: what each is called, and the label by which it stands somewhere. On hosts, on the database, on services."""
HOSTS = (0, 1)
FIRST = ((5, 6), (7, 8))
"""By host, what fails on it."""
DATABASES, LAST = (3, 4), (9, 10)
LONG_AGO = 11
"""The database was down already, too long ago for anything to suffer from that but the database."""
KINDS = "mnopq"
CLUSTERS = tuple(kind + number for number in "012" for kind in KINDS)


def _rule(name: str, kind: str, **fields: object) -> Rule:
    match = (equals(outage=kind),)
    return Rule(**{"name": name, "match": match, "group_by": ("cluster",), "relate": Relate(), **fields})  # type: ignore[arg-type]


RULES = (
    _rule("outages", "m", flapping=Flapping(changes=4, within=minutes(20), calm=minutes(3))),
    _rule("narrow", "n", hold=seconds(0), window=Window(max_alerts=4), resolve=Resolve(when=ResolveWhen.ROOT)),
    _rule("counted outages", "o", open_when=Count(at_least=2, within=minutes(3))),
    _rule(
        "slow",
        "p",
        hold=seconds(45),
        resolve=Resolve(when=ResolveWhen.FIRST, after=seconds(30)),
        raises=(Raise(at_least=2, distinct="service", impact=Level.HIGH),),
    ),
    _rule("trial outages", "q", mode=Mode.MONITOR, hold=seconds(0)),
)
"""One for each kind of cluster."""


def outage(said: int, cluster: str, severity: str, began: float, ended: float | None = None) -> AlertReport:
    """One of SAID; `began` and `ended` in seconds after T0."""
    name, label, value = SAID[said]
    labels = {"alertname": name, "cluster": cluster, label: value, "outage": cluster[0], "severity": severity}
    return report(labels, began, resolved=ended is not None, ends=ended)


def moves(effects: list[Effect]) -> list[tuple[str, str]]:
    """From which incident alerts moved to which."""
    lines = [one.incident for one in effects if isinstance(one, AppendTimeline) and one.entry.kind == "moved"]
    assert len(lines) % 2 == 0, "both say so"
    return list(zip(lines[::2], lines[1::2], strict=True))


def known(engine: Engine) -> dict[str, object]:
    """All that is known of incidents and their alerts to relate others to, which a restart must not change."""
    told: dict[str, object] = {}
    for group in engine._relator._groups.values():
        for record in group.members:
            _hangs_on_one(record)
        ties = {one.ref: (one.turn, one.tie.ref if one.tie is not None else 0) for one in group.members}
        told[group.id] = group.scope, group.open, group.returned, group.opener, [one.ref for one in group.sample], ties
    return told


def _hangs_on_one(record: Record) -> None:
    """Who came in by whom is a tree within one incident."""
    seen = [record]
    while (tie := seen[-1].tie) is not None:
        assert tie.group is record.group
        assert tie not in seen, "a circle"
        seen.append(tie)
