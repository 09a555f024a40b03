"""Who hears when: what makes an incident's policies begin, go on, hear again and stop, until somebody answers.

How it works: an incident walks through its own policy, and through those beside it (`walks`). `round` and `step` say
where a walk stands; the timer `escalate` moves it on, a page that was not accepted in time moves it on early, `remind`
speaks again once all are exhausted. Of P4, P5 and what comes to the built-in policy step 1 hears once and no more
follows. Of a hushed incident (core.hush) nobody hears. The steps of one policy are `walking`; whom a step means, and by
which way, is `reach`.
"""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime, timedelta

import msgspec

from imd.core.notify import Notifier
from imd.core.reach import Reacher, once
from imd.core.roster import Roster
from imd.core.state import State
from imd.core.transaction import Transaction
from imd.core.walking import Walker
from imd.core.walks import Walking, arm_timer, halt, policies, take_up, walk_of, walks
from imd.model.effect import CancelPages
from imd.model.event import DeliveryFinished, Outcome
from imd.model.incident import Awaited, Incident, IncidentState
from imd.model.policy import PageKind, PageReason, Ruleset, Target, TargetKind
from imd.model.rule import Rule

_GONE_ON = (Outcome.FAILED, Outcome.UNKNOWN)


class Escalation:
    def __init__(self, ruleset: Ruleset, state: State, notifier: Notifier) -> None:
        self._ruleset = ruleset
        self._state = state
        self._notifier = notifier
        self.roster = Roster(ruleset, state)
        self.reacher = Reacher(ruleset, state, notifier, self.roster)
        self._walker = Walker(ruleset, state, self.reacher)

    def begin(self, tx: Transaction, incident: Incident, rule: Rule, reason: PageReason) -> None:
        """Step 1 of each of the incident's policies, now."""
        self.reacher.stop(incident)
        paged: dict[str, str] = {}
        for walk in list(walks(incident)):
            walk.step = -1
            self._walker.begin(tx, incident, rule, walk, reason, paged)

    def stop(self, tx: Transaction, incident: Incident, cancel: bool, told: bool = False) -> None:
        """Somebody answered, or it is over: nothing follows. With `cancel`, no page leaves that has not left yet.
        `told`: that it is over was told before this."""
        self.reacher.stop(incident)
        for walk in walks(incident):
            halt(incident, walk)
        for awaited in incident.awaited.values():
            awaited.deadline_at = None
        for timer in ("accept", "route"):
            incident.timers.pop(timer, None)
        if cancel and incident.awaited:
            for awaited in incident.awaited.values():
                awaited.called_off = True
            tx.effects.append(CancelPages(incident.id, None, (PageKind.PAGE,)))
            self._call_off(tx, incident, None, told)

    def answered(self, tx: Transaction, incident: Incident, who: str) -> None:
        """One of those who are told beside the policy (a raise, an assignment) has heard: no further page to them."""
        others = {one.receiver for one in incident.awaited.values() if one.to != who}
        incident.reaches = [one for one in incident.reaches if one.person != who]
        for awaited in [one for one in incident.awaited.values() if one.to == who]:
            awaited.deadline_at, awaited.called_off = None, True
            if awaited.receiver not in others:
                tx.effects.append(CancelPages(incident.id, awaited.receiver, (PageKind.PAGE,)))
                self._call_off(tx, incident, awaited.receiver)
        self.reacher.arm(incident)

    def take_policies(self, tx: Transaction, incident: Incident, wanted: tuple[str, ...]) -> tuple[str, ...]:
        """The incident has these policies now, its own last; those of them that are new. Nothing follows any more of
        one that is not among them."""
        if not incident.policy and len(wanted) == 1:  # by far the most frequent case: it had none so far
            incident.policy = wanted[0]
            return wanted
        before = policies(incident)
        if before == wanted:
            return ()
        for walk in list(walks(incident)):
            if walk.policy not in wanted:
                self._leave(tx, incident, walk)
        take_up(incident, wanted)
        return tuple(policy for policy in wanted if policy not in before)

    def _leave(self, tx: Transaction, incident: Incident, walk: Walking) -> None:
        halt(incident, walk)
        self.reacher.stop(incident, walk.policy)
        its_own = [one for one in incident.awaited.values() if one.policy == walk.policy]
        others = {one.receiver for one in incident.awaited.values() if one.policy != walk.policy}
        for awaited in its_own:
            awaited.deadline_at = None
        for receiver in dict.fromkeys(one.receiver for one in its_own):
            if receiver not in others:
                for awaited in its_own:
                    awaited.called_off = awaited.called_off or awaited.receiver == receiver
                tx.effects.append(CancelPages(incident.id, receiver, (PageKind.PAGE,)))
                self._call_off(tx, incident, receiver)
        self.reacher.arm(incident)

    def _call_off(self, tx: Transaction, incident: Incident, receiver: str | None, over: bool = False) -> None:
        """Of what waits for a digest: a page that is called off was never sent, and nothing is owed for it."""
        for name in self._notifier.digests.call_off(tx, incident, receiver):
            awaited = incident.awaited.pop(name)
            because = "it ended before the digest left"
            if self._notifier.digests.is_program(awaited.receiver):
                because = f"it ended before {awaited.receiver} was back"
            tx.say(incident, "not_notified", f"not notified: {awaited.to}, because {because}")
            self._notifier.drop_follow_ups(tx, incident, awaited.receiver, over)

    # -- what falls due --------------------------------------------------------------------------------------------

    def escalate_due(self, tx: Transaction, incident: Incident, rule: Rule, policy: str) -> None:
        """The timer `escalate` of the policy beside it, or with "" of its own: nobody answered."""
        walk = walk_of(incident, policy) if policy else incident
        if incident.state is not IncidentState.TRIGGERED or walk is None:
            return
        if walk.step < 0:  # an acknowledgement lapsed: step 1 follows only now
            self._walker.begin(tx, incident, rule, walk, PageReason.ESCALATED, {})
        else:
            self._walker.move_on(tx, incident, rule, walk, "nobody acknowledged in time")

    def reach_due(self, tx: Transaction, incident: Incident, rule: Rule) -> None:
        """The timer `reach`: nobody answered, and somebody has another way, or quiet hours that are over."""
        self.reacher.due(tx, incident, rule)

    def accept_due(self, tx: Transaction, incident: Incident, rule: Rule) -> None:
        """The timer `accept`: pages past their deliver_within pass on at once; their attempts go on."""
        late = [
            (page, one)
            for page, one in incident.awaited.items()
            if one.deadline_at is not None and one.deadline_at <= tx.now
        ]
        for _, awaited in late:
            awaited.deadline_at = None
        self.reacher.arm(incident)
        for page, awaited in late:
            self._pass_on(tx, incident, rule, page, awaited, f"{awaited.receiver} did not accept the page in time")

    def remind_due(self, tx: Transaction, incident: Incident, rule: Rule, policy: str) -> None:
        """The timer `remind`: still unanswered and still firing after the policies were exhausted."""
        walk = walk_of(incident, policy) if policy else incident
        if incident.state is not IncidentState.TRIGGERED or walk is None:
            return
        self._walker.remind(tx, incident, rule, walk)

    def finished(self, tx: Transaction, incident: Incident, rule: Rule, event: DeliveryFinished) -> None:
        """A delivery ended. Only pages matter here, and the end: the others were owed and are over either way."""
        awaited = incident.awaited.pop(event.delivery, None)
        self._notifier.end_finished(tx, incident, event)
        if awaited is not None and self._collapses(tx, incident, event, awaited):
            return
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
        self._say_how_it_ended(tx, incident, event, awaited)
        told = incident.told.get(awaited.receiver)
        if event.outcome in (Outcome.ACCEPTED, Outcome.UNKNOWN):
            if told is not None and not told.heard:
                if not incident.reopened and not any(one.heard for one in incident.told.values()):
                    tx.observe("alert_to_page_seconds", (tx.now - incident.opened_at).total_seconds())
                told.heard = True
            self._notifier.plan_updates(tx, incident)
            if told is not None and awaited.stale:  # what was to follow it was called back with it
                self._notifier.digests.tell(tx, incident, awaited.receiver, told)
        else:
            self._notifier.drop_follow_ups(tx, incident, awaited.receiver, over=not incident.open)
        still_waited_for = awaited.deadline_at is not None or once(incident, self._ruleset.policy(awaited.policy))
        if event.outcome in _GONE_ON and still_waited_for:
            how = "refused the page for good" if event.outcome is Outcome.FAILED else "may not have got the page"
            self._pass_on(tx, incident, rule, event.delivery, awaited, f"{awaited.receiver} {how}")
        self.reacher.arm(incident)
        for name in self._notifier.backlog.ended_with(incident, event.delivery):
            one = msgspec.structs.replace(event, delivery=name, conversation=b"")
            self.finished(tx, incident, rule, one)

    def _say_how_it_ended(self, tx: Transaction, incident: Incident, event: DeliveryFinished, awaited: Awaited) -> None:
        """Of a page that the timeline calls paged, and that never left, may not have arrived, or not for everybody."""
        who = f"{awaited.to} by {awaited.receiver}"
        if event.outcome is Outcome.ACCEPTED and event.error:
            text = f"{awaited.receiver} took the page, but not for everybody: {event.error}"
            tx.say(incident, "delivery_failed", text, delivery=event.delivery)
        if event.outcome is Outcome.CANCELLED:
            because = "the page was called off before it was sent"
            tx.say(incident, "not_notified", f"not notified: {who}, because {because}", delivery=event.delivery)
        elif event.outcome is Outcome.UNKNOWN:
            text = f"{who} may or may not have got the page: {event.error or 'no answer came'}"
            tx.say(incident, "delivery_failed", text, delivery=event.delivery)

    def stale_due(self, tx: Transaction, incident_id: str) -> None:
        """A page may be under way for too long by now."""
        incident = self._state.incidents.get(incident_id)
        if incident is not None:
            self._notifier.digests.stale(tx, incident)

    def _collapses(self, tx: Transaction, incident: Incident, event: DeliveryFinished, awaited: Awaited) -> bool:
        """Whether the page was called back for its age, and waits again now, under another name."""
        new = self._notifier.collapse(tx, incident, awaited, event)
        for reach in incident.reaches:
            if new and reach.page == event.delivery:
                reach.page = new
        if new:
            self.reacher.arm(incident)
        return bool(new)

    def digest_due(self, tx: Transaction, receiver: str) -> list[Incident]:
        """What waited leaves, and is to be accepted in time from now on. The incidents of it."""
        found = self._notifier.due(tx, receiver)
        for incident in found:
            self.reacher.arm(incident)
        return found

    def digest_finished(self, tx: Transaction, event: DeliveryFinished) -> list[Incident]:
        """A digest ended, and with it every page in it. The incidents of these."""
        ended = self._notifier.digests.finished(tx, event)
        for incident, name in ended:
            one = msgspec.structs.replace(event, delivery=name, incident=incident.id, conversation=b"")
            self.finished(tx, incident, self._state.rules[incident.id], one)
        return [incident for incident, _ in ended]

    # -- what people and priorities do -----------------------------------------------------------------------------

    def raised(
        self,
        tx: Transaction,
        incident: Incident,
        rule: Rule,
        new: tuple[str, ...],
        reason: PageReason = PageReason.RAISED,
    ) -> None:
        """The priority went up, or, as `reason` says, an alert began to flap. The `new` policies begin; of the others
        the current step hears it once more."""
        paged = self.begin_new(tx, incident, rule, new, reason)
        if incident.state is not IncidentState.TRIGGERED:
            if not new:
                self.page_acknowledger(tx, incident, rule, reason)
            return
        for walk in list(walks(incident)):
            if walk.policy not in new:
                self._walker.hear_again(tx, incident, rule, walk, reason, paged)

    def begin_new(
        self, tx: Transaction, incident: Incident, rule: Rule, new: tuple[str, ...], reason: PageReason
    ) -> dict[str, str]:
        """Step 1 of policies that the incident has got just now; the pages, by receiver."""
        paged: dict[str, str] = {}
        for walk in list(walks(incident)):
            if walk.policy in new:
                self._walker.begin(tx, incident, rule, walk, reason, paged)
        return paged

    def lapse(self, tx: Transaction, incident: Incident, rule: Rule, by: str) -> None:
        """The acknowledgement ran out: its author hears of it, step 1 follows after step 1's `for`."""
        for walk in walks(incident):
            walk.round, walk.step, walk.exhausted = 0, -1, False
        self.page_acknowledger(tx, incident, rule, PageReason.ACK_LAPSED, by)
        if incident.hushed:
            return
        for walk in walks(incident):
            policy = self._ruleset.policy(walk.policy)
            if policy.steps:
                arm_timer(self._state, incident, walk, "escalate", tx.now + policy.steps[0].wait)

    def page_acknowledger(
        self, tx: Transaction, incident: Incident, rule: Rule, reason: PageReason, by: str = ""
    ) -> None:
        """Whoever has acknowledged it, or `by`, who had."""
        name = by or incident.acknowledged_by
        if name in self._ruleset.people:
            targets = (Target(TargetKind.PERSON, name),)
            self.reacher.notify(tx, incident, rule, incident, targets, reason, 0)
        else:
            tx.say(incident, "not_notified", f"not notified: {name or 'nobody'}, because people: has no such name")

    def page_also(self, tx: Transaction, incident: Incident, rule: Rule, target: Target, reason: PageReason) -> None:
        """Somebody beside the policies, because a person says so; nobody while it is pending."""
        if incident.state is IncidentState.PENDING:
            tx.say(incident, "not_notified", f"not notified: {target}, because hold is not over yet")
        else:
            self.reacher.notify(tx, incident, rule, incident, (target,), reason, 0)

    def knows(self, target: Target) -> bool:
        """Whether the configuration has it; without `people:` any name is a person's."""
        ruleset = self._ruleset
        if target.kind is TargetKind.PERSON and not ruleset.people:
            return True
        known: dict[TargetKind, Container[str]] = {
            TargetKind.PERSON: ruleset.people,
            TargetKind.RECEIVER: ruleset.receivers,
            TargetKind.SCHEDULE: ruleset.schedules,
            TargetKind.TEAM: ruleset.teams,
        }
        return target.name in known[target.kind]

    def goes_further(self, incident: Incident, now: datetime) -> bool:
        """Whether one of its policies has a step, or a round, that was not entered yet."""
        return any(self._walker.goes_further(incident, walk, now) for walk in walks(incident))

    def hand_on(self, tx: Transaction, incident: Incident, rule: Rule, why: str) -> None:
        """The next step now, of each policy that has one."""
        for walk in list(walks(incident)):
            walk.step = max(walk.step, 0)
            if self._walker.goes_further(incident, walk, tx.now):
                self._walker.move_on(tx, incident, rule, walk, why)

    def ack_timeout(self, incident: Incident) -> timedelta | None:
        """When an acknowledgement lapses: by the strictest of its policies."""
        timeouts = [self._ruleset.policy(walk.policy).ack_timeout for walk in walks(incident)]
        return min((one for one in timeouts if one is not None), default=None)

    def waits_for_hours(self, incident: Incident) -> bool:
        """Its own policy pages nobody: it is read again when hours of a route begin or end."""
        return not self._ruleset.policy(incident.policy).steps

    def _pass_on(self, tx: Transaction, incident: Incident, rule: Rule, page: str, awaited: Awaited, why: str) -> None:
        """The next way; else the next step, once a step: only a page of the step where the walk stands moves it on."""
        if not self.reacher.failed(tx, incident, rule, page, awaited, why):
            return
        walk = walk_of(incident, awaited.policy)
        if walk is None or incident.state is not IncidentState.TRIGGERED or walk.exhausted:
            return
        current = (awaited.round, awaited.step) == (walk.round, walk.step)
        if current and not once(incident, self._ruleset.policy(walk.policy)):
            self._walker.move_on(tx, incident, rule, walk, why)
