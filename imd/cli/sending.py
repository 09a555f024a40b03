"""Commands that try the way from alert to pager: send, page."""

from __future__ import annotations

import os
from argparse import Namespace
from urllib.parse import quote

import msgspec

from imd.cli.failure import Failed
from imd.cli.pairs import labels_of, pairs
from imd.cli.remote import Daemon, read
from imd.cli.screen import Screen, clean
from imd.clock import SystemClock


def run(arguments: Namespace) -> int:
    daemon = Daemon.of(arguments, os.environ)
    return (_send if arguments.command == "send" else _page)(daemon, Screen.of_process(), arguments)


def _send(daemon: Daemon, screen: Screen, arguments: Namespace) -> int:
    """As any sender would: a firing alert without an end, or one whose end is now."""
    labels = labels_of(arguments.labels, "send")
    alert: dict[str, object] = {"labels": labels, "annotations": pairs(arguments.annotation, "--annotation")}
    if arguments.resolve:
        alert["endsAt"] = SystemClock().now()  # to the microsecond: a whole second may lie before the alert's start
    daemon.post("/api/v2/alerts", [alert])
    if arguments.json:
        print(msgspec.json.encode(alert).decode())
        return 0
    others = ", ".join(f'{name}="{value}"' for name, value in labels.items() if name != "alertname")
    what = labels["alertname"] + (f"{{{others}}}" if others else "")
    screen.line(f"{'resolved' if arguments.resolve else 'firing'}: {what}")
    return 0


class _Tried(msgspec.Struct):
    """How the receiver took the test page; `detail` is its own words."""

    accepted: bool
    detail: str = ""


def _page(daemon: Daemon, screen: Screen, arguments: Namespace) -> int:
    path = f"/v1/receivers/{quote(arguments.receiver, safe='')}/test"
    content = daemon.post(path, {"by": arguments.by, "text": " ".join(arguments.text)})
    tried = read(content, _Tried)
    if arguments.json:
        print(content.decode())
    elif tried.accepted:
        screen.line(f"{arguments.receiver} took it" + (f": {tried.detail}" if tried.detail else ""))
    else:
        raise Failed(f"{arguments.receiver} did not take it: {clean(tried.detail)}")
    return 0 if tried.accepted else 1
