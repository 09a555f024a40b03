"""What the store kept, as the engine's state."""

from __future__ import annotations

from imd.core.state import State, restore
from imd.store.contract import Snapshot


def restored(snapshot: Snapshot) -> State:
    return restore(
        snapshot.store_id,
        snapshot.alerts,
        snapshot.incidents,
        snapshot.last_alert_id,
        snapshot.last_number,
        snapshot.silences,
        snapshot.beats,
        snapshot.presence,
        snapshot.alive_at,
        snapshot.overrides,
        snapshot.turns,
        snapshot.digests,
    )
