"""How people label and name their alerts: seven habits of labels, four of names, for `benchmarks.correlation.estates`.

Owns both tables. A dialect says which labels an alert on a host, a replica, a service, a database or something shared
carries, and what somebody who draws a map matches for each. Names are public ones, or such as houses give to their own.
"""

# ruff: noqa: E501  (tables read best a row a line)
from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple

Labels = dict[str, str]
Matches = list[list[str]]


class Service(NamedTuple):
    cluster: str
    namespace: str
    name: str


class Dialect(NamedTuple):
    """`scope`: the label that names the cluster or site, "" where none does. Every function gives labels without scope."""

    name: str
    scope: str
    host: Callable[[str], Labels]
    replica: Callable[[Service, int, str], Labels]
    service: Callable[[Service, str], Labels]
    store: Callable[[str, str, str], Labels]
    shared: Callable[[str, str], Labels]
    match_host: Callable[[str], Matches]
    match_service: Callable[[Service], Matches]
    match_store: Callable[[str], Matches]


def address(name: str) -> str:
    digest = hashlib.sha256(name.encode()).digest()
    return f"10.{digest[0]}.{digest[1]}.{digest[2]}"


def pod(one: Service, number: int) -> str:
    tail = hashlib.sha256(f"{one}/{number}".encode()).hexdigest()
    letters = "".join(
        "bcdfghjklmnpqrstvwxz2456789"[int(two, 16) % 27] for two in (tail[i : i + 2] for i in range(0, 30, 2))
    )
    return f"{one.name}-{letters[:9]}-{letters[9:14]}"


DIALECTS = (
    Dialect(
        "kubernetes", "cluster",
        host=lambda h: {"node": h, "job": "kube-state-metrics"},
        replica=lambda s, n, h: {"namespace": s.namespace, "pod": pod(s, n), "container": s.name, "job": "kube-state-metrics"},
        service=lambda s, h: {"namespace": s.namespace, "service": s.name, "job": s.name},
        store=lambda d, kind, h: {"namespace": "data", "instance": f"{d}:9187", "job": f"{kind}-exporter"},
        shared=lambda kind, name: {"namespace": "infra", "job": kind, "service": name},
        match_host=lambda h: [[f'node="{h}"'], [f'instance="{h}:9100"']],
        match_service=lambda s: [[f'namespace="{s.namespace}"', f'{x}="{s.name}"'] for x in ("service", "container")],
        match_store=lambda d: [[f'instance="{d}:9187"']],
    ),
    Dialect(
        "machines", "",
        host=lambda h: {"instance": f"{h}:9100", "job": "node", "env": "prod"},
        replica=lambda s, n, h: {"instance": f"{h}:8080", "job": s.name, "env": "prod"},
        service=lambda s, h: {"job": s.name, "app": s.name, "env": "prod"},
        store=lambda d, kind, h: {"instance": f"{d}:9187", "job": kind, "env": "prod"},
        shared=lambda kind, name: {"instance": f"{name}:9000", "job": kind, "env": "prod"},
        match_host=lambda h: [[f'instance="{h}:9100"']],
        match_service=lambda s: [[f'job="{s.name}"']],
        match_store=lambda d: [[f'instance="{d}:9187"']],
    ),
    Dialect(
        "recommended", "cluster_name",
        host=lambda h: {"kubernetes_node": h},
        replica=lambda s, n, h: {
            "kubernetes_pod_name": pod(s, n), "kubernetes_namespace": s.namespace, "app_kubernetes_io_name": s.name,
            "kubernetes_node": h,
        },
        service=lambda s, h: {"kubernetes_namespace": s.namespace, "app_kubernetes_io_name": s.name},
        store=lambda d, kind, h: {"app_kubernetes_io_name": kind, "app_kubernetes_io_instance": d},
        shared=lambda kind, name: {"app_kubernetes_io_name": kind, "app_kubernetes_io_instance": name},
        match_host=lambda h: [[f'kubernetes_node="{h}"', 'app_kubernetes_io_name=""']],
        match_service=lambda s: [[f'app_kubernetes_io_name="{s.name}"']],
        match_store=lambda d: [[f'app_kubernetes_io_instance="{d}"']],
    ),
    Dialect(
        "hosts", "datacenter",
        host=lambda h: {"host": h},
        replica=lambda s, n, h: {"host": h, "service": s.name, "container": f"{s.name}_{n}"},
        service=lambda s, h: {"host": h, "service": s.name},
        store=lambda d, kind, h: {"host": h, "db": d, "engine": kind},
        shared=lambda kind, name: {"service": kind, "component": name},
        match_host=lambda h: [[f'host="{h}"', 'service=""', 'db=""']],
        match_service=lambda s: [[f'service="{s.name}"']],
        match_store=lambda d: [[f'db="{d}"']],
    ),
    Dialect(
        "fqdn", "region",
        host=lambda h: {"hostname": f"{h}.prod.example.net"},
        replica=lambda s, n, h: {"hostname": f"{h}.prod.example.net", "service_name": s.name},
        service=lambda s, h: {"service_name": s.name},
        store=lambda d, kind, h: {"database": d, "type": kind},
        shared=lambda kind, name: {"resource": name, "type": kind},
        match_host=lambda h: [[f'hostname="{h}.prod.example.net"', 'service_name=""']],
        match_service=lambda s: [[f'service_name="{s.name}"']],
        match_store=lambda d: [[f'database="{d}"']],
    ),
    Dialect(
        "older", "cluster",
        host=lambda h: {"node_name": h},
        replica=lambda s, n, h: {"pod_name": pod(s, n), "namespace": s.namespace, "node_name": h},
        service=lambda s, h: {"app": s.name, "namespace": s.namespace},
        store=lambda d, kind, h: {"pod_name": f"{d}-0", "app": kind, "namespace": "data"},
        shared=lambda kind, name: {"app": kind, "component": name, "namespace": "infra"},
        match_host=lambda h: [[f'node_name="{h}"', 'pod_name=""']],
        match_service=lambda s: [[f'app="{s.name}"'], [f'pod_name=~"{s.name}-[a-z0-9]+-[a-z0-9]+"']],
        match_store=lambda d: [[f'pod_name="{d}-0"']],
    ),
    Dialect(
        "addresses", "cluster",
        host=lambda h: {"instance": f"{address(h)}:9100", "nodename": h, "job": "node"},
        replica=lambda s, n, h: {"pod": pod(s, n)},
        service=lambda s, h: {"instance": f"{address(s.name + h)}:8080", "job": s.name},
        store=lambda d, kind, h: {"instance": f"{address(d)}:5432", "job": kind, "db_cluster": d},
        shared=lambda kind, name: {"job": kind, "resource": name},
        match_host=lambda h: [[f'nodename="{h}"']],
        match_service=lambda s: [[f'job="{s.name}"'], [f'pod=~"{s.name}-.+"']],
        match_store=lambda d: [[f'db_cluster="{d}"']],
    ),
)  # fmt: skip


