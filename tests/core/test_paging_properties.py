"""Random acknowledgements, failures, restarts and clocks against the promises of paging.

No page starts once an acknowledgement is on record, singly or in a digest; what is urgent and unanswered reaches the
end of its policies; no step notifies twice; whoever waits is waited for; and once receivers take what they are sent,
nothing waits any more. The outbox is played: a delivery waits, starts, and ends in its time. Some receivers are
people's, who hear of storms and backlogs in digests, others are programs'.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, timedelta

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from imd.core.engine import Engine
from imd.core.reach import once
from imd.core.state import State
from imd.core.walks import timers, walks
from imd.model.digest import Storm
from imd.model.effect import AppendTimeline, CancelPages, Deliver, Delivery, Effect
from imd.model.event import (
    ActionKind,
    ActionTaken,
    AlertsReported,
    ClockStepped,
    DeliveryFinished,
    Event,
    Outcome,
    OverrideEnded,
    OverrideSet,
    Restarted,
    RulesChanged,
    Tick,
)
from imd.model.incident import Incident, IncidentState, Priority
from imd.model.policy import NOBODY, PageKind, PageReason, Policy, Receiver, Route, Ruleset, Team
from imd.model.quiet import TimeInterval, Weekly
from imd.model.rule import Rule
from imd.model.schedule import Override, Rotation, Schedule
from tests.core.making import STORE_ID, T0, Kept, equals, minutes, person, policy, report, ruleset, seconds, step
from tests.hunting import histories

AGAIN = {PageReason.RAISED, PageReason.FLAPPING, PageReason.ACK_LAPSED}
"""Reasons for which a step is meant to be heard once more."""
RESTARTS = {"triggered", "unacknowledged", "ack_lapsed", "route"}
"""Lines after which the steps count anew."""


def between(*spans: tuple[float, float]) -> TimeInterval:
    return TimeInterval(weekly=tuple(Weekly(begins=minutes(begins), ends=minutes(ends)) for begins, ends in spans))


RULES = (
    Rule(name="wide", match=(equals(alertname="Wide"),), group_by=("cluster",), hold=seconds(0)),
    Rule(name="slow", match=(equals(alertname="Slow"),), group_by=("cluster",), policy="robin"),
)
PEOPLE = (
    person("ana", "push", "sms 1m", "call 4m", low=("mail",), quiet_hours=between((10, 30))),
    person("ben", "ben-push", "sms 2m"),
    "cleo",
)
POLICIES = (
    policy(step("@primary", wait=minutes(3)), step("ana", "#chat"), repeat=1, ack_timeout=minutes(15), remind=None),
    policy(step("+crew", wait=minutes(2), round_robin=True), step("#vip"), name="robin", remind=minutes(50)),
    policy(step("#chat", wait=minutes(1)), step("cleo"), name="aside", remind=None),
    Policy(name=NOBODY, steps=()),
)
TURNS = Rotation(
    name="turns", people=("ana", "ben"), timezone="UTC", every=minutes(60), start=date(2025, 12, 31),
    within=between((0, 50), (70, 1440)),
)  # fmt: skip
ROUTES = (
    Route(policy="aside", match=(equals(cluster="d"),), goes_on=True),
    Route(policy="robin", priority=frozenset({Priority.P3})),
    Route(policy="default", match=(equals(cluster="e"),), during="open"),
    Route(policy=NOBODY, match=(equals(cluster="e"),)),
)


def rules_of(version: int) -> Ruleset:
    """A reload changes who can be reached and how."""
    people = PEOPLE if version % 2 else (person("ana", "push"), *PEOPLE[1:])
    return ruleset(
        *RULES,
        policies=POLICIES,
        people=people,
        receivers=(
            Receiver(name="chat", people=True, send=frozenset(PageKind)),
            Receiver(name="vip", min_priority=Priority.P2, stale_after=minutes(4)),
            Receiver(name="ops", send=frozenset(PageKind)),
            *(Receiver(name=name, people=True) for name in ("push", "sms", "call", "mail")),
        ),
        storm=Storm(pages=2),
        teams={"crew": Team(name="crew", people=("ana", "ben", "cleo"))},
        schedules={"primary": Schedule(name="primary", rotations=(TURNS,))},
        times={"open": between((0, 5), (40, 1440))},
        routes=ROUTES,
        fallback="ops",
    )


class Paging(RuleBasedStateMachine):
    """`waiting` deliveries have not started, `sending` ones have, `called_off` must not."""

    def __init__(self) -> None:
        super().__init__()
        self.now = T0
        self.version = 1
        self.engine = Engine(self.configured(1), State(STORE_ID))
        self.kept = Kept()
        self.waiting: dict[str, Delivery] = {}
        self.sending: dict[str, Delivery] = {}
        self.called_off: set[str] = set()
        self.acked: set[str] = set()
        self.heard: Counter[tuple[object, ...]] = Counter()
        self.counted: dict[str, list[tuple[object, ...]]] = {}
        self.born: dict[str, int] = {}
        self.generation: Counter[str] = Counter()
        self.fired = 0

    def configured(self, version: int) -> Ruleset:
        return rules_of(version)

    # -- driving --------------------------------------------------------------------------------------------------

    def take(self, event: Event) -> list[Effect]:
        effects = self.engine.step(event, self.now)
        self.kept.apply(effects)
        for effect in effects:
            match effect:
                case AppendTimeline(incident=incident, entry=entry):
                    if entry.kind in RESTARTS:
                        self.generation[incident] += 1
                    if entry.kind == "paged":
                        # A page that waits and has not arrived has another name then, and is of the time of the first.
                        renamed = isinstance(event, DeliveryFinished) and event.outcome is not Outcome.ACCEPTED
                        born = self.born.get(event.delivery) if renamed else None
                        self.born[entry.details["delivery"]] = self.generation[incident] if born is None else born
                    if entry.kind == "acknowledged":
                        self.acked.add(incident)
                case Deliver(delivery=delivery):
                    self.waiting[delivery.id] = delivery
                    self.counted[delivery.id] = []
                case CancelPages():
                    self._call_off(effect)
                case _:
                    pass
        for delivery in [one.delivery for one in effects if isinstance(one, Deliver)]:
            for record, name in self._pages(delivery):
                self._paged(delivery, record, name)
        return effects

    def _pages(self, delivery: Delivery) -> list[tuple[Incident, str]]:
        """The pages in it: one, or those of a digest; in other messages none."""
        if delivery.kind is PageKind.PAGE:
            incident = self.engine.state.incidents.get(delivery.incident)
            return [(incident, delivery.id)] if incident and delivery.id in incident.awaited else []
        if delivery.kind is not PageKind.DIGEST:
            return []
        everyone = self.engine.state.incidents.values()
        return [(one, name) for one in everyone for name, page in one.awaited.items() if page.digest == delivery.id]

    def _paged(self, delivery: Delivery, incident: Incident, name: str) -> None:
        awaited = incident.awaited[name]
        reason = PageReason(awaited.reason)
        if incident.state is IncidentState.ACKNOWLEDGED:
            assert reason in AGAIN, f"{self.now}: a page ({reason}) after the acknowledgement"
        reminder = incident.exhausted and reason is PageReason.REPEATED
        if reason in AGAIN or reminder or not awaited.shown:
            return
        place = (awaited.policy, awaited.round, awaited.step, delivery.receiver)
        key = (incident.id, self.born[name], *place)
        self.counted[delivery.id].append(key)
        self.heard[key] += 1
        assert self.heard[key] == 1, f"{self.now}: {key} a second time"

    def _call_off(self, effect: CancelPages) -> None:
        for delivery in [*self.waiting.values(), *self.sending.values()]:
            meant = delivery.incident == effect.incident and effect.receiver in (None, delivery.receiver)
            if meant and delivery.kind in {PageKind.PAGE, *effect.kinds}:
                self.called_off.add(delivery.id)

    def tick_until(self, goal: datetime) -> None:
        while (due := self.engine.next_deadline()) is not None and due <= goal:
            self.now = max(self.now, due)
            self.take(Tick())
        self.now = max(goal, self.now)

    def finish(self, delivery: Delivery, outcome: Outcome) -> None:
        self.waiting.pop(delivery.id, None)
        self.sending.pop(delivery.id, None)
        unsure = outcome is Outcome.UNKNOWN and delivery.id in self.called_off
        if outcome is Outcome.CANCELLED or unsure:  # it never left, or may be sent again: rather twice than not at all
            self.heard.subtract(self.counted[delivery.id])
        end = DeliveryFinished(
            delivery=delivery.id, incident=delivery.incident, receiver=delivery.receiver, outcome=outcome
        )
        self.take(end)

    # -- what happens ---------------------------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        self.take(Restarted(self.now))

    @rule(
        name=st.sampled_from(["Wide", "Wide", "Slow"]),
        cluster=st.sampled_from("cde"),
        severity=st.sampled_from(["critical", "critical", "warning", "info"]),
        tier=st.sampled_from(["1", "2", "3"]),
    )
    def fire(self, name: str, cluster: str, severity: str, tier: str) -> None:
        """Ever another alert: one that comes into an open incident may raise it."""
        self.fired += 1
        labels = {"alertname": name, "cluster": cluster, "severity": severity, "tier": tier, "n": str(self.fired)}
        self.take(AlertsReported("am", False, (report(labels, (self.now - T0).total_seconds()),)))

    @rule(data=st.data())
    @precondition(lambda self: any(one.firing for one in self.engine.state.alerts.values()))
    def resolve(self, data: st.DataObject) -> None:
        firing = [one for one in self.engine.state.alerts.values() if one.firing]
        alert = firing[data.draw(st.sampled_from(range(len(firing))))]
        end = report(alert.labels(), None, resolved=True, ends=(self.now - T0).total_seconds())
        self.take(AlertsReported("am", False, (end,)))

    @rule(kind=st.sampled_from([ActionKind.ACK, ActionKind.ACK, ActionKind.UNACK]), ago=st.integers(0, 2))
    def act(self, kind: ActionKind, ago: int) -> None:
        number = max(1, self.engine.state.last_number - ago)
        self.take(ActionTaken(kind=kind, incident=f"i{number:012d}", by="ana"))

    @rule(data=st.data())
    @precondition(lambda self: self.waiting)
    def start(self, data: st.DataObject) -> None:
        """The outbox makes an attempt; of what was called off it makes none."""
        delivery = self.waiting[data.draw(st.sampled_from(sorted(self.waiting)))]
        if delivery.id in self.called_off:
            self.finish(delivery, Outcome.CANCELLED)
            return
        for incident, name in self._pages(delivery):
            if incident.state is IncidentState.ACKNOWLEDGED:
                reason = PageReason(incident.awaited[name].reason)
                assert reason in AGAIN, f"{self.now}: a page ({reason}) starts after the acknowledgement"
        self.sending[delivery.id] = self.waiting.pop(delivery.id)

    @rule(data=st.data(), outcome=st.sampled_from([Outcome.ACCEPTED, Outcome.FAILED, Outcome.FAILED, Outcome.UNKNOWN]))
    @precondition(lambda self: self.sending)
    def end(self, data: st.DataObject, outcome: Outcome) -> None:
        delivery = self.sending[data.draw(st.sampled_from(sorted(self.sending)))]
        self.finish(delivery, outcome)

    @rule(by=st.sampled_from([1, 10, 20, 30, 60, 119, 180, 300, 900, 3600]))
    def pass_time(self, by: float) -> None:
        self.tick_until(self.now + seconds(by))

    @rule(down=st.sampled_from([1, 60, 240, 600, 7200]))
    def restart(self, down: float) -> None:
        """What the store kept goes on. Nobody is paged by what falls due while imd is away, but one thing at a time."""
        self.tick_until(self.now)
        alive_at, self.now = self.now, self.now + seconds(down)
        self.engine = Engine(self.configured(self.version), self.kept.restored(alive_at))
        effects = self.take(Restarted(alive_at))
        while (due := self.engine.next_deadline()) is not None and due <= self.now:
            effects += self.take(Tick())
        if down > 300:
            pages = [one.delivery for one in effects if isinstance(one, Deliver) and one.delivery.kind is PageKind.PAGE]
            assert pages == [], "the senders speak first"

    @rule(by=st.sampled_from([-3600, -60, 60, 3600]))
    def clock(self, by: float) -> None:
        """A step of the clock pages nobody, but for whoever waits for an hour of the day."""
        self.tick_until(self.now)
        waits = {
            one.id
            for one in self.engine.state.incidents.values()
            if "route" in one.timers or any(reach.way == 0 for reach in one.reaches)
        }
        self.now += seconds(by)
        effects = self.take(ClockStepped(seconds(by)))
        pages = {one.delivery.incident for one in effects if isinstance(one, Deliver)}
        assert pages <= waits, f"{self.now}: the clock was set and {pages - waits} paged"

    @rule(who=st.sampled_from(["ana", "cleo"]), lasts=st.sampled_from([0, 60, 3600]))
    def override(self, who: str, lasts: int) -> None:
        if not lasts:
            self.take(OverrideEnded("override", "ana"))
            return
        ends_at = self.now + seconds(lasts)
        made = Override(id="override", schedule="primary", person=who, begins_at=self.now, ends_at=ends_at)
        self.take(OverrideSet(msgspec.structs.replace(made, created_by="ben", created_at=self.now)))

    @rule()
    def reload(self) -> None:
        self.version += 1
        self.take(RulesChanged(self.configured(self.version)))

    # -- what holds -----------------------------------------------------------------------------------------------

    @invariant()
    def whoever_waits_is_waited_for(self) -> None:
        """A walk that is under way has a deadline, each incident the deadlines of its ways, and nobody else has any."""
        for incident in self.engine.state.incidents.values():
            ways = [one.due_at for one in incident.reaches if one.due_at is not None]
            assert incident.timers.get("reach") == min(ways, default=None)
            deadlines = [one.deadline_at for one in incident.awaited.values() if one.deadline_at is not None]
            assert incident.timers.get("accept") == min(deadlines, default=None)
            for walk in walks(incident):
                chosen = self.engine.ruleset.policy(walk.policy)
                under_way = incident.state is IncidentState.TRIGGERED and chosen.steps and not once(incident, chosen)
                if under_way and not walk.exhausted:
                    assert "escalate" in timers(incident, walk), f"{incident.id} stands still in {walk.policy}"
                if not under_way or walk.exhausted:
                    assert "escalate" not in timers(incident, walk) or incident.priority.low

    @invariant()
    def an_answer_ends_everything(self) -> None:
        for incident in self.engine.state.incidents.values():
            if incident.state is IncidentState.ACKNOWLEDGED:
                assert not {"escalate", "remind", "route"} & {name.partition(":")[0] for name in incident.timers}
                assert all(one.due_at is None or one.way == 0 for one in incident.reaches)

    @invariant()
    def it_is_all_on_disk(self) -> None:
        for incident in self.engine.state.incidents.values():
            assert self.kept.incidents[incident.id] == msgspec.msgpack.encode(incident), "changed and not saved"

    def teardown(self) -> None:
        """Nobody answers any more: whatever is urgent walks to the end of its policies."""
        left = [one.id for one in self.engine.state.incidents.values() if _urgent(one)]
        self.tick_until(self.now + timedelta(hours=4))
        for incident in (self.engine.state.incidents[one] for one in left):
            assert incident.priority in (Priority.P1, Priority.P2)
            steps = [walk for walk in walks(incident) if self.engine.ruleset.policy(walk.policy).steps]
            assert steps, f"{incident.id} waits for ever"
            assert all(walk.exhausted for walk in steps), f"{incident.id}: {list(walks(incident))}"
        self.nothing_is_left()

    def nothing_is_left(self) -> None:
        """All receivers are back. Within half a day everything that was owed was delivered, or is owed no more."""
        for _ in range(12 * 60):
            for delivery in [*self.sending.values(), *self.waiting.values()]:
                called_off = delivery.id in self.called_off and delivery.id in self.waiting
                self.finish(delivery, Outcome.CANCELLED if called_off else Outcome.ACCEPTED)
            if not self.waiting and not self.sending and not any(self._waits()):
                return
            self.tick_until(self.now + minutes(1))
        assert not any(self._waits()), list(self._waits())

    def _waits(self) -> Iterator[object]:
        for incident in self.engine.state.incidents.values():
            yield from (one for one in incident.awaited.values() if one.digest)
            yield from (told for told in incident.told.values() if told.news or told.update)


def _urgent(incident: Incident) -> bool:
    return incident.state is IncidentState.TRIGGERED and incident.priority.rank <= 2 and incident.firing > 0


TestPaging = Paging.TestCase
TestPaging.settings = histories(300, steps=40)
