"""The shape of config.yaml: its keys, and how they become Settings.

Owns the tables of keys and the faults that the file has by itself. Names that point into the rules are checked by
`load`, which also opens the secrets' files.
"""

from __future__ import annotations

import ipaddress
import re
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from imd.config import codes, form
from imd.config.callerfile import auth, entries, named
from imd.config.diagnostic import Span
from imd.config.document import Document, Node, Scalar, Sequence
from imd.config.document import Mapping as MappingNode
from imd.config.form import Several, Table
from imd.config.quietkeys import beginning, weekday
from imd.config.reading import is_web_url, timezone, web_url
from imd.config.receiverfile import RECEIVER_FORM, receiver
from imd.config.settings import (
    LOOPBACK_NAMES,
    Canary,
    Limits,
    LinkSettings,
    Listen,
    Log,
    LogFormat,
    LogLevel,
    ReceiverSettings,
    Settings,
    Watchdog,
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
    form_of,
    listed,
    name,
    nested,
    peek,
    read_keys,
    secret_key,
    sound,
    takes,
    text,
    whole,
    wrong_type,
)
from imd.config.sourcefile import check_keys, lint_alike, source
from imd.config.wording import quote
from imd.model.digest import Storm
from imd.model.quiet import TimeInterval, Weekly
from imd.model.secret import Secret

T = TypeVar("T")
OWNER = "this file"
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
    canary: Scalar | None = None
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
    receivers, names, lost = values.pop("receivers", ([], {}, "receivers" in entries(root)))
    values["receivers"] = {item.receiver.name: item for item in receivers}
    found.receivers = names
    # `recievers:` may have been meant to hold them.
    found.receiver_lost = found.receiver_lost or lost or not entries(root).keys() <= CONFIG.keys()
    sources, places, _ = values.pop("sources", ([], {}, False))
    check_keys(sources, places, scope)
    lint_alike(sources, places, scope)
    values["sources"] = {item.source.name: item for item in sources}
    found.fallback = peek(root, "fallback")
    found.canary = peek(entries(root)["canary"].value, "receiver") if "canary" in entries(root) else None
    found.rules = values.pop("rules", [])
    values["rules"] = tuple(path for path, _ in found.rules)
    entry = entries(root).get("rules")
    found.rules_span = entry.key.span if entry else root.span
    prefix = urlsplit(values.get("external_url", "")).path.rstrip("/")
    values["prefixes"] = tuple(dict.fromkeys([*([prefix] if prefix else []), *values.get("prefixes", ())]))


def _auth_beyond_loopback(root: Node, found: Found, scope: Scope) -> None:
    at = peek(root, "listen")
    found.listen = at.span if at else found.listen
    settings = found.settings
    auth = entries(root).get("auth")
    if at is None or is_loopback(settings.listen.host) or settings.auth.tokens or settings.auth.open:
        return
    if auth is not None and peek(auth.value, "open") is None and entries(auth.value).get("tokens"):
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


@takes(form.text("HOST:PORT", ":[0-9]{1,5}$"))
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


@takes(form_of(web_url))
def _external_url(node: Node, scope: Scope) -> str:
    value = web_url(node, scope)
    parts = urlsplit(value)
    if parts.query or parts.fragment or parts.username or parts.password:
        raise scope.fault(
            codes.BAD_URL, node, f"{scope.subject} holds more than a path", expected="expected https://HOST/PATH"
        )
    return value.rstrip("/")


@takes(form.text("path", "^/"))
def _prefix(node: Node, scope: Scope) -> str:
    value = text(node, scope)
    if not _PREFIX.fullmatch(value.rstrip("/")):
        raise scope.fault(
            codes.BAD_URL, node, f"{scope.subject} holds {quote(value)}", expected="expected a path such as /am"
        )
    return value.rstrip("/")


@takes(form.text("URL", "^sqlite:///", "sqlite:///var/imd.db"))
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


@takes(Several(form.TEXT))
def _rules(node: Node, scope: Scope) -> list[tuple[Path, Span]]:
    if not isinstance(node, Sequence):
        raise wrong_type(
            node, scope, "a list of files and folders", "put it in [ ]" if isinstance(node, Scalar) else ""
        )
    base = Path(scope.document.path).parent

    def placed(item: Node, at: Scope) -> tuple[Path, Span]:
        return base / text(item, at), item.span

    return list(sound(placed, node.items, scope))


