"""What kind of trouble a name speaks of, however a house writes its names."""

from __future__ import annotations

import pytest

from imd.core.alertclass import Classifier
from imd.model.topology import AlertClass

CLASSES = Classifier(())

NAMES = {
    AlertClass.DOWN: ("Server not responding", "node_not_ready", "DatabaseGone", "no data", "TLS certificate expired",
                      "cert no longer valid", "MysqlSlaveIoThreadNotRunning"),
    AlertClass.NET: ("NodeNetworkReceiveErrs", "packet_loss", "VPN tunnel flaps"),
    AlertClass.DISK: ("disk_90", "volume_full", "io_wait"),
    AlertClass.LATENCY: ("p99_above_objective", "requests take too long", "ReplicaBehind", "checkout_slow",
                         "Queue grows", "BacklogGrows", "FeedNotFresh", "Data is out of date"),
    AlertClass.ERROR: ("5xx_ratio", "Connection refused", "request_timeout", "NGINXConfigFailed", "PrometheusBadConfig",
                       "TeapotEmpty"),
    AlertClass.SATURATION: ("cpu_high", "AutoscalerAtLimit", "pool_exhausted", "RedisOutOfConfiguredMaxmemory"),
    AlertClass.WORKLOAD: ("KubePodNotReady", "ReplicaKeepsRestarting", "process crashed",
                          "Volume cannot be attached", "KubePersistentVolumeErrors"),
    AlertClass.BACKGROUND: ("backup_old", "TLS ends: cert expires soon", "clock_skew", "NtpOffsetHigh",
                            "HostRequiresReboot"),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in NAMES.items() for name in names])
def test_a_name_is_of_its_class(kind: AlertClass, name: str) -> None:
    assert CLASSES.classify({"alertname": name, "severity": "warning"}) is kind


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (AlertClass.ERROR, "PaymentProviderFails"), (AlertClass.DOWN, "PaymentProviderDown"),
        (AlertClass.ERROR, "ConversionRateDrops"), (AlertClass.DOWN, "ConcertHallDown"),
        (AlertClass.DOWN, "FeatureFlagsGone"),
        (AlertClass.ERROR, "TooMany400s"), (AlertClass.ERROR, "DefaultRouteOdd"), (AlertClass.ERROR, "UploadStuck"),
        (AlertClass.ERROR, "HighPaymentRefunds"), (AlertClass.SATURATION, "node_load5"),
        (AlertClass.SATURATION, "oom_kill"),
        (AlertClass.SATURATION, "KubeHpaMaxedOut"), (AlertClass.SATURATION, "NodeMemoryMajorPagesFaults"),
        (AlertClass.BACKGROUND, "KubeVersionMismatch"), (AlertClass.BACKGROUND, "NGINXCertificateExpiry"),
        (AlertClass.LATENCY, "repl_lag"), (AlertClass.LATENCY, "KafkaConsumerLag"),
    ],
)  # fmt: skip
def test_a_word_is_not_found_within_another(kind: AlertClass, name: str) -> None:
    assert CLASSES.classify({"alertname": name, "severity": "warning"}) is kind


@pytest.mark.parametrize("severity", ["info", "none"])
def test_what_nobody_is_to_act_on_stands_alone(severity: str) -> None:
    assert CLASSES.classify({"alertname": "DatabaseGone", "severity": severity}) is AlertClass.BACKGROUND
