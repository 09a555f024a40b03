"""Alertmanager's API v2: to Prometheus, amtool, Karma and Grafana, imd *is* an Alertmanager.

Answers and errors are Alertmanager's, quirks included (api/v2/openapi.yaml and api.go of 0.34, read 2026-11; vectors in
tests/vectors). One thing is better: where a single alert has the wrong shape, the good ones beside it are kept, as
Alertmanager itself does for its business rules.
"""

from __future__ import annotations

import asyncio
import platform
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta

import msgspec
from aiohttp import web

from imd import __version__
from imd.api import quick
from imd.api.alertmanager_groups import AlertGroup, AlertStatus, GettableAlert, Listed, ReceiverName, grouped
from imd.api.answers import BusinessRefusal, Refusal, SchemaRefusal, json
from imd.api.context import Context
from imd.api.ingest import Ingest, Senders, Taken, Worded
from imd.api.long import LongAnswers, Pieces, Runs, with_commas
from imd.api.operations import Answer, Parameter, described, switch
from imd.config.syntax import BadMatcher, parse_matcher
from imd.model.alert import Alert, fingerprint
from imd.model.policy import BUILT_IN_POLICY, NOBODY, Ruleset, Target, TargetKind
from imd.model.rule import BadPattern, Matcher, Op, Test, full_match
from imd.sources.alertmanager_api import RESOLVE_TIMEOUT
from imd.sources.contract import BadBody, Instant, Reason

SOURCE = "alertmanager"
_SLICE = 200  # alerts listed before the loop turns: about 5 ms
_encode = msgspec.json.Encoder().encode
_BOOLS = {"true": True, "1": True, "t": True, "false": False, "0": False, "f": False}


class PostableAlert(msgspec.Struct):
    """Alertmanager's postableAlert. `sources.alertmanager_api` reads it, alert by alert."""

    labels: dict[str, str]
    annotations: dict[str, str] | None = None
    startsAt: Instant | None = None  # noqa: N815
    endsAt: Instant | None = None  # noqa: N815
    generatorURL: str | None = None  # noqa: N815


class ClusterStatus(msgspec.Struct):
    """There is none."""

    status: str = "disabled"
    peers: list[str] = []


class ConfigStatus(msgspec.Struct):
    """The receivers in Alertmanager's words, for who parses it; imd's own configuration has another shape."""

    original: str


class VersionInfo(msgspec.Struct, rename="camel"):
    """What Alertmanager says of its build."""

    version: str
    revision: str
    branch: str
    build_user: str
    build_date: str
    go_version: str


class AlertmanagerStatus(msgspec.Struct, rename="camel"):
    """Alertmanager's alertmanagerStatus."""

    cluster: ClusterStatus
    config: ConfigStatus
    uptime: datetime
    version_info: VersionInfo


class _Shown(msgspec.Struct, frozen=True):
    """Which alerts are asked for."""

    active: bool
    silenced: bool
    inhibited: bool
    muted: bool

    def takes(self, status: AlertStatus) -> bool:
        return (
            (self.active or status.state != "active")
            and (self.silenced or not status.silencedBy)
            and (self.inhibited or not status.inhibitedBy)
            and (self.muted or not status.mutedBy)
        )


Posted = list[PostableAlert] | None
Listing = list[GettableAlert]
Groups = list[AlertGroup]
Receivers = list[ReceiverName]
_FILTERS = (
    Parameter("filter", "Matchers that must all hold.", many=True),
    Parameter("receiver", "A regex for the whole name of a receiver."),
    switch("active", "Those that nothing suppresses.", True),
    switch("silenced", "Those that a silence suppresses.", True),
    switch("inhibited", "Those that an inhibition suppresses.", True),
    switch("muted", "Those that anything else suppresses.", True),
)


