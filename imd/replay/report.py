"""What became of recorded events, as lines for other tools: `replay --out` (design section 2).

Owns the shapes of the lines and the plain translation from the story; decides nothing. Times are unix seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec

from imd.model.alert import NO_ANNOTATIONS, Alert, fingerprint
from imd.model.incident import Incident, IncidentState
from imd.replay.run import Story


class Assignment(msgspec.Struct, frozen=True, tag_field="type", tag="assignment", gc=False):
    """Line `event` of the file speaks of an episode in `incident`, which survived all merges."""

    event: int
    fingerprint: str
    incident: str
    annotations: msgspec.Raw


class Cause(msgspec.Struct, frozen=True):
    """`annotations` are those of the alert with this fingerprint."""

    entity: str
    fingerprint: str
    reason: str
    annotations: msgspec.Raw


class IncidentLine(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="incident"):
    """`alerts` counts the episodes that were ever in it, and for a survivor those of the incidents merged into it."""

    id: str
    state: str
    merged_into: str | None
    rule: str
    group_key: dict[str, str]
    priority: str
    opened_at: float
    resolved_at: float | None
    alerts: int
    root_cause: Cause | None


class PageLine(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="page"):
    """One delivery. `incident` is the one that it was sent for, merged or not; `reason` null for what is no page. A
    digest has `incident` null and `incidents`, those that are paged by it."""

    ts: float
    incident: str | None
    receiver: str
    to: str
    kind: str
    reason: str | None
    priority: str
    step: int
    incidents: list[str] | msgspec.UnsetType = msgspec.UNSET


Line = Assignment | IncidentLine | PageLine

_encode = msgspec.json.Encoder().encode


class Report:
    """The lines of one story."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._fingerprints: dict[bytes, str] = {}
        self._causes: dict[tuple[str, str], bytes] | None = None
        self._listed = {one.id for one in story.incidents.values() if one.state is not IncidentState.CANCELLED}

    def assignments(self) -> Iterator[Assignment]:
        """One for each event of an episode in an incident, in order of events."""
        story = self._story
        for given in story.given:
            incident = story.surviving(given.alert.incident)
            if incident in self._listed:
                annotations = msgspec.Raw(given.annotations)
                yield Assignment(given.line, self._fingerprint(given.alert), incident, annotations)

    def incidents(self) -> Iterator[IncidentLine]:
        """All but cancelled ones, in order of opening."""
        incidents = sorted(self._story.incidents.values(), key=lambda one: one.number)
        merged: dict[str, set[int]] = {}
        for incident in incidents:
            own = self._story.members.get(incident.id, ())
            merged.setdefault(self._story.surviving(incident.id), set()).update(own)
        for incident in incidents:
            if incident.id in self._listed:
                members = merged if incident.id in merged else self._story.members
                yield self._incident(incident, len(members.get(incident.id, ())))

    def pages(self) -> Iterator[PageLine]:
        """Every message in order of sending."""
        for delivery in self._story.pages:
            yield PageLine(
                ts=delivery.created_at.timestamp(),
                incident=delivery.incident or None,
                receiver=delivery.receiver,
                to=delivery.to,
                kind=delivery.kind.value,
                reason=delivery.reason.value if delivery.reason else None,
                priority=delivery.priority.value,
                step=delivery.step,
                incidents=self._story.digests.get(delivery.id, msgspec.UNSET),
            )

    def lines(self) -> Iterator[bytes]:
        """The whole of `--out`, encoded, a line break behind each."""
        for line in self.assignments():
            yield _encode(line) + b"\n"
        for incident in self.incidents():
            yield _encode(incident) + b"\n"
        for page in self.pages():
            yield _encode(page) + b"\n"

    def _incident(self, incident: Incident, alerts: int) -> IncidentLine:
        return IncidentLine(
            id=incident.id,
            state=incident.state.value,
            merged_into=incident.merged_into or None,
            rule=incident.rule,
            group_key=dict(incident.group_key),
            priority=incident.priority.value,
            opened_at=incident.opened_at.timestamp(),
            resolved_at=_seconds(incident.resolved_at),
            alerts=alerts,
            root_cause=self._cause(incident),
        )

    def _cause(self, incident: Incident) -> Cause | None:
        cause = incident.root_cause
        if cause is None:
            return None
        annotations = self._annotations().get((self._story.surviving(incident.id), cause.fingerprint), NO_ANNOTATIONS)
        return Cause(cause.entity, cause.fingerprint, cause.reason, msgspec.Raw(annotations))

    def _annotations(self) -> dict[tuple[str, str], bytes]:
        """The last annotations of each alert, by surviving incident and fingerprint."""
        if self._causes is None:
            self._causes = {
                (self._story.surviving(given.alert.incident), self._fingerprint(given.alert)): given.annotations
                for given in self._story.given
            }
        return self._causes

    def _fingerprint(self, alert: Alert) -> str:
        """Ten microseconds a label set, so each is worked out once."""
        identity = alert.identity
        known = self._fingerprints.get(identity.canonical)
        if known is None:
            known = self._fingerprints[identity.canonical] = fingerprint(identity.labels())
        return known


def _seconds(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()
