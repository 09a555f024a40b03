"""PagerDuty and Opsgenie: our dedup_key is their alert's, and what happens here happens there."""

from __future__ import annotations

import json

from imd.channels.contract import Permanent, Receipt
from imd.model.incident import Priority
from imd.model.policy import PageKind, PageReason
from tests.channels.samples import STORE_ID, digest, enormous, message
from tests.channels.server import Request, answer, speaks
from tests.channels.test_suite import STORY, ends, told
from tests.channels.vendors import Opsgenie, Reply, said

KEY = f"{STORE_ID}-i000000000001"


async def test_pagerduty_triggers_acknowledges_and_resolves_one_alert() -> None:
    """By one key; a note has no place there and is not sent."""
    async with ends("pagerduty") as at:
        await told(at.channel, *STORY)
        seen = at.vendor.seen
    assert [action for action, _ in seen] == ["trigger", "trigger", "trigger", "acknowledge", "resolve"]
    assert {event["dedup_key"] for _, event in seen} == {KEY}
    assert set(seen[3][1]) == set(seen[4][1]) == {"routing_key", "event_action", "dedup_key"}


async def test_pagerduty_gets_what_people_need() -> None:
    async with ends("pagerduty") as at:
        await told(at.channel, message())
        (_, event) = at.vendor.seen[0]
    payload = event["payload"]
    assert payload["summary"] == "KubeNodeNotReady c1 n1: kubelet stopped posting node status"
    assert (payload["severity"], payload["source"], payload["group"]) == ("error", "host/n1", "c1")
    assert payload["timestamp"] == "2026-11-21T21:24:02+00:00"
    assert payload["custom_details"]["alerts"][0]["labels"]["pod"] == "web-0"
    assert event["links"] == [
        {"href": "https://imd.example/v1/incidents/i000000000001", "text": "Incident"},
        {"href": "https://wiki.example/node-loss", "text": "Runbook"},
    ]


async def test_pagerduty_counts_the_alerts_it_leaves_out() -> None:
    async with ends("pagerduty") as at:
        await told(at.channel, enormous())
        details = at.vendor.seen[0][1]["payload"]["custom_details"]
    assert len(details["alerts"]) + details["alerts_left_out"] == 200


async def test_pagerduty_severities() -> None:
    found = {}
    for priority in Priority:
        async with ends("pagerduty") as at:
            await told(at.channel, message(priority=priority))
            found[priority.value] = at.vendor.seen[0][1]["payload"]["severity"]
    assert found == {"P1": "critical", "P2": "error", "P3": "warning", "P4": "info", "P5": "info"}


async def test_a_digest_that_stands_twice_in_pagerduty_says_so() -> None:
    """Change events have no key: both name their one delivery, and the later one that it is another attempt."""
    one = digest()
    async with ends("pagerduty") as at:
        for attempt in (1, 2):
            assert isinstance(await at.channel.send(one, attempt), Receipt)
        first, second = (event["payload"]["custom_details"] for _, event in at.vendor.seen)
    assert first["delivery_id"] == second["delivery_id"] == one.id
    assert "attempt" not in first
    assert second["attempt"] == "2: another of this delivery_id is the same"
    assert first["incidents"] == second["incidents"] != ""


async def test_pagerdutys_invalid_event_on_2xx_is_a_refusal() -> None:
    async with ends("pagerduty", answer(*said(202, status="invalid event", message="no"))) as at:
        given = await at.channel.send(message(), 1)
    assert isinstance(given, Permanent)
    assert "invalid event" in given.error


async def test_opsgenie_follows_the_incident() -> None:
    """Create, note, create and raise, acknowledge, note, close; all of the one alias."""
    async with ends("opsgenie") as at:
        await told(at.channel, *STORY)
        seen = at.vendor.seen
    assert [verb for verb, _ in seen] == ["create", "notes", "create", "priority", "acknowledge", "notes", "close"]
    assert {body["alias"] for _, body in seen} == {KEY}
    assert seen[3][1]["priority"] == "P1"
    assert seen[4][1]["user"] == "ana"
    assert "looking at it" in seen[5][1]["note"]
    assert "Resolved after 12m 7s" in seen[6][1]["note"]


async def test_opsgenies_alert() -> None:
    async with ends("opsgenie") as at:
        await told(at.channel, message())
        alert = at.vendor.seen[0][1]
    assert alert["message"] == "KubeNodeNotReady c1 n1: kubelet stopped posting node status"
    assert alert["responders"] == [{"name": "platform", "type": "team"}, {"username": "a@b.example", "type": "user"}]
    assert (alert["priority"], alert["entity"], alert["tags"], alert["source"]) == ("P2", "host/n1", ["t"], "imd")
    assert alert["details"]["node"] == "n1"
    assert alert["details"]["runbook"] == "https://wiki.example/node-loss"


async def test_a_title_too_long_for_opsgenie_stands_in_the_description() -> None:
    title = "x" * 131
    async with ends("opsgenie") as at:
        await told(at.channel, message(title=title))
        alert = at.vendor.seen[0][1]
    assert alert["message"] == "x" * 129 + "…"
    assert alert["description"].startswith(title + "\n")


class NoPriority(Opsgenie):
    """As Jira: no PUT of a priority under this path."""

    def take(self, request: Request) -> Reply:
        return (404, b"{}") if request.method == "PUT" else super().take(request)


async def test_a_raise_counts_where_the_priority_cannot_be_changed() -> None:
    jira = NoPriority()
    async with ends("opsgenie", speaks(jira.handle)) as at:
        raised = message(PageKind.PAGE, 2, reason=PageReason.RAISED, priority=Priority.P1)
        given = await at.channel.send(raised, 1)
    assert isinstance(given, Receipt)
    assert "priority was not changed" in given.detail
    assert [verb for verb, _ in jira.seen] == ["create"]


async def test_keys_are_never_in_a_body_but_pagerdutys_own() -> None:
    async with ends("opsgenie") as at:
        await told(at.channel, message())
        assert "canary" not in at.server.requests[0].body.decode()
    async with ends("pagerduty") as at:
        await told(at.channel, message())
        body = json.loads(at.server.requests[0].body)
        assert "canary" not in json.dumps({**body, "routing_key": ""})
