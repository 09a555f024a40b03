"""The HTTP server: the route table, and what every request meets before and behind its handler.

A request passes one wrapper: it asks who may, words refusals in the shape of its route, and observes the time. There
are no aiohttp middlewares: at one alert a body each would cost as much as the decoding.

aiohttp logs a traceback for each request that is no HTTP. Its logger is ours (`_ProtocolLog`): those are counted, and
said once in a while.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import structlog
from aiohttp import web, web_response
from aiohttp.http_exceptions import HttpProcessingError

from imd.api import answers, quick
from imd.api.alertmanager import Alertmanager
from imd.api.alertmanager_silences import AlertmanagerSilences
from imd.api.answers import Refusal, SchemaRefusal
from imd.api.callbacks import Callbacks
from imd.api.context import Context, StoreDown, Unavailable
from imd.api.doors import Doors
from imd.api.explain import Explain
from imd.api.guarded import Guard
from imd.api.health import Health
from imd.api.heartbeats import Heartbeats
from imd.api.incidents import Incidents
from imd.api.ingest import Ingest, Senders
from imd.api.links import Links, as_page
from imd.api.lists import Lists
from imd.api.mirrors import Mirrors
from imd.api.oncall import OnCall
from imd.api.openapi import PATH as OPENAPI_PATH
from imd.api.openapi import OpenApi
from imd.api.opsgenie import BASES, OpsgenieApi, as_opsgenie, changeable
from imd.api.pagerduty import Enqueue, as_pagerduty
from imd.api.phones import Phones
from imd.api.receivers import Receivers
from imd.api.refusals import Refusals
from imd.api.silences import Silences
from imd.api.status import StatusOf
from imd.api.stream import Streaming
from imd.config.settings import Scope
from imd.model.event import ActionKind
from imd.store.contract import StoreFailed
from imd.telemetry import Log, Metrics

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Shape = Callable[[Refusal], web.Response]
Authorize = Callable[[web.Request, Scope], None]

KEEPALIVE_SECONDS = 75.0
LINGERING_SECONDS = 10.0
"""How long what is left of a refused body is read on and thrown away, so that its client comes to read the answer."""

ACTIONS = "|".join(ActionKind)
ANYTHING = "{rest:(?s:.*)}"  # a line's end in a path too
API_V1_METHODS = ("GET", "POST", "DELETE")

_log = structlog.get_logger()
_MALFORMED_SAID_EVERY_SECONDS = 10.0

# aiohttp names itself and its version in each answer, also in those that it makes before any of our code runs.
vars(web_response)["SERVER_SOFTWARE"] = "imd"


@dataclass(frozen=True)
class Route:
    """One line of the table. `scope` None: open to all, always. `shape` words its refusals. `at_once`: small requests
    of senders come here, each minute the same; they may come by the short way (`quick`), where this is called first."""

    method: str
    path: str
    handler: Handler
    scope: Scope | None
    shape: Shape = answers.problem
    at_once: quick.AtOnce | None = None


Slow = Callable[[web.Request, Route, Refusal], Refusal]


def routes(context: Context) -> list[Route]:
    """Every path that imd serves, without prefixes."""
    senders = Senders(context)
    ingest = Ingest(context, senders)
    enqueue = Enqueue(context, senders, ingest)
    neighbour = Alertmanager(context, senders, ingest)
    their_silences, silences = AlertmanagerSilences(context), Silences(context)
    incidents, lists = Incidents(context), Lists(context)
    heartbeats, on_call = Heartbeats(context), OnCall(context)
    health, receivers = Health(context, senders), Receivers(context)
    doors = Doors(context)
    links, callbacks, mirrors, phones = Links(doors), Callbacks(doors), Mirrors(doors), Phones(doors)
    as_alertmanager, openapi = answers.as_alertmanager, OpenApi()
    table = [
        Route("POST", "/v1/ingest/{source}", ingest.post, Scope.INGEST, at_once=ingest.post_at_once),
        Route("OPTIONS", "/v1/ingest/{source}", ingest.handshake, Scope.INGEST),
        # The key in the body is what authorises: these two look at it themselves.
        Route("POST", "/v2/enqueue", enqueue.event, None, as_pagerduty),
        Route("POST", "/v2/change/enqueue", enqueue.change, None, as_pagerduty),
        *_opsgenie(OpsgenieApi(context, senders, ingest)),
        Route("POST", "/api/v2/alerts", neighbour.post_alerts, Scope.INGEST, as_alertmanager, neighbour.post_at_once),
        Route("GET", "/api/v2/alerts", neighbour.get_alerts, Scope.READ, as_alertmanager),
        Route("GET", "/api/v2/alerts/groups", neighbour.get_groups, Scope.READ, as_alertmanager),
        Route("GET", "/api/v2/status", neighbour.get_status, Scope.READ, as_alertmanager),
        Route("GET", "/api/v2/receivers", neighbour.get_receivers, Scope.READ, as_alertmanager),
        Route("GET", "/api/v2/silences", their_silences.list, Scope.READ, as_alertmanager),
        Route("POST", "/api/v2/silences", their_silences.post, Scope.RESPOND, as_alertmanager),
        Route("GET", "/api/v2/silence/{id}", their_silences.show, Scope.READ, as_alertmanager),
        Route("DELETE", "/api/v2/silence/{id}", their_silences.delete, Scope.RESPOND, as_alertmanager),
        *(Route(method, f"/api/v1/{ANYTHING}", neighbour.gone, None, as_alertmanager) for method in API_V1_METHODS),
        Route("GET", "/v1/incidents", incidents.list, Scope.READ),
        Route("GET", "/v1/incidents/{id}", incidents.show, Scope.READ),
        Route("GET", "/v1/incidents/{id}/timeline", incidents.timeline, Scope.READ),
        Route("GET", "/v1/incidents/{id}/why", incidents.why, Scope.READ),
        Route("GET", "/v1/incidents/{id}/alerts", incidents.alerts, Scope.READ),
        Route("POST", "/v1/incidents", incidents.report, Scope.RESPOND),
        Route("POST", f"/v1/incidents/{{id}}/{{action:{ACTIONS}}}", incidents.act, Scope.RESPOND),
        # What signed the link is what authorises.
        Route("GET", "/v1/links/{token}", links.show, None, as_page),
        Route("POST", "/v1/links/{token}", links.act, None, as_page),
        # Each service's own signature is what authorises.
        Route("POST", "/v1/callbacks/slack/{receiver}", callbacks.slack, None),
        Route("POST", "/v1/callbacks/pagerduty/{receiver}", mirrors.pagerduty, None),
        Route("POST", "/v1/callbacks/opsgenie/{receiver}", mirrors.opsgenie, None),
        Route("POST", "/v1/callbacks/twilio/{receiver}", phones.replied, None),
        Route("POST", "/v1/callbacks/twilio/{receiver}/{token}", phones.pressed, None),
        Route("POST", "/v1/callbacks/pushover/{receiver}/{token}", phones.taken, None),
        Route("GET", "/v1/silences", silences.list, Scope.READ),
        Route("POST", "/v1/silences", silences.post, Scope.RESPOND),
        Route("GET", "/v1/silences/{id}", silences.show, Scope.READ),
        Route("DELETE", "/v1/silences/{id}", silences.delete, Scope.RESPOND),
        Route("POST", "/v1/silences/{id}/expire", silences.expire, Scope.RESPOND),
        Route("GET", "/v1/maintenance", silences.maintenance, Scope.READ),
        Route("GET", "/v1/pause", silences.pause, Scope.READ),
        Route("POST", "/v1/pause", silences.set_pause, Scope.RESPOND),
        Route("DELETE", "/v1/pause", silences.end_pause, Scope.RESPOND),
        Route("GET", "/v1/heartbeats", heartbeats.list, Scope.READ),
        Route("GET", "/v1/heartbeats/{name}", heartbeats.beat, Scope.INGEST),
        Route("POST", "/v1/heartbeats/{name}", heartbeats.beat, Scope.INGEST),
        Route("GET", "/v1/oncall", on_call.show, Scope.READ),
        Route("GET", "/v1/oncall/overrides", on_call.overrides, Scope.READ),
        Route("POST", "/v1/oncall/overrides", on_call.post, Scope.RESPOND),
        Route("DELETE", "/v1/oncall/overrides/{id}", on_call.delete, Scope.RESPOND),
        Route("POST", "/v1/explain", Explain(context, senders).post, Scope.READ),
        Route("GET", "/v1/alerts", lists.alerts, Scope.READ),
        Route("GET", "/v1/deliveries", lists.deliveries, Scope.READ),
        Route("GET", "/v1/rejected", lists.rejected, Scope.READ),
        Route("GET", "/v1/journal", lists.journal, Scope.READ),
        Route("GET", "/v1/stream", Streaming(context).get, Scope.READ),
        Route("GET", "/v1/audit", lists.audit, Scope.ADMIN),
        Route("GET", "/v1/rules", lists.rules, Scope.READ),
        Route("GET", "/v1/status", StatusOf(context).show, Scope.READ),
        Route("GET", OPENAPI_PATH, openapi.get, Scope.READ),
        Route("POST", "/v1/receivers/{name}/test", receivers.test, Scope.ADMIN),
        Route("GET", "/metrics", health.metrics, Scope.READ),
        Route("GET", "/-/healthy", health.healthy, None),
        Route("GET", "/-/ready", health.ready, None),
        Route("POST", "/-/reload", health.reload, Scope.ADMIN),
    ]
    openapi.table = table
    return table


def _opsgenie(api: OpsgenieApi) -> list[Route]:
    """Under both of its addresses; its own key is what authorises."""
    alert = "/alerts/{identifier}"
    return [
        Route(method, base + path, handler, None, as_opsgenie)
        for base in BASES
        for method, path, handler in (
            ("POST", "/alerts", api.create),
            ("GET", "/alerts/requests/{id}", api.outcome),
            ("GET", alert, api.show),
            ("DELETE", alert, api.close),
            ("POST", f"{alert}/close", api.close),
            ("PUT", f"{alert}/{{part:{changeable()}}}", api.change),
            ("POST", f"{alert}/{{action}}", api.act),
            ("GET", "/heartbeats/{name}/ping", api.ping),
            ("POST", "/heartbeats/{name}/ping", api.ping),
        )
    ]


def application(
    context: Context, authorize: Authorize | None = None, quick_handlers: dict[Handler, quick.AtOnce] | None = None
) -> web.Application:
    """The application: every route, under every prefix too. `authorize` refuses by raising Refusal (401, 403).
    `quick_handlers` collects the handlers of routes that may be called by the short way, with what is called there."""
    app = web.Application(client_max_size=context.settings().limits.body_bytes_max)
    table = routes(context)
    prefixes, slowed = _prefixes(context), _slowing(context)
    for path in dict.fromkeys(route.path for route in table):
        here = [route for route in table if route.path == path]
        for prefix in prefixes:
            for route, wrapped in _add(app, prefix + path, here, context.metrics, authorize, slowed):
                if route.at_once is not None and quick_handlers is not None:
                    quick_handlers[wrapped] = _wrap_at_once(route, route.at_once, context.metrics, authorize)
    app.on_shutdown.append(_end_streams(context))
    for prefix in prefixes:
        app.router.add_route("*", f"{prefix}/api/{ANYTHING}", _wrap(_NO_SUCH_API, context.metrics, None))
    app.router.add_route("*", f"/{ANYTHING}", _wrap(_NOT_FOUND, context.metrics, None))
    return app


def runner(context: Context, authorize: Authorize | None = None) -> web.AppRunner:
    """The application with the server's own bounds. The caller sets it up and adds its sites."""
    handlers: dict[Handler, quick.AtOnce] = {}
    guard = Guard(
        lambda: context.settings().limits.connections_max,
        lambda: context.settings().limits.body_read_timeout.total_seconds(),
        context.metrics,
    )
    made = quick.Runner(
        application(context, authorize, handlers),
        handlers,
        guard,
        access_log=None,
        logger=_protocol_logger(context.metrics),
        handle_signals=False,
        handler_cancellation=False,  # a body once read is taken, whether or not its client waits for the answer
        keepalive_timeout=KEEPALIVE_SECONDS,
        lingering_time=LINGERING_SECONDS,
        auto_decompress=False,  # see body
        shutdown_timeout=5.0,
    )
    connections = context.metrics.http_connections
    connections.set_function(lambda: float(len(made.server.connections)) if made.server is not None else 0.0)
    return made


