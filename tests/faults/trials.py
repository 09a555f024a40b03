"""How often a fault is injected: a few times in `make test`, for hours in `make faults`. And what came of it."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence

LONG = os.environ.get("IMD_FAULTS") == "long"


def trials(quick: int, long: int) -> int:
    return long if LONG else quick


def spread(seconds: Sequence[float]) -> str:
    """`p50 12 ms, p95 20 ms, max 31 ms`."""
    if not seconds:
        return "never"
    ordered = sorted(seconds)
    slow = ordered[max(0, round(0.95 * len(ordered)) - 1)]
    return f"p50 {statistics.median(ordered) * 1000:.0f} ms, p95 {slow * 1000:.0f} ms, max {ordered[-1] * 1000:.0f} ms"


def share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({100 * part / max(whole, 1):.1f} %)"
