"""What the database of a simulated site says, read directly: the oracles' third record."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from imd.model.alert import Alert, identify
from imd.model.digest import Digests
from imd.model.effect import Delivery
from imd.model.incident import Incident, TimelineEntry
from imd.store.record import (
    unpack_alert,
    unpack_delivery,
    unpack_digests,
    unpack_entry,
    unpack_incident,
    whole_alert,
)
from tests.simulation.disk import Disk

_ALERTS = """
SELECT alert.record, alert_seen.record, alert_words.record FROM alert
LEFT JOIN alert_seen ON alert_seen.id = alert.id LEFT JOIN alert_words ON alert_words.id = alert.id
ORDER BY alert.id DESC"""


@dataclass
class Row:
    """A delivery as the database has it."""

    seq: int
    state: str
    cancelled: bool
    delivery: Delivery


class OnDisk:
    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def _alert(self, labels: dict[str, str]) -> Alert | None:
        """Its newest episode."""
        key = identify(labels).key
        for record, seen, words in self._disk.rows(_ALERTS):
            if unpack_alert(record).identity.key == key:
                return whole_alert(record, seen, words)
        return None

    def _members(self) -> dict[str, list[Alert]]:
        """All alerts, by incident."""
        found: dict[str, list[Alert]] = defaultdict(list)
        for row in self._disk.rows(_ALERTS):
            alert = whole_alert(*row)
            found[alert.incident].append(alert)
        return found

    def _incidents(self) -> dict[str, Incident]:
        found = [unpack_incident(record) for (record,) in self._disk.rows("SELECT record FROM incident")]
        return {incident.id: incident for incident in found}

    def _timeline(self, incident: str) -> list[TimelineEntry]:
        found: dict[int, bytes] = {}
        for table in ("timeline", "timeline_tail"):
            found |= dict(self._disk.rows(f"SELECT seq, record FROM {table} WHERE incident = ?", (incident,)))
        return [unpack_entry(found[seq]) for seq in sorted(found)]

    def _rows(self) -> list[Row]:
        sql = "SELECT seq, state, cancelled, record FROM delivery ORDER BY seq"
        return [
            Row(seq, state, bool(cancelled), unpack_delivery(record))
            for seq, state, cancelled, record in self._disk.rows(sql)
        ]

    def _digests(self) -> list[Digests]:
        return [unpack_digests(record) for (record,) in self._disk.rows("SELECT record FROM digests")]
