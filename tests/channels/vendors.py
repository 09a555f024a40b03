"""Vendors' servers as their documentation has them: what they check, what they keep, what they answer.

Each keeps to the documented limits and refuses what is over one, so a channel that does not is caught here. Errors
are quoted from the vendors' pages (see the modules of imd/channels for which, and when they were read).
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.etree import ElementTree

import standardwebhooks

from imd.config.channelsettings import (
    ChannelSettings,
    DiscordSettings,
    MatrixSettings,
    MattermostSettings,
    NtfySettings,
    OpsgenieSettings,
    PagerdutySettings,
    PushoverSettings,
    ServicenowSettings,
    SlackSettings,
    TeamsSettings,
    TelegramSettings,
    TwilioMode,
    TwilioSettings,
    VictoropsSettings,
    WebexSettings,
    WebhookSettings,
)
from imd.model.policy import PageKind
from imd.model.secret import Secret
from tests.channels.server import Request

CANARY = "canary0123456789canary0123456789"  # as long as a PagerDuty routing key
Reply = tuple[int, bytes]

ALL = tuple(PageKind)


def said(status: int, /, **body: Any) -> Reply:
    return status, json.dumps(body).encode()


class Refuse(Exception):
    """A check of the vendor's failed."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply


@dataclass
class Vendor:
    """One vendor's server. `refusals`: documented error replies, and whether they may pass."""

    kind: ClassVar[str]
    passing: ClassVar[list[Reply]] = []
    refused: ClassVar[list[Reply]] = []
    malformed_is_taken: ClassVar[bool] = True
    """Whether 200 with a body that makes no sense counts as taken; else it is tried again."""
    statuses_decide: ClassVar[bool] = True
    silent: ClassVar[frozenset[PageKind]] = frozenset()
    """Kinds of an incident's messages that the vendor has no place for."""
    seen: list[tuple[str, Any]] = field(default_factory=list)

    def settings(self, url: str) -> ChannelSettings:
        raise NotImplementedError

    def handle(self, request: Request) -> Reply:
        try:
            return self.take(request)
        except Refuse as refuse:
            return refuse.reply

    def take(self, request: Request) -> Reply:
        raise NotImplementedError


def check(holds: bool, reply: Reply) -> None:
    if not holds:
        raise Refuse(reply)


class Webhook(Vendor):
    """A receiver that verifies as Standard Webhooks has it, by that project's own library."""

    kind = "webhook"
    passing: ClassVar = [(429, b""), (408, b""), (500, b""), (502, b""), (503, b""), (504, b"")]
    refused: ClassVar = [(400, b""), (401, b"no"), (404, b""), (410, b"gone"), (413, b"")]

    def settings(self, url: str) -> WebhookSettings:
        return WebhookSettings(url=Secret(f"{url}/hook/{CANARY}?key={CANARY}"), secret=Secret(f"whsec_{CANARY}"))

    def take(self, request: Request) -> Reply:
        check(request.path == f"/hook/{CANARY}?key={CANARY}" and request.method == "POST", (404, b""))
        try:
            standardwebhooks.Webhook(f"whsec_{CANARY}").verify(request.body, request.headers)
        except standardwebhooks.WebhookVerificationError as error:
            return 401, str(error).encode()
        body = request.json()
        check(body["version"] == "1" and request.headers["webhook-id"] != "", (400, b""))
        self.seen.append((body["kind"], body))
        return 204, b""


class Pagerduty(Vendor):
    kind = "pagerduty"
    passing: ClassVar = [(429, b""), (500, b""), (503, b"")]
    refused: ClassVar = [
        said(400, status="invalid event", message="Event object is invalid", errors=["'payload.summary' is missing"]),
        (403, b"Forbidden"),
    ]
    silent = frozenset({PageKind.NOTE})

    def settings(self, url: str) -> PagerdutySettings:
        return PagerdutySettings(routing_key=Secret(CANARY), api_url=url)

    def take(self, request: Request) -> Reply:
        def fail(reason: str) -> Reply:
            return said(400, status="invalid event", message="Event object is invalid", errors=[reason])

        check(request.path in ("/v2/enqueue", "/v2/change/enqueue") and request.method == "POST", (404, b""))
        check(len(request.body) <= 512_000, (413, b""))
        event = request.json()
        check(event.get("routing_key") == CANARY, fail("Invalid routing key"))
        if request.path == "/v2/change/enqueue":
            check(set(event) <= {"routing_key", "payload", "links"}, fail("unknown field"))
            check(set(event["payload"]) <= {"summary", "source", "timestamp", "custom_details"}, fail("unknown field"))
            check(0 < len(event["payload"].get("summary", "")) <= 1024, fail("'payload.summary' is missing or blank"))
            self.seen.append(("change", event))
            return said(202, status="success", message="Change event processed")
        check(event.get("event_action") in ("trigger", "acknowledge", "resolve"), fail("event_action"))
        check(0 < len(event.get("dedup_key", "")) <= 255, fail("dedup_key"))
        if event["event_action"] == "trigger":
            payload = event.get("payload", {})
            check(0 < len(payload.get("summary", "")) <= 1024, fail("'payload.summary' is missing or blank"))
            check(bool(payload.get("source")), fail("'payload.source' is missing or blank"))
            check(payload.get("severity") in ("critical", "error", "warning", "info"), fail("'payload.severity'"))
            check(all(set(link) <= {"href", "text"} for link in event.get("links", [])), fail("links"))
        self.seen.append((event["event_action"], event))
        return said(202, status="success", message="Event processed", dedup_key=event["dedup_key"])


