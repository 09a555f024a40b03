"""The alert rules and the dashboard for imd itself: their metrics exist, and by promtool each rule fires and rests."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from imd.config.load import load_config
from imd.daemon import counters
from imd.telemetry import Metrics, metric_table

FOLDER = Path(__file__).parents[2] / "docs/monitoring"
RULES = FOLDER / "alerts.yaml"
MANUAL = FOLDER.parent / "monitoring.md"
REQUIRED = os.environ.get("IMD_REQUIRE_REAL") == "1"
OTHERS = {"up": {"job"}, "process_start_time_seconds": {"job"}}  # metrics that are not imd's own
PROCESS = {"process_resident_memory_bytes": set[str](), "process_cpu_seconds_total": set[str]()}

# Of each alert: when to look, series that make it fire by then, what it then says, and series that must leave it at
# rest. A number and a count (`3x60`) is promtool's notation: 3, sixty times more a minute apart.
OK = "1x60"
CASES: dict[str, tuple[str, dict[str, str], str, dict[str, str]]] = {
    "ImdDown": ("3m", {'up{job="imd"}': "0x60"}, "cannot be scraped", {'up{job="imd"}': OK}),
    "ImdPageOverdue": ("5m", {"imd_page_overdue": "2x60"}, "2 pages", {"imd_page_overdue": "0x60"}),
    "ImdEscalationOverdue": (
        "5m",
        {"imd_escalation_overdue_seconds": "90x60"},
        "1m 30s late",
        {"imd_escalation_overdue_seconds": "20x60"},
    ),
    "ImdNobodyAnswered": (
        "10m",
        {"imd_incidents_exhausted_total": "0x5 1x60"},
        "nobody acknowledged",
        {"imd_incidents_exhausted_total": OK},
    ),
    "ImdCanaryFailed": (
        "10m",
        {'imd_canary_pages_total{receiver="sms",outcome="failed"}': "0x5 1x60"},
        "to sms failed",
        {'imd_canary_pages_total{receiver="sms",outcome="accepted"}': "0+1x60"},
    ),
    "ImdReceiverFailing": (
        "10m",
        {'imd_receiver_breaker_open{receiver="slack"}': "1x60"},
        "receiver slack fails",
        {'imd_receiver_breaker_open{receiver="slack"}': "0x5 1x3 0x60"},
    ),
    "ImdPagesFailed": (
        "10m",
        {'imd_pages_total{receiver="sms",kind="page",outcome="failed"}': "0x5 1x60"},
        "receiver sms",
        {
            'imd_pages_total{receiver="sms",kind="page",outcome="accepted"}': "0+1x60",
            'imd_pages_total{receiver="sms",kind="update",outcome="failed"}': "0+1x60",
        },
    ),
    "ImdOutboxStuck": (
        "20m",
        {"imd_outbox_oldest_seconds": "1000x60"},
        "16m 40s",
        {"imd_outbox_oldest_seconds": "60x60"},
    ),
    "ImdWatchdogSilent": (
        "20m",
        {'imd_watchdog_pings_total{outcome="failed"}': "0x5 0+1x60"},
        "pings",
        {'imd_watchdog_pings_total{outcome="failed"}': "0x10 1x60"},
    ),
    "ImdTemplateFailing": (
        "10m",
        {'imd_receiver_templates_failed_total{receiver="chat"}': "0x5 1x60"},
        "receiver chat",
        {'imd_receiver_templates_failed_total{receiver="chat"}': OK},
    ),
    "ImdRefusesAlerts": (
        "20m",
        {'imd_overload_rejections_total{reason="store"}': "0+10x60"},
        "five minutes: store",
        {'imd_overload_rejections_total{reason="inbox"}': "0x5 3x60"},
    ),
    "ImdInboxFilling": (
        "5m",
        {"imd_inbox_bytes": "90x60", "imd_inbox_bytes_max": "100x60"},
        "90%",
        {"imd_inbox_bytes": "50x60", "imd_inbox_bytes_max": "100x60"},
    ),
    "ImdOpenAlertsNearBound": (
        "10m",
        {"imd_alerts_open": "85x60", "imd_alerts_open_max": "100x60"},
        "85%",
        {"imd_alerts_open": "70x60", "imd_alerts_open_max": "100x60"},
    ),
    "ImdAlertsRejected": (
        "40m",
        {'imd_alerts_rejected_total{source="zabbix",reason="schema"}': "0+1x60"},
        "source zabbix",
        {'imd_alerts_rejected_total{source="zabbix",reason="ignored"}': "0+1x60"},
    ),
    "ImdSourceSilent": (
        "25h",
        {'imd_source_last_heard_timestamp_seconds{source="prom"}': "0x1600"},
        "from source prom for 1d",
        {'imd_source_last_heard_timestamp_seconds{source="prom"}': "0+60x1600"},
    ),
    "ImdConditionFailing": (
        "10m",
        {'imd_conditions_failed_total{rule="busy",reason="failed"}': "0x5 1x60"},
        "rule busy",
        {'imd_conditions_failed_total{rule="busy",reason="missing"}': "0x5 1x60"},
    ),
    "ImdSilenceForgotten": (
        "2h",
        {"imd_silence_oldest_seconds": "691200x180"},
        "8d",
        {"imd_silence_oldest_seconds": "3600x180"},
    ),
    "ImdStoreDown": ("5m", {"imd_store_up": "0x60"}, "takes no writes", {"imd_store_up": OK}),
    "ImdCommitsFailing": (
        "10m",
        {"imd_commit_failures_total": "0x5 1x60"},
        "transactions fail",
        {"imd_commit_failures_total": OK},
    ),
    "ImdCommitsSlow": (
        "30m",
        {'imd_commit_seconds_bucket{le="1.0"}': "0x60", 'imd_commit_seconds_bucket{le="2.5"}': "0+9x60",
         'imd_commit_seconds_bucket{le="+Inf"}': "0+9x60"},
        "takes up to 2.4",
        {'imd_commit_seconds_bucket{le="0.5"}': "0+9x60", 'imd_commit_seconds_bucket{le="+Inf"}': "0+9x60"},
    ),
    "ImdLoopBlocked": (
        "30m",
        {'imd_loop_lag_seconds_bucket{le="0.5"}': "0x60", 'imd_loop_lag_seconds_bucket{le="1.0"}': "0+9x60",
         'imd_loop_lag_seconds_bucket{le="+Inf"}': "0+9x60"},
        "late",
        {'imd_loop_lag_seconds_bucket{le="0.1"}': "0+9x60", 'imd_loop_lag_seconds_bucket{le="+Inf"}': "0+9x60"},
    ),
    "ImdWalGrowing": ("30m", {"imd_wal_bytes": "1073741824x60"}, "1GiB", {"imd_wal_bytes": "67108864x60"}),
    "ImdReloadFailed": (
        "10m",
        {"imd_config_last_reload_successful": "0x60"},
        "refused",
        {"imd_config_last_reload_successful": OK},
    ),
    "ImdRestarting": (
        "50m",
        {'process_start_time_seconds{job="imd"}': "0+600x60"},
        "times within an hour",
        {'process_start_time_seconds{job="imd"}': "0x20 5x60"},
    ),
    "ImdLogLinesLost": (
        "10m",
        {"imd_log_lines_dropped_total": "0x5 9x60"},
        "dropped",
        {"imd_log_lines_dropped_total": OK},
    ),
}  # fmt: skip


def rules() -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())
    return loaded


def queries() -> list[str]:
    """The dashboard's, with its variables filled in."""
    found = [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", [])]
    found += [note["expr"] for note in dashboard()["annotations"]["list"]]
    return [query.replace("$job", "imd").replace("$instance", ".+") for query in found]


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("promtool")
    if program is None:
        assert not REQUIRED, "promtool is required here (package prometheus)"
        pytest.skip("promtool is not installed (package prometheus)")
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=False)