def _end_streams(context: Context) -> Callable[[web.Application], Awaitable[None]]:
    async def end(_app: web.Application) -> None:
        context.stream.end()

    return end


def _prefixes(context: Context) -> list[str]:
    settings = context.settings()
    own = urlsplit(settings.external_url).path.rstrip("/")
    return list(dict.fromkeys(["", own, *settings.prefixes]))


def _add(
    app: web.Application, path: str, here: list[Route], metrics: Metrics, authorize: Authorize | None, slowed: Slow
) -> list[tuple[Route, Handler]]:
    """With each route the handler that was made of it."""
    resource = app.router.add_resource(path)
    made = [(route, _wrap(route, metrics, authorize, slowed)) for route in here]
    for route, wrapped in made:
        resource.add_route(route.method, wrapped)
        if route.method == "GET":
            resource.add_route("HEAD", wrapped)
    methods = [route.method for route in here]
    resource.add_route("*", _wrap(_not_allowed(here[0], methods), metrics, None))
    return made


def _not_allowed(route: Route, methods: list[str]) -> Route:
    allowed = ",".join(sorted(methods))

    async def refuse(request: web.Request) -> web.StreamResponse:
        detail = f"method {request.method} is not allowed, but [{allowed}] are"
        raise SchemaRefusal(405, detail, headers={"Allow": allowed})

    return Route("*", route.path, refuse, None, route.shape)


