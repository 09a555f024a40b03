"""`imd serve` with a wall clock that can be set: `python -m tests.faults.shifted serve …`.

At SIGUSR1 it reads `offset` in its working directory, seconds from the machine's time. As where somebody sets the clock
of a machine, monotonic time does not notice.
"""

from __future__ import annotations

import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from imd import clock
from imd.cli.main import main

OFFSET = Path("offset")
_offset = timedelta(0)


def _read(*_signal: object) -> None:
    global _offset
    if OFFSET.exists():
        _offset = timedelta(seconds=float(OFFSET.read_text()))


if __name__ == "__main__":
    _read()
    clock.SystemClock.now = lambda _self: datetime.now(UTC) + _offset  # type: ignore[method-assign]
    signal.signal(signal.SIGUSR1, _read)
    sys.exit(main())
