"""Chats: one incident, one conversation in each, as far as the service allows; and what labels cannot do there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from imd.channels.contract import Permanent, Receipt, Temporary
from imd.channels.text import Writer
from imd.config.channelsettings import Templates
from imd.model.incident import Priority
from imd.model.policy import PageKind, PageReason
from imd.model.template import Template
from tests.channels.samples import HOSTILE, digest, enormous, hostile, message
from tests.channels.server import Request, answer, speaks
from tests.channels.test_suite import STORY, ends, told
from tests.channels.vendors import VENDORS, Discord, Matrix, Mattermost, Reply, Telegram, Webex, said

# What each does with the story of page, update, raise, acknowledgement, note, resolve.
DONE = {
    "telegram": ["post", *["edit", "reply"] * 3, "reply", "edit", "reply"],
    "discord": ["post", "edit", *["edit", "post"] * 2, "post", "edit", "post"],
    "mattermost": ["post", "edit", "reply", "edit", "post", "edit", "reply", "reply", "edit", "reply"],
    "matrix": ["post", "edit", "thread", "edit", "reply", "edit", "thread", "thread", "edit", "thread"],
    "webex": ["post", "reply", "post", "reply", "reply", "reply"],
    "teams": ["card"] * 6,
    "slack-webhook": ["post"] * 6,
    "mattermost-webhook": ["post"] * 6,
}


@pytest.mark.parametrize("name", DONE)
async def test_the_story_as_the_chat_shows_it(name: str) -> None:
    async with ends(name) as at:
        await told(at.channel, *STORY)
    assert [what for what, _ in at.vendor.seen] == DONE[name]


@pytest.mark.parametrize("name", ["telegram", "discord", "mattermost", "matrix"])
async def test_edits_and_replies_are_of_the_first_message(name: str) -> None:
    """Also those after a page again."""
    async with ends(name) as at:
        await told(at.channel, *STORY)
        first = at.vendor.seen[0][1][0]
        seen = at.vendor.seen
    for what, (number, body) in seen[1:]:
        if what == "edit" and name != "matrix":
            assert number == first
        elif what == "reply" and name == "telegram":
            assert body["reply_parameters"]["message_id"] == first
        elif what == "reply" and name == "mattermost":
            assert body["root_id"] == first
        elif name == "matrix":
            relates = body["m.relates_to"]
            assert first in (relates.get("event_id"), relates.get("m.in_reply_to", {}).get("event_id"))


async def test_on_telegram_only_pages_ring() -> None:
    """Edits ring nobody anyway; replies are silent but for a page again."""
    async with ends("telegram") as at:
        await told(at.channel, *STORY)
        rings = [not body["disable_notification"] for what, (_, body) in at.vendor.seen if what != "edit"]
        first = at.server.requests[0].json()
    assert rings == [True, False, True, False, False, False]
    assert (first["message_thread_id"], first["link_preview_options"]) == (7, {"is_disabled": True})


async def test_telegrams_retry_after_is_in_the_body() -> None:
    async with ends("telegram", answer(*Telegram.passing[0])) as at:
        given = await at.channel.send(message(), 1)
    assert isinstance(given, Temporary)
    assert given.retry_after is not None
    assert given.retry_after.total_seconds() == 5


async def test_a_telegram_group_that_moved_is_followed() -> None:
    """A group that became a supergroup has another id; the conversation knows it, the detail does not hide it."""

    class Moved(Telegram):
        def take(self, request: Request) -> Reply:
            if request.json()["chat_id"] == -1001:
                parameters = {"migrate_to_chat_id": -100123}
                return said(400, ok=False, description="Bad Request: group chat was upgraded", parameters=parameters)
            return said(200, ok=True, result={"message_id": 5})

    moved = Moved()
    async with ends("telegram", speaks(moved.handle)) as at:
        given = await at.channel.send(message(), 1)
        assert isinstance(given, Receipt)
        await at.channel.send(STORY[1], 1, given.conversation)
        chats = [request.json()["chat_id"] for request in at.server.requests]
    assert chats == [-1001, -100123, -100123, -100123]


@pytest.mark.parametrize("why", ["message thread not found", "TOPIC_CLOSED", "TOPIC_DELETED"])
async def test_a_telegram_topic_that_is_gone_loses_no_page(why: str) -> None:
    """The page goes to the group itself. A reply names the topic too, for what it replies to may be deleted."""

    class Closed(Telegram):
        def take(self, request: Request) -> Reply:
            if "message_thread_id" in request.json():
                return said(400, ok=False, error_code=400, description=f"Bad Request: {why}")
            return super().take(request)

    async with ends("telegram") as at:
        await told(at.channel, message(), message(PageKind.PAGE, 2, reason=PageReason.REPEATED))
        assert [body.get("message_thread_id") for what, (_, body) in at.vendor.seen if what != "edit"] == [7, 7]
    closed = Closed()
    async with ends("telegram", speaks(closed.handle)) as at:
        await told(at.channel, message(), message(PageKind.PAGE, 2, reason=PageReason.REPEATED))
    assert [what for what, _ in closed.seen] == ["post", "edit", "reply"]


async def test_a_discord_thread_that_is_gone_loses_no_page() -> None:
    """The channel gets the page, and each that follows."""

    class Deleted(Discord):
        def take(self, request: Request) -> Reply:
            if "thread_id" in request.path:
                return said(404, message="Unknown Channel", code=10003)
            self.seen.append(("post", ("1", request.json())))
            return said(200, id="1")

    deleted = Deleted()
    async with ends("discord", speaks(deleted.handle)) as at:
        assert await told(at.channel, message(), message(PageKind.RESOLVED, 2)) == b""
    assert [what for what, _ in deleted.seen] == ["post", "post"]


@pytest.mark.parametrize("name", [*DONE, "slack", "ntfy", "pushover"])
async def test_a_template_that_says_nothing_still_pages(name: str) -> None:
    """An operator's `{% if … %}` may be true of nothing: the headline is there all the same."""
    for blank in ("", "  \n ", "{% if false %}x{% endif %}"):
        async with ends(name, writer=Writer(Templates(body=Template(blank)))) as at:
            assert isinstance(await at.channel.send(message(), 1), Receipt), blank


