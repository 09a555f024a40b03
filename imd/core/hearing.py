"""Who was heard and when, and which alerts end because they were not heard of any more.

Owns the deadlines of alerts and what each does when it is due. When an alert expires is `expiry`; what an end means to
its incident is `incidents`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from imd.core import expiry, journal, keeping
from imd.core.expiry import Heard
from imd.core.incidents import Incidents
from imd.core.state import Due, State
from imd.core.transaction import Transaction
from imd.model.alert import Alert, AlertState
from imd.model.effect import Journal
from imd.model.event import Expired
from imd.model.policy import Ruleset, Source
from imd.model.presence import Outage

DUE_MAX = 500  # deadlines taken in one step; the rest is due again at once, so that no step holds the loop for long

OUTAGES_MAX = 16
_EVER = datetime.min.replace(tzinfo=UTC)
_FIRING, _ALERT_DUE = AlertState.FIRING, Due.ALERT  # the way of every new alert: see model.alert

Ended = Callable[[Transaction, Alert], None]


class Hearing:
    """Works on the state's alerts under one ruleset. `ended` is told of each alert that expires, before its incident;
    without `expires` none does for want of repeats."""

    def __init__(self, ruleset: Ruleset, state: State, incidents: Incidents, ended: Ended, expires: bool) -> None:
        self._ruleset = ruleset
        self._state = state
        self._incidents = incidents
        self._ended = ended
        self._expires = expires
        self._sources = dict(ruleset.sources)

    def hear(self, name: str, now: datetime) -> None:
        """The source spoke."""
        state = self._state
        heard = state.heard.get(name)
        if heard is None:
            heard = state.heard[name] = Heard(now, now)
        else:
            heard.hear(now)
        state.heard_moved = True
        if state.flush_at is None:
            state.flush_at = now + self._ruleset.bounds.seen_flush
            state.remind(state.flush_at, Due.FLUSH, None)
        if state.stale.get(name):
            self._wake(name, max(now, heard.back_at + expiry.SETTLE))

    def watch(self, alert: Alert, now: datetime) -> None:
        """Arms the deadline of a firing alert, or the end of an ended one's stay in memory."""
        if alert.state is _FIRING:
            if not self._expires:
                return
            due = expiry.deadline(alert, self._source(alert.source), self._state.outages)
            latest = now + expiry.LOOK_EVERY
            self._state.remind(latest if due > latest else max(due, now), _ALERT_DUE, alert)
        elif not alert.incident:
            keeping.plan_leave(self._state, alert, now)

    def clock_set(self, now: datetime, by: timedelta) -> None:
        """What waits for a source's word is planned anew with that. Deadlines of alerts stand where they are, or later,
        and so the looks that are planned come in time. Earlier are those of what feeds a heartbeat, which was moved
        back with that, and of what is reported by the earlier time: the report plans these anew."""
        for heard in self._state.heard.values():
            heard.waking = False
        for feeders in self._state.feeders.values() if by < timedelta(0) else ():
            for alert in feeders.values():
                self.watch(alert, now)

    def watch_all(self, now: datetime) -> None:
        """Deadlines may be earlier than planned: sources have other terms."""
        for heard in self._state.heard.values():
            heard.waking = False
        for alert in self._state.alerts.values():
            if alert.firing:
                self.watch(alert, now)

    def away(self, tx: Transaction, since: datetime) -> None:
        """Nobody listened since then. Past outages that no alert's deadline is put off by any more are forgotten; of
        very many the oldest count as one."""
        state = self._state
        oldest = min((alert.seen_at for alert in state.alerts.values() if alert.firing), default=tx.now)
        outages = [one for one in state.outages if one.back_at > oldest]
        if len(outages) >= OUTAGES_MAX:
            outages[:2] = [Outage(outages[0].alive_at, outages[1].back_at)]
        state.outages = (*outages, Outage(min(since, tx.now), tx.now))

    def put_off_until(self, now: datetime) -> datetime:
        """The end of the newest outage. What is reported now and was seen before that, or by a clock that was set back
        since later than now, may have an earlier deadline than before: no outage puts it off any more."""
        return max((one.back_at for one in self._state.outages if one.back_at <= now), default=_EVER)

    def look(self, tx: Transaction, alert: Alert) -> None:
        """A deadline of the alert."""
        if not alert.firing:
            return
        heard = self._state.heard[alert.source]
        judged = expiry.judge(alert, self._source(alert.source), heard, self._state.outages, tx.now)
        if isinstance(judged, expiry.Expires):
            self._expire(tx, alert, judged)
            return
        if isinstance(judged, expiry.Settles):  # with all others that its source has until then to speak of
            self._state.stale.setdefault(alert.source, {})[alert.id] = alert
            self._wake(alert.source, judged.at)
            return
        if judged.stale:
            self._state.stale.setdefault(alert.source, {})[alert.id] = alert
        self._state.remind(min(judged.at, tx.now + expiry.LOOK_EVERY), Due.ALERT, alert)

    def expire_all(self, tx: Transaction, expired: Iterable[Expired]) -> None:
        """The alerts of these identities have expired, as somebody else saw."""
        for one in expired:
            alert = self._state.alerts.get(one.identity.key)
            if alert is not None and alert.firing:
                self._expire(tx, alert, expiry.Expires(one.at, one.because))

    def _wake(self, source: str, at: datetime) -> None:
        heard = self._state.heard[source]
        if not heard.waking:
            heard.waking = True
            self._state.remind(at, Due.SOURCE, source)

    def wake(self, tx: Transaction, source: str) -> None:
        """The source has spoken and had its time to speak of all: what it left out is looked at, in slices."""
        self._state.heard[source].waking = False
        stale = self._state.stale.get(source)
        if not stale:
            return
        before = len(stale)
        for alert_id in sorted(stale)[:DUE_MAX]:
            self.look(tx, stale.pop(alert_id))
        if 0 < len(stale) < before:  # none became clear: the clock was set back meanwhile, and the next word tells
            self._state.heard[source].waking = True
            self._state.remind(tx.now, Due.SOURCE, source)

    def ended(self, alert: Alert) -> None:
        """It fires no more, so there is nothing to be unclear about."""
        self._state.stale.get(alert.source, {}).pop(alert.id, None)

    def _expire(self, tx: Transaction, alert: Alert, expired: expiry.Expires) -> None:
        alert.state = AlertState.EXPIRED
        alert.ended_at = expired.at
        self._ended(tx, alert)
        tx.count("alerts_expired_total", alert.source)
        same = tx.expired
        tx.effects.append(Journal(tx.now, journal.expired(tx.now, alert, expired.at, expired.because, same)))
        tx.expired = True
        self._incidents.clear(tx, alert, expired.because)
        tx.save(alert)
        self.watch(alert, tx.now)

    def _source(self, name: str) -> Source:
        source = self._sources.get(name)
        if source is None:
            source = self._sources[name] = Source(name=name, type=name)
        return source
