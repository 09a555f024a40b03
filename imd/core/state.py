"""Everything the engine remembers between steps, and how it comes back from the store.

Owns the containers and the heap of deadlines; decides nothing. Only the engine and the stages it calls write here. What
is not in the store (indexes, distinct values, the heap) is rebuilt by `restore`, so that a restart at any point changes
nothing after it.
"""

from __future__ import annotations

import enum
import heapq
from bisect import insort
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

from imd.core.correlate import GroupKey
from imd.core.enrich import Pool
from imd.core.expiry import Heard
from imd.core.inturn import InTurn
from imd.core.opening import Waiting
from imd.model.alert import Alert
from imd.model.digest import Digests
from imd.model.heartbeat import Beat, By
from imd.model.incident import Filed, Incident, IncidentState
from imd.model.presence import Outage, Presence, Spoke
from imd.model.quiet import Silence
from imd.model.rule import Rule
from imd.model.schedule import Override

AT_ONCE = datetime(1, 1, 2, tzinfo=UTC)  # a deadline that the next step takes before any other

RUN_MAX = 128
"""Alerts of one deadline that are one in the heap: a deadline for each is a tenth of what an open alert takes."""

INCIDENT_COSTS = 40  # what an incident's deadline may do, with a page that names a hundred alerts, beside an alert's


class Due(enum.IntEnum):
    """What a deadline in the heap is about, in the order in which those of one instant are taken. MUTE: alerts that are
    to be quiet, JUDGE: those whose verdict is to be looked at again. FORGET_*: the record may leave memory."""

    SILENCE = 0
    MAINTENANCE = 1
    MUTE = 2
    ALERT = 3
    SOURCE = 4
    JUDGE = 5
    INCIDENT = 6
    FLUSH = 7
    FORGET_ALERT = 8
    FORGET_INCIDENT = 9
    WAITING = 10
    FLAPPING = 11
    BEAT = 12
    DIGEST = 13
    STALE = 14


_DUES = tuple(Due)
_MUTE, _INCIDENT = Due.MUTE.value, Due.INCIDENT.value


class Distinct:
    """The values of one label among an incident's members; the first `counted` members are in."""

    __slots__ = ("counted", "values")

    def __init__(self) -> None:
        self.values: set[str] = set()
        self.counted = 0


class Suppressed:
    """Firing alerts that are suppressed: by cause, and how many for each first word of a cause."""

    def __init__(self) -> None:
        self.by_cause: dict[str, dict[int, Alert]] = {}
        self.counts: Counter[str] = Counter()
        self._filed: dict[int, tuple[str, ...]] = {}

    def __len__(self) -> int:
        return len(self._filed)

    def file(self, alert: Alert) -> None:
        """By its present verdict; an alert that fires no more leaves."""
        filed = self._filed.pop(alert.id, ())
        self.counts.subtract(_kinds(filed))
        for cause in filed:
            self._take_out(cause, alert.id)
        if not alert.firing or not alert.suppressed_by:
            return
        self._filed[alert.id] = alert.suppressed_by
        self.counts.update(_kinds(alert.suppressed_by))
        for cause in alert.suppressed_by:
            self.by_cause.setdefault(cause, {})[alert.id] = alert

    def alerts(self) -> list[Alert]:
        """All of them, by id."""
        every = {one.id: one for alerts in self.by_cause.values() for one in alerts.values()}
        return [every[alert_id] for alert_id in sorted(every)]

    def _take_out(self, cause: str, alert_id: int) -> None:
        alerts = self.by_cause[cause]
        del alerts[alert_id]
        if not alerts:
            del self.by_cause[cause]


def _kinds(causes: tuple[str, ...]) -> set[str]:
    return {cause.partition("/")[0] for cause in causes}


Deadline = tuple[datetime, Due, int | str, int, object]
"""When, what about, then the subject's own order (an alert's id, an incident's or source's name), so that deadlines of
one instant are taken in the same order whether or not imd was restarted meanwhile; a count settles the rest. In the
heap the subject may be a run of alerts."""

_Filed = tuple[datetime, int, int | str, int, object]
"""A deadline in the heap, with the number of its Due: beside an enum's member, an object like any other, garbage
collection would look at every alert's deadline each time."""


