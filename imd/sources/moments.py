"""Instants as senders write them.

Owns the forms that are read without being told: ISO 8601 in its variants, and counts since 1970 by their size. What is
none of them is no instant; the alert then counts from its receipt.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo

_ISO = re.compile(
    r"(\d{4})[-./](\d{1,2})[-./](\d{1,2})(?:[T ]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d+))?)?)?"
    r"\s*(Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?Z?",  # `+00:00Z` is what Python programs make of isoformat() + "Z"
    re.IGNORECASE | re.ASCII,
)
_NUMBER = re.compile(r"(\d{1,20})(?:\.(\d+))?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = ((10**11, 1), (10**14, 1000), (10**17, 10**6))
_CHARS_MAX = 100


def read_instant(text: str, zone: tzinfo = UTC, pattern: str = "") -> datetime | None:
    """The instant, or None. `zone` is that of times that name none; `pattern` is strptime's, for other forms."""
    text = text.strip()
    if not text or len(text) > _CHARS_MAX:
        return None
    try:
        if pattern:
            return _aware(datetime.strptime(text, pattern), zone)  # noqa: DTZ007 - _aware gives it one
        if found := _NUMBER.fullmatch(text):
            return _counted(int(found[1]), found[2] or "")
        if found := _ISO.fullmatch(text):
            return _iso(found, zone)
    except (ValueError, OverflowError):
        return None
    return None


def _aware(value: datetime, zone: tzinfo) -> datetime:
    return (value.replace(tzinfo=zone) if value.tzinfo is None else value).astimezone(UTC)


def _counted(whole: int, fraction: str) -> datetime | None:
    """0 is what senders write for "not set"."""
    if whole == 0:
        return None
    per_second = next((unit for bound, unit in _UNITS if whole < bound), 10**9)
    micros = whole * 10**6 // per_second
    if fraction and per_second == 1:
        micros += int(f"{fraction:0<6}"[:6])
    return _EPOCH + timedelta(microseconds=micros)


def _iso(found: re.Match[str], zone: tzinfo) -> datetime:
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    value = datetime(
        int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0),
        int(f"{fraction or '':0<6}"[:6]), tzinfo=_offset(offset) if offset else zone,
    )  # fmt: skip
    return value.astimezone(UTC)


def _offset(text: str) -> tzinfo:
    if text[0] not in "+-":
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    away = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(away if text[0] == "+" else -away)
