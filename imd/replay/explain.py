"""What would happen to one alert: the verdict of each stage in order, and who would be paged when.

Owns the run on a throwaway engine; decides nothing. The alert goes through Engine.step like any other, and time goes on
from deadline to deadline: every receiver takes its page at once and nobody answers. What the records do not hold (which
rules failed on what, where a level comes from) is asked of the stages' own functions with the same labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from imd.core.correlate import Trial, trial
from imd.core.engine import Engine
from imd.core.enrich import Enricher
from imd.core.excerpt import key_of
from imd.core.opening import said, span_text
from imd.core.priority import decided_because, impact_because, open_levels, urgency_because
from imd.core.routing import Router
from imd.core.state import State
from imd.core.suppress import words
from imd.model.alert import Alert, AlertReport, fingerprint, identify
from imd.model.effect import AppendTimeline, Deliver, Delivery
from imd.model.event import AlertsReported, DeliveryFinished, Event, Outcome, Tick
from imd.model.heartbeat import RULE_PREFIX
from imd.model.incident import Incident, IncidentState, TimelineEntry
from imd.model.policy import PageKind, Ruleset, Source
from imd.model.rule import Matcher, Raise, Rule
from imd.model.view import alert_view
from imd.replay.explained import (
    Cause,
    Entry,
    Explained,
    Known,
    Level,
    Place,
    PlannedLine,
    PlannedPage,
    Routed,
    TakenRule,
    TriedRoute,
    TriedRule,
    Weighed,
    verdict,
)

TRIED_SHOWN = 10  # rules that do not take it: those that come nearest
STEPS_MAX = 2_000  # a policy that is repeated for days takes some hundred
HORIZON = timedelta(days=7)  # how far ahead pages are looked for
PAGES_MAX = 200
STORE_ID = "explain"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """An alert as it is reported at an instant. `by_api`: its own deadline decides about its end, not its status."""

    report: AlertReport
    at: datetime
    source: str = ""
    by_api: bool = False


def explain(ruleset: Ruleset, asked: Asked, state: State | None = None, *, whole: bool = False) -> Explained:
    """`state` is one that may be spoilt and does not know the alert (Engine.excerpt); None: nothing else fires.
    `whole`: every rule that was tried."""
    return _Explaining(ruleset, asked, state, whole).explained()


def asked_of(
    source: Source, labels: Mapping[str, str], annotations: Mapping[str, str], at: datetime, by_api: bool = False
) -> Asked:
    """A firing alert with these labels from this source, begun then."""
    kept = {name: value for name, value in labels.items() if value}
    words_ = msgspec.json.encode(dict(annotations))
    report = AlertReport(identify(kept | source.labels), False, at, None, words_)
    return Asked(report=report, at=at, source=source.name, by_api=by_api)


def known_of(state: State, report: AlertReport) -> Known | None:
    """What a running engine knows of this very alert, if it fires."""
    alert = state.alerts.get(report.identity.key)
    if alert is None or not alert.firing:
        return None
    return Known(alert.starts_at, alert.count, alert.incident or None, alert.suppressed_by)


class _Explaining:
    """One run. `_ours` are the incidents that the alert has been in; what is heard of others is left out."""

    def __init__(self, ruleset: Ruleset, asked: Asked, state: State | None, whole: bool) -> None:
        self._ruleset = ruleset
        self._asked = asked
        self._live = state is not None
        self._whole = whole
        self._engine = Engine(ruleset, state if state is not None else State(STORE_ID), expires=False)
        self._known = set(self._engine.state.incidents)
        self._now = asked.at
        self._heard: list[tuple[str, TimelineEntry | Delivery]] = []
        self._ours: set[str] = set()

    def explained(self) -> Explained:
        report, ruleset = self._asked.report, self._ruleset
        labels = report.identity.labels() if report.labels is None else msgspec.json.decode(report.labels)
        entries = Enricher(ruleset.enrich).trace(labels)
        alert = self._arrive()
        seen, rule = alert.full_labels(), self._rule_of(alert)
        first = self._engine.state.incidents.get(alert.incident)
        place = self._place(alert, rule, first, seen)
        weighed = None if first is None or rule is None else self._weighed(first, rule, seen)
        causes = self._causes(alert)
        route = self._run_on(alert)
        tried, untold = ([], 0) if rule is None else self._tried(rule, seen)
        explained = Explained(
            verdict="",
            at=self._asked.at,
            source=self._asked.source,
            live=self._live,
            config_hash=ruleset.config_hash,
            fingerprint=fingerprint(report.identity.labels()),
            labels=labels,
            seen=seen,
            known=None,
            enrichment=[Entry(one.name, one.added, one.removed, not one.kept) for one in entries],
            heartbeat=alert.rule.removeprefix(RULE_PREFIX) if alert.rule.startswith(RULE_PREFIX) else None,
            rule=None if rule is None else _taken(rule, ruleset.rules.index(rule) + 1),
            tried=tried,
            untold=untold,
            suppressed_by=causes,
            group_key=None if rule is None else dict(key_of(rule, seen)),
            place=place,
            priority=weighed,
            route=route,
            pages=self._pages(),
            lines=self._lines(),
            once_open=self._once_open(place, rule),
        )
        return msgspec.structs.replace(explained, verdict=verdict(explained))

    # -- the run --------------------------------------------------------------------------------------------------

    def _arrive(self) -> Alert:
        """The record after the step that takes it in. Pages under way are taken before."""
        asked = self._asked
        for incident in self._engine.state.incidents.values():
            for delivery, awaited in list(incident.awaited.items()):
                self._accepted(delivery, incident.id, awaited.receiver, asked.report.identity.key)
        self._step(AlertsReported(asked.source, asked.by_api, (asked.report,)), asked.report.identity.key)
        return self._engine.state.alerts[asked.report.identity.key]

    def _run_on(self, alert: Alert) -> Routed | None:
        """Until nothing more is to be heard of its incident. How it is routed, as read when it triggers."""
        routed = self._routed(alert)
        for _ in range(STEPS_MAX):
            due = self._engine.next_deadline()
            if due is None or due > self._asked.at + HORIZON or self._over(alert):
                break
            self._now = max(self._now, due)
            self._step(Tick(), alert.identity.key)
            routed = routed or self._routed(alert)
        return routed

    def _step(self, event: Event, identity: bytes) -> None:
        """Receivers take what is sent to them at once."""
        effects = self._engine.step(event, self._now)
        sent = [effect.delivery for effect in effects if isinstance(effect, Deliver)]
        self._heard += ((one.incident, one.entry) for one in effects if isinstance(one, AppendTimeline))
        self._heard += ((one.incident, one) for one in sent)
        alert = self._engine.state.alerts.get(identity)
        if alert is not None and alert.incident:
            self._ours.add(alert.incident)
        for one in sent:
            self._accepted(one.id, one.incident, one.receiver, identity)

    def _accepted(self, delivery: str, incident: str, receiver: str, identity: bytes) -> None:
        done = DeliveryFinished(delivery=delivery, incident=incident, receiver=receiver, outcome=Outcome.ACCEPTED)
        self._step(done, identity)

    def _over(self, alert: Alert) -> bool:
        """Whether nobody hears any more than has been heard, as long as nobody answers."""
        incident = self._engine.state.incidents.get(alert.incident)
        if alert.counted_at is not None or (alert.suppressed_by and not _for_good(alert.suppressed_by)):
            return False
        if incident is None or not incident.open:
            return True
        own = (line for name, line in self._heard if name == incident.id)
        reminded = any(isinstance(line, TimelineEntry) and line.kind == "reminded" for line in own)
        waits = incident.timers.keys() & {"hold", "escalate", "accept"}
        return not waits and not incident.hushed and (reminded or "remind" not in incident.timers)

    # -- the stages -----------------------------------------------------------------------------------------------

    def _rule_of(self, alert: Alert) -> Rule | None:
        """None where no rule was asked."""
        return next((rule for rule in self._ruleset.rules if rule.name == alert.rule), None)

    def _causes(self, alert: Alert) -> list[Cause]:
        maintenance = {one.name: one for one in self._ruleset.maintenance}
        silences = self._engine.state.silences
        return [Cause(one, words((one,), silences, maintenance)) for one in alert.suppressed_by]

    def _tried(self, taken: Rule, seen: Mapping[str, str]) -> tuple[list[TriedRule], int]:
        """Rules before the one that takes it, in order; unless all are asked for those that come nearest."""
        trials = [trial(rule, seen) for rule in self._ruleset.rules[: self._ruleset.rules.index(taken)]]
        assert not any(one.taken for one in trials), "the first that matches takes it"
        shown = trials
        if not self._whole and len(trials) > TRIED_SHOWN:
            nearest = sorted(range(len(trials)), key=lambda place: (_distance(trials[place], seen), place))
            shown = [trials[place] for place in sorted(nearest[:TRIED_SHOWN])]
        told = [TriedRule(one.rule.name, one.rule.where, _failures(one, seen)) for one in shown]
        return told, len(trials) - len(told)

    def _place(self, alert: Alert, rule: Rule | None, incident: Incident | None, seen: Mapping[str, str]) -> Place:
        entities: tuple[str, ...] = ()
        if rule is not None and rule.relate is not None:
            entities = self._engine.standing(seen, rule.relate).own
        view = alert_view(alert, incident)
        if incident is None:
            waits = alert.counted_at is not None
            because = view.verdict or ("it is suppressed" if alert.suppressed_by else "nothing opens for it")
            return Place(verdict="waits" if waits else "none", because=because, entities=entities)
        old = incident.id in self._known
        return Place(
            verdict="joins" if old else "opens",
            because=view.joined_because,
            incident=incident.id if old else None,
            number=incident.number if old else None,
            title=incident.title,
            entities=entities,
        )

    def _weighed(self, incident: Incident, rule: Rule, seen: Mapping[str, str]) -> Weighed:
        """By the rule that the incident opened with."""
        rule = self._engine.state.rules.get(incident.id, rule)
        table = self._ruleset.priority
        tier = self._engine.tier(seen)
        impact, urgency = open_levels(rule, seen, table, tier)
        return Weighed(
            priority=incident.priority.value,
            because=decided_because(incident, rule),
            impact=Level(impact.value, impact_because(rule, seen, table, tier)),
            urgency=Level(urgency.value, urgency_because(rule, seen, table)),
            raises=[_raised(one) for one in rule.raises],
        )

    def _routed(self, alert: Alert) -> Routed | None:
        """Once its incident has a policy."""
        incident = self._engine.state.incidents.get(alert.incident)
        if incident is None or not incident.policy:
            return None
        rule, router = self._engine.state.rules[incident.id], Router(self._ruleset)
        if incident.id in self._known and incident.state is not IncidentState.PENDING:
            return Routed(incident.policy, f"incident #{incident.number} has it already", [], [])
        tried = [TriedRoute(one.number, one.policy, one.because) for one in router.trials(incident, rule, self._now)]
        chosen = router.choose(incident, rule, self._now)
        *others, (_, because) = zip(chosen.policies, chosen.because, strict=True)
        return Routed(incident.policy, because, [f"policy {policy}: {words_}" for policy, words_ in others], tried)

    def _once_open(self, place: Place, rule: Rule | None) -> Explained | None:
        """The same as if the rule did not wait for more."""
        if place.verdict != "waits" or rule is None:
            return None
        eager = msgspec.structs.replace(rule, open_when=None)
        rules = tuple(eager if one is rule else one for one in self._ruleset.rules)
        return explain(msgspec.structs.replace(self._ruleset, rules=rules), self._asked)

    # -- what is heard --------------------------------------------------------------------------------------------

    def _pages(self) -> list[PlannedPage]:
        pages = [one for incident, one in self._heard if isinstance(one, Delivery) and incident in self._ours]
        return [
            PlannedPage(
                at=one.created_at,
                after_seconds=(one.created_at - self._asked.at).total_seconds(),
                to=one.to,
                receiver=one.receiver,
                reason=one.reason.value if one.reason else "",
                priority=one.priority.value,
                step=one.step,
            )
            for one in pages
            if one.kind is PageKind.PAGE
        ][:PAGES_MAX]

    def _lines(self) -> list[PlannedLine]:
        lines = [one for incident, one in self._heard if isinstance(one, TimelineEntry) and incident in self._ours]
        return [PlannedLine(one.at, one.kind, one.text) for one in lines]


def _for_good(causes: Sequence[str]) -> bool:
    """Whether no time that passes ends all of them: other alerts fire on here, and rules stay as they are."""
    return any(cause.startswith(("inhibition/", "rule/")) for cause in causes)


def _taken(rule: Rule, number: int) -> TakenRule:
    window = rule.window
    gap = "" if window.kind.value == "while_open" else f", gap {span_text(window.gap)}"
    relate = rule.relate
    return TakenRule(
        rule=rule.name,
        where=rule.where,
        number=number,
        description=rule.description,
        mode=rule.mode.value,
        when=None if rule.when is None else rule.when.source,
        group_by=["..."] if rule.group_by is None else list(rule.group_by),
        window=f"{window.kind.value}{gap}, at most {span_text(window.max_life)} and {window.max_alerts} alerts",
        hold=span_text(rule.hold),
        open_when=None if rule.open_when is None else said(rule.open_when),
        relate=None if relate is None else f"within {span_text(relate.within)}, at most {relate.max_hops} hops",
        resolve=f"{rule.resolve.when.value}, after {span_text(rule.resolve.after)}",
    )


def _raised(one: Raise) -> str:
    what = f"different values of {one.distinct}" if one.distinct else "alerts"
    return f"impact {one.impact.value} from {one.at_least} {what} on"


def _failures(one: Trial, seen: Mapping[str, str]) -> list[str]:
    """What comes nearest to holding first."""
    if one.unmet:
        return [f"when: {one.rule.when.source} {one.unmet}" if one.rule.when is not None else one.unmet]
    lists = zip(one.rule.match, one.failed, strict=True)
    nearest = sorted(lists, key=lambda pair: _missing(pair[0], seen))
    return [_failure(matcher, seen) for matcher in dict.fromkeys(matcher for _, matcher in nearest)]


def _failure(matcher: Matcher, seen: Mapping[str, str]) -> str:
    value = seen.get(matcher.name)
    has = f"there is no label {matcher.name}" if value is None else f'{matcher.name} is "{value}"'
    return f"{matcher} does not hold: {has}"


def _distance(one: Trial, seen: Mapping[str, str]) -> float:
    """How far the rule is from taking it: what part of its matchers does not hold, in the list that comes nearest."""
    return min((_missing(matchers, seen) for matchers in one.rule.match), default=1.0) if one.failed else 0.0


def _missing(matchers: Sequence[Matcher], seen: Mapping[str, str]) -> float:
    return sum(not matcher.test()(seen) for matcher in matchers) / max(1, len(matchers))
