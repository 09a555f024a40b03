"""Commands that look on: alerts, deliveries, status."""

from __future__ import annotations

import os
from argparse import Namespace
from datetime import datetime

import msgspec

from imd.cli.instants import ago, stamp
from imd.cli.remote import Daemon, Listed, read
from imd.cli.rows import ALERT_COLUMNS, DELIVERY_COLUMNS, DeliveryLine, alert_row, delivery_row
from imd.cli.screen import Column, Screen
from imd.clock import SystemClock
from imd.model.view import AlertView


class _Source(msgspec.Struct):
    name: str
    last_heard_at: datetime | None = None


class _Receiver(msgspec.Struct):
    receiver: str
    breaker: str
    pending: int
    last_error: str = ""


class _Reload(msgspec.Struct):
    at: datetime
    error: str | None = None


class _Status(msgspec.Struct):
    version: str
    started_at: datetime
    ready: bool
    sources: list[_Source]
    counts: dict[str, int]
    config_hash: str = ""
    rules: int = 0
    unready_because: str | None = None
    receivers: list[_Receiver] = []
    last_reload: _Reload | None = None


def run(arguments: Namespace) -> int:
    daemon, screen = Daemon.of(arguments, os.environ), Screen.of_process()
    match arguments.command:
        case "alerts":
            return _alerts(daemon, screen, arguments)
        case "deliveries":
            return _deliveries(daemon, screen, arguments)
        case _:
            return _status(daemon, screen, arguments)


def _alerts(daemon: Daemon, screen: Screen, arguments: Namespace) -> int:
    listed = daemon.collect("/v1/alerts", [("match", matcher) for matcher in arguments.match], arguments.limit)
    if _json(listed, arguments):
        return 0
    now = SystemClock().now()
    screen.list(ALERT_COLUMNS, [alert_row(alert, now) for alert in listed.read(AlertView)], "no alert fires")
    listed.tell_of_more(arguments.limit)
    return 0


def _deliveries(daemon: Daemon, screen: Screen, arguments: Namespace) -> int:
    asked = {"incident": (arguments.incident or "").removeprefix("#"), "state": arguments.state}
    query = [(name, value) for name, value in asked.items() if value]
    listed = daemon.collect("/v1/deliveries", query, arguments.limit)
    if _json(listed, arguments):
        return 0
    screen.list(DELIVERY_COLUMNS, [delivery_row(delivery) for delivery in listed.read(DeliveryLine)], "no delivery")
    listed.tell_of_more(arguments.limit)
    return 0


def _json(listed: Listed, arguments: Namespace) -> bool:
    if arguments.json:
        print(listed.json())
    return bool(arguments.json)


def _status(daemon: Daemon, screen: Screen, arguments: Namespace) -> int:
    """1 where the daemon takes no alerts just now, so that a script can ask."""
    content = daemon.get("/v1/status")
    status = read(content, _Status)
    if arguments.json:
        print(content.decode())
        return 0 if status.ready else 1
    now = SystemClock().now()
    screen.fields(
        {
            "imd": f"{status.version}, {'ready' if status.ready else f'not ready: {status.unready_because}'}",
            "up": f"{ago(status.started_at, now)}, since {stamp(status.started_at)}",
            "rules": f"{status.rules}, configuration {status.config_hash}",
            "last reload": _reload_line(status.last_reload),
            **{name.replace("_", " "): str(number) for name, number in status.counts.items()},
        }
    )
    if status.last_reload is not None and status.last_reload.error:
        screen.line(status.last_reload.error)
    screen.line()
    screen.list(
        (Column("SOURCE", elastic=True), Column("LAST HEARD")),
        [[source.name, _heard(source.last_heard_at, now)] for source in status.sources],
        "no source was heard yet",
    )
    screen.line()
    screen.list(
        (Column("RECEIVER", elastic=True), Column("BREAKER"), Column("PENDING"), Column("LAST ERROR", elastic=True)),
        [[one.receiver, one.breaker, str(one.pending), one.last_error] for one in status.receivers],
        "no receiver is configured",
    )
    return 0 if status.ready else 1


def _reload_line(reload: _Reload | None) -> str:
    if reload is None:
        return "unknown"
    return f"{stamp(reload.at)}, {'REFUSED, the old rules run on' if reload.error else 'taken'}"


def _heard(at: datetime | None, now: datetime) -> str:
    return f"{ago(at, now)} ago" if at else "never"
