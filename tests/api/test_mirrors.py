"""What people do in PagerDuty and Opsgenie beyond acknowledging: each thing is done here, or stands here as a note."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from imd.api import mirrors
from imd.model.policy import PageKind
from tests.api.server import Serve, Server
from tests.api.test_callbacks import (
    CONFIG,
    TOKEN,
    counted,
    fires,
    incident_id,
    key,
    opsgenie,
    pagerduty,
    state,
    through,
)

Doors = Callable[[], AbstractAsyncContextManager[Server]]
RULES = """
people: [{name: ana, reach: [{receiver: chat}]}, {name: ben, reach: [{receiver: phone}]}]
policies:
- name: all
  steps:
  - {notify: ['receiver:pd', 'receiver:og'], for: 5m}
  - {notify: ['person:ana'], for: 5m}
routes: [{policy: all}]
"""


@pytest.fixture
def doors(serve: Serve, tmp_path: Path) -> Doors:
    (tmp_path / "rules.yaml").write_text(RULES)
    return lambda: serve(CONFIG.replace("og, type: opsgenie,", "og, type: opsgenie, send: [page, note],"))


def reference(summary: str, kind: str = "user_reference") -> dict[str, str]:
    return {"type": kind, "id": "P1", "summary": summary}


def data(incident_key: str, **more: Any) -> dict[str, Any]:
    return {"id": "PT4KHLK", "type": "incident", "incident_key": incident_key, **more}


def about(kind: str, **more: Any) -> dict[str, Any]:
    """Of a note and the like, which name PagerDuty's own incident."""
    return {"id": "P2LA89X", "type": kind, "incident": {"id": "PT4KHLK", "type": "incident_reference"}, **more}


async def notes(server: Server) -> list[tuple[str, str]]:
    _, timeline, _ = await server.call("GET", "/v1/incidents/1/timeline", **TOKEN)
    return [(one["by"], one["text"]) for one in timeline["items"] if one["kind"] == "note"]


async def incident(server: Server) -> Any:
    return (await server.call("GET", "/v1/incidents/1", **TOKEN))[1]


async def test_given_back_in_pagerduty(doors: Doors) -> None:
    """By a person; PagerDuty's own time-out gives nothing back here, where another clock runs."""
    async with doors() as server:
        await fires(server)
        await pagerduty(server, "incident.acknowledged", key(server))
        own = {"type": "service_reference", "summary": "API"}
        await pagerduty(server, "incident.unacknowledged", key(server), agent=own)
        assert (await state(server))[0] == "acknowledged"
        await pagerduty(server, "incident.unacknowledged", key(server))
        assert (await state(server))[0] == "triggered"


async def test_escalated_in_pagerduty(doors: Doors) -> None:
    """The next step here too; behind the last one that is not possible, and said so."""
    async with doors() as server:
        await fires(server)
        status, said = await pagerduty(server, "incident.escalated", key(server))
        assert (status, said["result"]) == (200, "done")
        assert [one.to for one in server.sink.sent if one.receiver == "chat"] == ["ana"]
        status, said = await pagerduty(server, "incident.escalated", key(server))
        assert (status, said["result"]) == (200, "not_possible")
        assert "no further escalation step" in said["detail"]


async def test_reassigned_in_pagerduty(doors: Doors) -> None:
    """To somebody of `people:`, whatever the case, it is an assignment; to anybody else a note."""
    async with doors() as server:
        await fires(server)
        incident_key = key(server)
        to_ben = data(incident_key, assignees=[reference("Ben"), reference("Zoe")])
        assert (await pagerduty(server, "incident.reassigned", incident_key, data=to_ben))[0] == 200
        assert (await incident(server))["assignee"] == "ben"
        assert [one.to for one in server.sink.sent if one.receiver == "phone"] == ["ben"]
        for assignees in ([reference("Zoe Q. Stranger")], []):
            assert (
                await pagerduty(
                    server, "incident.reassigned", incident_key, data=data(incident_key, assignees=assignees)
                )
            )[0] == 200
        assert (await incident(server))["assignee"] == "ben"
        assert [text for _, text in await notes(server)] == [
            "assigned to Zoe Q. Stranger in PagerDuty",
            "taken from everybody in PagerDuty",
        ]


