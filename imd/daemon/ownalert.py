"""What imd has to report of itself before anybody else can: an alert of source `imd`, as any other from there on.

It begins and ends when that is said: with times of their own, what ends after the clock was set back would never end.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from imd.model.alert import AlertReport, identify
from imd.model.event import AlertsReported
from imd.model.heartbeat import OWN_SOURCE

_FIRES = timedelta(hours=24)  # nothing clears it but a person, or a day
DISK_FULL = identify({"alertname": "ImdDiskFull", "severity": "critical"})


def state_lost(lost_at: datetime, now: datetime, *, log: bool = False) -> AlertsReported:
    """The database was recovered at `lost_at`, or found without its `log`: what was open before may be open no more,
    and nobody else says so."""
    at = f"{lost_at:%Y-%m-%d %H:%M:%S} UTC"
    what = (
        f"imd did not end cleanly, and at its start at {at} the newest commits' log (the file beside the database that "
        "ends in -wal) was gone. Acknowledgements, incidents and pages owed of its last seconds or minutes may be lost."
        if log
        else f"The database was recovered at {at} and may lack incidents, acknowledgements and pages owed."
    )
    text = f"{what} Alerts still firing come back as their senders repeat them; look at what was open before."
    report = AlertReport(
        identify({"alertname": "ImdStateLost", "severity": "critical", "lost_at": lost_at.isoformat()}),
        resolved=False,
        starts_at=None,
        ends_at=now + _FIRES,
        annotations=msgspec.json.encode({"summary": text}),
    )
    return AlertsReported(OWN_SOURCE, True, (report,))


def disk_full() -> AlertsReported:
    """The disk of the database is full. It can be said, for there is a reserve; `disk_has_room` ends it."""
    text = (
        "The disk that holds imd's database is full. Senders get 503 and keep their alerts until there is room; "
        "acknowledging and paging go on for now, on a reserve of a few MiB. Free space on it."
    )
    return _of_disk(AlertReport(DISK_FULL, False, None, None, msgspec.json.encode({"summary": text})))


def disk_has_room() -> AlertsReported:
    return _of_disk(AlertReport(DISK_FULL, True, None, None))


def _of_disk(report: AlertReport) -> AlertsReported:
    return AlertsReported(OWN_SOURCE, False, (report,))
