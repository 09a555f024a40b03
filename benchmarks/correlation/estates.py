"""Estates that differ in all that people may choose: labels, names, maps, `for:` times, density and bursts of noise.

    python -m benchmarks.correlation.estates --seed 3 --out trace.jsonl --topology map.json

Owns a trace maker for kinds of faults that neither the generator beside this nor `sites` has; the lines have the shape
that the scorer reads. A seed draws one habit of labels and one of names (`dialects`), how much is on the map (from
nothing to nearly all), how long rules wait, how often something breaks, and how noise comes: alone, and in bursts that
have no common cause. It was written before the rules were tried on it; seeds from 100 on are to be looked at once, at
the end. Same seed, same bytes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.correlation.worlds import NAMES, START, ZONES, World

HOURS = 12.0

Happens = Callable[[float, float], None]
Fault = Callable[[], tuple[str, Happens]]
"""Draws what is at fault, and says what it does from an instant on for so many seconds."""

BLIPS = (
    "host_cpu", "host_memory", "host_unit", "host_clock", "errors", "slow", "pod_restarts", "scaled_out", "job_failed",
    "expiring", "backup", "throttled", "quota", "reboot", "store_slow", "consumer", "host_network", "pod_pending",
)  # fmt: skip
"""What comes and goes with nothing behind it that concerns anybody else."""


class Estate(World):
    """What happens on one. `faults` says what was behind the lines."""

    blips: tuple[str, ...] = BLIPS

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.faults: list[dict[str, Any]] = []
        self._happen()

    # -- faults: each says what was at fault ------------------------------------------------------------------------

    def queue_backlog(self) -> tuple[str, Happens]:
        name = self.rng.choice(sorted(self.queues))
        cluster, consumers = self.queues[name]

        def happens(at: float, lasts: float) -> None:
            self.on_shared("queue", cluster, "rabbitmq", name, at, lasts, True)
            for one in consumers:
                if self.rng.random() < 0.8:
                    self.on_service("consumer", one, at + self.rng.uniform(30, 120), lasts)
                if self.rng.random() < 0.5:
                    self.on_service("stale", one, at + self.rng.uniform(120, 400), lasts)
            for one in self.rng.sample(self.callers(consumers[0]) or consumers, 1):
                self.on_service("errors", one, at + self.rng.uniform(200, 500), lasts - 300)

        return f"queue/{name}", happens

    def ingress_certificate(self) -> tuple[str, Happens]:
        cluster = self.rng.choice(self.clusters)

        def happens(at: float, lasts: float) -> None:
            self.on_shared("handshakes", cluster, "ingress", f"gate-{cluster[0]}", at, lasts, True)
            for one in self.services_of(cluster, "edge"):
                if self.rng.random() < 0.8:
                    self.on_url("certificate", one, at + self.rng.uniform(0, 60), lasts, True)
                if self.rng.random() < 0.8:
                    self.on_url("probe", one, at + self.rng.uniform(0, 60), lasts)
                if self.rng.random() < 0.3:
                    self.on_service("budget", one, at + self.rng.uniform(60, 200), lasts)

        return f"ingress/gate-{cluster[0]}", happens

    def clocks_drift(self) -> tuple[str, Happens]:
        cluster, zone = self.rng.choice(self.clusters), self.rng.choice(ZONES)

        def happens(at: float, lasts: float) -> None:
            hosts = self.hosts_of(cluster, zone)
            for host in hosts:
                self.on_host("host_clock", host, at + self.rng.uniform(0, 120), lasts, True)
            for store, (_, _, host) in self.stores.items():
                if host in hosts:
                    self.on_store("store_lag", store, at + self.rng.uniform(100, 300), lasts)
            for one in self.services_of(cluster):
                if set(self.runs[one]) & set(hosts) and self.rng.random() < 0.15:
                    self.on_service("errors", one, at + self.rng.uniform(100, 300), lasts)

        return f"zone/{cluster}-{zone}", happens

    def pool_exhausted(self) -> tuple[str, Happens]:
        one = self.rng.choice([s for s in self.services if self.uses[s]])

        def happens(at: float, lasts: float) -> None:
            self.on_service("pool", one, at, lasts, True)
            self.on_store("store_full", self.uses[one][0], at + self.rng.uniform(0, 60), lasts)
            self.on_service("slow", one, at + 20, lasts, True)
            self.fails(one, at + 60, lasts)
            for other in self.users(self.uses[one][0]):
                if other != one and self.rng.random() < 0.4:
                    self.fails(other, at + self.rng.uniform(60, 150), lasts, 0)

        return "service/" + "/".join(one), happens

    def config_push(self) -> tuple[str, Happens]:
        name = self.rng.choice(NAMES)

        def happens(at: float, lasts: float) -> None:
            for number, one in enumerate(s for s in self.services if s.name == name):
                begins = at + number * self.rng.uniform(30, 150)
                if self.rng.random() < 0.6:
                    self.on_service("config", one, begins, lasts, True)
                for replica in range(3):
                    self.on_replica("pod_restarts", one, replica, begins + 15 * replica, lasts, True)
                self.on_service("replicas_short", one, begins + 30, lasts, True)
                self.fails(one, begins + 40, lasts)

        return f"app/{name}", happens

    def kernel_oom(self) -> tuple[str, Happens]:
        host = self.rng.choice(sorted(self.hosts))

        def happens(at: float, lasts: float) -> None:
            self.on_host("host_memory", host, at - 120, lasts, True)
            self.on_host("host_oom", host, at, lasts, True)
            for one in self.services:
                for number, where in enumerate(self.runs[one]):
                    if where == host and self.rng.random() < 0.5:
                        self.on_replica("pod_restarts", one, number, at + self.rng.uniform(5, 60), lasts)
                        if self.rng.random() < 0.4:
                            self.fails(one, at + self.rng.uniform(10, 60), lasts, 1, 0.4)

        return f"host/{host}", happens

    def zone_api(self) -> tuple[str, Happens]:
        cluster, zone = self.rng.choice(self.clusters), self.rng.choice(ZONES)

        def happens(at: float, lasts: float) -> None:
            self.on_shared("zone_api", cluster, "provider", f"{cluster}-{zone}", at, lasts, True)
            for one in self.services_of(cluster):
                if self.rng.random() < 0.25:
                    self.on_replica("pod_pending", one, self.rng.randrange(3), at + self.rng.uniform(20, 200), lasts)
                    if self.rng.random() < 0.5:
                        self.on_service("replicas_short", one, at + self.rng.uniform(20, 200), lasts)
            for store in [d for d, (_, c, h) in self.stores.items() if c == cluster and self.hosts[h][1] == zone]:
                self.on_store("attach", store, at + self.rng.uniform(20, 120), lasts)

        return f"zone/{cluster}-{zone}", happens

    def retry_storm(self) -> tuple[str, Happens]:
        one = self.rng.choice([s for s in self.services if s.namespace == "base"])

        def happens(at: float, lasts: float) -> None:
            self.on_service("slow", one, at, lasts, True)
            self.on_service("errors", one, at + 40, lasts, True)
            self.on_service("scaled_out", one, at + 60, lasts, True)
            for store in self.uses[one]:
                self.on_store("store_full", store, at + self.rng.uniform(40, 120), lasts)
                self.on_store("store_slow", store, at + self.rng.uniform(40, 120), lasts)
            for caller in self.callers(one):
                self.fails(caller, at + self.rng.uniform(20, 60), lasts, 1, 0.8)
                if self.rng.random() < 0.5:
                    self.on_service("scaled_out", caller, at + self.rng.uniform(40, 120), lasts)
                for sibling in self.calls[caller]:
                    if sibling != one and self.rng.random() < 0.5:
                        self.on_service("slow", sibling, at + self.rng.uniform(60, 180), lasts)

        return "service/" + "/".join(one), happens

    def split_brain(self) -> tuple[str, Happens]:
        store = self.rng.choice([d for d, (kind, _, _) in self.stores.items() if kind != "redis"])

        def happens(at: float, lasts: float) -> None:
            self.on_store("store_split", store, at, lasts, True)
            self.on_store("store_lag", store, at + self.rng.uniform(0, 60), lasts, True)
            for one in self.users(store):
                if self.rng.random() < 0.8:
                    self.fails(one, at + self.rng.uniform(5, 90), lasts, 1, 0.5)

        return f"db/{store}", happens

    def zones_parted(self) -> tuple[str, Happens]:
        cluster, zone = self.rng.choice(self.clusters), self.rng.choice(ZONES)

        def happens(at: float, lasts: float) -> None:
            hosts = self.hosts_of(cluster, zone)
            for host in hosts:
                self.on_host("target_gone", host, at + self.rng.uniform(0, 30), lasts, True)
                if self.rng.random() < 0.6:
                    self.on_host("host_network", host, at + self.rng.uniform(0, 60), lasts, True)
                if self.rng.random() < 0.3:
                    self.on_host("host_gone", host, at + self.rng.uniform(0, 40), lasts, True)
            self.on_shared("leader", cluster, "etcd", f"etcd-{cluster[0]}", at + self.rng.uniform(5, 60), lasts)
            for store, (_, c, host) in self.stores.items():
                if c == cluster and (host in hosts or self.rng.random() < 0.2):
                    self.on_store("store_lag", store, at + self.rng.uniform(20, 90), lasts)
            for one in self.services_of(cluster):
                if set(self.runs[one]) & set(hosts):
                    if self.rng.random() < 0.4:
                        self.on_replica("pod_unready", one, 0, at + self.rng.uniform(20, 90), lasts)
                    if self.rng.random() < 0.3:
                        self.fails(one, at + self.rng.uniform(5, 90), lasts, 0)

        return f"zone/{cluster}-{zone}", happens

    def autoscaler_thrash(self) -> tuple[str, Happens]:
        one = self.rng.choice(self.services)

        def happens(at: float, lasts: float) -> None:
            self.on_service("scaled_out", one, at, lasts, True)
            again = at
            while again < at + lasts:
                for replica in range(3):
                    if self.rng.random() < 0.5:
                        self.on_replica("pod_unready", one, replica, again, 60 + 700 * self.pending, True)
                self.on_service("slow", one, again + 20, 120 + 150 * self.pending, True)
                again += self.rng.uniform(300, 700)

        return "service/" + "/".join(one), happens

    def batch_overrun(self) -> tuple[str, Happens]:
        store = self.rng.choice(sorted(self.stores))
        cluster, host = self.stores[store][1:]

        def happens(at: float, lasts: float) -> None:
            self.on_store("store_slow", store, at, lasts, True)
            self.on_host("host_io", host, at + self.rng.uniform(0, 60), lasts)
            self.on_shared("job", cluster, "batch", f"nightly-{store}", at + 120, lasts)
            for one in self.users(store):
                if self.rng.random() < 0.6:
                    self.slows(one, at + self.rng.uniform(20, 120), lasts)

        return f"db/{store}", happens

    def partner_fails(self) -> tuple[str, Happens]:
        partner = self.rng.choice(sorted(self.partners))

        def happens(at: float, lasts: float) -> None:
            for one in self.partners[partner]:
                if self.rng.random() < 0.8:
                    self.on_service("third", one, at + self.rng.uniform(0, 40), lasts, True)
                    self.on_service("errors", one, at + self.rng.uniform(10, 60), lasts)

        return f"partner/{partner}", happens

    def one_service(self) -> tuple[str, Happens]:
        one = self.rng.choice(self.services)

        def happens(at: float, lasts: float) -> None:
            self.on_service("errors", one, at, lasts, True)
            self.on_service("slow", one, at + self.rng.uniform(0, 120), lasts, True)
            if self.rng.random() < 0.5:
                self.on_replica("pod_restarts", one, self.rng.randrange(3), at + self.rng.uniform(0, 120), lasts, True)

        return "service/" + "/".join(one), happens

    def one_host(self) -> tuple[str, Happens]:
        host = self.rng.choice(sorted(self.hosts))

        def happens(at: float, lasts: float) -> None:
            self.on_host("host_gone", host, at, lasts, True)
            self.on_host("target_gone", host, at + self.rng.uniform(0, 30), lasts, True)
            for one in self.services:
                for number, where in enumerate(self.runs[one]):
                    if where == host and self.rng.random() < 0.7:
                        self.on_replica("pod_unready", one, number, at + self.rng.uniform(10, 60), lasts)
            for store, (_, _, where) in self.stores.items():
                if where == host:
                    self.on_store("store_down", store, at + self.rng.uniform(5, 20), lasts)
                    for one in self.users(store):
                        self.fails(one, at + self.rng.uniform(10, 60), lasts, 1, 0.5)

        return f"host/{host}", happens

    # -- the whole --------------------------------------------------------------------------------------------------

    def _happen(self) -> None:
        rng, at, end = self.rng, START + 1800, START + HOURS * 3600
        kinds = self.kinds()
        while at < end - 3600:
            kind = rng.choice(kinds)
            root, happens = kind()
            self.now = (f"estate-{len(self.faults):03d}", root)
            before = len(self.lines)
            happens(at, rng.uniform(20, 70) * 60)
            if len(self.lines) > before:
                fault = {"truth_incident": self.now[0], "fault": kind.__name__, "root_cause": root}
                self.faults.append(fault)
            at += rng.uniform(0, 240) if rng.random() < 0.2 else rng.expovariate(1 / (self.gap * 60))
        self.now = (None, None)
        for at in self._noise(end):
            self._blip(at)

    def kinds(self) -> Sequence[Fault]:
        """What may happen, each as likely."""
        return (
            self.queue_backlog, self.ingress_certificate, self.clocks_drift, self.pool_exhausted, self.config_push,
            self.kernel_oom, self.zone_api, self.retry_storm, self.split_brain, self.zones_parted,
            self.autoscaler_thrash, self.batch_overrun, self.partner_fails, self.one_service, self.one_service,
            self.one_host,
        )  # fmt: skip

    def _noise(self, end: float) -> Iterator[float]:
        """Instants: a share of them in bursts of three to eight within two minutes."""
        left = int(self.noise * HOURS)
        while left > 0:
            at = self.rng.uniform(START, end)
            count = self.rng.randint(3, 8) if self.rng.random() < self.bursts / 4 else 1
            yield from (at + self.rng.uniform(0, 120) * (count > 1) for _ in range(count))
            left -= count

    def _blip(self, at: float) -> None:
        kind = self.rng.choice(self.blips)
        lasts = self.conditions[kind].pending * self.pending + self.rng.uniform(90, 1500)
        if kind.startswith("host_") or kind == "reboot":
            self.on_host(kind, self.rng.choice(sorted(self.hosts)), at, lasts)
        elif kind.startswith("pod_") or kind == "throttled":
            self.on_replica(kind, self.rng.choice(self.services), self.rng.randrange(3), at, lasts)
        elif kind.startswith("store_"):
            self.on_store(kind, self.rng.choice(sorted(self.stores)), at, lasts)
        elif kind == "expiring":
            self.on_url(kind, self.rng.choice(self.services), at, lasts)
        else:
            self.on_service(kind, self.rng.choice(self.services), at, lasts)


def write(folder: Path, estate: Estate) -> list[dict[str, Any]]:
    """trace.jsonl, topology.json and for.yaml, the rules as a Prometheus would have them; returns the faults."""
    (folder / "trace.jsonl").write_text("".join(json.dumps(line, sort_keys=True) + "\n" for line in estate.trace()))
    (folder / "topology.json").write_text(json.dumps(estate.map(), sort_keys=True))
    rules = [{"alert": kind.names[estate.habit], "expr": "vector(1)", "for": f"{round(kind.pending * estate.pending)}s",
              "labels": {"severity": kind.severity}} for kind in estate.conditions.values()]  # fmt: skip
    (folder / "for.yaml").write_text(json.dumps({"groups": [{"name": "estate", "rules": rules}]}))
    return estate.faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--topology", type=Path, required=True)
    arguments = parser.parse_args()
    estate = Estate(arguments.seed)
    arguments.out.write_text("".join(json.dumps(line, sort_keys=True) + "\n" for line in estate.trace()))
    arguments.topology.write_text(json.dumps(estate.map(), sort_keys=True))


if __name__ == "__main__":
    main()
