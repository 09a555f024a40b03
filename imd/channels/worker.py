"""One thread for calls that may block for ever: a full pipe, a stuck disk.

Owns the waiting, not the work. The event loop's shared pool will not do: a few stuck calls would fill it and hold up
everybody else's. Here a stuck call holds up its own receiver, whose further sends are told at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable

from imd.channels.contract import Answer, Temporary

Work = Callable[[], Answer]


class _Job:
    """A call and its answer. `started` and `abandoned` decide who wins when time runs out."""

    def __init__(self, work: Work, loop: asyncio.AbstractEventLoop) -> None:
        self.work = work
        self.loop = loop
        self.answer: asyncio.Future[Answer] = loop.create_future()
        self.lock = threading.Lock()
        self.started = False
        self.abandoned = False

    def run(self) -> None:
        with self.lock:
            if self.abandoned:
                return
            self.started = True
        answer = self.work()
        with contextlib.suppress(RuntimeError):  # the loop has ended and nobody listens
            self.loop.call_soon_threadsafe(self._settle, answer)

    def _settle(self, answer: Answer) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)

    def abandon(self) -> bool:
        """Gives up waiting; True if the call had begun and may yet take effect."""
        with self.lock:
            self.abandoned = True
            return self.started


class Worker:
    """Runs calls one after another in a daemon thread, which starts with the first."""

    def __init__(self, name: str, timeout_seconds: float) -> None:
        self._name = name
        self._timeout_seconds = timeout_seconds
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def run(self, work: Work) -> Answer:
        """`work`'s own answer, or Temporary when time runs out: ambiguous if it had begun. `work` must not raise."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name=f"imd-{self._name}", daemon=True)
            self._thread.start()
        job = _Job(work, asyncio.get_running_loop())
        self._jobs.put(job)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await job.answer
        except TimeoutError:
            return Temporary(f"not written within {self._timeout_seconds:g} s", ambiguous=job.abandon())
        except asyncio.CancelledError:
            job.abandon()
            raise

    def close(self) -> None:
        """Lets the thread end after what is queued."""
        self._jobs.put(None)

    def _loop(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.run()
