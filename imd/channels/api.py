"""A vendor's HTTP API as channels call it: one base, fixed headers, JSON or forms, and what came back.

Owns nothing but the shape of a call; transport, bounds and statuses are `http`'s, meaning is each channel's.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TypeVar
from urllib.parse import urlencode

import msgspec

from imd.channels.contract import Answer, Permanent, Temporary
from imd.channels.http import RETRY_AFTER_MAX, Endpoint, HttpClient, Reply, judge
from imd.clock import Clock

T = TypeVar("T")

Outcome = Reply | Temporary | Permanent

_encode = msgspec.json.Encoder().encode


class Api:
    """Calls below one endpoint. `headers` go with each call; `json_type` is the content type of JSON."""

    def __init__(
        self,
        endpoint: Endpoint,
        http: HttpClient,
        clock: Clock,
        headers: Mapping[str, str] | None = None,
        json_type: str = "application/json",
    ) -> None:
        self.endpoint = endpoint
        self._json_type = json_type
        self._http = http
        self._clock = clock
        self._headers = dict(headers or {})

    async def json(
        self, path: str, body: object, method: str = "POST", query: Mapping[str, str] | None = None
    ) -> Outcome:
        """`body` as UTF-8 JSON to `path` below the endpoint; "" is the endpoint itself. None sends no body."""
        if body is None:
            return await self._exchange(path, b"", {}, method, query)
        headers = {"Content-Type": self._json_type}
        return await self._exchange(path, _encode(body), headers, method, query)

    async def form(self, path: str, fields: Mapping[str, str]) -> Outcome:
        """`application/x-www-form-urlencoded`."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return await self._exchange(path, urlencode(fields).encode(), headers, "POST", None)

    async def _exchange(
        self, path: str, body: bytes, headers: Mapping[str, str], method: str, query: Mapping[str, str] | None
    ) -> Outcome:
        endpoint = self.endpoint.at(path, query) if path or query else self.endpoint
        return await self._http.exchange(endpoint, body, {**self._headers, **headers}, self._clock.now(), method)

    def judge(self, outcome: Outcome) -> Answer:
        """By the status alone, as for any webhook."""
        return judge(outcome, self.endpoint) if isinstance(outcome, Reply) else outcome

    def fault(self, words: str) -> str:
        """An error text that names the place and holds no secret."""
        return f"{self.endpoint.shown}: {self.endpoint.redact(' '.join(words.split()))[:200]}"


def wait(seconds: float | None) -> timedelta | None:
    """A vendor's own wish in a body, capped as Retry-After is; None where there is none that makes sense."""
    if seconds is None or not seconds > 0:
        return None
    return min(timedelta(seconds=min(seconds, 1e6)), RETRY_AFTER_MAX)
