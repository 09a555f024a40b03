"""The store's writer gets its turn of the interpreter, however busy the event loop is.

Owns one habit. A thread that waits for the interpreter's lock asks for it once it saw no sign of it for 5 ms; but each
system call of the loop gives it up for a microsecond, which is such a sign, and over before the waiter is awake. So a
loop that never rests, as in a flood of cheap requests, can keep the writer waiting without bound, and with it each
answer and page behind its commit. Where a commit is under way for longer than EVERY_SECONDS, and the loop worked for
most of them, it rests for as long as the writer needs to wake and do some work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import sleep, thread_time

EVERY_SECONDS = 0.005
REST_SECONDS = 0.00025
BUSY = 0.5  # so much of its time a loop works that is not waited for: else the lock is free as often


class Fairness:
    """`under_way` says whether the writer has something to do. For the event loop's thread alone."""

    def __init__(self, under_way: Callable[[], bool]) -> None:
        self._under_way = under_way
        self._planned = False
        self._worked = 0.0

    def watch(self) -> None:
        """A commit has gone to the writer."""
        if not self._planned:
            self._planned = True
            self._worked = thread_time()
            asyncio.get_running_loop().call_later(EVERY_SECONDS, self._look)

    def _look(self) -> None:
        self._planned = False
        if self._under_way():
            if thread_time() - self._worked > EVERY_SECONDS * BUSY:
                sleep(REST_SECONDS)
            self.watch()
