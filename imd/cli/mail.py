"""`imd mail --source NAME < message`: one mail becomes one request to the daemon, for the pipe of a mail server.

Owns what is read from a message: subject, sender, date and the text of its body; attachments are passed over. What it
means for an alert is the source's (`sources.email`). Nothing is kept here: until the daemon has it on disk the mail is
the mail server's, which is told so by the exit code 75 (EX_TEMPFAIL of sysexits.h) and tries again.
"""

from __future__ import annotations

import os
import re
import sys
from argparse import Namespace
from datetime import UTC
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from html import unescape
from typing import BinaryIO
from urllib.parse import quote

from imd.cli.failure import Failed
from imd.cli.remote import Daemon

TRY_AGAIN = 75
MESSAGE_BYTES_MAX = 10 * 1024 * 1024
TEXT_CHARS_MAX = 64 * 1024
_HEADER_CHARS_MAX = 2000
_TAGS = re.compile(r"<(?:script|style)\b.*?</(?:script|style)\s*>|<[^>]*>", re.IGNORECASE | re.DOTALL)


def run(arguments: Namespace, stdin: BinaryIO | None = None) -> int:
    """0: on disk. 1: refused for good. 75: the mail server is to try again."""
    raw = (stdin or sys.stdin.buffer).read(MESSAGE_BYTES_MAX + 1)
    if len(raw) > MESSAGE_BYTES_MAX:
        raise Failed(f"the message is larger than {MESSAGE_BYTES_MAX} bytes")
    daemon = Daemon.of(arguments, os.environ)
    try:
        daemon.post(f"/v1/ingest/{quote(arguments.source, safe='')}", read_message(raw))
    except Failed as failure:
        if not failure.again:
            raise
        print(f"imd: {failure}; try again", file=sys.stderr)
        return TRY_AGAIN
    return 0


def read_message(raw: bytes) -> dict[str, str]:
    """What a source of type email reads. Whatever the bytes are, something comes of them."""
    message = message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)
    read = {
        "subject": _header(message, "Subject"),
        "from": _header(message, "From"),
        "to": _header(message, "To"),
        "message_id": _header(message, "Message-ID"),
        "in_reply_to": _header(message, "In-Reply-To"),
        "auto_submitted": _header(message, "Auto-Submitted"),
        "date": _date(message),
        "text": _text(message),
    }
    return {name: text for name, text in read.items() if text or name == "subject"}


def _header(message: EmailMessage, name: str) -> str:
    """Decoded and in one line. A header that the standard library stumbles over is shown as it came."""
    try:
        value = str(message.get(name, ""))
    except (ValueError, LookupError, IndexError, AttributeError, TypeError):
        value = next((str(raw) for known, raw in message.raw_items() if known.lower() == name.lower()), "")
    return " ".join(_sound(value).split())[:_HEADER_CHARS_MAX]


def _date(message: EmailMessage) -> str:
    try:
        at = parsedate_to_datetime(_header(message, "Date"))
        return at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC).isoformat()
    except (ValueError, TypeError, OverflowError):
        return ""


def _text(message: EmailMessage) -> str:
    """The plain text, else the HTML without its tags."""
    try:
        part = message.get_body(("plain", "html"))
        content = str(part.get_content()) if part is not None else ""
        if part is not None and part.get_content_subtype() == "html":
            content = unescape(_TAGS.sub(" ", content))
    except (ValueError, LookupError, AttributeError, TypeError):
        payload = message.get_payload(decode=True)
        content = payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""
    return _sound(content).strip()[:TEXT_CHARS_MAX]


def _sound(text: str) -> str:
    """Without what JSON cannot carry."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")
