"""`imd mail`: what is read of a message, whatever it is, and what the mail server is told."""

from __future__ import annotations

import io
import json
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imd.cli.mail import MESSAGE_BYTES_MAX, read_message
from tests.cli.conftest import Imd
from tests.cli.standin import StandIn

PLAIN = b"""From: Nagios <nagios@mon.example>
To: imd@example
Subject: =?utf-8?q?PROBLEM=3A_Platte_voll_=C3=BC?=
Date: Sat, 21 Nov 2026 11:00:00 +0100
Message-ID: <1@mon.example>
Content-Type: text/plain; charset=utf-8

/var is full
"""


class _Stdin:
    def __init__(self, content: bytes) -> None:
        self.buffer = io.BytesIO(content)


@pytest.fixture
def mailed(imd: Imd, monkeypatch: pytest.MonkeyPatch) -> Any:
    def run(content: bytes) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", _Stdin(content))
        return imd("mail", "--source", "mail")

    return run


def test_a_mail_becomes_one_request(daemon: StandIn, mailed: Any) -> None:
    daemon.answers["POST /v1/ingest/mail"] = (200, {"accepted": 1, "rejected": []})
    assert mailed(PLAIN) == (0, "", "")
    assert daemon.asked[0].body == {
        "subject": "PROBLEM: Platte voll ü",
        "from": "Nagios <nagios@mon.example>",
        "to": "imd@example",
        "message_id": "<1@mon.example>",
        "date": "2026-11-21T10:00:00+00:00",
        "text": "/var is full",
    }


@pytest.mark.parametrize(
    ("status", "code"), [(200, 0), (400, 1), (413, 1), (401, 75), (403, 75), (404, 75), (503, 75), (500, 75), (0, 75)]
)
def test_the_mail_server_is_told_what_to_do(daemon: StandIn, mailed: Any, status: int, code: int) -> None:
    """Gone when it is on disk; back to its sender when refused; kept and tried again otherwise."""
    daemon.answers["POST /v1/ingest/mail"] = (status, {"title": "so", "status": status})
    assert mailed(PLAIN)[0] == code


def test_no_daemon_is_try_again(imd: Imd, mailed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMD_URL", "http://127.0.0.1:1")
    code, _, err = mailed(PLAIN)
    assert code == 75
    assert err.endswith("; try again\n")


def test_too_large_is_refused(daemon: StandIn, mailed: Any) -> None:
    assert mailed(PLAIN + b"x" * MESSAGE_BYTES_MAX)[0] == 1
    assert daemon.asked == []


def test_html_attachments_and_charsets() -> None:
    message = EmailMessage()
    message["Subject"] = "Disk"
    message.set_content("<style>p {}</style><p>full &amp; slow</p>", subtype="html")
    assert read_message(message.as_bytes())["text"] == "full & slow"
    message = EmailMessage()
    message.set_content("see there")
    message.add_attachment(b"\x00\x01", maintype="application", subtype="octet-stream", filename="x.bin")
    assert read_message(message.as_bytes()) == {"subject": "", "text": "see there"}
    odd = b"Subject: caf\xe9\nDate: nonsense\nContent-Type: text/plain; charset=no-such\n\nna\xefve\n"
    assert read_message(odd)["subject"] == "caf\ufffd"
    assert "date" not in read_message(odd)


lines = st.sampled_from([
    b"Subject: ", b"From: ", b"Date: ", b"Content-Type: multipart/mixed; boundary=x", b"--x", b"--x--", b"",
    b"Content-Transfer-Encoding: base64", b"Content-Type: text/html; charset=utf-8", b"=?utf-8?b?////?=",
    b"MIME-Version: 1.0", b"To: =?x?q?y", b"Message-ID: <",
    b"Content-Disposition: attachment; filename*=utf-8''%", b"From: a@[",
    b" folded",
]) | st.binary(max_size=20)  # fmt: skip


@given(st.lists(st.tuples(lines, st.binary(max_size=10)), max_size=14))
@settings(max_examples=400, deadline=None)
def test_something_comes_of_any_bytes(parts: list[tuple[bytes, bytes]]) -> None:
    read = read_message(b"\n".join(one + other for one, other in parts))
    json.dumps(read).encode()
    assert "\0" not in "".join(read.values())
