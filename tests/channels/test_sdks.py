"""Whole conversations beside the libraries that vendors or their communities keep: each call of ours is made once more
by the library with the same arguments, and what arrives is the same, field for field."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import discord
import mattermostautodriver
import nio
import opsgenie_sdk
import pushover_complete
import pysnc
import pytest
import requests
import telegram
import webexpythonsdk

from imd.channels.pushover import Pushover as PushoverChannel
from imd.model.incident import Priority
from tests.channels.samples import message
from tests.channels.server import Request, Server, answer
from tests.channels.test_oracles import ours, same, theirs
from tests.channels.test_suite import STORY, ends
from tests.channels.vendors import CANARY

TELEGRAMS = {"message_id": 100, "date": 0, "chat": {"id": -1001, "type": "supergroup"}, "text": "x"}
DISCORDS = {
    "id": "1000", "type": 0, "content": "", "channel_id": "99", "embeds": [], "attachments": [], "mentions": [],
    "author": {"id": "1", "username": "imd", "discriminator": "0", "avatar": None}, "mention_roles": [],
    "pinned": False, "mention_everyone": False, "tts": False, "timestamp": "2026-11-21T12:00:00+00:00",
    "edited_timestamp": None,
}  # fmt: skip


async def taken(call: Callable[[str], Any], said: object) -> list[Request]:
    """What a library sends to a server that answers so to all; one that blocks has a thread of its own."""
    async with Server([answer(200, json.dumps(said).encode(), Content_Type="application/json")]) as server:
        if inspect.iscoroutinefunction(call):
            await call(server.url(""))
        else:
            await asyncio.to_thread(call, server.url(""))
        return server.requests


async def test_telegram_calls_are_those_of_python_telegram_bot() -> None:
    """It sends a form whose values are JSON where ours is JSON as a whole: the Bot API takes both."""
    sent = await ours("telegram", *STORY)

    async def call(url: str) -> None:
        bot = telegram.Bot(f"1234:{CANARY}", base_url=f"{url}/bot")
        await bot.request.initialize()
        for request in sent:
            arguments = request.json()
            arguments["link_preview_options"] = telegram.LinkPreviewOptions(**arguments["link_preview_options"])
            if "reply_parameters" in arguments:
                arguments["reply_parameters"] = telegram.ReplyParameters(**arguments["reply_parameters"])
            edits = request.path.endswith("editMessageText")
            await (bot.edit_message_text if edits else bot.send_message)(**arguments)
        await bot.request.shutdown()

    expected = await taken(call, {"ok": True, "result": TELEGRAMS})
    assert len(expected) == len(sent)
    for our, their in zip(sent, expected, strict=True):
        assert (our.method, our.path) == (their.method, their.path)
        assert our.json() == {name: _value(name, text) for name, text in parse_qsl(their.body.decode())}


def _value(name: str, text: str) -> Any:
    return text if name in ("text", "parse_mode") else json.loads(text)


async def test_matrix_events_are_those_of_matrix_nio() -> None:
    sent = await ours("matrix", *STORY)

    async def call(url: str) -> None:
        client = nio.AsyncClient(url, "@imd:example.org")
        client.access_token, client.user_id = CANARY, "@imd:example.org"
        for request in sent:
            transaction = unquote(request.path.rpartition("/")[2])
            await client.room_send("!abc:example.org", "m.room.message", request.json(), tx_id=transaction)
        await client.close()

    for our, their in zip(sent, await taken(call, {"event_id": "$1"}), strict=True):
        assert (our.method, unquote(our.path)) == (their.method, unquote(their.path))
        assert our.json() == their.json()
        assert our.headers["authorization"] == their.headers["authorization"]


async def test_webex_messages_are_those_of_its_sdk() -> None:
    sent = await ours("webex", *STORY)

    def call(url: str, _vendor: Any) -> None:
        api = webexpythonsdk.WebexAPI(access_token=CANARY, base_url=f"{url}/v1/")
        for request in sent:
            api.messages.create(**request.json())

    for our, their in zip(sent, await theirs("webex", call), strict=True):
        assert their.headers["content-type"].startswith("application/json")
        assert (our.method, our.path, our.json()) == (their.method, their.path, their.json())
        assert our.headers["authorization"] == their.headers["authorization"]


async def test_discord_messages_are_those_of_discord_py(monkeypatch: pytest.MonkeyPatch) -> None:
    """Posts and edits. It names the API's version in the path, and writes `wait=1`."""
    sent = await ours("discord", *STORY)

    def call(url: str) -> None:
        monkeypatch.setattr(discord.http.Route, "BASE", f"{url}/api")
        webhook, thread = discord.SyncWebhook.partial(1234, CANARY), discord.Object(99)
        for request in sent:
            body = request.json()
            arguments: dict[str, Any] = {
                "content": body["content"],
                "allowed_mentions": discord.AllowedMentions.none(),
                "thread": thread,
            }
            if "embeds" in body:
                arguments["embeds"] = [discord.Embed.from_dict(one) for one in body["embeds"]]
            if request.method == "POST":
                webhook.send(**arguments, wait=True)
            else:
                webhook.edit_message(int(urlsplit(request.path).path.rpartition("/")[2]), **arguments)

    for our, their in zip(sent, await taken(call, DISCORDS), strict=True):
        mine, other = urlsplit(our.path), urlsplit(their.path)
        assert (our.method, mine.path) == (their.method, other.path)
        query = {name: {"1": "true"}.get(value, value) for name, value in parse_qsl(other.query)}
        assert dict(parse_qsl(mine.query)) == {name: query[name] for name in ("thread_id", "wait") if name in query}
        expected = their.json()
        for embed in expected.get("embeds", []):
            assert embed.pop("type", "rich") == "rich"  # the default, which it spells out
            embed.pop("flags", None)
        mentions = expected["allowed_mentions"]
        assert mentions.pop("replied_user", False) is False  # nobody, in more words
        assert our.json() == {name: value for name, value in expected.items() if name in our.json()}
        assert not any(value for name, value in expected.items() if name not in our.json())


