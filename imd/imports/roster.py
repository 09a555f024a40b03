"""People, schedules and policies of another tool as a folder of imd's files.

Owns names (unique, as imd takes them), how people are reached until an operator says so (nobody's addresses and
devices are in these exports), and the files. A schedule of the other tool may become several of imd's, where several
people are on call by it at once: imd's schedule has one person at a time. Whoever notifies it notifies all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from imd.config.diagnostic import Span
from imd.config.document import Node
from imd.config.quietkeys import WEEKDAYS
from imd.imports.imported import Imported, header
from imd.imports.remarks import Remarks
from imd.imports.written import Noted, Value, document

CONFIG = "config.yaml"
STAND_IN = "console"
_NAME_MAX = 90
_STEP_MIN, _STEP_MAX = timedelta(seconds=1), timedelta(days=30)


class Turns(msgspec.Struct, frozen=True, kw_only=True):
    """A rotation, as imd has it. `people` are names."""

    name: str
    people: Sequence[str]
    every: timedelta | None
    start: datetime | None
    end: date | None = None
    weekday: str = ""
    at: str = ""
    windows: Sequence[Mapping[str, Value]] = ()
    timezone: str = ""


class Roster:
    def __init__(self, tool: str, path: str, remarks: Remarks) -> None:
        self.remarks = remarks
        self._tool, self._path = tool, path
        self._names: dict[str, set[str]] = {}
        self.people: dict[str, str] = {}
        self.teams: dict[str, str] = {}
        self.schedules: dict[str, tuple[str, ...]] = {}
        self._people: list[Value] = []
        self._teams: list[Value] = []
        self._schedules: list[Value] = []
        self._policies: list[Value] = []

    # -- what there is ---------------------------------------------------------------------------------------------

    def person(self, key: str, wanted: str, timezone: str, at: Node, *also: str) -> str:
        """Known under `key` and whatever else names the same one."""
        name = self._free("person", wanted or key)
        entry: dict[str, Value] = {"name": name}
        if _zone(timezone) and timezone != "UTC":
            entry["timezone"] = timezone
        entry["reach"] = [{"receiver": STAND_IN}]
        self._people.append(Noted(entry, (f"{self._path}:{at.span.line}",)))
        for word in (key, *also):
            if word:
                self.people.setdefault(word, name)
        return name

    def unreached(self) -> None:
        """Says that nobody can be reached yet: in no such tool's answers is how."""
        top = Span(1, 1, 1, 2)
        why = "phone numbers, addresses and devices are not in the answers; all are reached by the receiver `console`"
        self.remarks.lost(top, "users", why, "add receivers to config.yaml and name them in each `reach`")

    def someone(self, at: Node, *keys: str) -> str:
        """The person of one of these keys; one who was on no list is made."""
        found = next((self.people[key] for key in keys if key in self.people), "")
        if found:
            return found
        given = [key for key in keys if key]
        return self.person(given[0], given[-1], "", at, *given) if given else ""

    def team(self, key: str, wanted: str, people: Sequence[str], at: Node, *also: str) -> None:
        name = self._free("team", wanted or key)
        self._teams.append(
            Noted({"name": name, "people": list(dict.fromkeys(people))}, (f"{self._path}:{at.span.line}",))
        )
        for word in (key, *also):
            if word:
                self.teams.setdefault(word, name)

    def schedule(
        self, keys: Sequence[str], wanted: str, timezone: str, at: Node, groups: Sequence[Sequence[Turns]],
        overrides: Sequence[Mapping[str, Value]] = (), whole: bool = True,
    ) -> None:  # fmt: skip
        """`groups`: each is a schedule of imd's own; within one the last rotation that has somebody counts. Overrides
        go to the first. `whole`: every rotation of it was carried, so that where nobody is on call nobody is meant."""
        names: list[str] = []
        for number, turns in enumerate(groups):
            name = self._free("schedule", wanted if number == 0 else f"{wanted} {number + 1}")
            entry: dict[str, Value] = {"name": name}
            if _zone(timezone) and timezone != "UTC":
                entry["timezone"] = timezone
            entry["rotations"] = [_rotation(one, timezone) for one in turns]
            if overrides and number == 0:
                entry["overrides"] = list(overrides)
            if whole and all(one.windows or one.end for one in turns):
                entry["gaps"] = True
            self._schedules.append(Noted(entry, (f"{self._path}:{at.span.line}",)))
            names.append(name)
        for key in keys:
            if key and names:
                self.schedules.setdefault(key, tuple(names))

    def policy(
        self, wanted: str, at: Node, steps: Sequence[tuple[Sequence[str], timedelta, bool]], repeat: int = 0
    ) -> None:
        """Steps: targets, how long to wait after them, and whether one of them is taken in turn."""
        written: list[Value] = []
        for targets, wait, in_turn in steps:
            step: dict[str, Value] = {
                "notify": list(dict.fromkeys(targets)),
                "for": min(max(wait, _STEP_MIN), _STEP_MAX),
            }
            if in_turn:
                step["round_robin"] = True
            written.append(step)
        entry: dict[str, Value] = {"name": self._free("policy", wanted), "steps": written}
        if repeat:
            entry["repeat"] = min(repeat, 100)
        unused = ("imd: allow W003 name it in a rule or a route",) if self._policies else ()
        self._policies.append(Noted(entry, (*unused, f"{self._path}:{at.span.line}")))

    def _free(self, kind: str, wanted: str) -> str:
        taken = self._names.setdefault(kind, {"default", "nobody"})
        shown = "".join(char if char.isprintable() else " " for char in wanted)
        name, number = " ".join(shown.split())[:_NAME_MAX].strip() or kind, 1
        base = name
        while name in taken:
            number += 1
            name = f"{base} {number}"
        taken.add(name)
        return name

    # -- the files -------------------------------------------------------------------------------------------------

    def imported(self) -> Imported:
        said = self.remarks.ordered()
        head = header(f"{self._tool} {self._path}", said)
        config: dict[str, Value] = {
            "listen": "127.0.0.1:9490",
            "store": "sqlite:///var/imd.db",
            "rules": ["rules/"],
            "receivers": [
                Noted({"name": STAND_IN, "type": "console"}, ("stands in for everybody's ways: give each their own",))
            ],
        }
        parts: dict[str, Value] = {
            "people": self._people,
            "teams": self._teams,
            "schedules": self._schedules,
            "policies": self._policies,
            "rules": [{"name": "default"}],
            "routes": [{"policy": self._first_policy()}] if self._policies else [],
        }
        return Imported(
            files={CONFIG: document(head, config), f"rules/{self._tool}.yaml": document(head[:1], parts)},
            secrets={},
            remarks=tuple(said),
            counts={key: len(value) for key, value in parts.items() if isinstance(value, list)},
        )

    def _first_policy(self) -> str:
        first = self._policies[0]
        assert isinstance(first, Noted)
        return str(first.value["name"])


