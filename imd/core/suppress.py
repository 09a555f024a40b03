"""Whether an alert is suppressed, and by which causes: silences, inhibitions, maintenance, pause, a rule's mode.

Owns the verdict; decides nothing of what follows from it (`core.quiet`). A verdict is a function of the silences and
the windows in force, the alerts that fire, and the rules. What is in force changes when its deadline is taken, not with
the clock: so a late step judges by what held when each thing fell due, before a restart and after it. Causes are texts,
each the way to what caused it: `silence/UUID`, `inhibition/NAME/FINGERPRINT`, `maintenance/NAME`, `pause`, `rule/NAME`.
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
    """Judges alerts under one ruleset. `silences` is the state's own map, by id; whoever changes it says so here. `at`:
    up to when the state is done with deadlines; None where it has had none."""

    def __init__(self, ruleset: Ruleset, silences: Mapping[str, Silence], at: datetime | None) -> None:
        self._silences = silences
        self._filed: MatchIndex[str] = MatchIndex()
        self._windows: MatchIndex[str] = MatchIndex()
        self._maintenance = {one.name: one for one in ruleset.maintenance}
        self._in_force: set[str] = set()
        self._paused = False
        self.inhibitors = Inhibitors(ruleset.inhibitions)
        for silence in silences.values():
            if silence.begun and (at is None or at < silence.ends_at):
                self.file(silence)
        for maintenance in ruleset.maintenance:
            self._windows.add(maintenance.name, maintenance.match)
            if at is not None:
                self.look(maintenance.name, at)

    def file(self, silence: Silence) -> None:
        """It is in force, or in force and another than it was: from now on the judgement goes by it."""
        self.unfile(silence.id)
        if silence.id == PAUSE:
            self._paused = True
        else:
            self._filed.add(silence.id, (silence.matchers,))

    def unfile(self, silence_id: str) -> None:
        """It is not in force, or not any more."""
        if silence_id == PAUSE:
            self._paused = False
        else:
            self._filed.remove(silence_id)

    def look(self, name: str, at: datetime) -> bool:
        """Whether a window of this maintenance is in force at that instant: from now on the judgement goes by it."""
        if times.in_force(self._maintenance[name].during, at):
            self._in_force.add(name)
        else:
            self._in_force.discard(name)
        return name in self._in_force

    def judge(self, alert: Alert, labels: Mapping[str, str], rule: Rule | None) -> Causes:
        """Why the alert is suppressed; () for not at all. It has entered `inhibitors`. `rule`: the one that takes it,
        where it is in no incident."""
        silences = self._silences
        idle = self.inhibitors.idle and not silences and not self._in_force
        if idle and (rule is None or rule.mode is not _SUPPRESS):
            return ()  # as for nearly every alert
        causes: list[str] = []
        if silences:
            causes += [silences[one].cause for one in self._filed.find(labels)]
            if self._paused:
                causes.append(PAUSE)
        if not self.inhibitors.idle:
            causes += self.inhibitors.causes(alert)
        if self._in_force:
            causes += [self._maintenance[name].cause for name in self._windows.find(labels) if name in self._in_force]
        if rule is not None and rule.mode is _SUPPRESS:
            causes.append(f"rule/{rule.name}")
        return tuple(causes)


_SUPPRESS = Mode.SUPPRESS  # the way of every new alert: see model.alert


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
