"""An alert's way in: dedup, enrichment, suppression, the rule that takes it, and the incident that it joins.

Owns the stages under one ruleset and the order in which they are asked; a reload makes new ones. Knows nothing of
deadlines, people or deliveries: the engine brings what has come, and what waited too long.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from imd.core import dedup, flapping, journal, keeping, priority
from imd.core.correlate import RuleIndex, group_key
from imd.core.dedup import Verdict
from imd.core.enrich import Enricher
from imd.core.excerpt import Excerpt, excerpt, key_of
from imd.core.hearing import DUE_MAX, Hearing
from imd.core.heartbeats import Heartbeats
from imd.core.incidents import Incidents
from imd.core.inhibit import Inhibitors
from imd.core.quiet import Quiet
from imd.core.regroup import Regroup
from imd.core.relate import Relator
from imd.core.related import Related
from imd.core.state import AT_ONCE, Due, State
from imd.core.transaction import Transaction
from imd.core.waiting import Place
from imd.model.alert import Alert, AlertReport, AlertState
from imd.model.condition import ConditionFailed
from imd.model.effect import Journal, Refused
from imd.model.event import AlertsReported
from imd.model.heartbeat import OWN_SOURCE
from imd.model.policy import Ruleset
from imd.model.rule import Mode, Rule

_encode_sorted = msgspec.json.Encoder(order="sorted").encode
_NEW, _REPEAT, _LATE = Verdict.NEW, Verdict.REPEAT, Verdict.LATE  # the way of every new alert: see model.alert
_FIRING, _RESOLVED, _DROP, _PLACED = AlertState.FIRING, AlertState.RESOLVED, Mode.DROP, (Mode.PAGE, Mode.MONITOR)


class Intake:
    """Takes alerts in under one ruleset. `before` is the one under the rules of before a reload, `inhibitors` another
    index of these, filled."""

    def __init__(
        self,
        ruleset: Ruleset,
        state: State,
        relator: Relator,
        expires: bool,
        beats: bool,
        before: Intake | None = None,
        inhibitors: Inhibitors | None = None,
    ) -> None:
        self.ruleset = ruleset
        self.state = state
        self._expires = expires
        self._alone = dedup.Alone()
        self._index = RuleIndex(ruleset.rules)
        self._enricher = Enricher(ruleset.enrich)
        self.incidents = Incidents(ruleset, state, relator)
        self.regroup = Regroup(state, self.incidents, relator)
        self.related = Related(ruleset, state, self.incidents, relator, self.regroup)
        self.heartbeats = Heartbeats(ruleset, state, judged=beats)
        self.hearing = Hearing(ruleset, state, self.incidents, self._ended, expires)
        quiet_before = before.quiet if before is not None else None
        self.quiet: Quiet = Quiet(ruleset, state, self.incidents, self._rule, self._place, quiet_before, inhibitors)

    def take(self, tx: Transaction, event: AlertsReported) -> None:
        """One request's reports."""
        state, now, lateness = self.state, tx.now, self.ruleset.bounds.lateness
        alerts, unseen, spans_max = state.alerts, state.unseen, self.ruleset.bounds.spans_max
        by_api, alone = event.by_api, self._alone
        self.hearing.hear(event.source, now)
        repeats = resolved = 0
        put_off = self.hearing.put_off_until(now)
        for number, report in enumerate(event.alerts):
            alert = alerts.get(report.identity.key)
            if alert is not None:
                alert.by_api = by_api  # two senders may report one alert: the newest word says whose deadline counts
                sooner = not put_off <= alert.seen_at <= now
                if dedup.refresh(alert, report, now, alone):  # by far the most frequent report
                    if sooner:
                        alert.identity = report.identity  # the first since a restart: its labels are in memory once
                        self.hearing.watch(alert, now)
                    unseen[alert.id] = alert
                    repeats += 1
                    continue
                report = dedup.anchored(alert, report)
            elif not report.resolved:
                self._changed(tx, event, number, None, report, _NEW)
                continue
            resolved += report.resolved
            verdict = dedup.judge(alert, report, now, lateness)
            if verdict is _REPEAT and alert is not None and not dedup.restates(alert, report):
                span = dedup.named_span(alert, report.starts_at)
                sooner = sooner or (span is not None and dedup.brings_forward(span, report))
                dedup.absorb(alert, report, verdict, now, lateness, spans_max)
                if sooner:
                    self.hearing.watch(alert, now)
                unseen[alert.id] = alert
                repeats += 1
            elif verdict is _LATE:
                repeats += 1
            else:
                self._changed(tx, event, number, alert, report, verdict)
        if unseen and state.flush_at is None:
            state.flush_at = now + self.ruleset.bounds.seen_flush
            state.remind(state.flush_at, Due.FLUSH, None)
        tx.count("alerts_received_total", event.source, "firing", amount=len(event.alerts) - resolved)
        tx.count("alerts_received_total", event.source, "resolved", amount=resolved)
        tx.count("alerts_deduplicated_total", amount=repeats)

    def excerpt(self, report: AlertReport) -> Excerpt:
        """A copy of what decisions about this alert depend on. Changes nothing."""
        said = report.identity.labels() if report.labels is None else msgspec.json.decode(report.labels)
        labels = self._enricher.enrich(said).labels
        rule = self._index.find(labels)
        assert rule is not None, "the last rule takes everything"
        return excerpt(self.state, rule, key_of(rule, labels), labels, self.quiet.muting, report.identity.key)

    def report_own(self, tx: Transaction) -> None:
        """What imd itself has to report, as a request of its own."""
        if tx.own_reports:
            reports, tx.own_reports, tx.reported = tuple(tx.own_reports), [], False
            self.take(tx, AlertsReported(OWN_SOURCE, False, reports))
            tx.reported = False

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
        if alert is not None:
            verdict = self._of_its_incident(tx, alert, verdict)
        if verdict is _NEW or verdict is Verdict.ENDED_UNSEEN:
            if verdict is _NEW and self.state.firing >= self.ruleset.bounds.open_alerts_max:
                bound = self.ruleset.bounds.open_alerts_max
                tx.effects.append(Refused(number, f"{bound} alerts are open already (open_alerts_max)"))
                return
            alert = self._new_alert(tx, event, alert, report)
        else:
            assert alert is not None
            before = alert.full_labels() if dedup.restates(alert, report) else None
            began_at = alert.starts_at
            dedup.absorb(alert, report, verdict, tx.now, self.ruleset.bounds.lateness, self.ruleset.bounds.spans_max)
            if alert.starts_at < began_at:
                self.incidents.moved(alert, began_at)
            if before is not None:
                self._restated(tx, alert, before, fires_on=verdict is not Verdict.REVIVED)
        self._record(tx, event, report)
        if verdict is _NEW:
            self._arrive(tx, alert)
            if alert.changes:
                self._flips(tx, alert, alert.starts_at)
        else:
            self._goes_on(tx, alert, verdict)
        tx.save(alert)
        self.hearing.watch(alert, tx.now)

    def _of_its_incident(self, tx: Transaction, alert: Alert, verdict: Verdict) -> Verdict:
        """The verdict, by what its incident makes of it: one that flaps begins no episode, and where the incident is
        over for good what fires now is an episode of its own."""
        if verdict in (Verdict.NEW, Verdict.REVIVED) and flapping.swallows(alert, self.state):
            return Verdict.REVIVED
        if verdict is Verdict.REVIVED and not self.incidents.takes_back(alert, tx.now):
            return Verdict.NEW
        return verdict

    def _goes_on(self, tx: Transaction, alert: Alert, verdict: Verdict) -> None:
        """What changes, where it is not a new episode."""
        match verdict:
            case Verdict.REVIVED:
                self._fires_again(tx, alert)
                self._flips(tx, alert, alert.spans[-1].starts_at)
            case Verdict.RESOLVED:
                self._ended(tx, alert)
                self._flips(tx, alert, alert.ended_at or tx.now)
                self.incidents.clear(tx, alert, "resolved")
            case Verdict.ENDED_UNSEEN:
                self.incidents.openings.follow_up(tx, alert, alert.labels())
            case _:
                pass

    def _restated(self, tx: Transaction, alert: Alert, before: Mapping[str, str], fires_on: bool) -> None:
        """Its sender says other labels of it. It stays where it was put by those of `before`."""
        if alert.placed is None:
            alert.placed = _encode_sorted(before)
        if self.ruleset.enrich:
            alert.enriched = self._enricher.enrich(alert.labels()).added
        if fires_on:
            self.quiet.restate(tx, alert)
            self.incidents.restate(tx, alert, before)

    def _record(self, tx: Transaction, event: AlertsReported, report: AlertReport) -> None:
        if tx.tells:
            same = tx.reported  # of this request the first line is already written
            tx.effects.append(Journal(tx.now, journal.reported(tx.now, event.source, event.by_api, report, same)))
            tx.reported = True

    def _new_alert(self, tx: Transaction, event: AlertsReported, old: Alert | None, report: AlertReport) -> Alert:
        bounds = self.ruleset.bounds
        span, spans = dedup.begin(old, report, tx.now, bounds.lateness, bounds.spans_max, self._alone)
        alert = Alert(
            id=self.state.new_alert_id(),
            identity=old.identity if old is not None else report.identity,
            source=event.source,
            by_api=event.by_api,
            state=_RESOLVED if report.resolved else _FIRING,
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
        if old is not None and not old.incident and old.counted_at is None:
            keeping.forget(tx, self.state, old)
        self.state.enter(alert)
        if not report.resolved:
            self.state.firing += 1
        return alert

    def _arrive(self, tx: Transaction, alert: Alert) -> None:
        """A new episode: to the rule that takes it, and into an incident."""
        labels = self._enrich(tx, alert)
        if alert.dropped_by and not self.heartbeats.rule_of(alert):
            return
        ends = self.heartbeats.feeds(tx, alert, labels)
        if ends is not None:
            tx.own_reports += ends
            return
        self.incidents.openings.follow_up(tx, alert, labels)
        rule = self._rule(alert, labels, tx)
        alert.rule = rule.name
        tx.count("rule_matches_total", rule.name)
        if rule.name == "default":
            tx.count("alerts_unmatched_total")
        if priority.unknown_severity(labels, self.ruleset.priority):
            tx.count("alerts_unknown_severity_total")
        if rule.mode is _DROP:
            tx.count("alerts_dropped_total", rule.name)
        if not self.quiet.enter(tx, alert, labels, rule):
            self._place(tx, alert, labels, rule)
        elif rule.mode in _PLACED:
            self._set_aside(tx, alert, labels, rule)

    def _place(self, tx: Transaction, alert: Alert, labels: Mapping[str, str], rule: Rule | None = None) -> None:
        """Into an incident, or among those that wait for one, by the rule that takes it."""
        rule = rule or self._rule(alert, labels, tx)
        alert.rule, alert.seen_off, alert.placed = rule.name, "", None
        if rule.mode not in _PLACED:
            return
        if rule.relate is not None:
            self.related.arrive(tx, alert, rule, rule.relate, labels)
        else:
            self.incidents.arrive(tx, alert, rule, labels)

    def _set_aside(self, tx: Transaction, alert: Alert, labels: Mapping[str, str], rule: Rule) -> None:
        if rule.relate is not None:
            incident = self.related.nearest(alert, rule, rule.relate, labels)
        else:
            incident = self.state.newest(rule.name, group_key(rule, labels))
        self.incidents.set_aside(tx, incident, alert)

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
        if alert.source == OWN_SOURCE:
            own = self.incidents.rule_named(self.heartbeats.rule_of(alert))
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
        causes = self.quiet.enter(tx, alert, alert.full_labels(), None)
        if not flapping.swallows(alert, self.state):
            self.incidents.revive(tx, alert)
        elif causes:
            self.incidents.mute(tx, alert)
        if causes:
            flapping.cease(tx, alert, self.state, self.incidents)

    def _flips(self, tx: Transaction, alert: Alert, at: datetime) -> None:
        flapping.changed(tx, alert, at, self.state, self.incidents, self.ruleset.bounds.lateness)

    def _ended(self, tx: Transaction, alert: Alert) -> None:
        self.state.firing -= 1
        self.quiet.leave(tx, alert)
        self.heartbeats.ended(tx, alert)
        self.hearing.ended(alert)

    def look_at_waiting(self, tx: Transaction, place: Place) -> None:
        """Those whose rule does not wait any more go on as if they had just come, the others are judged."""
        for alert in self.state.homeless[:DUE_MAX]:
            if alert.firing and not alert.incident and alert.counted_at is None:
                self._arrive(tx, alert)
            elif not alert.firing and not alert.incident:
                keeping.plan_leave(self.state, alert, tx.now)
            tx.save(alert)
        del self.state.homeless[:DUE_MAX]
        if self.state.homeless:
            self.state.remind(tx.now, Due.WAITING, place)
        self.related.look_at_waiting(tx, place)

    def take_in(self, homeless: list[Alert]) -> None:
        """Under these rules: what waited under others, and every heartbeat."""
        if homeless:
            self.state.homeless += homeless
            self.state.remind(AT_ONCE, Due.WAITING, ("", ()))
        self.heartbeats.adopt(self.state.alerts.values(), from_the_start=self._expires)


def _count_failure(tx: Transaction, rule: Rule, failed: ConditionFailed) -> None:
    tx.count("conditions_failed_total", rule.name, "missing" if failed.missing else "failed")
