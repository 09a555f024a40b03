"""Estates on which other things happen, of which other alerts are told, and of which hardly anything is on a map.

    python -m benchmarks.correlation --eval FOLDER --presets colonies --topology --kinds

A check against rules and weights that fit the estates alone: no kind of fault and no name of an alert is taken from
there, and nothing was chosen by what this one scores. Names of the first habit are public ones; same seed, same bytes.
"""

# ruff: noqa: E501  (tables read best a row a line)
from __future__ import annotations

from collections.abc import Sequence

from benchmarks.correlation.dialects import Kind
from benchmarks.correlation.estates import Estate, Fault, Happens

CONDITIONS = {
    "errors": Kind("critical", 120, ("LinkerdHighErrorRate", "CallsGoWrong", "bad_answers", "Checkout answers with 500")),
    "slow": Kind("warning", 120, ("TraefikHighLatency", "AnswersCrawl", "ttfb", "Answers arrive late")),
    "probe": Kind("critical", 60, ("ProbeFailedHttp", "UptimeCheckRed", "http_check", "Page does not load")),
    "store_locks": Kind("warning", 120, ("PostgresqlHighNumberOfLocks", "LocksPileUp", "locks", "Statements wait for locks")),
    "store_dead": Kind("critical", 60, ("RedisDown", "CacheGone", "cache_dead", "Cache does not answer")),
    "store_evicts": Kind("warning", 300, ("RedisEvictingKeys", "CacheEvicts", "evictions", "Cache throws keys out")),
    "store_red": Kind("critical", 0, ("ElasticsearchClusterRed", "SearchIndexRed", "index_red", "Search index is red")),
    "store_heap": Kind("critical", 120, ("ElasticsearchHeapUsageTooHigh", "HeapTight", "heap", "Heap of the index is full")),
    "store_shards": Kind("critical", 0, ("ElasticsearchUnassignedShards", "ShardsHomeless", "shards", "Shards have no home")),
    "replicas_thin": Kind("critical", 120, ("KafkaTopicsReplicas", "TopicUnderReplicated", "isr_shrunk", "Topic has lost copies")),
    "lagging": Kind("warning", 60, ("KafkaLagTooHigh", "ReaderBehind", "group_lag", "Readers do not keep up")),
    "image_pull": Kind("warning", 900, ("KubernetesImagePullBackOff", "ImageCannotBePulled", "image_pull", "Image cannot be fetched")),
    "rollout_stuck": Kind("warning", 900, ("KubeDeploymentRolloutStuck", "RolloutHangs", "rollout", "Rollout does not end")),
    "registry": Kind("critical", 60, ("RegistryUnavailable", "RegistryOut", "registry_5xx", "Registry refuses to serve")),
    "sealed": Kind("critical", 0, ("VaultSealed", "SecretsSealed", "vault_sealed", "Vault is sealed")),
    "no_login": Kind("critical", 60, ("AuthenticationFailuresHigh", "LoginsRefused", "auth_401", "Callers are not let in")),
    "api_errors": Kind("critical", 180, ("KubeAPIErrorBudgetBurn", "ApiServerErrors", "apiserver_5xx", "Control plane answers with errors")),
    "api_clients": Kind("warning", 300, ("KubeClientErrors", "ControllersComplain", "client_errors", "Controllers cannot reach their API")),
    "host_link_down": Kind("warning", 60, ("HostNetworkInterfaceDown", "LinkIsDown", "link_down", "Network link is down")),
    "host_link_flaps": Kind("warning", 120, ("NodeNetworkInterfaceFlapping", "LinkFlaps", "link_flaps", "Network link comes and goes")),
    "surge": Kind("warning", 60, ("IstioHighTotalRequestRate", "TrafficSurge", "rps_high", "Far more requests than usual")),
    "pod_cpu": Kind("warning", 300, ("ContainerHighCpuUtilization", "ReplicaBusy", "container_cpu", "Replica needs all its CPU")),
    "pod_killed": Kind("warning", 0, ("KubernetesContainerOomKiller", "ReplicaKilled", "killed", "Replica was killed")),
    "host_full": Kind("warning", 300, ("HostOutOfInodes", "InodesUsedUp", "inodes", "No inodes left on disk")),
    "host_steal": Kind("warning", 600, ("HostCpuStealNoisyNeighbor", "CpuStolen", "steal", "Neighbours take the CPU")),
    "host_swap": Kind("warning", 120, ("HostSwapIsFillingUp", "SwapInUse", "swap", "Machine swaps")),
    "dead_letters": Kind("warning", 300, ("RabbitmqDeadLetterQueueFillingUp", "DeadLetters", "dlq", "Letters die")),
    "cron_late": Kind("warning", 900, ("KubernetesCronjobTooLong", "CronOverdue", "cron_overdue", "Scheduled run is overdue")),
    "snapshot": Kind("warning", 900, ("ElasticsearchSnapshotTooOld", "SnapshotOld", "snapshot_age", "Snapshot is stale")),
    "drift": Kind("info", 900, ("HostKernelVersionDeviations", "ImageDrift", "drift", "Versions differ")),
}  # fmt: skip


