"""What many alerts have in common, as one object for all of them: also those that are read from disk.

Owns no more than the memory of what was seen last. Each record that is decoded has texts and instants of its own, which
is as much again as the alert itself; so they are exchanged for those of others record by record, before the next one
takes the room. Alerts come in order of their ids: neighbours were reported together, and have their instants in common.
"""

from __future__ import annotations

from imd.model.alert import Alert

TEXTS_MAX = 20_000
"""Names, URLs, incidents and annotations among which the like is looked for; beyond it that begins anew."""


class Shared:
    """For the alerts of one snapshot."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._annotations: dict[bytes, bytes] = {}
        self._last: Alert | None = None

    def __call__(self, alert: Alert) -> Alert:
        """The same alert."""
        if len(self._texts) >= TEXTS_MAX:
            self._texts.clear()
        if len(self._annotations) >= TEXTS_MAX:
            self._annotations.clear()
        text = self._texts.setdefault
        alert.source, alert.rule = text(alert.source, alert.source), text(alert.rule, alert.rule)
        alert.incident = text(alert.incident, alert.incident)
        alert.joined_because = text(alert.joined_because, alert.joined_because)
        alert.related = text(alert.related, alert.related)
        alert.generator_url = text(alert.generator_url, alert.generator_url)
        alert.annotations = self._annotations.setdefault(alert.annotations, alert.annotations)
        if self._last is not None:
            _like(alert, self._last)
        self._last = alert
        return alert


def _like(alert: Alert, last: Alert) -> None:
    """Instants that are those of the one before."""
    if alert.starts_at == last.starts_at:
        alert.starts_at = last.starts_at
    if alert.received_at == last.received_at:
        alert.received_at = last.received_at
    if alert.seen_at == last.seen_at:
        alert.seen_at = last.seen_at
    if alert.joined_at == last.joined_at:
        alert.joined_at = last.joined_at
    if alert.spans == last.spans:
        alert.spans = last.spans
