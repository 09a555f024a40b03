"""A small world that breaks: services on hosts in racks, faults half an hour apart, and the alerts that they cause."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

from imd.model.rule import Matcher, Op
from imd.model.topology import Entity, Topology

SERVICES, HOSTS, RACKS, FAULTS = 30, 12, 3, 12


@dataclass(frozen=True)
class Told:
    """One alert: when it began, its labels, and the fault behind it."""

    id: str
    began: float
    labels: dict[str, str]
    fault: str


def _on(label: str, value: str) -> tuple[tuple[Matcher, ...], ...]:
    return ((Matcher(label, Op.EQUAL, value),),)


def outages(seed: int) -> tuple[Topology, list[Told]]:
    """The map, and the alerts in order of their beginning."""
    rng = random.Random(seed)
    hosts = {f"n{n}": f"r{n % RACKS}" for n in range(HOSTS)}
    calls = {n: rng.sample(range(n + 1, SERVICES), min(2, SERVICES - n - 1)) for n in range(SERVICES)}
    homes = {n: rng.choice(sorted(hosts)) for n in range(SERVICES)}
    entities = [Entity(id=f"host/{host}", match=_on("node", host), part_of=(f"rack/{hosts[host]}",)) for host in hosts]
    entities += [
        Entity(
            id=f"service/s{n}",
            match=_on("service", f"s{n}"),
            depends_on=tuple(f"service/s{called}" for called in calls[n]),
            runs_on=(f"host/{homes[n]}",),
        )
        for n in range(SERVICES)
    ]
    alerts: list[Told] = []

    def tell(began: float, name: str, fault: str, **labels: str) -> None:
        told = {"alertname": name, "severity": "warning", "cluster": "c1", **labels}
        alerts.append(Told(f"a{len(alerts)}", began, told, fault))

    def suffer(began: float, service: int, fault: str, hops: int) -> None:
        tell(began, "HighErrorRate", fault, service=f"s{service}")
        for caller in [n for n in range(SERVICES) if service in calls[n]]:
            if hops and rng.random() < 0.7:
                suffer(began + rng.uniform(15, 45), caller, fault, hops - 1)

    for number in range(FAULTS):
        at, fault = number * 1800.0, f"fault-{number}"
        if rng.random() < 0.5:
            host = rng.choice(sorted(hosts))
            tell(at, "NodeDown", fault, node=host)
            for service in [n for n in range(SERVICES) if homes[n] == host]:
                suffer(at + rng.uniform(5, 40), service, fault, 1)
        else:
            service = rng.randrange(SERVICES // 2, SERVICES)
            tell(at, "PodCrashLooping", fault, service=f"s{service}")
            suffer(at + rng.uniform(5, 30), service, fault, 2)
    return Topology(entities=tuple(entities)), sorted(alerts, key=lambda told: told.began)


def agreement(one: dict[str, str], other: dict[str, str]) -> float:
    """B-cubed F1 of two partitions of the same alerts."""
    both = Counter((one[key], other[key]) for key in one)
    ones, others = Counter(one.values()), Counter(other[key] for key in one)
    precision = sum(count * count / others[pair[1]] for pair, count in both.items()) / len(one)
    recall = sum(count * count / ones[pair[0]] for pair, count in both.items()) / len(one)
    return 2 * precision * recall / (precision + recall)
