"""Commands that keep imd quiet, always with an end and a name: silence, maintenance, pause."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from datetime import datetime
from urllib.parse import quote

import msgspec

from imd.cli.failure import Failed, Misused
from imd.cli.instants import ago, stamp
from imd.cli.remote import Daemon, read
from imd.cli.screen import Cell, Column, Screen
from imd.clock import SystemClock

_STATE_COLOUR = {"active": "yellow", "pending": "", "expired": "dim"}


class _Silence(msgspec.Struct):
    id: str
    state: str
    matchers: list[str]
    starts_at: datetime
    ends_at: datetime
    by: str
    comment: str = ""
    suppressing: int = 0


class _Maintenance(msgspec.Struct):
    name: str
    match: list[list[str]]
    active: bool
    windows: list[str]
    timezone: str = "UTC"
    reason: str = ""
    begins_at: datetime | None = None
    ends_at: datetime | None = None


class _Page(msgspec.Struct):
    items: list[_Maintenance]


class _Pause(msgspec.Struct):
    paused: bool
    since: datetime | None = None
    until: datetime | None = None
    by: str | None = None
    reason: str | None = None


def run(arguments: Namespace) -> int:
    daemon, screen = Daemon.of(arguments, os.environ), Screen.of_process()
    match arguments.command, getattr(arguments, "action", ""):
        case "silence", "add":
            return _add(daemon, screen, arguments)
        case "silence", "expire":
            return _expire(daemon, screen, arguments)
        case "silence", _:
            return _list(daemon, screen, arguments)
        case "maintenance", _:
            return _maintenance(daemon, screen, arguments)
        case _:
            return _pause(daemon, screen, arguments)


# Silences.


def _add(daemon: Daemon, screen: Screen, arguments: Namespace) -> int:
    if bool(arguments.what) == bool(arguments.incident):
        raise Misused("`silence add` wants matchers or --incident, one of the two; see `imd silence --help`")
    if bool(arguments.for_) == bool(arguments.until):
        raise Misused("a silence has an end: --for 2h, or --until an instant")
    body: dict[str, object] = {"by": arguments.by, "comment": arguments.comment}
    body |= {"incident": arguments.incident} if arguments.incident else {"matchers": _matchers(arguments.what)}
    given = {"for": arguments.for_, "ends_at": arguments.until, "starts_at": arguments.start, "id": arguments.id}
    content = daemon.post("/v1/silences", body | {key: value for key, value in given.items() if value})
    if arguments.json:
        print(content.decode())
        return 0
    _print(screen, read(content, _Silence))
    return 0


def _matchers(words: list[str]) -> list[str]:
    """The first word may be the bare alertname, as with `imd send`."""
    first = words[0]
    bare = not any(char in first for char in "=~!{")
    quoted = first.replace("\\", "\\\\").replace('"', '\\"')
    return [f'alertname="{quoted}"', *words[1:]] if bare else words


def _list(daemon: Daemon, screen: Screen, arguments: Namespace) -> int:
    if arguments.what:
        raise Misused("`silence list` takes no words; --match narrows")
    query = [("match", matcher) for matcher in arguments.match]
    query += [("state", "active,pending,expired")] if arguments.all else []
    listed = daemon.collect("/v1/silences", query, arguments.limit)
    if arguments.json:
        print(listed.json())
        return 0
    now = SystemClock().now()
    screen.list(_COLUMNS, [_row(silence, now) for silence in listed.read(_Silence)], "no silence")
    listed.tell_of_more(arguments.limit)
    return 0


_COLUMNS = (
    Column("ID"),
    Column("STATE"),
    Column("ENDS IN", right=True, leave_out=1),
    Column("MUTES", right=True, leave_out=2),
    Column("BY", elastic=True, leave_out=3),
    Column("MATCHERS", elastic=True),
    Column("COMMENT", elastic=True, leave_out=4),
)


def _row(silence: _Silence, now: datetime) -> list[Cell | str]:
    left = f"{ago(now, silence.ends_at)}" if silence.ends_at > now else f"{ago(silence.ends_at, now)} ago"
    return [
        silence.id,
        Cell(silence.state, _STATE_COLOUR.get(silence.state, "")),
        left,
        str(silence.suppressing),
        silence.by,
        " ".join(silence.matchers),
        silence.comment,
    ]


def _expire(daemon: Daemon, screen: Screen, arguments: Namespace) -> int:
    """Each by itself: one that is not there does not hold up the others. 1 if any was refused."""
    if not arguments.what:
        raise Misused("`silence expire` wants at least one id; `imd silence list` shows them")
    done: list[_Silence] = []
    code = 0
    for which in arguments.what:
        try:
            content = daemon.post(f"/v1/silences/{quote(which, safe='')}/expire", {"by": arguments.by})
            silence = read(content, _Silence)
        except Failed as failure:
            print(f"imd: silence {which}: {failure}", file=sys.stderr)
            code = 1
            continue
        done.append(silence)
        if not arguments.json:
            _print(screen, silence)
    if arguments.json:
        print(msgspec.json.encode(done).decode())
    return code


def _print(screen: Screen, silence: _Silence) -> None:
    screen.line(Cell(silence.id, "bold"), Cell(silence.state, _STATE_COLOUR.get(silence.state, "")))
    screen.fields(
        {
            "matchers": " ".join(silence.matchers),
            "from": stamp(silence.starts_at),
            "until": stamp(silence.ends_at),
            "by": silence.by,
            "comment": silence.comment,
            "mutes": f"{silence.suppressing} alerts now" if silence.state == "active" else "",
        }
    )


# Maintenance and pause.


def _maintenance(daemon: Daemon, screen: Screen, arguments: Namespace) -> int:
    content = daemon.get("/v1/maintenance")
    if arguments.json:
        print(content.decode())
        return 0
    columns = (
        Column("NAME", elastic=True),
        Column("NOW"),
        Column("BEGINS"),
        Column("ENDS"),
        Column("WINDOWS", elastic=True, leave_out=2),
        Column("MATCH", elastic=True, leave_out=3),
        Column("REASON", elastic=True, leave_out=1),
    )
    rows = [_window_row(one) for one in read(content, _Page).items]
    screen.list(columns, rows, "no maintenance is planned")
    return 0


def _window_row(maintenance: _Maintenance) -> list[Cell | str]:
    return [
        maintenance.name,
        Cell("quiet", "yellow") if maintenance.active else "",
        stamp(maintenance.begins_at) if maintenance.begins_at else "never",
        stamp(maintenance.ends_at) if maintenance.ends_at else "",
        f"{'; '.join(maintenance.windows)} {maintenance.timezone}",
        " or ".join(" ".join(matchers) for matchers in maintenance.match),
        maintenance.reason,
    ]


def _pause(daemon: Daemon, screen: Screen, arguments: Namespace) -> int:
    if arguments.end and arguments.duration:
        raise Misused("--end takes no duration")
    if arguments.end:
        content = daemon.delete("/v1/pause", [("by", arguments.by)])
    elif arguments.duration:
        asked = {"by": arguments.by, "for": arguments.duration, "reason": arguments.reason}
        content = daemon.post("/v1/pause", asked)
    else:
        content = daemon.get("/v1/pause")
    if arguments.json:
        print(content.decode())
        return 0
    pause = read(content, _Pause)
    if not pause.paused or pause.until is None:
        screen.line("not paused")
        return 0
    why = f": {pause.reason}" if pause.reason else ""
    screen.line(Cell("paused", "yellow"), f"until {stamp(pause.until)} by {pause.by}{why}; nobody is paged")
    return 0