class Colony(Estate):
    """One of them."""

    name = "colony"
    conditions = CONDITIONS
    shares = (0.0, 0.2, 0.5)
    blips = (
        "host_swap", "host_steal", "host_full", "pod_cpu", "pod_killed", "slow", "errors", "cron_late", "snapshot",
        "drift", "dead_letters", "lagging", "store_evicts", "host_link_flaps", "no_login", "surge",
    )  # fmt: skip

    def cache_dies(self) -> tuple[str, Happens]:
        store = self.rng.choice([d for d, (sort, _, _) in self.stores.items() if sort == "redis"])

        def happens(at: float, lasts: float) -> None:
            self.on_store("store_dead", store, at, lasts, True)
            for one in self.users(store):
                self.on_service("slow", one, at + self.rng.uniform(10, 60), lasts)
                if self.rng.random() < 0.6:
                    self.fails(one, at + self.rng.uniform(20, 90), lasts, 1, 0.5)

        return f"db/{store}", happens

    def migration_locks(self) -> tuple[str, Happens]:
        store = self.rng.choice([d for d, (sort, _, _) in self.stores.items() if sort == "postgres"])

        def happens(at: float, lasts: float) -> None:
            self.on_store("store_locks", store, at, lasts, True)
            for one in self.users(store):
                self.on_service("slow", one, at + self.rng.uniform(0, 120), lasts)
                if self.rng.random() < 0.5:
                    self.fails(one, at + self.rng.uniform(30, 150), lasts, 1, 0.6)

        return f"db/{store}", happens

    def index_red(self) -> tuple[str, Happens]:
        store = self.rng.choice([d for d, (sort, _, _) in self.stores.items() if sort == "mysql"])

        def happens(at: float, lasts: float) -> None:
            self.on_store("store_heap", store, at, lasts, True)
            self.on_store("store_shards", store, at + self.rng.uniform(20, 90), lasts, True)
            self.on_store("store_red", store, at + self.rng.uniform(60, 120), lasts, True)
            for one in self.users(store):
                self.fails(one, at + self.rng.uniform(60, 200), lasts, 1, 0.4)

        return f"db/{store}", happens

    def broker_full(self) -> tuple[str, Happens]:
        name = self.rng.choice(sorted(self.queues))
        cluster, consumers = self.queues[name]
        host = self.rng.choice(self.hosts_of(cluster))

        def happens(at: float, lasts: float) -> None:
            self.on_host("host_full", host, at, lasts, True)
            self.on_shared("replicas_thin", cluster, "kafka", name, at + self.rng.uniform(20, 100), lasts)
            for one in consumers:
                self.on_service("lagging", one, at + self.rng.uniform(60, 240), lasts)
            self.fails(consumers[0], at + self.rng.uniform(60, 200), lasts, 1, 0.5)

        return f"host/{host}", happens

    def registry_out(self) -> tuple[str, Happens]:
        cluster = self.rng.choice(self.clusters)

        def happens(at: float, lasts: float) -> None:
            self.on_shared("registry", cluster, "registry", f"images-{cluster[0]}", at, lasts, True)
            for one in self.rng.sample(self.services_of(cluster), 6):
                begins = at + self.rng.uniform(10, 240)
                for replica in range(self.rng.randint(1, 3)):
                    self.on_replica("image_pull", one, replica, begins + 10 * replica, lasts)
                if self.rng.random() < 0.5:
                    self.on_service("rollout_stuck", one, begins + 30, lasts)

        return f"registry/images-{cluster[0]}", happens

    def vault_sealed(self) -> tuple[str, Happens]:
        cluster = self.rng.choice(self.clusters)

        def happens(at: float, lasts: float) -> None:
            self.on_shared("sealed", cluster, "vault", f"vault-{cluster[0]}", at, lasts, True)
            for one in self.rng.sample(self.services_of(cluster), 8):
                self.on_service("no_login", one, at + self.rng.uniform(10, 90), lasts)
                if self.rng.random() < 0.4:
                    self.fails(one, at + self.rng.uniform(20, 120), lasts, 1, 0.4)

        return f"vault/vault-{cluster[0]}", happens

    def control_plane(self) -> tuple[str, Happens]:
        cluster = self.rng.choice(self.clusters)

        def happens(at: float, lasts: float) -> None:
            self.on_shared("api_errors", cluster, "apiserver", f"api-{cluster[0]}", at, lasts, True)
            self.on_shared("api_clients", cluster, "controller-manager", f"cm-{cluster[0]}", at + 40, lasts)
            for one in self.rng.sample(self.services_of(cluster), 5):
                self.on_service("rollout_stuck", one, at + self.rng.uniform(20, 300), lasts)

        return f"api/api-{cluster[0]}", happens

    def switch_flaps(self) -> tuple[str, Happens]:
        cluster = self.rng.choice(self.clusters)
        hosts = self.rng.sample(self.hosts_of(cluster), 4)

        def happens(at: float, lasts: float) -> None:
            for host in hosts:
                self.on_host("host_link_flaps", host, at + self.rng.uniform(0, 45), lasts, True)
                if self.rng.random() < 0.4:
                    self.on_host("host_link_down", host, at + self.rng.uniform(0, 60), lasts, True)
            for one in self.services_of(cluster):
                if set(self.runs[one]) & set(hosts) and self.rng.random() < 0.25:
                    self.fails(one, at + self.rng.uniform(10, 100), lasts, 0)

        return f"switch/{hosts[0]}", happens

    def rush(self) -> tuple[str, Happens]:
        one = self.rng.choice([s for s in self.services if s.namespace == "edge"])

        def happens(at: float, lasts: float) -> None:
            self.on_service("surge", one, at, lasts, True)
            for deeper in (one, *self.calls[one]):
                for replica in range(2):
                    self.on_replica("pod_cpu", deeper, replica, at + self.rng.uniform(20, 120), lasts)
                self.on_service("slow", deeper, at + self.rng.uniform(20, 120), lasts)
            self.fails(one, at + self.rng.uniform(60, 150), lasts, 0)

        return "service/" + "/".join(one), happens

    def leak(self) -> tuple[str, Happens]:
        one = self.rng.choice(self.services)

        def happens(at: float, lasts: float) -> None:
            for replica in range(3):
                self.on_replica("pod_killed", one, replica, at + self.rng.uniform(0, 240), lasts, True)
            self.fails(one, at + self.rng.uniform(20, 120), lasts, 1, 0.5)

        return "service/" + "/".join(one), happens

    def kinds(self) -> Sequence[Fault]:
        return (
            self.cache_dies, self.migration_locks, self.index_red, self.broker_full, self.registry_out,
            self.vault_sealed, self.control_plane, self.switch_flaps, self.rush, self.leak,
        )  # fmt: skip