async def test_markup_that_telegram_does_not_take_is_left_out() -> None:
    """An operator's broken HTML still pages."""
    writer = Writer(Templates(body=Template("<blink>{{ title }}")))
    async with ends("telegram", writer=writer) as at:
        assert isinstance(await at.channel.send(message(), 1), Receipt)
        last = at.server.requests[-1].json()
    assert "parse_mode" not in last
    assert last["text"].startswith("PAGE P2 #1 KubeNodeNotReady")


@pytest.mark.parametrize("name", ["telegram", "discord", "mattermost"])
async def test_a_deleted_message_is_posted_anew(name: str) -> None:
    async with ends(name) as at:
        kept = await told(at.channel, STORY[0])
        seen = at.vendor.seen
        seen[0] = ("deleted", seen[0][1])
        given = await at.channel.send(STORY[5], 1, kept)
    assert isinstance(given, Receipt)
    assert given.conversation not in (b"", kept)
    assert [what for what, _ in seen] == ["deleted", "post"]


async def test_a_deleted_webex_message_is_posted_anew() -> None:
    async with ends("webex") as at:
        kept = await told(at.channel, STORY[0])
        seen = at.vendor.seen
        seen[0] = ("deleted", seen[0][1])
        assert isinstance(await at.channel.send(STORY[5], 1, kept), Receipt)
    assert [what for what, _ in seen] == ["deleted", "post"]


class Stuck:
    """Edits meet 503, all else is taken."""

    def __init__(self, vendor: Any) -> None:
        self.vendor = vendor

    def handle(self, request: Request) -> Reply:
        body = request.json()
        edit = request.method == "PATCH" or "patch" in request.path or request.path.endswith("editMessageText")
        return (503, b"") if edit or "m.new_content" in body else self.vendor.handle(request)


@pytest.mark.parametrize("name", ["telegram", "discord", "mattermost", "matrix"])
async def test_a_page_rings_although_the_edit_failed(name: str) -> None:
    """The edit shows, the reply rings. Other kinds are tried again, both together."""
    stuck = Stuck(VENDORS[name]())
    async with ends(name, speaks(stuck.handle)) as at:
        kept = await told(at.channel, STORY[0])
        assert isinstance(await at.channel.send(STORY[5], 1, kept), Temporary)
        assert isinstance(await at.channel.send(STORY[2], 1, kept), Receipt)
    assert len(stuck.vendor.seen) == 2


