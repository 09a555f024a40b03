"""`/v1/openapi.json`: every path of imd as OpenAPI 3.1, made of the route table and of what handlers say of themselves.

Owns the document alone. Nothing of it is written down twice: paths, methods and scopes are the table's, shapes the
structs' own JSON Schema, words the handlers' docstrings. It is made once, when it is first asked for (some 30 ms, in a
thread).

Sources: spec.openapis.org/oas/v3.1.1 (read November 2026): Paths, Security Requirement and Parameter objects.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol

import msgspec
from aiohttp import web

from imd import __version__
from imd.api import answers
from imd.api.answers import JSON, PROBLEM, Problem, Refusal, SchemaProblem
from imd.api.links import as_page
from imd.api.operations import HTML, Answer, Body, Operation, Parameter, described, operation_of
from imd.api.opsgenie import OpsgenieProblem, as_opsgenie
from imd.api.pagerduty import EventInvalid, as_pagerduty
from imd.config.settings import Scope

PATH = "/v1/openapi.json"

_PART = re.compile(r"\{(\w+)(?::([^}]+))?\}")  # no pattern of ours holds a brace
_ALTERNATIVES = re.compile(r"\w+(?:\|\w+)+")
_PARTS = {
    "source": "A source's name from config.yaml, or a built-in type.",
    "id": "An id, or where there is one a number.",
    "action": "What to do.",
    "name": "A name from the configuration.",
    "receiver": "A receiver's name from config.yaml.",
    "token": "As imd signed it.",
    "identifier": "An alert's id, or its alias.",
    "part": "What is changed.",
    "rest": "Anything.",
}
_TAGS = {
    "/api/": "Alertmanager",
    "/v2/enqueue": "PagerDuty",
    "/v2/change": "PagerDuty",
    "/v2/": "Opsgenie",
    "/jsm/": "Opsgenie",
    "/v1/ingest": "Sending alerts",
    "/v1/heartbeats": "Sending alerts",
    "/v1/incidents": "Incidents",
    "/v1/stream": "Incidents",
    "/v1/links": "Answers from outside",
    "/v1/callbacks": "Answers from outside",
    "/v1/silences": "Quiet",
    "/v1/maintenance": "Quiet",
    "/v1/pause": "Quiet",
    "/v1/oncall": "On call",
    "/v1/": "Looking",
    "/": "Running",
}
_HEADERS = {
    "Allow": "The methods that are.",
    "Retry-After": "Seconds after which to come again.",
    "WWW-Authenticate": "How a token is shown.",
    "X-Request-ID": "The request's id.",
    "WebHook-Allowed-Origin": "Whoever asked.",
    "WebHook-Allowed-Rate": "As often as was asked for.",
}
_OF_STATUS = {401: ("WWW-Authenticate",), 405: ("Allow",), 429: ("Retry-After",), 503: ("Retry-After",)}
_OF_BODIES = (400, 408, 413, 415)

AlertmanagerProblem = SchemaProblem | str
_REFUSED: dict[Callable[[Refusal], web.Response], tuple[Any, str]] = {
    answers.problem: (Problem, PROBLEM),
    answers.as_alertmanager: (AlertmanagerProblem, JSON),
    as_pagerduty: (EventInvalid, JSON),
    as_opsgenie: (OpsgenieProblem, JSON),
    as_page: (None, HTML),
}


class Described(Protocol):
    """What the document needs of a line of the route table."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def handler(self) -> Callable[..., Any]: ...
    @property
    def scope(self) -> Scope | None: ...
    @property
    def shape(self) -> Callable[[Refusal], web.Response]: ...


class OpenApi:
    """Serves the document. `table` is filled once the routes, this one's among them, are known."""

    def __init__(self) -> None:
        self.table: Sequence[Described] = ()
        self._made: bytes | None = None

    @described("This document", {200: dict[str, Any]}, retries=False)
    async def get(self, request: web.Request) -> web.Response:
        """Every path, as OpenAPI 3.1. Its `servers` is the prefix under which it was asked for."""
        if self._made is None:
            made = partial(document, self.table)
            whole = await asyncio.get_running_loop().run_in_executor(None, made)
            self._made = msgspec.json.encode(whole)
        server = msgspec.json.encode([{"url": request.path.removesuffix(PATH) or "/"}])
        # A document is one object, and its first key is ours to put.
        return web.Response(body=b'{"servers":' + server + b"," + self._made[1:], content_type=JSON)


def document(table: Iterable[Described]) -> dict[str, Any]:
    """The whole document but for its servers. Raises LookupError for a route that nobody described."""
    lines = list(_lines(table))
    refs, components = _schemas(lines)
    paths: dict[str, dict[str, Any]] = {}
    for line in lines:
        paths.setdefault(line.path, {})[line.method.lower()] = _operation(line, refs)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "imd",
            "version": __version__,
            "description": "Alerts in, incidents decided, pages out. Where the configuration has no tokens, none is "
            "needed. Methods that a path has not are 405 with `Allow`.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": [{"name": name} for name in dict.fromkeys(_TAGS.values())],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A token of `auth` or of a source."},
                "basic": {"type": "http", "scheme": "basic", "description": "A token as the password; any name."},
            },
        },
    }


@dataclass(frozen=True)
class _Line:
    """A route with one method, and what its handler says."""

    method: str
    path: str
    parts: tuple[tuple[str, str], ...]
    scope: Scope | None
    shape: Callable[[Refusal], web.Response]
    said: Operation
    description: str


