"""Every sender's path over HTTP with bodies that have something wrong: never a 5xx, nothing lost in silence, and the
next alert is taken."""

from __future__ import annotations

import json
import random
from copy import deepcopy
from typing import Any

from tests.api.server import Logged, Serve, Server
from tests.api.test_bad_input import no_traceback
from tests.sources.bodies import BODIES, body, headers, kind
from tests.sources.test_mutated import changed, places

ROUNDS = 12
NASTY: list[Any] = [
    None, True, 0, -1, 1e300, 2**70, "", " ", "x" * 5000, "\u0000", "é", [], {}, [[]], {"a": {"b": 1}},
    "9999-12-31T23:59:59-14:00", "{", '{"AlarmName": {"a": 1}}', 10**18, "1" * 400, "firing", "OK",
    ["x"] * 300, {str(n): "v" for n in range(300)},
]  # fmt: skip
CONFIG = """
sources:
- {name: pd, type: pagerduty, keys: [0123456789abcdef0123456789abcdef]}
- {name: og, type: opsgenie, keys: [second]}
"""


def mutants(chosen: random.Random) -> list[tuple[str, bytes]]:
    """Each body as it is, broken, and with one or two places changed."""
    found = []
    for name in BODIES:
        text = body(name)
        found += [(name, text), (name, text[: chosen.randrange(len(text))])]
        if name.endswith(".json"):
            for _ in range(ROUNDS):
                value = json.loads(text)
                for _ in range(chosen.randint(1, 2)):
                    at = chosen.choice(places(value))
                    value = changed(value, at, deepcopy(chosen.choice(NASTY)), drop=chosen.random() < 0.3 and bool(at))
                found.append((name, json.dumps(value).encode()))
    return found


async def takes_more(server: Server) -> None:
    sent = {"alerts": [{"labels": {"alertname": "Good"}, "status": "firing"}]}
    status, answer, _ = await server.call("POST", "/v1/ingest/alertmanager", sent)
    assert (status, answer) == (200, {"accepted": 1, "rejected": []})


async def test_no_body_is_a_fault_of_ours(serve: Serve, log: Logged) -> None:
    async with serve(CONFIG) as server:
        for name, sent in mutants(random.Random(7)):
            status, answer, _ = await server.call("POST", f"/v1/ingest/{kind(name)}", raw=sent, **headers(name))
            assert status in (200, 400), (name, sent, answer)
            told = [*answer.get("rejected", []), *answer.get("ignored", [])]
            assert status == 200 or told or answer["title"] == "the body is not understood"
        await takes_more(server)
    no_traceback(log)


async def test_nor_is_one_in_a_senders_own_protocol(serve: Serve, log: Logged) -> None:
    """PagerDuty's and Opsgenie's paths: what is wrong is a 4xx of their own shape."""
    chosen = random.Random(8)
    events = [(name, sent) for name, sent in mutants(chosen) if kind(name) == "pagerduty"] * 3
    create = {
        "message": "m", "alias": "a", "description": "d", "responders": [{"name": "n", "type": "team"}],
        "tags": ["a:b", "c"], "details": {"x": "y"}, "entity": "e", "source": "s",
        "priority": "P2", "user": "u", "note": "n",
    }  # fmt: skip
    key = {"Authorization": "GenieKey second"}
    async with serve(CONFIG) as server:
        for name, sent in events:
            path = "/v2/change/enqueue" if name.startswith("pagerduty_change") else "/v2/enqueue"
            status, answer, _ = await server.call("POST", path, raw=sent)
            assert status in (202, 400), (sent, answer)
            assert answer["status"] in ("success", "invalid event")
        for _ in range(150):
            value = changed(deepcopy(create), chosen.choice(places(create)), deepcopy(chosen.choice(NASTY)), drop=False)
            for path in (
                "",
                "/a/close?identifierType=alias",
                "/a/notes?identifierType=alias",
                "/a/acknowledge?identifierType=alias",
            ):
                status, answer, _ = await server.call("POST", f"/v2/alerts{path}", value, **key)
                assert status in (202, 400, 422), (path, value, answer)
                assert "requestId" in answer
            for part in ("message", "description", "priority"):
                status, answer, _ = await server.call("PUT", f"/v2/alerts/a/{part}?identifierType=alias", value, **key)
                assert status in (202, 400, 422), (part, value, answer)
        await takes_more(server)
    no_traceback(log)
