"""What each type of receiver needs to be told, as frozen structs. Reading them from a file is `receiverkeys`."""

from __future__ import annotations

import enum
from datetime import timedelta
from pathlib import Path

import msgspec

from imd.model.secret import Secret
from imd.model.template import Template


class Templates(msgspec.Struct, frozen=True, kw_only=True):
    """The operator's own words for people; None is the built-in text."""

    title: Template | None = None
    body: Template | None = None


class WebhookSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`secret` signs as Standard Webhooks do (base64, `whsec_` in front or not); None sends unsigned.
    `allow_private` False refuses private addresses too; link-local and metadata ones are always refused."""

    url: Secret
    secret: Secret | None = None
    allow_private: bool = True


class ConsoleSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Prints a line a message on standard output. No keys of its own."""


class FileSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Appends a JSON body a line to `path`, which is already relative to the working directory."""

    path: Path


class ExecSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Runs `command` without a shell, the JSON body on its standard input; exit 0 is acceptance.
    `timeout` None: as `limits.send_timeout`."""

    command: tuple[str, ...]
    timeout: timedelta | None = None


class SlackSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`token` and `channel` of a bot, or the `url` of an incoming webhook."""

    token: Secret | None = None
    channel: str = ""
    url: Secret | None = None
    api_url: str = "https://slack.com/api"


class PagerdutySettings(msgspec.Struct, frozen=True, kw_only=True):
    routing_key: Secret
    api_url: str = "https://events.pagerduty.com"


class OpsgenieSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`api_url` with `/jsm/ops/integration` is Jira Service Management. `responders` are (type, name)."""

    api_key: Secret
    api_url: str = "https://api.opsgenie.com"
    responders: tuple[tuple[str, str], ...] = ()
    tags: tuple[str, ...] = ()


class Tls(enum.StrEnum):
    """STARTTLS: asked for and required. IMPLICIT: from the first byte. NONE: in the clear."""

    STARTTLS = "starttls"
    IMPLICIT = "implicit"
    NONE = "none"


class EmailSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`port` None: 587, with implicit TLS 465, without TLS 25."""

    host: str
    port: int | None = None
    tls: Tls = Tls.STARTTLS
    username: str = ""
    password: Secret | None = None
    sender: str
    to: tuple[str, ...]


ChannelSettings = (
    WebhookSettings
    | ConsoleSettings
    | FileSettings
    | ExecSettings
    | SlackSettings
    | PagerdutySettings
    | OpsgenieSettings
    | EmailSettings
)
