"""Commands that work on incidents: list, show, why, ack, unack, resolve, note."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from datetime import datetime
from urllib.parse import quote

import msgspec

from imd.cli.failure import Failed, Misused
from imd.cli.instants import ago, stamp
from imd.cli.remote import Daemon, Query, read
from imd.cli.screen import Cell, Column, Screen
from imd.clock import SystemClock
from imd.model.view import AlertView, IncidentView, IncidentWithAlerts

PRIORITY_COLOUR = {"P1": "red", "P2": "yellow"}
STATE_COLOUR = {"triggered": "red", "acknowledged": "yellow", "snoozed": "yellow", "resolved": "green"}
_PAGE_MAX = 500


class _Line(msgspec.Struct):
    """One line of a timeline."""

    at: datetime
    kind: str
    text: str
    by: str = ""


class _Timeline(msgspec.Struct):
    items: list[_Line]


def run(arguments: Namespace) -> int:
    daemon = Daemon.of(arguments, os.environ)
    screen = Screen.of_process()
    match arguments.command:
        case "incidents" if arguments.action == "show":
            return _show(daemon, screen, arguments)
        case "incidents":
            return _list(daemon, screen, arguments)
        case "why":
            return _why(daemon, screen, arguments)
        case action:
            return _act(daemon, screen, arguments, action)


def _list(daemon: Daemon, screen: Screen, arguments: Namespace) -> int:
    if arguments.incident:
        raise Misused(f"`list` takes no incident; `imd incidents show {arguments.incident}` shows one")
    if arguments.all and arguments.status:
        raise Misused("--all and --status exclude each other")
    status = arguments.status or ("" if arguments.all else "open")
    items, more = _found(daemon, _query(arguments, status), arguments.limit)
    if arguments.json:
        print(msgspec.json.encode({"items": items}).decode())
        return 0
    incidents = [read(bytes(item), IncidentView) for item in items]
    if not incidents:
        screen.line("no open incident" if status == "open" else "no incident")
        return 0
    now = SystemClock().now()
    screen.table(_COLUMNS, [_row(incident, now) for incident in incidents])
    if more:
        print(f"imd: there are more; --limit {arguments.limit * 2} shows more of them", file=sys.stderr)
    return 0


_COLUMNS = (
    Column("#", right=True),
    Column("PRIO"),
    Column("STATE"),
    Column("AGE", right=True, leave_out=1),
    Column("FIRING", right=True, leave_out=2),
    Column("ALERTS", right=True, leave_out=3),
    Column("WHO", elastic=True, leave_out=4),
    Column("RULE", elastic=True, leave_out=5),
    Column("TITLE", elastic=True),
)


def _row(incident: IncidentView, now: datetime) -> list[Cell | str]:
    count = incident.alert_count
    return [
        str(incident.number),
        Cell(incident.priority, PRIORITY_COLOUR.get(incident.priority, "")),
        Cell(incident.state, STATE_COLOUR.get(incident.state, "")),
        ago(incident.opened_at, now),
        str(count.firing),
        str(count.firing + count.resolved + count.suppressed),
        incident.assignee or incident.acknowledged_by or "",
        incident.rule,
        incident.title,
    ]


def _query(arguments: Namespace, status: str) -> list[tuple[str, str]]:
    query = [("match", matcher) for matcher in arguments.match]
    given = {
        "status": status,
        "priority": arguments.priority,
        "rule": arguments.rule,
        "since": arguments.since,
    }
    return query + [(name, value) for name, value in given.items() if value]


class _RawPage(msgspec.Struct):
    items: list[msgspec.Raw]
    next_cursor: int | str | None = None


def _found(daemon: Daemon, query: Query, limit: int) -> tuple[list[msgspec.Raw], bool]:
    """The first `limit` incidents as they came, over as many pages as it takes; and whether there are more."""
    items: list[msgspec.Raw] = []
    cursor: int | str | None = ""
    while cursor is not None and len(items) < limit:
        asked = [
            *query,
            ("limit", str(min(_PAGE_MAX, limit - len(items)))),
            *([("cursor", str(cursor))] if cursor else []),
        ]
        page = read(daemon.get("/v1/incidents", asked), _RawPage)
        items += page.items
        cursor = page.next_cursor if page.items else None
    return items[:limit], cursor is not None


def _show(daemon: Daemon, screen: Screen, arguments: Namespace) -> int:
    if not arguments.incident:
        raise Misused("`show` wants an incident, for example `imd incidents show 3`")
    content = daemon.get(_path(arguments.incident))
    if arguments.json:
        print(content.decode())
        return 0
    incident = read(content, IncidentWithAlerts)
    timeline = read(daemon.get(_path(arguments.incident) + "/timeline"), _Timeline)
    now = SystemClock().now()
    _print_facts(screen, incident, now)
    screen.line()
    screen.table(_ALERT_COLUMNS, [alert_row(alert, now) for alert in incident.alerts])
    total = incident.alert_count.firing + incident.alert_count.resolved + incident.alert_count.suppressed
    if total > len(incident.alerts):
        screen.line(f"and {total - len(incident.alerts)} more alerts")
    screen.line()
    screen.table(
        (Column("AT"), Column("BY", elastic=True, leave_out=1), Column("WHAT", elastic=True)),
        [[stamp(line.at), line.by, line.text] for line in timeline.items],
    )
    return 0


def _print_facts(screen: Screen, incident: IncidentView, now: datetime) -> None:
    print_headline(screen, incident)
    screen.field("id", incident.id)
    screen.field("rule", incident.rule)
    screen.field("key", ", ".join(f'{name}="{value}"' for name, value in incident.group_key.items()))
    screen.field("labels", ", ".join(f'{name}="{value}"' for name, value in incident.labels.items()))
    screen.field("impact", f"{incident.impact}, urgency {incident.urgency}")
    screen.field("policy", incident.policy or "")
    screen.field("assignee", incident.assignee or "")
    screen.field("opened", _when(incident.opened_at, now))
    screen.field("acknowledged", _when(incident.acknowledged_at, now, by=incident.acknowledged_by))
    screen.field("resolved", _when(incident.resolved_at, now, because=incident.resolved_because))
    screen.field("closed", _when(incident.closed_at, now))
    screen.field("merged into", incident.merged_into or "")
    screen.field("previous", incident.previous or "")
    if incident.root_cause:
        screen.field("cause", f"{incident.root_cause.entity}: {incident.root_cause.reason}")


def _when(at: datetime | None, now: datetime, by: str | None = None, because: str | None = None) -> str:
    if at is None:
        return ""
    return f"{stamp(at)} ({ago(at, now)} ago)" + (f" by {by}" if by else "") + (f", {because}" if because else "")


def print_headline(screen: Screen, incident: IncidentView) -> None:
    screen.line(
        Cell(f"#{incident.number}", "bold"),
        Cell(incident.priority, PRIORITY_COLOUR.get(incident.priority, "")),
        Cell(incident.state, STATE_COLOUR.get(incident.state, "")),
        Cell(incident.title, "bold"),
    )


_ALERT_COLUMNS = (
    Column("ALERT", elastic=True),
    Column("STATUS"),
    Column("AGE", right=True, leave_out=2),
    Column("SEEN", right=True, leave_out=3),
    Column("LABELS", elastic=True, leave_out=1),
)


def alert_row(alert: AlertView, now: datetime) -> list[Cell | str]:
    labels = read(bytes(alert.labels), dict[str, str])
    name = labels.pop("alertname", "")
    return [
        name,
        Cell(alert.status, "red" if alert.status == "firing" else "green"),
        ago(alert.starts_at, now),
        str(alert.count),
        " ".join(f"{label}={value}" for label, value in labels.items()),
    ]


def _why(daemon: Daemon, screen: Screen, arguments: Namespace) -> int:
    raise Failed("not yet")


def _act(daemon: Daemon, screen: Screen, arguments: Namespace, action: str) -> int:
    """Each incident by itself: one that is refused does not hold up the others. 1 if any was."""
    body = _body(arguments, action)
    done: list[IncidentView] = []
    code = 0
    for which in _chosen(daemon, arguments, action):
        try:
            content = daemon.post(f"{_path(which)}/{action}", body)
            incident = read(content, IncidentView)
        except Failed as failure:
            print(f"imd: incident {which}: {failure}", file=sys.stderr)
            code = 1
            continue
        done.append(incident)
        if not arguments.json:
            print_headline(screen, incident)
    if arguments.json:
        print(msgspec.json.encode(done).decode())
    return code


def _body(arguments: Namespace, action: str) -> dict[str, str | bool]:
    note = " ".join(arguments.text) if action == "note" else arguments.note
    body: dict[str, str | bool] = {"by": arguments.by}
    if note:
        body["note"] = note
    if action == "resolve" and arguments.force:
        body["force"] = True
    return body


def _chosen(daemon: Daemon, arguments: Namespace, action: str) -> list[str]:
    matchers: list[str] = getattr(arguments, "match", [])
    if bool(arguments.incidents) == bool(matchers):
        wanted = "incidents or --match, one of the two" if action == "ack" else "at least one incident"
        raise Misused(f"`{action}` wants {wanted}; see `imd {action} --help`")
    if not matchers:
        return [which.removeprefix("#") for which in arguments.incidents]
    query = [("status", "open"), *(("match", matcher) for matcher in matchers)]
    items, _ = _found(daemon, query, sys.maxsize)
    if not items:
        raise Failed("no open incident matches")
    return [str(read(bytes(item), IncidentView).number) for item in items]


def _path(which: str) -> str:
    return f"/v1/incidents/{quote(which.removeprefix('#'), safe='')}"