def _lines(table: Iterable[Described]) -> Iterator[_Line]:
    for route in table:
        said = operation_of(route.handler)
        words = inspect.getdoc(route.handler)
        if said is None or not words:
            raise LookupError(f"{route.method} {route.path}: its handler is not described, or has no docstring")
        path = _PART.sub(lambda found: f"{{{found[1]}}}", route.path)
        parts = tuple((found[1], found[2] or "") for found in _PART.finditer(route.path))
        yield _Line(route.method, path, parts, route.scope, route.shape, said, words)


# -- schemas ----------------------------------------------------------------------------------------------------------


def _shapes(line: _Line) -> Iterator[Any]:
    yield from (answer.shape for answer in line.said.answers.values())
    yield _REFUSED[line.shape][0]
    if line.said.body is not None:
        yield line.said.body.shape


def _schemas(lines: Iterable[_Line]) -> tuple[dict[int, Any], dict[str, Any]]:
    """What stands for each shape, by its identity (not every type can be a key), and the components that they name."""
    known = {id(shape): shape for line in lines for shape in _shapes(line) if shape is not None}
    refs, components = msgspec.json.schema_components(known.values(), ref_template="#/components/schemas/{name}")
    for component in components.values():
        _tidy(component)
    return dict(zip(known, refs, strict=True)), components


_INSTANT = re.compile(r"(?:[a-z]+_)?(?:at|until|since|now)|[a-z]+At|uptime")


def _tidy(component: dict[str, Any]) -> None:
    """msgspec leaves out what kind of text an instant is, unless its type says that it has a zone: all of ours do. Text
    that has to say something has no default."""
    for name, schema in component.get("properties", {}).items():
        for one in schema.get("anyOf", [schema]):
            if _INSTANT.fullmatch(name) and one == {"type": "string"}:
                one["format"] = "date-time"
        if "pattern" in schema and schema.get("default") == "":
            del schema["default"]


# -- operations -------------------------------------------------------------------------------------------------------


def _operation(line: _Line, refs: dict[int, Any]) -> dict[str, Any]:
    said = line.said
    whole: dict[str, Any] = {
        "operationId": "_".join([line.method.lower(), *re.findall(r"\w+", line.path)]),
        "summary": said.summary,
        "description": f"{line.description}\n\n{said.signed}".strip(),
        "tags": [next(tag for prefix, tag in _TAGS.items() if line.path.startswith(prefix))],
        "parameters": [_part(name, pattern) for name, pattern in line.parts] + [_parameter(one) for one in said.query],
        "responses": {str(status): answer for status, answer in sorted(_responses(line, refs).items())},
        "security": [{"bearer": [line.scope.value]}, {"basic": [line.scope.value]}] if line.scope else [],
    }
    if said.body is not None:
        whole["requestBody"] = _body(said.body, refs)
    return whole


def _part(name: str, pattern: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string", "minLength": 1}
    if _ALTERNATIVES.fullmatch(pattern):
        schema = {"type": "string", "enum": pattern.split("|")}
    return {"name": name, "in": "path", "required": True, "description": _PARTS[name], "schema": schema}


def _parameter(one: Parameter) -> dict[str, Any]:
    schema = dict(one.schema)
    if one.free:
        schema = {"type": "object", "additionalProperties": schema}
    elif one.many or one.listed:
        schema = {"type": "array", "items": schema}
    found = {"name": one.name, "in": "query", "description": one.says, "required": one.required, "schema": schema}
    return found | ({"style": "form", "explode": not one.listed} if one.free or one.many or one.listed else {})


def _body(body: Body, refs: dict[int, Any]) -> dict[str, Any]:
    schema = {} if body.shape is None else refs[id(body.shape)]
    found = {"required": body.required, "content": {media: {"schema": schema} for media in body.media}}
    return found | ({"description": body.says} if body.says else {})


def _responses(line: _Line, refs: dict[int, Any]) -> dict[int, Any]:
    shape, media = _REFUSED[line.shape]
    refused = {status: Answer(shape, media, headers=_OF_STATUS.get(status, ())) for status in _refusals(line)}
    found = {status: _response(status, answer, refs) for status, answer in refused.items()}
    for status, answer in line.said.answers.items():
        said = _response(status, answer, refs)
        both = found.get(status, {}).get("content", {}) | said.get("content", {})  # told apart by their media types
        found[status] = said | ({"content": both} if both else {})
    return found


def _refusals(line: _Line) -> Iterator[int]:
    yield from line.said.refuses
    if line.scope is not None:
        yield from (401, 403)
    if line.scope not in (None, Scope.INGEST) or 401 in line.said.refuses:
        yield 429
    if line.said.query or line.said.body is not None:
        yield 400
    if line.said.body is not None:
        yield from _OF_BODIES
    if line.said.retries:
        yield 503


def _response(status: int, answer: Answer, refs: dict[int, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"description": answer.says or HTTPStatus(status).phrase}
    if answer.media:
        schema = {"type": "string"} if answer.shape is None else refs[id(answer.shape)]
        found["content"] = {answer.media: {"schema": schema}}
    if answer.headers:
        found["headers"] = {
            name: {"description": _HEADERS.get(name, name), "required": True, "schema": {"type": "string"}}
            for name in answer.headers
        }
    return found
