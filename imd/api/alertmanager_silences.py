"""Silences of Alertmanager's API v2, for amtool, Karma and Grafana.

Answers and errors are Alertmanager's (api/v2/openapi.yaml and api.go of 0.34, read 2026-11; vectors in tests/vectors).
One thing is better: ending a silence that is over already is no error.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
from aiohttp import web

from imd.api import setting
from imd.api.alertmanager import flag
from imd.api.answers import BusinessRefusal, Refusal, SchemaRefusal, json
from imd.api.body import read_body
from imd.api.context import Context
from imd.api.operations import Answer, Parameter, described, needing, switch
from imd.api.setting import BadSilence, UnknownSilence
from imd.config.syntax import BadMatcher, matcher_from_object, matcher_object, parse_matcher
from imd.model.quiet import Silence, SilenceState
from imd.model.rule import Matcher
from imd.sources.contract import NOT_JSON, Instant


class PostableMatcher(msgspec.Struct):
    """Alertmanager's matcher."""

    name: str | None = None
    value: str | None = None
    isRegex: bool | None = None  # noqa: N815
    isEqual: bool = True  # noqa: N815


class PostableSilence(msgspec.Struct):
    """Alertmanager's postableSilence."""

    id: str | None = None
    matchers: list[PostableMatcher] | None = None
    startsAt: Instant | None = None  # noqa: N815
    endsAt: Instant | None = None  # noqa: N815
    createdBy: str | None = None  # noqa: N815
    comment: str | None = None
    annotations: dict[str, str] | None = None


class SilenceStatus(msgspec.Struct):
    """How far a silence is."""

    state: SilenceState


class GettableSilence(msgspec.Struct):
    """Alertmanager's gettableSilence."""

    id: str
    status: SilenceStatus
    updatedAt: datetime  # noqa: N815
    comment: str
    createdBy: str  # noqa: N815
    endsAt: datetime  # noqa: N815
    matchers: list[dict[str, str | bool]]
    startsAt: datetime  # noqa: N815
    annotations: dict[str, str]


class SilenceSetAnswer(msgspec.Struct):
    """The id of the silence that was set."""

    silenceID: str  # noqa: N815


Listing = list[GettableSilence]
SHOWN = (
    Parameter("filter", "Those that hold this very matcher.", many=True),
    *(switch(state.value, f"Those that are {state.value}.", True) for state in SilenceState),
)


class AlertmanagerSilences:
    def __init__(self, context: Context) -> None:
        self._context = context

    @described("List silences", {200: Listing}, query=SHOWN, refuses=(422,))
    async def list(self, request: web.Request) -> web.Response:
        """Active, pending, then ended ones; those that hold each `filter` as a matcher of their own."""
        query, now = request.query, self._context.clock.now()
        shown = {state for state in SilenceState if flag(query, state.value)}
        filters = [_filter(text) for text in query.getall("filter", [])]
        silences = setting.known(self._context).values()
        found = [one for one in silences if one.state(now) in shown and setting.takes_all(one, filters)]
        return json([_gettable(one, now) for one in setting.in_order(found, now)])

    @described(
        "Set or change a silence",
        {200: SilenceSetAnswer},
        body=needing(PostableSilence, "matchers", "startsAt", "endsAt", "createdBy", "comment"),
        refuses=(404, 422),
    )
    async def post(self, request: web.Request) -> web.Response:
        """Sets a silence, or changes the one of the given id: in place where nothing of what it muted changes, else the
        old one ends and the answer names a new id."""
        if request.content_type != "application/json":
            only = "only [application/json] are allowed"
            raise SchemaRefusal(415, f'unsupported media type "{request.content_type[:100]}", {only}')
        limits = self._context.settings().limits
        body = await read_body(request, limits.body_bytes_max, limits.body_read_timeout)
        if not body:
            raise SchemaRefusal(422, "silence in body is required", 602)
        try:
            asked = _silence(_decoded(body), self._context.clock.now())
            silence = await setting.set_silence(self._context, asked, len(body))
        except UnknownSilence:
            raise BusinessRefusal(404, "silence not found") from None
        except BadSilence as error:
            text = str(error)
            raise BusinessRefusal(400, text if "invalid" in text else f"Failed to create silence: {text}") from None
        return json(SilenceSetAnswer(silence.id))

    @described("Show a silence", {200: GettableSilence}, refuses=(404, 422))
    async def show(self, request: web.Request) -> web.Response:
        """As Alertmanager shows it."""
        silence = setting.known(self._context).get(_id(request))
        if silence is None:
            raise Refusal(404, "silence not found")
        return json(_gettable(silence, self._context.clock.now()))

    @described("End a silence", {200: Answer()}, refuses=(404, 422))
    async def delete(self, request: web.Request) -> web.Response:
        """Ends it now; it stays on record."""
        try:
            await setting.expire(self._context, _id(request), "api")
        except UnknownSilence:
            raise BusinessRefusal(404, "silence not found") from None
        return web.Response()


def _decoded(body: bytes) -> PostableSilence:
    try:
        return msgspec.json.decode(body, type=PostableSilence)
    except NOT_JSON as error:
        raise SchemaRefusal(400, f"parsing silence body failed: {error}") from None


def _silence(asked: PostableSilence, now: datetime) -> Silence:
    """Raises SchemaRefusal for what is missing, BadSilence for a matcher that is none."""
    given = {name: getattr(asked, name) for name in ("comment", "createdBy", "endsAt", "matchers", "startsAt")}
    for name, value in given.items():
        if value is None:
            raise SchemaRefusal(422, f"{name} in body is required", 602)
    assert asked.matchers is not None
    if not asked.matchers:
        raise SchemaRefusal(422, "matchers in body should have at least 1 items", 612)
    assert asked.startsAt is not None
    assert asked.endsAt is not None
    return Silence(
        id=asked.id or "",
        matchers=tuple(_matcher(number, one) for number, one in enumerate(asked.matchers)),
        starts_at=asked.startsAt,
        ends_at=asked.endsAt,
        updated_at=now,
        created_by=asked.createdBy or "",
        comment=asked.comment or "",
        annotations=asked.annotations or {},
    )


def _matcher(number: int, asked: PostableMatcher) -> Matcher:
    for name in ("isRegex", "name", "value"):
        if getattr(asked, name) is None:
            raise SchemaRefusal(422, f"matchers.{number}.{name} in body is required", 602)
    try:
        return matcher_from_object(asked.name or "", asked.value or "", bool(asked.isRegex), asked.isEqual)
    except BadMatcher as error:
        raise BadSilence(f"silence invalid: invalid label matcher {number}: {error}") from None


def _filter(text: str) -> Matcher:
    try:
        return parse_matcher(text)
    except BadMatcher as error:
        raise BusinessRefusal(400, f"bad matcher format: {text[:200]}: {error}") from None


def _id(request: web.Request) -> str:
    text = request.match_info["id"]
    try:
        return setting.uuid_of(text)
    except ValueError:
        raise SchemaRefusal(422, f'silenceID in path must be of type uuid: "{text[:100]}"', 601) from None


def _gettable(silence: Silence, now: datetime) -> GettableSilence:
    return GettableSilence(
        id=silence.id,
        status=SilenceStatus(silence.state(now)),
        updatedAt=silence.updated_at,
        comment=silence.comment,
        createdBy=silence.created_by,
        endsAt=silence.ends_at,
        matchers=[matcher_object(matcher) for matcher in silence.matchers],
        startsAt=silence.starts_at,
        annotations=silence.annotations,
    )
