"""POST /v1/ingest/{source}, and the way from a decoded body into the engine that all senders' paths share.

Owns slicing, counting and the ingest answer. Knows no sender's format.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
import structlog
from aiohttp import web

from imd.api import quick
from imd.api.access import speaker
from imd.api.answers import JSON, Refusal, json
from imd.api.body import read_body
from imd.api.context import Context, MemoryShort, Unavailable
from imd.api.operations import Answer, Body, described
from imd.api.signed import Signed
from imd.api.sns import KIND as KIND_SNS
from imd.api.sns import Sns
from imd.model.alert import AlertReport, identify
from imd.model.effect import Refused
from imd.model.event import AlertsReported, SourceHeard, Tick
from imd.model.heartbeat import OWN_SOURCE
from imd.model.policy import Ruleset, Source
from imd.sources import BUILT_IN, DECODERS, Factory
from imd.sources.alertmanager_api import AlertmanagerApi
from imd.sources.cloudevents import CloudEvents
from imd.sources.contract import (
    NO_HEADERS,
    BadBody,
    Decoded,
    Decoder,
    Headers,
    Limits,
    Reason,
    Rejection,
    Splits,
    excerpt,
)
from imd.sources.labels import KnownLabels
from imd.telemetry import Log

SLICE_ALERTS = 100
"""Alerts in one event at most, or fewer by `limits: slice_alerts_max`: the engine takes some 4 ms for as many new ones,
and the loop turns between slices."""

LARGE_BYTES = 3 << 18
"""A larger body is decoded part by part, at a fifth more: some 4 ms, a thousand alerts of Prometheus."""

AT_ONCE_BYTES = 1 << 16
"""A larger body gains nothing that can be measured by the short way (see `quick`)."""

REJECTED_LISTED_MAX = 1000
"""Rejections that one answer lists and the store keeps; all are counted."""

_TOO_LARGE_FIRES = timedelta(minutes=15)
_log = structlog.get_logger()
_encode = msgspec.json.Encoder().encode
_ACCEPTED_ONE = b'{"accepted":1,"rejected":[]}'


class RejectedItem(msgspec.Struct):
    """Which alert of the body, from 0, and why."""

    index: int
    error: str


class IngestAnswer(msgspec.Struct, omit_defaults=True):
    """`ignored`: what said nothing of an alert, where there was such."""

    accepted: int
    rejected: list[RejectedItem]
    ignored: list[RejectedItem] = []


class Taken(msgspec.Struct, frozen=True):
    """What became of one body: how many alerts were committed, which were refused and which ignored, and why."""

    accepted: int
    rejected: list[Rejection]
    ignored: list[Rejection] = []


class Worded(NamedTuple):
    """How a path answers: by JSON or nothing where so many alerts were taken and no more is to be said, and else, which
    may raise Refusal."""

    all_taken: Callable[[int], bytes]
    taken: Callable[[Taken], web.Response]


_BUILT_IN = {name: Source(name=name, type=name) for name in BUILT_IN}


class Senders:
    """Who may send, by name, each with its decoder and its cache of labels.

    A source's cache lives as long as its configuration does not change, over reloads too.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._ruleset: Ruleset | None = None
        self._known: dict[str, tuple[Source, Limits, KnownLabels]] = {}
        self._decoders: dict[tuple[str, object], Decoder] = {}

    def decoder(self, name: str) -> Decoder | None:
        """By configured name, or a built-in type's name; None where there is neither."""
        source = self._source(name)
        return None if source is None else self._made(source, DECODERS[source.type])

    def labels_of(self, name: str) -> KnownLabels | None:
        """A cache of its own for trying labels out: none of them is remembered as an alert's. "" is no source."""
        source = self._source(name) if name else Source(name="", type="alertmanager")
        return None if source is None else KnownLabels(source.labels, self._limits(), entries_max=2)

    def alertmanager_api(self, name: str) -> Decoder:
        """The API array's decoder for a source of type alertmanager."""
        source = self._source(name)
        assert source is not None
        return self._made(source, _alertmanager_api)

    def speaker(self, request: web.Request, name: str, *, signs: bool = False) -> str:
        """The source that the request speaks for, by its token if it has to show one. Raises Refusal 401."""
        source = self._source(name)
        settings = self._context.settings()
        if source is None or not settings.sources:
            return name
        return speaker(settings, request, name, source.type, signs=signs)

    def forget_labels(self) -> None:
        """Every cache, for want of memory: they fill up again with what is sent."""
        self._known.clear()
        self._decoders.clear()

    def known_entries(self) -> dict[str, int]:
        return {name: len(known) for name, (_, _, known) in self._known.items()}

    def _source(self, name: str) -> Source | None:
        ruleset = self._context.ruleset()
        if ruleset is not self._ruleset:
            self._ruleset = ruleset
            self._decoders.clear()
        source = ruleset.sources.get(name)
        if source is None:
            source = _BUILT_IN.get(name)
        return source if source is not None and source.type in DECODERS else None

    def _made(self, source: Source, factory: Factory) -> Decoder:
        decoder = self._decoders.get((source.name, factory))
        if decoder is None:
            decoder = self._decoders[source.name, factory] = factory(self._labels_of(source), source)
        return decoder

    def _labels_of(self, source: Source) -> KnownLabels:
        limits = self._limits()
        known = self._known.get(source.name)
        if known is not None and known[:2] == (source, limits):
            return known[2]
        labels = KnownLabels(source.labels, limits)
        self._known[source.name] = (source, limits, labels)
        return labels

    def _limits(self) -> Limits:
        settings = self._context.settings().limits
        return Limits(
            labels_max=settings.labels_max,
            label_value_bytes_max=settings.label_value_bytes_max,
            annotation_bytes_max=settings.annotation_bytes_max,
            depth_max=settings.json_depth_max,
        )


