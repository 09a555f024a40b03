"""What imd has to report of itself before anybody else can: an alert of source `imd`, as any other from there on."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from imd.model.alert import AlertReport, identify
from imd.model.event import AlertsReported
from imd.model.heartbeat import OWN_SOURCE

_FIRES = timedelta(hours=24)  # nothing clears it but a person, or a day


def state_lost(lost_at: datetime, now: datetime) -> AlertsReported:
    """The database was recovered at `lost_at`: what was open before may be open no more, and nobody else says so."""
    text = (
        f"The database was recovered at {lost_at:%Y-%m-%d %H:%M:%S} UTC and may lack incidents, acknowledgements and "
        "pages owed. Alerts still firing come back as their senders repeat them; look at what was open before."
    )
    report = AlertReport(
        identify({"alertname": "ImdStateLost", "severity": "critical", "lost_at": lost_at.isoformat()}),
        resolved=False,
        starts_at=None,
        ends_at=now + _FIRES,
        annotations=msgspec.json.encode({"summary": text}),
    )
    return AlertsReported(OWN_SOURCE, True, (report,))
