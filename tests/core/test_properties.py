"""The promises of the design under random histories: alerts, people, deliveries, restarts and time in any order.

Drives the engine with a store made of bytes beside it. Names what holds at every instant (invariants) and what holds
once all is quiet (teardown); a second engine takes every step with it, and now and then is thrown away and restored.
"""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, timedelta
from itertools import zip_longest

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from imd.core import quiet
from imd.core.engine import Engine
from imd.core.oncall import on_call
from imd.core.quiet import KEPT
from imd.core.state import Due, State
from imd.core.times import in_force
from imd.model.alert import Alert, fingerprint
from imd.model.effect import (
    AppendTimeline,
    CancelPages,
    Counted,
    Deliver,
    Delivery,
    Effect,
    SaveAlert,
    SaveDigests,
    SaveIncident,
    SavePresence,
    SaveSeen,
)
from imd.model.event import (
    ActionKind,
    ActionTaken,
    AlertsReported,
    ClockStepped,
    DeliveryFinished,
    Event,
    HeartbeatBeat,
    IncidentReported,
    Outcome,
    OverrideEnded,
    OverrideSet,
    PauseSet,
    Restarted,
    RulesChanged,
    SilenceExpired,
    SilenceSet,
    SourceHeard,
    Tick,
)
from imd.model.heartbeat import Heartbeat
from imd.model.incident import Incident, IncidentState, Level, Priority
from imd.model.policy import (
    NOBODY,
    PageKind,
    PageReason,
    Policy,
    Receiver,
    Route,
    Ruleset,
    Source,
    Target,
    TargetKind,
    Team,
)
from imd.model.quiet import PAUSE, Maintenance, TimeInterval, Weekly
from imd.model.rule import (
    Absent,
    Count,
    Flapping,
    Matcher,
    Mode,
    Op,
    Raise,
    Rate,
    Relate,
    Resolve,
    ResolveWhen,
    Rule,
    Window,
    WindowKind,
)
from imd.model.schedule import Override, Rotation, Schedule
from imd.model.topology import Entity, Topology
from tests.core.making import (
    STORE_ID,
    T0,
    Kept,
    equals,
    inhibition,
    keyed,
    minutes,
    person,
    policy,
    report,
    ruleset,
    seconds,
    silence,
    step,
)
from tests.hunting import histories

TICKS_AT_ONE_INSTANT_MAX = 40
AFTER_AN_ACK = {PageReason.RAISED, PageReason.FLAPPING}


def _named(name: str) -> tuple[tuple[Matcher, ...], ...]:
    return ((Matcher("alertname", Op.EQUAL, name),),)


