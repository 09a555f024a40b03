"""Lists of everything that is not an incident: alerts that fire, deliveries, refusals, rules."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import msgspec
from aiohttp import web

from imd.api import parameters
from imd.api.answers import json
from imd.api.context import Context
from imd.api.operations import MATCH, PAGED, SINCE, Parameter, described, listed
from imd.api.views import (
    AuditView,
    DeliveryView,
    Items,
    JournalPage,
    RejectedView,
    RuleView,
    delivery_view,
    rejected_view,
    rule_view,
)
from imd.model.rule import match_test
from imd.model.view import AlertView, alert_view
from imd.store.contract import DeliveryState

_EVER = datetime(1970, 1, 1, tzinfo=UTC)
_SLICE = 1000  # alerts tested before the loop turns: about 3 ms

DELIVERIES = (
    Parameter("incident", "Of this incident: an id or a number."),
    listed("state", "How far they are.", tuple(DeliveryState)),
    *PAGED,
)


class Lists:
    def __init__(self, context: Context) -> None:
        self._context = context

    @described("List the alerts that fire", {200: Items[AlertView]}, query=(MATCH, *PAGED))
    async def alerts(self, request: web.Request) -> web.Response:
        """Alerts that fire now, in order of their coming; `match` narrows."""
        query = request.query
        parameters.allow_only(query, "match", "limit", "cursor")
        behind, limit = parameters.cursor(query) or 0, parameters.limit(query)
        test = match_test(parameters.match(request))
        page: list[AlertView] = []
        last = 0
        for number, alert in enumerate(list(self._context.view.open_alerts())):
            if number % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)
            if alert.id > behind and alert.firing and test(alert.full_labels()):
                page.append(alert_view(alert, None))
                last = alert.id
            if len(page) == limit:
                break
        cursor = str(last) if len(page) == limit else None
        return json(Items(list(page), cursor))

    @described("List deliveries", {200: Items[DeliveryView]}, query=DELIVERIES)
    async def deliveries(self, request: web.Request) -> web.Response:
        """Newest first. `incident` is an id or a number, `state` pending, accepted, failed, cancelled or unknown."""
        query = request.query
        parameters.allow_only(query, "incident", "state", "limit", "cursor")
        limit, behind = parameters.limit(query), parameters.cursor(query)
        states = parameters.words(query, "state", DeliveryState)
        state = next(iter(states)) if states and len(states) == 1 else None
        incident = None
        if which := query.get("incident"):
            found = await self._context.store.incident(which)
            if found is None:
                return json(Items([]))
            incident = found.id
        rows = await self._context.store.deliveries(incident, state, limit, behind)
        cursor = str(rows[-1].seq) if len(rows) == limit else None
        return json(Items([delivery_view(row) for row in rows if not states or row.state in states], cursor))

    @described(
        "List what was refused",
        {200: Items[RejectedView]},
        query=(Parameter("source", "Of this source."), SINCE, *PAGED),
    )
    async def rejected(self, request: web.Request) -> web.Response:
        """What was refused, newest first; `source` and `since` narrow."""
        query = request.query
        parameters.allow_only(query, "source", "since", "limit", "cursor")
        limit, since = parameters.limit(query), parameters.since(query, self._context.clock.now())
        rows = await self._context.store.rejected(limit, parameters.cursor(query), query.get("source", ""), since)
        cursor = str(rows[-1].seq) if len(rows) == limit else None
        return json(Items([rejected_view(row) for row in rows], cursor))

    @described("Read the journal", {200: JournalPage}, query=(SINCE, *PAGED))
    async def journal(self, request: web.Request) -> web.Response:
        """Lines of EVENTS.jsonl, oldest first; `since` narrows. Each item is a line as it was written."""
        query = request.query
        parameters.allow_only(query, "since", "limit", "cursor")
        limit = parameters.limit(query)
        since = parameters.since(query, self._context.clock.now()) or _EVER
        rows = await self._context.store.journal(since, limit, parameters.cursor(query) or 0)
        cursor = str(rows[-1].seq) if len(rows) == limit else None
        return json(JournalPage([msgspec.Raw(row.line) for row in rows], cursor))

    @described("Read the audit log", {200: Items[AuditView]}, query=PAGED)
    async def audit(self, request: web.Request) -> web.Response:
        """What people did and which configuration was put in force, newest first."""
        query = request.query
        parameters.allow_only(query, "limit", "cursor")
        limit = parameters.limit(query)
        rows = await self._context.store.audit(limit, parameters.cursor(query))
        cursor = str(rows[-1].seq) if len(rows) == limit else None
        views = [AuditView(seq=row.seq, event=msgspec.Raw(row.line), seal=row.seal) for row in rows]
        return json(Items(list(views), cursor))

    @described("List the rules", {200: Items[RuleView]})
    async def rules(self, _request: web.Request) -> web.Response:
        """All rules in the order in which they are tried."""
        return json(Items([rule_view(rule) for rule in self._context.ruleset().rules]))
