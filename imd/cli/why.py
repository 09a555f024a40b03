"""The command `why`: the daemon's own reasons, set out for a terminal. Adds no reason of its own."""

from __future__ import annotations

from argparse import Namespace
from datetime import datetime

import msgspec

from imd.cli.instants import stamp
from imd.cli.remote import Daemon, incident_path, read
from imd.cli.rows import DELIVERY_COLUMNS, DeliveryLine, alert_text, alert_total, delivery_row, print_headline
from imd.cli.screen import Cell, Screen
from imd.model.incident import RootCause
from imd.model.view import AlertView, IncidentView


class _Line(msgspec.Struct):
    at: datetime
    text: str


class _Next(msgspec.Struct):
    at: datetime
    what: str


class _Why(msgspec.Struct):
    """As `WhyView` says; what an older daemon leaves out is empty."""

    incident: IncidentView
    exists: list[str]
    alerts: list[AlertView]
    pages: list[DeliveryLine]
    lines: list[_Line]
    root_cause: RootCause | None = None
    causes: dict[str, str] = {}
    priority: list[_Line] = []
    suppressed: list[_Line] = []
    not_paged: list[str] = []
    next: list[_Next] = []


def run(daemon: Daemon, screen: Screen, arguments: Namespace) -> int:
    content = daemon.get(incident_path(arguments.incident) + "/why")
    if arguments.json:
        print(content.decode())
        return 0
    why = read(content, _Why)
    print_headline(screen, why.incident)
    _section(screen, "Why it exists", why.exists)
    if why.root_cause is not None:
        _section(screen, "Probable cause", [f"{why.root_cause.entity}: {why.root_cause.reason}"])
    _heading(screen, "Why each alert is in it")
    _print_alerts(screen, why)
    raised = any(line.text not in why.exists for line in why.priority)
    _section(screen, "How it came to its priority", _stamped(why.priority) if raised else [])
    _section(screen, "What was suppressed, and by what", [*_stamped(why.suppressed), *why.causes.values()])
    _section(screen, "Who was paged or not, and why", _stamped(why.lines) or ["nobody was to be paged yet"])
    told = {line.text for line in why.lines}
    _section(screen, "Who was not reached", [text for text in why.not_paged if text not in told])
    _section(screen, "What comes by itself", [f"{stamp(one.at)} {one.what}" for one in why.next])
    if why.pages:
        screen.line()
        screen.table(DELIVERY_COLUMNS, [delivery_row(page) for page in why.pages])
    return 0


def _stamped(lines: list[_Line]) -> list[str]:
    return [f"{stamp(line.at)} {line.text}" for line in lines]


def _section(screen: Screen, title: str, items: list[str]) -> None:
    if items:
        _heading(screen, title)
    for item in items:
        screen.item(item)


def _print_alerts(screen: Screen, why: _Why) -> None:
    """By reason: forty alerts that joined alike say it once."""
    by_reason: dict[str, list[AlertView]] = {}
    for alert in why.alerts:
        by_reason.setdefault(alert.joined_because, []).append(alert)
    for reason, alerts in by_reason.items():
        screen.item(f"{reason}:" if reason else "no reason recorded:")
        for alert in alerts:
            screen.item(alert_text(alert), depth=1)
    if (more := alert_total(why.incident) - len(why.alerts)) > 0:
        screen.item(f"and {more} more alerts")


def _heading(screen: Screen, text: str) -> None:
    screen.line()
    screen.line(Cell(text, "bold"))
