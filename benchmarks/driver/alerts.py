"""Made-up alerts and the requests that carry them, as bytes.

Owns their shape: eight labels and three annotations, some 700 bytes as JSON. The label `number` alone makes an alert
distinct, and it is how the sink knows it again. Knows nothing of servers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

NAMES = 10  # distinct alertnames, unless a benchmark wants others
_NUMBER = re.compile(rb'"number"\s*:\s*"n(\d+)"')
_ZONES = ("ams", "fra", "waw")
_ANNOTATIONS = {
    "summary": "Requests to the checkout take longer than they may",
    "description": "The 99th percentile over ten minutes is above the objective of 400 ms. Compare the last deploy, "
    "the queue of the payment gateway and the locks of the orders database before anything is restarted.",
    "runbook_url": "https://runbooks.example/checkout/slow-requests",
}


@dataclass(frozen=True)
class Request:
    """One request as it goes down the wire, and how many alerts are in it."""

    wire: bytes
    alerts: int


def alert(number: int, since: str, names: int = NAMES) -> dict[str, object]:
    """Alert `number`, firing since `since` (RFC 3339). Neighbours differ in alertname, so a body has them all. Labels
    are in order of their names, as senders written in Go put them."""
    url = "http://prometheus.example:9090/graph?g0.expr=histogram_quantile&g0.tab=1"
    shown = dict(sorted(labels(number, names).items()))
    return {"labels": shown, "annotations": _ANNOTATIONS, "startsAt": since, "generatorURL": url}


def labels(number: int, names: int = NAMES) -> dict[str, str]:
    """Those of alert `number`."""
    return {
        "alertname": f"SlowRequests{number % names:05d}",
        "severity": ("critical", "warning", "info")[number % 3],
        "zone": _ZONES[number % len(_ZONES)],
        "namespace": f"shop-{number % 40}",
        "service": "checkout",
        "instance": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}:8080",
        "prometheus": "monitoring/main",
        "number": f"n{number}",
    }


def api_body(alerts: Sequence[dict[str, object]]) -> bytes:
    """As Prometheus posts them to /api/v2/alerts."""
    return json.dumps(alerts, separators=(",", ":")).encode()


def webhook_body(alerts: Sequence[dict[str, object]]) -> bytes:
    """As Alertmanager's webhook receiver gets them: version 4."""
    message = {
        "version": "4",
        "groupKey": '{}:{service="checkout"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "imd",
        "groupLabels": {"service": "checkout"},
        "commonLabels": {"service": "checkout"},
        "commonAnnotations": _ANNOTATIONS,
        "externalURL": "http://alertmanager.example:9093",
        "alerts": [{**one, "status": "firing", "endsAt": "0001-01-01T00:00:00Z"} for one in alerts],
    }
    return json.dumps(message, separators=(",", ":")).encode()


BODIES = {"api": api_body, "webhook": webhook_body}


def post(path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


Make = Callable[[int, str], dict[str, object]]
"""Makes the alert of a number, firing since then."""


def requests(
    path: str, form: str, numbers: Iterable[int], size: int, names: int = NAMES, make: Make | None = None
) -> list[Request]:
    """The alerts with these numbers, `size` to a body, all since now. `form` is a key of BODIES."""
    since = now()
    made = [alert(number, since, names) if make is None else make(number, since) for number in numbers]
    parts = [made[start : start + size] for start in range(0, len(made), size)]
    return [Request(post(path, BODIES[form](part)), len(part)) for part in parts]


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def numbers_in(message: bytes) -> list[int]:
    """The numbers of the alerts that a notification speaks of, whatever its shape."""
    return [int(found) for found in _NUMBER.findall(message)]
