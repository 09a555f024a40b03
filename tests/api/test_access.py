"""Tokens: who may do what, and which source a sender speaks for."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from imd.api.access import Access
from imd.config.settings import Auth, Scope, Settings, SourceSettings, Token
from imd.model.policy import Source
from tests.api.server import BENCH, Server, serving


def _sha(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def _basic(secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"imd:{secret}".encode()).decode()}


def _token(name: str, *scopes: Scope) -> Token:
    return Token(name=name, scopes=frozenset(scopes), sha256=_sha(f"{name}-secret"))


ALERT = [{"labels": {"alertname": "A"}}]
WEBHOOK = {"version": "4", "alerts": [{"status": "firing", "labels": {"alertname": "A"}}]}
EU = Source(name="prom-eu", type="alertmanager", labels={"region": "eu"})
SETTINGS = Settings(
    auth=Auth(
        tokens=(
            _token("sender", Scope.INGEST),
            _token("reader", Scope.READ),
            _token("ana", Scope.READ, Scope.RESPOND),
            _token("root", Scope.ADMIN),
        )
    ),
    sources={"prom-eu": SourceSettings(source=EU, token_sha256=(_sha("eu-old"), _sha("eu-new")))},
)
RULESET = BENCH.__class__(
    policies=BENCH.policies, receivers=BENCH.receivers, sources={"prom-eu": EU}, config_hash=BENCH.config_hash
)


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Server]:
    """With tokens for callers and for a source."""
    async with serving(tmp_path, RULESET, SETTINGS, authorize=Access(lambda: SETTINGS).authorize) as server:
        yield server


@pytest.mark.parametrize("path", ["/v1/incidents", "/api/v2/alerts", "/metrics", "/v1/status"])
async def test_reading_needs_a_known_token_with_its_scope(guarded: Server, path: str) -> None:
    """None and a wrong one are 401 with the same words, one that may only send is 403."""
    none = await guarded.call("GET", path)
    wrong = await guarded.call("GET", path, **_bearer("reader-secreT"))
    assert none[0] == wrong[0] == 401
    assert none[1] == wrong[1]
    assert "WWW-Authenticate" in none[2].headers
    assert (await guarded.call("GET", path, **_bearer("sender-secret")))[0] == 403
    assert (await guarded.call("GET", path, **_bearer("reader-secret")))[0] == 200
    assert (await guarded.call("GET", path, **_basic("root-secret")))[0] == 200


@pytest.mark.parametrize("path", ["/-/healthy", "/-/ready"])
async def test_health_is_open(guarded: Server, path: str) -> None:
    assert (await guarded.call("GET", path))[0] == 200


@pytest.mark.parametrize(
    "header", ["Bearer ", "Bearer", "Basic !!!", "Basic " + base64.b64encode(b"imd:").decode(), "x"]
)
async def test_garbage_is_no_token(guarded: Server, header: str) -> None:
    assert (await guarded.call("GET", "/v1/incidents", Authorization=header))[0] == 401


async def test_acting_and_reloading_need_more_than_reading(guarded: Server) -> None:
    """An action on an unknown incident is 404 to those who may act, so that the scope decides first."""
    path = "/v1/incidents/1/ack"
    assert (await guarded.call("POST", path, {"by": "x"}, **_bearer("reader-secret")))[0] == 403
    assert (await guarded.call("POST", path, {"by": "x"}, **_bearer("ana-secret")))[0] == 404
    assert (await guarded.call("POST", "/-/reload", **_bearer("ana-secret")))[0] == 403
    assert (await guarded.call("POST", "/-/reload", **_bearer("root-secret")))[0] == 200


async def test_a_sources_token_names_the_source(guarded: Server) -> None:
    """Either of two valid tokens; the source's labels join the identity, on the Alertmanager path too."""
    assert (await guarded.call("POST", "/api/v2/alerts", ALERT, **_bearer("eu-old")))[0] == 200
    assert (await guarded.call("POST", "/v1/ingest/prom-eu", WEBHOOK, **_basic("eu-new")))[0] == 200
    alerts = list(guarded.open_alerts())
    assert [(alert.source, alert.labels(), alert.count) for alert in alerts] == [
        ("prom-eu", {"alertname": "A", "region": "eu"}, 2)
    ]


async def test_where_a_source_has_tokens_one_is_required(tmp_path: Path) -> None:
    """Also without `auth:`, and by the type's own name; another source's token does not open it."""
    other = SourceSettings(source=Source(name="other", type="alertmanager"), token_sha256=(_sha("other"),))
    opened = SourceSettings(source=Source(name="opened", type="alertmanager"))
    sources = {**SETTINGS.sources, "other": other, "opened": opened}
    settings = Settings(sources=sources)
    ruleset = BENCH.__class__(
        policies=BENCH.policies,
        receivers=BENCH.receivers,
        sources={name: entry.source for name, entry in sources.items()},
        config_hash=BENCH.config_hash,
    )
    async with serving(tmp_path, ruleset, settings, authorize=Access(lambda: settings).authorize) as server:
        assert (await server.call("POST", "/api/v2/alerts", ALERT))[0] == 401
        assert (await server.call("POST", "/v1/ingest/prom-eu", WEBHOOK))[0] == 401
        assert (await server.call("POST", "/v1/ingest/alertmanager", WEBHOOK))[0] == 401
        assert (await server.call("POST", "/v1/ingest/prom-eu", WEBHOOK, **_bearer("other")))[0] == 401
        assert (await server.call("POST", "/v1/ingest/opened", WEBHOOK))[0] == 200
        assert (await server.call("GET", "/v1/incidents"))[0] == 200


async def test_a_callers_token_sends_under_the_name_it_asks_for(guarded: Server) -> None:
    assert (await guarded.call("POST", "/api/v2/alerts", ALERT, **_bearer("sender-secret")))[0] == 200
    assert (await guarded.call("POST", "/api/v2/alerts", ALERT, **_bearer("reader-secret")))[0] == 403
    assert [alert.source for alert in guarded.open_alerts()] == ["alertmanager"]
