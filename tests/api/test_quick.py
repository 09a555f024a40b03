"""The short way for small requests: it is taken, and nobody can tell by what comes back."""

from __future__ import annotations

import asyncio
import json
import random
import re
from pathlib import Path

import msgspec
import pytest

from imd.api import quick
from imd.api.access import Access
from imd.api.quick import Quick
from imd.config.settings import Auth, Scope, Settings, Token
from imd.model.policy import Bounds
from imd.store.contract import StoreFailed
from tests.api.server import BENCH, Logged, Server, serving

PATH = "/v1/ingest/alertmanager"


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The bodies that came by the short way."""
    bodies: list[bytes] = []
    take = Quick._take

    def counted(self: Quick, known: quick._Known, body: bytes) -> None:
        bodies.append(body)
        take(self, known, body)

    monkeypatch.setattr(Quick, "_take", counted)
    return bodies


def body_of(name: str, status: str = "firing") -> bytes:
    return json.dumps({"alerts": [{"labels": {"alertname": name}, "status": status}]}).encode()


def request(body: bytes, path: str = PATH, more: str = "", method: str = "POST") -> bytes:
    length = f"Content-Length: {len(body)}\r\n"
    head = f"{method} {path} HTTP/1.1\r\nHost: imd\r\nContent-Type: application/json\r\n{more}{length}\r\n"
    return head.encode() + body


class Client:
    """One connection, as plain as a sender's."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def answer(self) -> tuple[str, dict[str, str], bytes]:
        """Status line, headers without Date, body."""
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)).decode()
        status, *lines = head.strip().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", headers.pop("Date"))
        return status, headers, await self.reader.readexactly(int(headers.get("Content-Length", "0")))

    async def ask(self, *parts: bytes) -> tuple[str, dict[str, str], bytes]:
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()
            await turns(3)
        return await self.answer()


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def connect(server: Server) -> Client:
    client = Client(*await asyncio.open_connection("127.0.0.1", server.port))
    await turns(5)
    return client


def names(server: Server) -> set[str]:
    return {alert.labels()["alertname"] for alert in server.open_alerts()}


async def test_a_head_that_was_answered_once_is_known(server: Server, taken: list[bytes]) -> None:
    """On every connection; and the answer is the same to the letter."""
    one, other = await connect(server), await connect(server)
    first = await one.ask(request(body_of("A")))
    assert taken == []
    assert await one.ask(request(body_of("B"))) == first
    assert await other.ask(request(body_of("C"))) == first
    assert await other.ask(request(body_of("D"))) == first
    assert taken == [body_of("B"), body_of("D")] or taken == [body_of("B"), body_of("C"), body_of("D")]
    assert names(server) == set("ABCD")
    assert first[0] == "HTTP/1.1 200 OK"
    assert json.loads(first[2]) == {"accepted": 1, "rejected": []}


