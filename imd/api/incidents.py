"""Incidents: list, show, timeline, why, alerts; what people do to them; reports by people.

Reads come from the store, so they show what is committed. An action is an event like any other and is answered when it
is on disk; doing again what is done already answers 200 and changes nothing.
"""

from __future__ import annotations

import msgspec
from aiohttp import web

from imd.api import parameters
from imd.api.actions import Action, Report
from imd.api.answers import Refusal, json
from imd.api.body import read_body
from imd.api.context import Context
from imd.api.operations import MATCH, PAGED, SINCE, Parameter, described, listed, needing
from imd.api.views import Items, LineView, line_view
from imd.api.why import WhyView, why_view
from imd.model.alert import Alert
from imd.model.event import ActionKind
from imd.model.incident import Incident, IncidentState, Priority
from imd.model.view import AlertView, IncidentView, IncidentWithAlerts, alert_view, incident_view, incident_with_alerts
from imd.store.contract import IncidentQuery

ALERTS_SHOWN = 100

QUERY = (
    listed("status", "States, or `open` for those that are.", ("open", *IncidentState)),
    listed("priority", "Priorities.", tuple(Priority)),
    Parameter("rule", "The rule that opened it."),
    MATCH,
    SINCE,
    *PAGED,
)


class Incidents:
    def __init__(self, context: Context) -> None:
        self._context = context

    @described("List incidents", {200: Items[IncidentView]}, query=QUERY)
    async def list(self, request: web.Request) -> web.Response:
        """Newest first; a page may be short, `next_cursor` alone says whether there is more."""
        query = request.query
        parameters.allow_only(query, "status", "priority", "rule", "match", "since", "limit", "cursor")
        page = await self._context.store.incidents(
            IncidentQuery(
                states=parameters.states(query),
                priorities=parameters.words(query, "priority", Priority),
                rule=query.get("rule", ""),
                match=parameters.match(request),
                since=parameters.since(query, self._context.clock.now()),
                limit=parameters.limit(query),
                cursor=parameters.cursor(query),
            )
        )
        return json(Items([incident_view(incident) for incident in page.items], _next(page.next_cursor)))

    @described("Show an incident", {200: IncidentWithAlerts}, refuses=(404,))
    async def show(self, request: web.Request) -> web.Response:
        """With its first 100 alerts."""
        incident = await self._found(request)
        alerts = await self._context.store.alerts(incident.id, ALERTS_SHOWN)
        rule = next((one for one in self._context.ruleset().rules if one.name == incident.rule), None)
        return json(incident_with_alerts(incident, alerts, rule.runbook if rule is not None else ""))

    @described("Show an incident's timeline", {200: Items[LineView]}, refuses=(404,))
    async def timeline(self, request: web.Request) -> web.Response:
        """Every decision about it, oldest first."""
        incident = await self._found(request)
        entries = await self._context.store.timeline(incident.id)
        return json(Items([line_view(entry) for entry in entries]))

    @described("List an incident's alerts", {200: Items[AlertView]}, query=PAGED, refuses=(404,))
    async def alerts(self, request: web.Request) -> web.Response:
        """Members in the order in which they came; `cursor` goes on behind a page."""
        query = request.query
        parameters.allow_only(query, "limit", "cursor")
        limit = parameters.limit(query)
        incident = await self._found(request)
        alerts = await self._context.store.alerts(incident.id, limit, parameters.cursor(query) or 0)
        last = alerts[-1].id if len(alerts) == limit else None
        return json(Items([alert_view(alert, incident) for alert in alerts], _next(last)))

    @described("Explain an incident", {200: WhyView}, refuses=(404,))
    async def why(self, request: web.Request) -> web.Response:
        """Why it exists, why each alert is in it, who was paged or not and why, and what comes next."""
        store = self._context.store
        incident = await self._found(request)
        alerts: list[Alert] = await store.alerts(incident.id, ALERTS_SHOWN)
        timeline = await store.timeline(incident.id)
        rows = await store.deliveries(incident.id)
        silences = {one.id: one for one in self._context.view.silences()}
        return json(why_view(incident, alerts, timeline, reversed(rows), self._context.ruleset(), silences))

    @described("Act on an incident", {200: IncidentView}, body=needing(Action, "by"), refuses=(404, 409))
    async def act(self, request: web.Request) -> web.Response:
        """200 with the incident as it is then; 409 where its state does not allow the action."""
        context = self._context
        limits = context.settings().limits
        body = await read_body(request, limits.body_bytes_max, limits.body_read_timeout)
        action = parameters.read_json(body, Action)
        kind = ActionKind(request.match_info["action"])
        incident = await self._found(request)
        event = action.event(kind, incident, context.clock.now())
        if named := str(action.into).removeprefix("#"):
            into = await context.store.incident(named)
            if into is None:
                raise Refusal(404, f"no incident {named[:100]!a}")
            event = msgspec.structs.replace(event, into=into.id)
        for refused in await context.submit(event, len(body)):
            raise Refusal(409 if refused.conflict else 400, refused.error)
        return json(incident_view(await self._found(request)))

    @described("Report an incident", {200: IncidentView, 201: IncidentView}, body=needing(Report, "by", "title"))
    async def report(self, request: web.Request) -> web.Response:
        """201 with the incident that a person's report opened; the same `key` again is 200 with the same one."""
        context = self._context
        limits = context.settings().limits
        body = await read_body(request, limits.body_bytes_max, limits.body_read_timeout)
        event = parameters.read_json(body, Report).event(context.ruleset())
        if (known := context.view.reported(event.key)) is not None:
            return json(incident_view(known))
        await context.submit(event, len(body))
        opened = context.view.reported(event.key)
        assert opened is not None, "a report that was taken opened an incident"
        return json(incident_view(opened), status=201)

    async def _found(self, request: web.Request) -> Incident:
        which = request.match_info["id"]
        incident = await self._context.store.incident(which)
        if incident is None:
            raise Refusal(404, f"no incident {which[:100]!a}")
        return incident


def _next(cursor: int | None) -> str | None:
    return None if cursor is None else str(cursor)
