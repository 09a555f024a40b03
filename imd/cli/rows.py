"""Incidents, alerts and deliveries as lines of a terminal. Knows their shapes; asks no daemon."""

from __future__ import annotations

from datetime import datetime

import msgspec

from imd.cli.instants import ago, stamp
from imd.cli.screen import Cell, Column, Screen
from imd.model.view import AlertView, IncidentView

_PRIORITY_COLOUR = {"P1": "red", "P2": "yellow"}
_STATE_COLOUR = {
    "triggered": "red",
    "acknowledged": "yellow",
    "snoozed": "yellow",
    "resolved": "green",
    "firing": "red",
    "suppressed": "yellow",
    "accepted": "green",
    "failed": "red",
    "unknown": "yellow",
}


def priority_cell(priority: str) -> Cell:
    return Cell(priority, _PRIORITY_COLOUR.get(priority, ""))


def state_cell(state: str) -> Cell:
    return Cell(state, _STATE_COLOUR.get(state, ""))


def print_headline(screen: Screen, incident: IncidentView) -> None:
    screen.line(
        Cell(f"#{incident.number}", "bold"),
        priority_cell(incident.priority),
        state_cell(incident.state),
        Cell(incident.title, "bold"),
    )


INCIDENT_COLUMNS = (
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


def incident_row(incident: IncidentView, now: datetime) -> list[Cell | str]:
    return [
        str(incident.number),
        priority_cell(incident.priority),
        state_cell(incident.state),
        ago(incident.opened_at, now),
        str(incident.alert_count.firing),
        str(alert_total(incident)),
        incident.assignee or incident.acknowledged_by or "",
        incident.rule,
        incident.title,
    ]


def alert_total(incident: IncidentView) -> int:
    count = incident.alert_count
    return count.firing + count.resolved + count.suppressed


ALERT_COLUMNS = (
    Column("ALERT", elastic=True),
    Column("STATUS"),
    Column("AGE", right=True, leave_out=2),
    Column("COUNT", right=True, leave_out=3),
    Column("LABELS", elastic=True, leave_out=1),
)


def alert_row(alert: AlertView, now: datetime) -> list[Cell | str]:
    labels = alert_labels(alert)
    name = labels.pop("alertname", "")
    return [
        name,
        state_cell("suppressed" if alert.suppressed_by and alert.status == "firing" else alert.status),
        ago(alert.starts_at, now),
        str(alert.count),
        " ".join(f"{label}={value}" for label, value in labels.items()),
    ]


def alert_text(alert: AlertView) -> str:
    labels = alert_labels(alert)
    name = labels.pop("alertname", "")
    by = f", suppressed by {', '.join(alert.suppressed_by)}" if alert.suppressed_by else ""
    return name + pairs_text(labels) + by


def alert_labels(alert: AlertView) -> dict[str, str]:
    return msgspec.json.decode(alert.labels, type=dict[str, str])


def pairs_text(labels: dict[str, str]) -> str:
    """`{cluster="c1", node="n1"}`; "" where there are none."""
    return "{" + ", ".join(f'{name}="{value}"' for name, value in labels.items()) + "}" if labels else ""


class DeliveryLine(msgspec.Struct):
    """What of a delivery is shown."""

    number: int
    receiver: str
    to: str
    kind: str
    reason: str | None
    state: str
    attempts: int
    created_at: datetime
    error: str | None
    headline: str


DELIVERY_COLUMNS = (
    Column("AT", leave_out=2),
    Column("STATE"),
    Column("RECEIVER", elastic=True),
    Column("TO", elastic=True, leave_out=4),
    Column("KIND"),
    Column("REASON", leave_out=5),
    Column("TRIES", right=True, leave_out=3),
    Column("WHAT", elastic=True, leave_out=1),
)


def delivery_row(delivery: DeliveryLine) -> list[Cell | str]:
    return [
        stamp(delivery.created_at),
        state_cell(delivery.state),
        delivery.receiver,
        delivery.to,
        delivery.kind,
        delivery.reason or "",
        str(delivery.attempts),
        delivery.error or delivery.headline,
    ]
