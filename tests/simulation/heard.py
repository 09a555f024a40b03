"""Whether those who were told of an incident know that somebody has it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from imd.model.incident import Incident, IncidentState
from imd.model.policy import PageKind, Receiver
from tests.simulation.ondisk import Row

if TYPE_CHECKING:
    from tests.simulation.receivers import Send

WITHIN = timedelta(minutes=3)


def unheard(
    sends: Iterable[Send],
    rows: Sequence[Row],
    incidents: Mapping[str, Incident],
    receivers: Mapping[str, Receiver],
    well_since: datetime,
    now: datetime,
) -> Iterator[str]:
    """Who wants to hear of acknowledgements, was told of an incident that somebody has had for minutes, and believes
    that nobody has. What counts is what was decided last, however late it was taken; to whom anything is still under
    way may hear it yet. `well_since`: imd has run from then on, without a fault."""
    decided = {row.delivery.id: row.seq for row in rows}
    under_way = {row.delivery.receiver for row in rows if row.state == "pending"}
    taken = (send for send in sends if send.taken_at is not None and send.receiver not in under_way)
    asked = [send for send in taken if PageKind.ACKNOWLEDGED in receivers[send.receiver].send]
    last: dict[tuple[str, str], Send] = {}
    for send in sorted(asked, key=lambda send: decided[send.delivery]):
        last.update({(incident, send.receiver): send for incident in send.says})
    for (name, receiver), send in last.items():
        incident = incidents[name]
        had = incident.state is IncidentState.ACKNOWLEDGED and send.says[name] == IncidentState.TRIGGERED.value
        if had and now - max(well_since, incident.acknowledged_at or now) > WITHIN:
            yield f"{receiver} never heard that {name} is acknowledged, but last: {send}"
