"""Commands that work on incidents: list, show, report, why, and each action."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from datetime import datetime

import msgspec

from imd.cli import why
from imd.cli.failure import Failed, Misused
from imd.cli.instants import ago, stamp
from imd.cli.remote import Daemon, incident_path, read
from imd.cli.rows import (
    ALERT_COLUMNS,
    INCIDENT_COLUMNS,
    alert_row,
    alert_total,
    incident_row,
    pairs_text,
    print_headline,
)
from imd.cli.screen import Screen
from imd.clock import SystemClock
from imd.model.view import IncidentView, IncidentWithAlerts


class _Line(msgspec.Struct):
    """One line of a timeline."""

    at: datetime
    kind: str
    text: str
    by: str = ""
    details: dict[str, str] = {}


_PLAIN = ("", "api", "cli")  # ways that say nothing of how somebody answered


class _Timeline(msgspec.Struct):
    items: list[_Line]


def run(arguments: Namespace) -> int:
    daemon = Daemon.of(arguments, os.environ)
    screen = Screen.of_process()
    match arguments.command:
        case "incidents" if arguments.action == "show":
            return _show(daemon, screen, arguments)
        case "incidents" if arguments.action == "report":
            return _report(daemon, screen, arguments)
        case "incidents":
            return _list(daemon, screen, arguments)
        case "why":
            return why.run(daemon, screen, arguments)
        case action:
            return _act(daemon, screen, arguments, action)


def _list(daemon: Daemon, screen: Screen, arguments: Namespace) -> int:
    if arguments.incident:
        raise Misused(f"`list` takes no incident; `imd incidents show {arguments.incident}` shows one")
    if arguments.all and arguments.status:
        raise Misused("--all and --status exclude each other")
    status = arguments.status or ("" if arguments.all else "open")
    listed = daemon.collect("/v1/incidents", _query(arguments, status), arguments.limit)
    if arguments.json:
        print(listed.json())
        return 0
    now = SystemClock().now()
    rows = [incident_row(incident, now) for incident in listed.read(IncidentView)]
    screen.list(INCIDENT_COLUMNS, rows, "no open incident" if status == "open" else "no incident")
    listed.tell_of_more(arguments.limit)
    return 0


def _query(arguments: Namespace, status: str) -> list[tuple[str, str]]:
    query = [("match", matcher) for matcher in arguments.match]
    given = {
        "status": status,
        "priority": arguments.priority,
        "rule": arguments.rule,
        "since": arguments.since,
    }
    return query + [(name, value) for name, value in given.items() if value]


def _show(daemon: Daemon, screen: Screen, arguments: Namespace) -> int:
    if not arguments.incident:
        raise Misused("`show` wants an incident, for example `imd incidents show 3`")
    content = daemon.get(incident_path(arguments.incident))
    if arguments.json:
        print(content.decode())
        return 0
    incident = read(content, IncidentWithAlerts)
    timeline = read(daemon.get(incident_path(arguments.incident) + "/timeline"), _Timeline)
    now = SystemClock().now()
    _print_facts(screen, incident, now, _says(incident))
    screen.line()
    screen.table(ALERT_COLUMNS, [alert_row(alert, now) for alert in incident.alerts])
    if (more := alert_total(incident) - len(incident.alerts)) > 0:
        screen.line(f"and {more} more alerts")
    screen.line()
    for line in timeline.items:
        through = line.details.get("through", "")
        text = f"{line.by}: {line.text}" if line.kind == "note" and line.by else line.text
        screen.item(f"{stamp(line.at)} {text}" + (f" (through {through})" if through not in _PLAIN else ""))
    return 0


def _says(incident: IncidentWithAlerts) -> dict[str, str]:
    """What the probable cause, else the first alert that fires, else the first, says of itself."""
    cause = incident.root_cause.fingerprint if incident.root_cause is not None else ""
    told = sorted(incident.alerts, key=lambda one: (one.fingerprint != cause, one.status != "firing"))
    for alert in told:
        texts = msgspec.json.decode(alert.annotations, type=dict[str, str])
        if any(texts.get(name) for name in _SAYING):
            return {name: texts[name] for name in _SAYING if texts.get(name)}
    return {}


_SAYING = ("summary", "description", "message")


def _print_facts(screen: Screen, incident: IncidentWithAlerts, now: datetime, says: dict[str, str]) -> None:
    print_headline(screen, incident)
    cause = incident.root_cause
    screen.fields(
        {
            "id": incident.id,
            "rule": incident.rule,
            "key": pairs_text(incident.group_key),
            "labels": pairs_text(incident.labels),
            "impact": f"{incident.impact}, urgency {incident.urgency}",
            "cause": f"{cause.entity}: {cause.reason}" if cause else "",
            **says,
            "runbook": incident.runbook or "",
            "policy": incident.policy or "",
            "assignee": incident.assignee or "",
            "opened": _when(incident.opened_at, now),
            "acknowledged": _when(incident.acknowledged_at, now, by=incident.acknowledged_by),
            "resolved": _when(incident.resolved_at, now, because=incident.resolved_because),
            "closed": _when(incident.closed_at, now),
            "merged into": incident.merged_into or "",
            "previous": incident.previous or "",
        }
    )


def _when(at: datetime | None, now: datetime, by: str | None = None, because: str | None = None) -> str:
    if at is None:
        return ""
    return f"{stamp(at)} ({ago(at, now)} ago)" + (f" by {by}" if by else "") + (f", {because}" if because else "")


def _act(daemon: Daemon, screen: Screen, arguments: Namespace, action: str) -> int:
    """Each incident by itself: one that is refused does not hold up the others. 1 if any was."""
    body = _body(arguments, action)
    done: list[IncidentView] = []
    code = 0
    for which in _chosen(daemon, arguments, action):
        try:
            content = daemon.post(f"{incident_path(which)}/{action}", body)
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


def _report(daemon: Daemon, screen: Screen, arguments: Namespace) -> int:
    if not arguments.incident:
        raise Misused("`report` wants to know what is wrong: imd incidents report 'checkout is slow'")
    labels = dict(_pair(text) for text in arguments.label)
    body: dict[str, object] = {"title": arguments.incident, "by": arguments.by, "labels": labels, "through": "cli"}
    given = {"priority": arguments.priority, "policy": arguments.policy, "note": arguments.note}
    content = daemon.post("/v1/incidents", body | {name: value for name, value in given.items() if value})
    if arguments.json:
        print(content.decode())
    else:
        print_headline(screen, read(content, IncidentView))
    return 0


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise Misused(f"--label {text}: write NAME=VALUE")
    return name, value


def _body(arguments: Namespace, action: str) -> dict[str, object]:
    """What the action's flags say; the flags of one are those of its body."""
    body: dict[str, object] = {"by": arguments.by, "through": "cli"}
    note = " ".join(arguments.text) if action == "note" else arguments.note
    given = {"note": note, **{name: getattr(arguments, flag, None) for name, flag in _FLAGS.items()}}
    body |= {name: value for name, value in given.items() if value}
    if actionable := getattr(arguments, "actionable", None):
        body["actionable"] = actionable == "yes"
    if action == "snooze" and not (arguments.for_ or arguments.until):
        raise Misused("`snooze` wants --for DURATION or --until TIME")
    return body


_FLAGS = {"force": "force", "for": "for_", "until": "until", "to": "to", "into": "into", "outcome": "outcome"}
_FLAGS |= {"cause": "cause", "fingerprints": "fingerprints"}


def _chosen(daemon: Daemon, arguments: Namespace, action: str) -> list[str]:
    matchers: list[str] = getattr(arguments, "match", [])
    if bool(arguments.incidents) == bool(matchers):
        wanted = "incidents or --match, one of the two" if action == "ack" else "at least one incident"
        raise Misused(f"`{action}` wants {wanted}; see `imd {action} --help`")
    if not matchers:
        return [which.removeprefix("#") for which in arguments.incidents]
    query = [("status", "open"), *(("match", matcher) for matcher in matchers)]
    incidents = daemon.collect("/v1/incidents", query, sys.maxsize).read(IncidentView)
    if not incidents:
        raise Failed("no open incident matches")
    return [str(incident.number) for incident in incidents]
