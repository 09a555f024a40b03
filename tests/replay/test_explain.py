"""What would happen to an alert, stage by stage, and that it is what does happen."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imd.core.engine import Engine
from imd.core.state import State
from imd.model.condition import compile_condition
from imd.model.effect import AppendTimeline, Deliver, SaveIncident
from imd.model.enrich import Action, Relabel, Table, TableLookup
from imd.model.event import AlertsReported, DeliveryFinished, Outcome, PauseSet, SilenceSet, Tick
from imd.model.heartbeat import Heartbeat
from imd.model.incident import Level, Priority
from imd.model.policy import PageKind, Receiver, Route, Ruleset, Source
from imd.model.quiet import Maintenance, Once, TimeInterval
from imd.model.rule import Count, Matcher, Mode, Op, Raise, Relate, Rule, Window, WindowKind
from imd.model.topology import Entity, Topology
from imd.replay.explain import TRIED_SHOWN, Asked, asked_of, explain, known_of
from imd.replay.explained import Explained
from tests.core.making import (
    STORE_ID,
    T0,
    Kept,
    after,
    equals,
    inhibition,
    minutes,
    policy,
    report,
    ruleset,
    seconds,
    silence,
    step,
    webhook,
)

PROM = Source(name="prom", type="alertmanager", labels={"region": "eu"})
POLICIES = (policy(step("ana", wait=minutes(5)), step("ben", "#chat", wait=minutes(10))),)


def asked(at: float = 0.0, source: Source = PROM, **labels: str) -> Asked:
    return asked_of(source, {"alertname": "A", **labels}, {}, after(at))


def told(rules: Ruleset, at: float = 0.0, state: State | None = None, **labels: str) -> Explained:
    return explain(rules, asked(at, **labels), state)


def rule(name: str = "r", match: str = "A", **other: Any) -> Rule:
    return Rule(name=name, match=((Matcher("alertname", Op.REGEX, match),),), where=f"rules.yaml:{len(name)}", **other)


def pages(one: Explained) -> list[tuple[float, str, str, int]]:
    return [(page.after_seconds, page.to, page.reason, page.step) for page in one.pages]


def test_who_is_paged_when_if_nobody_answers() -> None:
    one = told(
        ruleset(rule(), policies=POLICIES, receivers=[Receiver(name="chat")], fallback="chat"), severity="critical"
    )
    assert pages(one) == [
        (10, "ana", "first", 1),
        (310, "ben", "escalated", 2),
        (310, "chat", "escalated", 2),
        (910, "chat", "escalated", 0),
        (910 + 4 * 3600, "chat", "repeated", 0),
        (910 + 4 * 3600, "ben", "repeated", 2),
    ]
    assert one.verdict == "It opens an incident of P2 under rule r; ana is paged after 10s."
    assert (one.live, one.config_hash, one.source) == (False, "c0ffee", "prom")


def test_the_sources_labels_and_enrichment_are_seen_and_said() -> None:
    entries = (
        TableLookup(
            name="cmdb",
            table=Table(rows={"db1": ("storage", "1")}, source="x"),
            on=(("instance", "host"),),
            add=("team", "tier"),
        ),
        Relabel(name="tidy", action=Action.LABELDROP, regex="instance"),
        Relabel(name="quiet", action=Action.DROP, source_labels=("team",), regex="nobody"),
    )  # fmt: skip
    one = told(ruleset(rule(), enrich=entries), instance="db1")
    assert one.labels == {"alertname": "A", "instance": "db1", "region": "eu"}
    assert one.seen == {"alertname": "A", "region": "eu", "team": "storage", "tier": "1"}
    assert [(entry.name, entry.added, entry.removed, entry.stops) for entry in one.enrichment] == [
        ("cmdb", {"team": "storage", "tier": "1"}, (), False),
        ("tidy", {}, ("instance",), False),
        ("quiet", {}, (), False),
    ]
    assert one.priority is not None
    assert (one.priority.impact.level, one.priority.impact.because) == ("high", 'tier="1"')


def test_an_enrichment_that_stops_it_is_the_last_word() -> None:
    stop = Relabel(name="quiet", action=Action.DROP, source_labels=("env",), regex="test")
    one = told(ruleset(rule(), enrich=(stop,)), env="test")
    assert one.verdict == "The enrichment quiet stops it: no rule sees it and nobody is paged."
    assert (one.rule, one.priority, one.route, one.pages, one.tried) == (None, None, None, [], [])
    assert one.enrichment[0].stops


def test_what_feeds_a_heartbeat_goes_no_further() -> None:
    one = told(
        ruleset(rule(), heartbeats=(Heartbeat(name="w", every=minutes(5), match=((equals(alertname="A"))[:1],)),))
    )
    assert one.heartbeat == "w"
    assert one.verdict == "It feeds the heartbeat w: no rule sees it and nobody is paged."
    assert one.rule is None


def test_rules_that_do_not_take_it_say_which_matcher_failed() -> None:
    rules = ruleset(
        Rule(name="one", match=(equals(alertname="A", env="prod"),), where="a.yaml:3"),
        Rule(
            name="either", match=(equals(alertname="B"), equals(alertname="A", team="x", env="test")), where="a.yaml:7"
        ),
        Rule(name="if", match=(equals(alertname="A"),), when=compile_condition('labels.env == "prod"')),
        Rule(name="asks", match=(equals(alertname="A"),), when=compile_condition('labels.gone == "x"')),
        rule("takes"),
    )
    one = told(rules, env="test")
    assert one.rule is not None
    assert (one.rule.rule, one.rule.number) == ("takes", 5)
    failed = {tried.rule: tried.failed for tried in one.tried}
    assert failed["one"] == ['env="prod" does not hold: env is "test"']
    assert failed["either"] == [
        'team="x" does not hold: there is no label team', 'alertname="B" does not hold: alertname is "A"',
    ]  # fmt: skip
    assert failed["if"] == ['when: labels.env == "prod" is false']
    assert failed["asks"][0].startswith('when: labels.gone == "x" gives no answer: ')


def test_of_many_rules_the_nearest_are_told_and_all_on_request() -> None:
    far = [Rule(name=f"far{n}", match=(equals(alertname="B", x="y"),)) for n in range(20)]
    near = Rule(name="near", match=(equals(alertname="A", env="prod"),))
    rules = ruleset(*far, near, rule("takes"))
    one = told(rules)
    assert len(one.tried) == TRIED_SHOWN
    assert one.tried[-1].rule == "near"
    assert one.untold == 11
    whole = explain(rules, asked(), whole=True)
    assert (len(whole.tried), whole.untold) == (21, 0)
    assert [tried.rule for tried in whole.tried] == [one.name for one in [*far, near]], "in order of trial"


@pytest.mark.parametrize(
    ("state", "at", "cause"),
    [
        (SilenceSet(silence(-60, 600, alertname="A")), 0, "silence/00000000-0000-4000-8000-000000000001"),
        (PauseSet(until=after(600), by="ana", reason="drill"), 0, "pause"),
        (Tick(), 1000, "maintenance/patching"),
    ],
    ids=["silence", "pause", "maintenance"],
)
def test_what_suppresses_it_and_that_it_goes_on_when_that_ends(state: Any, at: float, cause: str) -> None:
    patching = Maintenance(
        name="patching", match=(equals(alertname="A"),), reason="kernel",
        during=TimeInterval(once=(Once(begins_at=after(900), ends_at=after(1200)),)),
    )  # fmt: skip
    rules = ruleset(rule(), policies=POLICIES, maintenance=(patching,))
    engine = Engine(rules, State(STORE_ID))
    engine.step(state, T0 - timedelta(seconds=30))
    one = told(rules, at, engine.excerpt(asked(at).report).state())
    assert [found.cause for found in one.suppressed_by] == [cause]
    assert one.live
    assert one.place.verdict == "none"
    assert one.verdict.startswith(f"It is suppressed by {cause}; ana is paged after ")
    assert (one.pages[0].to, one.pages[0].at) == ("ana", after(1210 if "maintenance" in cause else 610))


def test_a_silence_of_a_person_is_said_with_name_end_and_comment() -> None:
    engine = Engine(ruleset(rule()), State(STORE_ID))
    engine.step(SilenceSet(silence(-60, 600, alertname="A")), T0 - timedelta(seconds=30))
    [cause] = told(ruleset(rule()), 0, engine.excerpt(asked().report).state()).suppressed_by
    assert cause.words.endswith("by ana until 2026-01-01T00:10:00Z: planned")


def test_an_alert_that_mutes_it_is_named() -> None:
    rules = ruleset(rule(match="A|Cause"), inhibitions=(inhibition("Cause", "A", "region"),))
    engine = Engine(rules, State(STORE_ID))
    engine.step(
        webhook(report({"alertname": "Cause", "region": "eu"}), report({"alertname": "Cause", "region": "us"})), T0
    )
    one = told(rules, 5, engine.excerpt(asked(5).report).state())
    assert [found.cause.rpartition("/")[0] for found in one.suppressed_by] == ["inhibition/cause"]
    assert told(rules, 5).suppressed_by == []


def test_one_that_joins_muted_is_told_up_to_the_first_reminder() -> None:
    """The reminders of the incident go on for as long as nobody answers, and nothing here ends the mute."""
    rules = ruleset(
        rule(match="A|Cause", group_by=("c",)), policies=POLICIES, inhibitions=(inhibition("Cause", "A", "c"),)
    )
    engine = Engine(rules, State(STORE_ID))
    engine.step(webhook(report({"alertname": "Cause", "c": "1"})), T0)
    engine.step(Tick(), after(10))
    one = told(rules, 60, engine.excerpt(asked(60, c="1").report).state(), c="1")
    assert (one.place.verdict, one.suppressed_by != []) == ("joins", True)
    assert [line.kind for line in one.lines].count("reminded") == 1


def test_an_open_incident_is_joined_and_pages_nobody_again() -> None:
    rules = ruleset(rule(group_by=("c",), raises=(Raise(at_least=3, impact=Level.HIGH),)), policies=POLICIES)
    engine = Engine(rules, State(STORE_ID))
    engine.step(webhook(report({"alertname": "A", "c": "1", "n": "1"})), T0)
    engine.step(Tick(), after(10))
    one = told(rules, 60, engine.excerpt(asked(60, c="1", n="2").report).state(), c="1", n="2")
    assert (one.place.verdict, one.place.number, one.place.incident) == ("joins", 1, "i000000000001")
    assert one.verdict == "It joins incident #1 under rule r; ben is paged after 4m10s."
    assert one.route is not None
    assert one.route.because == "incident #1 has it already"
    assert one.priority is not None
    assert one.priority.raises == ["impact high from 3 alerts on"]


def test_one_that_waits_says_for_what_and_what_would_follow() -> None:
    rules = ruleset(rule(open_when=Count(at_least=3, distinct="n", within=minutes(5))), policies=POLICIES)
    one = told(rules, n="1")
    assert one.place.verdict == "waits"
    assert one.verdict == "Rule r takes it, and it waits for 3 of n within 5m; nobody is paged."
    assert one.pages == []
    assert one.once_open is not None
    assert pages(one.once_open)[0] == (10, "ana", "first", 1)


def test_the_arithmetic_of_priority() -> None:
    def weighed(rules: Ruleset, **labels: str) -> tuple[str, str, str, str]:
        found = told(rules, **labels).priority
        assert found is not None
        return found.priority, found.because, found.impact.because, found.urgency.because

    plain = ruleset(rule())
    assert weighed(plain, severity="critical") == (
        "P2", "impact medium x urgency high", "there is no label tier, and none on the map", 'severity="critical"',
    )  # fmt: skip
    assert weighed(plain, severity="dire", tier="9") == (
        "P4", "impact low x urgency medium", 'tier="9" is not listed, so the default',
        'severity="dire" is not listed, so the default',
    )  # fmt: skip
    assert weighed(plain, priority="P1")[:2] == ("P1", 'a sender says so (label priority="P1")')
    set_by_rule = ruleset(rule(impact=Level.HIGH, urgency=Level.HIGH))
    assert weighed(set_by_rule) == ("P1", "impact high x urgency high", "rule r sets it", "rule r sets it")
    assert weighed(ruleset(rule(priority=Priority.P5)))[:2] == ("P5", "rule r sets it outright")


def test_routes_that_do_not_take_it_say_why() -> None:
    team = policy(step("cleo"), name="team")
    routes = (
        Route(policy="team", match=(equals(team="x"),)),
        Route(policy="team", priority=frozenset({Priority.P1})),
        Route(policy="team", match=(equals(region="eu"),)),
        Route(policy="default"),
    )
    one = told(ruleset(rule(), policies=(*POLICIES, team), routes=routes))
    assert one.route is not None
    assert (one.route.policy, one.route.because) == ("team", "route 3")
    assert [(tried.route, tried.because) for tried in one.route.tried] == [
        (1, 'team="x" does not hold'), (2, "it is for P1, this is P3"), (3, ""),
    ]  # fmt: skip
    by_rule = told(ruleset(rule(policy="team"), policies=(*POLICIES, team), routes=routes)).route
    assert by_rule is not None
    assert (by_rule.policy, by_rule.because, by_rule.tried) == ("team", "rule r", [])


@pytest.mark.parametrize(
    ("mode", "verdict"),
    [
        (Mode.DROP, "Rule r drops it; nobody is paged."),
        (Mode.SUPPRESS, "It is suppressed by rule/r; nobody is paged."),
        (Mode.MONITOR, "It opens an incident of P3 under rule r; nobody is paged."),
    ],
)
def test_modes_that_page_nobody(mode: Mode, verdict: str) -> None:
    one = told(ruleset(rule(mode=mode), policies=POLICIES))
    assert one.verdict == verdict
    assert one.pages == []
    if mode is Mode.MONITOR:
        assert any("mode monitor" in line.text for line in one.lines)


def test_where_it_stands_on_the_map() -> None:
    host = Entity(id="host/n1", match=(equals(node="n1"),))
    rules = ruleset(rule(relate=Relate(), group_by=()), topology=Topology(entities=(host,)))
    one = told(rules, node="n1")
    assert one.place.entities == ("host/n1",)
    assert one.rule is not None
    assert one.rule.relate == "within 5m, at most 3 hops"


def test_of_very_many_alerts_the_newest_are_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imd.core.excerpt.ALERTS_MAX", 5)
    rules = ruleset(rule(group_by=("c",)))
    engine = Engine(rules, State(STORE_ID))
    engine.step(webhook(*[report({"alertname": "A", "c": "1", "n": str(n)}) for n in range(20)]), T0)
    copy = engine.excerpt(asked(0, c="1").report).state()
    assert sorted(copy.alerts[key].id for key in copy.alerts) == [16, 17, 18, 19, 20]
    assert told(rules, 1, copy, c="1").place.verdict == "joins"


def test_what_the_engine_knows_of_the_alert_itself_is_left_out_and_said() -> None:
    rules = ruleset(rule(), policies=POLICIES)
    engine = Engine(rules, State(STORE_ID))
    fires = asked(0, n="1").report
    engine.step(AlertsReported("prom", False, (fires,)), T0)
    engine.step(Tick(), after(10))
    before = msgspec.json.encode([engine.state.alerts[fires.identity.key], *engine.state.incidents.values()])
    known = known_of(engine.state, fires)
    assert known is not None
    assert (known.since, known.incident) == (T0, "i000000000001")
    again = told(rules, 60, engine.excerpt(fires).state(), n="1")
    assert again.place.verdict == "joins"
    assert known_of(engine.state, asked(0, n="2").report) is None
    after_it = msgspec.json.encode([engine.state.alerts[fires.identity.key], *engine.state.incidents.values()])
    assert before == after_it, "the running engine is left alone"


# -- it is what does happen -------------------------------------------------------------------------------------------

RULES = ruleset(
    rule("wide", "Wide|Cause", group_by=("c",), window=Window(kind=WindowKind.SESSION, gap=minutes(3), max_alerts=3)),
    rule("waits", "Waits", group_by=("c",), open_when=Count(at_least=2, within=minutes(5))),
    rule("tied", "Tied|Host", group_by=(), relate=Relate()),
    rule("trial", "Trial", mode=Mode.MONITOR),
    policies=POLICIES,
    receivers=[Receiver(name="chat", min_priority=Priority.P2)],
    routes=(Route(policy="default"),),
    inhibitions=(inhibition("Cause", "Wide", "c"),),
    topology=Topology(
        entities=(
            Entity(id="host/1", match=(equals(n="1"),)),
            Entity(id="host/2", match=(equals(n="2"),), depends_on=("host/1",)),
        )
    ),
)
NAMES = ["Wide", "Cause", "Waits", "Tied", "Host", "Trial", "Other"]
_life = st.lists(
    st.one_of(
        st.tuples(
            st.just("fire"), st.sampled_from(NAMES), st.sampled_from("12"), st.sampled_from("12"),
            st.sampled_from(["critical", "info"]),
        ),
        st.tuples(st.just("end"), st.sampled_from(NAMES), st.sampled_from("12"), st.sampled_from("12"), st.just("")),
        st.tuples(st.just("pass"), st.sampled_from([1, 30, 200, 900])),
        st.tuples(st.just("hush"), st.sampled_from(NAMES), st.sampled_from([60, 2000])),
    ),
    max_size=18,
)  # fmt: skip


class Lived:
    """A running engine and what a store would hold of it."""

    def __init__(self) -> None:
        self.engine, self.kept, self.now = Engine(RULES, State(STORE_ID), expires=False), Kept(), T0

    def take(self, event: Any) -> list[Any]:
        """Receivers take every message at once."""
        effects = self.engine.step(event, self.now)
        self.kept.apply(effects)
        for one in [effect.delivery for effect in effects if isinstance(effect, Deliver)]:
            done = DeliveryFinished(
                delivery=one.id, incident=one.incident, receiver=one.receiver, outcome=Outcome.ACCEPTED
            )
            self.take(done)
        return effects

    def pass_time(self, by: float) -> None:
        goal = self.now + seconds(by)
        while (due := self.engine.next_deadline()) is not None and due <= goal:
            self.now = max(self.now, due)
            self.take(Tick())
        self.now = goal

    def apply(self, number: int, op: tuple[Any, ...]) -> None:
        self.pass_time(0.001 * number + 0.001)
        match op:
            case ("fire" | "end" as what, name, c, n, severity):
                labels = {"alertname": name, "c": c, "n": n, **({"severity": severity} if severity else {})}
                at = (self.now - T0).total_seconds()
                self.take(webhook(report(labels, None if what == "end" else at, resolved=what == "end")))
            case ("pass", by):
                self.pass_time(by)
            case ("hush", name, lasts):
                at = (self.now - T0).total_seconds()
                self.take(SilenceSet(silence(at, at + lasts, number, alertname=name)))


def fate(one: Explained) -> object:
    return (
        one.verdict, one.place, one.priority, one.suppressed_by, one.route, one.pages[:3],
        [line.text for line in one.lines if line.kind in ("opened", "joined", "not_notified")][:3],
    )  # fmt: skip


@settings(max_examples=250, deadline=None)
@given(_life, st.sampled_from(NAMES), st.sampled_from("12"), st.sampled_from("12"))
def test_an_excerpt_decides_as_the_whole_state_does(ops: list[tuple[Any, ...]], name: str, c: str, n: str) -> None:
    """Beside everything that fires, restored as from a store, and beside the part that matters: the same is told."""
    lived = Lived()
    for number, op in enumerate(ops):
        lived.apply(number, op)
    lived.pass_time(0.5)
    said = asked_of(
        Source(name="am", type="alertmanager"), {"alertname": name, "c": c, "n": n, "x": "new"}, {}, lived.now
    )
    whole = lived.kept.restored()
    whole.silences = dict(lived.engine.state.silences)
    assert fate(explain(RULES, said, lived.engine.excerpt(said.report).state())) == fate(explain(RULES, said, whole))


@settings(max_examples=250, deadline=None)
@given(_life, st.sampled_from(NAMES), st.sampled_from("12"), st.sampled_from("12"))
def test_what_is_explained_is_what_happens(ops: list[tuple[Any, ...]], name: str, c: str, n: str) -> None:
    """The alert then comes to the running engine, and time goes on."""
    lived = Lived()
    for number, op in enumerate(ops):
        lived.apply(number, op)
    lived.pass_time(0.5)
    said = asked_of(
        Source(name="am", type="alertmanager"), {"alertname": name, "c": c, "n": n, "x": "new"}, {}, lived.now
    )
    one = explain(RULES, said, lived.engine.excerpt(said.report).state())
    began: datetime = lived.now
    effects = lived.take(AlertsReported("am", False, (said.report,)))
    alert = lived.engine.state.alerts[said.report.identity.key]
    assert alert.suppressed_by == tuple(cause.cause for cause in one.suppressed_by)
    assert (one.rule.rule if one.rule is not None else "") == alert.rule
    assert one.place.verdict == (
        "waits" if alert.counted_at is not None
        else "none" if not alert.incident
        else "opens" if any(isinstance(e, AppendTimeline) and e.entry.kind == "opened" for e in effects)
        else "joins"
    )  # fmt: skip
    if alert.incident and one.priority is not None:
        saved = [e.incident for e in effects if isinstance(e, SaveIncident) and e.incident.id == alert.incident]
        assert saved[-1].priority.value == one.priority.priority
    while not any(isinstance(e, Deliver) for e in effects) and (due := lived.engine.next_deadline()) is not None:
        if due > began + minutes(2):
            break
        lived.now = max(lived.now, due)
        effects = [e for e in lived.take(Tick()) if not isinstance(e, Deliver) or e.delivery.incident == alert.incident]
    first = [e.delivery for e in effects if isinstance(e, Deliver) and e.delivery.incident == alert.incident]
    early = [page for page in one.pages if page.at <= began + minutes(2)]
    if first and first[0].kind is PageKind.PAGE:
        assert (early[0].at, early[0].to) == (first[0].created_at, first[0].to)