STORM: Keys = {
    "enabled": Key(boolean, "More than `pages` in `per` to one receiver that people read become a digest.", True),
    "pages": Key(whole(1, 1000), "So many pages to one receiver leave singly.", 3),
    "per": Key(duration(_SECOND, _DAY), "In so much time.", "60s"),
}

LINKS: Keys = {
    "enabled": Key(boolean, "Pages hold a link by which their reader acknowledges; needs `external_url`.", True),
    "valid_for": Key(duration(timedelta(minutes=5), 30 * _DAY), "From the making of the message.", "24h"),
    "secret": secret_key(None, "What signs them, in place of a random one made with the database."),
}


def _is_url(value: Secret, node: Node, scope: Scope) -> None:
    if not is_web_url(value.reveal()):
        raise scope.fault(
            codes.BAD_URL, node, f"{scope.subject} is no URL", expected="expected http:// or https:// and a host"
        )


WATCHDOG: Keys = {
    "url": secret_key(_is_url, required=True, about="It is asked by GET; what misses the pings is its business."),
    "every": Key(duration(timedelta(seconds=10), _DAY), "How often it is pinged while imd works.", "1m"),
}

CANARY: Keys = {
    "receiver": Key(name, "It gets the test page.", required=True),
    "at": Key(beginning, "The time of day at which it goes out, in quotes.", examples=("09:00",)),
    "weekdays": Key(listed(weekday, least=1), "Only on these days of the week; with `at`.", examples=(["mon:fri"],)),
    "timezone": Key(timezone, "In which `at` is read.", "UTC"),
    "every": Key(
        duration(timedelta(minutes=1), 30 * _DAY), "In place of `at`: how often, counted from the start of imd.", "1d"
    ),
}
CANARY_LATE = timedelta(minutes=2)
"""So long after `at` it still goes out: imd may just have been restarted. Another restart within that sends another."""


@takes(
    Table(
        CANARY,
        {"not": {"required": ["at", "every"]}, "dependentRequired": {"weekdays": ["at"], "timezone": ["at"]}},
    )
)
def _canary(node: Node, scope: Scope) -> Canary:
    values = read_keys(CANARY, node, scope)
    if "receiver" not in values:
        raise Refused
    assert isinstance(node, MappingNode)
    if "at" in node.entries and "every" in node.entries:
        words = f"{scope.subject} has both {quote('at')} and {quote('every')}"
        either = "a time of day, or every so often: one of the two"
        raise scope.fault(codes.EXCLUSIVE_KEYS, node.entries["every"].key, words, help=either)
    for word in ("weekdays", "timezone"):
        if word in node.entries and "at" not in node.entries:
            words = f"{scope.subject} has {quote(word)} and no {quote('at')}"
            raise scope.fault(codes.MISSING_KEY, node.entries[word].key, words, help="say at which time of day")
    if "at" not in values:
        return Canary(**{word: values[word] for word in ("receiver", "every") if word in values})
    ends = (values["at"] + CANARY_LATE) % _DAY
    weekdays = tuple(sorted({day for several in values.get("weekdays", ()) for day in several}))
    window = Weekly(weekdays=weekdays, begins=values["at"], ends=ends)
    return Canary(
        receiver=values["receiver"], at=TimeInterval(weekly=(window,), timezone=values.get("timezone", "UTC"))
    )


LOG: Keys = {
    "format": Key(choice(LogFormat), "`auto`: `console` on a terminal, `json` elsewhere.", "auto"),
    "level": Key(choice(LogLevel), "The least that is logged.", "info"),
}

