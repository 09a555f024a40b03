"""One receiver's deliveries: which goes next, and when.

Owns order and delay; sends nothing and knows no clock: instants are seconds of the event loop's clock, handed in.

How it works. Deliveries of one incident form a chain, and only its head may go: a resolve never overtakes its page. The
head leaves the chain when its end is on disk (`finished`), not before, else a crash could send it again behind its
successor. Heads that may go now are in a heap by (priority, creation); a head goes by the most urgent priority in its
chain, so that a raised page is not held up by the lesser one before it. Heads that wait for their next attempt are in
a second heap by due time. Heap entries are never removed but passed over when popped and no longer true.

The lane also holds what its channel said last of each incident (the conversation), for as long as the engine holds the
incident or a message about it waits. The store has the same on disk: this is what the next process starts with.
"""

from __future__ import annotations

import enum
import heapq
import itertools
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping

from imd.api.context import ReceiverStatus
from imd.channels.contract import Channel, Conversation
from imd.daemon.breaker import BACKOFF_BASE_SECONDS, Breaker
from imd.daemon.pace import Pacer
from imd.model.effect import Delivery
from imd.model.policy import PageKind

SENDS_MAX = 16


class Stage(enum.Enum):
    """QUEUED: behind another of its chain. READY, DELAYED: a head in the one or the other heap. SENDING: handed out.
    ENDING: its end is being reported."""

    QUEUED = enum.auto()
    READY = enum.auto()
    DELAYED = enum.auto()
    SENDING = enum.auto()
    ENDING = enum.auto()


class Entry:
    """A delivery and its attempts so far. `ambiguous`: one of them may have arrived. `resumed`: it comes from before a
    restart, where an attempt may have been under way unrecorded. `due` and `expires` are in loop seconds; a `fixed` due
    time stays, for the receiver named it or it was brought forward once. `detail` is what the receiver said when it
    took it."""

    __slots__ = (
        "ambiguous",
        "attempt",
        "cancelled",
        "created",
        "delivery",
        "detail",
        "due",
        "error",
        "expires",
        "fixed",
        "probe",
        "rank",
        "resumed",
        "stage",
        "started",
    )

    def __init__(self, delivery: Delivery, expires: float) -> None:
        self.delivery = delivery
        self.expires = expires
        self.rank = delivery.priority.rank
        self.created = delivery.created_at.timestamp()
        self.stage = Stage.QUEUED
        self.attempt = 0
        self.due = 0.0
        self.error = self.detail = ""
        self.ambiguous = self.resumed = self.cancelled = self.started = self.probe = self.fixed = False

    @property
    def may_have_arrived(self) -> bool:
        return self.ambiguous or self.resumed or self.started


