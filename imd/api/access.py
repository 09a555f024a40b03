"""Who may call, and for which source a sender speaks: tokens, checked before any handler runs.

Owns the checks alone; which scope a path needs stands in the route table. Tokens are known by their SHA-256 only and
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
        digest = _digest(request)
        token = _known(auth, digest)
        if token is None and scope is Scope.INGEST and _sources(self._settings(), digest):
            return  # a source's own token; which source it is, `speaker` asks again
        if token is None and _signs(self._settings(), request):
            return  # what it sends has to be signed, and is looked at once it is read
        if token is None:
            raise _unknown()
        if scope not in token.scopes and not any(scope in _IMPLIED.get(one, ()) for one in token.scopes):
            raise Refusal(403, f"the token lacks the scope {scope.value}")


def _signs(settings: Settings, request: web.Request) -> bool:
    """Whether this is a body for a source that signs and has no tokens."""
    source = settings.sources.get(request.match_info.get("source", ""))
    return request.method == "POST" and source is not None and source.signing is not None and not source.token_sha256


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


def speaker(settings: Settings, request: web.Request, named: str, kind: str, *, signs: bool = False) -> str:
    """The source that a request speaks for: the one whose token it shows, else the one that it names.

    Where a source of this type has tokens, one of them (or a token of `auth:` with scope ingest) is required; a source
    that was configured without any stays open to its name. `signs`: on this path signatures are looked at, so that one
    which signs needs no token. Raises Refusal 401.
    """
    guarded = {entry.source.name: entry for entry in settings.sources.values() if entry.source.type == kind}
    guarded = {name: entry for name, entry in guarded.items() if entry.token_sha256 or entry.signing is not None}
    if not guarded or (named in settings.sources and named not in guarded):
        return named
    if signs and named in guarded and not guarded[named].token_sha256:
        return named  # what it sends has to be signed
    digest = _digest(request)
    shown = [name for name in _sources(settings, digest) if name in guarded]
    if named in shown:
        return named
    if shown and named not in guarded:
        return shown[0]
    if _known(settings.auth, digest) is not None:
        return named  # `authorize` has seen to its scope
    raise _unknown()


def keyed(settings: Settings, request: web.Request, key: str, kind: str) -> str | None:
    """The source for which a sender speaks that shows a key in its own protocol, or one of imd's tokens; None where it
    may not speak at all.

    A key of some source's `keys` names that source. Where no source of this type has keys or tokens and nobody else has
    tokens either, any key is the type's own source. Otherwise a token in place of the key, or beside it, will do.
    """
    named = _holding(settings, key, kind)
    if named:
        return named
    entries = [entry for entry in settings.sources.values() if entry.source.type == kind]
    digests = [digest for digest in (_sha256(key), _digest(request)) if digest]
    for digest in digests:
        shown = [name for name in _sources(settings, digest) if settings.sources[name].source.type == kind]
        if shown:
            return shown[0]
        token = _known(settings.auth, digest)
        if token is not None and (Scope.INGEST in token.scopes or Scope.ADMIN in token.scopes):
            return entries[0].source.name if len(entries) == 1 else kind
    if settings.auth.tokens or any(entry.keys or entry.token_sha256 for entry in entries):
        return None
    return entries[0].source.name if len(entries) == 1 else kind


def _holding(settings: Settings, key: str, kind: str) -> str:
    """The source that has this key. All are compared, whichever it is."""
    found = ""
    given = key.encode("utf-8", "surrogateescape")
    for entry in settings.sources.values():
        for one in entry.keys if entry.source.type == kind else ():
            if hmac.compare_digest(one.reveal().encode(), given):
                found = entry.source.name
    return found


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest() if secret else ""


def _unknown() -> Refusal:
    return Refusal(401, "a valid token is needed", headers={"WWW-Authenticate": 'Bearer realm="imd"'})


def _digest(request: web.Request) -> str:
    """Of the token shown; "" without one."""
    return _sha256(presented(request))


def _sources(settings: Settings, digest: str) -> list[str]:
    """The sources to which a token of this digest belongs, in config order."""
    return [
        entry.source.name
        for entry in settings.sources.values()
        if any(hmac.compare_digest(digest, one) for one in entry.token_sha256)
    ]


def _known(auth: Auth, digest: str) -> Token | None:
    found: Token | None = None
    for token in auth.tokens:
        if hmac.compare_digest(digest, token.sha256):
            found = token
    return found
