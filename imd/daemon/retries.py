"""Attempts that failed for now, on their way to the store, so that a restart goes on where this process was.

Owns the rows not yet on disk: newest wins for each delivery, one batch at a time. Losing them loses no page: a restart
then tries sooner. So nobody waits for them, and a store that is down is simply asked again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import msgspec

from imd.store.contract import Batch

RETRY_SECONDS = 1.0


class Commits(Protocol):
    """The one thing that retries need of a Store."""

    def commit(self, batch: Batch, done: Callable[[BaseException | None], None]) -> None: ...


class Row(msgspec.Struct, frozen=True):
    attempt: int
    next_attempt_at: datetime
    error: str
    ambiguous: bool


class RetryRows:
    """Keeps at most one batch in the store's queue; what comes meanwhile goes with the next."""

    def __init__(self, store: Commits) -> None:
        self._store = store
        self._waiting: dict[str, Row] = {}
        self._committing: dict[str, Row] = {}
        self._scheduled: asyncio.Handle | None = None
        self._idle: asyncio.Event = asyncio.Event()
        self._idle.set()

    def note(self, delivery: str, row: Row) -> None:
        """Attempt `row.attempt` of this delivery failed for now."""
        self._waiting[delivery] = row
        self._idle.clear()
        if not self._committing and self._scheduled is None:
            self._scheduled = asyncio.get_running_loop().call_soon(self._commit)

    def forget(self, delivery: str) -> None:
        """It ended; what was noted and is not on its way to disk is moot."""
        if self._waiting or self._committing:
            self._waiting.pop(delivery, None)
            self._committing.pop(delivery, None)

    async def flush(self, timeout_seconds: float) -> bool:
        """Waits until everything noted is on disk; False if time ran out before."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def _commit(self) -> None:
        self._scheduled = None
        if not self._waiting:
            self._idle.set()
            return
        self._committing, self._waiting = self._waiting, {}
        batch = Batch()
        for delivery, row in self._committing.items():
            batch.retry(delivery, row.attempt, row.next_attempt_at, row.error, row.ambiguous)
        loop = asyncio.get_running_loop()

        def done(error: BaseException | None) -> None:  # in the writer thread
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._committed, error)

        try:
            self._store.commit(batch, done)
        except Exception as error:  # noqa: BLE001  (a store that is down may say so at once)
            self._committed(error)

    def _committed(self, error: BaseException | None) -> None:
        failed = self._committing if error is not None else {}
        self._committing = {}
        self._waiting = {**failed, **self._waiting}
        loop = asyncio.get_running_loop()
        self._scheduled = loop.call_later(RETRY_SECONDS, self._commit) if failed else loop.call_soon(self._commit)
