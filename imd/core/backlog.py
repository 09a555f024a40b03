"""What a program's receiver did not take in `stale_after`: what of it leaves once it is back, and in which order.

Owns the pages that wait for a receiver that programs read (people hear of a backlog in digests). How it works: a page
that is stale is called back and waits, as `Awaited.digest` says; while the receiver is `down`, further pages wait from
the start, but for the first page of a P1. One at a time leaves then, to try it, the most urgent first; so none does
while more are being called back. As soon as one is taken, AT_ONCE are under way: of each incident that is open one
page, with what holds now, in place of all that waited. What is over by then, and was never told, comes last, in
digests, which ring nowhere. What is over and was told has its end on the way already.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from imd.core.digests import FOLLOWING, WAITS, Digester, never_waits
from imd.core.page import DIGEST_INCIDENTS_MAX
from imd.core.state import State
from imd.core.transaction import Transaction
from imd.model.digest import Digests
from imd.model.effect import CancelPages, SaveDigests
from imd.model.event import DeliveryFinished, Outcome
from imd.model.incident import Awaited, Incident, Told
from imd.model.policy import PageReason, Receiver, Ruleset

AT_ONCE = 64
GIVE_UP_AFTER = timedelta(hours=24)  # as the outbox does: of what is over so long nobody has to be told any more
_TAKES = (Outcome.ACCEPTED, Outcome.FAILED)

Leave = Callable[[Transaction, Incident, Receiver, Awaited, PageReason, int], str]


class Backlog:
    """Works on the state under one ruleset. `leave` sends a page singly: its delivery."""

    def __init__(self, ruleset: Ruleset, state: State, digests: Digester, leave: Leave) -> None:
        self._ruleset = ruleset
        self._state = state
        self._digests = digests
        self._leave = leave

    # -- what waits ------------------------------------------------------------------------------------------------

    def holds_back(self, _tx: Transaction, incident: Incident, receiver: Receiver, reason: PageReason) -> str:
        """How and why a page of now does not leave at once; "" where it does."""
        record = self._state.digests.get(receiver.name)
        if record is None or never_waits(incident, receiver, reason):
            return ""
        if record.down:
            return f"yet because {receiver.name} takes nothing at present"
        return f"yet because one before it waits for {receiver.name}" if self.waits(incident, receiver.name) else ""

    def collapse(self, tx: Transaction, incident: Incident, awaited: Awaited, event: DeliveryFinished) -> str:
        """A page that was called back waits, and all that would have ended with it; its new name. It leaves again also
        where it may have arrived: rather twice than not at all."""
        receiver = self._ruleset.receivers[awaited.receiver]
        told = incident.told.setdefault(receiver.name, Told(to=awaited.to))
        awaited.stale = False
        if event.outcome is Outcome.UNKNOWN:
            awaited.maybe = told.heard = True
        elif not told.heard and not told.before:
            tx.effects.append(CancelPages(incident.id, receiver.name, FOLLOWING))
        for other in incident.awaited.values():
            if other.digest == event.delivery:
                other.digest = WAITS
        new = self._digests.hold(tx, incident, receiver, awaited)
        minutes = f"{receiver.stale_after.total_seconds() / 60:g} min"
        how = ", or did not say so" if awaited.maybe else ""
        because = f"{receiver.name} did not take it in {minutes}{how}"
        text = f"not paged yet because {because}: {awaited.to} by {receiver.name}"
        tx.say(incident, "paged", text, delivery=new, to=awaited.to)
        return new

    def waits(self, incident: Incident, receiver: str) -> bool:
        """Whether a page waits that will say how the incident stands."""
        return any(one.receiver == receiver and one.digest == WAITS for one in incident.awaited.values())

    def tells_later(self, incident: Incident, receiver: Receiver, told: Told) -> bool:
        """Whether nothing has reached it, nor is under way: what waits will say this too."""
        under_way = [one for one in incident.awaited.values() if one.receiver == receiver.name]
        return not receiver.people and not told.heard and all(one.digest == WAITS for one in under_way)

    # -- what leaves -----------------------------------------------------------------------------------------------

    def due(self, tx: Transaction, receiver: Receiver) -> list[Incident]:
        """Pages and digests leave, as many as may be under way. The incidents in them, and those that wait no more."""
        looked_at = self._digests.waiting(tx, receiver.name)
        record = self._state.digests.get(receiver.name)
        if record is None or not looked_at:
            return []
        waiting = [one for one in looked_at if self._is_owed(tx, one, receiver)]
        ended = [one for one in looked_at if not one.open and not self.waits(one, receiver.name)]
        waiting = [one for one in waiting if not self._is_under_way(tx, one, receiver)]
        still_open = [one for one in waiting if one.open]
        room = (1 if record.down else AT_ONCE) - len(record.singly) - bool(record.sent)
        if record.down and room > 0 and self._more_are_called_back(receiver):
            room = 0  # one that is more urgent may be among them; the last one to end has this asked again
        leaving = [one for one in still_open if not self._is_called_back(one, receiver)][: max(0, room)]
        for incident in leaving:
            self._page(tx, record, incident, receiver)
        if waiting and not still_open and not record.singly and not record.sent:
            leaving = waiting[:DIGEST_INCIDENTS_MAX]
            self._digests.send(tx, record, leaving)
        self._digests.tidy(record)
        tx.effects.append(SaveDigests(record))
        return [*leaving, *ended]

    def join(self, incident: Incident, receiver: Receiver, page: str) -> None:
        """A page leaves singly: what waits for the receiver ends with it."""
        if receiver.people:
            return
        for awaited in incident.awaited.values():
            if awaited.receiver == receiver.name and awaited.digest == WAITS:
                awaited.digest = page

    def ended_with(self, incident: Incident, page: str) -> list[str]:
        """What ends now because this page has."""
        names = [name for name, one in incident.awaited.items() if one.digest == page]
        for name in names:
            incident.awaited[name].digest = ""
        return names

    def finished(self, tx: Transaction, event: DeliveryFinished) -> None:
        """A message to the receiver ended: what waits may leave, or more of it."""
        record, receiver = self._state.digests.get(event.receiver), self._ruleset.receivers.get(event.receiver)
        if record is None or (receiver is not None and receiver.people):
            return
        before = record.down, len(record.singly), record.due_at
        if event.outcome in _TAKES:
            record.down = False
        if event.delivery in record.singly:
            record.singly.remove(event.delivery)
        if self._state.in_digests.get(event.receiver) and len(record.singly) <= AT_ONCE // 2:
            self._digests.plan(record, tx.now)
        if before != (record.down, len(record.singly), record.due_at):
            tx.effects.append(SaveDigests(record))

    # -- within ----------------------------------------------------------------------------------------------------

    def _page(self, tx: Transaction, record: Digests, incident: Incident, receiver: Receiver) -> None:
        """One page in place of all that wait, as that of the furthest step; where the receiver has heard nothing yet,
        for the reason of the first one."""
        names = [name for name, one in incident.awaited.items() if self._is_ours(one, receiver)]
        names.sort(key=lambda name: (incident.awaited[name].round, incident.awaited[name].step))
        told = incident.told.get(receiver.name)
        says = incident.awaited[names[-1] if told is not None and told.heard else names[0]]
        awaited = incident.awaited.pop(names[-1])
        awaited.digest = ""
        if awaited.deadline_at is not None:
            awaited.deadline_at = tx.now + receiver.accept_within(incident.priority)
        sent = self._leave(tx, incident, receiver, awaited, PageReason(says.reason or PageReason.FIRST), says.shown)
        for reach in incident.reaches:
            if reach.page == names[-1]:
                reach.page = sent
        record.singly.append(sent)
        many = f", for {len(names)} pages that waited" if len(names) > 1 else ""
        text = f"paged {awaited.to} by {receiver.name} with what holds now{many}"
        tx.say(incident, "paged", text, delivery=sent, to=awaited.to)

    def _is_owed(self, tx: Transaction, incident: Incident, receiver: Receiver) -> bool:
        """Whether what waits of it is to leave. If it is over and its end was told, or if it is over for a day, it ends
        here."""
        told = incident.told.get(receiver.name)
        if told is not None and told.news:
            told.news = ""  # people read it until a reload
            tx.touch(incident)
        if incident.open:
            return self.waits(incident, receiver.name)
        ours = {name: one for name, one in incident.awaited.items() if self._is_ours(one, receiver)}
        told_of = told is not None and told.heard and not any(one.maybe for one in ours.values())
        too_old = incident.resolved_at is not None and tx.now - incident.resolved_at > GIVE_UP_AFTER
        if not (told_of or too_old):
            return bool(ours)
        because = "of its end it is told" if told_of else f"it is over and {receiver.name} took nothing for a day"
        for name, awaited in ours.items():
            del incident.awaited[name]
            text = f"not notified: {awaited.to} by {receiver.name}, because {because}"
            tx.say(incident, "not_notified", text, delivery=name)
        tx.touch(incident)
        return False

    def _is_under_way(self, tx: Transaction, incident: Incident, receiver: Receiver) -> bool:
        """Whether a page is under way that is not too old, nor called off: what waits ends with it."""
        for name, awaited in incident.awaited.items():
            if awaited.receiver != receiver.name or awaited.stale or awaited.called_off:
                continue
            if awaited.sent_at is not None:
                self.join(incident, receiver, name)
                tx.touch(incident)
                return True
        return False

    def _is_called_back(self, incident: Incident, receiver: Receiver) -> bool:
        """Whether one more page is going to wait that is not known to have ended yet: all leave as one."""
        return any(one.stale and one.receiver == receiver.name for one in incident.awaited.values())

    def _more_are_called_back(self, receiver: Receiver) -> bool:
        """Newest first, for they are called back, and end, oldest first."""
        incidents = reversed(self._state.incidents.values())
        return any(self._is_called_back(one, receiver) for one in incidents if one.awaited)

    def _is_ours(self, awaited: Awaited, receiver: Receiver) -> bool:
        return awaited.receiver == receiver.name and awaited.digest == WAITS
