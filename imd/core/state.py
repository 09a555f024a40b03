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
from collections.abc import Iterable, Iterator
from datetime import datetime

from imd.core.correlate import GroupKey
from imd.core.enrich import Pool
from imd.core.expiry import Heard, Outage
from imd.core.opening import Waiting
from imd.model.alert import Alert
from imd.model.heartbeat import Beat, By
from imd.model.incident import Incident, IncidentState
from imd.model.quiet import Silence
from imd.model.rule import Rule


class Due(enum.IntEnum):
    """What a deadline in the heap is about, in the order in which those of one instant are taken. JUDGE: alerts whose
    verdict is to be looked at again. FORGET_*: the record may leave memory."""

    SILENCE = 0
    MAINTENANCE = 1
    ALERT = 2
    SOURCE = 3
    JUDGE = 4
    INCIDENT = 5
    FLUSH = 6
    FORGET_ALERT = 7
    FORGET_INCIDENT = 8
    WAITING = 9
    FLAPPING = 10
    BEAT = 11


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
one instant are taken in the same order whether or not imd was restarted meanwhile; a count settles the rest."""


class State:
    """`alerts` holds the newest episode of each identity; `members` every resident member, by id; `by_key` the
    incidents of a rule and group key, oldest first, without cancelled and merged ones; `rules` the rule that each
    incident opened with; `silences` those of the last days, by id, ended ones too; `to_judge` alerts whose verdict may
    be another one, by id, none of them before `judge_after`.

    `waiting` holds the alerts that wait for an open_when, `restored_waiting` those that do since before a restart and
    `homeless` those whose rule waits no more, until they are placed; `follow_ups` when one that `absent` waits for last
    came. `beats` are the heartbeats' records, `feeders` the firing alerts that speak for them, by id."""

    def __init__(self, store_id: str) -> None:
        self.store_id = store_id
        self.alerts: dict[bytes, Alert] = {}
        self.firing = 0
        self.incidents: dict[str, Incident] = {}
        self.members: dict[str, list[Alert]] = {}
        self.by_key: dict[tuple[str, GroupKey], list[str]] = {}
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
        self.suppressed = Suppressed()
        self.to_judge: dict[int, Alert] = {}
        self.judge_after: datetime | None = None
        self.flush_at: datetime | None = None
        self.outage: Outage | None = None
        self.last_alert_id = 0
        self.last_number = 0
        self._heap: list[Deadline] = []
        self._sequence = 0

    def remind(self, at: datetime, due: Due, subject: object) -> None:
        """Looks at the subject again at `at`. Entries are never taken back: what no longer holds is ignored."""
        self._sequence += 1
        order = subject.id if isinstance(subject, Alert) else str(subject)
        heapq.heappush(self._heap, (at, due, order, self._sequence, subject))

    def next_deadline(self) -> datetime | None:
        return self._heap[0][0] if self._heap else None

    def overdue(self, now: datetime) -> bool:
        """Whether a deadline lies before now."""
        return bool(self._heap) and self._heap[0][0] < now

    def take_due(self, now: datetime, at_most: int) -> Iterator[Deadline]:
        """The deadlines up to now, oldest first, also those that are set meanwhile; at most so many."""
        for _ in range(at_most):
            if not self._heap or self._heap[0][0] > now:
                return
            yield heapq.heappop(self._heap)

    def new_alert_id(self) -> int:
        self.last_alert_id += 1
        return self.last_alert_id

    def new_incident_number(self) -> int:
        self.last_number += 1
        return self.last_number

    def newest(self, rule: str, key: GroupKey) -> Incident | None:
        """The newest incident of a rule and group key; a cancelled one was none."""
        filed = self.by_key.get((rule, key))
        return self.incidents[filed[-1]] if filed else None

    def add_incident(self, incident: Incident) -> None:
        self.incidents[incident.id] = incident
        self.members[incident.id] = []
        if incident.state not in (IncidentState.CANCELLED, IncidentState.MERGED):
            self.by_key.setdefault((incident.rule, incident.group_key), []).append(incident.id)

    def unfile(self, incident: Incident) -> None:
        """The incident is not found by its key any more."""
        key = incident.rule, incident.group_key
        filed = self.by_key.get(key, [])
        if incident.id in filed:
            filed.remove(incident.id)
        if not filed:
            self.by_key.pop(key, None)

    def add_member(self, incident: Incident, alert: Alert) -> None:
        """In order of id. All but alerts that were suppressed come in that order anyhow."""
        members = self.members[incident.id]
        if not members or members[-1].id < alert.id:
            members.append(alert)
        else:
            insort(members, alert, key=lambda one: one.id)
            self.recount(incident)

    def remove_member(self, incident: Incident, alert: Alert) -> None:
        self.members[incident.id] = [one for one in self.members[incident.id] if one is not alert]
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
) -> State:
    """A State from what the store kept. The engine arms the deadlines (Engine._arm_restored)."""
    state = State(store_id)
    state.last_alert_id = last_alert_id
    state.last_number = last_number
    state.silences = {one.id: one for one in sorted(silences, key=lambda one: one.id)}
    state.beats = {(beat.heartbeat, beat.by): beat for beat in beats}
    for incident in sorted(incidents, key=lambda one: one.number):
        state.add_incident(incident)
    pool = Pool()
    for alert in sorted(alerts, key=lambda one: one.id):
        if alert.enriched is not None:
            alert.enriched = pool.share(alert.enriched)
        _take_back(state, alert)
    return state


def _take_back(state: State, alert: Alert) -> None:
    state.alerts[alert.identity.key] = alert
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
