"""Requests are those that the vendors' own libraries send for the same message: both speak to a local server, and what
arrives is compared."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any
from urllib.parse import parse_qsl, unquote

import apprise
import msgspec
import pagerduty
import pytest
import requests
import twilio.rest
from slack_sdk import WebClient, WebhookClient
from twilio.http.http_client import TwilioHttpClient

from imd.model.incident import Priority
from imd.model.policy import PageKind, PageReason
from tests.channels.samples import digest, message
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


async def test_pagerduty_changes_are_those_of_its_sdk() -> None:
    """The digest of what is over."""
    listed = {**json.loads(digest().body), "links": {"incident": "https://imd.example/v1/incidents"}}
    (sent,) = await ours("pagerduty", msgspec.structs.replace(digest(), body=json.dumps(listed).encode()))
    change = sent.json()

    def call(url: str, _vendor: Any) -> None:
        client = pagerduty.EventsApiV2Client(CANARY)
        client._url = url
        payload = change["payload"]
        client.submit(
            summary=payload["summary"],
            source=payload["source"],
            custom_details=payload["custom_details"],
            links=[{"href": "https://imd.example/v1/incidents", "text": "Incident"}],
            timestamp=payload["timestamp"],
        )

    (expected,) = await theirs("pagerduty", call)
    same(sent, expected)


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


async def test_sms_and_calls_are_those_of_twilios_sdk() -> None:
    """The same form to the same place, with the same authentication."""
    for name in ("twilio", "twilio-voice"):
        (sent,) = await ours(name, STORY[0])
        fields = dict(parse_qsl(sent.body.decode()))

        def call(url: str, vendor: Any, fields: dict[str, str] = fields) -> None:
            client = twilio.rest.Client("AC" + "0" * 32, CANARY, http_client=_Local(url))
            if "Twiml" in fields:
                client.calls.create(to=fields["To"], from_=fields["From"], twiml=fields["Twiml"])
            else:
                validity = int(fields["ValidityPeriod"])
                client.messages.create(
                    to=fields["To"], from_=fields["From"], body=fields["Body"], validity_period=validity
                )

        (expected,) = await theirs(name, call)
        assert (sent.method, sent.path) == (expected.method, expected.path)
        assert fields == dict(parse_qsl(expected.body.decode()))
        for header in ("authorization", "content-type"):
            assert sent.headers[header] == expected.headers[header]


class _Local(TwilioHttpClient):
    """Twilio's own client, to a local server: its host is fixed."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def request(self, method: str, url: str, *arguments: Any, **named: Any) -> Any:
        return super().request(method, url.replace("https://api.twilio.com", self._url), *arguments, **named)


def by_apprise(monkeypatch: pytest.MonkeyPatch, notify: str, title: str = "", body: str = "b", **options: Any) -> Any:
    """A call of apprise, whose requests go to the local server whatever host it has in mind."""

    def call(local: str, _vendor: Any) -> None:
        original = requests.Session.request

        def redirected(self: Any, method: str, url: str, **named: Any) -> Any:
            return original(self, method, re.sub(r"^https?://[^/]+", local, url), **named)

        with monkeypatch.context() as patch:
            patch.setattr(requests.Session, "request", redirected)
            notifier = apprise.Apprise()
            assert notifier.add(notify)
            notifier.notify(title=title, body=body, body_format="text", **options)

    return call


