"""The whole daemon and vendors' servers: a conversation outlives kill -9, a storm to one chat delays nobody else, and a
broken template still pages."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.channels.server import Request
from tests.channels.vendors import CANARY, VENDORS, Reply, Vendor
from tests.system.running import Daemon, Daemons, until

EACH = """rules:
  - {name: each, match: 'alertname=~".+"', group_by: [serial], hold: 0s, resolve: {after: 0s}}
"""
EVERY = "send: [page, update, acknowledged, resolved, note]"


class At:
    """When each request came, in monotonic seconds."""

    def __init__(self, vendor: Vendor, url: str) -> None:
        self.vendor, self.url = vendor, url
        self.times: list[float] = []


@contextmanager
def serving(name: str, handle: Callable[[Request], Reply] | None = None) -> Iterator[At]:
    """The vendor on a port of its own, in threads of its own."""
    vendor = VENDORS[name]()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            headers = {key.lower(): value for key, value in self.headers.items()}
            with lock:
                at.times.append(time.monotonic())
                status, said = (handle or vendor.handle)(Request(self.path, headers, body, self.command))
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_POST = do_PUT = do_PATCH = do_GET = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    at = At(vendor, f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield at
    finally:
        server.shutdown()
        server.server_close()


def alert(daemon: Daemon, status: str = "firing", **labels: str) -> None:
    body = {"alerts": [{"status": status, "labels": {"alertname": "Down", **labels}}]}
    assert daemon.post("/v1/ingest/alertmanager", body).status == 200


def slack(at: At, name: str = "chat", more: str = EVERY) -> str:
    return f'{{name: {name}, type: slack, token: {CANARY}, channel: "#ops", api_url: "{at.url}/api", {more}}}'


def sent(at: At) -> Callable[[], list[str]]:
    return lambda: [what for what, _ in at.vendor.seen]


def test_a_conversation_outlives_kill_9(daemons: Daemons) -> None:
    """Page, kill, acknowledge, kill, resolve: one message in the channel, edited, all else in its thread."""
    with serving("slack") as at:
        daemon = daemons(f"receivers: [{slack(at)}]\n", EACH)
        daemon.start()
        alert(daemon, serial="1")
        until("the page", lambda: sent(at)() == ["post"])
        until("its end is on disk", lambda: daemon.pending() == 0)
        daemon.kill()
        daemon.start()
        assert daemon.post("/v1/incidents/1/ack", {"by": "ana"}).status == 200
        until("the acknowledgement", lambda: sent(at)() == ["post", "edit", "reply"])
        until("its end is on disk", lambda: daemon.pending() == 0)
        daemon.kill()
        daemon.start()
        alert(daemon, "resolved", serial="1")
        until("the end", lambda: sent(at)() == ["post", "edit", "reply", "edit", "reply"])
        first = at.vendor.seen[0][1][0]
        assert all(body["thread_ts"] == first for what, (_, body) in at.vendor.seen if what == "reply")
        assert all(ts == first for what, (ts, _) in at.vendor.seen if what == "edit")
        assert CANARY not in daemon.log()
        assert CANARY not in daemon.printed()


@pytest.mark.parametrize("name", ["slack", "telegram", "matrix"])
def test_killed_before_the_end_was_on_disk(name: str, daemons: Daemons) -> None:
    """The answer was never heard: the page is sent again, and the resolve follows one that exists. On Matrix it is one
    message, for its transaction is the same."""
    settings = {
        "slack": f'type: slack, token: {CANARY}, channel: "#ops", api_url: "URL/api"',
        "telegram": f'type: telegram, token: "1234:{CANARY}", chat: -1001, topic: 7, api_url: "URL"',
        "matrix": f'type: matrix, token: {CANARY}, room: "!abc:example.org", server: "URL"',
    }
    gate = threading.Event()
    vendor = VENDORS[name]()

    def slow(request: Request) -> Reply:
        taken = vendor.handle(request)
        gate.wait(20)
        return taken

    with serving(name, slow) as at:
        chat = f"{{name: chat, {settings[name].replace('URL', at.url)}}}"
        daemon = daemons(f"receivers: [{chat}]\n", EACH)
        daemon.start()
        alert(daemon, serial="1")
        until("it is taken", lambda: len(vendor.seen) == 1)
        daemon.kill()
        gate.set()
        daemon.start()
        until("it is sent again", lambda: daemon.pending() == 0)
        alert(daemon, "resolved", serial="1")
        until("the end", lambda: any("RESOLVED" in str(body) for _, body in vendor.seen))
    posts = [what for what, _ in vendor.seen if what == "post"]
    assert len(posts) == (1 if name == "matrix" else 2)


def test_a_storm_to_a_chat_does_not_delay_an_sms(daemons: Daemons) -> None:
    """Twenty incidents at once, without digests: Slack hears one a second, the SMS' own sender as many as it may, and
    the first page of each is out at once."""
    with serving("slack") as chat, serving("twilio") as texts:
        sms = (
            f'{{name: sms, type: twilio, account_sid: {"AC" + "0" * 32}, auth_token: {CANARY}, from: "+15005550006", '
            f'to: "+4915112345678", per_second: 100, api_url: "{texts.url}"}}'
        )
        daemon = daemons(f"receivers: [{slack(chat)}, {sms}]\nstorm: {{enabled: false}}\n", EACH)
        daemon.start()
        began = time.monotonic()
        for serial in range(20):
            alert(daemon, serial=str(serial))
        until("all SMS", lambda: len(texts.vendor.seen) == 20)
        assert time.monotonic() - began < 5
        until("six on Slack", lambda: len(chat.vendor.seen) >= 6)
    gaps = [later - earlier for earlier, later in zip(chat.times[3:], chat.times[4:], strict=False)]
    assert len(chat.vendor.seen) < 20
    assert all(gap > 0.9 for gap in gaps)


def test_a_broken_template_still_pages_and_is_counted(daemons: Daemons) -> None:
    """It wants a cause, and this incident has none: built-in text, a metric, a line in the log; a warning before."""
    template = "{body: '{{ incident.root_cause.entity }}'}"
    with serving("slack") as at:
        daemon = daemons(f"receivers: [{slack(at, more=f'templates: {template}')}]\n", EACH)
        daemon.start()
        alert(daemon, serial="1")
        until("the page", lambda: sent(at)() == ["post"])
        assert "'State'" in str(at.vendor.seen[0][1][1]["blocks"])
        until("counted", lambda: daemon.metric("imd_receiver_templates_failed_total", receiver="chat") == 1)
        until("said", lambda: "template.failed" in daemon.log())
        assert "warning[W080]" in daemon.log()


def test_a_test_page_goes_to_any_receiver(daemons: Daemons) -> None:
    """And says what the vendor said when it is refused, without the secret."""
    with serving("slack") as at:
        daemon = daemons(f"receivers: [{slack(at)}, {slack(at, 'wrong').replace(CANARY, 'other-canary')}]\n", EACH)
        daemon.start()
        answer = daemon.post("/v1/receivers/chat/test", {"text": "is this thing on?", "by": "ana"})
        assert answer.status == 200, answer
        assert "is this thing on?" in str(at.vendor.seen[0])
        refused = daemon.post("/v1/receivers/wrong/test", {"text": "x", "by": "ana"})
        assert "invalid_auth" in refused.body.decode()
        assert "canary" not in refused.body.decode()
