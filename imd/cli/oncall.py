"""Who is on call, from a running daemon or from files alone; and the overrides that people set."""

from __future__ import annotations

import os
from argparse import Namespace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from imd.cli.failure import Failed, Misused
from imd.cli.remote import Daemon, read
from imd.cli.screen import Cell, Column, Screen
from imd.clock import SystemClock

DAYS_MAX = 366  # what the daemon gives at once
ICS_DAYS = 31
_NOBODY = Cell("nobody", "red")
_YEARS = (1970, 2200)


class Shift(msgspec.Struct):
    begins_at: datetime
    ends_at: datetime
    person: str | None
    because: str = ""


class Duty(msgspec.Struct):
    schedule: str
    timezone: str
    at: datetime
    person: str | None
    because: str = ""
    until: datetime | None = None
    next: str | None = None
    shifts: list[Shift] | msgspec.UnsetType = msgspec.UNSET


class _Duties(msgspec.Struct):
    items: list[Duty]


class _Override(msgspec.Struct):
    id: str | None
    schedule: str
    person: str
    starts_at: datetime
    ends_at: datetime
    state: str
    by: str | None = None
    ended_by: str | None = None
    comment: str = ""
    timezone: str = "UTC"


class _Overrides(msgspec.Struct):
    items: list[_Override]


def run(arguments: Namespace) -> int:
    screen = Screen.of_process()
    if arguments.override is None:
        return _show(screen, arguments)
    daemon = Daemon.of(arguments, os.environ)
    match arguments.verb:
        case "add":
            return _add(daemon, screen, arguments)
        case "remove":
            return _remove(daemon, screen, arguments)
        case _:
            return _list(daemon, screen, arguments)


# Who is on call.


def _show(screen: Screen, arguments: Namespace) -> int:
    if arguments.ics and arguments.json:
        raise Misused("--ics and --json are two forms of one answer; choose one")
    if (arguments.days or 0) > DAYS_MAX:
        raise Misused(f"--days is at most {DAYS_MAX}")
    at = None if arguments.at is None else _instant(arguments.at)
    if arguments.ics:
        print(_calendar(arguments, at or SystemClock().now()), end="")
        return 0
    content = _asked(arguments, at, arguments.days or 0)
    if arguments.json:
        print(content.decode())
        return 0
    duties = read(content, _Duties).items
    if arguments.days:
        _print_shifts(screen, duties)
    else:
        screen.list(_NOW, [_now_row(one) for one in duties], "no schedule is configured")
    return 0


