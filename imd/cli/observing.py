"""Commands that look on: alerts, deliveries, rejected, status."""

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
from imd.model.view import AlertView, PagesOwed


class _Source(msgspec.Struct):
    name: str
    last_heard_at: datetime | None = None
    type: str | None = None
    silent: bool = False


class _Receiver(msgspec.Struct):
    receiver: str
    breaker: str
    pending: int
    last_error: str = ""
    oldest_at: datetime | None = None


class _Reload(msgspec.Struct):
    at: datetime
    error: str | None = None


class _Open(msgspec.Struct):
    incidents: int
    by_state: dict[str, int]
    by_priority: dict[str, int]
    unanswered: int
    oldest_unanswered_at: datetime | None = None


class _Outbox(msgspec.Struct):
    pending: int
    oldest_at: datetime | None = None


class _Store(msgspec.Struct):
    bytes: int
    wal_bytes: int


class _Status(msgspec.Struct):
    """As the daemon says; what an older one leaves out is not shown."""

    version: str
    started_at: datetime
    ready: bool
    sources: list[_Source]
    counts: dict[str, int]
    event_loop: str = ""
    config_hash: str = ""
    rules: int = 0
    unready_because: str | None = None
    receivers: list[_Receiver] = []
    last_reload: _Reload | None = None
    open: _Open | None = None
    pages: PagesOwed = PagesOwed()
    outbox: _Outbox | None = None
    heartbeats_missing: list[str] = []
    paused_until: datetime | None = None
    tee: bool = False
    store: _Store | None = None


class _Rejected(msgspec.Struct):
    at: datetime
    source: str
    index: int
    error: str
    excerpt: str


def run(arguments: Namespace) -> int:
    daemon, screen = Daemon.of(arguments, os.environ), Screen.of_process()
    match arguments.command:
        case "alerts":
            return _alerts(daemon, screen, arguments)
        case "deliveries":
            return _deliveries(daemon, screen, arguments)
        case "rejected":
            return _rejected(daemon, screen, arguments)
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


_REJECTED = (
    Column("AT", leave_out=2),
    Column("SOURCE", elastic=True),
    Column("ALERT", right=True, leave_out=3),
    Column("WHY", elastic=True),
    Column("WHAT", elastic=True, leave_out=1),
)


def _rejected(daemon: Daemon, screen: Screen, arguments: Namespace) -> int:
    asked = {"source": arguments.source, "since": arguments.since}
    listed = daemon.collect("/v1/rejected", [(name, one) for name, one in asked.items() if one], arguments.limit)
    if _json(listed, arguments):
        return 0
    rows = [
        [stamp(one.at), one.source, "body" if one.index < 0 else str(one.index), one.error, one.excerpt]
        for one in listed.read(_Rejected)
    ]
    screen.list(_REJECTED, rows, "nothing was refused")
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
            "pages": _pages(status.pages, now),
            "event loop": status.event_loop,
            "rules": f"{status.rules}, configuration {status.config_hash}",
            "last reload": _reload_line(status.last_reload),
            "tee": "imd runs beside another pager: NOBODY IS PAGED" if status.tee else "",
            "paused": f"until {stamp(status.paused_until)}" if status.paused_until is not None else "",
            **{name.replace("_", " "): str(number) for name, number in status.counts.items()},
            **_work(status, now),
        }
    )
    if status.last_reload is not None and status.last_reload.error:
        for line in status.last_reload.error.splitlines():
            screen.line(line)
    screen.line()
    screen.list(
        (Column("SOURCE", elastic=True), Column("TYPE", leave_out=1), Column("LAST HEARD"), Column("")),
        [[one.name, one.type or "", _heard(one.last_heard_at, now), "silent" * one.silent] for one in status.sources],
        "no source was heard yet",
    )
    screen.line()
    screen.list(
        (
            Column("RECEIVER", elastic=True),
            Column("BREAKER"),
            Column("PENDING"),
            Column("PAGES OWED", leave_out=2),
            Column("OLDEST", leave_out=1),
            Column("LAST ERROR", elastic=True),
        ),
        [
            [
                one.receiver,
                one.breaker,
                str(one.pending),
                str(status.pages.receivers.get(one.receiver, "")),
                _waiting(one.oldest_at, now),
                one.last_error,
            ]
            for one in status.receivers
        ],
        "no receiver is configured",
    )
    return 0 if status.ready else 1


def _pages(pages: PagesOwed, now: datetime) -> str:
    """Loud, and only where somebody should know: a page under way for a second is none of it."""
    if not pages.overdue and not pages.waiting:
        return ""
    how = [f"{pages.overdue} overdue"] if pages.overdue else []
    how += [f"{pages.waiting} put off (for a digest, or until their receiver takes any)"] if pages.waiting else []
    of = "1 incident" if pages.incidents == 1 else f"{pages.incidents} incidents"
    since = f", the first triggered {ago(pages.oldest_at, now)} ago" if pages.oldest_at is not None else ""
    return f"{pages.owed} NOT TAKEN BY ANY RECEIVER YET, of {of}: {', '.join(how)}{since}"


def _work(status: _Status, now: datetime) -> dict[str, str]:
    """What is to be done, and what it is done with. Where there is none of it there is no line."""
    work: dict[str, str] = {}
    if status.open is not None and status.open.incidents:
        tallies = [*status.open.by_state.items(), *status.open.by_priority.items()]
        work["of them"] = ", ".join(f"{count} {word}" for word, count in tallies)
        if status.open.oldest_unanswered_at is not None:
            work["unanswered"] = f"{status.open.unanswered}, for {ago(status.open.oldest_unanswered_at, now)}"
    if status.outbox is not None and status.outbox.oldest_at is not None:
        work["oldest message"] = f"waits for {ago(status.outbox.oldest_at, now)}"
    if status.heartbeats_missing:
        work["heartbeats missing"] = ", ".join(status.heartbeats_missing)
    if status.store is not None:
        work["store"] = f"{_size(status.store.bytes)}, of it {_size(status.store.wal_bytes)} log"
    return work


def _size(number: int) -> str:
    size = float(number)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def _waiting(at: datetime | None, now: datetime) -> str:
    return ago(at, now) if at is not None else ""


def _reload_line(reload: _Reload | None) -> str:
    if reload is None:
        return "unknown"
    return f"{stamp(reload.at)}, {'REFUSED, the old rules run on' if reload.error else 'taken'}"


def _heard(at: datetime | None, now: datetime) -> str:
    return f"{ago(at, now)} ago" if at else "never"
