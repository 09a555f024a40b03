"""Opsgenie's and Grafana OnCall's people, schedules and policies: who is on call when, who is paged after whom."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from imd.config import load
from imd.config.diagnostic import Severity
from imd.core.oncall import on_call
from imd.imports.imported import Imported, Unreadable
from imd.imports.oncall import from_oncall
from imd.imports.opsgenie import from_opsgenie
from imd.model.policy import Ruleset
from tests.imports.played import NOON, written

HERE = Path(__file__).parent
OPSGENIE: dict[str, Any] = json.loads((HERE / "opsgenie.json").read_text())
ONCALL: dict[str, Any] = json.loads((HERE / "oncall.json").read_text())
Read = Callable[[str, bytes], Imported]


def made(read: Read, body: object) -> Imported:
    return read("answers.json", json.dumps(body, indent=1).encode())


def rules(found: Imported, folder: Path) -> Ruleset:
    """As `imd serve` would load it; no fault, and no warning of a name that is not used."""
    config = written(found, folder)
    said = load.examine(config, [], now=NOON, find_gap=lambda *_: None, secrets=True)
    assert [one.headline() for one in said.diagnostics if one.severity is Severity.ERROR] == []
    return load.load(config, []).ruleset


def duty(ruleset: Ruleset, name: str, at: str) -> str:
    return on_call(ruleset.schedules[name], datetime.fromisoformat(at), ruleset.people).person


def steps(ruleset: Ruleset, name: str) -> list[tuple[list[str], timedelta]]:
    return [([str(target) for target in step.notify], step.wait) for step in ruleset.policies[name].steps]


def test_opsgenie_turns_and_restrictions(tmp_path: Path) -> None:
    """08:00 UTC is nine in Berlin; each rotation counts, so each is a schedule."""
    ruleset = rules(made(from_opsgenie, OPSGENIE), tmp_path)
    ana, ben, cleo = ("ana@example.com", "ben@example.com", "cleo@example.com")
    turns = {
        "2025-12-29T08:59+01:00": "",
        "2025-12-29T09:00+01:00": ana,
        "2026-01-05T08:59+01:00": ana,
        "2026-01-05T09:00+01:00": ben,
        "2026-01-12T09:00+01:00": ana,
        "2026-06-29T08:59+02:00": ben,  # clocks go forward, nine stays nine
        "2026-06-29T09:00+02:00": ana,
    }
    assert {at: duty(ruleset, "primary", at) for at in turns} == turns
    office = {
        "2026-01-05T08:59+01:00": "",
        "2026-01-05T09:00+01:00": cleo,
        "2026-01-05T17:00+01:00": "",
        "2026-01-09T18:00+01:00": cleo,  # from Friday evening to Sunday noon
        "2026-01-10T03:00+01:00": cleo,
        "2026-01-11T12:29+01:00": cleo,
        "2026-01-11T12:30+01:00": "",
    }
    assert {at: duty(ruleset, "primary 2", at) for at in office} == office
    assert ruleset.people[ana].timezone == "Europe/Lisbon"
    assert ruleset.teams["platform"].people == (ana, ben)


def test_opsgenie_delays_count_from_the_alert(tmp_path: Path) -> None:
    """What cannot be said (the next one on call) is on the list; who comes after it keeps their time."""
    found = made(from_opsgenie, OPSGENIE)
    ruleset = rules(found, tmp_path)
    assert steps(ruleset, "platform_escalation") == [
        (["schedule:primary", "schedule:primary 2"], timedelta(minutes=10)),
        (["team:platform"], timedelta(minutes=15)),
    ]
    assert ruleset.policies["platform_escalation"].repeat == 3
    assert [one.what for one in found.remarks] == [
        "users",
        "schedules[0]",
        "escalations[0].rules[1]",
        "escalations[0].rules[2].condition",
    ]


@pytest.mark.parametrize(
    ("change", "what", "why"),
    [
        (lambda r: r["participants"].append({"type": "none"}), "rotations[0]", "a turn of none"),
        (lambda r: r["participants"].append({"type": "team", "id": "t1"}), "rotations[0]", "a turn of team"),
        (lambda r: r.update(participants=[]), "rotations[0]", "a turn of nobody"),
        (lambda r: r.update(type="monthly"), "rotations[0]", "make no turns"),
        (lambda r: r.update(startDate="soon"), "rotations[0]", "make no turns"),
        (lambda r: r.update(endDate="2027-01-01T20:00:00Z"), "rotations[0].endDate", "in place of 21:00"),
    ],
)
def test_opsgenie_what_turns_cannot_say_is_on_the_list(
    change: Callable[[Any], None], what: str, why: str, tmp_path: Path
) -> None:
    body = copy.deepcopy(OPSGENIE)
    change(body["schedules"]["data"][0]["rotations"][0])
    found = made(from_opsgenie, body)
    [remark] = [one for one in found.remarks if f"schedules[0].{what}" in one.what]
    assert why in remark.why
    assert remark.line > 1
    rules(found, tmp_path)


@pytest.mark.parametrize(("kind", "gaps"), [("user", True), ("team", False)])
def test_opsgenie_hours_without_anybody_are_meant_only_where_all_was_carried(
    kind: str, gaps: bool, tmp_path: Path
) -> None:
    """Who had the nights was a team: that nobody has them now is not meant."""
    body = copy.deepcopy(OPSGENIE)
    body["schedules"]["data"][0]["rotations"][0]["participants"][0]["type"] = kind
    assert any(one.gaps for one in rules(made(from_opsgenie, body), tmp_path).schedules.values()) is gaps


def test_opsgenie_a_schedule_that_is_off_is_not_carried(tmp_path: Path) -> None:
    body = copy.deepcopy(OPSGENIE)
    body["schedules"]["data"][0]["enabled"] = False
    found = made(from_opsgenie, body)
    ruleset = rules(found, tmp_path)
    assert ruleset.schedules == {}
    assert [names for names, _ in steps(ruleset, "platform_escalation")] == [["team:platform"]]
    assert any("not enabled" in one.why for one in found.remarks)


def test_oncall_levels_turns_and_exceptions(tmp_path: Path) -> None:
    """The higher level hides the lower one; turns begin with the second list; an exception beats both."""
    ruleset = rules(made(from_oncall, ONCALL), tmp_path)
    turns = {
        "2025-12-29T08:00+01:00": "ben",
        "2025-12-29T09:00+01:00": "cleo",
        "2025-12-29T17:00+01:00": "ben",
        "2026-01-03T09:00+01:00": "ben",
        "2026-01-05T07:59+01:00": "ben",
        "2026-01-05T08:00+01:00": "ana",
        "2026-01-06T12:00+01:00": "cleo",
        "2026-01-12T08:00+01:00": "ben",
    }
    assert {at: duty(ruleset, "primary", at) for at in turns} == turns
    assert steps(ruleset, "default chain") == [
        (["schedule:primary"], timedelta(minutes=5)),
        (["person:ana", "person:ben"], timedelta(minutes=5)),
    ]
    assert ruleset.policies["default chain"].repeat == 5


def oncall(*shifts: dict[str, Any]) -> dict[str, Any]:
    """One schedule in UTC with these shifts, each O1, O2…"""
    body = copy.deepcopy(ONCALL)
    names = [f"O{number}" for number in range(1, len(shifts) + 1)]
    given = {"level": 0, "start": "2026-01-05T00:00:00", "duration": 604_800, "frequency": "weekly"}
    body["on_call_shifts"] = [
        {"name": name, "id": name, **given, **one} for name, one in zip(names, shifts, strict=True)
    ]
    body["schedules"] = [{"id": "S1", "name": "primary", "type": "calendar", "time_zone": "UTC", "shifts": names}]
    return body


def test_oncall_what_the_web_made_is_in_utc(tmp_path: Path) -> None:
    """Its turns change an hour later by Berlin's clock in winter; so does its exception."""
    swap = {"type": "override", "users": ["U3"], "start": "2026-01-14T10:00:00", "duration": 3600}
    body = oncall({"type": "rolling_users", "rolling_users": [["U1"], ["U2"]]}, swap)
    body["schedules"][0] |= {"type": "web", "time_zone": "Europe/Berlin"}
    ruleset = rules(made(from_oncall, body), tmp_path)
    at = {
        "2026-01-12T00:59+01:00": "ana",
        "2026-01-12T01:00+01:00": "ben",
        "2026-01-14T10:59+01:00": "ben",
        "2026-01-14T11:00+01:00": "cleo",
        "2026-01-14T12:00+01:00": "ben",
    }
    assert {when: duty(ruleset, "primary", when) for when in at} == at


