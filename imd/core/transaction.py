"""What one step of the engine has decided so far.

Owns the order of effects: alerts as they change, then each touched incident once with its lines, so that a hundred
alerts that join one incident are one row and one line of it.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from imd.core import timeline
from imd.model.alert import Alert, AlertReport
from imd.model.effect import AppendTimeline, Counted, Effect, ForgetIncident, SaveAlert, SaveIncident
from imd.model.incident import Incident

OPENERS = frozenset({"opened", "counted", "awaited", "split"})
"""Reasons of membership that those have with whom an incident opens."""


class Touched:
    """What happened to one incident within this step. `woken`: it was hushed and goes on from its first step.
    `opener` is the first alert of one that this step opened.
    `muted` members were suppressed or came so, `slipped` ones ended while they held nothing open. `restated`: with what
    its sender says of it now, where that is worth a line. `names` are alertnames by id, of those that joined as far as
    they are known: working one out anew costs 1 us."""

    __slots__ = (
        "cleared",
        "incident",
        "joined",
        "muted",
        "names",
        "opener",
        "released",
        "restated",
        "revived",
        "slipped",
        "woken",
    )

    def __init__(self, incident: Incident) -> None:
        self.incident = incident
        self.opener: Alert | None = None
        self.joined: list[Alert] = []
        self.names: dict[int, str] = {}
        self.cleared: list[tuple[Alert, str]] = []
        self.revived: list[Alert] = []
        self.muted: list[Alert] = []
        self.released: list[Alert] = []
        self.slipped: list[tuple[Alert, str]] = []
        self.restated: list[tuple[Alert, str]] = []
        self.woken = False

    @property
    def members(self) -> bool:
        """Whether some member came, went, or changed its verdict or labels."""
        return bool(self.joined) or self.changed

    @property
    def changed(self) -> bool:
        """The same of those that were members before."""
        ends = self.revived or self.cleared or self.slipped
        return bool(ends or self.muted or self.released or self.restated)

    @property
    def opened(self) -> bool:
        """Whether this step opened the incident."""
        return self.opener is not None

    def join(self, alert: Alert) -> None:
        """A new member, by `joined_because`."""
        if not self.joined and alert.joined_because in OPENERS:
            self.opener = alert
        self.joined.append(alert)

    def leave(self, alerts: Collection[Alert]) -> None:
        """They came in this step and are elsewhere now."""
        gone = {alert.id for alert in alerts}
        self.joined = [alert for alert in self.joined if alert.id not in gone]

    def forget(self) -> None:
        """The consequences are drawn; what follows in this step counts anew."""
        self.opener = None
        self.joined, self.woken = [], False
        if self.changed:
            self.cleared, self.revived, self.muted = [], [], []
            self.released, self.slipped, self.restated = [], [], []


class Transaction:
    """Collects a step's effects. `now` is the step's instant, `at` the one at which what is being done fell due: before
    `now` where the step is late. `touched` are all incidents that it changed, `unsettled` those whose consequences are
    not drawn yet. `reported`, `expired`: a line of the journal says so, and more of them would be settled together with
    it. `own_reports` are what imd itself has to report because of it. `tells` is False where nobody reads timeline and
    journal: what they say is then hardly worked out."""

    tells = True

    def __init__(self, now: datetime) -> None:
        self.now = self.at = now
        self.effects: list[Effect] = []
        self.touched: dict[str, Touched] = {}
        self.unsettled: dict[str, Touched] = {}
        self.reported = self.expired = False
        self.own_reports: list[AlertReport] = []
        self._counts: dict[tuple[str, tuple[str, ...]], int] = {}

    def touch(self, incident: Incident) -> Touched:
        touched = self.touched.get(incident.id)
        if touched is None:
            touched = self.touched[incident.id] = Touched(incident)
        self.unsettled[incident.id] = touched
        return touched

    def save(self, alert: Alert) -> None:
        self.effects.append(SaveAlert(alert))

    def forget(self, incident: Incident) -> None:
        """The incident leaves memory; what this step changed of it is saved before, for saving holds it in memory."""
        self.unsettled.pop(incident.id, None)
        if self.touched.pop(incident.id, None) is not None:
            self.effects.append(SaveIncident(incident))
        self.effects.append(ForgetIncident(incident.id))

    def say(
        self, incident: Incident, kind: str, text: str, by: str = "imd", at: datetime | None = None, **details: str
    ) -> None:
        """A line of the incident's timeline; `at` is when it happened, where that is not now."""
        line = timeline.entry(incident, kind, text, by, at or self.now, self.now, details)
        self.effects.append(AppendTimeline(incident.id, line))
        self.touch(incident)

    def count(self, name: str, *values: str, amount: int = 1) -> None:
        if amount:
            key = name, values
            self._counts[key] = self._counts.get(key, 0) + amount

    def observe(self, name: str, amount: float, *values: str) -> None:
        self.effects.append(Counted(name, values, amount))

    def close(self) -> list[Effect]:
        """All effects, with each touched incident saved once, at the end."""
        effects = self.effects
        effects += [SaveIncident(touched.incident) for touched in self.touched.values()]
        effects += [Counted(name, values, amount) for (name, values), amount in self._counts.items()]
        return effects