class State:
    """`alerts` holds the newest resident episode of each identity, `older` those behind it; `members` every resident
    member, by id; `by_key` the incidents of a rule and group key, oldest first, without cancelled and merged ones and
    old ones that somebody works on again;
    `rules` the rule that each incident opened with; `silences` those of the last days, by id, ended ones too;
    `to_mute` alerts that something new may suppress, by id: with the next steps, before anything else is decided;
    `to_judge` alerts whose verdict may be another one, by id, to be looked at `judge_at`, and not before `judge_after`.
    `heard_moved`: `heard` is ahead of the record. `at` is the instant of the last step; what fell due by then was done,
    unless it was too much for one step.

    `waiting` holds the alerts that wait for an open_when, `restored_waiting` those that do since before a restart and
    `homeless` those whose rule waits no more, until they are placed; `follow_ups` when one that `absent` waits for last
    came. `digests` are receivers' records of digests, `in_digests` the incidents of which a page or news waits for one
    or is in one under way. `overrides` are those of schedules, by id, ended ones too; `turns` whose turn is next at
    each step with round_robin. `beats` are the heartbeats' records, `feeders` the firing alerts that speak for them,
    by id."""

    def __init__(self, store_id: str) -> None:
        self.store_id = store_id
        self.alerts: dict[bytes, Alert] = {}
        self.older: dict[bytes, list[Alert]] = {}
        self.firing = 0
        self.incidents: dict[str, Incident] = {}
        self.members: dict[str, list[Alert]] = {}
        self.by_key: dict[tuple[str, GroupKey], list[tuple[int, str]]] = {}
        self.rules: dict[str, Rule] = {}
        self.distinct: dict[tuple[str, str], Distinct] = {}
        self.waiting: dict[tuple[str, GroupKey], Waiting] = {}
        self.homeless: list[Alert] = []
        self.restored_waiting: list[Alert] = []
        self.follow_ups: dict[tuple[str, GroupKey], datetime] = {}
        self.beats: dict[tuple[str, By], Beat] = {}
        self.feeders: dict[tuple[str, By], dict[int, Alert]] = {}
        self.heard: dict[str, Heard] = {}
        self.stale: dict[str, dict[int, Alert]] = {}
        self.unseen: dict[int, Alert] = {}
        self.silences: dict[str, Silence] = {}
        self.overrides: dict[str, Override] = {}
        self.turns: dict[str, int] = {}
        self.digests: dict[str, Digests] = {}
        self.in_digests: dict[str, dict[str, None]] = {}
        self.suppressed = Suppressed()
        self.to_mute: dict[int, Alert] = {}
        self.to_judge = InTurn()
        self.judge_after: datetime | None = None
        self.judge_at: datetime | None = None
        self.flush_at: datetime | None = None
        self.outages: tuple[Outage, ...] = ()
        self.heard_moved = False
        self.at: datetime | None = None
        self.last_alert_id = 0
        self.last_number = 0
        self._heap: list[_Filed] = []
        self._sequence = 0
        self._last_at = AT_ONCE
        self._run: list[Alert] = []
        self._run_of = AT_ONCE, 0, 0

    def remind(self, at: datetime, due: Due, subject: object) -> None:
        """Looks at the subject again at `at`. Entries are never taken back: what no longer holds is ignored."""
        if isinstance(subject, Alert):  # its id is enough, and an integer for each of very many would be memory
            self._remind_of(at, due._value_, subject)
            return
        if at == self._last_at:
            at = self._last_at  # one instant for all the incidents of a body
        else:
            self._last_at = at
        self._sequence += 1
        heapq.heappush(self._heap, (at, due._value_, str(subject), self._sequence, subject))

    def _remind_of(self, at: datetime, due: int, alert: Alert) -> None:
        """Those of a body are mostly looked at at one instant: they are a run, in order of their ids, and in the heap
        as one, with the id of the first."""
        run, (run_at, run_due, last_id) = self._run, self._run_of
        if at != run_at or due != run_due:
            self._run = []
            heapq.heappush(self._heap, (at, due, alert.id, 0, alert))
        elif not run or last_id >= alert.id or len(run) >= RUN_MAX:
            at = run_at  # one instant for all of them
            self._sequence += 1
            self._run = [alert]
            heapq.heappush(self._heap, (at, due, alert.id, self._sequence, self._run))
        else:
            at = run_at
            run.append(alert)
        self._run_of = at, due, alert.id

    def next_deadline(self) -> datetime | None:
        """Timers of incidents that are off, or set to another time, are passed by: nobody need wake for them."""
        self._drop_off()
        return self._heap[0][0] if self._heap else None

    def _drop_off(self) -> None:
        """What is dropped is void for good, for whatever sets a timer reminds of it anew: so nothing that is decided
        depends on when somebody has looked here."""
        heap = self._heap
        while heap and heap[0][1] == _INCIDENT and self._off(heap[0]):
            heapq.heappop(heap)

    def _off(self, deadline: _Filed) -> bool:
        incident = self.incidents.get(str(deadline[4]))
        return incident is None or deadline[0] not in incident.timers.values()

    def due(self, now: datetime, last: Due) -> bool:
        """Whether a deadline lies before now, or is of now and no later in the order than `last`."""
        self._drop_off()
        return bool(self._heap) and self._heap[0][:2] <= (now, last)

    def take_due(self, now: datetime, at_most: int, last: Due = Due.STALE) -> Iterator[Deadline]:
        """Such deadlines, oldest first, also those that are set meanwhile; at most so many, each of an incident counted
        as INCIDENT_COSTS, and none behind a MUTE. Without `last`: all up to now. One that was set twice is taken
        once."""
        left = at_most
        while left > 0 and self.due(now, last):
            deadline = self._take_first()
            while self._heap and self._heap[0][:3] == deadline[:3]:
                self._take_first()
            left -= INCIDENT_COSTS if deadline[1] == _INCIDENT else 1
            yield deadline[0], _DUES[deadline[1]], *deadline[2:]
            if deadline[1] == _MUTE:
                return

    def _take_first(self) -> _Filed:
        """Of a run its first alert; the others stay."""
        deadline = heapq.heappop(self._heap)
        at, due, _, sequence, run = deadline
        if not isinstance(run, list):
            return deadline
        if run is self._run:
            self._run = []  # nothing is added to what is taken
        alert = run.pop(0)
        if run:
            heapq.heappush(self._heap, (at, due, run[0].id, sequence, run))
        return at, due, alert.id, 0, alert

    def new_alert_id(self) -> int:
        self.last_alert_id += 1
        return self.last_alert_id

    def new_incident_number(self) -> int:
        self.last_number += 1
        return self.last_number

    def enter(self, alert: Alert) -> None:
        """A new episode, in front of the one of its identity that is still resident, if any is."""
        before = self.alerts.get(alert.identity.key)
        if before is not None:
            self.older.setdefault(alert.identity.key, []).append(before)
        self.alerts[alert.identity.key] = alert

    def holds(self, alert: Alert) -> bool:
        """Whether the episode is still resident, newest or not."""
        key = alert.identity.key
        return self.alerts.get(key) is alert or any(one is alert for one in self.older.get(key, ()))

    def leave(self, alert: Alert) -> None:
        """An episode leaves memory. What is left of its identity is newest now, as after a restart."""
        key = alert.identity.key
        behind = self.older.get(key)
        if self.alerts.get(key) is not alert:
            behind = [one for one in behind or () if one is not alert]
        elif behind:
            self.alerts[key] = behind.pop()
        else:
            del self.alerts[key]
        if behind:
            self.older[key] = behind
        else:
            self.older.pop(key, None)

    def newest(self, rule: str, key: GroupKey) -> Incident | None:
        """The newest incident of a rule and group key; a cancelled one was none."""
        filed = self.by_key.get((rule, key))
        return self.incidents[filed[-1][1]] if filed else None

    def add_incident(self, incident: Incident) -> None:
        self.incidents[incident.id] = incident
        self.members[incident.id] = []
        gone = incident.state in (IncidentState.CANCELLED, IncidentState.MERGED) or incident.stays_until is not None
        for filed in () if gone else incident.files:
            self.file(incident, filed)

    def file(self, incident: Incident, filed: Filed) -> None:
        """The incident is found by this rule and group key."""
        insort(self.by_key.setdefault((filed.rule, filed.key), []), (filed.place, incident.id))

    def unfile(self, incident: Incident) -> None:
        """The incident is found by no key any more."""
        for one in incident.files:
            filed = [found for found in self.by_key.get((one.rule, one.key), []) if found[1] != incident.id]
            if filed:
                self.by_key[one.rule, one.key] = filed
            else:
                self.by_key.pop((one.rule, one.key), None)

    def add_member(self, incident: Incident, alert: Alert) -> None:
        """In order of id. All but alerts that were suppressed come in that order anyhow."""
        members = self.members[incident.id]
        if not members or members[-1].id < alert.id:
            members.append(alert)
        else:
            insort(members, alert, key=lambda one: one.id)
            self.recount(incident)

    def remove_members(self, incident: Incident, alerts: Iterable[Alert]) -> None:
        gone = {alert.id for alert in alerts}
        self.members[incident.id] = [one for one in self.members[incident.id] if one.id not in gone]
        self.recount(incident)

    def recount(self, incident: Incident) -> None:
        """The tallies of its members' distinct values are made anew when next asked for."""
        for step in self.rules[incident.id].raises:
            self.distinct.pop((incident.id, step.distinct), None)

    def take_over(self, older: Incident, younger: Incident) -> list[Alert]:
        """The younger's members are the older's, in order of their ids; its key is no more. The members moved."""
        moved = self.members[younger.id]
        self.members[older.id] = sorted((*self.members[older.id], *moved), key=lambda alert: alert.id)
        self.members[younger.id] = []
        self.recount(older)
        self.recount(younger)
        self.unfile(younger)
        return moved

    def presence(self) -> Presence:
        """For the record."""
        sources = {name: Spoke(one.heard_at, one.back_at) for name, one in self.heard.items()}
        return Presence(outages=self.outages, judge_after=self.judge_after, sources=sources)

    def counts(self) -> dict[str, int]:
        """Resident records, for status and metrics."""
        return {"alerts": len(self.alerts), "firing": self.firing, "incidents": len(self.incidents)}