async def test_who_it_was_is_somebody_of_people_where_it_can_be_told(doors: Doors) -> None:
    """So that an acknowledgement which lapses finds them."""
    async with doors() as server:
        await fires(server)
        await pagerduty(server, "incident.acknowledged", key(server), agent=reference("ANA"))
        assert await state(server) == ("acknowledged", "ana")
        await opsgenie(server, "UnAcknowledge", key(server), username="ben@example.com")
        assert await through(server, "unacknowledged") == [("ben", "opsgenie")]


async def test_what_has_no_word_here_is_a_note(doors: Doors) -> None:
    """Priority, policy, helpers, status updates and what was written there, by whoever did it."""
    async with doors() as server:
        await fires(server)
        incident_key = key(server)
        for kind, content in (
            ("incident.priority_updated", data(incident_key, priority=reference("P1", "priority_reference"))),
            ("incident.priority_updated", data(incident_key, priority=None)),
            ("incident.delegated", data(incident_key, escalation_policy=reference("Platform"))),
            ("incident.reopened", data(incident_key)),
            ("incident.annotated", about("incident_note", content=" looking at it ")),
            ("incident.annotated", about("incident_note", content="x" * 9000)),
            ("incident.status_update_published", about("incident_status_update", message="a fix is on its way")),
            ("incident.responder.added", about("incident_responder", user=reference("Maeve"), message="help")),
        ):
            status, said = await pagerduty(server, kind, incident_key, data=content)
            assert (status, said["result"]) == (200, "done"), kind
        found = await notes(server)
        assert {by for by, _ in found} == {"Earline Greenholt"}
        assert [text for _, text in found] == [
            "priority P1 in PagerDuty",
            "priority none in PagerDuty",
            "handed to the escalation policy Platform in PagerDuty",
            "reopened in PagerDuty",
            "looking at it",
            "x" * 4096,
            "status update: a fix is on its way",
            "Maeve asked to help in PagerDuty",
        ]
        assert (await incident(server))["state"] == "triggered"


async def test_a_note_of_an_incident_that_pagerduty_never_named_is_passed_over(doors: Doors) -> None:
    """Its key is learnt from other events; of others' incidents nothing is kept."""
    async with doors() as server:
        await fires(server)
        note = about("incident_note", content="x")
        assert (await pagerduty(server, "incident.annotated", "", data=note))[1]["result"] == "ignored"
        await pagerduty(server, "incident.triggered", "another-tools-key")
        assert (await pagerduty(server, "incident.annotated", "", data=note))[1]["result"] == "ignored"
        await pagerduty(server, "incident.triggered", key(server), agent=None)
        assert (await pagerduty(server, "incident.annotated", "", data=note))[1]["result"] == "done"
        assert [text for _, text in await notes(server)] == ["x"]


async def test_a_note_finds_its_incident_after_a_restart(doors: Doors) -> None:
    """What PagerDuty calls it was said once and is on disk; another receiver's names are its own."""
    async with doors() as server:
        await fires(server)
        await pagerduty(server, "incident.triggered", key(server), agent=None)
        theirs = b'{"type":"pagerduty","incident":"PT4KHLK"}'
        assert await server.store.conversed("pd", theirs) == await incident_id(server)
        assert await server.store.conversed("og", theirs) is None
    async with doors() as server:
        note = about("incident_note", content="after the restart")
        assert (await pagerduty(server, "incident.annotated", "", data=note))[1]["result"] == "done"
        assert [text for _, text in await notes(server)] == ["after the restart"]


