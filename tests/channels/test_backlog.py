"""What began and was over while a service could not be reached, in the form in which it pages nobody there."""

from __future__ import annotations

import json
import re

import msgspec
import pytest

from imd.channels import text
from imd.channels.text import Writer
from imd.model.effect import Delivery
from tests.channels.samples import digest
from tests.channels.server import answer
from tests.channels.test_suite import ends, told
from tests.channels.vendors import said


def over(count: int = 500, title: str = "a long title of many words, naïve 日本語 🔥 " * 6) -> Delivery:
    """A digest of so many incidents that are all over."""
    incidents = [
        {"number": number, "title": title.strip(), "priority": "P3", "state": "resolved"}
        for number in range(1, count + 1)
    ]
    body = {**msgspec.json.decode(digest().body), "incidents": incidents}
    headline = f"DIGEST P3 {count} incidents, {count} over: #1 {title[:200]} and more"
    return msgspec.structs.replace(
        digest(), id="store-digest-og-7", headline=headline, body=json.dumps(body).encode(), dedup_key="store-digest-og"
    )


def numbers(words: str) -> set[int]:
    return {int(found) for found in re.findall(r"#(\d+)", words)}


@pytest.mark.parametrize("room", [3_000, 4_000, 15_000, 20_000, 1 << 30])
def test_every_incident_is_named(room: int) -> None:
    """Titles are cut, down to nothing, before one number is."""
    rolled = text.roll(Writer().message(over()), room)
    assert len(rolled) <= room
    assert numbers(rolled) == set(range(1, 501))


async def test_pagerduty_hears_of_them_as_a_change() -> None:
    """A change event is in the service's history and pages nobody; alerts would."""
    async with ends("pagerduty") as at:
        assert await told(at.channel, over()) == b""
        ((what, event),) = at.vendor.seen
    assert what == "change"
    assert numbers(event["payload"]["custom_details"]["incidents"]) == set(range(1, 501))
    assert event["payload"]["summary"].startswith("DIGEST P3 500 incidents, 500 over: #1")
    assert "dedup_key" not in event


async def test_opsgenie_hears_of_them_by_an_alert_that_is_closed() -> None:
    """Of the least priority, with an alias of its own: the receiver's next digest is another alert."""
    async with ends("opsgenie") as at:
        await told(at.channel, over())
        (made, alert), (closed, close) = at.vendor.seen
    assert (made, closed) == ("create", "close")
    assert (alert["priority"], alert["alias"], close["alias"]) == ("P5", "store-digest-og-7", "store-digest-og-7")
    assert numbers(alert["description"]) == set(range(1, 501))
    assert "responders" not in alert


async def test_splunk_on_call_gets_a_line_of_its_timeline() -> None:
    async with ends("victorops") as at:
        await told(at.channel, over())
        ((kind, event),) = at.vendor.seen
    assert (kind, event["entity_id"]) == ("INFO", "store-digest-og-7")
    assert numbers(event["state_message"]) == set(range(1, 501))


async def test_servicenow_gets_one_record_that_is_resolved() -> None:
    """Made once, also where an attempt before arrived unnoticed."""
    async with ends("servicenow") as at:
        await told(at.channel, over())
        await told(at.channel, over())
        ((what, record),) = at.vendor.seen
    assert (what, record["state"], record["impact"], record["urgency"]) == ("create", "6", "3", "3")
    assert record["correlation_id"] == "store-digest-og-7"
    assert numbers(record["description"]) == set(range(1, 501))


async def test_opsgenie_is_asked_again_where_only_the_close_failed() -> None:
    """The same alias: while the alert is open, the second create is counted on it."""
    taken = answer(*said(202, result="Request will be processed", took=0.1, requestId="r"))
    async with ends("opsgenie", taken, answer(503, b""), taken, taken) as at:
        failed = await at.channel.send(over(), 1)
        assert not isinstance(failed, type(await at.channel.send(over(), 2)))
        paths = [request.path.split("?")[0] for request in at.server.requests]
    assert paths == ["/v2/alerts", "/v2/alerts/store-digest-og-7/close"] * 2