class Alertmanager:
    def __init__(self, context: Context, senders: Senders, ingest: Ingest) -> None:
        self._context = context
        self._senders = senders
        self._ingest = ingest
        self._long = LongAnswers()

    @described("Send alerts", {200: Answer()}, body=Posted, refuses=(422,))
    async def post_alerts(self, request: web.Request) -> web.Response:
        """200 and no body once all are committed, else the first refusal as Alertmanager words it."""
        if request.content_type != "application/json":
            only = "only [application/json] are allowed"
            raise SchemaRefusal(415, f'unsupported media type "{request.content_type[:100]}", {only}')
        source = self._senders.speaker(request, SOURCE)
        body = await self._ingest.body(request, source)
        if not body:
            raise SchemaRefusal(422, "alerts in body is required", 602)
        try:
            taken = await self._ingest.take(source, self._senders.alertmanager_api(source), body)
        except BadBody as error:
            raise SchemaRefusal(400, str(error)) from None
        return _answer(taken)

    def post_at_once(self, request: web.Request, body: bytes, over: quick.Over) -> bool:
        """`post_alerts` by the short way. Raises Refusal."""
        source = self._senders.speaker(request, SOURCE)
        return self._ingest.at_once(
            source, self._senders.alertmanager_api(source), body, request.headers, _WORDED, over
        )

    @described(
        "List the alerts that fire",
        {200: Listing},
        query=(*_FILTERS, switch("unprocessed", "Nothing is in this state.", True)),
        refuses=(422,),
    )
    async def get_alerts(self, request: web.Request) -> web.StreamResponse:
        """All alerts that fire and whose end is ahead, by fingerprint, unpaged as there."""
        flag(request.query, "unprocessed")  # checked, though nothing is in this state

        async def items() -> Pieces:
            found: Runs[bytes] = Runs()
            async for listed in self._listed(request):
                for one in listed:
                    found.add(one.fingerprint, one.shown)
            return with_commas(found.drain())

        return await self._long.array(request, items)

    @described("List the alerts that fire, by incident", {200: Groups}, query=_FILTERS, refuses=(422,))
    async def get_groups(self, request: web.Request) -> web.StreamResponse:
        """The same alerts, by incident: what imd groups by is what people work on."""

        async def items() -> Pieces:
            wanted = _receiver_test(request.query)
            view = self._context.view
            return await grouped(self._listed(request), view.incident, self._context.ruleset(), wanted)

        return await self._long.array(request, items)

    @described("Version and uptime", {200: AlertmanagerStatus})
    async def get_status(self, _request: web.Request) -> web.Response:
        """What amtool asks for first. There is no cluster."""
        context = self._context
        return json(
            AlertmanagerStatus(
                cluster=ClusterStatus(),
                config=ConfigStatus(_in_its_words(context.ruleset())),
                uptime=context.started_at,
                version_info=VersionInfo(__version__, "imd", "imd", "imd", "", f"python{platform.python_version()}"),
            )
        )

    @described("List the receivers", {200: Receivers})
    async def get_receivers(self, _request: web.Request) -> web.Response:
        """By name, in the order of config.yaml."""
        return json([ReceiverName(name) for name in self._context.ruleset().receivers])

    @described("API v1 is gone", {}, refuses=(410,), retries=False)
    async def gone(self, _request: web.Request) -> web.StreamResponse:
        """API v1 was removed in Alertmanager 0.27."""
        raise SchemaRefusal(410, "API v1 is gone; use API v2")

    async def _listed(self, request: web.Request) -> AsyncIterator[list[Listed]]:
        """What the query asks for, in slices between which the loop turns."""
        query = request.query
        shown = _Shown(*(flag(query, name) for name in ("active", "silenced", "inhibited", "muted")))
        tests = [_filter(text) for text in query.getall("filter", [])]
        wanted = _receiver_test(query)
        now, ruleset = self._context.clock.now(), self._context.ruleset()
        receivers: dict[str, list[ReceiverName]] = {}
        alerts = list(self._context.view.open_alerts())
        for start in range(0, len(alerts), _SLICE):
            listed: list[Listed] = []
            for alert in alerts[start : start + _SLICE]:
                if not alert.firing:  # ended while the loop turned
                    continue
                ends_at = _ends_at(alert, ruleset)
                if ends_at <= now:
                    continue
                if not shown.takes(status := _status(alert.suppressed_by)):
                    continue
                if tests:
                    labels = alert.labels()
                    if not all(test(labels) for test in tests):
                        continue
                if alert.rule not in receivers:
                    receivers[alert.rule] = [ReceiverName(name) for name in _receivers_of(alert.rule, ruleset)]
                to = receivers[alert.rule]
                if to and not any(wanted({"receiver": receiver.name}) for receiver in to):
                    continue
                gettable = _gettable(alert, ends_at, to, status)
                listed.append(Listed(alert, gettable.fingerprint, to, _encode(gettable)))
            yield listed
            await asyncio.sleep(0)


