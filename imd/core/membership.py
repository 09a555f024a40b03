"""The timeline's lines about an incident's members: who joined, who fires again, who has ended; one a kind and step.

Owns the sentences. Looks at a bounded number of alerts, however many a storm brings.
"""

from __future__ import annotations

from imd.core.transaction import Touched, Transaction
from imd.model.alert import Alert

NAMED_MAX = 5  # names of alerts in one line; the rest is counted
COUNTED_MAX = 1000  # alerts that one line looks at

JOINED = {
    "opened": "with the first",
    "counted": "counted with the first",
    "awaited": "waited with the first",
    "joined": "same rule, key and open window",
    "reopened": "within reopen_within",
    "returned": "it opened this incident before",
    "related": "{related}",
    "merged": "they came with what was merged into this",
}


def say(tx: Transaction, touched: Touched) -> None:
    """The lines of what happened to the incident's members in this step."""
    incident = touched.incident
    joined = touched.joined[1:] if touched.opened else touched.joined
    for because in dict.fromkeys(alert.joined_because for alert in joined):
        alerts = [alert for alert in joined if alert.joined_because == because]
        tx.say(incident, "joined", f"{named(alerts)} joined: {JOINED[because].format(related=alerts[0].related)}")
    if touched.revived:
        tx.say(incident, "revived", f"{named(touched.revived)} fire again")
    by_reason: dict[str, list[Alert]] = {}
    for alert, because in touched.cleared:
        by_reason.setdefault(because, []).append(alert)
    for because, alerts in by_reason.items():
        tx.say(incident, "cleared", f"{named(alerts)}: {because}; {incident.firing} still firing")


def because_ended(touched: Touched) -> str:
    """Why the incident ends: its alerts resolved, unless the last to go were only not heard of any more."""
    _, because = touched.cleared[-1]
    return "alerts resolved" if because == "resolved" else because


def named(alerts: list[Alert]) -> str:
    """A few alerts by alertname and the count of the rest."""
    names: dict[str, int] = {}
    for alert in alerts[:COUNTED_MAX]:
        name = alert.full_labels().get("alertname", "an alert")
        names[name] = names.get(name, 0) + 1
    shown = [f"{name} x{count}" if count > 1 else name for name, count in list(names.items())[:NAMED_MAX]]
    rest = f" and {len(names) - NAMED_MAX} other names" if len(names) > NAMED_MAX else ""
    return ", ".join(shown) + rest
