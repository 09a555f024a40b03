"""The `email` receiver: one mail a message, all of an incident in one thread.

Owns headers, bodies and the SMTP dialogue. A mail's Message-ID is made of the delivery's id, so it is the same at each
attempt and whoever looks at it sees a double; the first mail of an incident is what all later ones refer to, and they
keep its subject, for some readers thread by that. Text from alerts stands in bodies and in one header, the subject, and
is one line there.

Addresses are judged as for HTTP (`connector`), and the address judged is the one connected to. Sources: RFC 5321, 5322
(3.6.4 for threading), 3834 (Auto-Submitted), 8314 (ports), aiosmtplib 5.
"""

from __future__ import annotations

import asyncio
import contextlib
import html
import socket
import ssl
from base64 import b64encode
from collections import OrderedDict
from collections.abc import AsyncIterator
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.policy import EmailPolicy
from email.utils import format_datetime, parseaddr
from typing import Any

import aiosmtplib
import msgspec

from imd import __version__
from imd.channels import text
from imd.channels.connector import AddressRefused, NameRefused, Resolver
from imd.channels.contract import Answer, Conversation, Pace, Permanent, Receipt, Temporary, recall
from imd.channels.text import Dialect, Message, Writer
from imd.config.channelsettings import EmailSettings, Tls
from imd.model.addresses import odd_literal
from imd.model.effect import Delivery
from imd.model.incident import Priority
from imd.model.policy import PageKind

DEFAULT_PORT = {Tls.STARTTLS: 587, Tls.IMPLICIT: 465, Tls.NONE: 25}
BODY_CHARS_MAX = 100_000
SUBJECT_CHARS_MAX = 200  # beyond, readers cut it themselves
REMEMBERED_MAX = 1_000

_WIDE = SMTP_POLICY.clone(cte_type="7bit", max_line_length=998)


class _Policy(EmailPolicy):
    """Seven bits alone, for 8BITMIME is not asked for, and lines of 76: more breaks quoted-printable and base64 (RFC
    2045 6.7, 6.8) and encoded words (RFC 2047 2). Other headers stay on one line of up to 998 (RFC 5322 2.1.1): folded
    at 76 a long Message-ID or a subject's first word would become an encoded word, or begin on a second line."""

    def fold_binary(self, name: str, value: Any) -> bytes:
        return _WIDE.fold_binary(name, value) if str(value).isascii() else super().fold_binary(name, value)

    def fold(self, name: str, value: Any) -> str:
        folded: str = _WIDE.fold(name, value) if str(value).isascii() else super().fold(name, value)
        return folded


_POLICY = _Policy(linesep="\r\n", cte_type="7bit", max_line_length=76)

HTML = Dialect(
    escape=lambda value: html.escape(value, quote=True),
    bold=lambda value: f"<b>{value}</b>",
    link=lambda value, url: f'<a href="{html.escape(url, quote=True)}">{value}</a>',
    newline="<br>\n",
    whole=True,
)


class _Mails(msgspec.Struct, frozen=True, tag="email"):
    """The incident's first mail and its last, and the subject of the first."""

    first: str
    last: str
    subject: str


