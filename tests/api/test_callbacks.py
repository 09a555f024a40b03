"""What services tell imd that people did there, signed as they sign it, by real HTTP: once, twice, late and forged."""

from __future__ import annotations

import hmac
import itertools
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest
from slack_sdk.signature import SignatureVerifier
from twilio.request_validator import RequestValidator

from imd.api import signatures
from imd.api.doors import signer
from imd.api.phones import HOW
from imd.channels.links import callback
from imd.model.policy import PageKind
from tests.api.server import Serve, Server

Doors = Callable[[], AbstractAsyncContextManager[Server]]

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
FORM = "application/x-www-form-urlencoded"
RESPONSE_URL = "https://hooks.slack.com/actions/T0/1/x"
OUTSIDE = "https://imd.example/base"
CONFIG = f"""
external_url: {OUTSIDE}
rules: [rules.yaml]
auth: {{tokens: [{{name: t, scopes: [ingest, read, respond], token: t0}}]}}
receivers:
- {{name: chat, type: slack, token: xoxb-1, channel: "#ops", signing_secret: {SECRET}, send: [page, acknowledged]}}
- {{name: idle, type: slack, token: xoxb-1, channel: "#dev", signing_secret: {SECRET}}}
- {{name: other-app, type: slack, token: xoxb-1, channel: "#x", signing_secret: {"o" * 32}}}
- {{name: mute, type: slack, token: xoxb-1, channel: "#ops"}}
- {{name: pd, type: pagerduty, routing_key: {"0" * 32}, webhook_secret: {SECRET}, send: [page, acknowledged]}}
- {{name: og, type: opsgenie, api_key: k, webhook_token: {SECRET}}}
- {{name: phone, type: twilio, mode: voice, account_sid: AC{"0" * 32}, auth_token: {SECRET}, from: "+15005550006",
    to: "+4915112345678", callback_token: {SECRET}}}
- {{name: push, type: pushover, token: app, user: ana}}
"""
RULES = """
policies:
- {name: all, repeat: 3, steps: [{for: 5m, notify: [
    receiver:chat, receiver:pd, receiver:og, receiver:phone, receiver:push]}]}
routes: [{policy: all}]
"""
TOKEN = {"Authorization": "Bearer t0"}
NUMBERS = itertools.count()


@pytest.fixture
def doors(serve: Serve, tmp_path: Path) -> Doors:
    """The server with all these receivers; each is paged, and again after 5 minutes."""
    (tmp_path / "rules.yaml").write_text(RULES)
    return lambda: serve(CONFIG)


async def fires(server: Server, name: str = "Down", status: str = "firing") -> None:
    body = {"alerts": [{"status": status, "labels": {"alertname": name}}]}
    assert (await server.call("POST", "/v1/ingest/alertmanager", body, **TOKEN))[0] == 200
    await server.pass_time(timedelta(seconds=11))


async def state(server: Server, number: int = 1) -> tuple[str, str | None]:
    incident = (await server.call("GET", f"/v1/incidents/{number}", **TOKEN))[1]
    return incident["state"], incident["acknowledged_by"]


async def incident_id(server: Server, number: int = 1) -> str:
    return str((await server.call("GET", f"/v1/incidents/{number}", **TOKEN))[1]["id"])


async def through(server: Server, kind: str) -> list[tuple[str, str]]:
    _, timeline, _ = await server.call("GET", "/v1/incidents/1/timeline", **TOKEN)
    return [(one["by"], one["details"].get("through", "")) for one in timeline["items"] if one["kind"] == kind]


def counted(server: Server, by: str, outcome: str) -> float:
    value = server.metrics.registry.get_sample_value("imd_answers_total", {"through": by, "outcome": outcome})
    return value or 0.0


def stopped(server: Server) -> bool:
    """No step of a policy is to come any more."""
    [one] = [one for one in server.loop.state.incidents.values() if one.number == 1]
    return "escalate" not in one.timers and "reach" not in one.timers


# Slack.


