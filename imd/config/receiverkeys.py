"""The keys of each type of receiver.

Owns which types there are (TYPES), what each needs and which of its keys go together. What every receiver takes is
`receiverfile`'s; how a type's channel works is `channels`.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from imd.config import codes, form
from imd.config.channelsettings import (
    ChannelSettings,
    ConsoleSettings,
    EmailSettings,
    ExecSettings,
    FileSettings,
    OpsgenieSettings,
    PagerdutySettings,
    SlackSettings,
    Tls,
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
    secret_key,
    takes,
    text,
    whole,
)
from imd.model.secret import Secret

_HOUR = timedelta(hours=1)
_WEBHOOK_SECRET_PREFIX = "whsec_"  # noqa: S105


class Type(msgspec.Struct, frozen=True):
    """A type of receiver. `people`: its messages are read, so the operator may word them (`templates`). `exactly_one`:
    groups of keys of which one, with all its keys, must stand there. `extra` and `module`: what has to be installed."""

    settings: type[ChannelSettings]
    keys: Keys
    people: bool = True
    exactly_one: tuple[tuple[str, ...], ...] = ()
    extra: str = ""
    module: str = ""

    @property
    def installed(self) -> bool:
        return not self.module or find_spec(self.module) is not None


# Readers.


def _check_url(value: Secret, node: Node, scope: Scope) -> None:
    if not is_web_url(value.reveal()):
        raise scope.fault(
            codes.BAD_URL, node, f"{scope.subject} is no URL", expected="expected http:// or https:// and a host"
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
    return web_url(node, scope).rstrip("/")


def worded(said: str, pattern: re.Pattern[str], example: str, code: str = codes.BAD_NAME) -> Reader[str]:
    """Text of a known form. `pattern` must match all of it."""

    @takes(form.text(said, f"^({pattern.pattern})$", example))
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


ADDRESS = worded("mail address", re.compile(r"[^\s<>@,;]+@[^\s<>@,;]+"), "ops@example.com", codes.BAD_MAIL_ADDRESS)


@takes(form.text("mail address", "@", "imd <imd@example.com>"))
def _sender(node: Node, scope: Scope) -> str:
    """An address, or a name with the address in angle brackets."""
    value = text(node, scope)
    if not value.isprintable() or re.fullmatch(r"([^<>@,;]*<)?[^\s<>@,;]+@[^\s<>@,;]+(>)?", value) is None:
        raise scope.fault(
            codes.BAD_MAIL_ADDRESS,
            node,
            f"{scope.subject} is no mail address",
            expected="expected such as imd@example.com",
        )
    return value


def api_url(default: str, about: str = "The base of the vendor's API; another region, or a proxy.") -> Key:
    return Key(_base_url, about, default)


_Checks = Callable[[dict[str, Any], Node, Scope], None]

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
        },
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
        },
    ),
    "slack": Type(
        SlackSettings,
        {
            "token": token_key("A bot's token (`xoxb-…`) with the scope chat:write."),
            "channel": Key(text, "Where the bot writes: a channel's id, or its name with `#`."),
            "url": secret_key(_check_url, "An incoming webhook, in place of `token` and `channel`."),
            "api_url": api_url("https://slack.com/api"),
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
    ),
}
"""A receiver's `type` to what it takes, in the order of the documentation."""

RENAMED = {"from": "sender"}
"""YAML keys that are words of Python, and the fields they fill."""