_TIMEOUT = duration(timedelta(milliseconds=100), timedelta(minutes=10))
LIMITS: Keys = {
    "body_bytes_max": Key(
        whole(1024, 1024 * _MIB), "Bytes of a request's body; a larger one is answered 413.", 16 * _MIB
    ),
    "body_read_timeout": Key(_TIMEOUT, "To read a request's head, and then its body.", "10s"),
    "connections_max": Key(
        whole(1, 1_000_000), "Connections of clients, half of them from one address; more get 503.", 4096
    ),
    "json_depth_max": Key(whole(4, 256), "Nesting of a body.", 32),
    "slice_alerts_max": Key(whole(1, 1_000_000), "Alerts of a slice; a larger body is taken in slices.", 10_000),
    "labels_max": Key(whole(1, 10_000), "Labels of an alert; more refuse the alert.", 64),
    "label_value_bytes_max": Key(whole(16, _MIB), "Bytes of a label's value; a longer one refuses the alert.", 4096),
    "annotation_bytes_max": Key(whole(16, _MIB), "Bytes of an annotation; a longer one is cut and marked.", 4096),
    "open_alerts_max": Key(whole(1, 100_000_000), "Alerts in memory.", 1_000_000),
    "spans_max": Key(whole(2, 1000), "Spans of one episode.", 8),
    "refused_max": Key(whole(1, 1_000_000), "Refused credentials a minute from one address; more get 429 or 503.", 30),
    "lateness": Key(duration(timedelta(0), _DAY), "How far back a start counts for windows.", "2m"),
    "inbox_bytes_max": Key(
        whole(_MIB, 16 * 1024 * _MIB), "Bytes of bodies that wait; above it senders get 503.", 64 * _MIB
    ),
    "rule_file_bytes_max": Key(whole(1024, 64 * _MIB), "Bytes of one rule file.", _MIB),
    "reply_bytes_max": Key(whole(1024, 16 * _MIB), "Bytes of a webhook's answer that are read.", 64 * 1024),
    "connect_timeout": Key(_TIMEOUT, "To connect to a receiver.", "3s"),
    "send_timeout": Key(_TIMEOUT, "For one attempt in all.", "10s"),
    "journal_keep": Key(duration(timedelta(hours=1), 10 * _YEAR), "How long the history of events is kept.", "30d"),
    "closed_keep": Key(duration(_DAY, 50 * _YEAR), "How long closed incidents are kept.", "400d"),
}


@takes(Table(LIMITS))
def _limits(node: Node, scope: Scope) -> Limits:
    limits = nested(LIMITS, Limits)(node, scope)
    if limits.inbox_bytes_max < limits.body_bytes_max:
        raise scope.fault(
            codes.OUT_OF_BOUNDS,
            peek(node, "inbox_bytes_max") or peek(node, "body_bytes_max") or node,
            f"a body may have {limits.body_bytes_max} bytes and the inbox holds {limits.inbox_bytes_max}",
            expected="expected inbox_bytes_max to be at least body_bytes_max",
        )
    return limits


@takes(Several(RECEIVER_FORM))
def _receivers(node: Node, scope: Scope) -> tuple[list[ReceiverSettings], dict[str, Span], bool]:
    return named(receiver, "receiver")(node, scope)


CONFIG: Keys = {
    "listen": Key(
        _listen,
        "HOST:PORT, [::1]:9490 for IPv6, :9490 for every address; beyond loopback only with auth.",
        "127.0.0.1:9490",
    ),
    "external_url": Key(_external_url, "How people reach imd; links in pages start with it."),
    "prefixes": Key(listed(_prefix), "Every path is also served under these, such as /am.", []),
    "store": Key(
        _store,
        "The database; three slashes: relative to the working directory, four: absolute.",
        "sqlite:///var/imd.db",
    ),
    "rules": Key(_rules, "Rule files and folders of them, in this order; relative to this file.", [], (["rules/"],)),
    "receivers": Key(_receivers, "How people and other tools are reached.", []),
    "fallback": Key(name, "The receiver that is paged when a policy is exhausted."),
    "sources": Key(named(source, "source"), "Who sends alerts.", []),
    "auth": Key(auth, "Who may call; without it everybody may, on loopback alone."),
    "storm": Key(nested(STORM, Storm), "When many pages to one receiver become a digest."),
    "tee": Key(boolean, "imd runs beside another pager: it decides and records everything, and pages nobody.", False),
    "links": Key(nested(LINKS, LinkSettings), "The links in pages by which their readers answer."),
    "watchdog": Key(nested(WATCHDOG, Watchdog), "A URL outside that is pinged while imd really works."),
    "canary": Key(_canary, "A test page on a schedule; if it fails, imd raises an alert of its own."),
    "limits": Key(_limits, "Bounds; reaching one is counted and said, never silent."),
    "log": Key(nested(LOG, Log), "How imd logs."),
    "watch": Key(boolean, "Reload when a file changes.", False),
}
