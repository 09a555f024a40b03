"""What people do to incidents: one function a kind of action, and one table that says when it is possible.

Owns which action is possible when, and its line in the record. Doing again what is done already changes nothing and is
no fault; what the state does not allow is refused with the reason. Actions that move members are `regroup`'s work.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import msgspec

from imd.core import journal, lifecycle, targets
from imd.core.incidents import Incidents
from imd.core.notify import arm
from imd.core.regroup import Regroup
from imd.core.state import State
from imd.core.transaction import Transaction
from imd.model.alert import Alert, fingerprint
from imd.model.effect import Journal, Refused
from imd.model.event import ActionKind, ActionTaken
from imd.model.incident import Incident, IncidentState
from imd.model.policy import PageKind, PageReason, Target, TargetKind

RECALLED = timedelta(minutes=1)
"""How long an incident that was over and gone stays in memory once somebody works on it again: for as long as a second
action may have read the record that the first has not yet changed on disk."""

_CARRIED_OVER = frozenset({ActionKind.NOTE, ActionKind.CLOSE})
"""What may be done to an incident that left memory."""


class Work(msgspec.Struct):
    """What an action works with."""

    tx: Transaction
    event: ActionTaken
    incident: Incident
    state: State
    incidents: Incidents
    regroup: Regroup

    def say(self, kind: str, text: str) -> None:
        """A line by whoever did it, with the note."""
        note = quoted(self.event.note)
        self.tx.say(self.incident, kind, text + note, by=self.event.by, through=self.event.through)


def act(tx: Transaction, event: ActionTaken, state: State, incidents: Incidents, regroup: Regroup) -> None:
    """Does it, or refuses. The journal keeps what was done."""
    incident = state.incidents.get(event.incident) or _on_record(event)
    if incident is None:
        never = event.incident > f"i{state.last_number:012d}"  # said in a file or a test: the API asks before
        why = "does not exist" if never else "is over and takes no more than notes and closing"
        _refuse(tx, f"incident {event.incident} {why}")
        return
    work = Work(tx, event, incident, state, incidents, regroup)
    possible = _ACTIONS[event.kind]
    if possible.done_already(work):
        return
    because = "" if possible.transition is None else _not_possible(incident, event, possible.transition)
    because = because or possible.refuses(work)
    if because:
        _refuse(tx, because)
        return
    if incident.id not in state.incidents:
        _recall(tx, incident, state, incidents)
    members = state.members[incident.id]
    first = members[0] if members else None
    possible.do(work)
    incidents.plan_leave(incident, tx.now)  # a page that it called off may be all that kept it in memory
    tx.effects.append(Journal(tx.now, journal.acted(tx.now, event, first), True))


def _on_record(event: ActionTaken) -> Incident | None:
    """One that left memory. It stays out unless something is done to it: what changes nothing is not saved either."""
    if event.record is None or event.record.open or event.kind not in _CARRIED_OVER:
        return None
    return event.record


def _recall(tx: Transaction, incident: Incident, state: State, incidents: Incidents) -> None:
    """It is back for a while, without its alerts: they are over."""
    incident.stays_until = tx.now + RECALLED
    state.add_incident(incident)
    incidents.adopt(incident)
    incidents.plan_leave(incident, tx.now)


def _not_possible(incident: Incident, event: ActionTaken, transition: str) -> str:
    if lifecycle.may(incident, transition):
        return ""
    return f"incident #{incident.number} is {incident.state.value}: {event.kind.value} is not possible"


# -- acknowledging ----------------------------------------------------------------------------------------------------


def _acknowledge(work: Work) -> None:
    if work.incident.state is IncidentState.ACKNOWLEDGED:
        work.incidents.escalation.answered(work.tx, work.incident, work.event.by)
        work.say("acknowledged", f"acknowledged again by {work.event.by}, whose pages under way are called back")
        return
    _take(work)
    lifecycle.move(work.incident, "acknowledge", work.tx.now)
    work.incident.timers.pop("ack", None)
    work.incident.acknowledged_by = work.event.by
    work.tx.say(
        work.incident,
        "acknowledged",
        f"acknowledged by {work.event.by}{quoted(work.event.note)}; nothing escalates any more",
        by=work.event.by,
        through=work.event.through,
    )
    _tell_acknowledged(work)
    timeout = work.incidents.escalation.ack_timeout(work.incident)
    if timeout is not None:
        arm(work.state, work.incident, "ack", work.tx.now + timeout)


def _acknowledged_already(work: Work) -> bool:
    """Whoever acknowledges what is acknowledged, with a page of their own under way (a raise), has heard of it."""
    awaited = work.incident.awaited.values()
    under_way = any(one.to == work.event.by and not one.called_off for one in awaited)
    return work.incident.state is IncidentState.ACKNOWLEDGED and not under_way


def _cannot_acknowledge(work: Work) -> str:
    if work.incident.state is IncidentState.ACKNOWLEDGED:
        return ""
    return _not_possible(work.incident, work.event, "acknowledge")


def _snooze(work: Work) -> None:
    """Acknowledged until a time; then its author hears of it and the policy starts over."""
    until = work.event.until
    assert until is not None
    again = work.incident.state is IncidentState.SNOOZED
    _take(work)
    had = work.incident.state in (IncidentState.ACKNOWLEDGED, IncidentState.SNOOZED)
    lifecycle.move(work.incident, "snooze", work.tx.now)
    work.incident.acknowledged_by = work.event.by
    if work.incident.acknowledged_at is None:
        work.incident.acknowledged_at = work.tx.now
    arm(work.state, work.incident, "ack", until)
    text = f"snoozed by {work.event.by} until {until:%Y-%m-%d %H:%M:%S} UTC"
    work.say("snoozed", text if not again else text + " in place of the time before")
    if not had:
        _tell_acknowledged(work)


def _take(work: Work) -> None:
    """Somebody has it: nothing escalates."""
    incident = work.incident
    if incident.state is IncidentState.PENDING:
        work.incidents.route(work.tx, incident)  # it will not trigger, and its policy still says when this lapses
        work.incidents.aim(work.tx, incident)
    targets.acknowledged(incident)
    work.incidents.escalation.stop(work.tx, incident, cancel=True)
    incident.timers.pop("hold", None)


def _tell_acknowledged(work: Work) -> None:
    work.tx.observe("incident_ack_seconds", (work.tx.now - work.incident.opened_at).total_seconds())
    rule = work.incidents.rule_of(work.incident)
    work.incidents.notifier.follow_up(work.tx, work.incident, rule, PageKind.ACKNOWLEDGED, note=work.event.note)


def _unacknowledge(work: Work) -> None:
    lifecycle.move(work.incident, "unacknowledge", work.tx.now)
    work.incident.timers.pop("ack", None)
    text = f"acknowledgement taken back by {work.event.by}{quoted(work.event.note)}; the policy starts again"
    work.tx.say(work.incident, "unacknowledged", text, by=work.event.by, through=work.event.through)
    work.incidents.start(work.tx, work.incident, PageReason.REPEATED)


def _snoozes_until(work: Work) -> str:
    if work.event.until is None:
        return "a snooze needs an end"
    return "" if work.event.until > work.tx.now else "a snooze must end in the future"


# -- people -----------------------------------------------------------------------------------------------------------


def _assign(work: Work) -> None:
    """Whose it is. Somebody else than the one who says so is paged; the acknowledgement stays as it is."""
    work.incident.assignee = work.event.to
    work.say("assigned", f"assigned to {work.event.to} by {work.event.by}")
    if work.event.to != work.event.by:
        rule = work.incidents.rule_of(work.incident)
        target = Target(TargetKind.PERSON, work.event.to)
        work.incidents.escalation.page_also(work.tx, work.incident, rule, target, PageReason.ESCALATED)


def _assigned_already(work: Work) -> bool:
    return work.incident.open and work.incident.assignee == work.event.to


def _unknown_person(work: Work) -> str:
    because = _over(work)
    if because or work.incidents.escalation.knows(Target(TargetKind.PERSON, work.event.to)):
        return because
    return f"nobody of the name {work.event.to[:100]} is in people:"


def _add_responder(work: Work) -> None:
    """Somebody more is asked to help, now; the policy goes on as it would."""
    target = _target(work.event.to)
    assert target is not None
    work.incident.responders = (*work.incident.responders, str(target))
    work.say("responder", f"{target} asked to help by {work.event.by}")
    rule = work.incidents.rule_of(work.incident)
    work.incidents.escalation.page_also(work.tx, work.incident, rule, target, PageReason.ESCALATED)


def _unknown_target(work: Work) -> str:
    because = _over(work)
    if because:
        return because
    target = _target(work.event.to)
    if target is None:
        kinds = ", ".join(kind.value for kind in TargetKind)
        return f"a responder is written KIND:NAME, KIND one of {kinds}, for example person:ana"
    return "" if work.incidents.escalation.knows(target) else f"there is no {target}"


def _asked_already(work: Work) -> bool:
    target = _target(work.event.to)
    return target is not None and str(target) in work.incident.responders


def _target(text: str) -> Target | None:
    kind, colon, name = text.partition(":")
    if not colon:
        kind, name = TargetKind.PERSON.value, text
    return Target(TargetKind(kind), name) if kind in set(TargetKind) and name else None


def _escalate(work: Work) -> None:
    """The next escalation step now, whoever has it: that is handed on."""
    incident = work.incident
    if incident.state is not IncidentState.TRIGGERED:
        lifecycle.move(incident, "hand on", work.tx.now)
        incident.timers.pop("ack", None)
    work.say("escalated", f"escalated by {work.event.by}")
    rule = work.incidents.rule_of(incident)
    work.incidents.escalation.hand_on(work.tx, incident, rule, f"{work.event.by} asks for it")


def _no_further_step(work: Work) -> str:
    because = _over(work) or ("it is pending: nobody was paged yet" if _pending(work) else "")
    if because or work.incidents.escalation.goes_further(work.incident, work.tx.now):
        return because
    return f"policy {work.incident.policy} has no further escalation step"


def _pending(work: Work) -> bool:
    return work.incident.state is IncidentState.PENDING


# -- ends and beginnings ----------------------------------------------------------------------------------------------


def _resolve(work: Work) -> None:
    if work.incident.state is IncidentState.RESOLVED:
        work.incidents.escalation.stop(work.tx, work.incident, cancel=True, told=True)
        work.say("resolved", f"resolved again by {work.event.by}: pages under way are called back")
        return
    work.incidents.resolve(work.tx, work.incident, f"by {work.event.by}{quoted(work.event.note)}", by_hand=True)


def _resolved_already(work: Work) -> bool:
    """What ended by itself still sends the pages that it owed: whoever resolves it then wants none of them."""
    incident = work.incident
    if incident.state is IncidentState.RESOLVED:
        return all(one.called_off for one in incident.awaited.values())
    return incident.state is IncidentState.CLOSED


def _cannot_resolve(work: Work) -> str:
    incident = work.incident
    if incident.state is IncidentState.RESOLVED:
        return ""
    if because := _not_possible(incident, work.event, "resolve"):
        return because
    if not incident.holding or work.event.force:
        return ""
    alerts = "1 alert is" if incident.holding == 1 else f"{incident.holding} alerts are"
    return f"{alerts} still firing in incident #{incident.number}; force resolves it anyway"


def _reopen(work: Work) -> None:
    """It is worked on again: paged from step 1, and open until somebody resolves it or its alerts come and go."""
    incident, rule = work.incident, work.incidents.rule_of(work.incident)
    work.incidents.reopen(work.tx, incident, f"by {work.event.by}{quoted(work.event.note)}")
    arm(work.state, incident, "hold", work.tx.now)
    if incident.holding:  # suppressed alone, perhaps: that decides whether anybody is paged
        work.tx.touch(incident).restated.append((work.state.members[incident.id][0], ""))
        return
    incident.kept = True
    work.incidents.name(work.tx, incident, rule)
    work.incidents.trigger(work.tx, incident, rule)


def _close(work: Work) -> None:
    incident, event = work.incident, work.event
    lifecycle.move(incident, "close", work.tx.now)
    incident.timers.pop("still", None)  # what is closed does not come back
    incident.outcome, incident.cause, incident.actionable = event.outcome, event.cause, event.actionable
    said = {"outcome": event.outcome, "cause": event.cause}
    if event.actionable is not None:
        said["actionable"] = "yes" if event.actionable else "no"
    words = ", ".join(f"{name} {value}" for name, value in said.items() if value)
    wanted = any(not one.called_off for one in incident.awaited.values())
    called_back = "; pages under way are called back" if wanted else ""
    work.say("closed", f"closed by {event.by}" + (f": {words}" if words else "") + called_back + _closed_aloud(work))
    if wanted:
        work.incidents.escalation.stop(work.tx, incident, cancel=True, told=True)


def _closed_aloud(work: Work) -> str:
    """Of what fires and is not suppressed a person says that it is done with: a silence, a window or a pause that
    begins and ends later does not bring it back. What was quiet already goes on when that ends, as ever."""
    members = work.state.members[work.incident.id]
    aloud = [one for one in members if (one.firing or one.flapping_since is not None) and not one.suppressed_by]
    for alert in aloud:
        alert.seen_off = f"{work.event.by} closed its incident while it fired"
        work.tx.save(alert)
    if not aloud:
        return ""
    fires = "1 alert fires on and is" if len(aloud) == 1 else f"{len(aloud)} alerts fire on and are"
    return f"; {fires} news again after ending and firing anew"


def _note(work: Work) -> None:
    work.tx.say(work.incident, "note", work.event.note, by=work.event.by, through=work.event.through)
    rule = work.incidents.rule_of(work.incident)
    work.incidents.notifier.follow_up(work.tx, work.incident, rule, PageKind.NOTE, note=work.event.note)


# -- members ----------------------------------------------------------------------------------------------------------


def _merge(work: Work) -> None:
    into = work.state.incidents[work.event.into]
    work.regroup.merge_by_hand(work.tx, into, work.incident, work.event.by, quoted(work.event.note))


def _merged_already(work: Work) -> bool:
    return work.incident.merged_into != "" and work.incident.merged_into == work.event.into


def _cannot_merge(work: Work) -> str:
    into = work.state.incidents.get(work.event.into)
    if into is None or not into.open:
        return f"incident {work.event.into[:100]} is not open: nothing is merged into it"
    return "an incident cannot be merged into itself" if into is work.incident else ""


def _split(work: Work) -> None:
    work.regroup.split(work.tx, work.incident, _named(work), work.event.by, quoted(work.event.note))


def _cannot_split(work: Work) -> str:
    because = _over(work)
    if because:
        return because
    wanted, found = set(work.event.fingerprints), _named(work)
    missing = wanted - {fingerprint(alert.identity.labels()) for alert in found}
    if missing or not wanted:
        named = f"no member {min(missing)[:100]}" if missing else "no fingerprints"
        return f"{named}; `GET /v1/incidents/{work.incident.number}/alerts` lists the members"
    if any(alert.suppressed_by or alert.aside for alert in found):
        return "a suppressed alert cannot be split off: end what suppresses it first"
    if len(found) == len(work.state.members[work.incident.id]):
        return "all alerts cannot be split off: nothing would be left"
    return ""


def _named(work: Work) -> list[Alert]:
    wanted = set(work.event.fingerprints)
    members = work.state.members[work.incident.id]
    return [alert for alert in members if fingerprint(alert.identity.labels()) in wanted]


# -- the table --------------------------------------------------------------------------------------------------------


def _over(work: Work) -> str:
    if work.incident.open:
        return ""
    return f"incident #{work.incident.number} is {work.incident.state.value}: {work.event.kind.value} is not possible"


def _in(*states: IncidentState) -> Callable[[Work], bool]:
    return lambda work: work.incident.state in states


def _never(_work: Work) -> bool:
    return False


def _nothing(_work: Work) -> str:
    return ""


class _Action(msgspec.Struct, frozen=True):
    """`transition` must be possible, then `refuses` may say why not after all. `done_already`: nothing is left."""

    do: Callable[[Work], None]
    transition: str | None = None
    done_already: Callable[[Work], bool] = _never
    refuses: Callable[[Work], str] = _nothing


_ACTIONS: dict[ActionKind, _Action] = {
    ActionKind.ACK: _Action(_acknowledge, None, _acknowledged_already, _cannot_acknowledge),
    ActionKind.UNACK: _Action(_unacknowledge, "unacknowledge", _in(IncidentState.TRIGGERED, IncidentState.PENDING)),
    ActionKind.SNOOZE: _Action(_snooze, "snooze", refuses=_snoozes_until),
    ActionKind.ASSIGN: _Action(_assign, None, _assigned_already, _unknown_person),
    ActionKind.RESPONDER: _Action(_add_responder, None, _asked_already, _unknown_target),
    ActionKind.ESCALATE: _Action(_escalate, refuses=_no_further_step),
    ActionKind.RESOLVE: _Action(_resolve, None, _resolved_already, _cannot_resolve),
    ActionKind.REOPEN: _Action(_reopen, "reopen", lambda work: work.incident.open),
    ActionKind.CLOSE: _Action(_close, "close", _in(IncidentState.CLOSED)),
    ActionKind.MERGE: _Action(_merge, "merge", _merged_already, _cannot_merge),
    ActionKind.SPLIT: _Action(_split, refuses=_cannot_split),
    ActionKind.NOTE: _Action(_note),
}


def quoted(note: str) -> str:
    return f': "{note}"' if note else ""


def _refuse(tx: Transaction, error: str) -> None:
    tx.effects.append(Refused(0, error, conflict=True))
