"""Holds answers against `/v1/openapi.json`: a status, a media type, a header or a field that it does not name fails."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from imd.api.context import Context
from imd.api.openapi import document
from imd.api.server import routes

_TYPED = ("application/json", "application/problem+json")


class Described:
    """One document, read by requests."""

    def __init__(self, whole: dict[str, Any], prefixes: tuple[str, ...]) -> None:
        self.whole = whole
        self._prefixes = "|".join(re.escape(one) for one in sorted(prefixes, reverse=True))
        self._paths = {self._pattern(path): path for path in whole["paths"]}
        self._validators: dict[tuple[str, ...], Draft202012Validator] = {}

    def _pattern(self, path: str) -> re.Pattern[str]:
        parts = (
            re.escape(part) if not part.startswith("{") else ".*" if part == "{rest}" else "[^/]+"
            for part in re.split(r"(\{\w+\})", path)
        )
        return re.compile(f"(?:{self._prefixes})?" + "".join(parts), re.DOTALL)

    def operation(self, method: str, path: str) -> tuple[str, dict[str, Any]] | None:
        """The path as it is described and what it says; None where nothing is served, or not by this method."""
        method = "get" if method == "HEAD" else method.lower()
        fitting = (self._paths[one] for one in self._paths if one.fullmatch(path))
        # As in the route table, words come before what may be anything.
        for found in sorted((one for one in fitting if method in self.whole["paths"][one]), key=lambda p: p.count("{")):
            return found, self.whole["paths"][found][method]
        return None

    def check(self, method: str, path: str, status: int, headers: Mapping[str, str], body: Any) -> None:
        """AssertionError for what is not as described. `body` is what JSON held, or text."""
        found = self.operation(method, path.partition("?")[0])
        if found is None or status == 405 or _nowhere(status, body):
            return
        name, operation = found
        place = f"{method} {name} {status}"
        assert str(status) in operation["responses"], f"{place} is not described: {body}"
        response = operation["responses"][str(status)]
        missing = [header for header in response.get("headers", {}) if header not in headers]
        assert not missing, f"{place} lacks {missing}"
        if method == "HEAD":
            return
        media = headers.get("Content-Type", "").partition(";")[0]
        content = response.get("content", {})
        if not content:
            assert not body, f"{place} has a body: {body}"
            return
        assert media in content, f"{place} is {media}, not {list(content)}"
        if media in _TYPED:
            self._validator(name, method, status, media, content[media]["schema"]).validate(body)

    def _validator(self, name: str, method: str, status: int, media: str, schema: Any) -> Draft202012Validator:
        key = (name, method, str(status), media)
        if key not in self._validators:
            whole = {**schema, "components": self.whole["components"]}
            self._validators[key] = Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)
        return self._validators[key]


def _nowhere(status: int, body: Any) -> bool:
    """What a client made of a path (`..`, `%2f`) led to no route."""
    said = body.get("detail") or body.get("message") if isinstance(body, dict) else None
    return status == 404 and str(said).startswith("nothing is served at ")


@cache
def _described(prefixes: tuple[str, ...]) -> Described:
    return Described(_documents[0], prefixes)


_documents: list[dict[str, Any]] = []


def described(context: Context, prefixes: tuple[str, ...]) -> Described:
    """Of a server with these prefixes. The document is the same for all, and made once."""
    if not _documents:
        _documents.append(document(routes(context)))
    return _described(prefixes)
