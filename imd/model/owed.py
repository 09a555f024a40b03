"""Pages that no receiver has taken yet, counted for people.

Owns what counts as late. Called-off pages are owed to nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from imd.model.incident import Awaited, Incident
from imd.model.policy import Receiver


class PagesOwed(msgspec.Struct, frozen=True, kw_only=True):
    """`owed` pages of so many `incidents`, open or over. Of them `overdue` are under way for longer than
    `deliver_within`; `waiting` are put off: for a digest, or until a receiver that takes nothing is back. `oldest_at`:
    when the first of the incidents was triggered. `receivers`: how many each is owed."""

    owed: int = 0
    overdue: int = 0
    waiting: int = 0
    incidents: int = 0
    oldest_at: datetime | None = None
    receivers: dict[str, int] = {}


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