class Kind(NamedTuple):
    """One condition that people alert on: its severity, its usual `for:` in seconds, and its name in each habit."""

    severity: str
    pending: int
    names: tuple[str, str, str, str]


KINDS = {
    "host_gone": Kind("critical", 300, ("KubeNodeNotReady", "ServerNotResponding", "host_dead", "Server does not answer")),
    "target_gone": Kind("warning", 600, ("TargetDown", "ExporterSilent", "scrape_failed", "No data from exporter")),
    "host_network": Kind("warning", 120, ("NodeNetworkReceiveErrs", "PacketLossHigh", "nic_drops", "Packet loss on host")),
    "host_cpu": Kind("warning", 600, ("HostHighCpuLoad", "CpuBusy", "cpu_high", "CPU above 90%")),
    "host_memory": Kind("warning", 120, ("HostOutOfMemory", "MemoryExhausted", "mem_low", "Memory almost used up")),
    "host_oom": Kind("warning", 0, ("HostOomKillDetected", "KernelKilledProcess", "oom_kill", "Kernel killed a process")),
    "host_disk": Kind("warning", 900, ("NodeFilesystemAlmostOutOfSpace", "DiskAlmostFull", "disk_90", "Disk is nearly full")),
    "host_io": Kind("warning", 600, ("NodeDiskIOSaturation", "IoWaitHigh", "iowait", "Disk cannot keep up")),
    "host_clock": Kind("warning", 600, ("NodeClockSkewDetected", "NtpOffsetHigh", "clock_drift", "Clock is off")),
    "host_unit": Kind("warning", 300, ("NodeSystemdServiceFailed", "UnitFailed", "unit_failed", "A unit has failed")),
    "pod_restarts": Kind("warning", 600, ("KubePodCrashLooping", "ReplicaKeepsRestarting", "restarts", "Process restarts again and again")),
    "pod_unready": Kind("warning", 600, ("KubePodNotReady", "ReplicaNotReady", "not_ready", "Replica is not ready")),
    "pod_pending": Kind("warning", 600, ("KubeContainerWaiting", "ReplicaNotScheduled", "pod_pending", "Replica cannot be scheduled")),
    "replicas_short": Kind("warning", 600, ("KubeDeploymentReplicasMismatch", "TooFewReplicas", "replicas_low", "Fewer replicas than wanted")),
    "scaled_out": Kind("warning", 600, ("KubeHpaMaxedOut", "AutoscalerAtLimit", "hpa_max", "Cannot scale any further")),
    "errors": Kind("critical", 120, ("IstioHigh5xxErrorRate", "SuccessRatioLow", "5xx_ratio", "Too many requests fail")),
    "slow": Kind("warning", 120, ("IstioHighRequestLatency", "P99AboveObjective", "latency_p99", "Requests take too long")),
    "budget": Kind("critical", 60, ("ErrorBudgetBurn", "SloAtRisk", "burn_rate", "Objective is at risk")),
    "probe": Kind("critical", 60, ("BlackboxProbeFailed", "SyntheticCheckRed", "probe", "Website cannot be reached")),
    "certificate": Kind("critical", 0, ("BlackboxSslCertificateExpired", "TlsNoLongerValid", "tls_expired", "Certificate is no longer valid")),
    "handshakes": Kind("critical", 60, ("EnvoyListenerSslConnectionErrors", "TlsHandshakesBreak", "tls_handshake", "Handshakes break off")),
    "store_down": Kind("critical", 60, ("PostgresqlDown", "DatabaseGone", "db_down", "Database is down")),
    "store_full": Kind("warning", 120, ("PostgresqlTooManyConnections", "ClientsAtLimit", "db_conns", "Database has too many clients")),
    "store_slow": Kind("warning", 300, ("PostgresqlSlowQueries", "QueriesCrawl", "slow_queries", "Queries take too long")),
    "store_lag": Kind("warning", 60, ("PostgresqlReplicationLag", "ReplicaBehind", "repl_lag", "Replica lags behind")),
    "store_split": Kind("critical", 0, ("PostgresqlSplitBrain", "TwoPrimaries", "split_brain", "More than one primary")),
    "pool": Kind("warning", 60, ("PgbouncerErrors", "PoolExhausted", "pool_wait", "No connection left in the pool")),
    "queue": Kind("warning", 300, ("RabbitmqTooManyMessagesInQueue", "BacklogGrows", "queue_depth", "Queue grows")),
    "consumer": Kind("warning", 300, ("KafkaConsumersGroup", "ConsumerFallsBehind", "consumer_lag", "Consumer falls behind")),
    "stale": Kind("warning", 300, ("DataTooOld", "FeedNotFresh", "stale_feed", "Data is out of date")),
    "dns": Kind("critical", 300, ("CoreDNSErrorsHigh", "NamesNotResolved", "dns_servfail", "Names are not resolved")),
    "zone_api": Kind("warning", 300, ("CloudProviderApiErrors", "ProvisioningBroken", "cloud_api", "Provider refuses calls")),
    "attach": Kind("warning", 300, ("KubePersistentVolumeErrors", "VolumeCannotAttach", "attach_failed", "Volume cannot be attached")),
    "gateway": Kind("critical", 60, ("HaproxyHasNoAliveBackends", "GatewayEmpty", "egress_fail", "Gateway has nobody behind it")),
    "third": Kind("critical", 120, ("ExternalDependencyFailing", "PartnerCallsFail", "upstream_ext", "Partner does not answer")),
    "job": Kind("warning", 900, ("KubeJobNotCompleted", "BatchTakesTooLong", "batch_late", "Nightly run is not finished")),
    "job_failed": Kind("warning", 900, ("KubeJobFailed", "BatchFailed", "batch_failed", "A run has failed")),
    "config": Kind("critical", 60, ("ConfigurationReloadFailure", "SettingsRejected", "reload_failed", "New settings were refused")),
    "leader": Kind("warning", 60, ("etcdHighNumberOfLeaderChanges", "LeaderKeepsChanging", "raft_elections", "Leader changes often")),
    "expiring": Kind("warning", 3600, ("BlackboxSslCertificateWillExpireSoon", "TlsEndsSoon", "tls_30d", "Certificate ends within weeks")),
    "backup": Kind("warning", 900, ("VeleroBackupFailed", "NoFreshBackup", "backup_old", "Backup is too old")),
    "throttled": Kind("info", 900, ("CPUThrottlingHigh", "CpuLimitReached", "throttle", "Container is throttled")),
    "quota": Kind("info", 900, ("KubeQuotaAlmostFull", "QuotaNearLimit", "quota", "Quota is nearly used")),
    "reboot": Kind("info", 3600, ("HostRequiresReboot", "RebootPending", "reboot", "Reboot is due")),
}  # fmt: skip
