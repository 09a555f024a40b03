"""Floor 2, from delivery to the world: one file per kind of service, and the table that finds it by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from imd.channels.console import Console
from imd.channels.contract import Answer, BadSettings, Channel, Permanent, Receipt, Temporary
from imd.channels.exec import Exec
from imd.channels.file import File
from imd.channels.http import Endpoint, HttpBounds, HttpClient
from imd.channels.webhook import Webhook
from imd.clock import Clock
from imd.config.settings import (
    ConsoleSettings,
    ExecSettings,
    FileSettings,
    Limits,
    ReceiverSettings,
    WebhookSettings,
)

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
    """What all channels of one process share."""

    http: HttpClient
    clock: Clock
    limits: Limits = Limits()


def http_client(limits: Limits) -> HttpClient:
    """The client with the configured bounds; close it after the last send."""
    return HttpClient(
        HttpBounds(
            connect=limits.connect_timeout.total_seconds(),
            total=limits.send_timeout.total_seconds(),
            reply_bytes_max=limits.reply_bytes_max,
        )
    )


def _webhook(settings: WebhookSettings, shared: Shared) -> Channel:
    endpoint = Endpoint(settings.url.reveal(), settings.allow_private)
    return Webhook(endpoint, settings.secret, shared.http, shared.clock)


def _console(_settings: ConsoleSettings, shared: Shared) -> Channel:
    return Console(timeout_seconds=shared.limits.send_timeout.total_seconds())


def _file(settings: FileSettings, shared: Shared) -> Channel:
    return File(settings.path, shared.limits.send_timeout.total_seconds())


def _exec(settings: ExecSettings, shared: Shared) -> Channel:
    return Exec(settings.command, (settings.timeout or shared.limits.send_timeout).total_seconds())


CHANNELS: dict[str, Callable[..., Channel]] = {
    "webhook": _webhook,
    "console": _console,
    "file": _file,
    "exec": _exec,
}
"""A receiver's `type` to the factory of its channel, which takes that type's settings and Shared."""


def build(receivers: Mapping[str, ReceiverSettings], shared: Shared) -> dict[str, Channel]:
    """A channel for each receiver, by its name. Raises BadSettings that names the receiver."""
    channels = {}
    for name, settings in receivers.items():
        try:
            channels[name] = CHANNELS[settings.type](settings.channel, shared)
        except BadSettings as fault:
            raise BadSettings(f'receiver "{name}": {fault}') from None
    return channels
