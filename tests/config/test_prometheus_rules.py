"""Prometheus' rule files, as people and generators write them, and as nobody should."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from imd.config.prometheusfile import DEPTH_MAX, RULES_MAX, read_waits
from imd.config.yamlfile import DATA_BYTES_MAX

RULE = "{alert: A, expr: up == 0, for: 5m, labels: {severity: critical}}"


def test_anchors_aliases_merge_keys_and_tags_are_read() -> None:
    """They are Prometheus' files, not ours."""
    raw = (
        "x: &base {for: 10m, labels: &l {severity: warning}}\n"
        "groups:\n"
        "- name: one\n"
        "  rules:\n"
        "  - &first {alert: A, expr: !!str x, <<: *base}\n"
        "  - {alert: B, <<: [*base], for: 1h}\n"
        "  - {record: c, expr: x}\n"
        "  - {alert: D, labels: {severity: '{{ $labels.x }}'}}\n"
        "---\n"
        f"apiVersion: monitoring.coreos.com/v1\nspec: {{groups: [{{name: g, rules: [{RULE}]}}]}}\n"
    )
    minute = timedelta(minutes=1)
    assert read_waits(raw.encode()) == [
        ("A", "warning", 10 * minute), ("B", "warning", 60 * minute), ("D", "", timedelta(0)),
        ("A", "critical", 5 * minute),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("[" * 100_000, "nested deeper"),
        ("- " * 100_000, "nested deeper"),
        ("{a: " * (DEPTH_MAX + 1), "nested deeper"),
        ("groups: [", "not valid YAML"),
        ("groups: 5", "no alerting rule"),
        ("just text", "no alerting rule"),
        ("", "no alerting rule"),
        ("groups: [*nothing, [], {rules: {}}]", "no alerting rule"),
        ("a: &a [*a, *a]\ngroups: *a", "no alerting rule"),
        ("\x00", "not valid YAML"),
        ("x" * (DATA_BYTES_MAX + 1), "more than"),
    ],
)
def test_what_is_none_says_why(raw: str, reason: str) -> None:
    """At once, and in this process: PyYAML's own composer crashes on the first two."""
    started = time.monotonic()
    with pytest.raises(ValueError, match=reason):
        read_waits(raw.encode())
    assert time.monotonic() - started < 5


def test_a_few_aliases_that_make_many_rules() -> None:
    """A thousand groups that are the same thousand rules: looked at up to the bound."""
    rules = ", ".join(["*r"] * 1000)
    groups = ", ".join(["*g"] * 1000)
    raw = f"x: &r {RULE}\ny: &g {{rules: [{rules}]}}\ngroups: [{groups}]\n"
    with pytest.raises(ValueError, match=str(RULES_MAX)):
        read_waits(raw.encode())