async def slack(
    server: Server, action: str, value: str, *, receiver: str = "chat", age: int = 0, secret: str = SECRET, **more: Any
) -> tuple[int, Any]:
    payload = {
        "type": "block_actions",
        "user": {"id": "U1", "username": "ana", "name": "ana"},
        "actions": [{"type": "button", "action_id": action, "value": value, "block_id": "b"}],
        "response_url": RESPONSE_URL,
        **more,
    }
    body = urlencode({"payload": json.dumps(payload)}).encode()
    stamp = str(int(server.clock.now().timestamp()) - age)
    signature = SignatureVerifier(secret).generate_signature(timestamp=stamp, body=body)
    assert signature is not None
    headers = {"Content-Type": FORM, "X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": signature}
    return (await server.call("POST", f"/v1/callbacks/slack/{receiver}", raw=body, **headers))[:2]


async def test_a_slack_button_acknowledges_and_the_message_is_edited(doors: Doors) -> None:
    """The acknowledgement stops what was to come, and goes to the very receiver as every other does."""
    async with doors() as server:
        await fires(server)
        await server.finish_deliveries()
        assert not stopped(server)
        assert (await slack(server, "imd.ack", await incident_id(server)))[0] == 200
        assert await state(server) == ("acknowledged", "ana")
        assert await through(server, "acknowledged") == [("ana", "slack")]
        assert stopped(server)
        assert ("chat", PageKind.ACKNOWLEDGED) in [(one.receiver, one.kind) for one in server.sink.sent]
        assert server.posted == [
            (
                RESPONSE_URL,
                {
                    "response_type": "ephemeral",
                    "replace_original": False,
                    "text": "Incident #1 is acknowledged by ana.",
                },
            )
        ]


async def test_pressed_twice_or_too_late_slack_says_so(doors: Doors) -> None:
    async with doors() as server:
        await fires(server)
        which = await incident_id(server)
        for _ in range(2):
            assert (await slack(server, "imd.ack", which))[0] == 200
        assert len(await through(server, "acknowledged")) == 1
        assert (await slack(server, "imd.resolve", which))[0] == 200
        assert "still firing" in str(server.posted[-1][1]["text"])
        await server.call("POST", "/v1/incidents/1/resolve", {"by": "ben", "force": True}, **TOKEN)
        assert (await slack(server, "imd.ack", which))[0] == 200
        assert "Too late: incident #1 is resolved" in str(server.posted[-1][1]["text"])
        assert (await slack(server, "imd.ack", "i999999999999"))[0] == 200
        assert "does not know" in str(server.posted[-1][1]["text"])
        assert (await state(server))[0] == "resolved"


async def test_what_slack_did_not_sign_does_nothing(doors: Doors) -> None:
    """Another secret, a replay after five minutes, a receiver without buttons or of another type, one that is not."""
    async with doors() as server:
        await fires(server)
        which = await incident_id(server)
        assert (await slack(server, "imd.ack", which, secret="x" * 32))[0] == 403
        assert (await slack(server, "imd.ack", which, age=301))[0] == 403
        assert (await slack(server, "imd.ack", which, age=-301))[0] == 403
        for name in ("mute", "pd", "nobody"):
            assert (await slack(server, "imd.ack", which, receiver=name))[0] == 403
        assert (await server.call("POST", "/v1/callbacks/slack/chat", raw=b"payload={}"))[0] == 403
        assert await state(server) == ("triggered", None)
        assert counted(server, "slack", "forged") == 7
        assert server.posted == []


async def test_slack_may_be_deaf_and_may_send_what_it_likes(doors: Doors) -> None:
    async with doors() as server:
        await fires(server)
        which = await incident_id(server)
        assert (await slack(server, "other.app", which))[0] == 200
        assert (await slack(server, "imd.ack", which, type="view_submission"))[0] == 200
        assert (await slack(server, "imd.ack", which, actions={"no": "list"}))[0] == 400
        assert await state(server) == ("triggered", None)
        server.deaf = True
        assert (await slack(server, "imd.ack", which, response_url="https://evil.example/x"))[0] == 200
        assert (await slack(server, "imd.snooze", which))[0] == 200
        assert (await state(server))[0] == "snoozed"


@pytest.mark.parametrize("age", [0, 299, -299])
def test_slacks_signature_is_that_of_its_sdk(age: int) -> None:
    body = "payload=ü%00&x=1".encode()
    made = SignatureVerifier(SECRET).generate_signature(timestamp="1531420618", body=body)
    assert made is not None
    assert signatures.slack(SECRET, "1531420618", made, body, 1531420618 + age)
    assert not signatures.slack(SECRET, "1531420618", made, body + b" ", 1531420618)
    assert not signatures.slack(SECRET, "1531420619", made, body, 1531420618)
    assert not signatures.slack(SECRET, "\u0661531420618", made, body, 1531420618)


