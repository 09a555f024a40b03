"""Outages of kinds that the generator beside this does not have, on sites that are not like its world; our own.

    python -m benchmarks.correlation.sites --seed 3 --out trace.jsonl --topology map.json

Owns a small trace maker, whose lines have the shape that the scorer reads. What is otherwise than in the generator: two
clusters run services of the same names in the same namespaces; the map knows only `known` of the services and edges;
faults are an hour's affair with one every `gap` minutes; what is noise there is none here. Kinds: the DNS of a
cluster fails, a certificate runs out, a zone is lost, a neighbour takes a host's processor, a release goes bad pod by
pod, a broker dies, a volume fills. Same seed, same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

CLUSTERS = ("blue", "green")
NAMES = (
    "basket", "billing", "bonus", "claims", "docs", "fleet", "forms", "geo", "hours", "jobs", "labels", "maps", "news",
    "offers", "parts", "plans", "points", "portal", "quotes", "reports", "seats", "staff", "stores", "tours",
)  # fmt: skip
NAMESPACES = ("front", "middle", "back")
ZONES = ("a", "b", "c")
HOSTS = 18
START = 1767225600.0
NOISE = (
    ("PrometheusDuplicateTimestamps", "warning"), ("EtcdDatabaseHighFragmentationRatio", "warning"),
    ("KubeQuotaAlmostFull", "info"), ("NodeNetworkReceiveErrs", "warning"), ("HostSwapIsFillingUp", "warning"),
    ("KubeContainerWaiting", "warning"), ("PostgresqlTooManyDeadTuples", "warning"), ("HostRequiresReboot", "info"),
    ("BlackboxSslCertificateWillExpireSoon", "warning"), ("CronBackupLate", "warning"), ("ReportTooOld", "warning"),
)  # fmt: skip

Labels = dict[str, str]


class Site:
    """One made-up site and what happens on it."""

    def __init__(self, seed: int, hours: float, gap: float, noise: float, known: float) -> None:
        self.rng = random.Random(f"site/{seed}")
        self.hours, self.gap, self.noise, self.known = hours, gap, noise, known
        self.lines: list[tuple[float, int, dict[str, Any]]] = []
        self.faults: list[dict[str, Any]] = []
        self.busy: dict[str, float] = {}
        self.hosts = {f"{c}-w{n:02d}": (c, ZONES[n % len(ZONES)]) for c in CLUSTERS for n in range(HOSTS)}
        self.services = [(c, NAMESPACES[n % 3], name) for c in CLUSTERS for n, name in enumerate(NAMES)]
        self.runs = {
            one: self.rng.sample([h for h in self.hosts if self.hosts[h][0] == one[0]], 3) for one in self.services
        }
        self.calls: dict[tuple[str, str, str], list[tuple[str, str, str]]] = {}
        for one in self.services:
            deeper = [
                two for two in self.services if two[0] == one[0] and NAMESPACES.index(two[1]) > NAMESPACES.index(one[1])
            ]
            self.calls[one] = self.rng.sample(deeper, min(2, len(deeper)))
        self.brokers = {c: [one for one in self.services if one[0] == c and self.rng.random() < 0.25] for c in CLUSTERS}

    # -- what is told -----------------------------------------------------------------------------------------------

    def tell(self, at: float, lasts: float, name: str, severity: str, labels: Labels, fault: str | None = None,
             root: str = "", is_root: bool = False) -> None:  # fmt: skip
        """One alert from its beginning to its end; an alert that fires already is not told twice."""
        told = {"alertname": name, "severity": severity, **labels}
        key = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]
        at += self.rng.uniform(0, 30)
        if self.busy.get(key, 0.0) > at - 60:
            return
        self.busy[key] = at + lasts
        number = len(self.lines)
        base = {"id": f"{key}-{number}", "labels": told, "source": "site", "truth_incident": fault,
                "truth_root_cause": root or None, "truth_is_root": is_root, "starts_at": round(at, 3),
                "annotations": {"summary": f"{name}", "sim_id": f"{key}-{number}"}}  # fmt: skip
        for ts, kind, status in ((at, "new", "firing"), (at + lasts, "resolved", "resolved")):
            arrives = round(ts + self.rng.uniform(0.05, 3), 3)
            self.lines.append((arrives, len(self.lines), base | {"ts": arrives, "kind": kind, "status": status}))

    def errors(self, at: float, lasts: float, one: tuple[str, str, str], fault: str, root: str, hops: int = 1) -> None:
        """A service fails, and at times what calls it."""
        cluster, namespace, name = one
        where = {"cluster": cluster, "namespace": namespace, "service": name}
        kind = self.rng.choice(("ApiErrorRateHigh", "HttpRequestsFailing", "NginxHighHttp5xxErrorRate"))
        self.tell(at, lasts, kind, "critical", where, fault, root)
        if self.rng.random() < 0.4:
            self.tell(at + 20, lasts, "ApiLatencyHigh", "warning", where, fault, root)
        for caller in [two for two in self.services if one in self.calls[two]] if hops else []:
            if self.rng.random() < 0.6:
                self.errors(at + self.rng.uniform(20, 60), lasts, caller, fault, root, hops - 1)

    # -- faults -----------------------------------------------------------------------------------------------------

    def dns_outage(self, at: float, lasts: float, fault: str) -> str:
        cluster = self.rng.choice(CLUSTERS)
        root, where = f"dns/{cluster}", {"cluster": cluster, "namespace": "kube-system", "job": "kube-dns"}
        self.tell(at, lasts, "CoreDNSErrorsHigh", "critical", where, fault, root, True)
        self.tell(at + 60, lasts, "CoreDNSDown", "critical", where, fault, root, True)
        for one in self.services:
            if one[0] == cluster and self.rng.random() < 0.5:
                self.errors(at + self.rng.uniform(5, 60), lasts, one, fault, root, 0)
        return root

    def certificate(self, at: float, lasts: float, fault: str) -> str:
        one = self.rng.choice([two for two in self.services if two[1] == "front"])
        root, url = "service/" + "/".join(one), f"https://{one[2]}.{one[0]}.example/"
        probed = {"cluster": one[0], "job": "blackbox", "instance": url}
        self.tell(at, lasts, "BlackboxSslCertificateExpired", "critical", probed, fault, root, True)
        self.tell(at + 20, lasts, "BlackboxProbeFailed", "critical", probed, fault, root, True)
        self.errors(at + 30, lasts, one, fault, root, 0)
        return root

    def zone_loss(self, at: float, lasts: float, fault: str) -> str:
        cluster, zone = self.rng.choice(CLUSTERS), self.rng.choice(ZONES)
        root = f"zone/{cluster}-{zone}"
        for host in [h for h, home in self.hosts.items() if home == (cluster, zone)]:
            node = {"cluster": cluster, "node": host, "job": "kube-state-metrics"}
            self.tell(at + self.rng.uniform(0, 40), lasts, "KubeNodeNotReady", "warning", node, fault, root, True)
            exporter = {"cluster": cluster, "instance": f"{host}:9100", "job": "node-exporter"}
            self.tell(at + self.rng.uniform(0, 40), lasts, "TargetDown", "warning", exporter, fault, root, True)
            for one in [two for two in self.services if host in self.runs[two]]:
                self.pod(at + self.rng.uniform(20, 90), lasts, "KubePodNotReady", one, fault, root)
                if self.rng.random() < 0.2:
                    self.errors(at + self.rng.uniform(20, 80), lasts, one, fault, root, 0)
        return root

    def noisy_neighbour(self, at: float, lasts: float, fault: str) -> str:
        host = self.rng.choice(sorted(self.hosts))
        root, where = (
            f"host/{host}",
            {"cluster": self.hosts[host][0], "instance": f"{host}:9100", "job": "node-exporter"},
        )
        self.tell(at, lasts, "HostCpuStealNoisyNeighbor", "warning", where, fault, root, True)
        self.tell(at + 60, lasts, "HostHighCpuLoad", "warning", where, fault, root, True)
        for cluster, namespace, name in [one for one in self.services if host in self.runs[one]]:
            if self.rng.random() < 0.7:
                labels = {"cluster": cluster, "namespace": namespace, "service": name}
                self.tell(at + self.rng.uniform(20, 120), lasts, "ApiLatencyHigh", "warning", labels, fault, root)
        return root

    def bad_release(self, at: float, lasts: float, fault: str) -> str:
        one = self.rng.choice([two for two in self.services if two[1] != "front"])
        root = "service/" + "/".join(one)
        for number in range(3):
            self.pod(at + 90 * number, lasts, "KubePodCrashLooping", one, fault, root, is_root=True)
        rollout = {"cluster": one[0], "namespace": one[1], "deployment": one[2], "job": "kube-state-metrics"}
        self.tell(at + 240, lasts, "KubeDeploymentRolloutStuck", "warning", rollout, fault, root, True)
        self.errors(at + 30, lasts, one, fault, root, 2)
        return root

    def broker_death(self, at: float, lasts: float, fault: str) -> str:
        cluster = self.rng.choice(CLUSTERS)
        root = f"broker/{cluster}"
        where = {"cluster": cluster, "namespace": "queues", "job": "rabbitmq", "instance": f"rabbit.{cluster}:15692"}
        self.tell(at, lasts, "RabbitmqNodeDown", "critical", where, fault, root, True)
        self.tell(
            at + 30, lasts, "RabbitmqTooManyReadyMessages", "warning", where | {"queue": "events"}, fault, root, True
        )
        for one in self.brokers[cluster]:
            self.errors(at + self.rng.uniform(10, 60), lasts, one, fault, root)
        return root

    def volume_full(self, at: float, lasts: float, fault: str) -> str:
        one = self.rng.choice([two for two in self.services if two[1] == "back"])
        root = "service/" + "/".join(one)
        claim = {"cluster": one[0], "namespace": one[1], "persistentvolumeclaim": f"data-{one[2]}-0"}
        self.tell(at - 300, lasts + 300, "KubePersistentVolumeFillingUp", "critical", claim, fault, root, True)
        self.pod(at, lasts, "KubePodCrashLooping", one, fault, root, is_root=True)
        self.errors(at + 20, lasts, one, fault, root)
        return root

    def pod(self, at: float, lasts: float, name: str, one: tuple[str, str, str], fault: str, root: str, *,
            is_root: bool = False) -> None:  # fmt: skip
        tail = "".join(self.rng.choices("bcdfghjklmnpqrstvwxz", k=5))
        labels = {
            "cluster": one[0],
            "namespace": one[1],
            "pod": f"{one[2]}-7d9c5b6f4d-{tail}",
            "job": "kube-state-metrics",
        }
        self.tell(at, lasts, name, "warning", labels, fault, root, is_root)

    # -- the whole --------------------------------------------------------------------------------------------------

    def run(self) -> list[dict[str, Any]]:
        """The lines in order of arrival; `faults` says what was behind them."""
        kinds: tuple[Callable[[float, float, str], str], ...] = (
            self.dns_outage, self.certificate, self.zone_loss, self.noisy_neighbour, self.bad_release,
            self.broker_death, self.volume_full,
        )  # fmt: skip
        at, end = START + 1200, START + self.hours * 3600
        while at < end - 3600:
            fault, kind = f"own-{len(self.faults):03d}", self.rng.choice(kinds)
            root = kind(at, self.rng.uniform(15, 60) * 60, fault)
            self.faults.append({"truth_incident": fault, "fault": kind.__name__, "root_cause": root})
            at += self.rng.expovariate(1 / (self.gap * 60))
        for _ in range(int(self.noise * self.hours)):
            name, severity = self.rng.choice(NOISE)
            host, one = self.rng.choice(sorted(self.hosts)), self.rng.choice(self.services)
            labels = (
                {"cluster": self.hosts[host][0], "instance": f"{host}:9100", "job": "node-exporter"}
                if name.startswith(("Node", "Host"))
                else {"cluster": one[0], "namespace": one[1], "service": one[2]}
            )
            self.tell(self.rng.uniform(START, end), self.rng.uniform(120, 3000), name, severity, labels)
        return [line for _, _, line in sorted(self.lines, key=lambda one: one[:2])]

    def map(self) -> dict[str, Any]:
        """What somebody wrote down of the site: a share of services, dependencies and zones, and brokers."""
        rng = random.Random("map")
        rows: list[dict[str, Any]] = [{"id": f"zone/{c}-{zone}"} for c in CLUSTERS for zone in ZONES]
        rows += [{"id": f"broker/{c}", "match": [['job="rabbitmq"', f'cluster="{c}"']]} for c in CLUSTERS]
        for host, (cluster, zone) in self.hosts.items():
            part_of = [f"zone/{cluster}-{zone}"] if rng.random() < self.known else []
            rows.append({"id": f"host/{host}", "part_of": part_of,
                         "match": [[f'node="{host}"'], [f'instance="{host}:9100"']]})  # fmt: skip
        for one in self.services:
            if rng.random() >= self.known:
                continue
            needs = ["service/" + "/".join(two) for two in self.calls[one] if rng.random() < self.known]
            needs += [f"broker/{one[0]}"] if one in self.brokers[one[0]] and rng.random() < self.known else []
            here = [f'cluster="{one[0]}"', f'namespace="{one[1]}"']
            named = [[*here, f'{label}="{one[2]}"'] for label in ("service", "deployment", "workload")]
            probed = [f'instance="https://{one[2]}.{one[0]}.example/"']
            rows.append({"id": "service/" + "/".join(one), "depends_on": needs, "match": [*named, probed]})
        return {"entities": rows}


def write(folder: Path, seed: int, *, hours: float, gap: float, noise: float, known: float) -> list[dict[str, Any]]:
    """trace.jsonl and topology.json; returns the faults."""
    site = Site(seed, hours, gap, noise, known)
    lines = site.run()
    (folder / "trace.jsonl").write_text("".join(json.dumps(line, sort_keys=True) + "\n" for line in lines))
    (folder / "topology.json").write_text(json.dumps(site.map(), sort_keys=True))
    return site.faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--topology", type=Path, required=True)
    arguments = parser.parse_args()
    site = Site(arguments.seed, 12, 20, 20, 0.6)
    arguments.out.write_text("".join(json.dumps(line, sort_keys=True) + "\n" for line in site.run()))
    arguments.topology.write_text(json.dumps(site.map(), sort_keys=True))


if __name__ == "__main__":
    main()
