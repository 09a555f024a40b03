"""Links in pages over real HTTP: what opening one shows, what its button does, and every link that must not work."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from imd.api.doors import signer
from imd.channels.links import Signer, callback
from imd.config.settings import Limits
from imd.model.policy import PageKind
from imd.model.secret import Secret
from tests.api.server import Serve, Server

PAGED = """
external_url: https://imd.example/base
auth: {tokens: [{name: prometheus, scopes: [ingest, read, respond], token: t0}]}
"""
TOKEN = {"Authorization": "Bearer t0"}


async def fires(server: Server, name: str = "Down") -> None:
    assert (await server.call("POST", "/api/v2/alerts", [{"labels": {"alertname": name}}], **TOKEN))[0] == 200
    await server.pass_time(timedelta(seconds=11))


def link(server: Server) -> str:
    """The path of the link in the last page, as the outbox would send it."""
    page = [one for one in server.sink.sent if one.kind is PageKind.PAGE][-1]
    assert json.loads(page.body)["links"]["ack"] is None, "the store holds no link that works"
    sent = signer(server.settings, server.store).put_into(page, server.settings.external_url)
    url: str = json.loads(sent.body)["links"]["ack"]
    assert url.startswith("https://imd.example/base/v1/links/")
    return url.removeprefix("https://imd.example")


async def state(server: Server, number: int = 1) -> dict[str, Any]:
    return dict((await server.call("GET", f"/v1/incidents/{number}", **TOKEN))[1])


async def posted(server: Server, path: str, form: str = "") -> tuple[int, str]:
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    status, text, _ = await server.call("POST", path, raw=form.encode(), **kind)
    return status, str(text)


async def answers(server: Server, outcome: str) -> float:
    value = server.metrics.registry.get_sample_value("imd_answers_total", {"through": "link", "outcome": outcome})
    return value or 0.0


async def test_opening_a_link_changes_nothing_and_its_button_acknowledges(serve: Serve) -> None:
    """Without a token, for mail scanners open all links and people at night have no token at hand."""
    async with serve(PAGED) as server:
        await fires(server)
        path = link(server)
        for method in ("GET", "HEAD", "GET"):
            status, text, response = await server.call(method, path)
            assert (status, (await state(server))["state"]) == (200, "triggered")
        assert "Incident #1 is triggered." in str(text)
        assert 'value="ack"' in str(text)
        policy = response.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; ")
        assert "script" not in str(text)
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert response.headers["Cache-Control"] == "no-store"

        status, text = await posted(server, path)
        assert (status, "Incident #1 is acknowledged by bench." in str(text)) == (200, True)
        now = await state(server)
        assert (now["state"], now["acknowledged_by"]) == ("acknowledged", "bench")
        _, timeline, _ = await server.call("GET", "/v1/incidents/1/timeline", **TOKEN)
        [line] = [one for one in timeline["items"] if one["kind"] == "acknowledged"]
        assert (line["by"], line["details"]["through"]) == ("bench", "link")


async def test_twice_is_once_and_the_second_is_told_who_has_it(serve: Serve) -> None:
    async with serve(PAGED) as server:
        await fires(server)
        path = link(server)
        assert (await posted(server, path, "action=ack&by=ana"))[0] == 200
        status, text = await posted(server, path, "action=ack&by=ben")
        assert (status, "acknowledged by ana" in text) == (200, True)
        _, timeline, _ = await server.call("GET", "/v1/incidents/1/timeline", **TOKEN)
        acknowledged = [one for one in timeline["items"] if one["kind"] == "acknowledged"]
        assert [one["by"] for one in acknowledged] == ["ana"]
        assert "by the link sent to bench" in acknowledged[0]["text"]
        assert await answers(server, "done") == 2


async def test_snooze_and_resolve(serve: Serve) -> None:
    """Resolve only where nothing fires any more: a link has no force."""
    async with serve(PAGED) as server:
        await fires(server)
        path = link(server)
        assert (await posted(server, path, "action=snooze"))[0] == 200
        assert (await state(server))["state"] == "snoozed"
        status, text = await posted(server, path, "action=resolve")
        assert (status, "still firing" in text) == (409, True)
        assert (await posted(server, path, "action=merge"))[0] == 400
        assert (await state(server))["state"] == "snoozed"


async def test_an_incident_that_is_over_is_said_to_be(serve: Serve) -> None:
    async with serve(PAGED) as server:
        await fires(server)
        path = link(server)
        assert (await server.call("POST", "/v1/incidents/1/resolve", {"by": "ben", "force": True}, **TOKEN))[0] == 200
        status, text, _ = await server.call("GET", path)
        assert (status, "<button" in str(text)) == (200, False)
        assert "resolved, since 2026-11-21 12:00 UTC (by ben)" in str(text)
        status, text = await posted(server, path)
        assert (status, "Too late: incident #1 is resolved" in text) == (409, True)
        assert (await state(server))["acknowledged_by"] is None
        assert await answers(server, "not_possible") == 1


async def test_a_link_ends_after_its_time(serve: Serve) -> None:
    async with serve(PAGED + "links: {valid_for: 1h}\n") as server:
        await fires(server)
        path = link(server)
        await server.pass_time(timedelta(minutes=59))
        assert (await server.call("GET", path))[0] == 200
        await server.pass_time(timedelta(minutes=1))
        for status, text in [(await server.call("GET", path))[:2], await posted(server, path)]:
            assert (status, "too old" in str(text)) == (410, True)
        assert (await state(server))["state"] == "triggered"
        assert await answers(server, "late") == 2


async def test_what_was_altered_or_is_from_elsewhere_is_refused(serve: Serve) -> None:
    """One letter changed at any place, cut off, of another secret, empty, far too long, no base64."""
    async with serve(PAGED) as server:
        await fires(server)
        path = link(server)
        base, _, token = path.rpartition("/")
        now = server.clock.now()
        foreign = Signer(Secret("another")).token((await state(server))["id"], "bench", now)
        # Of the last letter only the bits that count: base64 leaves some over.
        altered = [token[:i] + ("A" if token[i] != "A" else "B") + token[i + 1 :] for i in range(0, len(token) - 1, 7)]
        bad = [foreign, token[:-4], token[5:], "x", "%00", "ä" * 30, "A" * 3000, *altered[: Limits().refused_max - 8]]
        for one in bad:
            status, text = await posted(server, f"{base}/{quote(one, safe='%')}")
            assert (status, "not valid" in text) == (403, True), one
        assert (await state(server))["state"] == "triggered"
        assert await answers(server, "forged") == len(bad)


async def test_guessing_is_slowed_down_and_a_good_link_still_works(serve: Serve) -> None:
    """Behind a proxy everybody has one address."""
    async with serve(PAGED) as server:
        await fires(server)
        path = link(server)
        for _ in range(Limits().refused_max):
            assert (await server.call("GET", "/v1/links/guess"))[0] == 403
        status, _, response = await server.call("GET", "/v1/links/guess")
        assert (status, response.headers["Retry-After"]) == (429, "60")
        assert (await posted(server, path))[0] == 200
        server.clock.advance(timedelta(seconds=61))
        assert (await server.call("GET", "/v1/links/guess"))[0] == 403


async def test_text_from_alerts_is_text(serve: Serve) -> None:
    async with serve(PAGED) as server:
        await fires(server, '<script>alert("x")</script>')
        _, text, _ = await server.call("GET", link(server))
        assert "<script" not in str(text)
        assert "&lt;script&gt;" in str(text)
        status, text = await posted(server, link(server), "by=" + quote('"><img src=x onerror=1>\r\n'))
        assert (status, "<img" in text) == (200, False)
        assert (await state(server))["acknowledged_by"] == '"><img src=x onerror=1>'


async def test_turned_off_none_is_given_out_and_none_is_answered(serve: Serve) -> None:
    async with serve(PAGED + "links: {enabled: false}\n") as server:
        await fires(server)
        incident = (await state(server))["id"]
        token = Signer(server.store.link_key).token(incident, "bench", server.clock.now())
        assert (await posted(server, f"/v1/links/{token}"))[0] == 403


async def test_a_body_that_is_too_large_or_no_form(serve: Serve) -> None:
    async with serve(PAGED) as server:
        await fires(server)
        path = link(server)
        assert (await posted(server, path, "by=" + "x" * 20_000))[0] == 413
        assert (await state(server))["state"] == "triggered"
        assert (await server.call("POST", path, raw=b"\xff\x00&&=;"))[0] == 200
        assert (await state(server))["state"] == "acknowledged"


async def test_only_messages_that_ask_for_an_answer_hold_a_link(serve: Serve) -> None:
    async with serve(PAGED) as server:
        await fires(server)
        link(server)
        await server.finish_deliveries()
        assert (await server.call("POST", "/v1/incidents/1/resolve", {"by": "a", "force": True}, **TOKEN))[0] == 200
        [over] = server.sink.sent
        assert over.kind is PageKind.RESOLVED
        assert Signer(Secret("s")).put_into(over, "https://imd.example") is over
        assert b'"ack":null' in over.body


async def test_one_secret_outlives_the_process_and_another_takes_links_back(serve: Serve) -> None:
    async with serve(PAGED) as server:
        await fires(server)
        path, first = link(server), server.store.link_key
    assert re.fullmatch("[0-9a-f]{64}", first.reveal())
    async with serve(PAGED) as server:
        assert server.store.link_key == first
        server.clock.jump(server.clock.now() + timedelta(minutes=1))
        assert (await server.call("GET", path))[0] == 200
    async with serve(PAGED + "links: {secret: other}\n") as server:
        assert (await server.call("GET", path))[0] == 403


@pytest.mark.parametrize("ack", [None, "", "https://elsewhere.example/x"])
def test_no_callback_without_a_link(ack: str | None) -> None:
    assert callback(ack, "twilio", "phone") == ""


def test_a_callbacks_address_quotes_the_receivers_name() -> None:
    assert callback("https://a.example/b/v1/links/TOKEN", "twilio", "a/b c") == (
        "https://a.example/b/v1/callbacks/twilio/a%2Fb%20c/TOKEN"
    )
