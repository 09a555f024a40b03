"""Requests are those that the vendors' own libraries send for the same message: both speak to a local server, and what
arrives is compared."""

from __future__ import annotations

import asyncio
from typing import Any

import pagerduty
from slack_sdk import WebClient, WebhookClient

from tests.channels.server import Request, Server, speaks
from tests.channels.test_suite import STORY, ends
from tests.channels.vendors import CANARY, VENDORS


async def ours(name: str, *deliveries: Any) -> list[Request]:
    """What the channel sends for a conversation."""
    async with ends(name) as at:
        conversation = b""
        for each in deliveries:
            given = await at.channel.send(each, 1, conversation)
            conversation = getattr(given, "conversation", b"") or conversation
        return at.server.requests


async def theirs(name: str, call: Any) -> list[Request]:
    """What a library sends. It blocks, so it has a thread of its own."""
    vendor = VENDORS[name]()
    async with Server([speaks(vendor.handle)]) as server:
        await asyncio.to_thread(call, server.url(""), vendor)
        return server.requests


def same(our: Request, their: Request, *headers: str) -> None:
    """Method, path, the headers named, and the body field for field."""
    assert (our.method, our.path) == (their.method, their.path)
    assert our.json() == their.json()
    for header in ("content-type", *headers):
        assert our.headers[header].lower() == their.headers[header].lower()


async def test_pagerduty_events_are_those_of_its_sdk() -> None:
    """Trigger, acknowledge, resolve."""
    sent = await ours("pagerduty", STORY[0], STORY[3], STORY[5])
    event = sent[0].json()
    payload = event["payload"]

    def call(url: str, _vendor: Any) -> None:
        client = pagerduty.EventsApiV2Client(CANARY)
        client._url = url  # it takes https alone, and this is a local server
        rest = {name: payload[name] for name in ("timestamp", "component", "group", "class") if name in payload}
        client.trigger(
            summary=payload["summary"],
            source=payload["source"],
            dedup_key=event["dedup_key"],
            severity=payload["severity"],
            payload=rest,
            custom_details=payload["custom_details"],
            links=event["links"],
        )
        client.acknowledge(event["dedup_key"])
        client.resolve(event["dedup_key"])

    expected = await theirs("pagerduty", call)
    assert event.pop("client") == "imd"  # the SDK's trigger has no parameter for the two; the API has the fields
    assert event.pop("client_url").startswith("https://imd.example/")
    assert event == expected[0].json()
    assert (sent[0].method, sent[0].path, sent[0].headers["content-type"]) == (
        "POST",
        "/v2/enqueue",
        "application/json",
    )
    same(sent[1], expected[1])
    same(sent[2], expected[2])


async def test_slack_calls_are_those_of_its_sdk() -> None:
    """Post, edit with reply, page again, in slack_sdk's form."""
    sent = await ours("slack", STORY[0], STORY[1], STORY[2])
    assert [request.path.rpartition(".")[2] for request in sent] == [*["postMessage", "update"] * 2, "postMessage"]

    def call(url: str, _vendor: Any) -> None:
        client = WebClient(token=CANARY, base_url=f"{url}/api/")
        for request in sent:
            arguments = request.json()
            if request.path.endswith("postMessage"):
                client.chat_postMessage(**arguments)
            else:
                client.chat_update(**arguments)

    for our, their in zip(sent, await theirs("slack", call), strict=True):
        same(our, their, "authorization")


async def test_slack_webhooks_are_those_of_its_sdk() -> None:
    (sent,) = await ours("slack-webhook", STORY[0])

    def call(url: str, _vendor: Any) -> None:
        body = sent.json()
        WebhookClient(f"{url}/services/T00/B00/{CANARY}").send(text=body["text"], blocks=body["blocks"])

    (expected,) = await theirs("slack-webhook", call)
    assert (sent.path, sent.json()) == (expected.path, expected.json())
