"""Who is on call, over HTTP, and the overrides that people set; engine and store are real."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from imd.model.policy import Person, Way
from imd.model.schedule import Override, Rotation, Schedule
from tests.api.server import BENCH, START, Server, serving

DAY = timedelta(days=1)
TURNS = Rotation(
    name="rotation 1",
    people=("ana", "ben"),
    timezone="Europe/Berlin",
    every=7 * DAY,
    start=date(2026, 11, 16),
    at=timedelta(hours=9),
    weekday=0,
)
HOLIDAY = Override(
    schedule="primary", person="cleo", begins_at=START + timedelta(hours=6), ends_at=START + timedelta(hours=12)
)
PEOPLE = {name: Person(name=name, reach=(Way("bench"),)) for name in ("ana", "ben", "cleo")}
SCHEDULES = {
    "primary": Schedule(name="primary", timezone="Europe/Berlin", rotations=(TURNS,), overrides=(HOLIDAY,)),
    "empty": Schedule(name="empty"),
}
RULES = msgspec.structs.replace(BENCH, people=PEOPLE, schedules=SCHEDULES)
SET = {"schedule": "primary", "person": "ben", "by": "ana", "for": "2h", "comment": "dentist"}


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Server]:
    async with serving(tmp_path, RULES) as server:
        yield server


async def test_who_is_on_call_now(served: Server) -> None:
    """Saturday noon in UTC: Ana, until the holiday's stand-in; nobody of the empty one, for ever."""
    status, answer, _ = await served.call("GET", "/v1/oncall")
    assert status == 200
    primary, empty = answer["items"]
    assert (primary["person"], primary["because"], primary["next"]) == ("ana", "rotation 1", "cleo")
    assert (primary["at"], primary["until"]) == ("2026-11-21T12:00:00Z", "2026-11-21T18:00:00Z")
    assert (empty["person"], empty["because"], empty["until"], empty["next"]) == (None, "it has no layers", None, None)
    assert "shifts" not in primary


async def test_at_an_instant_and_over_days(served: Server) -> None:
    """Every stretch of three days from Sunday on, cut at both ends."""
    query = "schedule=primary&at=2026-11-22T00:00:00%2B01:00&days=3"
    _, answer, _ = await served.call("GET", f"/v1/oncall?{query}")
    (primary,) = answer["items"]
    assert [(one["person"], one["begins_at"], one["ends_at"]) for one in primary["shifts"]] == [
        ("cleo", "2026-11-21T23:00:00Z", "2026-11-22T00:00:00Z"),
        ("ana", "2026-11-22T00:00:00Z", "2026-11-23T08:00:00Z"),
        ("ben", "2026-11-23T08:00:00Z", "2026-11-24T23:00:00Z"),
    ]


async def test_an_override_acts_from_its_answer_on(served: Server) -> None:
    """Set, seen, on disk, in the list, ended. Ended once more it stays as it is."""
    status, made, _ = await served.call("POST", "/v1/oncall/overrides", SET)
    assert status == 201
    assert (made["person"], made["state"], made["by"], made["comment"]) == ("ben", "active", "ana", "dentist")
    _, answer, _ = await served.call("GET", "/v1/oncall?schedule=primary")
    assert (answer["items"][0]["person"], answer["items"][0]["because"]) == ("ben", "override by ana")
    assert [one.person for one in served.store.load().overrides] == ["ben"]
    _, listed, _ = await served.call("GET", "/v1/oncall/overrides")
    assert [(one["id"], one["person"], one["state"]) for one in listed["items"]] == [
        (made["id"], "ben", "active"),
        (None, "cleo", "pending"),
    ]
    for _ in range(2):
        status, ended, _ = await served.call("DELETE", f"/v1/oncall/overrides/{made['id']}?by=cleo")
        assert (status, ended["state"], ended["ended_by"]) == (200, "ended", "cleo")
    _, answer, _ = await served.call("GET", "/v1/oncall?schedule=primary")
    assert answer["items"][0]["person"] == "ana"
    _, listed, _ = await served.call("GET", "/v1/oncall/overrides?schedule=primary&all=true")
    assert [one["state"] for one in listed["items"]] == ["ended", "pending"]


async def test_times_without_a_zone_are_the_schedules(served: Server) -> None:
    """22:00 in Berlin, to six the next morning."""
    asked = {**SET, "starts_at": "2026-11-25 22:00", "ends_at": "2026-11-26T06:00"}
    del asked["for"]
    _, made, _ = await served.call("POST", "/v1/oncall/overrides", asked)
    assert (made["starts_at"], made["ends_at"]) == ("2026-11-25T21:00:00Z", "2026-11-26T05:00:00Z")


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"schedule": "secondary"}, 404, "no schedule 'secondary'"),
        ({"person": "dai"}, 400, "no person 'dai'"),
        ({"by": " "}, 400, "needs `by`"),
        ({"for": ""}, 400, "an end is needed"),
        ({"ends_at": "2026-11-22 00:00"}, 400, "one of the two"),
        ({"for": "soon"}, 400, "for: "),
        ({"for": "0s"}, 400, "ends after it begins"),
        ({"for": "10y"}, 400, "at most 400 days"),
        ({"starts_at": "tomorrow"}, 400, "starts_at must be an instant"),
        ({"starts_at": "2026-11-20 00:00"}, 400, "in the future"),
        ({"comment": "x" * 1001}, 400, "longer than 1000"),
        ({"schedule": 7}, 400, "Expected `str`"),
    ],
)
async def test_what_makes_no_override_is_refused(
    served: Server, change: dict[str, object], status: int, said: str
) -> None:
    """With its reason, and nothing is kept."""
    found, answer, _ = await served.call("POST", "/v1/oncall/overrides", {**SET, **change})
    assert found == status
    assert said in answer["detail"], answer
    assert list(served.overrides()) == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/oncall?schedule=x", 404),
        ("/v1/oncall?at=noon", 400),
        ("/v1/oncall?at=2026-11-22T00:00", 400),
        ("/v1/oncall?at=9999-12-31T00:00:00Z", 400),
        ("/v1/oncall?days=0", 400),
        ("/v1/oncall?days=367", 400),
        ("/v1/oncall?day=3", 400),
        ("/v1/oncall/overrides?schedule=x", 404),
    ],
)
async def test_questions_that_make_no_sense(served: Server, path: str, status: int) -> None:
    assert (await served.call("GET", path))[0] == status


async def test_an_override_that_never_was(served: Server) -> None:
    """And one that stands in a file has no id by which it could be ended."""
    assert (await served.call("DELETE", "/v1/oncall/overrides/x?by=ana"))[0] == 404
    assert (await served.call("DELETE", "/v1/oncall/overrides/?by=ana"))[0] == 404
    made = (await served.call("POST", "/v1/oncall/overrides", SET))[1]
    assert (await served.call("DELETE", f"/v1/oncall/overrides/{made['id']}"))[0] == 400


async def test_a_year_of_shifts(served: Server) -> None:
    """366 days at once, none missing."""
    _, answer, _ = await served.call("GET", "/v1/oncall?schedule=primary&days=366")
    shifts = answer["items"][0]["shifts"]
    ends = [datetime.fromisoformat(one["ends_at"]) for one in shifts]
    begins = [datetime.fromisoformat(one["begins_at"]) for one in shifts]
    assert begins[1:] == ends[:-1]
    assert ends[-1] - begins[0] == 366 * DAY
