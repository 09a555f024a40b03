"""Pages that do not leave singly: a receiver that people read has had enough of them, so they leave together.

Owns which page waits and when a digest leaves. How it works: a page over the storm's measure is awaited as any other
and marked as waiting; what is marked leaves as one delivery, whose end is the end of each page in it. Of an incident
that a receiver knows from digests alone, changes and the end are told in digests too. A digest leaves COLLECT after
the first that waits and no sooner than the storm's `per` after the one before, or, where it would say of each incident
what was said last, UNCHANGED_EVERY after it. One at a time is under way. What its receiver has not taken in
`stale_after` is called back and leaves anew, as things stand then: a page in a digest, a digest as another one. What
follows from the end of a page is `escalation`; this module neither knows policies nor reads them. To a program, what
is over leaves in a digest and nothing else does; when, is `backlog`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from imd.core import page
from imd.core.state import Due, State
from imd.core.transaction import Transaction
from imd.model.digest import Digests, Storm
from imd.model.effect import CancelPages, Deliver, SaveDigests
from imd.model.event import DeliveryFinished, Outcome
from imd.model.incident import Awaited, Incident, Priority, Told
from imd.model.policy import PageKind, PageReason, Receiver, Ruleset

COLLECT = timedelta(seconds=10)  # within what a P1 or P2 has to be accepted, so the first of a storm do not pass on
GAP_MAX = timedelta(minutes=1)  # news wait no longer for the next digest, however long `per` is
UNCHANGED_EVERY = timedelta(minutes=15)
STUCK_AFTER = timedelta(minutes=1)  # a digest not taken by then: what comes behind it waits too
WAITS = "waits"  # in Awaited.digest and Told.news, where otherwise a digest's id stands
FOLLOWING = (PageKind.UPDATE, PageKind.ACKNOWLEDGED, PageKind.RESOLVED)
_NEWLY = frozenset({PageReason.FIRST, PageReason.RAISED, PageReason.REOPENED})


class Digester:
    """Works on the state's digests under one ruleset."""

    def __init__(self, ruleset: Ruleset, state: State) -> None:
        self._ruleset = ruleset
        self._state = state

    # -- what goes in ---------------------------------------------------------------------------------------------

    def crowded(self, tx: Transaction, incident: Incident, receiver: Receiver, reason: PageReason) -> str:
        """Why a page of now does not leave singly; "" where it does. Counts it either way."""
        storm = self._ruleset.storm
        if not storm.enabled:
            return ""
        record = self.record(receiver.name)
        recent = [at for at in record.recent if at > tx.now - storm.per]
        record.recent = [*recent, tx.now][-storm.pages :]
        tx.effects.append(SaveDigests(record))
        stuck = self.stuck(receiver.name, tx.now)
        if (len(recent) < storm.pages and not stuck) or never_waits(incident, receiver, reason):
            return ""
        if stuck:
            return f"singly, in a digest because {receiver.name} has not taken the digest before"
        return f"singly, in a digest because {receiver.name} had {storm.pages} pages within {_seconds(storm)}"

    def stuck(self, receiver: str, now: datetime) -> bool:
        """Whether a digest is under way that the receiver does not take."""
        record = self._state.digests.get(receiver)
        return bool(record and record.sent and record.last_at is not None and now - record.last_at > STUCK_AFTER)

    def watch(self, tx: Transaction, incident: Incident, receiver: Receiver, awaited: Awaited) -> None:
        """The page has left singly. If it is still under way `stale_after` from now, it is looked at."""
        awaited.sent_at = tx.now
        self._state.remind(tx.now + receiver.stale_after, Due.STALE, incident.id)

    def stale(self, tx: Transaction, incident: Incident) -> None:
        """Calls back what is under way for too long, with every other page of the incident to that receiver: all are
        one, once it is back. What was to follow them is called back too, unless a program may be owed it."""
        late = [one.receiver for one in incident.awaited.values() if self._is_late(one, tx.now)]
        for name in dict.fromkeys(late):
            for awaited in incident.awaited.values():
                if awaited.receiver == name and awaited.sent_at is not None and not awaited.called_off:
                    awaited.stale = True
            if self.is_program(name):
                record = self.record(name)
                if not record.down:
                    record.down = True
                    tx.effects.append(SaveDigests(record))
                tx.effects.append(CancelPages(incident.id, name, (PageKind.UPDATE,)))
            else:
                if (told := incident.told.get(name)) is not None:
                    owe_end(told)
                tx.effects.append(CancelPages(incident.id, name, FOLLOWING))
            tx.touch(incident)

    def _is_late(self, awaited: Awaited, now: datetime) -> bool:
        receiver = self._ruleset.receivers.get(awaited.receiver)
        if receiver is None or awaited.sent_at is None or awaited.called_off or awaited.stale:
            return False
        return awaited.sent_at + receiver.stale_after <= now

    def is_program(self, receiver: str) -> bool:
        """Programs read it: each incident by itself, under a key of its own."""
        found = self._ruleset.receivers.get(receiver)
        return found is not None and not found.people

    def collapse(self, tx: Transaction, incident: Incident, awaited: Awaited) -> str:
        """A stale page never left: it waits for the digest, under a new id."""
        receiver = self._ruleset.receivers.get(awaited.receiver) or Receiver(name=awaited.receiver)
        awaited.stale = False
        incident.told.setdefault(receiver.name, Told(to=awaited.to)).digest = True
        minutes = f"{receiver.stale_after.total_seconds() / 60:g} min"
        because = f"{receiver.name} did not take it in {minutes}"
        new = self.hold(tx, incident, receiver, awaited)
        text = f"not paged singly, in a digest because {because}: {awaited.to} by {receiver.name}"
        tx.say(incident, "paged", text, delivery=new, to=awaited.to)
        return new

    def hold(self, tx: Transaction, incident: Incident, receiver: Receiver, awaited: Awaited) -> str:
        """The page waits for the digest; its id. It has to be accepted in time once the digest has left."""
        name = page.next_id(incident, self._state.store_id)
        awaited.digest, awaited.sent_at = WAITS, None
        incident.awaited[name] = awaited
        at = self._wait(tx, incident, receiver.name)
        if awaited.deadline_at is not None:
            awaited.deadline_at = at + receiver.accept_within(incident.priority)
        tx.count("pages_in_digests_total" if receiver.people else "pages_put_off_total", receiver.name)
        tx.touch(incident)
        return name

    def tell(self, tx: Transaction, incident: Incident, receiver: str, told: Told) -> None:
        """The receiver knows the incident from digests: the next one says how it stands."""
        told.news = WAITS
        self._wait(tx, incident, receiver)
        tx.touch(incident)

    def call_off(self, tx: Transaction, incident: Incident, receiver: str | None) -> list[str]:
        """The incident's pages are not to start any more (`receiver` None: to nobody). Those that waited, which end
        now; those in a digest under way end with it, and it is called back for the rest to leave without them."""
        ended = []
        for name, awaited in incident.awaited.items():
            if receiver not in (None, awaited.receiver):
                continue
            awaited.stale = False
            if not awaited.digest or awaited.digest in incident.awaited:  # it ends with that page
                continue
            if awaited.digest == WAITS:
                ended.append(name)
            elif not awaited.off:
                awaited.off = True
                self.call_back(tx, self.record(awaited.receiver))
        return ended

    # -- what comes out -------------------------------------------------------------------------------------------

    def due(self, tx: Transaction, receiver: str) -> list[Incident]:
        """The digest leaves, if it is time. The incidents in it, and those that are left for the next one."""
        waiting = self.waiting(tx, receiver)
        record = self._state.digests.get(receiver)
        if waiting and record is not None:
            self.send(tx, record, waiting[: page.DIGEST_INCIDENTS_MAX])
            self._leave_over(tx, record, waiting[page.DIGEST_INCIDENTS_MAX :])
            tx.effects.append(SaveDigests(record))
        return waiting

    def _leave_over(self, tx: Transaction, record: Digests, rest: list[Incident]) -> None:
        """One digest does not name them all: these are in the next ones, and have until theirs to be accepted. Of many
        thousands each is written once, with the instant of its own, not with each digest that leaves before."""
        receiver = self._ruleset.receivers.get(record.receiver) or Receiver(name=record.receiver)
        gap = min(self._ruleset.storm.per, GAP_MAX)
        for place, incident in enumerate(rest):
            at = tx.now + gap * (1 + place // page.DIGEST_INCIDENTS_MAX)
            until = at + receiver.accept_within(incident.priority)
            for awaited in incident.awaited.values():
                ours = awaited.receiver == record.receiver and awaited.digest == WAITS
                if ours and awaited.deadline_at is not None and awaited.deadline_at < until:
                    awaited.deadline_at = until
                    tx.touch(incident)

    def waiting(self, tx: Transaction, receiver: str) -> list[Incident]:
        """If it is time for the receiver to hear of them: the incidents that wait, the most urgent first. A digest that
        it does not take is called back."""
        record = self._state.digests.get(receiver)
        if record is None:
            return []
        if record.sent and self.stale_at(record) <= tx.now and not record.called_back:
            self.call_back(tx, record)
        if (record.sent and not self.is_program(receiver)) or record.due_at is None or record.due_at > tx.now:
            return []
        record.due_at = None
        tx.effects.append(SaveDigests(record))
        return sorted(self.concerned(receiver, WAITS), key=urgency)

    def finished(self, tx: Transaction, event: DeliveryFinished) -> list[tuple[Incident, str]]:
        """A digest ended: the pages that end with it. If it was called back, the others wait for the next one, which
        leaves at once; also where it may have arrived: rather twice than not at all."""
        record = self._state.digests.get(event.receiver)
        if record is None or record.sent != event.delivery:
            return []
        called_back = event.outcome is Outcome.CANCELLED or (record.called_back and event.outcome is Outcome.UNKNOWN)
        record.sent, record.called_back = "", False
        ended = []
        for incident in sorted(self.concerned(event.receiver, event.delivery), key=urgency):
            told = incident.told.get(event.receiver)
            if told is not None and told.news == event.delivery:
                told.news = WAITS if called_back else ""
            if told is not None and called_back:
                told.listed = ""
                told.heard = told.heard or event.outcome is Outcome.UNKNOWN
            for name, awaited in incident.awaited.items():
                if awaited.digest != event.delivery:
                    continue
                if called_back and not awaited.off:
                    awaited.digest = WAITS
                    awaited.maybe = awaited.maybe or event.outcome is Outcome.UNKNOWN
                else:
                    ended.append((incident, name))
            tx.touch(incident)
        for incident, name in ended:
            incident.awaited[name].digest = ""
        self._go_on(tx, record, at_once=called_back)
        tx.effects.append(SaveDigests(record))
        return ended

    def tidy(self, record: Digests) -> list[Incident]:
        """What still concerns it stays known. The incidents that wait."""
        kept = list(self.concerned(record.receiver, WAITS))
        in_one = self.concerned(record.receiver, record.sent) if record.sent else ()
        self._state.in_digests[record.receiver] = dict.fromkeys(one.id for one in (*kept, *in_one))
        return kept

    def _go_on(self, tx: Transaction, record: Digests, at_once: bool) -> None:
        """What came meanwhile gets its time."""
        for incident in self.tidy(record):
            self.plan(record, tx.now if at_once else self._at(tx, record, incident))

    def call_back(self, tx: Transaction, record: Digests) -> None:
        record.called_back = True
        tx.effects.append(CancelPages("", record.receiver, (PageKind.DIGEST,)))
        tx.effects.append(SaveDigests(record))

    def stale_at(self, record: Digests) -> datetime:
        assert record.last_at is not None
        receiver = self._ruleset.receivers.get(record.receiver) or Receiver(name=record.receiver)
        return record.last_at + receiver.stale_after

    # -- within ---------------------------------------------------------------------------------------------------

    def adopt(self) -> None:
        """After a restore: who is concerned, and the deadlines."""
        for incident in self._state.incidents.values():
            for awaited in incident.awaited.values():
                if awaited.digest and awaited.digest not in incident.awaited:
                    self._concern(awaited.receiver, incident)
                elif awaited.sent_at is not None:
                    self._remind_stale(incident, awaited)
            for receiver, told in incident.told.items():
                if told.news:
                    self._concern(receiver, incident)
        for record in self._state.digests.values():
            self._remind(record)

    def _remind(self, record: Digests) -> None:
        if record.due_at is not None:
            self._state.remind(record.due_at, Due.DIGEST, record.receiver)
        if record.sent:
            self._state.remind(self.stale_at(record), Due.DIGEST, record.receiver)

    def _remind_stale(self, incident: Incident, awaited: Awaited) -> None:
        receiver = self._ruleset.receivers.get(awaited.receiver)
        if receiver is not None and awaited.sent_at is not None:
            self._state.remind(awaited.sent_at + receiver.stale_after, Due.STALE, incident.id)

    def shift(self, tx: Transaction, by: timedelta) -> None:
        """The clock was set: what was a minute ago still is."""
        for incident in self._state.incidents.values():
            for awaited in incident.awaited.values():
                if awaited.sent_at is not None:
                    awaited.sent_at += by
                    self._remind_stale(incident, awaited)
                    tx.touch(incident)
        for record in self._state.digests.values():
            record.recent = [at + by for at in record.recent]
            if record.last_at is not None:
                record.last_at += by
            if record.due_at is not None:
                record.due_at += by
            self._remind(record)
            tx.effects.append(SaveDigests(record))

    def record(self, receiver: str) -> Digests:
        record = self._state.digests.get(receiver)
        if record is None:
            record = self._state.digests[receiver] = Digests(receiver=receiver)
        return record

    def _wait(self, tx: Transaction, incident: Incident, receiver: str) -> datetime:
        """When the digest leaves that speaks of the incident, if none is under way that takes longer."""
        record = self.record(receiver)
        self._concern(receiver, incident)
        at = self._at(tx, record, incident)
        if not record.sent and not record.singly:
            self.plan(record, at)
        tx.effects.append(SaveDigests(record))
        return at

    def _concern(self, receiver: str, incident: Incident) -> None:
        self._state.in_digests.setdefault(receiver, {})[incident.id] = None

    def concerned(self, receiver: str, mark: str) -> Iterator[Incident]:
        """The incidents of which something is marked so."""
        for name in self._state.in_digests.get(receiver, ()):
            incident = self._state.incidents.get(name)
            if incident is None:
                continue
            told = incident.told.get(receiver)
            marked = any(one.receiver == receiver and one.digest == mark for one in incident.awaited.values())
            if marked or (told is not None and told.news == mark):
                yield incident

    def _at(self, tx: Transaction, record: Digests, incident: Incident) -> datetime:
        if self.is_program(record.receiver):
            return tx.now
        if record.last_at is None:
            return tx.now + COLLECT
        told = incident.told.get(record.receiver)
        unchanged = told is not None and told.listed == _stands(incident)
        gap = UNCHANGED_EVERY if unchanged else min(self._ruleset.storm.per, GAP_MAX)
        return max(tx.now + COLLECT, record.last_at + gap)

    def plan(self, record: Digests, at: datetime) -> None:
        if record.due_at is None or at < record.due_at:
            record.due_at = at
            self._state.remind(at, Due.DIGEST, record.receiver)

    def send(self, tx: Transaction, record: Digests, waiting: list[Incident]) -> None:
        record.count += 1
        record.last_at = tx.now
        receiver = self._ruleset.receivers.get(record.receiver) or Receiver(name=record.receiver)
        names = {one.to for incident in waiting for one in incident.awaited.values() if one.receiver == record.receiver}
        delivery = page.digest(
            waiting,
            receiver,
            to=names.pop() if len(names) == 1 else record.receiver,
            number=record.count,
            store_id=self._state.store_id,
            external_url=self._ruleset.external_url,
            now=tx.now,
        )
        record.sent = delivery.id
        self._state.remind(tx.now + receiver.stale_after, Due.DIGEST, receiver.name)
        tx.effects.append(Deliver(delivery))
        for incident in waiting:
            self._mark(tx, incident, receiver, delivery.id, len(waiting))

    def _mark(self, tx: Transaction, incident: Incident, receiver: Receiver, digest: str, size: int) -> None:
        """The incident is in this digest."""
        for awaited in incident.awaited.values():
            if awaited.receiver == receiver.name and awaited.digest == WAITS:
                awaited.digest = digest
                if awaited.deadline_at is not None:
                    awaited.deadline_at = tx.now + receiver.accept_within(incident.priority)
        told = incident.told.get(receiver.name)
        if told is not None:
            told.at, told.changed, told.listed = tx.now, incident.changed, _stands(incident)
            if told.news == WAITS:
                told.news = digest
        many = f"a digest of {size} incidents" if size > 1 else "a digest"
        tx.say(incident, "notified", f"{receiver.name} is told of it in {many}", delivery=digest)


def owe_end(told: Told) -> None:
    """What is under way is called off, and with it the end of what the receiver had heard of before it came back."""
    if told.before:
        told.ends, told.before, told.heard = "", False, True


def never_waits(incident: Incident, receiver: Receiver, reason: PageReason) -> bool:
    """The first page of a P1: to this receiver, or since it is one, or since it is back."""
    if incident.priority is not Priority.P1:
        return False
    return reason in _NEWLY or not _knows(incident, receiver.name)


def _knows(incident: Incident, receiver: str) -> bool:
    told = incident.told.get(receiver)
    return told is not None and told.at is not None


def _stands(incident: Incident) -> str:
    """What a digest says of it, but for its title and counts: while this is the same, there is no hurry."""
    return f"{incident.priority.value} {incident.state.value}"


def urgency(incident: Incident) -> tuple[bool, int, int]:
    """Open ones first, the most urgent first, then the oldest."""
    return not incident.open, incident.priority.rank, incident.number


def _seconds(storm: Storm) -> str:
    return f"{storm.per.total_seconds():g} s"
