"""Silences, maintenance and pause over HTTP: what is set acts from its answer on."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from imd.api.silences import incident_matchers
from imd.model.incident import Incident, IncidentState
from imd.model.quiet import Maintenance, Once, TimeInterval, Weekly
from imd.model.rule import Matcher, Op
from tests.api.server import BENCH, START, Server, serving
from tests.core.making import equals, inhibition


async def fire(server: Server, *names: str, **labels: str) -> None:
    body = [{"labels": {"alertname": name, **labels}} for name in names]
    status, _, _ = await server.call("POST", "/api/v2/alerts", body)
    assert status == 200


async def test_a_silences_life(server: Server) -> None:
    """Set, listed, shown, made longer under its id, ended; alerts and incident say so at once."""
    await fire(server, "Down", host="a")
    asked = {"by": "ana", "matchers": ['alertname="Down"', 'host=~"a|b"'], "for": "2h", "comment": "swap"}
    status, made, _ = await server.call("POST", "/v1/silences", asked)
    assert status == 201
    assert (made["state"], made["by"], made["comment"], made["suppressing"]) == ("active", "ana", "swap", 1)
    assert made["matchers"] == ['alertname="Down"', 'host=~"a|b"']
    assert datetime.fromisoformat(made["ends_at"]) == START + timedelta(hours=2)

    _, listed, _ = await server.call("GET", "/v1/alerts")
    assert listed["items"][0]["suppressed_by"] == [f"silence/{made['id']}"]
    _, incident, _ = await server.call("GET", "/v1/incidents/1")
    assert incident["alert_count"] == {"firing": 0, "resolved": 0, "suppressed": 1}
    _, why, _ = await server.call("GET", "/v1/incidents/1/why")
    assert any("not notified any more" in line["text"] and "by ana" in line["text"] for line in why["lines"])

    change = asked | {"id": made["id"], "for": "", "ends_at": "2026-11-22T12:00:00Z"}
    status, longer, _ = await server.call("POST", "/v1/silences", change)
    assert (status, longer["id"]) == (201, made["id"])
    status, other, _ = await server.call("POST", "/v1/silences", asked | {"id": made["id"], "matchers": ['host="a"']})
    assert status == 201
    assert other["id"] != made["id"]
    _, found, _ = await server.call("GET", "/v1/silences?state=active,expired&limit=1")
    assert [one["id"] for one in found["items"]] == [other["id"]]
    _, found, _ = await server.call("GET", f"/v1/silences?state=active,expired&limit=1&cursor={found['next_cursor']}")
    assert [(one["id"], one["state"]) for one in found["items"]] == [(made["id"], "expired")]
    assert found["next_cursor"] is None

    path = f"/v1/silences/{other['id']}"
    for _ in range(2):
        status, ended, _ = await server.call("POST", f"{path}/expire", {"by": "ben"})
        assert (status, ended["state"], ended["suppressing"]) == (200, "expired", 0)
    assert (await server.call("DELETE", f"{path}?by=ben"))[0] == 200
    _, listed, _ = await server.call("GET", "/v1/alerts")
    assert listed["items"][0]["suppressed_by"] == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"matchers": ['a="b"'], "for": "1h"}, "by"),
        ({"by": "ana", "for": "1h"}, "matchers"),
        ({"by": "ana", "matchers": ['a="b"'], "incident": 1, "for": "1h"}, "one of the two"),
        ({"by": "ana", "matchers": ['a="b"']}, "an end is needed"),
        ({"by": "ana", "matchers": ['a="b"'], "for": "1h", "ends_at": "2027-01-01T00:00:00Z"}, "one of the two"),
        ({"by": "ana", "matchers": ['a="b"'], "for": "0s"}, "longer than 0s"),
        ({"by": "ana", "matchers": ['a="b"'], "for": "soon"}, "for:"),
        ({"by": "ana", "matchers": ['a="b"'], "ends_at": "2020-01-01T00:00:00Z"}, "before end time"),
        ({"by": "ana", "matchers": ['a="b"'], "ends_at": "2027-01-01T00:00:00"}, "ends_at"),
        ({"by": "ana", "matchers": ['a=~".*"'], "for": "1h"}, "empty string"),
        ({"by": "ana", "matchers": ['a=~"("'], "for": "1h"}, "matchers"),
        ({"by": "ana", "matchers": ["{}"], "for": "1h"}, "1 to 100 matchers"),
        ({"by": "ana", "matchers": ['a="b"'], "for": "1h", "comment": "x" * 20_000}, "longer"),
    ],
)
async def test_what_is_no_silence_is_refused_with_words(server: Server, body: dict[str, object], words: str) -> None:
    status, problem, _ = await server.call("POST", "/v1/silences", body)
    assert status == 400
    assert words in problem["detail"]


async def test_unknown_ones_are_404(server: Server) -> None:
    asked = {"by": "ana", "matchers": ['a="b"'], "for": "1h"}
    assert (await server.call("POST", "/v1/silences", asked | {"id": "nope"}))[0] == 404
    assert (await server.call("POST", "/v1/silences", {"by": "ana", "incident": 9, "for": "1h"}))[0] == 404
    assert (await server.call("GET", "/v1/silences/nope"))[0] == 404
    assert (await server.call("DELETE", "/v1/silences/nope?by=ana"))[0] == 404
    assert (await server.call("DELETE", "/v1/silences/pause?by=ana"))[0] == 404


async def test_an_incident_is_silenced_by_its_key(server: Server) -> None:
    """Under the default rule the key has the alertname; the next alert of the key is quiet too."""
    await fire(server, "Down", cluster="c", host="a")
    status, made, _ = await server.call("POST", "/v1/silences", {"by": "ana", "incident": "#1", "for": "1h"})
    assert status == 201
    assert made["matchers"] == ['alertname="Down"', 'cluster="c"']
    await fire(server, "Down", cluster="c", host="b")
    _, incident, _ = await server.call("GET", "/v1/incidents/1")
    assert incident["alert_count"]["suppressed"] == 2


def test_matchers_of_an_incident() -> None:
    """The key, and the names of its alerts where the key lacks them; no key and no names: nothing."""
    incident = Incident(
        id="i1",
        number=1,
        rule="r",
        group_key=(("cluster", "c"), ("node", "")),
        state=IncidentState.TRIGGERED,
        opened_at=START,
        config_hash="",
    )
    cluster = Matcher("cluster", Op.EQUAL, "c")
    assert incident_matchers(incident, ["A"]) == (cluster, Matcher("alertname", Op.EQUAL, "A"))
    assert incident_matchers(incident, ["A", "B.C"]) == (cluster, Matcher("alertname", Op.REGEX, "A|B\\.C"))
    assert incident_matchers(incident, [str(number) for number in range(21)]) == (cluster,)
    incident.group_key = ()
    assert incident_matchers(incident, [""]) == ()


async def test_a_pause(server: Server) -> None:
    """On, listed nowhere as a silence, moved, off; doing it again is no fault."""
    await fire(server, "Down")
    assert (await server.call("GET", "/v1/pause"))[1]["paused"] is False
    status, pause, _ = await server.call("POST", "/v1/pause", {"by": "ana", "for": "30m", "reason": "drill"})
    assert status == 201
    assert (pause["paused"], pause["by"], pause["reason"]) == (True, "ana", "drill")
    assert (await server.call("GET", "/v1/silences"))[1]["items"] == []
    assert (await server.call("GET", "/api/v2/silences"))[1] == []
    _, alerts, _ = await server.call("GET", "/api/v2/alerts")
    assert alerts[0]["status"] == {"state": "suppressed", "silencedBy": [], "inhibitedBy": [], "mutedBy": ["pause"]}
    assert (await server.call("GET", "/api/v2/alerts?muted=false"))[1] == []
    for _ in range(2):
        status, pause, _ = await server.call("DELETE", "/v1/pause?by=ben")
        assert (status, pause["paused"]) == (200, False)
    assert (await server.call("POST", "/v1/pause", {"by": "ana", "until": "2020-01-01T00:00:00Z"}))[0] == 400
    for end in ("2199-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00"):
        status, problem, _ = await server.call("POST", "/v1/pause", {"by": "ana", "until": end})
        assert status == 400, problem
    late = {"by": "ana", "matchers": ["a=b"], "starts_at": "9998-01-01T00:00:00Z", "for": "3650d"}
    assert (await server.call("POST", "/v1/silences", late))[0] == 400
    assert (await server.call("GET", "/-/ready"))[0] == 200
    assert (await server.call("POST", "/v1/pause", {"by": "ana"}))[0] == 400


async def test_maintenance_windows_are_listed(tmp_path: Path) -> None:
    """With the one in force or the next one, and words; 2026-11-21 is a Saturday."""
    night = TimeInterval(
        weekly=(Weekly(weekdays=(5,), begins=timedelta(hours=13), ends=timedelta(hours=2)),), timezone="Europe/Berlin"
    )
    past = TimeInterval(once=(Once(begins_at=START - timedelta(days=2), ends_at=START - timedelta(days=1)),))
    planned = (
        Maintenance(name="night", match=(equals(a="b"),), during=night, reason="patching"),
        Maintenance(name="past", match=(equals(a="b"),), during=past),
    )
    async with serving(tmp_path, msgspec.structs.replace(BENCH, maintenance=planned)) as server:
        _, listed, _ = await server.call("GET", "/v1/maintenance")
    first, second = listed["items"]
    assert first == {
        "name": "night",
        "match": [['a="b"']],
        "reason": "patching",
        "active": True,
        "begins_at": "2026-11-21T12:00:00Z",
        "ends_at": "2026-11-22T01:00:00Z",
        "timezone": "Europe/Berlin",
        "windows": ["sat 13:00-02:00"],
    }
    assert (second["active"], second["begins_at"]) == (False, None)


async def test_silences_survive_a_restart(tmp_path: Path) -> None:
    """Set, stopped, started: it mutes what comes, and the alert that it muted is muted still."""
    async with serving(tmp_path) as server:
        await fire(server, "Down")
        _, made, _ = await server.call("POST", "/v1/silences", {"by": "ana", "incident": 1, "for": "1h"})
    async with serving(tmp_path) as server:
        await fire(server, "Down", host="b")
        _, listed, _ = await server.call("GET", "/v1/alerts")
        assert [alert["suppressed_by"] for alert in listed["items"]] == [[f"silence/{made['id']}"]] * 2
        _, shown, _ = await server.call("GET", f"/v1/silences/{made['id']}")
        assert shown["suppressing"] == 2
        status, shown, _ = await server.call("GET", f"/api/v2/silence/{made['id'].upper()}")
        assert (status, shown["status"]) == (200, {"state": "active"})


async def test_inhibition_shows_the_source(tmp_path: Path) -> None:
    """inhibitedBy is the fingerprint of the alert that mutes it."""
    async with serving(tmp_path, msgspec.structs.replace(BENCH, inhibitions=(inhibition("Node", "Pod"),))) as server:
        await fire(server, "Node", "Pod")
        _, alerts, _ = await server.call("GET", "/api/v2/alerts")
        by_name = {alert["labels"]["alertname"]: alert for alert in alerts}
        assert by_name["Pod"]["status"]["inhibitedBy"] == [by_name["Node"]["fingerprint"]]
        _, alerts, _ = await server.call("GET", "/api/v2/alerts?inhibited=false")
        assert [alert["labels"]["alertname"] for alert in alerts] == ["Node"]
        _, alerts, _ = await server.call("GET", "/api/v2/alerts?active=false")
        assert [alert["labels"]["alertname"] for alert in alerts] == ["Pod"]


SILENCE = {
    "matchers": [{"name": "a", "value": "b", "isRegex": False}],
    "startsAt": "2026-11-21T12:00:00Z",
    "endsAt": "2026-11-21T13:00:00Z",
    "createdBy": "ana",
    "comment": "c",
}


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"matchers": None}, 422),
        ({"matchers": "x"}, 400),
        ({"matchers": [{"name": "a", "isRegex": False}]}, 422),
        ({"startsAt": "yesterday"}, 400),
        ({"endsAt": None}, 422),
        ({"endsAt": "9999-12-31T23:59:59Z"}, 200),
        ({"startsAt": "0001-01-01T00:00:00Z"}, 200),
        ({"matchers": [{"name": "", "value": "b", "isRegex": False}]}, 400),
        ({"matchers": [{"name": "ü", "value": "b", "isRegex": False}], "annotations": {"a": "b"}}, 200),
    ],
)
async def test_alertmanagers_silences_and_odd_bodies(server: Server, changes: dict[str, object], status: int) -> None:
    """Never a 5xx."""
    given, answer, _ = await server.call("POST", "/api/v2/silences", SILENCE | changes)
    assert given == status, answer
    assert (await server.call("GET", "/api/v2/silences?expired=false"))[0] == 200


async def test_alertmanagers_silences_are_filtered_and_ordered(server: Server) -> None:
    for ends, starts in (("14", "12"), ("13", "12"), ("16", "15")):
        times = {"endsAt": f"2026-11-21T{ends}:00:00Z", "startsAt": f"2026-11-21T{starts}:00:00Z"}
        assert (await server.call("POST", "/api/v2/silences", SILENCE | times))[0] == 200
    _, listed, _ = await server.call("GET", "/api/v2/silences")
    assert [one["endsAt"][11:13] for one in listed] == ["13", "14", "16"]
    _, listed, _ = await server.call("GET", "/api/v2/silences?active=false")
    assert [one["status"]["state"] for one in listed] == ["pending"]
    assert (await server.call("GET", "/api/v2/silences?filter=a%3D%22c%22"))[1] == []
    assert len((await server.call("GET", "/api/v2/silences?filter=a%3D%22b%22"))[1]) == 3
    assert (await server.call("GET", "/api/v2/silences?filter=a"))[0] == 400
    assert (await server.call("POST", "/api/v2/silences", raw=b"", Content_Type="application/json"))[0] == 422
    assert (await server.call("POST", "/api/v2/silences", raw=b"{}", Content_Type="text/plain"))[0] == 415