async def test_an_app_has_one_address_for_all_its_receivers(doors: Doors) -> None:
    """The button of a page to another channel comes by the same URL; one of another app does not count there."""
    async with doors() as server:
        await fires(server)
        which = await incident_id(server)
        assert (await slack(server, "imd.ack", which, receiver="other-app", secret="o" * 32))[1]["result"] == "unknown"
        assert await state(server) == ("triggered", None)
        assert (await slack(server, "imd.ack", which, receiver="idle"))[1]["result"] == "done"
        assert await state(server) == ("acknowledged", "ana")


# PagerDuty.


async def pagerduty(
    server: Server, kind: str, key: str, *, at: timedelta = timedelta(0), header: str = "", **event: Any
) -> tuple[int, Any]:
    content = {
        "id": f"01{next(NUMBERS)}",
        "event_type": kind,
        "resource_type": "incident",
        "occurred_at": (server.clock.now() + at).isoformat(),
        "agent": {"type": "user_reference", "id": "PXPGF42", "summary": "Earline Greenholt"},
        "data": {"id": "PT4KHLK", "type": "incident", "number": 1234, "status": "acknowledged", "incident_key": key},
        **event,
    }
    body = json.dumps({"event": content}).encode()
    signature = header or "v1=" + hmac.new(SECRET.encode(), body, sha256).hexdigest()
    headers = {"X-PagerDuty-Signature": signature, "Content-Type": "application/json"}
    return (await server.call("POST", "/v1/callbacks/pagerduty/pd", raw=body, **headers))[:2]


def key(server: Server) -> str:
    [page, *_] = [one for one in server.sink.sent if one.receiver == "pd"]
    return page.dedup_key


async def test_an_ack_in_pagerduty_is_one_here_and_makes_no_loop(doors: Doors) -> None:
    """It stops escalation; what goes back to PagerDuty has the same key, and its echo changes nothing."""
    async with doors() as server:
        await fires(server)
        incident_key = key(server)
        await server.finish_deliveries()
        assert not stopped(server)
        assert (await pagerduty(server, "incident.acknowledged", incident_key))[0] == 200
        assert await state(server) == ("acknowledged", "Earline Greenholt")
        assert await through(server, "acknowledged") == [("Earline Greenholt", "pagerduty")]
        assert stopped(server)
        back = [one for one in server.sink.sent if one.receiver == "pd"]
        assert [(one.kind, one.dedup_key) for one in back] == [(PageKind.ACKNOWLEDGED, incident_key)]
        await server.finish_deliveries()
        assert (await pagerduty(server, "incident.acknowledged", incident_key))[0] == 200
        assert (await pagerduty(server, "incident.acknowledged", incident_key, agent=None))[0] == 200
        assert server.sink.sent == []
        assert len(await through(server, "acknowledged")) == 1


async def test_a_resolve_in_pagerduty_ends_it_here_unless_it_is_old(doors: Doors) -> None:
    """PagerDuty repeats a call for two days: one from before the incident came back is void."""
    async with doors() as server:
        await fires(server)
        incident_key = key(server)
        status, said = await pagerduty(server, "incident.resolved", incident_key, at=timedelta(minutes=-5))
        assert (status, said["result"], (await state(server))[0]) == (200, "ignored", "triggered")
        assert (await pagerduty(server, "incident.resolved", incident_key))[0] == 200
        assert (await state(server))[0] == "resolved"
        status, said = await pagerduty(server, "incident.acknowledged", incident_key)
        assert (status, said["result"]) == (200, "not_possible")


async def test_pagerdutys_own_clock_and_others_incidents_are_passed_over(doors: Doors) -> None:
    async with doors() as server:
        await fires(server)
        incident_key = key(server)
        for kind, which, more in [
            ("incident.resolved", incident_key, {"agent": None}),
            ("incident.resolved", incident_key, {"agent": {"type": "service_reference", "summary": "s"}}),
            ("incident.annotated", incident_key, {}),
            ("pagey.ping", incident_key, {"data": {"message": "Hello from your friend Pagey!"}}),
            ("incident.acknowledged", "another-tools-key", {}),
            ("incident.acknowledged", incident_key + "9", {}),
            ("incident.acknowledged", incident_key.partition("-")[0] + "-1", {}),
            ("incident.acknowledged", "", {}),
        ]:
            assert (await pagerduty(server, kind, which, **more))[0] == 200
        assert await state(server) == ("triggered", None)


