"""What every channel that speaks to a vendor keeps: one suite, each run against a server that speaks the vendor's
protocol and checks its limits (`vendors`)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

import pytest

from imd.channels import CHANNELS, Answer, Channel, HttpClient, Permanent, Receipt, Shared, Temporary
from imd.channels.contract import CONVERSATION_BYTES_MAX
from imd.channels.http import HttpBounds
from imd.channels.text import Writer
from imd.clock import SystemClock
from imd.config.receiverkeys import TYPES
from imd.daemon.outbox import Outbox
from imd.model.effect import Delivery, Refused
from imd.model.event import DeliveryFinished, Event
from imd.model.incident import Priority
from imd.model.policy import PageKind, PageReason
from imd.store.contract import Batch
from imd.telemetry import Metrics
from tests.api.server import Logged
from tests.channels.samples import digest, enormous, hostile, message, trial
from tests.channels.server import Act, Server, answer, hang, raw, reset, speaks
from tests.channels.vendors import CANARY, VENDORS, Reply, Vendor

SECONDS = 0.4
INCIDENTS_KINDS = [kind for kind in PageKind if kind is not PageKind.DIGEST]
STORY = [
    message(PageKind.PAGE, 1),
    message(PageKind.UPDATE, 2),
    message(PageKind.PAGE, 3, reason=PageReason.RAISED, priority=Priority.P1),
    message(PageKind.ACKNOWLEDGED, 4, priority=Priority.P1),
    message(PageKind.NOTE, 5, note="looking at it", priority=Priority.P1),
    message(PageKind.RESOLVED, 6, priority=Priority.P1),
]


class Ends(NamedTuple):
    channel: Channel
    vendor: Vendor
    server: Server


@asynccontextmanager
async def ends(name: str, *script: Act, writer: Writer | None = None, seconds: float = 10.0) -> AsyncIterator[Ends]:
    """The channel and its vendor, who answers by `script`, else as documented."""
    vendor = VENDORS[name]()
    http = HttpClient(HttpBounds(connect=seconds, total=seconds, reply=seconds))
    async with Server(list(script) or [speaks(vendor.handle)]) as server:
        shared = Shared(http, SystemClock())
        channel = CHANNELS[vendor.kind](vendor.settings(server.url("")), shared, writer or Writer())
        yield Ends(channel, vendor, server)
        await channel.close()
    await http.close()


def no_secret(given: Answer) -> None:
    assert CANARY not in repr(given)
    assert "canary" not in repr(given)


async def told(channel: Channel, *deliveries: Delivery) -> bytes:
    """Sends them one after another, each with what the one before left; the last conversation. All are taken."""
    conversation = b""
    for each in deliveries:
        given = await channel.send(each, 1, conversation)
        assert isinstance(given, Receipt), f"{each.kind}: {given}"
        no_secret(given)
        assert len(given.conversation) <= CONVERSATION_BYTES_MAX
        assert CANARY.encode() not in given.conversation
        conversation = given.conversation or conversation
    return conversation


@pytest.fixture(params=VENDORS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_type_has_a_suite() -> None:
    """A new channel cannot be forgotten: each is here, or speaks no HTTP of ours (test_plain)."""
    plain = {"console", "file", "exec", "email", "apprise"}
    assert {vendor.kind for vendor in VENDORS.values()} | plain == set(CHANNELS) == set(TYPES)


@pytest.mark.parametrize("kind", INCIDENTS_KINDS)
async def test_each_kind_is_taken(name: str, kind: PageKind) -> None:
    """Also as the first that the receiver hears of the incident, for a reload may have brought it there."""
    async with ends(name) as at:
        await told(at.channel, message(kind, note="looking" if kind is PageKind.NOTE else None))
        assert bool(at.vendor.seen) == (kind not in at.vendor.silent)


async def test_a_test_page_and_a_digest_are_taken(name: str) -> None:
    """They belong to no incident and keep no conversation."""
    async with ends(name) as at:
        assert await told(at.channel, trial()) == b""
        assert await told(at.channel, digest()) == b""
        sent = b"".join(request.body for request in at.server.requests).decode()
    assert "is this thing on?" in unquote_plus(sent)
    assert "n2 lost" in unquote_plus(sent)


async def test_the_whole_story_is_taken(name: str) -> None:
    """Page, update, raise, acknowledgement, note, resolve, then all again as it comes back."""
    async with ends(name) as at:
        kept = await told(at.channel, *STORY)
        again = message(PageKind.PAGE, 7, reason=PageReason.REOPENED)
        assert isinstance(await at.channel.send(again, 1, kept), Receipt)


async def test_a_conversation_of_another_kind_counts_as_none(name: str) -> None:
    """A reload may have changed the receiver's type; what an older imd wrote may be anything."""
    for foreign in (b'{"type":"another","x":1}', b"{}", b"[]", b"\xff\x00", b"null", b'{"type":"%b"}' % name.encode()):
        async with ends(name) as at:
            assert isinstance(await at.channel.send(message(), 1, foreign), Receipt)