class Email:
    """Sends through one server, to the same people. `timeouts` are seconds to connect and for each of its answers."""

    paces: tuple[Pace, ...] = ()

    def __init__(
        self, settings: EmailSettings, writer: Writer, connect_seconds: float = 3.0, total_seconds: float = 10.0
    ) -> None:
        self._settings = settings
        self._port = settings.port or DEFAULT_PORT[settings.tls]
        self._writer = writer
        self._connect_seconds = connect_seconds
        self._total_seconds = total_seconds
        self._shown = f"smtp://{settings.host}:{self._port}"
        self._sender = parseaddr(settings.sender)[1]
        self._secrets = _secrets(settings)
        self._resolver: Resolver | None = None
        self._taken: OrderedDict[str, set[str]] = OrderedDict()

    async def send(self, delivery: Delivery, attempt: int, conversation: Conversation = b"") -> Answer:
        mails = recall(conversation, _Mails)
        mail = self.mail(self._writer.message(delivery), mails)
        phase = _Phase()
        try:
            async with asyncio.timeout(self._total_seconds):
                refused = await self._transfer(delivery, mail, phase)
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:  # TimeoutError is an OSError
            return self._failure(error, phase)
        if refused is not None:
            return refused
        self._taken.pop(delivery.id, None)
        ours = str(mail["Message-ID"])
        if mails is None:
            mails = _Mails(first=ours, last=ours, subject=str(mail["Subject"]))
        kept = msgspec.json.encode(msgspec.structs.replace(mails, last=ours)) if delivery.incident else b""
        return Receipt(phase.words, kept, refused=phase.refused)

    async def close(self) -> None:
        """Nothing: no connection outlives its `send`."""

    def mail(self, message: Message, mails: _Mails | None) -> EmailMessage:
        """The mail as it is sent, whatever the labels hold."""
        delivery = message.delivery
        mail = EmailMessage(policy=_POLICY)
        mail["From"] = self._settings.sender
        mail["To"] = ", ".join(self._settings.to)
        mail["Subject"] = _subject(message, mails)
        mail["Date"] = format_datetime(delivery.created_at)
        mail["Message-ID"] = f"<{_local_part(delivery.id)}@{self._domain()}>"
        if mails is not None and delivery.incident:
            mail["In-Reply-To"] = mails.last
            mail["References"] = mails.first if mails.first == mails.last else f"{mails.first} {mails.last}"
        mail["Auto-Submitted"] = "auto-generated"
        mail["X-Auto-Response-Suppress"] = "All"  # Exchange's way to say the same
        mail["X-Mailer"] = f"imd/{__version__}"
        if delivery.kind is PageKind.PAGE and delivery.priority in (Priority.P1, Priority.P2):
            mail["Importance"] = "high"
        headline = message.headline
        mail.set_content(self._writer.built_in(message, text.PLAIN, BODY_CHARS_MAX, head=headline) + "\n")
        body = self._writer.body(message, HTML, BODY_CHARS_MAX, head=HTML.bold(HTML.escape(headline)))
        mail.add_alternative(f"<!DOCTYPE html>\n<html><body>\n{body}\n</body></html>\n", subtype="html")
        return mail

    def _domain(self) -> str:
        return self._sender.rpartition("@")[2] or "imd.invalid"

    async def _transfer(self, delivery: Delivery, mail: EmailMessage, phase: _Phase) -> Answer | None:
        """The dialogue. None once the mail was taken for everybody; a refusal in words of its own otherwise."""
        async with self._connected(phase) as smtp:
            await smtp.mail(self._sender)
            taken = self._taken.get(delivery.id, set())
            failed = await self._recipients(smtp, [one for one in self._settings.to if one not in taken])
            meant = {one for one in self._settings.to if one not in taken and one not in failed}
            if meant:
                phase.leaving = True
                answer = await smtp.data(mail.as_bytes())
                phase.leaving = False
                phase.words = self._redact(f"{answer.code} {answer.message}")[:200]
                self._remember(delivery.id, taken | meant)
            return self._judge_recipients(failed, phase)

    async def _recipients(self, smtp: aiosmtplib.SMTP, to: list[str]) -> dict[str, aiosmtplib.SMTPRecipientRefused]:
        failed = {}
        for address in to:
            try:
                await smtp.rcpt(address)
            except aiosmtplib.SMTPRecipientRefused as refused:
                failed[address] = refused
        return failed

    def _judge_recipients(self, failed: dict[str, aiosmtplib.SMTPRecipientRefused], phase: _Phase) -> Answer | None:
        """Those put off are tried again, alone. Those refused are said; if nobody is left, it is a refusal."""
        words = "; ".join(self._redact(f"{address}: {one.code} {one.message}") for address, one in failed.items())
        if any(400 <= one.code < 500 for one in failed.values()):
            return Temporary(f"{self._shown} puts off {words}"[:500])
        if failed and len(failed) == len(self._settings.to):
            return Permanent(f"{self._shown} refuses {words}"[:500])
        if failed:
            phase.refused = words[:500]
        return None

    def _remember(self, delivery_id: str, taken: set[str]) -> None:
        """Who got it, for the next attempt of this process; bounded, for what is forgotten is merely sent again."""
        self._taken[delivery_id] = taken
        while len(self._taken) > REMEMBERED_MAX:
            self._taken.popitem(last=False)

    @contextlib.asynccontextmanager
    async def _connected(self, phase: _Phase) -> AsyncIterator[aiosmtplib.SMTP]:
        settings = self._settings
        async with asyncio.timeout(self._connect_seconds):
            sock = await self._socket()
            smtp = aiosmtplib.SMTP(
                hostname=settings.host,
                sock=sock,
                use_tls=settings.tls is Tls.IMPLICIT,
                start_tls=False,
                local_hostname=_own_name(),
                timeout=self._total_seconds,
            )
            await smtp.connect()
        phase.connected = True
        if settings.tls is Tls.STARTTLS:
            await smtp.ehlo()
            if not smtp.supports_extension("starttls"):
                smtp.close()
                raise aiosmtplib.SMTPNotSupported("it offers no STARTTLS, and `tls: starttls` asks for it")
            await smtp.starttls(server_hostname=settings.host)
        try:
            if settings.username and settings.password is not None:
                await smtp.login(settings.username, settings.password.reveal())
            yield smtp
            with contextlib.suppress(aiosmtplib.SMTPException, OSError):
                await smtp.quit(timeout=1)
        finally:
            smtp.close()

    async def _socket(self) -> socket.socket:
        """Connected to the first address that may be connected to and can. Raises OSError."""
        host = self._settings.host
        if odd_literal(host):
            raise AddressRefused("a number in disguise")
        loop = asyncio.get_running_loop()
        if self._resolver is None:
            self._resolver = Resolver(True, loop)
        failure: OSError = OSError("it has no address")
        for found in await self._resolver.resolve(host, self._port):
            sock = socket.socket(found["family"], socket.SOCK_STREAM)
            sock.setblocking(False)
            try:
                await loop.sock_connect(sock, (found["host"], found["port"]))
            except OSError as error:
                sock.close()
                failure = error
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        raise failure

    def _failure(self, error: Exception, phase: _Phase) -> Answer:
        shown = self._shown
        match error:
            case NameRefused():
                return Temporary(f"{shown} has an address that is not allowed: {error}")
            case AddressRefused():
                return Permanent(f"{shown} has an address that is not allowed: {error}")
            case aiosmtplib.SMTPNotSupported():
                return Permanent(f"{shown}: {self._redact(str(error))}")
            case aiosmtplib.SMTPResponseException():
                words = self._redact(f"{shown} answered {error.code}: {error.message}")[:300]
                return Permanent(words) if 500 <= error.code < 600 else Temporary(words)
            case TimeoutError() | aiosmtplib.SMTPTimeoutError():
                what = "no answer in time" if phase.connected else f"no connection within {self._connect_seconds:g} s"
                return Temporary(f"{shown}: {what}", ambiguous=phase.leaving)
            case aiosmtplib.SMTPServerDisconnected():
                return Temporary(f"{shown} hung up", ambiguous=phase.leaving)
            case aiosmtplib.SMTPException():
                return Temporary(f"{shown}: {self._redact(str(error))}"[:300], ambiguous=phase.leaving)
            case ssl.SSLCertVerificationError():
                return Temporary(f"{shown}: its certificate is not valid ({error.verify_message})")
            case ValueError():
                return Permanent(f"{shown}: the mail cannot be made ({type(error).__name__})")
            case _:
                words = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
                return Temporary(f"{shown}: {words}", ambiguous=phase.leaving)

    def _redact(self, words: str) -> str:
        for secret in self._secrets:
            words = words.replace(secret, "<secret>")
        return text.one_line(words, 500)


