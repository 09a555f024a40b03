"""Senders that sign what they send, where a source has `signing`: each body needs a good signature, and counts once.

Owns the memory of what was taken: the signatures of the last ten minutes, since what is five minutes ahead of imd's
clock is good for ten. Only good ones are kept, so nobody fills it who has no secret. A body that was not taken (400,
503) may come again as it is. After a restart nothing is remembered: then a body of the last five minutes would count
once more, as a repeat of its alerts.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from imd.api import signatures
from imd.api.answers import Refusal
from imd.clock import Clock
from imd.config.settings import Signing

REMEMBERED_MAX = 200_000
"""Some 25 MB; 330 signed bodies a second for ten minutes. More get 503 until the oldest are forgotten."""


class Signed:
    """One for the server."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._taken: OrderedDict[bytes, float] = OrderedDict()

    @contextmanager
    def once(self, source: str, signing: Signing, request: web.Request, body: bytes) -> Iterator[None]:
        """Within, the body is taken; it is so for good where nothing is raised within. Raises Refusal: 401 without a
        good and new signature, 503 where too many are remembered."""
        request[NEVER_AGAIN] = True
        now = self._clock.now().timestamp()
        stamp, shown = request.headers.get(signing.timestamp, ""), request.headers.get(signing.signature, "")
        mac = signatures.sender([one.reveal() for one in signing.secrets], stamp, shown, body, now)
        key = source.encode() + b"\0" + mac
        self._forget(now)
        if not mac or key in self._taken:
            raise refused()
        if len(self._taken) >= REMEMBERED_MAX:
            raise Refusal(503, "too many signed bodies are remembered", headers={"Retry-After": "30"})
        self._taken[key] = now + 2 * signatures.SIGNED_SECONDS_MAX
        try:
            yield
        except BaseException:
            self._taken.pop(key, None)
            raise

    def _forget(self, now: float) -> None:
        while self._taken and next(iter(self._taken.values())) < now:
            self._taken.popitem(last=False)


NEVER_AGAIN = web.RequestKey("never_again", bool)
"""Set on a request whose head is like no other's: `quick` need not remember it."""


def refused() -> Refusal:
    """The same words and headers as for any other credential that is none."""
    return Refusal(401, "a valid token is needed", headers={"WWW-Authenticate": 'Bearer realm="imd"'})