class Opsgenie(Vendor):
    kind = "opsgenie"
    passing: ClassVar = [(429, b'{"message":"You are making too many requests!"}'), (500, b""), (503, b"")]
    refused: ClassVar = [
        said(401, message="Could not authenticate", took=0.0, requestId="r"),
        said(403, message="API Key is not valid", took=0.0, requestId="r"),
        said(422, message="Request body is not processable.", errors={"message": "may not be empty"}),
    ]

    def settings(self, url: str) -> OpsgenieSettings:
        return OpsgenieSettings(
            api_key=Secret(CANARY), api_url=url, responders=(("team", "platform"), ("user", "a@b.example")), tags=("t",)
        )

    def take(self, request: Request) -> Reply:
        def fail(reason: str) -> Reply:
            return said(422, message="Request body is not processable.", errors={"field": reason})

        where = urlsplit(request.path)
        parts = [unquote(part) for part in where.path.split("/")[1:]]
        check(request.headers.get("authorization") == f"GenieKey {CANARY}", (401, b""))
        check(parts[:2] == ["v2", "alerts"], (404, b""))
        body = request.json()
        if len(parts) == 2:
            check(request.method == "POST", (405, b""))
            check(0 < len(body.get("message", "")) <= 130, fail("message"))
            check(len(body.get("alias", "")) <= 512, fail("alias"))
            check(len(body.get("description", "")) <= 15_000, fail("description"))
            check(len(body.get("tags", [])) <= 20 and all(len(tag) <= 50 for tag in body.get("tags", [])), fail("tags"))
            details = body.get("details", {})
            check(all(isinstance(value, str) for value in details.values()), fail("details"))
            check(sum(len(name) + len(value) for name, value in details.items()) <= 8000, fail("details"))
            check(len(body.get("entity", "")) <= 512, fail("entity"))
            check(body.get("priority") in ("P1", "P2", "P3", "P4", "P5"), fail("priority"))
            self.seen.append(("create", body))
        else:
            verbs = {"close": "POST", "acknowledge": "POST", "notes": "POST", "priority": "PUT"}
            check(len(parts) == 4 and verbs.get(parts[3]) == request.method, (404, b""))
            check(dict(parse_qsl(where.query)) == {"identifierType": "alias"}, fail("identifierType"))
            check(len(body.get("user", "")) <= 100 and len(body.get("source", "")) <= 100, fail("user"))
            check(len(body.get("note", "")) <= 25_000, fail("note"))
            self.seen.append((parts[3], {"alias": parts[2], **body}))
        return said(202, result="Request will be processed", took=0.3, requestId="43a29c5c")


def check_blocks(blocks: list[dict[str, Any]], fail: Any) -> None:
    """Block Kit: at most 50 blocks, a section's text at most 3,000, all together what msg_blocks_too_long allows."""
    check(len(blocks) <= 50, fail("invalid_blocks"))
    check(len(json.dumps(blocks, ensure_ascii=False)) <= 40_000, fail("msg_blocks_too_long"))
    for block in blocks:
        check(block["type"] in ("rich_text", "section", "actions"), fail("invalid_blocks"))
        if block["type"] == "actions":
            check_buttons(block["elements"], fail)
            continue
        if block["type"] == "section":
            check(0 < len(block["text"]["text"]) <= 3000, fail("invalid_blocks"))
            continue
        for section in block["elements"]:
            check(section["type"] == "rich_text_section" and bool(section["elements"]), fail("invalid_blocks"))
            for element in section["elements"]:
                check(element["type"] in ("text", "link"), fail("invalid_blocks"))
                check(bool(element.get("text")), fail("invalid_blocks"))


