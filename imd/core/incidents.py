"""Which alerts are members of which incident: joining, leaving, ending and coming back.

Owns membership and its counts; what follows from them for the incident as a whole is `life`, which this stands on. What
suppression does to members is `hush`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import datetime

from imd.core import priority
from imd.core.correlate import GroupKey, group_key, window_end
from imd.core.life import Life
from imd.core.relate import Relator
from imd.core.state import State
from imd.core.telling import NAMELESS, named
from imd.core.transaction import Transaction
from imd.core.waiting import Openings
from imd.model.alert import Alert
from imd.model.incident import Incident, IncidentState
from imd.model.policy import Ruleset
from imd.model.rule import Absent, Rule

_OPENED_BY: Mapping[type, str] = {type(None): "opened", Absent: "awaited"}


class Incidents(Life):
    """Works on the state's incidents and their members under one ruleset."""

    def __init__(self, ruleset: Ruleset, state: State, relator: Relator) -> None:
        super().__init__(ruleset, state, relator)
        self.openings = Openings(ruleset, state)

    def arrive(self, tx: Transaction, alert: Alert, rule: Rule, labels: Mapping[str, str]) -> None:
        """A new episode joins the incident of its key, reopens it, or opens a fresh one."""
        key = group_key(rule, labels)
        at = self._placed_at(alert, tx.now)
        incident = self._state.newest(rule.name, key)
        if incident is not None and incident.open and self.window_open(tx, incident, at):
            self.join(tx, incident, alert, labels, "joined")
            return
        enough = [alert] if rule.open_when is None else self.openings.arrive(tx, alert, rule, key, labels, at)
        if enough:
            self.admit(tx, rule, key, enough, (alert, labels))

    def admit(
        self,
        tx: Transaction,
        rule: Rule,
        key: GroupKey,
        alerts: list[Alert],
        newest: tuple[Alert, Mapping[str, str]] | None,
    ) -> None:
        """As many as it takes: they reopen the incident of their key, or open a fresh one. `newest` has just come, with
        its labels, and is saved by whoever brought it."""
        told = [(one, newest[1] if newest is not None and one is newest[0] else one.full_labels()) for one in alerts]
        incident = self._state.newest(rule.name, key)
        if incident is not None and incident.open and self.window_open(tx, incident, tx.now):
            because = "joined"  # it was reopened while these waited
        elif incident is not None and self.reopens(incident, tx.now):
            self.reopen(tx, incident, "alerts came back within reopen_within")
            because = "reopened"
        else:
            incident = self.open(tx, rule, key, told[0][1], incident.id if incident is not None else "")
            because = _OPENED_BY.get(type(rule.open_when), "counted")
        for alert, labels in told:
            self.join(tx, incident, alert, labels, because)
            if newest is None or alert is not newest[0]:
                tx.save(alert)

    def set_aside(self, tx: Transaction, incident: Incident | None, alert: Alert) -> bool:
        """A new episode that is suppressed: a member of the open incident that would take it; whether it is."""
        if incident is None or not incident.open or not self._takes(incident, alert, tx.now):
            return False
        self.hush.set_aside(tx, incident, alert)
        return True

    def release(self, tx: Transaction, alert: Alert, labels: Mapping[str, str]) -> bool:
        """A suppressed alert goes on, in its incident if that would take it in now. Otherwise it is in none from here
        on; False."""
        incident = self._state.incidents.get(alert.incident)
        if incident is None:
            return False
        if incident.state is IncidentState.CLOSED and alert.seen_off:
            self._stays_closed(tx, incident, alert)
            return True
        if not self._keeps(incident, alert, tx.now):
            self.unrelate(tx, incident, alert)
            self.hush.detach(tx, incident, alert)
            self.plan_leave(incident, tx.now)
            return False
        if not incident.open:
            self.reopen(tx, incident, "a member that was suppressed goes on within reopen_within")
        if self.hush.release(tx, incident, alert):
            self._take_in(tx, incident, labels)
            self._state.recount(incident)
        else:  # its sender may have said more of it meanwhile
            self.weigh_in(incident, self.rule_of(incident), labels)
        self.mark_changed(incident, alert)
        return True

    def _stays_closed(self, tx: Transaction, incident: Incident, alert: Alert) -> None:
        """A person was done with it while it fired aloud: that it was quiet since changes nothing."""
        self.hush.release(tx, incident, alert)
        because = f"{alert.seen_off}; it is news again after ending and firing anew"
        tx.say(incident, "not_notified", f"not notified of {named([alert])}: anybody, because {because}")

    def unrelate(self, tx: Transaction, incident: Incident, alert: Alert) -> None:
        """A member leaves: nothing is compared with it there any more, and what came in by it came in by none."""
        tied = set(self._relator.leave(incident.id, alert.id))
        for one in self._state.members[incident.id] if tied else ():
            if one.id in tied:
                one.tied_to = 0
                tx.save(one)

    def mute(self, tx: Transaction, alert: Alert) -> None:
        """An alert that fires is suppressed from now on. One that waits to open an incident counts no more."""
        if alert.counted_at is not None:
            self.openings.suppressed(alert)
        incident = self._state.incidents.get(alert.incident)
        if incident is not None:
            self.hush.mute(tx, incident, alert)
            self.mark_changed(incident, alert)

    def _keeps(self, incident: Incident, alert: Alert, now: datetime) -> bool:
        """One that came suppressed is placed anew where the rule has `relate`, for it has not linked anything yet, and
        where it would have to be one of several that open the incident again."""
        rule, fresh = self.rule_of(incident), alert.joined_because == "suppressed"
        if fresh and (rule.relate is not None or (rule.open_when is not None and not incident.open)):
            return False
        if not incident.open:
            return self.reopens(incident, now)
        return not alert.aside or self._takes(incident, alert, now)

    def _takes(self, incident: Incident, alert: Alert, now: datetime) -> bool:
        """Whether its window is open for the alert, which may be a member already."""
        others = len(self._state.members[incident.id]) - (alert.incident == incident.id)
        return not window_end(incident, self.rule_of(incident).window, others, self._placed_at(alert, now))

    def _placed_at(self, alert: Alert, now: datetime) -> datetime:
        """When it counts as having come, for windows."""
        at = alert.starts_at
        if at >= now:
            return now
        earliest = now - self._ruleset.bounds.lateness
        return max(earliest, at)

    def takes_back(self, alert: Alert, now: datetime) -> bool:
        """Whether an episode that fires again is still one with its incident."""
        incident = self._state.incidents.get(alert.incident)
        return incident is not None and (incident.open or self.reopens(incident, now))

    def revive(self, tx: Transaction, alert: Alert) -> None:
        """The same episode fires again, in the same incident; no new page while that is open."""
        incident = self._state.incidents[alert.incident]
        if alert.flapping_since is not None:  # it counted as firing all along
            incident.firing -= 1
            incident.ended += 1
        if alert.suppressed_by:
            self.hush.fires_aside(tx, incident, alert)
            return
        if not incident.open:
            self.reopen(tx, incident, "a member fires again within reopen_within")
        incident.firing += 1
        incident.ended -= 1
        self.mark_changed(incident, alert)
        tx.touch(incident).revived.append(alert)
        self.weigh_in(incident, self.rule_of(incident), alert.full_labels())

    def restate(self, tx: Transaction, alert: Alert, before: Mapping[str, str]) -> None:
        """A member's sender says other labels of it than `before`. It stays where it is; its new urgency counts."""
        incident = self._state.incidents.get(alert.incident)
        if incident is None or not incident.open:
            return
        labels, rule = alert.full_labels(), self.rule_of(incident)
        kept = {n: v for n, v in incident.labels.items() if n in rule.labels or labels.get(n) == v}
        words = [f"{name} is {labels.get(name) or 'not said'} now, was {before.get(name) or 'not said'}"
                 for name in priority.LABELS if labels.get(name) != before.get(name)]  # fmt: skip
        if not words and len(kept) == len(incident.labels):
            return
        incident.labels = kept
        if words:
            self.mark_changed(incident, alert)
        if alert.firing and not alert.suppressed_by:
            self.weigh_in(incident, rule, labels)
        tx.touch(incident).restated.append((alert, ", ".join(words)))

    def moved(self, alert: Alert, began_at: datetime) -> None:
        """A member began earlier than was known, which was `began_at`."""
        if alert.incident and alert.starts_at < min(began_at, alert.received_at):
            self._relator.moved(alert.incident, alert.id, alert.starts_at.timestamp())

    def clear(self, tx: Transaction, alert: Alert, because: str) -> None:
        """A member has ended, or one that waits to be one. One that flaps counts as firing all the same."""
        if alert.flapping_since is not None:
            return
        if alert.counted_at is not None:
            self.openings.ended(alert)
            return
        incident = self._state.incidents.get(alert.incident)
        if incident is None:
            return
        self.plan_leave(incident, tx.now)
        if not alert.suppressed_by:
            incident.firing -= 1
            incident.ended += 1
        elif not self.hush.clear(tx, incident, alert, because):
            return
        incident.active_at = tx.now
        self.mark_changed(incident, alert)
        tx.touch(incident).cleared.append((alert, because))

    def join(self, tx: Transaction, incident: Incident, alert: Alert, labels: Mapping[str, str], because: str) -> None:
        if not self._state.members[incident.id]:
            incident.summary = sys.intern(alert.annotation_map().get("summary", ""))  # many incidents' are one rule's
        alert.incident = incident.id
        alert.joined_at = tx.now
        alert.joined_because = because
        self._state.add_member(incident, alert)
        flaps = alert.flapping_since is not None
        if flaps or alert.firing:
            incident.firing += 1
            incident.flapping += flaps
        else:
            incident.ended += 1
        self.mark_changed(incident, alert)
        self._take_in(tx, incident, labels)
        touched = tx.touch(incident)
        touched.join(alert)
        if alert.other_labels is None:  # else it may be restated before it is told of
            touched.names[alert.id] = labels.get("alertname", NAMELESS)

    def _take_in(self, tx: Transaction, incident: Incident, labels: Mapping[str, str]) -> None:
        """A new member's say, and what it leaves common to all."""
        incident.active_at = tx.now
        rule = self.rule_of(incident)
        common = incident.labels
        for name, value in common.items():
            if labels.get(name) != value and name not in rule.labels:
                incident.labels = {n: v for n, v in common.items() if n in rule.labels or labels.get(n) == v}
                break
        self.weigh_in(incident, rule, labels)

    def mark_changed(self, incident: Incident, alert: Alert) -> None:
        incident.changed += 1
        alert.changed = incident.changed
