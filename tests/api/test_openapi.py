"""/v1/openapi.json is whole, valid and true. Every other test here holds answers against it: see `described`."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from imd.api.openapi import PATH, document
from imd.api.server import routes
from tests.api.described import described
from tests.api.server import Server

PARTS = {"source": "alertmanager", "id": "1", "name": "bench", "receiver": "bench", "action": "ack"}
FREE = {"/v1/heartbeats/{name}": "its parameters are the labels that the heartbeat is one by"}
"""Paths under /v1 that cannot name their parameters."""


async def test_every_route_is_described_and_no_other(server: Server) -> None:
    _, whole, _ = await server.call("GET", PATH)
    found = {(method.upper(), path) for path, methods in whole["paths"].items() for method in methods}
    table = routes(server.context())
    assert found == {(route.method, re.sub(r"\{(\w+):[^}]+\}", r"{\1}", route.path)) for route in table}
    assert all(one["summary"] and one["description"] for path in whole["paths"].values() for one in path.values())


async def test_a_route_without_a_description_is_found(server: Server) -> None:
    def handler(_request: object) -> None:
        """Not described."""

    table = routes(server.context())
    with pytest.raises(LookupError, match="GET /v1/planted: its handler is not described"):
        document([*table, replace(table[0], method="GET", path="/v1/planted", handler=handler)])


async def test_it_is_openapi_3_1(server: Server) -> None:
    """By the schema of the specification itself; operations are unique, shapes have names that people can read."""
    validator = pytest.importorskip("openapi_spec_validator", reason="openapi-spec-validator is not installed")
    _, whole, _ = await server.call("GET", PATH)
    validator.validate(whole)
    ids = [one["operationId"] for path in whole["paths"].values() for one in path.values()]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[A-Z][A-Za-z]+(_[A-Za-z]+_)?", name) for name in whole["components"]["schemas"])


async def test_it_says_where_it_was_asked_for(server: Server) -> None:
    for prefix in ("", "/am"):
        _, whole, _ = await server.call("GET", prefix + PATH)
        assert whole["servers"] == [{"url": prefix or "/"}]


async def test_it_says_which_scope_is_needed(server: Server) -> None:
    _, whole, _ = await server.call("GET", PATH)
    for route in routes(server.context()):
        path = re.sub(r"\{(\w+):[^}]+\}", r"{\1}", route.path)
        expected = [{"bearer": [route.scope.value]}, {"basic": [route.scope.value]}] if route.scope else []
        assert whole["paths"][path][route.method.lower()]["security"] == expected, path


async def test_it_names_the_very_parameters_that_are_read(server: Server) -> None:
    """imd's own paths refuse parameters that they do not know, and name those that they do."""
    _, whole, _ = await server.call("GET", PATH)
    seen = 0
    for path, methods in whole["paths"].items():
        if not path.startswith("/v1/") or path in FREE or "get" not in methods:
            continue
        where = re.sub(r"\{(\w+)\}", lambda part: PARTS.get(part[1], "x"), path)
        status, answer, _ = await server.call("GET", f"{where}?planted=1")
        said = {one["name"] for one in methods["get"]["parameters"] if one["in"] == "query"}
        if not said:
            continue
        seen += 1
        assert status == 400, path
        known = answer["detail"].partition("known here: ")[2]
        assert set(filter(None, known.split(", "))) == said, path
    assert seen >= 9


@pytest.mark.parametrize("query", ["limit=1&limit=2", "limit=", "cursor=", "cursor=1&cursor=2"])
async def test_what_is_said_twice_or_not_at_all_is_refused(server: Server, query: str) -> None:
    status, problem, _ = await server.call("GET", f"/v1/incidents?{query}")
    assert status == 400
    assert problem["detail"]


@pytest.mark.parametrize(
    ("path", "answer", "said"),
    [
        ("/v1/silences", (418, {}, {}), "GET /v1/silences 418 is not described"),
        ("/v1/silences", (200, {"Content-Type": "text/plain"}, "x"), "is text/plain"),
        ("/v1/silences", (503, {"Content-Type": "application/problem+json"}, {}), "lacks ['Retry-After']"),
    ],
)
async def test_an_answer_that_is_not_as_described_is_found(
    server: Server, path: str, answer: tuple[int, dict[str, str], object], said: str
) -> None:
    """The check that every call of these tests goes through can fail."""
    with pytest.raises(AssertionError, match=re.escape(said)):
        described(server.context(), ()).check("GET", path, *answer)


async def test_parameters_are_looked_at_before_anything_else(server: Server) -> None:
    """An incident that nobody knows is an empty list, and a cursor that is none is refused all the same."""
    assert (await server.call("GET", "/v1/deliveries?incident=nobody"))[1]["items"] == []
    assert (await server.call("GET", "/v1/deliveries?incident=nobody&cursor=x"))[0] == 400
