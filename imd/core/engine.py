"""The engine: one door, the stages in order, the only writer of State.

    effects = engine.step(event, now)
    engine.next_deadline()

Same state, same events, same times: the same effects in the same order. This file holds the door; `intake` takes
alerts on their way, `timers` the incidents' deadlines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import assert_never

from imd.core import actions, flapping, journal, keeping, reported
from imd.core.excerpt import Excerpt
from imd.core.hearing import DUE_MAX
from imd.core.intake import Intake
from imd.core.prepared import Prepared
from imd.core.relate import Relator
from imd.core.related import restore
from imd.core.standing import Standing
from imd.core.state import Deadline, Due, State
from imd.core.timers import Timers
from imd.core.transaction import Transaction
from imd.model.alert import Alert, AlertReport
from imd.model.effect import Effect, Journal, SaveConversation, SettleDelivery
from imd.model.event import (
    ActionTaken,
    AlertsExpired,
    AlertsReported,
    ClockStepped,
    DeliveryFinished,
    Event,
    HeartbeatBeat,
    IncidentReported,
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
from imd.model.policy import Ruleset
from imd.model.rule import Relate, Rule


class Engine:
    """Decides. Hand it every event together with the time; commit what it answers before acting on it.

    Without `expires` no alert ends for want of repeats, only by a resolve or AlertsExpired: for recorded history.
    Nor is a heartbeat missing then, for what feeds it repeats, and history leaves repeats out; with `beats` it is, once
    it was heard.
    `transaction` collects a step's effects.
    """

    def __init__(
        self,
        ruleset: Ruleset,
        state: State,
        *,
        expires: bool = True,
        beats: bool | None = None,
        transaction: type[Transaction] = Transaction,
    ) -> None:
        self.ruleset = ruleset
        self._expires = expires
        self._beats = expires if beats is None else beats
        self._transaction = transaction
        self.state = state
        self._relator = Relator(ruleset.topology)
        self._intake = Intake(ruleset, state, self._relator, expires, self._beats)
        self._timers = Timers(state, self._intake.incidents)
        self._prepared: Prepared | None = None
        self._arm_restored()

    def step(self, event: Event, now: datetime) -> list[Effect]:
        """Takes one event in. `now` must not fall between steps; the caller sees to that (ClockStepped)."""
        tx = self._transaction(now)
        self._catch_up(tx, event)
        self.state.at = now
        self._take(tx, event)
        due = list(self.state.take_due(now, DUE_MAX))  # what these arm for now is for the next step
        self._take_due(tx, due, after=Due.ALERT if isinstance(event, AlertsExpired) else None)
        effects = tx.close()
        if self._prepared is not None:
            self._prepared.saw(effects)
        return effects

    def prepare(self, prepared: Prepared) -> None:
        """A reload is about to come: its slices may be taken between steps. Whether they are changes no decision."""
        prepared.follow(self.state)
        self._prepared = prepared

    def _take(self, tx: Transaction, event: Event) -> None:
        match event:
            case AlertsReported():
                self._intake.take(tx, event)
            case SourceHeard(source=source):
                self._intake.hearing.hear(source, tx.now)
            case AlertsExpired(alerts=expired):
                self._intake.hearing.expire_all(tx, expired)
            case HeartbeatBeat(heartbeat=name, by=by_values):
                tx.own_reports += self._intake.heartbeats.heard(tx, name, by_values)
            case ActionTaken() | IncidentReported():
                self._act(tx, event)
            case SilenceSet() | SilenceExpired() | PauseSet():
                self._intake.quiet.take(tx, event)
            case OverrideSet() | OverrideEnded():
                self._intake.incidents.escalation.roster.take(tx, event)
            case DeliveryFinished():
                self._delivery_finished(tx, event)
            case RulesChanged() | Restarted() | ClockStepped():
                self._world_changed(tx, event)
            case Tick():
                pass
            case _:
                assert_never(event)

    def _act(self, tx: Transaction, event: ActionTaken | IncidentReported) -> None:
        incidents = self._intake.incidents
        if isinstance(event, ActionTaken):
            actions.act(tx, event, self.state, incidents, self._intake.regroup)
        else:
            reported.report(tx, event, self.ruleset, self.state, incidents)

    def next_deadline(self) -> datetime | None:
        """When to call step(Tick(), now) next; None if nothing waits."""
        return self.state.next_deadline()

    def excerpt(self, report: AlertReport) -> Excerpt:
        """A copy of what decisions about this alert depend on, for another engine to try it on. Changes nothing."""
        return self._intake.excerpt(report)

    def tier(self, labels: Mapping[str, str]) -> str:
        """Of an alert with these labels, by label or by map; "" for none."""
        return self._intake.incidents.tier(labels)

    def standing(self, labels: Mapping[str, str], relate: Relate) -> Standing:
        """Where an alert with these labels stands on the map."""
        return self._relator.map.standing(labels, relate.max_hops)

    def _catch_up(self, tx: Transaction, event: Event) -> None:
        """What was due before the event came happened before it, however late the Tick: a replay says so too. Silences
        and windows hold, or hold no more, from the very instant on."""
        state, last = self.state, Due.MAINTENANCE
        self._mute_all(tx, event)
        if state.due(tx.now, last) and not isinstance(event, Restarted | ClockStepped):
            self._take_due(tx, state.take_due(tx.now, DUE_MAX, last))
            tx.expired = False
            self._mute_all(tx, event)

    def _mute_all(self, tx: Transaction, event: Event) -> None:
        """What a silence muted is quiet before anything else is decided, also where only some had their turn so far: in
        how many steps it came to that must not show. Whoever can wait does so, for this is one long step then."""
        if self.state.to_mute and not isinstance(event, Tick | Restarted):
            self._intake.quiet.mute_all(tx)
            self._intake.incidents.settle(tx)

    # -- deadlines -------------------------------------------------------------------------------------------------

    def _take_due(self, tx: Transaction, due: Iterable[Deadline], after: Due | None = None) -> None:
        """Each as if it were on time: the consequences of what fell due at one instant and is about the same are drawn
        before what comes next is looked at. `after`: what was done last is of this kind."""
        before = tx.now, after
        for deadline in due:
            if deadline[:2] != before:
                self._intake.incidents.settle(tx)
                before = deadline[:2]
            tx.at = deadline[0]
            self._due(tx, deadline)
        tx.at = tx.now
        self._intake.incidents.settle(tx)
        if tx.own_reports:
            self._intake.report_own(tx)
            self._intake.incidents.settle(tx)

    def _due(self, tx: Transaction, deadline: Deadline) -> None:
        at, due, _, _, subject = deadline
        if due is Due.ALERT:
            assert isinstance(subject, Alert)
            self._intake.hearing.look(tx, subject)
        elif due is Due.MUTE:
            self._intake.quiet.mute_due(tx)
        elif due is Due.JUDGE:
            self._intake.quiet.judge_due(tx)
        elif due is Due.INCIDENT:
            assert isinstance(subject, str)
            self._timers.due(tx, subject, at)
        elif due is Due.FLUSH:
            keeping.flush_seen(tx, self.state)
        elif due is Due.FORGET_ALERT:
            assert isinstance(subject, Alert)
            keeping.leave(tx, self.state, subject)
        elif due is Due.WAITING:
            assert isinstance(subject, tuple)
            self._intake.look_at_waiting(tx, subject)
        elif due is Due.FLAPPING:
            assert isinstance(subject, Alert)
            flapping.look(tx, subject, self.state, self._intake.incidents)
        elif due is Due.BEAT:
            assert isinstance(subject, tuple)
            tx.own_reports += self._intake.heartbeats.look(tx, subject)
        else:
            assert isinstance(subject, str)
            self._due_by_name(tx, due, subject)

    def _due_by_name(self, tx: Transaction, due: Due, name: str) -> None:
        if due is Due.SOURCE:
            self._intake.hearing.wake(tx, name)
        elif due is Due.SILENCE:
            self._intake.quiet.silence_due(tx, name)
        elif due is Due.MAINTENANCE:
            self._intake.quiet.maintenance_due(tx, name)
        elif due is Due.STALE:
            self._intake.incidents.escalation.stale_due(tx, name)
        elif due is Due.DIGEST:
            for concerned in self._intake.incidents.escalation.digest_due(tx, name):
                self._intake.incidents.plan_leave(concerned, tx.now)
        else:
            self._intake.incidents.forget(tx, name)

    # -- deliveries -----------------------------------------------------------------------------------------------

    def _delivery_finished(self, tx: Transaction, event: DeliveryFinished) -> None:
        tx.effects.append(
            SettleDelivery(
                delivery=event.delivery,
                outcome=event.outcome.value,
                error=event.error,
                attempts=event.attempts,
                at=tx.now,
            )
        )
        if event.conversation:
            tx.effects.append(SaveConversation(event.incident, event.receiver, event.conversation))
        tx.effects.append(Journal(tx.now, journal.delivered(tx.now, event)))
        incidents = self._intake.incidents
        if not event.incident:
            for concerned in incidents.escalation.digest_finished(tx, event):
                incidents.plan_leave(concerned, tx.now)
        elif (incident := self.state.incidents.get(event.incident)) is not None:
            incidents.escalation.finished(tx, incident, incidents.rule_of(incident), event)
            incidents.plan_leave(incident, tx.now)
        incidents.notifier.backlog.finished(tx, event)

    # -- the world changes ----------------------------------------------------------------------------------------

    def _world_changed(self, tx: Transaction, event: RulesChanged | Restarted | ClockStepped) -> None:
        match event:
            case RulesChanged(ruleset=ruleset):
                self._rules_changed(tx, ruleset)
            case Restarted(alive_at=alive_at):
                self._restarted(tx, alive_at)
            case ClockStepped(by=by):
                self._clock_stepped(tx, by)

    def _rules_changed(self, tx: Transaction, ruleset: Ruleset) -> None:
        """Open incidents keep the rule they opened with; everything new goes by the new rules."""
        prepared, before = self._take_prepared(ruleset), self.ruleset
        prepared.finish(tx.effects, tx.touched)
        self.ruleset, self._relator = ruleset, prepared.relator or self._relator
        waited, known = self._intake.incidents.openings, prepared.inhibitors
        self._intake = Intake(ruleset, self.state, self._relator, self._expires, self._beats, self._intake, known)
        self._timers = Timers(self.state, self._intake.incidents)
        self._intake.quiet.arm()
        flapping.arm(self.state, self._intake.incidents)
        if ruleset.sources != before.sources:
            self._intake.hearing.watch_all(tx.now)
        self._intake.take_in(self._intake.incidents.openings.take_over(waited))
        tx.effects.append(Journal(tx.now, journal.reloaded(tx.now, ruleset.config_hash), True))

    def _restarted(self, tx: Transaction, alive_at: datetime) -> None:
        tx.effects.append(Journal(tx.now, journal.restarted(tx.now, alive_at)))
        if alive_at > tx.now:  # the clock was set back meanwhile, by at least so much
            self._shift(tx, tx.now - alive_at)
            alive_at = tx.now
        self._intake.hearing.away(tx, alive_at)
        self._intake.heartbeats.away(tx, alive_at)
        self._intake.quiet.restarted(tx)
        self._timers.restarted(tx, alive_at)
        keeping.save_presence(tx, self.state)

    def _clock_stepped(self, tx: Transaction, by: timedelta) -> None:
        tx.effects.append(Journal(tx.now, journal.clock_stepped(tx.now, by)))
        self._shift(tx, by)

    def _shift(self, tx: Transaction, by: timedelta) -> None:
        """Deadlines keep their distance in real time; alerts get the benefit of an outage of that length."""
        if by > timedelta(0):
            self._intake.hearing.away(tx, tx.now - by)
        elif self.state.flush_at is not None:  # set for an instant that is now far ahead
            self.state.flush_at = tx.now + self.ruleset.bounds.seen_flush
            self.state.remind(self.state.flush_at, Due.FLUSH, None)
        if self.state.judge_after is not None:
            self.state.judge_after += by
        self._timers.shift(tx, by)
        flapping.shift(tx, self.state, self._intake.incidents, by)
        self._intake.incidents.notifier.digests.shift(tx, by)
        self._intake.incidents.openings.shift(tx, by)
        tx.own_reports += self._intake.heartbeats.shift(tx, by)
        self._intake.hearing.clock_set(tx.now, by)
        self._intake.quiet.clock_stepped(tx, by)
        keeping.save_presence(tx, self.state)

    def _arm_restored(self) -> None:
        """After a restore: every record's deadline is set anew."""
        for incident in self.state.incidents.values():
            self._intake.incidents.adopt(incident)
        self._intake.incidents.notifier.digests.adopt()
        restore(self._relator, self.state, self._rules())
        for alert in self.state.alerts.values():
            self._intake.hearing.watch(alert, min(alert.seen_at, self.state.at or alert.seen_at))
        self._intake.quiet.arm()
        flapping.arm(self.state, self._intake.incidents)
        openings, waiting = self._intake.incidents.openings, self.state.restored_waiting
        self.state.restored_waiting = []
        openings.recall_follow_ups(self.state.alerts.values())
        self._intake.take_in(openings.adopt(waiting))

    def _take_prepared(self, ruleset: Ruleset) -> Prepared:
        prepared, self._prepared = self._prepared, None
        if prepared is None or prepared.ruleset is not ruleset or prepared.before is not self.ruleset:
            prepared = Prepared(self.ruleset, ruleset)
            prepared.follow(self.state)
        return prepared

    def _rules(self) -> dict[str, Rule]:
        return {rule.name: rule for rule in self.ruleset.rules}
