"""The link in a page that a real daemon sent: it acknowledges, and no link that works is on disk or in the log; and a
button that was pressed."""

from __future__ import annotations

import json
import time
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from slack_sdk.signature import SignatureVerifier

from tests.system.running import Daemons, until
from tests.system.test_conversations import sent, serving, slack

SIGNING = "8f742231b10e8888abcd99yyyzzz85a5"

EACH = "rules: [{name: each, match: 'alertname=~\".+\"', hold: 0s}]\n"


def test_a_pages_link_acknowledges_after_kill_9_too(daemons: Daemons, tmp_path: Path) -> None:
    pages = tmp_path / "pages.jsonl"
    receiver = f"{{name: pages, type: file, path: {pages}, send: [page, acknowledged]}}"
    daemon = daemons(f"external_url: https://imd.example/base\nreceivers: [{receiver}]\n", EACH)
    daemon.start()
    assert daemon.post("/api/v2/alerts", [{"labels": {"alertname": "Down"}}]).status == 200
    sent = until(
        "the page", lambda: [json.loads(one) for one in pages.read_text().splitlines()] if pages.exists() else []
    )
    path = sent[0]["links"]["ack"].removeprefix("https://imd.example")
    until("its end is on disk", lambda: daemon.pending() == 0)
    daemon.kill()
    token = path.rpartition("/")[2].encode()
    assert not any(token in file.read_bytes() for file in tmp_path.rglob("imd.db*"))
    daemon.start()
    assert daemon.get(path).status == 200
    assert daemon.get("/v1/incidents/1").json()["state"] == "triggered"
    assert daemon.post(path).status == 200
    until("the acknowledgement", lambda: len(pages.read_text().splitlines()) == 2)
    told = json.loads(pages.read_text().splitlines()[1])
    assert (told["kind"], told["links"]["ack"]) == ("acknowledged", None)
    assert told["incident"]["acknowledged_by"] == "pages"
    assert token.decode() not in daemon.log()


def test_a_slack_button_edits_the_very_message(daemons: Daemons) -> None:
    """Pressed as Slack says it, the message in the channel loses its first button and names who has it."""
    with serving("slack") as at:
        more = f"signing_secret: {SIGNING}, send: [page, acknowledged]"
        daemon = daemons(f"external_url: https://imd.example\nreceivers: [{slack(at, more=more)}]\n", EACH)
        daemon.start()
        assert daemon.post("/api/v2/alerts", [{"labels": {"alertname": "Down"}}]).status == 200
        until("the page", lambda: sent(at)() == ["post"])
        button = at.vendor.seen[0][1][1]["blocks"][-1]["elements"][0]
        assert button["action_id"] == "imd.ack"
        until("its end is on disk", lambda: daemon.pending() == 0)
        pressed = {"type": "block_actions", "user": {"id": "U1", "username": "ana"}, "actions": [button]}
        body = urlencode({"payload": json.dumps(pressed)}).encode()
        headers = SignatureVerifier(SIGNING).generate_signature(timestamp=(now := str(int(time.time()))), body=body)
        call = Request(
            f"{daemon.url}/v1/callbacks/slack/chat",
            body,
            {"X-Slack-Request-Timestamp": now, "X-Slack-Signature": str(headers)},
        )
        with urlopen(call, timeout=10) as answer:
            assert answer.status == 200
        until("the edit", lambda: sent(at)() == ["post", "edit", "reply"])
        edited = at.vendor.seen[1][1][1]["blocks"][-1]["elements"]
        assert [one["action_id"] for one in edited] == ["imd.snooze", "imd.resolve"]
        assert daemon.get("/v1/incidents/1").json()["acknowledged_by"] == "ana"
        assert SIGNING not in daemon.log()
