"""The shape of config.yaml: its keys, and how they become Settings.

Owns the tables of keys and the faults that the file has by itself. Names that point into the rules are checked by
`load`, which also opens the secrets' files.
"""

from __future__ import annotations

import enum
import ipaddress
import re
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from imd.config import codes
from imd.config.diagnostic import Span
from imd.config.document import Document, Node, Scalar, Sequence
from imd.config.document import Mapping as MappingNode
from imd.config.reading import labels, web_url
from imd.config.receiverfile import receiver
from imd.config.settings import (
    LOOPBACK_NAMES,
    Auth,
    Limits,
    Listen,
    Log,
    LogFormat,
    LogLevel,
    ReceiverSettings,
    Settings,
    SourceSettings,
    Storm,
    Token,
)
from imd.config.settings import (
    Scope as TokenScope,
)
from imd.config.shape import (
    Key,
    Keys,
    Refused,
    Scope,
    SecretSource,
    boolean,
    choice,
    duration,
    listed,
    name,
    nested,
    not_one_of,
    peek,
    quote,
    read_keys,
    secret,
    secret_key,
    sound,
    text,
    whole,
    wrong_type,
)
from imd.model.policy import Source
from imd.model.secret import Secret

T = TypeVar("T")
OWNER = "this file"
SOURCES_BUILT = ("alertmanager",)
SOURCES_LATER = (
    "prometheus", "grafana", "pagerduty", "opsgenie", "checkmk", "datadog", "zabbix", "icinga2", "newrelic", "sentry",
    "splunk", "uptime_kuma", "uptimerobot", "aws_cloudwatch_sns", "azure_monitor", "gcp_monitoring", "mapped",
)  # fmt: skip
_SHA256 = re.compile("[0-9a-f]{64}")
_URL_NAME = re.compile("[A-Za-z0-9_.-]{1,64}")
_PREFIX = re.compile("(/[A-Za-z0-9_.~-]+)+")
_SECOND, _DAY, _YEAR = timedelta(seconds=1), timedelta(days=1), timedelta(days=365)
_MIB = 1024 * 1024


class Found(msgspec.Struct):
    """config.yaml as read: the settings, and where those names stand that are checked against the rules.

    `receiver_lost`: some receiver's name could not be read, so a name that seems unknown may be that one."""

    settings: Settings
    receivers: dict[str, Span] = {}
    receiver_lost: bool = False
    fallback: Scalar | None = None
    listen: Span = Span(1, 1, 1, 2)
    rules: list[tuple[Path, Span]] = []
    rules_span: Span = Span(1, 1, 1, 2)


def read_config(document: Document, secrets: SecretSource) -> Found:
    """Settings from the nodes; every fault goes to the document, and what is unsound keeps its default."""
    found = Found(Settings(), receiver_lost=not document.whole)
    if document.root is None:
        return found
    scope = Scope(document, "", OWNER, secrets)
    try:
        values = read_keys(CONFIG, document.root, scope)
    except Refused:
        found.receiver_lost = True
        return found
    _names(document.root, values, found, scope)
    found.settings = Settings(**values)
    _auth_beyond_loopback(document.root, found, scope)
    return found


def _names(root: Node, values: dict[str, Any], found: Found, scope: Scope) -> None:
    receivers, names, lost = values.pop("receivers", ([], {}, "receivers" in _entries(root)))
    values["receivers"] = {item.receiver.name: item for item in receivers}
    found.receivers = names
    # `recievers:` may have been meant to hold them.
    found.receiver_lost = found.receiver_lost or lost or not _entries(root).keys() <= CONFIG.keys()
    sources, _, _ = values.pop("sources", ([], {}, False))
    values["sources"] = {item.source.name: item for item in sources}
    found.fallback = peek(root, "fallback")
    found.rules = values.pop("rules", [])
    values["rules"] = tuple(path for path, _ in found.rules)
    entry = _entries(root).get("rules")
    found.rules_span = entry.key.span if entry else root.span
    prefix = urlsplit(values.get("external_url", "")).path.rstrip("/")
    values["prefixes"] = tuple(dict.fromkeys([*([prefix] if prefix else []), *values.get("prefixes", ())]))


def _entries(root: Node) -> dict[str, Any]:
    return dict(root.entries) if isinstance(root, MappingNode) else {}


def _auth_beyond_loopback(root: Node, found: Found, scope: Scope) -> None:
    at = peek(root, "listen")
    found.listen = at.span if at else found.listen
    settings = found.settings
    auth = _entries(root).get("auth")
    if at is None or is_loopback(settings.listen.host) or settings.auth.tokens or settings.auth.open:
        return
    if auth is not None and peek(auth.value, "open") is None and _entries(auth.value).get("tokens"):
        return  # tokens are there, and what is wrong with them is said already
    scope.fault(
        codes.OPEN_TO_ALL,
        at,
        f"listens on {settings.listen} beyond loopback, and auth names nobody",
        expected="expected 127.0.0.1 or auth",
        help="add auth: {tokens: […]}, or auth: {open: true} to let everybody in",
    )


def is_loopback(host: str) -> bool:
    """Only this machine reaches it."""
    if host in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


