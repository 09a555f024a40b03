"""When imd was there to listen, and when its sources spoke: what deadlines are judged by, over restarts too.

Owns the record's shape; who writes it is `core.hearing` and `core.timers`.
"""

from __future__ import annotations

from datetime import datetime

import msgspec


class Outage(msgspec.Struct, frozen=True, array_like=True):
    """imd itself was away between these instants."""

    alive_at: datetime
    back_at: datetime


class Spoke(msgspec.Struct, frozen=True, array_like=True):
    """When a source last spoke, and since when it has been speaking without a long gap."""

    heard_at: datetime
    back_at: datetime


class Presence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`outages`, oldest first, are those that some deadline may still be put off by. No suppressed alert goes on before
    `judge_after`: after a long outage the senders speak first. `sources` by name."""

    outages: tuple[Outage, ...] = ()
    judge_after: datetime | None = None
    sources: dict[str, Spoke] = {}
