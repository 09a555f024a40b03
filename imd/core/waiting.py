"""Alerts that wait before an incident opens: who joins them, who leaves, and when they are enough.

Owns the bookkeeping of open_when under every rule and group key; the windows' arithmetic is `opening`. What waits says
so on the alert and is saved with it, so a restart finds it again: `adopt` puts each back where it was. It is bounded by
the rule's max_alerts (the oldest goes) and leaves with its window.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from imd.core import keeping
from imd.core.correlate import GroupKey, group_key
from imd.core.matching import Filed
from imd.core.opening import Condition, Waiting
from imd.core.state import AT_ONCE, Due, State
from imd.core.transaction import Transaction
from imd.model.alert import Alert
from imd.model.policy import Ruleset
from imd.model.rule import Absent, Rule, Test, match_test

Place = tuple[str, GroupKey]
"""A rule's name and a group key."""


class Openings:
    """The state's waiting alerts under one ruleset."""

    def __init__(self, ruleset: Ruleset, state: State) -> None:
        self._state = state
        self._lateness = ruleset.bounds.lateness
        self._rules = {rule.name: rule for rule in ruleset.rules if rule.open_when is not None}
        self._conditions = {name: Condition(rule.open_when) for name, rule in self._rules.items() if rule.open_when}
        self._follow_ups: Filed[Rule] = Filed(
            (rule.open_when.match, rule) for rule in ruleset.rules if isinstance(rule.open_when, Absent)
        )
        self._is_follow_up: dict[str, Test] = {
            rule.name: match_test(rule.open_when.match)
            for rule in ruleset.rules
            if isinstance(rule.open_when, Absent) and rule.open_when.match
        }

    # -- alerts come and go ---------------------------------------------------------------------------------------

    def arrive(
        self, tx: Transaction, alert: Alert, rule: Rule, key: GroupKey, labels: Mapping[str, str], at: datetime
    ) -> list[Alert]:
        """Counts a new episode. Those with which the incident opens, in order; none while they wait."""
        condition, place = self._conditions[rule.name], (rule.name, key)
        token = self._token(alert, rule, place, labels, at)
        if token is None:
            return []
        waiting = self._state.waiting.get(place)
        if waiting is None:
            waiting = self._state.waiting[place] = Waiting(condition)
        entry = waiting.add(alert, at, token)
        alert.counted_at, alert.waiting, alert.seen_off = at, condition.words, ""
        if waiting.full(entry):
            return self._release(place)
        while len(waiting.entries) > rule.window.max_alerts:
            self._in_vain(tx, waiting.take_oldest())
        self._arm(place, waiting)
        return []

    def ended(self, alert: Alert) -> None:
        """A waiting alert has ended: where only those that fire count, it leaves."""
        place = self._place(alert)
        waiting = self._state.waiting.get(place)
        if waiting is not None and not waiting.condition.keeps_ended:
            waiting.discard(alert)
            _leaves(alert, f"ended before it was one of {alert.waiting}")
            if not waiting.entries:
                del self._state.waiting[place]

    def suppressed(self, alert: Alert) -> None:
        """A waiting alert is suppressed: it counts towards nothing until it goes on, as if it had just come."""
        place = self._place(alert)
        waiting = self._state.waiting.get(place)
        if waiting is not None:
            waiting.discard(alert)
            if not waiting.entries:
                del self._state.waiting[place]
        _leaves(alert, f"was suppressed before it was one of {alert.waiting}")

    def follow_up(self, tx: Transaction, alert: Alert, labels: Mapping[str, str]) -> None:
        """What some rule with `absent` waits for has come, if this is it."""
        if not self._follow_ups:
            return
        at = _begun(alert, self._lateness)
        for rule in self._follow_ups.find(labels):
            place = (rule.name, group_key(rule, labels))
            self._note_follow_up(place, at, tx.now)
            waiting = self._state.waiting.get(place)
            for other in waiting.alerts if waiting is not None else ():
                if waiting is None or min(_counted(other), _begun(other, self._lateness)) > at:
                    continue
                waiting.discard(other)
                _leaves(other, f"what it waited for came: {labels.get('alertname', 'an alert')}")
                tx.save(other)
            if waiting is not None and not waiting.entries:
                del self._state.waiting[place]

    # -- time -----------------------------------------------------------------------------------------------------

    def look(self, tx: Transaction, place: Place) -> list[Alert]:
        """A deadline of these: those with which an incident opens now; others leave with their window."""
        waiting = self._state.waiting.get(place)
        if waiting is None:
            return []
        if waiting.unjudged:
            waiting.unjudged = False
            if waiting.ever_full() and any(alert.firing for alert in waiting.alerts):
                return self._release(place)
        if waiting.look_at is None or waiting.look_at > tx.at:
            return []  # planned for what waited there before
        waiting.look_at = None
        while (due := waiting.next_look(self._lateness)) is not None and due <= tx.at:
            if isinstance(waiting.condition.when, Absent):
                return self._release(place)
            self._in_vain(tx, waiting.take_oldest())
        if waiting.entries:
            self._arm(place, waiting)
        else:
            del self._state.waiting[place]
        return []

    def put_off(self, tx: Transaction, until: datetime) -> None:
        """Nothing opens for want of a follow-up before then: imd was away and may have missed it."""
        for place, waiting in self._awaiting():
            span = waiting.condition.span
            early = [alert for alert in waiting.alerts if _counted(alert) + span < until]
            self._move(tx, place, [(alert, until - span) for alert in early])

    def shift(self, tx: Transaction, by: timedelta) -> None:
        """The clock was set: what a follow-up has left of its time, it still has."""
        for place, waiting in self._awaiting():
            self._move(tx, place, [(alert, _counted(alert) + by) for alert in waiting.alerts])

    # -- restart and reload ---------------------------------------------------------------------------------------

    def take_over(self, before: Openings) -> list[Alert]:
        """After a reload: what waits under a rule that changed is put where the new one wants it. See adopt."""
        moved: list[Alert] = []
        for place, waiting in list(self._state.waiting.items()):
            if self._rules.get(place[0]) != before._rules.get(place[0]):
                moved += waiting.alerts
                del self._state.waiting[place]
        return self.adopt(moved)

    def adopt(self, alerts: Iterable[Alert]) -> list[Alert]:
        """Puts waiting alerts back, and judges them by the present rules at the next step. Those whose rule does not
        wait any more are handed back."""
        homeless: list[Alert] = []
        for alert in sorted(alerts, key=lambda one: one.id):
            rule, labels = self._rules.get(alert.rule), alert.placed_labels()
            token = self._conditions[rule.name].stands_for(labels) if rule is not None else None
            if rule is None or token is None:
                _leaves(alert, "")
                homeless.append(alert)
                continue
            place = (rule.name, group_key(rule, labels))
            waiting = self._state.waiting.get(place)
            if waiting is None:
                waiting = self._state.waiting[place] = Waiting(self._conditions[rule.name])
                waiting.unjudged = True
                self._state.remind(self._state.at or AT_ONCE, Due.WAITING, place)
            assert alert.counted_at is not None
            alert.waiting = waiting.condition.words
            waiting.add(alert, alert.counted_at, token)
            self._arm(place, waiting)
        return homeless

    def recall_follow_ups(self, alerts: Iterable[Alert]) -> None:
        """After a restore: follow-ups that came just before it may be older than what comes just after."""
        if not self._follow_ups:
            return
        for alert in alerts:
            labels = alert.placed_labels()
            for rule in self._follow_ups.find(labels):
                place = (rule.name, group_key(rule, labels))
                self._note_follow_up(place, _begun(alert, self._lateness), alert.received_at)

    # -- within ---------------------------------------------------------------------------------------------------

    def _token(self, alert: Alert, rule: Rule, place: Place, labels: Mapping[str, str], at: datetime) -> str | None:
        """What the alert stands for; None, and why on the alert, where it does not count."""
        condition = self._conditions[rule.name]
        token = condition.stands_for(labels)
        if token is None:
            alert.seen_off = f"stands for none of {condition.words}, which rule {rule.name} waits for"
            return None
        is_follow_up = self._is_follow_up.get(rule.name)
        if is_follow_up is not None and is_follow_up(labels):
            alert.seen_off = f"is what rule {rule.name} waits for"
            return None
        came_at = self._state.follow_ups.get(place)
        if came_at is not None and came_at >= at:
            alert.seen_off = "what it would have waited for had come already"
            return None
        return token

    def _note_follow_up(self, place: Place, at: datetime, now: datetime) -> None:
        """Remembered for `lateness`: what it answers may come after it."""
        known = self._state.follow_ups
        known[place] = max(at, known.pop(place, at))
        while known and (oldest := next(iter(known))) and known[oldest] < now - 2 * self._lateness:
            del known[oldest]

    def _place(self, alert: Alert) -> Place:
        rule = self._rules.get(alert.rule)
        return (alert.rule, group_key(rule, alert.placed_labels()) if rule is not None else ())

    def _awaiting(self) -> list[tuple[Place, Waiting]]:
        """Those that wait for something not to come."""
        return [(place, one) for place, one in self._state.waiting.items() if isinstance(one.condition.when, Absent)]

    def _move(self, tx: Transaction, place: Place, moved: list[tuple[Alert, datetime]]) -> None:
        waiting = self._state.waiting[place]
        for alert, at in moved:
            waiting.discard(alert)
            alert.counted_at = at
            waiting.add(alert, at, "")
            tx.save(alert)
        self._arm(place, waiting)

    def _release(self, place: Place) -> list[Alert]:
        """All that wait there, in order of coming, which is the order of members: an incident takes them."""
        alerts = sorted(self._state.waiting.pop(place).alerts, key=lambda alert: alert.id)
        for alert in alerts:
            alert.counted_at = None
        return alerts

    def _in_vain(self, tx: Transaction, alert: Alert) -> None:
        _leaves(alert, f"waited in vain for {alert.waiting}")
        tx.count("alerts_waited_in_vain_total", alert.rule)
        tx.save(alert)
        if alert.firing:
            return
        if self._state.alerts.get(alert.identity.key) is alert:
            keeping.plan_leave(self._state, alert, tx.now)
        else:  # a later episode has taken its place
            keeping.forget(tx, self._state, alert)

    def _arm(self, place: Place, waiting: Waiting) -> None:
        due = waiting.next_look(self._lateness)
        if due is not None and (waiting.look_at is None or due < waiting.look_at):
            waiting.look_at = due
            self._state.remind(due, Due.WAITING, place)


def _leaves(alert: Alert, because: str) -> None:
    alert.counted_at, alert.waiting, alert.seen_off = None, "", because


def _counted(alert: Alert) -> datetime:
    assert alert.counted_at is not None
    return alert.counted_at


def _begun(alert: Alert, lateness: timedelta) -> datetime:
    """When it began, as far as lateness allows: what puts a deadline off does not move this."""
    return min(max(alert.starts_at, alert.received_at - lateness), alert.received_at)