def check_buttons(elements: list[dict[str, Any]], fail: Any) -> None:
    """At most 25 in a block, each with an id of its own there; a text of 75, an id of 255, a value of 2,000 at most."""
    check(0 < len(elements) <= 25, fail("invalid_blocks"))
    check(len({one["action_id"] for one in elements}) == len(elements), fail("invalid_blocks"))
    for one in elements:
        check(one["type"] == "button" and one["text"]["type"] == "plain_text", fail("invalid_blocks"))
        check(0 < len(one["text"]["text"]) <= 75, fail("invalid_blocks"))
        check(len(one["action_id"]) <= 255 and len(one["value"]) <= 2000, fail("invalid_blocks"))
        check(one.get("style") in (None, "primary", "danger"), fail("invalid_blocks"))


class Slack(Vendor):
    """The Web API: 200 to all that it understands, `ok` says how it went."""

    kind = "slack"
    passing: ClassVar = [
        (429, said(429, ok=False, error="ratelimited")[1]),
        said(200, ok=False, error="ratelimited"),
        said(200, ok=False, error="internal_error"),
        said(200, ok=False, error="fatal_error"),
        said(200, ok=False, error="service_unavailable"),
        (500, b""),
        (503, b""),
    ]
    refused: ClassVar = [
        said(200, ok=False, error=error)
        for error in (
            "channel_not_found",
            "not_in_channel",
            "is_archived",
            "invalid_auth",
            "account_inactive",
            "token_revoked",
            "missing_scope",
            "restricted_action",
        )
    ]
    malformed_is_taken = False

    def settings(self, url: str) -> SlackSettings:
        return SlackSettings(token=Secret(CANARY), channel="#ops", api_url=f"{url}/api")

    def take(self, request: Request) -> Reply:
        def fail(error: str) -> Reply:
            return said(200, ok=False, error=error)

        method = request.path.removeprefix("/api/")
        check(request.headers.get("authorization") == f"Bearer {CANARY}", fail("invalid_auth"))
        check(request.headers.get("content-type") == "application/json;charset=utf-8", fail("invalid_form_data"))
        body = request.json()
        check(bool(body.get("text") or body.get("blocks")), fail("no_text"))
        check(len(body.get("text", "")) <= 40_000, fail("msg_too_long"))
        check_blocks(body.get("blocks", []), fail)
        if method == "chat.update":
            known = [ts for what, (ts, _) in self.seen if what == "post"]
            check(body["channel"] == "C024BE91L" and body["ts"] in known, fail("message_not_found"))
            self.seen.append(("edit", (body["ts"], body)))
            return said(200, ok=True, channel=body["channel"], ts=body["ts"], text=body["text"])
        check(method == "chat.postMessage", fail("unknown_method"))
        check(body["channel"] in ("#ops", "C024BE91L"), fail("channel_not_found"))
        ts = f"1405894322.{len(self.seen):06d}"
        self.seen.append(("reply" if "thread_ts" in body else "post", (ts, body)))
        return said(200, ok=True, channel="C024BE91L", ts=ts, message={"text": body["text"]})


class SlackWebhook(Vendor):
    kind = "slack"
    passing: ClassVar = [(429, b"rate_limited"), (500, b"rollup_error"), (503, b"")]
    refused: ClassVar = [
        (400, b"invalid_payload"),
        (403, b"action_prohibited"),
        (404, b"channel_not_found"),
        (410, b"channel_is_archived"),
    ]

    def settings(self, url: str) -> SlackSettings:
        return SlackSettings(url=Secret(f"{url}/services/T00/B00/{CANARY}"))

    def take(self, request: Request) -> Reply:
        check(request.path == f"/services/T00/B00/{CANARY}", (404, b"no_service"))
        body = request.json()
        check(bool(body.get("text")), (400, b"no_text"))
        check_blocks(body.get("blocks", []), lambda error: (400, error.encode()))
        self.seen.append(("post", body))
        return 200, b"ok"


class Teams(Vendor):
    """A flow's trigger: 202 and no body."""

    kind = "teams"
    passing: ClassVar = [(429, b""), (500, b""), (503, b"")]
    refused: ClassVar = [
        said(400, error={"code": "TriggerInputSchemaMismatch", "message": "The input body is not valid"}),
        said(401, error={"code": "DirectApiAuthorizationRequired", "message": "unauthorized"}),
        said(404, error={"code": "WorkflowNotFound", "message": "The workflow could not be found"}),
        (413, b"Request Entity Too Large"),
    ]

    def settings(self, url: str) -> ChannelSettings:
        return TeamsSettings(url=Secret(f"{url}/workflows/{CANARY}/triggers/manual/paths/invoke?sig={CANARY}"))

    def take(self, request: Request) -> Reply:
        bad = said(400, error={"code": "TriggerInputSchemaMismatch", "message": "x"})
        check(request.path.startswith(f"/workflows/{CANARY}/triggers"), (404, b""))
        check(len(request.body) <= 28_000, (413, b"Request Entity Too Large"))
        body = request.json()
        (attachment,) = body["attachments"]
        check(body["type"] == "message", bad)
        check(attachment["contentType"] == "application/vnd.microsoft.card.adaptive", bad)
        card = attachment["content"]
        check(card["type"] == "AdaptiveCard" and card["version"] == "1.2", bad)
        for block in card["body"]:
            check(block["type"] in ("RichTextBlock", "TextBlock"), bad)
            inlines = block.get("inlines", [{"type": "TextRun", "text": "x"}])
            check(bool(inlines) and all(each["type"] == "TextRun" and each["text"] for each in inlines), bad)
        check(all(set(action) == {"type", "title", "url"} for action in card.get("actions", [])), bad)
        self.seen.append(("card", body))
        return 202, b""


