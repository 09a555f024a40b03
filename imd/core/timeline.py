"""The lines that decisions leave behind: their kinds, and the counting of lines an incident.

Owns the kinds; the sentences stand where the decision is made. The timeline is also the audit trail.
"""

from __future__ import annotations

from datetime import datetime

from imd.model.incident import Incident, TimelineEntry

KINDS = frozenset(
    {
        "opened", "joined", "cleared", "revived", "triggered", "cancelled", "resolved", "reopened", "window",
        "priority", "route", "paged", "not_notified", "delivery_failed", "passed_on", "exhausted", "reminded",
        "acknowledged", "unacknowledged", "ack_lapsed", "note", "updated", "notified", "restarted", "closed", "merged",
        "suppressed", "released", "flapping", "settled", "restated",
        "snoozed", "assigned", "escalated", "responder", "split", "reported", "late", "moved",
    }
)  # fmt: skip


def entry(
    incident: Incident, kind: str, text: str, by: str, at: datetime, now: datetime, details: dict[str, str]
) -> TimelineEntry:
    """The incident's next line. Counts on the incident, so the order stands after a restart."""
    assert kind in KINDS, kind
    incident.lines += 1
    return TimelineEntry(seq=incident.lines, kind=kind, text=text, by=by, at=at, learnt_at=now, details=details)
