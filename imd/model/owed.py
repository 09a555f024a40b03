"""Pages that no receiver has taken yet, counted for people.

Owns what counts as late. Called-off pages are owed to nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from imd.model.incident import Awaited, Incident
from imd.model.policy import Receiver
from imd.model.view import PagesOwed


def pages_owed(incidents: Iterable[Incident], receivers: Mapping[str, Receiver], now: datetime) -> PagesOwed:
    """As of now."""
    owed = overdue = waiting = 0
    concerned: list[Incident] = []
    by_receiver: dict[str, int] = {}
    for incident in incidents:
        pages = [one for one in incident.awaited.values() if not one.called_off and not one.off]
        if not pages:
            continue
        concerned.append(incident)
        owed += len(pages)
        waiting += sum(bool(one.digest) for one in pages)
        overdue += sum(not one.digest and _late(one, incident, receivers.get(one.receiver), now) for one in pages)
        for one in pages:
            by_receiver[one.receiver] = by_receiver.get(one.receiver, 0) + 1
    return PagesOwed(
        owed=owed,
        overdue=overdue,
        waiting=waiting,
        incidents=len(concerned),
        oldest_at=min((one.triggered_at or one.opened_at for one in concerned), default=None),
        receivers=dict(sorted(by_receiver.items())),
    )


def _late(awaited: Awaited, incident: Incident, receiver: Receiver | None, now: datetime) -> bool:
    """By its deadline; of one that has none (any more) by when it left."""
    if awaited.deadline_at is not None:
        return awaited.deadline_at < now
    within = (receiver or Receiver(name=awaited.receiver)).accept_within(incident.priority)
    return awaited.sent_at is not None and awaited.sent_at + within < now