def tags(text: str) -> list[str]:
    """The tags of an HTML text; refuses what no parser takes."""
    found = re.findall(r"</?([a-z]+)[^<>]*>", text)
    check("<" not in re.sub(r"</?[a-z]+[^<>]*>", "", text), said(400, ok=False, description="can't parse entities"))
    return found


class Telegram(Vendor):
    kind = "telegram"
    passing: ClassVar = [
        said(
            429, ok=False, error_code=429, description="Too Many Requests: retry after 5", parameters={"retry_after": 5}
        ),
        (500, b""),
        (502, b""),
    ]
    refused: ClassVar = [
        said(400, ok=False, error_code=400, description="Bad Request: chat not found"),
        said(401, ok=False, error_code=401, description="Unauthorized"),
        said(403, ok=False, error_code=403, description="Forbidden: bot was blocked by the user"),
        said(404, ok=False, error_code=404, description="Not Found"),
        said(200, ok=False, error_code=400, description="Bad Request: chat not found"),
    ]
    malformed_is_taken = False

    def settings(self, url: str) -> ChannelSettings:
        return TelegramSettings(token=Secret(f"1234:{CANARY}"), chat="-1001", topic=7, api_url=url)

    def take(self, request: Request) -> Reply:
        def fail(description: str) -> Reply:
            return said(400, ok=False, error_code=400, description=f"Bad Request: {description}")

        check(request.path.startswith(f"/bot1234:{CANARY}/"), said(401, ok=False, description="Unauthorized"))
        method = request.path.rpartition("/")[2]
        body = request.json()
        check(body["chat_id"] == -1001, fail("chat not found"))
        check(0 < len(body["text"].encode("utf-16-le")) // 2 <= 4096, fail("message is too long"))
        if body.get("parse_mode") == "HTML":
            opened = tags(body["text"])
            check(set(opened) <= {"b", "i", "u", "s", "a", "code", "pre"}, fail("can't parse entities"))
            check(
                all(body["text"].count(f"<{t}") == body["text"].count(f"</{t}>") for t in set(opened)), fail("entities")
            )
        if method == "editMessageText":
            known = [number for what, (number, _) in self.seen if what == "post"]
            check(body["message_id"] in known, fail("message to edit not found"))
            self.seen.append(("edit", (body["message_id"], body)))
            return said(200, ok=True, result={"message_id": body["message_id"]})
        check(method == "sendMessage", (404, b""))
        number = 100 + len(self.seen)
        self.seen.append(("reply" if "reply_parameters" in body else "post", (number, body)))
        return said(200, ok=True, result={"message_id": number, "chat": {"id": -1001}})


class Discord(Vendor):
    kind = "discord"
    passing: ClassVar = [
        said(429, message="You are being rate limited.", retry_after=0.75, **{"global": False}),
        (500, b""),
        (502, b""),
    ]
    refused: ClassVar = [
        said(400, message="Invalid Form Body", code=50035, errors={}),
        said(401, message="Invalid Webhook Token", code=50027),
        said(404, message="Unknown Webhook", code=10015),
    ]

    def settings(self, url: str) -> ChannelSettings:
        return DiscordSettings(url=Secret(f"{url}/api/webhooks/1234/{CANARY}"), thread="99")

    def take(self, request: Request) -> Reply:
        where = urlsplit(request.path)
        query = dict(parse_qsl(where.query))
        check(where.path.startswith(f"/api/webhooks/1234/{CANARY}"), said(404, message="Unknown Webhook", code=10015))
        check(query.get("thread_id") == "99", said(400, message="Invalid Form Body", code=50035))
        body = request.json()
        check(len(body.get("content", "")) <= 2000, said(400, message="content", code=50035))
        embeds = body.get("embeds", [])
        check(len(embeds) <= 10, said(400, message="embeds", code=50035))
        check(all(0 < len(one["description"]) <= 4096 for one in embeds), said(400, message="description", code=50035))
        check(all(0 <= one["color"] <= 0xFFFFFF for one in embeds), said(400, message="color", code=50035))
        check(body["allowed_mentions"] == {"parse": []}, said(400, message="mentions", code=50035))
        rest = where.path.removeprefix(f"/api/webhooks/1234/{CANARY}")
        if request.method == "PATCH":
            known = {number for what, (number, _) in self.seen if what == "post"}
            number = rest.removeprefix("/messages/")
            check(number in known, said(404, message="Unknown Message", code=10008))
            self.seen.append(("edit", (number, body)))
            return said(200, id=number)
        check(request.method == "POST" and rest == "" and query.get("wait") == "true", (405, b""))
        number = str(1000 + len(self.seen))
        self.seen.append(("post", (number, body)))
        return said(200, id=number, channel_id="99", content=body["content"])


class Mattermost(Vendor):
    kind = "mattermost"
    passing: ClassVar = [(429, b""), (500, b""), (503, b"")]
    refused: ClassVar = [
        said(401, id="api.context.session_expired.app_error", message="Invalid or expired session", status_code=401),
        said(403, id="api.context.permissions.app_error", message="You do not have the permissions", status_code=403),
        said(404, id="store.sql_channel.get.existing.app_error", message="channel", status_code=404),
    ]

    def settings(self, url: str) -> ChannelSettings:
        return MattermostSettings(token=Secret(CANARY), server=url, channel="4yjzkpcj")

    def take(self, request: Request) -> Reply:
        check(request.headers.get("authorization") == f"Bearer {CANARY}", (401, b""))
        body = request.json()
        check(0 < len(body["message"]) <= 16_383, said(400, id="model.post.is_valid.msg.app_error", status_code=400))
        known = {number for what, (number, _) in self.seen if what == "post"}
        if request.method == "PUT":
            number = request.path.removeprefix("/api/v4/posts/").removesuffix("/patch")
            check(number in known, said(404, id="app.post.get.app_error", status_code=404))
            self.seen.append(("edit", (number, body)))
            return said(200, id=number)
        check(request.path == "/api/v4/posts" and body["channel_id"] == "4yjzkpcj", (404, b""))
        check(body.get("root_id", "") in {"", *known}, said(400, id="api.post.create_post.root_id.app_error"))
        number = f"post{len(self.seen)}"
        self.seen.append(("reply" if "root_id" in body else "post", (number, body)))
        return said(201, id=number, channel_id="4yjzkpcj", message=body["message"])


class MattermostWebhook(Vendor):
    kind = "mattermost"
    passing: ClassVar = [(429, b""), (500, b""), (503, b"")]
    refused: ClassVar = [(400, b"{}"), (403, b"{}"), (404, b"{}")]

    def settings(self, url: str) -> ChannelSettings:
        return MattermostSettings(url=Secret(f"{url}/hooks/{CANARY}"), channel="ops")

    def take(self, request: Request) -> Reply:
        check(request.path == f"/hooks/{CANARY}", (404, b""))
        body = request.json()
        check(0 < len(body["text"]) <= 16_383 and body["channel"] == "ops", (400, b"{}"))
        self.seen.append(("post", body))
        return 200, b"ok"


class Ntfy(Vendor):
    kind = "ntfy"
    passing: ClassVar = [
        said(429, code=42901, http=429, error="limit reached: too many requests"),
        (500, b""),
        said(507, code=50701, http=507, error="cannot publish to UnifiedPush topic"),
    ]
    refused: ClassVar = [
        said(400, code=40024, http=400, error="invalid request: request body must be message JSON"),
        said(401, code=40101, http=401, error="unauthorized"),
        said(403, code=40301, http=403, error="forbidden"),
        said(413, code=41301, http=413, error="attachment too large, or bandwidth limit reached"),
    ]

    def settings(self, url: str) -> ChannelSettings:
        return NtfySettings(topic="oncall", server=url, token=Secret(CANARY))

    def take(self, request: Request) -> Reply:
        bad = said(400, code=40024, http=400, error="invalid")
        check(request.headers.get("authorization") == f"Bearer {CANARY}", said(401, code=40101))
        check(request.path == "/" and request.method == "POST", (404, b""))
        body = request.json()
        check(body["topic"] == "oncall", bad)
        check(0 < len(body["message"].encode()) <= 4096, bad)
        check(body["priority"] in (1, 2, 3, 4, 5), bad)
        check(len(body.get("actions", [])) <= 3, bad)
        number = f"id{len(self.seen)}"
        self.seen.append(("revise" if "sequence_id" in body else "publish", (number, body)))
        return said(200, id=number, time=1, event="message", topic="oncall", message=body["message"])


class Pushover(Vendor):
    """`receipts`: when each was taken on a phone, 0 for not yet."""

    kind = "pushover"
    passing: ClassVar = [(429, b'{"status":0}'), (500, b""), (503, b"")]
    refused: ClassVar = [
        said(400, user="invalid", errors=["user identifier is not a valid user"], status=0, request="r"),
        said(400, token="invalid", errors=["application token is invalid"], status=0, request="r"),
        said(200, errors=["application token is invalid"], status=0, request="r"),
    ]
    malformed_is_taken = False

    def __init__(self) -> None:
        super().__init__()
        self.receipts: dict[str, int] = {}
        self.tags: dict[str, str] = {}
        self.expired: set[str] = set()

    def settings(self, url: str) -> ChannelSettings:
        return PushoverSettings(token=Secret(CANARY), user=Secret(CANARY[::-1]), api_url=url)

    def take(self, request: Request) -> Reply:
        def fail(error: str) -> Reply:
            return said(400, errors=[error], status=0, request="r")

        where = urlsplit(request.path)
        body = dict(parse_qsl(request.body.decode() or where.query, strict_parsing=True))
        check(body.get("token") == CANARY, fail("application token is invalid"))
        if where.path.startswith("/1/receipts/"):
            return self.receipt(request.method, where.path.removeprefix("/1/receipts/"))
        check(request.path == "/1/messages.json", (404, b""))
        check(body["user"] == CANARY[::-1], fail("user identifier is invalid"))
        check(0 < len(body["message"]) <= 1024, fail("message is too long"))
        check(len(body["title"]) <= 250 and len(body.get("url", "")) <= 512, fail("title is too long"))
        check(-2 <= int(body["priority"]) <= 2, fail("priority"))
        emergency = body["priority"] == "2"
        check(not emergency or (int(body["retry"]) >= 30 and int(body["expire"]) <= 10_800), fail("retry"))
        receipt = {"receipt": f"rLqVuqTRh62UzxtmqiaLzQmVcPgi{len(self.seen):02}"} if emergency else {}
        self.receipts |= dict.fromkeys(receipt.values(), 0)
        self.tags |= dict.fromkeys(receipt.values(), body.get("tags", ""))
        self.seen.append(("push", body | receipt))
        return said(200, status=1, request="e460545a8b333d0da2f3602aff3133d6", **receipt)

    def receipt(self, method: str, path: str) -> Reply:
        """Asked for or cancelled, singly or by their tag; one that nobody has had is not found."""
        name, _, verb = path.removesuffix(".json").partition("/")
        if name == "cancel_by_tag" and method == "POST":
            meant = [one for one, tag in self.tags.items() if tag == verb]
            self.tags = {one: tag for one, tag in self.tags.items() if tag != verb}
            self.seen.append(("cancel_by_tag", meant))
            return said(200, status=1, canceled=len(meant), request="r")
        check(name in self.receipts, said(404, receipt="not found", errors=["receipt not found"], status=0))
        if verb == "cancel" and method == "POST":
            self.tags.pop(name, None)
            self.seen.append(("cancel", name))
            return said(200, status=1, request="r")
        check(not verb and method == "GET", (404, b""))
        self.seen.append(("look", name))
        taken_at = self.receipts[name]
        return said(
            200, status=1, acknowledged=int(taken_at > 0), acknowledged_at=taken_at, last_delivered_at=1360001238,
            acknowledged_by=CANARY[::-1] if taken_at else "", acknowledged_by_device="iphone" if taken_at else "",
            expired=int(name in self.expired), expires_at=1360019290, called_back=0, called_back_at=0, request="r",
        )  # fmt: skip


class Twilio(Vendor):
    kind = "twilio"
    passing: ClassVar = [
        said(429, code=20429, message="Too Many Requests", status=429),
        said(400, code=21611, message="This 'From' number has exceeded the maximum number of queued messages"),
        (500, b""),
        said(503, code=20503, message="Service unavailable"),
    ]
    refused: ClassVar = [
        said(400, code=21211, message="The 'To' number is not a valid phone number.", status=400),
        said(400, code=21610, message="Attempt to send to unsubscribed recipient", status=400),
        said(401, code=20003, message="Authenticate", status=401),
    ]
    malformed_is_taken = False
    mode: ClassVar[TwilioMode] = TwilioMode.SMS

    def settings(self, url: str) -> ChannelSettings:
        return TwilioSettings(
            account_sid="AC" + "0" * 32, auth_token=Secret(CANARY), sender="+15005550006", to="+4915112345678",
            mode=self.mode, api_url=url,
        )  # fmt: skip

    def take(self, request: Request) -> Reply:
        account = "AC" + "0" * 32
        pair = b64encode(f"{account}:{CANARY}".encode()).decode()
        check(request.headers.get("authorization") == f"Basic {pair}", said(401, code=20003, message="Authenticate"))
        body = dict(parse_qsl(request.body.decode(), strict_parsing=True))
        check(body["To"] == "+4915112345678" and body["From"] == "+15005550006", said(400, code=21211, message="To"))
        number = f"{len(self.seen):032d}"
        if request.path == f"/2010-04-01/Accounts/{account}/Calls.json":
            check(len(body["Twiml"]) <= 4000, said(400, code=21219, message="Twiml"))
            ElementTree.fromstring(body["Twiml"])
            self.seen.append(("call", body))
            return said(201, sid=f"CA{number}", status="queued")
        check(request.path == f"/2010-04-01/Accounts/{account}/Messages.json", (404, b""))
        check(0 < len(body["Body"]) <= 1600, said(400, code=21617, message="The concatenated message body exceeds"))
        check(1 <= int(body["ValidityPeriod"]) <= 36_000, said(400, code=21620, message="ValidityPeriod"))
        self.seen.append(("sms", body))
        return said(201, sid=f"SM{number}", status="queued", error_code=None)


class TwilioVoice(Twilio):
    mode = TwilioMode.VOICE
    silent = frozenset({PageKind.UPDATE, PageKind.ACKNOWLEDGED, PageKind.RESOLVED, PageKind.NOTE})


class Matrix(Vendor):
    """Remembers transactions: the same one again is the same event."""

    kind = "matrix"
    passing: ClassVar = [
        said(429, errcode="M_LIMIT_EXCEEDED", error="Too Many Requests", retry_after_ms=2000),
        (500, b""),
        (502, b""),
    ]
    refused: ClassVar = [
        said(401, errcode="M_UNKNOWN_TOKEN", error="Invalid access token"),
        said(403, errcode="M_FORBIDDEN", error="You are not in the room"),
        said(413, errcode="M_TOO_LARGE", error="event too large"),
    ]
    malformed_is_taken = False

    def settings(self, url: str) -> ChannelSettings:
        return MatrixSettings(server=url, token=Secret(CANARY), room="!abc:example.org")

    def take(self, request: Request) -> Reply:
        check(request.headers.get("authorization") == f"Bearer {CANARY}", said(401, errcode="M_UNKNOWN_TOKEN"))
        check(request.method == "PUT", (405, b""))
        parts = [unquote(part) for part in request.path.split("/")]
        check(parts[:6] == ["", "_matrix", "client", "v3", "rooms", "!abc:example.org"], (404, b""))
        check(parts[6:8] == ["send", "m.room.message"], (404, b""))
        check(len(request.body) <= 65_536 - 1000, said(413, errcode="M_TOO_LARGE"))
        content = request.json()
        new = content.get("m.new_content", content)
        check(new["format"] == "org.matrix.custom.html" and bool(new["body"]), said(400, errcode="M_BAD_JSON"))
        opened = tags(new["formatted_body"].replace("<br>", ""))
        check(set(opened) <= {"strong", "a"}, said(400, errcode="M_BAD_JSON"))
        check(content["m.mentions"] == {}, said(400, errcode="M_BAD_JSON"))
        event = f"${parts[8]}"
        if event not in [known for _, (known, _) in self.seen]:
            relates = content.get("m.relates_to", {})
            what = {"m.replace": "edit", "m.thread": "thread"}.get(relates.get("rel_type", ""), "post")
            self.seen.append(("reply" if relates and what == "post" else what, (event, content)))
        return said(200, event_id=event)


class Webex(Vendor):
    kind = "webex"
    passing: ClassVar = [said(429, message="Too many requests", trackingId="t"), (500, b""), (503, b"")]
    refused: ClassVar = [
        said(400, message="The request could not be understood by the server", errors=[], trackingId="t"),
        said(401, message="The request requires a valid access token", trackingId="t"),
        said(404, message="Could not find a room with provided ID", trackingId="t"),
    ]
    malformed_is_taken = False

    def settings(self, url: str) -> ChannelSettings:
        return WebexSettings(token=Secret(CANARY), room="Y2lzY29zcGFyazovL3Jvb20", api_url=url)

    def take(self, request: Request) -> Reply:
        check(request.headers.get("authorization") == f"Bearer {CANARY}", said(401, message="token"))
        check(request.path == "/v1/messages" and request.method == "POST", (404, b""))
        body = request.json()
        check(body["roomId"] == "Y2lzY29zcGFyazovL3Jvb20", said(404, message="Could not find a room"))
        check(0 < len(body["markdown"].encode()) <= 7439, said(400, message="Message length limited to 7439"))
        known = {number for what, (number, _) in self.seen if what == "post"}
        check(body.get("parentId", "") in {"", *known}, said(404, message="parent not found"))
        number = f"Y2lzY29{len(self.seen)}"
        self.seen.append(("reply" if "parentId" in body else "post", (number, body)))
        return said(200, id=number, roomId=body["roomId"])


class Victorops(Vendor):
    kind = "victorops"
    passing: ClassVar = [(429, b""), (500, b""), (503, b"")]
    refused: ClassVar = [
        said(200, result="failure", message="Unsupported media type"),
        said(400, result="failure", message="bad request"),
        (404, b""),
    ]

    def settings(self, url: str) -> ChannelSettings:
        return VictoropsSettings(api_key=Secret(CANARY), routing_key="on call", api_url=f"{url}/alert")

    def take(self, request: Request) -> Reply:
        check(request.path == f"/alert/{CANARY}/on%20call", (404, b""))
        body = request.json()
        types = ("CRITICAL", "WARNING", "ACKNOWLEDGEMENT", "INFO", "RECOVERY")
        check(body["message_type"] in types, said(200, result="failure", message="message_type"))
        check(len(body["state_message"]) <= 20_480, said(200, result="failure", message="state_message"))
        check(isinstance(body.get("state_start_time", 0), int), said(200, result="failure", message="time"))
        self.seen.append((body["message_type"], body))
        return said(200, result="success", entity_id=body["entity_id"])


class Servicenow(Vendor):
    """A table with business rules: resolving asks for a code and notes; priority is not to be written."""

    kind = "servicenow"
    passing: ClassVar = [(429, b""), (500, b""), (503, b"")]
    refused: ClassVar = [
        said(401, error={"message": "User Not Authenticated", "detail": "Required to provide Auth information"}),
        said(403, error={"message": "Operation Failed", "detail": "ACL Exception Insert Failed"}, status="failure"),
        said(400, error={"message": "Invalid table incidnet", "detail": None}, status="failure"),
    ]
    malformed_is_taken = False

    def __init__(self) -> None:
        super().__init__()
        self.records: dict[str, dict[str, str]] = {}

    def settings(self, url: str) -> ChannelSettings:
        return ServicenowSettings(
            url=url, username="imd", password=Secret(CANARY), fields={"assignment_group": "platform"}
        )

    def take(self, request: Request) -> Reply:
        pair = b64encode(f"imd:{CANARY}".encode()).decode()
        check(request.headers.get("authorization") == f"Basic {pair}", said(401, error={"message": "no"}))
        where = urlsplit(request.path)
        check(where.path.startswith("/api/now/table/incident"), said(400, error={"message": "Invalid table"}))
        if request.method == "GET":
            key = dict(parse_qsl(where.query))["sysparm_query"].split("^")[0].removeprefix("correlation_id=")
            found = [sys_id for sys_id, one in self.records.items() if one["correlation_id"] == key]
            return said(200, result=[{"sys_id": sys_id, "number": f"INC{sys_id}"} for sys_id in found])
        body = request.json()
        check(all(isinstance(value, str) for value in body.values()), said(400, error={"message": "body"}))
        check("priority" not in body, said(400, error={"message": "read-only"}))
        check(len(body.get("short_description", "")) <= 160, said(400, error={"message": "too long"}))
        check(
            body.get("state") != "6" or (bool(body.get("close_code")) and bool(body.get("close_notes"))),
            said(403, error={"message": "Data Policy Exception: close_code, close_notes are mandatory"}),
        )
        if request.method == "POST":
            sys_id = f"{len(self.records) + 1:032x}"
            self.records[sys_id] = dict(body)
            self.seen.append(("create", body))
            return said(201, result={"sys_id": sys_id, "number": f"INC{sys_id}", **body})
        check(request.method == "PATCH", (405, b""))
        sys_id = where.path.rpartition("/")[2]
        check(sys_id in self.records, said(404, error={"message": "No Record found"}))
        self.records[sys_id] |= body
        self.seen.append(("change", body))
        return said(200, result={"sys_id": sys_id, "number": f"INC{sys_id}", **body})


VENDORS: dict[str, type[Vendor]] = {
    "webhook": Webhook,
    "pagerduty": Pagerduty,
    "opsgenie": Opsgenie,
    "slack": Slack,
    "slack-webhook": SlackWebhook,
    "teams": Teams,
    "telegram": Telegram,
    "discord": Discord,
    "mattermost": Mattermost,
    "mattermost-webhook": MattermostWebhook,
    "ntfy": Ntfy,
    "pushover": Pushover,
    "twilio": Twilio,
    "twilio-voice": TwilioVoice,
    "matrix": Matrix,
    "webex": Webex,
    "victorops": Victorops,
    "servicenow": Servicenow,
}