async def test_mattermost_posts_are_those_of_its_driver() -> None:
    sent = await ours("mattermost", *STORY)

    def call(url: str, _vendor: Any) -> None:
        where = urlsplit(url)
        options = {"url": where.hostname, "port": where.port, "scheme": "http", "token": CANARY}
        driver = mattermostautodriver.TypedDriver(options)
        driver.client._token = CANARY  # what its login would keep
        for request in sent:
            if request.method == "POST":
                driver.posts.create_post(**request.json())
            else:
                driver.posts.patch_post(request.path.split("/")[4], **request.json())

    for our, their in zip(sent, await theirs("mattermost", call), strict=True):
        assert (our.method, our.path) == (their.method, their.path)
        assert our.json() == {key: value for key, value in their.json().items() if value is not None}
        assert our.headers["authorization"] == their.headers["authorization"]


async def test_opsgenie_calls_are_those_of_its_sdk() -> None:
    """Create, notes, priority, acknowledge, close."""
    sent = await ours("opsgenie", *STORY)
    verbs = {
        "notes": ("add_note", "add_note_to_alert_payload", opsgenie_sdk.AddNoteToAlertPayload),
        "acknowledge": ("acknowledge_alert", "acknowledge_alert_payload", opsgenie_sdk.AcknowledgeAlertPayload),
        "close": ("close_alert", "close_alert_payload", opsgenie_sdk.CloseAlertPayload),
        "priority": (
            "update_alert_priority",
            "update_alert_priority_payload",
            opsgenie_sdk.UpdateAlertPriorityPayload,
        ),
    }

    def call(url: str, _vendor: Any) -> None:
        configuration = opsgenie_sdk.Configuration()
        configuration.host, configuration.api_key["Authorization"] = url, CANARY
        configuration.api_key_prefix["Authorization"] = "GenieKey"
        api = opsgenie_sdk.AlertApi(opsgenie_sdk.ApiClient(configuration))
        for request in sent:
            body = request.json()
            path = urlsplit(request.path).path.split("/")
            if len(path) == 3:
                api.create_alert(create_alert_payload=opsgenie_sdk.CreateAlertPayload(**body))
                continue
            name, argument, payload = verbs[path[4]]
            getattr(api, name)(path[3], identifier_type="alias", **{argument: payload(**body)})

    for our, their in zip(sent, await theirs("opsgenie", call), strict=True):
        same(our, their, "authorization")


async def test_servicenow_records_are_those_of_its_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new record, by ServiceNow's own client. (It changes records by PUT; PATCH is documented beside it.)"""
    sent = await ours("servicenow", STORY[0])
    created = sent[1]

    def call(url: str, _vendor: Any) -> None:
        send = requests.Session.send

        def redirected(self: Any, request: Any, **named: Any) -> Any:
            request.url = request.url.replace("https://imd.service-now.com", url)  # it takes https alone
            return send(self, request, **named)

        with monkeypatch.context() as patch:
            patch.setattr(requests.Session, "send", redirected)
            record = pysnc.ServiceNowClient("https://imd.service-now.com", ("imd", CANARY)).GlideRecord("incident")
            record.initialize()
            for field, value in created.json().items():
                record.set_value(field, value)
            record.insert()

    (expected,) = await theirs("servicenow", call)
    assert (created.method, created.path) == (expected.method, urlsplit(expected.path).path)
    assert created.json() == expected.json()
    assert created.headers["authorization"] == expected.headers["authorization"]


async def test_pushovers_receipts_are_asked_and_cancelled_as_its_library_does(monkeypatch: pytest.MonkeyPatch) -> None:
    async with ends("pushover") as at:
        channel = at.channel
        assert isinstance(channel, PushoverChannel)
        await channel.send(message(priority=Priority.P1), 1)
        (receipt,) = at.vendor.receipts  # type: ignore[attr-defined]
        await channel.look(receipt)
        await channel.hush(receipt)
        pushed, *sent = at.server.requests
    form = dict(parse_qsl(pushed.body.decode()))
    assert form.pop("tags")  # by which an emergency ends whose receipt was lost: newer than the library

    def call(url: str, vendor: Any) -> None:
        vendor.receipts = {receipt: 0}
        monkeypatch.setattr(pushover_complete.pushover_api, "PUSHOVER_API_URL", f"{url}/1/")
        api = pushover_complete.PushoverAPI(CANARY)
        known = {name: value for name, value in form.items() if name not in ("token", "user", "message")}
        known |= {name: int(known[name]) for name in ("priority", "retry", "expire", "timestamp")}
        api.send_message(form["user"], form["message"], **known)
        api.check_receipt(receipt)
        api.cancel_receipt(receipt)

    expected = await theirs("pushover", call)
    pushed_so = dict(parse_qsl(expected[0].body.decode()))
    assert pushed_so.pop("html") == "False"  # the default, which it spells out
    assert form == pushed_so
    for our, their in zip(sent, expected[1:], strict=True):
        mine, other = urlsplit(our.path), urlsplit(their.path)
        assert (our.method, mine.path) == (their.method, other.path)
        # Asking, it puts the token into a body; the documentation has it in the query.
        assert parse_qsl(mine.query or our.body.decode()) == parse_qsl(other.query or their.body.decode())