def unknown(expression: str) -> set[str]:
    """Metrics and labels in it that imd does not export."""
    known: dict[str, set[str]] = {**OTHERS, **PROCESS}
    for name, kind, labels in metric_table(Metrics()):
        known[name] = set(labels)
        if kind == "histogram":
            known |= {f"{name}_bucket": {*labels, "le"}, f"{name}_count": set(labels), f"{name}_sum": set(labels)}
    wrong = set()
    names = re.findall(r"\b((?:imd|process)_\w+|up)\b(?:\{([^}]*)\})?", re.sub(r"by \([^)]*\)", "", expression))
    for name, selector in names:
        asked = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector))
        if name not in known:
            wrong.add(name)
        else:
            wrong |= {f"{name}{{{label}}}" for label in asked - known[name] - {"job", "instance"}}
    return wrong


def test_what_the_rules_and_the_dashboard_ask_for_exists() -> None:
    expressions = [rule["expr"] for rule in rules().values()] + queries()
    assert {one: found for one in expressions if (found := unknown(one))} == {}
    assert unknown('sum(imd_pags_total{job="x"})') == {"imd_pags_total"}
    assert unknown('imd_pages_total{reciever="x"}') == {"imd_pages_total{reciever}"}


def test_every_rule_has_its_case_and_its_section() -> None:
    assert set(CASES) == set(rules())
    sections = set(re.findall(r"^## (Imd\w+)$", MANUAL.read_text(), re.MULTILINE))
    assert sections == set(rules())
    for name, rule in rules().items():
        assert rule["annotations"]["runbook"] == f"docs/monitoring.md#{name.lower()}"


