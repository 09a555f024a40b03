"""Every metric and every log event name, declared once; and the log's writer.

Owns names, types and label sets (docs/metrics.md says what each means; a test keeps the two equal). Knows nothing of
alerts or incidents: the core tells by `effect.Counted` what it wants counted.

Label values come from configuration names and fixed words only, never from alerts: an alert storm must not become a
storm of time series.
"""

from __future__ import annotations

import enum
import queue
import sys
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from itertools import accumulate
from typing import Any, BinaryIO

import msgspec
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from imd import __version__

_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_PAGE = (0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 15.0, 30.0, 60.0, 300.0, 900.0)
_HUMAN = (30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0, 43200.0, 86400.0)
_ROWS = (1.0, 10.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2000.0, 5000.0)

_disable_created: Callable[[], None] = disable_created_metrics
_disable_created()  # else each counter drags along a second series with its time of birth

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Duration:
    """One series of Durations."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds

    def samples(self) -> tuple[list[tuple[str, float]], float]:
        """Cumulative counts by upper bound, and the sum."""
        names = [*map(str, self._bounds), "+Inf"]
        return list(zip(names, map(float, accumulate(list(self._counts))), strict=True)), self._sum

    def __bool__(self) -> bool:
        return any(self._counts)


class Durations(Collector):
    """A histogram that one thread alone observes: a sixth of the cost of the library's, of which each request has one.
    Any thread may read; what is counted just then shows the next time."""

    def __init__(self, name: str, about: str, labels: Sequence[str], bounds: Sequence[float]) -> None:
        self.name, self.labelnames = name, tuple(labels)
        self._about, self._bounds = about, bounds
        self._series: dict[tuple[str, ...], Duration] = {}

    def labels(self, *values: str) -> Duration:
        """That series; kept by who observes often."""
        return self._series.setdefault(values, Duration(self._bounds))

    def collect(self) -> Iterable[HistogramMetricFamily]:
        family = HistogramMetricFamily(self.name, self._about, labels=self.labelnames)
        for values, series in list(self._series.items()):
            if series:
                family.add_metric(values, *series.samples())
        yield family


class Metrics:
    """One process's metrics in a registry of their own. Attributes are the metrics' names without `imd_`.

    `labels()` costs 3 us: on the hot path keep the child that it returns, or use `count`, which does.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._bound: dict[tuple[str, tuple[str, ...]], Callable[[float], None]] = {}
        self._ingest()
        self._incidents()
        self._pages()
        self._store_and_loop()
        self._config_and_http()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)

    def _ingest(self) -> None:
        self.alerts_received_total = self._counter(
            "alerts_received", "Alerts that senders reported.", "source", "status"
        )
        self.alerts_rejected_total = self._counter(
            "alerts_rejected", "Alerts or whole bodies that were refused.", "source", "reason"
        )
        self.alerts_deduplicated_total = self._counter("alerts_deduplicated", "Reports that repeated an open alert.")
        self.alerts_unmatched_total = self._counter("alerts_unmatched", "Episodes that only the rule `default` took.")
        self.alerts_dropped_total = self._counter("alerts_dropped", "Alerts that a rule of mode drop took.", "rule")
        self.alerts_dropped_by_enrichment_total = self._counter(
            "alerts_dropped_by_enrichment", "Alerts that a keep or drop of this entry stopped.", "enrichment"
        )
        self.conditions_failed_total = self._counter(
            "conditions_failed", "Conditions (`when`) that gave no answer; the rule did not match.", "rule", "reason"
        )
        self.alerts_expired_total = self._counter(
            "alerts_expired", "Episodes that ended for want of reports.", "source"
        )
        self.alerts_unknown_severity_total = self._counter(
            "alerts_unknown_severity", "Episodes whose severity is in no table and was taken as the default."
        )
        self.alerts_open = self._gauge("alerts_open", "Alerts that fire now.")
        self.alerts_open_max = self._gauge("alerts_open_max", "Bound of alerts_open.")
        self.alerts_waiting = self._gauge("alerts_waiting", "Alerts that wait for their rule's open_when.")
        self.alerts_waited_in_vain_total = self._counter(
            "alerts_waited_in_vain", "Alerts whose window passed before open_when was met.", "rule"
        )
        self.alerts_flapping = self._gauge("alerts_flapping", "Alerts that flap and count as firing.")
        self.alerts_flapped_total = self._counter("alerts_flapped", "Times that an alert began to flap.", "rule")
        self.heartbeats_missing = self._gauge(
            "heartbeats_missing", "Beats that are missing, over all `by` values.", "heartbeat"
        )
        self.heartbeats_refused_total = self._counter(
            "heartbeats_refused", "Beats of `by` values beyond those that are kept.", "heartbeat"
        )
        self.alerts_suppressed = self._gauge("alerts_suppressed", "Alerts that fire and are suppressed.", "by")
        self.silence_oldest_seconds = self._gauge(
            "silence_oldest_seconds", "Age of the oldest silence, or pause, that suppresses an alert now."
        )
        self.holds_cancelled_total = self._counter(
            "holds_cancelled", "Times that nothing fired any more before hold was over: nobody was paged.", "rule"
        )
        self.rule_matches_total = self._counter("rule_matches", "Episodes that this rule took.", "rule")
        self.watchdog_pings_total = self._counter("watchdog_pings", "Pings that were due, by outcome.", "outcome")
        self.canary_pages_total = self._counter(
            "canary_pages", "Canary pages, by receiver and outcome.", "receiver", "outcome"
        )
        self.source_reconciliations_total = self._counter(
            "source_reconciliations", "Readings of a sender's own list of what fires.", "source", "outcome"
        )
        self.source_last_heard_timestamp_seconds = self._gauge(
            "source_last_heard_timestamp_seconds", "When the source was last heard, unix seconds.", "source"
        )
        self.label_cache_entries = self._gauge("label_cache_entries", "Label sets known by their raw text.", "source")

    def _incidents(self) -> None:
        self.incidents = self._gauge("incidents", "Incidents in memory.", "state", "priority")
        self.incidents_opened_total = self._counter("incidents_opened", "Incidents opened.", "rule", "priority")
        self.incident_ack_seconds = self._histogram(
            "incident_ack_seconds", "From triggered to acknowledged.", buckets=_HUMAN
        )
        self.incident_resolve_seconds = self._histogram(
            "incident_resolve_seconds", "From opened to resolved.", buckets=_HUMAN
        )
        self.targets_missed_total = self._counter(
            "targets_missed", "Incidents that were not acknowledged or resolved in time.", "target", "priority"
        )
        self.templates_failed_total = self._counter(
            "templates_failed", "Titles whose template failed; the built-in title was used.", "rule"
        )
        self.receiver_templates_failed_total = self._counter(
            "receiver_templates_failed",
            "Messages whose receiver's template failed; the built-in text was sent.",
            "receiver",
        )
        self.tee = self._gauge("tee", "1 while imd runs beside another pager and pages nobody.")
        self.pages_withheld_total = self._counter(
            "pages_withheld", "Times that somebody would have been paged, had `tee` not been set."
        )
        self.pages_in_digests_total = self._counter(
            "pages_in_digests", "Pages that left in a digest, by receiver.", "receiver"
        )
        self.pages_put_off_total = self._counter(
            "pages_put_off", "Pages to programs that wait until the receiver takes any, by receiver.", "receiver"
        )
        self.incidents_exhausted_total = self._counter(
            "incidents_exhausted", "Incidents whose policies ran out unanswered."
        )
        self.escalation_overdue_seconds = self._gauge(
            "escalation_overdue_seconds", "How late the most overdue timer of an open incident is."
        )
        self.page_overdue = self._gauge("page_overdue", "Pages not accepted within deliver_within.")

    def _pages(self) -> None:
        self.pages_total = self._counter("pages", "Messages that were settled.", "receiver", "kind", "outcome")
        self.delivery_attempts_total = self._counter("delivery_attempts", "Attempts to send.", "receiver", "outcome")
        self.delivery_latency_seconds = self._histogram(
            "delivery_latency_seconds", "One attempt, from its start to its end.", "receiver", buckets=_FAST
        )
        self.alert_to_page_seconds = self._histogram(
            "alert_to_page_seconds", "From the receipt of an incident's first alert to its first accepted page.",
            buckets=_PAGE,
        )  # fmt: skip
        self.outbox_pending = self._gauge("outbox_pending", "Messages not settled.")
        self.outbox_oldest_seconds = self._gauge("outbox_oldest_seconds", "Age of the oldest message not settled.")
        self.receiver_breaker_open = self._gauge("receiver_breaker_open", "1 while its breaker is open.", "receiver")

    def _store_and_loop(self) -> None:
        self.commit_seconds = self._histogram("commit_seconds", "One transaction with its fsync.", buckets=_FAST)
        self.commit_rows = self._histogram("commit_rows", "Rows in one transaction.", buckets=_ROWS)
        self.commit_failures_total = self._counter("commit_failures", "Transactions that failed.")
        self.store_up = self._gauge("store_up", "1 while the store takes writes.")
        self.wal_bytes = self._gauge("wal_bytes", "Size of SQLite's write-ahead log.")
        self.inbox_bytes = self._gauge("inbox_bytes", "Bodies taken in and not yet committed.")
        self.inbox_bytes_max = self._gauge("inbox_bytes_max", "Bound of inbox_bytes; beyond it senders get 503.")
        self.overload_rejections_total = self._counter("overload_rejections", "Requests answered 503.", "reason")
        self.memory_short = self._gauge("memory_short", "1 while memory is short and no new alerts are taken.")
        self.loop_lag_seconds = self._histogram(
            "loop_lag_seconds", "How late the event loop ran a timer.", buckets=_FAST
        )

    def _config_and_http(self) -> None:
        self.config_last_reload_successful = self._gauge(
            "config_last_reload_successful", "1 if the last reload was taken, 0 if it had faults."
        )
        self.config_last_reload_success_timestamp_seconds = self._gauge(
            "config_last_reload_success_timestamp_seconds", "When configuration was last taken, unix seconds."
        )
        self.topology_dangling_edges = self._gauge(
            "topology_dangling_edges", "Edges of the map that lead to what nobody declares, names or shares."
        )
        self.config_hash = self._gauge("config_hash", "First 48 bits of the hash of configuration and rules.")
        self.http_request_duration_seconds = Durations(
            "imd_http_request_duration_seconds", "HTTP requests, by the route's pattern.", ("path", "code"), _FAST
        )
        self.registry.register(self.http_request_duration_seconds)
        self.http_malformed_total = self._counter("http_malformed", "Requests that were no HTTP, or too big a header.")
        self.answers_total = self._counter(
            "answers", "What people answered by a link or a vendor's callback.", "through", "outcome"
        )
        self.http_connections = self._gauge("http_connections", "Open client connections.")
        self.http_connections_refused_total = self._counter(
            "http_connections_refused", "Connections that were refused or cut off.", "reason"
        )
        self.stream_listeners = self._gauge("stream_listeners", "Clients that listen to /v1/stream.")
        self.log_lines_dropped_total = self._counter("log_lines_dropped", "Log lines dropped: their reader is stuck.")
        self.build_info = self._gauge("build_info", "Always 1.", "version")
        self.build_info.labels(__version__).set(1)

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(f"imd_{name}", about, labels, registry=self.registry)

    def _gauge(self, name: str, about: str, *labels: str) -> Gauge:
        return Gauge(f"imd_{name}", about, labels, registry=self.registry)

    def _histogram(self, name: str, about: str, *labels: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"imd_{name}", about, labels, registry=self.registry, buckets=buckets)

    def count(self, name: str, values: tuple[str, ...] = (), amount: float = 1.0) -> None:
        """What `effect.Counted` asks for: a counter or a gauge moves by `amount`, a histogram observes it.

        `name` is an attribute of this class, `values` are its label values in the declared order.
        """
        bound = self._bound.get((name, values))
        if bound is None:
            bound = self._bound[name, values] = self._bind(name, values)
        bound(amount)

    def _bind(self, name: str, values: tuple[str, ...]) -> Callable[[float], None]:
        metric = getattr(self, name)
        child = metric.labels(*values) if values else metric
        move: Callable[[float], None] = child.observe if isinstance(metric, Histogram) else child.inc
        return move

    def render(self) -> bytes:
        """The text that Prometheus scrapes (CONTENT_TYPE). Takes milliseconds: call it in a thread."""
        return generate_latest(self.registry)


