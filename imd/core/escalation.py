"""Who hears when: policy and escalation steps to pages and timers, until somebody answers.

Owns the walk through a policy. How it works: `incident.step` and `incident.round` say where the walk stands; the timer
`escalate` moves it on, `accept` moves it on early when a page was not accepted in time, `remind` speaks again after it
is exhausted. P4, P5 and the built-in policy are quiet: step 1 once and nothing more. Of a hushed incident (core.hush)
nobody hears.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from imd.core import oncall
from imd.core.notify import Notifier, arm
from imd.core.state import State
from imd.core.transaction import Transaction
from imd.model.effect import CancelPages
from imd.model.event import DeliveryFinished, Outcome
from imd.model.incident import Awaited, Incident, IncidentState
from imd.model.policy import (
    BUILT_IN_POLICY,
    PageKind,
    PageReason,
    Policy,
    Receiver,
    Ruleset,
    Target,
    TargetKind,
)
from imd.model.rule import Rule

_WALK_TIMERS = ("escalate", "accept", "remind")


class Escalation:
    def __init__(self, ruleset: Ruleset, state: State, notifier: Notifier) -> None:
        self._ruleset = ruleset
        self._state = state
        self._notifier = notifier

    def begin(self, tx: Transaction, incident: Incident, rule: Rule, reason: PageReason) -> None:
        """Step 1 of the incident's policy, now."""
        incident.round = incident.step = 0
        incident.exhausted = False
        self._enter(tx, incident, rule, reason)

    def stop(self, tx: Transaction, incident: Incident, cancel: bool) -> None:
        """Somebody answered, or it is over: no step follows. With `cancel`, no page leaves that has not left yet."""
        for timer in _WALK_TIMERS:
            incident.timers.pop(timer, None)
        for awaited in incident.awaited.values():
            awaited.deadline_at = None
        if cancel and incident.awaited:
            tx.effects.append(CancelPages(incident.id, None, (PageKind.PAGE,)))

    def move_on(self, tx: Transaction, incident: Incident, rule: Rule, why: str) -> None:
        """The next step, else the next round, else exhausted."""
        policy = self.policy(incident)
        if incident.step + 1 < len(policy.steps):
            incident.step += 1
            tx.say(incident, "passed_on", f"went on to step {incident.step + 1} of policy {policy.name}: {why}")
            self._enter(tx, incident, rule, PageReason.ESCALATED if incident.round == 0 else PageReason.REPEATED)
        elif incident.round < policy.repeat and self._reaches_anybody(incident, policy, tx.now):
            incident.round += 1
            incident.step = 0
            tx.say(
                incident, "passed_on", f"policy {policy.name} starts over ({incident.round} of {policy.repeat}): {why}"
            )
            self._enter(tx, incident, rule, PageReason.REPEATED)
        elif not incident.exhausted:
            self._exhaust(tx, incident, rule, policy, why)

    def escalate_due(self, tx: Transaction, incident: Incident, rule: Rule) -> None:
        """The timer `escalate`: nobody answered."""
        if incident.state is not IncidentState.TRIGGERED:
            return
        if incident.step < 0:  # an acknowledgement lapsed: step 1 follows only now
            self.begin(tx, incident, rule, PageReason.ESCALATED)
        else:
            self.move_on(tx, incident, rule, "nobody acknowledged in time")

    def accept_due(self, tx: Transaction, incident: Incident, rule: Rule) -> None:
        """The timer `accept`: pages past their deliver_within pass on at once; their attempts go on."""
        late = [one for one in incident.awaited.values() if one.deadline_at is not None and one.deadline_at <= tx.now]
        for awaited in late:
            awaited.deadline_at = None
        self._arm_accept(incident)
        for awaited in late:
            if self._pass_on(tx, incident, rule, awaited, f"{awaited.receiver} did not accept the page in time"):
                return

    def remind_due(self, tx: Transaction, incident: Incident, rule: Rule) -> None:
        """The timer `remind`: still unanswered and still firing after the policy was exhausted."""
        policy = self.policy(incident)
        if incident.state is not IncidentState.TRIGGERED or policy.remind is None:
            return
        if incident.firing:  # else it may still fire again before it resolves
            tx.say(incident, "reminded", "still unanswered and firing: the fallback and the last step hear of it again")
            self._page_fallback(tx, incident, rule, PageReason.REPEATED)
            self._notify(tx, incident, rule, policy.steps[-1].notify, PageReason.REPEATED, len(policy.steps))
        arm(self._state, incident, "remind", tx.now + policy.remind)

    def finished(self, tx: Transaction, incident: Incident, rule: Rule, event: DeliveryFinished) -> None:
        """A delivery ended. Only pages matter here: the others were owed and are over either way."""
        awaited = incident.awaited.pop(event.delivery, None)
        if event.outcome is Outcome.FAILED:
            tx.say(
                incident,
                "delivery_failed",
                f"{event.receiver} refused for good after {event.attempts} attempts: {event.error}",
                delivery=event.delivery,
            )
        if awaited is None:
            return
        tx.touch(incident)
        told = incident.told.get(awaited.receiver)
        if event.outcome in (Outcome.ACCEPTED, Outcome.UNKNOWN):
            if told is not None and not told.heard:
                if not incident.reopened and not any(one.heard for one in incident.told.values()):
                    tx.observe("alert_to_page_seconds", (tx.now - incident.opened_at).total_seconds())
                told.heard = True
            self._notifier.plan_updates(tx, incident)
        else:
            self._notifier.drop_follow_ups(tx, incident, awaited.receiver)
        still_waited_for = awaited.deadline_at is not None
        if event.outcome in (Outcome.FAILED, Outcome.UNKNOWN) and still_waited_for:
            how = "refused the page for good" if event.outcome is Outcome.FAILED else "may not have got the page"
            self._pass_on(tx, incident, rule, awaited, f"{awaited.receiver} {how}")
        self._arm_accept(incident)

    def raised(
        self,
        tx: Transaction,
        incident: Incident,
        rule: Rule,
        policy_changed: bool,
        reason: PageReason = PageReason.RAISED,
    ) -> None:
        """The priority went up, or, as `reason` says, an alert began to flap. A changed policy starts; else the current
        step hears it once more."""
        if policy_changed:
            self.stop(tx, incident, cancel=True)
            self.begin(tx, incident, rule, reason)
            return
        if incident.state is not IncidentState.TRIGGERED:
            self.page_acknowledger(tx, incident, rule, reason)
            return
        policy = self.policy(incident)
        step = policy.steps[min(max(incident.step, 0), len(policy.steps) - 1)]
        reached = self._notify(tx, incident, rule, step.notify, reason, incident.step + 1)
        if self._quiet(incident, policy) or incident.exhausted or "escalate" in incident.timers:
            return
        if reached:
            arm(self._state, incident, "escalate", tx.now + step.wait)
        else:  # it was quiet until now, and of this step nobody takes the new priority either
            self.move_on(tx, incident, rule, f"nobody of step {incident.step + 1} is notified")

    def lapse(self, tx: Transaction, incident: Incident, rule: Rule, by: str) -> None:
        """The acknowledgement ran out: its author hears of it, step 1 follows after step 1's `for`."""
        incident.round, incident.step, incident.exhausted = 0, -1, False
        self._page_person(tx, incident, rule, by, PageReason.ACK_LAPSED)
        if incident.hushed:
            return
        arm(self._state, incident, "escalate", tx.now + self.policy(incident).steps[0].wait)

    def page_acknowledger(self, tx: Transaction, incident: Incident, rule: Rule, reason: PageReason) -> None:
        self._page_person(tx, incident, rule, incident.acknowledged_by, reason)

    def policy(self, incident: Incident) -> Policy:
        """The policy of the incident's name; `default` if a reload took it away."""
        return self._ruleset.policies.get(incident.policy) or self._ruleset.policies[BUILT_IN_POLICY]

    def _enter(self, tx: Transaction, incident: Incident, rule: Rule, reason: PageReason) -> None:
        policy = self.policy(incident)
        step = policy.steps[incident.step]
        reached = self._notify(tx, incident, rule, step.notify, reason, incident.step + 1)
        if incident.state is not IncidentState.TRIGGERED or self._quiet(incident, policy):
            return
        if reached:
            arm(self._state, incident, "escalate", tx.now + step.wait)
        else:  # there is nobody to wait for
            self.move_on(tx, incident, rule, f"nobody of step {incident.step + 1} is notified")

    def _exhaust(self, tx: Transaction, incident: Incident, rule: Rule, policy: Policy, why: str) -> None:
        incident.exhausted = True
        incident.timers.pop("escalate", None)
        tx.say(incident, "exhausted", f"policy {policy.name} is exhausted, nobody answered: {why}")
        tx.count("incidents_exhausted_total")
        self._page_fallback(tx, incident, rule, PageReason.ESCALATED)
        if policy.remind is not None:
            arm(self._state, incident, "remind", tx.now + policy.remind)

    def _page_fallback(self, tx: Transaction, incident: Incident, rule: Rule, reason: PageReason) -> None:
        if self._ruleset.fallback:
            self._notify(tx, incident, rule, (Target(TargetKind.RECEIVER, self._ruleset.fallback),), reason, 0)
        else:
            tx.say(incident, "not_notified", "not notified: the fallback, because none is configured")

    def _pass_on(self, tx: Transaction, incident: Incident, rule: Rule, awaited: Awaited, why: str) -> bool:
        """Once a step: only a page of the step where the walk stands moves it on."""
        current = (awaited.round, awaited.step) == (incident.round, incident.step)
        if incident.state is not IncidentState.TRIGGERED or not current or incident.exhausted:
            return False
        if self._quiet(incident, self.policy(incident)):
            return False
        self.move_on(tx, incident, rule, why)
        return True

    def _notify(
        self,
        tx: Transaction,
        incident: Incident,
        rule: Rule,
        targets: tuple[Target, ...],
        reason: PageReason,
        step: int,
    ) -> bool:
        """Pages the receivers behind these targets, each once; whether there was any."""
        if incident.silent:
            tx.say(incident, "not_notified", f"not notified: anybody, because rule {rule.name} has mode monitor")
            return False
        if incident.hushed:
            because = f"all its firing alerts are suppressed by {incident.hushed}"
            tx.say(incident, "not_notified", f"not notified: anybody, because {because}")
            return False
        paged: set[str] = set()
        for target, receiver in self._receivers(tx, incident, targets):
            if receiver.name in paged:
                continue
            paged.add(receiver.name)
            self._page(tx, incident, rule, receiver, target.name, reason, step)
        self._arm_accept(incident)
        return bool(paged)

    def _page(
        self,
        tx: Transaction,
        incident: Incident,
        rule: Rule,
        receiver: Receiver,
        to: str,
        reason: PageReason,
        step: int,
    ) -> None:
        sent = self._notifier.page(tx, incident, rule, receiver, to, reason, step)
        if not self._quiet(incident, self.policy(incident)):
            incident.awaited[sent].deadline_at = tx.now + receiver.accept_within(incident.priority)
        where = f"step {step} of policy {incident.policy}" if step else "outside the policy's steps"
        tx.say(incident, "paged", f"paged {to} by {receiver.name} ({reason.value}), {where}", delivery=sent, to=to)

    def _receivers(
        self, tx: Transaction, incident: Incident, targets: tuple[Target, ...]
    ) -> Iterator[tuple[Target, Receiver]]:
        """The receivers behind a step's targets; a line for each that is not notified, with the reason."""
        for named in targets:
            for target in self._people_behind(tx, incident, named):
                receiver = self._receiver(target)
                because = _left_out(incident, receiver)
                if receiver is None or because:
                    tx.say(incident, "not_notified", f"not notified: {target}, because {because}")
                else:
                    yield target, receiver

    def _people_behind(self, tx: Transaction, incident: Incident, target: Target) -> list[Target]:
        """Whoever is on call, everyone of a team; else the target itself. A line where there is nobody."""
        people, because = self._meant(target, tx.now)
        if not people:
            tx.say(incident, "not_notified", f"not notified: {target}, because {because}")
        return people

    def _meant(self, target: Target, now: datetime) -> tuple[list[Target], str]:
        """The people, or why there are none."""
        if target.kind is TargetKind.TEAM and target.name in self._ruleset.teams:
            return [Target(TargetKind.PERSON, name) for name in self._ruleset.teams[target.name].people], ""
        if target.kind is TargetKind.SCHEDULE and target.name in self._ruleset.schedules:
            found = oncall.on_call(self._ruleset.schedules[target.name], now, self._ruleset.people)
            person = [Target(TargetKind.PERSON, found.person)] if found.person else []
            return person, f"nobody is on call: {found.because}"
        return [target], ""

    def _reaches_anybody(self, incident: Incident, policy: Policy, now: datetime) -> bool:
        targets = (one for step in policy.steps for named in step.notify for one in self._meant(named, now)[0])
        return any(not _left_out(incident, self._receiver(one)) for one in targets)

    def _receiver(self, target: Target) -> Receiver | None:
        if target.kind is TargetKind.RECEIVER:
            return self._ruleset.receivers.get(target.name)
        person = self._ruleset.people.get(target.name)
        return self._ruleset.receivers.get(person.reach[0]) if person is not None and person.reach else None

    def _page_person(self, tx: Transaction, incident: Incident, rule: Rule, name: str, reason: PageReason) -> None:
        if name in self._ruleset.people:
            self._notify(tx, incident, rule, (Target(TargetKind.PERSON, name),), reason, 0)
        else:
            tx.say(incident, "not_notified", f"not notified: {name or 'nobody'}, because people: has no such name")

    def _quiet(self, incident: Incident, policy: Policy) -> bool:
        return policy.once or incident.silent or bool(incident.hushed) or incident.priority.rank >= 4

    def _arm_accept(self, incident: Incident) -> None:
        due = min((one.deadline_at for one in incident.awaited.values() if one.deadline_at is not None), default=None)
        if due is None:
            incident.timers.pop("accept", None)
        elif incident.timers.get("accept") != due:
            arm(self._state, incident, "accept", due)


def _left_out(incident: Incident, receiver: Receiver | None) -> str:
    """Why the receiver of a target gets no page of this incident; "" where it gets one."""
    if receiver is None:
        return "it is not in the configuration any more"
    if PageKind.PAGE not in receiver.send:
        return f"receiver {receiver.name} does not send pages"
    if incident.priority.rank > receiver.min_priority.rank:
        lowest = receiver.min_priority.value
        return f"receiver {receiver.name} takes {lowest} and up, this is {incident.priority.value}"
    return ""