async def test_pagerdutys_signature(doors: Doors) -> None:
    """Any of several; none, another's and cut off ones are refused."""
    async with doors() as server:
        await fires(server)
        for header in ("v1=" + "0" * 64, "v1=", "v0=x, v1=y", "v1=" + "a" * 5000):
            assert (await pagerduty(server, "incident.acknowledged", key(server), header=header))[0] == 403
        assert await state(server) == ("triggered", None)
    body = b'{"event": {}}'
    good = hmac.new(SECRET.encode(), body, sha256).hexdigest()
    assert signatures.pagerduty(SECRET, f"v1={'0' * 64}, v1={good}", body)
    assert not signatures.pagerduty(SECRET, f"v2={good}", body)
    assert not signatures.pagerduty(SECRET, good, body)


# Opsgenie.


async def opsgenie(server: Server, action: str, alias: str, token: str = SECRET, **alert: Any) -> tuple[int, Any]:
    content = {"alertId": "a1", "message": "m", "alias": alias, "username": "ana@example.com", **alert}
    body = {"source": {"name": "web", "type": "API"}, "action": action, "alert": content, "integrationName": "imd"}
    headers = {"Authorization": f"Bearer {token}"}
    return (await server.call("POST", "/v1/callbacks/opsgenie/og", body, **headers))[:2]


async def test_opsgenie_acknowledges_gives_back_and_closes(doors: Doors) -> None:
    async with doors() as server:
        await fires(server)
        alias = key(server)
        nanoseconds = int(server.clock.now().timestamp() * 1e9)
        assert (await opsgenie(server, "Create", alias))[0] == 200
        assert (await opsgenie(server, "Acknowledge", alias, username="imd"))[0] == 200
        assert (await opsgenie(server, "Acknowledge", alias, token="wrong"))[0] == 403
        assert (await opsgenie(server, "Acknowledge", alias, token=""))[0] == 403
        assert (await opsgenie(server, "Acknowledge", alias, updatedAt=nanoseconds - int(60e9)))[0] == 200
        assert await state(server) == ("triggered", None)
        assert (await opsgenie(server, "Acknowledge", alias, updatedAt=nanoseconds))[0] == 200
        assert await state(server) == ("acknowledged", "ana@example.com")
        assert await through(server, "acknowledged") == [("ana@example.com", "opsgenie")]
        assert (await opsgenie(server, "UnAcknowledge", alias))[0] == 200
        assert await state(server) == ("triggered", None)
        milliseconds = int(server.clock.now().timestamp() * 1e3)
        assert (await opsgenie(server, "Close", alias, updatedAt=milliseconds - 60_000))[1]["result"] == "ignored"
        assert (await opsgenie(server, "Close", alias, updatedAt=milliseconds + 1))[1]["result"] == "done"
        assert (await state(server))[0] == "resolved"


# Twilio and Pushover.


def ring(server: Server, kind: str, receiver: str) -> str:
    """The address for machines in the page to this receiver, as outside people see it."""
    [page, *_] = [one for one in server.sink.sent if one.receiver == receiver]
    sent = signer(server.settings, server.store).put_into(page, server.settings.external_url)
    url = callback(json.loads(sent.body)["links"]["ack"], kind, receiver)
    assert url.startswith(OUTSIDE)
    return url


async def twilio(server: Server, url: str, secret: str = SECRET, **form: str) -> tuple[int, str]:
    """As Twilio calls; what is said or written back."""
    signature = RequestValidator(secret).compute_signature(url, form)
    headers = {"Content-Type": FORM, "X-Twilio-Signature": signature}
    path = url.removeprefix("https://imd.example")
    status, text, _ = await server.call("POST", path, raw=urlencode(form).encode(), **headers)
    if status != 200:
        return status, str(text)
    return status, "".join(ElementTree.fromstring(str(text)).itertext())


async def test_one_pressed_in_a_call_acknowledges_and_says_so(doors: Doors) -> None:
    async with doors() as server:
        await fires(server)
        url = ring(server, "twilio", "phone")
        status, said = await twilio(server, url, Digits="7", CallSid="CA1", To="+4915112345678")
        assert (status, "not acknowledged" in said) == (200, True)
        assert (await twilio(server, url, secret="x" * 32, Digits="1"))[0] == 403
        assert await state(server) == ("triggered", None)
        for _ in range(2):
            said = (await twilio(server, url, Digits="1", CallSid="CA1", To="+4915112345678"))[1]
            assert said == "Incident #1 is acknowledged by phone."
        assert await through(server, "acknowledged") == [("phone", "twilio")]
        await server.call("POST", "/v1/incidents/1/resolve", {"by": "ben", "force": True}, **TOKEN)
        assert "Too late" in (await twilio(server, url, Digits="1"))[1]