async def _not_found(request: web.Request) -> web.StreamResponse:
    raise Refusal(404, f"nothing is served at {request.path[:200]}")


_NOT_FOUND = Route("*", "other", _not_found, None)
_NO_SUCH_API = Route("*", "other", _not_found, None, answers.as_alertmanager)


def _slowing(context: Context) -> Slow:
    """Who shows nothing valid again and again is told to wait: by 503 where alerts are sent, for Alertmanager takes no
    other status for one to come back after."""
    refusals = Refusals()

    def slowed(request: web.Request, route: Route, refusal: Refusal) -> Refusal:
        most, now = context.settings().limits.refused_max, context.clock.monotonic()
        wait = refusals.wait_seconds(request.remote or "", now, most)
        if not wait:
            return refusal
        status = 503 if route.scope is Scope.INGEST else 429
        return Refusal(status, "too many refused requests from this address", headers={"Retry-After": str(wait)})

    return slowed


_GUARDS = (("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store"))
"""Answers hold words out of alerts: no browser is to take them for a page, and nothing between keeps a copy."""


_DENIED = (401, 403)
"""Each is a line in the log; beyond `refused_max` a minute an address gets 429 or 503 instead, and one line in all."""


def _wrap(route: Route, metrics: Metrics, authorize: Authorize | None, slowed: Slow | None = None) -> Handler:
    """The one wrapper: authorisation, refusals in the route's shape, the time it took."""
    observe: dict[int, Callable[[float], None]] = {}
    handler, shape, scope, clock = route.handler, route.shape, route.scope, time.perf_counter

    async def wrapped(request: web.Request) -> web.StreamResponse:
        began = clock()
        try:
            if authorize is not None and scope is not None:
                authorize(request, scope)
            response = await handler(request)
        except Exception as error:  # noqa: BLE001 - every failure is worded here, and a bug is one answer, not an end
            refusal = _refusal(error, route, metrics)
            if refusal.status == 401 and slowed is not None:
                refusal = slowed(request, route, refusal)
            if refusal.status in _DENIED:
                _log.info(Log.AUTH_FAILED, path=route.path, status=refusal.status, address=request.remote)
            response = shape(refusal)
        if scope is not Scope.INGEST or response.status >= 400:  # an answer to what was taken holds nobody's words
            for name, value in _GUARDS:
                response.headers.setdefault(name, value)
        bound = observe.get(response.status)
        if bound is None:
            child = metrics.http_request_duration_seconds.labels(route.path, str(response.status))
            bound = observe[response.status] = child.observe
        bound(clock() - began)
        return response

    return wrapped


