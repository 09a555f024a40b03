"""Mails over a real SMTP server: what arrives, how a thread hangs together, and what the server's answers mean."""

from __future__ import annotations

import asyncio
import email
import email.policy
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from imd.channels.contract import Answer, Permanent, Receipt, Temporary
from imd.channels.email import Email
from imd.channels.text import Writer
from imd.config.channelsettings import EmailSettings, Templates, Tls
from imd.model.incident import Priority
from imd.model.policy import PageKind
from imd.model.secret import Secret
from imd.model.template import Template
from tests.channels.samples import HOSTILE, digest, enormous, hostile, message, trial
from tests.channels.test_suite import STORY

SECONDS = 1.0
CANARY = "canary-password"


class Post:
    """The mailbox. `answers` are what it says to recipients and to the mail; "" is the usual."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.raw: list[bytes] = []
        self.to: list[list[str]] = []
        self.refuse: dict[str, str] = {}
        self.data = ""
        self.users: list[str] = []

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.data == "hang":
            await asyncio.sleep(60)
        if self.data:
            return self.data
        assert isinstance(envelope.content, bytes)
        self.raw.append(envelope.content)
        self.to.append(list(envelope.rcpt_tos))
        parsed = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(parsed, EmailMessage)
        self.mails.append(parsed)
        return "250 2.0.0 queued as 12345"

    def authenticate(self, *arguments: Any) -> AuthResult:
        found = arguments[-1]
        assert isinstance(found, LoginPassword)
        self.users.append(found.login.decode())
        return AuthResult(success=found.password == CANARY.encode(), handled=False)


@asynccontextmanager
async def server(**options: Any) -> AsyncIterator[tuple[Post, int]]:
    post = Post()
    if options.pop("auth", False):
        options |= {"authenticator": post.authenticate, "auth_required": True, "auth_require_tls": False}
    controller = Controller(post, hostname="127.0.0.1", port=0, **options)
    loop = asyncio.get_running_loop()
    factory: Callable[[], Any] = controller.factory
    listening = await loop.create_server(factory, "127.0.0.1", 0, ssl=options.get("ssl_context"))
    try:
        yield post, listening.sockets[0].getsockname()[1]
    finally:
        listening.close()


def settings(port: int, **changes: Any) -> EmailSettings:
    fields: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": port,
        "tls": Tls.NONE,
        "sender": "imd <imd@example.com>",
        "to": ("ana@example.com",),
    }
    return EmailSettings(**{**fields, **changes})


async def send(channel: Email, *deliveries: Any) -> tuple[Answer, bytes]:
    conversation = b""
    given: Answer = Receipt()
    for each in deliveries:
        given = await channel.send(each, 1, conversation)
        assert CANARY not in repr(given)
        if isinstance(given, Receipt):
            conversation = given.conversation or conversation
    return given, conversation


def channel_for(made: EmailSettings, writer: Writer | None = None) -> Email:
    return Email(made, writer or Writer(), SECONDS, SECONDS)


async def test_a_page_is_a_mail_in_plain_text_and_html() -> None:
    async with server() as (post, port):
        given, _ = await send(channel_for(settings(port)), message(priority=Priority.P1))
    assert given == Receipt("250 2.0.0 queued as 12345", given.conversation)  # type: ignore[union-attr]
    (mail,) = post.mails
    assert mail["From"] == "imd <imd@example.com>"
    assert mail["To"] == "ana@example.com"
    assert mail["Subject"] == "[P1] #1 KubeNodeNotReady c1 n1: kubelet stopped posting node status"
    assert mail["Date"] == "Sat, 21 Nov 2026 21:24:02 +0000"
    assert mail["Message-ID"] == "<96dc2baa782af44b-i000000000001-1@example.com>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Importance"] == "high"
    assert "In-Reply-To" not in mail
    plain, html = (mail.get_body((form,)).get_content() for form in ("plain", "html"))  # type: ignore[union-attr]
    assert plain.replace("\r", "").startswith(
        "PAGE P1 #1 KubeNodeNotReady c1 n1: kubelet stopped posting node status\nPriority: P1\n"
    )
    assert '<a href="https://wiki.example/node-loss">Runbook</a>' in html


async def test_all_mails_of_an_incident_are_one_thread() -> None:
    """Each refers to the first and to the one before, and keeps the subject."""
    async with server() as (post, port):
        await send(channel_for(settings(port)), *STORY)
    first, *later = post.mails
    assert len(later) == len(STORY) - 1
    for before, mail in zip(post.mails, later, strict=False):
        assert mail["In-Reply-To"] == before["Message-ID"]
        assert mail["References"].split() == list(dict.fromkeys([first["Message-ID"], before["Message-ID"]]))
        assert mail["Subject"] == f"Re: {first['Subject']}"
    assert len({mail["Message-ID"] for mail in post.mails}) == len(STORY)


async def test_a_mail_has_one_message_id_over_its_attempts() -> None:
    async with server() as (post, port):
        channel = channel_for(settings(port))
        post.data = "451 4.3.0 try again"
        given = await channel.send(message(), 1)
        assert given == Temporary(f"smtp://127.0.0.1:{port} answered 451: 4.3.0 try again")
        post.data = ""
        await channel.send(message(), 2)
        await channel.send(message(), 3)
    assert post.mails[0]["Message-ID"] == post.mails[1]["Message-ID"]


@pytest.mark.parametrize("make", [hostile, enormous])
async def test_no_label_makes_a_header(make: Any) -> None:
    """Nor a recipient, nor a tag in the HTML; a huge storm is still a mail."""
    async with server() as (post, port):
        given, _ = await send(
            channel_for(settings(port)), make(), make(PageKind.ACKNOWLEDGED, 2), make(PageKind.NOTE, 3)
        )
    assert isinstance(given, Receipt)
    for mail, to in zip(post.mails, post.to, strict=True):
        assert to == ["ana@example.com"]
        assert set(mail.keys()) <= {
            "From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "Auto-Submitted",
            "X-Auto-Response-Suppress", "X-Mailer", "Importance", "MIME-Version", "Content-Type",
        }  # fmt: skip
        assert len(mail["Subject"]) <= 210
        html = mail.get_body(("html",)).get_content()  # type: ignore[union-attr]
        assert "<script" not in html
        assert html.count("<b>") == html.count("</b>")
        assert max(map(len, post.raw[0].split(b"\r\n"))) <= 998


@pytest.mark.parametrize(
    "title",
    ["a … b", "Datenträger läuft über: " + "ä" * 170, "障害" * 90, "x" * 190, "words and words of plain text " * 6],
)
async def test_mails_are_seven_bits_in_lines_that_every_server_takes(title: str) -> None:
    """8BITMIME is not asked for, so no byte is above 127; encoded lines have 76 (RFC 2045, 2047), and all is read back
    as it was written. Alerts hold lines without end."""
    long = message(labels={"cluster": "ü" * 150 + " " + "y" * 1500})
    body = msgspec.json.decode(long.body)
    body["incident"]["title"] = title
    long = msgspec.structs.replace(long, body=msgspec.json.encode(body))
    async with server() as (post, port):
        channel = channel_for(settings(port, sender="Bereitschaft für alle <imd@example.com>"))
        await send(channel, long, msgspec.structs.replace(long, id=long.id + "-" + "9" * 120))
    for raw, mail in zip(post.raw, post.mails, strict=True):
        assert raw.isascii()
        head, _, rest = raw.partition(b"\r\n\r\n")
        assert max(map(len, rest.split(b"\r\n"))) <= 78
        assert all(len(word) <= 75 for word in re.findall(rb"=\?[^?]+\?[bq]\?[^?]*\?=", head))
        assert all(len(line) <= 76 for line in head.split(b"\r\n") if b"=?" in line)
        assert b"Message-ID: <" in head
        assert title[:100].strip() in mail["Subject"]
        assert mail["From"] == "Bereitschaft für alle <imd@example.com>"
        plain = mail.get_body(("plain",))
        assert plain is not None
        assert "ü" * 150 in plain.get_content()
    assert post.mails[1]["In-Reply-To"] == post.mails[0]["Message-ID"]


async def test_test_pages_and_digests_stand_alone() -> None:
    async with server() as (post, port):
        _, conversation = await send(channel_for(settings(port)), trial(), digest())
    assert conversation == b""
    assert [mail["Subject"] for mail in post.mails] == ["TEST is this thing on? (by ana)", "DIGEST P2 3 incidents"]


async def test_an_operators_html() -> None:
    writer = Writer(Templates(body=Template("<h1>{{ number }}</h1>{{ labels.cluster }}")))
    async with server() as (post, port):
        await send(channel_for(settings(port), writer), message(labels={"cluster": HOSTILE}))
    html = post.mails[0].get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert "<h1>1</h1>a" in html
    assert "<script" not in html


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("550 5.7.1 rejected", Permanent),
        ("554 5.6.0 no", Permanent),
        ("452 4.2.2 full", Temporary),
        ("421 4.3.2 going down", Temporary),
    ],
)
async def test_four_passes_and_five_does_not(said: str, kind: type[Answer]) -> None:
    """RFC 5321 4.2.1, to the mail and to its only recipient alike."""
    async with server() as (post, port):
        post.data = said
        given = await channel_for(settings(port)).send(message(), 1)
        assert isinstance(given, kind)
        post.data, post.refuse = "", {"ana@example.com": said}
        given = await channel_for(settings(port)).send(message(), 1)
        assert isinstance(given, kind)
        if isinstance(given, Temporary):
            assert not given.ambiguous
    assert post.mails == []


async def test_those_put_off_are_tried_again_alone() -> None:
    """Ana has the mail; the second attempt is for ben alone. One refused for good is passed over."""
    async with server() as (post, port):
        channel = channel_for(settings(port, to=("ana@example.com", "ben@example.com", "gone@example.com")))
        post.refuse = {"ben@example.com": "450 4.2.0 greylisted", "gone@example.com": "550 5.1.1 no such user"}
        given = await channel.send(message(), 1)
        assert isinstance(given, Temporary)
        assert "ben@example.com: 450" in given.error
        del post.refuse["ben@example.com"]
        taken = await channel.send(message(), 2)
    assert isinstance(taken, Receipt)
    assert (taken.detail, taken.refused) == ("250 2.0.0 queued as 12345", "gone@example.com: 550 5.1.1 no such user")
    assert post.to == [["ana@example.com"], ["ben@example.com"]]


async def test_all_refused_is_a_refusal() -> None:
    async with server() as (post, port):
        post.refuse = {"ana@example.com": "550 5.1.1 no such user"}
        given = await channel_for(settings(port)).send(message(), 1)
    assert given == Permanent(f"smtp://127.0.0.1:{port} refuses ana@example.com: 550 5.1.1 no such user")


async def test_silence_after_the_mail_is_ambiguous() -> None:
    async with server() as (post, port):
        post.data = "hang"
        given = await channel_for(settings(port)).send(message(), 1)
    assert isinstance(given, Temporary)
    assert given.ambiguous


async def serve(talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]) -> tuple[asyncio.Server, int]:
    started = await asyncio.start_server(talk, "127.0.0.1", 0)
    return started, started.sockets[0].getsockname()[1]


@pytest.mark.parametrize("greeting", [b"", b"554 no\r\n", b"421 busy\r\n", b"hello\r\n", b"\xff\xff\r\n"])
async def test_a_server_that_does_not_talk(greeting: bytes) -> None:
    """Closed, refused, nonsense: nothing was sent, and it says so."""

    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        writer.close()

    started, port = await serve(talk)
    given = await channel_for(settings(port)).send(message(), 1)
    started.close()
    assert isinstance(given, Temporary | Permanent)
    assert getattr(given, "ambiguous", False) is False


async def test_nobody_there_or_silent() -> None:
    async def talk(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    started, port = await serve(talk)
    given = await channel_for(settings(port)).send(message(), 1)
    assert given == Temporary(f"smtp://127.0.0.1:{port}: no connection within 1 s")
    started.close()
    await started.wait_closed()
    given = await channel_for(settings(port)).send(message(), 1)
    assert isinstance(given, Temporary)
    assert not given.ambiguous


async def test_reset_while_the_mail_leaves_is_ambiguous() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hi\r\n")
        while line := await reader.readline():
            if line.upper().startswith(b"DATA"):
                writer.write(b"354 go\r\n")
                await reader.readuntil(b"\r\n.\r\n")
                writer.transport.abort()
                return
            writer.write(b"250 ok\r\n")

    started, port = await serve(talk)
    given = await channel_for(settings(port)).send(message(), 1)
    started.close()
    assert isinstance(given, Temporary)
    assert given.ambiguous


async def test_auth() -> None:
    """The right password; the wrong one is a refusal that does not show it, in any of its forms."""
    async with server(auth=True) as (post, port):
        right = settings(port, username="imd", password=Secret(CANARY))
        assert isinstance(await channel_for(right).send(message(), 1), Receipt)
        wrong = settings(port, username="imd", password=Secret("canary-wrong"))
        given = await channel_for(wrong).send(message(), 1)
    assert set(post.users) == {"imd"}
    assert isinstance(given, Permanent)
    assert "535" in given.error
    assert "canary" not in given.error


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's context whose authority the system knows of."""
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


