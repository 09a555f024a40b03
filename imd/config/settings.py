"""What config.yaml says, as frozen structs: the daemon's settings.

Owns the shapes, the defaults and what they mean. Reading them from a file, with places and faults, is `configfile`;
what the engine needs of them (receivers, sources, bounds) is handed to it as model structs by `load`.
"""

from __future__ import annotations

import enum
from datetime import timedelta
from pathlib import Path

import msgspec

from imd.config.channelsettings import ChannelSettings, Templates
from imd.model.digest import Storm
from imd.model.policy import Bounds, Receiver, Source
from imd.model.quiet import TimeInterval
from imd.model.secret import Secret

LOOPBACK_NAMES = ("localhost",)
MIB = 1024 * 1024


class Listen(msgspec.Struct, frozen=True):
    """Where the HTTP server listens. `host` "" is every address; port 0 lets the system choose (tests)."""

    host: str = "127.0.0.1"
    port: int = 9490

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Scope(enum.StrEnum):
    """What a token may do. INGEST: send alerts. READ: see. RESPOND: work on incidents. ADMIN: all of it, and reload."""

    INGEST = "ingest"
    READ = "read"
    RESPOND = "respond"
    ADMIN = "admin"


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A bearer token, known by the SHA-256 of its bytes alone (64 lower-case hex digits)."""

    name: str
    scopes: frozenset[Scope]
    sha256: str


class Auth(msgspec.Struct, frozen=True, kw_only=True):
    """Who may call. Without tokens everybody may, which beyond loopback has to be said: `open: true`.

    `metrics_open`: /metrics needs no token.
    """

    tokens: tuple[Token, ...] = ()
    open: bool = False
    metrics_open: bool = False


class Reconcile(msgspec.Struct, frozen=True, kw_only=True):
    """Where a source's own Alertmanager lists what fires, and how often it is asked."""

    url: Secret
    every: timedelta = timedelta(minutes=5)


class Signing(msgspec.Struct, frozen=True, kw_only=True):
    """How a sender signs: under any of these secrets, in these headers."""

    secrets: tuple[Secret, ...]
    signature: str = "X-Imd-Signature"
    timestamp: str = "X-Imd-Timestamp"


class SourceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A configured sender. `token_sha256` are the digests of the tokens it may show (none: no token is asked for);
    `keys` are routing keys of senders that put one in the body; `signing` where each body must be signed. Of Amazon
    SNS: `topics` are those that may speak, and whose subscription is confirmed; `verify` asks for a good signature. Of
    an Alertmanager: `reconcile`."""

    source: Source
    token_sha256: tuple[str, ...] = ()
    keys: tuple[Secret, ...] = ()
    topics: tuple[str, ...] = ()
    verify: bool = False
    reconcile: Reconcile | None = None
    signing: Signing | None = None


class ReceiverSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A receiver: what the engine knows of it, its type's name, what its channel needs and, for those that people
    read, the operator's own words."""

    receiver: Receiver
    type: str
    channel: ChannelSettings
    templates: Templates = Templates()


class LinkSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The links in pages by which their readers answer. `secret` None: a random one, made with the database."""

    enabled: bool = True
    valid_for: timedelta = timedelta(hours=24)
    secret: Secret | None = None


class Watchdog(msgspec.Struct, frozen=True, kw_only=True):
    """What is pinged while imd works, and how often."""

    url: Secret
    every: timedelta = timedelta(minutes=1)


class Canary(msgspec.Struct, frozen=True, kw_only=True):
    """Where a test page goes, and how often; or `at` which times: it goes out in each window once, as it begins."""

    receiver: str
    every: timedelta = timedelta(days=1)
    at: TimeInterval | None = None


class LogFormat(enum.StrEnum):
    """AUTO: CONSOLE on a terminal, JSON elsewhere."""

    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


class LogLevel(enum.StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Log(msgspec.Struct, frozen=True, kw_only=True):
    format: LogFormat = LogFormat.AUTO
    level: LogLevel = LogLevel.INFO


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds (design section 7). Sizes in bytes, counts, durations. Reaching one is counted and said.

    `closed_keep` and `journal_keep` are retention. `lateness` is how far back a start counts for windows. `refused_max`
    are refused credentials a minute from one address.
    """

    body_bytes_max: int = 16 * MIB
    body_read_timeout: timedelta = timedelta(seconds=10)
    connections_max: int = 4096
    json_depth_max: int = 32
    slice_alerts_max: int = 10_000
    labels_max: int = 64
    label_value_bytes_max: int = 4096
    annotation_bytes_max: int = 4096
    open_alerts_max: int = 1_000_000
    spans_max: int = 8
    refused_max: int = 30
    lateness: timedelta = timedelta(minutes=2)
    inbox_bytes_max: int = 64 * MIB
    rule_file_bytes_max: int = MIB
    reply_bytes_max: int = 64 * 1024
    connect_timeout: timedelta = timedelta(seconds=3)
    send_timeout: timedelta = timedelta(seconds=10)
    journal_keep: timedelta = timedelta(days=30)
    closed_keep: timedelta = timedelta(days=400)

    def engine_bounds(self) -> Bounds:
        """Those that the engine keeps itself."""
        return Bounds(
            open_alerts_max=self.open_alerts_max,
            spans_max=self.spans_max,
            lateness=self.lateness,
        )


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All of config.yaml. Dicts are by name, in the file's order.

    `external_url` has no slash at its end ("" where not set); `prefixes` start with a slash and do not end in one, and
    hold the path of external_url too. `rules` are paths relative to the working directory.
    """

    listen: Listen = Listen()
    external_url: str = ""
    prefixes: tuple[str, ...] = ()
    store: str = "sqlite:///var/imd.db"
    rules: tuple[Path, ...] = ()
    receivers: dict[str, ReceiverSettings] = {}
    fallback: str = ""
    sources: dict[str, SourceSettings] = {}
    auth: Auth = Auth()
    storm: Storm = Storm()
    tee: bool = False
    links: LinkSettings = LinkSettings()
    watchdog: Watchdog | None = None
    canary: Canary | None = None
    limits: Limits = Limits()
    log: Log = Log()
    watch: bool = False
