"""A storm of incidents over the whole daemon, with a chat's, a pager's and a texting server that speak as the vendors
do: what people hear, what the pager hears, and how soon.

`python -m pytest -q tests/system/test_storm.py` prints the figures."""

from __future__ import annotations

import json
import time

import pytest

from tests.channels.server import Request
from tests.channels.vendors import CANARY, VENDORS, Reply
from tests.system.running import Daemon, Daemons, until
from tests.system.test_conversations import EVERY, At, serving, slack

STORM = 60
RULES = """rules:
  - {name: p1, match: 'serial="59"', group_by: [serial], hold: 0s, priority: P1, resolve: {after: 0s}}
  - {name: each, match: 'alertname=~".+"', group_by: [serial], hold: 0s, priority: P2, resolve: {after: 0s}}
policies:
  - name: default
    steps: [{notify: ['receiver:chat', 'receiver:sms', 'receiver:pd'], for: 30m}]
"""
pytestmark = pytest.mark.slow


def config(chat: At, sms: At, pager: At) -> str:
    account = "AC" + "0" * 32
    return f"""storm: {{pages: 3, per: 10s}}
receivers:
- {slack(chat)}
- {{name: sms, type: twilio, account_sid: {account}, auth_token: {CANARY}, from: "+15005550006",
    to: "+4915112345678", api_url: "{sms.url}", send: [page, resolved]}}
- {{name: pd, type: pagerduty, routing_key: {CANARY}, api_url: "{pager.url}", send: [page, acknowledged, resolved]}}
"""


def storm(daemon: Daemon, status: str, serials: range = range(STORM)) -> float:
    """One request with all of them; when it was answered."""
    alerts = [{"status": status, "labels": {"alertname": "Down", "serial": str(serial)}} for serial in serials]
    assert daemon.post("/v1/ingest/alertmanager", {"alerts": alerts}).status == 200
    return time.monotonic()


def texts(sms: At) -> list[str]:
    return [body["Body"] for what, body in list(sms.vendor.seen) if what == "sms"]


def events(pager: At, action: str) -> list[str]:
    return [event["dedup_key"] for what, event in list(pager.vendor.seen) if what == action]


def posts(chat: At, *kinds: str) -> list[str]:
    return [str(body["text"]) for what, (_, body) in list(chat.vendor.seen) if what in kinds]


def test_a_storm_is_few_messages_for_people_and_each_incident_for_the_pager(
    daemons: Daemons, figures: list[str]
) -> None:
    """The first pages are single, at once, also the SMS while Slack takes a second for each message; the rest is one
    digest. The P1 among them does not wait. One acknowledged in it is acknowledged; the ends are told as it was."""
    slow = VENDORS["slack"]()

    def sluggish(request: Request) -> Reply:
        time.sleep(1)
        return slow.handle(request)

    with serving("slack", sluggish) as chat, serving("twilio") as sms, serving("pagerduty") as pager:
        chat.vendor = slow
        daemon = daemons(config(chat, sms, pager), RULES)
        daemon.start()
        began = storm(daemon, "firing")
        until("the first SMS", lambda: texts(sms))
        first_sms = time.monotonic() - began
        until("the pager has all", lambda: len(events(pager, "trigger")) == STORM, 60)
        pager_all = time.monotonic() - began
        until("the digests", lambda: any("DIGEST" in text for text in texts(sms)), 40)
        until("the chat's digest", lambda: any("DIGEST" in text for text in posts(chat, "post")), 40)
        digest = time.monotonic() - began
        until("nothing is under way", lambda: daemon.pending() == 0, 60)

        singles = [text for text in posts(chat, "post") if "DIGEST" not in text]
        assert len(singles) == 4  # three, and the P1
        assert sum("P1" in text.split(" #")[0] for text in singles) == 1
        assert len([text for text in texts(sms) if "DIGEST" not in text]) == 4
        assert len(posts(chat, "post")) <= 6
        assert len(texts(sms)) <= 6
        assert len(set(events(pager, "trigger"))) == STORM
        assert first_sms < 3, "the sluggish chat does not delay it"

        numbers = {one["number"]: one["priority"] for one in daemon.items("/v1/incidents", status="open")}
        assert len(numbers) == STORM
        in_digest = max(number for number, priority in numbers.items() if priority == "P2")
        assert daemon.post(f"/v1/incidents/{in_digest}/ack", {"by": "ana"}).status == 200
        until("the pager hears of it", lambda: len(events(pager, "acknowledge")) == 1)
        until("the chat too, in a digest", lambda: _says(chat, "acknowledged"), 90)

        storm(daemon, "resolved")
        until("all is over", lambda: daemon.items("/v1/incidents", status="open") == [], 30)
        until("the pager's ends", lambda: len(events(pager, "resolve")) == STORM, 120)
        until("nothing is under way", lambda: daemon.pending() == 0, 120)
        until("the last digest", lambda: len([text for text in texts(sms) if "over" in text]) >= 1, 90)
        assert sorted(set(events(pager, "resolve"))) == sorted(set(events(pager, "trigger")))
        assert len(posts(chat, "post")) <= 9
        heard = daemon.metric("imd_pages_in_digests_total")
        figures.append(
            f"storm of {STORM} incidents: chat {len(posts(chat, 'post'))} messages in all, SMS {len(texts(sms))}, "
            f"pager {len(events(pager, 'trigger'))} triggers and {len(events(pager, 'resolve'))} resolves; first SMS "
            f"after {first_sms:.2f} s, the pager's last after {pager_all:.1f} s, the chat's digest after {digest:.1f} "
            f"s; {heard:.0f} pages in digests"
        )
        assert CANARY not in daemon.log()