async def test_starttls_is_required(trusted: ssl.SSLContext) -> None:
    """With it, mail goes; a server that has none gets nothing, not even the name of a user."""
    async with server(tls_context=trusted, require_starttls=True) as (post, port):
        given = await channel_for(settings(port, tls=Tls.STARTTLS)).send(message(), 1)
        assert isinstance(given, Receipt), given
        assert len(post.mails) == 1
    async with server(auth=True) as (post, port):
        made = settings(port, tls=Tls.STARTTLS, username="imd", password=Secret(CANARY))
        given = await channel_for(made).send(message(), 1)
    assert isinstance(given, Permanent)
    assert "STARTTLS" in given.error
    assert post.users == []


async def test_implicit_tls(trusted: ssl.SSLContext) -> None:
    async with server(ssl_context=trusted) as (post, port):
        given = await channel_for(settings(port, tls=Tls.IMPLICIT)).send(message(), 1)
    assert isinstance(given, Receipt), given
    assert len(post.mails) == 1


async def test_a_certificate_of_nobody_is_not_taken(authority: trustme.CA) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with server(tls_context=context, require_starttls=True) as (post, port):
        given = await channel_for(settings(port, tls=Tls.STARTTLS)).send(message(), 1)
    assert isinstance(given, Temporary)
    assert not given.ambiguous
    assert post.mails == []


@pytest.mark.parametrize("host", ["169.254.169.254", "0x7f.1", "2130706433", "100.100.100.200"])
async def test_metadata_addresses_are_refused(host: str) -> None:
    given = await channel_for(settings(25, host=host)).send(message(), 1)
    assert isinstance(given, Permanent)
    assert "not allowed" in given.error


@pytest.mark.parametrize("kept", [b"", b"{}", b'{"type":"slack","channel":"x"}', b"\xff"])
async def test_a_conversation_of_another_kind_counts_as_none(kept: bytes) -> None:
    async with server() as (post, port):
        assert isinstance(await channel_for(settings(port)).send(message(), 1, kept), Receipt)
    assert "References" not in post.mails[0]
