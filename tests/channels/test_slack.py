"""One message for each incident, edited, with a thread: what is seen in the channel, and what when Slack says no."""

from __future__ import annotations

import json
from typing import Any

import pytest

from imd.channels.contract import Permanent, Receipt, Temporary
from imd.channels.slack import RICH, _rich, escape
from imd.channels.text import Writer
from imd.config.channelsettings import Templates
from imd.model.policy import PageKind, PageReason
from imd.model.template import Template
from tests.channels.samples import HOSTILE, hostile, message
from tests.channels.server import Request, answer, speaks
from tests.channels.test_suite import STORY, ends, told
from tests.channels.vendors import Reply, Slack, said


def words(blocks: list[dict[str, Any]]) -> str:
    """What a reader sees."""
    shown = []
    for block in blocks:
        if block["type"] == "section":
            shown.append(block["text"]["text"])
        else:
            shown += [element["text"] for part in block["elements"] for element in part["elements"]]
    return "".join(shown)


async def test_one_message_is_edited_and_the_rest_is_its_thread() -> None:
    """The first page stands in the channel; each change edits it and is a reply; only a page again is broadcast; a note
    edits nothing."""
    async with ends("slack") as at:
        await told(at.channel, *STORY)
        seen = at.vendor.seen
    assert [what for what, _ in seen] == ["post", *["edit", "reply"] * 3, "reply", "edit", "reply"]
    ts = seen[0][1][0]
    assert all(body[1]["thread_ts"] == ts for what, body in seen if what == "reply")
    assert all(body[0] == ts for what, body in seen if what == "edit")
    assert [body[1]["reply_broadcast"] for what, body in seen if what == "reply"] == [False, True, False, False, False]
    replies = [words(body[1]["blocks"]) for what, body in seen if what == "reply"]
    assert "Changed: 2 firing." in replies[0]
    assert "Raised to P1." in replies[1]
    assert replies[2:] == ["Acknowledged by ana.", "Note: looking at it", "Resolved after 12m 7s: alerts resolved."]
    edits = [words(body[1]["blocks"]) for what, body in seen if what == "edit"]
    assert edits[-1].startswith("RESOLVED P1 #1 KubeNodeNotReady c1 n1: kubelet stopped posting node status")
    assert "State: resolved" in edits[-1]


async def test_the_first_message_says_what_is_needed() -> None:
    async with ends("slack") as at:
        await told(at.channel, message())
        (body,) = (request.json() for request in at.server.requests)
    assert body["text"] == "PAGE P2 #1 KubeNodeNotReady c1 n1: kubelet stopped posting node status"
    assert words(body["blocks"]).split("\n") == [
        "PAGE P2 #1 KubeNodeNotReady c1 n1: kubelet stopped posting node status" + "Priority: P2",
        "State: triggered",
        "Alerts: 2 firing",
        "Since: 2026-11-21 21:23 UTC",
        "Cause: host/n1, it explains the others",
        "Labels: cluster=c1 node=n1",
        "• firing KubePodNotReady pod=web-0: kubelet stopped posting node status",
        "• firing KubePodNotReady pod=web-1: kubelet stopped posting node status",
        "Incident",
        "Runbook",
    ]
    links = [e["url"] for e in body["blocks"][1]["elements"][0]["elements"] if e["type"] == "link"]
    assert links == ["https://imd.example/v1/incidents/i000000000001", "https://wiki.example/node-loss"]


async def test_labels_become_no_mention_link_or_mark() -> None:
    """rich_text is taken element by element; the fallback text is escaped; nothing but our own links is a link."""
    async with ends("slack") as at:
        kept = await told(at.channel, hostile())
        await at.channel.send(hostile(PageKind.NOTE, 2), 1, kept)
        for request in at.server.requests:
            body = request.json()
            assert "<!" not in body["text"]
            assert "<@" not in body["text"]
            elements = [e for block in body["blocks"] for part in block["elements"] for e in part["elements"]]
            assert {e["type"] for e in elements} <= {"text", "link"}
            assert all("evil" not in e["url"] for e in elements if e["type"] == "link")
            assert all(e.get("style", {"bold": True}) == {"bold": True} for e in elements)
            assert "日本語 🔥" in words(body["blocks"])
            assert "\u202e" not in words(body["blocks"])


async def test_a_deleted_message_is_posted_anew() -> None:
    """The incident gets a new message, and the rest follows that one."""
    async with ends("slack") as at:
        kept = await told(at.channel, STORY[0])
        seen = at.vendor.seen
        seen[0] = ("deleted", seen[0][1])
        given = await at.channel.send(STORY[1], 1, kept)
        assert isinstance(given, Receipt)
        assert given.conversation != kept
        await at.channel.send(STORY[5], 1, given.conversation)
    assert [what for what, _ in seen] == ["deleted", "post", "edit", "reply"]
    assert seen[2][1][0] == seen[3][1][1]["thread_ts"] == seen[1][1][0]