def everyone(ruleset: Ruleset, at: str) -> set[str]:
    """Whom the first step notifies, through all schedules of the one."""
    names = [name for name in ruleset.schedules if name.startswith("primary")]
    return {duty(ruleset, name, at) for name in names} - {""}


def test_oncall_people_of_one_level_are_all_on_call(tmp_path: Path) -> None:
    """Two beside each other, a third by turns of two at once, and a level above that hides them all at night."""
    body = oncall(
        {"type": "recurrent_event", "users": ["U1"]},
        {"type": "rolling_users", "rolling_users": [["U2", "U3"], ["U3", "U2"]]},
        {"type": "recurrent_event", "users": ["U3"], "level": 2, "frequency": "daily", "duration": 21_600},
    )
    ruleset = rules(made(from_oncall, body), tmp_path)
    assert everyone(ruleset, "2026-01-05T12:00Z") == {"ana", "ben", "cleo"}
    assert everyone(ruleset, "2026-01-06T03:00Z") == {"cleo"}
    assert everyone(ruleset, "2026-01-04T12:00Z") == set()
    assert len(ruleset.policies["default chain"].steps[0].notify) == 3


@pytest.mark.parametrize(
    ("shift", "at"),
    [
        (
            {
                "frequency": "weekly",
                "by_day": ["MO", "WE"],
                "duration": 36_000,
                "start": "2026-01-05T20:00:00",
                "week_start": "MO",
            },
            {
                "2026-01-05T21:00Z": "ana",
                "2026-01-06T05:59Z": "ana",
                "2026-01-06T06:00Z": "",
                "2026-01-07T21:00Z": "ana",
                "2026-01-12T21:00Z": "ben",
                "2026-01-15T05:00Z": "ben",
                "2026-01-19T21:00Z": "ana",
            },
        ),
        (
            {"frequency": "daily", "duration": 86_400, "start": "2026-01-05T09:00:00"},
            {"2026-01-06T08:59Z": "ana", "2026-01-06T09:00Z": "ben", "2026-01-07T09:00Z": "ana"},
        ),
        (
            {"frequency": "daily", "interval": 2, "duration": 172_800, "until": "2026-01-11T00:00:00"},
            {
                "2026-01-06T23:59Z": "ana",
                "2026-01-07T00:00Z": "ben",
                "2026-01-09T00:00Z": "ana",
                "2026-01-11T00:00Z": "",
            },
        ),
        (
            {"frequency": "hourly", "interval": 12, "duration": 43_200},
            {"2026-01-05T11:59Z": "ana", "2026-01-05T12:00Z": "ben", "2026-01-06T00:00Z": "ana"},
        ),
        (
            {"frequency": "weekly", "duration": 432_000, "start": "2026-01-05T08:00:00"},
            {"2026-01-10T07:59Z": "ana", "2026-01-10T08:00Z": "", "2026-01-12T08:00Z": "ben"},
        ),
    ],
)
def test_oncall_turns(shift: dict[str, Any], at: dict[str, str], tmp_path: Path) -> None:
    body = oncall({"type": "rolling_users", "rolling_users": [["U1"], ["U2"]], **shift})
    ruleset = rules(made(from_oncall, body), tmp_path)
    assert {when: duty(ruleset, "primary", when) for when in at} == at