class Log(enum.StrEnum):
    """Names of log events. A line is a name and keys; what differs from line to line is in the keys."""

    STARTED = "daemon.started"
    STOPPING = "daemon.stopping"
    STOPPED = "daemon.stopped"
    FAILED = "daemon.failed"
    CONFIG_RELOADED = "config.reloaded"
    CONFIG_REFUSED = "config.refused"
    STORE_FAILED = "store.failed"
    STORE_RECOVERED = "store.recovered"
    STATE_LOST = "store.state_lost"
    STORE_SHORT = "store.short"
    MEMORY_SHORT = "memory.short"
    STORE_PRUNED = "store.pruned"
    ENGINE_RESTORED = "engine.restored"
    ALERTS_REJECTED = "alerts.rejected"
    BODY_REFUSED = "body.refused"
    AUTH_REFUSED = "auth.refused"
    AUTH_FAILED = "auth.failed"
    RECONCILED = "source.reconciled"
    RECONCILE_FAILED = "source.reconcile_failed"
    ANSWER_UNSAID = "answer.unsaid"
    DELIVERY_ACCEPTED = "delivery.accepted"
    DELIVERY_RETRIED = "delivery.retried"
    TEMPLATE_FAILED = "template.failed"
    DELIVERY_FAILED = "delivery.failed"
    DELIVERY_CANCELLED = "delivery.cancelled"
    BREAKER_OPENED = "breaker.opened"
    BREAKER_CLOSED = "breaker.closed"
    HTTP_MALFORMED = "http.malformed"
    HTTP_FAILED = "http.failed"
    WATCHDOG = "watchdog.missed"
    WATCHDOG_SILENT = "watchdog.silent"
    CANARY_FAILED = "canary.failed"
    RINGING_UNASKED = "ringing.unasked"
    TEE = "tee.pages_nobody"


