"""Floor 2, from delivery to the world: one file per kind of service, and the table that finds it by name."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from imd.channels.apprise import Apprise
from imd.channels.console import Console
from imd.channels.contract import Answer, BadSettings, Channel, Permanent, Receipt, Temporary
from imd.channels.discord import Discord
from imd.channels.email import Email
from imd.channels.exec import Exec
from imd.channels.file import File
from imd.channels.http import Endpoint, HttpBounds, HttpClient
from imd.channels.matrix import Matrix
from imd.channels.mattermost import Mattermost, MattermostWebhook
from imd.channels.ntfy import Ntfy
from imd.channels.opsgenie import Opsgenie
from imd.channels.pagerduty import Pagerduty
from imd.channels.pushover import Pushover
from imd.channels.servicenow import Servicenow
from imd.channels.slack import Slack, SlackWebhook
from imd.channels.teams import Teams
from imd.channels.telegram import Telegram
from imd.channels.text import Writer
from imd.channels.twilio import Twilio
from imd.channels.victorops import Victorops
from imd.channels.webex import Webex
from imd.channels.webhook import Webhook
from imd.clock import Clock
from imd.config.channelsettings import (
    AppriseSettings,
    ConsoleSettings,
    EmailSettings,
    ExecSettings,
    FileSettings,
    MattermostSettings,
    SlackSettings,
    WebhookSettings,
)
from imd.config.settings import Limits, ReceiverSettings

__all__ = [
    "CHANNELS",
    "Answer",
    "BadSettings",
    "Channel",
    "HttpClient",
    "Permanent",
    "Receipt",
    "Shared",
    "Temporary",
    "build",
    "http_client",
]


class Shared(msgspec.Struct, frozen=True):
    """What all channels of one process share. `template_failed` hears of the receiver, its template (title, body) and
    the reason whenever built-in text stood in."""

    http: HttpClient
    clock: Clock
    limits: Limits = Limits()
    template_failed: Callable[[str, str, str], None] = lambda _receiver, _which, _why: None


def http_client(limits: Limits) -> HttpClient:
    """The client with the configured bounds; close it after the last send."""
    return HttpClient(
        HttpBounds(
            connect=limits.connect_timeout.total_seconds(),
            total=limits.send_timeout.total_seconds(),
            reply_bytes_max=limits.reply_bytes_max,
        )
    )


def _webhook(settings: WebhookSettings, shared: Shared, _writer: Writer) -> Channel:
    endpoint = Endpoint(settings.url.reveal(), settings.allow_private)
    return Webhook(endpoint, settings.secret, shared.http, shared.clock)


def _console(_settings: ConsoleSettings, shared: Shared, _writer: Writer) -> Channel:
    return Console(timeout_seconds=shared.limits.send_timeout.total_seconds())


def _file(settings: FileSettings, shared: Shared, _writer: Writer) -> Channel:
    return File(settings.path, shared.limits.send_timeout.total_seconds())


def _exec(settings: ExecSettings, shared: Shared, _writer: Writer) -> Channel:
    return Exec(settings.command, (settings.timeout or shared.limits.send_timeout).total_seconds())


def _slack(settings: SlackSettings, shared: Shared, writer: Writer) -> Channel:
    if settings.url is not None:
        return SlackWebhook(settings, shared.http, shared.clock, writer)
    return Slack(settings, shared.http, shared.clock, writer)


def _email(settings: EmailSettings, shared: Shared, writer: Writer) -> Channel:
    limits = shared.limits
    return Email(settings, writer, limits.connect_timeout.total_seconds(), limits.send_timeout.total_seconds())


def _mattermost(settings: MattermostSettings, shared: Shared, writer: Writer) -> Channel:
    kind = Mattermost if settings.url is None else MattermostWebhook
    return kind(settings, shared.http, shared.clock, writer)


def _apprise(settings: AppriseSettings, shared: Shared, writer: Writer) -> Channel:
    return Apprise(settings, writer, shared.limits.send_timeout.total_seconds())


def _over_http(make: Callable[[Any, HttpClient, Clock, Writer], Channel]) -> Callable[[Any, Shared, Writer], Channel]:
    """For the many that need no more than this."""
    return lambda settings, shared, writer: make(settings, shared.http, shared.clock, writer)


CHANNELS: dict[str, Callable[[Any, Shared, Writer], Channel]] = {
    "webhook": _webhook,
    "console": _console,
    "file": _file,
    "exec": _exec,
    "pagerduty": _over_http(Pagerduty),
    "opsgenie": _over_http(Opsgenie),
    "slack": _slack,
    "email": _email,
    "teams": _over_http(Teams),
    "telegram": _over_http(Telegram),
    "discord": _over_http(Discord),
    "mattermost": _mattermost,
    "ntfy": _over_http(Ntfy),
    "pushover": _over_http(Pushover),
    "twilio": _over_http(Twilio),
    "matrix": _over_http(Matrix),
    "webex": _over_http(Webex),
    "victorops": _over_http(Victorops),
    "servicenow": _over_http(Servicenow),
    "apprise": _apprise,
}
"""A receiver's `type` to the factory of its channel, which takes that type's settings, Shared and the receiver's
Writer. Its keys are `config.receiverkeys.TYPES`."""


def build(receivers: Mapping[str, ReceiverSettings], shared: Shared) -> dict[str, Channel]:
    """A channel for each receiver, by its name. Raises BadSettings that names the receiver."""
    channels = {}
    for name, settings in receivers.items():
        writer = Writer(settings.templates, functools.partial(shared.template_failed, name))
        try:
            channels[name] = CHANNELS[settings.type](settings.channel, shared, writer)
        except BadSettings as fault:
            raise BadSettings(f'receiver "{name}": {fault}') from None
    return channels