def _wrap_at_once(route: Route, at_once: quick.AtOnce, metrics: Metrics, authorize: Authorize | None) -> quick.AtOnce:
    """The same around what is called by the short way; of whatever goes wrong there the ordinary way says it."""
    scope, clock = route.scope, time.perf_counter
    took = metrics.http_request_duration_seconds.labels(route.path, "200").observe

    def wrapped(request: web.Request, body: bytes, over: quick.Over) -> bool:
        began = clock()

        def answered(answer: bytes | Handler) -> None:
            if isinstance(answer, bytes):
                took(clock() - began)
                over(answer)
            else:
                over(_wrap(replace(route, handler=answer), metrics, None))

        try:
            if authorize is not None and scope is not None:
                authorize(request, scope)
            return at_once(request, body, answered)
        except Exception:  # noqa: BLE001 - whatever it is happens again there, and is worded
            return False

    return wrapped


def _refusal(error: Exception, route: Route, metrics: Metrics) -> Refusal:
    if isinstance(error, Refusal):
        return error
    if isinstance(error, Unavailable):
        if isinstance(error, StoreDown):  # the inbox counts what it turns away itself
            metrics.count("overload_rejections_total", ("store",))
        return Refusal(503, str(error), headers={"Retry-After": str(error.retry_after_seconds)})
    if isinstance(error, StoreFailed):
        return Refusal(503, "the store does not answer just now", headers={"Retry-After": "5"})
    if isinstance(error, MemoryError):
        metrics.count("overload_rejections_total", ("memory",))
        return Refusal(503, "memory is short just now", headers={"Retry-After": "5"})
    if isinstance(error, ConnectionError):
        return Refusal(400, "the client went away")
    if isinstance(error, web.HTTPException):
        return Refusal(error.status, error.reason)
    _log.error(Log.HTTP_FAILED, path=route.path, method=route.method, exc_info=error)
    return Refusal(500, "a fault of imd's own; its log says more")


class _ProtocolLog(logging.Handler):
    """Where aiohttp logs what it could not make a request of."""

    def __init__(self, metrics: Metrics) -> None:
        super().__init__(logging.INFO)
        self._malformed = metrics.http_malformed_total
        self._quiet_until = 0.0
        self._unsaid = 0

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and not isinstance(error, HttpProcessingError | ConnectionError):
            _log.error(Log.HTTP_FAILED, said=record.getMessage(), exc_info=error)
            return
        self._malformed.inc()
        self._unsaid += 1
        if (now := time.monotonic()) >= self._quiet_until:
            _log.warning(Log.HTTP_MALFORMED, count=self._unsaid, last=type(error).__name__, said=record.getMessage())
            self._quiet_until, self._unsaid = now + _MALFORMED_SAID_EVERY_SECONDS, 0


def _protocol_logger(metrics: Metrics) -> logging.Logger:
    logger = logging.Logger("imd.http", logging.INFO)  # not in logging's tree: nobody else's set-up reaches it
    logger.addHandler(_ProtocolLog(metrics))
    return logger