# Readers of single keys.


def _listen(node: Node, scope: Scope) -> Listen:
    value = text(node, scope)
    host, _, port = value.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    inner = host[1:-1] if bracketed else host
    if (
        not re.fullmatch("[0-9]{1,5}", port)
        or int(port) > 65535
        or (":" in inner) is not bracketed
        or not _is_host(inner)
    ):
        raise scope.fault(
            codes.BAD_ADDRESS,
            node,
            f"{scope.subject} is {quote(value)}, which is no address",
            expected="expected HOST:PORT such as 127.0.0.1:9490, [::1]:9490 or :9490",
        )
    return Listen(inner, int(port))


def _is_host(host: str) -> bool:
    if ":" in host:
        try:
            return bool(ipaddress.ip_address(host))
        except ValueError:
            return False
    return re.fullmatch("[A-Za-z0-9.-]{0,253}", host) is not None


def _external_url(node: Node, scope: Scope) -> str:
    value = web_url(node, scope)
    parts = urlsplit(value)
    if parts.query or parts.fragment or parts.username or parts.password:
        raise scope.fault(
            codes.BAD_URL, node, f"{scope.subject} holds more than a path", expected="expected https://HOST/PATH"
        )
    return value.rstrip("/")


def _prefix(node: Node, scope: Scope) -> str:
    value = text(node, scope)
    if not _PREFIX.fullmatch(value.rstrip("/")):
        raise scope.fault(
            codes.BAD_URL, node, f"{scope.subject} holds {quote(value)}", expected="expected a path such as /am"
        )
    return value.rstrip("/")


def _store(node: Node, scope: Scope) -> str:
    value = text(node, scope)
    if value.startswith(("postgres://", "postgresql://")):
        raise scope.fault(
            codes.NOT_BUILT, node, "PostgreSQL is not built in this version", help="use sqlite:///var/imd.db"
        )
    if not value.startswith("sqlite:///") or not value.removeprefix("sqlite:///").strip("/") or "?" in value:
        raise scope.fault(
            codes.BAD_STORE,
            node,
            f"{scope.subject} is {quote(value)}, which is no store",
            expected="expected sqlite:///relative/path.db or sqlite:////absolute/path.db",
        )
    return value


def _rules(node: Node, scope: Scope) -> list[tuple[Path, Span]]:
    if not isinstance(node, Sequence):
        raise wrong_type(
            node, scope, "a list of files and folders", "put it in [ ]" if isinstance(node, Scalar) else ""
        )
    base = Path(scope.document.path).parent

    def placed(item: Node, at: Scope) -> tuple[Path, Span]:
        return base / text(item, at), item.span

    return list(sound(placed, node.items, scope))


def _named(
    item: Callable[[Node, Scope], T], kind: str
) -> Callable[[Node, Scope], tuple[list[T], dict[str, Span], bool]]:
    """A list of maps with a `name`, each name once; also all names with their places, and whether one is unreadable."""

    def read(node: Node, scope: Scope) -> tuple[list[T], dict[str, Span], bool]:
        if not isinstance(node, Sequence):
            raise wrong_type(node, scope, "a list")
        names: dict[str, Span] = {}
        values: list[T] = []
        lost = False
        for number, entry in enumerate(node.items, 1):
            word = peek(entry, "name")
            owner = f"{kind} {quote(word.text)}" if word and word.text else f"{kind} {number}"
            lost = lost or word is None or not word.text
            if word is not None and word.text in names:
                scope.fault(
                    codes.NAME_TAKEN,
                    word,
                    f"{owner} is named a second time",
                    expected=f"first named in line {names[word.text].line}",
                )
                continue
            if word is not None:
                names[word.text] = word.span
            values.extend(sound(item, [entry], scope.inside("", owner)))
        return values, names, lost

    return read


# auth and tokens.


class _Open(enum.StrEnum):
    OPEN = "open"


def _digest(node: Node, scope: Scope) -> str:
    value = text(node, scope)
    if not _SHA256.fullmatch(value):
        raise scope.fault(
            codes.BAD_SECRET,
            node,
            f"{scope.subject} is no SHA-256",
            expected="expected 64 lower-case hex digits",
            help="make it with: printf %s TOKEN | sha256sum",
        )
    return value


_TOKEN_SECRET: Keys = {"sha256": Key(_digest), "token": secret_key()}
TOKEN: Keys = {
    "name": Key(name, required=True),
    "scopes": Key(listed(choice(TokenScope), least=1), required=True),
    **_TOKEN_SECRET,
}


def _one_digest(values: dict[str, Any], node: Node, scope: Scope) -> str:
    """The digest of the one way in which a token is given."""
    given = [word for word in ("sha256", "token", "token_file") if word in _entries(node)]
    if {"token", "token_file"} <= set(given):
        raise Refused  # said already
    if len(given) != 1:
        code = codes.MISSING_KEY if not given else codes.EXCLUSIVE_KEYS
        raise scope.fault(
            code,
            node if not given else _entries(node)[given[1]].key.span,
            f"{scope.owner} has {' and '.join(given) if given else 'no token'}",
            expected="expected one of: sha256, token_file, token",
        )
    if "sha256" in values:
        return str(values["sha256"])
    if "token" not in values:
        raise Refused
    token: Secret = values["token"]
    return sha256(token.reveal().encode()).hexdigest()


