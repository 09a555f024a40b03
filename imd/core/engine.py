"""The engine: one door, the stages in order, the only writer of State.

    effects = engine.step(event, now)
    engine.next_deadline()

Same state, same events, same times: the same effects in the same order. This file holds the door and the alerts' way
through dedup and correlation; `incidents` takes it from there, `timers` when a deadline comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import assert_never

from imd.core import actions, dedup, flapping, journal, keeping, priority
from imd.core.correlate import RuleIndex, group_key
from imd.core.dedup import Verdict
from imd.core.enrich import Enricher
from imd.core.expiry import Outage
from imd.core.hearing import DUE_MAX, Hearing
from imd.core.heartbeats import AT_ONCE, Heartbeats
from imd.core.incidents import Incidents
from imd.core.quiet import Quiet
from imd.core.relate import Relator
from imd.core.related import Related, restore
from imd.core.state import Deadline, Due, State
from imd.core.timers import Timers
from imd.core.transaction import Transaction
from imd.core.waiting import Place
from imd.model.alert import Alert, AlertReport, AlertState
from imd.model.condition import ConditionFailed
from imd.model.effect import Effect, ForgetAlert, Journal, Refused, SettleDelivery
from imd.model.event import (
    ActionTaken,
    AlertsExpired,
    AlertsReported,
    ClockStepped,
    DeliveryFinished,
    Event,
    HeartbeatBeat,
    PauseSet,
    Restarted,
    RulesChanged,
    SilenceExpired,
    SilenceSet,
    SourceHeard,
    Tick,
)
from imd.model.heartbeat import OWN_SOURCE
from imd.model.policy import Ruleset
from imd.model.rule import Mode, Rule

RESOLUTION = timedelta(microseconds=1)  # of a datetime


class Engine:
    """Decides. Hand it every event together with the time; commit what it answers before acting on it.

    Without `expires` no alert ends for want of repeats, only by a resolve or AlertsExpired: for recorded history.
    """

    def __init__(self, ruleset: Ruleset, state: State, *, expires: bool = True) -> None:
        self.ruleset = ruleset
        self._expires = expires
        self.state = state
        self._index = RuleIndex(ruleset.rules)
        self._enricher = Enricher(ruleset.enrich)
        self._relator = Relator(ruleset.topology)
        self._incidents = Incidents(ruleset, state, self._relator)
        self._related = Related(ruleset, state, self._incidents, self._relator)
        self._timers = Timers(state, self._incidents)
        self._heartbeats = Heartbeats(ruleset, state)
        self._hearing = Hearing(ruleset, state, self._incidents, self._ended, expires)
        self._quiet = Quiet(ruleset, state, self._incidents, self._rule, self._place, None)
        self._arm_restored()

    def step(self, event: Event, now: datetime) -> list[Effect]:
        """Takes one event in. `now` must not fall between steps; the caller sees to that (ClockStepped)."""
        tx = Transaction(now)
        self._catch_up(tx, event)
        self._take(tx, event)
        if not isinstance(event, AlertsExpired):  # that one is itself what is due now, and settles with the rest of it
            self._incidents.settle(tx)
        self._take_due(tx)
        self._report_own(tx)
        self._incidents.settle(tx)
        return tx.close()

    def _take(self, tx: Transaction, event: Event) -> None:
        match event:
            case AlertsReported():
                self._alerts_reported(tx, event)
            case SourceHeard(source=source):
                self._hearing.hear(source, tx.now)
            case AlertsExpired(alerts=expired):
                self._hearing.expire_all(tx, expired)
            case HeartbeatBeat(heartbeat=name, by=by_values):
                tx.own_reports += self._heartbeats.beat(tx, name, by_values)
            case ActionTaken():
                actions.act(tx, event, self.state, self._incidents)
            case SilenceSet() | SilenceExpired() | PauseSet():
                self._quiet.take(tx, event)
            case DeliveryFinished():
                self._delivery_finished(tx, event)
            case RulesChanged(ruleset=ruleset):
                self._rules_changed(tx, ruleset)
            case Restarted(alive_at=alive_at):
                self._restarted(tx, alive_at)
            case ClockStepped(by=by):
                self._clock_stepped(tx, by)
            case Tick():
                pass
            case _:
                assert_never(event)

    def next_deadline(self) -> datetime | None:
        """When to call step(Tick(), now) next; None if nothing waits."""
        return self.state.next_deadline()

    def _catch_up(self, tx: Transaction, event: Event) -> None:
        """What was due before the event came happened before it, however late the Tick: a replay says so too."""
        if self.state.overdue(tx.now) and not isinstance(event, Restarted | ClockStepped):
            for deadline in self.state.take_due(tx.now - RESOLUTION, DUE_MAX):
                self._due(tx, deadline)
            self._incidents.settle(tx)
            tx.expired = False

    # -- alerts ---------------------------------------------------------------------------------------------------

    def _alerts_reported(self, tx: Transaction, event: AlertsReported) -> None:
        state, now, lateness = self.state, tx.now, self.ruleset.bounds.lateness
        alerts, unseen, spans_max = state.alerts, state.unseen, self.ruleset.bounds.spans_max
        by_api = event.by_api
        self._hearing.hear(event.source, now)
        repeats = resolved = 0
        for number, report in enumerate(event.alerts):
            alert = alerts.get(report.identity.key)
            if alert is not None:
                alert.by_api = by_api  # two senders may report one alert: the newest word says whose deadline counts
                if dedup.refresh(alert, report, now):  # by far the most frequent report
                    unseen[alert.id] = alert
                    repeats += 1
                    continue
            resolved += report.resolved
            verdict = dedup.judge(alert, report, now, lateness)
            if verdict is Verdict.REPEAT and alert is not None:
                dedup.absorb(alert, report, verdict, now, lateness, spans_max)
                unseen[alert.id] = alert
                repeats += 1
            elif verdict is Verdict.LATE:
                repeats += 1
            else:
                self._changed(tx, event, number, alert, report, verdict)
        if unseen and state.flush_at is None:
            state.flush_at = now + self.ruleset.bounds.seen_flush
            state.remind(state.flush_at, Due.FLUSH, None)
        tx.count("alerts_received_total", event.source, "firing", amount=len(event.alerts) - resolved)
        tx.count("alerts_received_total", event.source, "resolved", amount=resolved)
        tx.count("alerts_deduplicated_total", amount=repeats)

    def _report_own(self, tx: Transaction) -> None:
        """What imd itself has to report, as a request of its own."""
        if tx.own_reports:
            reports, tx.own_reports, tx.reported = tuple(tx.own_reports), [], False
            self._alerts_reported(tx, AlertsReported(OWN_SOURCE, False, reports))

    def _changed(
        self,
        tx: Transaction,
        event: AlertsReported,
        number: int,
        alert: Alert | None,
        report: AlertReport,
        verdict: Verdict,
    ) -> None:
        """A report that changes state, one way or another: on record, then on its way."""
        if verdict in (Verdict.NEW, Verdict.REVIVED) and flapping.swallows(alert, self.state):
            verdict = Verdict.REVIVED
        elif verdict is Verdict.REVIVED and alert is not None and not self._incidents.takes_back(alert, tx.now):
            verdict = Verdict.NEW  # its incident is over for good: what fires now is an episode of its own
        if verdict in (Verdict.NEW, Verdict.ENDED_UNSEEN):
            if verdict is Verdict.NEW and self.state.firing >= self.ruleset.bounds.open_alerts_max:
                bound = self.ruleset.bounds.open_alerts_max
                tx.effects.append(Refused(number, f"{bound} alerts are open already (open_alerts_max)"))
                return
            alert = self._new_alert(tx, event, alert, report)
        else:
            assert alert is not None
            dedup.absorb(alert, report, verdict, tx.now, self.ruleset.bounds.lateness, self.ruleset.bounds.spans_max)
        same = tx.reported  # of this request the first line is already written
        tx.effects.append(Journal(tx.now, journal.reported(tx.now, event.source, event.by_api, report, same)))
        tx.reported = True
        match verdict:
            case Verdict.NEW:
                self._arrive(tx, alert)
                if alert.changes:
                    self._flips(tx, alert, alert.starts_at)
            case Verdict.REVIVED:
                self._fires_again(tx, alert)
                self._flips(tx, alert, alert.spans[-1].starts_at)
            case Verdict.RESOLVED:
                self._ended(tx, alert)
                self._flips(tx, alert, alert.ended_at or tx.now)
                self._incidents.clear(tx, alert, "resolved")
            case Verdict.ENDED_UNSEEN:
                self._incidents.openings.follow_up(tx, alert, alert.labels())
            case _:
                pass
        tx.save(alert)
        self._hearing.watch(alert, tx.now)

    def _new_alert(self, tx: Transaction, event: AlertsReported, old: Alert | None, report: AlertReport) -> Alert:
        bounds = self.ruleset.bounds
        span, spans = dedup.begin(old, report, tx.now, bounds.lateness, bounds.spans_max)
        alert = Alert(
            id=self.state.new_alert_id(),
            identity=old.identity if old is not None else report.identity,
            source=event.source,
            by_api=event.by_api,
            state=AlertState.RESOLVED if report.resolved else AlertState.FIRING,
            starts_at=span.starts_at,
            received_at=tx.now,
            seen_at=tx.now,
            spans=spans,
            annotations=report.annotations,
            generator_url=report.generator_url,
            other_labels=report.labels,
            ended_at=span.ended_at,
            changes=old.changes if old is not None else (),
        )
        self.state.alerts[alert.identity.key] = alert
        if old is not None and not old.incident and old.counted_at is None:
            self.state.unseen.pop(old.id, None)
            tx.effects.append(ForgetAlert(old.id, keep=False))
        if alert.firing:
            self.state.firing += 1
        return alert

    def _arrive(self, tx: Transaction, alert: Alert) -> None:
        """A new episode: to the rule that takes it, and into an incident."""
        labels = self._enrich(tx, alert)
        if alert.dropped_by and not self._heartbeats.rule_of(alert):
            return
        ends = self._heartbeats.feeds(tx, alert, labels)
        if ends is not None:
            tx.own_reports += ends
            return
        self._incidents.openings.follow_up(tx, alert, labels)
        rule = self._rule(alert, labels, tx)
        alert.rule = rule.name
        tx.count("rule_matches_total", rule.name)
        if rule.name == "default":
            tx.count("alerts_unmatched_total")
        if priority.unknown_severity(labels, self.ruleset.priority):
            tx.count("alerts_unknown_severity_total")
        if rule.mode is Mode.DROP:
            tx.count("alerts_dropped_total", rule.name)
        if not self._quiet.enter(tx, alert, labels, rule):
            self._place(tx, alert, labels, rule)
        elif rule.mode in (Mode.PAGE, Mode.MONITOR):
            self._set_aside(tx, alert, labels, rule)

    def _place(self, tx: Transaction, alert: Alert, labels: Mapping[str, str], rule: Rule | None = None) -> None:
        """Into an incident, or among those that wait for one, by the rule that takes it."""
        rule = rule or self._rule(alert, labels, tx)
        alert.rule, alert.seen_off = rule.name, ""
        if rule.mode not in (Mode.PAGE, Mode.MONITOR):
            return
        if rule.relate is not None:
            self._related.arrive(tx, alert, rule, rule.relate, labels)
        else:
            self._incidents.arrive(tx, alert, rule, labels)

    def _set_aside(self, tx: Transaction, alert: Alert, labels: Mapping[str, str], rule: Rule) -> None:
        if rule.relate is not None:
            incident = self._related.nearest(alert, rule, rule.relate, labels)
        else:
            incident = self.state.newest(rule.name, group_key(rule, labels))
        self._incidents.set_aside(tx, incident, alert)

    def _enrich(self, tx: Transaction, alert: Alert) -> dict[str, str]:
        """What is known of a new episode beside its sender's words, for good: a reload enriches later ones."""
        labels = alert.labels()
        if not self.ruleset.enrich:
            return labels
        enriched = self._enricher.enrich(labels)
        alert.enriched = enriched.added
        alert.dropped_by = enriched.dropped_by
        if enriched.dropped_by:
            tx.count("alerts_dropped_by_enrichment_total", enriched.dropped_by)
        return enriched.labels

    def _rule(self, alert: Alert, labels: Mapping[str, str], tx: Transaction | None = None) -> Rule:
        """The rule that takes the alert with these labels; with `tx`, conditions that failed on them are counted."""
        own = self._incidents.rule_named(self._heartbeats.rule_of(alert))
        if own is not None:
            return own
        counted = tx
        if counted is None:
            rule = self._index.find(labels)
        else:
            rule = self._index.find(labels, lambda rule, failed: _count_failure(counted, rule, failed))
        assert rule is not None, "the last rule takes everything"
        return rule

    def _fires_again(self, tx: Transaction, alert: Alert) -> None:
        self.state.firing += 1
        causes = self._quiet.enter(tx, alert, alert.full_labels(), None)
        if not flapping.swallows(alert, self.state):
            self._incidents.revive(tx, alert)
        elif causes:
            self._incidents.mute(tx, alert)
        if causes:
            flapping.cease(tx, alert, self.state, self._incidents)

    def _flips(self, tx: Transaction, alert: Alert, at: datetime) -> None:
        flapping.changed(tx, alert, at, self.state, self._incidents, self.ruleset.bounds.lateness)

    def _ended(self, tx: Transaction, alert: Alert) -> None:
        self.state.firing -= 1
        self._quiet.leave(tx, alert)
        self._heartbeats.ended(tx, alert)
        self._hearing.ended(alert)

    # -- deadlines -------------------------------------------------------------------------------------------------

    def _take_due(self, tx: Transaction) -> None:
        for deadline in list(self.state.take_due(tx.now, DUE_MAX)):  # what these arm for now is for the next step
            self._due(tx, deadline)

    def _due(self, tx: Transaction, deadline: Deadline) -> None:
        at, due, _, _, subject = deadline
        if due is Due.ALERT:
            assert isinstance(subject, Alert)
            self._hearing.look(tx, subject)
        elif due is Due.SOURCE:
            assert isinstance(subject, str)
            self._hearing.wake(tx, subject)
        elif due is Due.JUDGE:
            self._quiet.judge_due(tx)
        elif due is Due.SILENCE:
            assert isinstance(subject, str)
            self._quiet.silence_due(tx, subject)
        elif due is Due.MAINTENANCE:
            assert isinstance(subject, str)
            self._quiet.maintenance_due(tx, subject)
        elif due is Due.INCIDENT:
            assert isinstance(subject, str)
            self._timers.due(tx, subject, at)
        elif due is Due.FLUSH:
            keeping.flush_seen(tx, self.state)
        elif due is Due.FORGET_ALERT:
            assert isinstance(subject, Alert)
            keeping.forget_alert(tx, self.state, subject)
        elif due is Due.WAITING:
            assert isinstance(subject, tuple)
            self._look_at_waiting(tx, subject)
        elif due is Due.FLAPPING:
            assert isinstance(subject, Alert)
            flapping.look(tx, subject, self.state, self._incidents)
        elif due is Due.BEAT:
            assert isinstance(subject, tuple)
            tx.own_reports += self._heartbeats.look(tx, subject)
        else:
            assert isinstance(subject, str)
            self._incidents.forget(tx, subject)

    def _look_at_waiting(self, tx: Transaction, place: Place) -> None:
        """Those whose rule does not wait any more go on as if they had just come, the others are judged."""
        for alert in self.state.homeless[:DUE_MAX]:
            if alert.firing and not alert.incident and alert.counted_at is None:
                self._arrive(tx, alert)
            tx.save(alert)
        del self.state.homeless[:DUE_MAX]
        if self.state.homeless:
            self.state.remind(tx.now, Due.WAITING, place)
        self._related.look_at_waiting(tx, place)

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
        tx.effects.append(Journal(tx.now, journal.delivered(tx.now, event)))
        incident = self.state.incidents.get(event.incident)
        if incident is not None:
            self._incidents.escalation.finished(tx, incident, self._incidents.rule_of(incident), event)
            self._incidents.plan_leave(incident, tx.now)

    # -- the world changes ----------------------------------------------------------------------------------------

    def _rules_changed(self, tx: Transaction, ruleset: Ruleset) -> None:
        """Open incidents keep the rule they opened with; everything new goes by the new rules."""
        before, self.ruleset = self.ruleset, ruleset
        self._index = RuleIndex(ruleset.rules)
        self._enricher = Enricher(ruleset.enrich)
        if ruleset.topology != before.topology:
            self._relator = self._relate_again()
        waited = self._incidents.openings
        self._incidents = Incidents(ruleset, self.state, self._relator)
        self._related = Related(ruleset, self.state, self._incidents, self._relator)
        self._timers = Timers(self.state, self._incidents)
        self._heartbeats = Heartbeats(ruleset, self.state)
        self._hearing = Hearing(ruleset, self.state, self._incidents, self._ended, self._expires)
        self._quiet = Quiet(ruleset, self.state, self._incidents, self._rule, self._place, self._quiet)
        self._quiet.arm(tx.now)
        self._take_in(self._incidents.openings.take_over(waited))
        tx.effects.append(Journal(tx.now, journal.reloaded(tx.now, ruleset.config_hash)))

    def _restarted(self, tx: Transaction, alive_at: datetime) -> None:
        tx.effects.append(Journal(tx.now, journal.restarted(tx.now, alive_at)))
        self.state.outage = Outage(min(alive_at, tx.now), tx.now)
        self._heartbeats.away(tx, alive_at)
        self._timers.restarted(tx, tx.now - alive_at)

    def _clock_stepped(self, tx: Transaction, by: timedelta) -> None:
        """Deadlines keep their distance in real time; alerts get the benefit of an outage of that length."""
        tx.effects.append(Journal(tx.now, journal.clock_stepped(tx.now, by)))
        if by > timedelta(0):
            self.state.outage = Outage(tx.now - by, tx.now)
        elif self.state.flush_at is not None:  # set for an instant that is now far ahead
            self.state.flush_at = tx.now + self.ruleset.bounds.seen_flush
            self.state.remind(self.state.flush_at, Due.FLUSH, None)
        self._timers.shift(tx, by)
        self._incidents.openings.shift(tx, by)
        self._heartbeats.shift(tx, by)
        self._quiet.clock_stepped(tx, by)

    def _arm_restored(self) -> None:
        """After a restore: every record's deadline is set anew."""
        for incident in self.state.incidents.values():
            self._incidents.adopt(incident)
        restore(self._relator, self.state, self._rules())
        for alert in self.state.alerts.values():
            self._hearing.watch(alert, alert.seen_at)
        self._quiet.arm()
        flapping.arm_restored(self.state)
        openings, waiting = self._incidents.openings, self.state.restored_waiting
        self.state.restored_waiting = []
        openings.recall_follow_ups(self.state.alerts.values())
        self._take_in(openings.adopt(waiting))

    def _take_in(self, homeless: list[Alert]) -> None:
        """Under these rules: what waited under others, and every heartbeat."""
        if homeless:
            self.state.homeless += homeless
            self.state.remind(AT_ONCE, Due.WAITING, ("", ()))
        if self._expires:
            self._heartbeats.adopt(self.state.alerts.values())

    def _relate_again(self) -> Relator:
        """Another map: what is resident is placed on it anew."""
        relator = Relator(self.ruleset.topology)
        restore(relator, self.state, self._rules())
        return relator

    def _rules(self) -> dict[str, Rule]:
        return {rule.name: rule for rule in self.ruleset.rules}


def _count_failure(tx: Transaction, rule: Rule, failed: ConditionFailed) -> None:
    tx.count("conditions_failed_total", rule.name, "missing" if failed.missing else "failed")