async def test_matrix_events_are_those_of_apprise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Method, path but for the transaction, and the fields of a text."""
    (sent,) = await ours("matrix", STORY[0])
    captured: list[Request] = []

    def accept(request: Request) -> tuple[int, bytes]:
        captured.append(request)
        return 200, b'{"user_id":"@imd:example.org","room_id":"!abc:example.org","event_id":"$1","device_id":"d"}'

    url = f"matrix://{CANARY}@localhost/!abc:example.org?v=3&format=html"
    async with Server([speaks(accept)]) as server:
        await asyncio.to_thread(by_apprise(monkeypatch, url), server.url(""), None)
    expected = next(one for one in captured if "/send/m.room.message/" in one.path)
    assert sent.method == expected.method
    assert unquote(sent.path).rpartition("/")[0] == unquote(expected.path).rpartition("/")[0]
    assert sent.headers["authorization"] == expected.headers["authorization"]
    assert set(expected.json()) <= set(sent.json())


ENVELOPES = {
    # name: apprise's URL, and which fields both must agree on
    "discord": (f"discord://1234/{CANARY}?thread=99", ("embeds",)),
    "ntfy": (f"ntfy://{CANARY}@localhost/oncall?auth=token", ("topic", "title", "message")),
    "opsgenie": (f"opsgenie://{CANARY}?action=new", ("source", "message", "description", "priority")),
    "webex": (f"wxteams://{CANARY}/Y2lzY29zcGFyazovL3Jvb20?mode=bot", ("roomId", "markdown")),
    "mattermost-webhook": (f"mmost://localhost/{CANARY}?to=ops&mode=webhook", ("text", "channel")),
    "victorops": (
        f"victorops://routing@{CANARY}/entity",
        ("entity_id", "message_type", "entity_display_name", "state_message", "monitoring_tool"),
    ),
    "teams": (f"workflows://localhost/{'w' * 32}/{'s' * 43}", ("type", "attachments")),
    "telegram": (f"tgram://123456789:{'a' * 35}/-1001/", ("chat_id", "text", "parse_mode", "disable_notification")),
}


@pytest.mark.parametrize("name", ENVELOPES)
async def test_fields_are_those_that_apprise_sends(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the chats without an SDK of the vendor's: every field named is in both, with values of the same kind."""
    url, fields = ENVELOPES[name]
    (sent,) = await ours(name, STORY[0])
    captured: list[Request] = []

    def accept(request: Request) -> tuple[int, bytes]:
        captured.append(request)
        return 200, b'{"ok":true,"id":"1","result":{"message_id":1}}'

    async with Server([speaks(accept)]) as server:
        await asyncio.to_thread(by_apprise(monkeypatch, url, "title", "body"), server.url(""), None)
    expected = captured[-1]
    assert sent.method == expected.method
    mine, other = sent.json(), expected.json()
    for field in fields:
        assert field in other, f"apprise sends {sorted(other)}"
        assert type(mine[field]) is type(other[field]), field
    if name == "teams":
        (card,), (their_card,) = mine["attachments"], other["attachments"]
        assert set(card) == set(their_card)
        assert card["contentType"] == their_card["contentType"]
        for field in ("$schema", "type", "msteams"):
            assert card["content"][field] == their_card["content"][field]


async def test_pushover_forms_are_those_of_apprise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every field that apprise sends for an emergency, in one form; ours has a link and a time besides."""
    (sent,) = await ours("pushover", message(PageKind.PAGE, 1, reason=PageReason.FIRST, priority=Priority.P1))
    captured: list[Request] = []

    def accept(request: Request) -> tuple[int, bytes]:
        captured.append(request)
        return 200, b'{"status":1,"request":"r"}'

    url = f"pover://{'u' * 30}@{'t' * 30}?priority=emergency&interval=60&expire=3600"
    async with Server([speaks(accept)]) as server:
        await asyncio.to_thread(by_apprise(monkeypatch, url, "title", "body"), server.url(""), None)
    mine = dict(parse_qsl(sent.body.decode()))
    other = dict(parse_qsl(captured[-1].body.decode()))
    assert sent.path == captured[-1].path
    assert {"priority": "2", "retry": "60", "expire": "3600"}.items() <= mine.items()
    assert {"priority": "2", "retry": "60", "expire": "3600"}.items() <= other.items()
    assert set(other) - {"sound", "device"} <= set(mine)


EQUAL = {
    # name: apprise's URL, its type, and which of our fields are its title and its body
    "ntfy": (f"ntfy://{CANARY}@localhost/oncall?auth=token&priority=high", "failure", "title", "message"),
    "victorops": (f"victorops://routing@{CANARY}/entity", "failure", "entity_display_name", "state_message"),
    "webex": (f"wxteams://{CANARY}/Y2lzY29zcGFyazovL3Jvb20?mode=bot", "failure", "", "markdown"),
    "mattermost-webhook": (f"mmost://localhost/{CANARY}?to=ops&mode=webhook", "failure", "", "text"),
}


@pytest.mark.parametrize("name", EQUAL)
async def test_the_same_text_is_the_same_fields(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Apprise is given our title and text, and sends them as we do: under the same names, with the same values."""
    url, kind, title, body = EQUAL[name]
    (sent,) = await ours(name, STORY[0])
    mine = sent.json()
    captured: list[Request] = []

    def accept(request: Request) -> tuple[int, bytes]:
        captured.append(request)
        return 200, b'{"id":"1","data":{"id":"1"},"result":"success"}'

    text = "plain words, as they are"  # what apprise does to markup is its own
    async with Server([speaks(accept)]) as server:
        call = by_apprise(monkeypatch, url, mine.get(title, ""), text, notify_type=kind)
        await asyncio.to_thread(call, server.url(""), None)
    other = captured[-1].json()
    mine[body] = text
    ours_alone = {"entity_id", "state_start_time", "monitoring_tool", "alias", "details", "source", "entity", "user"}
    for field in (mine.keys() & other.keys()) - ours_alone:
        assert mine[field] == other[field], field
    assert {one for one in (title, body) if one} <= mine.keys() & other.keys()
