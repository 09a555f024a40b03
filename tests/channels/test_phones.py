"""Pushes, texts and calls: what rings and what does not, and what stops ringing."""

from __future__ import annotations

from datetime import timedelta
from xml.etree import ElementTree

import pytest

from imd.channels.contract import Receipt, Temporary
from imd.model.incident import Priority
from imd.model.policy import PageKind, PageReason
from tests.channels.samples import hostile, message, trial
from tests.channels.server import Request, speaks
from tests.channels.test_suite import STORY, ends, told
from tests.channels.vendors import Pushover, Reply


async def test_ntfy_revises_the_last_page_quietly() -> None:
    """A page again is a notification of its own, and from then on that one is revised."""
    async with ends("ntfy") as at:
        await told(at.channel, *STORY)
        seen = [(what, number, body.get("sequence_id"), body["priority"]) for what, (number, body) in at.vendor.seen]
    assert seen == [
        ("publish", "id0", None, 4),
        ("revise", "id1", "id0", 2),
        ("publish", "id2", None, 5),
        ("revise", "id3", "id2", 2),
        ("revise", "id4", "id2", 2),
        ("revise", "id5", "id2", 2),
    ]


async def test_ntfys_fields() -> None:
    async with ends("ntfy") as at:
        await told(at.channel, message())
        body = at.server.requests[0].json()
    assert body["title"] == "PAGE P2 #1 KubeNodeNotReady c1 n1: kubelet stopped posting node status"
    assert body["click"] == "https://imd.example/v1/incidents/i000000000001"
    assert [action["label"] for action in body["actions"]] == ["Incident", "Runbook"]
    assert body["tags"] == ["rotating_light"]


async def test_a_pushover_emergency_rings_until_it_is_answered() -> None:
    """P1 alone, with retry and expire; an acknowledgement here stops it on the phone; what follows is quiet."""
    async with ends("pushover") as at:
        first = message(priority=Priority.P1)
        raised = message(PageKind.PAGE, 2, reason=PageReason.ESCALATED, priority=Priority.P1)
        await told(at.channel, first, raised, message(PageKind.ACKNOWLEDGED, 3, priority=Priority.P1))
        seen = at.vendor.seen
    assert [what for what, _ in seen] == ["push", "push", "push", *["cancel", "cancel_by_tag"] * 2]
    assert [body["priority"] for what, body in seen if what == "push"] == ["2", "2", "-1"]
    assert (seen[0][1]["retry"], seen[0][1]["expire"]) == ("60", "3600")
    assert [seen[0][1]["receipt"], seen[1][1]["receipt"]] == [body for what, body in seen if what == "cancel"]


async def test_an_emergency_that_could_not_be_stopped_is_stopped_later() -> None:
    """The end tries once more; a receipt that is gone is none any more."""

    class Busy(Pushover):
        busy = True

        def take(self, request: Request) -> Reply:
            return (503, b"") if self.busy and "receipts" in request.path else super().take(request)

    busy = Busy()
    async with ends("pushover", speaks(busy.handle)) as at:
        kept = await told(at.channel, message(priority=Priority.P1))
        given = await at.channel.send(message(PageKind.ACKNOWLEDGED, 2), 1, kept)
        assert isinstance(given, Receipt)
        assert given.conversation == kept
        busy.busy = False
        given = await at.channel.send(message(PageKind.RESOLVED, 3), 1, given.conversation)
        assert isinstance(given, Receipt)
        assert b'"receipts":[]' in given.conversation
    assert [what for what, _ in busy.seen] == ["push", "push", "push", "cancel", "cancel_by_tag"]


