"""What the store kept, as the engine's state, and what it lacks."""

from __future__ import annotations

from datetime import datetime

import structlog

from imd.core.state import State, restore
from imd.daemon.ownalert import state_lost
from imd.model.event import AlertsReported
from imd.store.contract import Snapshot
from imd.telemetry import Log

_log = structlog.get_logger()


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


def said_lost(snapshot: Snapshot, now: datetime) -> list[AlertsReported]:
    """What pages somebody, where commits are missing or may be."""
    if snapshot.lost_at is None:
        return []
    _log.error(Log.STATE_LOST, at=snapshot.lost_at.isoformat(), log_gone=snapshot.lost_log)
    return [state_lost(snapshot.lost_at, now, log=snapshot.lost_log)]


def log_restored(snapshot: Snapshot) -> None:
    _log.info(
        Log.ENGINE_RESTORED,
        alerts=len(snapshot.alerts),
        incidents=len(snapshot.incidents),
        silences=len(snapshot.silences),
        deliveries=len(snapshot.deliveries),
    )
