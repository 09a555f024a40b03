"""From the targets of a step to receivers, and from one way of a person to the next.

Owns whom a target means at an instant, which of a person's ways is taken when, and why somebody is not notified: each
of them leaves a line. How it works: `incident.reaches` holds the people who were notified and have not answered; the
timer `reach` takes their next ways, `failed` takes one at once. In a person's quiet hours what is P4 or P5 waits as a
Reach of way 0. Which step is next is `escalation`; what a message says is `page`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from imd.core import times
from imd.core.notify import Notifier, arm
from imd.core.roster import Roster
from imd.core.state import State
from imd.core.transaction import Transaction
from imd.core.walks import Walking, walk_of
from imd.model.incident import Awaited, Incident, IncidentState, Reach
from imd.model.policy import PageKind, PageReason, Person, Policy, Receiver, Ruleset, Target, TargetKind, Way
from imd.model.rule import Rule


class Notified(msgspec.Struct):
    """What came of it. `held`: somebody is notified when quiet hours are over. `vacant`: the first schedule of which
    nobody was on call, while no person was notified."""

    pages: int = 0
    people: int = 0
    held: int = 0
    vacant: str = ""

    @property
    def nobody(self) -> bool:
        return not self.pages and not self.held


class _Call(msgspec.Struct):
    """One go at notifying. `paged`: the delivery to each receiver that has had a page in this go."""

    tx: Transaction
    incident: Incident
    rule: Rule
    walk: Walking
    reason: PageReason
    shown: int
    paged: dict[str, str]
    found: Notified


class Reacher:
    """Notifies people and receivers under one ruleset."""

    def __init__(self, ruleset: Ruleset, state: State, notifier: Notifier, roster: Roster) -> None:
        self._ruleset = ruleset
        self._state = state
        self._notifier = notifier
        self._roster = roster

    def notify(
        self,
        tx: Transaction,
        incident: Incident,
        rule: Rule,
        walk: Walking,
        targets: Iterable[Target],
        reason: PageReason,
        shown: int,
        paged: dict[str, str] | None = None,
    ) -> Notified:
        """Pages whom the targets mean, each receiver once; over several goes, where they share `paged`."""
        found = Notified()
        if incident.silent:
            tx.say(incident, "not_notified", f"not notified: anybody, because rule {rule.name} has mode monitor")
        elif incident.hushed:
            because = f"all its firing alerts are suppressed by {incident.hushed}"
            tx.say(incident, "not_notified", f"not notified: anybody, because {because}")
        elif self._ruleset.tee:
            targets = list(targets)
            tx.say(incident, "not_notified", f"not notified: {', '.join(map(str, targets))}, because {_TEE}")
            tx.count("pages_withheld_total")
        else:
            call = _Call(tx, incident, rule, walk, reason, shown, {} if paged is None else paged, found)
            for target in targets:
                self._target(call, target)
            if found.people or found.held:
                found.vacant = ""
            self.arm(incident)
        return found

    def reaches_anybody(self, incident: Incident, targets: Iterable[Target], now: datetime) -> bool:
        """Whether a page would leave now."""
        return any(self._takes(incident, name) for target in targets for name in self._receivers(incident, target, now))

    def choices(self, targets: Iterable[Target]) -> list[Target]:
        """Those of which round robin takes one: everyone of a team counts for themselves."""
        found = [one for target in targets for one in self._everyone(target)]
        return list(dict.fromkeys(found))

    # -- ways ------------------------------------------------------------------------------------------------------

    def due(self, tx: Transaction, incident: Incident, rule: Rule) -> None:
        """The timer `reach`: next ways, and people whose quiet hours are over. One that comes late puts off those
        behind it by as much, so that they keep their distances."""
        for reach in list(incident.reaches):
            if reach.due_at is None or reach.due_at > tx.now or reach not in incident.reaches:
                continue
            walk, reason = walk_of(incident, reach.policy), PageReason(reach.reason)
            if walk is None or incident.state is not IncidentState.TRIGGERED:
                reach.due_at = None
            elif reach.way == 0:
                incident.reaches.remove(reach)
                self.notify(tx, incident, rule, walk, (Target.parse(reach.target),), reason, reach.shown)
            else:
                reach.began_at += tx.now - reach.due_at
                self._next_way(_Call(tx, incident, rule, walk, reason, reach.shown, {}, Notified()), reach)
        self.arm(incident)

    def failed(self, tx: Transaction, incident: Incident, rule: Rule, page: str, awaited: Awaited, why: str) -> bool:
        """A page was refused for good or is late: the next way of whoever was to hear it, at once. Whether the walk is
        to pass on: there is no way left, or the step named the receiver itself. A way that a newer one of that person
        has followed decides nothing any more."""
        concerned = [one for one in incident.reaches if one.page == page]
        stuck = not awaited.person
        for reach in concerned:
            walk = walk_of(incident, reach.policy)
            if walk is None:
                continue
            if reach.way < len(self._ways(incident, reach.person)):
                tx.say(incident, "passed_on", f"went on to the next way to {reach.person}: {why}")
            call = _Call(tx, incident, rule, walk, PageReason(reach.reason), reach.shown, {}, Notified())
            stuck = not self._next_way(call, reach) or stuck
        self.arm(incident)
        if concerned or stuck:
            return stuck
        return not any(_same_step(one, awaited) and one.person == awaited.person for one in incident.reaches)

    def stop(self, incident: Incident, policy: str | None = None) -> None:
        """No way follows any more; with `policy`, none by that one."""
        if not incident.reaches:
            return
        incident.reaches = [] if policy is None else [one for one in incident.reaches if one.policy != policy]
        self.arm(incident)

    def arm(self, incident: Incident) -> None:
        """Sets the timers `accept` and `reach` to what is due first."""
        deadlines = [one.deadline_at for one in incident.awaited.values() if one.deadline_at is not None]
        ways = [one.due_at for one in incident.reaches if one.due_at is not None]
        for timer, due in (("accept", deadlines), ("reach", ways)):
            if not due:
                incident.timers.pop(timer, None)
            elif incident.timers.get(timer) != (first := min(due)):
                arm(self._state, incident, timer, first)

    # -- targets ---------------------------------------------------------------------------------------------------

    def _target(self, call: _Call, target: Target) -> None:
        if target.kind is TargetKind.RECEIVER:
            self._receiver(call, target)
            return
        if target.kind is TargetKind.SCHEDULE:
            self._schedule(call, target)
            return
        people = self._everyone(target)
        if not people:
            self._left_out(call, str(target), _GONE)
        for one in people:
            self._person(call, one.name, one, "")

    def _schedule(self, call: _Call, target: Target) -> None:
        found = self._roster.on_call(target.name, call.tx.now)
        if found is None:
            self._left_out(call, str(target), _GONE)
        elif not found.person:
            call.found.vacant = call.found.vacant or target.name
            self._left_out(call, str(target), f"nobody is on call: {found.because}")
        else:
            self._person(call, found.person, target, f"; on call by {target}, {found.because}")

    def _receiver(self, call: _Call, target: Target) -> None:
        receiver = self._ruleset.receivers.get(target.name)
        because = left_out(call.incident, receiver)
        if receiver is None or because:
            self._left_out(call, str(target), because)
        elif receiver.name in call.paged:
            self._left_out(call, str(target), "it has this page already")
        else:
            self._page(call, receiver, target.name, None, "")

    def _person(self, call: _Call, name: str, target: Target, via: str) -> None:
        person = self._ruleset.people.get(name)
        if person is None:
            self._left_out(call, str(target), _GONE)
            return
        incident, now = call.incident, call.tx.now
        incident.reaches = [one for one in incident.reaches if one.person != name]
        reach = Reach(
            person=name,
            target=str(target),
            policy=call.walk.policy,
            round=call.walk.round,
            step=call.walk.step,
            shown=call.shown,
            reason=call.reason.value,
            began_at=now,
        )
        until = _quiet_until(person, incident, now)
        if until is not None:
            reach.due_at = until
            incident.reaches.append(reach)
            call.found.held += 1
            because = f"it is {incident.priority.value}, and quiet hours last until {_local(until, person)}"
            self._left_out(call, name, because)
        elif self._next_way(call, reach, via):
            incident.reaches.append(reach)
            call.found.people += 1

    def _next_way(self, call: _Call, reach: Reach, via: str = "") -> bool:
        """Takes the person's next way that can be taken, and those of which the time has come with it; whether there
        was one."""
        if self._ruleset.tee:  # it was set while ways were still to come
            self._left_out(call, reach.person, _TEE)
            reach.due_at = None
            return False
        ways = self._ways(call.incident, reach.person)
        while reach.way < len(ways):
            way, reach.way = ways[reach.way], reach.way + 1
            receiver = self._ruleset.receivers.get(way.receiver)
            because = left_out(call.incident, receiver)
            if receiver is None or because:
                self._left_out(call, f"{reach.person} by {way.receiver}", because)
                continue
            if receiver.name in call.paged:
                self._left_out(call, f"{reach.person} by {way.receiver}", "it has this page already")
                reach.page = call.paged[receiver.name]
            else:
                reach.page = self._page(call, receiver, reach.person, reach, via)
            reach.due_at = self._next_at(call, reach, ways)
            if reach.due_at is not None and reach.due_at <= call.tx.now:
                self._next_way(call, reach, via)
            return True
        reach.due_at = None
        return False

    def _next_at(self, call: _Call, reach: Reach, ways: tuple[Way, ...]) -> datetime | None:
        """Without an answer. Whoever has acknowledged hears by one way alone."""
        if reach.way == len(ways) or call.incident.state is not IncidentState.TRIGGERED:
            return None
        return max(call.tx.now, reach.began_at + ways[reach.way].after)

    def _page(self, call: _Call, receiver: Receiver, to: str, reach: Reach | None, via: str) -> str:
        """`reach`: it is a way of that person, for the step that notified them, wherever the walk stands by now."""
        tx, incident, walk = call.tx, call.incident, call.walk
        waits = not once(incident, self._ruleset.policy(walk.policy))
        awaited = Awaited(
            receiver.name,
            to,
            walk.step if reach is None else reach.step,
            walk.round if reach is None else reach.round,
            tx.now + receiver.accept_within(incident.priority) if waits else None,
            walk.policy,
            reach.person if reach is not None else "",
            reason=call.reason.value,
            shown=call.shown,
        )
        sent, crowded = self._notifier.page(tx, incident, call.rule, receiver, awaited, call.reason, call.shown)
        call.paged[receiver.name] = sent
        call.found.pages += 1
        where = f"step {call.shown} of policy {walk.policy}" if call.shown else "outside the policy's steps"
        text = f"paged {to} by {receiver.name} ({call.reason.value}), {where}{via}"
        if crowded:
            who = f"{to} by {receiver.name} ({call.reason.value})"
            text = f"not paged {crowded}: {who}, {where}{via}"
        tx.say(incident, "paged", text, delivery=sent, to=to)
        return sent

    def _left_out(self, call: _Call, who: str, because: str) -> None:
        call.tx.say(call.incident, "not_notified", f"not notified: {who}, because {because}")

    # -- who is meant ----------------------------------------------------------------------------------------------

    def _everyone(self, target: Target) -> tuple[Target, ...]:
        """Everyone of a team; else the target itself. A team that is gone is nobody."""
        if target.kind is not TargetKind.TEAM:
            return (target,)
        team = self._ruleset.teams.get(target.name)
        return tuple(Target(TargetKind.PERSON, name) for name in team.people) if team is not None else ()

    def _ways(self, incident: Incident, name: str) -> tuple[Way, ...]:
        person = self._ruleset.people.get(name)
        return person.ways(incident.priority) if person is not None else ()

    def _receivers(self, incident: Incident, target: Target, now: datetime) -> Iterable[str]:
        """Every receiver behind a target, now."""
        if target.kind is TargetKind.RECEIVER:
            yield target.name
            return
        people: Iterable[str] = (one.name for one in self._everyone(target))
        if target.kind is TargetKind.SCHEDULE:
            found = self._roster.on_call(target.name, now)
            people = (found.person,) if found is not None else ()
        for name in people:
            yield from (way.receiver for way in self._ways(incident, name))

    def _takes(self, incident: Incident, receiver: str) -> bool:
        return not left_out(incident, self._ruleset.receivers.get(receiver))


_TEE = "imd runs beside another pager (tee)"
_GONE = "it is not in the configuration any more"


def left_out(incident: Incident, receiver: Receiver | None) -> str:
    """Why a receiver gets no page of this incident; "" where it gets one."""
    if receiver is None:
        return _GONE
    if PageKind.PAGE not in receiver.send:
        return f"receiver {receiver.name} does not send pages"
    if incident.priority.rank > receiver.min_priority.rank:
        lowest = receiver.min_priority.value
        return f"receiver {receiver.name} takes {lowest} and up, this is {incident.priority.value}"
    return ""


def once(incident: Incident, policy: Policy) -> bool:
    """Whether its first step hears, and nothing follows: nobody is waited for."""
    return policy.once or incident.silent or bool(incident.hushed) or incident.priority.low


def _quiet_until(person: Person, incident: Incident, now: datetime) -> datetime | None:
    """When the page may leave that has to wait; None: at once."""
    if person.quiet_hours is None or not incident.priority.low:
        return None
    window = times.upcoming(person.quiet_hours, now)
    return window.ends_at if window is not None and window.begins_at <= now else None


def _local(at: datetime, person: Person) -> str:
    return f"{times.local(at, person.timezone):%Y-%m-%d %H:%M} ({person.timezone})"


def _same_step(reach: Reach, awaited: Awaited) -> bool:
    return (reach.policy, reach.round, reach.step) == (awaited.policy, awaited.round, awaited.step)