@pytest.mark.parametrize("name", CASES)
def test_a_rule_fires_when_it_should_and_rests_when_not(name: str, tmp_path: Path) -> None:
    at, firing, said, resting = CASES[name]
    rule = rules()[name]
    assert said in summary(rule, name, at, firing, tmp_path)
    assert summary(rule, name, at, resting, tmp_path) == ""


def summary(rule: dict[str, Any], name: str, at: str, series: dict[str, str], folder: Path) -> str:
    """What the alert says at `at`, "" if it does not fire. promtool compares only: it is asked for what cannot be, and
    what it found instead is read."""
    alone = folder / "rule.yaml"
    alone.write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": [rule]}]}))
    case = {
        "rule_files": [str(alone)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": one, "values": values} for one, values in series.items()],
                "alert_rule_test": [
                    {"eval_time": at, "alertname": name, "exp_alerts": [{"exp_labels": {"asked": "for"}}]}
                ],
            }
        ],
    }
    asked = folder / "asked.yaml"
    asked.write_text(yaml.safe_dump(case))
    ran = promtool("test", "rules", str(asked))
    got = re.search(r"got:\s*\[(.*?)\]\s*$", ran.stdout + ran.stderr, re.DOTALL | re.MULTILINE)
    assert got is not None, ran.stdout + ran.stderr
    found = re.search(r'summary="((?:[^"\\]|\\.)*)"', got[1])
    return found[1] if found else ""


def test_promtool_takes_every_rule_and_every_query(tmp_path: Path) -> None:
    """A query is a recording rule to it, so its grammar is checked too."""
    checked = promtool("check", "rules", str(RULES))
    assert (checked.returncode, f"{len(rules())} rules found" in checked.stdout) == (0, True), checked.stderr
    recorded = [{"record": f"imd:query_{number}", "expr": query} for number, query in enumerate(queries())]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": recorded}]}))
    checked = promtool("check", "rules", str(file))
    assert (checked.returncode, f"{len(recorded)} rules found" in checked.stdout) == (0, True), checked.stderr


def test_panels_do_not_lie_over_each_other() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 30
    taken: dict[tuple[int, int], str] = {}
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for cell in (
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        ):
            assert cell not in taken, (panel["title"], taken[cell])
            taken[cell] = panel["title"]
        assert panel["type"] == "row" or panel["description"].endswith(".")


def test_what_is_counted_for_the_first_time_was_0_before(tmp_path: Path) -> None:
    """Or `increase()` would not see a receiver's first failed page."""
    config = tmp_path / "config.yaml"
    config.write_text(
        "store: sqlite:///imd.db\n"
        "receivers: [{name: sms, type: webhook, url: 'http://127.0.0.1:9/x'}]\n"
        "fallback: sms\n"
        "sources: [{name: zabbix, type: alertmanager}]\n"
        "canary: {receiver: sms}\n"
    )
    loaded = load_config(config)
    metrics = Metrics()
    counters.start(metrics, loaded.settings, loaded.ruleset)
    for name, labels in {
        "pages_total": {"receiver": "sms", "kind": "page", "outcome": "failed"},
        "delivery_attempts_total": {"receiver": "sms", "outcome": "permanent"},
        "alerts_rejected_total": {"source": "zabbix", "reason": "schema"},
        "canary_pages_total": {"receiver": "sms", "outcome": "failed"},
        "overload_rejections_total": {"reason": "store"},
    }.items():
        assert metrics.registry.get_sample_value(f"imd_{name}", labels) == 0.0, name
    metrics.count("pages_total", ("sms", "page", "failed"))
    counters.start(metrics, loaded.settings, loaded.ruleset)
    failed = {"receiver": "sms", "kind": "page", "outcome": "failed"}
    assert metrics.registry.get_sample_value("imd_pages_total", failed) == 1.0, "a reload takes nothing back"
