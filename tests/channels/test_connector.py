"""From name to socket on bad days: resolvers that hang, fail or change their mind; TLS that is not what it should be.

The system's resolver stands behind one function, `connector.get_addresses`; here it answers by script, since no test
may rely on a name server.
"""

from __future__ import annotations

import asyncio
import functools
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp.abc import ResolveResult

from imd.channels import connector
from imd.channels.contract import Answer, Permanent, Receipt, Temporary
from imd.channels.http import Endpoint, HttpBounds, HttpClient
from tests.channels.server import Server, answer

Found = list[ResolveResult] | OSError


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    client = HttpClient(HttpBounds(connect=0.5, total=2.0))
    yield client
    await client.close()


@pytest.fixture
def resolve_to(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], str | OSError]], None]:
    """Names resolve to what the given function says at that moment, called in the resolver's thread."""

    def install(say: Callable[[], str | OSError]) -> None:
        def addresses(host: str, port: int, _family: int) -> Found:
            said = say()
            if isinstance(said, OSError):
                return said
            return [
                ResolveResult(
                    hostname=host, host=said, port=port, family=socket.AF_INET, proto=socket.IPPROTO_TCP, flags=0
                )
            ]

        monkeypatch.setattr(connector, "get_addresses", addresses)

    return install


async def post(http: HttpClient, server: Server, host: str, allow_private: bool = True) -> Answer:
    endpoint = Endpoint(f"http://{host}:{server.port}/x", allow_private)
    return await http.post(endpoint, b"{}", {}, datetime.now(UTC))


async def test_a_resolver_that_hangs_holds_up_neither_loop_nor_others(
    http: HttpClient, resolve_to: Callable[[Callable[[], str | OSError]], None]
) -> None:
    """Ten names hang: each is given up in time, and the loop turns meanwhile."""
    release = threading.Event()

    def say() -> str:
        release.wait(5)
        return "127.0.0.1"

    resolve_to(say)
    async with Server([answer(200)]) as server:
        hanging = [asyncio.ensure_future(post(http, server, f"n{n}.example")) for n in range(10)]
        lags = []
        for _ in range(20):
            began = time.monotonic()
            await asyncio.sleep(0.01)
            lags.append(time.monotonic() - began - 0.01)
        assert isinstance(await post(http, server, "127.0.0.1"), Receipt)
        answers = await asyncio.gather(*hanging)
        release.set()
    assert max(lags) < 0.25
    assert all(isinstance(given, Temporary) and not given.ambiguous for given in answers)


async def test_the_last_good_answer_stands_in(
    http: HttpClient, resolve_to: Callable[[Callable[[], str | OSError]], None]
) -> None:
    """Once resolved, a name server that fails later does not keep pages from their receiver."""
    said: list[str | OSError] = ["127.0.0.1", socket.gaierror(socket.EAI_AGAIN, "try again")]
    resolve_to(functools.partial(said.pop, 0))
    resolver = connector.Resolver(allow_private=True, loop=asyncio.get_running_loop())
    first = await resolver.resolve("sink.example", 80)
    assert await resolver.resolve("sink.example", 80) == first
    assert said == []


async def test_a_name_that_turns_private_is_refused(resolve_to: Callable[[Callable[[], str | OSError]], None]) -> None:
    """DNS rebinding: the second answer is judged like the first, and never hidden behind the good one."""
    said: list[str | OSError] = ["203.0.113.7", "127.0.0.1"]
    resolve_to(functools.partial(said.pop, 0))
    resolver = connector.Resolver(allow_private=False, loop=asyncio.get_running_loop())
    assert [entry["host"] for entry in await resolver.resolve("sink.example", 80)] == ["203.0.113.7"]
    with pytest.raises(connector.AddressRefused, match="this host"):
        await resolver.resolve("sink.example", 80)


@pytest.mark.parametrize("host", ["127.0.0.1", "169.254.169.254"])
async def test_a_name_for_a_refused_address(
    http: HttpClient, resolve_to: Callable[[Callable[[], str | OSError]], None], host: str
) -> None:
    """It is not connected to, and is tried again: a resolver that lied may say the truth then."""
    resolve_to(lambda: host)
    async with Server([answer(200)]) as server:
        given = await post(http, server, "sink.example", allow_private=False)
    assert isinstance(given, Temporary)
    assert not given.ambiguous
    assert server.connections == 0


async def test_a_literal_address_that_is_refused_stays_so(http: HttpClient) -> None:
    async with Server([answer(200)]) as server:
        assert isinstance(await post(http, server, "127.0.0.1", allow_private=False), Permanent)
    assert server.connections == 0


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Self-signed, for another host."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    path = tmp_path / "both.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=other.example",
         "-keyout", str(path), "-out", str(tmp_path / "cert.pem")],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_text(path.read_text() + (tmp_path / "cert.pem").read_text())
    return path


async def test_a_certificate_that_is_not_valid_fails_closed(http: HttpClient, certificate: Path) -> None:
    """Nothing is said to a stranger, and the error says why."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    heard = b""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        heard += await reader.read(100)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    given = await http.post(Endpoint(f"https://127.0.0.1:{port}/x"), b"{}", {}, datetime.now(UTC))
    server.close()
    assert isinstance(given, Temporary)
    assert not given.ambiguous
    assert "certificate" in given.error
    assert heard == b""


async def test_a_handshake_that_stalls_is_no_connection(http: HttpClient) -> None:
    """The peer takes the connection and never speaks TLS: given up within the time to connect, nothing sent."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    began = time.monotonic()
    given = await http.post(Endpoint(f"https://127.0.0.1:{port}/x"), b"{}", {}, datetime.now(UTC))
    server.close()
    assert isinstance(given, Temporary)
    assert not given.ambiguous
    assert time.monotonic() - began < 1.5
