"""What would happen to an alert, beside what fires now: POST /v1/explain.

Owns the body and its refusals; what is told is imd.replay.explained. The running engine is asked for a copy of what
matters, and the copy is tried elsewhere, so nothing is changed and nobody is paged.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from aiohttp import web

from imd.api import parameters
from imd.api.answers import Refusal, json
from imd.api.body import read_body
from imd.api.context import Context
from imd.api.ingest import Senders
from imd.api.operations import described
from imd.model.alert import AlertReport
from imd.model.view import RawTexts
from imd.replay.explain import Asked
from imd.replay.explained import Explained
from imd.sources.contract import AlertRefused

_YEARS = range(1971, 8000)


class ExplainBody(msgspec.Struct):
    """`source` is a configured one or a built-in type; `at` an instant, now without it; `all` for every rule tried."""

    labels: RawTexts
    annotations: RawTexts = msgspec.field(default_factory=msgspec.Raw)
    source: str = ""
    at: datetime | None = None
    all: bool = False


class Explain:
    def __init__(self, context: Context, senders: Senders) -> None:
        self._context = context
        self._senders = senders

    @described("Explain an alert", {200: Explained}, body=ExplainBody)
    async def post(self, request: web.Request) -> web.Response:
        """What would happen to it beside what fires now. Nothing changes and nobody is paged."""
        context = self._context
        limits = context.settings().limits
        raw = await read_body(request, limits.body_bytes_max, limits.body_read_timeout)
        body = parameters.read_json(raw, ExplainBody)
        at = context.clock.now() if body.at is None else _instant(body.at)
        asked = Asked(report=self._report(body, at), at=at, source=body.source)
        return json(await context.explain(asked, body.all))

    def _report(self, body: ExplainBody, at: datetime) -> AlertReport:
        """As the source would have it: its labels join the identity."""
        known = self._senders.labels_of(body.source)
        if known is None:
            raise Refusal(400, f"source: {body.source[:100]!a} is neither configured nor a built-in type")
        try:
            found = known.find(bytes(body.labels), bytes(body.annotations))
        except AlertRefused as refused:
            raise Refusal(400, str(refused)) from None
        return AlertReport(found.identity, False, at, None, found.annotations)


def _instant(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise Refusal(400, "at needs its zone, such as 2026-01-01T00:00:00Z")
    if at.year not in _YEARS:
        raise Refusal(400, f"at is in the year {at.year}")
    return at.astimezone(UTC)
