"""What a handler says of itself for `/v1/openapi.json`: its parameters, its body and its answers, beside its code.

Owns the words; `openapi` makes the document of them. Shapes are the very types that handlers decode and encode, so a
description cannot name a field that is not there. A handler without a description is found by the tests, and so is an
answer that is not as described: every call of the API's tests is held against the document.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

import msgspec

from imd.api.answers import JSON

Schema = Mapping[str, object]
Handler = TypeVar("Handler", bound=Callable[..., Any])

FORM = "application/x-www-form-urlencoded"
HTML = "text/html"
TEXT = "text/plain"

_DESCRIBED = "imd_operation"


@dataclass(frozen=True)
class Parameter:
    """One parameter of the query; `many` may be repeated, `listed` is one text with commas. `free`: any name will do,
    and `name` only says what they are."""

    name: str
    says: str
    schema: Schema = field(default_factory=lambda: {"type": "string"})
    many: bool = False
    listed: bool = False
    free: bool = False
    required: bool = False


@dataclass(frozen=True)
class Body:
    """What is sent. `shape` None: bytes of somebody else's format, in any media type."""

    shape: Any
    media: tuple[str, ...] = (JSON,)
    says: str = ""
    required: bool = True


@dataclass(frozen=True)
class Answer:
    """What comes back. `shape` None: nothing in the body, or text."""

    shape: Any = None
    media: str = ""
    says: str = ""
    headers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Operation:
    """`refuses` are the statuses of its own refusals, in the shape of its route; those that every handler of its kind
    has (who may not, what cannot be read, no store) are added by `openapi`. `path` says what the parts of the path are
    where their usual words do not fit. `signed`: what authorises, where no token of imd's does."""

    summary: str
    answers: Mapping[int, Answer]
    query: tuple[Parameter, ...] = ()
    body: Body | None = None
    refuses: tuple[int, ...] = ()
    path: Mapping[str, str] = field(default_factory=dict)
    signed: str = ""
    retries: bool = True


def described(
    summary: str,
    answers: Mapping[int, Any],
    *,
    query: tuple[Parameter, ...] = (),
    body: Any = None,
    refuses: tuple[int, ...] = (),
    path: Mapping[str, str] | None = None,
    signed: str = "",
    retries: bool = True,
) -> Callable[[Handler], Handler]:
    """Describes a handler. An answer that is a type is JSON of this type, a body likewise. `retries`: it may be 503."""
    said = Operation(
        summary,
        {status: one if isinstance(one, Answer) else Answer(one, JSON) for status, one in answers.items()},
        query,
        body if body is None or isinstance(body, Body) else Body(body),
        refuses,
        path or {},
        signed,
        retries=retries,
    )

    def attach(handler: Handler) -> Handler:
        setattr(handler, _DESCRIBED, said)
        return handler

    return attach


def needing(shape: Any, *names: str) -> Any:
    """A body of this shape that must have these keys, though the struct has defaults for them: handlers say in words of
    their own what is missing."""
    return Annotated[shape, msgspec.Meta(extra_json_schema={"required": list(names)})]


def operation_of(handler: Callable[..., Any]) -> Operation | None:
    """How this handler is described; None where it is not."""
    return getattr(handler, _DESCRIBED, None)


Name = Annotated[str, msgspec.Meta(extra_json_schema={"minLength": 1, "pattern": r"\S"})]
"""A text that has to say something. It only describes: handlers refuse in words of their own."""

Duration = Annotated[str, msgspec.Meta(extra_json_schema={"pattern": r"^([0-9]+(ms|s|m|h|d|w|y))+$"})]
"""As Prometheus writes it, the largest unit first. It only describes."""

_NUMBER: Schema = {"type": "integer", "minimum": 1, "maximum": 999_999_999_999_999_999}
LIMIT = Parameter("limit", "How many a page holds at most; above 500 is 500.", {**_NUMBER, "default": 100})
CURSOR = Parameter("cursor", "Where the page before ended: its `next_cursor`.", _NUMBER)
PAGED = (LIMIT, CURSOR)
MATCH = Parameter("match", 'Matchers that must all hold, such as `env="prod"`.', many=True)
SINCE = Parameter("since", "From then on: an instant with its zone, or how long ago, such as `2h`.")
BY = Parameter(
    "by", "Who does it.", {"type": "string", "minLength": 1, "maxLength": 1000, "pattern": r"\S"}, required=True
)


def listed(name: str, says: str, words: tuple[str, ...]) -> Parameter:
    """A comma-separated parameter of known words."""
    return Parameter(name, says, {"type": "string", "enum": list(words)}, listed=True)


def switch(name: str, says: str, default: bool) -> Parameter:
    return Parameter(name, says, {"type": "boolean", "default": default})
