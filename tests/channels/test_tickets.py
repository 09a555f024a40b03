"""Splunk On-Call and ServiceNow: one record there for each incident here, however often it is told."""

from __future__ import annotations

from imd.channels.contract import Receipt
from imd.model.incident import Priority
from imd.model.policy import PageKind, PageReason
from tests.channels.samples import STORE_ID, message
from tests.channels.test_suite import STORY, ends, told
from tests.channels.vendors import Servicenow

KEY = f"{STORE_ID}-i000000000001"


async def test_victorops_follows_the_incident() -> None:
    async with ends("victorops") as at:
        await told(at.channel, *STORY)
        seen = at.vendor.seen
    assert [what for what, _ in seen] == ["CRITICAL", "INFO", "CRITICAL", "ACKNOWLEDGEMENT", "INFO", "RECOVERY"]
    assert {body["entity_id"] for _, body in seen} == {KEY}
    assert seen[3][1]["ack_author"] == "ana"
    assert seen[0][1]["state_start_time"] == 1795296232
    assert seen[0][1]["state_message"].startswith("PAGE P2 #1 KubeNodeNotReady")


async def test_victorops_types() -> None:
    found = {}
    for priority in Priority:
        async with ends("victorops") as at:
            await told(at.channel, message(priority=priority))
            found[priority.value] = at.vendor.seen[0][0]
    assert found == {"P1": "CRITICAL", "P2": "CRITICAL", "P3": "WARNING", "P4": "INFO", "P5": "INFO"}


async def test_servicenow_keeps_one_record() -> None:
    """Asked for, made, changed, resolved with a code and notes."""
    async with ends("servicenow") as at:
        await told(at.channel, *STORY)
        seen = at.vendor.seen
        methods = [request.method for request in at.server.requests]
    assert methods == ["GET", "POST", *["PATCH"] * 5]
    created, _, raised, acknowledged, note, resolved = (body for _, body in seen)
    assert created["correlation_id"] == KEY
    assert created["assignment_group"] == "platform"
    assert (created["impact"], created["urgency"]) == ("1", "2")
    assert "priority" not in created
    assert (raised["impact"], raised["urgency"]) == ("1", "1")
    assert acknowledged["state"] == "2"
    assert "looking at it" in note["work_notes"]
    assert (resolved["state"], resolved["close_code"]) == ("6", "Solution provided")
    assert resolved["close_notes"] == "Resolved after 12m 7s: alerts resolved."


async def test_an_attempt_that_arrived_unnoticed_is_found_again() -> None:
    """Killed between the answer and its commit, the next attempt asks by the key and changes what is there."""
    async with ends("servicenow") as at:
        assert isinstance(await at.channel.send(message(), 1), Receipt)
        assert isinstance(await at.channel.send(message(), 2), Receipt)
        vendor = at.vendor
    assert isinstance(vendor, Servicenow)
    assert len(vendor.records) == 1


async def test_a_deleted_record_is_made_anew() -> None:
    async with ends("servicenow") as at:
        kept = await told(at.channel, message())
        vendor = at.vendor
        assert isinstance(vendor, Servicenow)
        vendor.records.clear()
        again = message(PageKind.PAGE, 2, reason=PageReason.ESCALATED)
        given = await at.channel.send(again, 1, kept)
    assert isinstance(given, Receipt)
    assert [what for what, _ in vendor.seen] == ["create", "create"]


async def test_what_comes_back_is_in_progress_again() -> None:
    async with ends("servicenow") as at:
        kept = await told(at.channel, *STORY)
        await at.channel.send(message(PageKind.PAGE, 7, reason=PageReason.REOPENED), 1, kept)
        assert at.vendor.seen[-1][1]["state"] == "2"
