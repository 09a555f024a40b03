"""Storms of pages: from when on pages to one receiver become digests, and the record of a receiver's digests."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec


class Storm(msgspec.Struct, frozen=True, kw_only=True):
    """More than `pages` in `per` to one receiver that people read become a digest."""

    enabled: bool = True
    pages: int = 3
    per: timedelta = timedelta(seconds=60)


class Digests(msgspec.Struct, kw_only=True):
    """One receiver's. Mutable; only `core.digests` writes to it. Which pages wait, or are in the one under way, stands
    with the incidents (`Awaited.digest`, `Told.news`).

    `recent` are the instants of the last pages, single ones and others, no more than the storm counts. `count` is of
    digests ever, `sent` the one under way, `last_at` when the last one left, `due_at` when the next one does.
    `called_back`: the one under way is to end, and to leave again as things stand then.

    Of a receiver that programs read (core.backlog): `down`, it did not take something in `stale_after` and has taken
    nothing since; `singly`, the pages under way that waited before.
    """

    receiver: str
    recent: list[datetime] = []
    count: int = 0
    sent: str = ""
    called_back: bool = False
    last_at: datetime | None = None
    due_at: datetime | None = None
    down: bool = False
    singly: list[str] = []
