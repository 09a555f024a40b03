"""Times as a person reads them. Knows no clock: the time is an argument."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


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


def moment(text: str) -> datetime:
    """RFC 3339 with its zone. Raises ValueError with what is wrong."""
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"{text[:40]!r} is no instant with its zone, such as 2026-01-01T00:00:00Z")


def since(text: str, now: datetime) -> datetime:
    """An instant, or how long ago (`30d`). Raises ValueError."""
    from imd.config.syntax import BadDuration, parse_duration

    try:
        ago_: timedelta = parse_duration(text)
        return now - ago_
    except (BadDuration, OverflowError):
        pass
    try:
        return moment(text)
    except ValueError:
        raise ValueError(f"{text[:40]!r} is neither how long ago (30d) nor an instant with its zone") from None
