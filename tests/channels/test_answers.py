"""What a message holds by which its reader answers: buttons, a key to press, an address; none where none is due."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl
from xml.etree.ElementTree import canonicalize

import msgspec
import pytest
from slack_sdk.models.blocks import ActionsBlock, ButtonElement
from twilio.twiml.voice_response import Gather, VoiceResponse

from imd.channels import CHANNELS, Shared
from imd.channels.contract import Receipt
from imd.channels.http import HttpBounds, HttpClient
from imd.channels.links import Signer
from imd.channels.text import Writer
from imd.clock import SystemClock
from imd.model.effect import Delivery
from imd.model.incident import Priority
from imd.model.policy import PageKind
from imd.model.secret import Secret
from tests.channels.samples import message
from tests.channels.server import Server, speaks
from tests.channels.vendors import CANARY, Pushover, Slack, SlackWebhook, Twilio, TwilioVoice, Vendor

SIGNED = Signer(Secret("s3cret"), timedelta(hours=24))
OUTSIDE = "https://imd.example/base"


def plain(kind: PageKind = PageKind.PAGE, **more: Any) -> Delivery:
    """Its body as the core writes it, without blanks."""
    made = message(kind, **more)
    return msgspec.structs.replace(made, body=msgspec.json.encode(msgspec.json.decode(made.body)))


def page(kind: PageKind = PageKind.PAGE, **more: Any) -> Delivery:
    return SIGNED.put_into(plain(kind, **more), OUTSIDE)


def form(request: Any) -> dict[str, str]:
    return dict(parse_qsl(request.body.decode()))


async def sent(vendor: Vendor, delivery: Delivery, **settings: Any) -> Any:
    """The body of the one request that the message makes; its form as a dict, or its JSON."""
    http = HttpClient(HttpBounds(connect=10, total=10, reply=10))
    async with Server([speaks(vendor.handle)]) as server:
        made = msgspec.structs.replace(vendor.settings(server.url("")), **settings)
        channel = CHANNELS[vendor.kind](made, Shared(http, SystemClock()), Writer())
        assert isinstance(await channel.send(delivery, 1), Receipt)
        (request,) = server.requests  # not refused and sent again in other words
        await channel.close()
    await http.close()
    return request


def buttons(body: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [block["elements"] for block in body["blocks"] if block["type"] == "actions"]
    return [(one["action_id"], one["value"]) for row in rows for one in row]


@pytest.mark.parametrize("vendor", [Slack, SlackWebhook])
async def test_slack_has_buttons_where_it_may_answer(vendor: type[Vendor]) -> None:
    """None without the signing secret: they would do nothing. None in a digest or once it is over."""
    asked: dict[str, Any] = {"signing_secret": Secret(CANARY)}
    which = "i000000000001"
    body = (await sent(vendor(), page(), **asked)).json()
    assert buttons(body) == [("imd.ack", which), ("imd.snooze", which), ("imd.resolve", which)]
    assert buttons((await sent(vendor(), page())).json()) == []
    assert buttons((await sent(vendor(), page(PageKind.RESOLVED), **asked)).json()) == []


async def test_slacks_buttons_are_those_of_its_sdk() -> None:
    body = (await sent(Slack(), page(), signing_secret=Secret(CANARY))).json()
    expected = ActionsBlock(
        elements=[
            ButtonElement(text="Acknowledge", action_id="imd.ack", value="i000000000001", style="primary"),
            ButtonElement(text="Snooze for 1 hour", action_id="imd.snooze", value="i000000000001"),
            ButtonElement(text="Resolve", action_id="imd.resolve", value="i000000000001"),
        ]
    )
    theirs = expected.to_dict()
    for one in theirs["elements"]:
        one["text"].pop("emoji", None)  # the SDK says a default
    assert body["blocks"][-1] == theirs


async def test_a_call_asks_for_a_key_as_twilios_sdk_writes_it() -> None:
    delivery = page(title="db & <cache> down")
    twiml = form(await sent(TwilioVoice(), delivery, callback_token=Secret(CANARY)))["Twiml"]
    token = SIGNED.token("i000000000001", delivery.to, delivery.created_at)
    url = f"{OUTSIDE}/v1/callbacks/twilio/{delivery.receiver}/{token}"
    expected = VoiceResponse()
    gather = Gather(num_digits=1, timeout=10, action=url)
    gather.say(f"{delivery.headline}. Press 1 to acknowledge.", loop=2)
    expected.append(gather)
    expected.say("No key was pressed. Goodbye.")
    assert canonicalize(twiml) == canonicalize(str(expected))
    assert "<Gather" not in form(await sent(TwilioVoice(), delivery))["Twiml"]
    assert "<Gather" not in form(await sent(TwilioVoice(), message(), callback_token=Secret(CANARY)))["Twiml"]


async def test_an_sms_says_how_to_answer_and_its_link_is_whole() -> None:
    delivery = page(labels={"node": "n" * 400})
    body = form(await sent(Twilio(), delivery, callback_token=Secret(CANARY)))["Body"]
    lines = body.split("\n")
    token = SIGNED.token("i000000000001", delivery.to, delivery.created_at)
    assert lines[-2:] == ["Reply ACK 1 to acknowledge.", f"{OUTSIDE}/v1/links/{token}"]
    assert "Reply" not in form(await sent(Twilio(), delivery))["Body"]


async def test_an_emergency_says_where_its_answer_goes() -> None:
    delivery = page(priority=Priority.P1)
    fields = form(await sent(Pushover(), delivery))
    token = SIGNED.token("i000000000001", delivery.to, delivery.created_at)
    assert fields["callback"] == f"{OUTSIDE}/v1/callbacks/pushover/{delivery.receiver}/{token}"
    assert "callback" not in form(await sent(Pushover(), page()))
    assert "callback" not in form(await sent(Pushover(), message(priority=Priority.P1)))


def test_a_link_is_the_same_in_each_attempt_and_the_body_is_else_untouched() -> None:
    delivery = plain()
    first, second = (SIGNED.put_into(delivery, OUTSIDE).body for _ in range(2))
    assert first == second
    link = msgspec.json.encode(msgspec.json.decode(first)["links"]["ack"])
    assert first.replace(link, b"null") == delivery.body
    hostile = plain(labels={"x": '"ack":null,"runbook":'})
    body = msgspec.json.decode(SIGNED.put_into(hostile, OUTSIDE).body)
    assert body["incident"]["labels"]["x"] == '"ack":null,"runbook":'
    assert body["links"]["ack"].startswith(OUTSIDE)