def restore(
    store_id: str,
    alerts: Iterable[Alert],
    incidents: Iterable[Incident],
    last_alert_id: int,
    last_number: int,
    silences: Iterable[Silence] = (),
    beats: Iterable[Beat] = (),
    presence: Presence | None = None,
    at: datetime | None = None,
    overrides: Iterable[Override] = (),
    turns: Mapping[str, int] | None = None,
    digests: Iterable[Digests] = (),
) -> State:
    """A State from what the store kept; `at` is the instant of the last step, or somewhat before. The engine arms the
    deadlines (Engine._arm_restored)."""
    state = State(store_id)
    state.at = at
    state.last_alert_id = last_alert_id
    state.last_number = last_number
    state.silences = {one.id: one for one in sorted(silences, key=lambda one: one.id)}
    state.overrides = {one.id: one for one in sorted(overrides, key=lambda one: one.id)}
    state.turns = dict(turns or {})
    state.digests = {one.receiver: one for one in sorted(digests, key=lambda one: one.receiver)}
    state.beats = {(beat.heartbeat, beat.by): beat for beat in beats}
    for incident in sorted(incidents, key=lambda one: one.number):
        state.add_incident(incident)
    pool = Pool()
    for alert in sorted(alerts, key=lambda one: one.id):
        if alert.enriched is not None:
            alert.enriched = pool.share(alert.enriched)
        _take_back(state, alert)
    if presence is not None:
        state.outages, state.judge_after = presence.outages, presence.judge_after
        state.heard |= {name: Heard(one.heard_at, one.back_at) for name, one in presence.sources.items()}
    return state


def _take_back(state: State, alert: Alert) -> None:
    state.enter(alert)
    if alert.firing:
        state.firing += 1
        state.suppressed.file(alert)
    if alert.counted_at is not None and not alert.incident:
        state.restored_waiting.append(alert)
    if alert.incident in state.members:
        state.members[alert.incident].append(alert)
    heard = state.heard.get(alert.source)
    if heard is None:
        state.heard[alert.source] = Heard(alert.seen_at, alert.seen_at)
    elif alert.seen_at > heard.heard_at:
        heard.heard_at = alert.seen_at
