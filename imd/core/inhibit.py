"""Which alerts are muted by which other ones that fire (Alertmanager's inhibition).

Owns the index of both sides; knows no incidents. How it works: for each rule and each set of values of its `equal`
labels there is a bucket of the firing alerts that its source takes and of those that its target takes. A target is
muted by the oldest source of its bucket; so one look says whether it is muted and by whom, and a source that fires or
ends concerns the targets of its own buckets alone, and those only if it is the oldest.

An alert that both sides take is muted only by one that the source alone takes (so never by itself). Suppressed alerts
mute others all the same; ended ones do not.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping

from imd.core.matching import MatchIndex
from imd.model.alert import Alert, fingerprint
from imd.model.quiet import Inhibition

_Key = tuple[int, tuple[str, ...]]


class _Bucket:
    """Firing alerts of one rule with equal values. Sources by age; `both`: those that the target side takes too."""

    __slots__ = ("alerts", "both", "only", "targets")

    def __init__(self) -> None:
        self.only: list[int] = []
        self.both: list[int] = []
        self.alerts: dict[int, Alert] = {}
        self.targets: dict[int, tuple[Alert, bool]] = {}

    def first(self, both: bool) -> int:
        """The oldest source that mutes a target; `both`: one that the source side takes too. 0 for none."""
        if both or not self.both:
            return self.only[0] if self.only else 0
        return min(self.only[0], self.both[0]) if self.only else self.both[0]

    def firsts(self) -> tuple[int, int]:
        return self.first(False), self.first(True)

    def drop_source(self, alert_id: int) -> None:
        for ids in (self.only, self.both):
            place = bisect_left(ids, alert_id)
            if place < len(ids) and ids[place] == alert_id:
                del ids[place]

    def concerned(self, before: tuple[int, int]) -> Iterable[Alert]:
        """The targets whose oldest source is another one than before."""
        changed = tuple(one != other for one, other in zip(before, self.firsts(), strict=True))
        if not any(changed):
            return ()
        return [alert for alert, both in self.targets.values() if changed[both]]

    @property
    def empty(self) -> bool:
        return not self.alerts and not self.targets


class Inhibitors:
    """All rules, and the firing alerts that they are about."""

    def __init__(self, inhibitions: tuple[Inhibition, ...]) -> None:
        self._rules = inhibitions
        self._sources: MatchIndex[int] = MatchIndex()
        self._targets: MatchIndex[int] = MatchIndex()
        for number, inhibition in enumerate(inhibitions):
            self._sources.add(number, inhibition.source)
            self._targets.add(number, inhibition.target)
        self._buckets: dict[_Key, _Bucket] = {}
        self._places: dict[int, tuple[_Key, ...]] = {}
        self._causes: dict[tuple[int, int], str] = {}

    @property
    def idle(self) -> bool:
        """Whether there is no rule at all."""
        return not self._rules

    def enter(self, alert: Alert, labels: Mapping[str, str]) -> list[Alert]:
        """The alert fires. Answers with others whose verdict is another one now."""
        if alert.id in self._places:
            return []
        as_source, as_target = set(self._sources.find(labels)), set(self._targets.find(labels))
        places: list[_Key] = []
        concerned: dict[int, Alert] = {}
        for number in sorted(as_source | as_target):
            key = number, tuple(labels.get(name, "") for name in self._rules[number].equal)
            bucket = self._buckets.setdefault(key, _Bucket())
            places.append(key)
            before = bucket.firsts()
            if number in as_source:
                insort(bucket.both if number in as_target else bucket.only, alert.id)
                bucket.alerts[alert.id] = alert
            concerned |= {one.id: one for one in bucket.concerned(before)}
            if number in as_target:
                bucket.targets[alert.id] = alert, number in as_source
        if places:
            self._places[alert.id] = tuple(places)
        return list(concerned.values())

    def leave(self, alert: Alert) -> list[Alert]:
        """The alert fires no more. Answers with others whose verdict is another one now."""
        concerned: dict[int, Alert] = {}
        for key in self._places.pop(alert.id, ()):
            bucket = self._buckets[key]
            bucket.targets.pop(alert.id, None)
            before = bucket.firsts()
            if bucket.alerts.pop(alert.id, None) is not None:
                bucket.drop_source(alert.id)
                self._causes.pop((key[0], alert.id), None)
            concerned |= {one.id: one for one in bucket.concerned(before)}
            if bucket.empty:
                del self._buckets[key]
        return list(concerned.values())

    def muting(self, labels: Mapping[str, str]) -> list[Alert]:
        """The alerts that mute whatever has these labels: of each rule the oldest source, and the oldest that is no
        target."""
        found: dict[int, Alert] = {}
        for number in self._targets.find(labels):
            bucket = self._buckets.get((number, tuple(labels.get(name, "") for name in self._rules[number].equal)))
            if bucket is not None:
                found |= {first: bucket.alerts[first] for first in bucket.firsts() if first}
        return list(found.values())

    def muted(self) -> list[Alert]:
        """All that some alert mutes, by id."""
        found: dict[int, Alert] = {}
        for bucket in self._buckets.values():
            by_both, by_one = bucket.first(True), bucket.first(False)
            for alert, both in bucket.targets.values():
                if by_both if both else by_one:
                    found[alert.id] = alert
        return [found[alert_id] for alert_id in sorted(found)]

    def causes(self, alert: Alert) -> list[str]:
        """What mutes an alert that has entered: `inhibition/NAME/FINGERPRINT`, one for each rule that does."""
        found = []
        for key in self._places.get(alert.id, ()):
            bucket = self._buckets[key]
            target = bucket.targets.get(alert.id)
            source = bucket.first(target[1]) if target is not None else 0
            if source:
                found.append(self._cause(key[0], bucket.alerts[source]))
        return found

    def _cause(self, number: int, source: Alert) -> str:
        """A fingerprint takes ten microseconds, so it is worked out once."""
        key = number, source.id
        cause = self._causes.get(key)
        if cause is None:
            shown = fingerprint(source.identity.labels())
            cause = self._causes[key] = f"inhibition/{self._rules[number].name}/{shown}"
        return cause