def weekdays(days: Iterable[int]) -> list[str]:
    """`mon:fri` for three and more in a row; 0 is Monday."""
    runs: list[list[int]] = []
    for day in sorted(set(days)):
        if runs and runs[-1][-1] == day - 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    return [
        word
        for run in runs
        for word in ([f"{WEEKDAYS[run[0]]}:{WEEKDAYS[run[-1]]}"] if len(run) > 2 else [WEEKDAYS[day] for day in run])
    ]


def _rotation(one: Turns, timezone: str) -> Value:
    entry: dict[str, Value] = (
        {"name": one.name, "people": list(one.people)} if one.name else {"people": list(one.people)}
    )
    if one.every is not None:
        entry["every"] = one.every
    handoff: dict[str, Value] = {}
    if one.weekday:
        handoff["weekday"] = one.weekday
    at = one.at or (f"{one.start:%H:%M}" if one.start is not None else "")
    if at and at != "00:00":
        handoff["at"] = at
    if handoff:
        entry["handoff"] = handoff
    if one.start is not None:
        entry["start"] = one.start.date().isoformat()
    if one.end is not None:
        entry["end"] = one.end.isoformat()
    if one.timezone and one.timezone != timezone and _zone(one.timezone):
        entry["timezone"] = one.timezone
    if one.windows:
        entry["restrictions"] = one.windows[0] if len(one.windows) == 1 else list(one.windows)
    return entry


def _zone(name: str) -> bool:
    if not name:
        return False
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def local(text: str, timezone: str) -> datetime | None:
    """An instant as a clock on the wall there shows it; a reading without a zone is one already. None: no instant."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    if at.tzinfo is not None:
        at = at.astimezone(ZoneInfo(timezone if _zone(timezone) else "UTC")).replace(tzinfo=None)
    return at
