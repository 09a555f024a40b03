"""The shipped packs: each passes its own tests, names no alert twice, and takes them by name and place."""

from __future__ import annotations

from pathlib import Path

import pytest

from imd.config.load import load_rules
from imd.core.correlate import RuleIndex
from imd.core.enrich import Enricher
from imd.model.rule import Op, Rule
from imd.replay.coverage import Coverage
from imd.replay.ruletest import RuleSets, read_file, run_file

RULES = Path(__file__).parents[2] / "rules"
PACKS = sorted(file for file in RULES.glob("*.yaml") if not file.name.endswith(".test.yaml"))
TESTS = sorted(RULES.glob("*.test.yaml"))
LOADED = load_rules([RULES])
RULE_SETS = RuleSets()
OURS = [rule for rule in LOADED.ruleset.rules if rule.name != "default"]


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.name)
def test_a_pack_does_what_its_test_says(file: Path) -> None:
    for result in run_file(file, RULE_SETS):
        assert result.passed, "\n".join(map(str, result.failures))


def test_every_pack_with_rules_has_its_test() -> None:
    tested = {name for file in TESTS for test in read_file(file).tests for name in test.rules}
    assert {pack.name for pack in PACKS} <= tested


def test_every_rule_is_seen_at_work_by_some_test() -> None:
    """What takes an alert is also looked at; a rule that opens nothing is not named."""
    coverage = Coverage()
    for file in TESTS:
        run_file(file, RULE_SETS, coverage)
    assert [str(part) for part in coverage.unreached()] == []
    told = "\n".join(file.read_text() for file in TESTS)
    assert [rule.name for rule in OURS if f"rule: {rule.name}" not in told and rule.mode.value == "page"] == []


def names_of(rule: Rule) -> set[str]:
    """As they come without a severity: what only a severity brings to a rule is another's by name.."""
    return {
        value
        for matchers in rule.match
        if not any(matcher.name == "severity" and matcher.op in (Op.EQUAL, Op.REGEX) for matcher in matchers)
        for matcher in matchers
        if matcher.name == "alertname"
        and (matcher.op is Op.EQUAL or (matcher.op is Op.REGEX and "(" not in matcher.value))
        for value in ([matcher.value] if matcher.op is Op.EQUAL else matcher.value.split("|"))
    }


def test_no_name_is_taken_by_two_rules() -> None:
    seen: dict[str, str] = {}
    for rule in OURS:
        for name in names_of(rule):
            assert seen.setdefault(name, rule.name) == rule.name, name
    assert len(seen) > 300


def test_every_named_alert_goes_to_its_rule() -> None:
    """Through the enrichment of all packs together."""
    index, enricher = RuleIndex(LOADED.ruleset.rules), Enricher(LOADED.ruleset.enrich)
    for rule in OURS:
        for name in names_of(rule):
            found = index.find(enricher.enrich({"alertname": name, "cluster": "c1", "service": "shop"}).labels)
            assert found is not None
            assert found.name == rule.name, name


def test_keys_have_a_place() -> None:
    """No rule takes everything of a kind into one incident, wherever it is; what relates is kept apart by place."""
    places = {"cluster", "instance"}
    for rule in OURS:
        if rule.mode.value == "page" and rule.relate is None:
            assert rule.group_by, rule.name
            assert places & set(rule.group_by), rule.name


@pytest.mark.parametrize(
    ("labels", "workload"),
    [
        ({"pod": "cart-api-7d9c5b6f4d-x2x4z"}, "cart-api"),
        ({"pod": "node-exporter-x2x4z"}, "node-exporter"),
        ({"pod": "postgres-0"}, "postgres"),
        ({"pod": "kube-proxy"}, "kube-proxy"),
        ({"pod": "old-1a2b3c4d5e-0f1a2"}, "old"),
        ({"pod": "cart-7d9c5b6f4d-x2x4z", "deployment": "cart"}, "cart"),
        ({"pod": "kube-state-metrics-7d9c5b6f4d-x2x4z", "statefulset": "db"}, "db"),
        ({"job_name": "backup-28391820"}, "backup"),
        ({"job_name": "migrate"}, "migrate"),
        ({"horizontalpodautoscaler": "web"}, "web"),
        ({"pod": "x-0", "workload": "mine"}, "mine"),
        ({"exported_pod": "cart-7d9c5b6f4d-x2x4z", "pod": "exporter-7d9c5b6f4d-aaaaa"}, "cart"),
        ({"node": "n1"}, ""),
    ],
)
def test_the_workload_of_an_alert(labels: dict[str, str], workload: str) -> None:
    enriched = Enricher(LOADED.ruleset.enrich).enrich({"alertname": "A", **labels})
    assert enriched.labels.get("workload", "") == workload


@pytest.mark.parametrize(
    ("labels", "service"),
    [
        ({"service": "shop-cart-80@kubernetes"}, "shop-cart-80"),
        ({"destination_canonical_service": "cart"}, "cart"),
        ({"proxy": "cart"}, "cart"),
        ({"service": "metrics", "exported_service": "cart"}, "cart"),
        ({"deployment": "cart"}, ""),
    ],
)
def test_the_service_of_an_alert(labels: dict[str, str], service: str) -> None:
    enriched = Enricher(LOADED.ruleset.enrich).enrich({"alertname": "A", **labels})
    assert enriched.labels.get("service", "") == service
