"""Grafana OnCall's users, schedules and escalation chains into people, schedules and policies.

Owns what these mean: answers of its API, GET /api/v1/users, teams, schedules, on_call_shifts, escalation_chains and
escalation_policies (docs/sources/oncall-api-reference and apps/public_api/serializers of grafana/oncall; how shifts
recur: apps/schedules/models/custom_on_call_shift.py; read 2026-11-22). A shift of a higher level hides those of lower
ones, and all of one level count together: so where some of one level can overlap there are as many schedules, in each
of which another one of them comes first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import msgspec

from imd.config.quietkeys import WEEKDAYS
from imd.imports.answers import Answers, Part
from imd.imports.imported import Imported
from imd.imports.remarks import Remarks
from imd.imports.roster import Roster, Turns, local, weekdays
from imd.imports.written import Value

_KNOWN = ("users", "teams", "schedules", "on_call_shifts", "escalation_chains", "escalation_policies")
_PERIODS = {"hourly": timedelta(hours=1), "daily": timedelta(days=1), "weekly": timedelta(weeks=1)}
_ICAL_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_DAY_MINUTES, _WEEK_MINUTES = 24 * 60, 7 * 24 * 60
_DAY, _WEEK = timedelta(days=1), timedelta(weeks=1)
_REPEATS = 5
"""How often OnCall goes back to the first step (EscalationPolicy.MAX_TIMES_REPEAT)."""

_LAST_WAIT = timedelta(minutes=5)
_LONGEST_TURN = timedelta(days=366)
_NOWHERE = {
    "notify_user_group": "a group of Slack is no target of imd",
    "notify_whole_channel": "a channel is a receiver: name it as `receiver:NAME`",
    "trigger_webhook": "a webhook is a receiver: name it as `receiver:NAME`",
    "resolve": "imd resolves when its alerts do",
    "notify_if_time_from_to": "hours are `during` and `except` of routes",
    "notify_if_num_alerts_in_window": "counts are `open_when` of a rule",
    "declare_incident": "imd's incidents are incidents",
}

Stretch = tuple[int, int]
"""Minutes of the week from Monday 00:00, from and to."""


class _Shift(msgspec.Struct, frozen=True):
    """One person's, or one turn-taking list's, part of a shift. `covered` () is at any time."""

    level: int
    turns: Turns
    covered: tuple[Stretch, ...]


def from_oncall(path: str, raw: bytes) -> Imported:
    """Raises Unreadable."""
    answers = Answers(path, raw, _KNOWN, ("schedules", "escalation_chains"))
    return _OnCall(answers, Roster("oncall", path, Remarks(path))).imported()


class _OnCall:
    def __init__(self, answers: Answers, roster: Roster) -> None:
        self._answers = answers
        self._roster = roster
        self._lost = roster.remarks.lost
        self._differs = roster.remarks.differs
        self._shifts = {one.text("id"): one for one in answers.parts("on_call_shifts")}

    def imported(self) -> Imported:
        for key, at in self._answers.unknown(_KNOWN):
            self._lost(at, key, "imd makes nothing of it")
        members: dict[str, list[str]] = {}
        for user in self._answers.parts("users"):
            wanted = user.text("username") or user.text("email")
            name = self._roster.person(user.text("id"), wanted, user.text("timezone"), user.node)
            for of in user.texts("teams"):
                members.setdefault(of, []).append(name)
        self._roster.unreached()
        for team in self._answers.parts("teams"):
            people = members.get(team.text("id"), [])
            if people:
                self._roster.team(team.text("id"), team.text("name"), people, team.node)
            else:
                self._lost(team.node, team.what, "who is in it is not in the file", "write it under `teams`")
        for schedule in self._answers.parts("schedules"):
            self._schedule(schedule)
        for chain in self._answers.parts("escalation_chains"):
            self._chain(chain)
        return self._roster.imported()

    def _person(self, user: str, at: Part) -> str:
        return self._roster.someone(at.node, user)

    # -- schedules -------------------------------------------------------------------------------------------------

    def _schedule(self, schedule: Part) -> None:
        if schedule.text("type") == "ical":
            why = "its calendar is elsewhere"
            to_do = "save ical_url_primary beside the rules and name it in a rotation: `ics: FILE`"
            self._lost(schedule.node, schedule.what, why, to_do)
            return
        if schedule.text("ical_url_overrides"):
            at, what = schedule.at("ical_url_overrides"), f"{schedule.what}.ical_url_overrides"
            self._lost(at, what, "its calendar is elsewhere", "enter them with `imd oncall override add`")
        zone = schedule.text("time_zone") or "UTC"
        own = "UTC" if schedule.text("type") == "web" else zone  # what the web UI made is in UTC
        shifts: list[_Shift] = []
        overrides: list[dict[str, Value]] = []
        whole = True
        for name in schedule.texts("shifts"):
            shift = self._shifts.get(name)
            if shift is None:
                whole = False
                self._lost(schedule.at("shifts"), f"{schedule.what}.shifts", f"shift {name} is not in the file")
            elif shift.text("type") in ("single_event", "override"):
                overrides.extend(self._override(shift, own, zone))
            else:
                found = list(self._recurring(shift, own))
                shifts.extend(found)
                whole = whole and bool(found)
        if not shifts:
            self._lost(schedule.node, schedule.what, "it has no recurring shift that imd can have")
            return
        groups = _layers(shifts)
        if len(groups) > 1:
            why = f"up to {len(groups)} people are on call at once: it is as many schedules, and policies notify all"
            self._differs(schedule.node, schedule.what, why)
        self._roster.schedule(
            (schedule.text("id"),), schedule.text("name"), zone, schedule.node, groups, overrides, whole
        )

    def _override(self, shift: Part, usual: str, zone: str) -> Iterator[dict[str, Value]]:
        own = shift.text("time_zone") or usual
        start, seconds, users = local(shift.text("start"), own), shift.number("duration"), shift.texts("users")
        if start is None or seconds <= 0 or not users:
            self._lost(shift.node, shift.what, "its start, duration or users make no override")
            return
        if len(users) > 1:
            why = "an override of imd is one person: the first"
            self._lost(shift.at("users"), f"{shift.what}.users", why)
        ends = start + timedelta(seconds=seconds)
        person = self._person(users[0], shift)
        yield {"person": person, "from": _moment(start, own, zone), "to": _moment(ends, own, zone)}

    def _recurring(self, shift: Part, usual: str) -> Iterator[_Shift]:
        own = shift.text("time_zone") or usual
        start, seconds = local(shift.text("start"), own), shift.number("duration")
        period, interval = _PERIODS.get(shift.text("frequency")), max(shift.number("interval", 1), 1)
        days = [_ICAL_DAYS.index(day) for day in shift.texts("by_day") if day in _ICAL_DAYS]
        if start is None or period is None or seconds <= 0 or shift.texts("by_month") or shift.texts("by_monthday"):
            self._lost(shift.node, shift.what, "it recurs in a way that rotations of imd have not")
            return
        queues = self._queues(shift)
        takes_turns = shift.text("type") == "rolling_users"
        found = _span(start, timedelta(seconds=seconds), period, interval, days, takes_turns)
        if found is None or not queues:
            self._lost(shift.node, shift.what, "it recurs in a way that rotations of imd have not, or has no users")
            return
        covered, weekly = found
        if weekly and takes_turns and any(end % _DAY_MINUTES and end < begin for begin, end in covered):
            said = "turns change at midnight of the week's first day, also within a shift that goes over it"
            self._differs(shift.node, shift.what, said)
        until = local(shift.text("until").removesuffix("Z") + "+00:00", own)  # this one is in UTC
        for people in queues:
            several = takes_turns and len(people) > 1
            yield _Shift(
                shift.number("level"),
                Turns(
                    name=shift.text("name"),
                    people=people,
                    every=period * interval if several else None,
                    start=start,
                    end=until.date() if until is not None else None,
                    weekday=_week_start(shift) if several and weekly else "",
                    at="00:00" if several and weekly else "",
                    windows=_windows(covered),
                    timezone=own,
                ),
                tuple(covered),
            )

    def _queues(self, shift: Part) -> list[list[str]]:
        """Lists of people who take turns; several that run beside each other."""
        if shift.text("type") != "rolling_users":
            return [[self._person(user, shift)] for user in shift.texts("users")]
        rolling = shift.at("rolling_users")
        lists = [
            [one.text for one in item.items if hasattr(one, "text")]
            for item in getattr(rolling, "items", [])
            if hasattr(item, "items") and isinstance(item.items, list)
        ]
        first = shift.number("start_rotation_from_user_index")
        lists = lists[first:] + lists[:first] if 0 < first < len(lists) else lists
        sizes = {len(one) for one in lists}
        if len(sizes) != 1 or 0 in sizes:
            if lists:
                why = "turns of different numbers of people are none of imd's"
                self._lost(rolling, f"{shift.what}.rolling_users", why, "write the rotation by hand")
            return []
        return [[self._person(one[place], shift) for one in lists] for place in range(sizes.pop())]

    # -- escalation chains -----------------------------------------------------------------------------------------

    def _chain(self, chain: Part) -> None:
        every = self._answers.parts("escalation_policies")
        own = [one for one in every if one.text("escalation_chain_id") == chain.text("id")]
        steps: list[tuple[list[str], timedelta, bool]] = []
        repeat = 0
        for policy in sorted(own, key=lambda one: one.number("position")):
            kind = policy.text("type")
            if kind == "wait":
                wait = timedelta(seconds=policy.number("duration"))
                if steps:
                    steps[-1] = (steps[-1][0], steps[-1][1] + wait, steps[-1][2])
                else:
                    said = "it waits before anybody is notified; imd's first step is at once"
                    self._differs(policy.node, policy.what, said, "give the rules that use it a longer `hold`")
                continue
            if kind == "repeat_escalation":
                repeat = _REPEATS
                continue
            targets = self._targets(policy, kind)
            in_turn = kind == "notify_person_next_each_time"
            if not targets:
                continue
            if steps and not steps[-1][1] and steps[-1][2] == in_turn:
                steps[-1][0].extend(targets)
            else:
                steps.append((targets, timedelta(0), in_turn))
        if not steps:
            self._lost(chain.node, chain.what, "no step of it notifies anybody whom imd knows")
            return
        if not steps[-1][1]:  # there it is over, or begins again, at once
            steps[-1] = (steps[-1][0], _LAST_WAIT, steps[-1][2])
        self._roster.policy(chain.text("name"), chain.node, steps, repeat)

    def _targets(self, policy: Part, kind: str) -> list[str]:
        if policy.flag("important"):
            why = "imd has one list of ways, and another for P4 and P5"
            self._differs(policy.at("important"), f"{policy.what}.important", why, "see `reach_low`")
        if kind == "notify_persons":
            return [f"person:{self._person(user, policy)}" for user in policy.texts("persons_to_notify")]
        if kind == "notify_person_next_each_time":
            return [f"person:{self._person(user, policy)}" for user in policy.texts("persons_to_notify_next_each_time")]
        if kind == "notify_on_call_from_schedule":
            names = self._roster.schedules.get(policy.text("notify_on_call_from_schedule"), ())
            if names:
                return [f"schedule:{name}" for name in names]
        if kind == "notify_team_members" and policy.text("team_to_notify") in self._roster.teams:
            return [f"team:{self._roster.teams[policy.text('team_to_notify')]}"]
        why = _NOWHERE.get(kind, f"{kind} names what is not in the file, or not in imd")
        self._lost(policy.node, policy.what, why)
        return []


def _week_start(shift: Part) -> str:
    day = shift.text("week_start") or "SU"
    return WEEKDAYS[_ICAL_DAYS.index(day) if day in _ICAL_DAYS else 6]


def _moment(at: datetime, own: str, zone: str) -> str:
    if own == zone:
        return f"{at:%Y-%m-%d %H:%M}"
    return at.replace(tzinfo=ZoneInfo(own)).isoformat(timespec="minutes")


def _span(
    start: datetime, lasts: timedelta, period: timedelta, interval: int, days: Sequence[int], takes_turns: bool
) -> tuple[list[Stretch], bool] | None:
    """What of the week the shift covers, () all of it, and whether its turns are calendar weeks. None: imd's rotations
    cannot say it."""
    whole = period * interval
    if whole > _LONGEST_TURN or lasts > whole:
        return None
    if not days and lasts == whole:
        return [], False
    minutes, begins = int(lasts.total_seconds() // 60), start.hour * 60 + start.minute
    if period == _DAY and interval == 1 and not days:
        return [_stretch(day, begins, minutes) for day in range(7)], False
    if period == _DAY and interval == 1 and not takes_turns and lasts <= _DAY:
        return [_stretch(day, begins, minutes) for day in days], False
    if period != _WEEK or (interval > 1 and not takes_turns) or (days and lasts > _DAY):
        return None
    if interval > 1:  # it takes place in every other week alone
        return None
    if not days:
        return [_stretch(start.weekday(), begins, minutes)], False
    return [_stretch(day, begins, minutes) for day in sorted(set(days))], True


def _stretch(day: int, begins: int, minutes: int) -> Stretch:
    """`to` may be less than `from`: over the week's end."""
    first = day * _DAY_MINUTES + begins
    last = first + minutes
    return first, last if last <= _WEEK_MINUTES else last - _WEEK_MINUTES


