"""Times as a person types and reads them. Knows no clock: the time is an argument."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from imd.cli.failure import Misused

_UNITS = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}
_DURATION_CHARS_MAX = 40


def stamp(at: datetime) -> str:
    """RFC 3339 in UTC, to the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ago(at: datetime, now: datetime) -> str:
    """How long ago, in its two largest units: `40s`, `3m`, `2h05m`, `4d03h`. A time ahead is `0s`."""
    seconds = max(0, int((now - at).total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if days:
        return f"{days}d{hours % 24:02}h"
    if hours:
        return f"{hours}h{minutes % 60:02}m"
    return f"{minutes}m" if minutes else f"{seconds}s"


def since(text: str, now: datetime) -> str:
    """RFC 3339 for `24h` (so long ago), `1h30m`, or an RFC 3339 time itself. Raises Misused."""
    length = _length(text)
    if length is not None:
        try:
            return stamp(now - length)
        except OverflowError:
            raise Misused(f"{text} ago is before all time") from None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Misused(f"--since wants a time (2026-01-31T09:00:00Z) or how long ago (24h), not {text!r}") from None
    return stamp(at if at.tzinfo else at.replace(tzinfo=UTC))


def _length(text: str) -> timedelta | None:
    """Prometheus's durations: numbers with units, the largest first; None where it is none."""
    seconds, digits = 0, ""
    units = list(_UNITS)
    if not 0 < len(text) <= _DURATION_CHARS_MAX:
        return None
    for char in text:
        if char.isascii() and char.isdigit():
            digits += char
        elif digits and char in units:
            seconds += int(digits) * _UNITS[char]
            units, digits = units[units.index(char) + 1 :], ""
        else:
            return None
    try:
        return timedelta(seconds=seconds) if not digits else None
    except OverflowError:
        return None