EventDict = MutableMapping[str, Any]

_SECRET_KEYS = frozenset(
    {
        "secret",
        "secrets",
        "token",
        "tokens",
        "password",
        "authorization",
        "api_key",
        "routing_key",
        "cookie",
        "webhook_url",
    }
)
REDACTED = "<secret>"
LINES_MAX = 10_000
"""Lines that wait for a slow reader of the log; more are dropped and counted."""
LINE_BYTES_MAX = 32_768


def redact(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Values of keys that name a secret never reach the log, whoever passed them."""
    for key in event:
        if key in _SECRET_KEYS:
            event[key] = REDACTED
    return event


class LogWriter:
    """Writes lines in a thread of its own, so that a full pipe or a stuck journald never holds up the event loop."""

    def __init__(self, stream: BinaryIO, on_drop: Callable[[], None] = lambda: None) -> None:
        self._stream = stream
        self._on_drop = on_drop
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="imd-log", daemon=True)
        self._thread.start()

    def write(self, line: bytes | str) -> None:
        if self._lines.qsize() >= LINES_MAX:
            self._on_drop()
            return
        encoded = line.encode("utf-8", "backslashreplace") if isinstance(line, str) else line
        self._lines.put(encoded[:LINE_BYTES_MAX] + b"\n")

    def close(self, timeout_seconds: float = 2.0) -> None:
        """Writes what is waiting, for at most `timeout_seconds`."""
        self._lines.put(None)
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                self._stream.write(line)
                if self._lines.empty():
                    self._stream.flush()
            except (OSError, ValueError):
                self._on_drop()  # nobody reads any more; the daemon goes on

    # structlog calls the method that is named as the level.
    msg = log = debug = info = warning = warn = error = critical = exception = fatal = write


_encode = msgspec.json.Encoder(enc_hook=repr).encode


def _as_json(_logger: object, _method: str, event: EventDict) -> bytes:
    try:
        return _encode(event)
    except UnicodeEncodeError:  # a lone surrogate from somebody's bytes
        return _encode({key: str(value).encode("utf-8", "backslashreplace").decode() for key, value in event.items()})


def configure_logs(
    form: str = "json",
    level: str = "info",
    stream: BinaryIO | None = None,
    on_drop: Callable[[], None] = lambda: None,
    cached: bool = True,
) -> LogWriter:
    """Sets up structlog for this process: `form` json or console, `level` debug, info, warning or error.

    Call it once, before the first line: with `cached` (the fast way; tests do without) loggers keep the set-up that
    they meet first. Returns the writer, to be closed last. The time stamp is the log's own: no decision reads it.
    """
    writer = LogWriter(stream or sys.stderr.buffer, on_drop)
    renderer: Any = _as_json if form == "json" else structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            redact,
            structlog.processors.format_exc_info,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_args: writer,
        cache_logger_on_first_use=cached,
    )
    return writer


def metric_table(metrics: Metrics) -> Iterable[tuple[str, str, tuple[str, ...]]]:
    """Every metric of imd's own: its full name as scraped, its type, its labels. For docs and their test."""
    for attribute, metric in vars(metrics).items():
        if isinstance(metric, Counter | Gauge | Histogram):
            yield f"imd_{attribute}", metric._type, tuple(metric._labelnames)
        elif isinstance(metric, Durations):
            yield metric.name, "histogram", metric.labelnames
