"""What a reload needs of all that is resident, worked out ahead of it and in slices.

Owns the index of inhibitors and the placing on another map, while the old ones are still in use. Decides nothing and
changes nothing that is decided by: the reload takes hold whole, at its instant, and it is the same whether all of this
was done ahead, some of it or none. So a replay, or a restart in the middle, knows nothing of slices.

How it works: a walk over all alerts and incidents enters them, SLICE at a time. What a step changes meanwhile is seen
by what it saves, for whatever either index holds would be the same after a restart; those alerts and incidents are
entered anew, also in slices, and the last few with the reload itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from imd.core import related
from imd.core.inhibit import Inhibitors
from imd.core.relate import Relator
from imd.core.state import State
from imd.model.alert import Alert
from imd.model.effect import Effect, ForgetIncident, SaveAlert, SaveIncident
from imd.model.heartbeat import OWN_SOURCE, RULE_PREFIX
from imd.model.policy import Ruleset

SLICE = 200
"""Alerts entered in one slice: 20 us each where another map must say where it stands for the first time, 60 us."""

ROUNDS_MAX = 8
"""How often what changed meanwhile is entered anew before the reload; some of it changes with every body."""


class Prepared:
    """From rules to rules. Making one reads the rules alone, and may be done in another thread; all else may not."""

    def __init__(self, before: Ruleset, ruleset: Ruleset) -> None:
        self.before = before
        self.ruleset = ruleset
        self.relator = Relator(ruleset.topology) if ruleset.topology != before.topology else None
        self.inhibitors = Inhibitors(ruleset.inhibitions) if ruleset.inhibitions != before.inhibitions else None
        self._rules = {rule.name: rule for rule in ruleset.rules}
        self._alerts: dict[int, Alert] = {}
        self._incidents: dict[str, None] = {}
        self._homes: dict[int, str] = {}
        self._state: State | None = None
        self._rounds = 0
        self._walk: Iterator[None] = iter(())

    def follow(self, state: State) -> None:
        """From now on `saw` is told of every step."""
        self._state = state
        self._walk = self._enter_all(state)

    def saw(self, effects: Iterable[Effect]) -> None:
        """What a step has changed."""
        for effect in effects:
            if type(effect) is SaveAlert:
                self._alerts[effect.alert.id] = effect.alert
                self._incidents[effect.alert.incident] = None
            elif type(effect) is SaveIncident:
                self._incidents[effect.incident.id] = None
            elif type(effect) is ForgetIncident:
                self._incidents[effect.id] = None

    def slice(self) -> bool:
        """The next alerts; whether there are more that had better be entered before the reload."""
        if sum(1 for _ in islice(self._walk, SLICE)) == SLICE:
            return True
        self._rounds += 1
        if self._rounds > ROUNDS_MAX or len(self._alerts) + len(self._incidents) <= SLICE:
            return False
        self._walk = self._enter_changed()
        return True

    def finish(self, effects: Iterable[Effect], touched: Iterable[str]) -> None:
        """All that is left, and what the reload's own step has done before it."""
        self.saw(effects)
        self._incidents.update(dict.fromkeys(touched))
        for _ in self._walk:
            pass
        for _ in self._enter_changed():
            pass

    def _enter_all(self, state: State) -> Iterator[None]:
        """One alert, or incident, from each to the next."""
        if self.inhibitors is not None and not self.inhibitors.idle:
            for alert in list(state.alerts.values()):
                self._enter(self.inhibitors, alert)
                yield
        if self.relator is not None:
            for incident_id in list(state.incidents):
                yield from self._place(self.relator, state, incident_id)

    def _enter_changed(self) -> Iterator[None]:
        alerts, self._alerts = self._alerts, {}
        incidents, self._incidents = self._incidents, {}
        if self.inhibitors is not None and not self.inhibitors.idle:
            for alert in alerts.values():
                self.inhibitors.leave(alert)
                self._enter(self.inhibitors, alert)
                yield
        if self.relator is not None and self._state is not None:
            for incident_id in incidents:
                yield from self._place(self.relator, self._state, incident_id)

    def _enter(self, inhibitors: Inhibitors, alert: Alert) -> None:
        if alert.firing and not goes_nowhere(alert):
            inhibitors.enter(alert, alert.full_labels())

    def _place(self, relator: Relator, state: State, incident_id: str) -> Iterator[None]:
        """An incident with its members. One that changes meanwhile is placed anew later."""
        relator.forget(incident_id)
        yield
        incident = state.incidents.get(incident_id)
        if incident is None:
            return
        for alert in related.place_again(relator, state, self._rules, incident, self._leave_home):
            self._homes[alert.id] = incident_id
            yield

    def _leave_home(self, alert: Alert, incident_id: str) -> None:
        """It is entered into this incident next: into one at a time."""
        home = self._homes.pop(alert.id, incident_id)
        if home != incident_id and self.relator is not None:
            self.relator.leave(home, alert.id)


def goes_nowhere(alert: Alert) -> bool:
    """Whether no rule was asked for it: enrichment stopped it, or it feeds a heartbeat. So it has no verdict."""
    return alert.source != OWN_SOURCE and (alert.dropped_by != "" or alert.rule.startswith(RULE_PREFIX))
