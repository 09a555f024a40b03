"""Is it alive, is it ready, take the files in again, and the metrics: the paths that supervisors call."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta

from aiohttp import web

from imd.api.answers import Refusal
from imd.api.context import Context, ReloadRefused
from imd.api.ingest import Senders
from imd.api.operations import TEXT, Answer, described
from imd.telemetry import CONTENT_TYPE

FORGOTTEN_AFTER = timedelta(days=7)


class Health:
    def __init__(self, context: Context, senders: Senders) -> None:
        self._context = context
        self._senders = senders

    @described("Is it alive?", {200: Answer(media=TEXT)}, retries=False)
    async def healthy(self, _request: web.Request) -> web.Response:
        """200 as long as the event loop turns."""
        return web.Response(text="imd is healthy.\n")

    @described("Are alerts taken?", {200: Answer(media=TEXT)})
    async def ready(self, _request: web.Request) -> web.Response:
        """200 while alerts are taken, else 503 with the reason."""
        if reason := self._context.unready():
            raise Refusal(503, reason, "imd is not ready", {"Retry-After": "5"})
        return web.Response(text="imd is ready.\n")

    @described("Read the files again", {200: Answer(media=TEXT)}, refuses=(400,))
    async def reload(self, _request: web.Request) -> web.Response:
        """200 once the new rules decide; 400 with every fault, and nothing changed."""
        try:
            await self._context.reload()
        except ReloadRefused as refused:
            raise Refusal(400, str(refused), "the files have faults; nothing changed") from None
        return web.Response(text="reloaded\n")

    @described("Metrics", {200: Answer(media=TEXT)})
    async def metrics(self, _request: web.Request) -> web.Response:
        """Prometheus's text format, rendered in a thread."""
        metrics = self._context.metrics
        self._context.before_scrape()
        for source, entries in self._senders.known_entries().items():
            metrics.label_cache_entries.labels(source).set(entries)
        for source, at in self._heard().items():
            metrics.source_last_heard_timestamp_seconds.labels(source).set(at.timestamp())
        body = await asyncio.get_running_loop().run_in_executor(None, metrics.render)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    def _heard(self) -> Mapping[str, datetime]:
        """When each source was last heard, over restarts too; what no entry names is forgotten at one after a week."""
        context = self._context
        known, week_ago = context.ruleset().sources, context.clock.now() - FORGOTTEN_AFTER
        before = {name: at for name, at in context.view.heard().items() if name in known or at > week_ago}
        return before | context.heard
