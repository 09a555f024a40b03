"""`receivers:` of config.yaml: the keys that every receiver takes and those of each type.

Owns which types there are. A type is built here by adding its keys to BUILT; how its channel works is `channels`.
"""

from __future__ import annotations

from base64 import b64decode
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from imd.config import codes, form
from imd.config.document import Node, Scalar
from imd.config.form import Either, Form, Plain, Several, Table
from imd.config.reading import is_web_url
from imd.config.settings import (
    ChannelSettings,
    ConsoleSettings,
    ExecSettings,
    FileSettings,
    ReceiverSettings,
    WebhookSettings,
)
from imd.config.shape import (
    Key,
    Keys,
    Refused,
    Scope,
    boolean,
    choice,
    duration,
    listed,
    name,
    not_one_of,
    peek,
    read_keys,
    secret_key,
    takes,
    text,
    whole,
    wrong_type,
)
from imd.model.incident import Priority
from imd.model.policy import PageKind, Receiver
from imd.model.secret import Secret

LATER = (
    "pagerduty", "opsgenie", "slack", "teams", "email", "telegram", "discord", "mattermost", "ntfy", "pushover",
    "twilio", "matrix", "webex", "victorops", "servicenow", "apprise",
)  # fmt: skip
SEND_ALERTS_MAX = 10_000
_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_WEBHOOK_SECRET_PREFIX = "whsec_"  # noqa: S105


@takes(
    Plain(
        "whole number, or all",
        {"anyOf": [{"type": "integer", "minimum": 0, "maximum": SEND_ALERTS_MAX}, {"const": "all"}]},
        f"0 to {SEND_ALERTS_MAX}",
    )
)
def _send_alerts(node: Node, scope: Scope) -> int | None:
    """A count, or `all`, which is None."""
    if isinstance(node, Scalar) and node.value == "all":
        return None
    if not isinstance(node, Scalar) or not isinstance(node.value, int):
        raise wrong_type(node, scope, f'a whole number up to {SEND_ALERTS_MAX}, or "all"')
    return whole(0, SEND_ALERTS_MAX)(node, scope)


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


RECEIVER: Keys = {
    "name": Key(name, "How rules speak of the receiver.", required=True),
    "type": Key(text, "The kind of service.", required=True),
    "send": Key(listed(choice(PageKind), least=1), "The kinds of messages that it takes.", ["page", "resolved"]),
    "send_alerts": Key(_send_alerts, "Alerts in one message; the rest is counted.", 20),
    "update_every": Key(duration(timedelta(0), _DAY), "At most one update of an incident in this time.", "1m"),
    "min_priority": Key(choice(Priority), "Nothing less urgent is sent: P3 takes P1, P2 and P3.", "P5"),
    "deliver_within": Key(
        duration(timedelta(seconds=1), _HOUR),
        "A page not accepted by then passes on to the next way or step; without it 20s for P1 and P2, else 60s.",
    ),
    "stale_after": Key(duration(_MINUTE, 7 * _DAY), "An older page is not sent singly any more.", "15m"),
}


class _Type(msgspec.Struct, frozen=True):
    settings: type[ChannelSettings]
    keys: dict[str, Key]


BUILT = {
    "webhook": _Type(
        WebhookSettings,
        {
            "url": secret_key(_check_url, "Where JSON is POSTed; redirects are not followed.", required=True),
            "secret": secret_key(
                _check_signing_secret,
                "Signs each body as Standard Webhooks do; whsec_ and base64 of 24 to 64 bytes, or any text.",
            ),
            "allow_private": Key(boolean, "`false` refuses private addresses too.", True),
        },
    ),
    "console": _Type(ConsoleSettings, {}),
    "file": _Type(
        FileSettings,
        {"path": Key(_path, "A body a line is appended to it; relative to this file.", required=True)},
    ),
    "exec": _Type(
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
    ),
}


def _form() -> Form:
    """A receiver of any type that is built."""
    typed = RECEIVER["type"]
    return Either(
        tuple(
            Table({**RECEIVER, "type": msgspec.structs.replace(typed, form=form.words(word)), **kind.keys})
            for word, kind in BUILT.items()
        )
    )


RECEIVER_FORM = _form()


def receiver(node: Node, scope: Scope) -> ReceiverSettings:
    """One receiver. Refused, everything reported, if its type or a key that it needs is unsound."""
    kind = _kind(node, scope)
    keys = {**RECEIVER, **kind.keys}
    values = read_keys(keys, node, scope)
    if any(key.required and word not in values for word, key in keys.items()):
        raise Refused
    channel = {word: values.pop(word) for word in kind.keys if word in values}
    return ReceiverSettings(receiver=_model(values), type=values["type"], channel=kind.settings(**channel))


def _kind(node: Node, scope: Scope) -> _Type:
    found = peek(node, "type")
    if found is None or found.value is None:
        # Which other keys it needs is unknown; those that every type takes are checked, and the type is missed there.
        any_type = {
            word: Key(key.read, secret=key.secret) for kind in BUILT.values() for word, key in kind.keys.items()
        }
        read_keys({**RECEIVER, **any_type}, node, scope)
        raise Refused
    if found.text in BUILT:
        return BUILT[found.text]
    at = scope.inside("type", scope.owner)
    if found.text in LATER:
        raise at.fault(
            codes.RECEIVER_NOT_BUILT,
            found,
            f"receiver type {found.text} is not built in this version",
            expected=f"expected one of: {', '.join(BUILT)}",
            help="a webhook receiver or an exec receiver can stand in for it",
        )
    raise not_one_of(found, at, BUILT)


def _model(values: dict[str, Any]) -> Receiver:
    known: dict[str, Any] = {word: values[word] for word in RECEIVER if word in values and word != "type"}
    if "send" in known:
        known["send"] = frozenset(known["send"])
    return Receiver(**known)
