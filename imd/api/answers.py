"""How answers are worded: JSON, problem+json (RFC 9457), and the two shapes of Alertmanager's errors.

Owns the exceptions by which a handler refuses. Decides no status of its own.
"""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from aiohttp import web

_encode = msgspec.json.Encoder().encode
JSON = "application/json"
PROBLEM = "application/problem+json"


class Refusal(Exception):
    """The request is answered with `status` and the text. `title` "" is the status's own phrase."""

    def __init__(self, status: int, detail: str, title: str = "", headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.title = title
        self.headers = headers or {}


class BusinessRefusal(Refusal):
    """Alertmanager's own checks: answered there as a bare JSON string."""


class SchemaRefusal(Refusal):
    """Alertmanager's OpenAPI layer: answered there as `{"code": …, "message": …}`; `code` 601 is a format, 602 a
    missing part, else the status."""

    def __init__(
        self, status: int, detail: str, code: int | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(status, detail, headers=headers)
        self.code = status if code is None else code


class Problem(msgspec.Struct, omit_defaults=True):
    """An error of imd's (RFC 9457). `detail` says what was found and how to mend it."""

    title: str
    status: int
    detail: str = ""


class SchemaProblem(msgspec.Struct):
    """An error of Alertmanager's schema."""

    code: int
    message: str


def json(value: object, status: int = 200) -> web.Response:
    return web.Response(body=_encode(value), status=status, content_type=JSON)


def problem(refusal: Refusal) -> web.Response:
    """imd's own error shape."""
    body = _encode(Problem(refusal.title or HTTPStatus(refusal.status).phrase, refusal.status, refusal.detail))
    return web.Response(body=body, status=refusal.status, content_type=PROBLEM, headers=refusal.headers)


def as_alertmanager(refusal: Refusal) -> web.Response:
    """Alertmanager's error shapes, for its paths."""
    if isinstance(refusal, BusinessRefusal):
        body = _encode(refusal.detail)
    else:
        code = refusal.code if isinstance(refusal, SchemaRefusal) else refusal.status
        body = _encode(SchemaProblem(code, refusal.detail))
    return web.Response(body=body, status=refusal.status, content_type=JSON, headers=refusal.headers)
