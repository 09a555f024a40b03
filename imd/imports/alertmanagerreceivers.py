"""Alertmanager's receivers as imd's: one for each entry of a receiver's lists.

Owns what each key of each kind becomes (Alertmanager 0.34, config/notifiers.go and config/config.go, read 2026-11-22),
global settings behind it. A key that nothing was made of is remarked, unless it says what Alertmanager does anyway.
An entry of a kind that imd has no channel for becomes a `console`, so that whoever should have been paged shows up in
imd's output, and a remark says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from collections.abc import Mapping as Mapping_
from datetime import timedelta

import msgspec

from imd.config.document import Mapping, Node, Scalar, Sequence
from imd.imports.alertmanagershape import Receiver
from imd.imports.given import Given
from imd.imports.remarks import Remarks
from imd.imports.secrets import Secrets
from imd.imports.written import Noted, Value

_SEND_RESOLVED = {"email": False, "slack": False, "rocketchat": False, "wechat": False}
_SMTP_TLS_PORT = "465"
_INSTEAD = {
    "wechat": "use the receiver type apprise (`wecombot://`), or webhook",
    "sns": "use the receiver type webhook with a function before SNS, or twilio for SMS",
    "rocketchat": "use the receiver type apprise (`rockets://`)",
    "jira": "use the receiver type opsgenie (Jira Service Management) or webhook",
    "incidentio": "use the receiver type webhook",
}

Made = dict[str, Value]
TemplatesByName = Mapping_[str, str]


class NotMade(Exception):
    """imd cannot page this one; the words say why, and what to do."""

    def __init__(self, why: str, to_do: str = "") -> None:
        super().__init__(why)
        self.to_do = to_do


def _needs(made: Made, key: str, said: str) -> Made:
    if not any(word in made for word in (key, f"{key}_file")):
        raise NotMade(f"it has no {said}", f"give the receiver its {key}")
    return made


def _webhook(given: Given) -> Made:
    most = given.text("max_alerts")
    made: Made = {**given.secret("url")}
    if most.isdigit() and 0 < int(most) <= 10_000:
        made["send_alerts"] = int(most)
    elif most in ("", "0"):
        made["send_alerts"] = "all"
    given.differs("", "the body is imd's own, not Alertmanager's", "see docs/receivers.md#the-body for what reads it")
    return _needs(made, "url", "url")


def _email(given: Given) -> Made:
    host, _, port = given.plain("smarthost", "smtp_smarthost").rpartition(":")
    to = [one.strip() for one in re.split(r"[,;]", given.plain("to"))]
    made: Made = {"host": host.strip("[]")}
    if port.isdigit():
        made["port"] = int(port)
    if port == _SMTP_TLS_PORT or given.flag("force_implicit_tls", False, "smtp_force_implicit_tls"):
        made["tls"] = "implicit"
        given.text("require_tls")
    elif not given.flag("require_tls", True, "smtp_require_tls"):
        made["tls"] = "none"
    user = given.plain("auth_username", "smtp_auth_username")
    password = given.secret("auth_password", "password", "smtp_auth_password") if user else {}
    if user and password:
        made |= {"username": user, **password}
    elif user:
        given.lost("auth_username", given.at, "there is no password beside it", "CRAM-MD5 secrets are not carried")
    made |= {"from": given.plain("from", "smtp_from"), "to": [_address(one) for one in to if one]}
    if not host:
        raise NotMade("it has no smarthost", "give the receiver `host` and `port`")
    if not made["from"] or not made["to"]:
        raise NotMade('it has no "from" or no "to" that is an address', "give the receiver `from` and `to`")
    return made


def _address(text: str) -> str:
    named = re.fullmatch(r".*<([^<>]+)>", text)
    return named[1] if named else text


def _slack(given: Given) -> Made:
    bearer = given.bearer()
    app = given.secret("app_token", "token", "slack_app_token")
    token = app or bearer
    if token:
        channel = given.plain("channel")
        given.text("api_url"), given.text("api_url_file"), given.text("app_url")
        if not channel:
            raise NotMade("a token needs a channel", "give the receiver `channel`")
        return {**token, "channel": channel}
    if given.text("channel"):
        given.lost(
            "channel",
            given.at.entries["channel"].key,
            "an incoming webhook writes to the channel that it was made for",
            "make a webhook for this channel, or give the receiver `token` and `channel` of a bot",
        )
    return _needs({**given.secret("api_url", "url", "slack_api_url")}, "url", "api_url")


def _pagerduty(given: Given) -> Made:
    made: Made = {**given.secret("routing_key")}
    if not made and (given.text("service_key") or given.text("service_key_file")):
        raise NotMade(
            "service_key speaks Events API v1, and imd speaks v2",
            "make an Events API v2 integration in PagerDuty and give the receiver its `routing_key`",
        )
    url = given.plain("url", "pagerduty_url").removesuffix("/v2/enqueue").rstrip("/")
    if url and url != "https://events.pagerduty.com":
        made["api_url"] = url
    return _needs(made, "routing_key", "routing_key")


def _opsgenie(given: Given) -> Made:
    made: Made = {**given.secret("api_key", "", "opsgenie_api_key")}
    url = given.plain("api_url", "opsgenie_api_url").rstrip("/")
    if url and url != "https://api.opsgenie.com":
        made["api_url"] = url
    responders = list(_responders(given))
    if responders:
        made["responders"] = responders
    tags = [one.strip() for one in given.plain("tags").split(",") if one.strip()]
    if tags:
        made["tags"] = tags
    given.text("update_alerts")  # imd notes what changed in any case
    return _needs(made, "api_key", "api_key")


def _responders(given: Given) -> Iterable[str]:
    node = given.node("responders")
    for number, item in enumerate(node.items if isinstance(node, Sequence) else ()):
        fields = {key: entry.value for key, entry in item.entries.items()} if isinstance(item, Mapping) else {}
        said = {key: one.text for key, one in fields.items() if isinstance(one, Scalar)}
        kind, named = said.get("type", ""), said.get("name") or said.get("username") or ""
        if kind in ("team", "user", "escalation", "schedule") and named and "{{" not in named:
            yield f"{kind}:{named}"
        else:
            why = "responders are named here by a plain name, and by one of team, user, escalation, schedule"
            given.lost(f"responders[{number}]", item, why, "write it as `team:platform`")


def _victorops(given: Given) -> Made:
    made: Made = {**given.secret("api_key", "", "victorops_api_key")}
    routing = given.plain("routing_key")
    url = given.plain("api_url", "victorops_api_url").rstrip("/")
    if url and url != "https://alert.victorops.com/integrations/generic/20131114/alert":
        made["api_url"] = url
    if not routing:
        raise NotMade("it has no routing_key that is plain text", "give the receiver `routing_key`")
    return _needs({**made, "routing_key": routing}, "api_key", "api_key")


def _pushover(given: Given) -> Made:
    made: Made = {**given.secret("token"), **given.secret("user_key", "user")}
    for key in ("device", "sound"):
        if said := given.plain(key):
            made[key] = said
    for key, low, high in (("retry", 30, 3600), ("expire", 60, 10_800)):
        span = given.duration(key)
        if span is not None:
            made[key] = min(max(span, timedelta(seconds=low)), timedelta(seconds=high))
    given.text("html"), given.text("monospace")
    return _needs(_needs(made, "token", "token"), "user", "user_key")


def _telegram(given: Given) -> Made:
    made: Made = {**given.secret("bot_token", "token", "telegram_bot_token"), "chat": given.plain("chat_id")}
    if given.text("chat_id_file"):
        given.lost(
            "chat_id_file", given.at.entries["chat_id_file"].key, "a chat's id is no secret here", "write `chat`"
        )
    topic = given.text("message_thread_id")
    if topic.isdigit() and topic != "0":
        made["topic"] = int(topic)
    url = given.plain("api_url", "telegram_api_url").rstrip("/")
    if url and url != "https://api.telegram.org":
        made["api_url"] = url
    given.text("parse_mode")
    if not made["chat"]:
        raise NotMade("it has no chat_id that is plain text", "give the receiver `chat`")
    return _needs(made, "token", "bot_token")


def _discord(given: Given) -> Made:
    return _needs({**given.secret("webhook_url", "url")}, "url", "webhook_url")


def _teams(given: Given) -> Made:
    if given.kind == "msteams":
        said = "Microsoft has retired the connectors that msteams_configs speak to"
        given.differs(
            "webhook_url", said, "make a Workflows flow that posts cards, and put its URL into the secret's file"
        )
    return _needs({**given.secret("webhook_url", "url")}, "url", "webhook_url")


def _mattermost(given: Given) -> Made:
    made: Made = {**given.secret("webhook_url", "url", "mattermost_webhook_url")}
    if channel := given.plain("channel"):
        made["channel"] = channel
    return _needs(made, "url", "webhook_url")


def _webex(given: Given) -> Made:
    room = given.plain("room_id")
    made: Made = {**given.bearer(), "room": room}
    if not room:
        raise NotMade("it has no room_id", "give the receiver `room`")
    return _needs(made, "token", "http_config.authorization.credentials")


_MADE: dict[str, tuple[str, Callable[[Given], Made]]] = {
    "webhook": ("webhook", _webhook),
    "email": ("email", _email),
    "slack": ("slack", _slack),
    "pagerduty": ("pagerduty", _pagerduty),
    "opsgenie": ("opsgenie", _opsgenie),
    "victorops": ("victorops", _victorops),
    "pushover": ("pushover", _pushover),
    "telegram": ("telegram", _telegram),
    "discord": ("discord", _discord),
    "msteams": ("teams", _teams),
    "msteamsv2": ("teams", _teams),
    "mattermost": ("mattermost", _mattermost),
    "webex": ("webex", _webex),
}
"""Alertmanager's kinds to imd's types."""


class Channels(msgspec.Struct, frozen=True):
    """What one of Alertmanager's receivers became: entries of `receivers`, by their names."""

    entries: dict[str, Noted]

    @property
    def targets(self) -> tuple[str, ...]:
        return tuple(self.entries)


