"""Enriched labels reach every later stage, stay with their episode, and never become part of who an alert is."""

from __future__ import annotations

import sys

import msgspec
import pytest

from imd.core.engine import Engine
from imd.core.state import State
from imd.model.alert import Alert
from imd.model.condition import compile_condition
from imd.model.effect import Counted
from imd.model.enrich import Action, Extract, Relabel, Table, TableLookup
from imd.model.incident import Level
from imd.model.policy import Route
from imd.model.rule import Matcher, Mode, Op, Raise, Rule
from imd.model.template import Template
from imd.telemetry import Metrics
from tests.core.making import STORE_ID, T0, policy, report, ruleset, seconds, step, webhook
from tests.stories.told import Story

HOSTS = TableLookup(
    name="cmdb",
    table=Table("hosts", {"n1": ("data", "1", "r1"), "n2": ("web", "2", "r1"), "n3": ("web", "2", "r2")}),
    on=(("node", "host"),),
    add=("team", "tier", "rack"),
)
RACK = Rule(
    name="rack",
    match=((Matcher("rack", Op.REGEX, "r.*"),),),
    group_by=("rack",),
    hold=seconds(0),
    raises=(Raise(at_least=2, distinct="team", impact=Level.HIGH),),
    title=Template("{{ group.rack }}"),
)


def rack_story(**other: object) -> Story:
    to_data = Route(policy="data", match=((Matcher("team", Op.EQUAL, "data"),),))
    policies = [policy(step("ana")), policy(step("ben"), name="data")]
    return Story(RACK, enrich=(HOSTS,), policies=policies, routes=(to_data,), **other)


def alert_of(story: Story, number: int = 1) -> Alert:
    return msgspec.msgpack.decode(story.kept.alerts[number], type=Alert)


def test_a_table_s_labels_match_group_set_the_priority_and_route() -> None:
    """Team and tier come from the table alone: so do the rule, the key, the impact, the route and the title."""
    story = rack_story()
    story.at("0:00").fires("Down", node="n1", severity="critical").page_to("ben", priority="P1")
    story.is_("triggered", rule="rack", group_key=(("rack", "r1"),), title="r1", impact=Level.HIGH, policy="data")
    assert alert_of(story).full_labels()["tier"] == "1"
    assert b'"enriched":{"rack":"r1","team":"data","tier":"1"}' in story.sent[0].body


def test_raise_counts_distinct_enriched_values_and_the_common_ones_stay_with_the_incident() -> None:
    story = rack_story()
    story.at("0:00").fires("Down", node="n2", severity="warning").page_to("ana", priority="P3")
    story.at("0:01").fires("Down", node="n1", severity="warning").page_to("ana", "raised", priority="P2")
    assert story.incident().labels == {"alertname": "Down", "rack": "r1", "severity": "warning"}


def test_enrichment_is_not_identity() -> None:
    """The same alert under other tables is a repeat; a resolve by the sender's labels meets it."""
    story = rack_story()
    story.at("0:00").fires("Down", node="n1", severity="critical").page_to("ben")
    other = msgspec.structs.replace(HOSTS, table=Table("new", {"n1": ("web", "2", "r9")}))
    story.at("0:01").reload(msgspec.structs.replace(story.ruleset, enrich=(other,)))
    story.fires("Down", node="n1", severity="critical").incidents(1)
    assert alert_of(story).full_labels()["team"] == "data"  # decided when the episode began
    story.at("0:02").resolves("Down", node="n1", severity="critical").update_to("ben")
    story.at("0:03").end_to("ben").is_("resolved")


def test_a_later_episode_gets_the_new_tables() -> None:
    story = rack_story()
    story.at("0:00").fires("Down", node="n3").page_to("ana")
    other = msgspec.structs.replace(HOSTS, table=Table("new", {"n2": ("web", "2", "r9")}))
    story.at("0:01").reload(msgspec.structs.replace(story.ruleset, enrich=(other,)))
    story.fires("Down", node="n2").page_to("ana", incident=2)
    story.is_("triggered", 2, group_key=(("rack", "r9"),))


