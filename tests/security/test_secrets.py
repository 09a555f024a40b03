"""A canary in every secret of config.yaml, and nothing that the daemon says, answers or stores holds one."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import structlog

from imd.config import callerfile, configfile, sourcefile
from imd.config.receiverkeys import TYPES
from imd.config.shape import Keys
from imd.telemetry import configure_logs
from tests.system.running import Daemon, Daemons, until

CANARY = "xWrEnX"
TOKEN = f"{CANARY}-admin-token"

RECEIVERS = """\
webhook, url: '{url}/{c}-webhook-url', secret: '{c}-webhook-secret'
console
file, path: pages.jsonl
exec, command: ['false']
pagerduty, api_url: '{url}', routing_key: '{c}pagerdutyroutingkey0123456', webhook_secret: '{c}-pagerduty-webhook'
opsgenie, api_url: '{url}', api_key: '{c}-opsgenie-key', webhook_token: '{c}-opsgenie-webhook'
slack, channel: '#ops', api_url: '{url}', token: '{c}-slack-token', signing_secret: '{c}-slack-signing'
slack, url: '{url}/{c}-slack-url'
email, host: 127.0.0.1, port: {port}, tls: none, from: imd@example.com, to: [ana@example.com], username: imd, password: '{c}-email'
teams, url: '{url}/{c}-teams-url'
telegram, api_url: '{url}', chat: '1', token: '{c}-telegram-token'
discord, url: '{url}/{c}-discord-url'
mattermost, server: '{url}', channel: abcdefghijklmnopqrstuvwxyz, token: '{c}-mattermost-token'
mattermost, url: '{url}/{c}-mattermost-url'
ntfy, server: '{url}', topic: ops, token: '{c}-ntfy-token'
ntfy, server: '{url}', topic: ops, username: imd, password: '{c}-ntfy-password'
pushover, api_url: '{url}', token: '{c}-pushover-token-7890123456', user: '{c}-pushover-user-67890123456'
twilio, api_url: '{url}', account_sid: ACffffffffffffffffffffffffffffffff, from: '+15005550006', to: '+15005550001', auth_token: '{c}-twilio-auth', callback_token: '{c}-twilio-callback'
matrix, server: '{url}', room: '!a:b', token: '{c}-matrix-token'
webex, api_url: '{url}', room: ops, token: '{c}-webex-token'
victorops, api_url: '{url}', routing_key: ops, api_key: '{c}-victorops-key'
servicenow, url: '{url}', username: imd, password: '{c}-servicenow-password'
apprise, url: 'json://{host}/{c}-apprise-url'
"""  # noqa: E501
"""A receiver a line, of every type, with all its secrets; those that exclude each other in two."""


class _Echo(BaseHTTPRequestHandler):
    """Refuses everything, and tells its client all that it was asked."""

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        said = b"you sent " + self.path.encode() + b" " + str(self.headers).encode() + asked
        self.send_response(403)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_PUT = do_PATCH = do_POST  # noqa: N815

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def echo() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def _secrets(keys: Keys) -> list[str]:
    return [word for word, key in keys.items() if key.secret]


def _receivers(url: str) -> list[str]:
    known = {"url": url, "port": url.rpartition(":")[2], "host": url.removeprefix("http://"), "c": CANARY}
    lines = RECEIVERS.format(**known).splitlines()
    return [
        f"  - {{name: r{number}, send: [page, update, resolved, note], type: {line}}}"
        for number, line in enumerate(lines)
    ]


def _config(url: str, folder: Path) -> str:
    (folder / "links.secret").write_text(f"{CANARY}-links-secret-of-a-good-length")
    return "\n".join(
        [
            "external_url: http://imd.example",
            "receivers:",
            *_receivers(url),
            f"auth: {{tokens: [{{name: ana, scopes: [admin], token: {TOKEN}}}]}}",
            "sources:",
            f"  - {{name: pd, type: pagerduty, keys: [{CANARY}-pd-key, {{key: {CANARY}-pd-key-2}}]}}",
            f"  - {{name: am, type: alertmanager, tokens: [{{token: {CANARY}-am-token}}],",
            f"     reconcile: {{url: '{url}/{CANARY}-reconcile-url', every: 30s}}}}",
            f"  - {{name: signs, type: grafana, signing: {{secrets: [{CANARY}-signs, {{secret: {CANARY}-signs-2}}]}}}}",
            f"links: {{secret_file: '{folder}/links.secret'}}",
            f"watchdog: {{url: '{url}/{CANARY}-watchdog-url', every: 10s}}",
            "log: {level: debug, format: json}",
            "",
        ]
    )


def test_every_secret_key_has_its_canary(tmp_path: Path) -> None:
    """A new secret key is in here before it is anywhere else."""
    config = _config("http://127.0.0.1:1", tmp_path)
    for kind, made in TYPES.items():
        lines = "\n".join(line for line in config.splitlines() if re.search(f"type: {kind}[,}}]", line))
        assert lines, kind
        for word, key in made.keys.items():
            held = rf" {word}: '(?:http|json)?[^']*{CANARY}"
            assert not key.secret or re.search(held, lines), (kind, word)
    tables = {
        "auth": callerfile.TOKEN,
        "sources": sourcefile.SOURCE,
        "key": sourcefile.KEY,
        "signing": sourcefile.SIGNING_SECRET,
        "reconcile": sourcefile.RECONCILE,
        "links": configfile.LINKS,
        "watchdog": configfile.WATCHDOG,
        "canary": configfile.CANARY,
        "config": configfile.CONFIG,
    }
    assert {name: _secrets(keys) for name, keys in tables.items() if _secrets(keys)} == {
        "auth": ["token"],
        "key": ["key"],
        "signing": ["secret"],
        "reconcile": ["url"],
        "links": ["secret"],
        "watchdog": ["url"],
    }


def _asked(daemon: Daemon, path: str, method: str = "GET", body: object = None, token: str = TOKEN) -> str:
    connection = HTTPConnection("127.0.0.1", daemon.port, timeout=20)
    try:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        return f"{response.status} {response.headers} " + response.read().decode("utf-8", "replace")
    finally:
        connection.close()


READ = """
/v1/status /v1/incidents /v1/incidents/1 /v1/incidents/1/why /v1/incidents/1/timeline /v1/deliveries /v1/rejected
/v1/journal /v1/audit /v1/rules /v1/alerts /v1/oncall /v1/openapi.json /metrics /api/v2/status /api/v2/receivers
/api/v2/alerts /api/v2/alerts/groups /-/ready /-/config /config
"""


@pytest.mark.slow
def test_no_canary_gets_out(daemons: Daemons, tmp_path: Path, echo: str) -> None:
    """Every receiver is paged at a vendor that refuses and repeats what it was sent; callers show wrong, right and
    other tokens; files are read again with faults. All that was logged, printed, answered and stored is searched."""
    daemon = daemons(_config(echo, tmp_path), f"policies: [{{name: default, steps: [{{notify: [{_targets()}]}}]}}]\n")
    daemon.start()
    seen: dict[str, str] = {}
    alert = [{"labels": {"alertname": "DiskFull", "severity": "critical"}}]
    seen["post"] = _asked(daemon, "/api/v2/alerts", "POST", alert, f"{CANARY}-am-token")
    failed = len(NAMES) - 4  # the console, the file and the program that is not asked by HTTP, and one yet to come
    until("they refused it", lambda: _asked(daemon, "/v1/deliveries?limit=500").count('"error":"') >= failed, 60)
    for name in NAMES:
        seen[f"test {name}"] = _asked(daemon, f"/v1/receivers/{name}/test", "POST", {"text": "x", "by": "ana"})
    seen["note"] = _asked(daemon, "/v1/incidents/1/note", "POST", {"by": "ana", "note": "x"})
    for token in (f"{CANARY}-wrong", f"{CANARY}-am-token", ""):
        seen[f"as {len(token)}"] = _asked(daemon, "/v1/incidents", token=token)
    seen["pd"] = _asked(daemon, "/v2/enqueue", "POST", {"routing_key": f"{CANARY}-wrong", "event_action": "trigger"})
    for path in READ.split():
        seen[path] = _asked(daemon, path)
    whole = (daemon.folder / "config.yaml").read_text()
    misspelt = whole.replace(" routing_key: '", " routing_kye: '").replace(" token: '", " tokne: '")
    (daemon.folder / "config.yaml").write_text(misspelt.replace(" password: '", " pasword: '"))
    seen["reload"] = _asked(daemon, "/-/reload", "POST")
    assert seen["reload"].startswith("400"), seen["reload"]
    checked = subprocess.run(
        [sys.executable, "-m", "imd", "check", "--config", "config.yaml"],
        cwd=daemon.folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    seen["check"] = checked.stdout + checked.stderr
    seen["status after"] = _asked(daemon, "/v1/status")
    assert daemon.stop() == 0
    seen["log"], seen["printed"] = daemon.log(), daemon.printed()
    for path in daemon.folder.glob("imd.db*"):
        seen[path.name] = path.read_bytes().decode("latin-1")
    assert '"delivery.' in seen["log"]
    assert {place: _around(text) for place, text in seen.items() if CANARY.lower() in text.lower()} == {}


NAMES = [f"r{number}" for number in range(len(RECEIVERS.splitlines()))]


def _targets() -> str:
    return ", ".join(f"'receiver:{name}'" for name in NAMES)


def _around(text: str) -> list[str]:
    return [text[max(0, found.start() - 80) : found.end() + 40] for found in re.finditer(CANARY, text, re.IGNORECASE)][
        :3
    ]


def test_a_fault_of_our_own_shows_no_values() -> None:
    """Tracebacks name lines, not what variables held, whatever else is installed that would show them."""
    for form in ("json", "console"):
        shown = _logged(configure_logs, form)
        assert "ZeroDivisionError" in shown
        assert CANARY not in shown


def _logged(configure: Any, form: str) -> str:
    stream = io.BytesIO()
    writer = configure(form, stream=stream, cached=False)
    secret = f"{CANARY}-local"  # noqa: F841 - what a traceback with values would show
    try:
        1 / 0  # noqa: B018
    except ZeroDivisionError as error:
        structlog.get_logger().error("http.failed", exc_info=error)
    writer.close()
    return stream.getvalue().decode()
