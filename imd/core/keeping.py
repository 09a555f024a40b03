"""What of the alerts reaches the disk late, and what leaves memory: repeats by the batch, ended alerts of no incident.

Owns the slices: neither holds a step for long.
"""

from __future__ import annotations

from imd.core.state import Due, State
from imd.core.transaction import Transaction
from imd.model.alert import Alert
from imd.model.effect import ForgetAlert, SaveSeen

SEEN_MAX = 2000  # alerts in one SaveSeen; the rest is due again at once


def flush_seen(tx: Transaction, state: State) -> None:
    """Saves what repeats moved since the last time."""
    unseen = state.unseen
    taken = [unseen.pop(alert_id) for alert_id in list(unseen)[:SEEN_MAX]]
    if taken:
        tx.effects.append(SaveSeen(tuple(taken)))
    state.flush_at = None
    if unseen:
        state.flush_at = tx.now
        state.remind(tx.now, Due.FLUSH, None)


def forget_alert(tx: Transaction, state: State, alert: Alert) -> None:
    """An ended alert leaves memory, if it is in no incident and does not wait for one."""
    if alert.firing or alert.incident or alert.counted_at is not None:
        return
    if state.alerts.get(alert.identity.key) is alert:
        del state.alerts[alert.identity.key]
        state.unseen.pop(alert.id, None)
        tx.effects.append(ForgetAlert(alert.id, keep=False))
