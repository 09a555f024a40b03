"""Whether an alert is suppressed, and by which causes: silences, inhibitions, maintenance, pause, a rule's mode.

Owns the verdict; decides nothing of what follows from it (`core.quiet`). A verdict is a function of the silences, the
windows in force at the instant, the alerts that fire, and the rules; nothing of it is remembered here that could not be
worked out again. Causes are texts, each the way to what caused it: `silence/UUID`, `inhibition/NAME/FINGERPRINT`,
`maintenance/NAME`, `pause`, `rule/NAME`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from imd.core import times
from imd.core.inhibit import Inhibitors
from imd.core.matching import MatchIndex
from imd.model.alert import Alert
from imd.model.policy import Ruleset
from imd.model.quiet import PAUSE, Maintenance, Silence
from imd.model.rule import Mode, Rule

KINDS = ("silence", "inhibition", "maintenance", "pause", "rule")
"""The first words of causes: the label `by` of the metric."""

Causes = tuple[str, ...]


class Suppression:
    """Judges alerts under one ruleset. `silences` is the state's own map, by id; whoever changes it says so here."""

    def __init__(self, ruleset: Ruleset, silences: Mapping[str, Silence]) -> None:
        self._silences = silences
        self._filed: MatchIndex[str] = MatchIndex()
        self._windows: MatchIndex[str] = MatchIndex()
        self._maintenance = {one.name: one for one in ruleset.maintenance}
        self._in_force: dict[str, tuple[datetime, datetime, bool]] = {}
        self.inhibitors = Inhibitors(ruleset.inhibitions)
        for silence in silences.values():
            self.file(silence)
        for maintenance in ruleset.maintenance:
            self._windows.add(maintenance.name, maintenance.match)

    def file(self, silence: Silence) -> None:
        """It is new, or another than it was: from now on the judgement goes by it."""
        self._filed.remove(silence.id)
        if silence.id != PAUSE:
            self._filed.add(silence.id, (silence.matchers,))

    def unfile(self, silence_id: str) -> None:
        """It is over for good."""
        self._filed.remove(silence_id)

    def judge(self, alert: Alert, labels: Mapping[str, str], rule: Rule | None, now: datetime) -> Causes:
        """Why the alert is suppressed; () for not at all. It has entered `inhibitors`. `rule`: the one that takes it,
        where it is in no incident."""
        causes: list[str] = []
        silences = self._silences
        if silences:
            found = self._filed.find(labels)
            causes += [silences[one].cause for one in found if silences[one].in_force(now)]
            pause = silences.get(PAUSE)
            if pause is not None and pause.in_force(now):
                causes.append(PAUSE)
        if not self.inhibitors.idle:
            causes += self.inhibitors.causes(alert)
        if self._maintenance:
            found = self._windows.find(labels)
            causes += [self._maintenance[name].cause for name in found if self.in_force(name, now)]
        if rule is not None and rule.mode is Mode.SUPPRESS:
            causes.append(f"rule/{rule.name}")
        return tuple(causes)

    def in_force(self, name: str, now: datetime) -> bool:
        """Whether a window of this maintenance is. Worked out once between two of its boundaries."""
        known = self._in_force.get(name)
        if known is not None and known[0] <= now < known[1]:
            return known[2]
        during = self._maintenance[name].during
        found = times.in_force(during, now)
        until = times.next_boundary(during, now) or now + times.HORIZON / 2
        self._in_force[name] = now, until, found
        return found


def words(causes: Iterable[str], silences: Mapping[str, Silence], maintenance: Mapping[str, Maintenance]) -> str:
    """The causes for people, with who and until when."""
    return "; ".join(_word(cause, silences, maintenance) for cause in causes)


def _word(cause: str, silences: Mapping[str, Silence], maintenance: Mapping[str, Maintenance]) -> str:
    kind, _, name = cause.partition("/")
    silence = silences.get(name or PAUSE) if kind in ("silence", PAUSE) else None
    if silence is not None:
        said = f": {silence.comment}" if silence.comment else ""
        until = silence.ends_at.strftime("%Y-%m-%dT%H:%M:%SZ")
        return f"{cause} by {silence.created_by} until {until}{said}"
    planned = maintenance.get(name) if kind == "maintenance" else None
    return f"{cause}: {planned.reason}" if planned is not None and planned.reason else cause