async def test_a_call_that_comes_again_does_nothing_again(doors: Doors) -> None:
    """Both services repeat calls for days: a note is there once, an incident is not handed on twice."""
    async with doors() as server:
        await fires(server)
        for _ in range(3):
            await pagerduty(server, "incident.priority_updated", key(server), id="01ABC")
            await pagerduty(server, "incident.escalated", key(server), id="01ABD")
            await opsgenie(server, "AddNote", key(server), note="same", updatedAt=1_800_000_000_000)
        assert [text for _, text in await notes(server)] == ["priority none in PagerDuty", "same"]
        assert counted(server, "pagerduty", "not_possible") == 0
        assert counted(server, "pagerduty", "ignored") == 4
        assert counted(server, "opsgenie", "ignored") == 2


async def test_what_is_remembered_has_a_bound(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirrors, "REMEMBERED_MAX", 2)
    async with doors() as server:
        await fires(server)
        for number in (1, 2, 3, 1):
            await pagerduty(server, "incident.priority_updated", key(server), id=f"e{number}")
        assert len(await notes(server)) == 4


async def test_a_note_reaches_an_incident_that_is_over(doors: Doors) -> None:
    """What was learnt afterwards is worth having; nothing else is possible then."""
    async with doors() as server:
        await fires(server)
        await opsgenie(server, "Close", key(server))
        assert (await opsgenie(server, "AddNote", key(server), note="it was the disk"))[1]["result"] == "done"
        assert (await opsgenie(server, "AssignOwnership", key(server), owner="ana"))[1]["result"] == "not_possible"
        assert [text for _, text in await notes(server)] == ["it was the disk"]


async def test_opsgenies_other_actions(doors: Doors) -> None:
    async with doors() as server:
        await fires(server)
        alias, now = key(server), server.clock.now()
        until = int((now + timedelta(hours=3)).timestamp() * 1000)
        for action, more in (
            ("AssignOwnership", {"owner": "ben@example.com"}),
            ("TakeOwnership", {}),
            ("UpdatePriority", {"priority": "P2", "oldPriority": "P3"}),
            ("UpdatePriority", {"priority": 3}),
            ("AddResponder", {"responder": "zoe@example.com"}),
            ("AddTeam", {"team": "platform"}),
            ("EscalateNext", {}),
            ("Snooze", {"snoozedUntil": until}),
        ):
            status, said = await opsgenie(server, action, alias, **more)
            assert (status, said["result"]) == (200, "done"), action
        assert (await incident(server))["assignee"] == "ana"
        assert [text for _, text in await notes(server)] == [
            "priority P2 in Opsgenie",
            "priority 3 in Opsgenie",
            "zoe@example.com asked to help in Opsgenie",
            "platform asked to help in Opsgenie",
        ]
        assert (await state(server))[0] == "snoozed"
        identity = await incident_id(server)
        assert server.loop.state.incidents[identity].timers["ack"] == now + timedelta(hours=3)
        await opsgenie(server, "UnAcknowledge", alias)
        assert (await opsgenie(server, "Snooze", alias, snoozedUntil=10**30))[1]["result"] == "done"
        assert server.loop.state.incidents[identity].timers["ack"] == now + timedelta(hours=1)


@pytest.mark.parametrize("user", ["imd", "System", "", None])
async def test_what_opsgenie_or_imd_did_there_asks_for_nothing(user: str | None, doors: Doors) -> None:
    """No loops: a note of imd's comes back as one by its own user."""
    async with doors() as server:
        await fires(server)
        for action in mirrors.OPSGENIE:
            assert (await opsgenie(server, action, key(server), username=user, note="x"))[1]["result"] == "ignored"
        assert await state(server) == ("triggered", None)
        assert await notes(server) == []


async def test_a_note_there_goes_to_who_wants_notes(doors: Doors) -> None:
    async with doors() as server:
        await fires(server)
        await server.finish_deliveries()
        await pagerduty(server, "incident.priority_updated", "", data=data(f"{server.store.store_id}-i000000000001"))
        assert [(one.receiver, one.kind) for one in server.sink.sent] == [("og", PageKind.NOTE)]
