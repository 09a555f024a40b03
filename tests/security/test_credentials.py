"""What callers show: tokens, Basic, signatures; what becomes of what is wrong, old, replayed or guessed."""

from __future__ import annotations

import base64
import hmac
import json
import subprocess
from collections.abc import AsyncIterator
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest

from imd.api import signatures, signed
from imd.api.refusals import ADDRESSES_MAX, REFUSED_WITHIN_SECONDS, Refusals
from imd.config.settings import Limits
from tests.api.server import Logged, Serve, Server

CONFIG = """
auth: {tokens: [{name: ana, scopes: [read], token: ana-token}, {name: ben, scopes: [ingest], token: ben-token}]}
sources:
  - name: backups
    type: alertmanager
    signing: {secrets: [old-secret, {secret: new-secret}]}
  - name: graf
    type: grafana
    signing: {secrets: [graf-secret], signature: X-Grafana-Alerting-Signature, timestamp: X-Grafana-Alerting-Timestamp}
  - {name: both, type: alertmanager, tokens: [{token: both-token}], signing: {secrets: [both-secret]}}
  - {name: plain, type: alertmanager, tokens: [{token: plain-old}, {token: plain-new}]}
"""
BODY = json.dumps({"version": "4", "alerts": [{"status": "firing", "labels": {"alertname": "A"}}]}).encode()


def _mac(secret: str, stamp: str, body: bytes = BODY, joint: str = ".") -> str:
    return hmac.new(secret.encode(), f"{stamp}{joint}".encode() + body, sha256).hexdigest()


class Sender:
    """Signs for a source."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def stamp(self, ahead: float = 0) -> str:
        return str(int(self.server.clock.now().timestamp() + ahead))

    async def send(
        self, source: str = "backups", secret: str = "new-secret", ahead: float = 0, body: bytes = BODY, **headers: str
    ) -> int:
        stamp = self.stamp(ahead)
        shown = {"X_Imd_Timestamp": stamp, "X_Imd_Signature": "v1=" + _mac(secret, stamp)} | headers
        status, _, _ = await self.server.call("POST", f"/v1/ingest/{source}", raw=body, **shown)
        return status


@pytest.fixture
async def sender(serve: Serve) -> AsyncIterator[Sender]:
    async with serve(CONFIG) as server:
        yield Sender(server)


async def test_a_good_signature_counts_once(sender: Sender) -> None:
    """In place of a token; under either secret; the very same body again is refused, a later one is taken."""
    assert await sender.send() == 200
    assert await sender.send() == 401
    assert await sender.send(secret="old-secret") == 200
    sender.server.clock.advance(timedelta(seconds=1))
    assert await sender.send() == 200
    assert await sender.send(X_Imd_Signature=_mac("new-secret", sender.stamp()).upper()) == 401
    assert [alert.source for alert in sender.server.open_alerts()] == ["backups"]


@pytest.mark.parametrize(
    ("said", "how"),
    [
        ("too old", {"ahead": -301}),
        ("too far ahead", {"ahead": 301}),
        ("another secret", {"secret": "no-secret"}),
        ("another body", {"body": BODY + b" "}),
        ("no signature", {"X_Imd_Signature": ""}),
        ("no time", {"X_Imd_Timestamp": ""}),
        ("another time", {"X_Imd_Timestamp": "1"}),
        ("a time that is none", {"X_Imd_Timestamp": "-1"}),
        ("a word that is no signature", {"X_Imd_Signature": "\xff\u0141"}),
        ("a token that may send, and no signature", {"X_Imd_Signature": "", "Authorization": "Bearer ben-token"}),
    ],
)
async def test_a_bad_signature_is_refused(sender: Sender, said: str, how: dict[str, Any]) -> None:
    assert await sender.send(**how) == 401, said
    assert list(sender.server.open_alerts()) == []
    assert await sender.send() == 200


async def test_a_signature_is_good_for_five_minutes_and_remembered_for_ten(sender: Sender) -> None:
    """What is ahead of our clock by almost five minutes is good, and refused again, until it is too old."""
    stamp = sender.stamp(299)
    shown = {"X_Imd_Timestamp": stamp, "X_Imd_Signature": _mac("new-secret", stamp)}
    assert await sender.send(**shown) == 200
    for _ in range(4):
        sender.server.clock.advance(timedelta(seconds=149))
        assert await sender.send(**shown) == 401


async def test_a_body_that_was_not_taken_may_come_again(sender: Sender) -> None:
    """A sender repeats what got a 503 just as it was."""
    stamp = sender.stamp()
    shown = {"X_Imd_Timestamp": stamp, "X_Imd_Signature": _mac("new-secret", stamp)}
    await sender.server.loop.stop()
    assert await sender.send(**shown) == 503
    assert await sender.send(**shown) == 503


async def test_what_is_remembered_is_bounded(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new body is then put off, not an old signature forgotten: it would be good once more."""
    monkeypatch.setattr(signed, "REMEMBERED_MAX", 1)
    assert await sender.send() == 200
    sender.server.clock.advance(timedelta(seconds=1))
    assert await sender.send() == 503
    sender.server.clock.advance(timedelta(seconds=600))
    assert await sender.send() == 200