async def test_alertmanagers_path_too(server: Server, taken: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """And aiohttp is not asked to write the answer."""
    monkeypatch.setattr(quick, "StreamWriter", lambda *_given: None)
    client, path = await connect(server), "/am/api/v2/alerts"
    body = b'[{"labels": {"alertname": "A"}}]'
    first = await client.ask(request(body, path))
    assert await client.ask(request(body, path)) == first
    assert first[::2] == ("HTTP/1.1 200 OK", b"")
    assert taken == [body]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The bodies of the short way for which a request was made after all."""
    bodies: list[bytes] = []
    ask = Quick._ask

    def watched(self: Quick, known: quick._Known, handler: quick.Handler, body: bytes) -> None:
        bodies.append(body)
        ask(self, known, handler, body)

    monkeypatch.setattr(Quick, "_ask", watched)
    return bodies


@pytest.mark.parametrize("path", [PATH, "/am/api/v2/alerts"])
async def test_what_is_taken_whole_needs_no_request(server: Server, asked: list[bytes], path: str) -> None:
    """It is counted and timed like any other. What has something wrong in it needs one."""
    bodies = [body_of(name) for name in "ABCD"]
    if path != PATH:
        bodies = [json.dumps([{"labels": {"alertname": name}}]).encode() for name in "ABCD"]
    client = await connect(server)
    answers = [await client.ask(request(body, path)) for body in bodies]
    assert answers == answers[:1] * 4
    assert asked == []
    bad = bodies[0].replace(b'"A"', b"111")
    await client.ask(request(bad, path))
    assert asked == [bad]
    assert names(server) == set("ABCD")
    _, metrics, _ = await server.call("GET", "/metrics")
    said = re.findall(r'imd_http_request_duration_seconds_count{code="200",path="[^"]*"} (\S+)', str(metrics))
    assert float(said[0]) == 4


async def test_what_the_engine_refuses_is_said(tmp_path: Path, log: Logged, asked: list[bytes]) -> None:
    bounded = msgspec.structs.replace(BENCH, bounds=msgspec.structs.replace(Bounds(), open_alerts_max=1))
    async with serving(tmp_path, bounded) as server:
        client = await connect(server)
        assert (await client.ask(request(body_of("A"))))[0] == "HTTP/1.1 200 OK"
        status, _, said = await client.ask(request(body_of("B")))
        assert status == "HTTP/1.1 400 Bad Request"
        assert json.loads(said)["rejected"][0]["index"] == 0
        assert asked == [b""]
        assert (await client.ask(request(body_of("A"))))[0] == "HTTP/1.1 200 OK"


async def test_nothing_is_said_to_be_taken_that_is_not_on_disk(
    server: Server, asked: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit fails: 503, from then on too, by either way."""
    clients = [await connect(server) for _ in range(3)]
    first = await clients[0].ask(request(body_of("A")))
    with monkeypatch.context() as patch:
        patch.setattr(server.store, "commit", lambda _batch, done: done(StoreFailed("the disk is gone")))
        answers = await asyncio.gather(*(client.ask(request(body_of("B"))) for client in clients[:2]))
        assert {status for status, _, _ in answers} == {"HTTP/1.1 503 Service Unavailable"}
        assert all(headers["Retry-After"] for _, headers, _ in answers)
        assert (await clients[2].ask(request(body_of("C"))))[0] == "HTTP/1.1 503 Service Unavailable"
    while server.loop.down:  # noqa: ASYNC110 - it looks each second whether the store takes writes again
        await asyncio.sleep(0.05)
    assert names(server) == {"A"}
    assert await clients[0].ask(request(body_of("B"))) == first
    assert names(server) == {"A", "B"}


async def test_refusals_are_worded_as_ever(server: Server, taken: list[bytes]) -> None:
    """By the short way, by a client that knows none, and by curl."""
    good, bad = body_of("A"), body_of("A").replace(b"alerts", b"stalls")
    client = await connect(server)
    ordinary = await client.ask(request(bad))
    await client.ask(request(good))
    assert await client.ask(request(bad)) == ordinary
    assert ordinary[0] == "HTTP/1.1 400 Bad Request"
    assert taken == [bad]
    assert (await client.ask(request(good)))[0] == "HTTP/1.1 200 OK"
    _, kept, _ = await server.call("GET", "/v1/rejected")
    assert len(kept["items"]) == 2


async def test_a_token_is_asked_for_each_time(tmp_path: Path, log: Logged, taken: list[bytes]) -> None:
    sha256 = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"  # of: secret
    auths = [Auth(tokens=(Token(name="prom", scopes=(Scope.INGEST,), sha256=sha256),))]
    access = Access(lambda: Settings(auth=auths[-1]))
    async with serving(tmp_path, authorize=access.authorize) as server:
        client, shown = await connect(server), "Authorization: Bearer secret\r\n"
        for _ in range(2):
            assert (await client.ask(request(body_of("A"), more=shown)))[0] == "HTTP/1.1 200 OK"
        auths.append(msgspec.structs.replace(auths[0], tokens=(Token(name="x", scopes=(Scope.INGEST,), sha256="0"),)))
        assert (await client.ask(request(body_of("A"), more=shown)))[0] == "HTTP/1.1 401 Unauthorized"
        assert len(taken) == 2


@pytest.mark.parametrize(
    "more",
    [
        "Connection: close\r\n",
        "Expect: 100-continue\r\n",
        "Content-Encoding: identity\r\n",
        "X-Long: " + "x" * 2048 + "\r\n",
    ],
)
async def test_heads_that_ask_for_more_are_not_learned(server: Server, taken: list[bytes], more: str) -> None:
    for _ in range(2):
        client = await connect(server)
        client.writer.write(request(body_of("A"), more=more))
        head = await client.reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"HTTP/1.1 100"):
            head = await client.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
    assert taken == [] if "identity" not in more else len(taken) <= 1


async def test_no_two_ways_to_read_a_length(server: Server, taken: list[bytes]) -> None:
    """What aiohttp takes and another server might read otherwise is never on the short way."""
    body = body_of("A")
    chunked = (
        f"POST {PATH} HTTP/1.1\r\nHost: imd\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        f"{len(body):x}\r\n{body.decode()}\r\n0\r\n\r\n"
    ).encode()
    old = request(body).replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"Host: imd", b"Connection: keep-alive")
    for wire in (chunked, old):
        client = await connect(server)
        for _ in range(3):
            assert (await client.ask(wire))[0].endswith("200 OK")
    assert taken == []


