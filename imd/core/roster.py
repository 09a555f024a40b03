"""Who is on call now, overrides of the day included: schedules, and what people set over them.

Owns which overrides may be set, how many, and that they end. The arithmetic is `oncall`. An override acts on whoever is
notified from then on; whom a step has notified already it does not call back.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from imd.core import journal, oncall
from imd.core.oncall import OnCall
from imd.core.state import State
from imd.core.transaction import Transaction
from imd.model.effect import Journal, Refused, SaveOverride
from imd.model.event import OverrideEnded, OverrideSet
from imd.model.policy import Ruleset
from imd.model.schedule import Override

OVERRIDES_MAX = 1000  # the ended ones that are still known among them
KEPT = timedelta(days=400)  # an ended override stays known so long, as closed incidents do: it says who was on call


class Roster:
    """Works on the state's overrides under one ruleset."""

    def __init__(self, ruleset: Ruleset, state: State) -> None:
        self._ruleset = ruleset
        self._state = state

    def on_call(self, schedule: str, at: datetime) -> OnCall | None:
        """None where the configuration has no such schedule."""
        known = self._ruleset.schedules.get(schedule)
        if known is None:
            return None
        return oncall.on_call(known, at, self._ruleset.people, self._state.overrides.values())

    def take(self, tx: Transaction, event: OverrideSet | OverrideEnded) -> None:
        if isinstance(event, OverrideSet):
            self._set(tx, event.override)
        else:
            self._end(tx, event)

    def _set(self, tx: Transaction, override: Override) -> None:
        """A new override, or another one under the id of one before."""
        refusal = self._refusal(override, tx.now)
        if refusal:
            tx.effects.append(Refused(0, refusal))
            return
        tx.effects.append(Journal(tx.now, journal.override_set(tx.now, override), True))
        self._state.overrides[override.id] = override
        tx.effects.append(SaveOverride(override))

    def _end(self, tx: Transaction, event: OverrideEnded) -> None:
        """Before its time. One that is over already stays as it is."""
        override = self._state.overrides.get(event.override)
        if override is None:
            tx.effects.append(Refused(0, f"there is no override {event.override}"))
            return
        if override.ends_at <= tx.now:
            return
        tx.effects.append(Journal(tx.now, journal.override_ended(tx.now, event), True))
        ended = override.ended(tx.now, event.by)
        self._state.overrides[ended.id] = ended
        tx.effects.append(SaveOverride(ended))

    def _refusal(self, override: Override, now: datetime) -> str:
        """Why it cannot be; "" where it can."""
        if override.schedule not in self._ruleset.schedules:
            return f"there is no schedule {override.schedule}"
        if override.person not in self._ruleset.people:
            return f"there is no person {override.person}"
        if override.begins_at >= override.ends_at or override.ends_at <= now:
            return "an override ends after it begins, and in the future"
        if override.id not in self._state.overrides and not self._make_room(now):
            return f"there are {OVERRIDES_MAX} overrides already; remove some"
        return ""

    def _make_room(self, now: datetime) -> bool:
        """Beyond the bound the one that ended first is forgotten; whether there is room then."""
        overrides = self._state.overrides
        for one in [one for one in overrides.values() if one.ends_at + KEPT <= now]:
            del overrides[one.id]
        if len(overrides) < OVERRIDES_MAX:
            return True
        first = min(overrides.values(), key=lambda one: (one.ends_at, one.id))
        if first.ends_at > now:
            return False
        del overrides[first.id]
        return True
