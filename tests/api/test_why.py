"""Why an incident is as it is, over HTTP: its priority, what was suppressed, who was not reached, what comes next."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest_asyncio

from imd.model.event import DeliveryFinished, Outcome
from imd.model.incident import Level
from imd.model.policy import Person, Receiver, Way
from imd.model.rule import Raise, Rule
from tests.api.server import Server, serving
from tests.core.making import minutes, policy, ruleset, step

RULES = ruleset(
    Rule(name="nodes", group_by=("cluster",), raises=(Raise(at_least=3, impact=Level.HIGH),), where="rules/n.yaml:3"),
    policies=(
        policy(step("ana", wait=minutes(5)), step("ben", "cleo", wait=minutes(10)), repeat=1, ack_timeout=minutes(30)),
    ),
)


@pytest_asyncio.fixture
async def paging(tmp_path: Path) -> AsyncIterator[Server]:
    """One incident of one alert, about which ana was paged."""
    async with serving(tmp_path, RULES) as server:
        await fire(server, "n1")
        await server.pass_time(timedelta(seconds=10))
        yield server


async def fire(server: Server, *nodes: str, severity: str = "warning") -> None:
    body = [{"labels": {"alertname": "Down", "cluster": "c1", "node": node, "severity": severity}} for node in nodes]
    assert (await server.call("POST", "/api/v2/alerts", body))[0] == 200


async def why(server: Server) -> Any:
    status, told, _ = await server.call("GET", "/v1/incidents/1/why")
    assert status == 200
    return told


async def test_what_comes_next_while_nobody_answers(paging: Server) -> None:
    await paging.finish_deliveries()
    told = await why(paging)
    assert [(one["at"], one["what"]) for one in told["next"]] == [
        ("2026-11-21T12:05:10Z", "step 2 of policy default (person:ben, person:cleo), if nobody acknowledges")
    ]
    assert told["not_paged"] == []
    await paging.pass_time(minutes(5))
    await paging.finish_deliveries()
    [following] = (await why(paging))["next"]
    assert following["what"] == "policy default starts over (1 of 1), if nobody acknowledges"


async def test_the_next_way_to_a_person_is_named(tmp_path: Path) -> None:
    ana = Person(name="ana", reach=(Way(receiver="ana"), Way(receiver="sms", after=minutes(2))))
    receivers = [Receiver(name="ana"), Receiver(name="sms")]
    rules = ruleset(RULES.rules[0], policies=(policy(step("ana")),), people=[ana], receivers=receivers)
    async with serving(tmp_path, rules) as server:
        await fire(server, "n1")
        await server.pass_time(timedelta(seconds=10))
        await server.finish_deliveries()
        told = await why(server)
    assert [(one["at"], one["what"]) for one in told["next"]] == [
        ("2026-11-21T12:02:10Z", "ana is paged by sms, if nobody answers"),
        ("2026-11-21T12:05:10Z", "policy default is exhausted and the fallback is paged, if nobody acknowledges"),
    ]


async def test_an_acknowledgement_leaves_steps_unreached(paging: Server) -> None:
    await paging.finish_deliveries()
    await paging.call("POST", "/v1/incidents/1/ack", {"by": "ana"})
    told = await why(paging)
    assert told["not_paged"] == [
        "step 2 of policy default (person:ben, person:cleo) was not reached: it was acknowledged by ana"
    ]
    assert [one["what"] for one in told["next"]] == ["the acknowledgement runs out"]


async def test_how_it_came_to_its_priority(paging: Server) -> None:
    await fire(paging, "n2", "n3", severity="critical")
    told = await why(paging)
    assert [line["text"] for line in told["priority"]] == [
        "still firing after hold: P3, impact medium x urgency medium",
        "raised from P3 to P1: impact high, urgency high",
    ]


async def test_what_was_suppressed_and_by_whom(paging: Server) -> None:
    asked = {"by": "ana", "matchers": ['node="n1"'], "for": "2h", "comment": "swap"}
    _, silence, _ = await paging.call("POST", "/v1/silences", asked)
    told = await why(paging)
    cause = f"silence/{silence['id']}"
    assert told["causes"][cause].startswith(f"{cause} by ana until ")
    assert "Down suppressed by " + cause in told["suppressed"][0]["text"]
    assert any(
        "not notified any more: anybody, because the one firing alert is suppressed" in text
        for text in told["not_paged"]
    )
    await paging.call("POST", f"/v1/silences/{silence['id']}/expire", {"by": "ana"})
    await paging.pass_time(timedelta(seconds=1))
    assert (await why(paging))["suppressed"][-1]["kind"] == "released"


async def test_a_delivery_that_failed_says_so_in_the_receivers_words(paging: Server) -> None:
    [page] = paging.sink.sent
    failed = DeliveryFinished(
        delivery=page.id, incident=page.incident, receiver=page.receiver, outcome=Outcome.FAILED, error="no such number"
    )
    await paging.loop.submit(failed, 0)
    told = await why(paging)
    assert (told["pages"][0]["state"], told["pages"][0]["error"]) == ("failed", "no such number")
    assert any("refused for good after 1 attempts: no such number" in line["text"] for line in told["lines"])


async def test_a_quiet_priority_notifies_step_1_alone_and_says_so(tmp_path: Path) -> None:
    async with serving(tmp_path, RULES) as server:
        await fire(server, "n1", severity="info")
        await server.pass_time(timedelta(seconds=10))
        told = await why(server)
        assert told["incident"]["priority"] == "P4"
        assert told["not_paged"] == ["not notified: step 2 of policy default, because of a P4 step 1 hears, once"]
        assert told["next"] == []


async def test_one_that_is_over_says_why_nobody_else_heard(paging: Server) -> None:
    await paging.finish_deliveries()
    await paging.call("POST", "/v1/incidents/1/resolve", {"by": "ben", "force": True, "note": "replaced"})
    told = await why(paging)
    assert told["not_paged"][0].endswith('was not reached: it was over before: by ben: "replaced"')
