"""The command `why`: the daemon's own reasons, set out for a terminal. Adds no reason of its own."""

from __future__ import annotations

from argparse import Namespace
from datetime import datetime

import msgspec

from imd.cli.instants import stamp
from imd.cli.remote import Daemon, incident_path, read
from imd.cli.rows import DELIVERY_COLUMNS, DeliveryLine, alert_text, alert_total, delivery_row, print_headline
from imd.cli.screen import Cell, Screen
from imd.model.view import AlertView, IncidentView


class _Line(msgspec.Struct):
    at: datetime
    text: str


class _Why(msgspec.Struct):
    """`exists` are sentences; `lines` those of the timeline that speak of pages, sent or not."""

    incident: IncidentView
    exists: list[str]
    alerts: list[AlertView]
    pages: list[DeliveryLine]
    lines: list[_Line]


def run(daemon: Daemon, screen: Screen, arguments: Namespace) -> int:
    content = daemon.get(incident_path(arguments.incident) + "/why")
    if arguments.json:
        print(content.decode())
        return 0
    why = read(content, _Why)
    print_headline(screen, why.incident)
    _heading(screen, "Why it exists")
    for sentence in why.exists:
        screen.item(sentence)
    _heading(screen, "Why each alert is in it")
    _print_alerts(screen, why)
    _heading(screen, "Who was paged or not, and why")
    for line in why.lines:
        screen.item(f"{stamp(line.at)} {line.text}")
    if why.pages:
        screen.line()
        screen.table(DELIVERY_COLUMNS, [delivery_row(page) for page in why.pages])
    return 0


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
