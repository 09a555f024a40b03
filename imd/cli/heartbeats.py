"""`imd heartbeat`: a beat from a cron job, or who is heard and who is missing."""

from __future__ import annotations

import os
from argparse import Namespace
from datetime import datetime
from urllib.parse import quote, urlencode

import msgspec

from imd.cli.instants import ago, stamp
from imd.cli.pairs import pairs
from imd.cli.remote import Daemon, read
from imd.cli.screen import Cell, Column, Screen
from imd.clock import SystemClock


class _Beat(msgspec.Struct):
    name: str
    due_at: datetime
    by: dict[str, str] = {}
    missing: bool = False
    last_beat_at: datetime | None = None


class _Page(msgspec.Struct):
    items: list[_Beat]


_COLUMNS = (
    Column("NAME", elastic=True),
    Column("BY", elastic=True),
    Column("STATE"),
    Column("HEARD", right=True),
    Column("DUE BY", leave_out=1),
)


def run(arguments: Namespace) -> int:
    daemon, screen = Daemon.of(arguments, os.environ), Screen.of_process()
    return (_beat if arguments.name else _list)(daemon, screen, arguments)


def _beat(daemon: Daemon, screen: Screen, arguments: Namespace) -> int:
    by = pairs(arguments.labels, "a label")
    query = f"?{urlencode(by)}" if by else ""
    content = daemon.post(f"/v1/heartbeats/{quote(arguments.name, safe='')}{query}", {})
    if arguments.json:
        print(content.decode())
        return 0
    beat = read(content, _Beat)
    screen.line(f"{beat.name}{_values(beat)} was heard; missing from {stamp(beat.due_at)} on unless it is heard again")
    return 0


def _list(daemon: Daemon, screen: Screen, arguments: Namespace) -> int:
    content = daemon.get("/v1/heartbeats")
    if arguments.json:
        print(content.decode())
        return 0
    now = SystemClock().now()
    screen.list(_COLUMNS, [_row(one, now) for one in read(content, _Page).items], "no heartbeat is configured")
    return 0


def _row(beat: _Beat, now: datetime) -> list[Cell | str]:
    return [
        beat.name,
        _values(beat),
        Cell("missing", "red") if beat.missing else Cell("heard", "green") if beat.last_beat_at else "awaited",
        f"{ago(beat.last_beat_at, now)} ago" if beat.last_beat_at else "never",
        stamp(beat.due_at),
    ]


def _values(beat: _Beat) -> str:
    named = ", ".join(f'{name}="{value}"' for name, value in beat.by.items())
    return f"{{{named}}}" if named else ""