def _in_its_words(ruleset: Ruleset) -> str:
    """A configuration that Alertmanager's own code loads: amtool and Grafana's data source (GettableStatus, read
    2026-11) do, and refuse one without a route and its receiver. Who hears of what is not carried."""
    names = list(ruleset.receivers) or [NOBODY]
    lines = [
        f"# imd {__version__}, configuration {ruleset.config_hash}. Its receivers; who hears of what, rules say.",
        f"route:\n  receiver: {_quoted(ruleset.fallback or names[0])}\nreceivers:",
        *(f"  - name: {_quoted(name)}" for name in names),
    ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return _encode(text).decode()


def _gettable(alert: Alert, ends_at: datetime, to: list[ReceiverName], status: AlertStatus) -> GettableAlert:
    return GettableAlert(
        annotations=msgspec.Raw(alert.annotations),
        endsAt=ends_at,
        fingerprint=fingerprint(alert.identity.labels()),
        receivers=to,
        startsAt=alert.starts_at,
        status=status,
        updatedAt=alert.seen_at,
        generatorURL=alert.generator_url,
        labels=msgspec.Raw(alert.other_labels or alert.identity.canonical),
    )


def _status(causes: tuple[str, ...]) -> AlertStatus:
    """What suppresses it: ids of silences, fingerprints of inhibitors, names of everything else."""
    if not causes:
        return AlertStatus()
    status = AlertStatus("suppressed", [], [], [])
    for cause in causes:
        kind, _, name = cause.partition("/")
        if kind == "silence":
            status.silencedBy.append(name)
        elif kind == "inhibition":
            status.inhibitedBy.append(name.rpartition("/")[2])
        else:
            status.mutedBy.append(name or kind)
    return status


def _ends_at(alert: Alert, ruleset: Ruleset) -> datetime:
    """The sender's end; without one, when imd would count the alert as expired."""
    until = alert.listed_until()
    if until is not None:
        return until
    if alert.by_api:
        return alert.seen_at + RESOLVE_TIMEOUT
    source = ruleset.sources.get(alert.source)
    return alert.seen_at + (source.expire_after if source is not None else timedelta(days=5))


def _receivers_of(rule_name: str, ruleset: Ruleset) -> list[str]:
    """Everybody whom the rule's policy would reach, in order. Routes see a whole incident; a single alert shows the
    rule's own policy, else the last route's."""
    rule = next((rule for rule in ruleset.rules if rule.name == rule_name), None)
    name = rule.policy if rule is not None else ""
    if not name:
        name = ruleset.routes[-1].policy if ruleset.routes else BUILT_IN_POLICY
    policy = ruleset.policies.get(name) or ruleset.policies.get(BUILT_IN_POLICY)
    found: dict[str, None] = {}
    for target in (target for step in (policy.steps if policy else ()) for target in step.notify):
        for name in _people_of(target, ruleset):
            reach = ruleset.people[name].reach if name in ruleset.people else ()
            found.update(dict.fromkeys(way.receiver for way in reach))
        if target.kind is TargetKind.RECEIVER:
            found[target.name] = None
    return list(found)


def _people_of(target: Target, ruleset: Ruleset) -> tuple[str, ...]:
    """Everyone that it can mean."""
    schedule, team = ruleset.schedules.get(target.name), ruleset.teams.get(target.name)
    if target.kind is TargetKind.SCHEDULE and schedule is not None:
        return schedule.people
    if target.kind is TargetKind.TEAM and team is not None:
        return team.people
    return (target.name,) if target.kind is TargetKind.PERSON else ()


_SCHEMA_CODES = {Reason.REQUIRED: 602, Reason.URL: 601}


def _answer(taken: Taken) -> web.Response:
    """Raises Refusal."""
    if taken.rejected:
        raise _first_refusal(taken)
    return web.Response()


_WORDED = Worded(lambda _count: b"", _answer)


def _first_refusal(taken: Taken) -> Refusal:
    """Shape before business, as there: 422 and 400 objects are the schema's, 400 strings the rules'."""
    for rejection in taken.rejected:
        if rejection.reason in _SCHEMA_CODES:
            return SchemaRefusal(422, f"{rejection.index}.{rejection.error}", _SCHEMA_CODES[rejection.reason])
        if rejection.reason is Reason.SCHEMA:
            return SchemaRefusal(400, f"parsing alerts body failed: alert {rejection.index}: {rejection.error}")
    return BusinessRefusal(400, "\n".join(dict.fromkeys(rejection.error for rejection in taken.rejected[:100])))


def flag(query: Mapping[str, str], name: str) -> bool:
    """A boolean parameter; true where it is not given."""
    text = query.get(name, "true")
    if text.lower() not in _BOOLS:
        raise SchemaRefusal(422, f'{name} in query must be of type boolean: "{text[:40]}"', 601)
    return _BOOLS[text.lower()]


def _receiver_test(query: Mapping[str, str]) -> Test:
    pattern = query.get("receiver", "")
    if not pattern:
        return lambda _labels: True
    try:
        full = full_match(pattern)
    except BadPattern as error:
        raise BusinessRefusal(400, f"failed to parse receiver param: {error}") from None
    return lambda labels: full(labels["receiver"])


def _filter(text: str) -> Test:
    try:
        return filter_test(parse_matcher(text))
    except (BadMatcher, BadPattern) as error:
        raise BusinessRefusal(400, f"bad matcher format: {text[:200]}: {error}") from None


def filter_test(matcher: Matcher) -> Test:
    """One filter of GET alerts, with its twist (api.go matchFilterLabels): a negative matcher with an empty value holds
    wherever the label is present, a positive one wherever it is absent."""
    test, name = matcher.test(), matcher.name
    if matcher.value:
        return test
    if matcher.op in (Op.NOT_EQUAL, Op.NOT_REGEX):
        return lambda labels: name in labels or test(labels)
    return lambda labels: name not in labels or test(labels)