async def test_empty_lines_before_a_request_are_no_head(server: Server, taken: list[bytes]) -> None:
    """Two of them end with what ends a head. Once it was answered, any body of that length was taken as another like
    it, with the token of whoever sent it."""
    length = 900
    wire = b"\r\n\r\n" + request(b" " * length)
    body = body_of("A").ljust(length)
    client = await connect(server)
    sent = wire[: len(wire) - length] + body
    assert (await client.ask(sent[: 4 + length], sent[4 + length :]))[0].endswith("200 OK")
    client = await connect(server)
    assert (await client.ask(b"\r\n\r\n" + body))[0].endswith("400 Bad Request")
    assert taken == []


@pytest.mark.parametrize("cut", [1, 30, -len(body_of("A")) - 2, -len(body_of("A")), -1])
async def test_a_request_in_two_parts(server: Server, taken: list[bytes], cut: int) -> None:
    client, wire = await connect(server), request(body_of("A"))
    await client.ask(wire)
    await client.ask(wire)
    assert len(taken) == 1
    assert (await client.ask(wire[:cut], wire[cut:]))[0] == "HTTP/1.1 200 OK"
    assert (await client.ask(wire))[0] == "HTTP/1.1 200 OK"
    assert len(taken) == (2 if -len(body_of("A")) <= cut < 0 else 1)


async def test_what_comes_behind_waits_its_turn(server: Server, taken: list[bytes]) -> None:
    """Requests that a client sends without waiting are answered in their order, those on the short way too."""
    client = await connect(server)
    await client.ask(request(body_of("A")))
    client.writer.write(request(body_of("B")))
    await turns(4)  # it is under way
    client.writer.write(request(b"", "/-/healthy", method="GET") + request(body_of("C"), "/v1/ingest/nobody"))
    client.writer.write(request(body_of("D")))
    statuses = [(await client.answer())[0][9:12] for _ in range(4)]
    assert statuses == ["200", "200", "404", "200"]
    assert names(server) == set("ABD")
    assert body_of("B") in taken


async def test_a_client_that_goes_away_has_been_heard(server: Server, taken: list[bytes]) -> None:
    client = await connect(server)
    await client.ask(request(body_of("A")))
    client.writer.write(request(body_of("B")))
    client.writer.transport.abort()
    other = await connect(server)
    await other.ask(request(body_of("C")))
    assert names(server) >= set("AC")


async def test_any_stream_cut_anywhere_is_answered_alike(
    tmp_path: Path, log: Logged, taken: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random requests over one connection, cut at random places: each gets the answer that it gets by itself from a
    server without a short way."""
    chance = random.Random(7)
    kinds = [request(body_of(f"N{number:02d}")) for number in range(10)]
    kinds += [request(body_of("A").replace(b"alerts", b"stalls")), request(body_of("A"), "/v1/ingest/nobody")]
    kinds += [request(b"", "/-/healthy", method="GET"), request(body_of("x" * 70_000))]
    with monkeypatch.context() as patch:
        patch.setattr(quick, "usable", lambda: False)
        (tmp_path / "plain").mkdir()
        async with serving(tmp_path / "plain") as server:
            client = await connect(server)
            expected = {wire: await client.ask(wire) for wire in kinds}
        assert taken == []
    (tmp_path / "quick").mkdir()
    async with serving(tmp_path / "quick") as server:
        for _ in range(30):
            client = await connect(server)
            sent = [chance.choice(kinds) for _ in range(12)]
            if chance.random() < 0.5:
                for wire in sent:
                    assert await client.ask(wire) == expected[wire]
            else:
                stream = b"".join(sent)
                cuts = sorted(chance.sample(range(1, len(stream)), chance.randrange(8)))
                for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
                    client.writer.write(stream[start:end])
                    await turns(chance.randrange(5))
                for wire in sent:
                    assert await client.answer() == expected[wire]
            client.writer.close()
    assert len(taken) > 30


async def test_the_kept_heads_are_bounded(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick, "HEADS_MAX", 5)
    sizes: list[int] = []
    learn = quick.Heads.learn

    def watched(self: quick.Heads, *given: object) -> None:
        learn(self, *given)
        sizes.append(len(self))

    monkeypatch.setattr(quick.Heads, "learn", watched)
    client = await connect(server)
    for number in range(12):
        await client.ask(request(body_of("x" * number + "y")))
    assert sizes == [1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 2]


async def test_a_stop_waits_for_what_is_under_way(tmp_path: Path, log: Logged, taken: list[bytes]) -> None:
    """It is answered, then the connection ends."""
    async with serving(tmp_path) as server:
        client = await connect(server)
        await client.ask(request(body_of("A")))
        client.writer.write(request(body_of("B")))
        while not taken:  # noqa: ASYNC110 - it takes a few turns of the loop, and nobody tells
            await asyncio.sleep(0)
    assert (await client.answer())[0] == "HTTP/1.1 200 OK"
    assert await client.reader.read() == b""
