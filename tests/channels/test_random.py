"""Every vendor under random incidents: whatever senders and people write, in whatever order kinds come, it is taken,
and the conversation stays within its bound."""

from __future__ import annotations

import asyncio
import email
import email.policy
import string
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imd.channels.contract import CONVERSATION_BYTES_MAX, Receipt
from imd.channels.email import Email
from imd.channels.text import Writer
from imd.config.channelsettings import EmailSettings
from imd.model.effect import Delivery
from imd.model.incident import Priority
from imd.model.policy import PageKind, PageReason
from tests.channels.samples import digest, message, trial
from tests.channels.test_suite import ends
from tests.channels.vendors import VENDORS

MARKUP = "<>&*_~`|[](){}#!@\\\"'-+.:=%$\r\n\t\0\x1b\u200b\u202e\ue000\ue001\ue002\ue003"
TEXT = st.text(st.one_of(st.sampled_from(MARKUP + string.ascii_letters), st.characters(codec="utf-8")), max_size=300)
NAME = st.text(string.ascii_lowercase + "_", min_size=1, max_size=12)
KINDS = [kind for kind in PageKind if kind is not PageKind.DIGEST]


@st.composite
def deliveries(draw: st.DrawFn) -> list[Delivery]:
    """A few messages of one incident, and sometimes one of none."""
    found: list[Delivery] = []
    for seq in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(KINDS))
        title = "".join(char for char in draw(TEXT) if char.isprintable())
        text: dict[str, Any] = {
            "labels": draw(st.dictionaries(NAME, TEXT, max_size=4)),
            "annotations": draw(st.dictionaries(st.sampled_from(["summary", "description", "x"]), TEXT, max_size=3)),
            "resolved_because": draw(TEXT) or None,
            "acknowledged_by": draw(TEXT) or None,
            "merged_into": draw(st.sampled_from([None, "i000000000009"])),
            "root_cause": draw(st.sampled_from([None, {"entity": draw(TEXT), "reason": draw(TEXT)}])),
        }
        found.append(
            message(
                kind,
                seq + 1,
                title=title,
                reason=draw(st.sampled_from(list(PageReason))) if kind is PageKind.PAGE else None,
                priority=draw(st.sampled_from(list(Priority))),
                alerts=draw(st.integers(0, 3)),
                note=draw(TEXT) if kind is PageKind.NOTE else None,
                **text,
            )
        )
    return found + draw(st.sampled_from([[], [trial(draw(TEXT))], [digest()]]))


@pytest.mark.parametrize("name", VENDORS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(told=deliveries())
def test_everything_is_taken(name: str, told: list[Delivery]) -> None:
    async def tell() -> None:
        async with ends(name) as at:
            conversation = b""
            for each in told:
                given_back = await at.channel.send(each, 1, conversation if each.incident else b"")
                assert isinstance(given_back, Receipt), (each.kind, given_back, at.server.requests[-1].body)
                assert len(given_back.conversation) <= CONVERSATION_BYTES_MAX
                conversation = given_back.conversation or conversation

    asyncio.run(tell())


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(told=deliveries())
def test_no_text_makes_a_header(told: list[Delivery]) -> None:
    """A mail has the headers that it has, one line each and none too long, and its HTML only our tags."""
    channel = Email(EmailSettings(host="mx", sender="imd@example.com", to=("ana@example.com",)), Writer())
    for each in told:
        raw = channel.mail(channel._writer.message(each), None).as_bytes()
        assert max(map(len, raw.split(b"\r\n"))) <= 998
        parsed = email.message_from_bytes(raw, policy=email.policy.default)
        assert {name.lower() for name in parsed} <= {
            "from", "to", "subject", "date", "message-id", "auto-submitted", "x-auto-response-suppress", "x-mailer",
            "importance", "mime-version", "content-type",
        }  # fmt: skip
        assert str(parsed["To"]) == "ana@example.com"
        html = parsed.get_body(("html",)).get_content()  # type: ignore[union-attr]
        assert html.count("<b>") == html.count("</b>")
        assert html.count("<a ") == html.count("</a>")