def _says(chat: At, word: str) -> bool:
    """Whether some digest says so of some incident."""
    found = [str(body["blocks"]) for what, (_, body) in list(chat.vendor.seen) if what == "post"]
    return any("DIGEST" in text and word in text for text in found)


def test_the_pace_of_a_chat_is_kept_in_a_storm_of_urgent_ones(daemons: Daemons) -> None:
    """First pages of P1 never wait for a digest: all of them leave, and Slack hears one a second, three at once."""
    with serving("slack") as chat:
        daemon = daemons(f"receivers: [{slack(chat, more=EVERY)}]\n", RULES.replace("priority: P2", "priority: P1")
                         .replace("['receiver:chat', 'receiver:sms', 'receiver:pd']", "['receiver:chat']"))  # fmt: skip
        daemon.start()
        storm(daemon, "firing", range(8))
        until("all of them", lambda: len(posts(chat, "post")) == 8, 20)
        gaps = [later - earlier for earlier, later in zip(chat.times[3:], chat.times[4:], strict=False)]
        assert all(gap > 0.9 for gap in gaps)


def test_a_429_holds_up_no_other_channel(daemons: Daemons, figures: list[str]) -> None:
    """Telegram asks for 30 s of quiet: it is asked nothing more, and the texts leave all the while."""
    busy = json.dumps({"ok": False, "error_code": 429, "parameters": {"retry_after": 30}}).encode()
    with serving("telegram", lambda _: (429, busy)) as chat, serving("twilio") as sms, serving("pagerduty") as pager:
        telegram = (
            f'{{name: chat, type: telegram, token: "1234:{CANARY}", chat: -1001, topic: 7, api_url: "{chat.url}"}}'
        )
        _, _, rest = config(chat, sms, pager).partition("- {name: sms")
        daemon = daemons(f"storm: {{enabled: false}}\nreceivers:\n- {telegram}\n- {{name: sms{rest}", RULES)
        daemon.start()
        began = storm(daemon, "firing", range(6))
        until("the pager has all", lambda: len(events(pager, "trigger")) == 6)
        until("the texts, one a second", lambda: len(texts(sms)) == 6, 20)
        took = time.monotonic() - began
        assert len(chat.times) <= 5, "those that were on their way when it said so"
        assert max(chat.times) - began < 1.5
        status = {one["receiver"]: one for one in daemon.get("/v1/status").json()["receivers"]}
        assert 15 < status["chat"]["retry_in_seconds"] <= 30
        figures.append(
            f"429 of one receiver: asked {len(chat.times)} times in {took:.1f} s; six texts left, one a second"
        )
