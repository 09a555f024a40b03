"""The journal of a run, replayed with the same rules, ends in the same incidents and messages.

A random life of the engine is driven as the daemon drives it, but on the dot: alerts of both protocols, people,
silences, pauses and heartbeats, deliveries that take their time, restarts, a clock that is set. Its journal lines are
all that the replay gets.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imd.core.engine import Engine
from imd.core.state import State
from imd.model.alert import AlertReport
from imd.model.effect import CancelPages, Deliver, Delivery, Journal, SaveIncident
from imd.model.event import (
    ActionKind,
    ActionTaken,
    AlertsReported,
    ClockStepped,
    DeliveryFinished,
    Event,
    HeartbeatBeat,
    Outcome,
    PauseSet,
    Restarted,
    RulesChanged,
    SilenceExpired,
    SilenceSet,
    SourceHeard,
    Tick,
)
from imd.model.heartbeat import Heartbeat
from imd.model.incident import Incident, Level, Priority
from imd.model.policy import PageKind, Receiver, Route, Source
from imd.model.quiet import PAUSE, Maintenance, Once, TimeInterval
from imd.model.rule import Matcher, Mode, Op, Raise, Resolve, ResolveWhen, Rule, Window, WindowKind
from imd.replay.journal import EventsReader, glance
from imd.replay.report import Report
from imd.replay.run import Story, replay
from tests.core.making import (
    STORE_ID,
    T0,
    Kept,
    after,
    identify,
    inhibition,
    keyed,
    minutes,
    policy,
    report,
    ruleset,
    seconds,
    silence,
    step,
)


def _named(name: str) -> tuple[tuple[Matcher, ...], ...]:
    return ((Matcher("alertname", Op.EQUAL, name),),)


RULES = ruleset(
    Rule(name="wide", match=_named("Wide"), group_by=("cluster",), hold=seconds(0), window=Window(max_alerts=3)),
    Rule(
        name="session",
        match=_named("Session"),
        group_by=("cluster",),
        window=Window(kind=WindowKind.SESSION, gap=minutes(2)),
        raises=(Raise(at_least=2, distinct="n", impact=Level.HIGH),),
        reopen_within=minutes(5),
    ),
    Rule(
        name="fixed",
        match=_named("Fixed"),
        group_by=(),
        window=Window(kind=WindowKind.FIXED, gap=minutes(3), max_life=minutes(30)),
        resolve=Resolve(when=ResolveWhen.FIRST, after=seconds(5)),
        policy="team",
    ),
    Rule(name="trial", match=_named("Trial"), mode=Mode.MONITOR),
    policies=(
        policy(
            step("ana", "#chat", wait=minutes(2)), step("ben"), repeat=1, ack_timeout=minutes(10), remind=minutes(9)
        ),
        policy(step("#pager"), step("cleo", "#missing", wait=minutes(1)), name="team"),
    ),
    receivers=(
        Receiver(name="chat", send=frozenset({PageKind.PAGE, PageKind.UPDATE, PageKind.RESOLVED})),
        Receiver(name="pager", min_priority=Priority.P2),
    ),
    sources=(Source(name="am", type="alertmanager", silent_after=minutes(10), expire_after=minutes(20)),),
    routes=(Route(policy="team", priority=frozenset({Priority.P1})),),
    fallback="pager",
    heartbeats=(
        Heartbeat(name="watchdog", match=_named("Watchdog"), every=minutes(4), priority=Priority.P1),
        Heartbeat(name="backup", every=minutes(30), by=("cluster",)),
    ),
    inhibitions=(inhibition("Wide", "Session", "cluster"),),
    maintenance=(
        Maintenance(
            name="patching",
            match=_named("Other"),
            during=TimeInterval(once=(Once(begins_at=after(3000), ends_at=after(4000)),)),
        ),
    ),
)
NAMES = ["Wide", "Session", "Fixed", "Trial", "Other", "Watchdog"]


class Page(NamedTuple):
    at: datetime
    incident: str
    receiver: str
    to: str
    kind: str
    reason: str | None
    priority: str
    step: int


class Life:
    """One run of the engine, ticked at each deadline, with its journal."""

    def __init__(self) -> None:
        self.now = T0
        self.engine = Engine(RULES, State(STORE_ID))
        self.kept = Kept()
        self.journal: list[bytes] = []
        self.outbox: dict[str, Delivery] = {}
        self.called_off: set[str] = set()
        self.cancelled: set[str] = set()
        self.sent: list[Delivery] = []
        self.incidents: set[int] = set()

    def take(self, event: Event) -> None:
        effects = self.engine.step(event, self.now)
        self.kept.apply(effects)
        for effect in effects:
            match effect:
                case Journal(line=line):
                    self.journal.append(line + b"\n")
                case Deliver(delivery=delivery):
                    self.outbox[delivery.id] = delivery
                    self.sent.append(delivery)
                case CancelPages():
                    self._call_off(effect)
                case SaveIncident(incident=incident):
                    self.incidents.add(incident.number)
                case _:
                    pass

    def pass_time(self, by: timedelta) -> None:
        """Every deadline on the dot. What comes next comes a few microseconds past any of them."""
        goal = self.now + by
        while (due := self.engine.next_deadline()) is not None and due <= goal:
            self.now = max(self.now, due)
            self.take(Tick())
        self.now = goal

    def settle(self, chosen: int, outcome: Outcome) -> None:
        if self.outbox:
            delivery = self.outbox.pop(sorted(self.outbox)[chosen % len(self.outbox)])
            outcome = Outcome.CANCELLED if delivery.id in self.called_off else outcome
            if outcome is Outcome.CANCELLED:
                self.cancelled.add(delivery.id)
            self.take(
                DeliveryFinished(
                    delivery=delivery.id, incident=delivery.incident, receiver=delivery.receiver, outcome=outcome
                )
            )

    def restart(self, down: timedelta) -> None:
        alive_at, self.now = self.now, self.now + down
        judge_after = self.engine.state.judge_after
        self.engine = Engine(RULES, self.kept.restored())
        self.engine.state.judge_after = judge_after  # what a restart makes of it is another test's matter
        self.take(Restarted(alive_at))

    def end(self) -> None:
        """As a replay ends: what is due is done, and then until no hold and no resolve waits."""
        self.pass_time(timedelta(microseconds=1))  # of one instant a journal does not tell what was first
        while True:
            while self.outbox:
                self.settle(0, Outcome.ACCEPTED)
            waits = [
                one.timers[name]
                for one in self.engine.state.incidents.values()
                for name in ("hold", "resolve")
                if one.open and name in one.timers
            ]
            due = self.engine.next_deadline()
            if not waits or due is None:
                return
            self.now = max(due, self.now)
            self.take(Tick())

    def _call_off(self, cancel: CancelPages) -> None:
        for delivery in self.outbox.values():
            meant = delivery.incident == cancel.incident and cancel.receiver in (None, delivery.receiver)
            if meant and delivery.kind in {PageKind.PAGE, *cancel.kinds}:
                self.called_off.add(delivery.id)

    def pages(self) -> list[Page]:
        return [_page(delivery) for delivery in self.sent if delivery.id not in self.cancelled]

    def outcome(self) -> list[object]:
        return [_outcome(self.kept.incident(number)) for number in sorted(self.incidents)]


def _page(one: Delivery) -> Page:
    reason = one.reason.value if one.reason else None
    return Page(
        one.created_at, one.incident, one.receiver, one.to, one.kind.value, reason, one.priority.value, one.step
    )


def _outcome(incident: Incident) -> object:
    return (
        incident.id, incident.state, incident.merged_into, incident.rule, incident.group_key, incident.priority,
        incident.opened_at, incident.triggered_at, incident.acknowledged_by, incident.resolved_at, incident.previous,
        incident.resolved_because, incident.reopened, incident.firing, incident.ended, incident.labels, incident.title,
    )  # fmt: skip


def replayed(life: Life) -> Story:
    journal = life.journal
    seen = glance(journal)
    reader = EventsReader("journal", RULES.sources)
    story = replay(reader.read(journal), RULES, deliveries=seen.deliveries, until=life.now)
    assert not story.unmet
    assert set(reader.skipped) <= {"reload"}
    return story


_fire = st.tuples(
    st.just("fire"), st.sampled_from(NAMES), st.sampled_from("cd"), st.integers(1, 3),
    st.sampled_from(["critical", "warning", "info"]), st.booleans(), st.booleans(),
)  # fmt: skip
_say = st.tuples(
    st.just("say"), st.sampled_from(NAMES), st.sampled_from("cd"), st.sampled_from("xy"),
    st.sampled_from(["critical", "warning", "info"]), st.booleans(), st.booleans(),
)  # fmt: skip
_ops = st.one_of(
    _fire,
    _fire,
    _say,
    st.tuples(st.just("resolve"), st.integers(0, 5), st.booleans(), st.integers(0, 200)),
    st.tuples(st.just("repeat"), st.integers(0, 5)),
    st.tuples(st.just("act"), st.sampled_from(ActionKind), st.integers(0, 2), st.booleans()),
    st.tuples(
        st.just("settle"), st.integers(0, 5), st.sampled_from([Outcome.ACCEPTED, Outcome.FAILED, Outcome.UNKNOWN])
    ),
    st.tuples(st.just("pass"), st.sampled_from([0.001, 5, 11, 61, 130, 600, 1900, 4000])),
    st.tuples(st.just("pass"), st.sampled_from([0.001, 5, 11, 61, 130, 600, 1900, 4000])),
    st.tuples(st.just("world"), st.sampled_from(["reload", "hear", "down 2", "down 900", "clock 300", "clock -300"])),
    st.tuples(st.just("quiet"), st.just("set"), st.sampled_from(NAMES), st.integers(1, 2),
              st.sampled_from([-50, 0, 90]), st.sampled_from([100, 1500])),
    st.tuples(st.just("quiet"), st.just("end"), st.sampled_from(["1", "2", PAUSE])),
    st.tuples(st.just("quiet"), st.just("pause"), st.sampled_from([30, 900])),
    st.tuples(st.just("beat"), st.sampled_from(["watchdog", "backup", "unheard of"])),
)  # fmt: skip


def _apply(life: Life, op: tuple[object, ...], number: int, starts: dict[object, float]) -> None:
    # An instant of its own, so that nothing happens at the very instant of somebody's deadline.
    life.pass_time(timedelta(microseconds=7 * number + 1))
    at = (life.now - T0).total_seconds()
    firing = [one for one in life.engine.state.alerts.values() if one.firing]
    match op:
        case ("fire", str(name), str(cluster), int(many), str(severity), bool(by_api), bool(old)):
            reports = []
            for n in range(many):
                key = (name, cluster, n, by_api)
                starts[key] = starts[key] if old and key in starts else at
                labels = {
                    "alertname": name,
                    "cluster": cluster,
                    "n": str(n),
                    "severity": severity if n == 0 else "none",
                }
                ends = at + 240 if by_api else None
                reports.append(report(labels, starts[key], ends=ends, annotations={"summary": f"since {starts[key]}"}))
            life.take(AlertsReported("prom" if by_api else "am", by_api, tuple(reports)))
        case ("say", str(name), str(cluster), str(key), str(severity), bool(timed), bool(resolved)):
            said = {} if resolved else {"alertname": name, "cluster": cluster, "severity": severity, "n": cluster}
            life.take(AlertsReported("am", False, (keyed(key, at if timed else None, resolved=resolved, **said),)))
        case ("resolve", int(which), bool(named), int(late)) if firing:
            alert = firing[which % len(firing)]
            start = alert.spans[-1].starts_at if named else None
            life.take(
                AlertsReported(
                    alert.source,
                    alert.by_api,
                    (AlertReport(alert.identity, True, start, life.now - seconds(late)),),
                )
            )
        case ("repeat", int(which)) if firing:
            alert = firing[which % len(firing)]
            start = alert.spans[-1].starts_at
            repeat = AlertReport(alert.identity, False, start, None, annotations=alert.annotations)
            life.take(AlertsReported(alert.source, alert.by_api, (repeat,)))
        case ("act", ActionKind() as kind, int(ago), bool(force)):
            incident = f"i{max(1, life.engine.state.last_number - ago):012d}"
            life.take(ActionTaken(kind=kind, incident=incident, by="ana", note="hm", force=force))
        case ("settle", int(which), Outcome() as outcome):
            life.settle(which, outcome)
        case ("pass", float(by) | int(by)):
            life.pass_time(seconds(by))
        case ("quiet", *rest):
            _hush(life, rest, at)
        case ("beat", str(which)):
            life.take(HeartbeatBeat(which, (("cluster", "c"),) if which == "backup" else ()))
        case ("world", str(what)):
            _world(life, *what.split())
        case _:
            pass


def _hush(life: Life, what: list[object], at: float) -> None:
    match what:
        case ["set", str(name), int(n), int(starts), int(lasts)]:
            life.take(SilenceSet(silence(at + starts, at + starts + lasts, n, alertname=name)))
        case ["end", str(which)]:
            life.take(SilenceExpired(which if which == PAUSE else f"00000000-0000-4000-8000-{which:>012}", "ben"))
        case ["pause", int(lasts)]:
            life.take(PauseSet(until=life.now + seconds(lasts), by="ben", reason="drill"))
        case _:
            raise AssertionError(what)


def _world(life: Life, what: str, much: str = "0") -> None:
    by = seconds(int(much))
    match what:
        case "reload":
            life.take(RulesChanged(RULES))
        case "hear":
            life.take(SourceHeard("am"))
        case "down":
            life.restart(by)
        case _ if not any(beat.missing for beat in life.engine.state.beats.values()):
            # A beat that this brings back ends its alert within the step of the clock; a replay takes it in by itself.
            life.now += by
            life.take(ClockStepped(by))
        case _:
            pass


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(_ops, min_size=4, max_size=60))
def test_a_journalled_run_replays_to_the_same_incidents_and_messages(ops: list[tuple[object, ...]]) -> None:
    life = Life()
    starts: dict[object, float] = {}
    for number, op in enumerate(ops):
        _apply(life, op, number, starts)
    life.end()
    story = replayed(life)
    assert [_outcome(one) for one in sorted(story.incidents.values(), key=lambda one: one.number)] == life.outcome()
    assert sorted(map(_page, story.pages)) == sorted(life.pages())


def test_a_late_repeat_that_reopens_an_incident_resolved_by_hand_is_in_the_journal() -> None:
    """Repeats are not journalled; the one that decides something is."""
    life = Life()
    labels = {"alertname": "Other", "severity": "critical"}
    life.take(AlertsReported("am", False, (report(labels),)))
    life.pass_time(seconds(31))
    life.take(ActionTaken(kind=ActionKind.RESOLVE, incident="i000000000001", by="ana", force=True))
    for _ in range(9):
        life.pass_time(seconds(300.5))
        life.take(AlertsReported("am", False, (report(labels),)))
    life.end()
    assert life.kept.incident(1).reopened == 1
    story = replayed(life)
    assert _outcome(story.incidents["i000000000001"]) == _outcome(life.kept.incident(1))
    assert list(map(_page, story.pages)) == life.pages()


def test_the_alerts_of_one_request_are_taken_in_together() -> None:
    """With hold 0s the first of two would page alone."""
    life = Life()
    both = tuple(report({"alertname": "Wide", "n": n, "severity": s}) for n, s in (("1", "info"), ("2", "critical")))
    life.take(AlertsReported("am", False, both))
    life.end()
    assert [b"same_step" in line for line in life.journal if b'"alert",' in line] == [False, True]
    assert list(map(_page, replayed(life).pages)) == life.pages()


def test_an_alert_with_a_key_of_its_own_keeps_its_identity() -> None:
    life = Life()
    keyed = AlertReport(
        identify({"key": "k1"}), False, after(0), None, labels=msgspec.json.encode({"alertname": "Other", "key": "k1"})
    )
    life.take(AlertsReported("pd", False, (keyed,)))
    life.pass_time(seconds(20))
    life.take(AlertsReported("pd", False, (AlertReport(identify({"key": "k1"}), True, None, after(20)),)))
    life.end()
    story = replayed(life)
    assert [line.state for line in Report(story).incidents()] == ["resolved"]
    assert len(list(Report(story).assignments())) == 2
