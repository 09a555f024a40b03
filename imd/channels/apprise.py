"""The `apprise` receiver: the hundred services that the library apprise knows, by its URLs. Needs the extra `apprise`.

Owns the thread that it blocks. Apprise says yes or no and no more: a no is tried again, for it does not say whether
it would pass, and it may have reached some of what a URL names. It opens its own connections, so the rules of
addresses and redirects that hold elsewhere do not hold here.
"""

from __future__ import annotations

import functools
from typing import Any

from imd.channels.contract import Answer, BadSettings, Conversation, Pace, Permanent, Receipt, Temporary
from imd.channels.text import PLAIN, Writer
from imd.channels.worker import Worker
from imd.config.channelsettings import AppriseSettings
from imd.model.effect import Delivery
from imd.model.policy import PageKind

BODY_CHARS_MAX = 32_000  # apprise cuts to each service's own length, and splits nothing of ours

_TYPES = {PageKind.PAGE: "failure", PageKind.RESOLVED: "success", PageKind.DIGEST: "warning"}


class Apprise:
    """Notifies what `url` names. Raises BadSettings where the extra is missing or a URL is none of apprise's."""

    paces: tuple[Pace, ...] = ()

    def __init__(self, settings: AppriseSettings, writer: Writer, timeout_seconds: float) -> None:
        try:
            import apprise
        except ImportError:
            raise BadSettings("needs apprise: pip install 'imd[apprise]'") from None
        self._apprise: Any = apprise.Apprise()
        if not self._apprise.add(settings.url.reveal()):
            raise BadSettings("url is none that apprise knows")
        self._writer = writer
        self._worker = Worker("apprise", timeout_seconds)

    async def send(self, delivery: Delivery, attempt: int, conversation: Conversation = b"") -> Answer:
        message = self._writer.message(delivery)
        body = self._writer.body(message, PLAIN, BODY_CHARS_MAX)
        kind = _TYPES.get(delivery.kind, "info")
        return await self._worker.run(functools.partial(self._notify, message.headline, body or message.headline, kind))

    async def close(self) -> None:
        self._worker.close()

    def _notify(self, title: str, body: str, kind: str) -> Answer:
        """In the worker's thread."""
        try:
            taken = self._apprise.notify(title=title, body=body, notify_type=kind, body_format="text")
        except Exception as error:  # noqa: BLE001  (whatever a plugin raises; its text may hold the URL)
            return Temporary(f"apprise failed: {type(error).__name__}", ambiguous=True)
        if taken is None:
            return Permanent("apprise had nothing to notify")
        return Receipt() if taken else Temporary("apprise could not notify it", ambiguous=True)
