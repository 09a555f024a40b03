"""A made-up estate, what somebody knows of it, and how its alerts are told; what happens on it is `estates`.

Owns hosts, services, stores, queues and partners, drawn by a seed, the map, and the lines of a trace, which have the
shape that the scorer reads. Same seed, same bytes.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping
from typing import Any

from benchmarks.correlation.dialects import DIALECTS, KINDS, Dialect, Kind, Labels, Service

CLUSTERS = ("north", "south")
ZONES = ("1", "2", "3")
NAMESPACES = ("edge", "core", "base")
NAMES = (
    "atlas", "badge", "canvas", "depot", "easel", "ferry", "grove", "harbor", "index", "jetty", "kiosk", "lemon",
    "mural", "niche", "orbit", "plaza", "quill", "river", "saddle", "tower", "umber", "vault", "wharf", "yield",
)  # fmt: skip
STORES = ("postgres", "mysql", "redis")
EVALUATED = 30.0
START = 1767225600.0


class World:
    """One estate. `now` is the fault, and what is at fault, of which is told; none of noise."""

    name = "estate"
    conditions: Mapping[str, Kind] = KINDS
    shares: tuple[float, ...] = (0.0, 0.4, 0.7, 0.95)  # of everything, on the map

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(f"{self.name}/{seed}")
        self.dialect: Dialect = DIALECTS[seed % len(DIALECTS)]
        self.clusters = CLUSTERS if self.dialect.scope else CLUSTERS[:1]
        self.habit = rng.randrange(4)
        self.known = rng.choice(self.shares)
        self.pending = rng.choice((0.1, 0.3, 1.0))
        self.gap = rng.choice((12.0, 20.0, 40.0))
        self.noise = rng.choice((6.0, 15.0, 40.0))
        self.bursts = rng.choice((0.2, 0.5, 0.8))
        self.lines: list[tuple[float, int, dict[str, Any]]] = []
        self.busy: dict[str, float] = {}
        self.now: tuple[str | None, str | None] = (None, None)
        self._build()

    def _build(self) -> None:
        rng = self.rng
        self.hosts = {f"{c[0]}{z}h{n:02d}": (c, z) for c in self.clusters for z in ZONES for n in range(6)}
        self.services = [Service(c, NAMESPACES[n % 3], name) for c in self.clusters for n, name in enumerate(NAMES)]
        self.runs = {s: rng.sample(self.hosts_of(s.cluster), 3) for s in self.services}
        self.stores = {f"{kind}-{c[0]}{n}": (kind, c, rng.choice(self.hosts_of(c)))
                       for c in self.clusters for n in (1, 2) for kind in STORES}  # fmt: skip
        self.calls: dict[Service, list[Service]] = {}
        self.uses: dict[Service, list[str]] = {}
        for s in self.services:
            level = NAMESPACES.index(s.namespace)
            deeper = [t for t in self.services if t.cluster == s.cluster and NAMESPACES.index(t.namespace) == level + 1]
            self.calls[s] = rng.sample(deeper, min(2, len(deeper)))
            stores = [d for d, (_, c, _) in self.stores.items() if c == s.cluster]
            self.uses[s] = rng.sample(stores, 1) if level == 2 or rng.random() < 0.3 else []
        self.queues = {f"{name}-{c[0]}": (c, rng.sample(self.services_of(c), 4))
                       for c in self.clusters for name in ("orders", "mails", "events")}  # fmt: skip
        self.partners = {p: rng.sample(self.services, 6) for p in ("cards", "maps", "identity")}

    def hosts_of(self, cluster: str, zone: str = "") -> list[str]:
        return [h for h, (c, z) in self.hosts.items() if c == cluster and zone in ("", z)]

    def services_of(self, cluster: str, namespace: str = "") -> list[Service]:
        return [s for s in self.services if s.cluster == cluster and namespace in ("", s.namespace)]

    def users(self, store: str) -> list[Service]:
        return [s for s in self.services if store in self.uses[s]]

    def callers(self, one: Service) -> list[Service]:
        return [s for s in self.services if one in self.calls[s]]

    # -- what is told -----------------------------------------------------------------------------------------------

    def tell(self, kind: str, cluster: str, labels: Labels, at: float, lasts: float, is_root: bool = False) -> None:
        """One alert from its beginning to its end, waiting as its rule does; what fires already is not told twice."""
        what = self.conditions[kind]
        told = {"alertname": what.names[self.habit], "severity": what.severity, **labels}
        if self.dialect.scope:
            told[self.dialect.scope] = cluster
        key = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]
        fires, ends = at + what.pending * self.pending + self.rng.uniform(0, EVALUATED), at + lasts
        if ends <= fires or self.busy.get(key, 0.0) > fires - 60:
            return
        self.busy[key] = ends
        fault, root = self.now
        name = f"{key}-{len(self.lines)}"
        base = {"id": name, "labels": told, "source": "estate", "truth_incident": fault, "truth_root_cause": root,
                "truth_is_root": is_root, "starts_at": round(fires, 3),
                "annotations": {"summary": what.names[self.habit], "sim_id": name}}  # fmt: skip
        for ts, kind, status in ((fires, "new", "firing"), (ends, "resolved", "resolved")):
            arrives = round(ts + self.rng.uniform(0.05, 3), 3)
            self.lines.append((arrives, len(self.lines), base | {"ts": arrives, "kind": kind, "status": status}))

    def on_host(self, kind: str, host: str, at: float, lasts: float, is_root: bool = False) -> None:
        labels = self.dialect.host(host)
        if self.dialect.name == "kubernetes" and kind.startswith(("host_", "target")) and kind != "host_gone":
            labels = {"instance": f"{host}:9100", "job": "node-exporter"}
        self.tell(kind, self.hosts[host][0], labels, at, lasts, is_root)

    def on_replica(self, kind: str, one: Service, number: int, at: float, lasts: float, is_root: bool = False) -> None:
        labels = self.dialect.replica(one, number, self.runs[one][number % 3])
        self.tell(kind, one.cluster, labels, at, lasts, is_root)

    def on_service(self, kind: str, one: Service, at: float, lasts: float, is_root: bool = False) -> None:
        labels = self.dialect.service(one, self.rng.choice(self.runs[one]))
        self.tell(kind, one.cluster, labels, at, lasts, is_root)

    def on_store(self, kind: str, store: str, at: float, lasts: float, is_root: bool = False) -> None:
        engine, cluster, host = self.stores[store]
        self.tell(kind, cluster, self.dialect.store(store, engine, host), at, lasts, is_root)

    def on_shared(
        self, kind: str, cluster: str, sort: str, name: str, at: float, lasts: float, is_root: bool = False
    ) -> None:
        self.tell(kind, cluster, self.dialect.shared(sort, name), at, lasts, is_root)

    def on_url(self, kind: str, one: Service, at: float, lasts: float, is_root: bool = False) -> None:
        url = {"instance": f"https://{one.name}.{one.cluster}.example/", "job": "blackbox"}
        self.tell(kind, one.cluster, url, at, lasts, is_root)

    def fails(self, one: Service, at: float, lasts: float, hops: int = 2, share: float = 0.7) -> None:
        """A service's requests fail, and those of some that call it."""
        self.on_service("errors", one, at, lasts)
        if self.rng.random() < 0.5:
            self.on_service("slow", one, at + self.rng.uniform(0, 30), lasts)
        if one.namespace == "edge" and self.rng.random() < 0.5:
            self.on_url("probe", one, at + 20, lasts)
        for caller in self.callers(one) if hops else []:
            if self.rng.random() < share:
                self.fails(caller, at + self.rng.uniform(10, 70), lasts, hops - 1, share * 0.7)

    def slows(self, one: Service, at: float, lasts: float, hops: int = 1) -> None:
        self.on_service("slow", one, at, lasts)
        for caller in self.callers(one) if hops else []:
            if self.rng.random() < 0.5:
                self.slows(caller, at + self.rng.uniform(10, 70), lasts, hops - 1)

    # -- what comes of it -------------------------------------------------------------------------------------------

    def trace(self) -> list[dict[str, Any]]:
        """The lines in order of arrival."""
        return [line for _, _, line in sorted(self.lines, key=lambda one: one[:2])]

    def map(self) -> dict[str, Any]:
        """What somebody wrote down: a share of everything and of its edges, matched by the labels of this house."""
        rng = random.Random(f"map/{self.known}")

        def some(edges: list[str]) -> list[str]:
            return [edge for edge in edges if rng.random() < self.known]

        def match(cluster: str, rows: list[list[str]]) -> list[list[str]]:
            here = [f'{self.dialect.scope}="{cluster}"'] if self.dialect.scope else []
            return [[*row, *here] for row in rows]

        rows: list[dict[str, Any]] = []
        for c in self.clusters:
            rows += [{"id": f"zone/{c}-{z}"} for z in ZONES]
            rows.append(
                {
                    "id": f"ingress/gate-{c[0]}",
                    "match": match(c, _matches(self.dialect.shared("ingress", f"gate-{c[0]}"))),
                }
            )
        for queue, (c, _) in self.queues.items():
            rows.append({"id": f"queue/{queue}", "match": match(c, _matches(self.dialect.shared("rabbitmq", queue)))})
        for host, (c, z) in self.hosts.items():
            rows.append(
                {
                    "id": f"host/{host}",
                    "part_of": some([f"zone/{c}-{z}"]),
                    "match": match(c, self.dialect.match_host(host)),
                }
            )
        for store, (_, c, host) in self.stores.items():
            rows.append(
                {
                    "id": f"db/{store}",
                    "runs_on": some([f"host/{host}"]),
                    "match": match(c, self.dialect.match_store(store)),
                }
            )
        for one in self.services:
            needs = ["service/" + "/".join(two) for two in self.calls[one]] + [
                f"db/{store}" for store in self.uses[one]
            ]
            needs += [f"queue/{queue}" for queue, (_, consumers) in self.queues.items() if one in consumers]
            needs += [f"ingress/gate-{one.cluster[0]}"] if one.namespace == "edge" else []
            probed = [[f'instance="https://{one.name}.{one.cluster}.example/"']]
            rows.append({"id": "service/" + "/".join(one), "depends_on": some(needs),
                         "runs_on": some([f"host/{host}" for host in self.runs[one]]),
                         "match": match(one.cluster, self.dialect.match_service(one)) + probed})  # fmt: skip
        return {"entities": [row for row in rows if rng.random() < self.known]}


def _matches(labels: Labels) -> list[list[str]]:
    return [[f'{name}="{value}"' for name, value in labels.items() if name != "env"]]