def _windows(covered: Sequence[Stretch]) -> list[dict[str, Value]]:
    """Day by day; days with the same times together."""
    days: dict[tuple[str, str], list[int]] = {}
    for first, last in _straight(covered):
        while first < last:
            day, midnight = first // _DAY_MINUTES, (first // _DAY_MINUTES + 1) * _DAY_MINUTES
            until = min(last, midnight)
            key = (_clock(first % _DAY_MINUTES), _clock(until - day * _DAY_MINUTES))
            days.setdefault(key, []).append(day)
            first = until
    windows: list[dict[str, Value]] = []
    for (begin, end), found in days.items():
        of: dict[str, Value] = {}
        if len(set(found)) < len(WEEKDAYS):
            of["weekdays"] = weekdays(found)
        if (begin, end) != ("00:00", "24:00"):
            of |= {"from": begin, "to": end}
        if of:
            windows.append(of)
    return windows


def _straight(covered: Sequence[Stretch]) -> Iterator[Stretch]:
    for first, last in covered:
        if last > first:
            yield first, last
        else:
            yield first, _WEEK_MINUTES
            yield 0, last


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _layers(shifts: Sequence[_Shift]) -> list[list[Turns]]:
    """Schedules of imd's: in each the shifts by their level, and of those of one level another one last."""
    levels = sorted({one.level for one in shifts})
    by_level = [[one for one in shifts if one.level == level] for level in levels]
    count = max(len(level) if _overlap(level) else 1 for level in by_level)
    groups = []
    for number in range(count):
        layers: list[Turns] = []
        for level in by_level:
            last = number % len(level)
            layers += [one.turns for one in (*level[:last], *level[last + 1 :], level[last])]
        groups.append(layers)
    return groups


def _overlap(level: Sequence[_Shift]) -> bool:
    """Whether any two of these may be on call at once; in different time zones they may."""
    if len(level) < 2:
        return False
    if len({one.turns.timezone for one in level}) > 1 or not all(one.covered for one in level):
        return True
    spans = sorted(span for one in level for span in _straight(one.covered))
    return any(before[1] > after[0] for before, after in pairwise(spans))
