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
    """`token` and `channel` of a bot, or the `url` of an incoming webhook. `signing_secret`: messages have buttons."""

    token: Secret | None = None
    channel: str = ""
    url: Secret | None = None
    api_url: str = "https://slack.com/api"
    signing_secret: Secret | None = None


class PagerdutySettings(msgspec.Struct, frozen=True, kw_only=True):
    """`webhook_secret` signs what comes back; None takes nothing back."""

    routing_key: Secret
    api_url: str = "https://events.pagerduty.com"
    webhook_secret: Secret | None = None


class OpsgenieSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`api_url` with `/jsm/ops/integration` is Jira Service Management. `responders` are (type, name).
    `webhook_token` proves what comes back; None takes nothing back."""

    api_key: Secret
    api_url: str = "https://api.opsgenie.com"
    responders: tuple[tuple[str, str], ...] = ()
    tags: tuple[str, ...] = ()
    webhook_token: Secret | None = None


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


class TeamsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`url` is the flow's, a secret as a whole."""

    url: Secret


class TelegramSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`chat` is a chat's id (groups are negative) or a public channel's @name; `topic` one of a group's topics."""

    token: Secret
    chat: str
    topic: int | None = None
    api_url: str = "https://api.telegram.org"


class DiscordSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`url` is a webhook's; `thread` the id of a thread in its channel."""

    url: Secret
    thread: str = ""


class MattermostSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`token`, `server` and `channel` (its id) of a bot, or the `url` of an incoming webhook, where `channel` is a name
    other than the webhook's own."""

    token: Secret | None = None
    server: str = ""
    channel: str = ""
    url: Secret | None = None


class NtfySettings(msgspec.Struct, frozen=True, kw_only=True):
    topic: str
    server: str = "https://ntfy.sh"
    token: Secret | None = None
    username: str = ""
    password: Secret | None = None


class PushoverSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`retry` and `expire` are of emergencies (P1): how often, and how long at most."""

    token: Secret
    user: Secret
    device: str = ""
    sound: str = ""
    retry: timedelta = timedelta(minutes=1)
    expire: timedelta = timedelta(hours=1)
    api_url: str = "https://api.pushover.net"


class TwilioMode(enum.StrEnum):
    SMS = "sms"
    VOICE = "voice"


class TwilioSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`sender` is a number, or a messaging service's id. `key_sid`: `auth_token` is that API key's secret. `validity`:
    how long an SMS may wait at Twilio's. `per_second`: what the sender may send. `callback_token`: the
    account's auth token, by which what comes back is signed; None takes no answers."""

    account_sid: str
    auth_token: Secret
    key_sid: str = ""
    sender: str
    to: str
    mode: TwilioMode = TwilioMode.SMS
    validity: timedelta = timedelta(minutes=15)
    per_second: int = 1
    api_url: str = "https://api.twilio.com"
    callback_token: Secret | None = None


class MatrixSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`room` is a room's id, `!…`."""

    server: str
    token: Secret
    room: str


class WebexSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A space's id, or a person's mail address."""

    token: Secret
    room: str = ""
    person: str = ""
    api_url: str = "https://webexapis.com"


class VictoropsSettings(msgspec.Struct, frozen=True, kw_only=True):
    api_key: Secret
    routing_key: str
    api_url: str = "https://alert.victorops.com/integrations/generic/20131114/alert"


class ServicenowSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`fields` are set on each new record, over imd's own."""

    url: str
    username: str
    password: Secret
    table: str = "incident"
    close_code: str = "Solution provided"
    fields: dict[str, str] = {}


class AppriseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`url` is one of apprise's own, such as `gotify://…`."""

    url: Secret


ChannelSettings = (
    WebhookSettings
    | ConsoleSettings
    | FileSettings
    | ExecSettings
    | PagerdutySettings
    | OpsgenieSettings
    | SlackSettings
    | TeamsSettings
    | EmailSettings
    | TelegramSettings
    | DiscordSettings
    | MattermostSettings
    | NtfySettings
    | PushoverSettings
    | TwilioSettings
    | MatrixSettings
    | WebexSettings
    | VictoropsSettings
    | ServicenowSettings
    | AppriseSettings
)
