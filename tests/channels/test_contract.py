"""What the plain channels keep, those that carry the body as it is; those of vendors have `test_suite`.

A channel joins with one more function in ENDS, which makes it with its other end working, stuck, failing or refusing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from imd.channels import CHANNELS, BadSettings, Channel, Permanent, Receipt, Shared, Temporary, build
from imd.channels.console import Console
from imd.channels.http import HttpBounds, HttpClient
from imd.channels.text import Writer
from imd.clock import SystemClock
from imd.config.channelsettings import ConsoleSettings, ExecSettings, FileSettings, WebhookSettings
from imd.config.settings import Limits, ReceiverSettings
from imd.model.policy import Receiver
from imd.model.secret import Secret
from tests.channels.samples import delivery
from tests.channels.server import Server, answer, hang

SECONDS = 0.3
CANARY = "canary-secret"

Heard = Callable[[], list[str]]
End = Callable[[str, Path], AbstractAsyncContextManager[tuple[Channel, Heard]]]


def shared(http: HttpClient | None = None) -> Shared:
    return Shared(http or HttpClient(), SystemClock(), Limits(send_timeout=timedelta(seconds=SECONDS)))


@asynccontextmanager
async def webhook(state: str, _folder: Path) -> AsyncIterator[tuple[Channel, Heard]]:
    acts = {"works": answer(200), "stuck": hang(), "fails": answer(503), "refuses": answer(410)}
    http = HttpClient(HttpBounds(connect=SECONDS, total=SECONDS))
    async with Server([acts[state]]) as server:
        settings = WebhookSettings(url=Secret(server.url(f"/{CANARY}")), secret=Secret(CANARY))
        yield (
            CHANNELS["webhook"](settings, shared(http), Writer()),
            lambda: [request.body.decode() for request in server.requests],
        )
        await http.close()


@contextlib.contextmanager
def full_pipe(path: Path) -> contextlib.AbstractContextManager[int]:
    """A named pipe that nobody reads and that takes nothing more; it is emptied at the end, to free the writer."""
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(descriptor, b"x" * 4096)
    blocking = os.open(path, os.O_WRONLY)
    try:
        yield blocking
    finally:
        with contextlib.suppress(BlockingIOError):
            while os.read(descriptor, 65_536):
                pass
        os.close(blocking)


@asynccontextmanager
async def file(state: str, folder: Path) -> AsyncIterator[tuple[Channel, Heard]]:
    path = {"fails": Path("/dev/full"), "refuses": folder}.get(state, folder / "pages.jsonl")
    with full_pipe(path) if state == "stuck" else contextlib.nullcontext():
        yield CHANNELS["file"](FileSettings(path=path), shared(), Writer()), lambda: path.read_text().splitlines()


@asynccontextmanager
async def console(state: str, folder: Path) -> AsyncIterator[tuple[Channel, Heard]]:
    path = Path("/dev/full") if state == "fails" else folder / "out"
    with (
        full_pipe(path) if state == "stuck" else contextlib.nullcontext(os.open(path, os.O_WRONLY | os.O_CREAT)) as out
    ):
        yield Console(out, SECONDS), lambda: path.read_text().splitlines()


@asynccontextmanager
async def exec_(state: str, folder: Path) -> AsyncIterator[tuple[Channel, Heard]]:
    path = folder / "said"
    scripts = {"works": f"cat >> {path}; echo >> {path}", "stuck": "sleep 60", "fails": "exit 75", "refuses": "exit 1"}
    settings = ExecSettings(command=("sh", "-c", scripts[state]))
    yield CHANNELS["exec"](settings, shared(), Writer()), lambda: path.read_text().splitlines()


ENDS: dict[str, End] = {"webhook": webhook, "file": file, "console": console, "exec": exec_}
BODIES = [name for name in ENDS if name != "console"]


@pytest.mark.parametrize("kind", ENDS)
async def test_what_is_taken_is_a_receipt(kind: str, tmp_path: Path) -> None:
    """One send, one message at the other end."""
    async with ENDS[kind]("works", tmp_path) as (channel, heard):
        assert isinstance(await channel.send(delivery(), 1), Receipt)
        assert len(heard()) == 1
        await channel.close()


@pytest.mark.parametrize("kind", BODIES)
async def test_the_body_is_the_deliverys_with_the_attempt(kind: str, tmp_path: Path) -> None:
    """All channels that carry the body carry the same: the delivery's, and which attempt it is."""
    page = delivery(7)
    async with ENDS[kind]("works", tmp_path) as (channel, heard):
        await channel.send(page, 1)
        await channel.send(page, 2)
        bodies = [json.loads(body) for body in heard()]
        await channel.close()
    assert bodies == [{**json.loads(page.body), "attempt": attempt} for attempt in (1, 2)]