@pytest.mark.parametrize("kind", INCIDENTS_KINDS)
async def test_whatever_labels_hold_is_taken(name: str, kind: PageKind) -> None:
    """Markup, mentions, line ends, control characters: sent, and within what the vendor takes."""
    async with ends(name) as at:
        kept = await told(at.channel, hostile())
        assert isinstance(await at.channel.send(hostile(kind, 2), 1, kept), Receipt)


@pytest.mark.parametrize("kind", INCIDENTS_KINDS)
async def test_what_is_far_too_long_is_cut(name: str, kind: PageKind) -> None:
    """Two hundred alerts with long labels: within every limit, and the title is there as a whole."""
    async with ends(name) as at:
        kept = await told(at.channel, enormous())
        sent = at.server.requests[-1].body.decode()
        assert f"{'ü' * 299}🔥" in (str(json.loads(sent)) if sent.startswith("{") else unquote_plus(sent))
        assert isinstance(await at.channel.send(enormous(kind, 2), 1, kept), Receipt)


async def test_attempts_of_one_message_are_alike(name: str) -> None:
    """The second attempt is the first again, byte for byte."""
    async with ends(name) as at:
        await at.channel.send(message(), 1)
        await at.channel.send(message(), 2)
        first, second = ([r.path, r.body] for r in at.server.requests[:: len(at.server.requests) // 2])
    if name == "webhook":  # whose body counts them
        second[1] = second[1].replace(b'{"attempt":2,', b'{"attempt":1,')
    assert first == second


def _errors(passing: bool) -> list[tuple[str, Reply]]:
    return [(name, reply) for name, v in VENDORS.items() for reply in (v.passing if passing else v.refused)]


@pytest.mark.parametrize(("name", "reply"), _errors(True), ids=str)
async def test_documented_errors_that_pass(name: str, reply: Reply) -> None:
    async with ends(name, answer(*reply)) as at:
        given = await at.channel.send(message(), 1)
    assert isinstance(given, Temporary)
    no_secret(given)


@pytest.mark.parametrize(("name", "reply"), _errors(False), ids=str)
async def test_documented_errors_that_do_not_pass(name: str, reply: Reply) -> None:
    async with ends(name, answer(*reply)) as at:
        given = await at.channel.send(message(), 1)
    assert isinstance(given, Permanent)
    no_secret(given)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
async def test_refusals_by_status(name: str, status: int) -> None:
    """Nobody repeats what is wrong for good; the vendor's words are quoted, secrets in them are not."""
    async with ends(name, answer(status, f"no {CANARY} here".encode())) as at:
        given = await at.channel.send(message(), 1)
    assert isinstance(given, Permanent)
    assert str(status) in given.error
    no_secret(given)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_failures_by_status(name: str, status: int) -> None:
    async with ends(name, answer(status, b"<html>oops</html>")) as at:
        given = await at.channel.send(message(), 1)
    assert isinstance(given, Temporary)
    assert given.ambiguous == (status in (502, 504))


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_retry_after_is_honoured(name: str, form: str) -> None:
    at_date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    async with ends(name, answer(429, b"{}", Retry_After="30" if form == "seconds" else at_date)) as at:
        given = await at.channel.send(message(), 1)
    assert isinstance(given, Temporary)
    assert given.retry_after is not None
    assert timedelta(seconds=27) < given.retry_after <= timedelta(seconds=31)


@pytest.mark.parametrize(
    "act", [hang(), hang(b"HTTP/1.1 2"), reset(read=True), raw(b"gibberish\r\n\r\n", then_close=True)], ids=range(4)
)
async def test_no_answer_is_ambiguous_and_bounded(name: str, act: Act) -> None:
    """Time-out, reset after sending, nonsense: it may have arrived."""
    async with ends(name, act, seconds=SECONDS) as at:
        began = time.monotonic()
        given = await at.channel.send(message(), 1)
    assert isinstance(given, Temporary)
    assert given.ambiguous
    assert time.monotonic() - began < 3 * SECONDS + 1
    no_secret(given)


@pytest.mark.parametrize("trouble", ["429", "500", "timeout", "reset"])
@pytest.mark.parametrize("kind", [kind for kind in INCIDENTS_KINDS if kind is not PageKind.PAGE])
async def test_what_follows_is_tried_again_too(name: str, kind: PageKind, trouble: str) -> None:
    """The first page was taken, then the vendor is in trouble: an edit, a note, an acknowledgement or the end is owed
    all the same, and leaves once it works again, into the conversation that was there before."""
    vendor, broken = VENDORS[name](), False

    async def act(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.read(reader)
        answering = _answered(vendor.handle(server.requests[-1])) if not broken else _REPLIES[trouble]
        await answering(server, reader, writer)

    async with ends(name, act, seconds=SECONDS) as at:
        kept = await told(at.channel, message())
        broken = True
        later = message(kind, 2, note="looking" if kind is PageKind.NOTE else None)
        given = await at.channel.send(later, 1, kept)
        broken = False
        if kind in vendor.silent:
            assert isinstance(given, Receipt)
            return
        assert isinstance(given, Temporary)
        assert given.ambiguous or trouble in ("429", "500")
        no_secret(given)
        seen = len(vendor.seen)
        assert isinstance(await at.channel.send(later, 2, kept), Receipt)
        assert len(vendor.seen) > seen


def _answered(reply: Reply) -> Act:
    """The reply to a request that was read already."""
    status, body = reply

    async def act(_server: Server, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 %d Reason\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))
        await writer.drain()

    return act


async def _silence(_server: Server, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


_REPLIES: dict[str, Act] = {
    "429": _answered((429, b"{}")),
    "500": _answered((500, b"")),
    "timeout": _silence,
    "reset": reset(read=False),
}

BODIES = [b"", b"{", b"[]", b"null", b'{"ok":"maybe"}', b"\xff\xfe", b"<html>", b'{"id":null}', b"[" * 5000]


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
async def test_a_malformed_body_on_200(name: str, body: bytes) -> None:
    """Where the status says it all, it is taken; where the body decides, it may have been."""
    async with ends(name, answer(200, body)) as at:
        given = await at.channel.send(message(), 1)
    if at.vendor.malformed_is_taken:
        assert isinstance(given, Receipt)
    else:
        assert isinstance(given, Temporary | Permanent)
    no_secret(given)


async def test_redirects_are_not_followed(name: str) -> None:
    async with Server([answer(200)]) as elsewhere, ends(name, answer(302, Location=elsewhere.url("/x"))) as at:
        given = await at.channel.send(message(), 1)
        assert elsewhere.requests == []
    assert isinstance(given, Permanent)


async def test_sixteen_at_once_stay_apart(name: str) -> None:
    async with ends(name) as at:
        given = await asyncio.gather(*(at.channel.send(message(number=number), 1) for number in range(1, 17)))
        assert all(isinstance(each, Receipt) for each in given)
        assert len(at.vendor.seen) == 16


async def test_its_pace_is_named(name: str) -> None:
    """Per target, and without a secret in its key."""
    async with ends(name) as at:
        assert at.channel.paces or name == "webhook"  # a program of one's own: as fast as it takes them
        assert all(pace.per_second > 0 and pace.burst >= 1 for pace in at.channel.paces)
        assert CANARY not in repr(at.channel.paces)


async def test_no_secret_is_in_log_metric_or_store(name: str) -> None:
    """All the way through the outbox, with a vendor that echoes what it was asked and refuses it: words for people and
    machines hold no secret, the timeline's error neither."""
    echoes = b"you sent " + CANARY.encode() + b" and " + CANARY[::-1].encode()
    for status in (500, 403):
        logged, metrics, ended = Logged(), Metrics(), list[DeliveryFinished]()
        rows: list[object] = []
        done = asyncio.Event()

        async def submit(
            event: Event, _size: int, ended: list[DeliveryFinished] = ended, done: asyncio.Event = done
        ) -> tuple[Refused, ...]:
            assert isinstance(event, DeliveryFinished)
            ended.append(event)
            done.set()
            return ()

        class Kept:
            def commit(
                self,
                batch: Batch,
                done: Callable[[BaseException | None], None],
                rows: Any = rows,
                heard: asyncio.Event = done,
            ) -> None:
                rows += batch.retries
                if rows:
                    heard.set()
                done(None)

        async with ends(name, answer(status, echoes)) as at:
            outbox = Outbox({"chat": at.channel}, submit, Kept(), SystemClock(), metrics, base_seconds=30)
            outbox.start()
            outbox.offer([message()])
            async with asyncio.timeout(5):
                await done.wait()
            status_shown = repr(outbox.status())
            await outbox.drain(1)
        told = " ".join([logged.text(), metrics.render().decode(), repr(ended), repr(rows), status_shown])
        assert "delivery." in told
        assert "canary" not in told.replace("imd_canary_pages", "")  # a metric of that name has nothing to hide
        assert CANARY[::-1] not in told or name != "pushover"