async def test_grafana_signs_in_headers_of_its_own(sender: Sender) -> None:
    """timestamp:body, bare hex (grafana.com/docs, Webhook notifier, HMAC signature, read November 2026)."""
    stamp = sender.stamp()
    shown = {
        "X_Grafana_Alerting_Timestamp": stamp,
        "X_Grafana_Alerting_Signature": _mac("graf-secret", stamp, joint=":"),
    }
    status, _, _ = await sender.server.call("POST", "/v1/ingest/graf", raw=BODY, **shown)
    assert status == 200
    status, _, _ = await sender.server.call("POST", "/v1/ingest/graf", raw=BODY, **shown)
    assert status == 401


async def test_there_is_no_way_round_a_signature(sender: Sender) -> None:
    """Not by the name of its type, not by Alertmanager's path, not by a source's other proof alone."""
    call = sender.server.call
    for path in ("/v1/ingest/grafana", "/v1/ingest/alertmanager", "/v1/ingest/backups"):
        assert (await call("POST", path, raw=BODY))[0] == 401
    assert (await call("POST", "/api/v2/alerts", [{"labels": {"alertname": "A"}}]))[0] == 401
    assert (await call("POST", "/v1/ingest/both", raw=BODY, Authorization="Bearer both-token"))[0] == 401
    assert await sender.send("both", "both-secret") == 401
    assert await sender.send("both", "both-secret", Authorization="Bearer both-token") == 200


async def test_a_source_named_as_its_type_is_not_open_by_alertmanagers_path(serve: Serve) -> None:
    async with serve(
        "sources: [{name: alertmanager, type: alertmanager, signing: {secrets: [s-e-c-r-e-t]}}]\n"
    ) as server:
        assert (await server.call("POST", "/api/v2/alerts", [{"labels": {"alertname": "A"}}]))[0] == 401
        assert await Sender(server).send("alertmanager", "s-e-c-r-e-t") == 200


def test_openssl_signs_alike() -> None:
    """As docs/config.md shows it."""
    ran = subprocess.run(
        ["openssl", "dgst", "-sha256", "-hmac", "new-secret", "-r"],
        input=b"1700000000." + BODY, capture_output=True, check=True,
    )  # fmt: skip
    shown = ran.stdout.decode().split(" ")[0]
    assert signatures.sender(["x", "new-secret"], "1700000000", f"sha256={shown}", BODY, 1700000000.0)


# -- tokens -----------------------------------------------------------------------------------------------------------


def _basic(pair: bytes) -> str:
    return "Basic " + base64.b64encode(pair).decode()


WRONG = {
    "none": None,
    "wrong": "Bearer no-token",
    "almost": "Bearer plain-ol",
    "with more": "Bearer plain-old.",
    "empty": "Bearer ",
    "another scheme": "Digest plain-old",
    "basic, wrong": _basic(b"plain:no-token"),
    "basic, no colon": _basic(b"plain-old"),
    "basic, not base64": "Basic plain-old",
    "basic, not UTF-8": _basic(b"\xff:\xff"),
    "long": "Bearer " + "x" * 4000,
    "the digest": "Bearer " + sha256(b"plain-old").hexdigest(),
    "in the query": None,
}


