"""The keys of each type of receiver.

Owns which types there are (TYPES), what each needs and which of its keys go together. What every receiver takes is
`receiverfile`'s; how a type's channel works is `channels`.
"""

from __future__ import annotations

import re
from base64 import b64decode
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from imd.config import codes, form
from imd.config.channelsettings import (
    AppriseSettings,
    ChannelSettings,
    ConsoleSettings,
    DiscordSettings,
    EmailSettings,
    ExecSettings,
    FileSettings,
    MatrixSettings,
    MattermostSettings,
    NtfySettings,
    OpsgenieSettings,
    PagerdutySettings,
    PushoverSettings,
    ServicenowSettings,
    SlackSettings,
    TeamsSettings,
    TelegramSettings,
    Tls,
    TwilioMode,
    TwilioSettings,
    VictoropsSettings,
    WebexSettings,
    WebhookSettings,
)
from imd.config.document import Node
from imd.config.form import Plain, Several
from imd.config.reading import is_web_url, web_url
from imd.config.shape import (
    Key,
    Keys,
    Reader,
    Refused,
    Scope,
    boolean,
    choice,
    duration,
    listed,
    mapped,
    secret_key,
    takes,
    text,
    whole,
)
from imd.model.addresses import never
from imd.model.policy import PageKind
from imd.model.secret import Secret

_HOUR = timedelta(hours=1)
_WEBHOOK_SECRET_PREFIX = "whsec_"  # noqa: S105


class Type(msgspec.Struct, frozen=True):
    """A type of receiver. `people`: its messages are read, so the operator may word them (`templates`). `exactly_one`:
    groups of keys of which one, with all its keys, must stand there; those in `shared` may stand beside any.
    `together`: keys of which all stand there or none. `extra` and `module`: what has to be installed. `silent`:
    kinds that the service has no place for, where its `mode` is `silent_mode`, or whatever it is. `tickets`: the
    service keeps each incident under a key of its own and pages by itself, so digests are nothing to it."""

    settings: type[ChannelSettings]
    keys: Keys
    people: bool = True
    exactly_one: tuple[tuple[str, ...], ...] = ()
    shared: tuple[str, ...] = ()
    together: tuple[str, ...] = ()
    extra: str = ""
    module: str = ""
    silent: frozenset[PageKind] = frozenset()
    silent_mode: str = ""
    tickets: bool = False

    @property
    def installed(self) -> bool:
        return not self.module or find_spec(self.module) is not None


# Readers.


def _check_url(value: Secret, node: Node, scope: Scope) -> None:
    if not is_web_url(value.reveal()):
        raise scope.fault(
            codes.BAD_URL, node, f"{scope.subject} is no URL", expected="expected http:// or https:// and a host"
        )
    _callable(value.reveal(), node, scope)


def _callable(url: str, node: Node, scope: Scope) -> None:
    """Its host may be called; names are looked at once they are resolved."""
    kind = never(urlsplit(url).hostname or "")
    if kind:
        raise scope.fault(
            codes.BAD_URL,
            node,
            f"the host of {scope.subject} is {kind}, which is never called",
            help="cloud credentials lie behind such addresses; take another",
        )


def _check_signing_secret(value: Secret, node: Node, scope: Scope) -> None:
    """Standard Webhooks: after `whsec_` comes base64 of 24 to 64 bytes. Without the prefix any text may sign."""
    encoded = value.reveal()
    if not encoded.startswith(_WEBHOOK_SECRET_PREFIX):
        return
    try:
        key = b64decode(encoded.removeprefix(_WEBHOOK_SECRET_PREFIX), validate=True)
    except ValueError:
        key = b""
    if not 24 <= len(key) <= 64:
        raise scope.fault(
            codes.BAD_SECRET,
            node,
            f"{scope.subject} is no signing secret",
            expected="expected base64 of 24 to 64 bytes after whsec_",
            help="make one with: echo whsec_$(openssl rand -base64 32)",
        )


def _check_token(value: Secret, node: Node, scope: Scope) -> None:
    """What goes into a header or a path must be able to."""
    token = value.reveal()
    if not token.isascii() or not token.isprintable() or " " in token:
        raise scope.fault(
            codes.BAD_SECRET,
            node,
            f"{scope.subject} holds blanks or characters that no such secret has",
            expected="expected printable ASCII",
        )