class _Phase:
    """How far it went: `leaving` while the mail itself is on its way, the time in which nobody knows."""

    connected = False
    leaving = False
    words = ""
    refused = ""


def _subject(message: Message, mails: _Mails | None) -> str:
    if mails is not None and message.delivery.incident:
        return text.cut(f"Re: {text.one_line(mails.subject, SUBJECT_CHARS_MAX)}", SUBJECT_CHARS_MAX + 4)
    incident = message.incident
    if incident is None:
        return text.one_line(message.headline, SUBJECT_CHARS_MAX)
    named = f"[{message.delivery.priority.value}] #{incident.number} {message.title}"
    return text.one_line(named, SUBJECT_CHARS_MAX)


def _local_part(delivery_id: str) -> str:
    """Of a Message-ID: only what needs no quotes there."""
    return "".join(char if char.isascii() and (char.isalnum() or char in "-_.") else "-" for char in delivery_id)


def _own_name() -> str:
    """For EHLO. getfqdn would ask the DNS, and block."""
    name = socket.gethostname()
    return name if name.isascii() and name and " " not in name else "localhost"


def _secrets(settings: EmailSettings) -> tuple[str, ...]:
    """The password as it is and as AUTH writes it."""
    if settings.password is None:
        return ()
    password, user = settings.password.reveal(), settings.username
    plain = b64encode(f"\0{user}\0{password}".encode()).decode()
    return tuple(filter(None, (plain, b64encode(password.encode()).decode(), password)))
