"""What of the alerts reaches the disk late, and what leaves memory: repeats by the batch, ended alerts of no incident.

Owns the slices: neither holds a step for long.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from imd.core.state import Due, State
from imd.core.transaction import Transaction
from imd.model.alert import Alert
from imd.model.effect import ForgetAlert, SavePresence, SaveSeen

ENDED_KEPT = timedelta(minutes=10)  # an ended alert without an incident stays in memory so long, for late reports
SEEN_MAX = 2000  # alerts in one SaveSeen; the rest is due again at once


def flush_seen(tx: Transaction, state: State) -> None:
    """Saves what repeats moved since the last time, and who was heard."""
    if state.heard_moved:
        save_presence(tx, state)
    unseen = state.unseen
    taken = [unseen.pop(alert_id) for alert_id in list(unseen)[:SEEN_MAX]]
    if taken:
        tx.effects.append(SaveSeen(tuple(taken)))
    state.flush_at = None
    if unseen:
        state.flush_at = tx.now
        state.remind(tx.now, Due.FLUSH, None)


def save_presence(tx: Transaction, state: State) -> None:
    state.heard_moved = False
    tx.effects.append(SavePresence(state.presence()))


def plan_leave(state: State, alert: Alert, now: datetime) -> None:
    """Looks at an ended alert once it may leave memory."""
    state.remind(max(now, _leaves_at(alert)), Due.FORGET_ALERT, alert)


def leave(tx: Transaction, state: State, alert: Alert) -> None:
    """An ended alert leaves memory, if it is in no incident and does not wait for one."""
    if alert.firing or alert.incident or alert.counted_at is not None or not state.holds(alert):
        return
    if tx.now < _leaves_at(alert):  # planned before it was heard of again
        plan_leave(state, alert, tx.now)
    else:
        forget(tx, state, alert)


def forget(tx: Transaction, state: State, alert: Alert) -> None:
    """An ended alert of no incident is no more."""
    state.leave(alert)
    state.unseen.pop(alert.id, None)
    tx.effects.append(ForgetAlert(alert.id, keep=False))


def _leaves_at(alert: Alert) -> datetime:
    """The same instant before and after a restart."""
    return max(alert.seen_at, alert.ended_at or alert.seen_at) + ENDED_KEPT
