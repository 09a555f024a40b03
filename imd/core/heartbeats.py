"""Heartbeats: who is expected to speak, when they last did, and that they are silent.

Owns the deadlines and the records. A beat is missing once `every` and `grace` have passed since the last one; that is
an alert of imd's own (HeartbeatMissing), taken by a built-in rule, and it ends when the beat is back. How it works:

- Alerts that feed a heartbeat cost nothing as they repeat: their last report is looked at when the beat falls due.
  While a beat is missing it is looked for every LOOK_EVERY from then on, since a repeat tells nobody that it came.
- A record is saved whenever it moves, some once a period: a clock that is set moves what is on record, after a restart
  too. imd's own absence is not the sender's silence: where the next beat fell due while imd was away, one more
  period is allowed from its return.
- A look before the beat falls due changes no record: a restart plans it anew, for when the beat is due by then.
- With `by` there is one record for each combination of values, from its first beat on, up to INSTANCES_MAX.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import msgspec

from imd.core import journal
from imd.core.matching import Filed
from imd.core.opening import span_text
from imd.core.state import AT_ONCE, Due, State
from imd.core.transaction import Transaction
from imd.model.alert import Alert, AlertReport, identify
from imd.model.effect import ForgetBeat, Journal, Refused, SaveBeat
from imd.model.heartbeat import MISSING, OWN_SOURCE, Beat, By, Heartbeat
from imd.model.policy import Ruleset
from imd.model.rule import Resolve, Rule

INSTANCES_MAX = 1000
LOOK_EVERY = timedelta(seconds=15)
REPEAT_EVERY = timedelta(hours=1)  # imd's own alert is reported again so often, so that it does not expire

Instance = tuple[str, By]
"""A heartbeat's name and its `by` values."""


def built_in_rules(ruleset: Ruleset) -> list[Rule]:
    """The rule of each heartbeat's incidents."""
    return [
        Rule(
            name=one.rule,
            description=f"The heartbeat {one.name} is missing.",
            match=(),
            group_by=("alertname", "heartbeat", *one.by),
            hold=timedelta(0),
            resolve=Resolve(after=timedelta(0)),
            priority=one.priority,
            where=one.where,
        )
        for one in ruleset.heartbeats
    ]


