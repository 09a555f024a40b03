"""Vendors' servers as their documentation has them: what they check, what they keep, what they answer.

Each keeps to the documented limits and refuses what is over one, so a channel that does not is caught here. Errors
are quoted from the vendors' pages (see the modules of imd/channels for which, and when they were read).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import parse_qsl, unquote, urlsplit

from imd.config.channelsettings import ChannelSettings, OpsgenieSettings, PagerdutySettings, SlackSettings
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

        check(request.path == "/v2/enqueue" and request.method == "POST", (404, b""))
        check(len(request.body) <= 512_000, (413, b""))
        event = request.json()
        check(event.get("routing_key") == CANARY, fail("Invalid routing key"))
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
        check(block["type"] in ("rich_text", "section"), fail("invalid_blocks"))
        if block["type"] == "section":
            check(0 < len(block["text"]["text"]) <= 3000, fail("invalid_blocks"))
            continue
        for section in block["elements"]:
            check(section["type"] == "rich_text_section" and bool(section["elements"]), fail("invalid_blocks"))
            for element in section["elements"]:
                check(element["type"] in ("text", "link"), fail("invalid_blocks"))
                check(bool(element.get("text")), fail("invalid_blocks"))


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


VENDORS: dict[str, type[Vendor]] = {
    "pagerduty": Pagerduty,
    "opsgenie": Opsgenie,
    "slack": Slack,
    "slack-webhook": SlackWebhook,
}
