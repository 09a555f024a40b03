"""The engine's state for those who read it: the lists that API, metrics and explanations ask the loop for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from imd.core.state import State
from imd.model.alert import Alert
from imd.model.heartbeat import OWN_SOURCE, Beat
from imd.model.incident import Incident
from imd.model.quiet import Silence
from imd.model.schedule import Override


class Shown:
    """What stands on this has a state, or none before the start."""

    @property
    def state(self) -> State | None:
        """For reads alone."""
        raise NotImplementedError

    def open_alerts(self) -> Iterable[Alert]:
        """Every alert that fires, in order of id. The engine's own records: read them before the next await."""
        if self.state is None:
            return []
        return sorted((alert for alert in self.state.alerts.values() if alert.firing), key=lambda one: one.id)

    def open_incidents(self) -> Iterable[Incident]:
        """By number. As above."""
        found = [] if self.state is None else [one for one in self.state.incidents.values() if one.open]
        return sorted(found, key=lambda one: one.number)

    def owing(self) -> Iterable[Incident]:
        """Those with a page that is not settled. As above."""
        return [] if self.state is None else [one for one in self.state.incidents.values() if one.awaited]

    def heard(self) -> Mapping[str, datetime]:
        """When each source was last heard; imd itself is none."""
        heard = {} if self.state is None else self.state.heard
        return {name: one.heard_at for name, one in heard.items() if name not in ("", OWN_SOURCE)}

    def silences(self) -> Iterable[Silence]:
        """All that are known, ended ones of the last days too, by id."""
        return [] if self.state is None else sorted(self.state.silences.values(), key=lambda one: one.id)

    def suppressed(self, cause: str) -> int:
        """How many firing alerts this cause suppresses."""
        return 0 if self.state is None else len(self.state.suppressed.by_cause.get(cause, ()))

    def overrides(self) -> Iterable[Override]:
        """What people set over schedules, ended ones too, by id."""
        return [] if self.state is None else sorted(self.state.overrides.values(), key=lambda one: one.id)

    def beats(self) -> Iterable[Beat]:
        """Every heartbeat's record, by name and values. As above."""
        state = self.state
        return [] if state is None else [state.beats[instance] for instance in sorted(state.beats)]
