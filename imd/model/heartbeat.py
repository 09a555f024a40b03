"""Heartbeats: senders that speak regularly, and whose silence is an incident.

Owns the words: what is awaited, and the record of when it last came. When a beat is missing is `core.heartbeats`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from imd.model.incident import Priority
from imd.model.rule import Match

MISSING = "HeartbeatMissing"
"""alertname of the alert that imd raises itself, under its own source, while a beat is missing."""

OWN_SOURCE = "imd"
"""imd's own faults are alerts of this source."""

RULE_PREFIX = "heartbeat:"
"""How the names of heartbeats' built-in rules begin."""

By = tuple[tuple[str, str], ...]
"""The values of a heartbeat's `by` labels; () without any."""


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """A beat is awaited each `every`, and missed `grace` after that. `match` () is fed by HTTP alone. `by`: one for
    each combination of these labels' values, from its first beat on; without it one, awaited from the start."""

    name: str
    every: timedelta
    match: Match = ()
    by: tuple[str, ...] = ()
    grace: timedelta = timedelta(minutes=1)
    priority: Priority = Priority.P2
    where: str = ""

    @property
    def rule(self) -> str:
        """Name of the built-in rule of its incidents."""
        return f"{RULE_PREFIX}{self.name}"


class Beat(msgspec.Struct, kw_only=True):
    """One heartbeat's record. Mutable; only `core.heartbeats` writes to it. `beat_at` is None before the first beat."""

    heartbeat: str
    by: By
    beat_at: datetime | None
    due_at: datetime
    missing: bool = False