class Lane:
    """All unsettled deliveries of one receiver. `channel` None: the receiver is gone, and whatever is next fails.
    `pacer` is shared by all lanes."""

    def __init__(self, name: str, channel: Channel | None, pacer: Pacer, base: float = BACKOFF_BASE_SECONDS) -> None:
        self.name = name
        self.channel = channel
        self._pacer = pacer
        self._conversations: dict[str, Conversation] = {}
        self._over: set[str] = set()
        self.breaker = Breaker(name, base)
        self.sending = 0
        self.last_error = ""
        self._chains: dict[str, deque[Entry]] = {}
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._ready: list[tuple[int, float, int, Entry]] = []
        self._delayed: list[tuple[float, int, Entry]] = []
        self._pushes = itertools.count()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, delivery_id: str) -> bool:
        return delivery_id in self._entries

    def add(self, entry: Entry, now: float) -> None:
        """Append to its incident's chain. `entry.due` beyond now delays its first attempt here."""
        self._entries[entry.delivery.id] = entry
        chain = self._chains.setdefault(entry.delivery.incident, deque())
        chain.append(entry)
        head = chain[0]
        if head is entry:
            self._activate(chain, now)
        elif head.stage is Stage.READY and entry.rank < head.rank:
            self._push_ready(chain)

    def cancel(self, incident: str, kinds: frozenset[PageKind], delivery_id: str | None = None) -> list[Entry]:
        """Marks deliveries of these kinds (or the one named) so that no attempt starts any more. Returns those that
        are not being sent: they are in stage ENDING now, and theirs is to be reported."""
        ended = []
        for entry in self._chains.get(incident, ()):
            meant = entry.delivery.kind in kinds if delivery_id is None else entry.delivery.id == delivery_id
            if not meant or entry.stage is Stage.ENDING:
                continue
            entry.cancelled = True
            if entry.stage is not Stage.SENDING:
                entry.stage = Stage.ENDING
                ended.append(entry)
        return ended

    def take(self, now: float) -> Entry | None:
        """The next delivery to send, in stage SENDING; None if none may start now."""
        while self._delayed and (self._delayed[0][0] <= now or self._delayed[0][2].stage is not Stage.DELAYED):
            entry = heapq.heappop(self._delayed)[2]
            if entry.stage is Stage.DELAYED and entry.due <= now:
                self._push_ready(self._chains[entry.delivery.incident])
        if self.channel is not None and (self.sending >= SENDS_MAX or not self._admits(self.channel, now)):
            return None
        entry_or_none = self._pop_ready()
        if entry_or_none is not None:
            entry_or_none.stage = Stage.SENDING
            entry_or_none.probe = self.breaker.started()
            self.sending += 1
            if self.channel is not None:
                self._pacer.spend(self.channel.paces, now)
        return entry_or_none

    def _admits(self, channel: Channel, now: float) -> bool:
        return self.breaker.admits(now) and self._pacer.ready_at(channel.paces) <= now

    @property
    def conversations(self) -> Mapping[str, Conversation]:
        """By incident."""
        return self._conversations

    def conversation(self, incident: str) -> Conversation:
        return self._conversations.get(incident, b"")

    def converse(self, incident: str, conversation: Conversation) -> bool:
        """Keeps what the channel said; False where it is nothing new. Messages of no incident have none."""
        if not incident or not conversation or self._conversations.get(incident) == conversation:
            return False
        self._conversations[incident] = conversation
        return True

    def forget(self, incident: str) -> None:
        """The engine let go of the incident. What still waits goes on with the conversation."""
        if incident in self._chains:
            self._over.add(incident)
        else:
            self._conversations.pop(incident, None)

    def expired(self, now: float) -> list[Entry]:
        """Those too old to go on with, now in stage ENDING. Looks at the oldest only, as far as they are too old."""
        ended = []
        for entry in self._entries.values():
            if entry.expires > now:
                break
            if entry.stage not in (Stage.SENDING, Stage.ENDING):
                entry.stage = Stage.ENDING
                ended.append(entry)
        return ended

    def delay(self, entry: Entry, due: float) -> None:
        """The attempt failed; the next one is not before `due`."""
        entry.due = due
        entry.stage = Stage.DELAYED
        heapq.heappush(self._delayed, (due, next(self._pushes), entry))

    def hurry(self) -> None:
        """The receiver works again: those that wait by our own backoff go now, once each."""
        for entry in self._each_delayed():
            if not entry.fixed:
                entry.fixed = True
                self._push_ready(self._chains[entry.delivery.incident])

    def finished(self, entry: Entry, now: float) -> None:
        """Its end is on disk: the next of its chain may go."""
        del self._entries[entry.delivery.id]
        incident = entry.delivery.incident
        chain = self._chains[incident]
        was_head = chain[0] is entry
        chain.remove(entry)
        if not chain:
            del self._chains[incident]
            if incident in self._over:
                self._over.discard(incident)
                self._conversations.pop(incident, None)
        elif was_head and chain[0].stage is Stage.QUEUED:
            self._activate(chain, now)

    def wake_at(self) -> float | None:
        """When `take` may have something without anything else happening before."""
        while self._delayed and self._delayed[0][2].stage is not Stage.DELAYED:
            heapq.heappop(self._delayed)
        due = self._delayed[0][0] if self._delayed else None
        if self._ready and self.sending < SENDS_MAX:
            admitted = self.breaker.admits_at()
            if admitted is not None and self.channel is not None:
                admitted = max(admitted, self._pacer.ready_at(self.channel.paces))
            due = admitted if due is None else due if admitted is None else min(due, admitted)
        return due

    @property
    def oldest(self) -> Entry | None:
        return next(iter(self._entries.values()), None)

    def status(self, now: float) -> ReceiverStatus:
        wake_at, oldest = self.wake_at(), self.oldest
        return ReceiverStatus(
            receiver=self.name,
            breaker=self.breaker.state(now).value,
            failures=self.breaker.failures,
            pending=len(self._entries),
            sending=self.sending,
            oldest_at=oldest.delivery.created_at if oldest else None,
            retry_in_seconds=None if wake_at is None else max(0.0, wake_at - now),
            last_error=self.last_error,
        )

    def _activate(self, chain: deque[Entry], now: float) -> None:
        head = chain[0]
        if head.due > now:
            self.delay(head, head.due)
        else:
            self._push_ready(chain)

    def _push_ready(self, chain: deque[Entry]) -> None:
        head = chain[0]
        head.stage = Stage.READY
        rank = min(entry.rank for entry in chain)
        heapq.heappush(self._ready, (rank, head.created, next(self._pushes), head))

    def _pop_ready(self) -> Entry | None:
        while self._ready:
            entry = heapq.heappop(self._ready)[3]
            if entry.stage is Stage.READY:
                return entry
        return None

    def _each_delayed(self) -> Iterator[Entry]:
        return (entry for _, _, entry in self._delayed if entry.stage is Stage.DELAYED)
