"""Words that are something else somewhere: SQL, paths, lines of a log, headers, HTML. Here they are words."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote

import pytest

from imd.api.doors import signer
from tests.api.server import Logged, Serve, Server

JSON = "application/json"
SQL = [
    "'",
    '"',
    "\\",
    "';--",
    "' OR '1'='1",
    "1 OR 1=1",
    "1; DROP TABLE incidents;--",
    "x' UNION SELECT sql FROM sqlite_master--",
    "1' AND (SELECT count(*) FROM sqlite_master)>0--",
    "') OR ('a'='a",
    "%' --",
    "1/**/OR/**/1",
    "0x31",
    "1e9999",
    "NULL",
    "' || (SELECT hex(randomblob(100000000))) || '",
    "a' COLLATE NOCASE--",
    "*",
    "%",
    "_",
    "\x00",
    "\ufffd",
    "𝟏",
]
PATHS = [
    "..",
    "../",
    "../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/etc/passwd",
    "..%5c..%5cwindows",
    "....//",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "..%252f..%252fetc%252fpasswd",
    "..;/",
    "%00",
    "config.yaml%00.json",
    "file:///etc/passwd",
    "..%c0%af..%c0%afetc%c0%afpasswd",
    "~root",
    "CON",
    "imd.db",
]
HOSTILE = [
    "a\r\nX-Injected: 1",
    "a\nSet-Cookie: x=1",
    "a\r\n\r\n<html>",
    '"} {"event":"daemon.started',
    "\x1b[2J\x1b]0;owned\x07",
    "a\u2028b",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</title><script>alert(1)</script>",
    "javascript:alert(1)",
    "' onmouseover=alert(1) '",
    "{{ 7 * 7 }}",
    "{{''.__class__.__mro__}}",
    "{% for i in range(10**9) %}{% endfor %}",
    "${jndi:ldap://x/a}",
    "%n%s%x",
    "`id`",
    "$(id)",
    "=cmd|' /C calc'!A0",
    "\u202egnp.exe",
    "\ufeff",
    "\ud83d",
]


def _alert(word: str) -> dict[str, object]:
    labels = {"alertname": word, "word": word, "severity": word, "instance": word, "service": word}
    return {"labels": labels, "annotations": {"summary": word, "description": word}, "generatorURL": "http://x"}


@pytest.mark.parametrize("word", SQL)
async def test_sql_is_text_wherever_it_is_asked_for(server: Server, word: str) -> None:
    """Each parameter and part of a path that reaches the store: never a 5xx, never more than there is for other words,
    and the store is whole after it."""
    await server.call("POST", "/api/v2/alerts", [{"labels": {"alertname": "A", "env": "prod"}}])
    await server.pass_time(timedelta(minutes=1))
    q = quote(word, safe="")
    asked = [
        f"/v1/incidents?rule={q}",
        f"/v1/incidents?match=env={q}",
        f"/v1/incidents?match={q}",
        f"/v1/incidents?since={q}",
        f"/v1/incidents?cursor={q}",
        f"/v1/incidents?status={q}",
        f"/v1/incidents?priority={q}",
        f"/v1/incidents/{q}",
        f"/v1/incidents/{q}/timeline",
        f"/v1/incidents/{q}/alerts?cursor={q}",
        f"/v1/deliveries?incident={q}",
        f"/v1/deliveries?state={q}",
        f"/v1/rejected?source={q}",
        f"/v1/rejected?cursor={q}",
        f"/v1/journal?since={q}",
        f"/v1/journal?cursor={q}",
        f"/v1/audit?cursor={q}",
        f"/v1/alerts?match=env={q}",
        f"/v1/oncall?schedule={q}",
        f"/v1/silences/{q}",
        f"/api/v2/silence/{q}",
        f"/api/v2/alerts?filter=env={q}",
        f"/api/v2/alerts?receiver={q}",
        f"/v2/alerts/{q}?identifierType=alias",
    ]
    for path in asked:
        status, answer, _ = await server.call("GET", path)
        assert status in (200, 400, 404, 422), (path, answer)
        if isinstance(answer, dict) and path.startswith("/v1/incidents?rule"):
            assert answer["items"] == []
    for path in ("/v1/incidents/1/note", "/v1/incidents"):
        body = {"by": word or "x", "note": word, "title": word, "key": word, "labels": {"a": word}}
        status, answer, _ = await server.call("POST", path, body)
        assert status in (200, 201, 400), (path, answer)
    _, after, _ = await server.call("GET", "/v1/incidents?rule=default&match=env=prod")
    assert [one["labels"] or one["group_key"] for one in after["items"]]
    assert await server.call("GET", "/v1/audit") is not None


@pytest.mark.parametrize("word", PATHS)
async def test_no_path_leads_to_a_file(server: Server, word: str) -> None:
    """Nothing is served from the disk, so there is nothing to climb out of."""
    for prefix in [
        "/",
        "/v1/",
        "/v1/incidents/",
        "/v1/rules/",
        "/v1/ingest/",
        "/v1/links/",
        "/static/",
        "/-/",
        "/am/",
        "/api/v2/silence/",
    ]:
        status, answer, _ = await server.call("GET", prefix + word)
        assert status in (200, 400, 403, 404, 405, 410, 422, 429), (prefix, answer)
        assert "root:" not in str(answer)
        assert "SQLite format" not in str(answer)
    status, _, _ = await server.call("POST", f"/v1/ingest/{word}", {"alerts": []})
    assert status in (200, 400, 404, 405)


PLACES = ["/v1/incidents/", "/v1/x?", "/v1/links/", "/api/v2/silence/", "/v1/oncall?schedule="]


async def test_hostile_words_make_no_line_no_header_and_no_tag(serve: Serve, log: Logged) -> None:
    """In every label and annotation, in notes, in names of people, in paths; told back on pages and in the log."""
    config = "external_url: https://imd.example\nlog: {level: debug}\nlimits: {refused_max: 100000}\n"
    async with serve(config) as server:
        for word in HOSTILE:
            raw = json.dumps([_alert(word)]).encode()
            status, answer, response = await server.call("POST", "/api/v2/alerts", raw=raw, Content_Type=JSON)
            assert status in (200, 400), (word, answer)
            _no_header(response)
            named = {"alerts": [{"labels": {word: "x"}, "status": word}, {"labels": {"alertname": word * 2000}}]}
            status, _, response = await server.call("POST", "/v1/ingest/alertmanager", raw=json.dumps(named).encode())
            assert status == 400
            _no_header(response)
            for place in PLACES:
                _, _, response = await server.call("GET", place + quote(word, safe="", errors="replace"))
                _no_header(response)
        await server.pass_time(timedelta(minutes=1))
        _, page, _ = await server.call("GET", "/v1/incidents?limit=500")
        assert len(page["items"]) > 10
        sign = signer(server.settings, server.store)
        for number, one in enumerate(page["items"]):
            word = HOSTILE[number % (len(HOSTILE) - 1)]
            body = {"by": word, "note": " ".join(HOSTILE[:-1])}
            _, _, response = await server.call("POST", f"/v1/incidents/{one['id']}/note", body)
            _no_header(response)
            token = sign.token(one["id"], word, server.clock.now())
            for method in ("GET", "POST"):
                status, text, response = await server.call(method, f"/v1/links/{token}")
                assert status == 200
                _no_header(response)
                _only_our_tags(str(text), response)
    lines = log.text().splitlines()
    assert len(lines) > len(HOSTILE)
    for line in lines:
        assert isinstance(json.loads(line), dict), line  # one event, whatever its words hold
        assert "\x1b" not in line


def _no_header(response: Any) -> None:
    assert not {"x-injected", "set-cookie"} & {name.lower() for name in response.headers}


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def _only_our_tags(text: str, response: Any) -> None:
    """As a browser would read it; and the policy would stop what is not."""
    found = _Tags()
    found.feed(text)
    assert found.tags <= {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "h1",
        "p",
        "b",
        "form",
        "label",
        "input",
        "button",
    }
    assert found.attributes <= {"lang", "charset", "name", "content", "method", "value", "maxlength"}
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert not {"script-src", "unsafe-inline"} & set(re.findall(r"[\w-]+", policy))
    assert "frame-ancestors 'none'" in policy
    assert "base-uri 'none'" in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"


URLS = [
    "javascript:alert(1)",
    " javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,<script>",
    "vbscript:x",
    "file:///etc/passwd",
]


@pytest.mark.parametrize("url", URLS)
async def test_a_generator_url_that_runs_is_none(server: Server, url: str) -> None:
    """CVE-2023-40577 of Alertmanager: its page made a link of it."""
    alert = {"labels": {"alertname": "A"}, "generatorURL": url}
    await server.call("POST", "/api/v2/alerts", [alert])
    await server.call("POST", "/v1/ingest/alertmanager", {"alerts": [alert | {"status": "firing"}]})
    await server.pass_time(timedelta(minutes=1))
    for path in ("/api/v2/alerts", "/v1/alerts", "/v1/incidents/1"):
        _, answer, _ = await server.call("GET", path)
        assert url.strip().lower() not in json.dumps(answer).lower()


async def test_a_form_of_another_site_does_nothing(serve: Serve) -> None:
    """There is no cookie that a browser would send with it, and Alertmanager's paths take JSON alone."""
    async with serve("auth: {tokens: [{name: ana, scopes: [admin], token: ana-token}]}\n") as server:
        shown = {"Origin": "https://evil.example", "Cookie": "token=ana-token", "Content_Type": "text/plain"}
        for path in ("/v1/pause", "/v1/silences", "/-/reload", "/v1/incidents/1/ack"):
            status, _, response = await server.call("POST", path, raw=b'{"by":"x","for":"1h"}', **shown)
            assert status == 401
            assert "Access-Control-Allow-Origin" not in response.headers
    async with serve("") as server:
        status, _, _ = await server.call("POST", "/api/v2/alerts", raw=b"[]", Content_Type="text/plain")
        assert status == 415


async def test_no_label_of_an_alert_becomes_a_series(server: Server) -> None:
    """A million values would be a million series; and metrics may be read by those who may not read alerts."""
    _, before, _ = await server.call("GET", "/metrics")
    alerts = [
        {"labels": {"alertname": f"zaunkoenig{n}", "zaunkoenig": str(n), "source": f"zaunkoenig{n}"}}
        for n in range(200)
    ]
    assert (await server.call("POST", "/api/v2/alerts", alerts))[0] == 200
    await server.call("POST", "/v1/ingest/zaunkoenig", {"alerts": alerts})
    await server.call("GET", "/v1/zaunkoenig")
    await server.pass_time(timedelta(minutes=1))
    _, after, _ = await server.call("GET", "/metrics")
    assert "zaunkoenig" not in str(after)
    assert len(str(after).splitlines()) < len(str(before).splitlines()) + 200