def _calendar(arguments: Namespace, at: datetime) -> str:
    """Shifts that touch the span are whole: an answer is cut to its own, so a wider one is asked for."""
    from imd.cli import ics

    days = arguments.days or ICS_DAYS
    around = min(ICS_DAYS, (DAYS_MAX - days) // 2)
    begins_at, ends_at = at - timedelta(days=around), at + timedelta(days=days)
    duties = read(_asked(arguments, begins_at, days + 2 * around), _Duties).items
    for one in duties:
        one.shifts = [shift for shift in one.shifts or [] if shift.ends_at > at and shift.begins_at < ends_at]
    return ics.calendar(duties, at)


def _asked(arguments: Namespace, at: datetime | None, days: int) -> bytes:
    """The daemon's answer, or the same from files."""
    if arguments.config is not None:
        return _from_files(arguments.config, arguments.schedule, at or SystemClock().now(), days)
    asked = {
        "schedule": arguments.schedule,
        "at": at.isoformat() if at else None,
        "days": str(days) if days else None,
    }
    query = [(key, value) for key, value in asked.items() if value]
    return Daemon.of(arguments, os.environ).get("/v1/oncall", query)


def _from_files(config: Path, schedule: str | None, when: datetime, days: int) -> bytes:
    """As the daemon answers, without what people set."""
    from imd.api import duty
    from imd.config.load import Faulty, load

    if not config.is_file():
        raise Misused(f"no such file: {config}")
    try:
        ruleset = load(config, secrets=False).ruleset
    except Faulty as faulty:
        raise Failed(f"{faulty}; `imd check --config {config}` shows all") from None
    if schedule is not None and schedule not in ruleset.schedules:
        raise Failed(f"no schedule {schedule!a}")
    found = []
    for one in ruleset.schedules.values() if schedule is None else [ruleset.schedules[schedule]]:
        view = duty.duty(ruleset, one, [], when)
        if days:
            shifts = list(duty.shifts(ruleset, one, [], when, when + timedelta(days=days)))
            view = msgspec.structs.replace(view, shifts=shifts)
        found.append(view)
    return msgspec.json.encode({"items": found})


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None and _YEARS[0] <= at.year < _YEARS[1]:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise Misused(f"--at wants an instant with its zone, such as 2026-12-01T22:00:00Z, not {text!a}")


_NOW = (
    Column("SCHEDULE", elastic=True),
    Column("ON CALL", elastic=True),
    Column("UNTIL", leave_out=1),
    Column("THEN", elastic=True, leave_out=2),
    Column("BECAUSE", elastic=True, leave_out=3),
)


def _now_row(duty: Duty) -> list[Cell | str]:
    return [
        duty.schedule,
        duty.person or _NOBODY,
        local(duty.until, duty.timezone) if duty.until else "",
        (duty.next or "nobody") if duty.until else "",
        duty.because,
    ]


_SHIFTS = (
    Column("SCHEDULE", elastic=True, leave_out=3),
    Column("FROM"),
    Column("TO", leave_out=2),
    Column("LASTS", right=True, leave_out=1),
    Column("ON CALL", elastic=True),
    Column("BECAUSE", elastic=True, leave_out=4),
)


def _print_shifts(screen: Screen, duties: list[Duty]) -> None:
    rows: list[list[Cell | str]] = [
        [
            one.schedule,
            local(shift.begins_at, one.timezone),
            local(shift.ends_at, one.timezone),
            _length(shift.ends_at - shift.begins_at),
            shift.person or _NOBODY,
            shift.because,
        ]
        for one in duties
        for shift in one.shifts or []
    ]
    screen.list(_SHIFTS, rows, "no schedule is configured")


def local(at: datetime, timezone: str) -> str:
    """As a clock on the wall there shows it; UTC where this machine does not know the zone."""
    try:
        return at.astimezone(ZoneInfo(timezone)).strftime("%a %Y-%m-%d %H:%M %Z")
    except (ZoneInfoNotFoundError, ValueError):
        return at.astimezone(UTC).strftime("%a %Y-%m-%d %H:%M UTC")


def _length(lasts: timedelta) -> str:
    minutes = int(lasts.total_seconds()) // 60
    days, hours = minutes // 1440, minutes // 60 % 24
    parts = [(days, "d"), (hours, "h"), (minutes % 60, "m")]
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0m"


# Overrides.


def _add(daemon: Daemon, screen: Screen, arguments: Namespace) -> int:
    if len(arguments.what) != 2:
        raise Misused("`oncall override add` wants a schedule and a person; see `imd oncall --help`")
    if bool(arguments.for_) == bool(arguments.until):
        raise Misused("an override has an end: --for 4h, or --until a time")
    schedule, person = arguments.what
    body = {"schedule": schedule, "person": person, "by": arguments.by}
    given = {
        "for": arguments.for_,
        "ends_at": arguments.until,
        "starts_at": arguments.start,
        "comment": arguments.comment,
    }
    content = daemon.post("/v1/oncall/overrides", body | {key: value for key, value in given.items() if value})
    return _done(screen, content, arguments)


def _remove(daemon: Daemon, screen: Screen, arguments: Namespace) -> int:
    if len(arguments.what) != 1:
        raise Misused("`oncall override remove` wants one id; `imd oncall override list` shows them")
    (which,) = arguments.what
    content = daemon.delete(f"/v1/oncall/overrides/{quote(which, safe='')}", [("by", arguments.by)])
    return _done(screen, content, arguments)


def _done(screen: Screen, content: bytes, arguments: Namespace) -> int:
    if arguments.json:
        print(content.decode())
        return 0
    override = read(content, _Override)
    screen.line(Cell(override.id or "", "bold"), Cell(override.state, "yellow" if override.state == "active" else ""))
    screen.fields(
        {
            "schedule": override.schedule,
            "person": override.person,
            "from": local(override.starts_at, override.timezone),
            "until": local(override.ends_at, override.timezone),
            "by": override.by or "",
            "comment": override.comment,
        }
    )
    return 0


_OVERRIDES = (
    Column("ID", leave_out=2),
    Column("STATE"),
    Column("SCHEDULE", elastic=True),
    Column("PERSON", elastic=True),
    Column("FROM"),
    Column("UNTIL"),
    Column("BY", elastic=True, leave_out=3),
    Column("COMMENT", elastic=True, leave_out=4),
)


def _list(daemon: Daemon, screen: Screen, arguments: Namespace) -> int:
    if arguments.what:
        raise Misused("`oncall override list` takes no words; --schedule narrows")
    query = [("schedule", arguments.schedule)] if arguments.schedule else []
    content = daemon.get("/v1/oncall/overrides", query + ([("all", "true")] if arguments.all else []))
    if arguments.json:
        print(content.decode())
        return 0
    rows: list[list[Cell | str]] = [
        [
            one.id or "in a file",
            Cell(one.state, "yellow" if one.state == "active" else ""),
            one.schedule,
            one.person,
            local(one.starts_at, one.timezone),
            local(one.ends_at, one.timezone),
            one.by or "",
            one.comment,
        ]
        for one in read(content, _Overrides).items
    ]
    screen.list(_OVERRIDES, rows, "no override")
    return 0
