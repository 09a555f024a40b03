"""`imd serve` whose event loop hangs for a minute at SIGUSR2: `python -m tests.faults.stuck serve …`."""

from __future__ import annotations

import signal
import sys
import time

from imd.cli.main import main

STUCK_SECONDS = 60.0

if __name__ == "__main__":
    signal.signal(signal.SIGUSR2, lambda *_signal: time.sleep(STUCK_SECONDS))
    sys.exit(main())