async def test_a_call_that_is_answered_a_day_late(doors: Doors) -> None:
    async with doors() as server:
        await fires(server)
        url = ring(server, "twilio", "phone")
        server.clock.advance(timedelta(hours=25))
        assert "too old" in (await twilio(server, url, Digits="1"))[1]
        assert "not valid" in (await twilio(server, url[:-4], Digits="1"))[1]
        assert await state(server) == ("triggered", None)


async def test_a_reply_by_sms(doors: Doors) -> None:
    """From its own number alone, and only of what it was told of."""
    async with doors() as server:
        await fires(server)
        url = f"{OUTSIDE}/v1/callbacks/twilio/phone"
        own = "+4915112345678"
        assert await twilio(server, url, From="+1555", Body="ACK 1") == (200, "")
        assert await twilio(server, url, From=own, Body="what?") == (200, HOW)
        assert await twilio(server, url, From=own, Body="ack 2") == (200, "You were told of no incident #2.")
        assert await state(server) == ("triggered", None)
        assert await twilio(server, url, From=own, Body=" Ack #1. ") == (200, "Incident #1 is acknowledged by phone.")
        assert await state(server) == ("acknowledged", "phone")
        assert "still firing" in (await twilio(server, url, From=own, Body="resolve 1"))[1]


@pytest.mark.parametrize(
    "url", ["https://a.example/x", "https://a.example:443/x?y=1", "http://a.example:8080/x", "https://[::1]/x"]
)
def test_twilios_signature_is_that_of_its_sdk(url: str) -> None:
    form = {"Digits": "1", "Body": "ü & <b>", "Empty": ""}
    made = RequestValidator(SECRET).compute_signature(url, form)
    fields = {name: [value] for name, value in form.items()}
    assert signatures.twilio(SECRET, url, fields, made)
    assert not signatures.twilio(SECRET, url + "z", fields, made)
    assert not signatures.twilio(SECRET, url, {**fields, "Digits": ["2"]}, made)
    assert not signatures.twilio(SECRET, url, fields, "")


def test_twilio_may_say_the_port_or_not() -> None:
    made = RequestValidator(SECRET).compute_signature("https://a.example:443/x", {})
    assert signatures.twilio(SECRET, "https://a.example/x", {}, made)
    made = RequestValidator(SECRET).compute_signature("https://a.example/x", {})
    assert signatures.twilio(SECRET, "https://a.example:443/x", {}, made)


async def test_an_emergency_taken_in_pushover(doors: Doors) -> None:
    async with doors() as server:
        await fires(server)
        path = ring(server, "pushover", "push").removeprefix("https://imd.example")
        headers = {"Content-Type": FORM}
        body = b"receipt=r1&acknowledged=1&acknowledged_at=1&acknowledged_by=uQ&acknowledged_by_device=phone"
        assert (await server.call("POST", path, raw=b"receipt=r1&acknowledged=0", **headers))[0] == 200
        assert (await server.call("POST", path[:-3] + "AAA", raw=body, **headers))[0] == 403
        assert await state(server) == ("triggered", None)
        for _ in range(2):
            assert (await server.call("POST", path, raw=body, **headers))[0] == 200
        assert await state(server) == ("acknowledged", "push")
        assert await through(server, "acknowledged") == [("push", "pushover")]
        server.clock.advance(timedelta(hours=25))
        assert (await server.call("POST", path, raw=body, **headers))[0] == 410


async def test_a_callback_with_get_or_without_a_body(doors: Doors) -> None:
    async with doors() as server:
        await fires(server)
        for path in ("slack/chat", "pagerduty/pd", "opsgenie/og", "twilio/phone", "twilio/phone/x"):
            assert (await server.call("GET", f"/v1/callbacks/{path}"))[0] == 405
            assert (await server.call("POST", f"/v1/callbacks/{path}"))[0] == 403
        assert SECRET not in (await server.call("GET", "/metrics", **TOKEN))[1]
