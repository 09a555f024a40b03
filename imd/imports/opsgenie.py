"""Opsgenie's users, teams, schedules and escalations into people, teams, schedules and policies.

Owns what these mean: answers of the REST API, GET /v2/users, /v2/teams/{id}, /v2/schedules?expand=rotation and
/v2/escalations (shapes: opsgenie-go-sdk-v2, og/entity.go and escalation/result.go; meaning: docs.opsgenie.com, Schedule
Rotation API, On-call Schedules and Rotations, How do escalations work; read 2026-11-22). JSM Operations keeps the same
shapes. All rotations of a schedule count at once: each becomes a schedule of its own. Delays of an escalation count
from the alert, steps of a policy from the one before.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise

from imd.imports.answers import Answers, Part
from imd.imports.imported import Imported
from imd.imports.remarks import Remarks
from imd.imports.roster import Roster, Turns, local, weekdays
from imd.imports.written import Value

_KNOWN = ("users", "teams", "schedules", "escalations")
_UNITS = {"hourly": timedelta(hours=1), "daily": timedelta(days=1), "weekly": timedelta(weeks=1)}
_TIME_UNITS = {"minutes": "minutes", "hours": "hours", "days": "days"}
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DEFAULT_WAIT = timedelta(minutes=5)
_LONGEST_TURN = timedelta(days=366)


def from_opsgenie(path: str, raw: bytes) -> Imported:
    """Raises Unreadable."""
    answers = Answers(path, raw, _KNOWN, ("schedules", "escalations"))
    return _Opsgenie(answers, Roster("opsgenie", path, Remarks(path))).imported()


class _Opsgenie:
    def __init__(self, answers: Answers, roster: Roster) -> None:
        self._answers = answers
        self._roster = roster
        self._lost = roster.remarks.lost
        self._differs = roster.remarks.differs

    def imported(self) -> Imported:
        for key, at in self._answers.unknown(_KNOWN):
            self._lost(at, key, "imd makes nothing of it")
        for user in self._answers.parts("users"):
            self._user(user)
        self._roster.unreached()
        for team in self._answers.parts("teams"):
            self._team(team)
        for schedule in self._answers.parts("schedules"):
            self._schedule(schedule)
        for escalation in self._answers.parts("escalations"):
            self._escalation(escalation)
        return self._roster.imported()

    def _user(self, user: Part) -> None:
        name = user.text("username")
        self._roster.person(user.text("id"), name, user.text("timeZone"), user.node, name)

    def _team(self, team: Part) -> None:
        members = [one.part("user") for one in team.parts("members")]
        people = [self._person(one) for one in members if one is not None]
        if not people:
            why = "it has no members in the file"
            self._lost(team.node, team.what, why, "gather GET /v2/teams/{id}, which tells them")
            return
        self._roster.team(team.text("id"), team.text("name"), people, team.node, team.text("name"))

    def _person(self, part: Part) -> str:
        return self._roster.someone(part.node, part.text("id"), part.text("username"))

    # -- schedules -------------------------------------------------------------------------------------------------

    def _schedule(self, schedule: Part) -> None:
        zone = schedule.text("timezone") or "UTC"
        named = schedule.node.entries.get("enabled")
        if named is not None and not schedule.flag("enabled"):
            self._lost(schedule.node, schedule.what, "it is not enabled in Opsgenie")
            return
        turns = [self._rotation(one, zone) for one in schedule.parts("rotations")]
        groups = [[one] for one in turns if one is not None]
        if not groups:
            why = "it has no rotation that imd can have"
            self._lost(schedule.node, schedule.what, why, "gather GET /v2/schedules?expand=rotation, which tells them")
            return
        name = schedule.text("name")
        self._roster.schedule((schedule.text("id"), name), name, zone, schedule.node, groups, whole=None not in turns)
        if len(groups) > 1:
            why = "all its rotations count at once, so each is a schedule; policies notify them all"
            self._differs(schedule.node, schedule.what, why, "for layers write their rotations into one schedule")

    def _rotation(self, rotation: Part, zone: str) -> Turns | None:
        participants = rotation.parts("participants")
        other = next((one for one in participants if one.text("type") != "user"), None)
        if other is not None or not participants:
            kind = other.text("type") if other is not None else "nobody"
            at = other.node if other is not None else rotation.node
            self._lost(at, rotation.what, f"a turn of {kind} is none of imd's", "write the rotation by hand")
            return None
        unit = _UNITS.get(rotation.text("type"))
        start = local(rotation.text("startDate"), zone)
        every = unit * max(rotation.number("length", 1), 1) if unit is not None else None
        if every is None or start is None or every > _LONGEST_TURN:
            self._lost(rotation.node, rotation.what, "its type, length or startDate make no turns of imd")
            return None
        end = local(rotation.text("endDate"), zone)
        if end is not None and end.time() != start.time():
            said = f"it ends at {start:%H:%M} of that day, when turns change, in place of {end:%H:%M}"
            self._differs(rotation.at("endDate"), f"{rotation.what}.endDate", said)
        return Turns(
            name=rotation.text("name"),
            people=[self._person(one) for one in participants],
            every=every,
            start=start,
            end=end.date() if end is not None else None,
            windows=list(self._windows(rotation)),
        )

    def _windows(self, rotation: Part) -> Iterator[dict[str, Value]]:
        restriction = rotation.part("timeRestriction")
        if restriction is None:
            return
        alone = restriction.part("restriction")
        spans = [alone] if alone is not None else restriction.parts("restrictions")
        if restriction.text("type") == "time-of-day":
            for span in spans:
                first, last = _clock(span, "start"), _clock(span, "end")
                if first != last:
                    yield {"from": first, "to": last}
            return
        days: dict[tuple[str, str], list[int]] = {}
        for span in spans:
            for day, first, last in _days(span):
                days.setdefault((first, last), []).append(day)
        for (first, last), found in days.items():
            window: dict[str, Value] = {"weekdays": weekdays(found)}
            yield window if (first, last) == ("00:00", "24:00") else {**window, "from": first, "to": last}

    # -- escalations -----------------------------------------------------------------------------------------------

    def _escalation(self, escalation: Part) -> None:
        steps: list[tuple[timedelta, list[str]]] = []
        for rule in sorted(escalation.parts("rules"), key=_delay):
            targets = self._targets(rule)
            if not targets:
                continue
            if rule.text("condition") == "if-not-closed":
                said = "an acknowledgement stops imd's policy, and this rule waits for the close"
                self._differs(rule.at("condition"), f"{rule.what}.condition", said)
            if steps and steps[-1][0] == _delay(rule):
                steps[-1][1].extend(targets)
            else:
                steps.append((_delay(rule), targets))
        if not steps:
            self._lost(escalation.node, escalation.what, "no rule of it notifies anybody whom imd knows")
            return
        if steps[0][0]:
            said = f"its first rule waits {int(steps[0][0].total_seconds() / 60)} min; imd's first step is at once"
            self._differs(escalation.node, escalation.what, said, "give the rules that use it a longer `hold`")
        repeat = escalation.part("repeat")
        count = repeat.number("count") if repeat is not None else 0
        again = timedelta(minutes=repeat.number("waitInterval")) if repeat is not None and count else timedelta(0)
        if repeat is not None and repeat.flag("closeAlertAfterAll"):
            what = f"{repeat.what}.closeAlertAfterAll"
            self._lost(repeat.at("closeAlertAfterAll"), what, "imd ends nothing unanswered")
        waits = [later - sooner for (sooner, _), (later, _) in pairwise(steps)]
        waits.append(again or _DEFAULT_WAIT)
        planned = [(targets, wait, False) for (_, targets), wait in zip(steps, waits, strict=True)]
        self._roster.policy(escalation.text("name"), escalation.node, planned, count)

    def _targets(self, rule: Part) -> list[str]:
        recipient = rule.part("recipient")
        kind = recipient.text("type") if recipient is not None else ""
        how = rule.text("notifyType") or "default"
        if recipient is not None and kind == "user":
            return [f"person:{self._person(recipient)}"]
        keys = (recipient.text("id"), recipient.text("name")) if recipient is not None else ()
        if kind == "schedule" and how == "default":
            found = next((self._roster.schedules[key] for key in keys if key in self._roster.schedules), ())
            if found:
                return [f"schedule:{name}" for name in found]
        if kind == "team" and how in ("all", "users"):
            team = next((self._roster.teams[key] for key in keys if key in self._roster.teams), "")
            if team:
                if how == "users":
                    self._differs(rule.node, rule.what, "everyone of the team is notified, its admins too")
                return [f"team:{team}"]
        named = next((key for key in reversed(keys) if key), "nobody")
        why = f"{how} of the {kind or 'recipient'} {named} is no target of imd, or it is not in the file"
        self._lost(rule.node, rule.what, why, "name a schedule, a team or people in its step")
        return []


def _delay(rule: Part) -> timedelta:
    delay = rule.part("delay")
    if delay is None:
        return timedelta(0)
    unit = _TIME_UNITS.get(delay.text("timeUnit"), "minutes")
    return timedelta(**{unit: max(0, min(delay.number("timeAmount"), 100_000))})


def _clock(span: Part, side: str) -> str:
    hour, minute = span.number(f"{side}Hour") % 24, span.number(f"{side}Min") % 60
    return f"{hour:02}:{minute:02}"


def _days(span: Part) -> Iterator[tuple[int, str, str]]:
    """Each day of a stretch from one day's time to another's, from when to when."""
    first, last = span.text("startDay").lower(), span.text("endDay").lower()
    if first not in _DAYS or last not in _DAYS:
        return
    begins, ends = _clock(span, "start"), _clock(span, "end")
    count = (_DAYS.index(last) - _DAYS.index(first)) % 7
    if count == 0 and begins >= ends:
        count = 7
    for further in range(count + 1):
        day = (_DAYS.index(first) + further) % 7
        since, until = begins if further == 0 else "00:00", ends if further == count else "24:00"
        if since != until:
            yield day, since, until