async def test_discords_headers_ask_for_a_pause() -> None:
    """The bucket is empty: no more until it is whole. Half a header says nothing."""
    taken = b'{"id":"1"}'
    for headers, pause in [
        ({"X_RateLimit_Remaining": "0", "X_RateLimit_Reset_After": "1.5"}, 1.5),
        ({"X_RateLimit_Remaining": "3", "X_RateLimit_Reset_After": "1.5"}, None),
        ({"X_RateLimit_Remaining": "0", "X_RateLimit_Reset_After": "soon"}, None),
        ({}, None),
    ]:
        async with ends("discord", answer(200, taken, **headers)) as at:
            given = await at.channel.send(message(), 1)
        assert isinstance(given, Receipt)
        assert (given.pause.total_seconds() if given.pause else None) == pause


async def test_discords_429_says_when_in_its_body() -> None:
    async with ends("discord", answer(*Discord.passing[0])) as at:
        given = await at.channel.send(message(), 1)
    assert isinstance(given, Temporary)
    assert given.retry_after is not None
    assert given.retry_after.total_seconds() == 0.75


async def test_discord_mentions_nobody_and_keeps_the_title_whole() -> None:
    async with ends("discord") as at:
        await told(at.channel, hostile())
        body = at.server.requests[0].json()
    assert body["allowed_mentions"] == {"parse": []}
    assert "\\@everyone" in body["embeds"][0]["description"]
    assert "<@U1>" not in body["embeds"][0]["description"]
    async with ends("discord") as at:
        await told(at.channel, enormous())
        assert "ü" * 299 + "🔥" in at.server.requests[0].json()["content"]


async def test_mattermost_mentions_nobody() -> None:
    """An @ is followed by a character that is not seen: nothing after it is a name."""
    async with ends("mattermost") as at:
        await told(at.channel, hostile())
        text = at.server.requests[0].json()["message"]
    assert "@everyone" not in text
    assert "@\u200beveryone" in text
    assert "\\[l\\]\\(https://evil.example\\)" in text


async def test_matrix_events_are_the_same_at_each_attempt() -> None:
    """The transaction is the delivery: sent twice, it is one event. An edit has a transaction of its own."""
    async with ends("matrix") as at:
        kept = await told(at.channel, STORY[0])
        for attempt in (1, 2, 3):
            await at.channel.send(STORY[1], attempt, kept)
        seen = at.vendor.seen
    assert [what for what, _ in seen] == ["post", "edit", "thread"]


async def test_matrix_mentions_nobody_and_escapes_html() -> None:
    async with ends("matrix") as at:
        await told(at.channel, hostile())
        content = at.server.requests[0].json()
    assert content["m.mentions"] == {}
    assert "<script" not in content["formatted_body"]
    assert content["msgtype"] == "m.text"


async def test_matrix_says_when_in_milliseconds() -> None:
    async with ends("matrix", answer(*Matrix.passing[0])) as at:
        given = await at.channel.send(message(), 1)
    assert isinstance(given, Temporary)
    assert given.retry_after is not None
    assert given.retry_after.total_seconds() == 2


async def test_webex_takes_no_mention_from_a_label() -> None:
    async with ends("webex") as at:
        await told(at.channel, hostile())
        markdown = at.server.requests[0].json()["markdown"]
    assert "<@" not in markdown
    assert "&lt;script" in markdown


async def test_webex_gets_a_shorter_message_where_it_counts_more_than_we_do() -> None:
    """What it renders may be longer than what was sent: a page is no loss for that."""

    class Strict(Webex):
        def take(self, request: Request) -> Reply:
            if len(request.body) > 5_000:
                return said(
                    400, message="Unable to post message to room: Message length limited to 7439 characters before"
                )
            return super().take(request)

    strict = Strict()
    async with ends("webex", speaks(strict.handle)) as at:
        for one in (enormous(), digest(), enormous(PageKind.UPDATE, 2)):
            assert isinstance(await at.channel.send(one, 1), Receipt)
        sizes = [len(request.body) for request in at.server.requests]
    assert len(sizes) == 5
    assert [size > 5_000 for size in sizes] == [True, False, False, True, False]