RULES = (
    Rule(name="wide", match=_named("Wide"), group_by=("cluster",), hold=seconds(0), window=Window(max_alerts=3)),
    Rule(
        name="session",
        match=_named("Session"),
        group_by=("cluster",),
        window=Window(kind=WindowKind.SESSION, gap=minutes(2)),
        raises=(Raise(at_least=2, distinct="n", impact=Level.HIGH),),
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
    Rule(
        name="counted",
        match=_named("Counted"),
        group_by=(),
        open_when=Count(at_least=2, within=minutes(3)),
        flapping=Flapping(changes=4, within=minutes(20), calm=minutes(3)),
    ),
    Rule(
        name="rated",
        match=_named("Rated"),
        group_by=("cluster",),
        hold=seconds(0),
        open_when=Rate(at_least=2, per=minutes(2), until_below=1),
        flapping=Flapping(changes=3, within=minutes(30), calm=minutes(1)),
    ),
    Rule(name="overdue", match=_named("Overdue"), group_by=("cluster",), open_when=Absent(wait=minutes(10))),
    Rule(name="hushed", match=_named("Hushed"), mode=Mode.SUPPRESS),
    Rule(
        name="related",
        match=(*_named("ServiceDown"), *_named("ServiceSlow")),
        group_by=("cluster",),
        relate=Relate(),
        window=Window(max_alerts=8),
        raises=(Raise(at_least=2, distinct="n", impact=Level.HIGH),),
    ),
    Rule(
        name="related trial", match=_named("ServiceErrors"), group_by=("cluster",), relate=Relate(), mode=Mode.MONITOR
    ),
)
NAMES = ["Wide", "Session", "Fixed", "Trial", "Hushed", "Other", "ServiceDown", "ServiceSlow", "ServiceErrors"]
NAMES += ["Counted", "Counted", "Rated", "Overdue"]
TOPOLOGY = Topology(
    entities=(
        Entity(id="service/0", match=((Matcher("n", Op.EQUAL, "0"),),), depends_on=("db/2",)),
        Entity(id="service/1", match=((Matcher("n", Op.EQUAL, "1"),),), depends_on=("db/2",)),
        Entity(id="db/2", match=((Matcher("n", Op.EQUAL, "2"),),)),
    ),
    from_labels=(),
)
RECEIVERS = (
    Receiver(name="chat", send=frozenset({PageKind.PAGE, PageKind.UPDATE, PageKind.RESOLVED})),
    Receiver(name="pager", min_priority=Priority.P2),
    Receiver(name="ops", send=frozenset({PageKind.PAGE})),
)
POLICIES = (
    policy(
        step("@primary", "#chat", wait=minutes(2)),
        step("ben"),
        repeat=1,
        ack_timeout=minutes(10),
        remind=minutes(30),
    ),
    policy(step("#pager"), step("+crew", "#missing", wait=minutes(1), round_robin=True), name="team"),
    policy(step("ana", "#chat"), step("cleo"), name="aside", ack_timeout=minutes(20)),
    Policy(name=NOBODY, steps=()),
)


def _between(*spans: tuple[float, float]) -> TimeInterval:
    """Every day, in minutes since midnight."""
    return TimeInterval(weekly=tuple(Weekly(begins=minutes(begins), ends=minutes(ends)) for begins, ends in spans))


PEOPLE = (
    person("ana", "ana-phone", "ana-sms 3m", low=("ana-mail",), quiet_hours=_between((30, 50))),
    person("ben", "ben-phone", "pager 1m", quiet_hours=_between((0, 10))),
    "cleo",
)
TEAMS = {"crew": Team(name="crew", people=("ben", "cleo"))}
HOURLY = Rotation(
    name="hourly",
    people=("ana", "ben"),
    timezone="Europe/Berlin",
    every=minutes(60),
    start=date(2025, 12, 30),
    within=_between((0, 40), (55, 1440)),
)
SCHEDULES = {"primary": Schedule(name="primary", rotations=(HOURLY,))}
TIMES = {"open": _between((0, 15), (45, 1440))}
SOURCES = (Source(name="am", type="alertmanager", silent_after=minutes(10), expire_after=minutes(40)),)
INHIBITIONS = (
    inhibition("Wide", "Session", "cluster", name="a"),
    inhibition("ServiceDown", "ServiceSlow", "cluster", name="b"),
    inhibition("Session", "Fixed", name="c"),
)
NIGHTLY = Maintenance(
    name="nightly",
    match=(equals(alertname="Other"), equals(n="1")),
    during=TimeInterval(weekly=(Weekly(begins=minutes(20), ends=minutes(40)),)),
)
ROUTES = (
    Route(policy="aside", match=(equals(cluster="d"),), goes_on=True),
    Route(policy="team", priority=frozenset({Priority.P1, Priority.P2})),
    Route(policy="default", match=(equals(alertname="Other"),), during="open"),
    Route(policy=NOBODY, match=(equals(alertname="Other"),)),
)


HEARTBEATS = (
    Heartbeat(name="dog", match=_named("Watchdog"), by=("cluster",), every=minutes(5)),
    Heartbeat(name="job", every=minutes(30), grace=minutes(5), priority=Priority.P1),
)


def rules_of(version: int) -> Ruleset:
    return ruleset(
        *RULES,
        policies=POLICIES,
        receivers=RECEIVERS,
        people=PEOPLE,
        teams=TEAMS,
        schedules=SCHEDULES,
        times=TIMES,
        sources=SOURCES,
        routes=ROUTES,
        topology=TOPOLOGY,
        fallback="ops" if version % 2 else "",
        inhibitions=INHIBITIONS[version % 2 :],
        maintenance=(NIGHTLY,) if version % 3 else (),
        config_hash=f"hash{version}",
    )


def plain(effects: list[Effect]) -> list[bytes]:
    """Effects as comparable bytes. SaveSeen is out: when the newest seconds reach the disk is no state."""
    kept = (effect for effect in effects if not isinstance(effect, SaveSeen))
    return [type(effect).__name__.encode() + b" " + msgspec.json.encode(effect) for effect in kept]


def _own(event: Event) -> Event:
    """The same event for another engine: a record that comes with it is not shared."""
    if not isinstance(event, ActionTaken) or event.record is None:
        return event
    return msgspec.structs.replace(event, record=msgspec.convert(msgspec.to_builtins(event.record), Incident))


def differ(effects: list[Effect], others: list[Effect]) -> list[bytes]:
    """The first effect that is another one, beside what stands in its place."""
    pairs = zip_longest(plain(effects), plain(others), fillvalue=b"nothing")
    return next(([one, other] for one, other in pairs if one != other), [])


class Promised:
    """What people and the record get at one instant, which a restart must not change: records as they are at its end,
    and all else in any order, for whose deadline comes first among several incidents' is no promise. Left out are
    metrics, and when the newest seconds reach the disk."""

    def __init__(self) -> None:
        self.records: dict[object, bytes] = {}
        self.others: Counter[bytes] = Counter()

    def add(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case SaveAlert(alert=alert):
                    self.records[alert.id] = msgspec.json.encode(alert)
                case SaveIncident(incident=incident):
                    self.records[incident.id] = msgspec.json.encode(incident)
                case Counted() | SavePresence() | SaveDigests():
                    pass  # of digests the invariants look that all is on record
                case _:
                    self.others.update(plain([effect]))

    def less(self, other: Promised) -> list[bytes]:
        """What the other lacks."""
        return [one for key, one in self.records.items() if other.records.get(key) != one] + list(
            (self.others - other.others).elements()
        )


class History(RuleBasedStateMachine):
    """One daemon's life. `twin` is another engine on the same events; once `restored`, it came from the store and knows
    only what was on disk then."""

    def __init__(self) -> None:
        super().__init__()
        self.now = T0
        self.version = 1
        self.engine = Engine(self.configured(1), State(STORE_ID))
        self.twin = Engine(self.configured(1), State(STORE_ID))
        self.restored = False
        self.instant = (Promised(), Promised())
        self.kept = Kept()
        self.outbox: dict[str, Delivery] = {}
        self.cancelled: set[str] = set()
        self.starts: dict[tuple[str, str, str], float] = {}
        self.memberships: dict[int, str] = {}
        self.merged: dict[str, str] = {}
        self.split: dict[str, str] = {}
        self.paged: dict[str, set[str]] = {}
        self.owed: Counter[str] = Counter()
        self.lines: dict[str, int] = {}
        self.pages_with_lines: set[str] = set()
        self.pages: set[str] = set()
        self.opened: set[str] = set()
        self.left_out: set[str] = set()
        self.muted: set[int] = set()
        self.hushed: set[str] = set()

    def configured(self, version: int) -> Ruleset:
        return rules_of(version)

    # -- driving ------------------------------------------------------------------------------------------------------

    def take(self, event: Event) -> None:
        before = {one.id: one.state for one in self.engine.state.incidents.values()}
        self.hushed = {one.id for one in self.engine.state.incidents.values() if one.hushed}
        its_own = _own(event)
        effects = self.engine.step(event, self.now)
        again = self.twin.step(its_own, self.now)
        if self.restored:
            self.instant[0].add(effects)
            self.instant[1].add(again)
        else:
            assert plain(effects) == plain(again), f"{self.now}: the same event, but {differ(effects, again)}"
        self.kept.apply(effects)
        for effect in effects:
            self._look_at(effect, event)
        self._look_at_transitions(before, effects)

    def tick_until(self, goal: datetime) -> None:
        at_once, last = 0, None
        while (due := self._next_deadline()) is not None and due <= goal:
            self.now = max(self.now, due)
            at_once = at_once + 1 if last == self.now else 0
            assert at_once < TICKS_AT_ONE_INSTANT_MAX, f"no end of ticks at {self.now}"
            last = self.now
            self.take(Tick())
            if (self._next_deadline() or goal) > self.now:
                self._compare()
        self._compare()
        self.now = goal

    def _next_deadline(self) -> datetime | None:
        """Of either engine: what is done at one instant may take the restored one another step."""
        due = (self.engine.next_deadline(), self.twin.next_deadline())
        return min((one for one in due if one is not None), default=None)

    def _compare(self) -> None:
        """The instant is over: the restored twin has promised the same."""
        here, twin = self.instant
        lacks, besides = here.less(twin), twin.less(here)
        words = f"{self.now}: the restored engine does without {lacks[:3]} and does besides {besides[:3]}"
        assert not lacks + besides, words
        self.instant = (Promised(), Promised())

    def _look_at(self, effect: Effect, event: Event) -> None:
        match effect:
            case Deliver(delivery=delivery):
                assert delivery.id not in self.pages, "an id of its own for every message"
                self.pages.add(delivery.id)
                self.outbox[delivery.id] = delivery
                self._look_at_delivery(delivery, event)
            case CancelPages():
                kinds = {PageKind.PAGE, *effect.kinds}
                for delivery in self.outbox.values():
                    meant = delivery.incident == effect.incident and effect.receiver in (None, delivery.receiver)
                    if meant and delivery.kind in kinds:
                        self.cancelled.add(delivery.id)
            case AppendTimeline(incident=incident, entry=entry):
                assert entry.seq == self.lines.get(incident, 0) + 1, "lines are counted without gaps"
                self.lines[incident] = entry.seq
                assert entry.learnt_at == self.now
                if entry.kind == "paged":
                    self.pages_with_lines.add(entry.details["delivery"])
                if entry.kind == "not_notified":
                    self.left_out.add(incident)
            case SaveAlert(alert=alert):
                self._look_at_membership(alert)
            case SaveIncident(incident=incident):
                assert incident.rule
                assert incident.config_hash
                assert incident.number == int(incident.id[1:])
                if incident.id not in self.opened:
                    self.opened.add(incident.id)
                    assert self.lines.get(incident.id, 0) >= 1, "an incident without a first line"
            case _:
                pass

    def _look_at_membership(self, alert: Alert) -> None:
        incident = self.engine.state.incidents.get(alert.incident)
        if incident is not None and incident.split_from:
            self.split.setdefault(incident.id, incident.split_from)
        known = self._surviving(self.memberships.setdefault(alert.id, alert.incident)) or alert.incident
        if alert.suppressed_by:
            self.muted.add(alert.id)
        if alert.id in self.muted:
            known = alert.incident  # one that was suppressed may go on in another incident
        if self._surviving(self.split.get(alert.incident, "")) == known:
            known = alert.incident  # a person took it out
        if alert.joined_because == "moved":
            known = alert.incident  # what came late proved to be nearer to it
        assert known == alert.incident, f"episode {alert.id} was in {known} and is in {alert.incident}"
        self.memberships[alert.id] = known

    def _surviving(self, incident_id: str) -> str:
        """What became of an incident, if it was merged."""
        for one in self.engine.state.incidents.values():
            if one.merged_into:
                self.merged[one.id] = one.merged_into
        while incident_id in self.merged:
            incident_id = self.merged[incident_id]
        return incident_id

    def _look_at_delivery(self, delivery: Delivery, event: Event) -> None:
        if delivery.kind is PageKind.DIGEST:
            told = [one["number"] for one in msgspec.json.decode(delivery.body)["incidents"]]
            still_open = [one.number for one in self.engine.state.incidents.values() if one.open]
            assert not set(told) & set(still_open), "programs are paged of each that is open"
            return
        incident = self.engine.state.incidents[delivery.incident]
        assert not incident.silent
        quiet = incident.hushed and incident.id in self.hushed  # else it was due before the event came that hushed it
        assert not (quiet and delivery.kind is PageKind.UPDATE), "news of what is suppressed"
        if delivery.kind is PageKind.PAGE:
            self.paged.setdefault(delivery.incident, set()).add(delivery.receiver)
            if incident.state is IncidentState.ACKNOWLEDGED and not isinstance(event, ActionTaken):
                asked = incident.assignee or incident.responders  # they are reached by their next way
                assert asked or delivery.reason in AFTER_AN_ACK, f"a page ({delivery.reason}) after the acknowledgement"
        else:
            told = incident.told.get(delivery.receiver)
            listed = told is not None and told.listed  # a digest spoke of it
            assert listed or delivery.receiver in self.paged.get(delivery.incident, ()), "told of the end, never of it"

    def _look_at_transitions(self, before: dict[str, IncidentState], effects: list[Effect]) -> None:
        sent = [one.delivery for one in effects if isinstance(one, Deliver)]
        ends = Counter((one.incident, one.receiver) for one in sent if one.kind is PageKind.RESOLVED)
        lines = [one for one in effects if isinstance(one, AppendTimeline)]
        resolved = [one.incident for one in lines if one.entry.kind in ("resolved", "merged")]
        for key, count in ends.items():
            assert count <= resolved.count(key[0]), f"{key} was told {count} times of one end"
        for incident in self.engine.state.incidents.values():
            was = before.get(incident.id)
            if incident.state is IncidentState.TRIGGERED and was in (None, IncidentState.PENDING):
                pages = [one for one in sent if one.incident == incident.id and one.kind is PageKind.PAGE]
                pages = pages or [one for one in incident.awaited.values() if one.digest]
                assert pages or incident.id in self.left_out, f"{incident.id} triggered: no page, and no word why"
                assert pages or incident.silent or self._nobody_willing(incident)
            if incident.state in (IncidentState.RESOLVED, IncidentState.MERGED) and was in _WORKED_ON:
                for name, told in incident.told.items():
                    wants = PageKind.RESOLVED in self.engine.ruleset.receivers[name].send
                    under_way = any(one.receiver == name and not one.digest for one in incident.awaited.values())
                    if wants and (told.heard or under_way):
                        assert ends[incident.id, name] == 1, f"{name} was told of {incident.id} and not of its end"

    def _nobody_willing(self, incident: Incident) -> bool:
        """Nobody of any step that is taken at once can be paged now."""
        walked = [incident.policy, *(one.policy for one in incident.also)]
        for chosen in (self.engine.ruleset.policies[name] for name in walked):
            steps = chosen.steps[:1] if incident.priority.low else chosen.steps
            targets = [one for each in steps for one in each.notify]
            if any(self._willing(incident, name) for target in targets for name in self._receivers(incident, target)):
                return False
        return True

    def _willing(self, incident: Incident, name: str) -> bool:
        receiver = self.engine.ruleset.receivers.get(name)
        return receiver is not None and incident.priority.rank <= receiver.min_priority.rank

    def _receivers(self, incident: Incident, target: Target) -> list[str]:
        """Worked out by hand: the ways of those whom the target means now, unless their page waits for the morning."""
        people: tuple[str, ...] = (target.name,)
        if target.kind is TargetKind.RECEIVER:
            return [target.name]
        if target.kind is TargetKind.TEAM:
            people = TEAMS[target.name].people
        if target.kind is TargetKind.SCHEDULE:
            overrides = self.engine.state.overrides.values()
            people = (on_call(SCHEDULES[target.name], self.now, self.engine.ruleset.people, overrides).person,)
        found = [one for name, one in self.engine.ruleset.people.items() if name in people]
        asleep = [one for one in found if one.quiet_hours is not None and in_force(one.quiet_hours, self.now)]
        awake = [one for one in found if not (incident.priority.low and one in asleep)]
        return [way.receiver for one in awake for way in one.ways(incident.priority)]

    # -- what happens -------------------------------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        self.take(Restarted(self.now - timedelta(seconds=1)))

    @rule(
        name=st.sampled_from(NAMES),
        cluster=st.sampled_from("cd"),
        many=st.integers(1, 3),
        severity=st.sampled_from(["critical", "warning", "info"]),
        source=st.sampled_from(["am", "prom"]),
        old=st.booleans(),
    )
    def fire(self, name: str, cluster: str, many: int, severity: str, source: str, old: bool) -> None:
        at = (self.now - T0).total_seconds()
        reports = []
        for number in range(many):
            key = (source, name + cluster, str(number))
            start = self.starts[key] if old and key in self.starts else at
            self.starts[key] = start
            labels = {"alertname": name, "cluster": cluster, "n": str(number), "src": source}
            if number == 0:
                labels["severity"] = severity
            reports.append(report(labels, start, ends=at + 240 if source == "prom" else None))
        self.take(AlertsReported(source, source == "prom", tuple(reports)))

    @rule(
        key=st.sampled_from("xyz"),
        name=st.sampled_from(NAMES),
        cluster=st.sampled_from("cd"),
        n=st.sampled_from("01"),
        severity=st.sampled_from(["critical", "warning"]),
        timed=st.booleans(),
    )
    def say(self, key: str, name: str, cluster: str, n: str, severity: str, timed: bool) -> None:
        """A sender with a key of its own, whose other labels are what they are this time."""
        labels = {"alertname": name, "cluster": cluster, "n": n, "severity": severity, "src": "am"}
        at = (self.now - T0).total_seconds() if timed else None
        self.take(AlertsReported("am", False, (keyed(key, at, **labels),)))

    @rule(name=st.sampled_from(["Wide", "Counted", "Rated"]), turns=st.integers(1, 4), gap=st.sampled_from([1, 15, 70]))
    def comes_and_goes(self, name: str, turns: int, gap: int) -> None:
        """One alert, up and down again and again."""
        labels = {"alertname": name, "cluster": "c", "n": "9"}
        for _ in range(turns):
            start = (self.now - T0).total_seconds()
            self.take(AlertsReported("am", False, (report(labels, start),)))
            self.tick_until(self.now + seconds(gap))
            self.take(AlertsReported("am", False, (report(labels, start, resolved=True),)))
            self.tick_until(self.now + seconds(gap))

    @rule(data=st.data(), named=st.booleans())
    @precondition(lambda self: any(one.firing for one in self.engine.state.alerts.values()))
    def resolve(self, data: st.DataObject, named: bool) -> None:
        firing = [one for one in self.engine.state.alerts.values() if one.firing]
        chosen = data.draw(st.sampled_from(range(len(firing))))
        alert = firing[chosen]
        at = (self.now - T0).total_seconds()
        start = (alert.spans[-1].starts_at - T0).total_seconds() if named else None
        self.take(
            AlertsReported(
                alert.source, alert.by_api, (report(alert.identity.labels(), start, resolved=True, ends=at),)
            )
        )

    @rule(
        kind=st.sampled_from(ActionKind),
        ago=st.integers(0, 3),
        by=st.sampled_from(["ana", "ben", "nobody"]),
        force=st.booleans(),
    )
    def act(self, kind: ActionKind, ago: int, by: str, force: bool) -> None:
        number = max(1, self.engine.state.last_number - ago)
        incident = f"i{number:012d}"
        members, gone = self.engine.state.members.get(incident, []), incident in self.kept.past
        event = ActionTaken(
            kind=kind,
            incident=incident,
            by=by,
            note="hm",
            force=force,
            until=self.now + seconds(30 * (ago + 1)),
            to="ana" if force else "ben",
            into=f"i{max(1, number - 1):012d}",
            fingerprints=tuple(fingerprint(one.identity.labels()) for one in members[: ago + 1]),
            outcome="fixed",
            record=msgspec.msgpack.decode(self.kept.past[incident], type=Incident) if gone else None,
        )
        self.take(event)

    @rule(key=st.integers(1, 4), cluster=st.sampled_from(["c", ""]))
    def report_by_hand(self, key: int, cluster: str) -> None:
        self.take(IncidentReported(key=f"r{key}", title="the shop is slow", by="ana", labels={"cluster": cluster}))

    @rule(
        number=st.integers(1, 3),
        name=st.sampled_from([*NAMES, ""]),
        cluster=st.sampled_from(["c", ""]),
        starts=st.sampled_from([0, 0, 30]),
        lasts=st.sampled_from([1, 60, 600]),
    )
    def set_silence(self, number: int, name: str, cluster: str, starts: int, lasts: int) -> None:
        """New, or in place of the one of this number."""
        at = (self.now - T0).total_seconds() + starts
        labels = {key: value for key, value in (("alertname", name), ("cluster", cluster)) if value} or {"src": "am"}
        self.take(SilenceSet(silence(at, at + lasts, number, **labels), silence(0, 1, number % 3 + 1).id))

    @rule(number=st.sampled_from([1, 2, 3]))
    def end_silence(self, number: int) -> None:
        self.take(SilenceExpired(silence(0, 1, number).id, "ana"))

    @rule(
        number=st.integers(1, 2),
        who=st.sampled_from(["ana", "cleo", "nobody"]),
        starts=st.sampled_from([0, 30]),
        lasts=st.sampled_from([0, 60, 1800]),
    )
    def override(self, number: int, who: str, starts: int, lasts: int) -> None:
        """Set, or ended where it lasts no time."""
        which, at = f"override-{number}", self.now + seconds(starts)
        if not lasts:
            self.take(OverrideEnded(which, "ana"))
            return
        made = Override(id=which, schedule="primary", person=who, begins_at=at, ends_at=at + seconds(lasts))
        self.take(OverrideSet(msgspec.structs.replace(made, created_by="ana", created_at=self.now)))

    @rule(lasts=st.sampled_from([5, 120]), ends=st.booleans())
    def pause(self, lasts: int, ends: bool) -> None:
        self.take(SilenceExpired(PAUSE, "ana") if ends else PauseSet(until=self.now + seconds(lasts), by="ana"))

    @rule(data=st.data(), outcome=st.sampled_from([Outcome.ACCEPTED, Outcome.FAILED, Outcome.UNKNOWN]))
    @precondition(lambda self: self.outbox)
    def settle_one(self, data: st.DataObject, outcome: Outcome) -> None:
        chosen = data.draw(st.sampled_from(sorted(self.outbox)))
        self._settle(chosen, Outcome.CANCELLED if chosen in self.cancelled else outcome)

    @rule()
    @precondition(lambda self: self.outbox)
    def settle_all(self) -> None:
        self._settle_all()

    def _settle_all(self) -> None:
        while self.outbox:
            first = next(iter(self.outbox))
            self._settle(first, Outcome.CANCELLED if first in self.cancelled else Outcome.ACCEPTED)

    def _settle(self, delivery_id: str, outcome: Outcome) -> None:
        delivery = self.outbox.pop(delivery_id)
        self.take(
            DeliveryFinished(
                delivery=delivery.id, incident=delivery.incident, receiver=delivery.receiver, outcome=outcome
            )
        )

    @rule(by=st.sampled_from([0.001, 1, 9, 10, 20, 60, 61, 120, 300, 600, 1800, 3600]), busy=st.sampled_from("nnny"))
    def pass_time(self, by: float, busy: str) -> None:
        """Busy: the loop is late, deadlines pass, and the next event comes before any Tick."""
        self.tick_until(self.now if busy == "y" else self.now + seconds(by))
        self.now += seconds(min(by, 20)) if busy == "y" else seconds(0)

    @rule(what=st.sampled_from(["hear am", "hear prom", "reload", "-3600", "45", "3600", "down 1", "down 600"]))
    def the_world_changes(self, what: str) -> None:
        verb, _, much = what.rpartition(" ")
        if verb == "hear":
            self.take(SourceHeard(much))
        elif what == "reload":
            self.version += 1
            self.take(RulesChanged(self.configured(self.version)))
        elif verb == "down":
            self._restart(seconds(int(much)))
        else:
            self.tick_until(self.now)
            self.now += seconds(int(much))
            self.take(ClockStepped(seconds(int(much))))

    def _restart(self, down: timedelta) -> None:
        """Both engines are thrown away; what the store kept goes on."""
        self.tick_until(self.now)
        alive_at, self.now = self.now, self.now + down
        current = self.configured(self.version)
        self.engine = Engine(current, self.kept.restored(alive_at))
        self.twin = Engine(current, self.kept.restored(alive_at))
        self.restored = False
        self.take(Restarted(alive_at))

    @rule()
    def restore_the_twin(self) -> None:
        """From here on one engine goes on and the other knows what was on disk, once repeats have reached it."""
        self.tick_until(self.now)
        while (flush_at := self.engine.state.flush_at) is not None:  # on the way an alert of imd's own may be repeated
            self.tick_until(max(self.now, flush_at))
        self.twin = Engine(self.configured(self.version), self.kept.restored(self.now))
        self.restored = True

    # -- what holds at every instant ----------------------------------------------------------------------------------

    @invariant()
    def counts_equal_members(self) -> None:
        state = self.engine.state
        for incident in state.incidents.values():
            members = state.members[incident.id]
            if incident.stays_until is not None and not members:
                continue  # it had left memory, and its members with it
            firing = [alert for alert in members if alert.firing or alert.flapping_since is not None]
            suppressed = [alert for alert in firing if alert.firing and alert.suppressed_by]
            held = [alert for alert in suppressed if not alert.aside]
            assert incident.flapping == sum(alert.flapping_since is not None for alert in members)
            assert not any(alert.flapping_since is not None for alert in suppressed)
            assert (incident.firing, incident.ended) == (len(firing) - len(suppressed), len(members) - len(firing))
            assert (incident.suppressed, incident.held) == (len(suppressed), len(held))
            assert incident.aside == sum(alert.joined_because == "suppressed" for alert in members)
            assert bool(incident.hushed) == (incident.open and not incident.firing and incident.held > 0)
            assert not any(alert.aside for alert in members if not alert.firing or not alert.suppressed_by)
        assert state.firing == sum(alert.firing for alert in state.alerts.values())

    @invariant()
    def verdicts_are_what_holds_now(self) -> None:
        """Every firing alert is suppressed by what suppresses it at this instant, unless its turn is to come."""
        state, deadline = self.engine.state, self.engine.next_deadline()
        if deadline is not None and deadline <= self.now:
            return
        for alert in state.alerts.values():
            feeds = alert.rule.startswith("heartbeat:") and alert.source != "imd"
            if alert.firing and alert.id not in state.to_judge and not feeds:
                due = self.engine._intake.quiet._verdict(alert)
                assert due == alert.suppressed_by, f"{self.now}: {alert.labels()} is {alert.suppressed_by}, not {due}"
        assert len(state.suppressed) == sum(one.firing and bool(one.suppressed_by) for one in state.alerts.values())

    @invariant()
    def nobody_is_paged_of_what_is_suppressed(self) -> None:
        for delivery in self.outbox.values():
            incident = self.engine.state.incidents.get(delivery.incident)
            if delivery.kind is PageKind.PAGE and incident is not None and incident.hushed:
                assert delivery.id in self.cancelled
        for incident in self.engine.state.incidents.values():
            if incident.hushed:
                assert not {*_PAGING, "hold"} & _kinds(incident)
                assert not incident.reaches

    @invariant()
    def an_episode_is_in_one_incident(self) -> None:
        seen: dict[int, str] = {}
        for incident, members in self.engine.state.members.items():
            for alert in members:
                assert seen.setdefault(alert.id, incident) == incident
                assert alert.incident == incident

    @invariant()
    def what_is_on_disk_is_what_is_in_memory(self) -> None:
        state = self.engine.state
        assert set(self.kept.incidents) == set(state.incidents)
        for incident in state.incidents.values():
            assert self.kept.incidents[incident.id] == msgspec.msgpack.encode(incident), "changed and not saved"
        resident = {alert.id: alert for members in state.members.values() for alert in members}
        resident |= {alert.id: alert for alert in state.alerts.values()}
        resident |= {alert.id: alert for waiting in state.waiting.values() for alert in waiting.alerts}
        assert set(self.kept.alerts) == set(resident)
        for alert in resident.values():
            if alert.id not in state.unseen:
                stored = msgspec.msgpack.decode(self.kept.alerts[alert.id], type=Alert)
                assert (stored.state, stored.incident, stored.ended_at) == (alert.state, alert.incident, alert.ended_at)
                assert (stored.suppressed_by, stored.aside) == (alert.suppressed_by, alert.aside)
        kept = {one: msgspec.msgpack.encode(silence) for one, silence in state.silences.items()}
        assert kept.items() <= self.kept.silences.items()

    @invariant()
    def open_incidents_have_their_timers(self) -> None:
        for incident in self.engine.state.incidents.values():
            match incident.state:
                case IncidentState.PENDING:
                    assert "hold" in incident.timers or incident.hushed
                    assert incident.holding
                case IncidentState.RESOLVED:
                    assert set(incident.timers) <= {"still"}
                case IncidentState.CANCELLED | IncidentState.MERGED:
                    assert not incident.timers
                case IncidentState.ACKNOWLEDGED:
                    assert not {"hold", "escalate", "remind", "route"} & _kinds(incident)
                case IncidentState.SNOOZED:
                    assert "ack" in incident.timers
                    assert not {"hold", "escalate", "remind", "route"} & _kinds(incident)
                case _:
                    assert "hold" not in incident.timers
                    assert "ack" not in incident.timers
            if incident.kept:
                assert incident.open
                assert not incident.holding
            elif incident.open and incident.state is not IncidentState.PENDING and self._ends_with_all(incident):
                assert (incident.holding == 0) == bool({"resolve", "rate"} & set(incident.timers))

    def _ends_with_all(self, incident: Incident) -> bool:
        return self.engine.state.rules[incident.id].resolve.when is ResolveWhen.ALL

    @invariant()
    def every_page_has_its_line(self) -> None:
        pages = {one.id for one in self.outbox.values() if one.kind is PageKind.PAGE}
        assert pages <= self.pages_with_lines

    @invariant()
    def unsettled_pages_are_awaited(self) -> None:
        for delivery in self.outbox.values():
            incident = self.engine.state.incidents.get(delivery.incident)
            if delivery.kind is PageKind.PAGE:
                assert incident is not None, "forgotten with a page under way"
                assert delivery.id in incident.awaited

    @invariant()
    def restored_it_would_decide_the_same(self) -> None:
        """An engine restored from the store at this point knows what this one knows."""
        restored, here = self.kept.restored(), self.engine.state
        assert restored.by_key == here.by_key
        assert (restored.overrides, restored.turns) == (here.overrides, here.turns)
        assert restored.digests == here.digests
        assert {one: [a.id for a in m] for one, m in restored.members.items()} == {
            one: [a.id for a in m] for one, m in here.members.items()
        }
        assert {one: a.id for one, a in restored.alerts.items()} == {one: a.id for one, a in here.alerts.items()}
        assert {one: [a.id for a in behind] for one, behind in restored.older.items()} == {
            one: [a.id for a in behind] for one, behind in here.older.items()
        }
        assert (restored.firing, restored.last_alert_id, restored.last_number) == (
            here.firing,
            here.last_alert_id,
            here.last_number,
        )

    # -- once all is quiet --------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        """Everything ends: nothing fires, nothing is owed, nothing stays in memory, no deadline is left."""
        self._settle_all()
        self.tick_until(self.now + timedelta(hours=3))
        self._settle_all()
        for alert in [one for one in self.engine.state.alerts.values() if one.firing]:
            self.take(
                AlertsReported(alert.source, alert.by_api, (report(alert.identity.labels(), None, resolved=True),))
            )
        for incident in [one for one in self.engine.state.incidents.values() if one.kept]:
            self.take(ActionTaken(kind=ActionKind.RESOLVE, incident=incident.id, by="ana"))
        for wait in (timedelta(minutes=3), timedelta(days=1)):  # what flapped before the clock was set back is late
            self.tick_until(self.now + wait)
            self._settle_all()
        self.tick_until(self.now + KEPT + timedelta(days=1))  # the clock may have been set back often
        left = list(self.engine.state.take_due(T0 + timedelta(days=9999), 9))
        assert all(deadline[1] is Due.MAINTENANCE for deadline in left), left
        assert not self.engine.state.silences
        assert self.engine.state.firing == 0
        assert not self.engine.state.incidents
        assert not self.engine.state.alerts
        assert not self.engine.state.by_key
        assert not self.engine.state.members
        assert not self.engine.state.waiting


def _kinds(incident: Incident) -> set[str]:
    """What its timers are for, whichever policy's they are."""
    return {name.partition(":")[0] for name in incident.timers}


_PAGING = {"escalate", "accept", "reach", "remind", "route"}
_WORKED_ON = (IncidentState.TRIGGERED, IncidentState.ACKNOWLEDGED, IncidentState.SNOOZED)


class Beating(History):
    """The same with heartbeats, fed by alerts and over HTTP."""

    def __init__(self) -> None:
        self.beats = True
        super().__init__()

    def configured(self, version: int) -> Ruleset:
        return msgspec.structs.replace(rules_of(version), heartbeats=HEARTBEATS if self.beats else ())

    @rule(name=st.sampled_from(["job", "dog"]), cluster=st.sampled_from("cd"))
    def beat(self, name: str, cluster: str) -> None:
        self.take(HeartbeatBeat(name, (("cluster", cluster),) if name == "dog" else ()))

    @rule(cluster=st.sampled_from("cd"), number=st.integers(0, 1), old=st.booleans(), resolved=st.booleans())
    def bark(self, cluster: str, number: int, old: bool, resolved: bool) -> None:
        """An alert that feeds a heartbeat fires, goes on firing, or ends."""
        key = ("am", "Watchdog" + cluster, str(number))
        at = (self.now - T0).total_seconds()
        start = self.starts[key] if old and key in self.starts else at
        self.starts[key] = start
        labels = {"alertname": "Watchdog", "cluster": cluster, "n": str(number)}
        ends = at if resolved else None
        self.take(AlertsReported("am", False, (report(labels, start, resolved=resolved, ends=ends),)))

    def teardown(self) -> None:
        """A beat that nobody awaits any more is missing no more."""
        self.beats = False
        self.take(RulesChanged(self.configured(self.version)))
        self.tick_until(self.now)
        super().teardown()
        assert not self.engine.state.beats


class Spreading(History):
    """The same with silences that are rolled out alert by alert, and kills in the middle of that."""

    def __init__(self) -> None:
        super().__init__()
        self.slices = quiet.MUTED_MAX, quiet.LOOKED_MAX
        quiet.MUTED_MAX = quiet.LOOKED_MAX = 1

    @rule(
        name=st.sampled_from(NAMES), cluster=st.sampled_from("cd"), kind=st.sampled_from("csp"), halt=st.integers(0, 3)
    )
    def kill_while_a_silence_is_rolled_out(self, name: str, cluster: str, kind: str, halt: int) -> None:
        """After so many slices the twin is what the store kept."""
        self.restore_the_twin()
        by = {"cluster": cluster} if kind == "c" else {"alertname": name}
        at = (self.now - T0).total_seconds()
        pause = PauseSet(until=self.now + seconds(60), by="ana")
        self.take(pause if kind == "p" else SilenceSet(silence(at, at + 60, 3, **by)))
        for _ in range(halt):
            if self.engine.state.to_mute:
                self.take(Tick())
        if self.engine.state.to_mute:
            self.twin = Engine(self.configured(self.version), self.kept.restored(self.now))

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            quiet.MUTED_MAX, quiet.LOOKED_MAX = self.slices


TestHistory = History.TestCase
TestBeating = Beating.TestCase
TestSpreading = Spreading.TestCase
TestBeating.settings = histories(100)
TestSpreading.settings = histories(100)
TestHistory.settings = histories(250)


def test_a_kill_while_a_changed_silence_takes_hold_looks_at_whom_it_held_before_too() -> None:
    """Not at those alone that it takes now."""
    life = Spreading()
    life.begin()
    life.fire(cluster="c", many=1, name="Wide", old=False, severity="critical", source="am")
    life.the_world_changes(what="down 600")
    life.kill_while_a_silence_is_rolled_out(cluster="d", halt=0, kind="c", name="Wide")
    life.fire(cluster="d", many=1, name="Hushed", old=False, severity="critical", source="am")
    life.kill_while_a_silence_is_rolled_out(cluster="c", halt=0, kind="c", name="Wide")
    life.restore_the_twin()
    life.teardown()


def test_a_late_look_at_what_flaps_is_that_of_its_instant() -> None:
    """One from before the last change, which comes in the instant of a pause and at which the alert is just calm: a
    restored engine has but the look that counts."""
    life = History()
    life.begin()
    life.say(cluster="c", key="x", n="0", name="Counted", severity="critical", timed=False)
    life.comes_and_goes(gap=1, name="Counted", turns=3)
    for _ in range(2):
        life.restore_the_twin()
        life.fire(cluster="c", many=1, name="Wide", old=False, severity="critical", source="am")
    life.restore_the_twin()
    life.comes_and_goes(gap=15, name="Wide", turns=4)
    life.pass_time(busy="y", by=20)
    life.pause(ends=False, lasts=5)
    life.restore_the_twin()
    life.teardown()
