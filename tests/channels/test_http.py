"""Every HTTP channel against a real server that behaves, misbehaves, breaks off, and lies."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from imd.channels.contract import Answer, Channel, Permanent, Receipt, Temporary
from imd.channels.http import Endpoint, HttpBounds, HttpClient, retry_after
from imd.channels.webhook import Webhook
from imd.clock import SystemClock
from imd.model.secret import Secret
from tests.channels.samples import delivery
from tests.channels.server import Act, Server, answer, flood, hang, raw, reset

CANARIES = ("canary-path", "canary-query", "canary-user", "canary-password", "canary-signing-key")
SECRET = Secret("canary-signing-key")
Maker = Callable[[str, HttpClient], Channel]

HTTP_CHANNELS: dict[str, Maker] = {
    "webhook": lambda url, http: Webhook(Endpoint(url), SECRET, http, SystemClock()),
}


@pytest.fixture(params=HTTP_CHANNELS)
def make(request: pytest.FixtureRequest) -> Maker:
    return HTTP_CHANNELS[request.param]


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    client = HttpClient(HttpBounds(connect=0.3, total=0.4, reply=0.2))
    yield client
    await client.close()


async def send(make: Maker, http: HttpClient, *script: Act, times: int = 1) -> tuple[Answer, Server]:
    """The last of `times` attempts, and the server that saw them. No answer ever shows a secret."""
    async with Server(list(script)) as server:
        url = server.url("/canary-path/x?token=canary-query").replace("://", "://canary-user:canary-password@")
        channel = make(url, http)
        for attempt in range(1, times + 1):
            given = await channel.send(delivery(), attempt)
        await channel.close()
    assert not any(canary in repr(given) for canary in CANARIES)
    return given, server


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_two_hundreds_are_a_receipt(make: Maker, http: HttpClient, status: int) -> None:
    """Any 2xx: taken."""
    given, server = await send(make, http, answer(status))
    assert isinstance(given, Receipt)
    assert len(server.requests) == 1


async def test_attempts_share_a_connection_and_an_id(make: Maker, http: HttpClient) -> None:
    """The second attempt goes over the connection of the first, under the same id."""
    _, server = await send(make, http, answer(500), answer(200), times=2)
    assert server.connections == 1
    assert len({request.headers["webhook-id"] for request in server.requests}) == 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 507, 599])
async def test_temporary_statuses(make: Maker, http: HttpClient, status: int) -> None:
    """Their words are in the error. Only a proxy's word leaves open whether the message arrived."""
    given, _ = await send(make, http, answer(status, b"come\nback \x1b[31mlater"))
    assert isinstance(given, Temporary)
    assert given.ambiguous == (status in (502, 504))
    assert given.retry_after is None
    assert given.error.endswith(f"answered {status}: come back [31mlater")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 413, 422, 451])
async def test_permanent_statuses(make: Maker, http: HttpClient, status: int) -> None:
    """410 Gone and all other 4xx are for good."""
    given, _ = await send(make, http, answer(status))
    assert isinstance(given, Permanent)


async def test_words_that_echo_secrets_are_redacted(make: Maker, http: HttpClient) -> None:
    """A receiver may quote what it was asked."""
    echo = b"no route /canary-path/x?token=canary-query for canary-user:canary-password"
    given, _ = await send(make, http, answer(404, echo))
    assert isinstance(given, Permanent)
    assert "no route <secret>" in given.error


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_retry_after_is_honoured_in_both_forms(make: Maker, http: HttpClient, status: int, form: str) -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=120), usegmt=True)
    given, _ = await send(make, http, answer(status, Retry_After="120" if form == "seconds" else at))
    assert isinstance(given, Temporary)
    assert given.retry_after is not None
    assert timedelta(seconds=110) <= given.retry_after <= timedelta(seconds=121)


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (None, None),
        ("0", None),
        ("7", timedelta(seconds=7)),
        (" 7 ", timedelta(seconds=7)),
        ("3600", timedelta(hours=1)),
        ("86400", timedelta(hours=1)),
        ("9" * 400, timedelta(hours=1)),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("soon", None),
        ("", None),
        ("Thu, 01 Jan 2026 00:00:30 GMT", timedelta(seconds=30)),
        ("Thursday, 01-Jan-26 00:00:30 GMT", timedelta(seconds=30)),
        ("Thu Jan  1 00:00:30 2026", timedelta(seconds=30)),
        ("Fri, 02 Jan 2026 00:00:00 GMT", timedelta(hours=1)),
        ("Wed, 31 Dec 2025 23:59:59 GMT", None),
        ("Thu, 99 Jan 2026 00:00:30 GMT", None),
        ("Thu, 01 Jan 99999 00:00:30 GMT", None),
    ],
)
def test_retry_after_forms(said: str | None, heard: timedelta | None) -> None:
    """RFC 9110's two forms and its old dates; capped at an hour; garbage counts as not said."""
    assert retry_after(said, datetime(2026, 1, 1, tzinfo=UTC)) == heard