def _check_routing_key(value: Secret, node: Node, scope: Scope) -> None:
    """32 characters: PagerDuty developer docs, Send an Alert Event, read November 2026."""
    _check_token(value, node, scope)
    if len(value.reveal()) != 32:
        raise scope.fault(
            codes.BAD_SECRET,
            node,
            f"{scope.subject} is no routing key",
            expected="expected 32 characters",
            help="it is the Integration Key of an Events API v2 integration",
        )


def token_key(about: str, *, required: bool = False) -> Key:
    return secret_key(_check_token, about, required=required)


@takes(Plain("path", form.TEXT.schema))
def _path(node: Node, scope: Scope) -> Path:
    """A path relative to the file that names it."""
    return Path(scope.document.path).parent / text(node, scope)


@takes(Several(form.TEXT, 1))
def _command(node: Node, scope: Scope) -> tuple[str, ...]:
    """A program and its arguments. One with a slash is relative to the file that names it, else it is looked up."""
    words = listed(text, least=1)(node, scope)
    if not words:
        raise Refused
    program = str(Path(scope.document.path).parent.absolute() / words[0]) if "/" in words[0] else words[0]
    return (program, *words[1:])


@takes(form.text("URL", "^https?://"))
def _base_url(node: Node, scope: Scope) -> str:
    url = web_url(node, scope)
    _callable(url, node, scope)
    return url.rstrip("/")


def worded(said: str, pattern: re.Pattern[str], example: str, code: str = codes.BAD_NAME) -> Reader[str]:
    """Text of a known form. `pattern` must match all of it."""

    @takes(Plain(said, {"type": ["string", "number"], "pattern": f"^({pattern.pattern})$"}))
    def read(node: Node, scope: Scope) -> str:
        value = text(node, scope)
        if pattern.fullmatch(value) is None:
            raise scope.fault(code, node, f"{scope.subject} is no {said}", expected=f"expected such as {example}")
        return value

    return read


_RESPONDER = worded("responder", re.compile(r"(team|user|escalation|schedule):\S.*"), "team:platform", codes.BAD_TARGET)


@takes(form.text("responder", "^(team|user|escalation|schedule):", "team:platform"))
def _responder(node: Node, scope: Scope) -> tuple[str, str]:
    kind, _, named = _RESPONDER(node, scope).partition(":")
    return kind, named.strip()


# ASCII alone: others go only by SMTPUTF8, which few servers offer, and a host's name has a form in ASCII.
_PART = r"[!-+\--:=?A-~]+"  # what prints, without , ; < > @
_ADDRESS = f"{_PART}@{_PART}"
ADDRESS = worded("mail address", re.compile(_ADDRESS), "ops@example.com", codes.BAD_MAIL_ADDRESS)


@takes(form.text("mail address", "@", "imd <imd@example.com>"))
def _sender(node: Node, scope: Scope) -> str:
    """An address, or a name with the address in angle brackets."""
    value = text(node, scope)
    if not value.isprintable() or re.fullmatch(f"{_ADDRESS}|[^<>@,;]*<{_ADDRESS}>", value) is None:
        raise scope.fault(
            codes.BAD_MAIL_ADDRESS,
            node,
            f"{scope.subject} is no mail address",
            expected="expected such as imd@example.com",
        )
    return value


def api_url(default: str, about: str = "The base of the vendor's API; another region, or a proxy.") -> Key:
    return Key(_base_url, about, default)


_CHAT = worded("chat", re.compile(r"-?\d+|@\w+"), "-1001234567890")
_NUMBER = worded("number", re.compile(r"\+[1-9]\d{4,14}"), '"+4915112345678"')
_TWILIO_FROM = worded("sender", re.compile(r"\+[1-9]\d{4,14}|MG\w{32}|[A-Za-z0-9 ]{1,11}"), '"+15005550006"')
_ACCOUNT = worded("account's id", re.compile(r"AC\w{32}"), "AC" + "0" * 32)

