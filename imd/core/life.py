"""The life of an incident as a whole: opening, triggering, resolving, reopening, and leaving memory.

Owns the order of these within a step: alerts only mark what they touch; `settle` draws the consequences once for each
touched incident (lines, priority, title, state, updates), so a body of a hundred alerts costs one incident's work. Who
is a member is `incidents`, which stands on this; what people do to incidents is `actions`; who hears of it is
`escalation` and `notify`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from imd.core import breadth, cause, lifecycle, page, priority, targets
from imd.core.correlate import GroupKey, bound_reached, window_end
from imd.core.escalation import Escalation
from imd.core.heartbeats import built_in_rules
from imd.core.hush import Hush
from imd.core.notify import Notifier, arm
from imd.core.opening import below_at, said, span_text
from imd.core.relate import Relator
from imd.core.routing import Router
from imd.core.state import Due, State
from imd.core.telling import Telling, because_ended
from imd.core.transaction import Touched, Transaction
from imd.model.effect import ForgetAlert, SaveSeen
from imd.model.incident import Incident, IncidentState, Priority
from imd.model.policy import PageKind, PageReason, Ruleset
from imd.model.rule import Mode, ResolveWhen, Rule
from imd.model.view import key_text

KEPT_RESOLVED = timedelta(minutes=10)  # at least so long in memory, for late reports and deliveries under way
LOOK_AGAIN = timedelta(minutes=1)
REPORTED = Rule(name="reported", description="What a person reported.", match=(), group_by=(), hold=timedelta(0))
"""The rule of incidents that a person reports; no alert is ever taken by it."""


class Life:
    """Works on the state's incidents under one ruleset."""

    def __init__(self, ruleset: Ruleset, state: State, relator: Relator) -> None:
        self._ruleset = ruleset
        self._state = state
        self._relator = relator
        self._router = Router(ruleset)
        self._rules = {rule.name: rule for rule in (*ruleset.rules, *built_in_rules(ruleset))}
        self.notifier = Notifier(ruleset, state)
        self.escalation = Escalation(ruleset, state, self.notifier)
        self._telling = Telling(ruleset, state)
        self.hush = Hush(state, self.escalation, self._telling)

    def rule_of(self, incident: Incident) -> Rule:
        """The rule that the incident opened with; the one of that name, or `default`, after a restart."""
        return self._state.rules[incident.id]

    def rule_named(self, name: str) -> Rule | None:
        """By name, as the rules are now."""
        return self._rules.get(name)

    def window_open(self, tx: Transaction, incident: Incident, at: datetime) -> bool:
        if incident.window_ended:  # for good, whoever leaves it
            return False
        members = len(self._state.members[incident.id])
        window = self.rule_of(incident).window
        ended = window_end(incident, window, members, at)
        if ended:
            if bound_reached(incident, window, members, at):
                incident.window_ended = ended
            tx.say(incident, "window", f"takes no more alerts in: its window ended by {ended}")
        return not ended

    def reopens(self, incident: Incident, now: datetime) -> bool:
        if incident.state is not IncidentState.RESOLVED or incident.window_ended:
            return False
        rule = self.rule_of(incident)
        assert incident.resolved_at is not None
        within = now <= incident.resolved_at + rule.reopen_within
        return within and not bound_reached(incident, rule.window, len(self._state.members[incident.id]), now)

    def open(self, tx: Transaction, rule: Rule, key: GroupKey, labels: Mapping[str, str], previous: str,
             split_from: str = "", report: str = "") -> Incident:  # fmt: skip
        number = self._state.new_incident_number()
        impact, urgency = priority.open_levels(rule, labels, self._ruleset.priority, self.tier(labels))
        incident = Incident(
            id=f"i{number:012d}",
            number=number,
            rule=rule.name,
            group_key=key,
            state=IncidentState.PENDING,
            opened_at=tx.now,
            config_hash=self._ruleset.config_hash,
            impact=impact,
            urgency=urgency,
            labels={**labels, **rule.labels},
            previous=previous,
            silent=rule.mode is Mode.MONITOR,
            split_from=split_from,
            report=report,
        )
        self._state.add_incident(incident)
        self._state.rules[incident.id] = rule
        where = f" ({rule.where})" if rule.where else ""
        window = f"{rule.window.kind.value}, hold {rule.hold.total_seconds():g}s"
        met = f", open_when {said(rule.open_when)}" if rule.open_when is not None else ""
        after = f", after {previous}" if previous else ""
        tx.say(
            incident,
            "opened",
            f"opened by rule {rule.name}{where}, key {key_text(key)}, window {window}{met}{after}",
            by=f"rule {rule.name}",
            config_hash=incident.config_hash,
        )
        arm(self._state, incident, "hold", tx.now + rule.hold)
        return incident

    # -- consequences, once an incident and step ------------------------------------------------------------------

    def settle(self, tx: Transaction) -> None:
        """Draws the consequences for every incident touched since the last time, in order of touching."""
        unsettled, tx.unsettled = tx.unsettled, {}
        for touched in unsettled.values():
            if touched.members:
                self._settle_members(tx, touched)
                touched.forget()

    def _settle_members(self, tx: Transaction, touched: Touched) -> None:
        incident = touched.incident
        rule = self.rule_of(incident)
        self._telling.members(tx, touched)
        self.hush.settle(tx, touched, rule)
        if touched.joined or touched.revived or touched.released or touched.restated:
            self._weigh(tx, touched, rule)
            self._choose_cause(incident, rule, anew=False)
        known = touched.joined or touched.released or touched.restated
        if known or rule.title is not None or not incident.title:  # the built-in title says nothing of what only ends
            self.name(tx, incident, rule)
        if touched.woken:
            heard = any(told.heard for told in incident.told.values())
            self.start(tx, incident, PageReason.REPEATED if heard else PageReason.FIRST)
        if incident.state is IncidentState.PENDING:
            self.settle_pending(tx, incident, rule)
        if incident.open and incident.state is not IncidentState.PENDING:
            self.settle_resolve(tx, incident, rule, touched)
        self.notifier.plan_updates(tx, incident)

    def settle_pending(self, tx: Transaction, incident: Incident, rule: Rule) -> None:
        if incident.holding == 0:
            self._cancel(tx, incident)
        elif not incident.hushed and incident.timers["hold"] <= tx.now:
            self.trigger(tx, incident, rule)

    def settle_resolve(self, tx: Transaction, incident: Incident, rule: Rule, touched: Touched) -> None:
        incident.kept = incident.kept and incident.holding == 0
        if incident.kept:
            return
        if not self._over(incident, rule, touched):
            incident.timers.pop("resolve", None)
            incident.timers.pop("rate", None)
            incident.resolved_because = ""
            return
        if touched.cleared:
            incident.resolved_because = because_ended(touched)
        if rule.resolve.when is ResolveWhen.ROOT and incident.holding and incident.root_cause is not None:
            incident.resolved_because = f"its probable cause is over: {incident.root_cause.entity}"
        members = self._state.members[incident.id]
        if incident.aside:
            members = [alert for alert in members if alert.joined_because != "suppressed"]
        quiet_at = below_at(rule.open_when, members, self._ruleset.bounds.lateness)
        if quiet_at is not None and quiet_at > tx.now:
            arm(self._state, incident, "rate", quiet_at)
            return
        if "resolve" not in incident.timers:
            arm(self._state, incident, "resolve", tx.now + rule.resolve.after)
        if incident.timers["resolve"] <= tx.now:
            self.resolve(tx, incident, incident.resolved_because)

    def _over(self, incident: Incident, rule: Rule, touched: Touched) -> bool:
        """Whether by its members' ends the incident is over, once `resolve.after` has passed."""
        match rule.resolve.when:
            case ResolveWhen.ALL:
                return incident.holding == 0
            case ResolveWhen.FIRST:
                return bool(touched.cleared or "resolve" in incident.timers)
            case ResolveWhen.ROOT:
                members = self._state.members[incident.id]
                return incident.holding == 0 or cause.over(incident, self._relator, members)
            case _:
                return False

    def weigh_in(self, incident: Incident, rule: Rule, labels: Mapping[str, str]) -> None:
        """A firing member's say in impact and urgency."""
        priority.take_in(incident, rule, labels, self._ruleset.priority, self.tier(labels))

    def tier(self, labels: Mapping[str, str]) -> str:
        """The label, else the most important of the map's entities that the alert is on; "" without either."""
        return labels.get("tier", "") or self._relator.map.tier(labels)

    def _weigh(self, tx: Transaction, touched: Touched, rule: Rule) -> None:
        """Breadth and the new members' say; a raise is heard of while the incident is worked on."""
        incident = touched.incident
        members = self._state.members[incident.id]
        if rule.raises:
            values = breadth.distinct(self._state, incident, rule)
            earned = priority.due_raise(rule, len(members) - incident.aside, values)
            if earned is not None:
                incident.impact = priority.higher(incident.impact, earned[0])
        decided = priority.decide(incident, rule, self._ruleset.priority)
        if touched.opened:
            incident.priority = decided
        elif decided is not incident.priority and decided.rank < incident.priority.rank:
            self._raise(tx, incident, rule, decided, touched.woken)

    def _raise(self, tx: Transaction, incident: Incident, rule: Rule, decided: Priority, woken: bool) -> None:
        """Whoever works on it hears of it; of one that is woken the first step hears anyway."""
        before, incident.priority = incident.priority, decided
        tx.say(
            incident,
            "priority",
            f"raised from {before.value} to {decided.value}: "
            f"impact {incident.impact.value}, urgency {incident.urgency.value}",
        )
        worked_on = (IncidentState.TRIGGERED, IncidentState.ACKNOWLEDGED, IncidentState.SNOOZED)
        if incident.state in worked_on:
            self.aim(tx, incident)
        if incident.state in worked_on and not woken and not incident.hushed:
            self.name(tx, incident, rule)
            self.escalation.raised(tx, incident, rule, self.route(tx, incident))

    def _choose_cause(self, incident: Incident, rule: Rule, anew: bool) -> None:
        if rule.relate is not None:
            cause.choose(incident, self._relator, rule.relate, self._state.members[incident.id], anew=anew)

    def name(self, tx: Transaction, incident: Incident, rule: Rule) -> None:
        if incident.report:
            return  # a person named it
        incident.title, failed = page.title(incident, rule, len(self._state.members[incident.id]))
        if failed:
            tx.count("templates_failed_total", rule.name)

    def route(self, tx: Transaction, incident: Incident) -> tuple[str, ...]:
        """Reads the routes; the policies that are new to it. Where its own pages nobody and hours of a route may change
        that, they are read again then; of a hushed one once it goes on. What a person reported keeps its policy."""
        if incident.report and incident.policy in self._ruleset.policies:
            return ()
        chosen = self._router.choose(incident, self.rule_of(incident), tx.now)
        new = self.escalation.take_policies(tx, incident, chosen.policies)
        for policy, because in zip(chosen.policies, chosen.because, strict=True):
            if policy in new:
                tx.say(incident, "route", f"policy {policy}: {because}")
        incident.timers.pop("route", None)
        if chosen.again_at is not None and incident.state is IncidentState.TRIGGERED and not incident.hushed:
            tx.say(incident, "route", f"the routes are read again at {chosen.again_at:%Y-%m-%d %H:%M} UTC")
            arm(self._state, incident, "route", chosen.again_at)
        return new

    def route_due(self, tx: Transaction, incident: Incident, rule: Rule) -> None:
        """The timer `route`: hours of a route begin or end, and it waits for them."""
        if incident.state is IncidentState.TRIGGERED and not incident.hushed:
            self.escalation.begin_new(tx, incident, rule, self.route(tx, incident), PageReason.FIRST)

    # -- transitions ----------------------------------------------------------------------------------------------

    def trigger(self, tx: Transaction, incident: Incident, rule: Rule) -> None:
        incident.timers.pop("hold", None)
        self._choose_cause(incident, rule, anew=True)
        lifecycle.move(incident, "trigger", tx.now)
        self.aim(tx, incident)
        tx.say(incident, "triggered", f"still firing after hold: {incident.priority.value}, impact "
               f"{incident.impact.value} x urgency {incident.urgency.value}")  # fmt: skip
        if not incident.reopened:
            tx.count("incidents_opened_total", rule.name, incident.priority.value)
        reason = PageReason.REOPENED if incident.reopened else PageReason.FIRST
        self.start(tx, incident, PageReason.FLAPPING if incident.flapping else reason)

    def aim(self, tx: Transaction, incident: Incident) -> None:
        """By when it should be acknowledged and resolved."""
        targets.aim(tx, self._state, incident, self._ruleset.priority)

    def late(self, tx: Transaction, incident: Incident, timer: str) -> None:
        """The timer `ack_target` or `resolve_target`."""
        targets.due(tx, incident, timer, self._ruleset.priority)

    def start(self, tx: Transaction, incident: Incident, reason: PageReason) -> None:
        """Reads the routes and begins the policy at step 1."""
        self.route(tx, incident)
        self.escalation.begin(tx, incident, self.rule_of(incident), reason)

    def _cancel(self, tx: Transaction, incident: Incident) -> None:
        self._relator.close(incident.id)
        incident.timers.clear()
        tx.count("holds_cancelled_total", incident.rule)
        often = self._nearly_flapping(incident)
        if incident.reopened:
            lifecycle.move(incident, "calm", tx.now)
            incident.resolved_because = "ended again before hold was over"
            tx.say(incident, "resolved", f"ended again before hold was over; nobody was paged{often}")
            self.notifier.follow_up(tx, incident, self.rule_of(incident), PageKind.RESOLVED, ending=False)
        else:
            lifecycle.move(incident, "cancel", tx.now)
            tx.say(incident, "cancelled", f"nothing fires any more before hold is over; nobody was paged{often}")
            self._state.unfile(incident)
        self.plan_leave(incident, tx.now)

    def _nearly_flapping(self, incident: Incident) -> str:
        """Where a member comes and goes: what is missing until somebody is paged of that."""
        terms = self.rule_of(incident).flapping
        most = max((len(one.changes) for one in self._state.members[incident.id]), default=0)
        if most <= 2:  # it began and ended once
            return ""
        return f". It comes and goes: {most} of the {terms.changes} changes within {span_text(terms.within)} that page"

    def reopen(self, tx: Transaction, incident: Incident, why: str) -> None:
        self._relator.reopen(incident.id)
        lifecycle.move(incident, "reopen", tx.now)
        incident.reopened += 1
        incident.reopened_at = tx.now
        incident.judged = ()
        incident.timers.clear()
        self.notifier.begin_anew(incident)
        hold = self.rule_of(incident).hold
        tx.say(incident, "reopened", f"reopened: {why}")
        arm(self._state, incident, "hold", tx.now + hold)

    def resolve(self, tx: Transaction, incident: Incident, because: str, by_hand: bool = False) -> None:
        """The incident is over. Pages that are owed still leave, unless a person ended it."""
        was_pending = incident.state is IncidentState.PENDING
        rule = self.rule_of(incident)
        self._choose_cause(incident, rule, anew=True)
        self._relator.close(incident.id)
        lifecycle.move(incident, "resolve", tx.now)
        incident.resolved_because = because
        incident.kept = False
        incident.hushed = ""
        self.escalation.stop(tx, incident, cancel=by_hand)
        incident.timers.clear()
        tx.say(incident, "resolved", f"resolved: {because}")
        self.notifier.follow_up(tx, incident, rule, PageKind.RESOLVED, ending=not was_pending)
        tx.observe("incident_resolve_seconds", (tx.now - incident.opened_at).total_seconds())
        if by_hand and incident.firing:
            arm(self._state, incident, "still", tx.now + rule.reopen_within)
        self.plan_leave(incident, tx.now)

    # -- out of memory, and back --------------------------------------------------------------------------------------

    def forget(self, tx: Transaction, incident_id: str) -> None:
        """Leaves memory once it is over, past reopening, nothing fires and nothing is under way."""
        incident = self._state.incidents.get(incident_id)
        if incident is None or incident.open:
            return
        under_way = incident.awaited or any(told.news or told.ends for told in incident.told.values())
        if under_way or incident.firing or incident.suppressed or tx.now < self._leaves_at(incident):
            return  # it is looked at again when that changes
        for alert in self._state.members.pop(incident_id):
            self._state.leave(alert)
            if self._state.unseen.pop(alert.id, None) is not None:
                tx.effects.append(SaveSeen((alert,)))
            tx.effects.append(ForgetAlert(alert.id, keep=True))
        self._relator.forget(incident_id)
        del self._state.incidents[incident_id]
        rule = self._state.rules.pop(incident_id)
        for step in rule.raises:
            self._state.distinct.pop((incident_id, step.distinct), None)
        self._state.unfile(incident)
        tx.forget(incident)

    def plan_leave(self, incident: Incident, now: datetime) -> None:
        """Looks at an incident that is over once it may leave memory: now, if only this was in its way."""
        if not incident.open:
            self._state.remind(max(now, self._leaves_at(incident)), Due.FORGET_INCIDENT, incident.id)

    def _leaves_at(self, incident: Incident) -> datetime:
        """When an incident that is over may leave memory; the same instant before and after a restart."""
        rule = self.rule_of(incident)
        kept = max(rule.reopen_within, rule.flapping.within, KEPT_RESOLVED)
        leaves_at = (incident.resolved_at or incident.opened_at) + kept + LOOK_AGAIN
        return max(leaves_at, incident.stays_until or leaves_at)

    def adopt(self, incident: Incident) -> None:
        """After a restore: its rule by name, its timers and its way out of memory."""
        rule = REPORTED if incident.report else self._rules.get(incident.rule) or self._ruleset.rules[-1]
        self._state.rules[incident.id] = rule
        for at in incident.timers.values():
            self._state.remind(at, Due.INCIDENT, incident.id)
        self.plan_leave(incident, incident.resolved_at or incident.opened_at)
