"""Who may call: bearer tokens with scopes, checked before any handler runs.

Owns the check alone; which scope a path needs stands in the route table. Tokens are known by their SHA-256 only and
compared in constant time, all of them each time, so that an answer's timing says nothing about which one came close.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable

from aiohttp import web

from imd.api.answers import Refusal
from imd.config.settings import Auth, Scope, Settings, Token

_IMPLIED = {Scope.ADMIN: frozenset(Scope)}


class Access:
    """Checks requests against the settings in force. Without `auth: tokens` everybody may."""

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings

    def authorize(self, request: web.Request, scope: Scope) -> None:
        """Returns, or raises Refusal: 401 without a known token, 403 where it lacks the scope."""
        auth = self._settings().auth
        if not auth.tokens or (auth.metrics_open and request.path.endswith("/metrics")):
            return
        token = _known(auth, presented(request))
        if token is None:
            raise Refusal(401, "a valid token is needed", headers={"WWW-Authenticate": 'Bearer realm="imd"'})
        if scope not in token.scopes and not any(scope in _IMPLIED.get(one, ()) for one in token.scopes):
            raise Refusal(403, f"the token lacks the scope {scope.value}")


def presented(request: web.Request) -> str:
    """The token that a request shows: as Bearer, or as the password of Basic (Prometheus can send either)."""
    kind, _, value = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return value.strip()
    if kind.lower() != "basic":
        return ""
    try:
        return base64.b64decode(value.strip(), validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _known(auth: Auth, secret: str) -> Token | None:
    digest = hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
    found: Token | None = None
    for token in auth.tokens:
        if hmac.compare_digest(digest, token.sha256):
            found = token
    return found if secret else None