def _alertmanager_api(known: KnownLabels, _source: Source) -> Decoder:
    return AlertmanagerApi(known)


class Ingest:
    """Bodies in, committed events out."""

    def __init__(self, context: Context, senders: Senders) -> None:
        self._context = context
        self._senders = senders
        self._sns = Sns(context)
        self._signed = Signed(context.clock)
        self._large = asyncio.Lock()

    @described(
        "Send alerts",
        {200: IngestAnswer, 400: IngestAnswer},
        body=Body(None, says="As the sender's type has it; see docs/sources.md."),
        refuses=(403, 404),
    )
    async def post(self, request: web.Request) -> web.Response:
        """200 once committed if any alert was accepted or there was none in it, else 400."""
        name = self._senders.speaker(request, request.match_info["source"], signs=True)
        decoder = self._senders.decoder(name)
        if decoder is None:
            raise Refusal(404, f"no source {name[:100]!a}: it is neither configured nor a built-in type")
        body = await self.body(request, name)
        configured = self._context.settings().sources.get(name)
        if configured is not None and configured.signing is not None:
            with self._signed.once(name, configured.signing, request, body):
                return await self._answered(request, name, decoder, body)
        return await self._answered(request, name, decoder, body)

    async def _answered(self, request: web.Request, name: str, decoder: Decoder, body: bytes) -> web.Response:
        await self._before(name, body, request)
        try:
            taken = await self.take(name, decoder, body, request.headers)
        except BadBody as error:
            raise Refusal(400, str(error), "the body is not understood") from None
        return _answer(taken)

    def post_at_once(self, request: web.Request, body: bytes, over: quick.Over) -> bool:
        """`post` by the short way. Raises Refusal."""
        name = self._senders.speaker(request, request.match_info["source"], signs=True)
        decoder = self._senders.decoder(name)
        configured = self._context.settings().sources.get(name)
        if decoder is None or (
            configured is not None and (configured.signing is not None or configured.source.type == KIND_SNS)
        ):
            return False
        return self.at_once(name, decoder, body, request.headers, _WORDED, over)

    async def _before(self, name: str, body: bytes, request: web.Request) -> None:
        """What a sender's own protocol asks for before its body is read. A refusal is kept for people to see."""
        source = self._context.settings().sources.get(name)
        if source is None or source.source.type != KIND_SNS:
            return
        try:
            await self._sns.receive(source, body, request.headers)
        except Refusal as refusal:
            await self.keep_refusal(name, refusal.detail, Reason.BODY, excerpt(body))
            raise

    @described(
        "Ask whether events are welcome",
        {200: Answer(headers=("Allow", "WebHook-Allowed-Origin", "WebHook-Allowed-Rate"))},
        refuses=(400, 405),
    )
    async def handshake(self, request: web.Request) -> web.Response:
        """CloudEvents' HTTP webhooks, 1.0.2: a sender asks whether its events are welcome."""
        name = self._senders.speaker(request, request.match_info["source"], signs=True)
        decoder = self._senders.decoder(name)
        if not isinstance(decoder, CloudEvents):
            raise Refusal(405, "method OPTIONS is not allowed, but [POST] are", headers={"Allow": "POST"})
        asked = {word: request.headers.get(f"WebHook-Request-{word}", "*") for word in ("Origin", "Rate")}
        if not all(text.isascii() and text.isprintable() for text in asked.values()):
            raise Refusal(400, "WebHook-Request-Origin and -Rate must be printable ASCII")
        allowed = {f"WebHook-Allowed-{word}": text for word, text in asked.items()}
        return web.Response(headers={"Allow": "POST", **allowed})

    async def body(self, request: web.Request, source: str, bytes_max: int | None = None) -> bytes:
        """The request's body within its bounds; one that is too large is counted, kept and logged by its sender.
        `bytes_max`: a lower bound of its own protocol."""
        limits = self._context.settings().limits
        bytes_max = min(limits.body_bytes_max, bytes_max or limits.body_bytes_max)
        try:
            return await read_body(request, bytes_max, limits.body_read_timeout)
        except Refusal as refusal:
            if refusal.status == 413:
                await self._report_too_large(source, request.remote or "unknown", bytes_max)
            reason = Reason.TOO_LARGE if refusal.status == 413 else Reason.BODY
            await self.keep_refusal(source, refusal.detail, reason, f"from {request.remote}")
            raise

    async def take(self, source: str, decoder: Decoder, body: bytes, headers: Headers = NO_HEADERS) -> Taken:
        """Raises BadBody, Overloaded and StoreDown. A body that is taken partly before one of the latter two may be
        sent again as a whole: what is known already is a repeat."""
        now = self._context.clock.now()
        try:
            if len(body) > LARGE_BYTES and isinstance(decoder, Splits):
                decoded = await self._decode_in_parts(decoder, body, now, headers)
            else:
                decoded = decoder.decode(body, now, headers)
        except BadBody as error:
            await self.keep_refusal(source, str(error), Reason.BODY, excerpt(body))
            raise
        try:
            return await self.take_decoded(source, decoder.by_api, decoded, len(body), now)
        except MemoryShort:
            self._senders.forget_labels()
            raise

    def at_once(
        self, source: str, decoder: Decoder, body: bytes, headers: Headers, worded: Worded, over: quick.Over
    ) -> bool:
        """`take` of a small body that is understood whole, for whoever does not wait: `over` is told what to answer.
        False: nothing was taken, and by `take` it is seen why."""
        limits = self._context.settings().limits
        if len(body) > AT_ONCE_BYTES or len(body) > limits.body_bytes_max:
            return False
        now = self._context.clock.now()
        try:
            decoded = decoder.decode(body, now, headers)
        except BadBody:
            return False
        alerts = decoded.alerts
        fits = 0 < len(alerts) <= SLICE_ALERTS and len(alerts) <= limits.slice_alerts_max
        if not fits or decoded.rejected or decoded.ignored:
            return False

        def committed(error: Exception | None, refused: Sequence[Refused]) -> None:
            if error is None:
                self._context.heard[source] = now
            if error is None and not refused:
                over(worded.all_taken(len(alerts)))
                return

            async def said(_request: web.Request) -> web.StreamResponse:
                if error is not None:
                    raise error
                return worded.taken(self._sum_up(source, decoded, refused))

            over(said)

        return self._context.report(AlertsReported(source, decoder.by_api, tuple(alerts)), len(body), committed)

    async def _decode_in_parts(self, decoder: Splits, body: bytes, now: datetime, headers: Headers) -> Decoded:
        """A large body, one at a time, with a turn of the loop for others between its parts. Raises BadBody."""
        whole = Decoded([], [], [], [])
        assert whole.positions is not None
        async with self._large:
            start = 0
            for part in decoder.split(body, SLICE_ALERTS):
                decoded = decoder.decode(part, now, headers)
                whole.alerts.extend(decoded.alerts)
                whole.positions.extend(start + decoded.position(index) for index in range(len(decoded.alerts)))
                for kept, those in ((whole.rejected, decoded.rejected), (whole.ignored, decoded.ignored)):
                    kept.extend(msgspec.structs.replace(one, index=start + one.index) for one in those)
                start += len(decoded.alerts) + len(decoded.rejected) + len(decoded.ignored)
                await asyncio.sleep(0)
            decoder.check(body, whole)
        return whole

    async def take_decoded(self, source: str, by_api: bool, decoded: Decoded, size_bytes: int, now: datetime) -> Taken:
        """What a body means, from here on; see take."""
        most = min(SLICE_ALERTS, self._context.settings().limits.slice_alerts_max)
        if len(decoded.alerts) <= most and not decoded.rejected and not decoded.ignored and decoded.alerts:
            event = AlertsReported(source, by_api, tuple(decoded.alerts))
            refused = await self._context.submit(event, size_bytes)
            self._context.heard[source] = now
            if not refused:
                return Taken(len(decoded.alerts), [])
            return self._sum_up(source, decoded, refused)
        return await self._take_slices(source, by_api, decoded, size_bytes, now, most)

    async def _take_slices(
        self, source: str, by_api: bool, decoded: Decoded, size_bytes: int, now: datetime, most: int
    ) -> Taken:
        """Every slice is stepped before the first is waited for, so that they share commits; the loop turns between."""
        submit, rejected = self._context.submit, (decoded.rejected + decoded.ignored)[:REJECTED_LISTED_MAX]
        if not decoded.alerts:
            # Refused bodies do not count as hearing from the source: its alerts must not expire on their account.
            if decoded.rejected:
                await submit(Tick(), size_bytes, [msgspec.structs.replace(one, source=source) for one in rejected])
            else:
                await submit(SourceHeard(source), size_bytes, rejected)
                self._context.heard[source] = now
            return self._sum_up(source, decoded, ())
        waiting: list[asyncio.Task[tuple[Refused, ...]]] = []
        for start in range(0, len(decoded.alerts), most):
            part = tuple(decoded.alerts[start : start + most])
            size = size_bytes * len(part) // len(decoded.alerts)
            event = AlertsReported(source, by_api, part)
            waiting.append(asyncio.ensure_future(self._context.submit(event, size, () if start else rejected)))
            await asyncio.sleep(0)
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        refused: list[Refused] = []
        for number, answer in enumerate(answers):
            if isinstance(answer, BaseException):
                raise answer
            refused += [Refused(number * most + part.index, part.error) for part in answer]
        self._context.heard[source] = now
        return self._sum_up(source, decoded, refused)

    def _sum_up(self, source: str, decoded: Decoded, refused: Sequence[Refused]) -> Taken:
        by_engine = [Rejection(decoded.position(part.index), part.error, Reason.ENGINE) for part in refused]
        rejected = sorted(decoded.rejected + by_engine, key=lambda rejection: rejection.index)
        self._count(source, rejected, decoded.ignored)
        return Taken(len(decoded.alerts) - len(by_engine), rejected, decoded.ignored)

    def _count(self, source: str, rejected: Sequence[Rejection], ignored: Sequence[Rejection]) -> None:
        for rejection in (*rejected, *ignored):
            self._context.metrics.count("alerts_rejected_total", (source, rejection.reason.value))
        if rejected:
            _log.warning(Log.ALERTS_REJECTED, source=source, count=len(rejected), first=rejected[0].error)

    async def keep_refusal(self, source: str, error: str, reason: Reason, shown: str) -> None:
        """A whole body was refused: counted, logged and kept for `/v1/rejected`, if the store takes it."""
        self._context.metrics.count("alerts_rejected_total", (source, reason.value))
        _log.warning(Log.BODY_REFUSED, source=source, error=error)
        with contextlib.suppress(Unavailable):  # the client's answer is the same
            await self._context.submit(Tick(), 0, (Rejection(-1, error, reason, shown, source),))

    async def _report_too_large(self, source: str, client: str, bytes_max: int) -> None:
        """Senders do not repeat what got a 4xx: those alerts are lost, and somebody has to hear of it."""
        labels = {"alertname": "ImdBodyTooLarge", "severity": "critical", "sender": source, "client": client}
        text = f"{source} at {client} sent a body larger than {bytes_max} bytes; its alerts were refused as a whole."
        report = AlertReport(
            identify(labels),
            resolved=False,
            starts_at=None,
            ends_at=self._context.clock.now() + _TOO_LARGE_FIRES,
            annotations=msgspec.json.encode({"summary": text}),
        )
        with contextlib.suppress(Unavailable):
            await self._context.submit(AlertsReported(OWN_SOURCE, True, (report,)), 0)


def _all_taken(count: int) -> bytes:
    return _ACCEPTED_ONE if count == 1 else _encode(IngestAnswer(count, []))


def _answer(taken: Taken) -> web.Response:
    if not taken.rejected and not taken.ignored:
        return web.Response(body=_all_taken(taken.accepted), content_type=JSON)
    status = 400 if taken.rejected and not taken.accepted else 200
    return json(IngestAnswer(taken.accepted, _listed(taken.rejected), _listed(taken.ignored)), status)


_WORDED = Worded(_all_taken, _answer)


def _listed(rejections: Sequence[Rejection]) -> list[RejectedItem]:
    return [RejectedItem(item.index, item.error) for item in rejections[:REJECTED_LISTED_MAX]]