async def test_teams_text_is_in_runs_and_links_are_buttons() -> None:
    """No markdown is read in a text run; a card stays well below Teams' limit, its title whole."""
    async with ends("teams") as at:
        await told(at.channel, hostile(), enormous(), message(PageKind.RESOLVED))
        cards = [body["attachments"][0]["content"] for _, body in at.vendor.seen]
    runs = [run for block in cards[0]["body"] for run in block["inlines"]]
    assert any("[l](https://evil.example)" in run["text"] for run in runs)
    assert [action["title"] for action in cards[0]["actions"]] == ["Incident", "Runbook"]
    assert cards[1]["body"][0]["inlines"][0]["text"] == "PAGE P2 #1 " + "ü" * 299 + "🔥"
    assert len(json.dumps(cards[1], ensure_ascii=False).encode()) < 20_500
    assert cards[2]["body"][0]["inlines"][0]["color"] == "good"


async def test_a_card_is_never_so_large_that_teams_drops_it() -> None:
    """Above some 28 KB it is lost after the 202: whatever the alerts hold, each card is well below, with its title."""
    async with ends("teams") as at:
        await told(at.channel, enormous(), hostile(), enormous(PageKind.RESOLVED, 2), digest())
        sizes = [len(request.body) for request in at.server.requests]
    assert max(sizes) <= 20_000
    assert "ü" * 299 in at.server.requests[0].body.decode()


@pytest.mark.parametrize(("status", "kind"), [(429, Temporary), (503, Temporary), (413, Permanent)])
async def test_a_connectors_200_may_be_teams_no(status: int, kind: type) -> None:
    """An incoming webhook of old answers 200 to what Teams refused, with Teams' status in words."""
    words = f"Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error {status} with …"
    async with ends("teams", answer(200, words.encode())) as at:
        given = await at.channel.send(message(), 1)
    assert isinstance(given, kind)
    assert str(status) in given.error
    async with ends("teams", answer(200, b"1")) as at:
        assert isinstance(await at.channel.send(message(), 1), Receipt)


async def test_an_operators_text_on_teams_is_markdown() -> None:
    writer = Writer(Templates(body=Template("**{{ number }}** {{ labels.cluster }}")))
    async with ends("teams", writer=writer) as at:
        await told(at.channel, message(labels={"cluster": "[x](y)"}))
        block = at.vendor.seen[0][1]["attachments"][0]["content"]["body"][1]
    assert block == {"type": "TextBlock", "text": "**1** \\[x\\]\\(y\\)", "wrap": True}


@pytest.mark.parametrize("name", ["telegram", "discord", "mattermost", "webex", "matrix"])
async def test_an_operators_text_is_escaped_for_its_chat(name: str) -> None:
    writer = Writer(Templates(title=Template("{{ labels.cluster }}"), body=Template("{{ labels.cluster }}")))
    async with ends(name, writer=writer) as at:
        kept = await told(at.channel, message(labels={"cluster": HOSTILE}))
        for each in (PageKind.UPDATE, PageKind.RESOLVED):
            assert isinstance(await at.channel.send(message(each, 2, labels={"cluster": HOSTILE}), 1, kept), Receipt)


@pytest.mark.parametrize(("name", "vendor"), [("mattermost", Mattermost), ("webex", Webex)])
async def test_refusals_keep_the_vendors_words(name: str, vendor: Any) -> None:
    async with ends(name, answer(*vendor.refused[0])) as at:
        given = await at.channel.send(message(), 1)
    assert isinstance(given, Permanent)
    assert json.loads(vendor.refused[0][1])["message"][:20] in given.error


@pytest.mark.parametrize("name", ["telegram", "discord", "mattermost", "matrix", "webex", "slack"])
async def test_what_comes_back_is_told_in_the_same_conversation(name: str) -> None:
    """And rings: a page after the end."""
    async with ends(name) as at:
        kept = await told(at.channel, *STORY)
        again = message(PageKind.PAGE, 7, reason=PageReason.REOPENED, priority=Priority.P1)
        before = len(at.vendor.seen)
        assert isinstance(await at.channel.send(again, 1, kept), Receipt)
        news = at.vendor.seen[before:]
    assert news[-1][0] in ("post", "reply")
    assert "It is back" in json.dumps(news[-1][1]).replace("\\\\", "")