@pytest.mark.parametrize(
    "act",
    [hang(), hang(b"HTTP/1.1 200"), hang(b"HTTP/1.1 200 OK\r\nContent-Le"), reset(read=True), reset(read=False)],
    ids=["silent", "half a status line", "half a head", "reset after reading", "reset before reading"],
)
async def test_no_answer_is_ambiguous(make: Maker, http: HttpClient, act: Act) -> None:
    """The request left; whether it arrived nobody knows."""
    began = time.monotonic()
    given, _ = await send(make, http, act)
    assert isinstance(given, Temporary)
    assert given.ambiguous
    assert time.monotonic() - began < 2


async def test_a_pooled_connection_that_died_is_ambiguous(make: Maker, http: HttpClient) -> None:
    """The peer hangs up just as the second request comes in on the same connection."""
    given, server = await send(make, http, answer(200), reset(read=True), times=2)
    assert isinstance(given, Temporary)
    assert given.ambiguous
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "data",
    [
        b"SMTP ready\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"\0\1\2\3\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"",
    ],
)
async def test_malformed_answers_are_ambiguous(make: Maker, http: HttpClient, data: bytes) -> None:
    given, _ = await send(make, http, raw(data, then_close=True))
    assert isinstance(given, Temporary)
    assert given.ambiguous


CHUNKED = b"\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "act",
    [
        hang(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"),
        hang(b"HTTP/1.1 200 OK" + CHUNKED + b"5\r\nhello\r\n"),
        raw(b"HTTP/1.1 200 OK" + CHUNKED + b"not a size\r\nhello\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", then_close=True),
        raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope"),
        raw(b"HTTP/1.1 200 OK\r\n\r\nuntil the end", then_close=True),
    ],
    ids=["cut short", "endless chunks", "bad chunk", "closed early", "bad gzip", "no length"],
)
async def test_the_status_decides_whatever_the_body(make: Maker, http: HttpClient, act: Act) -> None:
    """200 is 200, even where what follows is malformed, cut short or never ends."""
    given, _ = await send(make, http, act)
    assert isinstance(given, Receipt)


async def test_a_bad_body_does_not_hide_a_failure(make: Maker, http: HttpClient) -> None:
    given, _ = await send(make, http, raw(b"HTTP/1.1 404 No" + CHUNKED + b"zz\r\n"))
    assert isinstance(given, Permanent)


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_huge_reply_is_dropped(make: Maker, http: HttpClient, chunked: bool) -> None:
    """100 MB after a 200: at most 64 KiB of it are read, and memory does not grow by them."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    given, _ = await send(make, http, flood(100_000_000, chunked))
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert isinstance(given, Receipt)
    assert grown_kib < 10_240


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
async def test_redirects_are_permanent_and_never_followed(make: Maker, http: HttpClient, status: int) -> None:
    """The target sees nothing, and the answer says what happened."""
    async with Server([answer(200)]) as target:
        location = target.url("/canary-path/elsewhere")
        given, server = await send(make, http, answer(status, Location=location))
    assert isinstance(given, Permanent)
    assert given.error.endswith(f"answered {status}; redirects are not followed")
    assert target.connections == 0
    assert len(server.requests) == 1


async def test_a_redirect_to_itself_is_asked_once(make: Maker, http: HttpClient) -> None:
    _, server = await send(make, http, answer(302, Location="/"))
    assert len(server.requests) == 1


async def test_no_listener_is_not_ambiguous(make: Maker, http: HttpClient) -> None:
    """Refused before anything was sent."""
    async with Server([answer(200)]) as server:
        url = server.url()
    given = await make(url, http).send(delivery(), 1)
    assert given == Temporary(f"http://127.0.0.1:{server.port}: no connection (Connection refused)")


async def test_a_name_that_does_not_resolve(make: Maker, http: HttpClient) -> None:
    """Reserved by RFC 2606: never resolves. Not ambiguous."""
    given = await make("http://canary.invalid/canary-path", http).send(delivery(), 1)
    assert isinstance(given, Temporary)
    assert not given.ambiguous
    assert "canary-path" not in given.error


async def test_tls_that_is_none_fails_closed(make: Maker, http: HttpClient) -> None:
    """A plain server under https: nothing of the message was sent."""
    async with Server([raw(b"HTTP/1.1 200 OK\r\n\r\n")]) as server:
        given = await make(server.url().replace("http:", "https:"), http).send(delivery(), 1)
    assert isinstance(given, Temporary)
    assert not given.ambiguous
    assert server.requests == []


@pytest.mark.parametrize("url", ["nonsense", "ftp://host/x", "http://", "/only/a/path", "http://host:99999/", ""])
async def test_what_is_no_url_is_permanent(make: Maker, http: HttpClient, url: str) -> None:
    assert isinstance(await make(url, http).send(delivery(), 1), Permanent)


async def test_many_at_once(make: Maker, http: HttpClient) -> None:
    """A hundred sends at once to one receiver: each is answered."""
    async with Server([answer(200)]) as server:
        channel = make(server.url(), http)
        answers = await asyncio.gather(*(channel.send(delivery(n), 1) for n in range(100)))
    assert answers == [Receipt("200")] * 100
    assert len(server.requests) == 100


async def test_proxies_of_the_environment_are_ignored(
    make: Maker, http: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Server([answer(500)]) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url(""))
        given, _ = await send(make, http, answer(200))
    assert isinstance(given, Receipt)
    assert proxy.connections == 0