def test_it_is_kept_over_a_restart_and_shared_again() -> None:
    story = rack_story()
    story.at("0:00").fires("Down", node="n2").page_to("ana")
    story.at("0:01").fires("Other", node="n2").update_to("ana").restart()
    found = [alert.enriched for alert in story.engine.state.alerts.values()]
    assert found[0] == b'{"rack":"r1","team":"web","tier":"2"}'
    assert found[0] is found[1]
    story.at("0:02").fires("Down", node="n1").page_to("ana", "raised")  # two teams: counted over the restart


@pytest.mark.parametrize("action", [Action.DROP, Action.KEEP])
def test_what_keep_or_drop_stops_is_kept_and_counted_and_opens_nothing(action: Action) -> None:
    """Its verdict is on record; when it ends nobody hears of it; another episode is judged anew."""
    regex = "dev" if action is Action.DROP else "prod"
    stop = Relabel(name="only-prod", action=action, source_labels=("env",), regex=regex)
    story = Story(enrich=(stop,), policies=[policy(step("ana"))])
    story.at("0:00").fires("Down", env="dev").incidents(0)
    assert alert_of(story).dropped_by == "only-prod"
    assert alert_of(story).incident == ""
    story.at("0:01").fires("Down", env="prod").incidents(1).at("0:01:10").page_to("ana")
    story.at("0:02").resolves("Down", env="dev")
    story.at("0:04").fires("Down", env="dev").incidents(1)


def test_a_relabelled_severity_is_the_one_that_counts() -> None:
    tidy = Relabel(
        name="sev", source_labels=("severity",), regex="(?i)crit.*", target_label="severity", replacement="critical"
    )
    story = Story(enrich=(tidy,), policies=[policy(step("ana"))])
    story.at("0:00").fires("Down", severity="CRIT")
    story.at("0:00:10").page_to("ana", priority="P2")


def test_a_sender_s_label_that_enrichment_took_away_groups_nothing() -> None:
    """Two replicas of a sender differ by a label that is dropped: one incident."""
    drop = Relabel(name="replica", action=Action.LABELDROP, regex="replica")
    story = Story(Rule(name="all", group_by=None, hold=seconds(0)), enrich=(drop,), policies=[policy(step("ana"))])
    story.at("0:00").fires("Down", replica="a").page_to("ana").fires("Down", replica="b").incidents(1)


def test_an_extracted_label_is_seen_by_a_condition() -> None:
    if sys.platform != "linux":
        pytest.importorskip("cel_expr_python")
    shop = Rule(name="shop", when=compile_condition('labels.service.startsWith("shop")'), mode=Mode.SUPPRESS)
    service = Extract(name="svc", label="pod", regex="(?P<service>.+)-[0-9]+")
    story = Story(shop, enrich=(service,), policies=[policy(step("ana"))])
    story.at("0:00").fires("Down", pod="shop-api-1").incidents(0)
    story.fires("Down", pod="web-1").incidents(1)
    story.fires("Down", node="n1").incidents(2)  # no service: the condition gives no answer, the rule does not match


def test_what_was_stopped_and_what_gave_no_answer_is_counted() -> None:
    if sys.platform != "linux":
        pytest.importorskip("cel_expr_python")
    asks = Rule(name="asks", when=compile_condition('labels.env == "prod"'))
    stop = Relabel(name="no-dev", action=Action.DROP, source_labels=("env",), regex="dev")
    engine = Engine(ruleset(asks, enrich=(stop,)), State(STORE_ID))
    reports = [report({"alertname": "A", **more}) for more in ({}, {"env": "dev"}, {"env": "prod"})]
    counted = {
        (effect.name, effect.values): effect.amount
        for effect in engine.step(webhook(*reports), T0)
        if isinstance(effect, Counted)
    }
    assert counted["conditions_failed_total", ("asks", "missing")] == 1
    assert counted["alerts_dropped_by_enrichment_total", ("no-dev",)] == 1
    assert counted["rule_matches_total", ("asks",)] == 1
    metrics = Metrics()
    for (name, values), amount in counted.items():
        metrics.count(name, values, amount)