async def test_an_emergency_whose_answer_was_lost_stops_with_the_others() -> None:
    """The first attempt rings, and its receipt is nobody's: the tag that both bear stops it."""

    class Lossy(Pushover):
        lost = True

        def take(self, request: Request) -> Reply:
            reply = super().take(request)
            if self.lost:
                self.lost = False
                return 502, b""
            return reply

    lossy = Lossy()
    one = message(priority=Priority.P1)
    async with ends("pushover", speaks(lossy.handle)) as at:
        assert isinstance(await at.channel.send(one, 1), Temporary)
        kept = await at.channel.send(one, 2)
        assert isinstance(kept, Receipt)
        [name] = at.channel.ringing(kept.conversation)  # type: ignore[attr-defined]
        assert not (await at.channel.look(name)).over  # type: ignore[attr-defined]
        assert await at.channel.hush(name) is None  # type: ignore[attr-defined]
        assert await at.channel.hush("rLqVuqTRh62UzxtmqiaLzQmVcPgi99") is None, "one of before, without a tag"  # type: ignore[attr-defined]
    assert lossy.tags == {}
    first, second = list(lossy.receipts)
    assert [each for each in lossy.seen if each[0] != "push"] == [
        ("look", second), ("cancel", second), ("cancel_by_tag", [first]),
    ]  # fmt: skip


@pytest.mark.parametrize(("priority", "rank"), [("P1", "2"), ("P2", "1"), ("P3", "0"), ("P4", "-1"), ("P5", "-2")])
async def test_pushover_priorities(priority: str, rank: str) -> None:
    async with ends("pushover") as at:
        await told(at.channel, message(priority=Priority(priority)))
        assert at.vendor.seen[0][1]["priority"] == rank


async def test_an_sms_is_few_words() -> None:
    """What, how much, where to look; old news die in Twilio's queue."""
    async with ends("twilio") as at:
        await told(at.channel, message(), message(PageKind.RESOLVED, 2))
        first, last = (body for _, body in at.vendor.seen)
    assert first["Body"].split("\n") == [
        "PAGE P2 #1 KubeNodeNotReady c1 n1: kubelet stopped posting node status",
        "2 firing, cluster=c1 node=n1",
        "https://imd.example/v1/incidents/i000000000001",
    ]
    assert first["ValidityPeriod"] == "900"
    assert "Resolved after 12m 7s" in last["Body"]


async def test_a_call_reads_the_page_twice_and_calls_for_pages_alone() -> None:
    async with ends("twilio-voice") as at:
        kept = await told(at.channel, *STORY)
        calls = at.vendor.seen
    assert [what for what, _ in calls] == ["call", "call"]
    said = ElementTree.fromstring(calls[1][1]["Twiml"]).find("Say")
    assert said is not None
    assert said.get("loop") == "2"
    assert said.text is not None
    assert said.text.endswith("Raised to P1.")
    assert kept.count(b"CA") == 2


async def test_no_label_makes_twiml() -> None:
    async with ends("twilio-voice") as at:
        await told(at.channel, hostile())
        root = ElementTree.fromstring(at.vendor.seen[0][1]["Twiml"])
    assert [child.tag for child in root] == ["Say"]
    assert len(root[0]) == 0


async def test_a_full_queue_at_twilio_passes() -> None:
    """21611 comes with 400, and is over once the queue has room."""
    async with ends("twilio", speaks(lambda _: (400, b'{"code":21611,"message":"queue"}'))) as at:
        given = await at.channel.send(message(), 1)
    assert isinstance(given, Temporary)
    assert given.retry_after is None or given.retry_after > timedelta(0)


async def test_an_sms_waits_here_and_not_at_twilios() -> None:
    """One a second: what waits can still be cancelled."""
    async with ends("twilio") as at:
        assert [(pace.per_second, pace.burst) for pace in at.channel.paces] == [(1, 1)]


async def test_a_test_page_rings() -> None:
    """It asks whether this way works: not at the lowest priority, which shows nothing, but as an ordinary page."""
    async with ends("ntfy") as at:
        await told(at.channel, trial())
        assert at.vendor.seen[0][1][1]["priority"] == 3
    async with ends("pushover") as at:
        await told(at.channel, trial())
        assert at.vendor.seen[0][1]["priority"] == "0"
    async with ends("victorops") as at:
        await told(at.channel, trial())
        assert at.vendor.seen[0][0] == "CRITICAL"
    async with ends("twilio-voice") as at:
        await told(at.channel, trial())
        assert at.vendor.seen[0][0] == "call"


async def test_a_test_page_by_sms_says_it_once() -> None:
    async with ends("twilio") as at:
        await told(at.channel, trial())
        assert at.vendor.seen[0][1]["Body"] == "TEST is this thing on? (by ana)"