def channels(
    receiver: Receiver,
    settings: dict[str, Node],
    every: timedelta | None,
    taken: set[str],
    remarks: Remarks,
    secrets: Secrets,
    defined: TemplatesByName,
) -> Channels:
    """`every`: the shortest group_interval of the routes that name it; None where none does. `taken`: names that are
    used already. `defined`: templates that texts may call."""
    entries: dict[str, Noted] = {}
    kinds = [key.removesuffix("_configs") for key, _, _ in receiver.configs]
    for (key, number, node), kind in zip(receiver.configs, kinds, strict=True):
        alone = len(kinds) == 1
        wanted = (
            receiver.name if alone else f"{receiver.name}-{kind}" + (f"-{number + 1}" if kinds.count(kind) > 1 else "")
        )
        name = _free(wanted, taken)
        given = Given(kind, node, f"{receiver.what}.{key}[{number}]", name, settings, remarks, secrets, defined)
        entries[name] = _entry(given, every, f"{remarks.path}:{node.span.line}")
    return Channels(entries)


def _free(wanted: str, taken: set[str]) -> str:
    name, number = " ".join(wanted[:90].split()), 1
    while name in taken:
        number += 1
        name = f"{wanted[:90]}-{number}"
    taken.add(name)
    return name


def _entry(given: Given, every: timedelta | None, place: str) -> Noted:
    notes = [place] if every is not None else ["imd: allow W002 no route names it", place]
    kind, make = _MADE.get(given.kind, ("", _none))
    try:
        made = {**make(given), **given.templates()}
    except NotMade as error:
        given.lost("", given.at, str(error), error.to_do or _INSTEAD.get(given.kind, ""))
        notes.append(f"stands in for {given.what}: {error}")
        return Noted({"name": given.name, "type": "console"}, tuple(notes))
    given.rest()
    resolved = given.flag("send_resolved", _SEND_RESOLVED.get(given.kind, True))
    entry: dict[str, Value] = {"name": given.name, "type": kind, **made}
    entry["send"] = ["page", "update", "resolved"] if resolved else ["page", "update"]
    if every is not None:
        entry["update_every"] = min(every, timedelta(days=1))
    return Noted(entry, tuple(notes))


def _none(given: Given) -> Made:
    raise NotMade("imd has no channel for it", _INSTEAD.get(given.kind, "use the receiver type webhook or apprise"))