@pytest.mark.parametrize(
    "shift",
    [
        {"frequency": "monthly"},
        {"by_month": [1]},
        {"by_monthday": [1]},
        {"interval": 2, "by_day": ["MO"], "duration": 3600},
        {"frequency": "daily", "interval": 3, "duration": 3600},
        {"duration": 0},
        {"start": "never"},
        {"rolling_users": [["U1", "U2"], ["U3"]]},
        {"rolling_users": []},
    ],
)
def test_oncall_what_turns_cannot_say_is_on_the_list(shift: dict[str, Any], tmp_path: Path) -> None:
    """Better nobody by a schedule, and said, than the wrong one."""
    always = {"type": "recurrent_event", "users": ["U3"]}
    body = oncall({"type": "rolling_users", "rolling_users": [["U1"], ["U2"]], **shift}, always)
    found = made(from_oncall, body)
    assert [one for one in found.remarks if one.what.startswith("on_call_shifts[0]")]
    assert duty(rules(found, tmp_path), "primary", "2026-01-06T12:00Z") == "cleo"


@pytest.mark.parametrize("read", [from_opsgenie, from_oncall])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "answers.json:1:1: error[R"),
        ("[]", "answers.json:1:1: error[R004]"),
        ('{"users": []}', "answers.json:1:1: error[R002]"),
        ('{"schedules": 5}', 'answers.json:1:15: error[R004]: "schedules" is no list'),
        ('{"schedules": [', "answers.json:1:"),
        ("\xff", "answers.json:1:1: error[R"),
    ],
)
def test_faults_have_their_places(read: Read, text: str, said: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read("answers.json", text.encode("latin-1"))
    assert said in refused.value.faults[0].headline()


@pytest.mark.slow
@pytest.mark.parametrize(("read", "body"), [(from_opsgenie, OPSGENIE), (from_oncall, ONCALL)])
def test_odd_values_are_never_a_crash(read: Read, body: dict[str, Any], tmp_path: Path) -> None:
    """Each value of the answers in turn of every wrong type: read, or refused with a place. What is made loads."""
    for path in list(_paths(body)):
        for odd in (None, -1, "x", [], True, [{}], 1e300, 10**30):
            changed = copy.deepcopy(body)
            _set(changed, path, odd)
            try:
                found = made(read, changed)
            except Unreadable as error:
                assert error.faults  # noqa: PT017
            else:
                if odd in ("x", 10**30):
                    rules(found, tmp_path)


def _paths(body: Any, above: tuple[Any, ...] = ()) -> Any:
    inner = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for key, value in inner:
        yield (*above, key)
        yield from _paths(value, (*above, key))


def _set(body: Any, path: tuple[Any, ...], value: Any) -> None:
    for key in path[:-1]:
        body = body[key]
    body[path[-1]] = value