class Flaky(Slack):
    """Takes posts; edits meet `edit`."""

    def __init__(self, edit: Reply) -> None:
        super().__init__()
        self.edit = edit

    def handle(self, request: Request) -> Reply:
        return self.edit if request.path.endswith("update") else super().handle(request)


async def test_a_page_rings_although_the_edit_failed() -> None:
    """The edit shows, the reply rings: a page again does not wait for the edit. Other kinds wait, for both together."""
    flaky = Flaky(said(200, ok=False, error="ratelimited"))
    async with ends("slack", speaks(flaky.handle)) as at:
        kept = await told(at.channel, STORY[0])
        assert isinstance(await at.channel.send(STORY[1], 1, kept), Temporary)
        assert isinstance(await at.channel.send(STORY[2], 1, kept), Receipt)
    assert [what for what, _ in flaky.seen] == ["post", "reply"]


async def test_blocks_that_slack_does_not_take_are_left_out() -> None:
    """The page goes out as plain text."""
    bodies: list[dict[str, Any]] = []

    def picky(request: Request) -> Reply:
        bodies.append(request.json())
        if bodies[-1]["blocks"]:
            return said(200, ok=False, error="msg_blocks_too_long")
        return said(200, ok=True, channel="C1", ts="1.2")

    async with ends("slack", speaks(picky)) as at:
        assert isinstance(await at.channel.send(hostile(), 1), Receipt)
    assert bodies[1]["blocks"] == []
    assert "<!channel>" not in bodies[1]["text"]
    assert "&lt;!channel&gt;" in bodies[1]["text"]


async def test_another_channel_by_reload_begins_anew() -> None:
    """The thread belongs to the channel that was configured when it began."""
    async with ends("slack") as at:
        kept = json.loads(await told(at.channel, STORY[0]))
        other = json.dumps({**kept, "configured": "#elsewhere"}).encode()
        await at.channel.send(STORY[1], 1, other)
    assert [what for what, _ in at.vendor.seen] == ["post", "post"]


@pytest.mark.parametrize("error", ["internal_error", "fatal_error"])
async def test_slacks_own_faults_leave_open_whether_it_arrived(error: str) -> None:
    async with ends("slack", answer(*said(200, ok=False, error=error))) as at:
        given = await at.channel.send(message(), 1)
    assert isinstance(given, Temporary)
    assert given.ambiguous


async def test_errors_are_quoted() -> None:
    async with ends("slack", answer(*said(200, ok=False, error="not_in_channel"))) as at:
        given = await at.channel.send(message(), 1)
    assert isinstance(given, Permanent)
    assert given.error.endswith("answered not_in_channel")


async def test_an_operators_text_is_mrkdwn_with_what_it_inserts_escaped() -> None:
    template = Template("*{{ incident.title }}*\n<https://grafana.example|graph> {{ labels.cluster }}")
    writer = Writer(Templates(body=template))
    async with ends("slack", writer=writer) as at:
        await told(at.channel, message(labels={"cluster": "<!channel> & <https://evil.example|x>"}))
        section = at.server.requests[0].json()["blocks"][1]
    assert section["text"]["verbatim"] is True
    assert section["text"]["text"] == (
        "*KubeNodeNotReady c1 n1: kubelet stopped posting node status*\n"
        "<https://grafana.example|graph> &lt;!channel&gt; &amp; &lt;https://evil.example|x&gt;"
    )


async def test_a_template_that_fails_still_pages() -> None:
    """The built-in text goes out, and somebody is told."""
    failed: list[tuple[str, str]] = []
    writer = Writer(
        Templates(title=Template("{{ labels.nope }}"), body=Template("{{ 1 / 0 }}")),
        lambda which, why: failed.append((which, why)),
    )
    async with ends("slack", writer=writer) as at:
        await told(at.channel, message())
        body = at.server.requests[0].json()
    assert body["text"].startswith("PAGE P2 #1 KubeNodeNotReady")
    assert "Priority: P2" in words(body["blocks"])
    assert [which for which, _ in failed] == ["title", "body"]


def test_marks_from_outside_are_dropped() -> None:
    """The private-use characters that stand for marks inside are no way in."""
    assert _rich(RICH.escape("\ue000a\ue001 \ue002b\ue003c\ue001"))["elements"][0]["elements"] == [
        {"type": "text", "text": "a bc"}
    ]
    assert escape(HOSTILE).count("<") == 0


async def test_a_reopened_incident_is_broadcast_in_its_thread() -> None:
    async with ends("slack") as at:
        kept = await told(at.channel, *STORY)
        await at.channel.send(message(PageKind.PAGE, 7, reason=PageReason.REOPENED), 1, kept)
    what, (_, body) = at.vendor.seen[-1]
    assert (what, body["reply_broadcast"]) == ("reply", True)
    assert "It is back." in words(body["blocks"])