TYPES: dict[str, Type] = {
    "webhook": Type(
        WebhookSettings,
        {
            "url": secret_key(_check_url, "Where JSON is POSTed; redirects are not followed.", required=True),
            "secret": secret_key(
                _check_signing_secret,
                "Signs each body as Standard Webhooks do; whsec_ and base64 of 24 to 64 bytes, or any text.",
            ),
            "allow_private": Key(boolean, "`false` refuses private addresses too.", True),
        },
        people=False,
    ),
    "console": Type(ConsoleSettings, {}, people=False),
    "file": Type(
        FileSettings,
        {"path": Key(_path, "A body a line is appended to it; relative to this file.", required=True)},
        people=False,
    ),
    "exec": Type(
        ExecSettings,
        {
            "command": Key(
                _command,
                "Program and arguments, without a shell; a program with a slash is relative to this file.",
                required=True,
            ),
            "timeout": Key(
                duration(timedelta(seconds=1), _HOUR), "The program is ended then; without it limits.send_timeout."
            ),
        },
        people=False,
    ),
    "pagerduty": Type(
        PagerdutySettings,
        {
            "routing_key": secret_key(
                _check_routing_key, "The Integration Key of an Events API v2 integration.", required=True
            ),
            "api_url": api_url(
                "https://events.pagerduty.com", "`https://events.eu.pagerduty.com` for the EU service region."
            ),
            "webhook_secret": token_key("Of a v3 webhook subscription: what people do in PagerDuty is done here too."),
        },
        silent=frozenset({PageKind.NOTE}),
        tickets=True,
    ),
    "opsgenie": Type(
        OpsgenieSettings,
        {
            "api_key": token_key("The key of an API integration.", required=True),
            "api_url": api_url(
                "https://api.opsgenie.com",
                "`https://api.eu.opsgenie.com`, or `https://api.atlassian.com/jsm/ops/integration` for Jira.",
            ),
            "responders": Key(listed(_responder), "Who is paged, where the integration names nobody.", []),
            "tags": Key(listed(text), "Up to 20 tags for each alert.", []),
            "webhook_token": token_key("What an outgoing webhook shows: what people do there is done here too."),
        },
        tickets=True,
    ),
    "slack": Type(
        SlackSettings,
        {
            "token": token_key("A bot's token (`xoxb-…`) with the scope chat:write."),
            "channel": Key(text, "Where the bot writes: a channel's id, or its name with `#`."),
            "url": secret_key(_check_url, "An incoming webhook, in place of `token` and `channel`."),
            "api_url": api_url("https://slack.com/api"),
            "signing_secret": token_key("The app's signing secret: messages get buttons, and what they say is taken."),
        },
        exactly_one=(("token", "channel"), ("url",)),
    ),
    "email": Type(
        EmailSettings,
        {
            "host": Key(text, "The mail server that takes the mail.", required=True),
            "port": Key(whole(1, 65_535), "Its port; without it 587, with `tls: implicit` 465, with `tls: none` 25."),
            "tls": Key(choice(Tls), "`starttls` asks for TLS and goes no further without it.", "starttls"),
            "username": Key(text, "For AUTH; needs `password`."),
            "password": secret_key(None, "For AUTH; needs `username`."),
            "from": Key(_sender, "Whom the mail is from.", required=True),
            "to": Key(listed(ADDRESS, least=1), "Whom the mail is to.", required=True),
        },
        together=("username", "password"),
    ),
    "teams": Type(
        TeamsSettings,
        {"url": secret_key(_check_url, "The URL of a Workflows flow that posts cards.", required=True)},
    ),
    "telegram": Type(
        TelegramSettings,
        {
            "token": token_key("The bot's token, from BotFather.", required=True),
            "chat": Key(_CHAT, "The chat's id, negative for a group; or a public channel's @name.", required=True),
            "topic": Key(whole(1, 1 << 53), "The id of one of a group's topics."),
            "api_url": api_url("https://api.telegram.org"),
        },
    ),
    "discord": Type(
        DiscordSettings,
        {
            "url": secret_key(_check_url, "A channel's webhook.", required=True),
            "thread": Key(worded("id", re.compile(r"\d{1,25}"), "1234567890"), "The id of a thread in that channel."),
        },
    ),
    "mattermost": Type(
        MattermostSettings,
        {
            "token": token_key("A bot's access token."),
            "server": Key(_base_url, "The server that the token is for."),
            "channel": Key(text, "With `token` the channel's id; with `url` a channel other than the webhook's own."),
            "url": secret_key(_check_url, "An incoming webhook, in place of `token` and `server`."),
        },
        exactly_one=(("token", "server", "channel"), ("url",)),
        shared=("channel",),
    ),
    "ntfy": Type(
        NtfySettings,
        {
            "topic": Key(
                worded("topic", re.compile(r"[-_A-Za-z0-9]{1,64}"), "oncall-x7Hq"), "The topic.", required=True
            ),
            "server": api_url("https://ntfy.sh", "The server."),
            "token": token_key("An access token."),
            "username": Key(text, "In place of a token; needs `password`."),
            "password": secret_key(None, "Needs `username`."),
        },
        together=("username", "password"),
    ),
    "pushover": Type(
        PushoverSettings,
        {
            "token": token_key("The application's API token.", required=True),
            "user": token_key("The key of a user or group.", required=True),
            "device": Key(text, "One of the user's devices; all without it."),
            "sound": Key(text, "A sound other than the user's own."),
            "retry": Key(duration(timedelta(seconds=30), _HOUR), "How often a P1 rings until it is answered.", "1m"),
            "expire": Key(duration(timedelta(minutes=1), 3 * _HOUR), "How long a P1 rings at most.", "1h"),
            "api_url": api_url("https://api.pushover.net"),
        },
    ),
    "twilio": Type(
        TwilioSettings,
        {
            "account_sid": Key(_ACCOUNT, "The account's id.", required=True),
            "auth_token": token_key("Its auth token; or, with `key_sid`, an API key's secret.", required=True),
            "key_sid": Key(worded("API key's id", re.compile(r"SK\w{32}"), "SK" + "0" * 32), "An API key's id."),
            "from": Key(_TWILIO_FROM, "The sender's number, or a messaging service (`MG…`).", required=True),
            "to": Key(_NUMBER, "The number that is reached.", required=True),
            "mode": Key(choice(TwilioMode), "`voice` calls, and reads the page.", "sms"),
            "validity": Key(
                duration(timedelta(seconds=1), 10 * _HOUR), "How long an SMS may wait in Twilio's queue.", "15m"
            ),
            "per_second": Key(whole(1, 100), "SMS a second that the sender may send.", 1),
            "api_url": api_url("https://api.twilio.com"),
            "callback_token": token_key(
                "The account's auth token: a key in a call, or a reply by SMS, answers a page."
            ),
        },
        silent=frozenset({PageKind.UPDATE, PageKind.ACKNOWLEDGED, PageKind.RESOLVED, PageKind.NOTE}),
        silent_mode=TwilioMode.VOICE,
    ),
    "matrix": Type(
        MatrixSettings,
        {
            "server": Key(_base_url, "The homeserver.", required=True),
            "token": token_key("The user's access token.", required=True),
            "room": Key(worded("room's id", re.compile(r"!\S+"), "!abc:example.org"), "The room's id.", required=True),
        },
    ),
    "webex": Type(
        WebexSettings,
        {
            "token": token_key("The bot's access token.", required=True),
            "room": Key(text, "A space's id."),
            "person": Key(ADDRESS, "A person's mail address, in place of a space."),
            "api_url": api_url("https://webexapis.com"),
        },
        exactly_one=(("room",), ("person",)),
    ),
    "victorops": Type(
        VictoropsSettings,
        {
            "api_key": token_key("The REST endpoint's API key.", required=True),
            "routing_key": Key(text, "The routing key.", required=True),
            "api_url": api_url("https://alert.victorops.com/integrations/generic/20131114/alert"),
        },
        tickets=True,
    ),
    "servicenow": Type(
        ServicenowSettings,
        {
            "url": Key(_base_url, "The instance.", required=True),
            "username": Key(text, "A user who may read and write the table.", required=True),
            "password": secret_key(None, "Its password.", required=True),
            "table": Key(worded("table", re.compile(r"[a-z][a-z0-9_]*"), "incident"), "The table.", "incident"),
            "close_code": Key(text, "The code that a record is resolved with.", "Solution provided"),
            "fields": Key(mapped(text), "Fields of each new record, over imd's own.", {}),
        },
        tickets=True,
    ),
    "apprise": Type(
        AppriseSettings,
        {"url": secret_key(None, "One of apprise's URLs.", required=True)},
        extra="apprise",
        module="apprise",
    ),
}
"""A receiver's `type` to what it takes, in the order of the documentation."""

RENAMED = {"from": "sender"}
"""YAML keys that are words of Python, and the fields they fill."""