@pytest.mark.parametrize("kind", ENDS)
async def test_a_stuck_end_is_given_up_in_time(kind: str, tmp_path: Path) -> None:
    """Nothing waits for ever, the loop goes on meanwhile, and what may have arrived is said to be so."""
    async with ENDS[kind]("stuck", tmp_path) as (channel, _):
        began = time.monotonic()
        sending = asyncio.ensure_future(channel.send(delivery(), 1))
        await asyncio.sleep(0.05)
        assert not sending.done()
        given = await sending
        assert time.monotonic() - began < SECONDS + 1.0
        assert isinstance(given, Temporary)
        assert given.ambiguous
        await channel.close()


@pytest.mark.parametrize("kind", ENDS)
async def test_a_failing_end_is_temporary(kind: str, tmp_path: Path) -> None:
    """503, a full disk, EX_TEMPFAIL: later, and it did not arrive."""
    async with ENDS[kind]("fails", tmp_path) as (channel, _):
        given = await channel.send(delivery(), 1)
        await channel.close()
    assert isinstance(given, Temporary)
    assert not given.ambiguous
    assert CANARY not in repr(given)


@pytest.mark.parametrize("kind", BODIES)
async def test_a_refusing_end_is_permanent(kind: str, tmp_path: Path) -> None:
    """410, a folder in the file's place, exit code 1: never."""
    async with ENDS[kind]("refuses", tmp_path) as (channel, _):
        given = await channel.send(delivery(), 1)
        await channel.close()
    assert isinstance(given, Permanent)
    assert CANARY not in repr(given)


@pytest.mark.parametrize("kind", ENDS)
async def test_many_at_once_stay_apart(kind: str, tmp_path: Path) -> None:
    """Sixteen sends at once: sixteen receipts, sixteen whole messages."""
    async with ENDS[kind]("works", tmp_path) as (channel, heard):
        answers = await asyncio.gather(*(channel.send(delivery(n), 1) for n in range(16)))
        assert all(isinstance(given, Receipt) for given in answers)
        assert len(heard()) == 16
        await channel.close()


async def test_channels_are_built_by_type() -> None:
    """The table makes each receiver's channel; a fault names the receiver and not the secret."""
    receivers = {
        name: ReceiverSettings(receiver=Receiver(name=name), type=type_, channel=settings)
        for name, type_, settings in [
            ("hook", "webhook", WebhookSettings(url=Secret("http://sink.example/x"))),
            ("screen", "console", ConsoleSettings()),
            ("log", "file", FileSettings(path=Path("pages.jsonl"))),
            ("script", "exec", ExecSettings(command=("true",))),
        ]
    }
    assert list(build(receivers, shared())) == ["hook", "screen", "log", "script"]
    bad = WebhookSettings(url=Secret("http://sink.example/x"), secret=Secret(f"whsec_{CANARY}"))
    with pytest.raises(BadSettings, match='receiver "hook": secret is not base64') as fault:
        build({"hook": ReceiverSettings(receiver=Receiver(name="hook"), type="webhook", channel=bad)}, shared())
    assert CANARY not in str(fault.value)