class Heartbeats:
    """The state's beats under one ruleset. Reports that it returns are the engine's to take in, as of OWN_SOURCE.
    Unless `judged`, none is ever found missing: history says so by alerts of OWN_SOURCE."""

    def __init__(self, ruleset: Ruleset, state: State, judged: bool) -> None:
        self._judged = judged
        self._state = state
        self._known = {one.name: one for one in ruleset.heartbeats}
        self._fed_by = Filed((one.match, one) for one in ruleset.heartbeats)
        self._rules = {one.rule: one for one in ruleset.heartbeats}
        self._planned: dict[Instance, datetime] = {}

    # -- beats ----------------------------------------------------------------------------------------------------

    def feeds(self, tx: Transaction, alert: Alert, labels: Mapping[str, str]) -> list[AlertReport] | None:
        """Takes an alert as a beat, with what that ends; None where it feeds no heartbeat. It goes no further."""
        found = self._fed_by.find(labels) if self._known else []
        if not found:
            return None
        heartbeat = found[0]
        alert.rule = heartbeat.rule
        alert.seen_off = f"feeds the heartbeat {heartbeat.name}"
        by = tuple((name, labels.get(name, "")) for name in heartbeat.by)
        ends = self.beat(tx, heartbeat.name, by)
        if (heartbeat.name, by) in self._state.beats:
            self._state.feeders.setdefault((heartbeat.name, by), {})[alert.id] = alert
        return ends

    def heard(self, tx: Transaction, name: str, by: By) -> list[AlertReport]:
        """Somebody says so themselves: a beat that goes on record."""
        ends = self.beat(tx, name, by)
        if (name, by) in self._state.beats:
            tx.effects.append(Journal(tx.now, journal.beat(tx.now, name, by)))
        return ends

    def beat(self, tx: Transaction, name: str, by: By) -> list[AlertReport]:
        """A beat, now."""
        heartbeat, instance = self._known.get(name), (name, by)
        if heartbeat is None:
            tx.effects.append(Refused(0, f"no heartbeat {name} is configured"))
            return []
        record = self._state.beats.get(instance)
        if record is None:
            if sum(other == name for other, _ in self._state.beats) >= INSTANCES_MAX:
                tx.count("heartbeats_refused_total", name)
                return []
            record = self._begin(instance, tx.now)
        return self._came(tx, heartbeat, record, tx.now)

    def ended(self, tx: Transaction, alert: Alert) -> None:
        """A feeding alert has ended: what it said last is put on record."""
        if alert.rule not in self._rules or alert.source == OWN_SOURCE:
            return
        heartbeat = self._rules[alert.rule]
        labels = alert.placed_labels()
        instance = (heartbeat.name, tuple((name, labels.get(name, "")) for name in heartbeat.by))
        record = self._state.beats.get(instance)
        if record is not None and self._state.feeders.get(instance, {}).pop(alert.id, None) is not None:
            self._move(record, heartbeat, alert.seen_at)
            tx.effects.append(SaveBeat(record))

    def rule_of(self, alert: Alert) -> str:
        """The built-in rule that takes imd's own alert; "" for any other alert."""
        if alert.source != OWN_SOURCE:
            return ""
        labels = alert.labels()
        if labels.get("alertname") != MISSING:
            return ""
        heartbeat = self._known.get(labels.get("heartbeat", ""))
        return heartbeat.rule if heartbeat is not None else ""

    # -- time -----------------------------------------------------------------------------------------------------

    def look(self, tx: Transaction, instance: Instance) -> list[AlertReport]:
        """A deadline of this beat: it is missing, it is back, or it is well and has another deadline."""
        if not self._judged or self._planned.get(instance) != tx.at:
            return []  # another look was planned since
        heartbeat, record = self._known.get(instance[0]), self._state.beats.get(instance)
        if heartbeat is None:
            return self._drop(tx, record) if record is not None else []
        if record is None:
            record = self._begin(instance, tx.now)
            tx.effects.append(SaveBeat(record))
        reports: list[AlertReport] = []
        if record.missing or tx.now >= record.due_at:
            seen_at = self._seen_since(record)
            if seen_at is not None:
                reports = self._came(tx, heartbeat, record, seen_at)
            elif record.missing:
                reports = self._goes_on(record, heartbeat, tx.now)
            else:
                record.missing = True
                tx.effects.append(SaveBeat(record))
                reports = [_report(record, heartbeat)]
        self._arm(record, tx.now)
        return reports

    def away(self, tx: Transaction, alive_at: datetime) -> None:
        """imd was away since then: what fell due meanwhile gets one more period."""
        for record in self._state.beats.values():
            heartbeat = self._known.get(record.heartbeat)
            if heartbeat is None or record.missing:
                continue
            seen = [one.seen_at for one in self._state.feeders.get((record.heartbeat, record.by), {}).values()]
            due_at = max([record.due_at, *(one + heartbeat.every + heartbeat.grace for one in seen)])
            if alive_at <= due_at and due_at - heartbeat.grace <= tx.now:
                record.due_at = tx.now + heartbeat.every + heartbeat.grace
                tx.effects.append(SaveBeat(record))

    def shift(self, tx: Transaction, by: timedelta) -> list[AlertReport]:
        """The clock was set: what was a minute away still is. What alerts said last goes on record before, for the two
        are compared by the clock; set back, it is moved with the record, or it would count once more."""
        ends: list[AlertReport] = []
        for instance, record in self._state.beats.items():
            heartbeat, seen_at = self._known.get(instance[0]), self._seen_since(record)
            if heartbeat is not None and seen_at is not None:
                ends += self._came(tx, heartbeat, record, seen_at)
            if by < timedelta(0):
                for alert in self._state.feeders.get(instance, {}).values():
                    alert.seen_at += by
                    tx.save(alert)
            record.due_at += by
            if record.beat_at is not None:
                record.beat_at += by
            tx.effects.append(SaveBeat(record))
            if heartbeat is not None:
                self._arm(record, tx.now)
        return ends

    def adopt(self, alerts: Iterable[Alert], from_the_start: bool) -> None:
        """After a restore or reload: feeding alerts by their heartbeat, and the deadline of every record. Heartbeats
        that have none, if they are awaited `from_the_start`, and records that have no heartbeat, are looked at in the
        next step."""
        if not self._judged:
            return
        self._state.feeders.clear()
        for alert in alerts:
            heartbeat = self._rules.get(alert.rule)
            if heartbeat is not None and alert.firing and alert.source != OWN_SOURCE:
                labels = alert.placed_labels()
                instance = (heartbeat.name, tuple((name, labels.get(name, "")) for name in heartbeat.by))
                self._state.feeders.setdefault(instance, {})[alert.id] = alert
        for record in self._state.beats.values():
            if record.heartbeat in self._known:
                self._arm(record, self._state.at or AT_ONCE)
        lone = [(one.name, ()) for one in self._known.values() if not one.by] if from_the_start else []
        for instance in dict.fromkeys([*self._state.beats, *lone]):
            if instance not in self._state.beats or instance[0] not in self._known:
                self._plan(instance, AT_ONCE)

    # -- within ---------------------------------------------------------------------------------------------------

    def _arm(self, record: Beat, now: datetime) -> None:
        """When it is looked at next, counted from when it fell due, so that a restart looks at the same instants."""
        at = record.due_at
        if record.missing and at <= now:
            at += LOOK_EVERY * ((now - at) // LOOK_EVERY + 1)
        self._plan((record.heartbeat, record.by), at)

    def _plan(self, instance: Instance, at: datetime) -> None:
        self._planned[instance] = at
        self._state.remind(at, Due.BEAT, instance)

    def _begin(self, instance: Instance, now: datetime) -> Beat:
        heartbeat = self._known[instance[0]]
        record = Beat(
            heartbeat=instance[0], by=instance[1], beat_at=None, due_at=now + heartbeat.every + heartbeat.grace
        )
        self._state.beats[instance] = record
        self._arm(record, now)
        return record

    def _seen_since(self, record: Beat) -> datetime | None:
        """When one of its alerts was last heard, if that is news to the record."""
        feeders = self._state.feeders.get((record.heartbeat, record.by), {})
        seen_at = max((one.seen_at for one in feeders.values()), default=None)
        return seen_at if seen_at is not None and (record.beat_at is None or seen_at > record.beat_at) else None

    def _came(self, tx: Transaction, heartbeat: Heartbeat, record: Beat, at: datetime) -> list[AlertReport]:
        was_missing = record.missing
        record.missing = False
        self._move(record, heartbeat, at)
        tx.effects.append(SaveBeat(record))
        return [_ended(record)] if was_missing else []

    def _move(self, record: Beat, heartbeat: Heartbeat, at: datetime) -> None:
        record.beat_at = at if record.beat_at is None else max(at, record.beat_at)
        record.due_at = max(record.due_at, at + heartbeat.every + heartbeat.grace)

    def _goes_on(self, record: Beat, heartbeat: Heartbeat, now: datetime) -> list[AlertReport]:
        report = _report(record, heartbeat)
        alert = self._state.alerts.get(report.identity.key)
        recent = alert is not None and alert.firing and now - alert.seen_at < REPEAT_EVERY
        return [] if recent else [report]

    def _drop(self, tx: Transaction, record: Beat) -> list[AlertReport]:
        """The heartbeat was taken out of the rules."""
        del self._state.beats[record.heartbeat, record.by]
        tx.effects.append(ForgetBeat(record.heartbeat, record.by))
        return [_ended(record)] if record.missing else []


def _identity(record: Beat) -> dict[str, str]:
    named = {"alertname": MISSING, "heartbeat": record.heartbeat, "severity": "critical"}
    return {**{name: value for name, value in record.by if value}, **named}


def _report(record: Beat, heartbeat: Heartbeat) -> AlertReport:
    """It began when it is said, and is over when that is said (`_ended`), whatever the clock was set to in between."""
    since = "was never heard" if record.beat_at is None else f"was last heard {record.beat_at:%Y-%m-%d %H:%M:%S} UTC"
    text = f"{heartbeat.name} {since}; it should be heard every {span_text(heartbeat.every)}"
    annotations = msgspec.json.encode({"summary": text})
    return AlertReport(
        identify(_identity(record)), resolved=False, starts_at=None, ends_at=None, annotations=annotations
    )


def _ended(record: Beat) -> AlertReport:
    return AlertReport(identify(_identity(record)), resolved=True, starts_at=None, ends_at=None)
