"""One policy of an incident, step by step: who is notified, how long is waited, what comes when nobody answers.

Owns the order of steps, rounds and turns, and the end of a policy: exhausted, the fallback, reminders. What makes a
walk go on early, stop or start over is `escalation`; whom a step means is `reach`.
"""

from __future__ import annotations

from datetime import datetime

from imd.core.reach import Notified, Reacher, once
from imd.core.state import State
from imd.core.transaction import Transaction
from imd.core.walks import Walking, arm_timer, halt, timers, walks
from imd.model.effect import SaveTurn
from imd.model.incident import Incident, IncidentState
from imd.model.policy import EscalationStep, PageReason, Policy, Ruleset, Target, TargetKind
from imd.model.rule import Rule


class Walker:
    """Walks under one ruleset."""

    def __init__(self, ruleset: Ruleset, state: State, reacher: Reacher) -> None:
        self._ruleset = ruleset
        self._state = state
        self._reacher = reacher

    def begin(
        self,
        tx: Transaction,
        incident: Incident,
        rule: Rule,
        walk: Walking,
        reason: PageReason,
        paged: dict[str, str],
    ) -> None:
        """Step 1. `paged` is shared by what begins together (`Reacher.notify`)."""
        policy = self._ruleset.policy(walk.policy)
        walk.round, walk.exhausted = 0, False
        if not policy.steps:
            tx.say(incident, "not_notified", f"not notified: anybody, because policy {policy.name} pages nobody")
            return
        walk.step = 0
        self.move_on(tx, incident, rule, walk, self._enter(tx, incident, rule, walk, reason, paged))
        further = len(policy.steps) - 1
        if incident.priority.low and further and not policy.once and not incident.silent and not incident.hushed:
            steps = f"step 2 to {further + 1}" if further > 1 else "step 2"
            because = f"of a {incident.priority.value} step 1 hears, once"
            tx.say(incident, "not_notified", f"not notified: {steps} of policy {policy.name}, because {because}")

    def move_on(self, tx: Transaction, incident: Incident, rule: Rule, walk: Walking, why: str) -> None:
        """The next step, else the next round, else exhausted; and further, as long as a step has nobody to wait for.
        Nothing, where `why` is ""."""
        while why:
            why = self._advance(tx, incident, rule, walk, why)

    def goes_further(self, incident: Incident, walk: Walking, now: datetime) -> bool:
        """Whether there is a step, or a round, that was not entered yet."""
        policy = self._ruleset.policy(walk.policy)
        if walk.step + 1 < len(policy.steps):
            return True
        return walk.round < policy.repeat and self._reaches_anybody(incident, policy, now)

    def hear_again(
        self,
        tx: Transaction,
        incident: Incident,
        rule: Rule,
        walk: Walking,
        reason: PageReason,
        paged: dict[str, str],
    ) -> None:
        """The current step's targets once more. One that was heard of once so far may walk on from now."""
        policy = self._ruleset.policy(walk.policy)
        if not policy.steps:
            return
        number = min(max(walk.step, 0), len(policy.steps) - 1)
        step = policy.steps[number]
        targets = self._chosen(incident, walk, step, number)
        found = self._reacher.notify(tx, incident, rule, walk, targets, reason, walk.step + 1, paged)
        if once(incident, policy) or walk.exhausted or "escalate" in timers(incident, walk):
            return
        self.move_on(tx, incident, rule, walk, self._wait(tx, incident, walk, step, found))

    def remind(self, tx: Transaction, incident: Incident, rule: Rule, walk: Walking) -> None:
        """The last step hears again, and with the first policy that reminds the fallback."""
        policy = self._ruleset.policy(walk.policy)
        if policy.remind is None or not policy.steps:
            return
        if incident.firing or incident.report:  # else it may still fire again before it resolves
            tx.say(incident, "reminded", "still unanswered and firing: the fallback and the last step hear of it again")
            paged: dict[str, str] = {}
            reminding = (one for one in self._stepping(incident) if self._ruleset.policy(one.policy).remind is not None)
            if walk is next(reminding, None):
                self._page_fallback(tx, incident, rule, PageReason.REPEATED, paged)
            last = len(policy.steps) - 1
            targets = self._chosen(incident, walk, policy.steps[last], last)
            self._reacher.notify(tx, incident, rule, walk, targets, PageReason.REPEATED, last + 1, paged)
        arm_timer(self._state, incident, walk, "remind", tx.now + policy.remind)

    # -- within ---------------------------------------------------------------------------------------------------

    def _advance(self, tx: Transaction, incident: Incident, rule: Rule, walk: Walking, why: str) -> str:
        """One step on; why it goes on at once from there, "" where it does not."""
        policy = self._ruleset.policy(walk.policy)
        if walk.step + 1 < len(policy.steps):
            walk.step += 1
            tx.say(incident, "passed_on", f"went on to step {walk.step + 1} of policy {policy.name}: {why}")
            reason = PageReason.ESCALATED if walk.round == 0 else PageReason.REPEATED
            return self._enter(tx, incident, rule, walk, reason, {})
        if walk.round < policy.repeat and self._reaches_anybody(incident, policy, tx.now):
            walk.round += 1
            walk.step = 0
            rounds = f"{walk.round} of {policy.repeat}"
            tx.say(incident, "passed_on", f"policy {policy.name} starts over ({rounds}): {why}")
            return self._enter(tx, incident, rule, walk, PageReason.REPEATED, {})
        if not walk.exhausted:
            self._exhaust(tx, incident, rule, walk, policy, why)
        return ""

    def _enter(
        self,
        tx: Transaction,
        incident: Incident,
        rule: Rule,
        walk: Walking,
        reason: PageReason,
        paged: dict[str, str],
    ) -> str:
        """Notifies the step where the walk stands, and waits; as `_advance`."""
        policy = self._ruleset.policy(walk.policy)
        step = policy.steps[walk.step]
        if step.round_robin:
            found = self._take_turn(tx, incident, rule, walk, step, reason, paged)
        else:
            found = self._reacher.notify(tx, incident, rule, walk, step.notify, reason, walk.step + 1, paged)
        if incident.state is not IncidentState.TRIGGERED or once(incident, policy):
            return ""
        return self._wait(tx, incident, walk, step, found)

    def _wait(self, tx: Transaction, incident: Incident, walk: Walking, step: EscalationStep, found: Notified) -> str:
        """For an acknowledgement; why not, where there is nobody who could."""
        if found.nobody:
            return f"nobody of step {walk.step + 1} is notified"
        if found.vacant:
            return f"nobody is on call by schedule {found.vacant}"
        arm_timer(self._state, incident, walk, "escalate", tx.now + step.wait)
        return ""

    def _take_turn(
        self,
        tx: Transaction,
        incident: Incident,
        rule: Rule,
        walk: Walking,
        step: EscalationStep,
        reason: PageReason,
        paged: dict[str, str],
    ) -> Notified:
        """Round robin: the next one who can be notified; the count goes over all incidents."""
        key = f"{walk.policy}/{walk.step + 1}"
        choices = self._reacher.choices(step.notify)
        first = self._state.turns.get(key, 0)
        found = Notified()
        for number in range(len(choices)):
            target = choices[(first + number) % len(choices)]
            found = self._reacher.notify(tx, incident, rule, walk, (target,), reason, walk.step + 1, paged)
            if not found.nobody:
                incident.turns[key] = str(target)
                self._state.turns[key] = (first + number + 1) % len(choices)
                tx.effects.append(SaveTurn(key, self._state.turns[key]))
                return found
        return found

    def _chosen(self, incident: Incident, walk: Walking, step: EscalationStep, number: int) -> tuple[Target, ...]:
        """Whom the step has notified: all, or the one whose turn it was."""
        taken = incident.turns.get(f"{walk.policy}/{number + 1}") if step.round_robin else None
        return (Target.parse(taken),) if taken else step.notify

    def _exhaust(
        self, tx: Transaction, incident: Incident, rule: Rule, walk: Walking, policy: Policy, why: str
    ) -> None:
        """The end of a policy. The fallback hears once all of the incident's are at theirs, but not while the
        incident's own policy waits for the hours of a route."""
        walk.exhausted = True
        halt(incident, walk)
        tx.say(incident, "exhausted", f"policy {policy.name} is exhausted, nobody answered: {why}")
        waits = not self._ruleset.policy(incident.policy).steps
        if waits or not all(one.exhausted for one in self._stepping(incident)):
            return
        tx.count("incidents_exhausted_total")
        self._page_fallback(tx, incident, rule, PageReason.ESCALATED, {})
        for one in self._stepping(incident):
            remind = self._ruleset.policy(one.policy).remind
            if remind is not None:
                arm_timer(self._state, incident, one, "remind", tx.now + remind)

    def _stepping(self, incident: Incident) -> list[Walking]:
        """The incident's walks that page anybody."""
        return [one for one in walks(incident) if self._ruleset.policy(one.policy).steps]

    def _page_fallback(
        self, tx: Transaction, incident: Incident, rule: Rule, reason: PageReason, paged: dict[str, str]
    ) -> None:
        if self._ruleset.fallback:
            targets = (Target(TargetKind.RECEIVER, self._ruleset.fallback),)
            self._reacher.notify(tx, incident, rule, incident, targets, reason, 0, paged)
        else:
            tx.say(incident, "not_notified", "not notified: the fallback, because none is configured")

    def _reaches_anybody(self, incident: Incident, policy: Policy, now: datetime) -> bool:
        targets = (target for step in policy.steps for target in step.notify)
        return self._reacher.reaches_anybody(incident, targets, now)
