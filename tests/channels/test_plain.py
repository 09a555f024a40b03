"""The part of the suite that holds without HTTP of ours too: mail, programs, files, the screen, and what apprise sends.
Each speaks to the real thing: an SMTP server, a process, a disk, a pipe, a web server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from imd.channels import CHANNELS, Channel, HttpClient, Receipt, Shared, Temporary
from imd.channels.contract import CONVERSATION_BYTES_MAX, Permanent
from imd.channels.text import Writer
from imd.clock import SystemClock
from imd.config.channelsettings import AppriseSettings, ConsoleSettings, EmailSettings, ExecSettings, FileSettings, Tls
from imd.daemon.outbox import Outbox
from imd.model.effect import Refused
from imd.model.event import DeliveryFinished, Event
from imd.model.policy import PageKind
from imd.model.secret import Secret
from imd.store.contract import Batch
from imd.telemetry import Metrics
from tests.api.server import Logged
from tests.channels import test_email
from tests.channels.samples import digest, enormous, hostile, message, trial
from tests.channels.server import Server, answer
from tests.channels.test_suite import INCIDENTS_KINDS, STORY

CANARY = "canary-secret"
PLAIN = ("console", "file", "exec", "email", "apprise")
NAMED_BY = "exec.sh"


class Plain(NamedTuple):
    """`arrived` is how many messages reached the far end."""

    channel: Channel
    arrived: Callable[[], int]


@asynccontextmanager
async def plain(name: str, folder: Path, works: bool = True) -> AsyncIterator[Plain]:
    """The channel and its far end, which takes all or, if it does not work, refuses for now."""
    http = HttpClient()
    shared = Shared(http, SystemClock())

    def made(settings: Any) -> Channel:
        return CHANNELS[name](settings, shared, Writer())

    try:
        match name:
            case "console":
                yield Plain(made(ConsoleSettings()), lambda: -1)
            case "file":
                path = folder / ("pages.jsonl" if works else "gone/pages.jsonl")
                if not works:
                    (folder / "gone").write_text("a file where a folder should be")
                yield Plain(made(FileSettings(path=path)), lambda: len(path.read_bytes().splitlines()))
            case "exec":
                script = folder / NAMED_BY
                script.write_text(f"#!/bin/sh\ncat >> {folder}/out; echo >> {folder}/out; exit {0 if works else 75}\n")
                script.chmod(0o700)
                out = folder / "out"
                settings = ExecSettings(command=(str(script), CANARY))
                yield Plain(made(settings), lambda: len(out.read_bytes().splitlines()))
            case "email":
                async with test_email.server(auth=True) as (post, port):
                    password = Secret(test_email.CANARY if works else CANARY)
                    mail = EmailSettings(
                        host="127.0.0.1", port=port, tls=Tls.NONE, sender="imd@example.com", to=("ana@example.com",),
                        username="imd", password=password,
                    )  # fmt: skip
                    yield Plain(made(mail), lambda: len(post.mails))
            case _:
                async with Server([answer(200 if works else 503)]) as server:
                    url = Secret(f"json://127.0.0.1:{server.port}/{CANARY}")
                    channel = made(AppriseSettings(url=url))
                    yield Plain(channel, lambda: len(server.requests))
                    await channel.close()
    finally:
        await http.close()


@pytest.fixture(params=PLAIN)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def told(at: Plain, *deliveries: Any) -> bytes:
    conversation = b""
    for each in deliveries:
        given = await at.channel.send(each, 1, conversation)
        assert isinstance(given, Receipt), given
        assert "canary" not in repr(given)
        assert len(given.conversation) <= CONVERSATION_BYTES_MAX
        conversation = given.conversation or conversation
    return conversation


async def test_the_whole_story_is_taken(name: str, tmp_path: Path) -> None:
    """Page, update, raise, acknowledgement, note, resolve; each is a message of its own here."""
    async with plain(name, tmp_path) as at:
        await told(at, *STORY)
        assert at.arrived() in (len(STORY), -1)


@pytest.mark.parametrize("kind", INCIDENTS_KINDS)
@pytest.mark.parametrize("make", [message, hostile, enormous])
async def test_each_kind_is_taken_whatever_it_holds(name: str, kind: PageKind, make: Any, tmp_path: Path) -> None:
    """Also as the first that is heard; markup, mentions, line ends, control characters, other scripts; a storm."""
    async with plain(name, tmp_path) as at:
        kept = await told(at, make(kind, 1))
        assert isinstance(await at.channel.send(make(kind, 2), 1, kept), Receipt)
        assert at.arrived() in (2, -1)


async def test_a_test_page_and_a_digest_are_taken(name: str, tmp_path: Path) -> None:
    async with plain(name, tmp_path) as at:
        assert await told(at, trial()) == b""
        assert await told(at, digest()) == b""


async def test_what_cannot_be_taken_is_no_receipt(name: str, tmp_path: Path) -> None:
    """And says why without a secret."""
    if name == "console":
        pytest.skip("a screen that is gone has tests of its own (test_local)")
    async with plain(name, tmp_path, works=False) as at:
        given = await at.channel.send(message(), 1)
    assert isinstance(given, Temporary | Permanent)
    assert given.error
    assert CANARY not in given.error


async def test_sixteen_at_once_stay_apart(name: str, tmp_path: Path) -> None:
    async with plain(name, tmp_path) as at:
        given = await asyncio.gather(*(at.channel.send(message(number=number), 1) for number in range(1, 17)))
        assert all(isinstance(each, Receipt) for each in given)
        assert at.arrived() in (16, -1)


async def test_bodies_of_programs_are_whole_lines_of_json(tmp_path: Path) -> None:
    """Whatever is in the labels, and however large."""
    for name, file in (("file", "pages.jsonl"), ("exec", "out")):
        async with plain(name, tmp_path) as at:
            await told(at, hostile(), enormous(), message())
        lines = (tmp_path / file).read_bytes().splitlines()
        assert [json.loads(line)["kind"] for line in lines] == ["page"] * 3


async def test_no_secret_is_in_log_metric_or_store(name: str, tmp_path: Path) -> None:
    """All the way through the outbox."""
    logged, metrics, ended, rows = Logged(), Metrics(), list[DeliveryFinished](), list[object]()
    done = asyncio.Event()

    async def submit(event: Event, _size: int) -> tuple[Refused, ...]:
        assert isinstance(event, DeliveryFinished)
        ended.append(event)
        done.set()
        return ()

    class Kept:
        def commit(self, batch: Batch, settled: Callable[[BaseException | None], None]) -> None:
            rows.extend(batch.retries)
            if rows:
                done.set()
            settled(None)

    async with plain(name, tmp_path, works=False) as at:
        outbox = Outbox({"chat": at.channel}, submit, Kept(), SystemClock(), metrics, base_seconds=30)
        outbox.start()
        outbox.offer([message()])
        async with asyncio.timeout(10):
            await done.wait()
        shown = repr(outbox.status())
        await outbox.drain(1)
    said = " ".join([logged.text(), metrics.render().decode(), repr(ended), repr(rows), shown])
    assert "delivery." in said
    assert CANARY not in said