def _token(node: Node, scope: Scope) -> Token:
    values = read_keys(TOKEN, node, scope)
    digest = _one_digest(values, node, scope)
    if "name" not in values or "scopes" not in values:
        raise Refused
    return Token(name=values["name"], scopes=frozenset(values["scopes"]), sha256=digest)


def _source_token(node: Node, scope: Scope) -> str:
    at = scope.inside("", f"a token of {scope.owner}")
    return _one_digest(read_keys(_TOKEN_SECRET, node, at), node, at)


def _auth(node: Node, scope: Scope) -> Auth:
    values = read_keys(AUTH, node, scope)
    tokens, _, _ = values.get("tokens", ([], {}, False))
    return Auth(tokens=tuple(tokens), open=values.get("open", False), metrics_open="metrics" in values)


AUTH: Keys = {
    "tokens": Key(_named(_token, "token")),
    "open": Key(boolean),
    "metrics": Key(choice(_Open)),
}


# sources.


def _source_name(node: Node, scope: Scope) -> str:
    value = text(node, scope)
    if not _URL_NAME.fullmatch(value):
        raise scope.fault(
            codes.BAD_NAME,
            node,
            f"{quote(value)} cannot name a source, whose name stands in a URL",
            expected="expected up to 64 of: letters, digits, _ . -",
        )
    return value


def _source_type(node: Node, scope: Scope) -> str:
    value = text(node, scope)
    if value in SOURCES_LATER:
        raise scope.fault(
            codes.SOURCE_NOT_BUILT,
            node,
            f"source type {value} is not built in this version",
            expected=f"expected one of: {', '.join(SOURCES_BUILT)}",
        )
    if value not in SOURCES_BUILT and isinstance(node, Scalar):
        raise not_one_of(node, scope, SOURCES_BUILT)
    return value


def _source(node: Node, scope: Scope) -> SourceSettings:
    values = read_keys(SOURCE, node, scope)
    tokens, keys = values.pop("tokens", ()), values.pop("keys", ())
    if "name" not in values or "type" not in values:
        raise Refused
    values["labels"] = {word: value for word, value in values.get("labels", {}).items() if value}
    return SourceSettings(source=Source(**values), token_sha256=tokens, keys=keys)


SOURCE: Keys = {
    "name": Key(_source_name, required=True),
    "type": Key(_source_type, required=True),
    "tokens": Key(listed(_source_token)),
    "keys": Key(listed(secret)),
    "labels": Key(labels),
    "expire_after": Key(duration(timedelta(minutes=1), _YEAR)),
    "silent_after": Key(duration(timedelta(minutes=1), _YEAR)),
}

STORM: Keys = {
    "enabled": Key(boolean),
    "pages": Key(whole(1, 1000)),
    "per": Key(duration(_SECOND, _DAY)),
}

LOG: Keys = {"format": Key(choice(LogFormat)), "level": Key(choice(LogLevel))}

_TIMEOUT = Key(duration(timedelta(milliseconds=100), timedelta(minutes=10)))
LIMITS: Keys = {
    "body_bytes_max": Key(whole(1024, 1024 * _MIB)),
    "body_read_timeout": _TIMEOUT,
    "json_depth_max": Key(whole(4, 256)),
    "slice_alerts_max": Key(whole(1, 1_000_000)),
    "labels_max": Key(whole(1, 10_000)),
    "label_value_bytes_max": Key(whole(16, _MIB)),
    "annotation_bytes_max": Key(whole(16, _MIB)),
    "open_alerts_max": Key(whole(1, 100_000_000)),
    "spans_max": Key(whole(2, 1000)),
    "lateness": Key(duration(timedelta(0), _DAY)),
    "inbox_bytes_max": Key(whole(_MIB, 16 * 1024 * _MIB)),
    "rule_file_bytes_max": Key(whole(1024, 64 * _MIB)),
    "reply_bytes_max": Key(whole(1024, 16 * _MIB)),
    "connect_timeout": _TIMEOUT,
    "send_timeout": _TIMEOUT,
    "journal_keep": Key(duration(timedelta(hours=1), 10 * _YEAR)),
    "closed_keep": Key(duration(_DAY, 50 * _YEAR)),
}


def _receivers(node: Node, scope: Scope) -> tuple[list[ReceiverSettings], dict[str, Span], bool]:
    return _named(receiver, "receiver")(node, scope)


CONFIG: Keys = {
    "listen": Key(_listen),
    "external_url": Key(_external_url),
    "prefixes": Key(listed(_prefix)),
    "store": Key(_store),
    "rules": Key(_rules),
    "receivers": Key(_receivers),
    "fallback": Key(name),
    "sources": Key(_named(_source, "source")),
    "auth": Key(_auth),
    "storm": Key(nested(STORM, Storm)),
    "limits": Key(nested(LIMITS, Limits)),
    "log": Key(nested(LOG, Log)),
    "watch": Key(boolean),
}
