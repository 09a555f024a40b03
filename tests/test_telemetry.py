"""Metrics are documented and counted by names that exist; the log neither leaks nor blocks."""

from __future__ import annotations

import ast
import io
import re
import threading
from pathlib import Path

import msgspec
import pytest
import structlog
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from imd.telemetry import LINES_MAX, Log, LogWriter, Metrics, configure_logs, metric_table

ROOT = Path(__file__).parents[1]


def test_the_docs_list_every_metric_and_no_other() -> None:
    """Name, type and labels in docs/metrics.md equal the code's."""
    documented = {
        name: (kind, tuple(label for label in labels.split(", ") if label))
        for name, kind, labels in re.findall(
            r"^\| `(imd_\w+)` \| (\w+) \| ([\w, ]*?) ?\| ", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE
        )
    }
    assert documented == {name: (kind, labels) for name, kind, labels in metric_table(Metrics())}


def test_what_the_core_counts_exists() -> None:
    """A misspelt name would end the step that counts it."""
    counted = set()
    for path in (ROOT / "imd").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
                continue
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called in ("count", "observe", "Counted") and re.fullmatch(r"[a-z]+(_[a-z]+)+", str(node.args[0].value)):
                counted.add(node.args[0].value)
    assert {name for name in counted if not hasattr(Metrics(), name)} == set()
    assert "rule_matches_total" in counted


def test_counters_move_gauges_move_histograms_observe() -> None:
    metrics = Metrics()
    for _ in range(2):
        metrics.count("pages_total", ("ops", "page", "accepted"))
    metrics.count("outbox_pending", amount=5)
    metrics.count("outbox_pending", amount=-2)
    metrics.count("alert_to_page_seconds", amount=0.2)
    text = metrics.render().decode()
    assert 'imd_pages_total{kind="page",outcome="accepted",receiver="ops"} 2.0' in text
    assert "imd_outbox_pending 3.0" in text
    assert 'imd_alert_to_page_seconds_bucket{le="0.1"} 0.0' in text
    assert "imd_alert_to_page_seconds_count 1.0" in text
    assert "_created" not in text


def test_durations_are_scraped_as_a_histogram_of_the_library_is() -> None:
    """Byte for byte, bounds themselves and what is beyond all of them included; a series without any is not there."""
    metrics, registry = Metrics(), CollectorRegistry()
    ours, name = metrics.http_request_duration_seconds, "imd_http_request_duration_seconds"
    bounds = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
    theirs = Histogram(
        name, "HTTP requests, by the route's pattern.", ("path", "code"), registry=registry, buckets=bounds
    )
    ours.labels("/never", "200")
    for path, code, seconds in (("/a", "200", 0.0), ("/a", "200", 0.25), ("/a", "200", 99.5), ("/b", "404", 0.003)):
        ours.labels(path, code).observe(seconds)
        theirs.labels(path, code).observe(seconds)
    lines = [line for line in metrics.render().decode().splitlines() if name in line]
    assert lines == generate_latest(registry).decode().splitlines()


@pytest.mark.parametrize("form", ["json", "console"])
def test_secrets_do_not_reach_the_log(form: str) -> None:
    stream = io.BytesIO()
    writer = configure_logs(form, stream=stream, cached=False)
    structlog.get_logger().info(Log.STARTED, token="t0p", secret=b"s3cret", listen="127.0.0.1:9490")
    writer.close()
    said = stream.getvalue().decode()
    assert "daemon.started" in said
    assert "127.0.0.1:9490" in said
    assert "t0p" not in said
    assert "s3cret" not in said


def test_a_line_is_one_json_object_whatever_is_in_it() -> None:
    """Line breaks, lone surrogates and things that JSON does not know are no way out of the line."""
    stream = io.BytesIO()
    writer = configure_logs(stream=stream, cached=False)
    structlog.get_logger().warning(Log.BODY_REFUSED, error="a\nb\x1b[31m", other="\ud800", thing=object())
    structlog.get_logger().debug(Log.STARTED)
    writer.close()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1
    assert msgspec.json.decode(lines[0])["event"] == "body.refused"
    assert b"\x1b" not in lines[0]


class _Stuck(io.BytesIO):
    """A pipe that nobody reads until told to."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()

    def write(self, line: bytes) -> int:
        self.go_on.wait()
        return super().write(line)


def test_a_stuck_reader_costs_lines_and_no_time() -> None:
    """Beyond the bound lines are dropped and counted; those within it are written once the reader goes on."""
    stream, dropped = _Stuck(), []
    writer = LogWriter(stream, lambda: dropped.append(1))
    for number in range(LINES_MAX + 50):
        writer.write(f"{number}")
    assert 49 <= len(dropped) <= 50
    stream.go_on.set()
    writer.close()
    assert stream.getvalue().count(b"\n") == LINES_MAX + 50 - len(dropped)


def test_a_closed_reader_ends_nothing() -> None:
    stream, dropped = io.BytesIO(), []
    stream.close()
    writer = LogWriter(stream, lambda: dropped.append(1))
    writer.write("x")
    writer.close()
    assert dropped == [1]
