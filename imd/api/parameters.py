"""What clients may ask for: query parameters and JSON bodies, each refused with the words of what is wrong."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

import msgspec
from aiohttp import web

from imd.api.answers import Refusal
from imd.config.syntax import BadDuration, BadMatcher, parse_duration, parse_matchers
from imd.model.incident import OPEN_STATES, IncidentState
from imd.model.rule import MATCH_ALL, BadPattern, Match, match_test
from imd.sources.contract import NOT_JSON

if TYPE_CHECKING:
    from multidict import MultiMapping  # aiohttp's own

LIMIT_DEFAULT = 100
LIMIT_MAX = 500

Shape = TypeVar("Shape")
Value = TypeVar("Value")


def read_json(body: bytes, shape: type[Shape]) -> Shape:
    """The body in its shape; raises Refusal 400 with the place of the first fault."""
    try:
        return msgspec.json.decode(body, type=shape)
    except NOT_JSON as error:
        said = str(error).replace("Invalid RFC3339 encoded datetime", _NO_INSTANT)
        raise Refusal(400, said, "the body is not understood") from None


_NO_INSTANT = "no instant with its zone, like 2026-03-02T08:00:00Z"


def allow_only(query: MultiMapping[str], *names: str) -> None:
    """A misspelt parameter would silently widen the answer: it is refused. So is one that is given twice, but for
    `match`, whose matchers must all hold."""
    for name in query:
        if name not in names:
            raise Refusal(400, f"unknown parameter {name[:100]!a}; known here: {', '.join(names) or 'none'}")
        if name != "match" and len(query.getall(name)) > 1:
            raise Refusal(400, f"parameter {name} is given twice")


def limit(query: Mapping[str, str]) -> int:
    return min(_number(query, "limit", LIMIT_DEFAULT) or LIMIT_DEFAULT, LIMIT_MAX)


def cursor(query: Mapping[str, str]) -> int | None:
    """Where the page before ended, as its `next_cursor` said."""
    return _number(query, "cursor", None)


def _number(query: Mapping[str, str], name: str, default: int | None) -> int | None:
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 18) or int(text) == 0:
        raise Refusal(400, f"{name} must be a whole number from 1, not {text[:40]!a}")
    return int(text)


def words(
    query: Mapping[str, str], name: str, known: Callable[[str], Value], among: Iterable[str] = ()
) -> frozenset[Value] | None:
    """A comma-separated parameter, each part made by `known`, which raises ValueError; None where absent. `among`: the
    words that are known, where `known` is no enum of them."""
    text = query.get(name, "")
    if not text:
        return None
    try:
        return frozenset(known(part.strip()) for part in text.split(","))
    except ValueError:
        named = ", ".join(known if isinstance(known, enum.EnumType) else among)
        raise Refusal(400, f"{name}: {text[:100]!a} is not known; it is one or more of {named}") from None


def states(query: Mapping[str, str]) -> frozenset[IncidentState] | None:
    """`status`: states, comma separated, or `open` for all four of these; None where absent."""
    asked = words(query, "status", _state, ("open", *IncidentState))
    if asked is None:
        return None
    named = frozenset(state for state in asked if state is not None)
    return named | OPEN_STATES if None in asked else named


def _state(word: str) -> IncidentState | None:
    """None stands for `open`."""
    return None if word == "open" else IncidentState(word)


def switch(query: Mapping[str, str], name: str) -> bool:
    """`true` or `false`; false where absent."""
    text = query.get(name, "false")
    if text not in ("true", "false"):
        raise Refusal(400, f"{name} must be true or false, not {text[:40]!a}")
    return text == "true"


def duration(name: str, text: str) -> timedelta:
    """A field of a body that says how long. Raises Refusal."""
    try:
        return parse_duration(text)
    except (BadDuration, OverflowError) as error:
        raise Refusal(400, f"{name}: {text[:40]!a} is no duration like 2h: {error}") from None


def since(query: Mapping[str, str], now: datetime) -> datetime | None:
    """An instant (RFC 3339 with a zone) or how long ago (`2h`, `30d`)."""
    text = query.get("since", "")
    if not text:
        return None
    try:
        return now - parse_duration(text)
    except (BadDuration, OverflowError):
        pass
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise Refusal(400, f"since must be an instant with its zone or a duration like 2h, not {text[:40]!a}")


def match(request: web.Request) -> Match:
    """All `match` parameters together, each one or more matchers that must all hold."""
    given = request.query.getall("match", [])
    try:
        matchers = tuple(matcher for text in given for matcher in parse_matchers(text))
        found: Match = (matchers,) if matchers else MATCH_ALL
        match_test(found)
    except (BadMatcher, BadPattern) as error:
        raise Refusal(400, f"match: {error}") from None
    return found