@pytest.mark.parametrize("path", ["/v1/ingest/plain", "/api/v2/alerts", "/v1/incidents", "/v1/audit", "/metrics"])
async def test_every_wrong_credential_gets_the_same_answer(serve: Serve, path: str) -> None:
    """Status, words and headers do not tell what was wrong, nor whether the source exists."""
    answers = set()
    async with serve(CONFIG) as server:
        for said, header in WRONG.items():
            method = "POST" if path.startswith(("/v1/ingest", "/api")) else "GET"
            query = "?token=plain-old&access_token=ana-token" if said == "in the query" else ""
            shown = {} if header is None else {"Authorization": header}
            status, body, response = await server.call(method, path + query, raw=BODY, **shown)
            headers = {name: text for name, text in response.headers.items() if name != "Date"}
            answers.add((status, json.dumps(body), json.dumps(headers)))
        assert len(answers) == 1
        assert answers.pop()[0] == 401
        if path.startswith("/v1/ingest"):
            unknown = await server.call("POST", "/v1/ingest/nobody", raw=BODY)
            assert unknown[0] == 401


async def test_several_tokens_are_valid_at_once_as_bearer_and_basic(serve: Serve) -> None:
    async with serve(CONFIG) as server:
        for shown in ("Bearer plain-old", "bearer plain-new", _basic(b"any:plain-old"), _basic(b":plain-new")):
            assert (await server.call("POST", "/v1/ingest/plain", raw=BODY, Authorization=shown))[0] == 200


async def test_a_sources_token_is_good_for_its_source_alone(serve: Serve) -> None:
    async with serve(CONFIG) as server:
        shown = {"Authorization": "Bearer plain-old"}
        assert (await server.call("GET", "/v1/incidents", **shown))[0] == 401
        assert (await server.call("POST", "/v1/pause", {"by": "x", "for": "1h"}, **shown))[0] == 401
        assert (await server.call("POST", "/v1/ingest/both", raw=BODY, **shown))[0] == 401


async def test_guessing_is_slowed_down_and_nobody_is_locked_out(serve: Serve, log: Logged) -> None:
    """All come from one address, as behind a proxy."""
    async with serve(CONFIG) as server:
        for _ in range(Limits().refused_max):
            assert (await server.call("GET", "/v1/incidents", Authorization="Bearer x"))[0] == 401
        status, _, response = await server.call("GET", "/v1/incidents", Authorization="Bearer x")
        assert status == 429
        assert 0 < int(response.headers["Retry-After"]) <= REFUSED_WITHIN_SECONDS
        status, _, response = await server.call("POST", "/v1/ingest/plain", raw=BODY, Authorization="Bearer x")
        assert status == 503  # Alertmanager does not come back after 429
        assert int(response.headers["Retry-After"]) > 0
        assert (await server.call("GET", "/v1/incidents", Authorization="Bearer ana-token"))[0] == 200
        assert (await server.call("POST", "/v1/ingest/plain", raw=BODY, Authorization="Bearer plain-old"))[0] == 200
        server.clock.advance(timedelta(seconds=REFUSED_WITHIN_SECONDS))
        assert (await server.call("GET", "/v1/incidents", Authorization="Bearer x"))[0] == 401
    assert log.text().count('"auth.refused"') == 1
    assert log.text().count('"auth.failed"') == Limits().refused_max + 1, "each that got 401, and none that had to wait"


def test_what_is_remembered_of_addresses_is_bounded() -> None:
    refusals = Refusals()
    for number in range(10 * ADDRESSES_MAX):
        assert refusals.wait_seconds(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 0.0, 1) == 0
    assert len(refusals._seen) == ADDRESSES_MAX


def test_every_secret_is_compared_whichever_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of an answer does not tell which one came close: as many comparisons for a good one as for none."""
    counted: list[int] = []
    real = hmac.compare_digest

    def counting(one: Any, other: Any) -> bool:
        counted.append(1)
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", counting)
    seen = set()
    for shown in (_mac("a", "100"), _mac("c", "100"), "", "x"):
        counted.clear()
        signatures.sender(["a", "b", "c"], "100", shown, BODY, 100.0)
        seen.add(len(counted))
    assert seen == {6}
